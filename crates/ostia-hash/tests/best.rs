//! Coverage, and the search for the best: against the plain statement of each rule.

use std::cmp::Ordering;

use ostia_hash::{
    best::{Best, Improvement, Predicate, Property, Rules, search},
    coverage::{Coverage, Subset},
    function::classic::Classic,
    kind::chm::{Chm, ChmProblem, Graph, Sizes},
    search::{Alone, Ended, Verdict},
};
use proptest::prelude::*;

/// 600 keys with some structure.
fn keys() -> Vec<u32> {
    (1..=600_u32).map(|i| i * 40 + i * i % 7).collect()
}

fn problem(keys: &[u32]) -> ChmProblem<'_> {
    let sizes = Sizes::for_keys(keys.len()).unwrap();
    ChmProblem::new(keys, Classic::Mulshrolate4RX, sizes).unwrap().with_graph(Graph::Traversed)
}

fn measure(problem: &ChmProblem<'_>, keys: &[u32], found: &Chm) -> Coverage {
    let mut coverage = Coverage::measure(&found.entries, 4);
    coverage.traversal = found.counts;
    let places = keys.iter().step_by(9).map(|&key| problem.vertices(&found.seeds, key));
    coverage.subset = Some(Subset::measure(places, found.entries.len(), 4));
    coverage
}

fn improvements(predicate: Predicate, threads: usize) -> Vec<Improvement> {
    let keys = keys();
    let problem = problem(&keys);
    let rules = Rules { predicate, bests: None, target: None, equals: None };
    let (_, _, best) =
        search(&problem, |found| measure(&problem, &keys, found), rules, 1..=400, threads, &Alone);
    best.improvements().to_vec()
}

#[test]
fn every_predicate_climbs_to_the_extreme_whatever_the_threads() {
    let keys = keys();
    let problem = problem(&keys);
    let mut all = Vec::new();
    let mut keep = |number, found: Chm, _: &_| {
        all.push((number, measure(&problem, &keys, &found)));
        Verdict::Continue
    };
    ostia_hash::search::run(&problem, 1..=400, 1, &Alone, &mut keep);
    assert!(all.len() > 20, "{} solutions are too few to compare", all.len());
    for predicate in Predicate::all() {
        let climbed = improvements(predicate, 1);
        assert_eq!(climbed, improvements(predicate, 3), "{predicate}");
        assert_eq!(climbed[0].attempt, all[0].0, "the first solution is the first best one");
        let last = climbed.last().unwrap();
        let value = |coverage| predicate.property.value(coverage).expect("all is measured");
        let reached = value(&last.coverage);
        let upto = all.iter().filter(|(number, _)| *number <= last.attempt).map(|(_, c)| value(c));
        let extreme =
            if predicate.highest { upto.fold(f64::MIN, f64::max) } else { upto.fold(f64::MAX, f64::min) };
        assert_eq!(reached, extreme, "{predicate}");
        // Nothing after the last is better, unless the search was over before.
        let over = !predicate.highest && reached == 0.0;
        let better = |c: &Coverage| predicate.compare(c, &last.coverage) == Ordering::Greater;
        assert!(over || !all.iter().any(|(_, c)| better(c)), "{predicate}");
    }
}

#[test]
fn names_of_all_38_predicates_lead_back() {
    let all: Vec<Predicate> = Predicate::all().collect();
    assert_eq!(all.len(), 38);
    for predicate in all {
        assert_eq!(Predicate::from_name(&predicate.name()), Some(predicate));
    }
    let predicate = Predicate::from_name("LowestNumberOfCacheLinesUsedByKeysSubset").unwrap();
    assert!(!predicate.highest && predicate.property.needs_subset());
    assert!(Property::TotalGraphTraversals.needs_traversal());
    assert_eq!(Predicate::from_name("BestScore"), None);
}

/// A coverage of which only the score counts.
fn scored(score: u64) -> Coverage {
    Coverage { score, ..Coverage::measure(&[1, 2, 3, 4], 4) }
}

/// After how many of the scores the rules have enough; `None` when they never do.
fn enough(rules: Rules, scores: &[u64]) -> Option<usize> {
    let mut best = Best::new(rules);
    scores.iter().zip(1..).position(|(&s, n)| best.offer(n, scored(s)) == Verdict::Done).map(|at| at + 1)
}

#[test]
fn each_rule_stops_when_it_says() {
    let highest = Predicate::from_name("HighestScore").unwrap();
    let lowest = Predicate::from_name("LowestScore").unwrap();
    let rules = Rules { predicate: highest, bests: None, target: None, equals: None };
    let scores = [5, 4, 5, 6, 6, 6, 9, 0];
    assert_eq!(enough(rules, &scores), None);
    assert_eq!(enough(Rules { bests: Some(1), ..rules }, &scores), Some(1));
    assert_eq!(enough(Rules { bests: Some(2), ..rules }, &scores), Some(4));
    // Equals are counted for each best anew.
    assert_eq!(enough(Rules { equals: Some(2), ..rules }, &scores), Some(6));
    assert_eq!(enough(Rules { target: Some(8.0), ..rules }, &scores), Some(7));
    // With a target the number of bests is not looked at.
    assert_eq!(enough(Rules { target: Some(8.0), bests: Some(1), ..rules }, &scores), Some(7));
    assert_eq!(enough(Rules { predicate: lowest, ..rules }, &scores), Some(8));
    assert_eq!(enough(Rules { predicate: lowest, target: Some(4.0), ..rules }, &scores), Some(2));
}

#[test]
fn a_full_line_ends_the_search_for_fuller_ones() {
    let predicate = Predicate::from_name("HighestMaxAssignedPerCacheLineCount").unwrap();
    let mut best = Best::new(Rules { predicate, bests: None, target: None, equals: None });
    assert_eq!(best.offer(1, Coverage::measure(&[1; 15], 4)), Verdict::Continue);
    assert_eq!(best.offer(2, Coverage::measure(&[1; 16], 4)), Verdict::Done);
    let predicate = Predicate::from_name("HighestNumberOfEmptyCacheLines").unwrap();
    let mut best = Best::new(Rules { predicate, bests: None, target: None, equals: None });
    assert_eq!(best.offer(1, Coverage::measure(&[0; 32], 4)), Verdict::Done);
}

#[test]
fn slopes_alike_are_told_apart_by_intercept_then_correlation() {
    let of = |slope, intercept, correlation| {
        let mut coverage = scored(1);
        (coverage.regression.slope, coverage.regression.intercept) = (slope, intercept);
        coverage.regression.correlation = correlation;
        coverage
    };
    let highest = Predicate::from_name("HighestSlope").unwrap();
    let lowest = Predicate::from_name("LowestSlope").unwrap();
    for (candidate, best, high, low) in [
        (of(2.0, 0.0, 0.0), of(1.0, 9.0, 9.0), Ordering::Greater, Ordering::Less),
        (of(1.0, 2.0, 0.0), of(1.0, 1.0, 9.0), Ordering::Greater, Ordering::Less),
        (of(1.0, 1.0, 0.9), of(1.0, 1.0, 0.8), Ordering::Greater, Ordering::Greater),
        (of(1.0, 1.0, 0.8), of(1.0, 1.0, 0.8), Ordering::Equal, Ordering::Equal),
    ] {
        assert_eq!(highest.compare(&candidate, &best), high);
        assert_eq!(lowest.compare(&candidate, &best), low);
    }
}

#[test]
fn an_empty_range_has_no_best() {
    let keys = keys();
    let problem = problem(&keys);
    let predicate = Predicate::from_name("HighestRank").unwrap();
    let rules = Rules { predicate, bests: None, target: None, equals: None };
    #[expect(clippy::reversed_empty_ranges, reason = "that is the point")]
    let (ended, _, best) =
        search(&problem, |found| Coverage::measure(&found.entries, 4), rules, 1..=0, 2, &Alone);
    assert_eq!(ended, Ended::Exhausted);
    assert!(best.best().is_none());
}

proptest! {
    #[test]
    fn coverage_counts_what_is_there(
        entries in prop::collection::vec(prop_oneof![Just(0_u32), any::<u32>()], 1..9000),
        bytes in prop::sample::select(vec![1_usize, 2, 4]),
    ) {
        let coverage = Coverage::measure(&entries, bytes);
        for (usage, unit) in [(coverage.lines, 64), (coverage.pages, 4096), (coverage.large_pages, 2 << 20)] {
            let used: Vec<u64> = (0_u64..)
                .zip(entries.chunks(unit / bytes))
                .filter(|(_, unit)| unit.iter().any(|&e| e != 0))
                .map(|(number, _)| number)
                .collect();
            prop_assert_eq!(usage.total, entries.len().div_ceil(unit / bytes) as u64);
            prop_assert_eq!(usage.used, used.len() as u64);
            prop_assert_eq!(usage.empty(), usage.total - usage.used);
            prop_assert_eq!(usage.first, used.first().copied());
            prop_assert_eq!(usage.last, used.last().copied());
        }
        prop_assert_eq!(coverage.assigned, entries.iter().filter(|&&e| e != 0).count() as u64);
        prop_assert_eq!(coverage.histogram.iter().sum::<u64>(), coverage.lines.total);
        prop_assert_eq!(coverage.histogram.len(), 64 / bytes + 1);
        prop_assert!((0.0..=1.0).contains(&coverage.rank));
        prop_assert!(coverage.regression.correlation.abs() <= 1.0 + 1e-9);
    }

    #[test]
    fn a_subset_counts_what_it_touches(
        places in prop::collection::vec((0_u32..4096, 0_u32..4096), 0..60),
        bytes in prop::sample::select(vec![1_usize, 2, 4]),
    ) {
        let subset = Subset::measure(places.iter().copied(), 4096, bytes);
        let lines = |unit: usize| {
            let mut touched: Vec<usize> =
                places.iter().flat_map(|&(a, b)| [a, b]).map(|p| p as usize * bytes / unit).collect();
            touched.sort_unstable();
            touched
        };
        let distinct = |unit| { let mut all = lines(unit); all.dedup(); all.len() as u64 };
        prop_assert_eq!(subset.lines_used, distinct(64));
        prop_assert_eq!(subset.pages_used, distinct(4096));
        prop_assert_eq!(subset.large_pages_used, u64::from(!places.is_empty()));
        let most = lines(64).chunk_by(|a, b| a == b).map(<[usize]>::len).max().unwrap_or(0);
        prop_assert_eq!(subset.line_max, most as u64);
        let same = |unit: usize| {
            places.iter().filter(|(a, b)| *a as usize * bytes / unit == *b as usize * bytes / unit).count() as u64
        };
        prop_assert_eq!(subset.same_line, same(64));
        prop_assert_eq!(subset.same_page, same(4096));
        prop_assert_eq!(subset.same_large_page, places.len() as u64);
    }
}
