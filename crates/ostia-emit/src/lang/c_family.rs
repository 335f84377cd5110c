//! What C and C++ have in common: literals, arrays, and the arithmetic of every kind of table.
//!
//! The templates `family_*.j2` are written for both. They differ in how a function and a cast begin and in
//! what stands around a private name: [`Dialect`] says how.

use std::{iter::once, sync::LazyLock};

use minijinja::{Environment, Value, context};
use ostia_hash::{
    lane::Lane,
    squeeze::Squeeze,
    table::{Foreign, Shape, Table, ValueType, index_range},
};

use super::{Request, banner, c_classic, data, place::runs};

/// Where C and C++ write the same thing differently.
pub(super) struct Dialect {
    /// How a function begins.
    pub(super) function: &'static str,
    /// How an array begins.
    pub(super) array: &'static str,
    /// What a private name begins with.
    pub(super) own: String,
    /// What a private name ends with.
    pub(super) end: &'static str,
    /// A cast to each of three types, without the operand in its parentheses.
    pub(super) casts: [&'static str; 3],
    /// True when arrays that are gathered from need room behind their last element.
    pub(super) gathers: bool,
    /// How a function takes a string.
    pub(super) text_parameters: &'static str,
}

/// An array of the generated code.
pub(super) struct Array {
    name: &'static str,
    about: &'static str,
    element: &'static str,
    length: usize,
    padding: usize,
    body: String,
}

impl Array {
    fn context(&self) -> Value {
        let length = match self.padding {
            0 => self.length.to_string(),
            padding => format!("{} + {padding}", self.length),
        };
        context! {
            name => self.name,
            about => self.about,
            element => self.element,
            length,
            body => self.body.as_str(),
        }
    }
}

/// The unsigned type of so many bytes.
pub(super) fn unsigned(width: u32) -> &'static str {
    match width {
        1 => "uint8_t",
        2 => "uint16_t",
        4 => "uint32_t",
        _ => "uint64_t",
    }
}

/// A 64-bit literal.
pub(super) fn literal64(word: u64) -> String {
    format!("0x{word:X}ull")
}

/// A 32-bit literal.
pub(super) fn literal32(word: u32) -> String {
    format!("0x{word:X}u")
}

/// As many ones as `bits`, at the low end.
pub(super) fn ones(bits: u32) -> u32 {
    ((1u64 << bits) - 1) as u32
}

/// Room for a line of an array.
const COLUMNS: usize = 110;

/// What an array's lines begin with.
const INDENT: &str = "    ";

/// The elements as lines: hexadecimal for 8 bytes, where a decimal literal may have no type, else decimal.
pub(super) fn elements(words: impl Iterator<Item = u64>, width: u32) -> String {
    if width == 8 {
        data::numbers(words, INDENT, COLUMNS, data::hexadecimal)
    } else {
        data::numbers(words, INDENT, COLUMNS, data::decimal)
    }
}

/// A comment's lines, with nothing in them that would end it, or begin another.
pub(super) fn comment(request: &Request<'_>) -> Vec<String> {
    let lines = banner(request);
    let lines = lines.iter().flat_map(|line| line.split(['\n', '\r']));
    lines.map(|l| l.replace("*/", "* /").replace("/*", "/ *").replace("??/", "?? /")).collect()
}

/// An environment with a language's own templates and those that both include. Parsing them takes longer than
/// rendering a small table: it is done once a process.
pub(super) fn environment(own: &[(&'static str, &'static str)]) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_keep_trailing_newline(true);
    let common = [
        ("family_data.j2", include_str!("../templates/family_data.j2")),
        ("family_hash.j2", include_str!("../templates/family_hash.j2")),
    ];
    for &(name, source) in common.iter().chain(own) {
        environment
            .add_template(name, source)
            .expect("the templates of this crate parse: its tests use each");
    }
    environment
}

/// What the templates of both languages ask for.
pub(super) fn facts(request: &Request<'_>, dialect: &Dialect) -> Value {
    let table = request.table;
    let head = table.head();
    let key_type = head.key_type;
    let text = key_type.is_text();
    let word = unsigned(key_type.bits() / 8);
    let signed = if key_type.is_signed() { &word[1..] } else { word };
    let batch = dialect.gathers
        && !text
        && match head.shape {
            Shape::Halves { .. } | Shape::Displace { .. } => true,
            Shape::Chm { .. } | Shape::Retrieval { .. } => false,
        };
    let arrays = arrays(table, if batch { 8 } else { 1 });
    let (value_kind, value_width) = match head.values {
        None => ("", 0),
        Some(ValueType::Integer { width }) => ("integer", width),
        Some(ValueType::Record { size }) => ("record", size),
    };
    let fingerprint = match head.foreign {
        Foreign::Fingerprint { bits } => bits,
        Foreign::Unchecked | Foreign::Exact => 0,
    };
    let [to_u8, to_u32, to_u64] = dialect.casts;
    let private = |name: &str| format!("{}{name}{}", dialect.own, dialect.end);
    let key_parameters = if text { dialect.text_parameters.to_owned() } else { format!("{signed} key") };
    context! {
        name => request.name,
        banner => comment(request),
        count => table.len(),
        range => table.range(),
        text,
        utf8 => key_type == ostia_hash::keys::KeyType::Str,
        key => signed,
        word => word,
        key_bits => key_type.bits(),
        key_parameters,
        text_seed => literal64(head.text_seed),
        has_index => table.has_index(),
        ordered => table.keeps_order(),
        checked => head.foreign != Foreign::Unchecked,
        exact => head.foreign == Foreign::Exact,
        fingerprint,
        in_place => !table.has_index(),
        value_kind,
        value_width,
        value => unsigned(value_width),
        squeeze => squeeze(head.squeeze),
        shape => shape(table, &private),
        arrays => arrays.iter().map(Array::context).collect::<Vec<_>>(),
        fn => dialect.function,
        array => dialect.array,
        o => dialect.own.as_str(),
        e => dialect.end,
        u8 => to_u8,
        u32 => to_u32,
        u64 => to_u64,
        vectors => batch,
        cells_mask => literal64(u64::MAX >> (64 - 8 * table.lanes().cells.width().min(4))),
        cells_width => table.lanes().cells.width().min(4),
        ranks_mask => table.lanes().ranks.as_ref().map(|r| literal64(u64::MAX >> (64 - 8 * r.width().min(4)))),
        ranks_width => table.lanes().ranks.as_ref().map(|r| r.width().min(4)),
    }
}

fn squeeze(squeeze: Squeeze) -> Value {
    match squeeze {
        Squeeze::None => context! { kind => "none" },
        Squeeze::Shift { shift, mask } => context! { kind => "shift", shift, mask => literal64(mask.into()) },
        Squeeze::Extract { bitmap } => {
            let runs: Vec<Value> = runs(bitmap)
                .into_iter()
                .map(|(shift, mask)| context! { shift, mask => literal64(mask) })
                .collect();
            context! { kind => "extract", bitmap => literal64(bitmap), runs }
        }
    }
}

/// Shifts, masks and multipliers of a shape. `private` makes the name of a private function.
fn shape(table: &Table<'_>, private: &impl Fn(&str) -> String) -> Value {
    let head = table.head();
    let lanes = table.lanes();
    let below = |lane: &Lane<'_>, limit: u32| lane.words().all(|w| w as u32 <= limit);
    match head.shape {
        Shape::Chm { function, seeds, vertices, index_bits } => {
            let edge = c_classic::edge(function, &seeds, private);
            context! {
                name => "chm",
                first => edge.ends[0],
                second => edge.ends[1],
                helpers => edge.helpers,
                vertex_mask => literal32(ones(vertices)),
                index_mask => literal32(ones(index_bits)),
            }
        }
        Shape::Halves { family, multipliers: [s1, s2], first, second, index_bits } => context! {
            name => "halves",
            family => family.name(),
            s1 => literal64(s1),
            s2 => literal64(s2),
            second_start => literal32(1 << first),
            first_shift32 => 32u32.saturating_sub(first),
            second_shift32 => 32u32.saturating_sub(second),
            first_mask => literal32(ones(first)),
            second_mask => literal32(ones(second)),
            first_shift => 64 - first,
            second_shift => (64 - first).saturating_sub(second),
            index_mask => literal32(ones(index_bits)),
        },
        Shape::Displace { mixed, multipliers: [s1, s2], buckets, slots } => context! {
            name => "displace",
            mixed,
            s1 => literal64(s1),
            s2 => literal64(s2),
            bucket_shift => 64 - buckets,
            field_shift => 64 - buckets - slots,
            slot_mask => literal32(ones(slots)),
            // What Ostia makes needs no cut; what was loaded from a file may.
            cut_slot => !below(&lanes.cells, ones(slots)),
            ranked => lanes.ranks.is_some(),
            rank_mask => literal32(index_range(head.count) - 1),
            cut_rank => lanes.ranks.as_ref().is_some_and(|r| !below(r, index_range(head.count) - 1)),
        },
        Shape::Retrieval { multipliers: [s1, s2], part, in_place } => context! {
            name => "retrieval",
            s1 => literal64(s1),
            s2 => literal64(s2),
            part,
            in_place,
            index_mask => literal32(index_range(head.count) - 1),
        },
    }
}

/// Every array of the table. What is gathered from has room for reads of `reach` bytes at its last element.
fn arrays(table: &Table<'_>, reach: u32) -> Vec<Array> {
    let lanes = table.lanes();
    let mut arrays = Vec::new();
    let mut add = |name, about, lane: &Lane<'_>, reach: u32| {
        let width = lane.width();
        arrays.push(Array {
            name,
            about,
            element: unsigned(width),
            length: lane.len(),
            padding: (reach.div_ceil(width) - 1) as usize,
            body: elements(lane.words(), width),
        });
    };
    let about_cells = match table.head().shape {
        Shape::Chm { .. } | Shape::Halves { .. } => "The two entries of a key add up to its index.",
        Shape::Displace { .. } => "The displacement of each bucket.",
        Shape::Retrieval { in_place: false, .. } => "The xor of a key's three cells is its index.",
        Shape::Retrieval { in_place: true, .. } => "The xor of a key's three cells is its value.",
    };
    let record = |lane: &Lane<'_>| {
        Lane::new(lane.bytes().to_vec(), 1).expect("a lane is never empty, and its bytes are of one byte")
    };
    let in_place = !table.has_index();
    let records = matches!(table.head().values, Some(ValueType::Record { .. }));
    match (in_place, lanes.cells.width()) {
        (true, _) if records => add("cells", about_cells, &record(&lanes.cells), 1),
        // Entries and indexes are 32 bits wide; a file may keep them in more.
        (false, 8) => add("cells", about_cells, &narrow(&lanes.cells), reach),
        _ => add("cells", about_cells, &lanes.cells, if in_place { 1 } else { reach }),
    }
    if let Some(ranks) = &lanes.ranks {
        let about = "The index of each slot.";
        if ranks.width() == 8 {
            add("ranks", about, &narrow(ranks), reach)
        } else {
            add("ranks", about, ranks, reach)
        }
    }
    if let Some(marks) = &lanes.marks {
        add("marks", "Fingerprints.", marks, 1);
    }
    if let Some(keys) = &lanes.keys {
        add("keys", "The key at each index.", keys, 1);
    }
    if let Some(ends) = &lanes.text_ends {
        let last = ends.word(ends.len() - 1);
        let starts = Lane::from_words(once(0).chain(ends.words()), Lane::width_below(last.saturating_add(1)));
        add(
            "text_starts",
            "Where the string at each index starts; it ends where the next one starts.",
            &starts,
            1,
        );
        match &lanes.text_bytes {
            Some(bytes) => add("text_bytes", "All strings.", bytes, 1),
            None => add("text_bytes", "The only string is empty.", &Lane::from_words(once(0), 1), 1),
        }
    }
    if let Some(values) = &lanes.values {
        if records {
            add("values", "The record at each index.", &record(values), 1);
        } else {
            add("values", "The value at each index.", values, 1);
        }
    }
    arrays
}

fn narrow(lane: &Lane<'_>) -> Lane<'static> {
    Lane::from_words(lane.words().map(|w| u64::from(w as u32)), 4)
}

/// The byte array of a self-test, as lines.
pub(super) fn bytes(bytes: &[u8]) -> String {
    if bytes.is_empty() { "    0,".into() } else { elements(bytes.iter().map(|&b| b.into()), 1) }
}

/// The CRC-32C state after each byte, as lines.
pub(super) fn crc_table() -> &'static str {
    static TABLE: LazyLock<String> = LazyLock::new(|| {
        let state = |byte: u32| (0..8).fold(byte, |state, _| (state >> 1) ^ (0x82F6_3B78 * (state & 1)));
        elements((0..256).map(|byte| state(byte).into()), 4)
    });
    &TABLE
}
