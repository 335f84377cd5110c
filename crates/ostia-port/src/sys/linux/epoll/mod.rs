//! epoll: readiness made into completion, by one instance for each berth.
//!
//! **The strategy.** A submit makes the call itself, on a descriptor that never waits. Mostly that is the end of it:
//! the outcome is told by the next wait. Otherwise the operation is left in the handle's entry, one in each
//! direction (`turn` lets no more through), and the kernel is asked to tell when to try again.
//!
//! **Level-triggered.** A registration stays as long as the handle, and what waits there is told as long as it is so.
//! Whoever receives again and again has each byte from one call: none is made only to hear that there is nothing, and
//! nobody concludes from a short read that there is no more. What is told while nobody here waits for it is switched
//! off, and on again by the next operation that has to wait: so a peer that sends to somebody who does not read wakes
//! the berth once. Edges were weighed instead: they save the kernel a second look at each descriptor, and cost a call
//! in vain after each read that filled its buffer, and rules for what a short read proves (nothing, where urgent data
//! or descriptors are on their way).
//!
//! **What no readiness tells** (that a Unix listener's line, or that of a datagram's receiver, has room; that a process
//! without free descriptors has one again) is tried again after a pause, which doubles up to a limit.
//!
//! **Files** are always ready for epoll, and wait all the same. A read is tried by a call that takes only what is in
//! memory; the rest, and everything else, is for offload threads.
//!
//! **Weak**: a send of more than the socket takes is several calls; a cancel of it may leave a part sent.

mod op;
mod registry;
mod sleep;
mod wake;

use std::{
    collections::{BTreeSet, VecDeque},
    io,
    ptr::null,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use self::{
    op::{Buffers, Pause, Step},
    registry::{KEY_WAKE, Registry},
    sleep::Sleep,
};
pub(crate) use self::{registry::Memo, wake::Waker};
use super::{blocking::call, transfer::advance};
use crate::{
    op::{
        Outcome, Request,
        slab::Owned,
        slot::{Flight, Slot},
    },
    quay::Quay,
    sink::Sink,
    sys::{self, error},
    timeout,
    turn::Direction,
};

/// Events taken at once: as many as one wait delivers packets.
const EVENTS: usize = 256;

/// A read from memory is a copy by the berth's own thread: at most so much of one read, and so much between two looks
/// at the kernel, lest the others wait. The rest is for the offload threads.
const INLINE_MAX: usize = 256 << 10;
const INLINE_A_TURN: usize = 1 << 20;

/// One thread's epoll instance, and what waits there.
pub(crate) struct Driver {
    registry: Registry,
    sleep: Sleep,
    events: Box<[libc::epoll_event]>,
    buffers: Buffers,
    /// What is tried again at a time, by key and direction.
    paused: BTreeSet<(Instant, u64, u8)>,
    /// Handles on which an operation waits for a lent buffer, the longest waiting first.
    starving: VecDeque<u64>,
    inline_left: usize,
    /// The last wait had enough to deliver and did not look at the kernel.
    has_skipped: bool,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("registry", &self.registry).finish_non_exhaustive()
    }
}

impl Driver {
    pub(crate) fn open(quay: &'static Quay) -> io::Result<Driver> {
        let waker = Waker::new()?;
        let registry = Registry::new(waker.raw())?;
        quay.set_waker(sys::Waker::Os(super::Waker::Epoll(waker)));
        Ok(Driver {
            registry,
            sleep: Sleep::new(),
            events: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS].into_boxed_slice(),
            buffers: Buffers::new(quay),
            paused: BTreeSet::new(),
            starving: VecDeque::new(),
            inline_left: INLINE_A_TURN,
            has_skipped: false,
        })
    }

    #[inline]
    pub(crate) fn submit(&mut self, mut flight: Flight, sink: &mut Sink) {
        let Some(direction) = flight.direction() else { return self.submit_undirected(flight, sink) };
        let handle = flight.handle().expect("what has a direction has a handle");
        let place = self.registry.find(handle);
        let is_many = is_many(&flight);
        let hears = direction == Direction::In && place.is_some_and(|place| self.registry.hears_input(place));
        if hears || is_many {
            // There is no need to try; and what yields many may tell of one only during a wait.
            let place = place.unwrap_or_else(|| self.registry.enter(handle));
            self.stay(flight, place, direction, sink);
            return;
        }
        let step = op::attempt(&mut flight, &mut self.buffers);
        self.conclude(flight, step, place, direction, sink);
    }

    /// Files, and what needs no handle.
    fn submit_undirected(&mut self, mut flight: Flight, sink: &mut Sink) {
        match flight.request() {
            Request::Nop => sink.later(flight, Outcome::ok(0)),
            Request::ReadAt { .. } | Request::ReadVectoredAt { .. } => {
                match read_from_memory(&mut flight, &mut self.inline_left) {
                    Some(outcome) => sink.later(flight, outcome),
                    None => sink.offload(flight),
                }
            }
            Request::WriteAt { .. }
            | Request::WriteVectoredAt { .. }
            | Request::Sync { .. }
            | Request::SetSize { .. }
            | Request::File { .. } => sink.offload(flight),
            _ => sink.later(flight, Outcome::error(error::CODE_UNSUPPORTED)),
        }
    }

    /// What becomes of an operation that was tried.
    #[inline]
    fn conclude(
        &mut self,
        flight: Flight,
        step: Step,
        place: Option<u32>,
        direction: Direction,
        sink: &mut Sink,
    ) {
        if let Step::Ended(outcome) = step {
            if let Some(place) = place {
                self.registry.half(place, direction).tries = 0;
            }
            return sink.later(flight, outcome);
        }
        let handle = flight.handle().expect("what has a direction has a handle");
        let place = place.unwrap_or_else(|| self.registry.enter(handle));
        match step {
            Step::Ended(_) | Step::Waits => self.stay(flight, place, direction, sink),
            Step::Later(pause) => self.pause(flight, place, direction, pause),
            Step::Starves => {
                self.starving.push_back(self.registry.key(place));
                self.leave(flight, place, direction).starves = true;
            }
        }
    }

    /// Leaves the flight in its place.
    fn leave(&mut self, flight: Flight, place: u32, direction: Direction) -> &mut registry::Half {
        flight.slot().place.store(place, Ordering::Relaxed);
        let half = self.registry.half(place, direction);
        debug_assert!(half.flight.is_none(), "one operation in each direction");
        half.flight = Some(flight);
        half
    }

    /// It waits for the descriptor.
    #[inline]
    fn stay(&mut self, flight: Flight, place: u32, direction: Direction, sink: &mut Sink) {
        self.leave(flight, place, direction).tries = 0;
        if let Err(error) = self.registry.arm(place) {
            let half = self.registry.half(place, direction);
            let flight = half.flight.take().expect("it has just been left there");
            sink.later(flight, unheard(&error));
        }
    }

    /// It waits for a time.
    fn pause(&mut self, flight: Flight, place: u32, direction: Direction, pause: Pause) {
        let key = self.registry.key(place);
        let half = self.leave(flight, place, direction);
        let at = timeout::deadline(Instant::now(), pause.after(half.tries));
        half.tries = half.tries.saturating_add(1);
        half.not_before = Some(at);
        self.paused.insert((at, key, direction as u8));
    }

    /// An operation leaves at once: it is in no call of the kernel.
    pub(crate) fn cancel(&mut self, slot: &'static Slot, sink: &mut Sink) {
        let place = slot.place.load(Ordering::Relaxed);
        let Some(half) = self.registry.half_with(place, slot) else { return };
        let flight = half.flight.take().expect("it was found there");
        half.tries = 0;
        let starved = std::mem::take(&mut half.starves);
        let paused = half.not_before.take();
        let key = self.registry.key(place);
        if starved {
            self.starving.retain(|other| *other != key);
        }
        if let Some(at) = paused
            && let Some(direction) = flight.direction()
        {
            self.paused.remove(&(at, key, direction as u8));
        }
        sink.later(flight, sys::cancelled());
    }

    pub(crate) fn wait(
        &mut self,
        timeout: Option<Duration>,
        _slots: &Owned,
        sink: &mut Sink,
    ) -> io::Result<()> {
        self.registry.sweep();
        self.inline_left = INLINE_A_TURN;
        self.resume(sink);
        let timeout = if sink.is_empty() { self.until_resumed(timeout) } else { Some(Duration::ZERO) };
        if timeout == Some(Duration::ZERO) && !sink.is_empty() && !self.has_skipped {
            // There is enough to deliver; the wait after that looks again.
            self.has_skipped = true;
            return Ok(());
        }
        self.has_skipped = false;
        let count = self.sleep.wait(self.registry.raw(), &mut self.events, timeout)?;
        for index in 0..count {
            let libc::epoll_event { events, u64: key } = self.events[index];
            if key != KEY_WAKE {
                self.hear(key, events, sink);
            }
        }
        Ok(())
    }

    #[inline]
    fn hear(&mut self, key: u64, events: u32, sink: &mut Sink) {
        let Some(place) = self.registry.place_of(key) else { return };
        let mut is_stray = false;
        // A connect is told of its failure before a receive takes the news.
        for direction in [Direction::Out, Direction::In] {
            if registry::is_for(direction, events) {
                if self.registry.half(place, direction).listens() {
                    self.go_on(place, direction, sink);
                } else {
                    is_stray = true;
                }
            }
        }
        if is_stray {
            self.registry.relax(place, events);
        }
    }

    /// Tries what waits there again. Only during a wait.
    #[inline]
    fn go_on(&mut self, place: u32, direction: Direction, sink: &mut Sink) {
        let half = self.registry.half(place, direction);
        let Some(mut flight) = half.flight.take() else { return };
        let step = if is_many(&flight) {
            op::attempt_many(&mut flight, &mut self.buffers, half.tries > 0, sink)
        } else {
            op::attempt(&mut flight, &mut self.buffers)
        };
        self.conclude(flight, step, Some(place), direction, sink);
    }

    /// Tries what waited for something else than its descriptor.
    fn resume(&mut self, sink: &mut Sink) {
        if !self.paused.is_empty() {
            let now = Instant::now();
            while let Some(&(at, key, direction)) = self.paused.first()
                && at <= now
            {
                self.paused.pop_first();
                let direction = if direction == Direction::In as u8 { Direction::In } else { Direction::Out };
                if let Some(place) = self.registry.place_of(key) {
                    self.registry.half(place, direction).not_before = None;
                    self.go_on(place, direction, sink);
                }
            }
        }
        for _ in 0..self.starving.len() {
            if !self.buffers.lending.as_ref().is_some_and(|lending| lending.has_free()) {
                break;
            }
            let Some(key) = self.starving.pop_front() else { break };
            if let Some(place) = self.registry.place_of(key) {
                let half = self.registry.half(place, Direction::In);
                if std::mem::take(&mut half.starves) {
                    self.go_on(place, Direction::In, sink);
                }
            }
        }
    }

    fn until_resumed(&self, timeout: Option<Duration>) -> Option<Duration> {
        match self.paused.first() {
            None => timeout,
            Some((at, ..)) => timeout::until(Instant::now(), Some(*at), timeout),
        }
    }
}

fn is_many(flight: &Flight) -> bool {
    matches!(flight.request(), Request::Accept { many: true } | Request::ReceiveManaged { many: true })
}

/// How an operation ends for which epoll cannot wait.
fn unheard(error: &io::Error) -> Outcome {
    match error.raw_os_error() {
        // It has no readiness, so it is always ready; only a foreign descriptor can be such a one.
        Some(libc::EPERM) => Outcome::ok(0),
        _ => Outcome::from_error(error),
    }
}

/// Reads what is in memory. None if there is more to be read, from somewhere else.
fn read_from_memory(flight: &mut Flight, budget: &mut usize) -> Option<Outcome> {
    let handle = flight.handle()?;
    let raw = handle.raw;
    if handle.sys.epoll.reads_wait.load(Ordering::Relaxed) {
        return None;
    }
    let mut allowed = INLINE_MAX.min(*budget);
    while allowed > 0 {
        let (one, slices, count, offset) = match *flight.request() {
            Request::ReadAt { buffer, len, offset } => {
                (Some(sys::slice(buffer, len.min(allowed))), null(), 1, offset)
            }
            Request::ReadVectoredAt { slices, count, offset } if room(slices, count) <= allowed => {
                (None, slices.cast_const(), count, offset)
            }
            _ => return None,
        };
        let slices = one.as_ref().map_or(slices, std::ptr::from_ref);
        let (count, offset) = (count as libc::c_int, offset as libc::off64_t);
        // SAFETY: the slices are so many, and what they lead to is the flight's.
        match call(|| unsafe { libc::preadv64v2(raw, slices, count, offset, libc::RWF_NOWAIT) }) {
            Ok(0) => return Some(Outcome::ok(flight.progress())),
            Ok(read) => {
                allowed -= read;
                *budget -= read;
                if advance(flight, read) {
                    return Some(Outcome::ok(flight.progress()));
                }
            }
            Err(libc::EAGAIN) => return None,
            Err(libc::EOPNOTSUPP | libc::ENOSYS | libc::EPERM) => {
                flight.handle()?.sys.epoll.reads_wait.store(true, Ordering::Relaxed);
                return None;
            }
            Err(code) => return Some(Outcome::error(code)),
        }
    }
    None
}

/// How many bytes the slices have room for.
fn room(slices: *const libc::iovec, count: usize) -> usize {
    // SAFETY: the request's slices lie in its operation, and are `count`.
    let slices = unsafe { std::slice::from_raw_parts(slices, count) };
    slices.iter().map(|slice| slice.iov_len).sum()
}
