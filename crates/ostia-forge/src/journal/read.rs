//! Those who look.

use std::{
    collections::VecDeque,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, params};

use super::{
    Counts, FILE, How, JournalError, Known, Recorded, Run, RunId, RunInfo, Trouble,
    path::resolved,
    schema::{self, COLUMNS, Columns, Kind},
};
use crate::row::Outcome;

// As many rows are looked up at a time; between, no lock is held, so that a slow reader keeps no writer waiting.
const PAGE: usize = 256;

// For a writer without WAL, which keeps readers out while it commits a batch.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) const READER: OpenFlags = OpenFlags::SQLITE_OPEN_READ_ONLY
    .union(OpenFlags::SQLITE_OPEN_NO_MUTEX)
    .union(OpenFlags::SQLITE_OPEN_NOFOLLOW);

/// The journal of a folder, open for reading: also while a run writes it, and after one was killed.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    out: PathBuf,
    path: PathBuf,
}

impl Reader {
    /// Opens the journal of an output folder. Nothing is written but what SQLite itself needs to read a journal
    /// that is being written; in a read-only folder not even that.
    ///
    /// # Errors
    /// When there is none, or it is damaged, or not ours.
    pub fn open(out: &Path) -> Result<Reader, JournalError> {
        let path = out.join(FILE);
        if fs::symlink_metadata(&path).is_err_and(|why| why.kind() == io::ErrorKind::NotFound) {
            return Err(JournalError::new(&path, Trouble::Missing));
        }
        let file = resolved(&path)?;
        let plain = Reader::open_as(out, &path, &file, false);
        match plain {
            // A journal that waits for its checkpoint needs shared memory beside it. Where none can be made, the
            // file alone will do, if nothing is missing from it.
            Err(JournalError { trouble: Trouble::Io(_) | Trouble::ReadOnly(_), .. }) => {
                let waiting = fs::metadata(beside(&path, "-wal")).is_ok_and(|wal| wal.len() > 0);
                if waiting {
                    return Err(JournalError::new(&path, Trouble::Unfinished));
                }
                Reader::open_as(out, &path, &file, true)
            }
            opened => opened,
        }
    }

    /// `path` is the journal's as people know it, `file` the same for SQLite.
    fn open_as(out: &Path, path: &Path, file: &Path, immutable: bool) -> Result<Reader, JournalError> {
        let fail = |why| JournalError::of_sqlite(path, &why);
        let connection = if immutable {
            let uri = uri(file).ok_or_else(|| fail(rusqlite::Error::InvalidPath(path.to_owned())))?;
            Connection::open_with_flags(uri, READER | OpenFlags::SQLITE_OPEN_URI)
        } else {
            Connection::open_with_flags(file, READER)
        }
        .map_err(fail)?;
        connection.busy_timeout(PATIENCE).map_err(fail)?;
        match schema::kind(&connection, path)? {
            Kind::Ours => Ok(Reader { connection, out: out.to_owned(), path: path.to_owned() }),
            // Its maker was killed before it had begun.
            Kind::Empty => Err(JournalError::new(path, Trouble::Missing)),
        }
    }

    /// All runs, the newest first.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn runs(&self) -> Result<Vec<Run>, JournalError> {
        let all = || {
            let mut statement = self.connection.prepare(
                "SELECT id, begun_ms, ended_ms, job, version, threads, nodes, how, found, done, failed, stopped, \
                 skipped FROM run ORDER BY id DESC",
            )?;
            let run = |row: &rusqlite::Row<'_>| {
                let mut columns = Columns::of(row);
                let c = &mut columns;
                // In the order of the columns: fields are evaluated as they are written.
                Ok(Run {
                    id: RunId(c.take()?),
                    begun_ms: c.number()?,
                    ended_ms: c.take::<Option<i64>>()?.map(i64::cast_unsigned),
                    info: RunInfo {
                        job: c.take()?,
                        version: c.take()?,
                        threads: c.take()?,
                        nodes: c.take()?,
                    },
                    how: c.named(How::from_name)?,
                    counts: Counts {
                        found: c.number()?,
                        done: c.number()?,
                        failed: c.number()?,
                        stopped: c.number()?,
                        skipped: c.number()?,
                    },
                })
            };
            statement.query_map([], run)?.collect::<rusqlite::Result<_>>()
        };
        all().map_err(|why| JournalError::of_sqlite(&self.path, &why))
    }

    /// As [`Journal::known_of`](super::Journal::known_of).
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn known_of(&self, paths: &[impl AsRef<Path>]) -> Result<Vec<Option<Known>>, JournalError> {
        let known = schema::known_of(&self.connection, paths);
        known.map_err(|why| JournalError::of_sqlite(&self.path, &why))
    }

    /// As [`Journal::tables`](super::Journal::tables).
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn tables(&self, extension: &str) -> Result<Vec<String>, JournalError> {
        let tables = schema::tables(&self.connection, extension);
        tables.map_err(|why| JournalError::of_sqlite(&self.path, &why))
    }

    /// All sets, or those with one outcome, in the order of their paths; a few at a time are in memory. Each batch
    /// of a writer is seen whole or not at all as long as it is within one page of rows.
    pub fn entries(&self, only: Option<Outcome>) -> Entries<'_> {
        Entries { reader: self, only, page: VecDeque::new(), after: None, over: false }
    }

    /// The next page behind a key, and the key of its last row.
    fn page(
        &self,
        after: Option<&[u8]>,
        only: Option<Outcome>,
    ) -> rusqlite::Result<(VecDeque<Recorded>, Option<Vec<u8>>)> {
        // One transaction, so that a row and its outputs are of one moment.
        let transaction = self.connection.unchecked_transaction()?;
        let than = if after.is_some() { ">" } else { ">=" };
        let outcome = if only.is_some() { "AND outcome = ?3" } else { "AND ?3 IS NULL" };
        let mut rows = transaction.prepare(&format!(
            "SELECT {}, id FROM set_row WHERE key {than} ?1 {outcome} ORDER BY key LIMIT ?2",
            COLUMNS.join(", ")
        ))?;
        let mut files = transaction.prepare(schema::OUTPUTS)?;
        let limit = PAGE as i64;
        let mut rows = rows.query(params![after.unwrap_or_default(), limit, only.map(Outcome::name)])?;
        let (mut page, mut last) = (VecDeque::new(), None);
        while let Some(row) = rows.next()? {
            let mut recorded = schema::recorded(Columns::of(row))?;
            let entry = &mut recorded.entry;
            entry.outputs = schema::outputs(&mut files, row.get(COLUMNS.len())?)?;
            entry.row.files = entry.outputs.iter().map(|output| self.out.join(&output.name)).collect();
            last = Some(row.get(0)?);
            page.push_back(recorded);
        }
        Ok((page, last))
    }
}

/// Sets of a journal, one after another. After an error there are no more.
#[derive(Debug)]
pub struct Entries<'r> {
    reader: &'r Reader,
    only: Option<Outcome>,
    page: VecDeque<Recorded>,
    after: Option<Vec<u8>>,
    over: bool,
}

impl Iterator for Entries<'_> {
    type Item = Result<Recorded, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.is_empty() && !self.over {
            match self.reader.page(self.after.as_deref(), self.only) {
                Ok((page, last)) => {
                    self.over = page.len() < PAGE;
                    self.page = page;
                    self.after = last;
                }
                Err(why) => {
                    self.over = true;
                    return Some(Err(JournalError::of_sqlite(&self.reader.path, &why)));
                }
            }
        }
        self.page.pop_front().map(Ok)
    }
}

/// The file beside a journal that SQLite would make.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(ending);
    beside.into()
}

/// SQLite's own spelling of a file that nobody changes.
fn uri(path: &Path) -> Option<String> {
    let path = std::path::absolute(path).ok()?;
    let mut uri = String::from("file:");
    // A drive's letter would pass for a host.
    let text = path.to_str()?.replace(std::path::MAIN_SEPARATOR, "/");
    if !text.starts_with('/') {
        uri.push('/');
    }
    for byte in text.bytes() {
        match byte {
            b'/' | b':' | b'.' | b'-' | b'_' => uri.push(byte.into()),
            byte if byte.is_ascii_alphanumeric() => uri.push(byte.into()),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    Some(uri)
}
