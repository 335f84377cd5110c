//! Random graphs: an edge for each key.
//!
//! A set can be solved with the edges an attempt gives it when they form no cycle. [`forest`] finds that out
//! fast, for the many attempts that fail; [`peel`] and [`dfs`] then give each vertex its entry, in the two ways
//! the predecessor has.

use core::fmt;

mod assign;
pub mod contract;
pub mod dfs;
pub mod forest;
pub mod peel;

/// An edge, in as few bytes as its vertex numbers need.
pub trait Edge: Copy + Default + fmt::Debug + Send + Sync {
    /// How many vertices the type can number, or 0 where that is more than a table of them should hold unasked.
    const VERTICES_MAX: usize;

    /// The edge between two vertices.
    fn new(first: u32, second: u32) -> Self;

    /// Its ends.
    fn ends(self) -> (u32, u32);
}

/// Vertex numbers of 16 bits, the first end in the low half.
impl Edge for u32 {
    const VERTICES_MAX: usize = 1 << 16;

    #[inline(always)]
    fn new(first: u32, second: u32) -> u32 {
        first | second << 16
    }

    #[inline(always)]
    fn ends(self) -> (u32, u32) {
        (self & 0xffff, self >> 16)
    }
}

/// Vertex numbers of 32 bits, the first end in the low half.
impl Edge for u64 {
    const VERTICES_MAX: usize = 0;

    #[inline(always)]
    fn new(first: u32, second: u32) -> u64 {
        u64::from(first) | u64::from(second) << 32
    }

    #[inline(always)]
    fn ends(self) -> (u32, u32) {
        (self as u32, (self >> 32) as u32)
    }
}

/// Why work on a graph ended early.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Halt {
    /// The graph has a cycle.
    Cycle,
    /// The one who looks on said so.
    Stopped,
}

/// A number of a vertex, of an edge or of a component, in as few bytes as the largest needs.
pub trait Number: Copy + Default + Ord + fmt::Debug + Send + Sync {
    /// An edge between two things numbered so.
    type Edge: Edge;

    /// The number of that value; what does not fit is cut off.
    fn new(value: u32) -> Self;

    /// Its value.
    fn value(self) -> u32;
}

impl Number for u16 {
    type Edge = u32;

    #[inline(always)]
    fn new(value: u32) -> u16 {
        value as u16
    }

    #[inline(always)]
    fn value(self) -> u32 {
        u32::from(self)
    }
}

impl Number for u32 {
    type Edge = u64;

    #[inline(always)]
    fn new(value: u32) -> u32 {
        value
    }

    #[inline(always)]
    fn value(self) -> u32 {
        self
    }
}

/// How many keys, edges or vertices are gone through between two looks at whether to stop: well below 5 ms.
pub(crate) const STEP: usize = 1 << 16;

/// Makes `len` entries of `table` the default, longer if it must be.
fn clear<T: Copy + Default>(
    table: &mut alloc::vec::Vec<T>,
    len: usize,
    stopped: &dyn Fn() -> bool,
) -> Result<(), Halt> {
    if table.len() < len {
        table.resize(len, T::default());
    }
    for part in table[..len].chunks_mut(16 * STEP) {
        part.fill(T::default());
        look(stopped)?;
    }
    Ok(())
}

/// Ends the work when it should end.
fn look(stopped: &dyn Fn() -> bool) -> Result<(), Halt> {
    if stopped() { Err(Halt::Stopped) } else { Ok(()) }
}
