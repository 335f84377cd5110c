//! What the judging of hash families needs: keys with structure, and graphs as they are in theory.

use ostia_hash::philox::Philox;

/// Keys in arithmetic progression.
pub(crate) fn strided(len: u32, stride: u32) -> Vec<u32> {
    (0..len).map(|index| 0x1000_0000 + index * stride).collect()
}

/// Keys like the addresses of functions in a program: multiples of 16, most of them near the one before, with a
/// wide gap now and then. Few differences between keys, each of them many times: what a linear hash cannot take.
pub(crate) fn addresses(len: u32) -> Vec<u32> {
    let mut stream = Philox::new(0xADD2, 0, 0);
    let mut at = 0x1000_1000;
    let mut next = || {
        let word = stream.word();
        at += if word.is_multiple_of(64) { 0x1000 * (word >> 26) } else { 0 };
        at += 16 * (1 + (word >> 8) % 8 * ((word >> 16) % 3));
        at
    };
    (0..len).map(|_| next()).collect()
}

/// The probability that a random graph of `keys` edges between halves of `2^first` and `2^second` vertices has
/// no cycle: a cycle of 2k edges is expected `(n^2 / ab)^k / 2k` times, and their numbers are independent.
pub(crate) fn theory(keys: usize, first: u32, second: u32) -> f64 {
    let edges = keys as f64;
    (1.0 - edges * edges / 2_f64.powi((first + second) as i32)).max(0.0).sqrt()
}

/// True if no two ways lead from one vertex to another. `parents` is memory of any content.
pub(crate) fn is_acyclic(
    words: &[u32],
    first: u32,
    second: u32,
    places: impl Fn(u32) -> (u32, u32),
    parents: &mut Vec<u32>,
) -> bool {
    parents.clear();
    parents.extend(0..(1 << first) + (1 << second));
    words.iter().all(|&word| {
        let (one, other) = places(word);
        let (one, other) = (root(parents, one), root(parents, (1 << first) + other));
        parents[one as usize] = other;
        one != other
    })
}

fn root(parents: &mut [u32], mut vertex: u32) -> u32 {
    while parents[vertex as usize] != vertex {
        parents[vertex as usize] = parents[parents[vertex as usize] as usize];
        vertex = parents[vertex as usize];
    }
    vertex
}

/// Of `attempts` graphs the part that has no cycle; attempt by attempt other multipliers.
pub(crate) fn success(
    words: &[u32],
    first: u32,
    second: u32,
    attempts: u64,
    places: impl Fn([u64; 2], u32) -> (u32, u32),
) -> f64 {
    let mut parents = Vec::new();
    let acyclic = (1..=attempts).filter(|&number| {
        let mut stream = Philox::new(0xFA11, number, 0);
        let multipliers = [stream.multiplier(), stream.multiplier()];
        is_acyclic(words, first, second, |word| places(multipliers, word), &mut parents)
    });
    acyclic.count() as f64 / attempts as f64
}

/// The standard error of a part of `attempts` that is `probability` in truth.
pub(crate) fn error(probability: f64, attempts: u64) -> f64 {
    (probability * (1.0 - probability) / attempts as f64).sqrt()
}
