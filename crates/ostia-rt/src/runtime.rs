//! The runtime: its nodes and their threads, from the builder to the report at the end.

use std::{
    fmt,
    future::Future,
    io, mem,
    num::NonZeroUsize,
    pin::pin,
    sync::{Arc, Weak, mpsc},
    task::{Context, Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use ostia_os::{CpuSet, affinity, timing, topology::Topology};
use ostia_port::{Backend, Port};

use crate::{
    context::{self, Blocked},
    limiter::Limiter,
    lost::LostWorker,
    metrics::Snapshot,
    node::{self, Limits, Node, Phase, Start},
    placement::{Placement, Turns},
    pool::Pool,
    stall::Watchdog,
    task::{JoinHandle, Name},
    threads::Threads,
    time::after,
    worker::{Turned, Worker},
};

/// How long a runtime that is merely dropped waits for its tasks and operations.
const DROP_DEADLINE: Duration = Duration::from_secs(5);

/// How long a worker that ends waits for its operations.
pub(crate) const CLOSE_DEADLINE: Duration = Duration::from_secs(1);

/// What a runtime is made with.
#[derive(Debug, Clone)]
pub struct Builder {
    name: String,
    topology: Option<Topology>,
    nodes: Nodes,
    workers: Option<NonZeroUsize>,
    workers_total: Option<NonZeroUsize>,
    threads: Option<NonZeroUsize>,
    backend: Backend,
    ops_max: usize,
    offload_threads_max: usize,
    offload_jobs_max: usize,
    pub(crate) slice: Duration,
    stall_after: Option<Duration>,
    buffers_max: usize,
    permits_max: usize,
    #[cfg(feature = "sim")]
    sim: Option<ostia_port::sim::Options>,
}

#[derive(Debug, Clone)]
enum Nodes {
    All,
    /// Those of these numbers.
    Some(CpuSet),
}

impl Builder {
    fn new() -> Builder {
        Builder {
            name: "ostia".to_owned(),
            topology: None,
            nodes: Nodes::All,
            workers: None,
            workers_total: None,
            threads: None,
            backend: Backend::Auto,
            ops_max: 65_536,
            offload_threads_max: 8,
            offload_jobs_max: 1024,
            slice: Duration::from_micros(500),
            stall_after: Some(Duration::from_millis(100)),
            buffers_max: 64 << 20,
            permits_max: 1024,
            #[cfg(feature = "sim")]
            sim: None,
        }
    }

    /// What its threads are called in a debugger: `ostia-n0-w1` is worker 1 of node 0.
    pub fn name(mut self, name: &str) -> Builder {
        self.name = name.to_owned();
        self
    }

    /// The topology to stand on: the machine's unless told otherwise. A synthetic one makes nodes of a machine that
    /// has none; its workers are not bound to CPUs.
    pub fn topology(mut self, topology: Topology) -> Builder {
        self.topology = Some(topology);
        self
    }

    /// Which nodes to use, by their numbers: a list such as `0,2-3`, or a mask such as `0x5`. All unless told
    /// otherwise.
    ///
    /// # Errors
    ///
    /// If it is neither a list nor a mask.
    pub fn nodes(mut self, nodes: &str) -> io::Result<Builder> {
        self.nodes = Nodes::Some(parse_nodes(nodes)?);
        Ok(self)
    }

    /// How many workers of each node run at a time; unless told otherwise, as many as it has CPUs.
    pub fn workers_per_node(mut self, workers: usize) -> Builder {
        self.workers = NonZeroUsize::new(workers.clamp(1, 1024));
        self
    }

    /// How many workers all nodes have together, spread evenly; where they are fewer than the nodes, only as many nodes
    /// are used. Takes the place of [`Builder::workers_per_node`].
    pub fn workers_total(mut self, workers: usize) -> Builder {
        self.workers_total = NonZeroUsize::new(workers.max(1));
        self
    }

    /// How many threads each node has for its workers: at least as many as run at a time, and that many unless told
    /// otherwise. Those beyond run while others are inside [`blocking`](crate::blocking).
    pub fn threads_per_node(mut self, threads: usize) -> Builder {
        self.threads = NonZeroUsize::new(threads.clamp(1, 1024));
        self
    }

    /// What moves the bytes; see [`Backend`].
    pub fn backend(mut self, backend: Backend) -> Builder {
        self.backend = backend;
        self
    }

    /// The most operations under way at one worker: 65,536 unless told otherwise. A task that begins one more waits
    /// until others have ended.
    pub fn ops_max(mut self, ops_max: usize) -> Builder {
        self.ops_max = ops_max.max(1);
        self
    }

    /// The most threads of each node for what has no asynchronous form: 8 unless told otherwise. They start when
    /// needed.
    pub fn offload_threads_max(mut self, threads: usize) -> Builder {
        self.offload_threads_max = threads.max(1);
        self
    }

    /// The most functions of each node that wait for such a thread ([`offload`](crate::offload)): 1024 unless told
    /// otherwise. Who comes then waits until there is room.
    pub fn offload_jobs_max(mut self, jobs: usize) -> Builder {
        self.offload_jobs_max = jobs.max(1);
        self
    }

    /// How long a worker runs tasks at most before it looks at its operations again, as far as tasks keep to it: 500 us
    /// unless told otherwise.
    pub fn slice(mut self, slice: Duration) -> Builder {
        self.slice = slice.clamp(Duration::from_micros(1), Duration::from_secs(60));
        self
    }

    /// How long a task may hold its worker before the log and the metrics tell of it by name: 100 ms unless told
    /// otherwise. `None` does without, and without the one thread that watches.
    pub fn stall_after(mut self, threshold: Option<Duration>) -> Builder {
        self.stall_after = threshold;
        self
    }

    /// How many bytes the pool of buffers of each node has at most: 64 MiB unless told otherwise. See
    /// [`pool`](crate::pool).
    pub fn buffers_max(mut self, bytes: usize) -> Builder {
        self.buffers_max = bytes;
        self
    }

    /// How many permits the limiter of each node has: 1,024 unless told otherwise. See [`Handle::limiter`].
    pub fn permits_max(mut self, permits: usize) -> Builder {
        self.permits_max = permits.max(1);
        self
    }

    /// The simulated back end, with its seed and whatever else it is told.
    #[cfg(feature = "sim")]
    pub fn sim(mut self, options: ostia_port::sim::Options) -> Builder {
        self.backend = Backend::Sim;
        self.sim = Some(options);
        self
    }

    /// The runtime in the simulation, driven by the calling thread: see [`sim`](crate::sim).
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a node that is not there.
    #[cfg(feature = "sim")]
    pub fn world(mut self) -> io::Result<crate::sim::World> {
        let mut options = self.sim.unwrap_or_default();
        options.stepped = true;
        self = self.sim(options);
        crate::sim::World::open(&self, options.seed)
    }

    /// Starts the runtime: its workers run when this returns.
    ///
    /// # Errors
    ///
    /// Those of the system: the back end is not to be had, a thread cannot be started; `InvalidInput` for a node that
    /// is not there.
    pub fn build(self) -> io::Result<Runtime> {
        let shared = self.shared()?;
        let mut runtime = Runtime { shared, threads: Vec::new(), watchdog: None, pid: std::process::id() };
        if let Some(threshold) = self.stall_after {
            runtime.watchdog = Some(Watchdog::start(&self.name, &runtime.shared, threshold)?);
        }
        for node in &runtime.shared.nodes {
            for seat in 0..node.seats.len() {
                let thread = start(&self, node, seat)?;
                runtime.threads.push(thread);
            }
        }
        tracing::info!(
            nodes = runtime.shared.nodes.len(),
            threads = %runtime.threads(),
            backend = %runtime.backend(),
            "the runtime has started"
        );
        Ok(runtime)
    }

    /// The nodes, without anybody who works there.
    pub(crate) fn shared(&self) -> io::Result<Arc<Shared>> {
        let topology = match &self.topology {
            Some(topology) => topology.clone(),
            None => Topology::detect()?,
        };
        let mut chosen = choose(&topology, &self.nodes)?;
        if let Some(total) = self.workers_total {
            chosen.truncate(total.get());
        }
        let count = chosen.len();
        ostia_os::forks::watch()?;
        // The nodes are those of one machine.
        #[cfg(feature = "sim")]
        let kernel = self.sim.map(ostia_port::sim::Kernel::new);
        let mut nodes = Vec::with_capacity(chosen.len());
        for (index, (id, cpus)) in chosen.into_iter().enumerate() {
            let workers = match self.workers_total {
                // The first ones have what is left over.
                Some(total) => (total.get() / count + usize::from(index < total.get() % count)).min(1024),
                None => self.workers.map_or(cpus.len(), NonZeroUsize::get),
            };
            let threads = self.threads.map_or(workers, NonZeroUsize::get).max(workers);
            let builder = Port::builder()
                .name(&format!("{}-n{id}", self.name))
                .backend(self.backend)
                .ops_max(self.ops_max)
                .concurrency(u32::try_from(workers).expect("at most 1024, or as many as there are CPUs"))
                .offload_threads_max(self.offload_threads_max)
                .offload_jobs_max(self.offload_jobs_max);
            #[cfg(feature = "sim")]
            let builder = match &kernel {
                Some(kernel) => builder.kernel(kernel),
                None => builder,
            };
            let limits = Limits {
                buffers_max: self.buffers_max,
                permits_max: self.permits_max,
                offload_jobs_max: self.offload_jobs_max,
            };
            nodes.push(Arc::new(Node::new(index, id, cpus, builder.open()?, threads, workers, limits)));
        }
        let shared = Arc::new(Shared { nodes: nodes.into(), turns: Turns::default() });
        for node in &shared.nodes {
            let _ = node.runtime.set(Arc::downgrade(&shared));
        }
        Ok(shared)
    }
}

/// Whose numbers they are, and the CPUs they have.
fn choose(topology: &Topology, nodes: &Nodes) -> io::Result<Vec<(u32, CpuSet)>> {
    let all = topology.nodes().iter().filter(|node| !node.cpus().is_empty());
    let chosen: Vec<_> = match nodes {
        Nodes::All => all.collect(),
        Nodes::Some(numbers) => {
            for number in numbers.iter() {
                if !topology.nodes().iter().any(|node| node.id() == number) {
                    let there: CpuSet = topology.nodes().iter().map(|node| node.id()).collect();
                    let why = format!("there is no node {number}; the nodes are {there}");
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
                }
            }
            all.filter(|node| numbers.contains(node.id())).collect()
        }
    };
    if chosen.is_empty() {
        let why = "no node is left to run on";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    Ok(chosen.into_iter().map(|node| (node.id(), node.cpus().clone())).collect())
}

/// A list such as `0,2-3`, or a mask such as `0x5`.
fn parse_nodes(text: &str) -> io::Result<CpuSet> {
    let wrong = || {
        let why = format!("{text:?} names no nodes: write a list such as 0,2-3 or a mask such as 0x5");
        io::Error::new(io::ErrorKind::InvalidInput, why)
    };
    let set = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(mask) => CpuSet::from_words([u64::from_str_radix(mask, 16).map_err(|_| wrong())?]),
        None => text.parse().map_err(|_| wrong())?,
    };
    if set.is_empty() { Err(wrong()) } else { Ok(set) }
}

type Thread = thread::JoinHandle<ostia_port::Report>;

/// Starts a worker's thread and waits until it has its place.
fn start(builder: &Builder, node: &Arc<Node>, seat: usize) -> io::Result<Thread> {
    let (ready, is_ready) = mpsc::channel();
    let slice = builder.slice;
    let is_synthetic = builder
        .topology
        .as_ref()
        .is_some_and(|topology| topology.source() == ostia_os::topology::Source::Synthetic);
    let name = format!("{}-n{}-w{seat}", builder.name, node.id);
    let node = Arc::clone(node);
    let thread = thread::Builder::new().name(name).spawn(move || {
        let _thread = node.thread();
        // Before anything is touched: what the worker touches first lies on its node.
        if !is_synthetic && let Err(error) = bind(&node) {
            tracing::warn!(%error, node = node.id, "a worker is not bound to its node");
        }
        // Timers are what a worker sleeps until; only they become less exact where the system refuses.
        if let Err(error) = timing::be_punctual() {
            tracing::debug!(%error, "the system may end a worker's waits late");
        }
        match Worker::open(&node, seat, slice) {
            Ok(worker) => {
                let _ = ready.send(Ok(()));
                work(worker)
            }
            Err(error) => {
                let _ = ready.send(Err(error));
                ostia_port::Report::default()
            }
        }
    })?;
    match is_ready.recv() {
        Ok(Ok(())) => Ok(thread),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::Error::other("a worker ended before it began")),
    }
}

fn bind(node: &Node) -> io::Result<()> {
    affinity::pin(&node.cpus).map(ostia_os::affinity::Pinned::keep)
}

/// A worker's life.
fn work(mut worker: Worker) -> ostia_port::Report {
    let entered = worker.enter();
    loop {
        match worker.turn(true) {
            Ok(Turned::Over) => break,
            Ok(_) => {}
            Err(error) => {
                worker.hand_on(error);
                break;
            }
        }
    }
    drop(entered);
    worker.close(CLOSE_DEADLINE)
}

/// What the handles of a runtime share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) nodes: Box<[Arc<Node>]>,
    pub(crate) turns: Turns,
}

impl Shared {
    /// Lets go of what no worker will come to any more.
    pub(crate) fn let_go(&self, all_have_ended: bool) {
        for node in &self.nodes {
            node.shut();
            for seat in node.seats.iter().filter(|_| all_have_ended) {
                // They hold the node, as it holds them.
                seat.owned.forget();
            }
        }
    }

    pub(crate) fn workers(&self) -> usize {
        self.nodes.iter().map(|node| node.seats.len()).sum()
    }
}

/// An async runtime on completion ports: one node for each NUMA node, each with workers of its own.
///
/// ```
/// use ostia_rt::Runtime;
///
/// let runtime = Runtime::builder().workers_per_node(2).build()?;
/// let sum = runtime.block_on(async {
///     let task = ostia_rt::spawn(async { 1 + 1 });
///     task.await
/// });
/// assert_eq!(sum?, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Runtime {
    shared: Arc<Shared>,
    threads: Vec<Thread>,
    watchdog: Option<Watchdog>,
    pid: u32,
}

impl Runtime {
    /// How a runtime is made otherwise than usual.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// The usual runtime: all nodes, as many workers as there are CPUs.
    ///
    /// # Errors
    ///
    /// As [`Builder::build`].
    pub fn new() -> io::Result<Runtime> {
        Runtime::builder().build()
    }

    /// Which back end it has.
    pub fn backend(&self) -> Backend {
        self.shared.nodes[0].port.backend()
    }

    /// How many threads it has, and at most starts.
    pub fn threads(&self) -> Threads {
        Threads::of(&self.shared)
    }

    /// What other threads, and tasks, may keep of it.
    pub fn handle(&self) -> Handle {
        Handle { shared: Arc::clone(&self.shared) }
    }

    /// Runs a future on the calling thread until it has ended; the thread sleeps while there is nothing to poll.
    ///
    /// What the future spawns runs on the workers, and so do its operations: what is to be fast is spawned.
    ///
    /// # Panics
    ///
    /// On a worker, and inside another `block_on`: a worker would wait for itself. In a process that was forked after
    /// the runtime had started: its threads are not there.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.handle().block_on(future)
    }

    /// Spawns a task: see [`Handle::spawn`].
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle().spawn(future)
    }

    /// Ends the runtime: no task is taken any more, those that live are let go on for `grace`, then cancelled; what
    /// has not ended by the deadline, counted from now, is left behind and named in the report.
    ///
    /// On a worker, of this runtime or of another one, nobody is waited for: its own would wait for itself, and another's
    /// tasks are not to be held up for so long. All tasks are cancelled at once, the threads end by themselves when those
    /// have ended, and the report has no more than how many were cancelled. The same holds for a runtime that is dropped
    /// there.
    pub fn shutdown(mut self, grace: Duration, deadline: Duration) -> ShutdownReport {
        self.end(grace, deadline)
    }

    fn end(&mut self, grace: Duration, deadline: Duration) -> ShutdownReport {
        let mut report = ShutdownReport::default();
        let threads = mem::take(&mut self.threads);
        if self.pid != std::process::id() {
            // A forked process: the threads are not here, and nothing of theirs is ours to touch.
            mem::forget(threads);
            mem::forget(Arc::clone(&self.shared));
            mem::forget(self.watchdog.take());
            return report;
        }
        let began = Instant::now();
        let is_inside = context::is_worker();
        for node in &self.shared.nodes {
            node.advance(Phase::Draining);
        }
        if !is_inside {
            for node in &self.shared.nodes {
                node.wait_for_tasks(after(began, grace.min(deadline)));
            }
        }
        for node in &self.shared.nodes {
            report.cancelled += node.tasks();
            node.advance(Phase::Ending);
        }
        if is_inside {
            // The calling worker cannot wait for itself: the workers end when they have nothing left.
            drop(threads);
            self.tell_lost(&mut report);
            return report;
        }
        for node in &self.shared.nodes {
            node.wait_for_tasks(after(began, deadline));
        }
        for node in &self.shared.nodes {
            report.pending.extend(node.pending());
            node.advance(Phase::Over);
        }
        // Closing a berth takes a moment.
        let until = after(began, deadline).max(Instant::now() + 2 * CLOSE_DEADLINE);
        for node in &self.shared.nodes {
            node.wait_for_threads(until);
        }
        for thread in threads {
            // Those that are over have only to return.
            if thread.is_finished() || self.shared.nodes.iter().all(|node| node.threads() == 0) {
                report.threads_joined += 1;
                if let Ok(operations) = thread.join() {
                    report.operations_leaked += operations.leaked;
                }
            } else {
                // A worker inside a task that never returns cannot be joined.
                report.threads_left += 1;
            }
        }
        self.shared.let_go(report.threads_left == 0);
        self.tell_lost(&mut report);
        report
    }

    fn tell_lost(&self, report: &mut ShutdownReport) {
        report.lost = self.shared.nodes.iter().flat_map(|node| node.take_lost()).collect();
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            let report = self.end(Duration::ZERO, DROP_DEADLINE);
            if !report.pending.is_empty() || report.threads_left > 0 {
                tracing::warn!(%report, "the runtime was dropped, and did not end in time");
            }
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("backend", &self.backend())
            .field("nodes", &self.shared.nodes.len())
            .field("threads", &self.threads().total)
            .finish_non_exhaustive()
    }
}

/// What became of a runtime.
#[derive(Debug, Default)]
pub struct ShutdownReport {
    /// Tasks that had not ended by themselves, and whose end was asked for.
    pub cancelled: usize,
    /// Tasks that have not ended by the deadline, by name.
    pub pending: Vec<PendingTask>,
    /// Threads that have ended.
    pub threads_joined: usize,
    /// Threads inside a task that does not return.
    pub threads_left: usize,
    /// Operations that the system did not give back.
    pub operations_leaked: u64,
    /// Workers that were lost before: the system failed them.
    pub lost: Vec<LostWorker>,
}

/// A task that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingTask {
    /// What it is called.
    pub name: String,
    /// The node and the worker at which it was spawned.
    pub place: (usize, usize),
    /// Whether its worker is inside it at this moment.
    pub is_running: bool,
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tasks cancelled, {} threads joined", self.cancelled, self.threads_joined)?;
        if self.threads_left > 0 {
            write!(f, ", {} threads left behind", self.threads_left)?;
        }
        if self.operations_leaked > 0 {
            write!(f, ", {} operations leaked", self.operations_leaked)?;
        }
        for lost in &self.lost {
            write!(f, "; {lost}")?;
        }
        for task in &self.pending {
            let (node, worker) = task.place;
            let what = if task.is_running { "runs" } else { "waits" };
            write!(f, "; {} still {what} (node {node}, worker {worker})", task.name)?;
        }
        Ok(())
    }
}

impl Node {
    /// The tasks that have not ended.
    pub(crate) fn pending(&self) -> Vec<PendingTask> {
        let mut pending = Vec::new();
        for seat in &self.seats {
            let running = seat.running.get();
            for task in seat.owned.list() {
                pending.push(PendingTask {
                    name: task.name().as_str().to_owned(),
                    place: (self.index, seat.number),
                    is_running: running.is_some_and(|name| std::ptr::eq(name, task.name())),
                });
            }
        }
        pending
    }
}

/// A runtime as tasks and other threads know it. Cheap to clone; it does not keep the runtime running.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
}

impl Handle {
    /// The runtime of the task that asks, or of the `block_on` inside of which it is asked.
    pub fn try_current() -> Option<Handle> {
        context::with(|here| Handle::upgrade(here?.node.runtime.get()?)).or_else(Blocked::handle)
    }

    /// As [`Handle::try_current`].
    ///
    /// # Panics
    ///
    /// If there is none.
    #[track_caller]
    pub fn current() -> Handle {
        Handle::try_current().expect("this is asked inside a task, or inside the block_on of a runtime")
    }

    /// The runtime of a node, as long as somebody knows it.
    pub(crate) fn upgrade(shared: &Weak<Shared>) -> Option<Handle> {
        shared.upgrade().map(|shared| Handle { shared })
    }

    #[cfg(feature = "sim")]
    pub(crate) fn of(shared: &Arc<Shared>) -> Handle {
        Handle { shared: Arc::clone(shared) }
    }

    /// What it does at this moment, and what it has done so far.
    pub fn metrics(&self) -> Snapshot {
        Snapshot::new(self.shared.nodes.iter().map(|node| node.metrics()).collect())
    }

    /// The pool of buffers of a node.
    ///
    /// # Panics
    ///
    /// If there is no such node.
    #[track_caller]
    pub fn buffers(&self, node: usize) -> Pool {
        self.shared.node(node).buffers.clone()
    }

    /// The limiter of a node: what is to be bounded on a node as a whole asks here for a permit, or at a
    /// [`child`](Limiter::child) of its own. The runtime asks for none itself.
    ///
    /// # Panics
    ///
    /// If there is no such node.
    #[track_caller]
    pub fn limiter(&self, node: usize) -> Limiter {
        self.shared.node(node).limiter.clone()
    }

    /// How many nodes it has.
    pub fn nodes(&self) -> usize {
        self.shared.nodes.len()
    }

    /// How many workers of a node run at a time.
    ///
    /// # Panics
    ///
    /// If there is no such node.
    #[track_caller]
    pub fn workers(&self, node: usize) -> usize {
        self.shared.node(node).concurrency
    }

    /// How many threads it has, and at most starts.
    pub fn threads(&self) -> Threads {
        Threads::of(&self.shared)
    }

    /// The tasks that have not ended: for a look from outside, not for every day, as it locks each worker's list.
    pub fn tasks(&self) -> Vec<PendingTask> {
        self.shared.nodes.iter().flat_map(|node| node.pending()).collect()
    }

    /// The node of the task that asks, or one that is chosen in turns.
    pub(crate) fn some_node(&self) -> Arc<Node> {
        let here = context::with(|here| Some(Arc::clone(&here?.node)));
        let ours = here.filter(|node| self.shared.nodes.iter().any(|one| Arc::ptr_eq(one, node)));
        ours.unwrap_or_else(|| {
            let chosen = self.shared.living_node(node::turn() % self.shared.nodes.len());
            Arc::clone(&self.shared.nodes[chosen])
        })
    }

    /// Spawns a task: on the worker of the task that asks, or on a node that is chosen in turns. Another worker of
    /// the same node may steal it.
    ///
    /// After the runtime's end has begun, the task is dropped, and its handle says that it was cancelled.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        node::spawn(&self.some_node(), Start::Here, None, future)
    }

    /// Spawns a task with a name, which reports and metrics tell.
    pub fn spawn_named<F>(&self, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        node::spawn(&self.some_node(), Start::Here, Some(Name::of(name)), future)
    }

    /// Spawns a task on a node.
    ///
    /// # Panics
    ///
    /// If there is no such node.
    #[track_caller]
    pub fn spawn_on<F>(&self, node: usize, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_at(Placement::Node(node), future)
    }

    /// Spawns a task where the placement says.
    ///
    /// # Panics
    ///
    /// If it names a node or a worker that is not there.
    #[track_caller]
    pub fn spawn_at<F>(&self, placement: Placement, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        match self.shared.place(placement) {
            Some(place) => node::spawn(self.shared.node(place.node), Start::Seat(place.worker), None, future),
            None => self.spawn(future),
        }
    }

    /// See [`Runtime::block_on`].
    ///
    /// # Panics
    ///
    /// See there.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let process = &self.shared.nodes[0];
        process.check_process();
        let blocked = Blocked::enter(self).expect(
            "block_on inside a task or another block_on: the thread would wait for itself; await instead",
        );
        let parker = Arc::new(Parker { thread: thread::current() });
        let waker = Waker::from(parker);
        let mut cx = Context::from_waker(&waker);
        let mut future = pin!(future);
        let output = loop {
            match future.as_mut().poll(&mut cx) {
                Poll::Ready(output) => break output,
                // A wake that came meanwhile left a token: then this returns at once.
                Poll::Pending => {
                    // The future may have forked the process: nobody is here who would wake it.
                    process.check_process();
                    thread::park();
                }
            }
        };
        drop(blocked);
        output
    }
}

struct Parker {
    thread: thread::Thread,
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.thread.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.thread.unpark();
    }
}
