//! A worker that is lost, because its berth cannot wait any more, and what becomes of what it has.
//!
//! | it has | what becomes of it |
//! |---|---|
//! | tasks that may move | they go to the node's queue, and the siblings run them |
//! | local tasks | they are cancelled: no other thread may touch them |
//! | operations under way | they are cancelled, and whoever awaits them is told; where the system does not give one back in time nobody may touch its buffer, and the future panics |
//! | timers | whoever waits for one is woken, and begins another at a sibling |
//! | what is to be spawned there | begins at a sibling; a local task is cancelled at once |
//!
//! A node that has lost its last worker cancels all its tasks, and refuses those that come; placements that leave the
//! choice choose other nodes. When all nodes are so the runtime is over. Its report names each lost worker and the error.

use std::{
    fmt, io, mem,
    rc::Rc,
    sync::atomic::{Ordering, fence},
    thread,
};

use crate::{
    context::Here,
    loom::lock,
    node::{Node, Phase, Seat},
    placement::Place,
    runtime::Shared,
    task::Task,
    worker::Worker,
};

/// A worker that could not wait for its operations any more, and why.
#[derive(Debug)]
#[non_exhaustive]
pub struct LostWorker {
    /// Its node, and its number there.
    pub place: (usize, usize),
    /// What the system said.
    pub error: io::Error,
}

impl fmt::Display for LostWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (node, worker) = self.place;
        write!(f, "worker {worker} of node {node} was lost: {}", self.error)
    }
}

impl Worker {
    /// Gives up what the worker has. The caller has entered; it leaves then, and closes the worker.
    pub(crate) fn hand_on(&mut self, error: io::Error) {
        let here = Rc::clone(&self.here);
        let (node, seat) = (&here.node, &here.seat);
        let is_last = node.lose(seat, error);
        // What is woken here from now on goes to the node.
        here.share_above.set(0);
        if mem::take(&mut self.is_searching) {
            node.searched();
        }
        here.give_way();
        if is_last {
            node.advance(Phase::Ending);
        }
        loop {
            here.leave_to_siblings();
            let has_local = seat.owned.cancel_local();
            while let Some(task) = here.pop_local() {
                here.drop_cancelled(task);
            }
            if !has_local {
                break;
            }
            // Whoever is just waking one of them brings it here in a moment.
            thread::yield_now();
        }
        seat.inbox.shut();
        here.leave_to_siblings();
        // Nobody else is there to drop what is cancelled.
        while is_last && node.tasks() > 0 && node.phase() < Phase::Over {
            node.injector.take(usize::MAX, |task| here.drop_cancelled(task));
            thread::yield_now();
        }
        // What was left here, or what a sibling has too much of and left to this one while it was searching: either whoever
        // lies down sees it, or we see that it lies down.
        fence(Ordering::SeqCst);
        node.wake_one();
    }
}

impl Here {
    /// Runs a task whose end was asked for: it is not polled.
    fn drop_cancelled(&self, task: Task) {
        self.seat.running.set(Some(task.name()));
        task.run();
        self.seat.running.set(None);
    }
}

impl Node {
    /// A worker is lost; whether it was the last one.
    fn lose(&self, seat: &Seat, error: io::Error) -> bool {
        tracing::error!(%error, node = self.id, worker = seat.number, "a worker cannot wait any more, and ends");
        seat.is_lost.store(true, Ordering::SeqCst);
        lock(&self.lost).push(LostWorker { place: (self.index, seat.number), error });
        self.alive.fetch_sub(1, Ordering::SeqCst) == 1
    }

    /// How many workers are not lost.
    pub(crate) fn alive(&self) -> usize {
        self.alive.load(Ordering::Relaxed)
    }

    /// This worker, or the next one that is not lost; itself if all are.
    pub(crate) fn living(&self, seat: usize) -> usize {
        let count = self.seats.len();
        let mut seats = (seat..seat + count).map(|seat| seat % count);
        seats.find(|seat| !self.seats[*seat].is_lost()).unwrap_or(seat)
    }

    /// Those that were lost so far; each is told of once.
    pub(crate) fn take_lost(&self) -> Vec<LostWorker> {
        mem::take(&mut lock(&self.lost))
    }
}

impl Shared {
    /// The node of this index, or the next one that has workers left; itself if none has.
    pub(crate) fn living_node(&self, index: usize) -> usize {
        let count = self.nodes.len();
        let mut nodes = (index..index + count).map(|index| index % count);
        nodes.find(|index| self.nodes[*index].alive() > 0).unwrap_or(index)
    }

    /// This place, or another one if its node has no workers left.
    pub(crate) fn living(&self, place: Place) -> Place {
        let node = self.living_node(place.node);
        if node == place.node {
            place
        } else {
            Place { node, worker: place.worker % self.nodes[node].seats.len() }
        }
    }
}
