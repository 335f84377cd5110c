//! Load and lookup in tables small enough for Miri: it watches every read of memory that belongs to a file.

use ostia_emit::file::{read, write};
use ostia_hash::{
    create::{Options, create},
    keys::{KeySet, KeyType, Order, Texts},
    plan::Kind,
    search::Alone,
    table::{Foreign, Key, Values},
};

#[test]
fn small_tables_of_every_kind_are_loaded_and_asked() {
    // The first 9 keys give a chm table of 32 entries, and 8 keys one of 16.
    let words =
        |count: u64| KeySet::integers(KeyType::U32, (1..=count).map(|i| i * i).collect(), Order::Sorted);
    let texts = KeySet::texts(KeyType::Str, Texts::new(["", "a", "ключ", "a longer one"]), Order::Input);
    for set in [words(8), words(9), texts] {
        let set = set.expect("the keys differ");
        let values = Values::integers(&(100..100 + set.len() as u64).collect::<Vec<_>>());
        for (kind, foreign) in [
            (Kind::Chm, Foreign::Unchecked),
            (Kind::Halves, Foreign::Exact),
            (Kind::Displace, Foreign::Fingerprint { bits: 9 }),
            (Kind::Retrieval, Foreign::Exact),
        ] {
            let options = Options { kind, foreign, ..Options::default() };
            if kind == Kind::Chm && set.key_type().is_text() {
                continue;
            }
            let created = create(&set, Some(&values), &options, &Alone).expect("it is solved");
            let bytes = write(&created.table);
            let table = read(&bytes).expect("what was written is read");
            table.verify(&set, Some(&values)).expect("every key has its index and its value");
            let checked = table.checked();
            let strangers = [Key::Word(7), Key::Word(u64::MAX), Key::Text(b"another")];
            for key in strangers.into_iter().filter(|k| matches!(k, Key::Text(_)) == set.key_type().is_text())
            {
                assert!((table.unchecked().index(key) as usize) < table.range() as usize);
                let found = checked.is_some_and(|checked| checked.contains(key));
                assert!(!found || foreign != Foreign::Exact);
            }
        }
    }
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused() {
    let set = KeySet::integers(KeyType::U8, vec![3, 5, 250], Order::Sorted).expect("the keys differ");
    let table = create(&set, None, &Options::default(), &Alone).expect("it is solved").table;
    let bytes = write(&table);
    for length in 0..bytes.len() {
        assert!(read(&bytes[..length]).is_err(), "{length} of {} bytes are taken for a table", bytes.len());
    }
}
