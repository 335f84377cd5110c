//! `ostia bench`: lookups of member keys in random order, beside a hash map and a binary search.
//!
//! This measures the library's lookup, which decides at run time what kind of table it has; generated code
//! knows that when it is compiled and is faster. Each `create` writes a benchmark of that beside the code.

use std::{collections::HashMap, hint::black_box, io::Write, time::Instant};

use ostia_forge::set;
use ostia_hash::{
    philox::Philox,
    table::{Key, Table},
};
use serde_json::json;

use super::{table, table_bytes};
use crate::{args::Bench, exit::Ended};

/// Lookups of one round.
const QUERIES: usize = 1 << 20;

/// Runs the command.
pub(crate) fn run(args: &Bench) -> Result<(), Ended> {
    let bytes = table_bytes(&args.table)?;
    let table = table(&args.table, &bytes)?;
    let words = words(args, &table)?;
    if !table.has_index() {
        return Err(Ended::failed(format_args!(
            "{}: the table has values in place and no index to measure",
            args.table.display()
        )));
    }
    let order = random_positions(words.len());
    let queries: Vec<u64> = order.iter().map(|&i| words[i]).collect();
    let lookup = table.unchecked();
    let map: HashMap<u64, u32> = words.iter().zip(0..).map(|(&w, i)| (w, i)).collect();
    let mut sorted = words.clone();
    sorted.sort_unstable();

    // The rounds of all three take turns, so that what else runs on this machine hits them alike.
    let mut rounds = [const { Vec::new() }; 3];
    for _ in 0..args.rounds {
        rounds[0].push(round(&queries, |word| lookup.index(Key::Word(word))));
        rounds[1].push(round(&queries, |word| map[&word]));
        rounds[2].push(round(&queries, |word| sorted.binary_search(&word).unwrap_or(0) as u32));
    }
    let names = ["ostia (library)", "std HashMap", "binary search"];
    let mut out = std::io::stdout().lock();
    let mut told = Vec::new();
    for (name, mut times) in names.into_iter().zip(rounds) {
        times.sort_by(f64::total_cmp);
        let (best, median) = (times[0], times[times.len() / 2]);
        told.push(json!({"what": name, "best_ns": best, "median_ns": median}));
        if !args.json {
            writeln!(
                out,
                "{name:<16} {best:7.2} ns a lookup at best, {median:7.2} in the median of {}",
                args.rounds
            )?;
        }
    }
    if args.json {
        writeln!(
            out,
            "{}",
            json!({"keys": words.len(), "queries": QUERIES, "rounds": args.rounds, "results": told})
        )?;
    }
    Ok(())
}

/// Nanoseconds a lookup. Each waits for the one before, as the next query depends on its answer.
fn round(queries: &[u64], find: impl Fn(u64) -> u32) -> f64 {
    // The compiler is not told that it is 0, and so must wait for each answer before the next question.
    let zero = black_box(0u32);
    let begun = Instant::now();
    let mut last = 0;
    let mut at = 0;
    for _ in 0..QUERIES {
        let word = queries[at] ^ u64::from(last & zero);
        last = find(word);
        at += 1;
        if at == queries.len() {
            at = 0;
        }
    }
    black_box(last);
    begun.elapsed().as_secs_f64() * 1e9 / QUERIES as f64
}

/// The words of the members: from the set that is named, or from the table itself.
fn words(args: &Bench, table: &Table<'_>) -> Result<Vec<u64>, Ended> {
    if let Some(path) = &args.keys {
        let mut spec = args.input.spec();
        spec.order = table.head().order;
        spec.key_type = spec.key_type.or(Some(table.head().key_type));
        let set = set::load(path, Some("set"), &spec).map_err(Ended::failed)?;
        table.verify(&set.keys, None).map_err(|why| {
            let (table, keys) = (args.table.display(), path.display());
            Ended::failed(format_args!("{table}: the table does not belong to {keys}: {why}"))
        })?;
        return Ok(set.keys.words().to_vec());
    }
    let Some(keys) = &table.lanes().keys else {
        return Err(Ended::Usage(
            "this table does not keep its keys: name the key set it was made of".into(),
        ));
    };
    // Places of nobody repeat a member.
    let mut words: Vec<u64> = keys.words().collect();
    words.sort_unstable();
    words.dedup();
    Ok(words)
}

/// Positions in an order that no prefetcher guesses.
fn random_positions(count: usize) -> Vec<usize> {
    let mut stream = Philox::new(1, 1, 0);
    let mut positions: Vec<usize> = (0..count).collect();
    for i in (1..count).rev() {
        let j = (u64::from(stream.word()) * (i as u64 + 1)) >> 32;
        positions.swap(i, j as usize);
    }
    positions
}
