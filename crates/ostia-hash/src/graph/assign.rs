//! The entries of both halves from a contracted graph without cycles.
//!
//! Leaves are taken off in rounds, all of side 2 at once, then all of side 1: within such a layer no two keys
//! meet, so that the layers, last one first, can be assigned in plain loops. After a few rounds the little that
//! is left goes through a queue, one leaf at a time. Keys alone in their side-1 cell come last of all.

use alloc::vec::Vec;

use super::contract::{Contraction, Scratch};
use crate::{
    function::family::{fold, top_field},
    simd::leaves,
};

/// Rounds in layers before the queue. After these some tens of keys are left of tens of thousands; more rounds
/// would only walk over them again and again.
const ROUNDS: usize = 6;

/// Memory for [`Contraction::assign`].
#[derive(Clone, Debug, Default)]
pub(super) struct Peel {
    /// The side-2 cell of each key.
    cells: Vec<u32>,
    /// Keys that are still there, by their place in the contraction.
    left: Vec<u32>,
    /// Keys taken off, in order.
    order: Vec<u32>,
    /// Where each layer ends in `order`; the even ones were leaves on side 2, the odd ones on side 1.
    layers: Vec<usize>,
    counts: Vec<u8>,
    groups: Vec<Vertex>,
    seconds: Vec<Vertex>,
    queue: Vec<Leaf>,
}

/// How many keys a vertex has left, and the exclusive or of their places: of a leaf, the one key.
#[derive(Clone, Copy, Debug, Default)]
struct Vertex {
    keys: u32,
    mixed: u32,
}

impl Vertex {
    fn toggle(&mut self, place: u32, by: u32) {
        self.keys = self.keys.wrapping_add(by);
        self.mixed ^= place;
    }
}

/// A key on its way through the queue, and the side it is alone on.
#[derive(Clone, Copy, Debug)]
enum Leaf {
    Group(u32),
    Second(u32),
}

impl Contraction {
    /// Fills `entries` (first half, then second) so that for the key with index `i` the sum of its two entries,
    /// masked by `index_mask`, is `i`. True if that was possible for all keys, each of which is then checked.
    ///
    /// # Panics
    /// When there are more keys than `index_mask` has values.
    #[track_caller]
    pub fn assign(
        &self,
        multiplier: u64,
        index_mask: u32,
        entries: &mut Vec<u32>,
        scratch: &mut Scratch,
    ) -> bool {
        assert!(self.keys.len() as u64 <= u64::from(index_mask) + 1, "every index is below the mask");
        let level = scratch.level;
        let peel = &mut scratch.peel;
        peel.cells.resize(self.keys.len(), 0);
        leaves::fold_all(level, &self.keys, multiplier, self.second_bits, &mut peel.cells);
        if !self.peel(peel) {
            return false;
        }
        entries.clear();
        entries.resize((1 << self.first_bits) + (1 << self.second_bits), 0);
        let (first, second) = entries.split_at_mut(1 << self.first_bits);
        self.fill(peel, index_mask, first, second);
        self.verify(multiplier, index_mask, first, second)
    }

    /// Orders the shared keys so that each is a leaf when its turn comes; false if there is a cycle.
    fn peel(&self, peel: &mut Peel) -> bool {
        let Peel { cells, left, order, layers, counts, .. } = peel;
        left.clear();
        left.extend(0..self.shared as u32);
        order.clear();
        order.resize(self.shared, 0);
        layers.clear();
        counts.resize(counts.len().max(1 << self.second_bits), 0);
        let mut taken = 0;
        for _ in 0..ROUNDS {
            for &place in &*left {
                let count = &mut counts[cells[place as usize] as usize];
                *count = count.saturating_add(1);
            }
            let before = taken;
            taken = part(left, order, taken, |_, place, _| counts[cells[place as usize] as usize] == 1);
            layers.push(taken);
            // Clean for the next round and the next graph: what is left, and what has just gone.
            for &place in left.iter().chain(&order[before..taken]) {
                counts[cells[place as usize] as usize] = 0;
            }
            let group = |place: u32| self.groups.get(place as usize).copied();
            taken = part(left, order, taken, |previous, place, next| {
                group(place) != group(previous) && group(place) != group(next)
            });
            layers.push(taken);
            if left.is_empty() {
                break;
            }
        }
        self.queue(peel)
    }

    /// Takes off what the layers left, one leaf at a time; false if some cannot be.
    fn queue(&self, peel: &mut Peel) -> bool {
        let Peel { cells, left, groups, seconds, queue, .. } = peel;
        let group = |place: u32| (self.groups[place as usize] >> if self.narrow { 16 } else { 0 }) as usize;
        groups.resize(groups.len().max(self.shared), Vertex::default());
        seconds.resize(seconds.len().max(1 << self.second_bits), Vertex::default());
        queue.clear();
        for &place in &*left {
            groups[group(place)] = Vertex::default();
            seconds[cells[place as usize] as usize] = Vertex::default();
        }
        for &place in &*left {
            groups[group(place)].toggle(place, 1);
            seconds[cells[place as usize] as usize].toggle(place, 1);
        }
        for &place in &*left {
            if seconds[cells[place as usize] as usize].keys == 1 {
                queue.push(Leaf::Second(place));
            } else if groups[group(place)].keys == 1 {
                queue.push(Leaf::Group(place));
            }
        }
        let mut next = 0;
        while let Some(&leaf) = queue.get(next) {
            next += 1;
            // Off this side first: then the key no longer counts on the other one either.
            match leaf {
                Leaf::Second(place) => {
                    seconds[cells[place as usize] as usize].toggle(place, u32::MAX);
                    let group = &mut groups[group(place)];
                    group.toggle(place, u32::MAX);
                    // Its last key may be waiting in the queue already, as a leaf of the other side.
                    if group.keys == 1 && seconds[cells[group.mixed as usize] as usize].keys != 1 {
                        queue.push(Leaf::Group(group.mixed));
                    }
                }
                Leaf::Group(place) => {
                    groups[group(place)].toggle(place, u32::MAX);
                    let second = &mut seconds[cells[place as usize] as usize];
                    second.toggle(place, u32::MAX);
                    if second.keys == 1 && groups[group(second.mixed)].keys != 1 {
                        queue.push(Leaf::Second(second.mixed));
                    }
                }
            }
        }
        queue.len() == left.len()
    }

    fn fill(&self, peel: &Peel, mask: u32, first: &mut [u32], second: &mut [u32]) {
        let Peel { cells, order, layers, queue, .. } = peel;
        let side_1 = |place: usize| self.firsts[place] as usize;
        let side_2 = |place: usize| cells[place] as usize;
        let missing = |place: usize, other: u32| self.indexes[place].wrapping_sub(other) & mask;
        for &leaf in queue.iter().rev() {
            match leaf {
                Leaf::Group(place) => {
                    let place = place as usize;
                    first[side_1(place)] = missing(place, second[side_2(place)]);
                }
                Leaf::Second(place) => {
                    let place = place as usize;
                    second[side_2(place)] = missing(place, first[side_1(place)]);
                }
            }
        }
        for (number, &end) in layers.iter().enumerate().rev() {
            let start = if number == 0 { 0 } else { layers[number - 1] };
            let layer = order[start..end].iter().map(|&place| place as usize);
            if number % 2 == 0 {
                layer.for_each(|place| second[side_2(place)] = missing(place, first[side_1(place)]));
            } else {
                layer.for_each(|place| first[side_1(place)] = missing(place, second[side_2(place)]));
            }
        }
        for place in self.shared..self.keys.len() {
            first[side_1(place)] = missing(place, second[side_2(place)]);
        }
    }

    /// Hashes every key once more, in plain Rust, and looks it up: no mistake of a kernel gets through.
    fn verify(&self, multiplier: u64, mask: u32, first: &[u32], second: &[u32]) -> bool {
        self.keys.iter().zip(&self.indexes).fold(true, |right, (&key, &index)| {
            let one = first[top_field(fold(u64::from(key), self.multiplier), self.first_bits) as usize];
            let other = second[top_field(fold(u64::from(key), multiplier), self.second_bits) as usize];
            right & (one.wrapping_add(other) & mask == index)
        })
    }
}

/// Moves the leaves of `left` to `order` from `taken` on; returns where they end. The test sees each place with
/// its neighbours, `u32::MAX` where there is none.
#[inline(always)]
fn part(
    left: &mut Vec<u32>,
    order: &mut [u32],
    mut taken: usize,
    is_leaf: impl Fn(u32, u32, u32) -> bool,
) -> usize {
    let len = left.len();
    let (mut kept, mut before) = (0, u32::MAX);
    for at in 0..len {
        let place = left[at];
        let after = if at + 1 < len { left[at + 1] } else { u32::MAX };
        // Written to both, kept in one: no branch to mispredict.
        let leaf = is_leaf(before, place, after);
        left[kept] = place;
        order[taken] = place;
        kept += usize::from(!leaf);
        taken += usize::from(leaf);
        before = place;
    }
    left.truncate(kept);
    taken
}
