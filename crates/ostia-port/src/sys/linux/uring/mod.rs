//! io_uring: one ring for each berth, used by its thread alone.
//!
//! **Strategy.** An operation is an entry of the ring; its user data is the key of its slot, index and generation,
//! and its flight is the kernel's until the completion with that key. What is submitted gathers in the ring and is
//! handed over by the next wait, in one call that also sleeps. What has no room in the ring waits in a list, in
//! order. Transfers that came back short, accepts and receives that yield many, and receives for which no lent
//! buffer was free are taken up again here (`done`); what a ring cannot do goes to the offload threads.
//!
//! **What it leans on.** `NODROP`: a completion for which the ring has no room is kept by the kernel, which says so
//! by a flag, and the next call brings it. `SUBMIT_STABLE`: headers and slices are read when the entry is taken.
//! `EXT_ARG`: a wait has a timeout of its own. Each operation has one last completion, cancelled or not.
//!
//! **What is weak.** Reads and writes of regular files cannot be cancelled once they run. A multishot operation
//! that is asked to end may still yield what was on its way. Entries of kernels before 5.18 stop a batch when one
//! of them is refused; the rest goes with the next call.
//!
//! | file | subject |
//! |---|---|
//! | `probe` | what this kernel has |
//! | `ring` | the ring and its one call |
//! | `op` | from an operation to an entry |
//! | `done` | from a completion to an outcome, or to the next entry |
//! | `lent` | the ring of buffers |
//! | `stat` | what the kernel tells of files |
//! | `wake` | how a sleeping berth is woken |

mod done;
mod lent;
mod op;
mod probe;
mod ring;
mod stat;
mod wake;

use std::{collections::VecDeque, io, mem, time::Duration};

use io_uring::{cqueue, opcode, squeue};

pub use self::probe::{RingLevel, RingOptions};
use self::{
    done::Resting,
    op::Entry,
    probe::Kernel,
    ring::{Entered, Ring},
    stat::Rooms,
    wake::Alarm,
};
pub(crate) use self::{
    op::{Aside, Memo},
    wake::Waker,
};
use crate::{
    op::{
        Outcome,
        slab::Owned,
        slot::{Flight, Slot},
    },
    packet::Batch,
    port::Config,
    quay::Quay,
    sink::Sink,
    sys,
};

/// A completion that is of no operation: somebody rang. No slot has this key: its index would be too large.
const KEY_WAKE: u64 = u64::MAX;
/// The answer to a request to cancel; the cancelled operation has its own.
const KEY_CANCEL: u64 = u64::MAX - 1;

/// How long a berth rests when the kernel has no memory for requests.
const STARVED: Duration = Duration::from_millis(1);

/// The part that threads share: nothing but what was found out at the start.
#[derive(Debug)]
pub(crate) struct System {
    kernel: Kernel,
}

/// Why a port that was to choose for itself has epoll.
pub(crate) fn tell_why_not(error: &io::Error) {
    static TOLD: std::sync::Once = std::sync::Once::new();
    TOLD.call_once(|| {
        let reason = probe::likely_reason(error);
        tracing::warn!(%error, reason, "io_uring is refused here; epoll serves instead");
    });
}

impl System {
    /// Finds out what this kernel allows.
    pub(crate) fn open(config: &Config) -> io::Result<System> {
        Ok(System { kernel: probe::find(config.sys.ring.level_max)? })
    }

    pub(crate) fn driver(&self, config: &Config, quay: &'static Quay) -> io::Result<Driver> {
        let ring = Ring::new(config.ring_entries, self.kernel.level)?;
        let workers = config.sys.ring.workers_max.unwrap_or(config.offload_threads_max as u32).max(1);
        if let Err(error) = ring.limit_workers(workers) {
            // Before 5.15 they were bounded by the number of CPUs, and by the limit of processes.
            tracing::debug!(%error, "the kernel's own threads are not bounded");
        }
        let (waker, alarm) = if self.kernel.messages {
            (Waker::Message(ring.descriptor()), None)
        } else {
            let alarm = Alarm::new()?;
            (alarm.waker(), Some(alarm))
        };
        quay.set_waker(sys::Waker::Os(super::Waker::Uring(waker)));
        Ok(Driver {
            ring,
            kernel: self.kernel,
            quay,
            in_kernel: 0,
            waiting: VecDeque::new(),
            cancels: VecDeque::new(),
            parked: VecDeque::new(),
            resting: Vec::new(),
            buffers: None,
            rooms: Rooms::default(),
            alarm,
        })
    }
}

/// One thread's ring.
pub(crate) struct Driver {
    ring: Ring,
    kernel: Kernel,
    quay: &'static Quay,
    /// Entries of operations that have not had their last completion.
    in_kernel: usize,
    /// Operations for which the ring had no room, in their order.
    waiting: VecDeque<Flight>,
    /// Cancels for which the ring had no room, by key; at most one for each operation.
    cancels: VecDeque<u64>,
    /// Receives for which no lent buffer was free, in their order.
    parked: VecDeque<Flight>,
    /// Accepts that lacked something of the system, until they are tried again.
    resting: Vec<Resting>,
    /// Where lent buffers come from; made when the first is needed.
    buffers: Option<done::Lender>,
    /// Where the kernel writes what it tells of files.
    rooms: Rooms,
    /// Where others wake us, if not by messages.
    alarm: Option<Alarm>,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver")
            .field("kernel", &self.kernel)
            .field("in_kernel", &self.in_kernel)
            .finish_non_exhaustive()
    }
}

impl Driver {
    #[inline]
    pub(crate) fn submit(&mut self, flight: Flight, sink: &mut Sink) {
        if self.waiting.is_empty() {
            self.start(flight, sink);
        } else {
            self.waiting.push_back(flight);
        }
    }

    /// Puts an operation, or the rest of one, into the ring; without room there it waits, as the first.
    #[inline]
    fn start(&mut self, flight: Flight, sink: &mut Sink) {
        // What is commonest is written where it belongs at once.
        if let Some(room) = self.ring.room()
            && let Some(entry) = op::common(&flight, &self.kernel)
        {
            // SAFETY: the room is ours until the tail moves.
            unsafe { room.write(entry) };
            // SAFETY: the entry was written; what it points to belongs to the flight, which lives until its completion.
            unsafe { self.ring.advance() };
            self.in_kernel += 1;
            let _ = flight.hand_over();
            return;
        }
        self.start_other(flight, sink);
    }

    #[inline(never)]
    fn start_other(&mut self, mut flight: Flight, sink: &mut Sink) {
        if self.ring.room().is_none() && !self.make_room() {
            self.waiting.push_front(flight);
            return;
        }
        if op::common(&flight, &self.kernel).is_some() {
            self.start(flight, sink);
            return;
        }
        match op::entry(&mut flight, &self.kernel, &mut self.rooms) {
            Entry::Ring(entry) => self.hand_over(flight, entry),
            Entry::Managed => self.start_managed(flight),
            Entry::Offload => sink.offload(flight),
            Entry::Refused(code) => sink.later(flight, Outcome::error(code)),
        }
    }

    fn hand_over(&mut self, flight: Flight, entry: squeue::Entry) {
        // SAFETY: what the entry points to belongs to the flight, which lives until its completion.
        if unsafe { self.push(&entry, flight.key()) } {
            self.in_kernel += 1;
            let _ = flight.hand_over();
        } else {
            self.not_started(flight);
        }
    }

    #[cold]
    fn not_started(&mut self, mut flight: Flight) {
        done::undo(&mut flight, &mut self.rooms, self.buffers.as_ref());
        self.waiting.push_front(flight);
    }

    /// Puts an entry into the ring; false if there is no room even after the kernel was given what is in it.
    ///
    /// # Safety
    ///
    /// What the entry points to lives until its completion.
    unsafe fn push(&mut self, entry: &squeue::Entry, key: u64) -> bool {
        if self.ring.room().is_none() && !self.make_room() {
            return false;
        }
        // SAFETY: the caller's promise.
        unsafe { self.ring.push(entry, key) }
    }

    /// Gives the kernel what is in the ring. False if it would not take any of it; the next wait tells why.
    #[cold]
    fn make_room(&mut self) -> bool {
        matches!(self.ring.submit(), Ok(Entered::Well)) && self.ring.room().is_some()
    }

    pub(crate) fn cancel(&mut self, slot: &'static Slot, sink: &mut Sink) {
        let key = slot.key();
        if let Some(flight) = self.withdraw(key) {
            sink.later(flight, sys::cancelled());
        } else {
            self.ask_for_cancel(slot);
        }
    }

    /// Takes an operation out of whichever list of ours it waits in.
    fn withdraw(&mut self, key: u64) -> Option<Flight> {
        if let Some(place) = self.waiting.iter().position(|flight| flight.key() == key) {
            return self.waiting.remove(place);
        }
        if let Some(place) = self.parked.iter().position(|flight| flight.key() == key) {
            return self.parked.remove(place);
        }
        let place = self.resting.iter().position(|resting| resting.flight.key() == key)?;
        Some(self.resting.swap_remove(place).flight)
    }

    /// Asks the kernel to end an operation that it has.
    fn ask_for_cancel(&mut self, slot: &'static Slot) {
        let key = slot.key();
        if slot.sys.uring.asks_first(key) {
            self.cancels.push_back(key);
        }
    }

    pub(crate) fn wait(
        &mut self,
        timeout: Option<Duration>,
        slots: &Owned,
        sink: &mut Sink,
    ) -> io::Result<()> {
        // In this order: a receive that finds no buffer now is seen by `resume`, which asks to be woken for one.
        self.hand_over_waiting(sink);
        let timeout = self.resume(timeout, sink);
        let entered = if timeout == Some(Duration::ZERO) || !sink.is_empty() {
            self.look().map(drop)
        } else if self.has_more_to_hand_over() {
            self.look_or_rest(timeout)
        } else if self.ring.has_completions() {
            self.look_if_needed()
        } else {
            self.sleep(timeout)
        };
        // What has ended is told, also if the call failed.
        self.reap(slots, sink);
        entered?;
        while self.ring.has_overflowed() && sink.packets.len() < Batch::MAX {
            // There is room again for what the kernel kept.
            self.ring.look()?;
            if !self.ring.has_completions() {
                break;
            }
            self.reap(slots, sink);
        }
        Ok(())
    }

    /// Takes up again what waited for a buffer or for better times; how long the wait may be then.
    fn resume(&mut self, timeout: Option<Duration>, sink: &mut Sink) -> Option<Duration> {
        if self.buffers.is_some() {
            self.refill(sink);
        }
        if self.resting.is_empty() { timeout } else { self.resume_resting(timeout, sink) }
    }

    /// Puts into the ring what had no room there before.
    fn hand_over_waiting(&mut self, sink: &mut Sink) {
        if self.alarm.as_ref().is_some_and(|alarm| !alarm.armed) {
            let entry = self.alarm.as_mut().expect("just seen").entry();
            // SAFETY: the entry points into the alarm, which is kept until the read has ended, or leaked.
            let armed = unsafe { self.push(&entry, KEY_WAKE) };
            self.alarm.as_mut().expect("just seen").armed = armed;
        }
        while let Some(&key) = self.cancels.front() {
            let entry = opcode::AsyncCancel::new(key).build();
            // SAFETY: a cancel points to nothing.
            if !unsafe { self.push(&entry, KEY_CANCEL) } {
                return;
            }
            self.cancels.pop_front();
        }
        while let Some(flight) = self.waiting.pop_front() {
            let left = self.waiting.len();
            self.start(flight, sink);
            if self.waiting.len() > left {
                return;
            }
        }
    }

    /// Whether a wait of no time would find nothing and do nothing. Looked at without a call of the kernel.
    pub(crate) fn is_quiet(&self) -> bool {
        let lists_are_empty = self.waiting.is_empty()
            && self.cancels.is_empty()
            && self.parked.is_empty()
            && self.resting.is_empty();
        lists_are_empty
            && !self.ring.has_completions()
            && !self.ring.has_entries()
            && !self.ring.has_work()
            && self.alarm.as_ref().is_none_or(|alarm| alarm.armed)
            && self.buffers.as_ref().is_none_or(done::Lender::has_enough)
    }

    /// Something had no room in the ring: there is no sleep before it has.
    fn has_more_to_hand_over(&self) -> bool {
        let unarmed = self.alarm.as_ref().is_some_and(|alarm| !alarm.armed);
        unarmed || !self.cancels.is_empty() || !self.waiting.is_empty()
    }

    /// Hands over and lets the kernel work, without waiting.
    fn look(&mut self) -> io::Result<Entered> {
        if self.ring.has_entries() || self.ring.has_work() { self.ring.look() } else { Ok(Entered::Well) }
    }

    /// The same where there will be no sleep before more has been handed over.
    fn look_or_rest(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match self.look()? {
            Entered::Starved => self.rest_starved(timeout),
            Entered::Well | Entered::Full => Ok(()),
        }
    }

    /// The same where there is something to tell already: what the kernel could still do has time.
    fn look_if_needed(&mut self) -> io::Result<()> {
        if self.ring.has_entries() {
            self.ring.look()?;
        }
        Ok(())
    }

    fn sleep(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match self.ring.sleep(timeout)? {
            Entered::Starved => self.rest_starved(timeout),
            Entered::Well | Entered::Full => Ok(()),
        }
    }

    /// The kernel had no memory, and took nothing. Handing it over again at once would be a spin.
    #[cold]
    fn rest_starved(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let rest = timeout.map_or(STARVED, |timeout| timeout.min(STARVED));
        self.ring.only_sleep(Some(rest)).map(drop)
    }

    /// Takes completions, as many as make a batch.
    fn reap(&mut self, slots: &Owned, sink: &mut Sink) {
        while sink.packets.len() < Batch::MAX {
            let Some(completion) = self.ring.next() else { return };
            self.take(&completion, slots, sink);
        }
    }

    #[inline]
    fn take(&mut self, completion: &cqueue::Entry, slots: &Owned, sink: &mut Sink) {
        let key = completion.user_data();
        if key >= KEY_CANCEL {
            if key == KEY_WAKE
                && let Some(alarm) = &mut self.alarm
            {
                alarm.armed = false;
            }
            return;
        }
        // SAFETY: a key in the ring is that of a flight given to it, and the kernel says once that it has ended.
        let Some(flight) = (unsafe { slots.flight(key) }) else {
            sink.unknown(key);
            return;
        };
        if cqueue::more(completion.flags()) {
            self.goes_on(flight, completion, sink);
        } else {
            self.in_kernel -= 1;
            self.ended(flight, completion, sink);
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(mut alarm) = self.alarm.take()
            && alarm.armed
        {
            alarm.armed = !self.disarm();
            if alarm.armed {
                alarm.leak();
            }
        }
        if let Some(done::Lender::Kernel(buffers)) = self.buffers.take() {
            buffers.close(&self.ring);
        }
        if self.in_kernel > 0 {
            mem::take(&mut self.rooms).leak();
        }
    }
}

impl Driver {
    /// Takes the read of the eventfd back. True if the kernel has let go of it.
    fn disarm(&mut self) -> bool {
        let entry = opcode::AsyncCancel::new(KEY_WAKE).build();
        // A few looks: the read may just be ending, and what else has ended lies before it.
        for attempt in 0..4 {
            // SAFETY: a cancel points to nothing.
            if attempt == 0 && !unsafe { self.push(&entry, KEY_CANCEL) } || self.ring.look().is_err() {
                return false;
            }
            while let Some(completion) = self.ring.next() {
                if completion.user_data() == KEY_WAKE {
                    return true;
                }
            }
        }
        false
    }
}
