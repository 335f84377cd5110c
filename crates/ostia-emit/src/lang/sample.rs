//! What the self-tests of C and C++ ask, as their templates take it.

use minijinja::{Value, context};
use ostia_hash::table;

use super::{
    Request,
    answers::Answers,
    c_family::{bytes, elements},
};

/// The answers of a request's table, for the templates `*_test.j2` and `*_bench.j2`. Foreign keys are asked of
/// tables that are checked.
pub(super) fn sample(request: &Request<'_>) -> Value {
    let head = request.table.head();
    let width = head.key_type.bits() / 8;
    let answers = Answers::of(request.table, request.set);
    let count = answers.members;
    let texts: Vec<&[u8]> = answers.texts.iter().map(Vec::as_slice).collect();
    // Of the two kinds of keys one is empty.
    let (words, foreign_words) = answers.words.split_at(count.min(answers.words.len()));
    let (texts, foreign_texts) = texts.split_at(count.min(texts.len()));
    let passes = answers.passes.as_ref().map_or(&[][..], |passes| &passes[count..]);
    let indexes = answers.indexes.iter().flat_map(|indexes| &indexes[..count]);
    let values = answers.values.as_ref().zip(head.values).map(|(values, value_type)| {
        let numbers = values[..count].iter().flat_map(|value| match value {
            table::Value::Integer(number) => vec![*number],
            table::Value::Record(record) => record.iter().map(|&byte| byte.into()).collect(),
        });
        match value_type {
            table::ValueType::Integer { width } => elements(numbers, width),
            table::ValueType::Record { .. } => elements(numbers, 1),
        }
    });
    context! {
        count,
        words => elements(words.iter().copied(), width),
        bytes => bytes(&texts.concat()),
        starts => starts(texts),
        indexes => elements(indexes.map(|&index| index.into()), 4),
        values,
        foreign_count => passes.len(),
        foreign_words => elements(foreign_words.iter().copied(), width),
        foreign_bytes => bytes(&foreign_texts.concat()),
        foreign_starts => starts(foreign_texts),
        passes => elements(passes.iter().map(|&pass| pass.into()), 1),
        passes_bool => booleans(passes),
        first_text => texts.first().map(|text| characters(text)),
    }
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
