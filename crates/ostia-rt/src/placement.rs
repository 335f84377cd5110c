//! Where a task begins: a policy, and what it comes to.

use std::{
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash},
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use ostia_port::Listener;

use crate::{
    context,
    node::{self, Node},
    runtime::Shared,
};

/// Where a task begins. Unless it is fixed to its worker by being local, another worker of the same node may steal it
/// later; another node never does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Placement {
    /// With the worker of the task that asks; from outside, with whichever comes first.
    #[default]
    Here,
    /// One worker after the other, over all nodes.
    RoundRobin,
    /// With the worker that has fewer tasks, of two that are chosen by chance: nearly as even as the least of all, and
    /// nobody looks at all of them.
    LeastLoaded,
    /// On this node, with the worker that has fewer tasks of two. A node that has lost all its workers refuses it.
    Node(usize),
    /// With this worker of this node; if that was lost, with the next one of the node.
    Fixed {
        /// The node.
        node: usize,
        /// The worker.
        worker: usize,
    },
    /// The same worker for the same key, as long as the runtime has the same nodes and workers, and loses none.
    Key(u64),
}

impl Placement {
    /// The placement of whatever has this key.
    pub fn by_key(key: &impl Hash) -> Placement {
        // Always the same, in each process.
        Placement::Key(BuildHasherDefault::<DefaultHasher>::default().hash_one(key))
    }
}

/// A worker, by node and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) node: usize,
    pub(crate) worker: usize,
}

/// What the policies remember.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    next: AtomicUsize,
}

impl Shared {
    /// The worker that a policy names; none where it leaves the choice.
    #[track_caller]
    pub(crate) fn place(&self, placement: Placement) -> Option<Place> {
        let workers = self.workers();
        let place = match placement {
            Placement::Here => return None,
            Placement::RoundRobin => self.nth(self.turns.next.fetch_add(1, Ordering::Relaxed) % workers),
            Placement::LeastLoaded => {
                let first = self.nth(chance(workers));
                // Another one, unless there is only one.
                let second = self.nth((self.number(first) + 1 + chance(workers.max(2) - 1)) % workers);
                if self.load(second) < self.load(first) { second } else { first }
            }
            Placement::Node(number) => return Some(self.place_on(number)),
            Placement::Fixed { node, worker } => {
                let count = self.node(node).seats.len();
                assert!(worker < count, "there is no worker {worker} at node {node}: there are {count}");
                return Some(Place { node, worker });
            }
            // Keys that differ little are to come far from each other.
            Placement::Key(key) => self.nth((spread(key) % workers as u64) as usize),
        };
        Some(self.living(place))
    }

    #[track_caller]
    fn place_on(&self, number: usize) -> Place {
        let node = self.node(number);
        Place { node: number, worker: node.better_of_two(chance(node.seats.len() * node.seats.len())) }
    }

    /// The worker of the task that asks, or one that is chosen by chance.
    fn here(&self) -> Place {
        let here = context::with(|here| {
            let here = here.filter(|here| self.nodes.iter().any(|node| Arc::ptr_eq(node, &here.node)))?;
            Some(Place { node: here.node.index, worker: here.seat.number })
        });
        here.unwrap_or_else(|| self.living(self.place_on(chance(self.nodes.len()))))
    }

    /// Whether what this listener accepts may be placed so: on the node that is named, or else on any.
    #[track_caller]
    pub(crate) fn may_place_accepted(&self, listener: &Listener, placement: Placement) -> io::Result<()> {
        if let Placement::Node(_) | Placement::Fixed { .. } = placement
            && let Some(place) = self.place(placement)
        {
            return listener.may_accept_onto(&self.node(place.node).port);
        }
        let mut may = Ok(());
        for node in &self.nodes {
            may = listener.may_accept_onto(&node.port);
            if may.is_ok() {
                break;
            }
        }
        may
    }

    /// The worker whose a stream of this listener is to be. What cannot be another node's than the listener's stays
    /// there.
    pub(crate) fn place_accepted(&self, listener: &Listener, placement: Placement) -> Place {
        let place = self.place(placement).unwrap_or_else(|| self.here());
        let may_be_of = |node: &Node| listener.may_accept_onto(&node.port).is_ok();
        if may_be_of(self.node(place.node)) {
            return place;
        }
        let own = self.nodes.iter().position(|node| may_be_of(node));
        own.map_or(place, |own| self.place_on(own))
    }

    #[track_caller]
    pub(crate) fn node(&self, number: usize) -> &Arc<Node> {
        self.nodes
            .get(number)
            .unwrap_or_else(|| panic!("there is no node {number}: there are {}", self.nodes.len()))
    }

    fn nth(&self, mut number: usize) -> Place {
        for (index, node) in self.nodes.iter().enumerate() {
            if number < node.seats.len() {
                return Place { node: index, worker: number };
            }
            number -= node.seats.len();
        }
        unreachable!("it is less than the number of workers")
    }

    fn number(&self, place: Place) -> usize {
        let before = self.nodes[..place.node].iter().map(|node| node.seats.len());
        before.sum::<usize>() + place.worker
    }

    fn load(&self, place: Place) -> usize {
        self.nodes[place.node].seats[place.worker].owned.len()
    }
}

/// A number below `count`; each thread has its own sequence, which is the same in each run.
fn chance(count: usize) -> usize {
    (spread(node::turn() as u64) % count as u64) as usize
}

/// The finisher of SplitMix64: neighbours become strangers.
pub(crate) fn spread(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}
