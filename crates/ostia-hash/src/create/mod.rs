//! From a key set to a verified table.

mod assemble;
mod engine;
mod solve;

use alloc::{format, string::String, sync::Arc, vec::Vec};
use core::{
    fmt,
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

pub use engine::Engine;

use self::{
    assemble::Assembly,
    engine::{Breaths, Here},
    solve::Solver,
};
use crate::{
    best::{Improvement, Rules},
    function::{
        classic::{Classic, RngSpec},
        family::Multipliers,
    },
    keys::{KeySet, KeyType},
    kind::chm::Graph,
    plan::{Function, Kind, Plan, Step, Wanted, What, plan},
    search::{Ended, Tally, Watch},
    squeeze::Squeeze,
    table::{Foreign, Mismatch, Table, Values},
};

/// What is asked of a table.
#[derive(Clone, Debug)]
pub struct Options {
    /// The kind.
    pub kind: Kind,
    /// The hash function; `None` leaves it to the plan.
    pub function: Option<Function>,
    /// True when an index must be a position in the set; false when any slot of its own will do.
    pub ordered: bool,
    /// What the table says of foreign keys.
    pub foreign: Foreign,
    /// True when the cells must hold the values.
    pub in_place: bool,
    /// Attempts in all; `None` leaves it to the plan's limits.
    pub attempts: Option<u64>,
    /// Threads that search. The table is the same for any number.
    pub threads: usize,
    /// Where attempts take their seeds from.
    pub rng: RngSpec,
    /// Seeds that are given. For a classic function those that are not 0 take the place of the drawn ones;
    /// for a family they are the two multipliers, and there is one attempt.
    pub seeds: Vec<u64>,
    /// How often a classic table is doubled before the first attempt.
    pub initial_resizes: u32,
    /// How often a classic table may be doubled when attempts run out.
    pub resizes: u32,
    /// Keep the number of edges when a classic table is doubled.
    pub clamp_edges: bool,
    /// Attempts of a classic function for each size.
    pub attempts_per_size: u64,
    /// How a classic table's entries are found once its graph has no cycle.
    pub graph: Graph,
    /// Look for the best of many tables, not for the first one.
    pub best: Option<BestOf>,
}

/// What the best of many tables is, and when to stop looking for it. For chm and halves tables.
#[derive(Clone, PartialEq, Debug)]
pub struct BestOf {
    /// What is better, and what ends the search.
    pub rules: Rules,
    /// Smaller sets get the first table: there is nothing to gain.
    pub keys_min: usize,
    /// Keys whose places are counted apart, in the width of the key type; empty for none.
    pub subset: Vec<u64>,
}

/// Attempts of a search for the best table when no number is given: it must end.
pub const BEST_ATTEMPTS: u64 = 10_000;

impl Default for Options {
    fn default() -> Self {
        Options {
            kind: Kind::Auto,
            function: None,
            ordered: true,
            foreign: Foreign::Unchecked,
            in_place: false,
            attempts: None,
            threads: 1,
            rng: RngSpec::default(),
            seeds: Vec::new(),
            initial_resizes: 0,
            resizes: 5,
            clamp_edges: false,
            // The predecessor's is 2^32: days. A function that has not solved a set by now will not.
            attempts_per_size: 1_000_000,
            graph: Graph::default(),
            best: None,
        }
    }
}

/// One step of the plan, and what became of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Tried {
    /// The step.
    pub step: Step,
    /// Its attempts.
    pub tally: Tally,
    /// How it ended.
    pub ended: Ended,
}

/// How a table came about.
#[derive(Clone, PartialEq, Debug)]
pub struct Report {
    /// Why the plan is what it is.
    pub why: String,
    /// The steps that were tried, the successful one last.
    pub tried: Vec<Tried>,
    /// Each table that was the best for a time, the best one last. Empty when the first table was taken.
    pub bests: Vec<Improvement>,
}

impl Report {
    /// All attempts of all steps.
    pub fn tally(&self) -> Tally {
        self.tried.iter().fold(Tally::default(), |mut all, tried| {
            all.add(tried.tally);
            all
        })
    }
}

/// A verified table, and how it came about.
#[derive(Clone, Debug)]
pub struct Created {
    /// The table.
    pub table: Table<'static>,
    /// How it came about.
    pub report: Report,
}

/// Why there is no table.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Failure {
    /// What is asked contradicts itself.
    Options(String),
    /// The function that is asked for can never solve this set.
    Impossible {
        /// The function.
        function: Classic,
        /// The position of the key that makes it so.
        position: usize,
        /// That key, as a person would write it.
        key: String,
    },
    /// All attempts are used up.
    Unsolved(Report),
    /// The watch ended the search.
    Stopped(Report),
    /// The table is wrong: a defect of this library, never of the set.
    Wrong(Mismatch),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Options(what) => f.write_str(what),
            Failure::Impossible { function, position, key } => write!(
                f,
                "{} can never solve a set with the key {key} (key {position}, counted from 0): both ends of \
                 its edge are the same vertex under every seed; choose another function, or auto",
                function.name()
            ),
            Failure::Unsolved(report) => {
                let tally = report.tally();
                write!(
                    f,
                    "not solved in {} attempts ({} collisions, {} cycles); allow more attempts, another \
                     function, or auto",
                    tally.attempts(),
                    tally.collisions,
                    tally.cycles
                )
            }
            Failure::Stopped(report) => write!(f, "stopped after {} attempts", report.tally().attempts()),
            Failure::Wrong(mismatch) => {
                write!(f, "the table is wrong, which is a defect of Ostia: {mismatch}")
            }
        }
    }
}

impl core::error::Error for Failure {}

/// Makes a table for a set, and values for its keys by index, if there are any.
///
/// Every key of the finished table has been looked up before this returns.
///
/// # Errors
/// See [`Failure`].
pub fn create(
    set: &KeySet,
    values: Option<&Values>,
    options: &Options,
    watch: &dyn Watch,
) -> Result<Created, Failure> {
    let here = Here { threads: options.threads, watch };
    match pin!(create_on(set, values, options, &here)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(made) => made,
        Poll::Pending => unreachable!("what it waits for is always ready"),
    }
}

/// As [`create`], by an engine: it says where attempts are made, on how many threads ([`Options::threads`] is not
/// looked at), and when to let others go first. The result is the same by any engine.
///
/// What is not attempts gives way after each few thousand keys. An attempt itself is one piece: with a hundred thousand
/// keys it takes several milliseconds.
///
/// # Errors
/// See [`Failure`].
///
/// # Cancel safety
/// Nothing is left of it when it is dropped.
pub async fn create_on<E: Engine>(
    set: &KeySet,
    values: Option<&Values>,
    options: &Options,
    engine: &E,
) -> Result<Created, Failure> {
    check_options(set, values, options)?;
    let squeeze = squeeze(set);
    engine.breathe().await;
    let words: Arc<[u64]> = set.words().iter().map(|&w| squeeze.apply(w)).collect();
    let plan = plan(&wanted(set, squeeze, options)).map_err(Failure::Options)?;
    let steps = possible(set, &words, plan.steps)?;
    let solver = Solver { options, squeeze, words: &words, engine };
    let mut report = Report { why: plan.why, tried: Vec::new(), bests: Vec::new() };
    let mut left = options.attempts.unwrap_or(u64::MAX);
    for step in steps {
        engine.breathe().await;
        let limit = match (fixed(options), solver.best()) {
            (Some(_), _) => left.min(1),
            (None, None) => step.limit.min(left),
            (None, Some(_)) => options.attempts.map_or(BEST_ATTEMPTS, |_| left),
        };
        let sought = solver.step(&step, limit, &mut report.bests).await?;
        let (ended, tally, what) = (sought.ended, sought.tally, step.what);
        report.tried.push(Tried { step, tally, ended });
        left -= tally.attempts();
        match (ended, sought.found) {
            // A search for the best table that was stopped has one all the same.
            (_, Some((attempt, solution))) => {
                // With the search a stopped watch has had its say, if it is the search that was stopped.
                let breaths = Breaths { engine, heeds: ended != Ended::Stopped };
                let assembly = Assembly { set, values, options, squeeze, words: &words, breaths };
                let Some(table) = assembly.table(&what, solution, attempt).await else {
                    return Err(Failure::Stopped(report));
                };
                return match assembly.verify(&table).await {
                    Some(Ok(())) => Ok(Created { table, report }),
                    Some(Err(mismatch)) => Err(Failure::Wrong(mismatch)),
                    None => Err(Failure::Stopped(report)),
                };
            }
            (Ended::Stopped, None) => return Err(Failure::Stopped(report)),
            (Ended::Exhausted | Ended::Done, None) if left == 0 || fixed(options).is_some() => break,
            (Ended::Exhausted | Ended::Done, None) => {}
        }
    }
    Err(Failure::Unsolved(report))
}

/// The plan that [`create`] would follow: for `--dry-run`.
///
/// # Errors
/// As [`create`], for what can be known beforehand.
pub fn preview(set: &KeySet, values: Option<&Values>, options: &Options) -> Result<Plan, Failure> {
    check_options(set, values, options)?;
    plan(&wanted(set, squeeze(set), options)).map_err(Failure::Options)
}

fn squeeze(set: &KeySet) -> Squeeze {
    match set.key_type() {
        KeyType::U64 | KeyType::I64 => Squeeze::for_words(set.words()),
        _ => Squeeze::None,
    }
}

fn wanted(set: &KeySet, squeeze: Squeeze, options: &Options) -> Wanted {
    Wanted {
        count: set.len() as u32,
        bits: if squeeze == Squeeze::None { set.key_type().bits() } else { 32 },
        kind: options.kind,
        function: options.function,
        ordered: options.ordered,
        in_place: options.in_place,
        best: options.best.is_some(),
        initial_resizes: options.initial_resizes,
        resizes: options.resizes,
        clamp_edges: options.clamp_edges,
        attempts_per_size: options.attempts_per_size,
    }
}

fn check_options(set: &KeySet, values: Option<&Values>, options: &Options) -> Result<(), Failure> {
    let refuse = |what: String| Err(Failure::Options(what));
    if let Some(values) = values
        && values.len() != set.len()
    {
        return refuse(format!("there are {} values for {} keys", values.len(), set.len()));
    }
    if let Some(best) = &options.best {
        let property = best.rules.predicate.property;
        if property.needs_subset() && best.subset.is_empty() {
            return refuse(format!("{} is about a subset of the keys: give one", best.rules.predicate));
        }
        if property.needs_traversal() && options.graph != Graph::Traversed {
            return refuse(format!(
                "{} is counted by a traversal: ask for a traversed graph",
                best.rules.predicate
            ));
        }
        let mut members = if best.subset.is_empty() { Vec::new() } else { set.words().to_vec() };
        members.sort_unstable();
        if let Some(word) = best.subset.iter().find(|word| members.binary_search(word).is_err()) {
            let key = set.key_type().value(*word);
            return refuse(format!("the subset's key {key} is not in the set"));
        }
    }
    match (options.in_place, options.foreign, values) {
        (true, _, None) => return refuse("values in place need values".into()),
        (true, Foreign::Exact, _) => {
            return refuse("values in place cannot be exact: no key is stored; use a fingerprint".into());
        }
        (true, ..) if options.best.is_some() => {
            return refuse(
                "the best of many is looked for among chm and halves tables, which hold no values".into(),
            );
        }
        (_, Foreign::Fingerprint { bits }, _) if !(1..=32).contains(&bits) => {
            return refuse(format!("a fingerprint has 1 to 32 bits, not {bits}"));
        }
        _ => {}
    }
    Ok(())
}

/// The multipliers that are given, for a family.
fn fixed(options: &Options) -> Option<Multipliers> {
    match (options.function, options.kind, options.seeds.as_slice()) {
        (_, _, []) | (_, Kind::Chm, _) | (Some(Function::Classic(_)), ..) => None,
        (_, _, seeds) => Some([seeds[0], seeds.get(1).copied().unwrap_or(1)]),
    }
}

/// Takes out the steps whose function can never solve the set; refuses the set when that is all of them.
fn possible(set: &KeySet, words: &[u64], steps: Vec<Step>) -> Result<Vec<Step>, Failure> {
    let mut impossible = None;
    let mut left = steps;
    left.retain(|step| {
        let What::Chm { function, .. } = step.what else { return true };
        let Some(key) = function.unsolvable_key() else { return true };
        match words.iter().position(|&w| w == u64::from(key)) {
            Some(position) => {
                impossible = Some((function, position));
                false
            }
            None => true,
        }
    });
    match impossible {
        Some((function, position)) if left.is_empty() => {
            Err(Failure::Impossible { function, position, key: format!("{}", set.display(position)) })
        }
        _ => Ok(left),
    }
}
