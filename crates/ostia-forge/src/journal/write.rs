//! The one who writes.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rusqlite::{
    Connection, OpenFlags, Transaction, TransactionBehavior, params, params_from_iter, types::Value,
};

use super::{
    Counts, Entry, FILE, How, JournalError, Known, RunId, RunInfo, Trouble,
    path::{key, resolved, restored},
    schema::{self, COLUMNS, Kind, integer},
};
use crate::lock::FolderLock;

// Two runs are told apart by the folder's lock, at once. This is for a reader in a folder without WAL, which holds up a
// writer for a page of rows, and for people's own tools.
const PATIENCE: Duration = Duration::from_secs(5);

const WRITER: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE
    .union(OpenFlags::SQLITE_OPEN_CREATE)
    .union(OpenFlags::SQLITE_OPEN_NO_MUTEX)
    .union(OpenFlags::SQLITE_OPEN_NOFOLLOW);

/// The journal of a folder, open for writing. `Send`: it may move to whichever thread may wait for a disk.
///
/// When it is dropped, everything is moved into the one file, unless a reader is just looking: then the next
/// writer does so.
#[derive(Debug)]
pub struct Journal {
    connection: Connection,
    path: PathBuf,
    upsert: String,
}

impl Journal {
    /// Opens the journal of an output folder, or makes one. Who has the folder's lock is its only writer, and keeps
    /// the lock for as long as the journal is open.
    ///
    /// With `durable`, what was recorded survives a loss of power; else only the end of the process.
    ///
    /// # Errors
    /// When it is damaged, or not ours, or cannot be written.
    pub fn open(lock: &FolderLock, durable: bool) -> Result<Journal, JournalError> {
        Journal::open_with(lock, durable, None)
    }

    /// The same by another of SQLite's ways to use files: so that what lacks shared memory can be tested anywhere.
    fn open_with(lock: &FolderLock, durable: bool, vfs: Option<&str>) -> Result<Journal, JournalError> {
        let path = lock.path().with_file_name(FILE);
        let fail = |why| JournalError::of_sqlite(&path, &why);
        let file = resolved(&path)?;
        let mut connection = match vfs {
            Some(vfs) => Connection::open_with_flags_and_vfs(&file, WRITER, vfs),
            None => Connection::open_with_flags(&file, WRITER),
        }
        .map_err(fail)?;
        connection.busy_timeout(PATIENCE).map_err(fail)?;
        let kind = schema::kind(&connection, &path)?;
        let synchronous = |level: &str| connection.pragma_update(None, "synchronous", level).map_err(fail);
        let level = if durable { "FULL" } else { "NORMAL" };
        // In a new journal there is nothing that a loss of power could take; each sync is milliseconds.
        synchronous(if let (Kind::Empty, false) = (&kind, durable) { "OFF" } else { level })?;
        // The answer is the mode that it has now. A file system without shared memory keeps its rollback journal,
        // which serves as well, only slower; so does one that has just a reader in it.
        let mode = |mode: &str| {
            connection
                .pragma_update_and_check(None, "journal_mode", mode, |row| row.get::<_, String>(0))
                .map_err(fail)
        };
        match mode("WAL") {
            Ok(_) => {}
            Err(error) if matches!(error.trouble, Trouble::Busy | Trouble::Io(_)) => {
                mode("DELETE")?;
            }
            Err(error) => return Err(error),
        }
        if let Kind::Empty = kind {
            schema::create(&mut connection).map_err(fail)?;
            connection.pragma_update(None, "synchronous", level).map_err(fail)?;
        }
        Ok(Journal { connection, path, upsert: upsert() })
    }

    /// Where the journal is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Records that a run begins. One that was killed before is recorded as interrupted.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn begin(&mut self, info: &RunInfo) -> Result<RunId, JournalError> {
        self.write(|transaction| {
            transaction.execute(
                "UPDATE run SET how = ?1 WHERE how = ?2",
                [How::Interrupted.name(), How::Running.name()],
            )?;
            transaction.execute(
                "INSERT INTO run (begun_ms, how, version, job, threads, nodes) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![now_ms(), How::Running.name(), info.version, info.job, info.threads, info.nodes],
            )?;
            Ok(RunId(transaction.last_insert_rowid()))
        })
    }

    /// Records sets: all of them or, with an error, none. What was recorded of them before is replaced.
    ///
    /// # Errors
    /// When the journal cannot be written. It may be tried again.
    pub fn record(&mut self, run: RunId, entries: &[Entry]) -> Result<(), JournalError> {
        let upsert = std::mem::take(&mut self.upsert);
        let recorded = self.write(|transaction| {
            let mut put = transaction.prepare(&upsert)?;
            let mut clear = transaction.prepare("DELETE FROM output WHERE set_row = ?1")?;
            let mut add = transaction.prepare(
                "INSERT OR REPLACE INTO output (set_row, name, len, digest) VALUES (?1, ?2, ?3, ?4)",
            )?;
            for entry in entries {
                let id: i64 =
                    put.query_row(params_from_iter(schema::values(run, entry)), |row| row.get(0))?;
                clear.execute([id])?;
                for output in &entry.outputs {
                    add.execute(params![id, output.name, integer(output.len), output.digest.0])?;
                }
            }
            Ok(())
        });
        self.upsert = upsert;
        recorded
    }

    /// Records how a run ended.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn finish(&mut self, run: RunId, counts: &Counts, how: How) -> Result<(), JournalError> {
        let Counts { found, done, failed, stopped, skipped } = *counts;
        self.write(|transaction| {
            let [found, done, failed, stopped, skipped] =
                [found, done, failed, stopped, skipped].map(integer);
            transaction.execute(
                "UPDATE run SET ended_ms = ?2, how = ?3, found = ?4, done = ?5, failed = ?6, stopped = ?7, \
                 skipped = ?8 WHERE id = ?1",
                params![run.0, now_ms(), how.name(), found, done, failed, stopped, skipped],
            )?;
            Ok(())
        })
    }

    /// What is known of sets, in their order; `None` for those that no run has recorded.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn known_of(&self, paths: &[impl AsRef<Path>]) -> Result<Vec<Option<Known>>, JournalError> {
        self.read(|connection| schema::known_of(connection, paths))
    }

    /// The identifiers of all sets that are done and have an output `NAME.extension`, sorted.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn tables(&self, extension: &str) -> Result<Vec<String>, JournalError> {
        self.read(|connection| schema::tables(connection, extension))
    }

    /// Paths of recorded sets in their order, at most `limit`, beginning behind `after`. To find those that are no
    /// longer there, and [forget](Journal::forget) them.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn paths_after(&self, after: Option<&Path>, limit: usize) -> Result<Vec<PathBuf>, JournalError> {
        let (than, key) = match after {
            Some(after) => (">", key(after)),
            None => (">=", Vec::new()),
        };
        let stored: Vec<Value> = self.read(|connection| {
            let mut statement = connection
                .prepare(&format!("SELECT path FROM set_row WHERE key {than} ?1 ORDER BY key LIMIT ?2"))?;
            statement.query_map(params![key, limit as i64], |row| row.get(0))?.collect()
        })?;
        let damaged =
            || JournalError::new(&self.path, Trouble::Damaged("a path is neither text nor bytes".into()));
        stored.into_iter().map(|path| restored(path).ok_or_else(damaged)).collect()
    }

    /// Forgets sets, and says how many of them there were. All or, with an error, none.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn forget(&mut self, paths: &[impl AsRef<Path>]) -> Result<usize, JournalError> {
        self.write(|transaction| {
            let mut files = transaction
                .prepare("DELETE FROM output WHERE set_row = (SELECT id FROM set_row WHERE key = ?1)")?;
            let mut row = transaction.prepare("DELETE FROM set_row WHERE key = ?1")?;
            let mut forgotten = 0;
            for path in paths {
                let key = key(path.as_ref());
                files.execute([&key])?;
                forgotten += row.execute([&key])?;
            }
            Ok(forgotten)
        })
    }

    fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, JournalError> {
        read(&self.connection).map_err(|why| JournalError::of_sqlite(&self.path, &why))
    }

    fn write<T>(
        &mut self,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, JournalError> {
        // Immediate: who cannot have the lock waits for it here, where it helps, and not in the middle.
        let begun = self.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        begun
            .and_then(|transaction| {
                let written = write(&transaction)?;
                transaction.commit()?;
                Ok(written)
            })
            .map_err(|why| JournalError::of_sqlite(&self.path, &why))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // One plain file at rest: it can be copied, and read in a folder that is read-only. What does not come true
        // here, for a reader or a full disk, the next writer makes up for.
        let _ = self.connection.busy_timeout(Duration::ZERO);
        let _ = self.connection.pragma_update(None, "journal_mode", "DELETE");
    }
}

/// Puts a row in the place of the one before, which keeps its number.
fn upsert() -> String {
    let columns = COLUMNS.join(", ");
    let places = vec!["?"; COLUMNS.len()].join(", ");
    let replaced: Vec<String> =
        COLUMNS.iter().map(|column| format!("{column} = excluded.{column}")).collect();
    format!(
        "INSERT INTO set_row ({columns}) VALUES ({places}) ON CONFLICT (key) DO UPDATE SET {} RETURNING id",
        replaced.join(", ")
    )
}

fn now_ms() -> Value {
    // A clock before 1970 is no reason to make no tables.
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    integer(since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn without_shared_memory_a_rollback_journal_serves() {
        let dir = tempfile::tempdir().unwrap();
        let lock = FolderLock::take(dir.path()).unwrap();
        // SQLite's own way for file systems without locks: it has no shared memory either.
        let mut journal = Journal::open_with(&lock, false, Some("unix-dotfile")).unwrap();
        let mode: String = journal.connection.pragma_query_value(None, "journal_mode", |r| r.get(0)).unwrap();
        assert_eq!(mode, "delete");
        let info = RunInfo { job: "{}".into(), version: "1".into(), threads: 1, nodes: 1 };
        let run = journal.begin(&info).unwrap();
        let path = PathBuf::from("x");
        let why = crate::names::of_path(Path::new("..")).unwrap_err();
        let error = crate::set::SetError::Name { path: path.clone(), why };
        let row = crate::row::Row::failed(&path, &error, crate::set::Times::default());
        let options = crate::digest::Digest::of(b"");
        let entry = Entry { row, content: None, options, outputs: Vec::new() };
        journal.record(run, std::slice::from_ref(&entry)).unwrap();
        drop(journal);
        let reader = super::super::Reader::open(dir.path()).unwrap();
        let entries: Vec<_> = reader.entries(None).map(|e| e.unwrap().entry).collect();
        assert_eq!(entries, [entry]);
    }

    /// The look at what has the journal's name, before it is opened, could come too early.
    #[cfg(unix)]
    #[test]
    fn sqlite_itself_follows_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let [link, none] = ["link", "none"].map(|name| dir.path().join(name));
        std::os::unix::fs::symlink(&none, &link).unwrap();
        for flags in [WRITER, super::super::read::READER] {
            let why = Connection::open_with_flags(&link, flags).unwrap_err();
            assert_eq!(why.sqlite_error_code(), Some(rusqlite::ErrorCode::CannotOpen), "{why}");
        }
        assert!(!none.exists());
    }

    #[test]
    fn wal_is_used_where_it_works_and_durable_means_a_sync_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let lock = FolderLock::take(dir.path()).unwrap();
        for (durable, synchronous) in [(false, 1), (true, 2)] {
            let journal = Journal::open(&lock, durable).unwrap();
            let asked = |pragma: &str| -> Value {
                journal.connection.pragma_query_value(None, pragma, |row| row.get(0)).unwrap()
            };
            assert_eq!(asked("journal_mode"), Value::Text("wal".into()));
            assert_eq!(asked("synchronous"), Value::Integer(synchronous));
        }
        let mut names: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [FILE, crate::lock::NAME], "one plain file at rest, and the lock");
    }
}
