//! The journal of an output folder: what comes back of what was recorded, whatever happens to its writer.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader},
    ops::{Deref, DerefMut},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

use ostia_forge::{
    digest::Digest,
    journal::{
        Counts, Entry, FILE, How, Journal, JournalError, OutputFile, Reader, Recorded, RunInfo, Trouble,
    },
    lock::FolderLock,
    row::{BestRow, CoverageRow, Outcome, Row, TableRow},
};
use proptest::{collection, option, prelude::*};

/// A journal, and the right to write it.
struct Writer {
    journal: Journal,
    _lock: FolderLock,
}

impl Writer {
    fn open(out: &Path, durable: bool) -> Result<Writer, JournalError> {
        let lock = FolderLock::take(out).expect("nobody else has the folder");
        Ok(Writer { journal: Journal::open(&lock, durable)?, _lock: lock })
    }
}

impl Deref for Writer {
    type Target = Journal;

    fn deref(&self) -> &Journal {
        &self.journal
    }
}

impl DerefMut for Writer {
    fn deref_mut(&mut self) -> &mut Journal {
        &mut self.journal
    }
}

fn info() -> RunInfo {
    RunInfo { job: r#"{"dir":"keys"}"#.into(), version: "0.1.0".into(), threads: 2, nodes: 1 }
}

/// An entry with everything in it, which its number tells from others.
fn entry(path: impl Into<PathBuf>, number: u64) -> Entry {
    let name = format!("set_{number}");
    let table = TableRow {
        name: name.clone(),
        keys: number as usize,
        key_type: "u32".into(),
        kind: "halves".into(),
        function: "fold".into(),
        seeds: vec![format!("0x{number:X}"), "0x2".into()],
        attempt: number,
        range: number as u32,
        ordered: true,
        foreign: "unchecked".into(),
        bytes: 4 * number as usize,
        cells: number as usize,
        why: "the smallest".into(),
        bests: Vec::new(),
        coverage: None,
    };
    let output = |ending: &str| OutputFile {
        name: format!("{name}.{ending}"),
        len: number,
        digest: Digest::of(ending.as_bytes()),
    };
    let row = Row {
        path: path.into(),
        outcome: Outcome::Done,
        error: None,
        table: Some(table),
        attempts: number + 1,
        collisions: 1,
        cycles: 2,
        read_us: 3,
        solve_us: 4,
        render_us: 5,
        store_us: 6,
        bytes_in: Some(4 * number),
        node: Some(0),
        files: Vec::new(),
    };
    let digest = |part: &str| Digest::of(format!("{part}{number}").as_bytes());
    let outputs = vec![output("h"), output("ostia"), output("rs")];
    Entry { row, content: Some(digest("content")), options: digest("options"), outputs }
}

fn failed(path: &str) -> Entry {
    let mut entry = entry(path, 1);
    entry.row.outcome = Outcome::Failed;
    entry.row.error = Some(format!("{path}: is not there"));
    entry.row.table = None;
    entry.content = None;
    entry.outputs.clear();
    entry
}

fn all(out: &Path) -> Vec<Recorded> {
    Reader::open(out).unwrap().entries(None).map(Result::unwrap).collect()
}

/// What a reader makes of an entry: files by the names of its outputs.
fn read_back(mut entry: Entry, out: &Path) -> Entry {
    entry.outputs.sort_by(|a, b| a.name.cmp(&b.name));
    entry.row.files = entry.outputs.iter().map(|output| out.join(&output.name)).collect();
    entry
}

#[track_caller]
fn refused<T>(result: Result<T, JournalError>, parts: &[&str]) -> Trouble {
    let Err(error) = result else { panic!("it is not refused: {parts:?}") };
    let told = error.to_string();
    let place = match error.trouble {
        Trouble::Missing => error.path.parent().unwrap(),
        _ => &error.path,
    };
    for part in parts.iter().chain([&place.to_str().unwrap()]) {
        assert!(told.contains(part), "no {part:?} in: {told}");
    }
    error.trouble
}

#[test]
fn a_run_is_told_from_its_beginning_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path();
    let mut journal = Writer::open(out, false).unwrap();
    let first = journal.begin(&info()).unwrap();
    let run = &Reader::open(out).unwrap().runs().unwrap()[0];
    assert_eq!((run.id, run.how, run.ended_ms, &run.info), (first, How::Running, None, &info()));
    // A second run, as if the first had been killed.
    let second = journal.begin(&RunInfo { threads: 8, ..info() }).unwrap();
    let counts = Counts { found: 9, done: 4, failed: 2, stopped: 1, skipped: 2 };
    journal.finish(second, &counts, How::Failed).unwrap();
    drop(journal);
    let runs = Reader::open(out).unwrap().runs().unwrap();
    assert_eq!(runs.iter().map(|run| run.id).collect::<Vec<_>>(), [second, first]);
    assert_eq!((runs[0].how, runs[0].counts, runs[0].info.threads), (How::Failed, counts, 8));
    assert!(runs[0].ended_ms.unwrap() >= runs[0].begun_ms && runs[0].begun_ms > 1_600_000_000_000);
    assert_eq!((runs[1].how, runs[1].ended_ms), (How::Interrupted, None));
}

#[test]
fn the_newest_outcome_of_a_set_is_kept_with_its_outputs_alone() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path();
    let mut journal = Writer::open(out, true).unwrap();
    let run = journal.begin(&info()).unwrap();
    journal.record(run, &[entry("b", 2), entry("a", 1)]).unwrap();
    let later = journal.begin(&info()).unwrap();
    let mut again = entry("b", 7);
    again.outputs.truncate(1);
    journal.record(later, &[again.clone(), failed("c")]).unwrap();
    let known = journal.known_of(&["c", "none", "b", "a"]).unwrap();
    assert_eq!(known[1], None);
    assert_eq!(known[0].as_ref().unwrap().outcome, Outcome::Failed);
    assert_eq!(known[0].as_ref().unwrap().content, None);
    let b = known[2].as_ref().unwrap();
    assert_eq!((&b.content, &b.options, &b.outputs), (&again.content, &again.options, &again.outputs));
    assert_eq!((b.outcome, b.name.as_deref(), b.keys), (Outcome::Done, Some("set_7"), Some(7)));
    assert_eq!(known[3].as_ref().unwrap().outputs, entry("a", 1).outputs);
    drop(journal);
    let of = |run, entry| Recorded { run, entry: read_back(entry, out) };
    assert_eq!(all(out), [of(run, entry("a", 1)), of(later, again), of(later, failed("c"))]);
    let reader = Reader::open(out).unwrap();
    let paths = |only| {
        reader
            .entries(Some(only))
            .map(|e| e.unwrap().entry.row.path.display().to_string())
            .collect::<String>()
    };
    assert_eq!([Outcome::Done, Outcome::Failed, Outcome::Stopped].map(paths), ["ab", "c", ""]);
}

#[test]
fn sets_that_are_gone_are_found_and_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Writer::open(dir.path(), false).unwrap();
    let run = journal.begin(&info()).unwrap();
    let entries: Vec<Entry> = (0..10).map(|i| entry(format!("keys/{i}"), i)).collect();
    journal.record(run, &entries).unwrap();
    let first = journal.paths_after(None, 4).unwrap();
    assert_eq!(first, [0, 1, 2, 3].map(|i| PathBuf::from(format!("keys/{i}"))));
    assert_eq!(journal.paths_after(Some(&first[3]), 100).unwrap().len(), 6);
    assert_eq!(journal.forget(&["keys/3", "keys/none", "keys/9"]).unwrap(), 2);
    assert_eq!(journal.known_of(&["keys/3", "keys/9"]).unwrap(), [None, None]);
    // One that comes back has none of its old outputs.
    let bare = Entry { outputs: Vec::new(), ..entry("keys/3", 3) };
    journal.record(run, std::slice::from_ref(&bare)).unwrap();
    assert_eq!(journal.known_of(&["keys/3"]).unwrap()[0].as_ref().unwrap().outputs, []);
    drop(journal);
    assert_eq!(all(dir.path()).len(), 9);
}

/// The parts of a path: anything but a separator and a zero byte.
fn part() -> impl Strategy<Value = Vec<u8>> {
    let plain = "[a-zA-Z0-9 _.'\"\\n\\t;%&ä日-]{1,12}".prop_map(String::into_bytes);
    let odd = collection::vec(any::<u8>().prop_filter("no separator", |b| !b"\0/\\:".contains(b)), 1..12);
    prop_oneof![3 => plain, 1 => odd]
}

fn path() -> impl Strategy<Value = PathBuf> {
    collection::vec(part(), 1..4).prop_map(|parts| {
        parts
            .into_iter()
            .map(|part| {
                cfg_select! {
                    unix => {
                        use std::os::unix::ffi::OsStringExt;
                        PathBuf::from(std::ffi::OsString::from_vec(part))
                    }
                    windows => {
                        use std::os::windows::ffi::OsStringExt;
                        // Bytes above 0x7F become halves of pairs, mostly without their other half.
                        let wide = |b: u8| if b < 0x80 { b.into() } else { 0xD800 + u16::from(b & 0x7F) * 16 };
                        let units: Vec<u16> = part.into_iter().map(wide).collect();
                        PathBuf::from(std::ffi::OsString::from_wide(&units))
                    }
                }
            })
            .collect()
    })
}

fn finite() -> impl Strategy<Value = f64> {
    any::<f64>().prop_filter("rows have no others", |f| f.is_finite())
}

fn coverage() -> impl Strategy<Value = CoverageRow> {
    let floats = (finite(), finite(), finite(), finite(), finite());
    (collection::vec(any::<u64>(), 10), collection::vec(any::<u64>(), 0..66), floats).prop_map(
        |(n, histogram, (slope, intercept, correlation, predicted, rank))| CoverageRow {
            pages: n[0],
            pages_used: n[1],
            large_pages: n[2],
            large_pages_used: n[3],
            lines: n[4],
            lines_used: n[5],
            assigned: n[6],
            line_max: n[7],
            histogram,
            slope,
            intercept,
            correlation,
            predicted,
            score: n[8],
            rank,
        },
    )
}

fn best() -> impl Strategy<Value = BestRow> {
    (any::<[u64; 5]>(), option::of(finite()), finite()).prop_map(|(n, value, rank)| BestRow {
        attempt: n[0],
        value,
        equals: n[1],
        lines_used: n[2],
        pages_used: n[3],
        score: n[4],
        rank,
    })
}

fn table() -> impl Strategy<Value = TableRow> {
    let texts = (any::<String>(), any::<String>(), collection::vec(any::<String>(), 0..9));
    let lists = (collection::vec(best(), 0..3), option::of(coverage()));
    (texts, any::<[u64; 4]>(), any::<(u32, bool)>(), lists).prop_map(
        |((name, why, seeds), n, (range, ordered), (bests, coverage))| TableRow {
            name,
            keys: n[0] as usize,
            key_type: "bytes".into(),
            kind: "chm".into(),
            function: "MultiplyShiftRX".into(),
            seeds,
            attempt: n[1],
            range,
            ordered,
            foreign: "fingerprint:12".into(),
            bytes: n[2] as usize,
            cells: n[3] as usize,
            why,
            bests,
            coverage,
        },
    )
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let output = ("[a-z/]{1,9}", any::<(u64, [u8; 32])>());
    let outputs = collection::btree_map(output.0, output.1, 0..4);
    let about = (
        path(),
        proptest::sample::select(Outcome::ALL.to_vec()),
        option::of(any::<String>()),
        option::of(table()),
    );
    let digests = (option::of(any::<[u8; 32]>()), any::<[u8; 32]>());
    (about, any::<[u64; 7]>(), any::<(Option<u64>, Option<u32>)>(), digests, outputs).prop_map(
        |((path, outcome, error, table), n, (bytes_in, node), (content, options), outputs)| Entry {
            row: Row {
                path,
                outcome,
                error,
                table,
                attempts: n[0],
                collisions: n[1],
                cycles: n[2],
                read_us: n[3],
                solve_us: n[4],
                render_us: n[5],
                store_us: n[6],
                bytes_in,
                node,
                files: Vec::new(),
            },
            content: content.map(Digest),
            options: Digest(options),
            outputs: outputs
                .into_iter()
                .map(|(name, (len, digest))| OutputFile { name, len, digest: Digest(digest) })
                .collect(),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Batches of any rows, with paths that come again: the newest of each path comes back, in the order of paths.
    #[test]
    fn what_was_recorded_comes_back(batches in collection::vec(collection::vec(any_entry(), 0..12), 1..5)) {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path();
        let mut journal = Writer::open(out, false).unwrap();
        let mut newest: BTreeMap<PathBuf, Entry> = BTreeMap::new();
        let run = journal.begin(&info()).unwrap();
        for batch in &batches {
            // A path of one batch comes again in the next: with what was recorded last.
            let again: Vec<Entry> = newest.values().take(2).cloned().collect();
            journal.record(run, &again).unwrap();
            journal.record(run, batch).unwrap();
            for entry in batch {
                // Paths that differ in spelling alone are one: the newest spelling is kept.
                newest.remove(&entry.row.path);
                newest.insert(entry.row.path.clone(), entry.clone());
            }
        }
        let paths: Vec<&PathBuf> = newest.keys().collect();
        for (known, entry) in journal.known_of(&paths).unwrap().into_iter().zip(newest.values()) {
            let known = known.expect("it was recorded");
            let mut outputs = entry.outputs.clone();
            outputs.sort_by(|a, b| a.name.cmp(&b.name));
            prop_assert_eq!(known.outcome, entry.row.outcome);
            prop_assert_eq!((known.content, known.options), (entry.content, entry.options));
            prop_assert_eq!(known.outputs, outputs);
            prop_assert_eq!(known.name, entry.row.table.as_ref().map(|table| table.name.clone()));
        }
        prop_assert_eq!(journal.paths_after(None, 1000).unwrap(), newest.keys().cloned().collect::<Vec<_>>());
        drop(journal);
        let back: Vec<Entry> = all(out).into_iter().map(|recorded| recorded.entry).collect();
        let wanted: Vec<Entry> = newest.into_values().map(|entry| read_back(entry, out)).collect();
        prop_assert_eq!(back, wanted);
    }
}

#[test]
fn more_rows_than_a_page_come_once_each_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Writer::open(dir.path(), false).unwrap();
    let run = journal.begin(&info()).unwrap();
    // Whole pages, and one more; recorded backwards.
    let entries: Vec<Entry> = (0..1025).rev().map(|i| entry(format!("keys/{i:04}"), i)).collect();
    journal.record(run, &entries[..1024]).unwrap();
    assert_eq!(all(dir.path()).len(), 1024);
    journal.record(run, &entries[1024..]).unwrap();
    let keys: Vec<usize> = all(dir.path()).into_iter().map(|e| e.entry.row.table.unwrap().keys).collect();
    assert_eq!(keys, (0..1025).collect::<Vec<_>>());
}

/// Another program, such as SQLite's own, may have the file at any time: a writer waits for a while, and says so.
#[test]
fn a_journal_that_another_program_keeps_locked_is_an_error_and_no_hang() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Writer::open(dir.path(), false).unwrap();
    let run = journal.begin(&info()).unwrap();
    let other = rusqlite::Connection::open(dir.path().join(FILE)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let trouble = refused(journal.record(run, &[entry("a", 1)]), &["another program", "close it"]);
    assert_eq!(trouble, Trouble::Busy);
    other.execute_batch("ROLLBACK").unwrap();
    journal.record(run, &[entry("a", 1)]).unwrap();
    drop(journal);
    assert_eq!(all(dir.path()).len(), 1);
}

#[test]
fn readers_see_whole_batches_while_a_writer_writes() {
    const BATCH: usize = 16;
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path();
    let mut journal = Writer::open(out, false).unwrap();
    let run = journal.begin(&info()).unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (looked, look) = std::sync::mpsc::channel();
        for _ in 0..2 {
            let (over, looked) = (&over, looked.clone());
            scope.spawn(move || {
                let mut seen = 0;
                loop {
                    let last = over.load(Ordering::Relaxed);
                    let reader = Reader::open(out).unwrap();
                    // As many as are on one page: one moment of the journal.
                    let count = reader.entries(None).map(Result::unwrap).count();
                    assert!(count.is_multiple_of(BATCH) && count >= seen, "{count} after {seen}");
                    seen = count;
                    let _ = looked.send(());
                    if last {
                        return assert_eq!(seen, 12 * BATCH);
                    }
                }
            });
        }
        for batch in 0..12 {
            look.recv().unwrap();
            let entries: Vec<Entry> =
                (0..BATCH).map(|i| entry(format!("{:03}", batch * BATCH + i), 1)).collect();
            journal.record(run, &entries).unwrap();
        }
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
#[ignore = "the other process of the test below, which starts and kills it"]
fn records_until_it_is_killed() {
    let out = PathBuf::from(env::var_os("OSTIA_TEST_JOURNAL").expect("it is told where"));
    let durable = env::var_os("OSTIA_TEST_DURABLE").is_some();
    let mut journal = Writer::open(&out, durable).unwrap();
    let run = journal.begin(&info()).unwrap();
    for batch in 0_u64.. {
        // The same 64 sets in every batch, each with the batch's number; and one of its own.
        let mut entries: Vec<Entry> = (0..64).map(|i| entry(format!("keys/{i:02}"), batch)).collect();
        entries.push(entry(format!("more/{batch:09}"), batch));
        journal.record(run, &entries).unwrap();
        eprintln!("recorded {batch}");
    }
}

/// A process is killed at moments of its own choice, many times over one journal. Each time the journal opens, with
/// whole batches: all that it said it had recorded, and at most the one after.
#[test]
fn a_killed_writer_leaves_whole_batches() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path();
    for round in 0..12 {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "--nocapture", "records_until_it_is_killed"]);
        command.env("OSTIA_TEST_JOURNAL", out).stdout(Stdio::null()).stderr(Stdio::piped());
        if round % 3 == 2 {
            command.env("OSTIA_TEST_DURABLE", "1");
        }
        let mut child = command.spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        // It ends some way into the batch after this one: further on in each round.
        let mut lines = said.lines().map(Result::unwrap).filter(|line| line.starts_with("recorded "));
        let number = |line: String| line["recorded ".len()..].parse::<u64>().unwrap();
        let told = lines.nth(7 * round).map(number).expect("it records");
        std::thread::yield_now();
        child.kill().unwrap();
        // What it said before it died, and we had not read.
        let told = lines.map(number).last().unwrap_or(told);
        child.wait().unwrap();

        let reader = Reader::open(out).unwrap();
        let runs = reader.runs().unwrap();
        assert_eq!(runs.len(), round + 1);
        assert_eq!(runs[0].how, How::Running);
        assert!(runs[1..].iter().all(|run| run.how == How::Interrupted));
        let entries: Vec<Entry> = reader.entries(None).map(|e| e.unwrap().entry).collect();
        let batch = entries[0].row.table.as_ref().unwrap().keys as u64;
        assert!(batch == told || batch == told + 1, "batch {batch}, and it said {told}");
        for (i, found) in entries[..64].iter().enumerate() {
            assert_eq!(*found, read_back(entry(format!("keys/{i:02}"), batch), out), "round {round}");
        }
        // The sets of its own of all batches up to this one, of this round's or of an earlier, longer one's.
        let more: Vec<&Entry> = entries[64..].iter().collect();
        assert!(more.len() as u64 > batch);
        for (i, found) in more.into_iter().enumerate() {
            assert_eq!(*found, read_back(entry(format!("more/{i:09}"), i as u64), out), "round {round}");
        }
    }
    // And it is as good as any other for who comes next.
    let mut journal = Writer::open(out, false).unwrap();
    let run = journal.begin(&info()).unwrap();
    journal.record(run, &[entry("keys/00", 1_000_000)]).unwrap();
    drop(journal);
    assert_eq!(all(out)[0].entry.row.table.as_ref().unwrap().keys, 1_000_000);
    let names: Vec<_> = fs::read_dir(out).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "the journal and its lock: {names:?}");
}

#[test]
fn a_folder_without_a_journal_says_how_to_get_one() {
    let dir = tempfile::tempdir().unwrap();
    let trouble = refused(Reader::open(dir.path()), &["there is no journal", "ostia bulk-create"]);
    assert_eq!(trouble, Trouble::Missing);
    refused(Reader::open(&dir.path().join("none")), &["there is no journal"]);
    // Its maker was killed before it had written anything.
    fs::write(dir.path().join(FILE), "").unwrap();
    refused(Reader::open(dir.path()), &["there is no journal"]);
    drop(Writer::open(dir.path(), false).unwrap());
    assert_eq!(Reader::open(dir.path()).unwrap().runs().unwrap(), []);
}

#[cfg(unix)]
#[test]
fn a_link_in_the_journals_place_is_refused_and_one_on_the_way_to_it_is_not() {
    use std::os::unix::fs::symlink;

    let dir = tempfile::tempdir().unwrap();
    let [out, other, by_link] = ["out", "other", "link"].map(|name| dir.path().join(name));
    for folder in [&out, &other] {
        fs::create_dir(folder).unwrap();
    }
    // Another folder's journal would be written to, or made.
    drop(Writer::open(&other, false).unwrap());
    let before = fs::read(other.join(FILE)).unwrap();
    for target in [other.join(FILE), other.join("none")] {
        symlink(&target, out.join(FILE)).unwrap();
        let parts = ["this is a link", "remove it"];
        assert_eq!(refused(Writer::open(&out, false), &parts), Trouble::NotAFile);
        assert_eq!(refused(Reader::open(&out), &parts), Trouble::NotAFile);
        fs::remove_file(out.join(FILE)).unwrap();
    }
    assert_eq!(fs::read(other.join(FILE)).unwrap(), before);
    assert!(!other.join("none").exists());
    fs::create_dir(out.join(FILE)).unwrap();
    assert_eq!(refused(Writer::open(&out, false), &["remove it"]), Trouble::NotAFile);

    symlink(&other, &by_link).unwrap();
    let mut journal = Writer::open(&by_link, false).unwrap();
    journal.begin(&info()).unwrap();
    assert_eq!(Reader::open(&by_link).unwrap().runs().unwrap().len(), 1);
    drop(journal);
    assert_eq!(Reader::open(&other).unwrap().runs().unwrap().len(), 1);
}

#[test]
fn what_is_no_journal_of_ours_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(FILE);
    let sql = |sql: &str| rusqlite::Connection::open(&file).unwrap().execute_batch(sql).unwrap();
    let both = |parts: &[&str]| {
        let before = fs::read(&file).unwrap();
        let trouble = refused(Writer::open(dir.path(), false), parts);
        assert_eq!(refused(Reader::open(dir.path()), parts), trouble);
        assert_eq!(fs::read(&file).unwrap(), before);
        fs::remove_file(&file).unwrap();
        trouble
    };
    fs::write(&file, "a text, and long enough that it is no torn header of a data base").unwrap();
    assert!(matches!(both(&["is damaged", "delete it", "run again"]), Trouble::Damaged(_)));
    sql("CREATE TABLE x (y)");
    assert_eq!(both(&["another application"]), Trouble::Foreign);
    sql("PRAGMA application_id = 7; PRAGMA user_version = 1");
    assert_eq!(both(&["another application"]), Trouble::Foreign);
    drop(Writer::open(dir.path(), false).unwrap());
    sql("PRAGMA user_version = 2");
    assert_eq!(both(&["of version 2", "newer ostia", "delete it"]), Trouble::Newer(2));
}

/// A page in the middle is overwritten, or the end is missing: it is noticed by who reads there, and told.
#[test]
fn a_damaged_journal_is_told_of_and_never_believed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(FILE);
    let mut journal = Writer::open(dir.path(), false).unwrap();
    let run = journal.begin(&info()).unwrap();
    let entries: Vec<Entry> = (0..2000).map(|i| entry(format!("keys/{i:04}"), i)).collect();
    journal.record(run, &entries).unwrap();
    drop(journal);
    let whole = fs::read(&file).unwrap();
    assert!(whole.len() > 100 * 4096);
    let read = || Reader::open(dir.path())?.entries(None).collect::<Result<Vec<_>, _>>();
    assert_eq!(read().unwrap().len(), 2000);
    let (mut torn, mut overwritten) = (whole.clone(), whole.clone());
    torn.truncate(whole.len() / 2);
    overwritten[8 * 4096..].fill(0x5A);
    for (damaged, what) in [(torn, "torn"), (overwritten, "overwritten")] {
        fs::write(&file, &damaged).unwrap();
        let trouble = refused(read(), &["is damaged", "delete it", "everything is made anew"]);
        assert!(matches!(trouble, Trouble::Damaged(_)), "{what}: {trouble:?}");
        // A writer finds out as it opens or as it asks; it never answers.
        let asked = Writer::open(dir.path(), false).and_then(|journal| {
            journal.known_of(&entries.iter().map(|entry| &entry.row.path).collect::<Vec<_>>())
        });
        assert!(matches!(refused(asked, &["is damaged"]), Trouble::Damaged(_)), "{what}");
    }
    // A column that never was ours.
    fs::write(&file, &whole).unwrap();
    let sql = |sql: &str| rusqlite::Connection::open(&file).unwrap().execute_batch(sql).unwrap();
    sql("UPDATE set_row SET outcome = 'perhaps' WHERE id = 5");
    assert!(matches!(refused(read(), &["perhaps", "is damaged"]), Trouble::Damaged(_)));
    sql("DROP TABLE output");
    assert!(matches!(refused(read(), &["is damaged"]), Trouble::Damaged(_)));
}
