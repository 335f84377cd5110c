//! From a key set to a verified table.

use alloc::{format, string::String, vec::Vec};
use core::fmt;

use crate::{
    best::{self, Improvement, Rules},
    coverage::{Coverage, Subset},
    function::{
        classic::{Classic, RngSpec},
        family::Multipliers,
    },
    graph::dfs::Counts,
    keys::{KeySet, KeyType, Texts},
    kind::{
        chm::{ChmProblem, Graph, Refused, Sizes},
        contracted::{self, ContractedProblem},
        displace::DisplaceProblem,
        halves::{Assigned, HalvesProblem},
        retrieval::{Peeled, RetrievalProblem},
    },
    lane::Lane,
    plan::{Function, Kind, Plan, Step, Wanted, What, plan},
    search::{Alone, Attempt, Ended, Problem, Tally, Verdict, Watch, run},
    squeeze::Squeeze,
    table::{
        Foreign, Head, Lanes, Mismatch, Provenance, Shape, Table, Values, displace_fields, fingerprint,
        index_range,
        verify::{self, Halt},
    },
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
    check_options(set, values, options)?;
    let squeeze = squeeze(set);
    let words: Vec<u64> = set.words().iter().map(|&w| squeeze.apply(w)).collect();
    let plan = plan(&wanted(set, squeeze, options)).map_err(Failure::Options)?;
    let steps = possible(set, &words, plan.steps)?;
    let maker = Maker { set, values, options, squeeze, words: &words, watch };
    let mut report = Report { why: plan.why, tried: Vec::new(), bests: Vec::new() };
    let mut left = options.attempts.unwrap_or(u64::MAX);
    for step in steps {
        let limit = match (fixed(options), maker.best()) {
            (Some(_), _) => left.min(1),
            (None, None) => step.limit.min(left),
            (None, Some(_)) => options.attempts.map_or(BEST_ATTEMPTS, |_| left),
        };
        let (ended, tally, found) = maker.step(&step, limit, &mut report.bests)?;
        report.tried.push(Tried { step, tally, ended });
        left -= tally.attempts();
        match (ended, found) {
            // A search for the best table that was stopped has one all the same.
            (_, Some((shape, arrays, attempt))) => {
                // With the search a stopped watch has had its say, if it is the search that was stopped.
                let abandoned = || ended != Ended::Stopped && watch.abandoned();
                let Some(table) = maker.table(shape, arrays, attempt, &abandoned) else {
                    return Err(Failure::Stopped(report));
                };
                match verify::table(&table, set, values, &abandoned) {
                    Ok(()) => {}
                    Err(Halt::Wrong(mismatch)) => return Err(Failure::Wrong(mismatch)),
                    Err(Halt::Abandoned) => return Err(Failure::Stopped(report)),
                }
                return Ok(Created { table, report });
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

/// The arrays that only the search knows.
struct Arrays {
    cells: Lane<'static>,
    /// For a displace table, the slot of each key.
    slots: Option<Vec<u32>>,
    marks: Option<Lane<'static>>,
}

struct Maker<'a> {
    set: &'a KeySet,
    values: Option<&'a Values>,
    options: &'a Options,
    squeeze: Squeeze,
    words: &'a [u64],
    watch: &'a dyn Watch,
}

/// How a search ended, its attempts, and the solution with its attempt number.
type Sought<F> = (Ended, Tally, Option<(u64, F)>);

/// How a step ended, its attempts, and what the search left behind with its attempt number.
type StepEnd = (Ended, Tally, Option<(Shape, Arrays, u64)>);

impl Maker<'_> {
    /// What the best table is, if it is looked for.
    fn best(&self) -> Option<&BestOf> {
        self.options.best.as_ref().filter(|best| self.words.len() >= best.keys_min)
    }

    /// The first solution of a problem within so many attempts.
    fn first<P: Problem>(&self, problem: &P, limit: u64) -> Sought<P::Found> {
        let mut first = None;
        let (ended, tally) =
            run(problem, 1..=limit, self.options.threads, self.watch, &mut |number, found, _| {
                first = Some((number, found));
                Verdict::Done
            });
        (ended, tally, first)
    }

    /// The solution that is wanted of a graph: the first, or the best. `parts` are the entries of a solution,
    /// the bytes of each, and the two places of a word.
    fn graph<P: Problem>(
        &self,
        problem: &P,
        limit: u64,
        bests: &mut Vec<Improvement>,
        bytes: usize,
        entries: impl Fn(&P::Found) -> (&[u32], Option<Counts>) + Sync,
        places: impl Fn(&P::Found, u64) -> (u32, u32) + Sync,
    ) -> Sought<P::Found> {
        let Some(best) = self.best() else { return self.first(problem, limit) };
        let subset: Vec<u64> = best.subset.iter().map(|&word| self.squeeze.apply(word)).collect();
        let measure = |found: &P::Found| {
            let (entries, traversal) = entries(found);
            let subset = (!subset.is_empty()).then(|| {
                Subset::measure(subset.iter().map(|&word| places(found, word)), entries.len(), bytes)
            });
            Coverage { traversal, subset, ..Coverage::measure(entries, bytes) }
        };
        let (ended, tally, found) =
            best::search(problem, measure, best.rules, 1..=limit, self.options.threads, self.watch);
        bests.extend_from_slice(found.improvements());
        // The watch may have ended the search; the attempt that is made again is one that was whole.
        let again = found.best().and_then(|best| {
            match problem.attempt(best.attempt, &mut problem.scratch(), &Alone) {
                Attempt::Solved(found) => Some((best.attempt, found)),
                Attempt::Collision | Attempt::Cycle | Attempt::Stopped => None,
            }
        });
        (ended, tally, again)
    }

    fn step(&self, step: &Step, limit: u64, bests: &mut Vec<Improvement>) -> Result<StepEnd, Failure> {
        let (words, rng, fixed) = (self.words, self.options.rng, fixed(self.options));
        Ok(match step.what {
            What::Chm { function, vertices, index_bits } => {
                let keys: Vec<u32> = words.iter().map(|&w| w as u32).collect();
                let sizes = Sizes { edges: 1 << index_bits, vertices: 1 << vertices };
                let refuse = |refused: Refused| Failure::Options(format!("{refused}"));
                let forced = self.options.seeds.iter().map(|&s| s as u32).collect();
                let problem = ChmProblem::new(&keys, function, sizes)
                    .and_then(|problem| problem.with_seeds(forced))
                    .map_err(refuse)?
                    .with_rng(rng)
                    .with_graph(self.options.graph);
                // When every seed is given all attempts are one. A seed that is drawn has five bits or more, so
                // eight attempts that are alike by chance are one set in 2^35.
                let given = (2..=8).all(|number| problem.seeds(number) == problem.seeds(1));
                let limit = if given { limit.min(1) } else { limit };
                let bytes = sizes.solving_bytes(words.len(), self.options.graph);
                let (ended, tally, found) = self.graph(
                    &problem,
                    limit,
                    bests,
                    bytes,
                    |found| (&found.entries, found.counts),
                    |found, word| problem.vertices(&found.seeds, word as u32),
                );
                let found = found.map(|(number, found)| {
                    let width = Lane::width_below(1 << index_bits);
                    let cells = Lane::from_words(found.entries.into_iter().map(u64::from), width);
                    let shape = Shape::Chm { function, seeds: found.seeds, vertices, index_bits };
                    (shape, Arrays { cells, slots: None, marks: None }, number)
                });
                (ended, tally, found)
            }
            What::Halves { family, first, second, index_bits } => {
                let width = Lane::width_below(1 << index_bits);
                let places = |multipliers, word| {
                    let (a, b) = family.places(multipliers, first, second, word);
                    (a, (1 << first) + b)
                };
                let bytes = width as usize;
                let places = |found: &Assigned, word| places(found.multipliers, word);
                let (ended, tally, found) = if fixed.is_none() && contracted::serves(family, first, second) {
                    let keys: Vec<u32> = words.iter().map(|&w| w as u32).collect();
                    let problem = ContractedProblem { words: &keys, first, second, rng, with_entries: true };
                    self.graph(&problem, limit, bests, bytes, |found| (&found.entries, None), places)
                } else {
                    let problem = HalvesProblem { words, rng, fixed, family, first, second, index_bits };
                    self.graph(&problem, limit, bests, bytes, |found| (&found.entries, None), places)
                };
                let found = found.map(|(number, Assigned { multipliers, entries })| {
                    let cells = Lane::from_words(entries.into_iter().map(u64::from), width);
                    let shape = Shape::Halves { family, multipliers, first, second, index_bits };
                    (shape, Arrays { cells, slots: None, marks: None }, number)
                });
                (ended, tally, found)
            }
            What::Displace { mixed, buckets, slots } => {
                let problem = DisplaceProblem { words, rng, fixed, mixed, buckets, slots };
                let (ended, tally, found) = self.first(&problem, limit);
                let found = found.map(|(number, found)| {
                    let multipliers = found.multipliers;
                    let of = words.iter().map(|&word| {
                        let (bucket, field) = displace_fields(mixed, multipliers, buckets, slots, word);
                        field ^ found.displacements[bucket as usize]
                    });
                    let of = of.collect();
                    let width = Lane::width_below(1 << slots);
                    let cells = Lane::from_words(found.displacements.iter().map(|&d| u64::from(d)), width);
                    let shape = Shape::Displace { mixed, multipliers, buckets, slots };
                    (shape, Arrays { cells, slots: Some(of), marks: None }, number)
                });
                (ended, tally, found)
            }
            What::Retrieval { part } => {
                let problem = RetrievalProblem { words, rng, fixed, part };
                let (ended, tally, found) = self.first(&problem, limit);
                let found = match found {
                    // Abandoned between the search and here: the search is what was stopped.
                    Some((number, found)) => match self.retrieval(part, &found, number) {
                        Some(found) => Some(found),
                        None => return Ok((Ended::Stopped, tally, None)),
                    },
                    None => None,
                };
                (ended, tally, found)
            }
        })
    }

    /// `None` when abandoned.
    fn retrieval(&self, part: u32, peeled: &Peeled, number: u64) -> Option<(Shape, Arrays, u64)> {
        let in_place = self.options.in_place;
        let payloads = match (in_place, self.values) {
            (true, Some(values)) => values.lane().clone(),
            _ => {
                let width = Lane::width_below(u64::from(index_range(self.words.len() as u32)));
                Lane::from_words((0..self.words.len()).map(|i| i as u64), width)
            }
        };
        let lay = |lane: &Lane<'static>| {
            let width = lane.width();
            let record = |key| lane.record(key as usize);
            let cells = peeled.cells(self.words, width as usize, record, &|| self.watch.abandoned())?;
            Some(Lane::new(cells, width).expect("there are whole cells, at least one a key"))
        };
        // Fingerprints of an in-place table lie as its values do; else they are addressed by index.
        let marks = match self.options.foreign {
            Foreign::Fingerprint { bits } if in_place => Some(lay(&self.marks(bits, None))?),
            _ => None,
        };
        let shape = Shape::Retrieval { multipliers: peeled.multipliers, part, in_place };
        Some((shape, Arrays { cells: lay(&payloads)?, slots: None, marks }, number))
    }

    /// The fingerprint of each key, or of the key at each index: see [`Maker::table`].
    fn marks(&self, bits: u32, at: Option<&[u32]>) -> Lane<'static> {
        let width = Lane::width_below(1 << bits);
        let mark = |word: u64| fingerprint(word, bits);
        match at {
            None => Lane::from_words(self.set.words().iter().map(|&w| mark(w)), width),
            Some(at) => {
                let words = self.set.words();
                // Where no key has an index, 0 does as well as anything: it passes once in 2^bits.
                Lane::from_words(at.iter().map(|&i| words.get(i as usize).map_or(0, |&w| mark(w))), width)
            }
        }
    }

    /// Puts the table together. `None` when abandoned.
    fn table(
        &self,
        shape: Shape,
        arrays: Arrays,
        attempt: u64,
        abandoned: &dyn Fn() -> bool,
    ) -> Option<Table<'static>> {
        let set = self.set;
        let count = set.len();
        let options = self.options;
        let ordered = options.ordered || arrays.slots.is_none();
        let in_place = matches!(shape, Shape::Retrieval { in_place: true, .. });

        // Which key stands at each index; `count` where none does.
        let nobody = count as u32;
        let (at, ranks) = match &arrays.slots {
            Some(slots) => {
                let Shape::Displace { slots: bits, .. } = shape else {
                    unreachable!("only displace tables have slots")
                };
                let mut at = alloc::vec![nobody; 1 << bits];
                for (key, &slot) in slots.iter().enumerate() {
                    at[slot as usize] = key as u32;
                }
                let ranks = ordered.then(|| {
                    let width = Lane::width_below(u64::from(index_range(nobody)));
                    Lane::from_words(at.iter().map(|&k| if k == nobody { 0 } else { u64::from(k) }), width)
                });
                (at, ranks)
            }
            None => (Vec::new(), None),
        };
        let at = if ordered {
            let range = match shape {
                Shape::Chm { index_bits, .. } | Shape::Halves { index_bits, .. } => 1 << index_bits,
                Shape::Displace { .. } | Shape::Retrieval { .. } => index_range(nobody),
            };
            (0..range).map(|i: u32| i.min(nobody)).collect()
        } else {
            at
        };
        if abandoned() {
            return None;
        }
        // Where nobody stands a member is repeated: it equals no foreign key, and does not look there itself.
        let exact = options.foreign == Foreign::Exact;
        let keys = (exact && !set.key_type().is_text()).then(|| {
            let key = |&i: &u32| set.words()[if i == nobody { 0 } else { i as usize }];
            Lane::from_words(at.iter().map(key), set.key_type().bits() / 8)
        });
        let texts = set.as_texts().filter(|_| exact).map(|texts| {
            let shortest = (0..count).min_by_key(|&i| texts.get(i).len()).expect("a set is never empty");
            Texts::new(at.iter().map(|&i| texts.get(if i == nobody { shortest } else { i as usize })))
        });
        if abandoned() {
            return None;
        }
        let marks = match options.foreign {
            Foreign::Fingerprint { bits } if !in_place => Some(self.marks(bits, Some(&at))),
            _ => arrays.marks,
        };
        if abandoned() {
            return None;
        }
        let values = self.values.filter(|_| !in_place).map(|values| {
            let width = values.lane().width() as usize;
            let none = alloc::vec![0; width];
            let bytes: Vec<u8> = at
                .iter()
                .flat_map(|&i| if i == nobody { &none } else { values.lane().record(i as usize) })
                .copied()
                .collect();
            Lane::new(bytes, width as u32).expect("a value for each index")
        });
        let head = Head {
            key_type: set.key_type(),
            count: nobody,
            order: set.order(),
            squeeze: self.squeeze,
            text_seed: set.text_seed(),
            shape,
            foreign: options.foreign,
            values: self.values.map(Values::value_type),
            provenance: Provenance { rng: options.rng, attempt },
        };
        let lanes = Lanes {
            cells: arrays.cells,
            ranks,
            marks,
            keys,
            text_ends: texts.as_ref().map(|t| Lane::from_words(t.ends().iter().copied(), 8)),
            text_bytes: texts.as_ref().and_then(|t| Lane::new(t.bytes().to_vec(), 1)),
            values,
        };
        Some(Table::from_parts(head, lanes).expect("what the maker puts together holds together"))
    }
}
