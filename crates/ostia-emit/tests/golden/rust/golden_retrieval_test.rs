// golden_retrieval: self-test. `rustc --edition 2021 -O golden_retrieval_test.rs && ./golden_retrieval_test`

#[path = "golden_retrieval.rs"]
mod golden_retrieval;
#[path = "golden_retrieval_keys.rs"]
mod keys;

/// Asks the table for every key, and ends the program when an answer is wrong.
pub fn main() {
    for at in 0..keys::ASKED {
        let key = keys::key(at);
        let passes = keys::passes(at) != 0;
        assert!(passes || at >= keys::MEMBERS, "key {at}: the table refuses a member");
        assert_eq!(golden_retrieval::contains(key), passes, "key {at} ({key:?}): membership");
        let index = passes.then(|| keys::index(at));
        assert_eq!(golden_retrieval::index(key), index, "key {at} ({key:?}): index");
        assert!(keys::index(at) < golden_retrieval::RANGE, "key {at} ({key:?}): index out of range");
    }
    assert!(keys::MEMBERS <= golden_retrieval::COUNT as usize);

    // No two keys share an index.
    let mut taken: Vec<u32> = (0..keys::MEMBERS).map(keys::index).collect();
    taken.sort_unstable();
    taken.dedup();
    assert_eq!(taken.len(), keys::MEMBERS, "two keys share an index");
    println!("golden_retrieval: {} of {} keys, {} foreign: ok", keys::MEMBERS, golden_retrieval::COUNT, keys::ASKED - keys::MEMBERS);
}
