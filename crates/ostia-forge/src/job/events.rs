//! What is heard of a job while it runs.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use slab::Slab;

use super::account::Counts;
use crate::row::Row;

/// Something that happened.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// So many sets were found until now.
    Found {
        /// All of them.
        sets: u64,
        /// There will be no more.
        is_all: bool,
    },
    /// These sets have ended, and what is recorded of them is. They come in the order in which they end.
    Ended(Vec<Row>),
}

/// How a job stands at a moment.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct View {
    /// How many sets came to what.
    pub counts: Counts,
    /// True when no more will be found.
    pub found_all: bool,
    /// Sets that are begun and have not ended, for each node.
    pub load: Vec<NodeLoad>,
    /// The sets that are being solved now, the longest first.
    pub solving: Vec<Solving>,
}

/// What is under way on a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeLoad {
    /// Its number in the topology.
    pub node: u32,
    /// Sets that are begun and have not ended.
    pub sets: usize,
}

/// A set that is being solved.
#[derive(Clone, PartialEq, Debug)]
pub struct Solving {
    /// The set.
    pub path: PathBuf,
    /// For how long.
    pub time: Duration,
    /// Attempts so far.
    pub attempts: u64,
}

/// The sets that are being solved.
#[derive(Debug, Default)]
pub(super) struct Board {
    sets: Mutex<Slab<OnBoard>>,
}

#[derive(Debug)]
struct OnBoard {
    path: PathBuf,
    since: Instant,
    watch: Arc<super::slices::SetWatch>,
}

impl Board {
    /// A set is being solved until what this gives is dropped.
    pub(super) fn enter(&self, path: PathBuf, watch: &Arc<super::slices::SetWatch>) -> Entered<'_> {
        let entry = OnBoard { path, since: Instant::now(), watch: Arc::clone(watch) };
        Entered { board: self, key: self.sets().insert(entry) }
    }

    pub(super) fn longest(&self, most: usize) -> Vec<Solving> {
        let now = Instant::now();
        let mut solving: Vec<Solving> = self
            .sets()
            .iter()
            .map(|(_, set)| Solving {
                path: set.path.clone(),
                time: now.saturating_duration_since(set.since),
                attempts: set.watch.tried.load(std::sync::atomic::Ordering::Relaxed),
            })
            .collect();
        solving.sort_by_key(|set| std::cmp::Reverse(set.time));
        solving.truncate(most);
        solving
    }

    fn sets(&self) -> MutexGuard<'_, Slab<OnBoard>> {
        // It is whole between any two calls.
        self.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`Board::enter`].
#[derive(Debug)]
pub(super) struct Entered<'b> {
    board: &'b Board,
    key: usize,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let left = self.board.sets().remove(self.key);
        drop(left);
    }
}
