//! Allocations an operation in the steady state, counted: ours, and compio's for comparison.
//!
//! These runs are apart from the timed ones, which do not count.

use serde_json::{Value, json};

use crate::{
    gate::{Gates, Limit},
    harness::program::{Sample, Settings, names},
    measure::Rounds,
    port::{echo, files, nop, ours, timers, wake},
};

/// Operations that allocate do so at least once each. Fewer than one in a thousand is a list that grew or a thread
/// that was started; the table says how many.
const NONE: f64 = 0.001;

/// All programs, each once a round.
pub(crate) fn compare(rounds: usize, settings: Settings, gates: &mut Gates) -> Result<Value, String> {
    let settings = Settings { counting: true, ..settings };
    let cached = files::Cached::new()?;
    let mut count = Count { rounds, gates, told: Vec::new() };
    println!("\nAllocations an operation in the steady state, the most of {rounds} runs");
    for cell in [(64, 64), (64, 16 << 10)] {
        let part = format!("echo {} x {} B", cell.0, cell.1);
        count.of(&part, names(ours::ECHO), true, |name| echo::sample(settings, name, cell))?;
        count.of(&part, vec!["compio", "compio-driver"], false, |name| echo::sample(settings, name, cell))?;
    }
    count.of("nop, batches of 32", names(ours::NOP), true, |name| nop::sample(settings, name, 32))?;
    count.of("cached reads", names(ours::FILES), true, |name| files::sample(settings, name, &cached))?;
    count.of("cached reads", vec!["compio", "compio-driver"], false, |name| {
        files::sample(settings, name, &cached)
    })?;
    count.of("round trips", names(ours::WAKE), true, |name| wake::sample(settings, name, "on one CPU"))?;
    count.of("timers", names(ours::TIMERS), true, |name| timers::sample(settings, name))?;
    Ok(Value::Array(count.told))
}

struct Count<'a> {
    rounds: usize,
    gates: &'a mut Gates,
    told: Vec<Value>,
}

impl Count<'_> {
    /// The most that a program allocated in any round: a promise is not kept on average.
    fn of(
        &mut self,
        part: &str,
        programs: Vec<&'static str>,
        judged: bool,
        measure: impl Fn(&str) -> Result<Sample, String>,
    ) -> Result<(), String> {
        for name in programs {
            let mut samples = Vec::new();
            for round in 0..self.rounds {
                match measure(name) {
                    Ok(sample) => samples.push(sample),
                    Err(why) if round == 0 => {
                        println!("SKIPPED {name}, {part}: {why}");
                        break;
                    }
                    Err(why) => return Err(format!("{name}, {part}, round {round}: {why}")),
                }
            }
            let each = |sample: &Sample| sample.allocations as f64 / sample.operations as f64;
            let Some(most) = samples.iter().max_by(|one, other| each(one).total_cmp(&each(other))) else {
                continue;
            };
            let (allocations, operations) = (most.allocations, most.operations);
            println!("{part:24} {name:24} {:>10.5} ({allocations} in {operations})", each(most));
            self.told.push(json!({
                "part": part,
                "name": name,
                "allocations": allocations,
                "operations": operations,
            }));
            if judged {
                let mut worst = Rounds::default();
                worst.push(each(most));
                self.gates.all(format!("allocations, {part}, {name}"), &worst, Limit::AtMost(NONE), None);
            }
        }
        Ok(())
    }
}
