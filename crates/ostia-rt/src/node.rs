//! A node: its port, and what its workers share.

use std::{
    cell::Cell,
    fmt,
    future::Future,
    sync::{
        Arc, Condvar, Mutex, OnceLock, Weak,
        atomic::{AtomicBool, AtomicIsize, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence},
    },
    thread::LocalKey,
    time::{Duration, Instant},
};

use ostia_os::CpuSet;
use ostia_port::{Bell, Port};

use crate::{
    context::{self, Here},
    limiter::Limiter,
    loom::{self, lock},
    lost::LostWorker,
    metrics::{self, WorkerCounters},
    permits::Permits,
    pool::Pool,
    runtime::Shared,
    slice::{Joined, SharedWork},
    stall::Kennel,
    sync::Semaphore,
    task::{self, AtomicName, Header, Injector, JoinHandle, Name, Owned, Schedule, Steal, Task},
    time::Timers,
};

/// A buffer that nobody needed for so long is given up.
const BUFFERS_KEPT: Duration = Duration::from_secs(5);

/// What is asked of the workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// To work.
    Open,
    /// To work, and to begin nothing new.
    Draining,
    /// To cancel what is left, and to end when that has ended.
    Ending,
    /// To end at once, whatever is left.
    Over,
}

/// The workers of a node and what they share.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) index: usize,
    /// Its number in the topology.
    pub(crate) id: u32,
    pub(crate) cpus: CpuSet,
    pub(crate) port: Port,
    pub(crate) seats: Box<[Arc<Seat>]>,
    /// Tasks that any worker may take.
    pub(crate) injector: Injector,
    /// Work in pieces that idle workers may help with; at most one for each task.
    work: Mutex<Vec<Arc<SharedWork>>>,
    has_work: AtomicBool,
    pub(crate) idle: Idle,
    /// How many workers run tasks at a time.
    pub(crate) concurrency: usize,
    /// What counts them, if there are more threads than that.
    pub(crate) permits: Option<Permits>,
    /// Room in the queue before the offload threads.
    pub(crate) offload_room: Arc<Semaphore>,
    /// The process whose threads work here.
    pid: u32,
    /// How many workers look for work that others have; less than that for a moment, when one has looked before it was
    /// counted.
    searching: AtomicIsize,
    phase: AtomicU8,
    pub(crate) buffers: Pool,
    pub(crate) limiter: Limiter,
    /// A worker has undertaken to trim the buffers when it is time.
    pub(crate) is_trimmed: AtomicBool,
    /// Where the watchdog sleeps, if there is one.
    pub(crate) kennel: OnceLock<Arc<Kennel>>,
    pub(crate) runtime: OnceLock<Weak<Shared>>,
    /// How many workers are not lost.
    pub(crate) alive: AtomicUsize,
    pub(crate) lost: Mutex<Vec<LostWorker>>,
    /// How many threads work here; who ends the runtime waits here for them, and for the last task.
    threads: Mutex<usize>,
    ended: Condvar,
}

/// How much of it a node has at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes of buffers.
    pub(crate) buffers_max: usize,
    /// Permits of its limiter.
    pub(crate) permits_max: usize,
    /// Jobs that wait for an offload thread.
    pub(crate) offload_jobs_max: usize,
}

/// What a worker shows to the others.
pub(crate) struct Seat {
    pub(crate) number: usize,
    pub(crate) steal: OnceLock<Steal>,
    /// Tasks for this worker alone.
    pub(crate) inbox: Injector,
    pub(crate) bell: OnceLock<Bell>,
    /// The tasks that were spawned here and have not ended.
    pub(crate) owned: Owned,
    /// What runs now.
    pub(crate) running: AtomicName,
    /// More tasks than these in its queue are worth the wake of another worker: see `Worker::adapt`.
    pub(crate) worth: AtomicUsize,
    /// The watchdog saw it inside one task for long: whatever waits there is for others.
    pub(crate) is_held: AtomicBool,
    /// Its worker works no more, and others do its work: see [`lost`](crate::lost).
    pub(crate) is_lost: AtomicBool,
    pub(crate) counters: WorkerCounters,
    /// The timers that were begun here: any thread may take its own out again.
    pub(crate) timers: loom::Mutex<Timers>,
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat")
            .field("number", &self.number)
            .field("running", &self.running.get().map(Name::as_str))
            .field("tasks", &self.owned.len())
            .finish_non_exhaustive()
    }
}

impl Seat {
    fn new(number: usize, started: Instant) -> Seat {
        Seat {
            number,
            steal: OnceLock::new(),
            inbox: Injector::new(),
            bell: OnceLock::new(),
            owned: Owned::new(),
            running: AtomicName::new(),
            worth: AtomicUsize::new(1),
            is_held: AtomicBool::new(false),
            is_lost: AtomicBool::new(false),
            counters: WorkerCounters::default(),
            timers: loom::Mutex::new(Timers::new(started)),
        }
    }

    #[inline]
    pub(crate) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed)
    }

    /// Whether it has tasks that are worth another worker's while.
    pub(crate) fn has_loot(&self) -> bool {
        let len = self.steal.get().map_or(0, Steal::len);
        len > self.worth.load(Ordering::Relaxed) || len > 0 && self.is_held.load(Ordering::Relaxed)
    }

    /// Wakes the worker if it sleeps. What it is woken for was left before.
    pub(crate) fn ring(&self) {
        if let Some(bell) = self.bell.get() {
            bell.ring();
        }
    }
}

/// Which workers sleep.
#[derive(Debug)]
pub(crate) struct Idle {
    words: Box<[AtomicU64]>,
}

impl Idle {
    fn new(seats: usize) -> Idle {
        Idle { words: (0..seats.div_ceil(64)).map(|_| AtomicU64::new(0)).collect() }
    }

    fn word(&self, seat: usize) -> (&AtomicU64, u64) {
        (&self.words[seat / 64], 1 << (seat % 64))
    }

    pub(crate) fn set(&self, seat: usize) {
        let (word, bit) = self.word(seat);
        word.fetch_or(bit, Ordering::SeqCst);
    }

    /// It sleeps no more. False if somebody has taken it to wake it.
    pub(crate) fn clear(&self, seat: usize) -> bool {
        let (word, bit) = self.word(seat);
        word.fetch_and(!bit, Ordering::SeqCst) & bit != 0
    }

    /// Whether all of so many do.
    pub(crate) fn all(&self, seats: usize) -> bool {
        self.words.iter().map(|word| word.load(Ordering::SeqCst).count_ones() as usize).sum::<usize>()
            == seats
    }

    #[inline]
    pub(crate) fn any(&self) -> bool {
        self.words.iter().any(|word| word.load(Ordering::Relaxed) != 0)
    }

    /// Takes one that sleeps; the lowest, so that the same ones are woken while they are enough.
    fn take(&self) -> Option<usize> {
        for (at, word) in self.words.iter().enumerate() {
            let mut now = word.load(Ordering::SeqCst);
            while now != 0 {
                let bit = now & now.wrapping_neg();
                let before = word.fetch_and(!bit, Ordering::SeqCst);
                if before & bit != 0 {
                    return Some(at * 64 + bit.trailing_zeros() as usize);
                }
                now = before & !bit;
            }
        }
        None
    }
}

impl Node {
    pub(crate) fn new(
        index: usize,
        id: u32,
        cpus: CpuSet,
        port: Port,
        threads: usize,
        concurrency: usize,
        limits: Limits,
    ) -> Node {
        Node {
            index,
            id,
            cpus,
            seats: (0..threads).map(|number| Arc::new(Seat::new(number, port.now()))).collect(),
            port,
            injector: Injector::new(),
            work: Mutex::new(Vec::new()),
            has_work: AtomicBool::new(false),
            idle: Idle::new(threads),
            concurrency,
            permits: (concurrency < threads).then(|| Permits::new(concurrency, threads)),
            offload_room: Arc::new(Semaphore::new(limits.offload_jobs_max)),
            pid: std::process::id(),
            searching: AtomicIsize::new(0),
            phase: AtomicU8::new(Phase::Open as u8),
            buffers: Pool::new(limits.buffers_max, BUFFERS_KEPT),
            limiter: Limiter::new(limits.permits_max),
            is_trimmed: AtomicBool::new(false),
            kennel: OnceLock::new(),
            runtime: OnceLock::new(),
            alive: AtomicUsize::new(threads),
            lost: Mutex::new(Vec::new()),
            threads: Mutex::new(0),
            ended: Condvar::new(),
        }
    }

    /// A forked process has none of the threads, and what it shares with its parent is the parent's.
    ///
    /// # Panics
    ///
    /// In a forked process.
    #[track_caller]
    pub(crate) fn check_process(&self) {
        assert_eq!(self.pid, std::process::id(), "a runtime does not live on in a forked process");
    }

    /// The node's clock: the system's, or that of the simulation.
    #[inline]
    pub(crate) fn now(&self) -> Instant {
        self.port.now()
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Open,
            1 => Phase::Draining,
            2 => Phase::Ending,
            _ => Phase::Over,
        }
    }

    /// Goes on to a later phase.
    ///
    /// Who ends the runtime asks the tasks to end: a worker that is busy may not come to it.
    pub(crate) fn advance(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::SeqCst);
        if phase >= Phase::Draining {
            for seat in &self.seats {
                seat.owned.close();
            }
        }
        if phase == Phase::Ending {
            for seat in &self.seats {
                seat.owned.cancel_all();
            }
        }
        if phase == Phase::Over
            && let Some(permits) = &self.permits
        {
            permits.close();
        }
        for seat in &self.seats {
            seat.ring();
        }
    }

    /// What it does at this moment, and what it has done so far.
    pub(crate) fn metrics(&self) -> metrics::Node {
        let sum = |each: fn(&Seat) -> usize| self.seats.iter().map(|seat| each(seat) as u64).sum::<u64>();
        metrics::Node {
            node: self.index,
            tasks: self.tasks() as u64,
            queued: self.injector.len() as u64
                + sum(|seat| seat.inbox.len() + seat.steal.get().map_or(0, Steal::len)),
            in_flight: self.seats.iter().fold(0_u64, |sum, seat| {
                // Of what ends meanwhile the end may be seen before the beginning; then the next look is right.
                sum.wrapping_add(seat.counters.submitted.get()).wrapping_sub(seat.counters.completed.get())
            }),
            timers: sum(|seat| lock(&seat.timers).len()),
            buffers: self.buffers.usage(),
            permits: self.limiter.stats(),
            workers: self.seats.iter().map(|seat| seat.counters.read(seat.number)).collect(),
        }
    }

    /// How many tasks have not ended.
    pub(crate) fn tasks(&self) -> usize {
        self.seats.iter().map(|seat| seat.owned.len()).sum()
    }

    /// Waits until all tasks have ended, at most until the deadline.
    pub(crate) fn wait_for_tasks(&self, until: Instant) {
        self.wait_until(until, |_| self.tasks() == 0);
    }

    /// Waits until all threads have ended, at most until the deadline.
    pub(crate) fn wait_for_threads(&self, until: Instant) {
        self.wait_until(until, |threads| threads == 0);
    }

    fn wait_until(&self, until: Instant, is_so: impl Fn(usize) -> bool) {
        let left = until.saturating_duration_since(Instant::now());
        let waited = self.ended.wait_timeout_while(lock(&self.threads), left, |threads| !is_so(*threads));
        drop(waited.unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    fn tell(&self) {
        // Who is about to wait has either looked after what is told, or hears it.
        drop(lock(&self.threads));
        self.ended.notify_all();
    }

    fn tell_ended(&self) {
        if self.tasks() == 0 {
            self.tell();
            // A worker that has nothing left ends.
            for seat in &self.seats {
                seat.ring();
            }
        }
    }

    /// A thread works here until what is returned is dropped.
    pub(crate) fn thread(self: &Arc<Node>) -> Thread {
        *lock(&self.threads) += 1;
        Thread(Arc::clone(self))
    }

    pub(crate) fn threads(&self) -> usize {
        *lock(&self.threads)
    }

    /// Nobody works here any more: what comes now is refused.
    pub(crate) fn shut(&self) {
        self.injector.close();
        let _ = self.port.close(Duration::ZERO);
    }

    /// Wakes a worker to look for work, unless one is looking already. The work was left before.
    pub(crate) fn wake_one(&self) {
        while self.searching.load(Ordering::SeqCst) == 0 {
            // Whoever has the last permit looks at everything after it has given it back.
            if self.permits.as_ref().is_some_and(|permits| permits.free() == 0) {
                return;
            }
            let Some(seat) = self.idle.take() else { return };
            let before = self.searching.fetch_add(1, Ordering::SeqCst);
            self.seats[seat].ring();
            if before >= 0 {
                return;
            }
            // It was awake already, and has looked before it was counted. Whoever left something meanwhile may have
            // relied on it: another one looks.
        }
    }

    /// A worker that was woken to look has looked.
    pub(crate) fn searched(&self) {
        self.searching.fetch_sub(1, Ordering::SeqCst);
        // What was left by those who relied on it is seen from here on.
        fence(Ordering::SeqCst);
    }

    /// Work that idle workers may help with.
    pub(crate) fn offer_work(&self, work: &Arc<SharedWork>) {
        let mut list = lock(&self.work);
        list.push(Arc::clone(work));
        self.has_work.store(true, Ordering::SeqCst);
    }

    pub(crate) fn withdraw_work(&self, work: &Arc<SharedWork>) {
        let mut list = lock(&self.work);
        let place = list.iter().position(|one| Arc::ptr_eq(one, work));
        let withdrawn = place.map(|place| list.swap_remove(place));
        self.has_work.store(!list.is_empty(), Ordering::SeqCst);
        drop(list);
        drop(withdrawn);
    }

    /// Whether there may be work to help with.
    pub(crate) fn has_work(&self) -> bool {
        self.has_work.load(Ordering::SeqCst)
    }

    /// Some work to help with, and a place at it; another one each time.
    pub(crate) fn work(&self, turn: usize) -> Option<Arc<SharedWork>> {
        if !self.has_work() {
            return None;
        }
        let mut list = lock(&self.work);
        if list.is_empty() {
            return None;
        }
        let place = turn % list.len();
        let joined = list[place].join();
        if joined == Joined::OneMore {
            return Some(Arc::clone(&list[place]));
        }
        // Nobody else can help, and who finds the list empty may sleep.
        let work = list.swap_remove(place);
        self.has_work.store(!list.is_empty(), Ordering::SeqCst);
        drop(list);
        (joined == Joined::Last).then_some(work)
    }

    /// A place at this work is free again: it is offered, unless it is already.
    pub(crate) fn offer_place(&self, work: &Arc<SharedWork>) {
        let mut list = lock(&self.work);
        // It is closed before it is withdrawn: what is open here will be withdrawn.
        if work.has_place() && !list.iter().any(|one| Arc::ptr_eq(one, work)) {
            list.push(Arc::clone(work));
            self.has_work.store(true, Ordering::SeqCst);
        }
    }

    /// A task that any worker may take.
    pub(crate) fn inject(&self, task: Task) {
        self.injector.push(task);
        // Either the worker that lies down sees the task, or we see that it lies down.
        fence(Ordering::SeqCst);
        self.wake_one();
    }

    /// A task for one worker; if that is lost, and the task may move, for any.
    pub(crate) fn send(&self, seat: usize, task: Task) {
        match self.seats[seat].inbox.try_push(task) {
            Ok(()) => {
                fence(Ordering::SeqCst);
                self.seats[seat].ring();
            }
            Err(task) if !task.is_local() => self.inject(task),
            // All of those have ended before.
            Err(task) => drop(task),
        }
    }

    /// The worker with the fewest tasks, of two that are chosen by `turn`.
    pub(crate) fn better_of_two(&self, turn: usize) -> usize {
        let count = self.seats.len();
        let first = self.living(turn % count);
        let second = self.living((turn / count + first + 1) % count);
        if self.seats[second].owned.len() < self.seats[first].owned.len() { second } else { first }
    }
}

/// See [`Node::thread`].
#[derive(Debug)]
pub(crate) struct Thread(Arc<Node>);

impl Drop for Thread {
    fn drop(&mut self) {
        let left = {
            let mut threads = lock(&self.0.threads);
            *threads -= 1;
            *threads
        };
        if left == 0 {
            // Also where nobody waits for it: a runtime that one of its own tasks has dropped.
            self.0.shut();
        }
        self.0.tell();
    }
}

/// The scheduler of a task: where it was spawned.
#[derive(Debug)]
pub(crate) struct Home {
    node: Arc<Node>,
    seat: usize,
    is_local: bool,
}

/// The way to the queue of a task.
pub(crate) enum Way {
    /// The worker of the moment has it.
    Here,
    /// Any worker of the node may take it, or this one alone.
    Away(Arc<Node>, Option<usize>),
}

impl Schedule for Home {
    type Way = Way;

    #[inline]
    fn way(&self) -> Way {
        context::with(|here| match here {
            Some(here)
                if Arc::ptr_eq(&here.node, &self.node)
                    && (!self.is_local || here.seat.number == self.seat) =>
            {
                Way::Here
            }
            // The node is the last thing that a thread of nobody knows of the runtime, once it has given the task away.
            _ => Way::Away(Arc::clone(&self.node), self.is_local.then_some(self.seat)),
        })
    }

    #[inline]
    fn schedule(way: Way, task: Task) {
        match way {
            Way::Here => context::with(|here| {
                let here = here.expect("just seen");
                if task.is_local() {
                    here.local.borrow_mut().push_back(task);
                    here.end_wait();
                } else {
                    here.enqueue(task);
                }
            }),
            Way::Away(node, Some(seat)) => node.send(seat, task),
            Way::Away(node, None) => node.inject(task),
        }
    }

    fn release(&self, task: &Header) -> bool {
        let was_here = self.node.seats[self.seat].owned.remove(task);
        if self.node.phase() >= Phase::Draining {
            self.node.tell_ended();
        }
        was_here
    }
}

impl Here {
    /// What is woken inside the wait of this very worker has to end it.
    #[inline]
    fn end_wait(&self) {
        if self.driver.is_waiting.get() {
            self.seat.ring();
        }
    }

    /// Adds a task behind those of this worker; if they are more than a slice already, behind those of the node.
    #[inline]
    pub(crate) fn enqueue(&self, task: Task) {
        self.end_wait();
        let waiting = self.queue.len();
        if waiting < self.share_above.get() {
            match self.queue.push(task) {
                Ok(()) => {
                    // What this worker comes to sooner than a sleeper would is not worth a wake.
                    if waiting >= self.seat.worth.load(Ordering::Relaxed) && self.node.idle.any() {
                        self.node.wake_one();
                    }
                }
                Err(task) => self.node.inject(task),
            }
        } else {
            self.node.inject(task);
        }
    }
}

/// Where a task begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// With the worker of the moment, or with whichever comes first.
    Here,
    /// With this worker of the node, though others may steal it.
    Seat(usize),
}

/// Spawns a task at a node.
#[track_caller]
pub(crate) fn spawn<F>(
    node: &Arc<Node>,
    start: Start,
    name: Option<&'static Name>,
    future: F,
) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let here = context::with(|here| {
        here.filter(|here| Arc::ptr_eq(&here.node, node)).map(|here| {
            here.driver.check_process();
            here.seat.number
        })
    });
    if here.is_none() {
        node.check_process();
    }
    let seat = match (start, here) {
        (Start::Seat(seat), _) => node.living(seat),
        (Start::Here, Some(seat)) => seat,
        (Start::Here, None) => node.better_of_two(seat_turn()),
    };
    let home = Home { node: Arc::clone(node), seat, is_local: false };
    let (task, owned, join) = task::new(future, home, name);
    if !node.seats[seat].owned.insert(owned) {
        refuse(task);
        return join;
    }
    match (start, here) {
        (Start::Seat(_), here) if here != Some(seat) => node.send(seat, task),
        (_, Some(_)) => context::with(|here| here.expect("just seen").enqueue(task)),
        (_, None) => node.inject(task),
    }
    join
}

/// Spawns a task with the worker of the moment, if there is one.
#[inline]
#[track_caller]
pub(crate) fn spawn_here<F>(future: F) -> Result<JoinHandle<F::Output>, F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    context::with(|here| {
        let Some(here) = here else { return Err(future) };
        here.driver.check_process();
        let home = Home { node: Arc::clone(&here.node), seat: here.seat.number, is_local: false };
        let (task, owned, join) = task::new(future, home, None);
        if here.seat.owned.insert(owned) {
            here.enqueue(task);
        } else {
            refuse(task);
        }
        Ok(join)
    })
}

/// Spawns a task that stays with the worker of the moment; where that is lost, the task is cancelled at once.
#[track_caller]
pub(crate) fn spawn_local<F>(here: &Here, name: Option<&'static Name>, future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    here.driver.check_process();
    let home = Home { node: Arc::clone(&here.node), seat: here.seat.number, is_local: true };
    let (task, owned, join) = task::new_local(future, home, name);
    if !here.seat.is_lost() && here.seat.owned.insert(owned) {
        here.local.borrow_mut().push_back(task);
    } else {
        refuse(task);
    }
    join
}

/// The runtime ends and takes no task: this one ends as cancelled, here and now.
fn refuse(task: Task) {
    task.cancel();
    task.run();
}

thread_local! {
    static TURN: Cell<usize> = const { Cell::new(0) };
    static SEAT_TURN: Cell<usize> = const { Cell::new(0) };
}

/// A number that grows by one each time, on each thread by itself.
pub(crate) fn turn() -> usize {
    next(&TURN)
}

/// Another such number, for the choice of a worker: with one for both, who asks for a node and a worker in turns would
/// always get the same ones.
fn seat_turn() -> usize {
    next(&SEAT_TURN)
}

fn next(turn: &'static LocalKey<Cell<usize>>) -> usize {
    turn.set(turn.get().wrapping_add(1));
    turn.get()
}

/// From here on the calling thread's numbers are those of a thread that has just begun.
#[cfg(feature = "sim")]
pub(crate) fn forget_turns() {
    TURN.set(0);
    SEAT_TURN.set(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(workers: usize) -> Arc<Node> {
        let shared = crate::Runtime::builder().workers_per_node(workers).shared().unwrap();
        Arc::clone(&shared.nodes[0])
    }

    #[test]
    fn a_worker_that_was_taken_from_the_sleepers_knows_it_and_is_counted_once() {
        let node = node(70);
        node.idle.set(65);
        assert!(node.idle.any());
        assert!(node.idle.clear(65), "nobody has woken it");
        node.idle.set(65);
        node.wake_one();
        assert_eq!(node.searching.load(Ordering::SeqCst), 1);
        node.idle.set(3);
        node.wake_one();
        assert!(node.idle.clear(3), "one that looks is enough");
        assert!(!node.idle.clear(65), "somebody has woken it");
        node.searched();
        assert_eq!(node.searching.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn where_one_has_looked_before_it_was_counted_another_one_looks() {
        let node = node(2);
        node.idle.set(1);
        // What `wake_one` does, up to where the sleeper is taken.
        assert_eq!(node.idle.take(), Some(1));
        assert!(!node.idle.clear(1));
        node.searched();
        // Who leaves something now relies on the one that has looked.
        node.idle.set(0);
        node.wake_one();
        assert_eq!(node.searching.load(Ordering::SeqCst), -1);
        assert_eq!(node.searching.fetch_add(1, Ordering::SeqCst), -1, "and who counts it sees that");
        node.wake_one();
        assert!(!node.idle.clear(0));
    }
}
