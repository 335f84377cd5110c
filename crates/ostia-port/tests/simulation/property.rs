//! The port keeps its promises in every program of chance.
//!
//! `OSTIA_SEED=17` runs that one program; `OSTIA_SEEDS=100000` runs so many; `OSTIA_SEED_FIRST` says where they begin.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

use crate::program::run;

/// How many programs run unless told otherwise.
const SEEDS: u64 = if cfg!(miri) { 1 } else { 1000 };
const STEPS: usize = if cfg!(miri) { 40 } else { 500 };

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is {value:?}, and should be a number")))
}

#[test]
fn every_operation_ends_once_whatever_the_seed() {
    let one = number("OSTIA_SEED");
    let first = one.or_else(|| number("OSTIA_SEED_FIRST")).unwrap_or(0);
    let count = if one.is_some() { 1 } else { number("OSTIA_SEEDS").unwrap_or(SEEDS) };
    let mut seen = BTreeMap::new();
    for seed in first..first + count {
        match catch_unwind(AssertUnwindSafe(|| run(seed, STEPS))) {
            Ok(run) => run.seen.into_iter().for_each(|(what, times)| *seen.entry(what).or_insert(0) += times),
            Err(panic) => {
                eprintln!("seed {seed} breaks a promise; this runs it alone:");
                eprintln!(
                    "  OSTIA_SEED={seed} cargo test -p ostia-port --test simulation every_operation_ends_once"
                );
                resume_unwind(panic);
            }
        }
    }
    if count >= 1000 {
        covered(&seen);
    }
}

/// A program that never comes to something does not show that it would go well.
fn covered(seen: &BTreeMap<(&str, &str), usize>) {
    let streams = ["send", "send vectored", "receive", "receive vectored", "receive managed"];
    let datagrams = ["send to", "send to vectored", "receive from", "receive from vectored"];
    let files =
        ["open", "read", "read vectored", "write", "write vectored", "set size", "flush", "metadata of file"];
    let names = ["create", "create dir", "remove dir", "list dir", "rename", "remove", "metadata"];
    let others = ["nop", "timer", "connect", "accept", "accept many", "receive managed many"];
    let operations = [&streams[..], &datagrams, &files, &names, &others].concat();
    let wanted = operations
        .iter()
        .flat_map(|what| [(*what, "ok"), (*what, "cancelled"), (*what, "refused")])
        .chain(streams.iter().flat_map(|what| [(*what, "peer gone")]))
        .chain([("accept many", "item"), ("receive managed many", "item"), ("accept", "transient")])
        .chain([("send", "transient"), ("any", "abandoned"), ("post", "refused"), ("work", "ok")]);
    for wanted in wanted {
        // AcceptMany ends well only when more connections wait than a program makes.
        if wanted != ("accept many", "ok") {
            assert!(seen.contains_key(&wanted), "no program came to {wanted:?}: {seen:#?}");
        }
    }
}

#[test]
fn one_seed_replays_one_run() {
    for seed in 0..if cfg!(miri) { 1 } else { 20 } {
        let (once, again) = (run(seed, STEPS), run(seed, STEPS));
        assert_eq!(once, again, "seed {seed}");
    }
    assert_ne!(run(1, STEPS).trace, run(2, STEPS).trace);
}
