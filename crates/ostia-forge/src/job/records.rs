//! The journal of a job: what it knows of sets, and what it is told of them. Where a job only looks, nothing is written.

use std::{
    collections::HashMap,
    fs,
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ostia_rt::offload;

use super::{JobError, keeper::Ended};
use crate::{
    digest::Digest,
    disk::Disk,
    journal::{Counts, Entry, How, Journal, JournalError, Known, Reader, RunId, RunInfo, Trouble},
    lock::FolderLock,
    row::{Outcome, Row},
};

/// Paths that are looked at together.
const TOGETHER: usize = 512;

/// The journal of a job: looked at and written to by one thread at a time, never by a worker.
#[derive(Clone, Debug)]
pub(super) struct Records {
    book: Arc<Mutex<Book>>,
    /// The digest of what is asked for.
    pub(super) options: Digest,
    names: Arc<Names>,
}

#[derive(Debug)]
enum Book {
    Written(Journal, RunId),
    /// None where there is no journal yet.
    Read(Option<Reader>),
}

impl Records {
    /// A journal that is written: the folder is there, and its lock taken.
    pub(super) fn write(
        lock: &FolderLock,
        out: &Path,
        durable: bool,
        info: &RunInfo,
        options: Digest,
    ) -> Result<Records, JournalError> {
        let mut journal = Journal::open(lock, durable)?;
        let run = journal.begin(info)?;
        Ok(Records::of(Book::Written(journal, run), out, options))
    }

    /// A journal that is only looked at. Where there is none, nothing is known.
    pub(super) fn read(out: &Path, options: Digest) -> Result<Records, JournalError> {
        let reader = match Reader::open(out) {
            Ok(reader) => Some(reader),
            Err(JournalError { trouble: Trouble::Missing, .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(Records::of(Book::Read(reader), out, options))
    }

    fn of(book: Book, out: &Path, options: Digest) -> Records {
        Records { book: Arc::new(Mutex::new(book)), options, names: Arc::new(Names::new(out)) }
    }

    /// What is known of sets: on a thread that may wait.
    pub(super) fn known_of(&self, paths: &[PathBuf]) -> Result<Vec<Option<Known>>, JournalError> {
        let names: Vec<PathBuf> = paths.iter().map(|path| self.names.of(path)).collect();
        match &*self.book() {
            Book::Written(journal, _) => journal.known_of(&names),
            Book::Read(Some(reader)) => reader.known_of(&names),
            Book::Read(None) => Ok(paths.iter().map(|_| None).collect()),
        }
    }

    /// Records sets that have ended, and gives their rows.
    pub(super) async fn record(&self, batch: Vec<Ended>) -> (Vec<Row>, Result<(), JobError>) {
        let here = self.clone();
        let told: Vec<Row> = batch.iter().map(|ended| ended.row.clone()).collect();
        let recorded = offload(move || {
            let mut entries = Vec::with_capacity(batch.len());
            for ended in batch {
                match ended.row.outcome {
                    // What is recorded of it holds: of a set that was stopped, that it may have to be made.
                    Outcome::Unchanged | Outcome::Stopped => {}
                    Outcome::Done | Outcome::Failed => {
                        let Ended { mut row, content, outputs, .. } = ended;
                        row.path = here.names.of(&row.path);
                        entries.push(Entry { row, content, options: here.options, outputs });
                    }
                }
            }
            match &mut *here.book() {
                Book::Written(journal, run) => journal.record(*run, &entries),
                Book::Read(_) => Ok(()),
            }
        });
        let recorded =
            recorded.await.map_err(JobError::lost).and_then(|done| done.map_err(JobError::Journal));
        (told, recorded)
    }

    /// Forgets sets that are no longer there: on a thread that may wait.
    pub(super) fn forget_gone(&self, out: &Path, disk: &dyn Disk) -> Result<(), JournalError> {
        let Book::Written(journal, _) = &mut *self.book() else { return Ok(()) };
        let mut after: Option<PathBuf> = None;
        loop {
            let recorded = journal.paths_after(after.as_deref(), TOGETHER)?;
            let Some(last) = recorded.last() else { return Ok(()) };
            after = Some(last.clone());
            let is_gone = |path: &PathBuf| {
                let looked = disk.look(&out.join(path));
                looked.is_err_and(|why| why.kind() == std::io::ErrorKind::NotFound)
            };
            let gone: Vec<PathBuf> = recorded.into_iter().filter(is_gone).collect();
            journal.forget(&gone)?;
        }
    }

    /// The identifiers of all tables of which there is a file `NAME.extension`, sorted: on a thread that may wait.
    pub(super) fn tables(&self, extension: &str) -> Result<Vec<String>, JournalError> {
        match &*self.book() {
            Book::Written(journal, _) => journal.tables(extension),
            Book::Read(Some(reader)) => reader.tables(extension),
            Book::Read(None) => Ok(Vec::new()),
        }
    }

    /// Writes down how the run ended: on a thread that may wait.
    pub(super) fn finish(&self, counts: &Counts, how: How) -> Result<(), JournalError> {
        match &mut *self.book() {
            Book::Written(journal, run) => journal.finish(*run, counts, how),
            Book::Read(_) => Ok(()),
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // SQLite has undone what a panic left half done.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What sets are called in a journal: their way from the folder it is in. So a set has one name whatever folder the
/// program stands in and however it was found, and keeps it when all of it is moved together.
#[derive(Debug)]
struct Names {
    /// The folder with the journal, as the system knows it; none if it cannot be told.
    out: Option<PathBuf>,
    /// The ways to folders with sets that were asked for.
    folders: Mutex<HashMap<PathBuf, PathBuf>>,
}

impl Names {
    fn new(out: &Path) -> Names {
        Names { out: fs::canonicalize(out).ok(), folders: Mutex::default() }
    }

    fn of(&self, path: &Path) -> PathBuf {
        let (Some(out), Some(folder), Some(name)) = (&self.out, path.parent(), path.file_name()) else {
            return path.to_owned();
        };
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        let way = folders.entry(folder.to_owned()).or_insert_with(|| {
            let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            fs::canonicalize(here).map_or_else(|_| folder.to_owned(), |folder| way(out, &folder))
        });
        way.join(name)
    }
}

/// The way from one folder to another, both as the system knows them; the whole path where there is none.
fn way(from: &Path, to: &Path) -> PathBuf {
    let (mut from, mut to_rest) = (from.components().peekable(), to.components().peekable());
    let mut shared = 0;
    while let (Some(a), Some(b)) = (from.peek(), to_rest.peek())
        && a == b
    {
        shared += usize::from(matches!(a, Component::Prefix(_) | Component::RootDir));
        from.next();
        to_rest.next();
    }
    if shared == 0 {
        // Another drive.
        return to.to_owned();
    }
    from.map(|_| Component::ParentDir).chain(to_rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_named_by_its_way_from_the_journal() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/keys")).unwrap();
        fs::create_dir_all(dir.path().join("out")).unwrap();
        let names = Names::new(&dir.path().join("out"));
        let expected: PathBuf = ["..", "a", "keys", "x.keys"].iter().collect();
        assert_eq!(names.of(&dir.path().join("a/keys/x.keys")), expected);
        assert_eq!(names.of(&dir.path().join("out/../a/keys/x.keys")), expected);
        assert_eq!(names.of(&dir.path().join("out/x.keys")), Path::new("x.keys"));
        let gone = dir.path().join("gone/x.keys");
        assert_eq!(names.of(&gone), gone);
    }
}
