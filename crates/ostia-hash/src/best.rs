//! The best table of many: which is better, and when to stop looking.
//!
//! [`Best`] hears of solutions in the order of their attempts, as every [`Judge`] does; so the outcome is the same for any
//! number of threads.

use alloc::{format, string::String, vec::Vec};
use core::{cmp::Ordering, fmt};

use crate::{
    coverage::{Coverage, Subset},
    graph::dfs::Counts,
    search::{Attempt, Judge, Problem, Tally, Verdict, Watch},
};

/// Sets with fewer keys than this are solved once only by the predecessor, whatever is asked.
pub const KEYS_MIN: usize = 512;

macro_rules! properties {
    ($($name:ident, $whole:literal, |$c:ident| $value:expr;)*) => {
        /// What is compared.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[expect(missing_docs, reason = "the names are the predecessor's; the table says what they are")]
        pub enum Property {
            $($name,)*
        }

        impl Property {
            /// All of them.
            pub const ALL: &[Property] = &[$(Property::$name),*];

            /// The predecessor's name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Property::$name => stringify!($name),)*
                }
            }

            /// True when it counts something, so that nothing is lower than 0.
            pub fn is_count(self) -> bool {
                match self {
                    $(Property::$name => $whole,)*
                }
            }

            /// Its value; `None` where it was not measured.
            pub fn value(self, coverage: &Coverage) -> Option<f64> {
                match self {
                    $(Property::$name => {
                        let $c = coverage;
                        $value
                    })*
                }
            }
        }
    };
}

properties! {
    NumberOfEmptyPages, true, |c| Some(c.pages.empty() as f64);
    NumberOfEmptyLargePages, true, |c| Some(c.large_pages.empty() as f64);
    NumberOfEmptyCacheLines, true, |c| Some(c.lines.empty() as f64);
    NumberOfUsedPages, true, |c| Some(c.pages.used as f64);
    NumberOfUsedLargePages, true, |c| Some(c.large_pages.used as f64);
    NumberOfUsedCacheLines, true, |c| Some(c.lines.used as f64);
    MaxGraphTraversalDepth, true, |c| c.traversal.map(|t| f64::from(t.depth_max));
    TotalGraphTraversals, true, |c| c.traversal.map(|t| f64::from(t.visits));
    NumberOfEmptyVertices, true, |c| c.traversal.map(|t| f64::from(t.empty));
    // Of an edge met once there is never a second time: see `dfs::Counts`.
    NumberOfCollisionsDuringAssignment, true, |c| c.traversal.map(|_| 0.0);
    MaxAssignedPerCacheLineCount, true, |c| Some(c.line_max as f64);
    PredictedNumberOfFilledCacheLines, false, |c| Some(c.regression.predicted);
    Slope, false, |c| Some(c.regression.slope);
    Score, true, |c| Some(c.score as f64);
    Rank, false, |c| Some(c.rank);
    MaxAssignedPerCacheLineCountForKeysSubset, true, |c| c.subset.map(|s| s.line_max as f64);
    NumberOfPagesUsedByKeysSubset, true, |c| c.subset.map(|s| s.pages_used as f64);
    NumberOfLargePagesUsedByKeysSubset, true, |c| c.subset.map(|s| s.large_pages_used as f64);
    NumberOfCacheLinesUsedByKeysSubset, true, |c| c.subset.map(|s| s.lines_used as f64);
}

impl Property {
    /// True when it is about a subset of the keys, which must then be given.
    pub fn needs_subset(self) -> bool {
        self.name().ends_with("KeysSubset")
    }

    /// True when only a traversal counts it.
    pub fn needs_traversal(self) -> bool {
        use Property::*;
        matches!(
            self,
            MaxGraphTraversalDepth
                | TotalGraphTraversals
                | NumberOfEmptyVertices
                | NumberOfCollisionsDuringAssignment
        )
    }

    /// The highest value there can be, where that ends the search.
    fn most(self, coverage: &Coverage) -> Option<f64> {
        match self {
            Property::NumberOfEmptyCacheLines => Some(coverage.lines.total as f64),
            Property::MaxAssignedPerCacheLineCount => Some((coverage.histogram.len() - 1) as f64),
            _ => None,
        }
    }
}

/// What makes one table better than another: the highest or the lowest value of a property.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Predicate {
    /// True for the highest.
    pub highest: bool,
    /// Of what.
    pub property: Property,
}

impl Predicate {
    /// All of them: the highest and the lowest of each property.
    pub fn all() -> impl Iterator<Item = Predicate> {
        Property::ALL
            .iter()
            .flat_map(|&property| [true, false].map(|highest| Predicate { highest, property }))
    }

    /// The predicate of that name, as in `HighestScore`.
    pub fn from_name(name: &str) -> Option<Predicate> {
        Predicate::all().find(|predicate| predicate.name() == name)
    }

    /// The predecessor's name.
    pub fn name(self) -> String {
        format!("{self}")
    }

    /// Whether `candidate` is better than `best` (greater), as good (equal), or not. Where a value was not
    /// measured the two count as equal.
    pub fn compare(self, candidate: &Coverage, best: &Coverage) -> Ordering {
        let towards = |a: f64, b: f64| {
            let order = a.partial_cmp(&b).unwrap_or(Ordering::Equal);
            if self.highest { order } else { order.reverse() }
        };
        let (Some(new), Some(old)) = (self.property.value(candidate), self.property.value(best)) else {
            return Ordering::Equal;
        };
        let order = towards(new, old);
        if self.property != Property::Slope {
            return order;
        }
        let (new, old) = (&candidate.regression, &best.regression);
        order
            .then_with(|| towards(new.intercept, old.intercept))
            .then_with(|| new.correlation.partial_cmp(&old.correlation).unwrap_or(Ordering::Equal))
    }

    /// True when a value is at the target, or beyond it.
    fn reaches(self, value: f64, target: f64) -> bool {
        if self.highest { value >= target } else { value <= target }
    }
}

impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.highest { "Highest" } else { "Lowest" }, self.property.name())
    }
}

/// When to stop, beside the last attempt.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rules {
    /// What is better.
    pub predicate: Predicate,
    /// After that many solutions that were each better than all before; the first counts as one. Not looked
    /// at when there is a target.
    pub bests: Option<u64>,
    /// With the first best one whose value is at the target or beyond it.
    pub target: Option<f64>,
    /// After that many solutions as good as the best.
    pub equals: Option<u64>,
}

/// A solution that was better than all before it.
#[derive(Clone, PartialEq, Debug)]
pub struct Improvement {
    /// Its attempt; the solution is made again from that.
    pub attempt: u64,
    /// Its coverage.
    pub coverage: Coverage,
    /// How many as good came after it, before a better one.
    pub equals: u64,
}

/// The best so far.
#[derive(Clone, Debug)]
pub struct Best {
    rules: Rules,
    improvements: Vec<Improvement>,
}

impl Best {
    /// Nothing yet.
    pub fn new(rules: Rules) -> Best {
        Best { rules, improvements: Vec::new() }
    }

    /// Every solution that was the best for a time, in the order of attempts.
    pub fn improvements(&self) -> &[Improvement] {
        &self.improvements
    }

    /// The best one.
    pub fn best(&self) -> Option<&Improvement> {
        self.improvements.last()
    }

    /// Hears of the next solution, and says whether it takes more.
    pub fn offer(&mut self, attempt: u64, coverage: Coverage) -> Verdict {
        let rules = self.rules;
        let order = match self.improvements.last() {
            None => Ordering::Greater,
            Some(best) => rules.predicate.compare(&coverage, &best.coverage),
        };
        let enough = match (order, self.improvements.last_mut()) {
            (Ordering::Equal, Some(best)) => {
                best.equals += 1;
                rules.equals.is_some_and(|most| best.equals >= most)
            }
            (Ordering::Less, _) => false,
            (Ordering::Greater | Ordering::Equal, _) => {
                let bests = self.improvements.len() as u64 + 1;
                let enough = self.is_final(&coverage)
                    || rules.target.is_none() && rules.bests.is_some_and(|most| bests >= most);
                self.improvements.push(Improvement { attempt, coverage, equals: 0 });
                enough
            }
        };
        if enough { Verdict::Done } else { Verdict::Continue }
    }

    /// True when none can be better, or none need be.
    fn is_final(&self, coverage: &Coverage) -> bool {
        let Predicate { highest, property } = self.rules.predicate;
        let Some(value) = property.value(coverage) else { return false };
        let limit = if highest { property.most(coverage) } else { property.is_count().then_some(0.0) };
        [limit, self.rules.target].into_iter().flatten().any(|l| self.rules.predicate.reaches(value, l))
    }
}

impl Judge<Coverage> for Best {
    fn hear(&mut self, number: u64, coverage: Coverage, _: &Tally) -> Verdict {
        self.offer(number, coverage)
    }
}

/// A problem whose solutions are the entries of a graph, two for each key.
pub trait Graphs: Problem {
    /// The entries, and what was counted on the way to them.
    fn entries(found: &Self::Found) -> (&[u32], Option<Counts>);

    /// Which two of them are a word's.
    fn places(&self, found: &Self::Found, word: u64) -> (u32, u32);
}

/// A problem whose solutions are measured where they are found, by as many threads as there are, and not kept. [`Best`]
/// keeps the numbers of some: such an attempt, made again, gives the solution.
#[derive(Clone, Debug)]
pub struct Measured<P> {
    /// The problem.
    pub problem: P,
    /// Words whose places are counted apart; may be empty.
    pub subset: Vec<u64>,
    /// Bytes of an entry.
    pub bytes: usize,
}

impl<P: Graphs> Measured<P> {
    fn measure(&self, found: &P::Found) -> Coverage {
        let (entries, traversal) = P::entries(found);
        let places = self.subset.iter().map(|&word| self.problem.places(found, word));
        let subset = (!self.subset.is_empty()).then(|| Subset::measure(places, entries.len(), self.bytes));
        Coverage { traversal, subset, ..Coverage::measure(entries, self.bytes) }
    }
}

impl<P: Graphs> Problem for Measured<P> {
    type Scratch = P::Scratch;
    type Found = Coverage;

    fn scratch(&self) -> P::Scratch {
        self.problem.scratch()
    }

    fn attempt(&self, number: u64, scratch: &mut P::Scratch, watch: &dyn Watch) -> Attempt<Coverage> {
        match self.problem.attempt(number, scratch, watch) {
            Attempt::Solved(found) => Attempt::Solved(self.measure(&found)),
            Attempt::Collision => Attempt::Collision,
            Attempt::Cycle => Attempt::Cycle,
            Attempt::Stopped => Attempt::Stopped,
        }
    }

    fn block(&self) -> u64 {
        self.problem.block()
    }
}
