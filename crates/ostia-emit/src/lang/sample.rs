//! What the self-tests of C and C++ ask: keys of the set, all or an even sample, and some foreign ones.

use std::collections::HashSet;

use minijinja::{Value, context};
use ostia_hash::table::Key;

use super::{
    Request,
    c_family::{bytes, elements},
};

/// A self-test asks for this many keys at most: more would make it the largest file by far.
const MOST: usize = 100_000;

/// Foreign keys of a self-test.
const FOREIGN: usize = 24;

/// The sample of a request, as the templates `*_test.j2` and `*_bench.j2` take it.
pub(super) fn sample(request: &Request<'_>) -> Value {
    let (table, set) = (request.table, request.set);
    let count = set.len().min(MOST);
    let positions: Vec<usize> = (0..count).map(|i| i * set.len() / count).collect();
    let width = set.key_type().bits() / 8;
    let indexes: Vec<u64> = if table.has_index() {
        positions.iter().map(|&p| table.unchecked().index(key(request, p)).into()).collect()
    } else {
        Vec::new()
    };
    let values = request.values.filter(|_| table.head().values.is_some()).map(|values| {
        let lane = values.lane();
        match values.value_type() {
            ostia_hash::table::ValueType::Integer { width } => {
                elements(positions.iter().map(|&p| lane.word(p)), width)
            }
            ostia_hash::table::ValueType::Record { .. } => {
                elements(positions.iter().flat_map(|&p| lane.record(p)).map(|&b| b.into()), 1)
            }
        }
    });
    let mut foreign = Foreign::default();
    if let Some(checked) = table.checked() {
        foreign = match set.as_texts() {
            Some(_) => foreign_texts(request),
            None => foreign_words(request),
        };
        foreign.passes = match set.as_texts() {
            Some(_) => foreign.texts.iter().map(|t| checked.contains(t.as_slice())).collect(),
            None => foreign.words.iter().map(|&w| checked.contains(Key::Word(w))).collect(),
        };
    }
    let member_texts: Vec<&[u8]> = match set.as_texts() {
        Some(texts) => positions.iter().map(|&p| texts.get(p)).collect(),
        None => Vec::new(),
    };
    let foreign_texts: Vec<&[u8]> = foreign.texts.iter().map(Vec::as_slice).collect();
    let words: String = if set.key_type().is_text() {
        String::new()
    } else {
        elements(positions.iter().map(|&p| set.words()[p]), width)
    };
    context! {
        count,
        words,
        bytes => bytes(&member_texts.concat()),
        starts => starts(&member_texts),
        indexes => elements(indexes.into_iter(), 4),
        values,
        foreign_count => foreign.passes.len(),
        foreign_words => elements(foreign.words.iter().copied(), width),
        foreign_bytes => bytes(&foreign_texts.concat()),
        foreign_starts => starts(&foreign_texts),
        passes => elements(foreign.passes.iter().map(|&p| p.into()), 1),
        passes_bool => booleans(&foreign.passes),
        first_text => member_texts.first().map(|text| characters(text)),
    }
}

fn key<'s>(request: &Request<'s>, position: usize) -> Key<'s> {
    match request.set.as_texts() {
        Some(texts) => Key::Text(texts.get(position)),
        None => Key::Word(request.set.words()[position]),
    }
}

#[derive(Default)]
struct Foreign {
    words: Vec<u64>,
    texts: Vec<Vec<u8>>,
    passes: Vec<bool>,
}

/// Neighbours of members, in value and by one bit, and words spread over the type.
fn foreign_words(request: &Request<'_>) -> Foreign {
    let set = request.set;
    let mask = set.key_type().mask();
    let mut taken: HashSet<u64> = set.words().iter().copied().collect();
    let members = set.words().iter().step_by(set.len().div_ceil(FOREIGN));
    let near = members.enumerate().flat_map(|(i, &w)| [w.wrapping_add(1), w ^ (1 << (i % 64))]);
    let far = (1..=FOREIGN as u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    // A near one and a far one in turn, so that both are there when there is no room for all.
    let candidates = far.zip(near.chain(0..)).flat_map(|(far, near)| [near, far]);
    let words = candidates.map(|w| w & mask).filter(|&w| taken.insert(w)).take(FOREIGN).collect();
    Foreign { words, ..Foreign::default() }
}

fn foreign_texts(request: &Request<'_>) -> Foreign {
    let Some(all) = request.set.as_texts() else { return Foreign::default() };
    let mut taken: HashSet<Vec<u8>> = (0..all.len()).map(|i| all.get(i).to_vec()).collect();
    let members = (0..all.len()).step_by(all.len().div_ceil(FOREIGN)).map(|i| all.get(i));
    let changed = members.flat_map(|text| {
        let longer = [text, b"~"].concat();
        // Cut where a character may begin, so that a text stays one.
        let cut = text.iter().rposition(|b| b & 0xC0 != 0x80).unwrap_or(0);
        [longer, text[..cut].to_vec()]
    });
    let texts = changed.chain([Vec::new()]).filter(|t| taken.insert(t.clone())).take(FOREIGN).collect();
    Foreign { texts, ..Foreign::default() }
}

/// Truth values, as few to a line as leave it readable.
fn booleans(all: &[bool]) -> String {
    let lines = all.chunks(12).map(|line| {
        let words: Vec<String> = line.iter().map(|b| format!("{b},")).collect();
        format!("    {}", words.join(" "))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A C++ list of characters with a zero at the end: what a `constexpr` string view can be made of.
fn characters(text: &[u8]) -> String {
    text.iter().chain([&0]).map(|byte| format!("'\\{byte:o}'")).collect::<Vec<_>>().join(", ")
}

/// Where each text starts among all of them, and where the last one ends.
fn starts(texts: &[&[u8]]) -> String {
    let mut at = 0;
    let ends = texts.iter().map(|text| {
        at += text.len() as u64;
        at
    });
    elements(std::iter::once(0).chain(ends), 4)
}
