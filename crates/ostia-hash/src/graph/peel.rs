//! Peeling, and entries by the order of it: the predecessor's third graph, its default.
//!
//! A vertex holds its degree and the xor of its edges' numbers; with degree 1 the xor names the edge. First every
//! vertex is looked at once, in ascending order; then the ends of each removed edge, oldest first. The order
//! decides which entries are 0, and so the coverage.
//!
//! Whether a vertex has degree 1 is hard to predict, and a wrong guess costs as much as the rest. So vertices
//! without an edge are sorted out beforehand, block by block and without a branch. To do the same for the removal
//! itself was tried: it is slower, as then no read can start before the write ahead of it has its address.

use alloc::{vec, vec::Vec};

use super::{Edge, Halt, Number, STEP, clear, look};

/// Vertices looked at together.
const BLOCK: usize = 256;

/// Memory for peeling. `N` must be able to hold the number of edges, and every entry.
#[derive(Debug)]
pub struct Peel<N: Number> {
    /// While edges are taken off: the xor of a vertex's edges, and its degree. While entries are made: its entry,
    /// and 1 once it has one. Both in one word, as they are always wanted together.
    vertices: Vec<N::Edge>,
    /// The removed edges, first removed first.
    removed: Vec<N>,
}

/// Adds `by` to a vertex's degree and `number` to its xor.
#[inline(always)]
fn change<V: Edge>(vertex: &mut V, by: u32, number: u32) {
    let (numbers, degree) = vertex.ends();
    *vertex = V::new(numbers ^ number, degree.wrapping_add(by));
}

impl<N: Number> Default for Peel<N> {
    fn default() -> Peel<N> {
        Peel { vertices: Vec::new(), removed: Vec::new() }
    }
}

impl<N: Number> Peel<N> {
    /// Removes edges with an end of degree 1 until none is left, and gives each vertex an entry: their sum at
    /// the ends of edge `i` is `i` modulo `edge_mask + 1`, which must be at least the number of edges.
    ///
    /// # Errors
    /// [`Halt::Cycle`] when edges stay, [`Halt::Stopped`] when `stopped` said so.
    ///
    /// # Panics
    /// When an end is not below `vertices`.
    pub fn entries<E: Edge>(
        &mut self,
        edges: &[E],
        vertices: usize,
        edge_mask: u32,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Vec<u32>, Halt> {
        if edges.is_empty() {
            return Ok(vec![0; vertices]);
        }
        clear(&mut self.vertices, vertices, stopped)?;
        self.removed.resize(edges.len().max(self.removed.len()), N::default());
        for (part, edges) in edges.chunks(STEP).enumerate() {
            look(stopped)?;
            for (edge, number) in edges.iter().zip((part * STEP) as u32..) {
                let (a, b) = edge.ends();
                change(&mut self.vertices[a as usize], 1, number);
                change(&mut self.vertices[b as usize], 1, number);
            }
        }
        self.peel(edges, vertices, stopped)?;
        self.assign(edges, vertices, edge_mask, stopped)
    }

    fn peel<E: Edge>(
        &mut self,
        edges: &[E],
        vertices: usize,
        stopped: &dyn Fn() -> bool,
    ) -> Result<(), Halt> {
        let mut count = 0;
        let mut block = [0; BLOCK];
        for from in (0..vertices).step_by(BLOCK) {
            if from % STEP == 0 {
                look(stopped)?;
            }
            let mut len = 0;
            for (vertex, state) in (from..).zip(&self.vertices[from..vertices.min(from + BLOCK)]) {
                block[len] = vertex as u32;
                len += usize::from(state.ends().1 != 0);
            }
            for &vertex in &block[..len] {
                count = self.remove(edges, vertex, count);
            }
        }
        let mut oldest = 0;
        while oldest < count && count < edges.len() {
            if oldest % STEP == 0 {
                look(stopped)?;
            }
            // One end is what the edge was removed for, and has no edge left; so only the other can be next.
            let (a, b) = edges[self.removed[oldest].value() as usize].ends();
            let other = if self.vertices[a as usize].ends().1 == 0 { b } else { a };
            count = self.remove(edges, other, count);
            oldest += 1;
        }
        if count == edges.len() { Ok(()) } else { Err(Halt::Cycle) }
    }

    /// Removes the edge of a vertex of degree 1. `count` edges are removed before; returns how many then.
    #[inline(always)]
    fn remove<E: Edge>(&mut self, edges: &[E], vertex: u32, count: usize) -> usize {
        let (number, degree) = self.vertices[vertex as usize].ends();
        if degree != 1 {
            return count;
        }
        let (a, b) = edges[number as usize].ends();
        change(&mut self.vertices[a as usize], u32::MAX, number);
        change(&mut self.vertices[b as usize], u32::MAX, number);
        self.removed[count] = N::new(number);
        count + 1
    }

    /// Makes the entries, last removed edge first. All degrees and xors are 0 by then.
    fn assign<E: Edge>(
        &mut self,
        edges: &[E],
        vertices: usize,
        edge_mask: u32,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Vec<u32>, Halt> {
        for removed in self.removed[..edges.len()].rchunks(STEP) {
            look(stopped)?;
            for number in removed.iter().rev() {
                let (a, b) = edges[number.value() as usize].ends();
                // The first end gets the entry unless it has one; of two that have none the second stays 0.
                let taken = self.vertices[a as usize].ends().1 != 0;
                let (free, other) = if taken { (b, a) } else { (a, b) };
                let (known, _) = self.vertices[other as usize].ends();
                self.vertices[other as usize] = Edge::new(known, 1);
                let entry = number.value().wrapping_sub(known) & edge_mask;
                self.vertices[free as usize] = Edge::new(entry, 1);
            }
        }
        Ok(self.vertices[..vertices].iter().map(|vertex| vertex.ends().0).collect())
    }
}
