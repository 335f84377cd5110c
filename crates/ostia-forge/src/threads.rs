//! Every set of a job on plain threads: the engine that the other one is measured against.
//!
//! It finds all sets before the first is begun, takes the largest first, and makes each of them: it keeps no journal.
//! One bad set is one bad row; a panic in a set is that set's bad row. What is stored depends on the sets and the
//! options, never on the threads or the engine.

use std::{
    cmp::Reverse,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

use ostia_hash::search::Watch;

use crate::{
    disk::RealDisk,
    find::{Found, Walk},
    job::{JobError, Summary, account::Account, batch::said, keeper::Ended, umbrella_files, window::Waiting},
    lock::FolderLock,
    names::{self, Claims},
    row::{Outcome, Row},
    set::{self, SetError, Times, forge, languages, load},
    spec::JobSpec,
    store::{Store, Temporaries},
};

/// Sets that are found at a time.
const CHUNK: usize = 1024;

/// Does a job. Rows are heard in the order in which sets end.
///
/// # Errors
/// When it could not begin or its umbrellas could not be stored. A bad set is a row, not an error.
pub fn run(
    spec: &JobSpec,
    threads: usize,
    watch: &dyn Watch,
    hear: &(dyn Fn(&Row) + Sync),
) -> Result<Summary, JobError> {
    let begun = Instant::now();
    let store = Store::with_disk(Arc::new(RealDisk), spec.durability, Temporaries::Locked);
    let run = Run { spec, watch, hear, store, account: Account::new(), has_failed: AtomicBool::new(false) };
    let mut waiting = run.line_up()?;
    if run.account.counts().found == 0 {
        return Err(JobError::NoSets(spec.sources.clone()));
    }
    let mut lock = None;
    if let Some(out) = &spec.out {
        run.store.make_folder(out).map_err(|why| JobError::Out { dir: out.clone(), why })?;
        lock = Some(FolderLock::take(out).map_err(JobError::Lock)?);
        // What a killed run left behind goes before this one begins.
        run.store.sweep_locked(out).map_err(JobError::Store)?;
    }
    waiting.sort_by_key(|set| (Reverse(set.bytes), set.due.number()));
    run.work(waiting, threads);
    let umbrellas = run.umbrellas()?;
    drop(lock);
    let has_failed = run.has_failed.load(Ordering::Relaxed);
    Ok(Summary {
        totals: run.account.totals(),
        umbrellas,
        stale: Vec::new(),
        trouble: None,
        is_cancelled: watch.stopped(),
        has_failed,
        elapsed: begun.elapsed(),
    })
}

struct Run<'r> {
    spec: &'r JobSpec,
    watch: &'r dyn Watch,
    hear: &'r (dyn Fn(&Row) + Sync),
    store: Store,
    account: Arc<Account>,
    /// So many sets have failed that no other is begun.
    has_failed: AtomicBool,
}

impl Run<'_> {
    /// All sets that can be made; the others have had their rows.
    fn line_up(&self) -> Result<Vec<Waiting>, JobError> {
        let walk = Walk::new(&self.spec.sources, Arc::new(RealDisk)).map_err(JobError::Walk)?;
        let mut walk = walk.read_as(self.spec.set.format);
        let mut claims = Claims::new(&self.spec.set);
        let mut waiting = Vec::new();
        loop {
            let found = walk.next_some(CHUNK);
            if found.is_empty() {
                return Ok(waiting);
            }
            for Found { path, format, bytes } in found {
                let due = self.account.enter(&path);
                let named = match format {
                    Err(why) => Err(SetError::Found { path: path.clone(), why }),
                    Ok(_) => names::of_path(&path).map_err(|why| SetError::Name { path: path.clone(), why }),
                };
                match named.and_then(|name| claims.claim(&path, &name).map(|()| name)) {
                    Ok(name) => waiting.push(Waiting { due, name, bytes }),
                    Err(error) => {
                        let row = Row::failed(&path, &error, Times::default());
                        (self.hear)(&row);
                        due.end(&Ended::row(row));
                    }
                }
            }
        }
    }

    fn work(&self, waiting: Vec<Waiting>, threads: usize) {
        let threads = threads.min(waiting.len());
        let waiting: Vec<Mutex<Option<Waiting>>> =
            waiting.into_iter().map(|set| Mutex::new(Some(set))).collect();
        let next = AtomicUsize::new(0);
        let worker = || {
            while !self.watch.stopped() && !self.has_failed.load(Ordering::Relaxed) {
                let Some(set) = waiting.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                let set = set.lock().unwrap_or_else(PoisonError::into_inner).take();
                let Waiting { due, name, bytes } = set.expect("each number is drawn once");
                let mut ended = self.one(due.path(), &name);
                ended.row.bytes_in = Some(bytes);
                (self.hear)(&ended.row);
                due.end(&ended);
                let failed = self.account.counts().failed;
                if failed > 0 && self.spec.failures_max.is_some_and(|most| failed >= most) {
                    self.has_failed.store(true, Ordering::Relaxed);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(worker);
            }
            worker();
        });
    }

    /// One set, from its path to its row.
    fn one(&self, path: &std::path::Path, name: &str) -> Ended {
        let mut times = Times::default();
        let spec = &self.spec.set;
        let through = catch_unwind(AssertUnwindSafe(|| {
            let begun = Instant::now();
            let set = load(path, Some(name), spec)?;
            times.read = begun.elapsed();
            let forged = forge(path, &set, spec, self.spec.out.is_some(), self.watch)?;
            times = Times { read: times.read, ..forged.times };
            let begun = Instant::now();
            let files = match &self.spec.out {
                Some(out) => set::store(&self.store, out, &forged.artifacts)?,
                None => Vec::new(),
            };
            times.store = begun.elapsed();
            Ok(Row::done(path, &set.name, &forged.created, spec, times, files))
        }));
        let row = match through {
            Ok(Ok(row)) => row,
            Ok(Err(error)) => Row::failed(path, &error, times),
            Err(panic) => {
                let error = SetError::Panicked { path: path.to_owned(), what: said(&*panic) };
                Row::failed(path, &error, times)
            }
        };
        let keys = row.table.as_ref().map_or(0, |table| table.keys as u64);
        let name = (row.outcome == Outcome::Done).then(|| name.to_owned());
        Ended { name, keys, ..Ended::row(row) }
    }

    fn umbrellas(&self) -> Result<Vec<std::path::PathBuf>, JobError> {
        let mut umbrellas = Vec::new();
        if let Some(out) = &self.spec.out
            && !self.watch.stopped()
            && !self.has_failed.load(Ordering::Relaxed)
        {
            let split = self.spec.set.split;
            let files = |language| umbrella_files(language, &self.account.names(), split);
            for artifact in languages(&self.spec.set).flat_map(files) {
                let path = out.join(&artifact.name);
                self.store.put(&path, &artifact.bytes).map_err(JobError::Store)?;
                umbrellas.push(path);
            }
        }
        Ok(umbrellas)
    }
}
