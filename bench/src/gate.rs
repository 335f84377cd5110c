//! Gates and goals: what was measured beside what should be.

use serde_json::{Value, json};

use crate::measure::Rounds;

/// On which side of a figure the good is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

/// Verdicts in the order in which they were given, and what could not be measured to its end.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    verdicts: Vec<Verdict>,
    failures: Vec<String>,
}

#[derive(Debug)]
struct Verdict {
    what: String,
    median: f64,
    best: f64,
    /// What a tenth of the rounds stays below, and nine tenths.
    spread: [f64; 2],
    limit: Limit,
    goal: Option<f64>,
    outcome: Outcome,
    goal_met: Option<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    Pass,
    /// The median misses, but a tenth of the rounds or more does not.
    PassInSpread,
    Miss,
    /// The gate is about native builds, and this is none.
    Generic,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Outcome::Pass => "PASS",
            Outcome::PassInSpread => "PASS (within the spread)",
            Outcome::Miss => "MISS",
            Outcome::Generic => "not judged: a generic build",
        }
    }
}

/// Whether this is built for the CPU at hand, or for any of its architecture.
pub(crate) const BUILD: &str = env!("OSTIA_BENCH_BUILD");

impl Gates {
    /// A gate for native builds only.
    pub(crate) fn native(&mut self, what: String, rounds: &Rounds, limit: Limit, goal: Option<f64>) {
        self.judge(what, rounds, limit, goal, BUILD == "native");
    }

    /// A gate for all builds.
    pub(crate) fn all(&mut self, what: String, rounds: &Rounds, limit: Limit, goal: Option<f64>) {
        self.judge(what, rounds, limit, goal, true);
    }

    /// Notes what ran at first and then no more: figures are missing that should be there.
    pub(crate) fn failed(&mut self, failures: &[String]) {
        self.failures.extend_from_slice(failures);
    }

    /// What [`Gates::failed`] noted.
    ///
    /// # Errors
    ///
    /// All of it in one sentence, if there is any.
    pub(crate) fn complete(&self) -> Result<(), String> {
        match &self.failures[..] {
            [] => Ok(()),
            failures => Err(format!("figures are missing: {}", failures.join("; "))),
        }
    }

    fn judge(&mut self, what: String, rounds: &Rounds, limit: Limit, goal: Option<f64>, applies: bool) {
        let (median, best, near) = match limit {
            Limit::AtMost(_) => (rounds.median(), rounds.least(), rounds.quantile(0.1)),
            Limit::AtLeast(_) => (rounds.median(), rounds.most(), rounds.quantile(0.9)),
        };
        let outcome = match applies {
            false => Outcome::Generic,
            true if limit.holds(median) => Outcome::Pass,
            true if limit.holds(near) => Outcome::PassInSpread,
            true => Outcome::Miss,
        };
        let goal_met = goal.filter(|_| applies).map(|goal| limit.with(goal).holds(median));
        let spread = [0.1, 0.9].map(|at| rounds.quantile(at));
        self.verdicts.push(Verdict { what, median, best, spread, limit, goal, outcome, goal_met });
    }

    /// All verdicts, for people.
    pub(crate) fn print(&self) {
        println!("\nGates ({BUILD} build): the median counts");
        for verdict in &self.verdicts {
            let goal = match (verdict.goal, verdict.goal_met) {
                (Some(goal), Some(met)) => {
                    format!("; goal {} {}", verdict.limit.with(goal), if met { "met" } else { "not met" })
                }
                _ => String::new(),
            };
            println!(
                "{}: {:.3} (best {:.3}, p10 - p90 {:.3} - {:.3}), gate {}: {}{goal}",
                verdict.what,
                verdict.median,
                verdict.best,
                verdict.spread[0],
                verdict.spread[1],
                verdict.limit,
                verdict.outcome.name()
            );
        }
    }

    /// All verdicts, for machines.
    pub(crate) fn json(&self) -> Value {
        self.verdicts
            .iter()
            .map(|v| {
                json!({
                    "what": v.what,
                    "median": v.median,
                    "best": v.best,
                    "p10_p90": v.spread,
                    "gate": v.limit.to_string(),
                    "outcome": v.outcome.name(),
                    "goal": v.goal,
                    "goal_met": v.goal_met,
                })
            })
            .collect()
    }
}

impl Limit {
    fn holds(self, figure: f64) -> bool {
        match self {
            Limit::AtMost(limit) => figure <= limit,
            Limit::AtLeast(limit) => figure >= limit,
        }
    }

    fn with(self, limit: f64) -> Limit {
        match self {
            Limit::AtMost(_) => Limit::AtMost(limit),
            Limit::AtLeast(_) => Limit::AtLeast(limit),
        }
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Limit::AtMost(limit) => write!(f, "<= {limit}"),
            Limit::AtLeast(limit) => write!(f, ">= {limit}"),
        }
    }
}
