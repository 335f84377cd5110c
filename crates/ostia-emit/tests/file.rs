//! The `.ostia` file: what is written is read back, and nothing else is.

use std::sync::LazyLock;

use ostia_emit::file::{FileError, read, sealed, write};
use ostia_hash::{
    create::{Options, create},
    keys::{KeySet, KeyType, Order, Texts},
    plan::{Function, Kind},
    search::Alone,
    table::{Foreign, Table, Values},
};
use proptest::prelude::*;

static TABLES: LazyLock<Vec<Table<'static>>> = LazyLock::new(tables);

fn tables() -> Vec<Table<'static>> {
    let numbers = |key_type| KeySet::integers(key_type, (0..100).map(|i| i * 2 + 1).collect(), Order::Sorted);
    let texts = KeySet::texts(KeyType::Str, Texts::new((0..100).map(|i| format!("k{i}"))), Order::Input);
    let wide = (0..100u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
    let sets = [
        numbers(KeyType::U8),
        numbers(KeyType::I64),
        KeySet::integers(KeyType::U64, wide, Order::Sorted),
        texts,
        KeySet::texts(KeyType::Bytes, Texts::new([""]), Order::Sorted),
    ];
    let mut tables = Vec::new();
    for set in sets.map(|set| set.expect("the sets are good")) {
        let numbers = Values::integers(&(0..set.len() as u64).map(|i| i * 999).collect::<Vec<_>>());
        let records = Values::records(5, (0..5 * set.len()).map(|i| i as u8).collect());
        for kind in [Kind::Chm, Kind::Halves, Kind::Displace, Kind::Retrieval] {
            if kind == Kind::Chm && set.key_type().bits() == 64 && set.key_type() != KeyType::I64 {
                continue;
            }
            for foreign in [Foreign::Unchecked, Foreign::Fingerprint { bits: 7 }, Foreign::Exact] {
                for values in [None, Some(&numbers), records.as_ref()] {
                    for ordered in [true, false] {
                        let options = Options { kind, foreign, ordered, ..Options::default() };
                        let created = create(&set, values, &options, &Alone).expect("it is solved");
                        tables.push(created.table);
                    }
                }
            }
        }
        let options = Options { in_place: true, ..Options::default() };
        tables.push(create(&set, records.as_ref(), &options, &Alone).expect("it is solved").table);
    }
    tables
}

#[test]
fn every_kind_of_table_comes_back_the_same() {
    for table in &*TABLES {
        let bytes = write(table);
        assert_eq!(&read(&bytes).unwrap(), table);
        assert_eq!(write(&read(&bytes).unwrap()), bytes);
    }
}

#[test]
fn every_changed_byte_and_every_cut_is_noticed() {
    for table in TABLES.iter().step_by(7) {
        let bytes = write(table);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            assert!(read(&changed).is_err(), "byte {at}");
            assert!(read(&bytes[..at]).is_err(), "cut at {at}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(matches!(read(&longer), Err(FileError::Length { .. })));
    }
}

#[test]
fn another_version_is_named() {
    let mut bytes = write(&TABLES[0]);
    bytes[8] = 9;
    assert_eq!(read(&bytes).unwrap_err(), FileError::Version(9));
    assert_eq!(read(b"no table").unwrap_err(), FileError::Magic);
}

#[test]
fn a_function_may_be_any_of_the_predecessor_s() {
    let set = KeySet::u32s(&(1..40).map(|i| i * 977).collect::<Vec<_>>()).unwrap();
    let mut solved = 0;
    for &classic in ostia_hash::function::classic::Classic::ALL {
        let function = Some(Function::Classic(classic));
        let options = Options { function, attempts_per_size: 2_000, ..Options::default() };
        let Ok(created) = create(&set, None, &options, &Alone) else { continue };
        assert_eq!(read(&write(&created.table)).unwrap(), created.table);
        solved += 1;
    }
    assert!(solved > 30, "only {solved} functions solved an easy set");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn whatever_is_read_can_be_asked_anything(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        in_header in any::<bool>(),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = write(&TABLES[which.index(TABLES.len())]);
        for (at, byte) in changes {
            let end = if in_header { bytes.len().min(400) } else { bytes.len() };
            bytes[32 + at.index(end - 32)] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(192 + cut.index(bytes.len() - 191));
        }
        if let Ok(table) = read(&sealed(bytes)) {
            for key in [0u32, 1, 3, u32::MAX, 0x1234_5678] {
                if table.has_index() {
                    prop_assert!(table.unchecked().index(key) < table.range());
                }
                table.unchecked().value("k1");
                if let Some(checked) = table.checked() {
                    checked.contains(key);
                    checked.contains("k7");
                }
            }
        }
    }
}
