//! Where a berth waits, as other threads see it: a bell, a list of slots that want attention, and the timers.
//!
//! On Linux each berth has a quay of its own. On Windows the berths of a port share one, as they share the
//! completion port: any of them may be woken, and whichever it is does what is to be done.
//!
//! **The bell.** A thread that goes to sleep says so first and looks again at everything that could have been left
//! for it; who leaves something looks at the bell afterwards. One of the two sees the other. Only a sleeper costs
//! a system call, and only once for each sleep. A shared quay has sleepers that nobody tells apart: there the bell
//! is a latch, set by whoever sends the one packet and taken down by whoever receives it, before it looks.
//!
//! One wake for one of several sleepers is not enough while a berth of a shared quay closes: it waits for its own
//! operations, whose ends others may receive, and it receives wakes that only others can answer. So while somebody
//! closes ([`Quay::begin_close`]), whoever has something for a particular one wakes all ([`Quay::ring_all`]).
//!
//! **Nudges.** A slot that wants attention is linked into a list through itself: asking for a cancel needs no
//! memory and cannot be refused. The bit `QUEUED` of its state says that it hangs there; whoever sets it links it,
//! and the drain clears it before it reads why.
//!
//! Quays are never given back to the system, as slots are not; see `op::slab`.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering, fence},
    },
    time::Instant,
};

use crate::{
    op::{
        Outcome,
        slot::{BACK, Flight, GO, Nudges, Slot},
    },
    packet::Packet,
    shared::{Bell, Stack},
    sys,
    timers::Timers,
};

#[derive(Debug)]
pub(crate) struct Quay {
    bell: Bell,
    shared: AtomicBool,
    nudges: Stack<Nudges>,
    waker: Mutex<Option<sys::Waker>>,
    timers: Mutex<Timers>,
    /// Whether there is a timer; to ask this is much cheaper than to lock them.
    has_timers: AtomicBool,
    /// Packets whose receiver is gone.
    strays: Mutex<VecDeque<Packet>>,
    has_strays: AtomicBool,
    /// Berths of a shared quay that wait for the last of their operations.
    closers: AtomicU32,
    /// An operation was left behind here, and may still come back.
    haunted: AtomicBool,
}

static POOL: Mutex<Vec<&'static Quay>> = Mutex::new(Vec::new());

impl Quay {
    /// A quay that nobody else has.
    pub(crate) fn claim(shared: bool) -> &'static Quay {
        let pooled = POOL.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let quay = pooled.unwrap_or_else(|| {
            Box::leak(Box::new(Quay {
                bell: Bell::new(),
                shared: AtomicBool::new(false),
                nudges: Stack::new(),
                waker: Mutex::new(None),
                timers: Mutex::new(Timers::default()),
                has_timers: AtomicBool::new(false),
                strays: Mutex::new(VecDeque::new()),
                has_strays: AtomicBool::new(false),
                closers: AtomicU32::new(0),
                haunted: AtomicBool::new(false),
            }))
        });
        quay.shared.store(shared, Ordering::Relaxed);
        quay
    }

    /// An operation was left behind: what comes back of it must not come to the next who waits here.
    pub(crate) fn haunt(&self) {
        self.haunted.store(true, Ordering::Relaxed);
    }

    /// Nobody waits here any more.
    pub(crate) fn release(&'static self) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.bell.get_up();
        self.strays.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.has_strays.store(false, Ordering::Relaxed);
        if !self.haunted.load(Ordering::Relaxed) {
            POOL.lock().unwrap_or_else(PoisonError::into_inner).push(self);
        }
    }

    pub(crate) fn set_waker(&self, waker: sys::Waker) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker);
    }

    /// Whether somebody sleeps here whom `ring` would wake.
    pub(crate) fn sleeps(&self) -> bool {
        self.bell.sleeps()
    }

    /// Wakes the sleeper, if there is one. What it is woken for was left before.
    ///
    /// # Errors
    ///
    /// If the system would not send the wake; then the bell is as it was, and the next ring tries again.
    pub(crate) fn ring(&self) -> io::Result<()> {
        self.bell.ring(self.is_shared(), || {
            let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
            waker.as_ref().map_or(Ok(()), sys::Waker::wake)
        })
    }

    /// Wakes everyone who sleeps here, but not the one who asks.
    pub(crate) fn ring_all(&self) {
        if !self.shared.load(Ordering::Relaxed) {
            let _ = self.ring();
            return;
        }
        // Pairs with the fence in `lie_down`, as in `ring`.
        fence(Ordering::SeqCst);
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waker) = &*waker
            && let Err(error) = waker.wake_all()
        {
            tracing::warn!(%error, "not every berth could be woken");
        }
    }

    /// A berth waits here for the last of its operations from now on.
    pub(crate) fn begin_close(&self) {
        self.closers.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn end_close(&self) {
        self.closers.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether a berth waits here for the last of its operations.
    #[cfg(feature = "sim")]
    pub(crate) fn is_closing(&self) -> bool {
        self.closers.load(Ordering::Relaxed) > 0
    }

    /// Operations have ended here: if a berth closes, one of them may be what it waits for.
    pub(crate) fn tell_closers(&self) {
        if !self.shared.load(Ordering::Relaxed) {
            return;
        }
        // Either the closing berth sees the end of its operation, or we see that it closes.
        fence(Ordering::SeqCst);
        if self.closers.load(Ordering::Relaxed) > 0 {
            self.ring_all();
        }
    }

    /// Whether several berths wait here.
    pub(crate) fn is_shared(&self) -> bool {
        self.shared.load(Ordering::Relaxed)
    }

    /// From here on the bell wakes this thread. It must now look once more at what may have been left.
    pub(crate) fn lie_down(&self) {
        if self.is_shared() {
            fence(Ordering::SeqCst);
        } else {
            self.bell.lie_down();
        }
    }

    /// The thread is awake, by whatever.
    pub(crate) fn get_up(&self) {
        if !self.shared.load(Ordering::Relaxed) {
            self.bell.get_up();
        }
    }

    /// A shared quay's wake packet has been received: the next ring sends another.
    pub(crate) fn take_down(&self) {
        self.bell.get_up();
    }

    /// Links a slot whose `QUEUED` bit the caller has just set, and rings.
    pub(crate) fn link(&self, slot: &'static Slot) {
        self.nudges.push(slot);
        if let Err(error) = self.ring() {
            // The slot hangs in the list: the next wake, of whatever kind, finds it.
            tracing::warn!(%error, "a berth could not be woken");
        }
    }

    fn nudge(&self, slot: &'static Slot, why: u32) {
        if slot.state.nudge(why) {
            self.link(slot);
        }
    }

    /// Its turn has come: whoever waits here is to start it.
    pub(crate) fn send_go(&self, flight: Flight) {
        self.nudge(flight.hand_over(), GO);
    }

    /// It has ended elsewhere: whoever waits here is to tell.
    pub(crate) fn send_back(&self, mut flight: Flight, outcome: Outcome) {
        flight.set_outcome(outcome);
        self.nudge(flight.hand_over(), BACK);
    }

    pub(crate) fn has_nudges(&self) -> bool {
        !self.nudges.is_empty()
    }

    /// Takes all slots that want attention, the longest waiting first, and why.
    pub(crate) fn take_nudges(&self, mut each: impl FnMut(&'static Slot, u32)) {
        if self.nudges.is_empty() {
            return;
        }
        for slot in self.nudges.take().oldest_first() {
            each(slot, slot.state.take_nudge());
        }
    }

    /// A packet for whoever waits here next.
    pub(crate) fn leave_stray(&self, packet: Packet) {
        self.strays.lock().unwrap_or_else(PoisonError::into_inner).push_back(packet);
        self.has_strays.store(true, Ordering::Release);
        let _ = self.ring();
    }

    pub(crate) fn has_strays(&self) -> bool {
        self.has_strays.load(Ordering::Acquire)
    }

    pub(crate) fn take_strays(&self, into: &mut VecDeque<Packet>) {
        if self.has_strays() && self.has_strays.swap(false, Ordering::Acquire) {
            into.append(&mut self.strays.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// The deadline that is now the earliest, if this timer made it so.
    pub(crate) fn add_timer(&self, flight: Flight, deadline: Instant) -> Option<Instant> {
        let mut timers = self.timers.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = timers.insert(flight, deadline);
        self.has_timers.store(true, Ordering::Release);
        earliest.then_some(deadline)
    }

    /// The timer's flight; and the deadline that is now the earliest, if this timer was it.
    pub(crate) fn remove_timer(&self, slot: &'static Slot) -> Option<(Flight, Option<Instant>)> {
        let mut timers = self.timers.lock().unwrap_or_else(PoisonError::into_inner);
        let before = timers.next_deadline();
        let flight = timers.remove(slot)?;
        Some((flight, timers.next_deadline().filter(|next| Some(*next) != before)))
    }

    /// Whether there is a timer at all; asking costs next to nothing.
    pub(crate) fn has_timers(&self) -> bool {
        self.has_timers.load(Ordering::Acquire)
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        if !self.has_timers() {
            return None;
        }
        self.timers.lock().unwrap_or_else(PoisonError::into_inner).next_deadline()
    }

    /// Takes the timers whose time has come. If there were any, the deadline that is now the earliest.
    pub(crate) fn take_due(&self, now: Instant, mut each: impl FnMut(Flight)) -> Option<Instant> {
        let mut any = false;
        loop {
            let due = {
                let mut timers = self.timers.lock().unwrap_or_else(PoisonError::into_inner);
                let due = timers.take_due(now);
                self.has_timers.store(!timers.is_empty(), Ordering::Release);
                due.ok_or(timers.next_deadline())
            };
            match due {
                Ok(flight) => each(flight),
                Err(next) => return next.filter(|_| any),
            }
            any = true;
        }
    }
}
