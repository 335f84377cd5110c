//! A finished table: what it is made of, and how a key finds its index and value.
//!
//! | part | elements | addressed by |
//! |---|---|---|
//! | `cells` | graph entries, displacements, or retrieval cells | places of the key |
//! | `ranks` | the index of each slot ([`Shape::Displace`] that keeps order) | slot |
//! | `marks` | fingerprints | index, or places for values in place |
//! | `keys`, `texts` | the keys themselves | index |
//! | `values` | integers or records | index (absent when the cells hold them) |
//!
//! What is addressed by index has [`Table::range`] elements, so that no foreign key can reach past the end.
//! Where no key has an index, `keys` repeats a key of the set: it can equal no foreign key, and no member
//! looks there.

mod check;
pub(crate) mod verify;

use alloc::vec::Vec;
use core::fmt;

use crate::{
    bytes::hash_bytes,
    function::{
        classic::{Classic, RngSpec, Seeds},
        family::{self, Family, Multipliers},
    },
    keys::{KeySet, KeyType, Order},
    lane::Lane,
    simd::{Level, lookup},
    squeeze::Squeeze,
};

/// How a key becomes an index.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Shape {
    /// One table of `2^vertices` entries: `(cells[v1] + cells[v2])`, low `index_bits` bits.
    Chm {
        /// The seeded function.
        function: Classic,
        /// Its seeds.
        seeds: Seeds,
        /// Entries, as a power of two.
        vertices: u32,
        /// Bits of an index.
        index_bits: u32,
    },
    /// Two halves: `(cells[v1] + cells[2^first + v2])`, low `index_bits` bits.
    Halves {
        /// The function family.
        family: Family,
        /// Its multipliers.
        multipliers: Multipliers,
        /// Entries of the first half, as a power of two.
        first: u32,
        /// Entries of the second half, as a power of two.
        second: u32,
        /// Bits of an index.
        index_bits: u32,
    },
    /// Xor-displace: `slot = field ^ cells[bucket]`, and `ranks[slot]` where order is kept.
    Displace {
        /// `None`: one multiply, the two top fields. `Some`: [`family::mix`] first.
        mixed: bool,
        /// The multipliers.
        multipliers: Multipliers,
        /// Buckets, as a power of two.
        buckets: u32,
        /// Slots, as a power of two.
        slots: u32,
    },
    /// Three parts of `part` cells each: the xor of one cell of each is the index, or the value in place.
    Retrieval {
        /// The multipliers.
        multipliers: Multipliers,
        /// Cells of one part.
        part: u32,
        /// True when cells hold values; else they hold indexes.
        in_place: bool,
    },
}

impl Shape {
    /// The name used on the command line and in generated headers.
    pub fn name(&self) -> &'static str {
        match self {
            Shape::Chm { .. } => "chm",
            Shape::Halves { .. } => "halves",
            Shape::Displace { .. } => "displace",
            Shape::Retrieval { .. } => "retrieval",
        }
    }

    /// The name of its hash function.
    pub fn function_name(&self) -> &'static str {
        match self {
            Shape::Chm { function, .. } => function.name(),
            Shape::Halves { family, .. } => family.name(),
            Shape::Displace { mixed: false, .. } => "multiply",
            Shape::Displace { mixed: true, .. } | Shape::Retrieval { .. } => "mix",
        }
    }
}

/// What a table says of keys that are not in its set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Foreign {
    /// Nothing: a foreign key gets an arbitrary index.
    #[default]
    Unchecked,
    /// A foreign key passes with probability `2^-bits`; 1 to 32 bits.
    Fingerprint {
        /// Bits of a fingerprint.
        bits: u32,
    },
    /// Every foreign key is recognised.
    Exact,
}

/// What a value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ValueType {
    /// An unsigned integer of 1, 2, 4 or 8 bytes.
    Integer {
        /// Its bytes.
        width: u32,
    },
    /// So many bytes.
    Record {
        /// Their number.
        size: u32,
    },
}

impl ValueType {
    /// Bytes a value.
    pub fn width(self) -> u32 {
        match self {
            ValueType::Integer { width } | ValueType::Record { size: width } => width,
        }
    }
}

/// A value for each key, by index.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Values {
    value_type: ValueType,
    lane: Lane<'static>,
}

impl Values {
    /// Integers, kept in the fewest bytes that hold them all.
    ///
    /// # Panics
    /// When there are none.
    #[track_caller]
    pub fn integers(values: &[u64]) -> Values {
        let most = values.iter().max().expect("at least one value");
        Values::integers_of(Lane::width_below(most.saturating_add(1)), values)
    }

    /// Integers in `width` bytes each: 1, 2, 4 or 8. Higher bits are cut off.
    ///
    /// # Panics
    /// When there are none, or the width is another one.
    #[track_caller]
    pub fn integers_of(width: u32, values: &[u64]) -> Values {
        Values {
            value_type: ValueType::Integer { width },
            lane: Lane::from_words(values.iter().copied(), width),
        }
    }

    /// Records of `size` bytes, one after another. `None` when the bytes are not a whole number of them.
    pub fn records(size: u32, bytes: Vec<u8>) -> Option<Values> {
        Some(Values { value_type: ValueType::Record { size }, lane: Lane::new(bytes, size)? })
    }

    /// How many there are.
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.lane.len()
    }

    /// What a value is.
    pub fn value_type(&self) -> ValueType {
        self.value_type
    }

    /// The values.
    pub fn lane(&self) -> &Lane<'static> {
        &self.lane
    }

    /// The values in another order: `origin[i]` is where the one that comes to stand at `i` stood.
    #[must_use]
    pub fn permuted(&self, origin: &[u32]) -> Values {
        let bytes = origin.iter().flat_map(|&o| self.lane.record(o as usize)).copied().collect::<Vec<u8>>();
        let lane = Lane::new(bytes, self.lane.width()).expect("as many elements as positions");
        Values { value_type: self.value_type, lane }
    }
}

/// A value found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// An unsigned integer.
    Integer(u64),
    /// The bytes of a record.
    Record(Vec<u8>),
}

/// A key that is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Key<'k> {
    /// The bits of an integer, in the width of the table's key type.
    Word(u64),
    /// A string.
    Text(&'k [u8]),
}

macro_rules! key_from {
    ($($from:ty as $bits:ty),*) => {
        $(impl From<$from> for Key<'_> {
            fn from(key: $from) -> Self {
                Key::Word(u64::from(key as $bits))
            }
        })*
    };
}
key_from!(u8 as u8, u16 as u16, u32 as u32, u64 as u64, i8 as u8, i16 as u16, i32 as u32, i64 as u64);

impl<'k> From<&'k str> for Key<'k> {
    fn from(key: &'k str) -> Self {
        Key::Text(key.as_bytes())
    }
}

impl<'k> From<&'k [u8]> for Key<'k> {
    fn from(key: &'k [u8]) -> Self {
        Key::Text(key)
    }
}

/// How the table was found: enough to find it again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Provenance {
    /// Where attempts took their seeds from.
    pub rng: RngSpec,
    /// The attempt that solved the set.
    pub attempt: u64,
}

/// The scalars of a table.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Head {
    /// What a key is.
    pub key_type: KeyType,
    /// How many keys there are.
    pub count: u32,
    /// Which position an index is. Meaningless for a displace table without ranks: there it is a slot.
    pub order: Order,
    /// How keys are reduced.
    pub squeeze: Squeeze,
    /// The seed that makes strings words.
    pub text_seed: u64,
    /// How a key becomes an index.
    pub shape: Shape,
    /// What is said of foreign keys.
    pub foreign: Foreign,
    /// What a value is, if there are values.
    pub values: Option<ValueType>,
    /// How the table was found.
    pub provenance: Provenance,
}

/// The arrays of a table; see the module's first lines.
#[derive(Clone, PartialEq, Debug)]
pub struct Lanes<'a> {
    /// Graph entries, displacements or retrieval cells.
    pub cells: Lane<'a>,
    /// The index of each slot.
    pub ranks: Option<Lane<'a>>,
    /// Fingerprints.
    pub marks: Option<Lane<'a>>,
    /// Integer keys by index.
    pub keys: Option<Lane<'a>>,
    /// Where each string ends in `text_bytes`, as 8-byte words.
    pub text_ends: Option<Lane<'a>>,
    /// All strings by index, one after another.
    pub text_bytes: Option<Lane<'a>>,
    /// Values by index.
    pub values: Option<Lane<'a>>,
}

/// A perfect hash table.
#[derive(Clone, PartialEq, Debug)]
pub struct Table<'a> {
    head: Head,
    lanes: Lanes<'a>,
}

/// Why parts make no table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a table: {}", self.0)
    }
}

impl core::error::Error for Malformed {}

impl<'a> Table<'a> {
    /// Puts parts together, after checking every length and limit a lookup relies on.
    ///
    /// # Errors
    /// When a lookup could read past an array or shift out of range.
    pub fn from_parts(head: Head, lanes: Lanes<'a>) -> Result<Table<'a>, Malformed> {
        check::parts(&head, &lanes)?;
        Ok(Table { head, lanes })
    }

    /// The scalars.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The arrays.
    pub fn lanes(&self) -> &Lanes<'a> {
        &self.lanes
    }

    /// How many keys there are.
    #[expect(clippy::len_without_is_empty, reason = "a table is never empty")]
    pub fn len(&self) -> usize {
        self.head.count as usize
    }

    /// Every index is below this.
    pub fn range(&self) -> u32 {
        range(&self.head, &self.lanes)
    }

    /// True when a key's index is its position in the set; false when it is a slot of its own.
    pub fn keeps_order(&self) -> bool {
        keeps_order(&self.head, &self.lanes)
    }

    /// True when the table has indexes; false when its cells hold values in place.
    pub fn has_index(&self) -> bool {
        !matches!(self.head.shape, Shape::Retrieval { in_place: true, .. })
    }

    /// Bytes of all arrays.
    pub fn bytes(&self) -> usize {
        let lanes = &self.lanes;
        let optional =
            [&lanes.ranks, &lanes.marks, &lanes.keys, &lanes.text_ends, &lanes.text_bytes, &lanes.values];
        lanes.cells.bytes().len() + optional.into_iter().flatten().map(|l| l.bytes().len()).sum::<usize>()
    }

    /// The same table, with arrays of its own.
    pub fn into_owned(self) -> Table<'static> {
        let lanes = self.lanes;
        Table {
            head: self.head,
            lanes: Lanes {
                cells: lanes.cells.into_owned(),
                ranks: lanes.ranks.map(Lane::into_owned),
                marks: lanes.marks.map(Lane::into_owned),
                keys: lanes.keys.map(Lane::into_owned),
                text_ends: lanes.text_ends.map(Lane::into_owned),
                text_bytes: lanes.text_bytes.map(Lane::into_owned),
                values: lanes.values.map(Lane::into_owned),
            },
        }
    }

    /// The word that is hashed for a key: its bits, or its hash when it is a string.
    #[inline]
    pub fn word(&self, key: Key<'_>) -> u64 {
        match key {
            Key::Word(word) => word,
            Key::Text(text) => hash_bytes(self.head.text_seed, text),
        }
    }

    /// The table with lookups that say nothing of foreign keys. Any table has these.
    pub fn unchecked(&self) -> Unchecked<'_> {
        Unchecked { table: self }
    }

    /// The table with lookups that recognise foreign keys up to the stated error, if it can.
    pub fn checked(&self) -> Option<Checked<'_>> {
        (self.head.foreign != Foreign::Unchecked).then_some(Checked { table: self })
    }

    /// The index of a member; an arbitrary one below [`Table::range`] for any other word.
    #[inline]
    fn place(&self, word: u64) -> u32 {
        let word = self.head.squeeze.apply(word);
        let cells = &self.lanes.cells;
        let at = |place: u32| cells.word(place as usize) as u32;
        match self.head.shape {
            Shape::Chm { function, seeds, vertices, index_bits } => {
                let (v1, v2) = function.pair(&seeds, word as u32);
                let mask = low(vertices);
                at(v1 & mask).wrapping_add(at(v2 & mask)) & low(index_bits)
            }
            Shape::Halves { family, multipliers, first, second, index_bits } => {
                let (v1, v2) = family.places(multipliers, first, second, word);
                at(v1).wrapping_add(at((1 << first) + v2)) & low(index_bits)
            }
            Shape::Displace { mixed, multipliers, buckets, slots } => {
                let (bucket, field) = displace_fields(mixed, multipliers, buckets, slots, word);
                let slot = (field ^ at(bucket)) & low(slots);
                match &self.lanes.ranks {
                    // A file may hold any rank: what is no index is cut to one.
                    Some(ranks) => ranks.word(slot as usize) as u32 & (index_range(self.head.count) - 1),
                    None => slot,
                }
            }
            Shape::Retrieval { multipliers, part, .. } => {
                let [a, b, c] = retrieval_places(multipliers, part, word);
                (at(a) ^ at(b) ^ at(c)) & (index_range(self.head.count) - 1)
            }
        }
    }

    /// The fingerprint stored for a word.
    fn mark(&self, marks: &Lane<'_>, word: u64) -> u64 {
        match self.head.shape {
            Shape::Retrieval { multipliers, part, in_place: true } => {
                let places = retrieval_places(multipliers, part, self.head.squeeze.apply(word));
                places.into_iter().fold(0, |mark, place| mark ^ marks.word(place as usize))
            }
            _ => marks.word(self.place(word) as usize),
        }
    }

    /// True when the key is in the set, as far as the table can tell.
    fn admits(&self, key: Key<'_>) -> bool {
        let word = self.word(key);
        match (self.head.foreign, key) {
            (Foreign::Unchecked, _) => true,
            (Foreign::Fingerprint { bits }, _) => {
                let marks = self.lanes.marks.as_ref().expect("checked: fingerprints have marks");
                self.mark(marks, word) == fingerprint(word, bits)
            }
            (Foreign::Exact, Key::Word(_)) => match &self.lanes.keys {
                Some(keys) => keys.word(self.place(word) as usize) == word,
                None => false,
            },
            (Foreign::Exact, Key::Text(text)) => match self.text(self.place(word) as usize) {
                Some(own) => own == text,
                None => false,
            },
        }
    }

    /// The string at an index, when the table keeps its keys and they are strings.
    pub fn text(&self, index: usize) -> Option<&[u8]> {
        let ends = self.lanes.text_ends.as_ref()?;
        // There are no bytes when the only string is the empty one.
        let bytes = self.lanes.text_bytes.as_ref().map_or(&[][..], |lane| lane.bytes());
        let start = if index == 0 { 0 } else { ends.word(index - 1) };
        bytes.get(start as usize..ends.word(index) as usize)
    }

    /// The value of a member; an arbitrary one for any other key. `None` when there are no values.
    fn value_of(&self, word: u64) -> Option<Value> {
        let value_type = self.head.values?;
        Some(match (&self.lanes.values, self.head.shape, value_type) {
            (Some(values), _, ValueType::Integer { .. }) => {
                Value::Integer(values.word(self.place(word) as usize))
            }
            (Some(values), _, ValueType::Record { .. }) => {
                Value::Record(values.record(self.place(word) as usize).to_vec())
            }
            (None, Shape::Retrieval { multipliers, part, .. }, _) => {
                let places = retrieval_places(multipliers, part, self.head.squeeze.apply(word));
                let [a, b, c] = places.map(|p| p as usize);
                let cells = &self.lanes.cells;
                match value_type {
                    ValueType::Integer { .. } => {
                        Value::Integer(cells.word(a) ^ cells.word(b) ^ cells.word(c))
                    }
                    ValueType::Record { .. } => {
                        let bytes = cells.record(a).iter().zip(cells.record(b)).zip(cells.record(c));
                        Value::Record(bytes.map(|((a, b), c)| a ^ b ^ c).collect())
                    }
                }
            }
            (None, _, _) => return None,
        })
    }

    /// Checks every key of the set this table was made of, and its values if they are given.
    ///
    /// # Errors
    /// The first key that does not find what it should.
    pub fn verify(&self, set: &KeySet, values: Option<&Values>) -> Result<(), Mismatch> {
        verify::Verify::new(self, set, values)?.check(0..set.len())
    }
}

/// Lookups that say nothing of foreign keys.
#[derive(Clone, Copy, Debug)]
pub struct Unchecked<'t> {
    table: &'t Table<'t>,
}

impl Unchecked<'_> {
    /// The index of a member; an arbitrary one below [`Table::range`] for any other key.
    ///
    /// # Panics
    /// When the table's cells hold values in place: it has no index.
    #[inline]
    #[track_caller]
    pub fn index<'k>(&self, key: impl Into<Key<'k>>) -> u32 {
        assert!(self.table.has_index(), "this table has values in place and no index");
        self.table.place(self.table.word(key.into()))
    }

    /// The indexes of many integer keys, by vector code where there is any.
    ///
    /// # Panics
    /// When the slices differ in length, or the table's cells hold values in place.
    #[track_caller]
    pub fn indexes<W: Copy + Into<u64>>(&self, words: &[W], out: &mut [u32]) {
        self.indexes_at(Level::best(), words, out);
    }

    /// As [`Unchecked::indexes`], by the vector code of a level; the result is the same.
    #[track_caller]
    pub fn indexes_at<W: Copy + Into<u64>>(&self, level: Level, words: &[W], out: &mut [u32]) {
        assert_eq!(words.len(), out.len(), "an index for each key");
        lookup::indexes(level, self.table, words, out);
    }

    /// The value of a member; an arbitrary one for any other key. `None` when there are no values.
    pub fn value<'k>(&self, key: impl Into<Key<'k>>) -> Option<Value> {
        self.table.value_of(self.table.word(key.into()))
    }
}

/// Lookups that recognise foreign keys: all of them when the table is exact, else up to the stated error.
#[derive(Clone, Copy, Debug)]
pub struct Checked<'t> {
    table: &'t Table<'t>,
}

impl Checked<'_> {
    /// True when the key is a member.
    pub fn contains<'k>(&self, key: impl Into<Key<'k>>) -> bool {
        self.table.admits(key.into())
    }

    /// The index of a member.
    ///
    /// # Panics
    /// When the table's cells hold values in place: it has no index.
    #[track_caller]
    pub fn index<'k>(&self, key: impl Into<Key<'k>>) -> Option<u32> {
        let key = key.into();
        self.table.admits(key).then(|| self.table.unchecked().index(key))
    }

    /// The value of a member. `None` for a foreign key, and when there are no values.
    pub fn value<'k>(&self, key: impl Into<Key<'k>>) -> Option<Value> {
        let key = key.into();
        if self.table.admits(key) { self.table.value_of(self.table.word(key)) } else { None }
    }
}

/// A key that does not find what it should.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mismatch {
    /// The key's position in the set.
    pub position: usize,
    /// What is wrong.
    pub what: &'static str,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {} (counted from 0) {}", self.position, self.what)
    }
}

impl core::error::Error for Mismatch {}

pub(crate) fn range(head: &Head, lanes: &Lanes<'_>) -> u32 {
    match head.shape {
        Shape::Chm { index_bits, .. } | Shape::Halves { index_bits, .. } => 1 << index_bits,
        Shape::Displace { slots, .. } if lanes.ranks.is_none() => 1 << slots,
        // Ranks and retrieved indexes are stored in whole bytes: what is read is cut to the index bits.
        Shape::Displace { .. } | Shape::Retrieval { .. } => index_range(head.count),
    }
}

pub(crate) fn keeps_order(head: &Head, lanes: &Lanes<'_>) -> bool {
    !matches!(head.shape, Shape::Displace { .. }) || lanes.ranks.is_some()
}

/// The power of two that holds every position of a set.
pub fn index_range(count: u32) -> u32 {
    count.next_power_of_two()
}

/// Bucket and field of a word.
#[inline]
pub fn displace_fields(
    mixed: bool,
    [s1, s2]: Multipliers,
    buckets: u32,
    slots: u32,
    word: u64,
) -> (u32, u32) {
    let hash = if mixed { family::mix(word, s1, s2) } else { word.wrapping_mul(s1) };
    ((hash >> (64 - buckets)) as u32, (hash >> (64 - buckets - slots)) as u32 & low(slots))
}

/// The cell of a word in each of the three parts.
#[inline]
pub fn retrieval_places([s1, s2]: Multipliers, part: u32, word: u64) -> [u32; 3] {
    let hash = family::mix(word, s1, s2);
    let scale = |field: u64| ((field * u64::from(part)) >> 32) as u32;
    let folded = (hash ^ (hash >> 32)) & 0xFFFF_FFFF;
    [scale(hash >> 32), part + scale(folded), 2 * part + scale(hash.wrapping_mul(s1) >> 32)]
}

/// The fingerprint of a word: independent of every place the word has.
#[inline]
pub fn fingerprint(word: u64, bits: u32) -> u64 {
    family::mix(word ^ 0xA076_1D64_78BD_642F, 0xE703_7ED1_A0B4_28DB, 0x8EBC_6AF0_9C88_C6E3) >> (64 - bits)
}

#[inline]
pub(crate) fn low(bits: u32) -> u32 {
    ((1u64 << bits) - 1) as u32
}
