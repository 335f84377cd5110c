//! How many graphs a thread tries in a second of its CPU time, and how many of them have no cycle.
//!
//! `rate KEYS [FIRST SECOND [ROUNDS]]`, where KEYS is a file of packed little-endian `u32` and the halves have
//! `2^FIRST` and `2^SECOND` places. The designs take turns, round by round, so that a busy machine harms all
//! alike; best, median and worst of the rounds are shown. `RATE_ONLY=words` keeps the designs so named.

use std::{env, fs, process::ExitCode};

use ostia_hash::{
    function::{
        classic::RngSpec,
        family::{Family, Multipliers},
    },
    graph::contract::{Contraction, Scratch, best_first},
    kind::contracted::ContractedProblem,
    philox::Philox,
    search::{Alone, Attempt, Problem},
    simd::Level,
};

/// A way to try graphs: given a number, is that graph acyclic?
struct Design<'a> {
    name: String,
    attempt: Box<dyn FnMut(u64) -> bool + 'a>,
    /// Graphs in a round.
    graphs: u64,
    /// Of each round: graphs and acyclic graphs a second.
    rates: Vec<[f64; 2]>,
}

fn main() -> ExitCode {
    let mut args = env::args().skip(1);
    let Some(path) = args.next() else {
        eprintln!("rate KEYS [FIRST SECOND [ROUNDS]]");
        return ExitCode::from(2);
    };
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) => {
            eprintln!("{path}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut words: Vec<u32> = bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
    words.sort_unstable();
    words.dedup();
    let bits = words.len().next_power_of_two().trailing_zeros();
    let mut number = |or: u32| args.next().and_then(|text| text.parse().ok()).unwrap_or(or);
    let (first, second, rounds) = (number(bits), number(bits), number(15) as usize);

    let only = env::var("RATE_ONLY").unwrap_or_default();
    let mut designs = designs(&words, first, second);
    designs.retain(|design| design.name.contains(&only));
    println!("{path}: {} keys on halves of 2^{first} and 2^{second}; {rounds} rounds", words.len());
    for (choice, side_1) in sides(&words, first) {
        let shared = Contraction::new(&words, side_1, first, second).shared();
        println!("side 1 {choice}: {shared} keys share their cell");
    }
    for round in 0..rounds as u64 {
        for design in &mut designs {
            design.round(round);
        }
    }
    println!("{:44} {:>26}   {:>26}", "", "graphs a CPU second", "without a cycle");
    for design in &mut designs {
        let [graphs, acyclic] = [0, 1].map(|which| {
            let mut rates: Vec<f64> = design.rates.iter().map(|rates| rates[which]).collect();
            rates.sort_by(f64::total_cmp);
            [rates[rates.len() - 1], rates[rates.len() / 2], rates[0]]
                .map(|rate| format!("{rate:8.0}"))
                .join(" ")
        });
        println!("{:44} {graphs}   {acyclic}", design.name);
    }
    ExitCode::SUCCESS
}

impl Design<'_> {
    fn round(&mut self, round: u64) {
        let start = cpu_seconds();
        let first = round * self.graphs + 1;
        let acyclic = (first..first + self.graphs).filter(|&number| (self.attempt)(number)).count();
        let taken = cpu_seconds() - start;
        self.rates.push([self.graphs as f64 / taken, acyclic as f64 / taken]);
    }
}

/// Multipliers for side 1.
fn sides(words: &[u32], first: u32) -> [(&'static str, u64); 2] {
    let candidates = (0..256).map(|number| Philox::new(1, number, 0).multiplier());
    let best = best_first(words, first, candidates, || false).expect("there are candidates");
    [("random", Philox::new(1, 0, 0).multiplier()), ("best of 256", best)]
}

fn designs<'a>(words: &'a [u32], first: u32, second: u32) -> Vec<Design<'a>> {
    let mut designs = Vec::new();
    let mut add = |name: String, graphs: u64, attempt: Box<dyn FnMut(u64) -> bool + 'a>| {
        // About the same time for every set.
        let graphs = graphs * 30_000 / words.len() as u64 + 1;
        designs.push(Design { name, attempt, graphs, rates: Vec::new() });
    };
    for level in Level::available() {
        for (choice, side_1) in sides(words, first) {
            let contraction = Contraction::new(words, side_1, first, second);
            let mut scratch = Scratch::with_level(level);
            add(
                format!("contracted, side 1 {choice}, {level}"),
                8_000,
                Box::new(move |number| {
                    contraction.is_acyclic(Philox::new(2, number, 0).multiplier(), &mut scratch)
                }),
            );
        }
    }
    for with_entries in [false, true] {
        let problem = ContractedProblem {
            words: words.into(),
            first,
            second,
            rng: RngSpec { seed: 3, ..RngSpec::default() },
            with_entries,
        };
        let mut scratch = problem.scratch();
        let entries = if with_entries { "verified entries" } else { "no entries" };
        add(
            format!("contracted search, {entries}, {}", Level::best()),
            8_000,
            Box::new(move |number| {
                matches!(problem.attempt(number, &mut scratch, &Alone), Attempt::Solved(_))
            }),
        );
    }
    for family in Family::ALL.into_iter().filter(|family| family.serves(32, first, second)) {
        let mut parents = vec![0; (1 << first) + (1 << second)];
        add(
            format!("every key joined, early end, {}", family.name()),
            1_000,
            Box::new(move |number| {
                let mut stream = Philox::new(4, number, 0);
                let multipliers = [stream.multiplier(), stream.multiplier()];
                join_all(words, family, multipliers, first, second, &mut parents)
            }),
        );
    }
    designs
}

/// The plain way, to compare with: union by Rem's algorithm until the first cycle.
fn join_all(
    words: &[u32],
    family: Family,
    multipliers: Multipliers,
    first: u32,
    second: u32,
    parents: &mut [u32],
) -> bool {
    for (vertex, parent) in parents.iter_mut().enumerate() {
        *parent = vertex as u32;
    }
    words.iter().all(|&word| {
        let (mut one, other) = family.places(multipliers, first, second, u64::from(word));
        let mut other = (1 << first) + other;
        loop {
            let (up, across) = (parents[one as usize], parents[other as usize]);
            if up == across {
                return false;
            }
            if up < across {
                (one, other) = (other, one);
                continue;
            }
            parents[one as usize] = across;
            if one == up {
                return true;
            }
            one = up;
        }
    })
}

#[cfg(target_os = "linux")]
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Elsewhere the time of day must do: take care that the machine has nothing else to do.
#[cfg(not(target_os = "linux"))]
fn cpu_seconds() -> f64 {
    use std::{sync::OnceLock, time::Instant};

    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64()
}
