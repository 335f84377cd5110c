//! Tables: whatever is read must answer any question without a panic.
//!
//! A changed byte would end at the checksum, so length and checksum are made right first: what lies behind
//! them is the target. Bytes that do not even begin like a table are given a whole one's beginning.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use ostia_emit::file::{read, sealed, write};
use ostia_hash::{
    create::{Options, create},
    keys::{KeySet, KeyType, Order, Texts},
    plan::Kind,
    search::Alone,
    table::{Foreign, Values},
};

/// Small tables of every kind, for the fuzzer to change.
static TABLES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let numbers = KeySet::u32s(&[1, 2, 3, 5, 8, 13, 21, 34]);
    let texts = KeySet::texts(KeyType::Str, Texts::new(["", "a", "bc"]), Order::Sorted);
    let mut tables = Vec::new();
    for set in [numbers, texts].map(|set| set.expect("the sets are good")) {
        let values = Values::integers(&(0..set.len() as u64).collect::<Vec<_>>());
        for kind in [Kind::Halves, Kind::Displace, Kind::Retrieval] {
            for foreign in [Foreign::Unchecked, Foreign::Fingerprint { bits: 9 }, Foreign::Exact] {
                let options = Options { kind, foreign, ..Options::default() };
                let created = create(&set, Some(&values), &options, &Alone).expect("it is solved");
                tables.push(write(&created.table));
            }
        }
    }
    tables
});

fuzz_target!(|data: &[u8]| {
    let [which, data @ ..] = data else { return };
    // Pairs of a place and a byte to put there; with an even choice the data stand alone.
    let mut bytes = data.to_vec();
    if which % 2 == 1 {
        bytes.clone_from(&TABLES[usize::from(*which / 2) % TABLES.len()]);
        for change in data.as_chunks::<3>().0 {
            let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % bytes.len();
            bytes[at] = change[2];
        }
    }
    let _ = read(&bytes);
    let bytes = sealed(bytes);
    let Ok(table) = read(&bytes) else { return };
    for key in [0u64, 1, 3, 0xFFFF_FFFF, u64::MAX] {
        if table.has_index() {
            assert!(table.unchecked().index(key) < table.range());
        }
        table.unchecked().value(key);
        if let Some(checked) = table.checked() {
            checked.contains(key);
            checked.contains("bc");
        }
    }
    if table.has_index() {
        let keys = [7u32; 20];
        table.unchecked().indexes(&keys, &mut [0; 20]);
    }
});
