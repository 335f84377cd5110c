//! Tables of every kind for the tests of C and C++, what the library answers, and compilers.

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use ostia_emit::lang::{Artifact, Language, Request, emit};
use ostia_hash::{
    create::{Failure, Options, create},
    function::{
        classic::{Classic, RngSpec},
        family::Family,
    },
    keys::{KeySet, KeyType, Order, Texts},
    lane::Lane,
    plan::{Function, Kind},
    search::Alone,
    squeeze::Squeeze,
    table::{Foreign, Head, Key, Lanes, Provenance, Shape, Table, Value, ValueType, Values},
};

/// A table with a name.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) set: KeySet,
    pub(crate) values: Option<Values>,
    pub(crate) table: Table<'static>,
}

impl Case {
    fn new(name: String, set: KeySet, values: Option<Values>, options: &Options) -> Option<Case> {
        match create(&set, values.as_ref(), options, &Alone) {
            Ok(created) => Some(Case { name, set, values, table: created.table }),
            // Not every family takes every key type.
            Err(Failure::Options(_)) => None,
            Err(failure) => panic!("{name}: {failure}"),
        }
    }

    /// Its code.
    pub(crate) fn emit(&self, language: Language, split: bool) -> Vec<Artifact> {
        let about = ["Made for a test: with */ and /* and\na line break in it.".to_owned()];
        let request = Request {
            name: &self.name,
            table: &self.table,
            set: &self.set,
            about: &about,
            tests: true,
            split,
            allow_unsafe: false,
        };
        emit(language, &request).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    pub(crate) fn is_text(&self) -> bool {
        self.set.key_type().is_text()
    }

    pub(crate) fn is_checked(&self) -> bool {
        self.table.checked().is_some()
    }

    /// Members and foreign keys, as a driver reads them, and what it must answer.
    pub(crate) fn conversation(&self) -> (Vec<u8>, Vec<u8>) {
        let (mut asked, mut answers) = (Vec::new(), Vec::new());
        let number = |to: &mut Vec<u8>, number: u64| to.extend_from_slice(&number.to_le_bytes());
        if let Some(texts) = self.set.as_texts() {
            let mut all: Vec<Vec<u8>> = (0..texts.len()).map(|i| texts.get(i).to_vec()).collect();
            all.extend((0..40).map(|i| format!("foreign {}", "?".repeat(i)).into_bytes()));
            all.push(Vec::new());
            number(&mut asked, all.len() as u64);
            for text in &all {
                number(&mut asked, text.len() as u64);
                asked.extend_from_slice(text);
                self.answer(Key::Text(text), &mut answers);
            }
        } else {
            let mask = self.set.key_type().mask();
            let far = (0..100u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29) & mask);
            let near = self.set.words().iter().map(|w| w.wrapping_add(1) & mask);
            let all: Vec<u64> = self.set.words().iter().copied().chain(far).chain(near.take(100)).collect();
            number(&mut asked, all.len() as u64);
            for &word in &all {
                number(&mut asked, word);
                self.answer(Key::Word(word), &mut answers);
            }
        }
        (asked, answers)
    }

    fn answer(&self, key: Key<'_>, to: &mut Vec<u8>) {
        let mut number = |number: u64| to.extend_from_slice(&number.to_le_bytes());
        let checked = self.table.checked();
        if self.table.has_index() {
            number(self.table.unchecked().index(key).into());
            if let Some(checked) = checked {
                number(checked.index(key).map_or(u64::MAX, u64::from));
            }
        }
        if let Some(checked) = checked {
            number(checked.contains(key).into());
        }
        let mut value = |value: Option<Value>| match value {
            None => number(u64::MAX),
            Some(Value::Integer(value)) => number(value),
            Some(Value::Record(bytes)) => bytes.iter().for_each(|&byte| number(byte.into())),
        };
        if self.values.is_some() {
            value(self.table.unchecked().value(key));
            if let Some(checked) = checked {
                value(checked.value(key));
            }
        }
    }

    /// Bytes of a record; `None` when values are integers, or there are none.
    pub(crate) fn record(&self) -> Option<u32> {
        match self.values.as_ref()?.value_type() {
            ValueType::Record { size } => Some(size),
            ValueType::Integer { .. } => None,
        }
    }
}

/// Words that look like nothing in particular, all different.
fn scattered(count: u64, bits: u32) -> Vec<u64> {
    // An odd factor permutes the words of any number of bits.
    (0..count).map(|i| (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) & (u64::MAX >> (64 - bits))).collect()
}

/// Key sets of every type, and 64-bit ones that are reduced by a shift and by an extraction.
fn sets() -> Vec<(&'static str, KeySet)> {
    let integers = |key_type: KeyType, count| {
        KeySet::integers(key_type, scattered(count, key_type.bits()), Order::Sorted).expect("they differ")
    };
    let reduced = |from: fn(u64) -> u64| {
        let words = scattered(300, 20).into_iter().map(from).collect();
        KeySet::integers(KeyType::U64, words, Order::Sorted).expect("they differ")
    };
    let words = (0..120).map(|i| match i % 3 {
        0 => format!("key/{i}"),
        1 => format!("ключ {i}"),
        _ => "x".repeat(i),
    });
    let texts = Texts::new(words);
    vec![
        ("u8", integers(KeyType::U8, 100)),
        ("u16", integers(KeyType::U16, 700)),
        ("u32", integers(KeyType::U32, 600)),
        ("u64", integers(KeyType::U64, 300)),
        ("u64_shift", reduced(|w| w << 17)),
        ("u64_extract", reduced(|w| (w & 0x3FF) << 5 | (w >> 10 & 0x1F) << 31 | (w >> 15) << 59)),
        ("i8", integers(KeyType::I8, 256)),
        ("i16", integers(KeyType::I16, 300)),
        ("i32", integers(KeyType::I32, 257)),
        ("i64", integers(KeyType::I64, 129)),
        ("bytes", KeySet::texts(KeyType::Bytes, texts.clone(), Order::Sorted).expect("they differ")),
        ("str", KeySet::texts(KeyType::Str, texts, Order::Input).expect("they differ")),
    ]
}

/// Values for so many keys; the kind changes with `which`.
fn values(which: usize, count: usize) -> Values {
    let integers: Vec<u64> = scattered(count as u64, 64);
    match which % 5 {
        0 => Values::integers_of(1, &integers),
        1 => Values::integers_of(2, &integers),
        2 => Values::integers_of(4, &integers),
        3 => Values::integers_of(8, &integers),
        _ => records(count),
    }
}

fn records(count: usize) -> Values {
    let bytes = (0..count * 5).map(|i| ((i * 37) >> 3) as u8).collect();
    Values::records(5, bytes).expect("five bytes a key")
}

/// Every kind and function of ours with every foreign policy, over key types and values in turn.
pub(crate) fn cases() -> Vec<Case> {
    let family = |f| Some(Function::Family(f));
    let ways = [
        ("fold", Kind::Halves, family(Family::Fold), true, false),
        ("fold_pair", Kind::Halves, family(Family::FoldPair), true, false),
        ("xor", Kind::Halves, family(Family::Xor), true, false),
        ("mix", Kind::Halves, family(Family::Mix), true, false),
        ("displace", Kind::Displace, Some(Function::Multiply), true, false),
        ("slots", Kind::Displace, Some(Function::Multiply), false, false),
        ("displace_mix", Kind::Displace, family(Family::Mix), true, false),
        ("slots_mix", Kind::Displace, family(Family::Mix), false, false),
        ("retrieval", Kind::Retrieval, None, true, false),
        ("in_place", Kind::Retrieval, None, true, true),
        ("in_place_record", Kind::Retrieval, None, true, true),
    ];
    let policies = [
        ("unchecked", Foreign::Unchecked),
        ("byte", Foreign::Fingerprint { bits: 8 }),
        ("wide", Foreign::Fingerprint { bits: 19 }),
        ("exact", Foreign::Exact),
    ];
    let sets = sets();
    let mut cases = Vec::new();
    let mut turn = 0;
    for round in 0..2 {
        for (way, kind, function, ordered, in_place) in ways {
            for (policy, foreign) in policies {
                if in_place && foreign == Foreign::Exact {
                    continue;
                }
                // One of the two fingerprints a round is enough.
                if policy == ["wide", "byte"][round] {
                    continue;
                }
                let options = Options { kind, function, ordered, foreign, in_place, ..Options::default() };
                let case = (0..sets.len()).find_map(|offset| {
                    let (key, set) = &sets[(turn + offset) % sets.len()];
                    let given = match way {
                        "in_place_record" => Some(records(set.len())),
                        "in_place" => Some(values(turn % 4, set.len())),
                        _ => (turn % 3 != 0).then(|| values(turn, set.len())),
                    };
                    Case::new(format!("{way}_{policy}_{key}_{round}"), set.clone(), given, &options)
                });
                cases.push(case.expect("some key type suits every function"));
                turn += 1;
            }
        }
    }
    // What fills the corners: one key, and the one string that is empty.
    let one = KeySet::u32s(&[0]).expect("one key");
    let empty = KeySet::texts(KeyType::Str, Texts::new([""]), Order::Sorted).expect("one key");
    for (name, set) in [("one", one), ("empty", empty)] {
        for (policy, foreign) in policies {
            let options = Options { foreign, ..Options::default() };
            let case = Case::new(format!("{name}_{policy}"), set.clone(), None, &options);
            cases.push(case.expect("the default suits every set"));
        }
    }
    for count in 2..=8 {
        let set = KeySet::integers(KeyType::U32, scattered(count, 32), Order::Sorted).expect("they differ");
        let case = Case::new(format!("few_{count}"), set, None, &Options::default());
        cases.push(case.expect("the default suits every set"));
    }
    cases
}

/// A small table for each of the predecessor's functions.
pub(crate) fn classic_cases() -> Vec<Case> {
    let types = [KeyType::U32, KeyType::U16, KeyType::I32];
    let each = Classic::ALL.iter().enumerate();
    each.map(|(i, &function)| classic(function, types[i % types.len()])).collect()
}

fn classic(function: Classic, key_type: KeyType) -> Case {
    // With some functions the seeds do not change which keys collide: those can do no more than a few keys.
    let found = [30, 12, 6, 3].into_iter().find_map(|count| classic_of(function, key_type, count));
    found.unwrap_or_else(|| panic!("{} does not solve three keys", function.name()))
}

fn classic_of(function: Classic, key_type: KeyType, count: u64) -> Option<Case> {
    const VERTICES: u32 = 8;
    const INDEX_BITS: u32 = 5;
    let set =
        KeySet::integers(key_type, scattered(count, key_type.bits()), Order::Sorted).expect("they differ");
    let rng = RngSpec::default();
    for attempt in 1..=3000 {
        let seeds = function.seeds_for(attempt, &rng, 32 - VERTICES, None);
        let edges: Vec<[usize; 2]> = set
            .words()
            .iter()
            .map(|&word| {
                let (first, second) = function.pair(&seeds, word as u32);
                [first, second].map(|v| (v & ((1 << VERTICES) - 1)) as usize)
            })
            .collect();
        let Some(entries) = assign(&edges, 1 << VERTICES, (1 << INDEX_BITS) - 1) else { continue };
        let head = Head {
            key_type,
            count: set.len() as u32,
            order: Order::Sorted,
            squeeze: Squeeze::None,
            text_seed: 0,
            shape: Shape::Chm { function, seeds, vertices: VERTICES, index_bits: INDEX_BITS },
            foreign: Foreign::Unchecked,
            values: None,
            provenance: Provenance { rng, attempt },
        };
        let lanes = Lanes {
            cells: Lane::from_words(entries.into_iter().map(u64::from), 1),
            ranks: None,
            marks: None,
            keys: None,
            text_ends: None,
            text_bytes: None,
            values: None,
        };
        let table = Table::from_parts(head, lanes).expect("the parts fit together");
        table.verify(&set, None).expect("every key finds its index");
        return Some(Case { name: format!("classic_{}", function.name()), set, values: None, table });
    }
    None
}

/// Entries whose sums over each edge are its number, or `None` when the graph has a cycle.
fn assign(edges: &[[usize; 2]], vertices: usize, mask: u32) -> Option<Vec<u32>> {
    let mut entries: Vec<Option<u32>> = vec![None; vertices];
    let mut used = vec![false; edges.len()];
    for start in 0..vertices {
        if entries[start].is_some() {
            continue;
        }
        entries[start] = Some(0);
        let mut open = vec![start];
        while let Some(at) = open.pop() {
            let own = entries[at].expect("what is open has an entry");
            for (number, &[a, b]) in edges.iter().enumerate() {
                if used[number] || (a != at && b != at) {
                    continue;
                }
                used[number] = true;
                let other = if a == at { b } else { a };
                if entries[other].is_some() {
                    return None;
                }
                entries[other] = Some((number as u32).wrapping_sub(own) & mask);
                open.push(other);
            }
        }
    }
    entries.into_iter().collect()
}

/// An empty folder of a test's own.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("an old folder can be removed");
    }
    fs::create_dir_all(&folder).expect("a folder can be made");
    folder
}

/// Stores files.
pub(crate) fn store(folder: &Path, artifacts: &[Artifact]) {
    for artifact in artifacts {
        fs::write(folder.join(&artifact.name), &artifact.bytes).expect("a file can be written");
    }
}

/// Whether there is such a compiler. One that is missing is named, unless it must be there: then this fails.
pub(crate) fn has(compiler: &str) -> bool {
    let found = Command::new(compiler).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let found = found.is_ok_and(|status| status.success());
    // Under Wine there is none; natively every build of Rust on Unix needs one.
    assert!(found || compiler != "cc" || cfg!(windows), "a C compiler by the name of cc is needed");
    if !found {
        let _ = writeln!(std::io::stderr(), "SKIPPED {compiler}: there is no such compiler");
    }
    found
}

/// Runs a compiler; what it says is shown when it fails.
pub(crate) fn compile(folder: &Path, compiler: &str, arguments: &[&str]) {
    let output = Command::new(compiler).current_dir(folder).args(arguments).output();
    let output = output.expect("the compiler was there a moment ago");
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{compiler} {}\n{}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Runs a driver and compares what it answers with what the library does, case by case.
pub(crate) fn converse(folder: &Path, program: &str, cases: &[Case]) {
    let (asked, answers): (Vec<_>, Vec<_>) = cases.iter().map(Case::conversation).unzip();
    fs::write(folder.join("asked"), asked.concat()).expect("a file can be written");
    let input = fs::File::open(folder.join("asked")).expect("it was just written");
    let output = Command::new(folder.join(program)).stdin(input).output().expect("it was just compiled");
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    let mut rest = output.stdout.as_slice();
    for (case, answer) in cases.iter().zip(answers) {
        let own = rest.split_off(..answer.len()).expect("as many answers as the library gives");
        if let Some(place) = own.chunks(8).zip(answer.chunks(8)).position(|(own, right)| own != right) {
            panic!("{program}: {}: answer {place} is another one", case.name);
        }
    }
    assert!(rest.is_empty(), "{program} says more than the library");
}

/// Compares code with what lies in `golden/<language>`; with UPDATE_GOLDEN=1 puts it there.
pub(crate) fn golden(language: Language, artifacts: &[Artifact]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(language.name());
    if env::var_os("UPDATE_GOLDEN").is_some_and(|v| v == "1") {
        fs::create_dir_all(&folder).expect("a folder can be made");
        store(&folder, artifacts);
    }
    for artifact in artifacts {
        let path = folder.join(&artifact.name);
        let stored = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(
            stored == artifact.bytes,
            "{} is not what is generated now; UPDATE_GOLDEN=1 refreshes it",
            path.display()
        );
    }
}

/// Small tables whose code is kept.
pub(crate) fn golden_cases() -> Vec<Case> {
    let words = Texts::new(["break", "case", "continue", "default", "do", "else", "for", "goto", "if"]);
    let keywords = KeySet::texts(KeyType::Str, words, Order::Sorted).expect("they differ");
    let status =
        KeySet::u32s(&[200, 201, 204, 301, 302, 304, 400, 401, 403, 404, 500, 503]).expect("they differ");
    let addresses: Vec<u64> = (0..20).map(|i| 0x7FF6_1000_0000 + i * i * 0x140).collect();
    let addresses = KeySet::integers(KeyType::U64, addresses, Order::Sorted).expect("they differ");
    let exact = Options { kind: Kind::Halves, foreign: Foreign::Exact, ..Options::default() };
    let slots = Options { kind: Kind::Displace, ordered: false, ..Options::default() };
    let in_place = Options {
        kind: Kind::Retrieval,
        in_place: true,
        foreign: Foreign::Fingerprint { bits: 16 },
        ..Options::default()
    };
    let prices = Values::integers(&(0..20).map(|i| i * 1000).collect::<Vec<_>>());
    [
        Case::new("keywords".into(), keywords, None, &exact),
        Case::new("http_status".into(), status.clone(), Some(records(12)), &slots),
        Case::new("addresses".into(), addresses, Some(prices), &in_place),
    ]
    .into_iter()
    .map(|case| case.expect("these options suit these sets"))
    .chain([classic(Classic::Crc32RotateX, KeyType::U32)])
    .collect()
}
