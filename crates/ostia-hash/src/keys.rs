//! Key sets: what a table is built from.
//!
//! A [`KeySet`] is checked once, when it is made: not empty, no duplicates, every key within its type. The
//! index of a key is its position here: in sorted order, or as given with [`Order::Input`].

use alloc::{boxed::Box, vec::Vec};
use core::{cmp::Ordering, fmt};

use crate::bytes::hash_bytes;

/// The most keys a set may hold: two vertices a key must stay below 2^32.
pub const MAX_KEYS: usize = 1 << 30;

/// What a key is. Signed integers are hashed by their two's complement bits and sorted by their value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum KeyType {
    /// Unsigned, 8 bits.
    U8,
    /// Unsigned, 16 bits.
    U16,
    /// Unsigned, 32 bits.
    U32,
    /// Unsigned, 64 bits.
    U64,
    /// Signed, 8 bits.
    I8,
    /// Signed, 16 bits.
    I16,
    /// Signed, 32 bits.
    I32,
    /// Signed, 64 bits.
    I64,
    /// Byte strings.
    Bytes,
    /// UTF-8 strings. Hashed and sorted by their bytes.
    Str,
}

impl KeyType {
    /// Every type, in the order of its tag in the `.ostia` file.
    pub const ALL: [KeyType; 10] = [
        KeyType::U8,
        KeyType::U16,
        KeyType::U32,
        KeyType::U64,
        KeyType::I8,
        KeyType::I16,
        KeyType::I32,
        KeyType::I64,
        KeyType::Bytes,
        KeyType::Str,
    ];

    /// The name used on the command line and in generated headers.
    pub fn name(self) -> &'static str {
        match self {
            KeyType::U8 => "u8",
            KeyType::U16 => "u16",
            KeyType::U32 => "u32",
            KeyType::U64 => "u64",
            KeyType::I8 => "i8",
            KeyType::I16 => "i16",
            KeyType::I32 => "i32",
            KeyType::I64 => "i64",
            KeyType::Bytes => "bytes",
            KeyType::Str => "str",
        }
    }

    /// The type of that name.
    pub fn from_name(name: &str) -> Option<KeyType> {
        KeyType::ALL.into_iter().find(|t| t.name() == name)
    }

    /// Width in bits; 64 for strings, which are hashed to that width first.
    pub fn bits(self) -> u32 {
        match self {
            KeyType::U8 | KeyType::I8 => 8,
            KeyType::U16 | KeyType::I16 => 16,
            KeyType::U32 | KeyType::I32 => 32,
            KeyType::U64 | KeyType::I64 | KeyType::Bytes | KeyType::Str => 64,
        }
    }

    /// True for the signed integers.
    pub fn is_signed(self) -> bool {
        matches!(self, KeyType::I8 | KeyType::I16 | KeyType::I32 | KeyType::I64)
    }

    /// True for strings and byte strings.
    pub fn is_text(self) -> bool {
        matches!(self, KeyType::Bytes | KeyType::Str)
    }

    /// All bits of the type set.
    pub fn mask(self) -> u64 {
        u64::MAX >> (64 - self.bits())
    }

    /// The value that a bit pattern of this type stands for.
    pub fn value(self, word: u64) -> i128 {
        if self.is_signed() {
            let unused = 64 - self.bits();
            i128::from(((word << unused) as i64) >> unused)
        } else {
            i128::from(word)
        }
    }

    /// The bit pattern of a value, or `None` when the type cannot hold it.
    pub fn word(self, value: i128) -> Option<u64> {
        let word = value as u64 & self.mask();
        (!self.is_text() && self.value(word) == value).then_some(word)
    }

    /// A word that sorts as the value does.
    fn rank(self, word: u64) -> u64 {
        if self.is_signed() { word ^ (1 << (self.bits() - 1)) } else { word }
    }
}

/// Which position a key's index is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Order {
    /// The position in the sorted set.
    #[default]
    Sorted,
    /// The position in the input.
    Input,
}

/// Why a set was refused. Positions count from 0, in input order.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum KeysError {
    /// There is no key at all.
    Empty,
    /// The key at `second` stands at `first` already.
    Duplicate {
        /// Where it stands first.
        first: usize,
        /// Where it stands again.
        second: usize,
    },
    /// A key does not fit its type.
    TooWide {
        /// Where it stands.
        position: usize,
    },
    /// More than [`MAX_KEYS`].
    TooMany,
    /// Every bytes seed that was tried let two strings share a 64-bit hash.
    Unhashable,
}

impl fmt::Display for KeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeysError::Empty => write!(f, "the set has no keys"),
            KeysError::Duplicate { first, second } => {
                write!(f, "key {second} is the same as key {first} (counted from 0)")
            }
            KeysError::TooWide { position } => write!(f, "key {position} does not fit the key type"),
            KeysError::TooMany => write!(f, "a set may hold at most {MAX_KEYS} keys"),
            KeysError::Unhashable => write!(f, "two strings share a 64-bit hash under every seed tried"),
        }
    }
}

impl core::error::Error for KeysError {}

/// Strings one after another, and where each ends.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Texts {
    bytes: Vec<u8>,
    ends: Vec<u64>,
}

impl Texts {
    /// Collects strings, in order.
    pub fn new<T: AsRef<[u8]>>(texts: impl IntoIterator<Item = T>) -> Texts {
        let mut all = Texts::default();
        for text in texts {
            all.push(text.as_ref());
        }
        all
    }

    /// Appends one.
    pub fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len() as u64);
    }

    /// The string at a position.
    pub fn get(&self, position: usize) -> &[u8] {
        let start = if position == 0 { 0 } else { self.ends[position - 1] };
        &self.bytes[start as usize..self.ends[position] as usize]
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All bytes, one string after another.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where each string ends.
    pub fn ends(&self) -> &[u64] {
        &self.ends
    }
}

/// A checked set of different keys.
#[derive(Clone, Debug)]
pub struct KeySet {
    key_type: KeyType,
    order: Order,
    words: Vec<u64>,
    texts: Option<Texts>,
    text_seed: u64,
    origin: Option<Box<[u32]>>,
}

impl KeySet {
    /// A set of integers, given as bit patterns of their type (see [`KeyType::word`]).
    ///
    /// # Errors
    /// When the set is empty or too large, or a key is twice in it or too wide.
    ///
    /// # Panics
    /// When `key_type` is a string type.
    #[track_caller]
    pub fn integers(key_type: KeyType, words: Vec<u64>, order: Order) -> Result<KeySet, KeysError> {
        assert!(!key_type.is_text(), "integers() takes an integer type, texts() the others");
        check_count(words.len())?;
        if let Some(position) = words.iter().position(|&w| w & !key_type.mask() != 0) {
            return Err(KeysError::TooWide { position });
        }
        let mut set = KeySet { key_type, order, words, texts: None, text_seed: 0, origin: None };
        if set.words.windows(2).all(|w| key_type.rank(w[0]) < key_type.rank(w[1])) {
            return Ok(set);
        }
        let words = &set.words;
        let sorted =
            sorted_positions(words.len(), |a, b| key_type.rank(words[a]).cmp(&key_type.rank(words[b])))?;
        if order == Order::Sorted {
            set.words = sorted.iter().map(|&i| set.words[i as usize]).collect();
            set.origin = Some(sorted);
        }
        Ok(set)
    }

    /// A set of 32-bit unsigned keys, sorted.
    ///
    /// # Errors
    /// As [`KeySet::integers`].
    pub fn u32s(keys: &[u32]) -> Result<KeySet, KeysError> {
        KeySet::integers(KeyType::U32, keys.iter().map(|&k| u64::from(k)).collect(), Order::Sorted)
    }

    /// A set of strings.
    ///
    /// # Errors
    /// When the set is empty or too large, or a string is twice in it.
    ///
    /// # Panics
    /// When `key_type` is an integer type.
    #[track_caller]
    pub fn texts(key_type: KeyType, texts: Texts, order: Order) -> Result<KeySet, KeysError> {
        assert!(key_type.is_text(), "texts() takes a string type, integers() the others");
        check_count(texts.len())?;
        let mut set = KeySet { key_type, order, words: Vec::new(), texts: None, text_seed: 0, origin: None };
        let ascending = (1..texts.len()).all(|i| texts.get(i - 1) < texts.get(i));
        let mut texts = texts;
        if !ascending {
            let sorted = sorted_positions(texts.len(), |a, b| texts.get(a).cmp(texts.get(b)))?;
            if order == Order::Sorted {
                texts = Texts::new(sorted.iter().map(|&i| texts.get(i as usize)));
                set.origin = Some(sorted);
            }
        }
        // Different strings must have different words; a clash of 64 bits is rare enough for few tries.
        for seed in 0..16 {
            let words: Vec<u64> = (0..texts.len()).map(|i| hash_bytes(seed, texts.get(i))).collect();
            let mut check = words.clone();
            check.sort_unstable();
            if check.windows(2).all(|w| w[0] != w[1]) {
                set.words = words;
                set.text_seed = seed;
                set.texts = Some(texts);
                return Ok(set);
            }
        }
        Err(KeysError::Unhashable)
    }

    /// The keys' type.
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// Which position a key's index is.
    pub fn order(&self) -> Order {
        self.order
    }

    /// How many keys there are; never 0.
    #[expect(clippy::len_without_is_empty, reason = "a set is never empty")]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// The key at each index: its bits, or its hash when it is a string.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// The strings by index, when the keys are strings.
    pub fn as_texts(&self) -> Option<&Texts> {
        self.texts.as_ref()
    }

    /// The seed under which all strings have different hashes.
    pub fn text_seed(&self) -> u64 {
        self.text_seed
    }

    /// For each index the position in the input; `None` when they are the same.
    pub fn origin(&self) -> Option<&[u32]> {
        self.origin.as_deref()
    }

    /// The key at an index, as a person would write it.
    pub fn display(&self, index: usize) -> impl fmt::Display + '_ {
        Shown { set: self, index }
    }
}

struct Shown<'a> {
    set: &'a KeySet,
    index: usize,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.set.texts {
            Some(texts) => write!(f, "\"{}\"", texts.get(self.index).escape_ascii()),
            None => write!(f, "{}", self.set.key_type.value(self.set.words[self.index])),
        }
    }
}

fn check_count(count: usize) -> Result<(), KeysError> {
    match count {
        0 => Err(KeysError::Empty),
        c if c > MAX_KEYS => Err(KeysError::TooMany),
        _ => Ok(()),
    }
}

/// Positions in ascending order of what stands there; the first duplicate is the error.
fn sorted_positions(
    count: usize,
    compare: impl Fn(usize, usize) -> Ordering,
) -> Result<Box<[u32]>, KeysError> {
    let mut sorted: Box<[u32]> = (0..count as u32).collect();
    // Equal keys stay in input order, so that the report names the first place and the next.
    sorted.sort_unstable_by(|&a, &b| compare(a as usize, b as usize).then(a.cmp(&b)));
    let twice =
        sorted.windows(2).filter(|w| compare(w[0] as usize, w[1] as usize).is_eq()).min_by_key(|w| w[1]);
    match twice {
        Some(w) => Err(KeysError::Duplicate { first: w[0] as usize, second: w[1] as usize }),
        None => Ok(sorted),
    }
}

#[cfg(test)]
mod tests {
    use alloc::{string::ToString, vec};

    use super::*;

    #[test]
    fn sorting_remembers_where_each_key_stood() {
        let set = KeySet::integers(KeyType::U16, vec![9, 3, 7], Order::Sorted).unwrap();
        assert_eq!(set.words(), [3, 7, 9]);
        assert_eq!(set.origin().unwrap(), [1, 2, 0]);
        let kept = KeySet::integers(KeyType::U16, vec![9, 3, 7], Order::Input).unwrap();
        assert_eq!(kept.words(), [9, 3, 7]);
        assert!(kept.origin().is_none());
    }

    #[test]
    fn signed_keys_sort_by_value() {
        let words = [-1, 5, -128].map(|v| KeyType::I8.word(v).unwrap()).to_vec();
        let set = KeySet::integers(KeyType::I8, words, Order::Sorted).unwrap();
        assert_eq!(set.words(), [0x80, 0xff, 5]);
        assert_eq!(set.display(0).to_string(), "-128");
    }

    #[test]
    fn the_first_duplicate_is_named_by_its_places() {
        let twice = KeySet::integers(KeyType::U32, vec![4, 8, 4, 8], Order::Input).unwrap_err();
        assert_eq!(twice, KeysError::Duplicate { first: 0, second: 2 });
        let texts = Texts::new(["b", "a", "b"]);
        let twice = KeySet::texts(KeyType::Str, texts, Order::Sorted).unwrap_err();
        assert_eq!(twice, KeysError::Duplicate { first: 0, second: 2 });
    }

    #[test]
    fn bad_sets_are_refused() {
        assert_eq!(KeySet::u32s(&[]).unwrap_err(), KeysError::Empty);
        let wide = KeySet::integers(KeyType::U8, vec![1, 256], Order::Sorted).unwrap_err();
        assert_eq!(wide, KeysError::TooWide { position: 1 });
    }

    #[test]
    fn words_and_values_are_inverse() {
        for key_type in KeyType::ALL.into_iter().filter(|t| !t.is_text()) {
            for word in [0, 1, key_type.mask() >> 1, (key_type.mask() >> 1) + 1, key_type.mask()] {
                assert_eq!(key_type.word(key_type.value(word)), Some(word), "{key_type:?}");
            }
        }
        assert_eq!(KeyType::I8.word(128), None);
        assert_eq!(KeyType::U64.word(-1), None);
        assert_eq!(KeyType::U64.word(1 << 64), None);
    }
}
