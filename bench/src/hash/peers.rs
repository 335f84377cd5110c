//! The peers: published crates, each with the settings its documentation recommends for integer keys.

use std::collections::HashMap;

use hashbrown::DefaultHashBuilder;
use ptr_hash::{
    DefaultPtrHash, FastPtrHash, PtrHashParams,
    hash::{FastIntHash, StrongerIntHash},
};
use rustc_hash::FxBuildHasher;

use super::lookup::{Answers, Methods};

/// Adds every peer, built for these sorted keys.
pub(crate) fn all(keys: &[u32], to: &mut Methods) {
    functions(keys, to);
    maps(keys, to);
}

/// Perfect hash functions: a slot for each member, and one for any other key.
fn functions(keys: &[u32], to: &mut Methods) {
    let wide: Vec<u64> = keys.iter().map(|&key| key.into()).collect();
    // The default hash fails on some sets; then this method is left out of that comparison.
    match FastPtrHash::<FastIntHash>::try_new(&wide, PtrHashParams::default_fast()) {
        Some(function) => {
            let lookup = move |key: u32| function.index(&u64::from(key)) as u32;
            to.peer("ptr_hash, fast, not minimal", false, Answers::Slots, None, lookup);
        }
        None => eprintln!("ptr_hash, fast: its default hash cannot solve this set"),
    }
    match DefaultPtrHash::<FastIntHash>::try_new(&wide, PtrHashParams::default_fast()) {
        Some(function) => {
            let lookup = move |key: u32| function.index(&u64::from(key)) as u32;
            to.peer("ptr_hash, minimal", false, Answers::Slots, None, lookup);
        }
        None => eprintln!("ptr_hash, minimal: its default hash cannot solve this set"),
    }
    if let Some(function) = FastPtrHash::<StrongerIntHash>::try_new(&wide, PtrHashParams::default_fast()) {
        let lookup = move |key: u32| function.index(&u64::from(key)) as u32;
        to.peer("ptr_hash, StrongerIntHash, not minimal", false, Answers::Slots, None, lookup);
    }
    let phast = ph::phast::Function::from_slice_st(keys);
    to.peer("ph, PHast", false, Answers::Slots, None, move |key| phast.get(&key) as u32);
    let fmph = ph::fmph::Function::from(keys);
    to.peer("ph, FMPH", false, Answers::Slots, None, move |key| fmph.get_or_panic(&key) as u32);
    // As its generated code would be: a raw map, which keeps no keys.
    let made = quickphf_codegen::phf::generate_phf(keys);
    let values: Vec<u32> = made.map.clone();
    let bytes = 2 * made.pilots_table.len() + 4 * (values.len() + made.free.len());
    let map = quickphf::RawPhfMap::<u32, u32>::new(
        made.seed,
        made.pilots_table.leak(),
        values.leak(),
        made.free.leak(),
    );
    to.peer("quickphf, raw map", false, Answers::Positions, Some(bytes), move |key| *map.get(&key));
}

/// Maps that hold the keys: they tell foreign ones from members.
fn maps(keys: &[u32], to: &mut Methods) {
    const NONE: u32 = u32::MAX;
    let pairs = || keys.iter().copied().zip(0..);
    let made = phf_generator::generate_hash(keys);
    let entries: Vec<(u32, u32)> = made.map.iter().map(|&at| (keys[at], at as u32)).collect();
    let bytes = 8 * (entries.len() + made.disps.len());
    let phf = phf::Map { key: made.key, disps: made.disps.leak(), entries: entries.leak() };
    to.peer("phf", true, Answers::Positions, Some(bytes), move |key| phf.get(&key).copied().unwrap_or(NONE));

    let mut map = hashbrown::HashMap::<u32, u32, _>::with_hasher(DefaultHashBuilder::default());
    map.extend(pairs());
    let bytes = map.allocation_size();
    let lookup = move |key| map.get(&key).copied().unwrap_or(NONE);
    to.peer("hashbrown, foldhash", true, Answers::Positions, Some(bytes), lookup);

    let mut map = hashbrown::HashMap::<u32, u32, _>::with_hasher(FxBuildHasher);
    map.extend(pairs());
    let bytes = map.allocation_size();
    let lookup = move |key| map.get(&key).copied().unwrap_or(NONE);
    to.peer("hashbrown, rustc-hash", true, Answers::Positions, Some(bytes), lookup);

    let map: HashMap<u32, u32> = pairs().collect();
    let lookup = move |key| map.get(&key).copied().unwrap_or(NONE);
    to.peer("std HashMap", true, Answers::Positions, None, lookup);

    let sorted = keys.to_vec();
    let bytes = 4 * sorted.len();
    let lookup = move |key| sorted.binary_search(&key).map_or(NONE, |at| at as u32);
    to.peer("binary search", true, Answers::Positions, Some(bytes), lookup);
}
