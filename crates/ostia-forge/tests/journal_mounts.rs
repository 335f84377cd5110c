//! The journal on file systems that are full or read-only. They are mounted for it, which only root may do where
//! mounts are allowed; anywhere else these tests say that they were skipped.
#![cfg(target_os = "linux")]

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

use ostia_forge::{
    digest::Digest,
    journal::{Entry, FILE, Journal, OutputFile, Reader, RunInfo, Trouble},
    lock::FolderLock,
    row::{Outcome, Row},
};
use tempfile::TempDir;

/// A small file system in memory, for as long as it lives.
struct Mount(TempDir);

impl Mount {
    fn new(options: &str) -> Option<Mount> {
        let dir = tempfile::tempdir().unwrap();
        if mount(&["-t", "tmpfs", "-o", options, "tmpfs"], dir.path()) {
            return Some(Mount(dir));
        }
        // Past the harness, which keeps to itself what a test that passes prints.
        let _ =
            writeln!(io::stderr(), "SKIPPED a full or read-only disk: none can be mounted here, as root may");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn read_only(&self) {
        assert!(mount(&["-o", "remount,ro"], self.path()));
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
    }
}

fn mount(options: &[&str], at: &Path) -> bool {
    Command::new("mount").args(options).arg(at).output().is_ok_and(|ran| ran.status.success())
}

fn entries(numbers: std::ops::Range<u32>) -> Vec<Entry> {
    let entry = |number| {
        let row = Row {
            path: PathBuf::from(format!("keys/{number:06}")),
            outcome: Outcome::Failed,
            error: Some("of no account ".repeat(10)),
            table: None,
            attempts: 0,
            collisions: 0,
            cycles: 0,
            read_us: 0,
            solve_us: 0,
            render_us: 0,
            store_us: 0,
            bytes_in: None,
            node: None,
            files: Vec::new(),
        };
        let output = OutputFile { name: format!("{number}.h"), len: 1, digest: Digest::of(b"x") };
        Entry { row, content: None, options: Digest::of(b""), outputs: vec![output] }
    };
    numbers.map(entry).collect()
}

fn info() -> RunInfo {
    RunInfo { job: "{}".into(), version: "1".into(), threads: 1, nodes: 1 }
}

#[test]
fn a_full_disk_is_told_of_loses_no_whole_batch_and_is_overcome_by_room() {
    for durable in [false, true] {
        let Some(disk) = Mount::new("size=1m") else { return };
        let out = disk.path();
        let lock = FolderLock::take(out).unwrap();
        let mut journal = Journal::open(&lock, durable).unwrap();
        let run = journal.begin(&info()).unwrap();
        let mut recorded = 0;
        let error = loop {
            match journal.record(run, &entries(recorded..recorded + 64)) {
                Ok(()) => recorded += 64,
                Err(error) => break error,
            }
            assert!(recorded < 100_000, "a megabyte holds no such number of rows");
        };
        assert_eq!(error.trouble, Trouble::Full, "{error}");
        assert!(error.to_string().contains("the disk is full; make room and run again"), "{error}");
        assert!(recorded > 0);
        let counted = || Reader::open(out).unwrap().entries(None).map(Result::unwrap).count();
        assert_eq!(counted(), recorded as usize);
        // Room is made, and the same journal goes on where it was.
        assert!(mount(&["-o", "remount,size=8m"], out));
        journal.record(run, &entries(recorded..recorded + 64)).unwrap();
        drop(journal);
        assert_eq!(counted(), recorded as usize + 64);
    }
}

#[test]
fn a_disk_that_is_full_from_the_beginning_is_told_of() {
    let Some(disk) = Mount::new("size=64k") else { return };
    fs::write(disk.path().join("ballast"), vec![1; 64 << 10]).unwrap_or_default();
    let lock = FolderLock::take(disk.path()).unwrap();
    let error = Journal::open(&lock, false).and_then(|mut journal| journal.begin(&info())).unwrap_err();
    assert_eq!(error.trouble, Trouble::Full, "{error}");
}

#[test]
fn a_journal_is_read_in_a_read_only_folder_and_not_written() {
    let Some(disk) = Mount::new("size=8m") else { return };
    let lock = FolderLock::take(disk.path()).unwrap();
    let mut journal = Journal::open(&lock, false).unwrap();
    let run = journal.begin(&info()).unwrap();
    journal.record(run, &entries(0..300)).unwrap();
    // What a run that was killed leaves: the file, and what waits beside it, with and without the shared memory.
    let at = |name: &str| disk.path().join(name);
    let beside = |ending: &str| format!("{FILE}{ending}");
    for (folder, endings) in [("killed", &["", "-wal", "-shm"][..]), ("torn", &["", "-wal"])] {
        fs::create_dir(at(folder)).unwrap();
        for ending in endings {
            fs::copy(at(&beside(ending)), at(folder).join(beside(ending))).unwrap();
        }
    }
    drop(journal);
    // Given up, so that no file is open for writing.
    drop(lock);
    // And a journal that is whole, and waits for nothing, but says that it is read with shared memory.
    fs::create_dir(at("wal")).unwrap();
    fs::copy(at(FILE), at("wal").join(FILE)).unwrap();
    let whole = rusqlite::Connection::open(at("wal").join(FILE)).unwrap();
    whole.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).unwrap();
    drop(whole);
    disk.read_only();
    for folder in ["", "wal", "killed", "torn"] {
        let counted =
            Reader::open(&at(folder)).map(|reader| reader.entries(None).map(Result::unwrap).count());
        match counted {
            Ok(count) => assert_eq!(count, 300, "{folder:?}"),
            // Never fewer rows than there are: if they cannot be had, it says so.
            Err(error) if ["killed", "torn"].contains(&folder) => {
                assert_eq!(error.trouble, Trouble::Unfinished, "{folder:?}: {error}");
            }
            Err(error) => panic!("{folder:?}: {error}"),
        }
    }
    assert!(FolderLock::take(disk.path()).is_err());
}
