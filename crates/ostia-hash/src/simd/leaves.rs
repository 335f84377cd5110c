//! Kernels that take the leaves off a contracted graph, without a branch per edge.
//!
//! An end is a `u32`: the group (a shared vertex of side 1) in the high half, the cell (a vertex of side 2) in
//! the low half. Ends of one group stand together, and every kernel keeps their order; so whether a group has
//! another end left is seen from the neighbours, without a table.

use alloc::{boxed::Box, vec};

use super::{Level, Tier};
use crate::function::family::top_field;

/// How many ends more than it holds a buffer of ends must have room for: what vectors write past the last.
pub const SLACK: usize = 32;

/// No group: stands before the first end and after the last.
const NOBODY: u32 = u32::MAX;

/// Ends that are looked up at a time before they are packed.
#[cfg(target_arch = "x86_64")]
const BLOCK: usize = 256;

/// How often each cell of side 2 occurs, modulo 256.
#[derive(Clone, Debug)]
pub struct Degrees {
    /// Three bytes more than there are cells, because a gather reads four at a time.
    counts: Box<[u8; TABLE]>,
    cells: usize,
}

const TABLE: usize = (1 << 16) + 64;

impl Degrees {
    /// Zero for each of `2^16` cells.
    pub fn new() -> Degrees {
        let counts = vec![0; TABLE].into_boxed_slice().try_into().expect("the length is the array's");
        Degrees { counts, cells: 1 << 16 }
    }

    /// From now on only the first `2^bits` cells occur: less to drain.
    ///
    /// # Panics
    /// When `bits` is above 16.
    #[track_caller]
    pub fn resize(&mut self, bits: u32) {
        assert!(bits <= 16, "a cell is 16 bits of an end");
        self.cells = 1 << bits;
    }

    /// Counts the cells of `ends`.
    // Not inlined, for the reason given below.
    #[inline(never)]
    pub fn count(&mut self, ends: &[u32]) {
        for &end in ends {
            let count = &mut self.counts[usize::from(end as u16)];
            *count = count.wrapping_add(1);
        }
    }

    /// The counts of the cells of `ends`.
    // Not inlined: with AVX-512 at hand the compiler would load cells as vectors, take each out of them again
    // and put the counts together the same way, which takes twice as long. So does a gather instruction.
    #[cfg(target_arch = "x86_64")]
    #[inline(never)]
    fn look_up(&self, ends: &[u32], counts: &mut [u8; BLOCK]) {
        for (count, &end) in counts.iter_mut().zip(ends) {
            *count = self.counts[usize::from(end as u16)];
        }
    }

    #[inline]
    fn is_shared(&self, end: u32) -> bool {
        self.counts[usize::from(end as u16)] > 1
    }

    /// Sets all to zero and returns their sum: less than was counted when a cell went past 255.
    pub fn drain(&mut self, level: Level) -> usize {
        // Vectors are whole: the few bytes behind a tiny table are zero and stay it.
        let counts = &mut self.counts[..self.cells.next_multiple_of(64)];
        match level.0 {
            Tier::Portable => drain(counts),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a level above portable comes from detection of AVX2.
            Tier::Avx2 | Tier::Avx512 => unsafe { x86::drain_avx2(counts) },
        }
    }
}

impl Default for Degrees {
    fn default() -> Degrees {
        Degrees::new()
    }
}

fn drain(counts: &mut [u8]) -> usize {
    let sum = counts.iter().map(|&count| u64::from(count)).sum::<u64>() as usize;
    counts.fill(0);
    sum
}

/// Writes the end of each key, and counts the cells: `groups[i] | top_field(fold(keys[i] * multiplier))`.
///
/// # Panics
/// When the lengths of `keys` and `groups` differ, or `ends` has no room for as many and [`SLACK`].
#[track_caller]
pub fn place(
    level: Level,
    keys: &[u32],
    groups: &[u32],
    multiplier: u64,
    bits: u32,
    degrees: &mut Degrees,
    ends: &mut [u32],
) {
    assert!(keys.len() == groups.len() && ends.len() >= keys.len() + SLACK, "buffers fit the keys");
    match level.0 {
        Tier::Portable => place_each(keys, groups, multiplier, bits, degrees, ends),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: this level comes from detection of AVX2.
        Tier::Avx2 => unsafe { x86::place_avx2(keys, groups, multiplier, bits, degrees, ends) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: this level comes from detection of AVX-512F, BW and popcnt.
        Tier::Avx512 => unsafe { x86::place_avx512(keys, groups, multiplier, bits, degrees, ends) },
    }
}

#[inline(always)]
fn place_each(
    keys: &[u32],
    groups: &[u32],
    multiplier: u64,
    bits: u32,
    degrees: &mut Degrees,
    ends: &mut [u32],
) {
    // Small blocks, so that the counting of one overlaps with the hashing of the next.
    for ((keys, groups), ends) in keys.chunks(64).zip(groups.chunks(64)).zip(ends.chunks_mut(64)) {
        let ends = &mut ends[..keys.len()];
        for ((&key, &group), end) in keys.iter().zip(groups).zip(ends.iter_mut()) {
            *end = group | top_field(fold(key, multiplier), bits);
        }
        degrees.count(ends);
    }
}

/// Writes the cell of each key: the top field of `fold(keys[i] * multiplier)`.
///
/// # Panics
/// When the lengths differ.
#[track_caller]
pub fn fold_all(level: Level, keys: &[u32], multiplier: u64, bits: u32, cells: &mut [u32]) {
    assert_eq!(keys.len(), cells.len(), "a cell for each key");
    match level.0 {
        Tier::Portable => fold_each(keys, multiplier, bits, cells),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a level above portable comes from detection of AVX2.
        Tier::Avx2 | Tier::Avx512 => unsafe { x86::fold_all_avx2(keys, multiplier, bits, cells) },
    }
}

#[inline(always)]
fn fold_each(keys: &[u32], multiplier: u64, bits: u32, cells: &mut [u32]) {
    for (cell, &key) in cells.iter_mut().zip(keys) {
        *cell = top_field(fold(key, multiplier), bits);
    }
}

/// The fold of `function::family`, in 32-bit lanes.
#[inline(always)]
fn fold(key: u32, multiplier: u64) -> u32 {
    let product = u64::from(key) * u64::from(multiplier as u32);
    let above = ((product >> 32) as u32).wrapping_add(key.wrapping_mul((multiplier >> 32) as u32));
    product as u32 ^ above
}

/// Keeps, of the first `len` ends, those whose cell occurs more than once; returns how many.
///
/// # Panics
/// When `ends` has no room for `len` and [`SLACK`].
#[track_caller]
pub fn drop_leaves(level: Level, ends: &mut [u32], len: usize, degrees: &Degrees) -> usize {
    assert!(ends.len() >= len + SLACK, "the buffer has its slack");
    match level.0 {
        Tier::Portable => keep(&mut ends[..len], |_, end, _| degrees.is_shared(end)),
        #[cfg(target_arch = "x86_64")]
        Tier::Avx2 => keep(&mut ends[..len], |_, end, _| degrees.is_shared(end)),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: this level comes from detection of AVX-512F, BW and popcnt.
        Tier::Avx512 => unsafe { x86::drop_leaves_avx512(ends, len, degrees) },
    }
}

/// Keeps, of the first `len` ends, those that have another end of their group beside them; returns how many.
///
/// # Panics
/// When `ends` has no room for `len` and [`SLACK`].
#[track_caller]
pub fn drop_lone(level: Level, ends: &mut [u32], len: usize) -> usize {
    assert!(ends.len() >= len + SLACK, "the buffer has its slack");
    ends[len..len + SLACK].fill(NOBODY);
    match level.0 {
        Tier::Portable => keep_grouped(&mut ends[..len]),
        #[cfg(target_arch = "x86_64")]
        Tier::Avx2 => keep_grouped(&mut ends[..len]),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: this level comes from detection of AVX-512F, BW and popcnt.
        Tier::Avx512 => unsafe { x86::drop_lone_avx512(ends, len) },
    }
}

/// True when both ends are of one group.
#[inline]
pub fn same_group(a: u32, b: u32) -> bool {
    (a ^ b) >> 16 == 0
}

fn keep_grouped(ends: &mut [u32]) -> usize {
    keep(ends, |before, end, after| same_group(before, end) | same_group(end, after))
}

/// Moves the ends that pass to the front. The test sees each with its neighbours as they were.
#[inline(always)]
fn keep(ends: &mut [u32], passes: impl Fn(u32, u32, u32) -> bool) -> usize {
    let len = ends.len();
    let mut kept = 0;
    let mut before = NOBODY;
    for at in 0..len {
        let end = ends[at];
        let after = if at + 1 < len { ends[at + 1] } else { NOBODY };
        // Always written, seldom kept: a branch here would be mispredicted at every other end.
        ends[kept] = end;
        kept += usize::from(passes(before, end, after));
        before = end;
    }
    kept
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use core::arch::x86_64::*;

    use super::{BLOCK, Degrees, NOBODY, fold_each, place_each};

    #[target_feature(enable = "avx2")]
    pub(super) fn place_avx2(
        keys: &[u32],
        groups: &[u32],
        multiplier: u64,
        bits: u32,
        degrees: &mut Degrees,
        ends: &mut [u32],
    ) {
        // The compiler does this loop well, given the feature.
        place_each(keys, groups, multiplier, bits, degrees, ends);
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn fold_all_avx2(keys: &[u32], multiplier: u64, bits: u32, cells: &mut [u32]) {
        fold_each(keys, multiplier, bits, cells);
    }

    /// `counts` is a multiple of 64 long.
    #[target_feature(enable = "avx2")]
    pub(super) fn drain_avx2(counts: &mut [u8]) -> usize {
        let mut sums = _mm256_setzero_si256();
        for chunk in counts.as_chunks_mut::<32>().0 {
            let at = chunk.as_ptr().cast();
            // SAFETY: the chunk is 32 bytes.
            let bytes = unsafe { _mm256_loadu_si256(at) };
            sums = _mm256_add_epi64(sums, _mm256_sad_epu8(bytes, _mm256_setzero_si256()));
            chunk.fill(0);
        }
        let halves = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
        (_mm_extract_epi64::<0>(halves) + _mm_extract_epi64::<1>(halves)) as usize
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load(from: &[u32], at: usize) -> __m512i {
        let lanes = from[at..at + 16].as_ptr();
        // SAFETY: the slice of 16 words was checked.
        unsafe { _mm512_loadu_si512(lanes.cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn store(to: &mut [u32], at: usize, lanes: __m512i) {
        let room = to[at..at + 16].as_mut_ptr();
        // SAFETY: the slice of 16 words was checked.
        unsafe { _mm512_storeu_si512(room.cast(), lanes) }
    }

    /// The fold of `function::family` for 16 keys.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn fold16(keys: __m512i, low: __m512i, high: __m512i) -> __m512i {
        const ODD: __mmask16 = 0xAAAA;
        let even = _mm512_mul_epu32(keys, low);
        let odd = _mm512_mul_epu32(_mm512_srli_epi64::<32>(keys), low);
        let lows = _mm512_mask_shuffle_epi32::<0xA0>(even, ODD, odd);
        let highs = _mm512_mask_mov_epi32(_mm512_shuffle_epi32::<0xF5>(even), ODD, odd);
        let above = _mm512_add_epi32(highs, _mm512_mullo_epi32(keys, high));
        _mm512_xor_si512(lows, above)
    }

    #[target_feature(enable = "avx512f,avx512bw,popcnt")]
    pub(super) fn place_avx512(
        keys: &[u32],
        groups: &[u32],
        multiplier: u64,
        bits: u32,
        degrees: &mut Degrees,
        ends: &mut [u32],
    ) {
        let low = _mm512_set1_epi32(multiplier as i32);
        let high = _mm512_set1_epi32((multiplier >> 32) as i32);
        let shift = _mm_cvtsi32_si128(32 - bits as i32);
        let whole = keys.len() / 16 * 16;
        for from in (0..whole).step_by(BLOCK) {
            let to = whole.min(from + BLOCK);
            for at in (from..to).step_by(16) {
                let cells = _mm512_srl_epi32(fold16(load(keys, at), low, high), shift);
                store(ends, at, _mm512_or_si512(load(groups, at), cells));
            }
            degrees.count(&ends[from..to]);
        }
        let (keys, groups, ends) = (&keys[whole..], &groups[whole..], &mut ends[whole..]);
        place_each(keys, groups, multiplier, bits, degrees, ends);
    }

    /// Needs the slack: it reads and writes whole vectors.
    #[target_feature(enable = "avx512f,avx512bw,popcnt")]
    pub(super) fn drop_leaves_avx512(ends: &mut [u32], len: usize, degrees: &Degrees) -> usize {
        let mut kept = 0;
        let mut counts = [0; BLOCK];
        for from in (0..len).step_by(BLOCK) {
            let to = len.min(from + BLOCK);
            // A gather instruction takes about twice as long as these loads.
            degrees.look_up(&ends[from..to.next_multiple_of(16)], &mut counts);
            for at in (from..to).step_by(16) {
                let lanes = load(ends, at);
                let bytes = counts[at - from..][..16].as_ptr();
                // SAFETY: the slice of 16 bytes was checked.
                let degrees = _mm512_cvtepu8_epi32(unsafe { _mm_loadu_si128(bytes.cast()) });
                let shared = _mm512_cmpgt_epi32_mask(degrees, _mm512_set1_epi32(1)) & first_lanes(to - at);
                // `kept` is at most `at`: what this overwrites has been read.
                store(ends, kept, _mm512_maskz_compress_epi32(shared, lanes));
                kept += shared.count_ones() as usize;
            }
        }
        kept
    }

    /// Needs the slack, filled with ends of no group.
    #[target_feature(enable = "avx512f,avx512bw,popcnt")]
    pub(super) fn drop_lone_avx512(ends: &mut [u32], len: usize) -> usize {
        let mut kept = 0;
        let mut last = _mm512_set1_epi32(NOBODY as i32);
        for at in (0..len).step_by(16) {
            let lanes = load(ends, at);
            let after = load(ends, at + 1);
            // Not read from memory, where it may have been overwritten.
            let before = _mm512_alignr_epi32::<15>(lanes, last);
            last = lanes;
            let after = _mm512_srli_epi32::<16>(_mm512_xor_si512(lanes, after));
            let before = _mm512_srli_epi32::<16>(_mm512_xor_si512(lanes, before));
            let grouped = _mm512_testn_epi32_mask(after, after) | _mm512_testn_epi32_mask(before, before);
            let grouped = grouped & first_lanes(len - at);
            // `kept` is at most `at`: what this overwrites has been read, and `after` of the next lies behind.
            store(ends, kept, _mm512_maskz_compress_epi32(grouped, lanes));
            kept += grouped.count_ones() as usize;
        }
        kept
    }

    /// A mask of the first `count` lanes of 16.
    #[inline]
    fn first_lanes(count: usize) -> u16 {
        if count >= 16 { u16::MAX } else { (1 << count) - 1 }
    }
}
