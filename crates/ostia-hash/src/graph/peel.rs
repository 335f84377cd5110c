//! Peeling, and entries by the order of it: the predecessor's third graph, its default.
//!
//! A vertex holds its degree and the xor of its edges' numbers; with degree 1 the xor names the edge. First every
//! vertex is looked at once, in ascending order; then the ends of each removed edge, oldest first. The order
//! decides which entries are 0, and so the coverage.

use alloc::{vec, vec::Vec};

use super::{Edge, Halt, Number, STEP, clear, look};

/// Memory for peeling. `N` must be able to hold the number of edges.
#[derive(Debug)]
pub struct Peel<N: Number> {
    vertices: Vec<(N, N)>,
    removed: Vec<N>,
}

impl<N: Number> Default for Peel<N> {
    fn default() -> Peel<N> {
        Peel { vertices: Vec::new(), removed: Vec::new() }
    }
}

impl<N: Number> Peel<N> {
    /// Removes edges with an end of degree 1 until none is left.
    ///
    /// # Errors
    /// [`Halt::Cycle`] when some stay, [`Halt::Stopped`] when `stopped` said so.
    ///
    /// # Panics
    /// When an end is not below `vertices`.
    pub fn peel<E: Edge>(
        &mut self,
        edges: &[E],
        vertices: usize,
        stopped: &dyn Fn() -> bool,
    ) -> Result<(), Halt> {
        clear(&mut self.vertices, vertices, stopped)?;
        self.removed.clear();
        self.removed.reserve(edges.len());
        for (part, edges) in edges.chunks(STEP).enumerate() {
            look(stopped)?;
            for (edge, number) in edges.iter().zip((part * STEP) as u32..) {
                let (a, b) = edge.ends();
                change(&mut self.vertices[a as usize], number, 1);
                change(&mut self.vertices[b as usize], number, 1);
            }
        }
        for vertex in 0..vertices as u32 {
            if (vertex as usize).is_multiple_of(STEP) {
                look(stopped)?;
            }
            self.remove(edges, vertex);
        }
        let mut oldest = 0;
        while oldest < self.removed.len() && self.removed.len() < edges.len() {
            if oldest % STEP == 0 {
                look(stopped)?;
            }
            let (a, b) = edges[self.removed[oldest].value() as usize].ends();
            self.remove(edges, a);
            self.remove(edges, b);
            oldest += 1;
        }
        if self.removed.len() == edges.len() { Ok(()) } else { Err(Halt::Cycle) }
    }

    /// The removed edges, first removed first.
    pub fn removed(&self) -> impl DoubleEndedIterator<Item = u32> + '_ {
        self.removed.iter().map(|n| n.value())
    }

    /// After [`Peel::peel`]: entries whose sum at the ends of edge `i` is `i` modulo `edge_mask + 1`.
    ///
    /// # Errors
    /// [`Halt::Stopped`] when `stopped` said so.
    pub fn assign<E: Edge>(
        &self,
        edges: &[E],
        vertices: usize,
        edge_mask: u32,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Vec<u32>, Halt> {
        let mut entries = vec![0_u32; vertices];
        let mut visited = vec![false; vertices];
        for (done, number) in self.removed().rev().enumerate() {
            if done % STEP == 0 {
                look(stopped)?;
            }
            let (a, b) = edges[number as usize].ends();
            let (free, other) = if visited[a as usize] { (b, a) } else { (a, b) };
            entries[free as usize] = number.wrapping_sub(entries[other as usize]) & edge_mask;
            visited[free as usize] = true;
            visited[other as usize] = true;
        }
        Ok(entries)
    }

    fn remove<E: Edge>(&mut self, edges: &[E], vertex: u32) {
        let (degree, number) = self.vertices[vertex as usize];
        if degree.value() == 1 {
            let (a, b) = edges[number.value() as usize].ends();
            change(&mut self.vertices[a as usize], number.value(), u32::MAX);
            change(&mut self.vertices[b as usize], number.value(), u32::MAX);
            self.removed.push(number);
        }
    }
}

/// Adds `by` to the degree and `number` to the xor.
#[inline]
fn change<N: Number>((degree, numbers): &mut (N, N), number: u32, by: u32) {
    *degree = N::new(degree.value().wrapping_add(by));
    *numbers = N::new(numbers.value() ^ number);
}
