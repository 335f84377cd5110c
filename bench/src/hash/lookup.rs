//! Lookups: all methods in turns, latency and throughput apart.
//!
//! Latency: which key is asked for depends on the answer before, by an `and` and an `xor` (the empty method
//! shows what these cost). Throughput: queries that do not wait for each other. Queries are members in random
//! order, at least 32,768 of them, so that no predictor learns them by heart. Each method walks through
//! all of them once to fetch its memory back into the caches, and is timed the second time.

use std::{hint::black_box, time::Duration};

use ostia_hash::{
    create::{Options, create},
    keys::KeySet,
    philox::Philox,
    search::Alone,
};
use serde_json::{Value, json};

use super::{
    generated, peers,
    sets::{self, Named},
};
use crate::{
    gate::{Gates, Limit},
    measure::{Rounds, thread_cpu},
};

/// The queries of a round are at least so many.
const QUERIES: usize = 1 << 15;

/// What a method's answers are worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answers {
    /// Each key has a slot of its own.
    Slots,
    /// The position of the key in the sorted set.
    Positions,
    /// Nothing: it is there to measure the harness.
    Empty,
}

/// A way to look keys up.
pub(crate) struct Method {
    pub(crate) name: String,
    ours: bool,
    /// It tells foreign keys from members.
    pub(crate) exact: bool,
    answers: Answers,
    bytes: Option<usize>,
    latency: fn(&Method, &[u32], u32) -> u32,
    throughput: fn(&Method, &[u32]) -> u32,
    all: fn(&Method, &[u32]) -> Vec<u32>,
    lookup: Box<dyn std::any::Any>,
    latencies: Rounds,
    throughputs: Rounds,
}

impl std::fmt::Debug for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Method").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What is measured of a method, by name.
type Figure = (&'static str, fn(&Method) -> &Rounds);

const FIGURES: [Figure; 2] = [("latency", |m| &m.latencies), ("throughput", |m| &m.throughputs)];

/// Where methods are collected.
#[derive(Debug, Default)]
pub(crate) struct Methods(Vec<Method>);

/// Takes generated lookups.
pub(crate) trait Take {
    fn take<F: Fn(u32) -> u32 + 'static>(&mut self, variant: &str, about: &str, bytes: usize, lookup: F);
}

impl Take for Methods {
    fn take<F: Fn(u32) -> u32 + 'static>(&mut self, variant: &str, about: &str, bytes: usize, lookup: F) {
        let answers = if variant.starts_with("ordered") { Answers::Positions } else { Answers::Slots };
        let exact = variant == "exact";
        self.put(format!("ours, {variant} ({about})"), true, exact, answers, Some(bytes), lookup);
    }
}

impl Methods {
    /// Adds a peer; `bytes` where it tells.
    pub(crate) fn peer<F: Fn(u32) -> u32 + 'static>(
        &mut self,
        name: &str,
        exact: bool,
        answers: Answers,
        bytes: Option<usize>,
        lookup: F,
    ) {
        self.put(name.to_owned(), false, exact, answers, bytes, lookup);
    }

    fn put<F: Fn(u32) -> u32 + 'static>(
        &mut self,
        name: String,
        ours: bool,
        exact: bool,
        answers: Answers,
        bytes: Option<usize>,
        lookup: F,
    ) {
        fn of<F: 'static>(method: &Method) -> &F {
            method.lookup.downcast_ref().expect("a method holds the lookup its functions were made for")
        }
        self.0.push(Method {
            name,
            ours,
            exact,
            answers,
            bytes,
            latency: |method, queries, zero| latency(of::<F>(method), queries, zero),
            throughput: |method, queries| throughput(of::<F>(method), queries),
            all: |method, keys| keys.iter().map(|&key| of::<F>(method)(key)).collect(),
            lookup: Box::new(lookup),
            latencies: Rounds::default(),
            throughputs: Rounds::default(),
        });
    }
}

/// `zero` is 0, which the compiler must not know.
#[inline(never)]
fn latency(lookup: &impl Fn(u32) -> u32, queries: &[u32], zero: u32) -> u32 {
    queries.iter().fold(0, |last, &key| lookup(key ^ (last & zero)))
}

#[inline(never)]
fn throughput(lookup: &impl Fn(u32) -> u32, queries: &[u32]) -> u32 {
    queries.iter().fold(0, |sum, &key| sum.wrapping_add(lookup(key)))
}

/// Compares all methods on all sets; gates go to `gates`.
pub(crate) fn compare(rounds: usize, gates: &mut Gates) -> Result<Value, String> {
    let sets = sets::for_lookups();
    if !sets.iter().any(|set| set.name == sets::HOLOGRAM) {
        eprintln!("SKIPPED lookups of {}: OSTIA_KEYS is not set", sets::HOLOGRAM);
    }
    // The gates are about this one; without it the random set of as many keys stands in.
    let judged = sets.last().filter(|s| s.name == sets::HOLOGRAM).map_or("random-29251", |s| &s.name);
    sets.iter().map(|set| one_set(set, rounds, set.name == judged, gates)).collect()
}

fn one_set(set: &Named, rounds: usize, judged: bool, gates: &mut Gates) -> Result<Value, String> {
    let mut methods = Methods::default();
    methods.put("(empty: the harness)".into(), true, false, Answers::Empty, None, |key| key);
    generated::tables(&set.name, &mut methods);
    if methods.0.len() == 1 {
        eprintln!("SKIPPED generated code of {}: OSTIA_KEYS was not set when this was built", set.name);
    }
    library(set, &mut methods)?;
    peers::all(&set.keys, &mut methods);
    let mut methods = methods.0;
    for method in &methods {
        check(method, &set.keys)?;
    }

    let queries = queries(&set.keys);
    let zero = black_box(0);
    let each = |taken: Duration| taken.as_secs_f64() * 1e9 / queries.len() as f64;
    for _ in 0..rounds {
        for method in &mut methods {
            black_box((method.latency)(method, &queries, zero));
            let begun = thread_cpu();
            black_box((method.latency)(method, &queries, zero));
            let taken = each(thread_cpu() - begun);
            method.latencies.push(taken);

            black_box((method.throughput)(method, &queries));
            let begun = thread_cpu();
            black_box((method.throughput)(method, &queries));
            let taken = each(thread_cpu() - begun);
            method.throughputs.push(taken);
        }
    }
    print(set, &methods);
    judge(set, &methods, judged, gates);
    Ok(json!({
        "set": set.name,
        "keys": set.keys.len(),
        "methods": methods.iter().map(|m| json!({
            "name": m.name,
            "ours": m.ours,
            "exact": m.exact,
            "bytes": m.bytes,
            "latency_ns": m.latencies.json(),
            "throughput_ns": m.throughputs.json(),
        })).collect::<Vec<_>>(),
    }))
}

/// The library's own lookup, which finds out at run time what kind of table it has.
fn library(set: &Named, methods: &mut Methods) -> Result<(), String> {
    let keys = KeySet::u32s(&set.keys).map_err(|error| format!("{}: {error}", set.name))?;
    for (name, ordered) in [("unordered", false), ("ordered", true)] {
        let options = Options { ordered, ..Options::default() };
        let created =
            create(&keys, None, &options, &Alone).map_err(|failure| format!("{}: {failure}", set.name))?;
        let table = created.table;
        let bytes = table.bytes();
        let answers = if ordered { Answers::Positions } else { Answers::Slots };
        methods.put(format!("ours, library, {name}"), true, false, answers, Some(bytes), move |key| {
            table.unchecked().index(key)
        });
    }
    Ok(())
}

/// A comparison with a method that answers wrong would be worth nothing.
fn check(method: &Method, keys: &[u32]) -> Result<(), String> {
    let mut answers = (method.all)(method, keys);
    let right = match method.answers {
        Answers::Empty => true,
        Answers::Positions => answers.iter().zip(0..).all(|(&answer, position)| answer == position),
        Answers::Slots => {
            answers.sort_unstable();
            answers.dedup();
            answers.len() == keys.len()
        }
    };
    if right { Ok(()) } else { Err(format!("{} does not answer right", method.name)) }
}

/// The set over and over, each time in another order.
fn queries(keys: &[u32]) -> Vec<u32> {
    let mut stream = Philox::new(0x0571_A001, 0, 0);
    let mut queries = Vec::new();
    while queries.len() < QUERIES {
        let mut once = keys.to_vec();
        for last in (1..once.len()).rev() {
            let other = (u64::from(stream.word()) * (last as u64 + 1)) >> 32;
            once.swap(last, other as usize);
        }
        queries.extend(once);
    }
    queries
}

fn print(set: &Named, methods: &[Method]) {
    let ours = methods.iter().find(|m| m.name.starts_with("ours, unordered"));
    println!("\nLookups, {} ({} keys), ns of CPU time a key", set.name, set.keys.len());
    println!(
        "{:44} {:>9} | {:>6} {:>6} {:>13} {:>6} | {:>6} {:>6} {:>13} {:>6}",
        "", "bytes", "lat", "median", "p10 - p90", "ratio", "thr", "median", "p10 - p90", "ratio"
    );
    for method in methods {
        let bytes = method.bytes.map_or_else(String::new, |b| b.to_string());
        let cells = FIGURES.map(|(_, of)| {
            let rounds = of(method);
            let ratio = match ours {
                Some(ours) if method.answers != Answers::Empty => {
                    format!("{:6.2}", rounds.over(of(ours)).median())
                }
                _ => String::new(),
            };
            let spread = format!("{:.2} - {:.2}", rounds.quantile(0.1), rounds.quantile(0.9));
            format!("{:6.2} {:6.2} {spread:>13} {ratio:>6}", rounds.least(), rounds.median())
        });
        println!("{:44} {bytes:>9} | {} | {}", method.name, cells[0], cells[1]);
    }
}

fn judge(set: &Named, methods: &[Method], judged: bool, gates: &mut Gates) {
    let generated = |variant: &str| {
        let start = format!("ours, {variant}");
        methods.iter().find(|m| m.name.starts_with(&start))
    };
    let (Some(unordered), Some(ordered), Some(exact)) =
        (generated("unordered ("), generated("ordered ("), generated("exact ("))
    else {
        return;
    };
    let name = &set.name;
    if judged {
        let mut native = |what: &str, rounds: &Rounds, limit: f64, goal: Option<f64>| {
            gates.native(format!("{what}, {name}, ns"), rounds, Limit::AtMost(limit), goal);
        };
        native("lookup latency unordered", &unordered.latencies, 3.3, None);
        native("lookup throughput unordered", &unordered.throughputs, 0.36, None);
        native("lookup latency ordered auto", &ordered.latencies, 6.2, Some(5.0));
        native("lookup throughput ordered auto", &ordered.throughputs, 0.67, None);
    }
    // Each peer against the table of ours that promises as much: hash maps know foreign keys. For the
    // order-preserving table there is no peer; how it stands against the others is in the figures.
    for (what, of) in FIGURES {
        for (ours, exact) in [(unordered, false), (exact, true)] {
            let peers = methods.iter().filter(|m| !m.ours && m.exact == exact);
            let best = peers.min_by(|a, b| of(a).median().total_cmp(&of(b).median()));
            let Some(best) = best else { continue };
            let kind = if exact { "exact" } else { "unordered" };
            gates.all(
                format!("{kind} {what} of the best peer over ours, {name} ({})", best.name),
                &of(best).over(of(ours)),
                Limit::AtLeast(1.0),
                None,
            );
        }
    }
}
