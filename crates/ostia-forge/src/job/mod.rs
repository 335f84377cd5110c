//! A job: every set of its sources through the house, on a runtime, and one row for each.
//!
//! ```text
//! walk -> window -> batch: read, solve, verify, render, store -> rows -> journal -> events
//! ```
//!
//! The walk finds sets in the order of their names and goes no further ahead than the window is wide. The window gives
//! the largest first, and small ones together. A batch is a task on a node, and holds a slot of the job, a permit of the
//! node and its share of the memory until its last row is handed on. What would wait - a folder, a file, the journal -
//! does so on the node's offload threads. Where rows are not taken, batches wait with them, and then the walk.
//!
//! | who | waits for | is ended by |
//! |---|---|---|
//! | the walk | room in the window | its end; the job's end |
//! | the window | a slot, a permit, memory | the walk's end, once it is empty |
//! | a batch | its turn at a worker, offload threads, room in the journal's line | its last row |
//! | the journal's task | rows; whoever listens | the last sender of rows |

pub(crate) mod account;
pub(crate) mod batch;
mod error;
mod events;
pub(crate) mod keeper;
mod memory;
mod records;
mod slices;
mod walker;
pub(crate) mod window;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use ostia_emit::{
    lang::{Artifact, Language},
    umbrella,
};
use ostia_rt::{
    Handle, JoinHandle, Limiter, Placement, Scope, offload,
    sync::{
        Semaphore,
        mpsc::{self, TryRecvError},
    },
};

use self::{
    account::{Account, Due},
    events::Board,
    keeper::Ended,
    memory::Memory,
    records::Records,
    walker::Walker,
    window::{BatchLimits, Waiting, Window},
};
pub use self::{
    account::{Counts, Totals},
    error::JobError,
    events::{Event, NodeLoad, Solving, View},
};
use crate::{
    digest::Digest,
    disk::{Disk, RealDisk},
    find::Sources,
    input::{MAX_BYTES, ReadError},
    journal::{Counts as RecordedCounts, How, Known, RunInfo},
    lock::FolderLock,
    set::languages,
    spec::{JobSpec, NodePolicy, ValueSource},
    store::{Durability, Store, Temporaries},
};

/// Sets that are found and not begun, at most.
const WINDOW: usize = 4096;
/// Sets that travel together, at most, and the bytes of their files.
const BATCH: BatchLimits = BatchLimits { sets: 32, bytes: 128 << 10 };
/// Batches under way for each worker: one that computes, and one that reads or stores meanwhile.
const BATCHES_PER_WORKER: usize = 2;
/// More than these would wait for each other only.
const CONCURRENCY_MAX: usize = 1 << 16;
/// Events that may wait for who listens.
const EVENTS: usize = 64;
/// How many of the sets that are solved now are told of.
const SOLVING: usize = 8;

/// Runs jobs on a runtime.
#[derive(Clone, Debug)]
pub struct Foundry {
    runtime: Handle,
    disk: Arc<dyn Disk>,
    keeps_journal: bool,
}

impl Foundry {
    /// On this runtime, with the machine's files.
    pub fn new(runtime: Handle) -> Foundry {
        Foundry { runtime, disk: Arc::new(RealDisk), keeps_journal: true }
    }

    /// On this runtime, with these files, which nobody else has: there is no lock, and no journal.
    pub fn with_disk(runtime: Handle, disk: Arc<dyn Disk>) -> Foundry {
        Foundry { runtime, disk, keeps_journal: false }
    }

    /// Begins a job. It goes on whether anybody listens or not, until it is done, or [cancelled](Job::cancel).
    ///
    /// # Errors
    /// When what is asked contradicts itself, or names a node that is not there.
    pub fn start(&self, spec: JobSpec) -> Result<Job, JobError> {
        let ids: Vec<u32> = self.runtime.threads().per_node.iter().map(|node| node.node).collect();
        if let NodePolicy::Node(node) = spec.node_policy
            && !ids.contains(&node)
        {
            return Err(JobError::NoNode { node, nodes: ids });
        }
        let nodes = ids.into_iter().enumerate().map(|(place, id)| OnNode {
            id,
            workers: self.runtime.workers(place),
            permits: self.runtime.limiter(place).child(usize::MAX),
            sets: AtomicUsize::new(0),
        });
        let sight = Arc::new(Sight {
            account: Account::new(),
            board: Board::default(),
            nodes: nodes.collect(),
            is_cancelled: Arc::default(),
            has_failed: AtomicBool::new(false),
            has_found_all: AtomicBool::new(false),
        });
        let (sender, events) = mpsc::channel(EVENTS);
        let whole = whole(self.clone(), Arc::clone(&sight), spec, sender);
        let task = self.runtime.spawn_named("job", whole);
        Ok(Job { sight, events, task })
    }
}

/// A job that was begun.
#[derive(Debug)]
pub struct Job {
    sight: Arc<Sight>,
    events: mpsc::Receiver<Event>,
    task: JoinHandle<Result<Summary, JobError>>,
}

impl Job {
    /// What happens next; none when nothing more will. Who does not take events holds the job up.
    ///
    /// # Cancel safety
    /// A dropped wait takes no event.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// An event that is there already.
    pub fn try_next(&mut self) -> Option<Event> {
        self.events.try_recv().ok()
    }

    /// Asks the job to end: nothing is begun any more, searches stop within milliseconds, what is being stored is.
    pub fn cancel(&self) {
        self.sight.is_cancelled.store(true, Ordering::Relaxed);
    }

    /// How it stands.
    pub fn view(&self) -> View {
        self.sight.view()
    }

    /// Waits until the job has ended, whatever happens meanwhile.
    ///
    /// # Errors
    /// When it could not be done as a whole: a bad set is a row, not an error.
    pub async fn end(self) -> Result<Summary, JobError> {
        // Nobody would take the events, and the job would wait for that.
        drop(self.events);
        self.task.await.map_err(JobError::lost)?
    }
}

/// What a job came to.
#[derive(Debug)]
pub struct Summary {
    /// The sums of all rows.
    pub totals: Totals,
    /// The files that name all tables.
    pub umbrellas: Vec<PathBuf>,
    /// True when somebody asked it to end before it was done.
    pub is_cancelled: bool,
    /// True when it ended before it was done because so many sets had failed.
    pub has_failed: bool,
    /// Files that name all tables and are not as they would be made: of a job that only checks.
    pub stale: Vec<PathBuf>,
    /// What went wrong beside the sets, such as a journal that takes no more rows; the sums are true all the same.
    pub trouble: Option<JobError>,
    /// Wall-clock time.
    pub elapsed: Duration,
}

/// What is seen of a job from outside.
#[derive(Debug)]
struct Sight {
    account: Arc<Account>,
    board: Board,
    nodes: Box<[OnNode]>,
    is_cancelled: Arc<AtomicBool>,
    /// It was cancelled because too many sets failed, or what all of them need did.
    has_failed: AtomicBool,
    has_found_all: AtomicBool,
}

/// A node, as a job sees it.
#[derive(Debug)]
struct OnNode {
    /// Its number in the topology.
    id: u32,
    workers: usize,
    permits: Limiter,
    /// Sets that are begun and have not ended.
    sets: AtomicUsize,
}

impl Sight {
    fn view(&self) -> View {
        let load = |node: &OnNode| NodeLoad { node: node.id, sets: node.sets.load(Ordering::Relaxed) };
        View {
            counts: self.account.counts(),
            found_all: self.has_found_all.load(Ordering::Relaxed),
            load: self.nodes.iter().map(load).collect(),
            solving: self.board.longest(SOLVING),
        }
    }

    fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }

    /// Ends the job for its own reasons.
    fn fail(&self) {
        // Who asked for the end first is told as the reason.
        if !self.is_cancelled.swap(true, Ordering::Relaxed) {
            self.has_failed.store(true, Ordering::Relaxed);
        }
    }
}

/// What all parts of a job share. Nothing in it changes but counts.
#[derive(Debug)]
struct Shared {
    sight: Arc<Sight>,
    spec: JobSpec,
    disk: Arc<dyn Disk>,
    store: Store,
    /// None where nothing is stored.
    records: Option<Records>,
    /// The digest of what is asked for.
    options: Digest,
    /// The bytes of the file with the values, if there is one.
    values: Option<Vec<u8>>,
}

impl Shared {
    fn is_cancelled(&self) -> bool {
        self.sight.is_cancelled()
    }

    /// The digest of a set's content, and of its values'.
    fn content(&self, bytes: &[u8]) -> Digest {
        match &self.values {
            Some(values) => Digest::of_parts([bytes, values]),
            None => Digest::of(bytes),
        }
    }

    /// What is known of sets; nothing where everything is to be made.
    fn known_of(&self, paths: &[PathBuf]) -> Vec<Option<Known>> {
        let nothing = || paths.iter().map(|_| None).collect();
        let Some(records) = self.records.as_ref().filter(|_| !self.spec.force) else { return nothing() };
        // A journal that cannot be read knows nothing; it will not take a row either, and that ends the job.
        records.known_of(paths).unwrap_or_else(|_| nothing())
    }

    /// Whether the outputs of a set are as they were stored.
    fn is_in_place(&self, known: &Known) -> bool {
        let Some(out) = &self.spec.out else { return false };
        known.outputs.iter().all(|output| {
            let path = out.join(&output.name);
            let there = self.disk.digest(&path);
            // What cannot be made as safe as is asked for is made again.
            there.is_ok_and(|there| there.len == output.len && there.blake3 == output.digest.0)
                && (self.spec.check || self.store.settle(&path).is_ok())
        })
    }
}

/// What a job has made ready before its first set.
struct Prepared {
    shared: Shared,
    walker: Walker,
    /// Held as long as the job writes.
    lock: Option<FolderLock>,
}

/// The whole job.
async fn whole(
    foundry: Foundry,
    sight: Arc<Sight>,
    spec: JobSpec,
    events: mpsc::Sender<Event>,
) -> Result<Summary, JobError> {
    let begun = Instant::now();
    let here = foundry.clone();
    let seen = Arc::clone(&sight);
    let prepared = offload(move || prepare(&here, seen, spec)).await.map_err(JobError::lost)??;
    let Prepared { shared, walker, lock } = prepared;
    let job = Arc::new(shared);
    let (ended, rows) = mpsc::channel(keeper::WAITING);
    let keeper = foundry.runtime.spawn_named("journal of a job", {
        let (records, sight) = (job.records.clone(), Arc::clone(&sight));
        let events = events.clone();
        async move { keeper::keep(records, rows, events, || sight.fail()).await }
    });
    let (found, waiting) = mpsc::channel(walker::CHUNKS);
    let walk = foundry.runtime.spawn_named("walk of a job", {
        let job = Arc::clone(&job);
        let (ended, events) = (ended.clone(), events.clone());
        async move { walker.walk(&job, found, ended, events).await }
    });
    dispatch(&foundry.runtime, &job, waiting, &ended).await;
    let walked = walk.await.map_err(JobError::lost).and_then(|walked| walked);
    drop(ended);
    let kept = keeper.await.map_err(JobError::lost).and_then(|kept| kept);
    let here = Arc::clone(&job);
    let is_well = walked.is_ok() && kept.is_ok();
    // Who asks from here on asks too late: there is no set left that could be spared.
    let is_cut = sight.is_cancelled();
    // It waits for the disk, and lets go of the journal, which does so too.
    let closed = offload(move || {
        let closed = close(&here, is_well, is_cut);
        drop(here);
        closed
    });
    let (umbrellas, stale, closed) = match closed.await {
        Ok(closed) => closed,
        Err(error) => (Vec::new(), Vec::new(), Err(JobError::lost(error))),
    };
    let _ = offload(move || drop((job, lock))).await;
    let has_failed = sight.has_failed.load(Ordering::Relaxed);
    Ok(Summary {
        totals: sight.account.totals(),
        umbrellas,
        stale,
        // What went wrong first is told.
        trouble: walked.and(kept).and(closed).err(),
        is_cancelled: is_cut && !has_failed,
        has_failed,
        elapsed: begun.elapsed(),
    })
}

/// Makes the folder, takes its lock, and opens its journal; of a job that only checks, it looks at the journal.
fn prepare(foundry: &Foundry, sight: Arc<Sight>, spec: JobSpec) -> Result<Prepared, JobError> {
    let disk = Arc::clone(&foundry.disk);
    // First of all: where nothing is found nothing is made.
    let walker = Walker::new(&spec, &disk)?;
    let values = match &spec.set.values {
        Some(ValueSource::File(file)) => {
            let read = disk.read(file, MAX_BYTES);
            Some(read.map_err(|why| JobError::Values(ReadError { path: file.clone(), why: why.into() }))?)
        }
        Some(ValueSource::Beside(_)) | None => None,
    };
    let store = Store::with_disk(Arc::clone(&disk), spec.durability, Temporaries::Locked);
    let options = Digest(spec.set.digest());
    let (mut lock, mut records) = (None, None);
    match &spec.out {
        None => {}
        Some(_) if spec.check && !foundry.keeps_journal => {}
        Some(out) if spec.check => records = Some(Records::read(out, options).map_err(JobError::Journal)?),
        Some(out) => {
            store.make_folder(out).map_err(|why| JobError::Out { dir: out.clone(), why })?;
            if foundry.keeps_journal {
                lock = Some(FolderLock::take(out).map_err(JobError::Lock)?);
            }
            store.sweep_locked(out).map_err(JobError::Store)?;
            if let Some(lock) = &lock {
                let info = RunInfo {
                    job: told(&spec),
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    threads: sight.nodes.iter().map(|node| node.workers as u32).sum(),
                    nodes: sight.nodes.len() as u32,
                };
                let durable = spec.durability == Durability::Power;
                records =
                    Some(Records::write(lock, out, durable, &info, options).map_err(JobError::Journal)?);
            }
        }
    }
    Ok(Prepared { shared: Shared { sight, spec, disk, store, records, options, values }, walker, lock })
}

/// What is written down of a job: all of it but the paths of a list, which may be millions.
fn told(spec: &JobSpec) -> String {
    let sources = match &spec.sources {
        Sources::List(_) => Sources::List(Vec::new()),
        sources => sources.clone(),
    };
    let spec = JobSpec { sources, ..spec.clone() };
    // A path that is not UTF-8 has no place in JSON; the set it leads to is made all the same.
    serde_json::to_string(&spec)
        .unwrap_or_else(|why| serde_json::json!({ "untold": why.to_string() }).to_string())
}

/// Takes the sets from the walk to their batches, until the last of these has handed on its rows.
async fn dispatch(
    runtime: &Handle,
    job: &Arc<Shared>,
    mut found: mpsc::Receiver<Vec<Waiting>>,
    ended: &mpsc::Sender<Vec<Ended>>,
) {
    let workers: usize = job.sight.nodes.iter().map(|node| node.workers).sum();
    let concurrency = match job.spec.concurrency {
        0 => workers * BATCHES_PER_WORKER,
        asked => asked.min(CONCURRENCY_MAX),
    };
    let slots = Arc::new(Semaphore::new(concurrency));
    let memory = Memory::new(job.spec.memory, &job.spec.set);
    let limits = BatchLimits { bytes: memory.together(BATCH.bytes), ..BATCH };
    let batches = Scope::new("batches of a job");
    let mut window = Window::default();
    let mut turn = 0;
    while let Some(is_over) = fill(&mut window, &mut found).await {
        let Ok(slot) = Arc::clone(&slots).acquire_many_owned(1).await else { break };
        if job.is_cancelled() {
            break;
        }
        // What was found while it waited may be larger.
        while !is_over
            && window.len() < WINDOW
            && let Ok(sets) = found.try_recv()
        {
            sets.into_iter().for_each(|set| window.push(set));
        }
        let batch = window.batch(limits, concurrency);
        let share = match memory.take(&batch).await {
            Ok(share) => share,
            Err(needs) => {
                let rows = batch.into_iter().map(|set| memory.refuse(set, needs));
                job.deliver(rows.collect(), ended).await;
                continue;
            }
        };
        let node = job.sight.choose(job.spec.node_policy, &mut turn);
        let permit = job.sight.nodes[node].permits.acquire().await;
        let guard = batches.enter("batch").expect("it is closed below");
        let (job, ended) = (Arc::clone(job), ended.clone());
        job.sight.nodes[node].sets.fetch_add(batch.len(), Ordering::Relaxed);
        // Its handle is not needed: the scope knows when it has ended, and the account what became of its sets.
        drop(runtime.spawn_at(Placement::Node(node), async move {
            let held = (slot, share, permit, guard);
            let count = batch.len();
            let id = job.sight.nodes[node].id;
            let mut rows = batch::run(Arc::clone(&job), batch).await;
            rows.iter_mut().for_each(|(_, ended)| ended.row.node = Some(id));
            job.sight.nodes[node].sets.fetch_sub(count, Ordering::Relaxed);
            job.deliver(rows, &ended).await;
            // Who waits for the guards has the last hold on the job then, and on its journal.
            drop((job, ended));
            drop(held);
        }));
    }
    batches.close_intake();
    batches.ended().await;
}

/// Fills the window with what is there, and waits if that is nothing: whether the walk is over. None when nothing is
/// left.
async fn fill(window: &mut Window, found: &mut mpsc::Receiver<Vec<Waiting>>) -> Option<bool> {
    loop {
        let more = if window.is_empty() {
            match found.recv().await {
                Some(more) => more,
                None => return None,
            }
        } else if window.len() >= WINDOW {
            return Some(false);
        } else {
            match found.try_recv() {
                Ok(more) => more,
                Err(TryRecvError::Empty) => return Some(false),
                Err(TryRecvError::Closed) => return Some(true),
            }
        };
        more.into_iter().for_each(|set| window.push(set));
    }
}

impl Sight {
    /// The node of the next batch.
    fn choose(&self, policy: NodePolicy, turn: &mut usize) -> usize {
        match policy {
            NodePolicy::RoundRobin => {
                *turn += 1;
                *turn % self.nodes.len()
            }
            NodePolicy::LeastLoaded => {
                let load = |node: &OnNode| node.sets.load(Ordering::Relaxed);
                (0..self.nodes.len()).min_by_key(|&node| load(&self.nodes[node])).unwrap_or_default()
            }
            NodePolicy::Node(id) => {
                let place = self.nodes.iter().position(|node| node.id == id);
                place.expect("it was looked for as the job began")
            }
        }
    }
}

impl Shared {
    /// Ends sets: counts them, and hands their rows on.
    async fn deliver(&self, sets: Vec<(Due, Ended)>, to: &mpsc::Sender<Vec<Ended>>) {
        let mut rows = Vec::with_capacity(sets.len());
        for (due, ended) in sets {
            due.end(&ended);
            rows.push(ended);
        }
        let failed = self.sight.account.counts().failed;
        if self.spec.failures_max.is_some_and(|most| failed >= most) && failed > 0 {
            self.sight.fail();
        }
        // The journal's task ends after all senders, unless the runtime ends it: then nobody is to be told.
        let _ = to.send(rows).await;
    }
}

/// What is done at the end, on a thread that may wait: gone sets are forgotten, the files that name all tables are put in
/// place, or looked at, and how the run ended is written down. Gives those files, those that are stale, and whether
/// all of it was done. `is_cut`: the job was ended before its last set.
fn close(job: &Shared, is_well: bool, is_cut: bool) -> (Vec<PathBuf>, Vec<PathBuf>, Result<(), JobError>) {
    let (mut umbrellas, mut stale) = (Vec::new(), Vec::new());
    let mut done = Ok(());
    // Where there are more tables to come, those that are there do not name all.
    if let Some(out) = job.spec.out.as_ref().filter(|_| is_well && !is_cut) {
        done = job.name_all(out, &mut umbrellas, &mut stale);
    }
    let Some(records) = &job.records else { return (umbrellas, stale, done) };
    let Counts { found, done: made, unchanged, failed, stopped } = job.sight.account.counts();
    let counts = RecordedCounts { found, done: made, failed, stopped, skipped: unchanged };
    let how = match is_cut {
        true if job.sight.has_failed.load(Ordering::Relaxed) => How::Failed,
        true => How::Interrupted,
        false if is_well && done.is_ok() && failed == 0 && stopped == 0 => How::Done,
        false => How::Failed,
    };
    let finished = records.finish(&counts, how).map_err(JobError::Journal);
    (umbrellas, stale, done.and(finished))
}

impl Shared {
    /// Puts the files that name all tables in place; of a job that only checks, finds those that are stale.
    fn name_all(
        &self,
        out: &Path,
        umbrellas: &mut Vec<PathBuf>,
        stale: &mut Vec<PathBuf>,
    ) -> Result<(), JobError> {
        if let Some(records) = &self.records {
            records.forget_gone(out, &*self.disk).map_err(JobError::Journal)?;
        }
        for language in languages(&self.spec.set) {
            // All that are in the folder, whoever made them; without a journal, those of this run.
            let names = match &self.records {
                Some(records) => {
                    records.tables(language.extension(self.spec.set.split)).map_err(JobError::Journal)?
                }
                None => self.sight.account.names(),
            };
            for artifact in umbrella_files(language, &names, self.spec.set.split) {
                let path = out.join(&artifact.name);
                if self.spec.check {
                    if !self.disk.holds(&path, &artifact.bytes).unwrap_or(false) {
                        stale.push(path);
                    }
                    continue;
                }
                self.may_replace(&path)?;
                self.store.put(&path, &artifact.bytes).map_err(JobError::Store)?;
                umbrellas.push(path);
            }
        }
        Ok(())
    }

    /// A file of such a common name may be somebody's own: what we made says so in its first line.
    fn may_replace(&self, path: &Path) -> Result<(), JobError> {
        const MARK: &[u8] = b"generated by Ostia";
        match self.disk.read(path, MAX_BYTES) {
            Ok(bytes) => {
                let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
                match first.windows(MARK.len()).any(|part| part == MARK) {
                    true => Ok(()),
                    false => Err(JobError::Foreign(path.to_owned())),
                }
            }
            // What is not there, or cannot be read, is told by the store.
            Err(_) => Ok(()),
        }
    }
}

/// The files that name all tables, for a language.
pub(crate) fn umbrella_files(language: Language, names: &[String], split: bool) -> Vec<Artifact> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    umbrella::emit(language, &names, split)
}
