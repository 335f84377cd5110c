//! The predecessor's functions, seeds and attempts: what it reported, found again.

mod key_files;

use key_files::{key_file, keys_directory};
use ostia_hash::{
    coverage::Coverage,
    function::classic::{Classic, RngSpec},
    kind::chm::{Chm, ChmProblem, Graph, Sizes},
    search::{Alone, Attempt, Ended, First, Problem, Searched, Tally, run},
};

/// The first solving attempt, and the counts up to it.
fn first(keys: &[u32], function: Classic, rng: RngSpec, last: u64) -> Option<(Chm, Tally)> {
    let sizes = Sizes::for_keys(keys.len()).unwrap();
    let problem = ChmProblem::new(keys, function, sizes).unwrap().with_rng(rng);
    let Searched { judge, ended, tally } = run(&problem, 1..=last, 2, &Alone, First::default());
    assert_eq!(ended == Ended::Done, judge.0.is_some());
    judge.0.map(|(_, found)| (found, tally))
}

/// What the predecessor reported of one attempt.
struct Known {
    fields: Vec<&'static str>,
}

impl Known {
    fn all() -> Vec<Known> {
        let mut lines = include_str!("known_seeds.csv").lines().filter(|l| !l.starts_with('#'));
        assert!(lines.next().is_some_and(|heads| heads.starts_with("set,function,")));
        lines.map(|line| Known { fields: line.split(',').collect() }).collect()
    }

    fn number(&self, field: usize) -> u64 {
        let text = self.fields[field];
        text.strip_prefix("0x").map_or_else(|| text.parse(), |hex| u64::from_str_radix(hex, 16)).unwrap()
    }

    fn function(&self) -> Classic {
        Classic::from_name(self.fields[1]).unwrap()
    }

    fn rng(&self) -> RngSpec {
        RngSpec { seed: self.number(2), subsequence: self.number(3), offset: self.number(4) }
    }

    /// How many collisions the predecessor missed on the way, and so counted as cycles, which they are as well.
    ///
    /// Above 2^16 vertices it hashes for this function eight keys at a time, and compares a mask of signed
    /// bytes with 0: a group with a collision at its last key looks like one with none.
    fn missed_collisions(&self, keys: &[u32], sizes: Sizes) -> u64 {
        if self.function() != Classic::MultiplyShiftRX || sizes.vertices <= 1 << 16 {
            return 0;
        }
        let problem = ChmProblem::new(keys, self.function(), sizes).unwrap().with_rng(self.rng());
        let missed = (1..self.number(5)).filter(|&attempt| {
            let seeds = problem.seeds(attempt);
            let collides = |&key: &u32| {
                let (first, second) = problem.vertices(&seeds, key);
                first == second
            };
            let seen =
                |group: &[u32]| group.iter().any(collides) && !(group.len() == 8 && collides(&group[7]));
            keys.iter().any(collides) && !keys.chunks(8).any(seen)
        });
        missed.count() as u64
    }

    /// Compares every counter; real numbers to the nine digits that were printed.
    fn check_coverage(&self, found: &Chm, keys: usize) {
        let what = &self.fields[..8];
        let bytes = found.sizes.solving_bytes(keys, Graph::Peeled);
        assert_eq!(bytes as u64, self.number(10), "{what:?}");
        let coverage = Coverage::measure(&found.entries, bytes);
        assert_eq!(coverage.pages.used, self.number(11), "{what:?}");
        assert_eq!(coverage.lines.used, self.number(12), "{what:?}");
        assert_eq!(coverage.lines.first, Some(self.number(13)), "{what:?}");
        assert_eq!(coverage.lines.last, Some(self.number(14)), "{what:?}");
        assert_eq!(coverage.assigned, self.number(15), "{what:?}");
        assert_eq!(coverage.line_max, self.number(16), "{what:?}");
        assert_eq!(coverage.score, self.number(21), "{what:?}");
        let buckets: Vec<u64> = self.fields[23].split(' ').map(|b| b.parse().unwrap()).collect();
        assert_eq!(coverage.histogram, buckets, "{what:?}");
        let regression = coverage.regression;
        for (field, value) in [
            (17, regression.slope),
            (18, regression.intercept),
            (19, regression.correlation),
            (20, regression.predicted),
            (22, coverage.rank),
        ] {
            let known: f64 = self.fields[field].parse().unwrap();
            assert!((value - known).abs() <= 5e-9 * known.abs(), "{what:?} {value} {known}");
        }
    }
}

#[test]
fn every_known_attempt_has_its_seeds_counts_and_order() {
    let Some(directory) = keys_directory("every_known_attempt_has_its_seeds_counts_and_order") else {
        return;
    };
    let known = Known::all();
    assert_eq!(known.len(), 40);
    for known in known {
        let what = &known.fields[..8];
        let keys = key_file(&directory.join(known.fields[0]));
        let attempt = known.number(5);
        let sizes = Sizes::for_keys(keys.len()).unwrap();
        if known.fields[6] != "yes" {
            let problem =
                ChmProblem::new(keys.as_slice(), known.function(), sizes).unwrap().with_rng(known.rng());
            let failed = match known.fields[6] {
                "cyclic" => Attempt::Cycle,
                "vertex-collision" => Attempt::Collision,
                other => panic!("what is {other}?"),
            };
            assert_eq!(problem.attempt(attempt, &mut problem.scratch(), &Alone), failed, "{what:?}");
            continue;
        }
        let (found, tally) =
            first(&keys, known.function(), known.rng(), attempt).expect("it is solved there");
        assert_eq!(found.attempt, attempt, "{what:?}");
        let tallied = Tally { solved: 1, collisions: known.number(8), cycles: known.number(9) };
        let missed = known.missed_collisions(&keys, sizes);
        let tally = Tally { collisions: tally.collisions - missed, cycles: tally.cycles + missed, ..tally };
        assert_eq!(tally, tallied, "{what:?}");
        let seeds: Vec<u32> = known.fields[7]
            .split(' ')
            .map(|s| u32::from_str_radix(s.trim_start_matches("0x"), 16).unwrap())
            .collect();
        assert_eq!(found.seeds[..seeds.len()], seeds, "{what:?}");
        assert!(found.seeds[seeds.len()..].iter().all(|&s| s == 0), "{what:?}");
        for (index, &key) in keys.iter().enumerate() {
            assert_eq!(found.index(key), index as u32, "{what:?}");
        }
        known.check_coverage(&found, keys.len());
    }
}

#[test]
fn the_winning_attempts_of_six_functions_are_the_known_ones() {
    let Some(directory) = keys_directory("the_winning_attempts_of_six_functions_are_the_known_ones") else {
        return;
    };
    let functions = [
        Classic::MultiplyShiftR,
        Classic::MultiplyShiftRX,
        Classic::Mulshrolate1RX,
        Classic::Mulshrolate2RX,
        Classic::Mulshrolate3RX,
        Classic::Mulshrolate4RX,
    ];
    for (set, attempts) in [
        ("hard/HologramWorld-29251.keys", [302, 3794, 6884, 42800, 1286, 16]),
        ("hard/HydrogenCompositor-23404.keys", [580, 58, 430, 2079, 30, 12]),
        ("hard/InputService-7696.keys", [1146, 23, 75, 512, 69, 2]),
        ("hard/mfc42-6164.keys", [140, 58, 31, 3, 75, 12]),
    ] {
        let keys = key_file(&directory.join(set));
        for (function, attempt) in functions.into_iter().zip(attempts) {
            let (found, _) = first(&keys, function, RngSpec::default(), attempt).expect("it is solved there");
            assert_eq!(found.attempt, attempt, "{set} {}", function.name());
        }
    }
}

#[test]
fn the_33000_generated_keys_are_solved_by_the_first_seeds() {
    // Odd multiples spread over all 32 bits; with these the predecessor tests itself.
    let mut keys: Vec<u32> = (1_u32..)
        .map(|i| i.wrapping_mul(2_654_435_761) ^ 0x1357_9BDF)
        .filter(|k| ![0, u32::MAX].contains(k))
        .take(33_000)
        .collect();
    keys.sort_unstable();
    let (found, tally) = first(&keys, Classic::Mulshrolate3RX, RngSpec::default(), 1).expect("at once");
    assert_eq!(found.seeds[..4], [0x4FB8_349A, 0x64E0_E8DD, 0x1700_010F, 0xF7F8_0AD9]);
    assert_eq!(tally, Tally { solved: 1, collisions: 0, cycles: 0 });
}
