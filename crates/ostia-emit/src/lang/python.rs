//! Python: one module without dependencies, for Python 3.8 and later.

use std::sync::OnceLock;

use minijinja::{Environment, context};
use ostia_hash::{
    function::classic::Classic,
    keys::KeyType,
    lane::Lane,
    squeeze::Squeeze,
    table::{Foreign, Shape, Value, ValueType},
};
use serde::Serialize;

use super::{
    Artifact, EmitError, Request,
    answers::Answers,
    banner, data,
    pair::{Dialect, atom},
    place::{Place, about_cells, runs},
};

/// Arrays up to so many bytes are written as numbers, which can be read; larger ones as Base64, which takes a
/// fifth of the time to load.
const LITERAL_BYTES: usize = 4096;

/// The width of lines of data.
const WIDTH: usize = 96;

pub(super) fn emit(request: &Request<'_>) -> Result<Vec<Artifact>, EmitError> {
    let mut artifacts = vec![artifact(format!("{}.py", request.name), &module(request)?)];
    if request.tests {
        artifacts.extend(tests(request)?);
    }
    Ok(artifacts)
}

fn artifact(name: String, source: &str) -> Artifact {
    Artifact { name, bytes: tidy(source).into_bytes() }
}

/// Two empty lines around what stands at the left margin, as the language's own style has it.
fn tidy(source: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    // Within a definition: what comes next at the margin is set apart.
    let mut within = false;
    for line in source.lines() {
        let line = line.trim_end();
        let defines = line.starts_with("def ") || line.starts_with("class ");
        let at_margin = line.starts_with(|c: char| !c.is_whitespace() && !matches!(c, ')' | ']'));
        if line.is_empty() && lines.last().is_none_or(|last| last.is_empty()) {
            continue;
        }
        if defines || (at_margin && within) {
            while lines.last().is_some_and(|last| last.is_empty()) {
                lines.pop();
            }
            lines.extend(["", ""]);
        }
        if at_margin {
            within = defines;
        }
        lines.push(line);
    }
    while lines.last().is_some_and(|last| last.is_empty()) {
        lines.pop();
    }
    lines.join("\n") + "\n"
}

fn templates() -> &'static Environment<'static> {
    static TEMPLATES: OnceLock<Environment<'static>> = OnceLock::new();
    TEMPLATES.get_or_init(|| {
        let mut all = Environment::new();
        all.set_keep_trailing_newline(true);
        for (name, source) in [
            ("module", include_str!("../templates/python_module.j2")),
            ("keys", include_str!("../templates/python_keys.j2")),
            ("test", include_str!("../templates/python_test.j2")),
            ("bench", include_str!("../templates/python_bench.j2")),
        ] {
            all.add_template(name, source).expect("the templates of this crate parse: its tests use each");
        }
        all
    })
}

/// An array of the module, as the template's `data` takes it.
#[derive(Serialize)]
struct Array {
    name: &'static str,
    doc: &'static str,
    /// Bytes, not numbers.
    text: bool,
    literal: bool,
    /// The type's letter.
    code: char,
    data: String,
}

impl Array {
    fn numbers(name: &'static str, doc: &'static str, lane: &Lane<'_>, key_type: Option<KeyType>) -> Array {
        let literal = lane.bytes().len() <= LITERAL_BYTES;
        let indent = "        ";
        let data = match key_type {
            _ if !literal => base64(lane.bytes()),
            Some(key_type) => number_lines(indent, lane.words().map(|w| key_type.value(w))),
            None => number_lines(indent, lane.words().map(i128::from)),
        };
        let code = code(lane.width(), key_type.is_some_and(KeyType::is_signed));
        Array { name, doc, text: false, literal, code, data }
    }

    fn bytes(name: &'static str, doc: &'static str, bytes: &[u8]) -> Array {
        Array { name, doc, text: true, literal: false, code: 'B', data: base64(bytes) }
    }
}

/// The letter of an integer type in `array`.
fn code(width: u32, signed: bool) -> char {
    let letter = match width {
        1 => 'B',
        2 => 'H',
        4 => 'I',
        _ => 'Q',
    };
    if signed { letter.to_ascii_lowercase() } else { letter }
}

/// The arithmetic of the predecessor's functions. Python's integers do not end at 32 bits: what can grow is
/// cut off at once.
struct Python;

impl Dialect for Python {
    fn mul(&self, x: &str, by: u32) -> String {
        format!("({} * 0x{by:X}) & 0xFFFFFFFF", atom(x))
    }
    fn rol(&self, x: &str, by: u32) -> String {
        format!("_turned({x}, {})", 32 - by)
    }
    fn ror(&self, x: &str, by: u32) -> String {
        format!("_turned({x}, {by})")
    }
    fn shl(&self, x: &str, by: u32) -> String {
        format!("({} << {by}) & 0xFFFFFFFF", atom(x))
    }
    fn shr(&self, x: &str, by: u32) -> String {
        format!("{} >> {by}", atom(x))
    }
    fn add(&self, x: &str, y: u32) -> String {
        format!("({} + 0x{y:X}) & 0xFFFFFFFF", atom(x))
    }
    fn sub(&self, x: &str, y: u32) -> String {
        format!("({} - 0x{y:X}) & 0xFFFFFFFF", atom(x))
    }
    fn not(&self, x: &str) -> String {
        format!("{} ^ 0xFFFFFFFF", atom(x))
    }
    fn xor(&self, x: &str, y: &str) -> String {
        format!("{} ^ {}", atom(x), atom(y))
    }
    fn wide(&self, multiplier: u64, by: u32) -> String {
        format!("(((key * 0x{multiplier:X}) & _ALL) >> {by}) & 0xFFFFFFFF")
    }
}

fn module(request: &Request<'_>) -> Result<String, EmitError> {
    let table = request.table;
    let (head, lanes) = (table.head(), table.lanes());
    let key_type = head.key_type;
    let text = key_type.is_text();
    let in_place = !table.has_index();
    let checked = head.foreign != Foreign::Unchecked;
    let fingerprint = match head.foreign {
        Foreign::Fingerprint { bits } => Some(bits),
        _ => None,
    };
    let place = Place::new(head.shape, &Python, hex);
    // 64-bit arithmetic, cut off at 64 bits: all but most of the predecessor's functions.
    let wide = match head.shape {
        Shape::Chm { function, .. } => {
            matches!(function, Classic::Multiply643ShiftR | Classic::Multiply644ShiftR)
        }
        _ => true,
    };
    let turned = place.helpers.contains(&"xor_rotated")
        || place.pair.iter().flatten().any(|end| end.contains("_turned("));

    let squeezed = |word: &str| match head.squeeze {
        Squeeze::None => word.to_string(),
        Squeeze::Shift { shift, mask } => format!("({word} >> {shift}) & {}", hex(mask.into())),
        Squeeze::Extract { .. } => format!("_squeeze({word})"),
    };
    let extract = match head.squeeze {
        Squeeze::Extract { bitmap } => Some(gather(bitmap)),
        _ => None,
    };
    let admits = match head.foreign {
        Foreign::Unchecked => String::new(),
        Foreign::Exact if key_type == KeyType::Str => "_text(place) == key.encode()".into(),
        Foreign::Exact if text => "_text(place) == key".into(),
        Foreign::Exact => "_KEYS[place] == key".into(),
        Foreign::Fingerprint { .. } if in_place => {
            format!("_mark_in_place({}) == _fingerprint(word)", squeezed("word"))
        }
        Foreign::Fingerprint { .. } => "_MARKS[place] == _fingerprint(word)".into(),
    };
    let record = match head.values {
        Some(ValueType::Record { size }) => Some(size),
        _ => None,
    };
    let value = head.values.map(|_| if record.is_some() { "bytes" } else { "int" });

    let mut arrays = Vec::new();
    let of_value = |name, doc, lane: &Lane<'_>| match record {
        None => Array::numbers(name, doc, lane, None),
        Some(_) => Array::bytes(name, doc, lane.bytes()),
    };
    let cells_doc = about_cells(head.shape);
    arrays.push(if in_place {
        of_value("_CELLS", cells_doc, &lanes.cells)
    } else {
        Array::numbers("_CELLS", cells_doc, &lanes.cells, None)
    });
    if let Some(ranks) = &lanes.ranks {
        arrays.push(Array::numbers("_RANKS", "The index of each slot.", ranks, None));
    }
    if let Some(marks) = &lanes.marks {
        let doc =
            if in_place { "Fingerprints, laid down as the values are." } else { "Fingerprints by index." };
        arrays.push(Array::numbers("_MARKS", doc, marks, None));
    }
    if let Some(keys) = &lanes.keys {
        arrays.push(Array::numbers("_KEYS", "The keys by index.", keys, Some(key_type)));
    }
    if let Some(ends) = &lanes.text_ends {
        arrays.push(Array::numbers("_TEXT_ENDS", "Where each string ends.", ends, None));
        let bytes = lanes.text_bytes.as_ref().map_or(&[][..], |lane| lane.bytes());
        arrays.push(Array::bytes("_TEXTS", "All strings by index, one after another.", bytes));
    }
    if let Some(values) = &lanes.values {
        arrays.push(of_value("_VALUES", "The values by index.", values));
    }

    let tuples = place.kind == "retrieval" || place.helpers.contains(&"crc");
    let imports: Vec<&str> = [(checked, "Optional"), (tuples, "Tuple")]
        .into_iter()
        .filter_map(|(used, name)| used.then_some(name))
        .collect();
    let lowest = if key_type.is_signed() { -(1i128 << (key_type.bits() - 1)) } else { 0 };
    let view = context! {
        name => request.name,
        banner => banner(request),
        needs_base64 => arrays.iter().any(|a| !a.literal),
        needs_numbers => arrays.iter().any(|a| !a.literal && !a.text),
        needs_array => arrays.iter().any(|a| !a.text),
        imports => imports.join(", "),
        text,
        text_seed => hex(head.text_seed),
        count => head.count,
        ranks => lanes.ranks.is_some(),
        limit => table.range(),
        indexed => !in_place,
        checked,
        exact => head.foreign == Foreign::Exact,
        fingerprint,
        key_type => key_type.name(),
        key => match key_type { KeyType::Bytes => "bytes", KeyType::Str => "str", _ => "int" },
        key_mask => hex(key_type.mask()),
        lowest => lowest.to_string(),
        highest => (lowest + i128::from(key_type.mask())).to_string(),
        squeezed => squeezed("word"),
        squeezed_key => squeezed("_word(key)"),
        extract,
        admits,
        value,
        record,
        arrays,
        uses_mix => place.uses_mix || fingerprint.is_some(),
        turned,
        uses_all => wide || fingerprint.is_some() || text,
        pair => place.pair.as_ref().map(|[first, second]| context! { first, second }),
        ..minijinja::Value::from_serialize(&place)
    };
    Ok(templates().get_template("module")?.render(view)?)
}

/// The bits of `word` at the ones of `bitmap`, gathered run by run.
fn gather(bitmap: u64) -> String {
    let runs: Vec<String> = runs(bitmap)
        .into_iter()
        .map(|(shift, mask)| format!("((word >> {shift}) & {})", hex(mask)))
        .collect();
    format!("(\n        {}\n    )", runs.join("\n        | "))
}

/// A list of the keys' module.
#[derive(Serialize)]
struct List {
    name: &'static str,
    doc: &'static str,
    literal: bool,
    r#type: &'static str,
    code: char,
    data: String,
}

impl List {
    fn numbers(
        name: &'static str,
        doc: &'static str,
        width: u32,
        words: impl Iterator<Item = u64>,
        key_type: Option<KeyType>,
    ) -> List {
        let lane = Lane::from_words(words, width);
        let literal = lane.bytes().len() <= LITERAL_BYTES;
        let indent = "    ";
        let data = match key_type {
            _ if !literal => base64(lane.bytes()),
            Some(key_type) => number_lines(indent, lane.words().map(|w| key_type.value(w))),
            None => number_lines(indent, lane.words().map(i128::from)),
        };
        let code = code(width, key_type.is_some_and(KeyType::is_signed));
        List { name, doc, literal, r#type: "int", code, data }
    }

    fn written(
        name: &'static str,
        doc: &'static str,
        r#type: &'static str,
        items: impl Iterator<Item = String>,
    ) -> List {
        let data = items.map(|item| format!("    {item},\n")).collect();
        List { name, doc, literal: true, r#type, code: 'B', data }
    }
}

fn tests(request: &Request<'_>) -> Result<Vec<Artifact>, EmitError> {
    let (name, table) = (request.name, request.table);
    let head = table.head();
    let key_type = head.key_type;
    let answers = Answers::of(table, request.set);
    let bytes = |bytes: &[u8]| format!("b\"{}\"", bytes.escape_ascii());

    let mut lists = Vec::new();
    lists.push(match key_type {
        KeyType::Bytes => List::written("KEYS", "The keys.", "bytes", answers.texts.iter().map(|t| bytes(t))),
        KeyType::Str => {
            let texts = answers.texts.iter().map(|t| quoted(&String::from_utf8_lossy(t)));
            List::written("KEYS", "The keys.", "str", texts)
        }
        _ => {
            let words = answers.words.iter().copied();
            List::numbers("KEYS", "The keys.", key_type.bits() / 8, words, Some(key_type))
        }
    });
    if let Some(passes) = &answers.passes {
        let doc = "1 for each key that the table takes for a member.";
        lists.push(List::numbers("PASSES", doc, 1, passes.iter().map(|&p| p.into()), None));
    }
    if let Some(indexes) = &answers.indexes {
        let indexes = indexes.iter().map(|&i| i.into());
        lists.push(List::numbers("INDEXES", "The index of each key.", 4, indexes, None));
    }
    if let (Some(values), Some(value_type)) = (&answers.values, head.values) {
        let doc = "The value of each key.";
        lists.push(match value_type {
            ValueType::Integer { width } => {
                let numbers = values.iter().map(|v| match v {
                    Value::Integer(number) => *number,
                    Value::Record(_) => unreachable!("the table's values are integers"),
                });
                List::numbers("VALUES", doc, width, numbers, None)
            }
            ValueType::Record { .. } => {
                let records = values.iter().map(|v| match v {
                    Value::Record(record) => bytes(record),
                    Value::Integer(_) => unreachable!("the table's values are records"),
                });
                List::written("VALUES", doc, "bytes", records)
            }
        });
    }
    let view = context! {
        name,
        members => answers.members,
        sampled => answers.sampled,
        bulk => lists.iter().any(|l| !l.literal),
        lists,
        text => key_type.is_text(),
        checked => head.foreign != Foreign::Unchecked,
        indexed => table.has_index(),
        value => head.values.is_some(),
    };
    let render = |part: &str, file: String| -> Result<Artifact, EmitError> {
        Ok(artifact(file, &templates().get_template(part)?.render(&view)?))
    };
    Ok(vec![
        render("keys", format!("{name}_keys.py"))?,
        render("test", format!("test_{name}.py"))?,
        render("bench", format!("bench_{name}.py"))?,
    ])
}

fn hex(number: u64) -> String {
    format!("0x{number:X}")
}

/// A string as a literal in plain ASCII, but for letters.
fn quoted(text: &str) -> String {
    let mut literal = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => literal.extend(['\\', c]),
            ' '..='~' => literal.push(c),
            _ if c.is_alphanumeric() => literal.push(c),
            _ => literal.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    literal.push('"');
    literal
}

/// Numbers with commas between, in lines.
fn number_lines(indent: &str, numbers: impl Iterator<Item = i128>) -> String {
    let mut lines = data::numbers(numbers, indent, WIDTH, data::signed);
    lines.push('\n');
    lines
}

/// Bytes as Base64, in lines.
fn base64(bytes: &[u8]) -> String {
    data::base64(bytes, WIDTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted_so_that_python_reads_them_back() {
        assert_eq!(quoted("a\"b\\\n\u{7f}ключ"), "\"a\\\"b\\\\\\U0000000a\\U0000007fключ\"");
    }
}
