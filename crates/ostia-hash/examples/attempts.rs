//! CPU time of an attempt: `attempts KEYS [FUNCTION [ATTEMPTS]]`, keys as packed little-endian u32.

use std::{env, fs, hint::black_box};

use ostia_hash::{
    function::classic::Classic,
    kind::chm::{ChmProblem, Sizes},
    search::{Alone, Attempt, Problem, Tally},
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = env::args().skip(1);
    let path = args.next().ok_or("which key file?")?;
    let name = args.next();
    let attempts: u64 = args.next().map_or(Ok(2000), |a| a.parse())?;
    let keys: Vec<u32> =
        fs::read(&path)?.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect();
    let sizes = Sizes::for_keys(keys.len()).ok_or("too many keys")?;
    for &function in Classic::ALL.iter().filter(|f| name.as_ref().is_none_or(|n| n == f.name())) {
        let problem = ChmProblem::new(keys.as_slice(), function, sizes)?;
        let mut scratch = problem.scratch();
        let mut tally = Tally::default();
        let start = thread_cpu_us()?;
        for number in 1..=attempts {
            match problem.attempt(number, &mut scratch, &Alone) {
                Attempt::Solved(found) => {
                    black_box(&found.entries);
                    tally.solved += 1;
                }
                Attempt::Collision => tally.collisions += 1,
                Attempt::Cycle => tally.cycles += 1,
                Attempt::Stopped => unreachable!("nobody stops it"),
            }
        }
        let each = (thread_cpu_us()? - start) / attempts as f64;
        println!(
            "{:24} {each:7.1} us an attempt; {} solved, {} collisions, {} cycles",
            function.name(),
            tally.solved,
            tally.collisions,
            tally.cycles
        );
    }
    Ok(())
}

/// What this thread has run for so far, as Linux tells it.
fn thread_cpu_us() -> Result<f64, Box<dyn std::error::Error>> {
    let figures = fs::read_to_string("/proc/thread-self/schedstat")?;
    let ns: f64 = figures.split(' ').next().ok_or("an empty line")?.parse()?;
    Ok(ns / 1000.0)
}
