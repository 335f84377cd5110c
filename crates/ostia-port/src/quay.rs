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
    io, ptr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering, fence},
    },
    time::Instant,
};

use crate::{
    op::{
        Outcome,
        slot::{BACK, Flight, GO, QUEUED, Slot},
    },
    packet::Packet,
    sys,
    timers::Timers,
};

const AWAKE: u32 = 0;
const ASLEEP: u32 = 1;
const RUNG: u32 = 2;

#[derive(Debug)]
pub(crate) struct Quay {
    bell: AtomicU32,
    shared: AtomicBool,
    nudges: AtomicPtr<Slot>,
    waker: Mutex<Option<sys::Waker>>,
    timers: Mutex<Timers>,
    /// The earliest deadline changed since somebody asked; a waiter with an older one would oversleep.
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
                bell: AtomicU32::new(AWAKE),
                shared: AtomicBool::new(false),
                nudges: AtomicPtr::new(ptr::null_mut()),
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
        self.bell.store(AWAKE, Ordering::SeqCst);
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
        fence(Ordering::SeqCst);
        self.bell.load(Ordering::Relaxed) == ASLEEP
    }

    /// Wakes the sleeper, if there is one. What it is woken for was left before.
    ///
    /// # Errors
    ///
    /// If the system would not send the wake; then the bell is as it was, and the next ring tries again.
    pub(crate) fn ring(&self) -> io::Result<()> {
        // Pairs with the fence in `lie_down`: either the sleeper sees what was left, or we see the sleeper.
        fence(Ordering::SeqCst);
        let before = if self.shared.load(Ordering::Relaxed) { AWAKE } else { ASLEEP };
        if self.bell.load(Ordering::Relaxed) != before
            || self.bell.compare_exchange(before, RUNG, Ordering::SeqCst, Ordering::Relaxed).is_err()
        {
            return Ok(());
        }
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(waker) = &*waker else { return Ok(()) };
        waker.wake().inspect_err(|_| {
            let _ = self.bell.compare_exchange(RUNG, before, Ordering::SeqCst, Ordering::Relaxed);
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
        if !self.shared.load(Ordering::Relaxed) {
            self.bell.store(ASLEEP, Ordering::Relaxed);
        }
        fence(Ordering::SeqCst);
    }

    /// The thread is awake, by whatever.
    pub(crate) fn get_up(&self) {
        if !self.shared.load(Ordering::Relaxed) {
            self.bell.store(AWAKE, Ordering::SeqCst);
        }
    }

    /// A shared quay's wake packet has been received: the next ring sends another.
    pub(crate) fn take_down(&self) {
        self.bell.store(AWAKE, Ordering::SeqCst);
    }

    /// Links a slot whose `QUEUED` bit the caller has just set, and rings.
    pub(crate) fn link(&self, slot: &'static Slot) {
        let mut head = self.nudges.load(Ordering::Relaxed);
        loop {
            slot.nudge_next.store(head, Ordering::Relaxed);
            let slot = ptr::from_ref(slot).cast_mut();
            match self.nudges.compare_exchange_weak(head, slot, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => head = now,
            }
        }
        if let Err(error) = self.ring() {
            // The slot hangs in the list: the next wake, of whatever kind, finds it.
            tracing::warn!(%error, "a berth could not be woken");
        }
    }

    fn nudge(&self, slot: &'static Slot, why: u32) {
        if slot.state.fetch_or(why | QUEUED, Ordering::AcqRel) & QUEUED == 0 {
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
        !self.nudges.load(Ordering::Relaxed).is_null()
    }

    /// Takes all slots that want attention, the longest waiting first, and why.
    pub(crate) fn take_nudges(&self, mut each: impl FnMut(&'static Slot, u32)) {
        if self.nudges.load(Ordering::Relaxed).is_null() {
            return;
        }
        let mut newest = self.nudges.swap(ptr::null_mut(), Ordering::Acquire);
        // The list has the newest first: turn it round.
        let mut oldest: *mut Slot = ptr::null_mut();
        // SAFETY: the list holds slots, which are never freed; taking the list made it ours.
        while let Some(slot) = unsafe { newest.as_ref() } {
            newest = slot.nudge_next.load(Ordering::Relaxed);
            slot.nudge_next.store(oldest, Ordering::Relaxed);
            oldest = ptr::from_ref(slot).cast_mut();
        }
        // SAFETY: as above.
        while let Some(slot) = unsafe { oldest.as_ref() } {
            oldest = slot.nudge_next.load(Ordering::Relaxed);
            // From here on anybody may link it again.
            let why = slot.state.fetch_and(!(QUEUED | GO | BACK), Ordering::AcqRel);
            each(slot, why);
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
        if self.has_strays.swap(false, Ordering::Acquire) {
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

    pub(crate) fn remove_timer(&self, slot: &'static Slot) -> Option<Flight> {
        self.timers.lock().unwrap_or_else(PoisonError::into_inner).remove(slot)
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
