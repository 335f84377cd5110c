//! All keys to the edges of a graph, by one of the predecessor's functions.

use super::{Level, Tier};
use crate::{
    function::{
        classic::{Classic, Seeds, Visitor},
        crc::{ByTable, Crc},
    },
    graph::Edge,
};

/// Hashes `keys` into `edges`, ends masked with `mask`. True, and the rest of `edges` unset, as soon as the two
/// ends of a key are seen to be one vertex.
///
/// # Panics
/// When the slices differ in length.
#[track_caller]
pub fn fill_edges<E: Edge>(
    level: Level,
    function: Classic,
    seeds: &Seeds,
    mask: u32,
    keys: &[u32],
    edges: &mut [E],
) -> bool {
    assert_eq!(keys.len(), edges.len(), "an edge for each key");
    match level.0 {
        Tier::Portable => function.visit::<ByTable, _>(seeds, Portable(Fill { mask, keys, edges })),
        #[cfg(target_arch = "x86_64")]
        Tier::Avx2 => function.visit::<x86::ByInstruction, _>(seeds, x86::Avx2(Fill { mask, keys, edges })),
        #[cfg(target_arch = "x86_64")]
        Tier::Avx512 => {
            function.visit::<x86::ByInstruction, _>(seeds, x86::Avx512(Fill { mask, keys, edges }))
        }
    }
}

/// What a loop works on.
struct Fill<'a, E> {
    mask: u32,
    keys: &'a [u32],
    edges: &'a mut [E],
}

impl<E: Edge> Fill<'_, E> {
    /// The loop. It must become a part of its caller, to be compiled for the caller's instruction set.
    #[inline(always)]
    fn run(self, pair: impl Fn(u32) -> (u32, u32)) -> bool {
        // A few hundred keys: a collision ends the attempt soon, and the test of it costs nothing.
        for (keys, edges) in self.keys.chunks(512).zip(self.edges.chunks_mut(512)) {
            let mut met = 0;
            for (&key, edge) in keys.iter().zip(edges) {
                let (first, second) = pair(key);
                let (first, second) = (first & self.mask, second & self.mask);
                met |= u32::from(first == second);
                *edge = E::new(first, second);
            }
            if met != 0 {
                return true;
            }
        }
        false
    }
}

struct Portable<'a, E>(Fill<'a, E>);

impl<E: Edge> Visitor for Portable<'_, E> {
    type Out = bool;

    fn visit(self, pair: impl Fn(u32) -> (u32, u32) + Copy) -> bool {
        self.0.run(pair)
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use core::arch::x86_64::_mm_crc32_u32;

    use super::{Crc, Edge, Fill, Visitor};

    /// By the instruction of SSE4.2. Handed only to the loops below, which run where it is.
    pub(super) struct ByInstruction;

    impl Crc for ByInstruction {
        #[inline(always)]
        fn step(state: u32, word: u32) -> u32 {
            // SAFETY: only the loops of this module use this type, and a `Level` that leads to them exists only
            // where the CPU has SSE4.2.
            unsafe { _mm_crc32_u32(state, word) }
        }
    }

    pub(super) struct Avx2<'a, E>(pub(super) Fill<'a, E>);

    impl<E: Edge> Visitor for Avx2<'_, E> {
        type Out = bool;

        fn visit(self, pair: impl Fn(u32) -> (u32, u32) + Copy) -> bool {
            // SAFETY: a `Level` of this kind exists only where the CPU has AVX2 and SSE4.2.
            unsafe { avx2(self.0, pair) }
        }
    }

    pub(super) struct Avx512<'a, E>(pub(super) Fill<'a, E>);

    impl<E: Edge> Visitor for Avx512<'_, E> {
        type Out = bool;

        fn visit(self, pair: impl Fn(u32) -> (u32, u32) + Copy) -> bool {
            // SAFETY: a `Level` of this kind exists only where the CPU has these parts of AVX-512 and SSE4.2.
            unsafe { avx512(self.0, pair) }
        }
    }

    #[target_feature(enable = "avx2,sse4.2")]
    fn avx2<E: Edge>(fill: Fill<'_, E>, pair: impl Fn(u32) -> (u32, u32)) -> bool {
        fill.run(pair)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,sse4.2")]
    fn avx512<E: Edge>(fill: Fill<'_, E>, pair: impl Fn(u32) -> (u32, u32)) -> bool {
        fill.run(pair)
    }
}
