//! Every kind of table over every size and shape of set: each key finds its own.

use ostia_hash::{
    create::{Created, Failure, Options, create},
    function::classic::Classic,
    keys::{KeySet, KeyType, Order, Texts},
    plan::{Function, Kind},
    search::Alone,
    table::{Foreign, Shape, Value, Values},
};
use proptest::prelude::*;

fn make(set: &KeySet, values: Option<&Values>, options: &Options) -> Created {
    create(set, values, options, &Alone).unwrap_or_else(|failure| panic!("{} keys: {failure}", set.len()))
}

/// The ways to ask for a table that a set of any type can be given.
fn ways() -> Vec<Options> {
    let mut ways = vec![Options::default()];
    for kind in [Kind::Halves, Kind::Displace, Kind::Retrieval] {
        for ordered in [true, false] {
            for foreign in [Foreign::Unchecked, Foreign::Fingerprint { bits: 11 }, Foreign::Exact] {
                ways.push(Options { kind, ordered, foreign, ..Options::default() });
            }
        }
    }
    ways
}

fn shapes(count: usize) -> Vec<(&'static str, Vec<u64>)> {
    let n = count as u64;
    vec![
        ("dense from 0", (0..n).collect()),
        ("dense to the maximum", (0..n).map(|i| u64::from(u32::MAX) - i).collect()),
        ("strided", (0..n).map(|i| 0x7FF0_0000 + 16 * i).collect()),
        ("scattered", (0..n).map(|i| (i * 0x9E37_79B1) & 0xFFFF_FFFF).collect()),
        (
            "0 and the maximum",
            (0..n).map(|i| if i + 1 == n { u64::from(u32::MAX) } else { i * 24 }).collect(),
        ),
    ]
}

#[test]
fn small_sets_and_powers_of_two_work_in_every_way() {
    let counts = (1..=9).chain([15, 16, 17, 63, 64, 65, 127, 128, 129, 255, 256, 257, 1023, 1024, 1025]);
    for count in counts {
        for (shape, words) in shapes(count) {
            for key_type in [KeyType::U32, KeyType::U64, KeyType::I32] {
                let set = KeySet::integers(key_type, words.clone(), Order::Sorted)
                    .unwrap_or_else(|e| panic!("{shape} {count}: {e}"));
                for options in ways() {
                    make(&set, None, &options);
                }
            }
        }
    }
}

#[test]
fn a_table_that_is_too_small_is_doubled_until_it_solves() {
    // As many edges as half the vertices, to the last one: at that size hardly any graph is free of cycles.
    let words = (1..=1024).map(|i: u64| (i * 0x9E37_79B1) & 0xFFFF_FFFF).collect();
    let set = KeySet::integers(KeyType::U32, words, Order::Sorted).expect("the keys differ");
    let options = Options {
        kind: Kind::Chm,
        function: Some(Function::Classic(Classic::Mulshrolate4RX)),
        attempts_per_size: 1,
        ..Options::default()
    };
    let created = make(&set, None, &options);
    let Shape::Chm { vertices, .. } = created.table.head().shape else { panic!("another kind was made") };
    assert!(vertices > 11, "2^{vertices} vertices");
    let never = Options { resizes: 0, ..options };
    assert!(create(&set, None, &never, &Alone).is_err());
}

#[test]
fn larger_powers_of_two_work() {
    for count in [4095, 4096, 4097, 32_767, 32_768, 32_769, 65_536, 65_537, 131_072] {
        for (_, words) in shapes(count) {
            let set = KeySet::integers(KeyType::U32, words, Order::Sorted).unwrap();
            for kind in [Kind::Auto, Kind::Halves, Kind::Displace, Kind::Retrieval] {
                make(&set, None, &Options { kind, ..Options::default() });
            }
        }
    }
}

#[test]
fn every_integer_type_may_be_full_or_hold_its_ends() {
    for key_type in [KeyType::U8, KeyType::I8] {
        let set = KeySet::integers(key_type, (0..256).collect(), Order::Sorted).unwrap();
        for options in ways() {
            make(&set, None, &options);
        }
    }
    for key_type in KeyType::ALL.into_iter().filter(|t| !t.is_text()) {
        let ends = vec![0, 1, key_type.mask() >> 1, (key_type.mask() >> 1) + 1, key_type.mask()];
        let set = KeySet::integers(key_type, ends, Order::Sorted).unwrap();
        for options in ways() {
            let created = make(&set, None, &options);
            assert_eq!(created.table.head().key_type, key_type);
        }
    }
}

#[test]
fn strings_work_in_every_way() {
    let words = (0..700).map(|i| match i % 3 {
        0 => format!("key/{i}"),
        1 => format!("ключ {i}"),
        _ => "x".repeat(i),
    });
    for texts in [Texts::new([""]), Texts::new(["", "a"]), Texts::new(words)] {
        let set = KeySet::texts(KeyType::Str, texts.clone(), Order::Sorted).unwrap();
        for options in ways() {
            let created = make(&set, None, &options);
            if options.foreign == Foreign::Exact {
                let checked = created.table.checked().unwrap();
                assert!(!checked.contains("not a member"));
                // The empty string must not equal what fills the places of nobody.
                assert_eq!(checked.contains(""), texts.get(0).is_empty());
                assert_eq!(checked.index("not a member"), None);
            }
        }
    }
}

#[test]
fn input_order_is_kept_when_asked() {
    let set = KeySet::integers(KeyType::U32, vec![30, 10, 20], Order::Input).unwrap();
    let created = make(&set, None, &Options::default());
    let lookup = created.table.unchecked();
    assert_eq!([30u32, 10, 20].map(|k| lookup.index(k)), [0, 1, 2]);
}

#[test]
fn values_are_found_by_index_and_in_place() {
    let words: Vec<u64> = (0..3000u64).map(|i| i * 48 + 5).collect();
    let set = KeySet::integers(KeyType::U32, words.clone(), Order::Sorted).unwrap();
    let numbers: Vec<u64> = words.iter().map(|w| w.wrapping_mul(0x1234_5678_9ABC_DEF1)).collect();
    let records: Vec<u8> = words.iter().flat_map(|w| [*w as u8, 2, (*w >> 8) as u8]).collect();
    let all = [
        Values::integers_of(1, &numbers),
        Values::integers_of(2, &numbers),
        Values::integers_of(4, &numbers),
        Values::integers_of(8, &numbers),
        Values::records(3, records.clone()).unwrap(),
    ];
    for values in &all {
        for options in ways() {
            let created = make(&set, Some(values), &options);
            let got = created.table.unchecked().value(5u32 + 48 * 7).unwrap();
            match got {
                Value::Integer(number) => assert_eq!(number, values.lane().word(7)),
                Value::Record(bytes) => assert_eq!(bytes, &records[21..24]),
            }
        }
        for foreign in [Foreign::Unchecked, Foreign::Fingerprint { bits: 9 }] {
            let options = Options { in_place: true, foreign, ..Options::default() };
            let created = make(&set, Some(values), &options);
            assert!(!created.table.has_index());
        }
        let exact = Options { in_place: true, foreign: Foreign::Exact, ..Options::default() };
        assert!(matches!(create(&set, Some(values), &exact, &Alone), Err(Failure::Options(_))));
    }
}

#[test]
fn foreign_keys_pass_as_often_as_stated_and_never_when_exact() {
    let words: Vec<u64> = (0..5000u64).map(|i| 0x40_0000 + i * 16).collect();
    let set = KeySet::integers(KeyType::U32, words.clone(), Order::Sorted).unwrap();
    let values = Values::integers(&words);
    let asked = 200_000u64;
    let strangers = || (0..asked).map(|i| (0x40_0008 + i * 16) as u32);
    for in_place in [false, true] {
        for kind in [Kind::Halves, Kind::Displace, Kind::Retrieval] {
            if in_place && kind != Kind::Retrieval {
                continue;
            }
            for bits in [1, 4, 8] {
                let foreign = Foreign::Fingerprint { bits };
                let options = Options { kind, foreign, in_place, ordered: false, ..Options::default() };
                let created = make(&set, in_place.then_some(&values), &options);
                let checked = created.table.checked().unwrap();
                let passed = strangers().filter(|&k| checked.contains(k)).count() as f64;
                let expected = asked as f64 / f64::from(1 << bits);
                let spread = 6.0 * expected.sqrt();
                assert!((passed - expected).abs() < spread, "{kind:?} {bits}: {passed} for {expected}");
            }
        }
    }
    for options in ways().into_iter().filter(|o| o.foreign == Foreign::Exact) {
        let created = make(&set, None, &options);
        assert!(strangers().all(|k| !created.table.checked().unwrap().contains(k)));
    }
}

#[test]
fn a_foreign_key_never_reaches_past_the_end() {
    let set = KeySet::u32s(&[1, 2, 3, 5, 8, 13, 21]).unwrap();
    let values = Values::integers(&[1, 2, 3, 4, 5, 6, 7]);
    for options in ways() {
        let created = make(&set, Some(&values), &options);
        for key in 0..20_000u32 {
            let key = key.wrapping_mul(0x9E37_79B1);
            assert!(created.table.unchecked().index(key) < created.table.range());
            created.table.unchecked().value(key).unwrap();
        }
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    // Just below a power of two, so that it takes several attempts.
    let words: Vec<u64> = (0..8100u64).map(|i| i * 16 + 0x1000_0000).collect();
    let set = KeySet::integers(KeyType::U32, words, Order::Sorted).unwrap();
    for kind in [Kind::Auto, Kind::Halves, Kind::Displace, Kind::Retrieval] {
        let alone = make(&set, None, &Options { kind, ..Options::default() });
        for threads in [2, 8] {
            let many = make(&set, None, &Options { kind, threads, ..Options::default() });
            assert_eq!(many.table, alone.table);
            assert_eq!(many.report, alone.report);
        }
    }
}

#[test]
fn seeds_that_are_given_replay_a_table_in_one_attempt() {
    let set = KeySet::u32s(&(0..900).map(|i| i * 32).collect::<Vec<_>>()).unwrap();
    for kind in [Kind::Halves, Kind::Displace, Kind::Retrieval] {
        let found = make(&set, None, &Options { kind, ..Options::default() });
        let seeds = match found.table.head().shape {
            ostia_hash::table::Shape::Halves { multipliers, .. }
            | ostia_hash::table::Shape::Displace { multipliers, .. }
            | ostia_hash::table::Shape::Retrieval { multipliers, .. } => multipliers.to_vec(),
            ostia_hash::table::Shape::Chm { .. } => unreachable!("not asked for"),
        };
        let again = make(&set, None, &Options { kind, seeds, ..Options::default() });
        assert_eq!(again.table.lanes().marks, found.table.lanes().marks);
        assert_eq!(again.report.tally().attempts(), 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_set_of_words_works_in_every_way(
        mut words in prop::collection::vec(any::<u64>(), 1..400), squeeze in 0u32..64, seed in any::<u64>(),
    ) {
        for word in &mut words {
            *word = (*word >> squeeze).rotate_left(seed as u32);
        }
        words.sort_unstable();
        words.dedup();
        let set = KeySet::integers(KeyType::U64, words, Order::Sorted).unwrap();
        for options in ways() {
            make(&set, None, &options);
        }
    }
}

#[test]
fn many_keys_at_once_find_what_each_finds_alone() {
    use ostia_hash::{plan::Function, simd::Level};

    // Counts that leave blocks and vectors unfinished, and lanes shorter than a vector's load.
    for count in [1usize, 2, 3, 7, 100, 300, 5000, 70_000] {
        let words: Vec<u64> = (0..count as u64).map(|i| i * 16 + 7).collect();
        let set = KeySet::integers(KeyType::U32, words.clone(), Order::Sorted).unwrap();
        let strangers = (0..1000u64).map(|i| (i * 0x9E37_79B1) & 0xFFFF_FFFF);
        let asked: Vec<u32> = words.iter().copied().chain(strangers).map(|w| w as u32).collect();
        let named = ["fold", "fold-pair", "xor", "mix", "multiply", "MultiplyShiftR2", "Mulshrolate4RX"];
        let forced = named.map(|n| Options { function: Function::from_name(n), ..Options::default() });
        for options in ways().into_iter().chain(forced) {
            let Ok(created) = create(&set, None, &options, &Alone) else {
                assert!(options.function.is_some(), "only a forced function may not serve");
                continue;
            };
            let lookup = created.table.unchecked();
            let alone: Vec<u32> = asked.iter().map(|&k| lookup.index(k)).collect();
            for level in Level::available() {
                let mut together = vec![0; asked.len()];
                lookup.indexes_at(level, &asked, &mut together);
                assert_eq!(together, alone, "{count} keys, {level:?}");
            }
        }
    }
}

#[test]
fn many_wide_keys_at_once_are_squeezed_alike() {
    use ostia_hash::simd::Level;

    for bits in [0x0000_FFFF_0000_0000u64, 0x0F0F_0F0F_0000_000F, u64::MAX] {
        let words = (0..3000u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15) & bits);
        let words: Vec<u64> = words.collect::<std::collections::BTreeSet<_>>().into_iter().collect();
        let set = KeySet::integers(KeyType::U64, words.clone(), Order::Sorted).unwrap();
        for options in ways() {
            let created = make(&set, None, &options);
            let lookup = created.table.unchecked();
            for level in Level::available() {
                let mut together = vec![0; words.len()];
                lookup.indexes_at(level, &words, &mut together);
                assert!(words.iter().zip(&together).all(|(&w, &i)| lookup.index(w) == i), "{level:?}");
            }
        }
    }
}

#[test]
fn no_attempt_is_made_when_none_is_allowed_even_with_given_seeds() {
    let set = KeySet::u32s(&[1, 2, 3]).unwrap();
    let options = Options { attempts: Some(0), seeds: vec![3, 5], ..Options::default() };
    match create(&set, None, &options, &Alone) {
        Err(Failure::Unsolved(report)) => assert_eq!(report.tally().attempts(), 0),
        other => panic!("{other:?}"),
    }
}
