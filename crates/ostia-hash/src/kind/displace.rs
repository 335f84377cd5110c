//! Xor-displace: a multiply sends each key to a bucket and a field; each bucket gets one displacement that
//! sends its keys' fields to free slots.
//!
//! Buckets are placed largest first. For a bucket of one key the next free slot is taken; for larger ones
//! displacements are tried in order from a start that differs from bucket to bucket.

use alloc::{sync::Arc, vec, vec::Vec};

use crate::{
    function::{classic::RngSpec, family::Multipliers},
    philox::Philox,
    search::{Attempt, Problem, Watch},
    table::displace_fields,
};

/// Displacements are looked for under one set of multipliers; attempts change these.
#[derive(Clone, Debug)]
pub struct DisplaceProblem {
    /// The words to be placed, all different.
    pub words: Arc<[u64]>,
    /// Where attempts take their multipliers from.
    pub rng: RngSpec,
    /// Multipliers that every attempt must use instead.
    pub fixed: Option<Multipliers>,
    /// See [`crate::table::Shape::Displace`].
    pub mixed: bool,
    /// Buckets, as a power of two.
    pub buckets: u32,
    /// Slots, as a power of two.
    pub slots: u32,
}

/// A solution: multipliers, and the displacement of each bucket.
#[derive(Clone, Debug)]
pub struct Displaced {
    /// The multipliers.
    pub multipliers: Multipliers,
    /// One displacement a bucket.
    pub displacements: Vec<u32>,
}

/// Memory of one thread.
#[derive(Debug)]
pub struct Scratch {
    fields: Vec<u32>,
    starts: Vec<u32>,
    by_size: Vec<u32>,
    taken: Vec<u64>,
    bucket_of: Vec<u32>,
}

impl Problem for DisplaceProblem {
    type Scratch = Scratch;
    type Found = Displaced;

    fn scratch(&self) -> Scratch {
        Scratch {
            fields: vec![0; self.words.len()],
            starts: vec![0; (1 << self.buckets) + 1],
            by_size: vec![0; 1 << self.buckets],
            taken: vec![0; (1usize << self.slots).div_ceil(64)],
            bucket_of: vec![0; self.words.len()],
        }
    }

    fn attempt(&self, number: u64, scratch: &mut Scratch, watch: &dyn Watch) -> Attempt<Displaced> {
        let mut stream = self.rng.stream(number);
        let multipliers = self.fixed.unwrap_or_else(|| [stream.multiplier(), stream.multiplier()]);
        if !scratch.sort(self, multipliers, watch) {
            return Attempt::Stopped;
        }
        let mut displacements = vec![0; 1 << self.buckets];
        match scratch.place(self, &mut stream, &mut displacements, watch) {
            Placed::All => Attempt::Solved(Displaced { multipliers, displacements }),
            Placed::TwoAlike => Attempt::Collision,
            Placed::NoRoom => Attempt::Cycle,
            Placed::Stopped => Attempt::Stopped,
        }
    }

    fn block(&self) -> u64 {
        1
    }
}

enum Placed {
    All,
    TwoAlike,
    NoRoom,
    Stopped,
}

/// How many steps are made between two looks at the watch: about a millisecond where every step misses the
/// caches.
const STEPS: usize = 1 << 13;

impl Scratch {
    /// Groups the fields by bucket, and the buckets by size, largest first. False when stopped.
    fn sort(&mut self, problem: &DisplaceProblem, multipliers: Multipliers, watch: &dyn Watch) -> bool {
        let &DisplaceProblem { ref words, mixed, buckets, slots, .. } = problem;
        self.starts.fill(0);
        for (words, places) in words.chunks(STEPS).zip(self.bucket_of.chunks_mut(STEPS)) {
            if watch.stopped() {
                return false;
            }
            for (&word, place) in words.iter().zip(places) {
                let (bucket, _) = displace_fields(mixed, multipliers, buckets, slots, word);
                *place = bucket;
                self.starts[bucket as usize + 1] += 1;
            }
        }
        let most = self.starts.iter().max().copied().unwrap_or(0) as usize;
        let mut of_size = vec![0u32; most + 2];
        for &size in &self.starts[1..] {
            of_size[most - size as usize + 1] += 1;
        }
        for i in 1..of_size.len() {
            of_size[i] += of_size[i - 1];
        }
        for (bucket, &size) in self.starts[1..].iter().enumerate() {
            let place = &mut of_size[most - size as usize];
            self.by_size[*place as usize] = bucket as u32;
            *place += 1;
        }
        for i in 1..self.starts.len() {
            self.starts[i] += self.starts[i - 1];
        }
        let mut next = self.starts.clone();
        for (words, places) in words.chunks(STEPS).zip(self.bucket_of.chunks(STEPS)) {
            if watch.stopped() {
                return false;
            }
            for (&word, &bucket) in words.iter().zip(places) {
                let (_, field) = displace_fields(mixed, multipliers, buckets, slots, word);
                let place = &mut next[bucket as usize];
                self.fields[*place as usize] = field;
                *place += 1;
            }
        }
        true
    }

    fn place(
        &mut self,
        problem: &DisplaceProblem,
        stream: &mut Philox,
        displacements: &mut [u32],
        watch: &dyn Watch,
    ) -> Placed {
        let slots = 1usize << problem.slots;
        let mask = slots as u32 - 1;
        let taken = &mut self.taken;
        taken.fill(0);
        if slots < 64 {
            taken[0] = u64::MAX << slots;
        }
        let is_taken = |taken: &[u64], slot: u32| taken[slot as usize / 64] >> (slot % 64) & 1 == 1;
        let mut free_from = 0;
        let mut steps = 0;
        let mut start = stream.word();
        for &bucket in &self.by_size {
            steps += 1;
            if steps >= STEPS {
                steps = 0;
                if watch.stopped() {
                    return Placed::Stopped;
                }
            }
            let own = self.starts[bucket as usize] as usize..self.starts[bucket as usize + 1] as usize;
            let fields = &mut self.fields[own];
            let displacement = match fields {
                [] => break,
                [field] => {
                    while taken[free_from] == u64::MAX {
                        free_from += 1;
                    }
                    *field ^ (free_from as u32 * 64 + taken[free_from].trailing_ones())
                }
                _ => {
                    fields.sort_unstable();
                    if fields.windows(2).any(|w| w[0] == w[1]) {
                        return Placed::TwoAlike;
                    }
                    start = start.wrapping_mul(0x2C1B_3C6D).wrapping_add(0x297A_2D39);
                    let from = start >> (32 - problem.slots);
                    let mut tries = 0;
                    loop {
                        let displacement = from.wrapping_add(tries) & mask;
                        if !fields.iter().any(|&f| is_taken(taken, f ^ displacement)) {
                            break displacement;
                        }
                        if tries == mask {
                            return Placed::NoRoom;
                        }
                        tries += 1;
                        steps += 1;
                        if steps >= STEPS {
                            steps = 0;
                            if watch.stopped() {
                                return Placed::Stopped;
                            }
                        }
                    }
                }
            };
            displacements[bucket as usize] = displacement;
            for &field in &*fields {
                let slot = field ^ displacement;
                taken[slot as usize / 64] |= 1 << (slot % 64);
            }
        }
        Placed::All
    }
}
