// golden_halves: self-test. `rustc --edition 2021 -O golden_halves_test.rs && ./golden_halves_test`

#[path = "golden_halves.rs"]
mod golden_halves;
#[path = "golden_halves_keys.rs"]
mod keys;

/// Asks the table for every key, and ends the program when an answer is wrong.
pub fn main() {
    for at in 0..keys::ASKED {
        let key = keys::key(at);
        assert_eq!(golden_halves::index(key), keys::index(at), "key {at} ({key:?}): index");
        assert!(keys::index(at) < golden_halves::RANGE, "key {at} ({key:?}): index out of range");
    }
    assert!(keys::MEMBERS <= golden_halves::COUNT as usize);

    let asked: Vec<u32> = (0..keys::ASKED).map(keys::key).collect();
    let mut found = vec![0; asked.len()];
    golden_halves::index_batch(&asked, &mut found);
    for (at, &index) in found.iter().enumerate() {
        assert_eq!(index, keys::index(at), "key {at}: index in a batch");
    }

    // No two keys share an index.
    let mut taken: Vec<u32> = (0..keys::MEMBERS).map(keys::index).collect();
    taken.sort_unstable();
    taken.dedup();
    assert_eq!(taken.len(), keys::MEMBERS, "two keys share an index");
    println!("golden_halves: {} of {} keys, {} foreign: ok", keys::MEMBERS, golden_halves::COUNT, keys::ASKED - keys::MEMBERS);
}
