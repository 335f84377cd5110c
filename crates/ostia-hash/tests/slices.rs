//! A table that is made in slices, by one worker or several, is the table that is made in one go.

use std::{
    future::Future,
    ops::RangeInclusive,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use ostia_hash::{
    best::{Predicate, Rules},
    create::{BestOf, Created, Engine, Failure, Options, Report, create, create_on},
    function::classic::Classic,
    keys::{KeySet, KeyType, Order, Texts},
    plan::{Function, Kind},
    search::{Alone, Blocks, Judge, Problem, Searched, Sliced, Watch},
    table::{Foreign, Table, Values},
};
use proptest::prelude::*;

/// Random numbers that several threads may draw.
struct Dice(AtomicU64);

impl Dice {
    fn one_in(&self, sides: u64) -> bool {
        let number = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        ((number ^ number >> 31).wrapping_mul(0x7FB5_D329_728E_A185) >> 33).is_multiple_of(sides)
    }
}

/// Makes searches in slices of random lengths: some alone, and then by some workers.
struct Slices {
    dice: Arc<Dice>,
    /// How long slices are, in attempts.
    len: u64,
    alone: usize,
    workers: usize,
    breaths: AtomicU64,
    watch: Box<dyn Watch + Send>,
}

impl Slices {
    fn new(seed: u32, len: u64, alone: usize, workers: usize) -> Slices {
        let dice = Arc::new(Dice(AtomicU64::new(seed.into())));
        Slices { dice, len, alone, workers, breaths: AtomicU64::new(0), watch: Box::new(Alone) }
    }
}

/// Goes on when it is polled again.
async fn pause() {
    let mut before = true;
    std::future::poll_fn(move |_| if std::mem::take(&mut before) { Poll::Pending } else { Poll::Ready(()) })
        .await;
}

impl Engine for Slices {
    async fn search<P, J>(&self, problem: P, numbers: RangeInclusive<u64>, judge: J) -> Searched<J>
    where
        P: Problem + Send + 'static,
        J: Judge<P::Found> + 'static,
    {
        let mut search = Sliced::new(problem, numbers, judge);
        for _ in 0..self.alone {
            if let Some(ended) = search.step(self.watch(), &mut || self.dice.one_in(self.len)) {
                return search.end(ended);
            }
            pause().await;
        }
        let blocks = Blocks::from(search);
        std::thread::scope(|scope| {
            for _ in 0..self.workers {
                scope.spawn(|| while blocks.work(self.watch(), &mut || self.dice.one_in(self.len)) {});
            }
        });
        blocks.result()
    }

    async fn breathe(&self) {
        self.breaths.fetch_add(1, Ordering::Relaxed);
        if self.dice.one_in(3) {
            pause().await;
        }
    }

    fn watch(&self) -> &dyn Watch {
        &*self.watch
    }
}

/// What an executor of many threads asks of a task.
fn drive<T: Send>(task: impl Future<Output = T> + Send) -> T {
    let mut task = pin!(task);
    loop {
        if let Poll::Ready(made) = task.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return made;
        }
    }
}

type Made = Result<(Table<'static>, Report), Failure>;

fn plain(made: Result<Created, Failure>) -> Made {
    made.map(|created| (created.table, created.report))
}

fn make(set: &KeySet, values: Option<&Values>, options: &Options, engine: &Slices) -> Made {
    plain(drive(create_on(set, values, options, engine)))
}

fn sets() -> impl Strategy<Value = KeySet> {
    let integers = |words: Vec<u64>, key_type| {
        KeySet::integers(key_type, words, Order::Sorted).expect("the keys differ, and are narrow enough")
    };
    let strided = (1u64..1 << 20, 1u64..64, 1u64..3000).prop_map(move |(start, stride, count)| {
        integers((0..count).map(|i| start + i * stride).collect(), KeyType::U32)
    });
    let random = proptest::collection::btree_set(any::<u64>(), 1..800)
        .prop_map(move |words| integers(words.into_iter().collect(), KeyType::U64));
    let texts = proptest::collection::btree_set("[a-z]{0,12}", 1..300).prop_map(|texts| {
        KeySet::texts(KeyType::Str, Texts::new(texts), Order::Sorted).expect("the strings differ")
    });
    prop_oneof![strided, random, texts]
}

/// Options, and whether the keys have values.
fn options() -> impl Strategy<Value = (Options, bool)> {
    let kinds = prop_oneof![
        Just((Kind::Auto, None)),
        Just((Kind::Halves, None)),
        Just((Kind::Displace, None)),
        Just((Kind::Retrieval, None)),
        Just((Kind::Chm, Some(Function::Classic(Classic::MultiplyShiftRX)))),
        Just((Kind::Chm, Some(Function::Classic(Classic::Jenkins)))),
    ];
    let foreign = prop_oneof![
        Just(Foreign::Unchecked),
        Just(Foreign::Exact),
        (1u32..=32).prop_map(|bits| Foreign::Fingerprint { bits })
    ];
    let predicates = prop_oneof![Just("HighestScore"), Just("LowestNumberOfUsedPages"), Just("HighestSlope")];
    let rules = (predicates, proptest::option::of(1u64..4), proptest::option::of(1u64..4)).prop_map(
        |(name, bests, equals)| {
            let predicate = Predicate::from_name(name).expect("there is such a predicate");
            BestOf {
                rules: Rules { predicate, bests, target: None, equals },
                keys_min: 20,
                subset: Vec::new(),
            }
        },
    );
    let attempts = proptest::option::of(prop_oneof![1u64..5, 20u64..200]);
    (kinds, foreign, proptest::option::weighted(0.3, rules), attempts, any::<[bool; 3]>()).prop_map(
        |((kind, function), foreign, best, attempts, [ordered, in_place, has_values])| {
            let attempts = if best.is_some() { attempts.or(Some(150)) } else { attempts };
            let options = Options {
                kind,
                function,
                foreign,
                best,
                attempts,
                ordered,
                in_place,
                attempts_per_size: 300,
                ..Options::default()
            };
            (options, has_values)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn slices_and_workers_change_nothing(
        set in sets(), (options, has_values) in options(), seed in any::<u32>(), len in 1u64..100,
        alone in 0usize..6, workers in 1usize..5,
    ) {
        let values: Vec<u64> = (0..set.len() as u64).map(|i| i * i % 1000).collect();
        let values = has_values.then(|| Values::integers(&values));
        let whole = plain(create(&set, values.as_ref(), &options, &Alone));
        for alone in [alone, usize::MAX] {
            let sliced = make(&set, values.as_ref(), &options, &Slices::new(seed, len, alone, workers));
            prop_assert_eq!(&sliced, &whole);
        }
    }

    #[test]
    fn a_watch_that_stops_leaves_what_it_leaves_of_a_whole_search(
        set in sets(), (options, _) in options(), seed in any::<u32>(), len in 1u64..100, budget in 0u64..60,
    ) {
        let options = Options { in_place: false, ..options };
        let whole = plain(create(&set, None, &options, &Budget::new(budget, true)));
        let mut slices = Slices::new(seed, len, usize::MAX, 0);
        slices.watch = Box::new(Budget::new(budget, true));
        prop_assert_eq!(make(&set, None, &options, &slices), whole);
    }
}

/// Stops after so many attempts, and abandons the table too, or not.
struct Budget {
    left: AtomicU64,
    abandons: bool,
}

impl Budget {
    fn new(attempts: u64, abandons: bool) -> Budget {
        Budget { left: AtomicU64::new(attempts), abandons }
    }
}

impl Watch for Budget {
    fn stopped(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    fn abandoned(&self) -> bool {
        self.abandons && self.stopped()
    }

    fn tried(&self, attempts: u64) {
        let take = |left: u64| Some(left.saturating_sub(attempts));
        let _ = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
    }
}

#[test]
fn work_on_many_keys_gives_way_often() {
    let words = (0..300_000u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
    let set = KeySet::integers(KeyType::U64, words, Order::Sorted).expect("the keys differ");
    for kind in [Kind::Displace, Kind::Retrieval] {
        let options = Options { kind, foreign: Foreign::Exact, ..Options::default() };
        let slices = Slices::new(1, 1, usize::MAX, 0);
        let made = make(&set, None, &options, &slices);
        // Cells, keys by index, and the check of all: a breath for each 10,000 of them at least.
        let breaths = slices.breaths.into_inner();
        assert!(breaths > 3 * 30, "{kind:?}: {breaths}");
        assert!(made == plain(create(&set, None, &options, &Alone)), "{kind:?}");
    }
}

#[test]
fn a_table_is_abandoned_at_any_breath() {
    /// Is abandoned when it is asked for that time after the search.
    struct After(AtomicU64);
    impl Watch for After {
        fn stopped(&self) -> bool {
            false
        }
        fn abandoned(&self) -> bool {
            self.0.fetch_sub(1, Ordering::Relaxed) == 1
        }
    }
    let set = KeySet::u32s(&(0..20_000).map(|i| i * 48).collect::<Vec<_>>()).expect("the keys differ");
    let values = Values::integers(&vec![7; 20_000]);
    for kind in [Kind::Halves, Kind::Displace, Kind::Retrieval] {
        let options = Options { kind, foreign: Foreign::Fingerprint { bits: 9 }, ..Options::default() };
        let mut stops = 0;
        loop {
            let mut slices = Slices::new(1, 100, usize::MAX, 0);
            slices.watch = Box::new(After(AtomicU64::new(stops + 1)));
            match make(&set, Some(&values), &options, &slices) {
                Ok(_) => break,
                Err(Failure::Stopped(report)) => assert!(report.tally().solved == 1 && stops < 100),
                Err(other) => panic!("{kind:?}: {other}"),
            }
            stops += 1;
        }
        // Three parts of the set in each of: cells, fingerprints, values, check.
        assert!(stops >= 12, "{kind:?}: {stops}");
    }
}
