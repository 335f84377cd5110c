//! Rust: one file that is a module, needs nothing but `core`, and is `const` where the language allows it.

use std::sync::OnceLock;

use minijinja::{Environment, context};
use ostia_hash::{
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

/// Arrays up to so many bytes are written as numbers, which can be read; a compiler takes larger ones as a
/// string of bytes many times faster.
const LITERAL_BYTES: usize = 4096;

/// The width of lines of data.
const WIDTH: usize = 100;

pub(super) fn emit(request: &Request<'_>) -> Result<Vec<Artifact>, EmitError> {
    let mut artifacts = vec![Artifact { name: format!("{}.rs", request.name), bytes: module(request)? }];
    if request.tests {
        artifacts.extend(tests(request)?);
    }
    Ok(artifacts)
}

fn templates() -> &'static Environment<'static> {
    static TEMPLATES: OnceLock<Environment<'static>> = OnceLock::new();
    TEMPLATES.get_or_init(|| {
        let mut all = Environment::new();
        all.set_keep_trailing_newline(true);
        for (name, source) in [
            ("module", include_str!("../templates/rust_module.j2")),
            ("keys", include_str!("../templates/rust_keys.j2")),
            ("test", include_str!("../templates/rust_test.j2")),
            ("bench", include_str!("../templates/rust_bench.j2")),
        ] {
            all.add_template(name, source).expect("the templates of this crate parse: its tests use each");
        }
        all
    })
}

/// An array of the module, as the template's `array` takes it.
#[derive(Serialize)]
struct Array {
    name: &'static str,
    doc: &'static str,
    /// The function that reads an element; none where elements are read otherwise.
    reader: Option<&'static str>,
    /// What it returns.
    out: String,
    /// The type of an element as written.
    element: String,
    len: usize,
    width: u32,
    literal: bool,
    /// More bytes are read than an element has, and masked.
    wide: bool,
    signed: bool,
    /// Bits that one read takes.
    read: u32,
    mask: Option<String>,
    /// Bytes of the string, with those that only a wide read touches.
    bytes: usize,
    data: String,
}

impl Array {
    /// Unsigned integers that are read as `out`.
    fn numbers(
        name: &'static str,
        doc: &'static str,
        reader: &'static str,
        lane: &Lane<'_>,
        out: &str,
        key_type: Option<KeyType>,
    ) -> Array {
        let width = lane.width();
        let element = key_type.map_or_else(|| format!("u{}", 8 * width), |t| t.name().into());
        let literal = lane.bytes().len() <= LITERAL_BYTES;
        let wide = out == "u32" && width < 4;
        let padding = if wide { 4 - width as usize } else { 0 };
        let data = match key_type {
            _ if !literal => byte_string(lane.bytes().iter().copied().chain((0..padding).map(|_| 0))),
            Some(key_type) => number_lines(lane.words().map(|w| key_type.value(w))),
            None => number_lines(lane.words().map(i128::from)),
        };
        Array {
            name,
            doc,
            reader: Some(reader),
            out: out.into(),
            element,
            len: lane.len(),
            width,
            literal,
            wide,
            signed: !literal && key_type.is_some_and(KeyType::is_signed),
            read: if wide { 32 } else { 8 * width },
            mask: (wide).then(|| if width == 1 { "0xFF".into() } else { "0xFFFF".into() }),
            bytes: lane.bytes().len() + padding,
            data,
        }
    }

    /// Records, which are copied byte by byte.
    fn records(name: &'static str, doc: &'static str, lane: &Lane<'_>) -> Array {
        Array {
            name,
            doc,
            reader: None,
            out: String::new(),
            element: String::new(),
            len: lane.len(),
            width: lane.width(),
            literal: false,
            wide: false,
            signed: false,
            read: 8,
            mask: None,
            bytes: lane.bytes().len(),
            data: byte_string(lane.bytes().iter().copied()),
        }
    }
}

/// The arithmetic of the predecessor's functions.
struct Rust;

impl Dialect for Rust {
    fn constant(&self, value: u32) -> String {
        hex(value.into())
    }
    fn mul(&self, x: &str, by: u32) -> String {
        format!("{}.wrapping_mul({})", atom(x), hex(by.into()))
    }
    fn rol(&self, x: &str, by: u32) -> String {
        format!("{}.rotate_left({by})", atom(x))
    }
    fn ror(&self, x: &str, by: u32) -> String {
        format!("{}.rotate_right({by})", atom(x))
    }
    fn shl(&self, x: &str, by: u32) -> String {
        format!("{} << {by}", atom(x))
    }
    fn shr(&self, x: &str, by: u32) -> String {
        format!("{} >> {by}", atom(x))
    }
    fn add(&self, x: &str, y: u32) -> String {
        format!("{}.wrapping_add({})", atom(x), hex(y.into()))
    }
    fn sub(&self, x: &str, y: u32) -> String {
        format!("{}.wrapping_sub({})", atom(x), hex(y.into()))
    }
    fn not(&self, x: &str) -> String {
        format!("!{}", atom(x))
    }
    fn xor(&self, x: &str, y: &str) -> String {
        format!("{} ^ {}", atom(x), atom(y))
    }
    fn wide(&self, multiplier: u64, by: u32) -> String {
        let product = format!("(key as u64).wrapping_mul({})", hex(multiplier));
        if by == 0 { format!("{product} as u32") } else { format!("({product} >> {by}) as u32") }
    }
}

fn key_name(key_type: KeyType) -> &'static str {
    match key_type {
        KeyType::Bytes => "&[u8]",
        KeyType::Str => "&str",
        _ => key_type.name(),
    }
}

fn module(request: &Request<'_>) -> Result<Vec<u8>, EmitError> {
    let table = request.table;
    let (head, lanes) = (table.head(), table.lanes());
    let key_type = head.key_type;
    let text = key_type.is_text();
    let in_place = !table.has_index();
    let exact = head.foreign == Foreign::Exact;
    let fingerprint = match head.foreign {
        Foreign::Fingerprint { bits } => Some(bits),
        _ => None,
    };
    let place = Place::new(head.shape, &Rust, hex);

    let one_instruction = request.allow_unsafe && matches!(head.squeeze, Squeeze::Extract { .. });
    let (squeezed, squeezed_portable) = match head.squeeze {
        Squeeze::None => ("word".into(), "word".into()),
        Squeeze::Shift { shift, mask } => {
            let all = u64::from(mask).leading_zeros() == shift;
            let shifted = if shift == 0 { "word".into() } else { format!("(word >> {shift})") };
            let masked = match all {
                true => format!("word >> {shift}"),
                false => format!("{shifted} & {}", hex(mask.into())),
            };
            (masked.clone(), masked)
        }
        Squeeze::Extract { .. } => {
            let own = if one_instruction { "squeeze_one(word)" } else { "squeeze(word)" };
            (String::from(own), String::from("squeeze(word)"))
        }
    };
    let extract = match head.squeeze {
        Squeeze::Extract { bitmap } => Some(context! {
            portable => gather(bitmap),
            bitmap => one_instruction.then(|| hex(bitmap)),
        }),
        _ => None,
    };
    let admits = match head.foreign {
        Foreign::Unchecked => String::new(),
        Foreign::Exact if key_type == KeyType::Str => "text(place) == key.as_bytes()".into(),
        Foreign::Exact if text => "text(place) == key".into(),
        Foreign::Exact => "key_at(place) == key".into(),
        Foreign::Fingerprint { .. } if in_place => format!("mark_in_place({squeezed}) == fingerprint(word)"),
        Foreign::Fingerprint { .. } => "mark(place) == fingerprint(word)".into(),
    };
    let (value, record) = match head.values {
        None => (None, None),
        Some(ValueType::Integer { width }) => (Some(format!("u{}", 8 * width)), None),
        Some(ValueType::Record { size }) => (Some(format!("[u8; {size}]")), Some(size)),
    };

    let mut arrays = Vec::new();
    let cells_doc = about_cells(head.shape);
    let of_value = |name, doc, reader, lane| match (&value, record) {
        (Some(value), None) => Array::numbers(name, doc, reader, lane, value, None),
        _ => Array::records(name, doc, lane),
    };
    arrays.push(if in_place {
        of_value("CELLS", cells_doc, "cell", &lanes.cells)
    } else {
        Array::numbers("CELLS", cells_doc, "cell", &lanes.cells, "u32", None)
    });
    if let Some(ranks) = &lanes.ranks {
        arrays.push(Array::numbers("RANKS", "The index of each slot.", "rank", ranks, "u32", None));
    }
    if let Some(marks) = &lanes.marks {
        let doc =
            if in_place { "Fingerprints, laid down as the values are." } else { "Fingerprints by index." };
        arrays.push(Array::numbers("MARKS", doc, "mark", marks, "u32", None));
    }
    if let Some(keys) = &lanes.keys {
        arrays.push(Array::numbers(
            "KEYS",
            "The keys by index.",
            "key_at",
            keys,
            key_type.name(),
            Some(key_type),
        ));
    }
    if let Some(ends) = &lanes.text_ends {
        let last = ends.words().last().unwrap_or(0);
        let (width, out) = if last <= u32::MAX.into() { (4, "u32") } else { (8, "u64") };
        let ends = Lane::from_words(ends.words(), width);
        arrays.push(Array::numbers("TEXT_ENDS", "Where each string ends.", "text_end", &ends, out, None));
    }
    if let Some(values) = &lanes.values {
        arrays.push(of_value("VALUES", "The values by index.", "value_at", values));
    }
    let bytes_type = arrays.iter().any(|a| !a.literal);
    // Gathers read four bytes at each place: byte strings are filled up for that, lists of numbers are not.
    let gathered = matches!(head.shape, Shape::Halves { .. } | Shape::Displace { .. });
    let vectors = request.allow_unsafe
        && gathered
        && !text
        && head.foreign == Foreign::Unchecked
        && arrays.iter().filter(|a| matches!(a.name, "CELLS" | "RANKS")).all(|a| !a.literal && a.width <= 4);

    // Nothing is addressed by the index, so no bounds check is saved by masking it last.
    let alone = !in_place && arrays.len() == 1 && lanes.cells.words().all(|cell| cell < table.range().into());
    let view = context! {
        alone,
        vectors,
        cells_width => lanes.cells.width(),
        ranks_width => lanes.ranks.as_ref().map(Lane::width),
        name => request.name,
        banner => banner(request),
        const => !one_instruction,
        unsafe => request.allow_unsafe,
        text,
        text_seed => hex(head.text_seed),
        count => head.count,
        ranks => lanes.ranks.is_some(),
        limit => table.range(),
        indexed => !in_place,
        checked => head.foreign != Foreign::Unchecked,
        exact,
        fingerprint,
        key => key_name(key_type),
        key_word => match key_type {
            KeyType::U64 => "key".into(),
            KeyType::I64 => "key as u64".into(),
            _ if key_type.is_signed() => format!("key as u{} as u64", key_type.bits()),
            _ => String::from("key as u64"),
        },
        squeezed,
        squeezed_portable,
        extract,
        admits,
        value => value.map(|name| context! { type => name }),
        value_in_place => in_place,
        record,
        texts => byte_string(lanes.text_bytes.iter().flat_map(|lane| lane.bytes()).copied()),
        arrays,
        bytes_type,
        uses_mix => place.uses_mix || fingerprint.is_some(),
        pair => place.pair.as_ref().map(|[first, second]| context! { first, second }),
        ..minijinja::Value::from_serialize(&place)
    };
    Ok(templates().get_template("module")?.render(view)?.into_bytes())
}

/// The bits of `word` at the ones of `bitmap`, gathered run by run.
fn gather(bitmap: u64) -> String {
    let runs = runs(bitmap).into_iter().map(|(shift, mask)| match shift {
        0 => format!("(word & {})", hex(mask)),
        _ => format!("((word >> {shift}) & {})", hex(mask)),
    });
    runs.collect::<Vec<_>>().join("\n        | ")
}

fn tests(request: &Request<'_>) -> Result<Vec<Artifact>, EmitError> {
    let (name, table) = (request.name, request.table);
    let head = table.head();
    let key_type = head.key_type;
    let text = key_type.is_text();
    let answers = Answers::of(table, request.set);

    let mut arrays = Vec::new();
    let numbers = |name, doc, reader, width, words: &mut dyn Iterator<Item = u64>, key_type| {
        let lane = Lane::from_words(words, width);
        let element = format!("u{}", 8 * width);
        // Read byte by byte, so never wide.
        Array { wide: false, ..Array::numbers(name, doc, reader, &lane, &element, key_type) }
    };
    if !text {
        let words = &mut answers.words.iter().copied();
        arrays.push(numbers("KEYS", "The keys.", "key", key_type.bits() / 8, words, Some(key_type)));
    }
    if let Some(passes) = &answers.passes {
        let doc = "1 for each key that the table takes for a member.";
        arrays.push(numbers("PASSES", doc, "passes", 1, &mut passes.iter().map(|&p| p.into()), None));
    }
    if let Some(indexes) = &answers.indexes {
        let indexes = &mut indexes.iter().map(|&i| i.into());
        arrays.push(numbers("INDEXES", "The index of each key.", "index", 4, indexes, None));
    }
    let mut records = None;
    match (&answers.values, head.values) {
        (Some(values), Some(ValueType::Integer { width })) => {
            let mut values = values.iter().map(|v| match v {
                Value::Integer(number) => *number,
                Value::Record(_) => unreachable!("the table's values are integers"),
            });
            arrays.push(numbers("VALUES", "The value of each key.", "value", width, &mut values, None));
        }
        (Some(values), Some(ValueType::Record { .. })) => {
            records = Some(byte_string(values.iter().flat_map(|v| match v {
                Value::Record(bytes) => bytes.iter().copied(),
                Value::Integer(_) => unreachable!("the table's values are records"),
            })));
        }
        _ => {}
    }
    // The padding of wide reads is not needed here.
    for array in &mut arrays {
        array.bytes = array.len * array.width as usize;
    }
    let texts = text.then(|| {
        let line = |t: &Vec<u8>| match key_type {
            KeyType::Str => format!("    {:?},\n", String::from_utf8_lossy(t)),
            _ => format!("    b\"{}\",\n", t.escape_ascii()),
        };
        answers.texts.iter().map(line).collect::<String>()
    });
    let key_static = match key_type {
        KeyType::Bytes => "&'static [u8]",
        KeyType::Str => "&'static str",
        _ => key_type.name(),
    };
    let view = context! {
        name,
        ident => if name == "keys" { "table" } else { name },
        key => key_name(key_type),
        key_static,
        text,
        texts,
        members => answers.members,
        sampled => answers.sampled,
        asked => answers.asked(),
        arrays,
        records,
        record => head.values.map(|v| match v { ValueType::Record { size } => size, ValueType::Integer { .. } => 0 }).filter(|&s| s > 0),
        checked => head.foreign != Foreign::Unchecked,
        indexed => table.has_index(),
        value => head.values.is_some(),
    };
    let mut artifacts = Vec::new();
    for part in ["keys", "test", "bench"] {
        let source = templates().get_template(part)?.render(&view)?;
        artifacts.push(Artifact { name: format!("{name}_{part}.rs"), bytes: source.into_bytes() });
    }
    Ok(artifacts)
}

/// A number in hexadecimal, digits in groups of four.
fn hex(number: u64) -> String {
    let digits = format!("{number:X}");
    let mut grouped = String::from("0x");
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 4 == 0 {
            grouped.push('_');
        }
        grouped.push(digit);
    }
    grouped
}

/// Numbers with commas between, in lines.
fn number_lines(numbers: impl Iterator<Item = i128>) -> String {
    let mut lines = data::numbers(numbers, "    ", WIDTH - 1, data::grouped);
    lines.push('\n');
    lines
}

/// Bytes as the inside of a byte string, each line but the last ended by a backslash.
fn byte_string(bytes: impl Iterator<Item = u8>) -> String {
    data::byte_string(bytes, WIDTH - 4)
}
