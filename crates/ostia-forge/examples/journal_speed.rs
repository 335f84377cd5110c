//! How long the journal takes: `cargo run --release -p ostia-forge --example journal_speed [FOLDER]`.
//!
//! Rows with three outputs each are recorded in batches, asked for, recorded again, and read.

use std::{path::PathBuf, time::Instant};

use ostia_forge::{
    digest::Digest,
    journal::{Counts, Entry, How, Journal, OutputFile, Reader, RunInfo},
    lock::FolderLock,
    row::{Outcome, Row, TableRow},
};

fn entry(number: u64) -> Entry {
    let name = format!("generated_set_{number:06}");
    let output = |ending: &str| OutputFile {
        name: format!("{name}.{ending}"),
        len: 4000 + number,
        digest: Digest::of(name.as_bytes()),
    };
    let outputs = ["h", "rs", "ostia"].map(output).to_vec();
    let table = TableRow {
        keys: 700,
        key_type: "u32".into(),
        kind: "halves".into(),
        function: "fold".into(),
        seeds: vec!["0x9E3779B97F4A7C15".into(), "0xD1B54A32D192ED03".into()],
        attempt: number % 9,
        range: 700,
        ordered: true,
        foreign: "unchecked".into(),
        bytes: 4096,
        cells: 2048,
        why: "the least predicted cost".into(),
        bests: Vec::new(),
        coverage: None,
        name,
    };
    let row = Row {
        path: PathBuf::from(format!("keys/some/folder/generated-set-{number:06}.keys")),
        outcome: Outcome::Done,
        error: None,
        table: Some(table),
        attempts: number % 9 + 1,
        collisions: 0,
        cycles: number % 9,
        read_us: 20,
        solve_us: 80,
        render_us: 30,
        store_us: 200,
        bytes_in: Some(2800),
        node: Some(0),
        files: Vec::new(),
    };
    Entry { row, content: Some(Digest::of(b"content")), options: Digest::of(b"options"), outputs }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let room = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let info = RunInfo { job: "{}".into(), version: "0".into(), threads: 2, nodes: 1 };
    println!("   rows  batch  durable    open  record     ask   again   close    read   bytes/row");
    for count in [1_000, 100_000] {
        let entries: Vec<Entry> = (0..count).map(entry).collect();
        for (batch, durable) in [(64, false), (512, false), (512, true)] {
            let dir = tempfile::tempdir_in(&room)?;
            let mut last = Instant::now();
            let mut lap = || {
                let took = last.elapsed();
                last = Instant::now();
                format!("{:.1}", took.as_secs_f64() * 1e3)
            };
            let lock = FolderLock::take(dir.path())?;
            let mut journal = Journal::open(&lock, durable)?;
            let run = journal.begin(&info)?;
            let open = lap();
            entries.chunks(batch).try_for_each(|batch| journal.record(run, batch))?;
            let record = lap();
            for chunk in entries.chunks(256) {
                let paths: Vec<_> = chunk.iter().map(|entry| &entry.row.path).collect();
                assert!(journal.known_of(&paths)?.iter().all(Option::is_some));
            }
            let ask = lap();
            entries.chunks(batch).try_for_each(|batch| journal.record(run, batch))?;
            let again = lap();
            journal.finish(run, &Counts::default(), How::Done)?;
            let file = journal.path().to_owned();
            drop(journal);
            let close = lap();
            assert_eq!(Reader::open(dir.path())?.entries(None).flatten().count(), entries.len());
            let read = lap();
            let bytes = std::fs::metadata(file)?.len() / count;
            println!(
                "{count:>7} {batch:>6} {durable:>8} {open:>7} {record:>7} {ask:>7} {again:>7} {close:>7} {read:>7} {bytes:>11}  ms"
            );
        }
    }
    Ok(())
}
