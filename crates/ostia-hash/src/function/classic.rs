//! The predecessor's functions: a 32-bit key and up to eight seeds to the two ends of an edge.
//!
//! One table holds all of them. Bytes of seed 3 and seed 6 are shift and rotate counts, numbered from the low
//! byte, from 1; `b(n)` and `c(n)` below are byte `n` of the one and of the other.
//!
//! The predecessor can also draw two bytes of seed 3 from weighted counts. It takes the random bits for that
//! from the operating system, so no attempt could be made again from its number: that option is left out.
//!
//! [`Classic::RotateRMultiply`] is the one in the predecessor's emitted code and in its search up to 65,536
//! vertices. Above that its search turns by byte 2 for both ends, and so finds other attempts than this one.

use super::crc::{ByTable, Crc};
use crate::philox::Philox;

/// Seeds of one attempt. A function that has fewer than eight leaves the rest 0.
pub type Seeds = [u32; 8];

/// Where the seeds come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RngSpec {
    /// The generator's key.
    pub seed: u64,
    /// Added to the attempt's number: each attempt has a subsequence of its own.
    pub subsequence: u64,
    /// The first word taken from a subsequence.
    pub offset: u64,
}

impl Default for RngSpec {
    /// The predecessor's.
    fn default() -> RngSpec {
        RngSpec { seed: 0x2019_0903_1981_1025, subsequence: 0, offset: 0 }
    }
}

impl RngSpec {
    /// The stream that gives an attempt its seeds.
    pub fn stream(&self, attempt: u64) -> Philox {
        Philox::new(self.seed, self.subsequence.wrapping_add(attempt), self.offset)
    }
}

/// Is handed one function with its seeds in place, so that a loop over keys is compiled for it alone.
pub trait Visitor {
    /// What the visit comes to.
    type Out;

    /// Takes the function: key to the two ends, not masked yet.
    fn visit(self, pair: impl Fn(u32) -> (u32, u32) + Copy) -> Self::Out;
}

macro_rules! functions {
    ($($id:literal $name:ident, $seeds:literal, $mask3:literal, $mask6:literal, $masked:literal,
        |$s:ident, $k:ident| $pair:expr;)*) => {
        /// One of the predecessor's functions.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[repr(u8)]
        #[expect(missing_docs, reason = "the names are the predecessor's; the table says what they do")]
        pub enum Classic {
            $($name = $id,)*
        }

        impl Classic {
            /// All of them, by id.
            pub const ALL: &[Classic] = &[$(Classic::$name),*];

            /// The predecessor's name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Classic::$name => stringify!($name),)*
                }
            }

            /// How many seeds an attempt draws.
            pub fn seed_count(self) -> usize {
                match self {
                    $(Classic::$name => $seeds,)*
                }
            }

            /// What each seed is masked with; 0 where it is not.
            pub fn seed_masks(self) -> Seeds {
                match self {
                    $(Classic::$name => [0, 0, $mask3, 0, 0, $mask6, 0, 0],)*
                }
            }

            /// True when both results must be masked to the number of vertices. Where they need not be, byte 1
            /// of seed 3 is the shift that leaves as many bits as a vertex number has.
            pub fn is_masked(self) -> bool {
                match self {
                    $(Classic::$name => $masked,)*
                }
            }

            /// Hands the function to `visitor`, with `C` for its CRC steps.
            #[inline]
            pub fn visit<C: Crc, V: Visitor>(self, seeds: &Seeds, visitor: V) -> V::Out {
                match self {
                    $(Classic::$name => {
                        let $s = *seeds;
                        visitor.visit(#[inline(always)] move |$k: u32| $pair)
                    })*
                }
            }
        }
    };
}

functions! {
    // id, name, seeds, mask of seed 3, mask of seed 6, results masked, the pair
    1 Crc32Rotate15, 2, 0, 0, true, |s, k| (C::step(s[0], k), C::step(s[1], k.rotate_left(15)));
    2 Jenkins, 2, 0, 0, true, |s, k| (jenkins(s[0], k), jenkins(s[1], k));
    3 JenkinsMod, 2, 0, 0, true, |s, k| (jenkins(s[0], k), jenkins(s[1], k));
    4 RotateXor, 4, 0, 0, true, |s, k| (
        (k ^ s[0]).rotate_left(15) ^ k.wrapping_sub(s[2]).rotate_right(11),
        k.wrapping_add(s[1]).rotate_left(7) ^ (k ^ s[3]).rotate_right(20),
    );
    5 AddSubXor, 4, 0, 0, true, |s, k| (k.wrapping_add(s[0]), k.wrapping_sub(s[1]));
    6 Xor, 2, 0, 0, true, |s, k| (halves(k ^ s[0]), halves(k.rotate_left(15) ^ s[1]));
    7 Dummy, 3, 0, 0, true, |s, k| (C::step(s[0], k), C::step(s[1], k.rotate_left(s[2] & 31)));
    8 Crc32RotateXor, 3, 0, 0, true, |s, k| (
        C::step(s[0], k),
        C::step(C::step(s[1], k.rotate_left(15)), k ^ s[2]),
    );
    9 Crc32, 2, 0, 0, true, |s, k| (C::step(s[0], k), C::step(s[1], k));
    10 Djb, 2, 0, 0, true, |s, k| (djb(s[0], k), djb(s[1], k));
    11 DjbXor, 2, 0, 0, true, |s, k| (djb_xor(s[0], k), djb_xor(s[1], k));
    12 Fnv, 2, 0, 0, true, |s, k| (fnv(s[0], k), fnv(s[1], k));
    13 Crc32Not, 2, 0, 0, true, |s, k| (C::step(s[0], k), C::step(s[1], !k));
    14 Crc32RotateX, 3, 0x1f, 0, true, |s, k| (
        C::step(s[0], k),
        C::step(s[1], k.rotate_left(b(&s, 1))),
    );
    15 Crc32RotateXY, 3, 0x1f1f, 0, true, |s, k| (
        C::step(s[0], k.rotate_right(b(&s, 1))),
        C::step(s[1], k.rotate_left(b(&s, 2))),
    );
    16 Crc32RotateWXYZ, 3, 0x1f1f_1f1f, 0, true, |s, k| (
        C::step(s[0], k.rotate_right(b(&s, 1))).rotate_left(b(&s, 2)),
        C::step(s[1], k.rotate_left(b(&s, 3))).rotate_right(b(&s, 4)),
    );
    17 RotateMultiplyXorRotate, 3, 0x1f1f_1f1f, 0, true, |s, k| (
        xor_rotated(k.rotate_right(b(&s, 1)).wrapping_mul(s[0]), b(&s, 2)),
        xor_rotated(k.rotate_right(b(&s, 3)).wrapping_mul(s[1]), b(&s, 4)),
    );
    18 ShiftMultiplyXorShift, 3, 0x1f1f_1f1f, 0, true, |s, k| (
        xor_shifted(k.wrapping_shr(b(&s, 1)).wrapping_mul(s[0]), b(&s, 2)),
        xor_shifted(k.wrapping_shr(b(&s, 3)).wrapping_mul(s[1]), b(&s, 4)),
    );
    19 ShiftMultiplyXorShift2, 6, 0x001f_1f1f, 0x001f_1f1f, true, |s, k| (
        xor_shifted(
            xor_shifted(k.wrapping_shr(b(&s, 1)).wrapping_mul(s[0]), b(&s, 2)).wrapping_mul(s[1]),
            b(&s, 3),
        ),
        xor_shifted(
            xor_shifted(k.wrapping_shr(c(&s, 1)).wrapping_mul(s[3]), c(&s, 2)).wrapping_mul(s[4]),
            c(&s, 3),
        ),
    );
    20 RotateMultiplyXorRotate2, 6, 0x001f_1f1f, 0x001f_1f1f, true, |s, k| (
        xor_rotated(
            xor_rotated(k.rotate_right(b(&s, 1)).wrapping_mul(s[0]), b(&s, 2)).wrapping_mul(s[1]),
            b(&s, 3),
        ),
        xor_rotated(
            xor_rotated(k.rotate_right(c(&s, 1)).wrapping_mul(s[3]), c(&s, 2)).wrapping_mul(s[4]),
            c(&s, 3),
        ),
    );
    21 MultiplyRotateR, 3, 0x1f1f, 0, true, |s, k| (
        k.wrapping_mul(s[0]).rotate_right(b(&s, 1)),
        k.wrapping_mul(s[1]).rotate_right(b(&s, 2)),
    );
    22 MultiplyRotateLR, 3, 0x1f1f, 0, true, |s, k| (
        k.wrapping_mul(s[0]).rotate_left(b(&s, 1)),
        k.wrapping_mul(s[1]).rotate_right(b(&s, 2)),
    );
    23 MultiplyShiftR, 3, 0x1f1f, 0, true, |s, k| (
        k.wrapping_mul(s[0]).wrapping_shr(b(&s, 1)),
        k.wrapping_mul(s[1]).wrapping_shr(b(&s, 2)),
    );
    24 MultiplyShiftLR, 3, 0x1f1f, 0, true, |s, k| (
        k.wrapping_mul(s[0]).wrapping_shl(b(&s, 1)),
        k.wrapping_mul(s[1]).wrapping_shr(b(&s, 2)),
    );
    25 Multiply, 2, 0, 0, true, |s, k| (k.wrapping_mul(s[0]), k.wrapping_mul(s[1]));
    26 MultiplyXor, 4, 0, 0, true, |s, k| (k.wrapping_mul(s[0]) ^ s[1], k.wrapping_mul(s[2]) ^ s[3]);
    27 MultiplyRotateRMultiply, 5, 0x1f1f, 0, true, |s, k| (
        k.wrapping_mul(s[0]).rotate_right(b(&s, 1)).wrapping_mul(s[1]),
        k.wrapping_mul(s[3]).rotate_right(b(&s, 2)).wrapping_mul(s[4]),
    );
    28 MultiplyRotateR2, 5, 0x1f1f_1f1f, 0, true, |s, k| (
        k.wrapping_mul(s[0]).rotate_right(b(&s, 1)).wrapping_mul(s[1]).rotate_right(b(&s, 2)),
        k.wrapping_mul(s[3]).rotate_right(b(&s, 3)).wrapping_mul(s[4]).rotate_right(b(&s, 4)),
    );
    29 MultiplyShiftRMultiply, 5, 0x1f1f, 0, true, |s, k| (
        k.wrapping_mul(s[0]).wrapping_shr(b(&s, 1)).wrapping_mul(s[1]),
        k.wrapping_mul(s[3]).wrapping_shr(b(&s, 2)).wrapping_mul(s[4]),
    );
    30 MultiplyShiftR2, 5, 0x1f1f_1f1f, 0, true, |s, k| (
        k.wrapping_mul(s[0]).wrapping_shr(b(&s, 1)).wrapping_mul(s[1]).wrapping_shr(b(&s, 2)),
        k.wrapping_mul(s[3]).wrapping_shr(b(&s, 3)).wrapping_mul(s[4]).wrapping_shr(b(&s, 4)),
    );
    31 RotateRMultiply, 3, 0x1f1f, 0, true, |s, k| (
        k.rotate_right(b(&s, 1)).wrapping_mul(s[0]),
        k.rotate_right(b(&s, 2)).wrapping_mul(s[1]),
    );
    32 RotateRMultiplyRotateR, 3, 0x1f1f_1f1f, 0, true, |s, k| (
        k.rotate_right(b(&s, 1)).wrapping_mul(s[0]).rotate_right(b(&s, 2)),
        k.rotate_right(b(&s, 3)).wrapping_mul(s[1]).rotate_right(b(&s, 4)),
    );
    33 Multiply643ShiftR, 5, 0x1f1f, 0, true, |s, k| (
        wide(k, s[0], s[1], b(&s, 1)),
        wide(k, s[3], s[4], b(&s, 2)),
    );
    34 Multiply644ShiftR, 5, 0x3f3f, 0, true, |s, k| (
        wide(k, s[0], s[1], b(&s, 1)),
        wide(k, s[3], s[4], b(&s, 2)),
    );
    35 MultiplyShiftRX, 3, 0x1f1f, 0, false, |s, k| (
        k.wrapping_mul(s[0]).wrapping_shr(b(&s, 1)),
        k.wrapping_mul(s[1]).wrapping_shr(b(&s, 1)),
    );
    36 Mulshrolate1RX, 3, 0x1f1f_1f1f, 0, false, |s, k| (
        k.wrapping_mul(s[0]).rotate_right(b(&s, 2)).wrapping_shr(b(&s, 1)),
        k.wrapping_mul(s[1]).wrapping_shr(b(&s, 1)),
    );
    37 Mulshrolate2RX, 3, 0x1f1f_1f1f, 0, false, |s, k| (
        k.wrapping_mul(s[0]).rotate_right(b(&s, 2)).wrapping_shr(b(&s, 1)),
        k.wrapping_mul(s[1]).rotate_right(b(&s, 3)).wrapping_shr(b(&s, 1)),
    );
    38 Mulshrolate3RX, 4, 0x1f1f_1f1f, 0, false, |s, k| (
        k.wrapping_mul(s[0]).rotate_right(b(&s, 2)).wrapping_mul(s[3]).wrapping_shr(b(&s, 1)),
        k.wrapping_mul(s[1]).rotate_right(b(&s, 3)).wrapping_shr(b(&s, 1)),
    );
    39 Mulshrolate4RX, 5, 0x1f1f_1f1f, 0, false, |s, k| (
        k.wrapping_mul(s[0]).rotate_right(b(&s, 2)).wrapping_mul(s[3]).wrapping_shr(b(&s, 1)),
        k.wrapping_mul(s[1]).rotate_right(b(&s, 3)).wrapping_mul(s[4]).wrapping_shr(b(&s, 1)),
    );
}

impl Classic {
    /// The function of that name.
    pub fn from_name(name: &str) -> Option<Classic> {
        Classic::ALL.iter().copied().find(|f| f.name() == name)
    }

    /// The predecessor's number, 1 to 39.
    pub fn id(self) -> u8 {
        self as u8
    }

    /// The function of that number.
    pub fn from_id(id: u8) -> Option<Classic> {
        Classic::ALL.get(usize::from(id).checked_sub(1)?).copied()
    }

    /// The two ends of a key's edge. Where [`Classic::is_masked`], the caller masks both.
    #[inline]
    pub fn pair(self, seeds: &Seeds, key: u32) -> (u32, u32) {
        struct One(u32);
        impl Visitor for One {
            type Out = (u32, u32);
            #[inline]
            fn visit(self, pair: impl Fn(u32) -> (u32, u32) + Copy) -> (u32, u32) {
                pair(self.0)
            }
        }
        self.visit::<ByTable, One>(seeds, One(key))
    }

    /// The key whose two ends are the same under every seed, if there is one: no set with it can be solved.
    ///
    /// Multiplies, shifts and rotates alone keep 0 where it is.
    pub fn unsolvable_key(self) -> Option<u32> {
        (17..=39).contains(&self.id()).then_some(0).filter(|_| self != Classic::MultiplyXor)
    }

    /// The seeds of an attempt.
    ///
    /// `hash_shift` is 32 less the bits of a vertex number. Of `forced` seeds, a 0 means "as drawn"; of a seed
    /// that is masked only those bytes count that are not 0, so a shift or rotate by 0 cannot be forced.
    pub fn seeds_for(self, attempt: u64, rng: &RngSpec, hash_shift: u32, forced: Option<&[u32]>) -> Seeds {
        let mut stream = rng.stream(attempt);
        let mut seeds = Seeds::default();
        let drawn = &mut seeds[..self.seed_count()];
        drawn.fill_with(|| stream.seed());
        if !self.is_masked() {
            drawn[2] = drawn[2] & !0xff | hash_shift & 0xff;
        }
        for ((seed, mask), &force) in drawn.iter_mut().zip(self.seed_masks()).zip(forced.unwrap_or(&[])) {
            if mask == 0 {
                *seed = if force == 0 { *seed } else { force };
            } else {
                *seed = with_forced_bytes(*seed, mask, force);
            }
        }
        for (seed, mask) in drawn.iter_mut().zip(self.seed_masks()) {
            if mask != 0 {
                *seed &= mask;
            }
        }
        seeds
    }
}

/// The bytes of `force` that are not 0 in place of those of `seed`, where `mask` leaves a part of the byte.
fn with_forced_bytes(seed: u32, mask: u32, force: u32) -> u32 {
    let (mut bytes, masks) = (seed.to_le_bytes(), mask.to_le_bytes());
    for ((byte, mask), forced) in bytes.iter_mut().zip(masks).zip(force.to_le_bytes()) {
        if forced != 0 && mask != 0 && mask != 0xff {
            *byte = forced;
        }
    }
    u32::from_le_bytes(bytes)
}

/// Byte `n` of seed 3.
#[inline(always)]
fn b(seeds: &Seeds, n: u32) -> u32 {
    (seeds[2] >> (8 * (n - 1))) & 0xff
}

/// Byte `n` of seed 6.
#[inline(always)]
fn c(seeds: &Seeds, n: u32) -> u32 {
    (seeds[5] >> (8 * (n - 1))) & 0xff
}

#[inline(always)]
fn halves(x: u32) -> u32 {
    (x & 0xffff) ^ (x >> 16)
}

#[inline(always)]
fn xor_shifted(x: u32, by: u32) -> u32 {
    x ^ x.wrapping_shr(by)
}

#[inline(always)]
fn xor_rotated(x: u32, by: u32) -> u32 {
    x ^ x.rotate_right(by)
}

/// The product with a 64-bit seed, shifted; its low half.
#[inline(always)]
fn wide(key: u32, low: u32, high: u32, shift: u32) -> u32 {
    u64::from(key).wrapping_mul(u64::from(low) | u64::from(high) << 32).wrapping_shr(shift) as u32
}

#[inline(always)]
fn djb(seed: u32, key: u32) -> u32 {
    key.to_le_bytes().iter().fold(seed, |h, &byte| h.wrapping_mul(33).wrapping_add(u32::from(byte)))
}

#[inline(always)]
fn djb_xor(seed: u32, key: u32) -> u32 {
    key.to_le_bytes().iter().fold(seed, |h, &byte| h.wrapping_mul(33) ^ u32::from(byte))
}

#[inline(always)]
fn fnv(seed: u32, key: u32) -> u32 {
    let start = seed ^ 2_166_136_261;
    key.to_le_bytes().iter().fold(start, |h, &byte| h.wrapping_mul(16_777_619) ^ u32::from(byte))
}

/// The one-block mix of Jenkins's 1996 hash, with the key as first word and the seed as third.
#[inline(always)]
fn jenkins(seed: u32, key: u32) -> u32 {
    let mut a = 0x9E37_79B9_u32.wrapping_add(key);
    let mut b = 0x9E37_79B9_u32;
    let mut c = seed;
    for [first, second, third] in [[13, 8, 13], [12, 16, 5], [3, 10, 15]] {
        a = a.wrapping_sub(b).wrapping_sub(c) ^ (c >> first);
        b = b.wrapping_sub(c).wrapping_sub(a) ^ (a << second);
        c = c.wrapping_sub(a).wrapping_sub(b) ^ (b >> third);
    }
    c
}
