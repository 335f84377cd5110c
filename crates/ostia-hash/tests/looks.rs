//! A search that is stopped must end within milliseconds, however large the set: attempts look often enough.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use ostia_hash::{
    create::{Failure, Options, create},
    function::{classic::RngSpec, family::Family},
    keys::KeySet,
    kind::{displace::DisplaceProblem, halves::HalvesProblem},
    plan::Kind,
    search::{Alone, Attempt, Problem, Watch},
};

/// Counts how often it is asked.
#[derive(Default)]
struct Asked(AtomicU64);

impl Watch for Asked {
    fn stopped(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed);
        false
    }
}

/// How often the watch is asked in the first attempt that solves the set.
fn looks<P: Problem>(problem: &P) -> u64 {
    let mut scratch = problem.scratch();
    for number in 1..100 {
        let watch = Asked::default();
        if let Attempt::Solved(_) = problem.attempt(number, &mut scratch, &watch) {
            return watch.0.into_inner();
        }
    }
    panic!("no attempt solves the set");
}

#[test]
fn each_pass_over_the_keys_is_looked_at_every_few_thousand() {
    let words: Vec<u64> = (0..400_000u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
    let least = words.len() as u64 / 10_000;
    let (words, rng): (Arc<[u64]>, _) = (words.into(), RngSpec::default());
    let displace =
        DisplaceProblem { words: Arc::clone(&words), rng, fixed: None, mixed: true, buckets: 17, slots: 19 };
    assert!(looks(&displace) >= 2 * least, "{}", looks(&displace));
    let family = Family::Mix;
    let halves = HalvesProblem { words, rng, fixed: None, family, first: 20, second: 20, index_bits: 19 };
    assert!(looks(&halves) >= 3 * least, "{}", looks(&halves));
}

/// Lets a search find its table, and then says what is wanted of it.
struct AfterTheSearch {
    tried: AtomicU64,
    /// The attempt that succeeds.
    last: u64,
    abandons: bool,
}

impl Watch for AfterTheSearch {
    fn stopped(&self) -> bool {
        self.tried.load(Ordering::Relaxed) >= self.last
    }

    fn abandoned(&self) -> bool {
        self.abandons && self.stopped()
    }

    fn tried(&self, attempts: u64) {
        self.tried.fetch_add(attempts, Ordering::Relaxed);
    }
}

#[test]
fn a_table_that_is_found_is_kept_when_time_is_up_and_not_when_it_is_abandoned() {
    let set = KeySet::u32s(&(0..16_500).map(|i| i * 48).collect::<Vec<_>>()).unwrap();
    for kind in [Kind::Halves, Kind::Displace, Kind::Retrieval] {
        let options = Options { kind, ..Options::default() };
        let last = create(&set, None, &options, &Alone).unwrap().report.tally().attempts();
        for abandons in [false, true] {
            let watch = AfterTheSearch { tried: AtomicU64::new(0), last, abandons };
            match create(&set, None, &options, &watch) {
                Ok(_) => assert!(!abandons, "{kind:?}"),
                Err(Failure::Stopped(_)) => assert!(abandons, "{kind:?}"),
                Err(other) => panic!("{kind:?}: {other}"),
            }
        }
    }
}
