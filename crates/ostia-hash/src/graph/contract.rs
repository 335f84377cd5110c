//! Is a two-halves graph acyclic? Asked for one side-1 multiplier and very many side-2 multipliers.
//!
//! The families whose sides are seeded independently allow it ([`Family::FoldPair`]). With side 1 held, a key
//! alone in its side-1 cell is a leaf in every graph to come: it can never be on a cycle and is left out once
//! for all. What remains is one number for each key, the *group* of keys that share its side-1 cell, and a
//! graph on side 2 alone: it is acyclic if, going through the groups, joining each member's side-2 cell with
//! the next one's never joins what is joined already.
//!
//! Joining costs a mispredicted branch per key or so; taking leaves off costs none ([`simd::leaves`]). So a few
//! rounds of that go first, and what is left to join is a small part.
//!
//! [`Family::FoldPair`]: crate::function::family::Family::FoldPair
//! [`simd::leaves`]: crate::simd::leaves

use alloc::{boxed::Box, vec, vec::Vec};

use super::assign::Peel;
use crate::{
    function::family::{fold, top_field},
    simd::{
        Level,
        leaves::{self, Degrees, SLACK},
    },
};

/// Side 1 of a graph, held: the keys sorted by their side-1 cell, those that share one first.
#[derive(Clone, Debug)]
pub struct Contraction {
    pub(super) multiplier: u64,
    pub(super) second_bits: u32,
    pub(super) first_bits: u32,
    /// The keys; from `shared` on, those that are alone in their cell.
    pub(super) keys: Vec<u32>,
    /// Where each of `keys` stood in the set.
    pub(super) indexes: Vec<u32>,
    /// The side-1 cell of each of `keys`.
    pub(super) firsts: Vec<u32>,
    /// The number of the group of each shared key; in the high half if the graph is narrow.
    pub(super) groups: Vec<u32>,
    /// How many keys share their cell.
    pub(super) shared: usize,
    /// A group and a side-2 cell fit 32 bits together.
    pub(super) narrow: bool,
}

/// Rounds of taking leaves off that come before joining. More do not pay: few ends are left, and each round
/// counts a table anew. The figures are in `docs/decisions/contracted-search.md`.
const ROUNDS: usize = 3;

/// Memory for [`Contraction::is_acyclic`], for any number of contractions.
#[derive(Debug)]
pub struct Scratch {
    pub(super) level: Level,
    degrees: Degrees,
    ends: Vec<u32>,
    parents: Box<[u16; 1 << 16]>,
    wide: Wide,
    pub(super) peel: Peel,
}

/// As the rest of [`Scratch`], for graphs that need more than 16 bits.
#[derive(Debug, Default)]
struct Wide {
    ends: Vec<(u32, u32)>,
    counts: Vec<u8>,
    parents: Vec<u32>,
}

impl Scratch {
    /// Memory for one thread.
    pub fn new() -> Scratch {
        Scratch::with_level(Level::best())
    }

    /// As [`Scratch::new`], for the kernels of one level: for tests and comparisons.
    pub fn with_level(level: Level) -> Scratch {
        Scratch {
            level,
            degrees: Degrees::new(),
            ends: Vec::new(),
            parents: vec![0; 1 << 16].into_boxed_slice().try_into().expect("the length is the array's"),
            wide: Wide::default(),
            peel: Peel::default(),
        }
    }
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch::new()
    }
}

impl Contraction {
    /// Holds side 1 of `2^first_bits` cells under a multiplier; side 2 will have `2^second_bits`.
    ///
    /// # Panics
    /// When a side has more than `2^31` cells.
    #[track_caller]
    pub fn new(words: &[u32], multiplier: u64, first_bits: u32, second_bits: u32) -> Contraction {
        assert!(first_bits <= 31 && second_bits <= 31, "a side has at most 2^31 cells");
        let cell = |word: u32| top_field(fold(u64::from(word), multiplier), first_bits);
        let mut starts = vec![0_u32; 1 << first_bits];
        for &word in words {
            starts[cell(word) as usize] += 1;
        }
        // Counts become places: the shared cells from the front, then those with a single key.
        let shared: u32 = starts.iter().filter(|&&count| count > 1).sum();
        let (mut next_shared, mut next_single) = (0, shared);
        let mut group_starts = Vec::new();
        for start in &mut starts {
            let count = *start;
            if count == 1 {
                *start = next_single;
                next_single += 1;
            } else {
                *start = next_shared;
                next_shared += count;
                if count > 1 {
                    group_starts.push(next_shared);
                }
            }
        }
        let mut keys = vec![0; words.len()];
        let mut indexes = vec![0; words.len()];
        let mut firsts = vec![0; words.len()];
        for (index, &word) in words.iter().enumerate() {
            let first = cell(word);
            let place = starts[first as usize] as usize;
            starts[first as usize] += 1;
            keys[place] = word;
            indexes[place] = index as u32;
            firsts[place] = first;
        }
        let shared = shared as usize;
        // The last group is no end's neighbour: see `simd::leaves`.
        let narrow = second_bits <= 16 && group_starts.len() < usize::from(u16::MAX);
        let mut groups = Vec::with_capacity(shared);
        for (group, &end) in group_starts.iter().enumerate() {
            let group = if narrow { (group as u32) << 16 } else { group as u32 };
            groups.resize(end as usize, group);
        }
        Contraction { multiplier, first_bits, second_bits, keys, indexes, firsts, groups, shared, narrow }
    }

    /// The multiplier of side 1.
    pub fn multiplier(&self) -> u64 {
        self.multiplier
    }

    /// How many keys share their side-1 cell with another: the work that is left for each graph.
    pub fn shared(&self) -> usize {
        self.shared
    }

    /// True if the graph of all keys under this multiplier of side 2 has no cycle.
    pub fn is_acyclic(&self, multiplier: u64, scratch: &mut Scratch) -> bool {
        if !self.narrow {
            return self.is_acyclic_wide(multiplier, &mut scratch.wide);
        }
        let Scratch { level, degrees, ends, parents, .. } = scratch;
        let level = *level;
        if ends.len() < self.shared + SLACK {
            ends.resize(self.shared + SLACK, 0);
        }
        degrees.resize(self.second_bits);
        self.place(multiplier, level, degrees, ends);
        let mut left = self.shared;
        for round in 0..ROUNDS {
            if round > 0 {
                degrees.count(&ends[..left]);
            }
            let counted = left;
            left = leaves::drop_leaves(level, ends, left, degrees);
            if degrees.drain(level) != counted {
                // A cell went past 255, so a leaf may have been none. Start again, without counting.
                self.place(multiplier, level, degrees, ends);
                degrees.drain(level);
                left = self.shared;
                break;
            }
            left = leaves::drop_lone(level, ends, left);
            if left == 0 {
                return true;
            }
        }
        join_all(&ends[..left], parents)
    }

    fn place(&self, multiplier: u64, level: Level, degrees: &mut Degrees, ends: &mut [u32]) {
        let keys = &self.keys[..self.shared];
        leaves::place(level, keys, &self.groups, multiplier, self.second_bits, degrees, ends);
    }

    /// The same with 32 bits for a group and 32 for a cell, in plain Rust. Sets that large are seldom searched.
    fn is_acyclic_wide(&self, multiplier: u64, scratch: &mut Wide) -> bool {
        let Wide { ends, counts, parents } = scratch;
        let cell = |&key: &u32| top_field(fold(u64::from(key), multiplier), self.second_bits);
        ends.clear();
        ends.extend(self.groups.iter().copied().zip(self.keys.iter().map(cell)));
        for _ in 0..ROUNDS {
            counts.clear();
            counts.resize(1 << self.second_bits, 0);
            for &(_, cell) in &*ends {
                let count = &mut counts[cell as usize];
                *count = count.saturating_add(1);
            }
            ends.retain(|&(_, cell)| counts[cell as usize] > 1);
            keep_grouped(ends);
        }
        parents.resize(parents.len().max(1 << self.second_bits), 0);
        for &(_, cell) in &*ends {
            parents[cell as usize] = cell;
        }
        ends.windows(2).all(|pair| pair[0].0 != pair[1].0 || join(parents, pair[0].1, pair[1].1))
    }
}

/// Keeps the ends that have another of their group beside them.
fn keep_grouped(ends: &mut Vec<(u32, u32)>) {
    let mut kept = 0;
    let mut before = u32::MAX;
    for at in 0..ends.len() {
        let end = ends[at];
        let after = ends.get(at + 1).map_or(u32::MAX, |next| next.0);
        ends[kept] = end;
        kept += usize::from(end.0 == before || end.0 == after);
        before = end.0;
    }
    ends.truncate(kept);
}

/// Joins the cells of each group; false as soon as two are joined already.
fn join_all(ends: &[u32], parents: &mut [u16; 1 << 16]) -> bool {
    for &end in ends {
        parents[usize::from(end as u16)] = end as u16;
    }
    for pair in ends.windows(2) {
        let [one, other] = [pair[0], pair[1]];
        if leaves::same_group(one, other) && !join_narrow(parents, one as u16, other as u16) {
            return false;
        }
    }
    true
}

/// Joins two trees by Rem's algorithm with splicing: a parent is never above its child in number, and the
/// two paths to the root are walked at once. False when the two were one tree already.
#[inline]
fn join_narrow(parents: &mut [u16; 1 << 16], mut one: u16, mut other: u16) -> bool {
    loop {
        let (up, across) = (parents[usize::from(one)], parents[usize::from(other)]);
        if up == across {
            return false;
        }
        if up < across {
            (one, other) = (other, one);
            continue;
        }
        parents[usize::from(one)] = across;
        if one == up {
            return true;
        }
        one = up;
    }
}

/// As [`join_narrow`], for any number of vertices.
fn join(parents: &mut [u32], mut one: u32, mut other: u32) -> bool {
    loop {
        let (up, across) = (parents[one as usize], parents[other as usize]);
        if up == across {
            return false;
        }
        if up < across {
            (one, other) = (other, one);
            continue;
        }
        parents[one as usize] = across;
        if one == up {
            return true;
        }
        one = up;
    }
}

/// Of some multipliers the one that spreads the words over most of `2^bits` cells of a side, the first such.
///
/// Held on side 1 it leaves the fewest keys that share a cell: less work for each graph, and more of them
/// acyclic. `None` when there are no candidates, or when `stopped` says so before the last of them.
pub fn best_first(
    words: &[u32],
    bits: u32,
    candidates: impl IntoIterator<Item = u64>,
    stopped: impl Fn() -> bool,
) -> Option<u64> {
    let level = Level::best();
    let mut cells = vec![0; words.len()];
    // A byte for each cell: setting one needs no reading of it, as a bit would.
    let mut occupied = vec![0_u8; 1 << bits];
    let mut best = None;
    for multiplier in candidates {
        if stopped() {
            return None;
        }
        leaves::fold_all(level, words, multiplier, bits, &mut cells);
        occupied.fill(0);
        for &cell in &cells {
            occupied[cell as usize] = 1;
        }
        let count: u32 = occupied.iter().map(|&cell| u32::from(cell)).sum();
        if best.is_none_or(|(most, _)| count > most) {
            best = Some((count, multiplier));
        }
    }
    best.map(|(_, multiplier)| multiplier)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::philox::Philox;

    /// Every key an edge between two vertices, joined one by one.
    fn plainly_acyclic(words: &[u32], multipliers: [u64; 2], first_bits: u32, second_bits: u32) -> bool {
        let mut parents: Vec<u32> = (0..(1 << first_bits) + (1 << second_bits)).collect();
        words.iter().all(|&word| {
            let one = top_field(fold(u64::from(word), multipliers[0]), first_bits);
            let other = top_field(fold(u64::from(word), multipliers[1]), second_bits);
            let mut roots = [one, (1 << first_bits) + other];
            for root in &mut roots {
                while parents[*root as usize] != *root {
                    parents[*root as usize] = parents[parents[*root as usize] as usize];
                    *root = parents[*root as usize];
                }
            }
            parents[roots[0] as usize] = roots[1];
            roots[0] != roots[1]
        })
    }

    /// Sets of one shape: random, strided, or runs as addresses in a program have them.
    fn set(shape: u32, len: usize, stream: &mut Philox) -> Vec<u32> {
        let (start, stride) = (stream.word(), stream.word() % 64 + 1);
        let mut at = start;
        let mut words: Vec<u32> = (0..len as u32)
            .map(|i| match shape {
                0 => stream.word(),
                1 => start.wrapping_add(i.wrapping_mul(stride)),
                _ => {
                    let word = stream.word();
                    at = at.wrapping_add(if word.is_multiple_of(50) {
                        word >> 12
                    } else {
                        16 * (word % 8 + 1)
                    });
                    at
                }
            })
            .collect();
        words.sort_unstable();
        words.dedup();
        words
    }

    /// Compares every kernel and the assignment with the plain answer, for some graphs; returns how many of
    /// them were acyclic.
    fn check(words: &[u32], first_bits: u32, second_bits: u32, graphs: u32, stream: &mut Philox) -> u32 {
        let contraction = Contraction::new(words, stream.multiplier(), first_bits, second_bits);
        let index_mask = words.len().next_power_of_two() as u32 - 1;
        let mut scratches: Vec<Scratch> = Level::available().map(Scratch::with_level).collect();
        let mut solved = Vec::new();
        let mut acyclic = 0;
        for _ in 0..graphs {
            let second = stream.multiplier();
            let multipliers = [contraction.multiplier(), second];
            let plain = plainly_acyclic(words, multipliers, first_bits, second_bits);
            acyclic += u32::from(plain);
            solved.clear();
            for scratch in &mut scratches {
                assert_eq!(contraction.is_acyclic(second, scratch), plain, "{:?}", scratch.level);
                let mut entries = Vec::new();
                assert_eq!(contraction.assign(second, index_mask, &mut entries, scratch), plain);
                if plain {
                    solved.push(entries);
                }
            }
            assert!(solved.windows(2).all(|pair| pair[0] == pair[1]), "every level gives the same entries");
            if let Some(entries) = solved.first() {
                let (one, other) = entries.split_at(1 << first_bits);
                for (index, &word) in words.iter().enumerate() {
                    let family = crate::function::family::Family::FoldPair;
                    let places = family.places(multipliers, first_bits, second_bits, u64::from(word));
                    let sum = one[places.0 as usize].wrapping_add(other[places.1 as usize]);
                    assert_eq!((sum & index_mask) as usize, index);
                }
            }
        }
        acyclic
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn contracted_graphs_are_judged_as_whole_ones_are(
            seed: u64, shape in 0..3_u32, size in 0.0..1.0_f64, more in -2..3_i32, skew in -4..5_i32,
        ) {
            let mut stream = Philox::new(seed, 0, 0);
            // As many small sets as large ones: sizes are spread over their logarithm.
            let words = set(shape, 100_000_f64.powf(size) as usize, &mut stream);
            let bits = words.len().next_power_of_two().trailing_zeros() as i32 + more;
            let side = |bits: i32| bits.clamp(0, 18) as u32;
            check(&words, side(bits + skew), side(bits - skew), 3, &mut stream);
        }
    }

    #[test]
    fn narrow_and_wide_graphs_come_out_both_ways() {
        let mut stream = Philox::new(5, 0, 0);
        for (len, first, second) in [(900, 10, 10), (28_000, 15, 15), (60_000, 17, 16), (60_000, 16, 17)] {
            for shape in 0..3 {
                let words = set(shape, len, &mut stream);
                let mut acyclic = 0;
                for _ in 0..4 {
                    acyclic += check(&words, first, second, 4, &mut stream);
                }
                assert!((1..16).contains(&acyclic), "{acyclic} of 16 for {len} keys, shape {shape}");
            }
        }
    }

    #[test]
    fn a_cell_with_more_keys_than_a_byte_counts_is_no_leaf() {
        // All side-2 places are one: acyclic only while no two keys share their side-1 cell.
        let mut stream = Philox::new(6, 0, 0);
        for len in [2, 256, 257, 258, 512, 513, 5_000] {
            let words = set(0, len, &mut stream);
            check(&words, 6, 0, 2, &mut stream);
            check(&words, 6, 1, 2, &mut stream);
            check(&words, 8, 2, 2, &mut stream);
            check(&words, 26, 0, 2, &mut stream);
        }
    }

    #[test]
    fn the_same_key_twice_is_a_cycle() {
        let mut words = set(0, 1_000, &mut Philox::new(7, 0, 0));
        words.push(words[500]);
        let contraction = Contraction::new(&words, 0x1234_5678_9ABC_DEF1, 14, 14);
        let mut stream = Philox::new(8, 0, 0);
        for level in Level::available() {
            let mut scratch = Scratch::with_level(level);
            assert!((0..50).all(|_| !contraction.is_acyclic(stream.multiplier(), &mut scratch)));
        }
    }

    #[test]
    fn one_scratch_serves_contractions_of_any_size() {
        let mut stream = Philox::new(9, 0, 0);
        let mut scratch = Scratch::new();
        for (len, bits) in [(30_000, 15), (10, 4), (100_000, 17), (1, 0), (3_000, 12), (30_000, 16)] {
            let words = set(2, len, &mut stream);
            let contraction = Contraction::new(&words, stream.multiplier(), bits, bits);
            for _ in 0..5 {
                let second = stream.multiplier();
                let plain = plainly_acyclic(&words, [contraction.multiplier(), second], bits, bits);
                assert_eq!(contraction.is_acyclic(second, &mut scratch), plain);
                let mask = words.len().next_power_of_two() as u32 - 1;
                assert_eq!(contraction.assign(second, mask, &mut Vec::new(), &mut scratch), plain);
            }
        }
    }

    #[test]
    fn the_best_of_some_candidates_occupies_most_cells() {
        let mut stream = Philox::new(10, 0, 0);
        let words = set(2, 2_900, &mut stream);
        let candidates: Vec<u64> = (0..100).map(|_| stream.multiplier()).collect();
        let occupied = |multiplier: u64| {
            let mut cells: Vec<u32> =
                words.iter().map(|&word| top_field(fold(u64::from(word), multiplier), 12)).collect();
            cells.sort_unstable();
            cells.dedup();
            cells.len()
        };
        let best = best_first(&words, 12, candidates.iter().copied(), || false).unwrap();
        let most = candidates.iter().map(|&candidate| occupied(candidate)).max().unwrap();
        assert_eq!(occupied(best), most);
        let first = candidates.iter().copied().find(|&candidate| occupied(candidate) == most);
        assert_eq!(Some(best), first);
        assert_eq!(best_first(&words, 12, candidates, || true), None);
    }
}
