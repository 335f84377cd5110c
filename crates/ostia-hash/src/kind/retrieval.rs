//! Three parts, one cell of each a key: the xor of the three is the key's payload.
//!
//! The payload is an index, an integer value or a record, and a fingerprint beside it. Cells need only be
//! 1.23 times as many as keys, and nothing but payloads is stored.

use alloc::{sync::Arc, vec, vec::Vec};
use core::ops::Range;

use crate::{
    function::{classic::RngSpec, family::Multipliers},
    search::{Attempt, Problem, Watch},
    table::retrieval_places,
};

/// A graph that can be peeled is looked for; attempts change the multipliers.
#[derive(Clone, Debug)]
pub struct RetrievalProblem {
    /// The words that have payloads, all different.
    pub words: Arc<[u64]>,
    /// Where attempts take their multipliers from.
    pub rng: RngSpec,
    /// Multipliers that every attempt must use instead.
    pub fixed: Option<Multipliers>,
    /// Cells of one part.
    pub part: u32,
}

/// A solution: multipliers, and the order in which the keys' payloads can be laid down.
#[derive(Clone, Debug)]
pub struct Peeled {
    /// The multipliers.
    pub multipliers: Multipliers,
    /// Keys in the order they were taken off, each with the cell that is its own.
    pub taken: Vec<[u32; 2]>,
    /// Cells of one part.
    pub part: u32,
}

/// Memory of one thread.
#[derive(Debug)]
pub struct Scratch {
    cells: Vec<[u32; 2]>,
    leaves: Vec<u32>,
}

/// How many steps are made between two looks at the watch: well under a millisecond.
const STEPS: usize = 1 << 15;

impl Problem for RetrievalProblem {
    type Scratch = Scratch;
    type Found = Peeled;

    fn scratch(&self) -> Scratch {
        Scratch { cells: vec![[0; 2]; 3 * self.part as usize], leaves: Vec::new() }
    }

    fn attempt(&self, number: u64, scratch: &mut Scratch, watch: &dyn Watch) -> Attempt<Peeled> {
        let mut stream = self.rng.stream(number);
        let multipliers = self.fixed.unwrap_or_else(|| [stream.multiplier(), stream.multiplier()]);
        let Scratch { cells, leaves } = scratch;
        cells.fill([0; 2]);
        for (chunk, words) in self.words.chunks(STEPS).enumerate() {
            if watch.stopped() {
                return Attempt::Stopped;
            }
            for (i, &word) in words.iter().enumerate() {
                let key = (chunk * STEPS + i) as u32;
                for place in retrieval_places(multipliers, self.part, word) {
                    let [degree, keys] = &mut cells[place as usize];
                    *degree += 1;
                    *keys ^= key;
                }
            }
        }
        leaves.clear();
        leaves.extend((0..cells.len() as u32).filter(|&c| cells[c as usize][0] == 1));
        let mut taken = Vec::with_capacity(self.words.len());
        while let Some(leaf) = leaves.pop() {
            let [degree, key] = cells[leaf as usize];
            if degree != 1 {
                continue;
            }
            taken.push([key, leaf]);
            for place in retrieval_places(multipliers, self.part, self.words[key as usize]) {
                let [degree, keys] = &mut cells[place as usize];
                *degree -= 1;
                *keys ^= key;
                if *degree == 1 {
                    leaves.push(place);
                }
            }
            if taken.len() % STEPS == 0 && watch.stopped() {
                return Attempt::Stopped;
            }
        }
        if taken.len() < self.words.len() {
            return Attempt::Cycle;
        }
        Attempt::Solved(Peeled { multipliers, taken, part: self.part })
    }

    fn block(&self) -> u64 {
        1
    }
}

impl Peeled {
    /// Cells of `width` bytes, and no payload yet.
    pub fn cells(&self, width: usize) -> Vec<u8> {
        vec![0; 3 * self.part as usize * width]
    }

    /// Lays down the payloads of some keys, each as many bytes as a cell has: `payload(key)` is its bytes. `places` count
    /// the keys in the order in which it must be done: all those before must be laid down, and none of these.
    pub fn lay<'p>(
        &self,
        places: Range<usize>,
        words: &[u64],
        width: usize,
        payload: impl Fn(u32) -> &'p [u8],
        cells: &mut [u8],
    ) {
        let mut sum = vec![0; width];
        let from_behind = self.taken.len() - places.end..self.taken.len() - places.start;
        for &[key, own] in self.taken[from_behind].iter().rev() {
            sum.copy_from_slice(payload(key));
            for place in retrieval_places(self.multipliers, self.part, words[key as usize]) {
                // The own cell is still 0: it is laid down only here.
                for (s, c) in sum.iter_mut().zip(&cells[place as usize * width..]) {
                    *s ^= c;
                }
            }
            cells[own as usize * width..][..width].copy_from_slice(&sum);
        }
    }
}
