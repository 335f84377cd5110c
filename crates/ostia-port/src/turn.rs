//! Turns: on one handle, one operation at a time in each direction; the others wait in the order in which they
//! were submitted.
//!
//! The systems do not promise this. Two sends under way on one socket may interleave (io_uring), two receives may
//! be told in any order (IOCP), and two waiters for one readiness steal from each other (epoll). With turns, what
//! is sent arrives in the order of the submits, and a back end sees at most one operation each way.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use crate::op::slot::{Flight, Slot};

/// Which way an operation moves bytes; accepting counts as `In`, connecting as `Out`.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    In,
    Out,
}

/// Both turns of a handle. They outlive it: a late cancel may look here, and finds nothing.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    input: Turn,
    output: Turn,
}

static POOL: Mutex<Vec<&'static Turns>> = Mutex::new(Vec::new());

impl Turns {
    pub(crate) fn claim() -> &'static Turns {
        let pooled = POOL.lock().unwrap_or_else(PoisonError::into_inner).pop();
        pooled.unwrap_or_else(|| Box::leak(Box::default()))
    }

    /// The handle is gone, and with it every operation on it.
    pub(crate) fn release(&'static self) {
        POOL.lock().unwrap_or_else(PoisonError::into_inner).push(self);
    }

    pub(crate) fn of(&'static self, direction: Direction) -> &'static Turn {
        match direction {
            Direction::In => &self.input,
            Direction::Out => &self.output,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Turn {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    busy: bool,
    waiting: VecDeque<Flight>,
}

impl Turn {
    /// The flight comes back if it is its turn; otherwise it waits here.
    #[inline]
    pub(crate) fn enter(&'static self, flight: Flight) -> Option<Flight> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.busy {
            flight.slot().now_in_line(self);
            state.waiting.push_back(flight);
            return None;
        }
        state.busy = true;
        Some(flight)
    }

    /// The one whose turn it was has ended: whose turn is it now?
    #[inline]
    pub(crate) fn leave(&self) -> Option<Flight> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let next = state.waiting.pop_front();
        state.busy = next.is_some();
        next
    }

    /// Takes an operation that still waits out of the line.
    pub(crate) fn withdraw(&self, slot: &'static Slot) -> Option<Flight> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let place = state.waiting.iter().position(|flight| std::ptr::eq(flight.slot(), slot))?;
        state.waiting.remove(place)
    }
}
