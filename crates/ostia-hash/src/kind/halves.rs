//! A graph of two halves: each key is an edge from a place of the first to a place of the second.
//!
//! Without a cycle the entries can be chosen so that the two of a key add up to its index. With halves of
//! `a` and `b` places and `n` keys that is so with probability `sqrt(1 - n^2 / (a b))`, if the hash function
//! is as good as a random one.

use alloc::{sync::Arc, vec, vec::Vec};

use crate::{
    best::Graphs,
    function::{
        classic::RngSpec,
        family::{Family, Multipliers},
    },
    graph::dfs::Counts,
    search::{Attempt, Problem, Watch},
};

/// An acyclic graph is looked for; attempts change the multipliers.
#[derive(Clone, Debug)]
pub struct HalvesProblem {
    /// The words to be placed, all different; the position of a word is its index.
    pub words: Arc<[u64]>,
    /// Where attempts take their multipliers from.
    pub rng: RngSpec,
    /// Multipliers that every attempt must use instead.
    pub fixed: Option<Multipliers>,
    /// The function family.
    pub family: Family,
    /// Entries of the first half, as a power of two.
    pub first: u32,
    /// Entries of the second half, as a power of two.
    pub second: u32,
    /// Bits of an index.
    pub index_bits: u32,
}

/// A solution: multipliers, and the entries of both halves, one after the other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assigned {
    /// The multipliers.
    pub multipliers: Multipliers,
    /// The entries.
    pub entries: Vec<u32>,
}

/// Memory of one thread.
#[derive(Debug)]
pub struct Scratch {
    /// The two vertices of each edge; those of the second half follow those of the first.
    edges: Vec<[u32; 2]>,
    vertices: Vec<Vertex>,
    /// Edges in the order in which they were taken off, each with the vertex it hung from.
    taken: Vec<[u32; 2]>,
}

#[derive(Clone, Copy, Default, Debug)]
struct Vertex {
    degree: u32,
    /// The xor of the edges that meet here: with one left, that edge.
    edges: u32,
}

/// How many steps are made between two looks at the watch: about a millisecond where every step misses the
/// caches.
const STEPS: usize = 1 << 13;

impl Problem for HalvesProblem {
    type Scratch = Scratch;
    type Found = Assigned;

    fn scratch(&self) -> Scratch {
        Scratch {
            edges: vec![[0; 2]; self.words.len()],
            vertices: vec![Vertex::default(); (1 << self.first) + (1 << self.second)],
            taken: Vec::with_capacity(self.words.len()),
        }
    }

    fn attempt(&self, number: u64, scratch: &mut Scratch, watch: &dyn Watch) -> Attempt<Assigned> {
        let mut stream = self.rng.stream(number);
        let multipliers = self.fixed.unwrap_or_else(|| [stream.multiplier(), stream.multiplier()]);
        if !scratch.hash(self, multipliers, watch) || !scratch.peel(watch) {
            return Attempt::Stopped;
        }
        if scratch.taken.len() < self.words.len() {
            return Attempt::Cycle;
        }
        let mask = crate::table::low(self.index_bits);
        match scratch.assign(mask, watch) {
            Some(entries) => Attempt::Solved(Assigned { multipliers, entries }),
            None => Attempt::Stopped,
        }
    }

    fn block(&self) -> u64 {
        // A millisecond is about 20,000 edges through hash and peel.
        (20_000 / self.words.len() as u64).clamp(1, 64)
    }
}

impl Graphs for HalvesProblem {
    fn entries(found: &Assigned) -> (&[u32], Option<Counts>) {
        (&found.entries, None)
    }

    fn places(&self, found: &Assigned, word: u64) -> (u32, u32) {
        found.places(self.family, self.first, self.second, word)
    }
}

impl Assigned {
    /// Which two entries are a word's.
    pub(super) fn places(&self, family: Family, first: u32, second: u32, word: u64) -> (u32, u32) {
        let (a, b) = family.places(self.multipliers, first, second, word);
        (a, (1 << first) + b)
    }
}

impl Scratch {
    /// Makes the graph. False when stopped.
    fn hash(&mut self, problem: &HalvesProblem, multipliers: Multipliers, watch: &dyn Watch) -> bool {
        let &HalvesProblem { ref words, family, first, second, .. } = problem;
        self.vertices.fill(Vertex::default());
        let mut edge = 0;
        for (words, edges) in words.chunks(STEPS).zip(self.edges.chunks_mut(STEPS)) {
            if watch.stopped() {
                return false;
            }
            for (&word, ends) in words.iter().zip(edges) {
                let (a, b) = family.places(multipliers, first, second, word);
                *ends = [a, (1 << first) + b];
                for end in *ends {
                    let vertex = &mut self.vertices[end as usize];
                    vertex.degree += 1;
                    vertex.edges ^= edge;
                }
                edge += 1;
            }
        }
        true
    }

    /// Takes off edges that hang from a vertex of degree 1, until none does. False when stopped.
    fn peel(&mut self, watch: &dyn Watch) -> bool {
        self.taken.clear();
        let mut steps = 0;
        for start in 0..self.vertices.len() as u32 {
            let mut at = start;
            while self.vertices[at as usize].degree == 1 {
                let edge = self.vertices[at as usize].edges;
                self.taken.push([edge, at]);
                let [a, b] = self.edges[edge as usize];
                let other = a ^ b ^ at;
                steps += 1;
                self.vertices[at as usize].degree = 0;
                let vertex = &mut self.vertices[other as usize];
                vertex.degree -= 1;
                vertex.edges ^= edge;
                // Vertices before `start` were looked at: what becomes a leaf there is followed at once.
                if other > start {
                    break;
                }
                at = other;
            }
            steps += 1;
            if steps >= STEPS {
                steps = 0;
                if watch.stopped() {
                    return false;
                }
            }
        }
        true
    }

    /// Chooses the entries, last edge taken off first. `None` when stopped.
    fn assign(&mut self, mask: u32, watch: &dyn Watch) -> Option<Vec<u32>> {
        let mut entries = vec![0u32; self.vertices.len()];
        for taken in self.taken.rchunks(STEPS) {
            if watch.stopped() {
                return None;
            }
            for &[edge, leaf] in taken.iter().rev() {
                let [a, b] = self.edges[edge as usize];
                let other = a ^ b ^ leaf;
                entries[leaf as usize] = edge.wrapping_sub(entries[other as usize]) & mask;
            }
        }
        Some(entries)
    }
}
