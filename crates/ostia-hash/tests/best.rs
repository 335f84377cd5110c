//! The best of many tables: the same for any number of threads, and never worse than the first.

use ostia_hash::{
    best::{Predicate, Rules},
    create::{BestOf, Created, Failure, Options, create},
    keys::{KeySet, KeyType, Order},
    kind::chm::Graph,
    plan::{Function, Kind},
    search::Alone,
    table::Values,
};

fn set() -> KeySet {
    let words = (0..1500u64).map(|i| 0x40_0000 + i * 16).collect();
    KeySet::integers(KeyType::U32, words, Order::Sorted).expect("the keys are different")
}

fn options(predicate: &str, kind: Kind, threads: usize) -> Options {
    let predicate = Predicate::from_name(predicate).expect("there is such a predicate");
    let rules = Rules { predicate, bests: None, target: None, equals: None };
    let function =
        (kind == Kind::Chm).then(|| Function::from_name("Mulshrolate4RX").expect("it has that name"));
    let best = Some(BestOf { rules, keys_min: 512, subset: vec![0x40_0000, 0x40_0010, 0x40_1000] });
    Options {
        kind,
        function,
        best,
        threads,
        attempts: Some(300),
        graph: Graph::Traversed,
        ..Options::default()
    }
}

fn make(options: &Options) -> Created {
    create(&set(), None, options, &Alone).unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn every_predicate_gives_the_same_table_for_any_number_of_threads() {
    for predicate in Predicate::all() {
        for kind in [Kind::Halves, Kind::Chm] {
            if kind == Kind::Halves && predicate.property.needs_traversal() {
                continue;
            }
            let alone = make(&options(&predicate.name(), kind, 1));
            let many = make(&options(&predicate.name(), kind, 3));
            assert_eq!(many.table, alone.table, "{predicate}");
            assert_eq!(many.report, alone.report, "{predicate}");
            let values: Vec<f64> =
                alone.report.bests.iter().map(|b| predicate.property.value(&b.coverage).unwrap()).collect();
            let better = |w: &[f64]| if predicate.highest { w[0] <= w[1] } else { w[0] >= w[1] };
            assert!(values.windows(2).all(better), "{predicate}: {values:?}");
            let last = alone.report.bests.last().expect("there is a best");
            assert_eq!(alone.table.head().provenance.attempt, last.attempt);
        }
    }
}

#[test]
fn a_target_or_enough_bests_end_the_search_early() {
    let all = make(&options("HighestScore", Kind::Halves, 1));
    let bests = &all.report.bests;
    assert!(bests.len() >= 3, "300 attempts better the score a few times");
    let mut second = options("HighestScore", Kind::Halves, 1);
    second.best.as_mut().unwrap().rules.bests = Some(2);
    assert_eq!(make(&second).report.bests, bests[..2]);
    let mut target = options("HighestScore", Kind::Halves, 1);
    target.best.as_mut().unwrap().rules.target = Some(bests[2].coverage.score as f64);
    assert_eq!(make(&target).report.bests.len(), 3);
}

#[test]
fn small_sets_get_the_first_table() {
    let small = KeySet::u32s(&[1, 5, 9, 200]).unwrap();
    let mut options = options("HighestScore", Kind::Halves, 1);
    options.best.as_mut().unwrap().subset.clear();
    let created = create(&small, None, &options, &Alone).unwrap();
    assert!(created.report.bests.is_empty());
    assert_eq!(created.report.tally().solved, 1);
}

#[test]
fn what_cannot_be_counted_is_refused() {
    let refused = |options: &Options| match create(&set(), None, options, &Alone) {
        Err(Failure::Options(why)) => why,
        other => panic!("not refused: {other:?}"),
    };
    let mut peeled = options("LowestMaxGraphTraversalDepth", Kind::Chm, 1);
    peeled.graph = Graph::Peeled;
    assert!(refused(&peeled).contains("traversal"));
    let mut nobody = options("LowestNumberOfPagesUsedByKeysSubset", Kind::Chm, 1);
    nobody.best.as_mut().unwrap().subset.clear();
    assert!(refused(&nobody).contains("subset"));
    let mut stranger = options("HighestScore", Kind::Chm, 1);
    stranger.best.as_mut().unwrap().subset = vec![3];
    assert!(refused(&stranger).contains("key 3 is not in the set"));
    assert!(refused(&options("HighestScore", Kind::Displace, 1)).contains("chm and halves"));
    let values = Values::integers(&vec![1; 1500]);
    let in_place = Options { in_place: true, ..options("HighestScore", Kind::Auto, 1) };
    assert!(matches!(create(&set(), Some(&values), &in_place, &Alone), Err(Failure::Options(_))));
}
