//! The whole runtime in the simulation: one thread, one seed, one run.
//!
//! A [`World`] has the nodes and the workers of a runtime and no thread. Its workers take their turns one at a time, in
//! an order that a seed chooses; their ports are on one simulated machine, whose every choice follows from the same seed.
//! A worker that would sleep is left asleep at its berth as a thread would be in the system's call, and has its next turn
//! when something has woken it: a wake that is lost is lost here, too. When all of them sleep, the clock goes on to the
//! next moment at which something happens. So an hour takes no time, and a seed that fails fails again.
//!
//! ```
//! use std::time::Duration;
//!
//! use ostia_rt::{Runtime, sim, time};
//!
//! let mut world = Runtime::builder().workers_per_node(2).sim(sim::Options::new(1)).world()?;
//! let answer = world.run_until(async {
//!     let task = ostia_rt::spawn(async {
//!         time::sleep(Duration::from_secs(3600)).await;
//!         6 * 7
//!     });
//!     task.await.expect("it does not panic")
//! });
//! assert_eq!(answer?, 42);
//! let report = world.shutdown(Duration::ZERO, Duration::from_secs(1));
//! assert!(report.pending.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **What is weak.** The steps of two workers are never mixed within a turn: what comes of that is for loom. Code takes no
//! time unless it says so by [`burn`].

use std::{
    error::Error,
    fmt,
    future::Future,
    io,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

pub use ostia_port::sim::{Break, Kernel, Options, State};

use crate::{
    context::{self, Blocked},
    node::{self, Phase},
    placement::spread,
    runtime::{Builder, CLOSE_DEADLINE, Handle, PendingTask, Shared, ShutdownReport},
    worker::{Turned, Worker},
};

/// So many turns without an end are too many for any test: something runs in circles.
const TURNS_MAX: u64 = 1_000_000;

/// A runtime without threads: see the [module](self).
pub struct World {
    shared: Arc<Shared>,
    kernel: Kernel,
    /// Those that have not ended.
    workers: Vec<Worker>,
    dice: Dice,
    trace: u64,
    /// In a thousand: how often a worker that sleeps gets up for nothing.
    spurious: u64,
    report: ShutdownReport,
}

impl World {
    pub(crate) fn open(builder: &Builder, seed: u64) -> io::Result<World> {
        node::forget_turns();
        let shared = builder.shared()?;
        let kernel = Kernel::of(&shared.nodes[0].port).expect("the builder was told of the simulation");
        let mut workers = Vec::with_capacity(shared.workers());
        for node in &shared.nodes {
            for seat in 0..node.seats.len() {
                workers.push(Worker::open(node, seat, builder.slice)?);
            }
        }
        let dice = Dice(seed ^ 0x5_7e99_ed00);
        Ok(World { shared, kernel, workers, dice, trace: 0, spurious: 0, report: ShutdownReport::default() })
    }

    /// How often, in a thousand looks, a worker that sleeps gets up for nothing, as a thread may. Such a worker finds
    /// what it was not woken for: with 0, as it is unless told otherwise, a lost wake shows soonest.
    pub fn spurious(mut self, in_thousand: u16) -> World {
        self.spurious = in_thousand.into();
        self
    }

    /// What tasks, and tests, may keep of the runtime.
    pub fn handle(&self) -> Handle {
        Handle::of(&self.shared)
    }

    /// The machine it is on.
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// A number made of everything that happened, and in which order: equal in equal runs, and hardly ever in others.
    pub fn trace(&self) -> u64 {
        let state = self.kernel.state();
        self.trace ^ state.digest ^ (state.elapsed.as_nanos() as u64).rotate_left(32)
    }

    /// How many workers have not ended.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// How many operations hold a slot: those under way, and those whose result nobody has taken.
    pub fn slots_in_use(&self) -> usize {
        self.workers.iter().map(Worker::slots_in_use).sum()
    }

    /// Runs a future, as [`Runtime::block_on`](crate::Runtime::block_on) does, and the workers, until it has ended.
    ///
    /// # Errors
    ///
    /// [`Stuck`], if it never will.
    pub fn run_until<F: Future>(&mut self, future: F) -> Result<F::Output, Stuck> {
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&flag));
        let handle = self.handle();
        let mut future = pin!(future);
        for _ in 0..TURNS_MAX {
            let is_woken = flag.0.load(Ordering::Relaxed);
            match self.choose(is_woken) {
                Chosen::Worker(place) => self.turn(place),
                Chosen::Outside => {
                    self.note(u64::MAX);
                    flag.0.store(false, Ordering::Relaxed);
                    let blocked = Blocked::enter(&handle).expect("a world runs outside of tasks");
                    let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
                    drop(blocked);
                    if let Poll::Ready(output) = polled {
                        return Ok(output);
                    }
                }
                Chosen::Nobody => {
                    self.look_for_stranded()?;
                    if !self.kernel.advance(None) {
                        return Err(self.stuck("nothing will ever wake anybody"));
                    }
                }
            }
        }
        Err(self.stuck("it goes on and on"))
    }

    /// Lets everybody work until the time has come, or nothing will happen any more.
    ///
    /// # Errors
    ///
    /// [`Stuck`], if work was left where nobody looks.
    pub fn run_for(&mut self, time: Duration) -> Result<(), Stuck> {
        let until = self.kernel.now() + time;
        self.run_while(until, |_| true)
    }

    /// Ends the runtime, as [`Runtime::shutdown`](crate::Runtime::shutdown) does, by the clock of the simulation.
    ///
    /// # Panics
    ///
    /// If work was left where nobody looks.
    pub fn shutdown(mut self, grace: Duration, deadline: Duration) -> ShutdownReport {
        self.end(grace, deadline).unwrap_or_else(|stuck| panic!("{stuck}"))
    }

    /// As [`World::shutdown`]; the world may still be asked what came of it.
    ///
    /// # Errors
    ///
    /// [`Stuck`], if work was left where nobody looks.
    pub fn end(&mut self, grace: Duration, deadline: Duration) -> Result<ShutdownReport, Stuck> {
        let began = self.kernel.now();
        let shared = Arc::clone(&self.shared);
        let has_tasks = |world: &World| world.shared.nodes.iter().any(|node| node.tasks() > 0);
        shared.nodes.iter().for_each(|node| node.advance(Phase::Draining));
        self.run_while(began + grace.min(deadline), has_tasks)?;
        for node in &shared.nodes {
            self.report.cancelled += node.tasks();
            node.advance(Phase::Ending);
        }
        self.run_while(began + deadline, has_tasks)?;
        for node in &shared.nodes {
            self.report.pending.extend(node.pending());
            node.advance(Phase::Over);
        }
        let until = (began + deadline).max(self.kernel.now() + CLOSE_DEADLINE);
        self.run_while(until, |world| !world.workers.is_empty())?;
        let mut report = std::mem::take(&mut self.report);
        report.threads_left = self.workers.len();
        report.lost = shared.nodes.iter().flat_map(|node| node.take_lost()).collect();
        shared.let_go(report.threads_left == 0);
        Ok(report)
    }

    /// Lets everybody work as long as that is so and until then, or nothing will happen any more.
    fn run_while(&mut self, until: Instant, is_so: impl Fn(&World) -> bool) -> Result<(), Stuck> {
        for _ in 0..TURNS_MAX {
            if !is_so(self) || self.kernel.now() >= until {
                return Ok(());
            }
            match self.choose(false) {
                Chosen::Worker(place) => self.turn(place),
                Chosen::Outside => unreachable!("nobody waits outside"),
                Chosen::Nobody => {
                    self.look_for_stranded()?;
                    self.kernel.advance(Some(until));
                }
            }
        }
        Err(self.stuck("it goes on and on"))
    }

    /// Whose turn is it?
    fn choose(&mut self, is_outside_woken: bool) -> Chosen {
        let awake = |worker: &&Worker| !worker.is_asleep();
        let count = self.workers.iter().filter(awake).count() + usize::from(is_outside_woken);
        if self.spurious > 0 && !self.workers.is_empty() && self.dice.below(1000) < self.spurious {
            return Chosen::Worker(self.dice.below(self.workers.len() as u64) as usize);
        }
        if count == 0 {
            return Chosen::Nobody;
        }
        let chosen = self.dice.below(count as u64) as usize;
        let mut places = (0..self.workers.len()).filter(|place| !self.workers[*place].is_asleep());
        places.nth(chosen).map_or(Chosen::Outside, Chosen::Worker)
    }

    fn turn(&mut self, place: usize) {
        let worker = &mut self.workers[place];
        let entered = worker.enter();
        let turned = worker.step().unwrap_or_else(|error| {
            worker.hand_on(error);
            Turned::Over
        });
        drop(entered);
        let (node, seat) = worker.place();
        let sum = (node as u64) << 32 | (seat as u64) << 8 | turned as u64;
        self.note(sum);
        if turned == Turned::Over {
            let worker = self.workers.remove(place);
            let operations = worker.close(CLOSE_DEADLINE);
            self.report.threads_joined += 1;
            self.report.operations_leaked += operations.leaked;
            if self.workers.iter().all(|worker| worker.place().0 != node) {
                // As the last thread of a node does.
                self.shared.nodes[node].shut();
            }
        }
    }

    fn note(&mut self, what: u64) {
        self.trace = (self.trace ^ what).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }

    /// All sleep: then no queue may have a task.
    fn look_for_stranded(&self) -> Result<(), Stuck> {
        for worker in &self.workers {
            if worker.has_work() {
                let (node, seat) = worker.place();
                let why =
                    format!("worker {seat} of node {node} sleeps, and there is work for it: a wake was lost");
                return Err(self.stuck(&why));
            }
        }
        Ok(())
    }

    fn stuck(&self, why: &str) -> Stuck {
        Stuck { why: why.to_owned(), state: self.kernel.state(), pending: self.handle().tasks() }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !self.workers.is_empty() && !std::thread::panicking() {
            // What is stuck now is so because it was before, and the test has heard of it.
            let _ = self.end(Duration::ZERO, Duration::from_secs(5));
        }
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("nodes", &self.shared.nodes.len())
            .field("workers", &self.workers.len())
            .field("state", &self.kernel.state())
            .finish_non_exhaustive()
    }
}

/// Who is next.
enum Chosen {
    Worker(usize),
    /// The future given to `run_until`.
    Outside,
    /// All sleep.
    Nobody,
}

/// The waker of the future given to `run_until`.
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A run that does not come to its end.
#[derive(Debug)]
pub struct Stuck {
    why: String,
    state: State,
    pending: Vec<PendingTask>,
}

impl Stuck {
    /// The tasks that have not ended.
    pub fn pending(&self) -> &[PendingTask] {
        &self.pending
    }
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let State { operations, elapsed, .. } = self.state;
        write!(f, "{}; after {elapsed:?}, with {operations} operations under way, these wait:", self.why)?;
        for task in &self.pending {
            let (node, worker) = task.place;
            write!(f, " {} (node {node}, worker {worker});", task.name)?;
        }
        if self.pending.is_empty() { f.write_str(" no task") } else { Ok(()) }
    }
}

impl Error for Stuck {}

/// The calling thread works for so long: the clock goes on. In no world nothing happens.
pub fn burn(time: Duration) {
    let kernel = context::with(|here| Kernel::of(&here?.node.port));
    if let Some(kernel) = kernel {
        kernel.pass(time);
    }
}

/// Breaks the berth of the worker of the moment: its next wait fails, and it is lost, as where a real system fails. In no
/// world nothing happens.
pub fn break_worker(how: Break) {
    context::with(|here| here.into_iter().for_each(|here| here.driver.break_berth(how)));
}

/// The node and the worker of the moment.
pub fn place() -> Option<(usize, usize)> {
    context::with(|here| here.map(|here| (here.node.index, here.seat.number)))
}

/// A row of numbers that looks like chance and is the same each time: splitmix64.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    /// A number below `end`, which is not 0.
    fn below(&mut self, end: u64) -> u64 {
        let drawn = spread(self.0);
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        ((u128::from(drawn) * u128::from(end)) >> 64) as u64
    }
}
