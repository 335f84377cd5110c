//! Rows on their way out: into the journal, many at a time, and then to whoever listens.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ostia_rt::{offload, sync::mpsc};

use super::{JobError, events::Event};
use crate::{
    digest::Digest,
    disk::Disk,
    find::Sources,
    journal::{Entry, Journal, JournalError, OutputFile, RunId},
    row::{Outcome, Row},
};

/// Batches of rows that may wait for the journal.
pub(crate) const WAITING: usize = 64;
/// Rows of one transaction, about.
const TOGETHER: usize = 512;

/// A set that has ended.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Ended {
    pub(crate) row: Row,
    /// The identifier of its table, if there is one.
    pub(crate) name: Option<String>,
    /// The keys of its table.
    pub(crate) keys: u64,
    /// The digest of its input, if that was read.
    pub(crate) content: Option<Digest>,
    /// The files that are in place.
    pub(crate) outputs: Vec<OutputFile>,
}

impl Ended {
    pub(crate) fn row(row: Row) -> Ended {
        Ended { row, name: None, keys: 0, content: None, outputs: Vec::new() }
    }
}

/// The journal of a run: looked at and written to by one thread at a time, never by a worker.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    journal: Arc<Mutex<Journal>>,
    pub(crate) run: RunId,
    /// The digest of what is asked for.
    pub(crate) options: Digest,
    /// The folder with the sets, if they are in one: they are recorded by their way from there.
    dir: Option<PathBuf>,
}

impl Records {
    pub(super) fn new(journal: Journal, run: RunId, options: Digest, sources: &Sources) -> Records {
        let dir = match sources {
            Sources::Folder { dir, .. } => Some(dir.clone()),
            Sources::List(_) | Sources::File(_) => None,
        };
        Records { journal: Arc::new(Mutex::new(journal)), run, options, dir }
    }

    /// What a set is called in the journal.
    pub(super) fn name<'p>(&self, path: &'p Path) -> &'p Path {
        let below = self.dir.as_ref().and_then(|dir| path.strip_prefix(dir).ok());
        below.unwrap_or(path)
    }

    /// Forgets the sets of a folder that are no longer there.
    pub(super) async fn forget_gone(&self, disk: Arc<dyn Disk>) -> Result<(), JobError> {
        let Some(dir) = self.dir.clone() else { return Ok(()) };
        self.with(move |journal| {
            let mut after: Option<PathBuf> = None;
            loop {
                let recorded = journal.paths_after(after.as_deref(), TOGETHER)?;
                let Some(last) = recorded.last() else { return Ok(()) };
                after = Some(last.clone());
                let is_gone = |path: &PathBuf| {
                    let looked = disk.look(&dir.join(path));
                    looked.is_err_and(|why| why.kind() == std::io::ErrorKind::NotFound)
                };
                let gone: Vec<PathBuf> = recorded.into_iter().filter(is_gone).collect();
                journal.forget(&gone)?;
            }
        })
        .await
    }

    /// The journal itself: for a thread that may wait.
    pub(super) fn journal(&self) -> MutexGuard<'_, Journal> {
        // SQLite has undone what a panic left half done.
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the journal on an offload thread.
    pub(crate) async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Journal) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JobError> {
        let records = self.clone();
        let done = offload(move || work(&mut records.journal())).await;
        done.map_err(JobError::lost)?.map_err(JobError::Journal)
    }

    async fn record(&self, batch: Vec<Ended>) -> Result<Vec<Row>, JobError> {
        let here = self.clone();
        self.with(move |journal| {
            let mut paths = Vec::new();
            let mut rows = Vec::with_capacity(batch.len());
            let mut entries = Vec::with_capacity(batch.len());
            for ended in batch {
                match ended.row.outcome {
                    // What is recorded of it holds: of a set that was stopped, that it may have to be made.
                    Outcome::Unchanged | Outcome::Stopped => rows.push(ended.row),
                    Outcome::Done | Outcome::Failed => {
                        let Ended { mut row, content, outputs, .. } = ended;
                        let name = here.name(&row.path).to_owned();
                        paths.push(std::mem::replace(&mut row.path, name));
                        let options = here.options;
                        entries.push(Entry { row, content, options, outputs });
                    }
                }
            }
            journal.record(here.run, &entries)?;
            rows.extend(entries.into_iter().zip(paths).map(|(entry, path)| Row { path, ..entry.row }));
            Ok(rows)
        })
        .await
    }
}

/// Takes rows as long as there are senders; gives back the first error, after which nothing more is recorded.
pub(crate) async fn keep(
    records: Option<Records>,
    mut ended: mpsc::Receiver<Vec<Ended>>,
    events: mpsc::Sender<Event>,
    fails: impl Fn(),
) -> Result<(), JobError> {
    let mut kept = Ok(());
    while let Some(mut batch) = ended.recv().await {
        while batch.len() < TOGETHER
            && let Ok(more) = ended.try_recv()
        {
            batch.extend(more);
        }
        let rows = match &records {
            Some(records) if kept.is_ok() => match records.record(batch).await {
                Ok(rows) => rows,
                Err(error) => {
                    // What is not recorded is made again by the next run.
                    fails();
                    kept = Err(error);
                    continue;
                }
            },
            _ => batch.into_iter().map(|ended| ended.row).collect(),
        };
        // Nobody may listen any more, which is no reason to end.
        let _ = events.send(Event::Ended(rows)).await;
    }
    kept
}
