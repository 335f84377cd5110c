//! What self-tests ask, and what the library answers.

use ostia_hash::{
    keys::{KeySet, KeyType},
    table::{Key, Table, Value},
};

/// Self-tests ask for every key of a set up to this size, and for an even sample of larger ones.
const MOST: usize = 100_000;

/// Foreign keys that are asked for as well.
const STRANGERS: usize = 1000;

/// Keys to ask for, and the answers.
#[derive(Debug)]
pub(crate) struct Answers {
    /// Integer keys; empty when keys are strings.
    pub(crate) words: Vec<u64>,
    /// Strings; empty when keys are integers.
    pub(crate) texts: Vec<Vec<u8>>,
    /// How many of the keys, the first ones, are in the set.
    pub(crate) members: usize,
    /// True when not every key of the set is asked for.
    pub(crate) sampled: bool,
    /// Whether the table takes each key for a member; only for tables that are checked.
    pub(crate) passes: Option<Vec<bool>>,
    /// The index found for each key, foreign ones included; only for tables that have indexes.
    pub(crate) indexes: Option<Vec<u32>>,
    /// The value found for each key, foreign ones included; only for tables that have values.
    pub(crate) values: Option<Vec<Value>>,
}

impl Answers {
    /// How many keys are asked for.
    pub(crate) fn asked(&self) -> usize {
        self.words.len().max(self.texts.len())
    }

    /// Asks the table.
    pub(crate) fn of(table: &Table<'_>, set: &KeySet) -> Answers {
        let step = set.len().div_ceil(MOST);
        let sample = || (0..set.len()).step_by(step);
        let (mut words, mut texts) = (Vec::new(), Vec::new());
        match set.as_texts() {
            Some(own) => texts.extend(sample().map(|i| own.get(i).to_vec())),
            None => words.extend(sample().map(|i| set.words()[i])),
        }
        let members = sample().len();
        match set.as_texts() {
            Some(own) => texts.extend(foreign_texts(own)),
            None => words.extend(foreign_words(set)),
        }
        let keys: Vec<Key<'_>> = if texts.is_empty() {
            words.iter().map(|&w| Key::Word(w)).collect()
        } else {
            texts.iter().map(|t| Key::Text(t)).collect()
        };
        let lookup = table.unchecked();
        let passes = table.checked().map(|checked| keys.iter().map(|&k| checked.contains(k)).collect());
        let indexes = table.has_index().then(|| keys.iter().map(|&k| lookup.index(k)).collect());
        let value = |&k: &Key<'_>| lookup.value(k).expect("a table with a value type has values");
        let values = table.head().values.map(|_| keys.iter().map(value).collect());
        Answers { words, texts, members, sampled: step > 1, passes, indexes, values }
    }
}

/// Neighbours of members, and words from everywhere. None when the set holds all its type can.
fn foreign_words(set: &KeySet) -> Vec<u64> {
    let mut members = set.words().to_vec();
    members.sort_unstable();
    let mask = set.key_type().mask();
    let near = set
        .words()
        .iter()
        .step_by(set.len().div_ceil(STRANGERS / 4))
        .flat_map(|w| [w.wrapping_add(1), w.wrapping_sub(1), w ^ ((mask >> 1) + 1)]);
    let far = (0..STRANGERS as u64 / 4).map(|i| (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29));
    let mut foreign: Vec<u64> = [0, mask].into_iter().chain(near).chain(far).map(|w| w & mask).collect();
    foreign.sort_unstable();
    foreign.dedup();
    foreign.retain(|w| members.binary_search(w).is_err());
    foreign.truncate(STRANGERS);
    foreign
}

/// The empty string, members that lack or have a character too many, and others.
fn foreign_texts(own: &ostia_hash::keys::Texts) -> Vec<Vec<u8>> {
    let mut members: Vec<&[u8]> = (0..own.len()).map(|i| own.get(i)).collect();
    members.sort_unstable();
    let near = (0..own.len()).step_by(own.len().div_ceil(STRANGERS / 4)).flat_map(|i| {
        let text = own.get(i);
        let longer = [text, b"x"].concat();
        // Bytes of a string are not cut: what is left need not be UTF-8.
        [longer, [b"x", text].concat()]
    });
    let far = (0..64).map(|i| format!("foreign {}", i * 37).into_bytes());
    let mut foreign: Vec<Vec<u8>> = [Vec::new()].into_iter().chain(near).chain(far).collect();
    foreign.sort_unstable();
    foreign.dedup();
    foreign.retain(|t| members.binary_search(&t.as_slice()).is_err());
    foreign
}

/// A word as a number of the key's type, as it is written in source code.
pub(crate) fn number(key_type: KeyType, word: u64) -> i128 {
    key_type.value(word)
}
