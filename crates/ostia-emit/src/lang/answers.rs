//! What self-tests ask, and what the library answers.

use ostia_hash::{
    keys::{KeySet, Texts},
    table::{Key, Table, Value},
};

/// Self-tests ask for every key of a set up to this size, and for an even sample of larger ones.
const MOST: usize = 100_000;

/// As many members, evenly spread, have their neighbours asked for, and as many foreign keys come from elsewhere.
const NEIGHBOURHOODS: usize = 200;

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
        let members = set.len().min(MOST);
        let sample = (0..members).map(|i| i * set.len() / members);
        let (mut words, mut texts) = (Vec::new(), Vec::new());
        match set.as_texts() {
            Some(own) => {
                texts.extend(sample.map(|i| own.get(i).to_vec()));
                texts.extend(foreign_texts(own));
            }
            None => {
                words.extend(sample.map(|i| set.words()[i]));
                words.extend(foreign_words(set));
            }
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
        Answers { words, texts, members, sampled: members < set.len(), passes, indexes, values }
    }
}

/// Neighbours of members, in value and by one bit, and words from everywhere. None when the set holds all its
/// type can.
fn foreign_words(set: &KeySet) -> Vec<u64> {
    let (mask, bits) = (set.key_type().mask(), set.key_type().bits());
    let members = set.words().iter().step_by(set.len().div_ceil(NEIGHBOURHOODS)).zip(0u32..);
    let near = members.flat_map(|(w, i)| {
        [w.wrapping_add(1), w.wrapping_sub(1), w ^ (1 << (i % bits)), w ^ (1 << (bits - 1))]
    });
    let far = (1..=NEIGHBOURHOODS as u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29));
    let all = [0, mask].into_iter().chain(near).chain(far).map(|w| w & mask);
    without(all.collect(), set.words().to_vec())
}

/// The empty string, members that lack a character or have one too many, and others.
fn foreign_texts(own: &Texts) -> Vec<Vec<u8>> {
    let near = (0..own.len()).step_by(own.len().div_ceil(NEIGHBOURHOODS)).flat_map(|i| {
        let text = own.get(i);
        // Cut where a character begins, so that what is left of UTF-8 is UTF-8.
        let last = text.iter().rposition(|byte| byte & 0xC0 != 0x80).unwrap_or(0);
        [[text, b"x"].concat(), [b"x", text].concat(), text[..last].to_vec()]
    });
    let far = (0..64).map(|i| format!("foreign {}", i * 37).into_bytes());
    let all = [Vec::new()].into_iter().chain(near).chain(far);
    without(all.collect(), (0..own.len()).map(|i| own.get(i).to_vec()).collect())
}

/// The keys that are no members, each once, in their order.
fn without<K: Ord>(mut keys: Vec<K>, mut members: Vec<K>) -> Vec<K> {
    members.sort_unstable();
    keys.sort_unstable();
    keys.dedup();
    keys.retain(|key| members.binary_search(key).is_err());
    keys
}
