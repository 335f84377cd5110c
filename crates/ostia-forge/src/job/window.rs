//! The sets that were found and not begun: the largest goes first, and small ones go together.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::account::Due;

/// A set up to so many bytes travels with others: what it costs to begin with one is then more than the work itself.
pub(crate) const SMALL: u64 = 64 << 10;

/// A set that waits for its turn.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) due: Due,
    /// The identifier its outputs are named after.
    pub(crate) name: String,
    /// The length of its file as the walk saw it.
    pub(crate) bytes: u64,
}

/// How large batches may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchLimits {
    /// Sets.
    pub(crate) sets: usize,
    /// Bytes of their files.
    pub(crate) bytes: u64,
}

/// The window: see the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// Of two as large, the one that was found first goes first.
    sets: BinaryHeap<Ranked>,
}

#[derive(Debug)]
struct Ranked(Waiting);

impl Ranked {
    fn rank(&self) -> (u64, Reverse<u64>) {
        (self.0.bytes, Reverse(self.0.due.number()))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Ranked) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Ranked) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Ranked) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl Window {
    pub(crate) fn push(&mut self, set: Waiting) {
        self.sets.push(Ranked(set));
    }

    pub(crate) fn len(&self) -> usize {
        self.sets.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// The largest set; if that is small, others with it. `sharers` is how many take from here: near the end each of
    /// them is to have something.
    pub(crate) fn batch(&mut self, limits: BatchLimits, sharers: usize) -> Vec<Waiting> {
        let most = (self.sets.len() / (2 * sharers.max(1))).clamp(1, limits.sets.max(1));
        let mut batch: Vec<Waiting> = Vec::new();
        let mut bytes = 0;
        while let Some(Ranked(next)) = self.sets.peek() {
            let fits = next.bytes <= SMALL && bytes + next.bytes <= limits.bytes && batch.len() < most;
            if !batch.is_empty() && !fits {
                break;
            }
            bytes += next.bytes;
            let is_large = next.bytes > SMALL;
            batch.extend(self.sets.pop().map(|Ranked(set)| set));
            if is_large {
                break;
            }
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::{super::account::Account, *};

    proptest! {
        #[test]
        fn every_set_goes_once_the_largest_first(
            sizes in proptest::collection::vec(0u64..200_000, 0..200),
            sets in 1usize..40, bytes in 1u64..300_000, sharers in 1usize..9,
        ) {
            let account = Account::new();
            let mut window = Window::default();
            for &bytes in &sizes {
                let due = account.enter(Path::new("set"));
                window.push(Waiting { due, name: String::new(), bytes });
            }
            let mut seen = Vec::new();
            loop {
                let batch = window.batch(BatchLimits { sets, bytes }, sharers);
                if batch.is_empty() {
                    break;
                }
                prop_assert!(batch.len() <= sets);
                let sum: u64 = batch.iter().map(|set| set.bytes).sum();
                prop_assert!(batch.len() == 1 || sum <= bytes);
                prop_assert!(batch.len() == 1 || batch.iter().all(|set| set.bytes <= SMALL));
                seen.extend(batch.iter().map(|set| (set.bytes, set.due.number())));
            }
            prop_assert!(window.is_empty());
            let mut expected: Vec<_> = sizes.iter().zip(0u64..).map(|(&bytes, number)| (bytes, number)).collect();
            expected.sort_by_key(|&(bytes, number)| (Reverse(bytes), number));
            prop_assert_eq!(seen, expected);
            let counts = account.counts();
            prop_assert_eq!((counts.found, counts.stopped), (sizes.len() as u64, sizes.len() as u64));
        }
    }
}
