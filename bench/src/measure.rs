//! CPU time, and what many rounds of it come to.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// What this thread has run for: another program on the same core does not count.
pub(crate) fn thread_cpu() -> Duration {
    clock(ClockId::ThreadCPUTime)
}

/// What all threads of this process have run for.
pub(crate) fn process_cpu() -> Duration {
    clock(ClockId::ProcessCPUTime)
}

fn clock(id: ClockId) -> Duration {
    let time = clock_gettime(id);
    Duration::try_from(time).expect("CPU time is never negative")
}

/// The CPU time of this thread that something takes, in seconds.
pub(crate) fn seconds<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let begun = thread_cpu();
    let made = work();
    ((thread_cpu() - begun).as_secs_f64(), made)
}

/// One figure a round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rounds(Vec<f64>);

impl Rounds {
    pub(crate) fn push(&mut self, figure: f64) {
        self.0.push(figure);
    }

    /// Each figure of this divided by the other's of the same round: what both rounds suffered cancels out.
    pub(crate) fn over(&self, other: &Rounds) -> Rounds {
        Rounds(self.0.iter().zip(&other.0).map(|(one, other)| one / other).collect())
    }

    /// The geometric mean of several, of each round.
    pub(crate) fn geometric_mean(all: &[Rounds]) -> Rounds {
        let all: Vec<&Rounds> = all.iter().collect();
        Rounds::combined(&all, |figures| {
            (figures.iter().map(|figure| f64::ln(*figure)).sum::<f64>() / figures.len() as f64).exp()
        })
    }

    /// Whatever is made of one figure of each, round by round; as many rounds as all of them have.
    pub(crate) fn combined(all: &[&Rounds], make: impl Fn(&[f64]) -> f64) -> Rounds {
        let rounds = all.iter().map(|rounds| rounds.0.len()).min().unwrap_or(0);
        let figures = |round| all.iter().map(|one| one.0[round]).collect::<Vec<f64>>();
        Rounds((0..rounds).map(|round| make(&figures(round))).collect())
    }

    /// What a tenth of the rounds stays below, half of them, nine tenths; `at` is between 0 and 1.
    pub(crate) fn quantile(&self, at: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[((sorted.len() - 1) as f64 * at).round() as usize]
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    pub(crate) fn least(&self) -> f64 {
        self.quantile(0.0)
    }

    pub(crate) fn most(&self) -> f64 {
        self.quantile(1.0)
    }

    /// Least, median and spread for machines.
    pub(crate) fn json(&self) -> Value {
        json!({
            "rounds": self.0.len(),
            "least": self.least(),
            "p10": self.quantile(0.1),
            "p25": self.quantile(0.25),
            "median": self.median(),
            "p75": self.quantile(0.75),
            "p90": self.quantile(0.9),
            "most": self.most(),
        })
    }
}
