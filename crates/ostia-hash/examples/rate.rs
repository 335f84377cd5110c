//! How fast graphs are tried: `rate KEYS [FIRST_BITS SECOND_BITS [ROUNDS]]`.
//!
//! KEYS is a file of packed little-endian `u32`. Each round takes the same multipliers; rates are per second of
//! this thread's CPU time, best and median of the rounds.

use std::{env, fs, time::Instant};

use ostia_hash::{
    graph::contract::{Contraction, Scratch},
    philox::Philox,
    simd::Level,
};

fn cpu() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

fn main() {
    let mut args = env::args().skip(1);
    let path = args.next().expect("a file of keys");
    let mut number = |or: u32| args.next().map_or(or, |t| t.parse().expect("a number"));
    let bytes = fs::read(&path).expect("a readable file");
    let mut words: Vec<u32> = bytes.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b)).collect();
    words.sort_unstable();
    let bits = words.len().next_power_of_two().trailing_zeros();
    let (first, second, rounds) = (number(bits), number(bits), number(9));
    let mut stream = Philox::new(1, 0, 0);
    let s1 = stream.multiplier();
    for level in Level::available() {
        if std::env::var("ONLY").is_ok() && level != Level::best() {
            continue;
        }
        let mut scratch = Scratch::with_level(level);
        let start = Instant::now();
        let contraction = Contraction::new(&words, s1, first, second);
        println!(
            "{level:?} {} keys, {} shared, made in {:?}",
            words.len(),
            contraction.shared(),
            start.elapsed()
        );
        let mut rates = Vec::new();
        for _ in 0..rounds {
            let mut stream = Philox::new(1, 1, 0);
            let (mut graphs, mut acyclic) = (0, 0);
            let start = Instant::now();
            let c = cpu();
            while graphs < 5_000 {
                acyclic += u32::from(contraction.is_acyclic(stream.multiplier(), &mut scratch));
                graphs += 1;
            }
            let taken = start.elapsed().as_secs_f64();
            let c = cpu() - c;
            rates.push((f64::from(graphs) / taken, f64::from(graphs) / c, f64::from(acyclic) / taken));
        }
        rates.sort_by(|a, b| b.0.total_cmp(&a.0));
        println!("best {:?}, median {:?}", rates[0], rates[rates.len() / 2]);
    }
}
