//! The predecessor's kind of table at the edges: sizes, refusals, few keys and many.

use std::sync::atomic::{AtomicU32, Ordering};

use ostia_hash::{
    function::classic::Classic,
    kind::chm::{ChmProblem, Graph, Refused, Sizes},
    search::{Alone, Attempt, First, Problem, Watch, run},
};
use proptest::prelude::*;

/// Different keys without structure, and without 0.
fn scattered(count: u32) -> Vec<u32> {
    let mut keys: Vec<u32> = (1..=count).map(|i| i.wrapping_mul(0x9E37_79B1)).collect();
    keys.sort_unstable();
    keys
}

fn solved_by(function: Classic, keys: &[u32], sizes: Sizes, graph: Graph) {
    let problem = ChmProblem::new(keys, function, sizes).unwrap().with_graph(graph);
    let winner = run(&problem, 1..=10_000, 1, &Alone, First::default()).judge.0;
    let (_, found) = winner.unwrap_or_else(|| panic!("{} keys are not solved", keys.len()));
    assert_eq!(found.entries.len(), sizes.vertices as usize);
    assert_eq!(found.counts.is_some(), graph == Graph::Traversed);
    for (index, &key) in keys.iter().enumerate() {
        assert_eq!(found.index(key), index as u32);
    }
}

#[test]
fn sizes_follow_the_number_of_keys() {
    for (count, edges) in [(1, 8), (8, 8), (9, 16), (16, 16), (17, 32), (29_251, 32_768), (1 << 30, 1 << 30)]
    {
        let sizes = Sizes::for_keys(count).unwrap();
        assert_eq!(sizes, Sizes { edges, vertices: 2 * edges }, "{count}");
    }
    assert_eq!(Sizes::for_keys((1 << 30) + 1), None);
    let sizes = Sizes::for_keys(100).unwrap();
    assert_eq!(sizes.resized(0, false), Some(sizes));
    assert_eq!(sizes.resized(2, false), Some(Sizes { edges: 512, vertices: 1024 }));
    assert_eq!(sizes.resized(2, true), Some(Sizes { edges: 128, vertices: 1024 }));
    assert_eq!(sizes.resized(23, true), Some(Sizes { edges: 128, vertices: 1 << 31 }));
    assert_eq!(sizes.resized(24, true), None);
    assert_eq!(sizes.resized(32, true), None);
    assert_eq!((sizes.hash_shift(), sizes.hash_mask(), sizes.index_mask()), (24, 255, 127));
    let bytes = [128, 129, 32_768, 32_769].map(|count| Sizes::for_keys(count).unwrap().stored_bytes());
    assert_eq!(bytes, [1, 2, 2, 4]);
    let solving = |count, graph| Sizes::for_keys(count).unwrap().solving_bytes(count, graph);
    assert_eq!(solving(32_767, Graph::Peeled), 2);
    assert_eq!(solving(32_768, Graph::Peeled), 4);
    assert_eq!(solving(10, Graph::Traversed), 4);
}

#[test]
fn what_no_attempt_could_solve_is_refused_at_once() {
    let sizes = Sizes::for_keys(4).unwrap();
    let keys = [5, 0, 7];
    let refused =
        |function, keys: &[u32], sizes| ChmProblem::new(keys, function, sizes).map(|_| ()).unwrap_err();
    assert_eq!(refused(Classic::MultiplyShiftR, &keys, sizes), Refused::Key { key: 0, index: 1 });
    assert_eq!(refused(Classic::Jenkins, &[1; 9], sizes), Refused::Sizes);
    assert_eq!(refused(Classic::Jenkins, &keys, Sizes { edges: 8, vertices: 24 }), Refused::Sizes);
    assert_eq!(refused(Classic::Jenkins, &keys, Sizes { edges: 8, vertices: 8 }), Refused::Sizes);
    assert!(ChmProblem::new(keys.as_slice(), Classic::Jenkins, sizes).is_ok());
    let seeded = |seeds| {
        let problem = ChmProblem::new([1, 2, 3], Classic::MultiplyShiftRX, sizes).unwrap();
        problem.with_seeds(seeds).map(|_| ()).map_err(|refused| refused.to_string())
    };
    // Sixteen vertices: 28 bits must go.
    assert_eq!(seeded(vec![0, 0, 28]), Ok(()));
    assert!(seeded(vec![0, 0, 27]).unwrap_err().contains("at least 28"));
    assert!(seeded(vec![0, 0, 0, 1]).unwrap_err().contains("3 seeds"));
}

#[test]
fn one_to_eight_keys_and_key_0_are_solved() {
    for count in 1..=8 {
        for graph in [Graph::Peeled, Graph::Traversed] {
            let sizes = Sizes::for_keys(count as usize).unwrap();
            solved_by(Classic::MultiplyShiftR, &scattered(count), sizes, graph);
            let from_0: Vec<u32> = (0..count).chain([u32::MAX]).collect();
            solved_by(Classic::Jenkins, &from_0, sizes.resized(1, false).unwrap(), graph);
        }
    }
}

#[test]
fn every_width_of_memory_solves() {
    // Up to 2^16 vertices, more of them, and more than 2^16 keys or edges.
    for (count, resizes, clamp) in [
        (32_000, 0, false),
        (32_768, 0, false),
        (65_000, 1, true),
        (65_000, 1, false),
        (65_536, 0, false),
        (66_000, 0, false),
    ] {
        let keys = scattered(count);
        let sizes = Sizes::for_keys(keys.len()).unwrap().resized(resizes, clamp).unwrap();
        for graph in [Graph::Peeled, Graph::Traversed] {
            solved_by(Classic::Jenkins, &keys, sizes, graph);
        }
    }
}

#[test]
fn an_attempt_hears_a_stop_wherever_it_is() {
    /// Says stop when it is asked for that time.
    struct After(AtomicU32);
    impl Watch for After {
        fn stopped(&self) -> bool {
            self.0.fetch_sub(1, Ordering::Relaxed) == 1
        }
    }
    let keys = scattered(66_000);
    let sizes = Sizes::for_keys(keys.len()).unwrap().resized(1, false).unwrap();
    let problem = ChmProblem::new(keys.as_slice(), Classic::Jenkins, sizes).unwrap();
    let mut scratch = problem.scratch();
    let solved = (1..100).find(|&n| matches!(problem.attempt(n, &mut scratch, &Alone), Attempt::Solved(_)));
    let number = solved.expect("one in a hundred is solved");
    let mut stops = 0;
    loop {
        match problem.attempt(number, &mut scratch, &After(AtomicU32::new(stops + 1))) {
            Attempt::Stopped => stops += 1,
            Attempt::Solved(_) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(stops >= 8, "it asked {stops} times only");
}

proptest! {
    #[test]
    fn both_graphs_solve_the_same_attempts(count in 1_u32..300, attempt in 1_u64..50, id in 1_u8..=39) {
        let keys = scattered(count);
        let function = Classic::from_id(id).unwrap();
        let sizes = Sizes::for_keys(keys.len()).unwrap();
        let problem = ChmProblem::new(keys.as_slice(), function, sizes).unwrap();
        let peeled = problem.attempt(attempt, &mut problem.scratch(), &Alone);
        let problem = problem.with_graph(Graph::Traversed);
        let traversed = problem.attempt(attempt, &mut problem.scratch(), &Alone);
        match (peeled, traversed) {
            (Attempt::Solved(peeled), Attempt::Solved(traversed)) => {
                for (index, &key) in keys.iter().enumerate() {
                    prop_assert_eq!(peeled.index(key), index as u32);
                    prop_assert_eq!(traversed.index(key), index as u32);
                }
            }
            (peeled, traversed) => prop_assert_eq!(peeled, traversed),
        }
    }
}
