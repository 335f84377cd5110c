//! Every set of a folder, on plain threads: the engine that others are measured against.
//!
//! Sets are taken largest first, so that the tail is short. One bad set is one bad row; a panic in a set is
//! that set's bad row. What is stored depends on the sets and the options, never on the threads.

use std::{
    fmt, fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use ostia_emit::{lang::Artifact, umbrella};
use ostia_hash::search::Watch;

use crate::{
    find::{Found, find},
    names::{Claims, of_path},
    row::{Outcome, Row},
    set::{SetError, Times, forge, languages, load, store},
    spec::Spec,
    store::{Store, StoreError, sweep},
};

/// A bulk job.
#[derive(Clone, Debug)]
pub struct Bulk {
    /// The folder with the sets.
    pub dir: PathBuf,
    /// True when folders inside it are searched too.
    pub recursive: bool,
    /// Where the outputs go; `None` stores nothing.
    pub out: Option<PathBuf>,
    /// What is asked for each set.
    pub spec: Spec,
    /// Threads. Each works on a set of its own.
    pub threads: usize,
}

/// What is heard of a job while it runs. Rows come in the order in which sets end.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// So many sets were found.
    Found(usize),
    /// A set has ended.
    Ended(&'a Row),
}

/// What a job came to.
#[derive(Clone, Debug)]
pub struct Summary {
    /// How many sets were found; an interrupted job has fewer rows.
    pub found: usize,
    /// One row a set, sorted by path.
    pub rows: Vec<Row>,
    /// Umbrella files that were stored.
    pub umbrellas: Vec<PathBuf>,
    /// Wall-clock time of the whole job.
    pub elapsed: Duration,
}

impl Summary {
    /// How many sets ended so.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.rows.iter().filter(|r| r.outcome == outcome).count()
    }
}

/// Why a job could not run at all.
#[derive(Debug)]
#[non_exhaustive]
pub enum BulkError {
    /// The folder with the sets cannot be listed.
    Find {
        /// The folder.
        dir: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// There is no set in it.
    NoSets(PathBuf),
    /// The folder for the outputs cannot be made.
    Out {
        /// The folder.
        dir: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// An umbrella, or what an earlier run left behind.
    Store(StoreError),
}

impl fmt::Display for BulkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BulkError::Find { dir, .. } if dir.is_file() => {
                write!(
                    f,
                    "{}: is a file, not a folder; `ostia create` makes the table of one set",
                    dir.display()
                )
            }
            BulkError::Find { dir, why } => {
                write!(f, "{}: the folder cannot be listed: {why}", dir.display())
            }
            BulkError::Out { dir, why } => write!(f, "{}: the folder cannot be made: {why}", dir.display()),
            BulkError::NoSets(dir) => write!(
                f,
                "{}: there are no key sets in this folder; sets are files named *.keys, *.keys64, *.u64, *.txt, \
                 *.hex, *.csv, *.json, *.strings or *.lines (--recursive looks into folders inside it)",
                dir.display()
            ),
            BulkError::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BulkError {}

/// Runs a job.
///
/// # Errors
/// When it could not begin or its umbrellas could not be stored. A bad set is a row, not an error.
pub fn run(
    bulk: &Bulk,
    keeper: &Store,
    watch: &dyn Watch,
    hear: &(dyn Fn(Event<'_>) + Sync),
) -> Result<Summary, BulkError> {
    let begun = Instant::now();
    let found =
        find(&bulk.dir, bulk.recursive).map_err(|why| BulkError::Find { dir: bulk.dir.clone(), why })?;
    if found.is_empty() {
        return Err(BulkError::NoSets(bulk.dir.clone()));
    }
    if let Some(out) = &bulk.out {
        fs::create_dir_all(out).map_err(|why| BulkError::Out { dir: out.clone(), why })?;
        // What a killed run left behind goes before this one begins.
        sweep(out).map_err(BulkError::Store)?;
    }
    let sets = found.len();
    hear(Event::Found(sets));
    let mut rows = work(bulk, found, keeper, watch, hear);
    rows.sort_by(|a, b| a.path.cmp(&b.path));
    let mut umbrellas = Vec::new();
    if let Some(out) = &bulk.out
        && !watch.stopped()
    {
        for artifact in umbrella_files(&bulk.spec, &rows) {
            let path = out.join(&artifact.name);
            keeper.put(&path, &artifact.bytes).map_err(BulkError::Store)?;
            umbrellas.push(path);
        }
    }
    Ok(Summary { found: sets, rows, umbrellas, elapsed: begun.elapsed() })
}

/// A set that waits for its turn, or why it gets none.
struct Waiting {
    path: PathBuf,
    bytes: u64,
    refused: Mutex<Option<SetError>>,
}

fn work(
    bulk: &Bulk,
    found: Vec<Found>,
    keeper: &Store,
    watch: &dyn Watch,
    hear: &(dyn Fn(Event<'_>) + Sync),
) -> Vec<Row> {
    let waiting = line_up(found, &bulk.spec);
    let next = AtomicUsize::new(0);
    let rows = Mutex::new(Vec::with_capacity(waiting.len()));
    let worker = || {
        while !watch.stopped() {
            let Some(set) = waiting.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            let refused = set.refused.lock().expect("nobody panics while it holds this").take();
            let row = match refused {
                Some(error) => Row::failed(&set.path, &error, Times::default()),
                None => one(bulk, &set.path, keeper, watch),
            };
            hear(Event::Ended(&row));
            rows.lock().expect("nobody panics while it holds the rows").push(row);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..bulk.threads.min(waiting.len()) {
            scope.spawn(worker);
        }
        worker();
    });
    rows.into_inner().expect("nobody panics while it holds the rows")
}

/// The sets, largest first. Two sets of one name would overwrite each other: the later one in the sorted
/// folder is refused. So is a set whose outputs another file of the run has the names of.
fn line_up(found: Vec<Found>, spec: &Spec) -> Vec<Waiting> {
    let mut claims = Claims::new(spec);
    let mut waiting: Vec<Waiting> = found
        .into_iter()
        .map(|Found { path, format, bytes }| {
            let refused = match (format, of_path(&path)) {
                (Err(why), _) => Some(SetError::Found { path: path.clone(), why }),
                (Ok(_), Ok(name)) => claims.claim(&path, &name).err(),
                // Its own work will say so.
                (Ok(_), Err(_)) => None,
            };
            Waiting { path, bytes, refused: Mutex::new(refused) }
        })
        .collect();
    waiting.sort_by_key(|w| std::cmp::Reverse(w.bytes));
    waiting
}

/// One set, from its path to its row.
fn one(bulk: &Bulk, path: &Path, keeper: &Store, watch: &dyn Watch) -> Row {
    let mut times = Times::default();
    let through = catch_unwind(AssertUnwindSafe(|| {
        let begun = Instant::now();
        let set = load(path, None, &bulk.spec)?;
        times.read = begun.elapsed();
        let forged = forge(path, &set, &bulk.spec, watch)?;
        times = Times { read: times.read, ..forged.times };
        let begun = Instant::now();
        let files = match &bulk.out {
            Some(out) => store(keeper, out, &forged.artifacts)?,
            None => Vec::new(),
        };
        times.store = begun.elapsed();
        let files = files.into_iter().map(|(path, _)| path).collect();
        Ok(Row::done(path, &set.name, &forged.created, &bulk.spec, times, files))
    }));
    match through {
        Ok(Ok(row)) => row,
        Ok(Err(error)) => Row::failed(path, &error, times),
        Err(panic) => {
            let what = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            let error = SetError::Panicked { path: path.to_owned(), what: what.to_owned() };
            Row::failed(path, &error, times)
        }
    }
}

fn umbrella_files(spec: &Spec, rows: &[Row]) -> Vec<Artifact> {
    let mut names: Vec<&str> = rows.iter().filter_map(|r| Some(r.table.as_ref()?.name.as_str())).collect();
    names.sort_unstable();
    languages(spec).flat_map(|language| umbrella::emit(language, &names, spec.split)).collect()
}
