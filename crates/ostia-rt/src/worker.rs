//! A worker: one turn after the other, of running tasks, submitting, waiting and delivering.
//!
//! A turn is a call, so that the simulation can drive many workers on one thread. What a turn does, in order:
//!
//! 1. takes what others left for it: its inbox, and its share of what any worker may take;
//! 2. runs tasks, at most a slice: so many as lately fitted into one;
//! 3. if it has nothing left, looks for work that siblings have;
//! 4. waits at its berth: not at all while there is work, otherwise until something happens or a timer is due;
//! 5. wakes those whose timers are due.
//!
//! Where a node has more threads than may run at a time, a worker waits for a [permit](crate::permits) before its turn.
//!
//! **Sleeping.** A worker that is about to sleep says so ([`Idle`](crate::node::Idle)) and looks once more at
//! everything that could have been left for it; who leaves something looks at the sleepers afterwards. One of the two
//! sees the other.

use std::{
    cell::Cell,
    io::{self, Write as _},
    process, ptr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{Ordering, fence},
    },
    task::Waker,
    time::Duration,
};

use ostia_port::Report;

use crate::{
    context::{self, Entered, Here},
    driver::Driver,
    loom::lock,
    node::{Node, Phase},
    slice::Slice,
    task::{self, CAPACITY, Task, Thieves},
    time::DUE_MAX,
    wake::wake,
};

/// The most tasks of one turn: so many self-waking ones pass between two looks at the berth.
const BUDGET_MAX: usize = 61;
/// From this budget on tasks are light, and a worker keeps all it has for itself: what is woken where it was woken
/// before finds its data in the cache.
const LIGHT: usize = 32;
/// So much work in one queue is worth a wake: the waking and the sleeping of a thread cost some 5 us of CPU, and smaller
/// batches cost more for each operation. Twice as much waits about as long as a wake takes.
const BACKLOG: Duration = Duration::from_micros(50);
/// A closing worker waits so long for its operations once it was told to end at once.
const LAST_WAIT: Duration = Duration::from_millis(100);

/// A worker, on the thread that opened it.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) here: Rc<Here>,
    /// How many tasks fit into a slice, by the last turns.
    budget: usize,
    slice: Duration,
    /// Whom it asks for work next.
    victim: usize,
    /// How many tasks it has run; of its two queues now this one comes first, now that one.
    ran: usize,
    /// It was woken to look for work, and others rely on it.
    pub(crate) is_searching: bool,
    /// The timers that are due; kept, so that none of them allocates.
    due: Vec<Waker>,
    /// It sleeps, at most until then.
    #[cfg(feature = "sim")]
    asleep: Option<Option<std::time::Instant>>,
}

/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turned {
    /// There may be more to do.
    Busy,
    /// There was nothing to do, and the caller did not let it sleep, or it slept.
    Idle,
    /// It sleeps still, in the simulation: its next turn is when it wakes.
    #[cfg(feature = "sim")]
    Asleep,
    /// The worker has ended its work for good.
    Over,
}

impl Worker {
    /// Takes a seat of the node for the calling thread.
    pub(crate) fn open(node: &Arc<Node>, seat: usize, slice: Duration) -> io::Result<Worker> {
        let driver = Driver::open(&node.port)?;
        let thieves = if node.seats.len() > 1 { Thieves::Some } else { Thieves::None };
        let (queue, steal) = task::queue(thieves);
        let seat = Arc::clone(&node.seats[seat]);
        let _ = seat.steal.set(steal);
        let _ = seat.bell.set(driver.bell());
        let here = Here {
            node: Arc::clone(node),
            seat,
            driver,
            queue,
            local: Default::default(),
            share_above: Cell::new(CAPACITY),
            slice_ends: Cell::new(node.now()),
            slice_is_over: Cell::new(false),
            running: Cell::new(ptr::null()),
            has_permit: Cell::new(false),
            permit_since: Cell::new(node.now()),
        };
        let victim = here.seat.number + 1;
        Ok(Worker {
            here: Rc::new(here),
            budget: BUDGET_MAX,
            slice,
            victim,
            ran: 0,
            is_searching: false,
            due: Vec::with_capacity(DUE_MAX),
            #[cfg(feature = "sim")]
            asleep: None,
        })
    }

    /// Makes the calling thread this worker until what is returned is dropped.
    pub(crate) fn enter(&self) -> Entered {
        context::enter(&self.here)
    }

    /// One turn. The caller has entered.
    pub(crate) fn turn(&mut self, may_sleep: bool) -> io::Result<Turned> {
        let here = Rc::clone(&self.here);
        if !self.may_run(&here, may_sleep) {
            return Ok(Turned::Idle);
        }
        let turned = self.go(&here, may_sleep);
        if !may_sleep {
            // The next turn on this thread may be another worker's.
            here.give_way();
        }
        turned
    }

    /// Waits for a permit, where they are counted. Who has had one for a slice gives way to those who wait.
    fn may_run(&self, here: &Here, may_wait: bool) -> bool {
        let Some(permits) = &here.node.permits else { return true };
        if here.has_permit.get()
            && permits.is_wanted()
            && here.node.now().saturating_duration_since(here.permit_since.get()) >= self.slice
        {
            here.give_way();
        }
        if !may_wait && !here.has_permit.get() {
            here.has_permit.set(permits.try_take());
            return here.has_permit.get();
        }
        here.take_turn();
        true
    }

    /// The turn, once it is this worker's.
    fn go(&mut self, here: &Here, may_sleep: bool) -> io::Result<Turned> {
        if here.driver.is_forked() {
            end_process();
        }
        here.seat.counters.turns.add(1);
        self.collect(here);
        self.pass_on(here);
        let ran = self.run(here);
        let phase = here.node.phase();
        if phase == Phase::Over || (phase == Phase::Ending && here.node.tasks() == 0) {
            return Ok(Turned::Over);
        }
        let has_work = self.has_own_work(here) || self.search(here);
        let has_work = has_work || self.help(here);
        if has_work || !may_sleep {
            let packets = here.driver.wait(Some(Duration::ZERO))?;
            here.seat.counters.packets.add(packets as u64);
            here.publish();
            let count = packets + self.expire(here);
            let is_busy = has_work || ran > 0 || count > 0;
            return Ok(if is_busy { Turned::Busy } else { Turned::Idle });
        }
        self.sleep(here)
    }

    /// Takes what others left.
    fn collect(&mut self, here: &Here) {
        let inbox = &here.seat.inbox;
        if !inbox.is_empty() {
            inbox.take(CAPACITY, |task| here.receive(task));
        }
        let injector = &here.node.injector;
        if injector.is_empty() {
            return;
        }
        // A fair share, and no more than a slice; one at least, or those who have enough of their own would leave
        // the others' tasks where they are.
        let share = (injector.len() / here.node.concurrency).clamp(1, self.budget);
        let share = if here.queue.is_empty() {
            share
        } else {
            share.min(here.queue.room()).min(self.budget.div_ceil(2))
        };
        injector.take(share, |task| {
            if let Err(task) = here.queue.push(task) {
                here.node.injector.push(task);
            }
        });
    }

    /// Before it goes to work, and may be long about it: what it leaves is for others, and it looks for nothing now.
    fn pass_on(&mut self, here: &Here) {
        if std::mem::take(&mut self.is_searching) {
            if !self.has_own_work(here) && self.search(here) {
                self.collect(here);
            }
            here.node.searched();
        }
        if here.node.idle.any() && (!here.node.injector.is_empty() || here.seat.has_loot()) {
            here.node.wake_one();
        }
    }

    /// Runs a slice of tasks; how many.
    fn run(&mut self, here: &Here) -> usize {
        let mut ran = 0;
        let mut began = None;
        // Asked once a turn: a light task costs as little as asking.
        let is_listened_to = tracing::enabled!(tracing::Level::TRACE);
        while ran < self.budget {
            // Those that stay and those that may be stolen take turns, also where a slice has room for one only.
            let Some(task) = here.next(self.ran) else { break };
            self.ran = self.ran.wrapping_add(1);
            if ran == 0 {
                let now = here.node.now();
                here.slice_ends.set(now + self.slice);
                began = Some(now);
            }
            here.seat.counters.polls.add(1);
            let name = task.name();
            here.seat.running.set(Some(name));
            here.running.set(task.address());
            if is_listened_to {
                let (node, worker) = (here.node.id, here.seat.number);
                tracing::trace_span!("poll", task = name.as_str(), node, worker).in_scope(|| task.run());
            } else {
                task.run();
            }
            ran += 1;
            if here.driver.is_forked() {
                end_process();
            }
            if here.slice_is_over.replace(false) {
                break;
            }
        }
        if ran > 0 {
            here.seat.running.set(None);
            here.running.set(ptr::null());
            if self.has_own_work(here) {
                here.seat.counters.slices.add(1);
            }
            if let Some(began) = began {
                self.adapt(here, ran, here.node.now().saturating_duration_since(began));
            }
        }
        ran
    }

    /// How many tasks fit into a slice, if they go on like these?
    fn adapt(&mut self, here: &Here, ran: usize, took: Duration) {
        let one = took / u32::try_from(ran).expect("no more than the budget");
        let fit =
            if one.is_zero() { BUDGET_MAX as u128 } else { self.slice.as_nanos() / one.as_nanos().max(1) };
        let fit = usize::try_from(fit).unwrap_or(BUDGET_MAX).clamp(1, BUDGET_MAX);
        // One long task is no reason to think the next ones long, and the other way round: half the way.
        self.budget = if fit < self.budget { fit } else { (self.budget + fit).div_ceil(2) };
        here.share_above.set(if self.budget >= LIGHT { CAPACITY } else { self.budget });
        // Without a watchdog nobody would come to the rescue of light tasks behind one that is suddenly long.
        let worth = match here.node.kennel.get() {
            Some(_) => usize::try_from(BACKLOG.as_nanos() / one.as_nanos().max(1)).unwrap_or(CAPACITY),
            None => 1,
        };
        let worth = worth.clamp(1, CAPACITY / 2);
        if worth != here.seat.worth.load(Ordering::Relaxed) {
            here.seat.worth.store(worth, Ordering::Relaxed);
        }
        if here.seat.is_held.load(Ordering::Relaxed) {
            here.seat.is_held.store(false, Ordering::Relaxed);
        }
    }

    fn has_own_work(&self, here: &Here) -> bool {
        !here.queue.is_empty() || !here.local.borrow().is_empty() || !here.seat.inbox.is_empty()
    }

    /// Looks for work that any worker may do; whether there is some now.
    fn search(&mut self, here: &Here) -> bool {
        if !here.node.injector.is_empty() {
            return true;
        }
        let seats = &here.node.seats;
        for _ in 0..seats.len() {
            let victim = self.victim % seats.len();
            self.victim = victim + 1;
            if victim == here.seat.number {
                continue;
            }
            let Some(steal) = seats[victim].steal.get() else { continue };
            // Its only one is as good as begun, and a few light ones are, too.
            if !seats[victim].has_loot() {
                continue;
            }
            let before = here.queue.len();
            if let Some(task) = steal.steal(&here.queue, CAPACITY / 2) {
                here.seat.counters.steals.add(1 + here.queue.len().saturating_sub(before) as u64);
                here.receive(task);
                return true;
            }
        }
        false
    }

    /// Does a slice of what others may help with; whether there was any.
    fn help(&mut self, here: &Here) -> bool {
        let Some(work) = here.node.work(self.victim) else { return false };
        self.victim = self.victim.wrapping_add(1);
        let is_open = work.help(&Slice::whole(&here.node.port, self.slice));
        if is_open {
            here.node.offer_place(&work);
        } else {
            // Its task may not come to it soon, and whoever lies down looks for work meanwhile.
            here.node.withdraw_work(&work);
        }
        is_open
    }

    fn sleep(&mut self, here: &Here) -> io::Result<Turned> {
        // Before the last look: who leaves something now finds the permit free, or is seen.
        here.give_way();
        here.node.idle.set(here.seat.number);
        fence(Ordering::SeqCst);
        if self.is_wanted(here) {
            return self.doze(here, Some(Duration::ZERO));
        }
        let (trims, look) = here.trim();
        let timeout = [here.next_timer(), look].into_iter().flatten().min();
        here.publish();
        here.seat.counters.parks.add(1);
        let dozed = self.doze(here, timeout);
        if trims {
            here.node.is_trimmed.store(false, Ordering::Release);
        }
        dozed
    }

    /// It has said that it sleeps.
    fn doze(&mut self, here: &Here, timeout: Option<Duration>) -> io::Result<Turned> {
        let counters = &here.seat.counters;
        let waited = here.driver.wait(timeout);
        #[cfg(feature = "sim")]
        if here.driver.is_asleep(&waited) {
            self.asleep = Some(timeout.map(|timeout| here.node.now() + timeout));
            return Ok(Turned::Asleep);
        }
        // Whoever took the mark away wants it to look for work, also if something else has woken it.
        if !here.node.idle.clear(here.seat.number) {
            counters.wakes.add(1);
            self.is_searching = true;
        }
        if let Some(kennel) = here.node.kennel.get() {
            kennel.rouse();
        }
        counters.packets.add(waited? as u64);
        self.expire(here);
        Ok(Turned::Idle)
    }

    /// Wakes those whose timers are due; how many.
    fn expire(&mut self, here: &Here) -> usize {
        let count = {
            let mut timers = lock(&here.seat.timers);
            if timers.is_empty() {
                return 0;
            }
            timers.take_due(here.node.now(), &mut self.due)
        };
        here.seat.counters.expired.add(count as u64);
        // Without the lock: who is woken may end, and drop timers.
        self.due.drain(..).for_each(wake);
        count
    }

    /// The last look before it sleeps.
    fn is_wanted(&self, here: &Here) -> bool {
        let node = &here.node;
        let can_steal = |seat: &Arc<crate::node::Seat>| seat.number != here.seat.number && seat.has_loot();
        !node.injector.is_empty()
            || self.has_own_work(here)
            || node.seats.iter().any(can_steal)
            || node.has_work()
            || (node.phase() >= Phase::Ending && node.tasks() == 0)
            || node.phase() == Phase::Over
    }

    /// Ends the worker's work: its operations are cancelled and waited for, its tasks let go of.
    pub(crate) fn close(self, deadline: Duration) -> Report {
        let Worker { here, mut due, is_searching, .. } = self;
        if is_searching {
            here.node.searched();
        }
        here.give_way();
        here.seat.inbox.close();
        // Who still waits for a timer, on another worker or thread, looks for another place.
        lock(&here.seat.timers).close(&mut due);
        due.into_iter().for_each(wake);
        while let Some(task) = here.next(0) {
            drop(task);
        }
        let Here { seat, driver, .. } = Rc::into_inner(here).expect("nobody has entered any more");
        let report = driver.close(deadline.max(LAST_WAIT));
        seat.counters.submitted.set(report.submitted);
        seat.counters.completed.set(report.ended);
        report
    }
}

/// A task has forked, and in the child its poll returns to a worker that is not there. The rings and sockets are the
/// parent's, and so are the other tasks: there is nothing that this process could go on with, or end in order.
#[cold]
pub(crate) fn end_process() -> ! {
    let why = "a task forked its process, and returned to its worker in the child: the child ends here";
    let _ = writeln!(io::stderr(), "{why}");
    process::abort();
}

#[cfg(feature = "sim")]
impl Worker {
    /// One turn, at whose end it may be left asleep; or what it does when it wakes. The caller has entered.
    pub(crate) fn step(&mut self) -> io::Result<Turned> {
        let here = Rc::clone(&self.here);
        if let Some(until) = self.asleep.take() {
            let timeout = until.map(|until| until.saturating_duration_since(here.node.now()));
            return self.doze(&here, timeout);
        }
        if !self.may_run(&here, false) {
            return Ok(Turned::Idle);
        }
        let turned = self.go(&here, true);
        // The next turn on this thread is another worker's, perhaps.
        here.give_way();
        turned
    }

    /// Its node and its number there.
    pub(crate) fn place(&self) -> (usize, usize) {
        (self.here.node.index, self.here.seat.number)
    }

    /// Whether it sleeps, and nothing has come that would wake it.
    pub(crate) fn is_asleep(&self) -> bool {
        self.asleep.is_some() && self.here.driver.sleeps_on()
    }

    /// Whether there is something for it to do.
    pub(crate) fn has_work(&self) -> bool {
        self.has_own_work(&self.here) || !self.here.node.injector.is_empty()
    }

    pub(crate) fn slots_in_use(&self) -> usize {
        self.here.driver.slots_in_use()
    }
}

impl Here {
    /// A task that is for this worker now.
    fn receive(&self, task: Task) {
        if task.is_local() {
            self.local.borrow_mut().push_back(task);
        } else if let Err(task) = self.queue.push(task) {
            self.node.injector.push(task);
        }
    }

    /// Lets others see how many operations there were.
    fn publish(&self) {
        let (submitted, completed) = self.driver.operations();
        self.seat.counters.submitted.set(submitted);
        self.seat.counters.completed.set(completed);
    }

    /// Gives up buffers that nobody needed lately. Whether this worker has undertaken to look again, and when.
    ///
    /// One worker does so, and only while something is kept: an idle runtime does not wake.
    fn trim(&self) -> (bool, Option<Duration>) {
        let node = &self.node;
        if node.is_trimmed.swap(true, Ordering::AcqRel) {
            return (false, None);
        }
        let now = node.now();
        match node.buffers.trim(now) {
            Some(next) => (true, Some(next.saturating_duration_since(now))),
            None => {
                node.is_trimmed.store(false, Ordering::Release);
                (false, None)
            }
        }
    }

    /// How long until the next timer is due.
    fn next_timer(&self) -> Option<Duration> {
        let deadline = lock(&self.seat.timers).next_deadline()?;
        Some(deadline.saturating_duration_since(self.node.now()))
    }

    pub(crate) fn pop_local(&self) -> Option<Task> {
        self.local.borrow_mut().pop_front()
    }

    /// The next task; of the two queues now this one comes first, now that one.
    #[inline]
    fn next(&self, turn: usize) -> Option<Task> {
        let local = || self.pop_local();
        if turn.is_multiple_of(2) {
            self.queue.pop().or_else(local)
        } else {
            local().or_else(|| self.queue.pop())
        }
    }
}
