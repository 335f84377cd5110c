//! Threads for what a back end cannot do itself, and for callers' own work that waits: named, bounded, started when
//! there is work for them.
//!
//! In the simulation there are none: who waits at a berth does the work, on its own thread.

use std::{
    collections::VecDeque,
    io, mem,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use super::{blocking, error};
use crate::{
    berth::Refused,
    op::{
        Outcome,
        slot::{At, Flight, Slot},
    },
    port::{Config, Job},
};

#[derive(Debug)]
pub(crate) struct Offload {
    shared: Arc<Pool>,
    threads_max: usize,
    jobs_max: usize,
    name: String,
    /// There are no threads: whoever has a berth does the work.
    here: bool,
}

#[derive(Debug, Default)]
struct Pool {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    /// At most as many as there are slots, and as many jobs as may wait.
    queue: VecDeque<Work>,
    /// How many of them are jobs.
    jobs: usize,
    /// The number of the last job.
    last_job: u64,
    threads: usize,
    idle: usize,
    /// No job is taken any more.
    shut: bool,
    closed: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("waiting", &self.queue.len())
            .field("threads", &self.threads)
            .field("idle", &self.idle)
            .finish_non_exhaustive()
    }
}

/// What a thread of the pool does.
enum Work {
    Flight(Flight),
    /// A caller's own, and its number.
    Job(u64, Job),
}

impl State {
    fn next(&mut self) -> Option<Work> {
        let work = self.queue.pop_front()?;
        self.jobs -= usize::from(matches!(work, Work::Job(..)));
        Some(work)
    }

    /// Takes the jobs out, and leaves the operations.
    fn take_jobs(&mut self) -> VecDeque<Work> {
        let (jobs, flights) =
            mem::take(&mut self.queue).into_iter().partition(|work| matches!(work, Work::Job(..)));
        (self.jobs, self.queue) = (0, flights);
        jobs
    }
}

impl Offload {
    pub(crate) fn new(config: &Config, here: bool) -> Offload {
        Offload {
            shared: Arc::default(),
            threads_max: config.offload_threads_max.max(1),
            jobs_max: config.offload_jobs_max.max(1),
            name: format!("{}-offload", config.name),
            here,
        }
    }

    /// Runs the operation on a thread of the pool; its end comes to the quay of its slab.
    pub(crate) fn start(&self, flight: Flight) {
        flight.slot().now_at(At::Offload);
        let mut state = self.shared.lock();
        state.queue.push_back(Work::Flight(flight));
        if let Err(error) = self.see_to_it(state) {
            self.give_up(None, &error);
        }
    }

    /// Runs a caller's own work on a thread of the pool.
    pub(crate) fn run(&self, job: Job) -> Result<(), Refused<Job>> {
        let mut state = self.shared.lock();
        let refusal = if state.shut {
            Some(io::Error::new(io::ErrorKind::NotConnected, "the port is closing"))
        } else if state.jobs >= self.jobs_max {
            Some(io::Error::new(io::ErrorKind::WouldBlock, "as many jobs wait for a thread as may"))
        } else {
            None
        };
        if let Some(error) = refusal {
            return Err(Refused { op: job, error });
        }
        state.jobs += 1;
        state.last_job += 1;
        let number = state.last_job;
        state.queue.push_back(Work::Job(number, job));
        match self.see_to_it(state) {
            Ok(()) => Ok(()),
            Err(error) => self.give_up(Some(number), &error).map_or(Ok(()), |op| Err(Refused { op, error })),
        }
    }

    /// Work has been queued: wakes a thread for it, or starts one. An error if there is no thread at all.
    fn see_to_it(&self, mut state: MutexGuard<'_, State>) -> io::Result<()> {
        if self.here {
            return Ok(());
        }
        if state.idle >= state.queue.len() || state.threads >= self.threads_max {
            drop(state);
            self.shared.work.notify_one();
            return Ok(());
        }
        state.threads += 1;
        let number = state.threads;
        drop(state);
        let shared = Arc::clone(&self.shared);
        let started =
            thread::Builder::new().name(format!("{}-{number}", self.name)).spawn(move || shared.serve());
        if let Err(error) = started {
            tracing::warn!(%error, "no further offload thread");
            let mut state = self.shared.lock();
            state.threads -= 1;
            if state.threads == 0 {
                return Err(error);
            }
        }
        Ok(())
    }

    /// No thread could be started, and there is none: nobody would take the work. Operations fail, jobs are dropped;
    /// the one of this number comes back.
    fn give_up(&self, own: Option<u64>, error: &io::Error) -> Option<Job> {
        let mut state = self.shared.lock();
        let lost = if state.threads == 0 { mem::take(&mut state.queue) } else { VecDeque::new() };
        if !lost.is_empty() {
            state.jobs = 0;
        }
        drop(state);
        let mut found = None;
        for work in lost {
            match work {
                Work::Flight(flight) => {
                    let quay = flight.slot().slab.quay();
                    quay.send_back(flight, Outcome::from_error(error));
                }
                Work::Job(number, job) if own == Some(number) => found = Some(job),
                Work::Job(..) => tracing::warn!("a job is dropped: there is no thread for it"),
            }
        }
        found
    }

    /// Takes an operation back that no thread has begun.
    pub(crate) fn withdraw(&self, slot: &'static Slot) -> Option<Flight> {
        let mut state = self.shared.lock();
        let is_it = |work: &Work| matches!(work, Work::Flight(flight) if std::ptr::eq(flight.slot(), slot));
        let place = state.queue.iter().position(is_it)?;
        match state.queue.remove(place)? {
            Work::Flight(flight) => Some(flight),
            Work::Job(..) => unreachable!("an operation was found there"),
        }
    }

    /// Takes no job any more, and drops those that no thread has begun.
    pub(crate) fn shut(&self) {
        let mut state = self.shared.lock();
        state.shut = true;
        let jobs = state.take_jobs();
        // What they hold may ask the pool for something.
        drop(state);
        drop(jobs);
    }

    /// How many threads there are at most.
    pub(crate) fn threads_max(&self) -> usize {
        self.threads_max
    }

    /// How many threads there are.
    pub(crate) fn threads(&self) -> usize {
        self.shared.lock().threads
    }

    /// Whether those who have berths do the work.
    pub(crate) fn is_here(&self) -> bool {
        self.here
    }

    /// Whether work waits.
    pub(crate) fn has_work(&self) -> bool {
        !self.shared.lock().queue.is_empty()
    }

    /// Does what waits now, and not what comes of it.
    pub(crate) fn work_here(&self) {
        let waiting = self.shared.lock().queue.len();
        for _ in 0..waiting {
            let Some(work) = self.shared.lock().next() else { return };
            match work {
                Work::Job(_, job) => run(job),
                Work::Flight(mut flight) => {
                    let outcome = perform(&mut flight);
                    let quay = flight.slot().slab.quay();
                    quay.send_back(flight, outcome);
                }
            }
        }
    }
}

impl Drop for Offload {
    fn drop(&mut self) {
        // Threads end when they have nothing to do. They are not joined: one of them may be inside a call on a
        // dead network mount.
        self.shut();
        self.shared.lock().closed = true;
        self.shared.work.notify_all();
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        let mut state = self.lock();
        loop {
            match state.next() {
                Some(Work::Flight(mut flight)) => {
                    drop(state);
                    let outcome = perform(&mut flight);
                    // Who hears of the end may have more to do, and is to find this thread idle.
                    self.lock().idle += 1;
                    let quay = flight.slot().slab.quay();
                    quay.send_back(flight, outcome);
                    state = self.lock();
                    state.idle -= 1;
                }
                Some(Work::Job(_, job)) => {
                    drop(state);
                    run(job);
                    state = self.lock();
                }
                None if state.closed => return,
                None => {
                    state.idle += 1;
                    state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                    state.idle -= 1;
                }
            }
        }
    }
}

/// A fault of ours must not cost the thread, nor leave the operation without an end.
fn perform(flight: &mut Flight) -> Outcome {
    if flight.is_cancelled() {
        return Outcome::error(error::CODE_CANCELLED);
    }
    let done = panic::catch_unwind(AssertUnwindSafe(|| blocking::run(flight)));
    done.unwrap_or(Outcome::error(error::CODE_OTHER))
}

/// Nor may one of a caller's, whatever it throws.
fn run(job: Job) {
    let Err(thrown) = panic::catch_unwind(AssertUnwindSafe(job)) else { return };
    tracing::error!("an offloaded job panicked");
    if let Err(again) = panic::catch_unwind(AssertUnwindSafe(|| drop(thrown))) {
        mem::forget(again);
    }
}
