//! Entries by depth-first traversal: the predecessor's first graph.
//!
//! Each tree's root is its lowest vertex and gets 0. A vertex's edges are followed latest first.

use alloc::{vec, vec::Vec};

use super::{Edge, Halt, STEP, look};

/// Entries, and what the predecessor counts while it makes them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Traversal {
    /// An entry for each vertex; their sum at the ends of edge `i` is `i` modulo the number of edges.
    pub entries: Vec<u32>,
    /// The counts.
    pub counts: Counts,
}

/// What the predecessor counts in a traversal. Its fourth count, of numbers met twice, is always 0 here:
/// an edge is met once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// The most vertices on one path from a root.
    pub depth_max: u32,
    /// Vertices visited.
    pub visits: u32,
    /// Vertices without an edge.
    pub empty: u32,
}

/// No half-edge follows.
const END: u32 = u32::MAX;

/// Traverses the graph of `edges` between vertices below `vertices`.
///
/// # Errors
/// [`Halt::Cycle`] when there is one, [`Halt::Stopped`] when `stopped` said so.
///
/// # Panics
/// When an end is not below `vertices`.
pub fn traverse<E: Edge>(
    edges: &[E],
    vertices: usize,
    edge_mask: u32,
    stopped: &dyn Fn() -> bool,
) -> Result<Traversal, Halt> {
    // Half-edge 2i leads from the first end of edge i, 2i + 1 from the second.
    let mut first = vec![END; vertices];
    let mut next = vec![END; 2 * edges.len()];
    for (number, edge) in edges.iter().enumerate() {
        if number % STEP == 0 {
            look(stopped)?;
        }
        let (a, b) = edge.ends();
        for (half, end) in [(2 * number, a), (2 * number + 1, b)] {
            next[half] = core::mem::replace(&mut first[end as usize], half as u32);
        }
    }
    let mut entries = vec![0_u32; vertices];
    let mut visited = vec![false; vertices];
    let mut counts = Counts::default();
    // A vertex on the way, the edge that led to it, and the half-edge to follow next.
    let mut way: Vec<(u32, u32, u32)> = Vec::new();
    for root in 0..vertices {
        if root % STEP == 0 {
            look(stopped)?;
        }
        if first[root] == END {
            counts.empty += 1;
            continue;
        }
        if visited[root] {
            continue;
        }
        visited[root] = true;
        way.push((root as u32, END, first[root]));
        counts.visits += 1;
        counts.depth_max = counts.depth_max.max(1);
        while let Some((vertex, by, half)) = way.last_mut() {
            if *half == END {
                way.pop();
                continue;
            }
            let (number, half) = (*half / 2, core::mem::replace(half, next[*half as usize]));
            if number == *by {
                continue;
            }
            let (a, b) = edges[number as usize].ends();
            let there = if half % 2 == 0 { b } else { a } as usize;
            if visited[there] {
                return Err(Halt::Cycle);
            }
            visited[there] = true;
            entries[there] = number.wrapping_sub(entries[*vertex as usize]) & edge_mask;
            way.push((there as u32, number, first[there]));
            counts.visits += 1;
            counts.depth_max = counts.depth_max.max(way.len() as u32);
            if (counts.visits as usize).is_multiple_of(STEP) {
                look(stopped)?;
            }
        }
    }
    Ok(Traversal { entries, counts })
}
