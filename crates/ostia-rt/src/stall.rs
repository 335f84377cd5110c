//! The watchdog: names the task that holds its worker for too long.
//!
//! A worker says which task runs, and counts polls: two stores a task. The watchdog is one thread that looks at them
//! now and then. Where it sees the same poll again, the task has run since; after the threshold it is told of, once.
//!
//! **Idle.** With nothing to watch, the watchdog sleeps without a limit, and a worker that gets up wakes it. So that
//! this is rare under load, it lies down only after it has seen nothing at all for many looks.
//!
//! | the watchdog | a worker that gets up |
//! |---|---|
//! | says that it lies down | says that it does not sleep |
//! | looks whether all workers sleep | looks whether the watchdog lies |
//!
//! One of the two sees the other.

use std::{
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering, fence},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    loom::lock,
    node::{Node, Seat},
    runtime::Shared,
};

/// So many looks without anything to see, and the watchdog lies down. Few: to be woken costs about as much as some looks.
const QUIET_LOOKS: u32 = 4;
/// More often than that it does not look, however low the threshold is.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// Where the watchdog sleeps.
#[derive(Debug, Default)]
pub(crate) struct Kennel {
    lies: AtomicBool,
    is_over: Mutex<bool>,
    bell: Condvar,
}

impl Kennel {
    /// A worker gets up.
    #[inline]
    pub(crate) fn rouse(&self) {
        // Between what the worker said before and what it looks at here.
        fence(Ordering::SeqCst);
        if self.lies.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        let _inside = self.lock();
        self.lies.store(false, Ordering::Relaxed);
        self.bell.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        lock(&self.is_over)
    }
}

/// The watchdog of a runtime; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Watchdog {
    kennel: Arc<Kennel>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Watchdog {
    pub(crate) fn start(name: &str, shared: &Arc<Shared>, threshold: Duration) -> io::Result<Watchdog> {
        let kennel = Arc::new(Kennel::default());
        for node in &shared.nodes {
            let _ = node.kennel.set(Arc::clone(&kennel));
        }
        let seats = shared.nodes.iter().flat_map(|node| node.seats.iter().map(move |seat| (node, seat)));
        let watched = seats.map(|(node, seat)| Watched::new(node, seat)).collect();
        let watch = Watch { kennel: Arc::clone(&kennel), shared: Arc::clone(shared), watched, threshold };
        let thread = thread::Builder::new().name(format!("{name}-watch")).spawn(move || watch.run())?;
        Ok(Watchdog { kennel, thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        *self.kennel.lock() = true;
        self.kennel.bell.notify_all();
        // It ends with its next look, which is short; a panic in there was told by its own message.
        let _ = thread.join();
    }
}

struct Watch {
    kennel: Arc<Kennel>,
    shared: Arc<Shared>,
    watched: Vec<Watched>,
    threshold: Duration,
}

/// A worker, and what was seen of it.
struct Watched {
    node: Arc<Node>,
    seat: Arc<Seat>,
    poll: u64,
    since: Option<Instant>,
    is_told: bool,
}

impl Watch {
    fn run(mut self) {
        // Seen twice, half the threshold apart: a stall is told of at one and a half times the threshold at the latest.
        let pause = (self.threshold / 2).max(PAUSE_MIN);
        let kennel = Arc::clone(&self.kennel);
        let mut quiet = 0;
        let mut is_over = kennel.lock();
        while !*is_over {
            if quiet < QUIET_LOOKS {
                let waited = kennel.bell.wait_timeout(is_over, pause);
                is_over = waited.unwrap_or_else(PoisonError::into_inner).0;
            } else {
                is_over = self.lie_down(&kennel, is_over);
                quiet = 0;
            }
            drop(is_over);
            let now = Instant::now();
            let mut is_busy = false;
            for one in &mut self.watched {
                is_busy |= one.look(now, self.threshold);
            }
            quiet = if is_busy { 0 } else { quiet + 1 };
            is_over = kennel.lock();
        }
    }

    /// Sleeps until a worker gets up.
    fn lie_down<'a>(&self, kennel: &'a Kennel, mut is_over: MutexGuard<'a, bool>) -> MutexGuard<'a, bool> {
        kennel.lies.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.shared.nodes.iter().all(|node| node.idle.all(node.alive())) {
            while kennel.lies.load(Ordering::Relaxed) && !*is_over {
                is_over = kennel.bell.wait(is_over).unwrap_or_else(PoisonError::into_inner);
            }
        }
        kennel.lies.store(false, Ordering::Relaxed);
        is_over
    }
}

impl Watched {
    fn new(node: &Arc<Node>, seat: &Arc<Seat>) -> Watched {
        Watched { node: Arc::clone(node), seat: Arc::clone(seat), poll: 0, since: None, is_told: false }
    }

    /// Looks at the worker; whether it has done anything since the last time.
    fn look(&mut self, now: Instant, threshold: Duration) -> bool {
        let poll = self.seat.counters.polls.get();
        let has_polled = std::mem::replace(&mut self.poll, poll) != poll;
        let Some(name) = self.seat.running.get() else {
            self.since = None;
            return has_polled;
        };
        match self.since {
            Some(since) if !has_polled => {
                let held = now.saturating_duration_since(since);
                // What waits behind it is for others, however little it is.
                self.seat.is_held.store(true, Ordering::Relaxed);
                if self.seat.has_loot() {
                    self.node.wake_one();
                }
                if held >= threshold && !self.is_told {
                    self.is_told = true;
                    self.seat.counters.stalls.add(1);
                    tracing::warn!(
                        task = name.as_str(),
                        node = self.node.id,
                        worker = self.seat.number,
                        held_ms = u64::try_from(held.as_millis()).unwrap_or(u64::MAX),
                        "a task holds its worker"
                    );
                }
            }
            _ => {
                self.since = Some(now);
                self.is_told = false;
            }
        }
        true
    }
}
