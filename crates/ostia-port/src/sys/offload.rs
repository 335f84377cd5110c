//! Threads for what a back end cannot do itself: named, bounded, started when there is work for them.

use std::{
    collections::VecDeque,
    io,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
};

use super::{blocking, error};
use crate::op::{
    Outcome,
    slot::{At, Flight, Slot},
};

#[derive(Debug)]
pub(crate) struct Offload {
    shared: Arc<Pool>,
    threads_max: usize,
    name: String,
}

#[derive(Debug, Default)]
struct Pool {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// At most as many as there are slots.
    queue: VecDeque<Flight>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl Offload {
    pub(crate) fn new(name: &str, threads_max: usize) -> Offload {
        Offload { shared: Arc::default(), threads_max: threads_max.max(1), name: format!("{name}-offload") }
    }

    /// Runs the operation on a thread of the pool; its end comes to the quay of its slab.
    pub(crate) fn start(&self, flight: Flight) {
        flight.slot().now_at(At::Offload);
        let mut state = self.shared.lock();
        state.queue.push_back(flight);
        if state.idle >= state.queue.len() || state.threads >= self.threads_max {
            drop(state);
            self.shared.work.notify_one();
            return;
        }
        state.threads += 1;
        let number = state.threads;
        drop(state);
        let shared = Arc::clone(&self.shared);
        let started =
            thread::Builder::new().name(format!("{}-{number}", self.name)).spawn(move || shared.serve());
        if let Err(error) = started {
            self.not_started(&error);
        }
    }

    /// No thread could be started. If there is none at all, nobody will ever take the work: it fails.
    fn not_started(&self, error: &io::Error) {
        tracing::warn!(%error, "no further offload thread");
        let mut state = self.shared.lock();
        state.threads -= 1;
        let lost = if state.threads == 0 { std::mem::take(&mut state.queue) } else { VecDeque::new() };
        drop(state);
        for flight in lost {
            let quay = flight.slot().slab.quay();
            quay.send_back(flight, Outcome::from_error(error));
        }
    }

    /// Takes an operation back that no thread has begun.
    pub(crate) fn withdraw(&self, slot: &'static Slot) -> Option<Flight> {
        let mut state = self.shared.lock();
        let place = state.queue.iter().position(|flight| std::ptr::eq(flight.slot(), slot))?;
        state.queue.remove(place)
    }

    /// How many threads there are at most.
    pub(crate) fn threads_max(&self) -> usize {
        self.threads_max
    }
}

impl Drop for Offload {
    fn drop(&mut self) {
        // Threads end when they have nothing to do. They are not joined: one of them may be inside a call on a
        // dead network mount.
        self.shared.lock().closed = true;
        self.shared.work.notify_all();
    }
}

impl Pool {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        let mut state = self.lock();
        loop {
            if let Some(mut flight) = state.queue.pop_front() {
                drop(state);
                let outcome = if flight.is_cancelled() {
                    Outcome::error(error::CODE_CANCELLED)
                } else {
                    perform(&mut flight)
                };
                // Who hears of the end may have more to do, and is to find this thread idle.
                self.lock().idle += 1;
                let quay = flight.slot().slab.quay();
                quay.send_back(flight, outcome);
                state = self.lock();
                state.idle -= 1;
            } else if state.closed {
                return;
            } else {
                state.idle += 1;
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }
}

/// A fault of ours must not cost the thread, nor leave the operation without an end.
fn perform(flight: &mut Flight) -> Outcome {
    let done = panic::catch_unwind(AssertUnwindSafe(|| blocking::run(flight)));
    done.unwrap_or(Outcome::error(error::CODE_OTHER))
}
