//! Turns: on one handle, one operation at a time in each direction; the others wait in the order in which they
//! were submitted.
//!
//! The systems do not promise this. Two sends under way on one socket may interleave (io_uring), two receives may
//! be told in any order (IOCP), and two waiters for one readiness steal from each other (epoll). With turns, what
//! is sent arrives in the order of the submits, and a back end sees at most one operation each way.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
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

/// One turn: a word, and a line behind it for those who have to wait.
///
/// | the word is | that means | who may change it |
/// |---|---|---|
/// | `FREE` | nobody has the turn | whoever comes: to `BUSY` |
/// | `BUSY` | somebody has it, and nobody waits | who has it: to `FREE`; who has to wait, with the line locked: to `CROWDED` |
/// | `CROWDED` | somebody has it, and others may wait | who has it, with the line locked: to `BUSY` or `FREE`, or it stays |
#[derive(Debug, Default)]
pub(crate) struct Turn {
    word: AtomicU8,
    waiting: Mutex<VecDeque<Flight>>,
}

const FREE: u8 = 0;
const BUSY: u8 = 1;
const CROWDED: u8 = 2;

impl Turn {
    /// The flight comes back if it is its turn; otherwise it waits here.
    #[inline]
    pub(crate) fn enter(&'static self, flight: Flight) -> Option<Flight> {
        if self.word.compare_exchange(FREE, BUSY, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            return Some(flight);
        }
        self.wait_in_line(flight)
    }

    #[cold]
    fn wait_in_line(&'static self, flight: Flight) -> Option<Flight> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let word = match self.word.load(Ordering::Relaxed) {
                FREE => match self.word.compare_exchange(FREE, BUSY, Ordering::Acquire, Ordering::Relaxed) {
                    Ok(_) => return Some(flight),
                    Err(word) => word,
                },
                word => word,
            };
            // From here on whoever has the turn looks into the line before it gives it up.
            if word == CROWDED
                || self.word.compare_exchange(BUSY, CROWDED, Ordering::Relaxed, Ordering::Relaxed).is_ok()
            {
                flight.slot().now_in_line(self);
                waiting.push_back(flight);
                return None;
            }
        }
    }

    /// The one whose turn it was has ended: whose turn is it now?
    #[inline]
    pub(crate) fn leave(&self) -> Option<Flight> {
        if self.word.compare_exchange(BUSY, FREE, Ordering::Release, Ordering::Relaxed).is_ok() {
            return None;
        }
        self.hand_on()
    }

    #[cold]
    fn hand_on(&self) -> Option<Flight> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let next = waiting.pop_front();
        let word = match (&next, waiting.is_empty()) {
            (None, _) => FREE,
            (Some(_), true) => BUSY,
            (Some(_), false) => CROWDED,
        };
        // With the line locked nobody else changes a word that is `CROWDED`.
        self.word.store(word, Ordering::Release);
        next
    }

    /// Takes an operation that still waits out of the line.
    pub(crate) fn withdraw(&self, slot: &'static Slot) -> Option<Flight> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let place = waiting.iter().position(|flight| std::ptr::eq(flight.slot(), slot))?;
        waiting.remove(place)
    }
}
