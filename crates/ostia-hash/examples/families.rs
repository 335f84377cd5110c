//! How often hash families give a graph without a cycle, beside what theory says of a random hash.
//!
//! `families [ATTEMPTS [KEYS...]]`, where KEYS are files of packed little-endian `u32`; sets with and without
//! structure of our own making come with them. The halves have as many places each as the power of two above
//! the number of keys.

#[path = "../tests/random_graph/mod.rs"]
mod random_graph;

use std::{env, fs};

use ostia_hash::{
    function::family::{Family, fold},
    philox::Philox,
};
use random_graph::{addresses, error, strided, success, theory};

/// A way to hash: 64-bit multipliers, bits of each half, word.
type Places = fn([u64; 2], u32, u32, u32) -> (u32, u32);

/// Those that were tried and are not ours.
const REJECTED: &[(&str, Places)] = &[
    ("multiply-shift, 32 bits, a multiplier each", |[s1, s2], first, second, word| {
        (top(word.wrapping_mul(s1 as u32), first), top(word.wrapping_mul(s2 as u32), second))
    }),
    ("one 64-bit product, its two top fields", |[s1, _], first, second, word| {
        fields(u64::from(word).wrapping_mul(s1), first, second)
    }),
    ("key ^ constant, then multiply-shift", |[s1, s2], first, second, word| {
        let side = |s: u64, bits| top((word ^ (s >> 32) as u32).wrapping_mul(s as u32), bits);
        (side(s1, first), side(s2, second))
    }),
    ("key ^ key >> 15, then multiply-shift", |[s1, s2], first, second, word| {
        let word = word ^ (word >> 15);
        (top(word.wrapping_mul(s1 as u32), first), top(word.wrapping_mul(s2 as u32), second))
    }),
    ("multiply, x ^ x >> 15, top field, 32 bits", |[s1, s2], first, second, word| {
        let side = |s: u64, bits| {
            let product = word.wrapping_mul(s as u32);
            top(product ^ (product >> 15), bits)
        };
        (side(s1, first), side(s2, second))
    }),
    ("multiply, x ^ x >> 15, low field, 32 bits", |[s1, s2], first, second, word| {
        let side = |s: u64, bits: u32| {
            let product = word.wrapping_mul(s as u32);
            (product ^ (product >> 15)) & low(bits)
        };
        (side(s1, first), side(s2, second))
    }),
    ("xor of two products, 32 bits", |[s1, s2], first, second, word| {
        let mixed = word.wrapping_mul(s1 as u32) ^ word.wrapping_mul(s2 as u32);
        (top(mixed, first), (mixed >> (32 - first - second)) & low(second))
    }),
    ("fold, its two top fields", |[s1, _], first, second, word| {
        let folded = fold(u64::from(word), s1);
        (top(folded, first), (folded >> (32 - first - second)) & low(second))
    }),
    ("fold-pair, low field of each side", |[s1, s2], first, second, word| {
        (fold(u64::from(word), s1) & low(first), fold(u64::from(word), s2) & low(second))
    }),
];

fn top(word: u32, bits: u32) -> u32 {
    word >> (32 - bits)
}

fn low(bits: u32) -> u32 {
    (1 << bits) - 1
}

fn fields(word: u64, first: u32, second: u32) -> (u32, u32) {
    ((word >> (64 - first)) as u32, (word >> (64 - first - second)) as u32 & low(second))
}

fn main() {
    let mut args = env::args().skip(1);
    let attempts = args.next().and_then(|text| text.parse().ok()).unwrap_or(1_000);
    let mut sets: Vec<(String, Vec<u32>)> = args
        .map(|path| {
            let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
            let words = bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
            (path, words)
        })
        .collect();
    let mut stream = Philox::new(1, 0, 0);
    sets.push(("29,251 like addresses".into(), addresses(29_251)));
    for step in [1, 16, 100, 256, 4_096] {
        sets.push((format!("29,251 in steps of {step}"), strided(29_251, step)));
    }
    sets.push(("29,251 random".into(), (0..29_251).map(|_| stream.word()).collect()));

    for (name, mut words) in sets {
        words.sort_unstable();
        words.dedup();
        let bits = words.len().next_power_of_two().trailing_zeros();
        let expected = theory(words.len(), bits, bits);
        println!("{name}: {} keys, halves of 2^{bits}, {attempts} attempts", words.len());
        println!("  {expected:.4} +- {:.4}  theory", error(expected, attempts));
        for family in Family::ALL.into_iter().filter(|family| family.serves(32, bits, bits)) {
            let part = success(&words, bits, bits, attempts, |multipliers, word| {
                family.places(multipliers, bits, bits, u64::from(word))
            });
            println!("  {part:.4}            {}", family.name());
        }
        for (name, places) in REJECTED {
            let part = success(&words, bits, bits, attempts, |multipliers, word| {
                places(multipliers, bits, bits, word)
            });
            println!("  {part:.4}            not ours: {name}");
        }
    }
}
