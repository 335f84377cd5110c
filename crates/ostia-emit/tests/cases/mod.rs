//! Tables of every kind, for every policy and type of key, that each language's test compiles and runs.

use ostia_emit::lang::{Artifact, Language, Request, emit};
use ostia_hash::{
    create::{Options, create},
    function::{classic::Classic, family::Family},
    keys::{KeySet, KeyType, Order, Texts},
    plan::{Function, Kind},
    search::Alone,
    table::{Foreign, Table, Values},
};

/// A table, and what it was made of.
pub(crate) struct Case {
    /// Names its files.
    pub(crate) name: String,
    /// The keys.
    pub(crate) set: KeySet,
    /// Their values.
    /// The table.
    pub(crate) table: Table<'static>,
}

impl Case {
    fn new(name: String, set: KeySet, values: Option<Values>, options: &Options) -> Case {
        let created = create(&set, values.as_ref(), options, &Alone);
        let table = created.unwrap_or_else(|failure| panic!("{name}: {failure}")).table;
        Case { name, set, table }
    }

    /// The files for it, self-test included.
    pub(crate) fn emit(&self, language: Language, allow_unsafe: bool) -> Vec<Artifact> {
        let request = Request {
            name: &self.name,
            table: &self.table,
            set: &self.set,
            about: &["Input: made by a test.".into()],
            tests: true,
            split: false,
            allow_unsafe,
        };
        emit(language, &request).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }
}

/// Different words of a type: with structure, and with the ends of the type among them.
pub(crate) fn words(key_type: KeyType, count: usize) -> Vec<u64> {
    let mask = key_type.mask();
    let of = |i: u64| match key_type.bits() {
        8 => i,
        16 => i * 24 + 0x1003,
        32 => i * 0x9E37_79B1 + 16,
        _ => i.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (i << 7),
    };
    let mut words: Vec<u64> = (0..count as u64).map(|i| of(i) & mask).chain([0, mask]).collect();
    words.sort_unstable();
    words.dedup();
    words
}

fn texts(count: usize) -> Texts {
    Texts::new((0..count).map(|i| match i % 4 {
        0 => format!("key/{i}"),
        1 => format!("ключ {i} \"quoted\" \\ back"),
        2 => "x".repeat(i % 40) + &i.to_string(),
        _ => format!("{i}"),
    }))
}

/// A set of `count` keys of a type, or as many as the type has room for.
pub(crate) fn set(key_type: KeyType, count: usize) -> KeySet {
    match key_type {
        KeyType::Bytes | KeyType::Str => KeySet::texts(key_type, texts(count), Order::Sorted),
        KeyType::U8 | KeyType::I8 => {
            KeySet::integers(key_type, words(key_type, count.min(90)), Order::Sorted)
        }
        _ => KeySet::integers(key_type, words(key_type, count), Order::Sorted),
    }
    .expect("made to be different")
}

/// 64-bit keys that vary in few bits: in one run of them, or here and there.
fn squeezed(key_type: KeyType, scattered: bool, count: usize) -> KeySet {
    let words = (0..count as u64).map(|i| {
        if scattered {
            ((i & 0x3F) << 3) | ((i >> 6) << 40) | (1 << 60)
        } else {
            0x7FF0_0000_0000_0000 | i << 20
        }
    });
    KeySet::integers(key_type, words.collect(), Order::Sorted).expect("made to be different")
}

fn values(kind: usize, count: usize) -> Option<Values> {
    let numbers: Vec<u64> = (0..count as u64).map(|i| (i + 3).wrapping_mul(0xD6E8_FEB8_6659_FD93)).collect();
    match kind % 6 {
        0 => None,
        1 => Some(Values::integers_of(1, &numbers)),
        2 => Some(Values::integers_of(2, &numbers)),
        3 => Some(Values::integers_of(4, &numbers)),
        4 => Some(Values::integers_of(8, &numbers)),
        _ => Values::records(5, numbers.iter().flat_map(|n| n.to_le_bytes().into_iter().take(5)).collect()),
    }
}

/// Every kind and function by every foreign policy; types of keys and values take turns so that each meets
/// each of the others.
pub(crate) fn all() -> Vec<Case> {
    let base = Options::default();
    let family = |family| Options {
        kind: Kind::Halves,
        function: Some(Function::Family(family)),
        ..Options::default()
    };
    let ways: Vec<(&str, Options)> = vec![
        ("fold", family(Family::Fold)),
        ("fold_pair", family(Family::FoldPair)),
        ("xor", family(Family::Xor)),
        ("mix", family(Family::Mix)),
        ("slots", Options { kind: Kind::Displace, ordered: false, ..base.clone() }),
        ("ranks", Options { kind: Kind::Displace, ..base.clone() }),
        (
            "mixed_ranks",
            Options { kind: Kind::Displace, function: Some(Function::Family(Family::Mix)), ..base.clone() },
        ),
        ("retrieval", Options { kind: Kind::Retrieval, ..base.clone() }),
        ("in_place", Options { kind: Kind::Retrieval, in_place: true, ..base.clone() }),
        ("auto", base),
    ];
    let narrow = [KeyType::U8, KeyType::I8, KeyType::U16, KeyType::I16, KeyType::U32, KeyType::I32];
    let policies = [
        ("unchecked", Foreign::Unchecked),
        ("marks", Foreign::Fingerprint { bits: 7 }),
        ("exact", Foreign::Exact),
    ];
    let mut cases = Vec::new();
    let mut turn = 0;
    for (way, options) in ways {
        for (policy, foreign) in policies {
            if options.in_place && foreign == Foreign::Exact {
                continue;
            }
            for wide in [false, true] {
                turn += 1;
                let count = [1, 700, 3000, 2, 41][turn % 5];
                let takes_32 = matches!(way, "fold" | "fold_pair" | "xor");
                let set = match (wide, turn % 3) {
                    (false, _) => set(narrow[turn % 6], count),
                    (true, 0) => squeezed(KeyType::U64, false, count),
                    (true, 1) => squeezed(KeyType::I64, true, count),
                    (true, _) if takes_32 => squeezed(KeyType::U64, true, count),
                    (true, _) => {
                        set([KeyType::U64, KeyType::I64, KeyType::Str, KeyType::Bytes][turn / 6 % 4], count)
                    }
                };
                let kind = if options.in_place { 1 + turn % 5 } else { turn };
                // An odd number of bits, so that masks and shifts are not those of a whole type.
                let foreign = match foreign {
                    Foreign::Fingerprint { .. } => {
                        Foreign::Fingerprint { bits: [7, 8, 13, 20, 32][turn % 5] }
                    }
                    other => other,
                };
                let name = format!("{way}_{policy}_{}_{}", set.key_type().name(), set.len());
                let values = values(kind, set.len());
                cases.push(Case::new(name, set, values, &Options { foreign, ..options.clone() }));
            }
        }
    }
    for (i, key_type) in [KeyType::Str, KeyType::Bytes, KeyType::U64, KeyType::I64].into_iter().enumerate() {
        for (policy, foreign) in policies {
            let set = set(key_type, 350 + 400 * i);
            let values = values(i + 2, set.len());
            let name = format!("all_{policy}_{}", key_type.name());
            cases.push(Case::new(name, set, values, &Options { foreign, ..Options::default() }));
        }
    }
    for count in 3..=8 {
        let set = set(KeyType::U32, count);
        cases.push(Case::new(format!("few_{count}"), set, None, &Options::default()));
    }
    let empty = KeySet::texts(KeyType::Str, Texts::new([""]), Order::Sorted).expect("one string");
    let exact = Options { foreign: Foreign::Exact, ..Options::default() };
    cases.push(Case::new("empty_string".into(), empty, None, &exact));
    let mut names: Vec<&str> = cases.iter().map(|c| c.name.as_str()).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|w| w[0] != w[1]), "two cases share a name: {names:?}");
    cases
}

/// Tables that are too large to be written as numbers, of the kinds whose places batches gather.
#[allow(dead_code, reason = "each test program takes what it needs")]
pub(crate) fn large() -> Vec<Case> {
    let mut cases = Vec::new();
    for (number, name) in ["fold", "fold-pair", "xor", "mix", "multiply", "mix"].into_iter().enumerate() {
        for ordered in [true, false] {
            let kind = if number < 4 { Kind::Halves } else { Kind::Displace };
            for (key_type, count) in [(KeyType::U32, 9_000), (KeyType::I64, 20_000), (KeyType::U16, 200)] {
                if kind == Kind::Halves && !ordered || number < 3 && key_type == KeyType::I64 {
                    continue;
                }
                let options =
                    Options { kind, function: Function::from_name(name), ordered, ..Options::default() };
                let name = format!("large_{}_{}_{number}", key_type.name(), u8::from(ordered));
                cases.push(Case::new(name, set(key_type, count), None, &options));
            }
        }
    }
    cases
}

/// A table for each of the predecessor's functions.
pub(crate) fn classic() -> Vec<Case> {
    Classic::ALL
        .iter()
        .map(|&function| {
            // 0 has both ends alike under most of them.
            let words = (1..12u64).map(|i| i * 0x0101_0035).collect();
            let set = KeySet::integers(KeyType::U32, words, Order::Sorted).expect("made to be different");
            let options = Options {
                kind: Kind::Chm,
                function: Some(Function::Classic(function)),
                attempts: Some(2_000_000),
                ..Options::default()
            };
            Case::new(format!("classic_{}", function.name().to_lowercase()), set, None, &options)
        })
        .collect()
}

/// Small tables whose files are kept in `tests/golden`, so that a change of a template shows in a review.
///
/// `UPDATE_GOLDEN=1` stores what comes out now.
pub(crate) fn check_golden(language: Language) {
    let policies = [
        ("golden_halves", KeyType::U32, Kind::Halves, Foreign::Unchecked),
        ("golden_displace", KeyType::I16, Kind::Displace, Foreign::Exact),
        ("golden_retrieval", KeyType::Str, Kind::Retrieval, Foreign::Fingerprint { bits: 9 }),
    ];
    let directory =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(language.name());
    for (i, (name, key_type, kind, foreign)) in policies.into_iter().enumerate() {
        let set = set(key_type, 9);
        let values = values(3 * i, set.len());
        let case = Case::new(name.into(), set, values, &Options { kind, foreign, ..Options::default() });
        for artifact in case.emit(language, false) {
            let path = directory.join(&artifact.name);
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                std::fs::create_dir_all(&directory).expect("the golden files can be written");
                std::fs::write(&path, &artifact.bytes).expect("the golden files can be written");
            }
            let golden = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert!(
                golden == artifact.bytes,
                "{} is not what comes out now; UPDATE_GOLDEN=1 stores that",
                path.display()
            );
        }
    }
}
