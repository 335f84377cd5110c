//! How the place of a key is computed, as the templates of Rust and of Python take it.

use ostia_hash::{function::family::Family, table::Shape};
use serde::Serialize;

use super::pair::{self, Dialect};

/// Shifts, masks and multipliers of a shape; numbers are literals of the language.
#[derive(Serialize, Default)]
pub(super) struct Place {
    pub(super) kind: &'static str,
    pub(super) function: &'static str,
    pub(super) s1: String,
    pub(super) s2: String,
    pub(super) uses_mix: bool,
    pub(super) helpers: Vec<&'static str>,
    /// The two ends of an edge.
    pub(super) pair: Option<[String; 2]>,
    pub(super) vertex_mask: String,
    pub(super) first: u32,
    pub(super) second: u32,
    pub(super) second_mask: String,
    pub(super) halves_offset: u64,
    pub(super) mixed: bool,
    pub(super) buckets: u32,
    pub(super) slots: u32,
    pub(super) slot_mask: String,
    pub(super) part: u32,
}

impl Place {
    /// The place in a language that writes numbers as `hex` does.
    pub(super) fn new(shape: Shape, dialect: &dyn Dialect, hex: fn(u64) -> String) -> Place {
        let low = |bits: u32| hex((1u64 << bits) - 1);
        let place = Place { kind: shape.name(), function: shape.function_name(), ..Place::default() };
        match shape {
            Shape::Chm { function, seeds, vertices, .. } => {
                let written = pair::write(function, &seeds, dialect);
                Place {
                    helpers: written.helpers,
                    pair: Some([written.first, written.second]),
                    vertex_mask: low(vertices),
                    ..place
                }
            }
            Shape::Halves { family, multipliers: [s1, s2], first, second, .. } => Place {
                s1: hex(s1),
                s2: hex(s2),
                uses_mix: family == Family::Mix,
                first,
                second,
                second_mask: low(second),
                halves_offset: 1 << first,
                ..place
            },
            Shape::Displace { mixed, multipliers: [s1, s2], buckets, slots } => Place {
                s1: hex(s1),
                s2: hex(s2),
                uses_mix: mixed,
                mixed,
                buckets,
                slots,
                slot_mask: low(slots),
                ..place
            },
            Shape::Retrieval { multipliers: [s1, s2], part, .. } => {
                Place { s1: hex(s1), s2: hex(s2), uses_mix: true, part, ..place }
            }
        }
    }
}

/// What the cells of a table hold, for the comment above them.
pub(super) fn about_cells(shape: Shape) -> &'static str {
    match shape {
        Shape::Chm { .. } | Shape::Halves { .. } => "What the two places of a key hold adds up to its index.",
        Shape::Displace { .. } => "The displacement of each bucket.",
        Shape::Retrieval { in_place: false, .. } => "What the three cells of a key hold makes its index.",
        Shape::Retrieval { in_place: true, .. } => "What the three cells of a key hold makes its value.",
    }
}

/// The runs of ones in the bitmap of an extraction, from the low end: the shift to the right that brings a run
/// to its place in the result, and the mask that cuts it out there.
pub(super) fn runs(bitmap: u64) -> Vec<(u32, u64)> {
    let (mut left, mut kept) = (bitmap, 0);
    let mut runs = Vec::new();
    while left != 0 {
        let start = left.trailing_zeros();
        let length = (left >> start).trailing_ones();
        // A bitmap has at most 32 ones, so a run is never all 64 bits.
        let run = (1u64 << length) - 1;
        runs.push((start - kept, run << kept));
        kept += length;
        left &= !(run << start);
    }
    runs
}
