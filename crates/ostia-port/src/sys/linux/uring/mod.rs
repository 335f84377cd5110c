//! io_uring: one ring for each berth, used by its thread alone.

mod op;

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsRawFd, RawFd},
    time::Duration,
};

use io_uring::{IoUring, cqueue, opcode, squeue, types};

use self::op::Entry;
use crate::{
    op::{
        Outcome,
        slab::Owned,
        slot::{Flight, Slot},
    },
    port::Config,
    quay::Quay,
    sink::Sink,
    sys,
};

/// A completion that is of no operation: somebody rang.
const KEY_WAKE: u64 = u64::MAX;
/// The answer to a request to cancel; the cancelled operation has its own.
const KEY_CANCEL: u64 = u64::MAX - 1;

/// The part that threads share: nothing but what was found out at the start.
#[derive(Debug)]
pub(crate) struct System {
    rung: Rung,
}

/// How far down the ladder of set-up flags this kernel made us step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rung {
    /// One thread submits, and completions are worked on only when it asks (6.1).
    Defer,
    /// One thread submits, and is not interrupted for completions (6.0).
    Single,
    Plain,
}

/// Why a port that was to choose for itself has epoll.
pub(crate) fn tell_why_not(error: &io::Error) {
    static TOLD: std::sync::Once = std::sync::Once::new();
    TOLD.call_once(|| tracing::warn!(%error, "io_uring is refused here; epoll serves instead"));
}

fn build(entries: u32, rung: Rung) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder.setup_clamp().setup_cqsize(entries * 4);
    match rung {
        Rung::Defer => {
            builder.setup_single_issuer().setup_defer_taskrun().setup_submit_all();
        }
        Rung::Single => {
            builder.setup_single_issuer().setup_coop_taskrun().setup_taskrun_flag().setup_submit_all();
        }
        Rung::Plain => {}
    }
    builder.build(entries)
}

impl System {
    /// Finds out what this kernel allows, by a ring that makes one round trip.
    pub(crate) fn open(_config: &Config) -> io::Result<System> {
        let mut last = None;
        for rung in [Rung::Defer, Rung::Single, Rung::Plain] {
            match build(2, rung).and_then(round_trip) {
                Ok(()) => return Ok(System { rung }),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("each rung that fails leaves an error"))
    }

    pub(crate) fn driver(&self, config: &Config, quay: &'static Quay) -> io::Result<Driver> {
        let ring = build(config.ring_entries, self.rung)?;
        quay.set_waker(sys::Waker::Os(super::Waker::Uring(Waker { ring: ring.as_raw_fd() })));
        Ok(Driver { ring, rung: self.rung, waiting: VecDeque::new(), cancels: VecDeque::new() })
    }
}

/// Setting a ring up may be allowed and using it not.
fn round_trip(mut ring: IoUring) -> io::Result<()> {
    let nop = opcode::Nop::new().build().user_data(1);
    // SAFETY: a nop uses no memory.
    unsafe { ring.submission().push(&nop) }.map_err(io::Error::other)?;
    ring.submit_and_wait(1)?;
    ring.completion().next().map(drop).ok_or_else(|| io::Error::other("a ring took a nop and never gave it back"))
}

/// Puts a completion into the ring of a sleeping berth.
#[derive(Debug)]
pub(crate) struct Waker {
    ring: RawFd,
}

impl Waker {
    pub(crate) fn wake(&self) -> io::Result<()> {
        op::message(self.ring, KEY_WAKE)
    }
}

/// One thread's ring.
pub(crate) struct Driver {
    ring: IoUring,
    rung: Rung,
    /// Operations for which the ring had no room, in their order.
    waiting: VecDeque<Flight>,
    /// Cancels for which the ring had no room, by key.
    cancels: VecDeque<u64>,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("rung", &self.rung).finish_non_exhaustive()
    }
}

impl Driver {
    #[inline]
    pub(crate) fn submit(&mut self, flight: Flight, sink: &mut Sink) {
        if !self.waiting.is_empty() {
            self.waiting.push_back(flight);
            return;
        }
        self.start(flight, sink);
    }

    #[inline]
    fn start(&mut self, flight: Flight, sink: &mut Sink) {
        match op::entry(&flight) {
            Entry::Ring(entry) => {
                let entry = entry.user_data(flight.key());
                if self.push(&entry) {
                    let _ = flight.hand_over();
                } else {
                    self.waiting.push_front(flight);
                }
            }
            Entry::Offload => sink.offload(flight),
            Entry::Refused(code) => sink.later(flight, Outcome::error(code)),
        }
    }

    /// False if the ring has no room even after the kernel was given what is in it.
    #[inline]
    fn push(&mut self, entry: &squeue::Entry) -> bool {
        // SAFETY: what the entry points to belongs to a flight, which lives until its completion.
        if unsafe { self.ring.submission().push(entry) }.is_ok() {
            return true;
        }
        if self.ring.submit().is_err() {
            return false;
        }
        // SAFETY: as above.
        unsafe { self.ring.submission().push(entry) }.is_ok()
    }

    pub(crate) fn cancel(&mut self, slot: &'static Slot, sink: &mut Sink) {
        let key = slot.key();
        if let Some(place) = self.waiting.iter().position(|flight| flight.key() == key) {
            let flight = self.waiting.remove(place).expect("it was found there");
            sink.later(flight, sys::cancelled());
            return;
        }
        self.cancels.push_back(key);
    }

    pub(crate) fn wait(&mut self, timeout: Option<Duration>, slots: &Owned, sink: &mut Sink) -> io::Result<()> {
        self.hand_over_waiting(sink);
        let ready = !self.ring.completion().is_empty() || !sink.later.is_empty();
        if timeout == Some(Duration::ZERO) || ready {
            self.look()?;
        } else {
            self.sleep(timeout)?;
        }
        self.reap(slots, sink);
        Ok(())
    }

    fn hand_over_waiting(&mut self, sink: &mut Sink) {
        while let Some(&key) = self.cancels.front() {
            let entry = opcode::AsyncCancel::new(key).build().user_data(KEY_CANCEL);
            if !self.push(&entry) {
                return;
            }
            self.cancels.pop_front();
        }
        while let Some(flight) = self.waiting.pop_front() {
            let before = self.waiting.len();
            self.start(flight, sink);
            if self.waiting.len() > before {
                return;
            }
        }
    }

    /// Hands over and works on completions, without waiting for any.
    fn look(&mut self) -> io::Result<()> {
        let submitted = self.ring.submission().is_empty();
        if submitted && self.rung == Rung::Plain {
            return Ok(());
        }
        if submitted && self.rung == Rung::Single && !self.ring.submission().taskrun() {
            return Ok(());
        }
        // Deferred work is done only inside a call that asks for completions.
        let now = types::Timespec::new();
        let args = types::SubmitArgs::new().timespec(&now);
        forgive(self.ring.submitter().submit_with_args(1, &args))
    }

    fn sleep(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match timeout {
            None => forgive(self.ring.submit_and_wait(1)),
            Some(timeout) => {
                let time = types::Timespec::from(timeout);
                let args = types::SubmitArgs::new().timespec(&time);
                forgive(self.ring.submitter().submit_with_args(1, &args))
            }
        }
    }

    fn reap(&mut self, slots: &Owned, sink: &mut Sink) {
        let Driver { ring, .. } = self;
        for completion in ring.completion() {
            let key = completion.user_data();
            if key == KEY_WAKE || key == KEY_CANCEL {
                continue;
            }
            // SAFETY: a key in the ring is that of a flight given to it, and the kernel says once that it has ended.
            let Some(flight) = (unsafe { slots.flight(key) }) else {
                sink.unknown(key);
                continue;
            };
            if cqueue::more(completion.flags()) {
                let _ = flight.hand_over();
                continue;
            }
            sink.complete(flight, outcome(completion.result()));
        }
    }
}

fn outcome(result: i32) -> Outcome {
    if result < 0 { Outcome::error(-result) } else { Outcome::ok(result as usize) }
}

/// What ends a wait early is no error of it.
fn forgive(result: io::Result<usize>) -> io::Result<()> {
    match result {
        Ok(_) => Ok(()),
        Err(error) => match error.raw_os_error() {
            Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
            _ => Err(error),
        },
    }
}
