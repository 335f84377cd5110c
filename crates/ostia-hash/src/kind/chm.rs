//! The predecessor's tables: one array of entries, and a key's index is the sum of two of them.
//!
//! A key is an edge between two vertices of one graph. Without a cycle the vertices get entries that add up,
//! for each edge, to its number. With the predecessor's functions, seed rule and sizes the same attempt wins
//! here, with the same seeds and entries.

use alloc::{sync::Arc, vec, vec::Vec};
use core::fmt;

use crate::{
    best::Graphs,
    function::classic::{Classic, RngSpec, Seeds},
    graph::{Edge, Halt, Number, STEP, dfs, forest::Forest, peel::Peel},
    search::{Attempt, Problem, Watch},
    simd::{Level, pairs::fill_edges},
};

/// How large a table is. Both figures are powers of two.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Sizes {
    /// Indexes are taken modulo this.
    pub edges: u32,
    /// Entries.
    pub vertices: u32,
}

impl Sizes {
    /// The smallest size for that many keys; `None` when there is none of at most 2^31 entries.
    pub fn for_keys(count: usize) -> Option<Sizes> {
        let edges = u32::try_from(count.max(8)).ok()?.checked_next_power_of_two()?;
        Some(Sizes { edges, vertices: edges.checked_mul(2)? })
    }

    /// Twice the entries, `times` times over; the edges too, unless `clamp_edges`. `None` beyond 2^31 entries.
    pub fn resized(self, times: u32, clamp_edges: bool) -> Option<Sizes> {
        let factor = 1_u32.checked_shl(times)?;
        let vertices = self.vertices.checked_mul(factor)?;
        let edges = if clamp_edges { self.edges } else { self.edges.checked_mul(factor)? };
        Some(Sizes { edges, vertices })
    }

    /// Leaves of a word as many bits as a vertex number has.
    pub fn hash_shift(self) -> u32 {
        32 - self.vertices.trailing_zeros()
    }

    /// Keeps the bits of a vertex number.
    pub fn hash_mask(self) -> u32 {
        self.vertices - 1
    }

    /// Keeps the bits of an index.
    pub fn index_mask(self) -> u32 {
        self.edges - 1
    }

    /// Bytes of an entry while the predecessor measures coverage: 2 where its 16-bit graph serves, else 4.
    pub fn solving_bytes(self, count: usize, graph: Graph) -> usize {
        let small = self.vertices <= 1 << 16 && self.edges <= 1 << 15 && count < 1 << 15;
        if small && graph == Graph::Peeled { 2 } else { 4 }
    }

    /// Bytes of an entry in the predecessor's output: it must hold the number of edges.
    pub fn stored_bytes(self) -> usize {
        match self.edges {
            ..=0x80 => 1,
            0x81..=0x8000 => 2,
            _ => 4,
        }
    }
}

/// How entries are found once a graph has no cycle. Which attempts succeed does not depend on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub enum Graph {
    /// By the order of peeling: the predecessor's graph 3, its default.
    #[default]
    Peeled,
    /// By depth-first traversal: the predecessor's graph 1.
    Traversed,
}

/// Why a problem cannot be set up.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Refused {
    /// The two ends of this key's edge are one vertex under every seed.
    Key {
        /// The key.
        key: u32,
        /// Its index.
        index: usize,
    },
    /// The sizes cannot hold the keys, are no powers of two, or have no more vertices than edges.
    Sizes,
    /// More seeds are given than the function has.
    Seeds {
        /// How many it has.
        most: usize,
    },
    /// The lowest byte of seed 3 must shift away at least this much, or results exceed the table.
    Shift {
        /// The least shift.
        least: u32,
    },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Key { key, index } => {
                write!(f, "key {key} (at {index}) gets one vertex for both ends, whatever the seeds")
            }
            Refused::Sizes => f.write_str("the sizes must be powers of two, at least as many edges as keys, and more vertices than edges"),
            Refused::Seeds { most } => write!(f, "the function has {most} seeds, and more are given"),
            Refused::Shift { least } => {
                write!(f, "the lowest byte of seed 3 is a shift, and must be at least {least} here")
            }
        }
    }
}

impl core::error::Error for Refused {}

/// A set to be solved by one of the predecessor's functions.
#[derive(Clone, Debug)]
pub struct ChmProblem {
    keys: Arc<[u32]>,
    function: Classic,
    sizes: Sizes,
    rng: RngSpec,
    forced: Vec<u32>,
    graph: Graph,
    level: Level,
}

impl ChmProblem {
    /// The problem with the predecessor's defaults. A key's index is its position; keys must differ.
    ///
    /// # Errors
    /// When no attempt could solve it.
    pub fn new(keys: impl Into<Arc<[u32]>>, function: Classic, sizes: Sizes) -> Result<ChmProblem, Refused> {
        let keys = keys.into();
        let powers = sizes.edges.is_power_of_two() && sizes.vertices.is_power_of_two();
        if !powers || keys.len() > sizes.edges as usize || sizes.edges >= sizes.vertices {
            return Err(Refused::Sizes);
        }
        if let Some(key) = function.unsolvable_key()
            && let Some(index) = keys.iter().position(|&k| k == key)
        {
            return Err(Refused::Key { key, index });
        }
        let level = Level::best();
        let rng = RngSpec::default();
        Ok(ChmProblem { keys, function, sizes, rng, forced: Vec::new(), graph: Graph::default(), level })
    }

    /// Other random numbers.
    #[must_use]
    pub fn with_rng(self, rng: RngSpec) -> ChmProblem {
        ChmProblem { rng, ..self }
    }

    /// Seeds that are not drawn; see [`Classic::seeds_for`].
    ///
    /// # Errors
    /// When there are too many, or one would lead out of the table.
    pub fn with_seeds(self, forced: Vec<u32>) -> Result<ChmProblem, Refused> {
        let most = self.function.seed_count();
        if forced.len() > most {
            return Err(Refused::Seeds { most });
        }
        let least = self.sizes.hash_shift();
        // What counts is the shift that attempts come to have, after masks.
        let seeds = self.function.seeds_for(1, &self.rng, least, Some(&forced));
        if !self.function.is_masked() && seeds[2] & 0xff < least {
            return Err(Refused::Shift { least });
        }
        Ok(ChmProblem { forced, ..self })
    }

    /// Another way to entries.
    #[must_use]
    pub fn with_graph(self, graph: Graph) -> ChmProblem {
        ChmProblem { graph, ..self }
    }

    /// Another level of vector code; results are the same.
    #[must_use]
    pub fn with_level(self, level: Level) -> ChmProblem {
        ChmProblem { level, ..self }
    }

    /// The sizes.
    pub fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// The seeds of an attempt.
    pub fn seeds(&self, number: u64) -> Seeds {
        let forced = Some(&*self.forced).filter(|f| !f.is_empty());
        self.function.seeds_for(number, &self.rng, self.sizes.hash_shift(), forced)
    }

    /// The two vertices of a key.
    pub fn vertices(&self, seeds: &Seeds, key: u32) -> (u32, u32) {
        let (first, second) = self.function.pair(seeds, key);
        (first & self.mask(), second & self.mask())
    }

    fn mask(&self) -> u32 {
        if self.function.is_masked() { self.sizes.hash_mask() } else { u32::MAX }
    }

    fn attempt_with<E: Edge, N: Number>(
        &self,
        number: u64,
        work: &mut Work<E, N>,
        watch: &dyn Watch,
    ) -> Attempt<Chm> {
        let seeds = self.seeds(number);
        let stopped = || watch.stopped();
        // All keys are hashed before the graph is looked at: a collision anywhere decides what the attempt
        // counts as.
        for (keys, edges) in self.keys.chunks(STEP).zip(work.edges.chunks_mut(STEP)) {
            if stopped() {
                return Attempt::Stopped;
            }
            if fill_edges(self.level, self.function, &seeds, self.mask(), keys, edges) {
                return Attempt::Collision;
            }
        }
        match self.entries(work, &stopped) {
            Ok((entries, counts)) => Attempt::Solved(Chm {
                function: self.function,
                attempt: number,
                seeds,
                sizes: self.sizes,
                entries,
                counts,
            }),
            Err(Halt::Cycle) => Attempt::Cycle,
            Err(Halt::Stopped) => Attempt::Stopped,
        }
    }

    fn entries<E: Edge, N: Number>(
        &self,
        work: &mut Work<E, N>,
        stopped: &dyn Fn() -> bool,
    ) -> Result<(Vec<u32>, Option<dfs::Counts>), Halt> {
        let vertices = self.sizes.vertices as usize;
        let mask = self.sizes.index_mask();
        work.forest.test(&work.edges, vertices, stopped)?;
        match self.graph {
            Graph::Peeled => Ok((work.peel.entries(&work.edges, vertices, mask, stopped)?, None)),
            Graph::Traversed => {
                let dfs::Traversal { entries, counts } = dfs::traverse(&work.edges, vertices, mask, stopped)?;
                Ok((entries, Some(counts)))
            }
        }
    }
}

/// A solution: all that a table needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chm {
    /// The function.
    pub function: Classic,
    /// The attempt that led to it.
    pub attempt: u64,
    /// That attempt's seeds.
    pub seeds: Seeds,
    /// The sizes.
    pub sizes: Sizes,
    /// An entry for each vertex, below the number of edges.
    pub entries: Vec<u32>,
    /// What was counted on the way, with [`Graph::Traversed`].
    pub counts: Option<dfs::Counts>,
}

impl Chm {
    /// The index of a key of the set; of any other key some number below the number of edges.
    #[inline]
    pub fn index(&self, key: u32) -> u32 {
        let (first, second) = self.function.pair(&self.seeds, key);
        // Results that need no mask are below the number of vertices, so that it changes nothing.
        let mask = self.sizes.hash_mask();
        let [first, second] = [first, second].map(|v| self.entries[(v & mask) as usize]);
        first.wrapping_add(second) & self.sizes.index_mask()
    }
}

impl Graphs for ChmProblem {
    fn entries(found: &Chm) -> (&[u32], Option<dfs::Counts>) {
        (&found.entries, found.counts)
    }

    fn places(&self, found: &Chm, word: u64) -> (u32, u32) {
        self.vertices(&found.seeds, word as u32)
    }
}

/// Memory for attempts, as narrow as the set allows.
#[derive(Debug)]
pub struct Scratch(Width);

#[derive(Debug)]
enum Width {
    /// Up to 2^16 vertices.
    Narrow(Work<u32, u16>),
    /// More vertices, but fewer than 2^16 keys, and entries of 16 bits.
    Middle(Work<u64, u16>),
    Wide(Work<u64, u32>),
}

#[derive(Debug)]
struct Work<E, N: Number> {
    edges: Vec<E>,
    forest: Forest<N>,
    peel: Peel<N>,
}

impl<E: Edge, N: Number> Work<E, N> {
    fn new(keys: usize) -> Work<E, N> {
        Work { edges: vec![E::default(); keys], forest: Forest::default(), peel: Peel::default() }
    }
}

impl Problem for ChmProblem {
    type Scratch = Scratch;
    type Found = Chm;

    fn scratch(&self) -> Scratch {
        let count = self.keys.len();
        // Labels count from 1, so that 2^16 - 1 keys can have one each; entries are below the number of edges.
        let short = count < 1 << 16 && self.sizes.edges <= 1 << 16;
        Scratch(match (self.sizes.vertices <= 1 << 16, short) {
            (true, _) => Width::Narrow(Work::new(count)),
            (false, true) => Width::Middle(Work::new(count)),
            (false, false) => Width::Wide(Work::new(count)),
        })
    }

    fn attempt(&self, number: u64, scratch: &mut Scratch, watch: &dyn Watch) -> Attempt<Chm> {
        match &mut scratch.0 {
            Width::Narrow(work) => self.attempt_with(number, work, watch),
            Width::Middle(work) => self.attempt_with(number, work, watch),
            Width::Wide(work) => self.attempt_with(number, work, watch),
        }
    }

    fn block(&self) -> u64 {
        // An attempt takes 1 to 2 ns a key, and some for the table.
        (1_000_000 / (2 * self.keys.len() as u64 + 1000)).clamp(1, 64)
    }
}
