//! How many workers of a node run tasks at a time, where the node has more threads than that.
//!
//! | a worker | has a permit |
//! |---|---|
//! | runs tasks, or looks whether there are some | yes |
//! | sleeps at its berth | no |
//! | is inside a section that was marked as blocking | no |
//! | wants to run and may not yet | no: it stands in line |
//!
//! Permits go along the line in the order in which workers came. While somebody stands there, who runs gives its permit
//! back at the end of its slice, and goes to the end of the line.

use std::{
    collections::VecDeque,
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::loom::lock;

/// The permits of a node.
#[derive(Debug)]
pub(crate) struct Permits {
    state: Mutex<State>,
    /// For each seat: it has come to the front of the line.
    called: Box<[Condvar]>,
    /// As the state says, for those who only look.
    free: AtomicUsize,
    waiting: AtomicUsize,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// The seats of those who wait.
    line: VecDeque<usize>,
    /// For each seat: it was given one while it waited.
    given: Box<[bool]>,
    /// Nobody waits any more, and nobody counts.
    is_closed: bool,
}

impl Permits {
    pub(crate) fn new(permits: usize, seats: usize) -> Permits {
        let state = State {
            free: permits,
            line: VecDeque::with_capacity(seats),
            given: (0..seats).map(|_| false).collect(),
            is_closed: false,
        };
        Permits {
            state: Mutex::new(state),
            called: (0..seats).map(|_| Condvar::new()).collect(),
            free: AtomicUsize::new(permits),
            waiting: AtomicUsize::new(0),
        }
    }

    /// How many nobody has.
    pub(crate) fn free(&self) -> usize {
        self.free.load(Ordering::SeqCst)
    }

    /// Whether somebody waits for one.
    pub(crate) fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Takes one if it is free.
    pub(crate) fn try_take(&self) -> bool {
        let mut state = lock(&self.state);
        let may = state.is_closed || state.free > 0;
        state.free = state.free.saturating_sub(1);
        self.show(&state);
        may
    }

    /// Takes one for the worker of this seat, which waits until it is its turn.
    pub(crate) fn take(&self, seat: usize) {
        let mut state = lock(&self.state);
        if state.is_closed || state.free > 0 {
            state.free = state.free.saturating_sub(1);
            self.show(&state);
            return;
        }
        state.line.push_back(seat);
        self.show(&state);
        let waits = |state: &mut State| !state.given[seat] && !state.is_closed;
        state = self.called[seat].wait_while(state, waits).unwrap_or_else(PoisonError::into_inner);
        state.given[seat] = false;
    }

    /// Gives one back, to whoever is first in line.
    pub(crate) fn give_back(&self) {
        let mut state = lock(&self.state);
        match state.line.pop_front() {
            Some(next) => {
                state.given[next] = true;
                self.called[next].notify_one();
            }
            None => state.free += 1,
        }
        self.show(&state);
    }

    /// Lets everybody through from now on: the runtime is over, and each worker has to end.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.is_closed = true;
        state.line.clear();
        self.show(&state);
        for called in &self.called {
            called.notify_all();
        }
    }

    fn show(&self, state: &State) {
        self.free.store(state.free, Ordering::SeqCst);
        self.waiting.store(state.line.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_go_along_the_line() {
        let permits = Permits::new(1, 3);
        permits.take(0);
        assert!(!permits.try_take());
        let order = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for (place, seat) in [2, 1].into_iter().enumerate() {
                let (permits, order) = (&permits, &order);
                scope.spawn(move || {
                    permits.take(seat);
                    lock(order).push(seat);
                    permits.give_back();
                });
                // The next one comes when this one stands in line.
                while permits.waiting.load(Ordering::Relaxed) != place + 1 {
                    std::thread::yield_now();
                }
            }
            assert!(permits.is_wanted());
            permits.give_back();
        });
        assert_eq!(*lock(&order), [2, 1]);
        assert_eq!((permits.free(), permits.is_wanted()), (1, false));
    }

    #[test]
    fn nobody_waits_for_a_permit_of_what_is_over() {
        let permits = Permits::new(1, 2);
        permits.take(0);
        std::thread::scope(|scope| {
            scope.spawn(|| permits.take(1));
            permits.close();
        });
        assert!(permits.try_take());
    }
}
