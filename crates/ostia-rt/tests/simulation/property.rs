//! The runtime keeps its promises in every program of chance.
//!
//! `OSTIA_SEED=17` runs that one program; `OSTIA_SEEDS=100000` runs so many; `OSTIA_SEED_FIRST` says where they begin.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

use crate::program::run;

/// How many programs run unless told otherwise.
const SEEDS: u64 = 1000;

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is {value:?}, and should be a number")))
}

#[test]
fn the_promises_hold_whatever_the_seed() {
    let one = number("OSTIA_SEED");
    let first = one.or_else(|| number("OSTIA_SEED_FIRST")).unwrap_or(0);
    let count = if one.is_some() { 1 } else { number("OSTIA_SEEDS").unwrap_or(SEEDS) };
    let mut seen = BTreeMap::new();
    for seed in first..first + count {
        match catch_unwind(AssertUnwindSafe(|| run(seed))) {
            Ok(run) => run.seen.into_iter().for_each(|(what, times)| *seen.entry(what).or_insert(0) += times),
            Err(panic) => {
                eprintln!("seed {seed} breaks a promise; this runs it alone:");
                eprintln!("  OSTIA_SEED={seed} cargo test -p ostia-rt --test simulation the_promises_hold");
                resume_unwind(panic);
            }
        }
    }
    if count >= 1000 {
        covered(&seen);
    }
}

/// A program that never comes to something does not show that it would go well.
fn covered(seen: &BTreeMap<&str, usize>) {
    let wanted = [
        "accepted",
        "accept given up",
        "connected",
        "connect failed",
        "connect given up",
        "read",
        "read given up",
        "read failed",
        "end of stream",
        "written",
        "write given up",
        "write failed",
        "said the end",
        "child ended",
        "child aborted",
        "child panicked",
        "child cancelled at the end",
        "local task",
        "stolen",
        "passed on",
        "woken often",
        "offloaded",
        "pieces",
        "computed",
        "slept",
        "moved a timer",
        "file written",
        "file write given up",
        "file cut",
        "file read",
        "file read given up",
        "file removed",
        "ended by itself",
        "ended while it worked",
    ];
    for what in wanted {
        assert!(seen.contains_key(what), "no program came to {what:?}: {seen:#?}");
    }
}

#[test]
fn one_seed_replays_one_run() {
    for seed in 0..40 {
        let (once, again) = (run(seed), run(seed));
        assert_eq!(once, again, "seed {seed}");
    }
    assert_ne!(run(1).trace, run(2).trace);
}
