//! `ostia results`: what is told of a journal.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::Stdio,
};

use ostia_forge::{
    digest::Digest,
    journal::{Counts, Entry, FILE, How, Journal, OutputFile, RunInfo},
    lock::FolderLock,
    row::{CoverageRow, Outcome, Row, TableRow},
    set,
    spec::Spec,
    store::Store,
};
use ostia_hash::{
    kind::chm::Graph,
    plan::{Function, Kind},
    search::Alone,
};

use crate::support::{Room, ostia, packed, program, scattered};

fn info() -> RunInfo {
    RunInfo { job: "{}".into(), version: "0.1.0".into(), threads: 2, nodes: 1 }
}

/// A set made and stored as a bulk run does it, measured, and its entry.
fn made(room: &Room, out: &Path, path: &str, count: u32, kind: Kind) -> Entry {
    let bytes = packed(scattered(count));
    let path = PathBuf::from(room.file(path, &bytes));
    let mut spec = Spec { outputs: [ostia_forge::spec::Output::Table].into(), ..Spec::default() };
    spec.options.kind = kind;
    if kind == Kind::Chm {
        spec.options.function = Function::from_name("MultiplyShiftRX");
    }
    let loaded = set::load(&path, None, &spec).unwrap();
    let forged = set::forge(&path, &loaded, &spec, true, &Alone).unwrap();
    let files = set::store(&Store::default(), out, &forged.artifacts).unwrap();
    let mut row = Row::done(&path, &loaded.name, &forged.created, &spec, forged.times, files);
    row.bytes_in = Some(bytes.len() as u64);
    let coverage = CoverageRow::of(&forged.created.table, Graph::Peeled);
    row.table.as_mut().unwrap().coverage = coverage;
    let output = |artifact: &ostia_emit::lang::Artifact| OutputFile {
        name: artifact.name.clone(),
        len: artifact.bytes.len() as u64,
        digest: Digest::of(&artifact.bytes),
    };
    let outputs = forged.artifacts.iter().map(output).collect();
    Entry { row, content: Some(Digest::of(&bytes)), options: Digest::of(b"options"), outputs }
}

fn failed(path: PathBuf, outcome: Outcome, error: &str) -> Entry {
    let row = Row {
        path,
        outcome,
        error: Some(error.to_owned()),
        table: None,
        attempts: 17,
        collisions: 9,
        cycles: 8,
        read_us: 1,
        solve_us: 2,
        render_us: 0,
        store_us: 0,
        bytes_in: None,
        node: None,
        files: Vec::new(),
    };
    Entry { row, content: None, options: Digest::of(b"options"), outputs: Vec::new() }
}

/// A journal with two tables, two failures and one set that was stopped.
fn journal(room: &Room) -> (String, Vec<Entry>) {
    let out = room.path().join("tables");
    std::fs::create_dir(&out).unwrap();
    let lock = FolderLock::take(&out).unwrap();
    let mut journal = Journal::open(&lock, false).unwrap();
    let run = journal.begin(&info()).unwrap();
    let mut entries = vec![
        made(room, &out, "keys/b.keys", 300, Kind::Halves),
        made(room, &out, "keys/a.keys", 100, Kind::Chm),
        failed(room.path().join("keys/c \"quoted\",\n.keys"), Outcome::Failed, "c: there is, a \"comma\""),
        failed(room.path().join("keys/d.keys"), Outcome::Failed, "d: is empty"),
        failed(room.path().join("keys/e.keys"), Outcome::Stopped, "e: the search was ended"),
    ];
    journal.record(run, &entries).unwrap();
    let counts = Counts { found: 6, done: 2, failed: 2, stopped: 1, skipped: 1 };
    journal.finish(run, &counts, How::Failed).unwrap();
    entries.sort_by(|a, b| a.row.path.cmp(&b.row.path));
    (room.at("tables"), entries)
}

#[test]
fn json_has_the_rows_of_the_run_in_the_order_of_their_paths() {
    let room = Room::new();
    let (out, entries) = journal(&room);
    let ran = ostia(["results", &out, "--json"]);
    let wanted: Vec<_> = entries.iter().map(|entry| serde_json::to_value(&entry.row).unwrap()).collect();
    assert_eq!(ran.json(), wanted);
    ran.done();
    let only = ostia(["results", &out, "--json", "--failed"]).json();
    assert_eq!(only, wanted[2..4]);
}

#[test]
fn csv_has_the_predecessors_columns_and_ours() {
    let room = Room::new();
    let (out, entries) = journal(&room);
    let text = ostia(["results", &out, "--csv"]).done();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let head = reader.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let cell = |row: usize, name: &str| {
        let column = head.iter().position(|column| column == name).unwrap_or_else(|| panic!("no {name}"));
        rows[row][column].to_owned()
    };
    assert_eq!(rows.len(), 5);
    let table = |row: usize| -> &TableRow { entries[row].row.table.as_ref().unwrap() };
    for (name, wanted) in [
        ("KeysName", "a"),
        ("NumberOfKeys", "100"),
        ("NumberOfEdges", "128"),
        ("NumberOfVertices", "256"),
        ("KeysToEdgesRatio", "0.78125"),
        ("Algorithm", "Chm01"),
        ("HashFunction", "MultiplyShiftRX"),
        ("SolutionFound", "Y"),
        ("NumberOfSeeds", "3"),
        ("Seed1", &table(0).seeds[0]),
        ("Seed3", &table(0).seeds[2]),
        ("Seed4", ""),
        ("Attempts", &entries[0].row.attempts.to_string()),
        ("VertexCollisionFailures", &entries[0].row.collisions.to_string()),
        // 256 entries of 2 bytes.
        ("TotalNumberOfCacheLines", "8"),
        ("TotalNumberOfPages", "1"),
        ("Score", &table(0).coverage.as_ref().unwrap().score.to_string()),
        ("bytes_in", "400"),
        ("files", "a.ostia"),
        ("content", &entries[0].content.unwrap().to_string()),
    ] {
        assert_eq!(cell(0, name), wanted, "{name}");
    }
    assert_eq!([cell(1, "Algorithm"), cell(1, "NumberOfEdges")], ["halves", ""]);
    assert_eq!(cell(2, "error"), "c: there is, a \"comma\"");
    assert_eq!(cell(2, "path"), entries[2].row.path.to_str().unwrap());
    assert_eq!([cell(2, "SolutionFound"), cell(2, "NumberOfKeys"), cell(2, "Score")], ["N", "", ""]);
    assert_eq!(cell(4, "outcome"), "stopped");
    let lines: u64 = (0..17)
        .map(|i| cell(0, &format!("CountOfCacheLinesWithNumberOfAssigned_{i}")).parse::<u64>().unwrap())
        .sum();
    assert_eq!(lines, table(0).coverage.as_ref().unwrap().histogram[..17].iter().sum::<u64>());
    let failed = ostia(["results", &out, "--csv", "--failed"]).done();
    assert_eq!(csv::Reader::from_reader(failed.as_bytes()).records().count(), 2);
}

#[test]
fn people_get_a_summary_and_a_line_a_set() {
    let room = Room::new();
    let (out, entries) = journal(&room);
    let told = ostia(["results", &out]).done();
    let attempts: u64 = entries.iter().map(|entry| entry.row.attempts).sum();
    for part in [
        "newest run: some failed in ",
        "2 threads, ostia 0.1.0: 2 sets done, 2 failed, 1 stopped, 1 as they were",
        "in the journal: 2 sets done, 2 failed, 1 stopped",
        &format!("400 keys, {attempts} attempts, 1600 bytes read, 2 files of "),
        "failed: c: there is, a \"comma\"",
        "failed: d: is empty",
        "slowest: ",
        "MultiplyShiftRX",
    ] {
        assert!(told.contains(part), "no {part:?} in: {told}");
    }
    // A name with a line end takes one line all the same.
    let sets: Vec<&str> = told.lines().skip_while(|line| !line.starts_with("outcome")).skip(1).collect();
    assert_eq!(sets.len(), 5, "{told}");
    for (line, name) in sets.iter().zip(["a.keys", "b.keys", "\u{FFFD}.keys", "d.keys", "e.keys"]) {
        assert!(line.ends_with(name), "{line}");
    }
    let failed = ostia(["results", &out, "--failed"]).done();
    assert!(failed.contains("d: is empty") && !failed.contains("a.keys"), "{failed}");
}

#[test]
fn a_run_that_was_killed_is_told_by_what_it_recorded() {
    let room = Room::new();
    let lock = FolderLock::take(room.path()).unwrap();
    let mut journal = Journal::open(&lock, false).unwrap();
    let run = journal.begin(&info()).unwrap();
    journal.record(run, &[failed("x".into(), Outcome::Failed, "x: is empty")]).unwrap();
    // It is still open: so it looks while a run is at work.
    let told = ostia(["results", room.path().to_str().unwrap()]).done();
    assert!(told.contains("at work, or killed, 2 threads, ostia 0.1.0: 0 sets done, 1 failed"), "{told}");
}

#[test]
fn without_a_journal_the_exit_code_is_1_and_the_way_to_one_is_told() {
    let room = Room::new();
    ostia(["results", &room.at("")]).fails(1, &["there is no journal", "ostia bulk-create KEYS --out"]);
    ostia(["results", &room.at("none")]).fails(1, &["none: there is no journal"]);
    room.file(FILE, "this is no data base, but long enough that it might be the torn head of one");
    ostia(["results", &room.at("")]).fails(1, &[FILE, "is damaged", "delete it"]);
    ostia(["results"]).fails(2, &["<DIR>"]);
    ostia(["results", "x", "--csv", "--json"]).fails(2, &["--csv", "--json"]);
}

#[test]
fn who_stops_reading_makes_no_failure() {
    let room = Room::new();
    let lock = FolderLock::take(room.path()).unwrap();
    let mut journal = Journal::open(&lock, false).unwrap();
    let run = journal.begin(&info()).unwrap();
    // More than a pipe holds.
    let entries: Vec<Entry> = (0..5000)
        .map(|i| failed(format!("keys/{i:05}").into(), Outcome::Failed, "a long enough sentence of why"))
        .collect();
    journal.record(run, &entries).unwrap();
    for how in [&[][..], &["--csv"], &["--json"]] {
        let mut command = program();
        command.arg("results").arg(room.path()).args(how);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{how:?}");
    }
}
