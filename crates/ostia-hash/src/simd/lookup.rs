//! The indexes of many keys at once.
//!
//! A block of keys goes through in stages: words to places, places to cells, cells to indexes. The stages
//! between the loads are plain loops that the compiler makes vector code of, for whichever level they are
//! compiled; on AArch64 that is NEON. The loads are gathers where the CPU has them.

use super::{Level, Tier};
use crate::{
    function::classic::{Classic, Seeds, Visitor},
    function::{crc::ByTable, family::Family},
    lane::Lane,
    squeeze::Squeeze,
    table::{Shape, Table, displace_fields, low, retrieval_places},
};

/// Keys that go through together: all stages of a block stay in the first-level cache.
const BLOCK: usize = 256;

/// The words of a block, and places or what lies there.
type Words = [u64; BLOCK];
type Places = [u32; BLOCK];

/// Looks up `words` and leaves their indexes in `out`.
///
/// # Panics
/// When the slices differ in length, or the table has no index.
#[track_caller]
pub fn indexes(level: Level, table: &Table<'_>, words: &[impl Copy + Into<u64>], out: &mut [u32]) {
    assert!(table.has_index(), "this table has values in place and no index");
    match level.0 {
        Tier::Portable => run::<Portable>(table, words, out),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Level` of this kind exists only where the CPU has AVX2.
        Tier::Avx2 => unsafe { x86::avx2(table, words, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Level` of this kind exists only where the CPU has these parts of AVX-512.
        Tier::Avx512 => unsafe { x86::avx512(table, words, out) },
    }
}

/// How a level loads from places that are known to be inside.
trait Gather {
    /// Replaces the first `count` places by what lies there.
    fn gather(lane: &Lane<'_>, places: &mut Places, count: usize);
}

/// One load after the other.
struct Portable;

impl Gather for Portable {
    #[inline(always)]
    fn gather(lane: &Lane<'_>, places: &mut Places, count: usize) {
        let bytes = lane.bytes();
        let places = &mut places[..count];
        match lane.width() {
            1 => places.iter_mut().for_each(|p| *p = u32::from(bytes[*p as usize])),
            2 => {
                let cells = bytes.as_chunks().0;
                places.iter_mut().for_each(|p| *p = u32::from(u16::from_le_bytes(cells[*p as usize])));
            }
            _ => places.iter_mut().for_each(|p| *p = lane.word(*p as usize) as u32),
        }
    }
}

/// The loop. It must become a part of its caller, to be compiled for the caller's instruction set.
#[inline(always)]
fn run<G: Gather>(table: &Table<'_>, words: &[impl Copy + Into<u64>], out: &mut [u32]) {
    let mut block: Words = [0; BLOCK];
    let (mut a, mut b, mut c): (Places, Places, Places) = ([0; BLOCK], [0; BLOCK], [0; BLOCK]);
    let squeeze = table.head().squeeze;
    let lanes = table.lanes();
    let mask = table.range() - 1;
    for (keys, out) in words.chunks(BLOCK).zip(out.chunks_mut(BLOCK)) {
        let count = out.len();
        for (word, &key) in block.iter_mut().zip(keys) {
            *word = key.into();
        }
        if squeeze != Squeeze::None {
            for word in &mut block[..count] {
                *word = squeeze.apply(*word);
            }
        }
        let words = &block[..count];
        match table.head().shape {
            Shape::Chm { function, seeds, vertices, .. } => {
                chm_places(function, &seeds, low(vertices), words, &mut a, &mut b);
                G::gather(&lanes.cells, &mut a, count);
                G::gather(&lanes.cells, &mut b, count);
                combine(out, &a, &b, |a, b| a.wrapping_add(b) & mask);
            }
            Shape::Halves { family, multipliers, first, second, .. } => {
                // The family is named in each arm, so that each loop is compiled for one.
                let mut places = |family: Family| {
                    for ((&word, a), b) in words.iter().zip(&mut a).zip(&mut b) {
                        (*a, *b) = family.places(multipliers, first, second, word);
                        *b += 1 << first;
                    }
                };
                match family {
                    Family::Fold => places(Family::Fold),
                    Family::FoldPair => places(Family::FoldPair),
                    Family::Xor => places(Family::Xor),
                    Family::Mix => places(Family::Mix),
                }
                G::gather(&lanes.cells, &mut a, count);
                G::gather(&lanes.cells, &mut b, count);
                combine(out, &a, &b, |a, b| a.wrapping_add(b) & mask);
            }
            Shape::Displace { mixed, multipliers, buckets, slots } => {
                let mut places = |mixed: bool| {
                    for ((&word, a), b) in words.iter().zip(&mut a).zip(&mut b) {
                        (*a, *b) = displace_fields(mixed, multipliers, buckets, slots, word);
                    }
                };
                if mixed {
                    places(true)
                } else {
                    places(false)
                }
                G::gather(&lanes.cells, &mut a, count);
                combine(out, &a, &b, |displacement, field| (displacement ^ field) & low(slots));
                if let Some(ranks) = &lanes.ranks {
                    a[..count].copy_from_slice(out);
                    G::gather(ranks, &mut a, count);
                    combine(out, &a, &b, |rank, _| rank & mask);
                }
            }
            Shape::Retrieval { multipliers, part, .. } => {
                for (((&word, a), b), c) in words.iter().zip(&mut a).zip(&mut b).zip(&mut c) {
                    [*a, *b, *c] = retrieval_places(multipliers, part, word);
                }
                G::gather(&lanes.cells, &mut a, count);
                G::gather(&lanes.cells, &mut b, count);
                G::gather(&lanes.cells, &mut c, count);
                for (a, c) in a.iter_mut().zip(&c) {
                    *a ^= c;
                }
                combine(out, &a, &b, |a, b| (a ^ b) & mask);
            }
        }
    }
}

#[inline(always)]
fn combine(out: &mut [u32], a: &Places, b: &Places, with: impl Fn(u32, u32) -> u32) {
    for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
        *out = with(a, b);
    }
}

/// Both places of each word, by one of the predecessor's functions.
fn chm_places(function: Classic, seeds: &Seeds, mask: u32, words: &[u64], a: &mut Places, b: &mut Places) {
    struct Fill<'a>(u32, &'a [u64], &'a mut Places, &'a mut Places);

    impl Visitor for Fill<'_> {
        type Out = ();

        fn visit(self, pair: impl Fn(u32) -> (u32, u32) + Copy) {
            for ((&word, a), b) in self.1.iter().zip(self.2).zip(self.3) {
                let (first, second) = pair(word as u32);
                (*a, *b) = (first & self.0, second & self.0);
            }
        }
    }

    function.visit::<ByTable, _>(seeds, Fill(mask, words, a, b));
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use core::arch::x86_64::*;

    use super::{BLOCK, Gather, Lane, Places, Portable, Table, run};

    #[target_feature(enable = "avx2")]
    pub(super) fn avx2(table: &Table<'_>, words: &[impl Copy + Into<u64>], out: &mut [u32]) {
        run::<Avx2>(table, words, out);
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2")]
    pub(super) fn avx512(table: &Table<'_>, words: &[impl Copy + Into<u64>], out: &mut [u32]) {
        run::<Avx512>(table, words, out);
    }

    /// Where a gather of four bytes may begin at the latest, in a lane it can be used on: the last elements of
    /// a narrow lane are then not at the low end of what is loaded, and are shifted there.
    #[inline(always)]
    fn last_start(lane: &Lane<'_>, places: &Places, count: usize) -> Option<u32> {
        let bytes = lane.bytes().len();
        let fits = lane.width() <= 4 && (4..=i32::MAX as usize).contains(&bytes);
        // Every place is inside: what is behind `count` was used before, for this lane or a shorter one.
        let inside = places[..count].iter().fold(0, |most, &p| most.max(p)) < lane.len() as u32;
        assert!(inside, "a place is past the end of its lane");
        fits.then(|| bytes as u32 - 4)
    }

    pub(super) struct Avx2;

    impl Gather for Avx2 {
        #[inline(always)]
        fn gather(lane: &Lane<'_>, places: &mut Places, count: usize) {
            let Some(last) = last_start(lane, places, count) else {
                return Portable::gather(lane, places, count);
            };
            places[count..].fill(0);
            // SAFETY: only `avx2` above uses this type, so the CPU has AVX2. No place is past the end, and the
            // four bytes from `last` on are the lane's last.
            unsafe { gather_avx2(lane, places, last) }
        }
    }

    pub(super) struct Avx512;

    impl Gather for Avx512 {
        #[inline(always)]
        fn gather(lane: &Lane<'_>, places: &mut Places, count: usize) {
            let Some(last) = last_start(lane, places, count) else {
                return Portable::gather(lane, places, count);
            };
            places[count..].fill(0);
            // SAFETY: only `avx512` above uses this type, so the CPU has AVX-512F. No place is past the end,
            // and the four bytes from `last` on are the lane's last.
            unsafe { gather_avx512(lane, places, last) }
        }
    }

    /// # Safety
    /// Every place must be inside the lane, which has at least four bytes, and `last` be its length less 4.
    #[target_feature(enable = "avx2")]
    unsafe fn gather_avx2(lane: &Lane<'_>, places: &mut Places, last: u32) {
        let (scale, mask) = scale_and_mask(lane);
        let base = lane.bytes().as_ptr().cast::<i32>();
        let scale = _mm_cvtsi32_si128(scale);
        for places in places.as_chunks_mut::<8>().0 {
            let at = places.as_mut_ptr().cast::<__m256i>();
            // SAFETY: `places` is eight words; the load needs no alignment.
            let element = unsafe { _mm256_loadu_si256(at) };
            let byte = _mm256_sll_epi32(element, scale);
            let start = _mm256_min_epu32(byte, _mm256_set1_epi32(last as i32));
            // SAFETY: each start is at most `last`, from where four bytes are inside the lane.
            let loaded = unsafe { _mm256_i32gather_epi32::<1>(base, start) };
            let past = _mm256_slli_epi32::<3>(_mm256_sub_epi32(byte, start));
            let cell = _mm256_and_si256(_mm256_srlv_epi32(loaded, past), _mm256_set1_epi32(mask));
            // SAFETY: as the load.
            unsafe { _mm256_storeu_si256(at, cell) };
        }
    }

    /// # Safety
    /// As [`gather_avx2`].
    #[target_feature(enable = "avx512f")]
    unsafe fn gather_avx512(lane: &Lane<'_>, places: &mut Places, last: u32) {
        let (scale, mask) = scale_and_mask(lane);
        let base = lane.bytes().as_ptr().cast::<i32>();
        let scale = _mm_cvtsi32_si128(scale);
        for places in places.as_chunks_mut::<16>().0 {
            let at = places.as_mut_ptr().cast::<__m512i>();
            // SAFETY: `places` is sixteen words; the load needs no alignment.
            let element = unsafe { _mm512_loadu_si512(at) };
            let byte = _mm512_sll_epi32(element, scale);
            let start = _mm512_min_epu32(byte, _mm512_set1_epi32(last as i32));
            // SAFETY: each start is at most `last`, from where four bytes are inside the lane.
            let loaded = unsafe { _mm512_i32gather_epi32::<1>(start, base) };
            let past = _mm512_slli_epi32::<3>(_mm512_sub_epi32(byte, start));
            let cell = _mm512_and_si512(_mm512_srlv_epi32(loaded, past), _mm512_set1_epi32(mask));
            // SAFETY: as the load.
            unsafe { _mm512_storeu_si512(at, cell) };
        }
    }

    /// Of an element: its bytes as a power of two, and its bits as a mask of a word.
    fn scale_and_mask(lane: &Lane<'_>) -> (i32, i32) {
        let bits = 8 * lane.width();
        (lane.width().trailing_zeros() as i32, (u32::MAX >> (32 - bits)) as i32)
    }

    const _: () = assert!(BLOCK.is_multiple_of(16), "blocks are whole vectors");
}
