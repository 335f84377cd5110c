// golden_displace: self-test. `rustc --edition 2021 -O golden_displace_test.rs && ./golden_displace_test`

#[path = "golden_displace.rs"]
mod golden_displace;
#[path = "golden_displace_keys.rs"]
mod keys;

/// Asks the table for every key, and ends the program when an answer is wrong.
pub fn main() {
    for at in 0..keys::ASKED {
        let key = keys::key(at);
        let passes = keys::passes(at) != 0;
        assert!(passes || at >= keys::MEMBERS, "key {at}: the table refuses a member");
        assert_eq!(golden_displace::contains(key), passes, "key {at} ({key:?}): membership");
        let index = passes.then(|| keys::index(at));
        assert_eq!(golden_displace::index(key), index, "key {at} ({key:?}): index");
        let value = passes.then(|| keys::value(at));
        assert_eq!(golden_displace::value(key), value, "key {at} ({key:?}): value");
        assert!(keys::index(at) < golden_displace::RANGE, "key {at} ({key:?}): index out of range");
    }
    assert!(keys::MEMBERS <= golden_displace::COUNT as usize);

    let asked: Vec<i16> = (0..keys::ASKED).map(keys::key).collect();
    let mut found = vec![0; asked.len()];
    golden_displace::index_batch(&asked, &mut found);
    for (at, &index) in found.iter().enumerate() {
        let expected = if keys::passes(at) != 0 { keys::index(at) } else { golden_displace::FOREIGN };
        assert_eq!(index, expected, "key {at}: index in a batch");
    }

    // No two keys share an index.
    let mut taken: Vec<u32> = (0..keys::MEMBERS).map(keys::index).collect();
    taken.sort_unstable();
    taken.dedup();
    assert_eq!(taken.len(), keys::MEMBERS, "two keys share an index");
    println!("golden_displace: {} of {} keys, {} foreign: ok", keys::MEMBERS, golden_displace::COUNT, keys::ASKED - keys::MEMBERS);
}
