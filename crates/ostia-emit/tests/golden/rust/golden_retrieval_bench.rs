// golden_retrieval: beside the standard map and a binary search.
// `rustc --edition 2021 -O -C target-cpu=native golden_retrieval_bench.rs && ./golden_retrieval_bench`

#[path = "golden_retrieval.rs"]
mod golden_retrieval;
#[path = "golden_retrieval_keys.rs"]
mod keys;

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Instant;

type Key = &'static str;

/// Asks until a quarter of a second is over; nanoseconds a key, in the best of all rounds.
fn measure(what: &str, rounds: &mut dyn FnMut() -> u64, keys: usize) {
    let begin = Instant::now();
    let mut best = f64::MAX;
    while begin.elapsed().as_millis() < 250 {
        let start = Instant::now();
        black_box(rounds());
        best = best.min(start.elapsed().as_nanos() as f64 / keys as f64);
    }
    println!("{what:<28} {best:8.2} ns");
}

/// Each key apart from the ones before.
fn throughput(what: &str, keys: &[Key], answer: impl Fn(Key) -> u64) {
    let mut all = || keys.iter().fold(0, |sum: u64, &key| sum.wrapping_add(answer(key)));
    measure(what, &mut all, keys.len());
}
/// Which key comes next hangs on the answer to the one before.
fn latency(what: &str, keys: &[Key], answer: impl Fn(Key) -> u64) {
    // The compiler cannot know that this takes nothing of an answer.
    let nothing = black_box(0);
    let mut all = || (0..keys.len()).fold(0, |last, i| answer(keys[i + (last & nothing) as usize]));
    measure(what, &mut all, keys.len());
}

/// The table's answer as a number.
fn ask(key: Key) -> u64 {
    golden_retrieval::index(key).map_or(u64::MAX >> 1, u64::from)
}

fn main() {
    // Members in an order that no prefetcher guesses.
    let mut keys: Vec<Key> = (0..keys::MEMBERS).map(keys::key).collect();
    let mut state = 1u64;
    for i in (1..keys.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        keys.swap(i, ((state >> 33) % (i as u64 + 1)) as usize);
    }
    let map: HashMap<Key, u32> = (0..keys::MEMBERS).map(|at| (keys::key(at), at as u32)).collect();
    let mut sorted = keys.clone();
    sorted.sort_unstable();

    println!("golden_retrieval: {} keys", keys.len());
    latency("golden_retrieval, latency", &keys, ask);
    latency("HashMap, latency", &keys, |key| u64::from(map[&key]));
    latency("binary search, latency", &keys, |key| sorted.binary_search(&key).unwrap_or(0) as u64);
    throughput("golden_retrieval, throughput", &keys, ask);
    throughput("HashMap, throughput", &keys, |key| u64::from(map[&key]));
    throughput("binary search, throughput", &keys, |key| sorted.binary_search(&key).unwrap_or(0) as u64);
}
