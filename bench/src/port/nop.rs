//! Operations that do nothing, submitted and reaped in batches: what the road itself costs.
#![expect(unsafe_code, reason = "a submission queue entry is pushed with a promise that its memory lives")]

use std::slice;

use io_uring::opcode;
use serde_json::Value;

use crate::{
    gate::{Gates, Limit},
    harness::{
        child,
        contest::Contest,
        program::{Program, Sample, Settings, named, names, steady},
    },
    port::{
        ours,
        raw_uring::{self, Queues},
    },
};

/// How many are submitted at once.
pub(crate) const BATCHES: [usize; 2] = [1, 32];

/// Nops between two looks at the clock.
pub(crate) const STEP: usize = 8192;

pub(crate) type Run = fn(batch: usize, settings: Settings) -> Result<Sample, String>;

const RAW: &[Program<Run>] = &[("raw-uring", raw)];

fn programs() -> Vec<Program<Run>> {
    [RAW, ours::NOP].concat()
}

/// The program's side.
pub(crate) fn serve(name: &str, batch: usize, settings: Settings) -> Result<Sample, String> {
    named(&programs(), name)?(batch, settings)
}

/// All programs in turns.
pub(crate) fn compare(rounds: usize, settings: Settings, gates: &mut Gates) -> Result<Value, String> {
    let cases = BATCHES.map(|batch| format!("batches of {batch}"));
    let columns = &["CPU ns an operation", "operations/s"];
    let contest = Contest::hold(rounds, columns, &cases, names(&programs()), |case, name| {
        let sample = sample(settings, name, BATCHES[case])?;
        Ok(vec![sample.nanoseconds(), sample.speed()])
    });
    gates.failed(contest.failures());
    contest.print("Nop", &names(RAW));
    for name in names(ours::NOP) {
        // The second case is the one of 32.
        if let Some(ratio) = contest.ratio(1, name, "raw-uring") {
            gates.all(format!("nop at batch 32, {name} / raw-uring"), &ratio, Limit::AtMost(1.2), None);
        }
    }
    Ok(contest.json(&names(RAW)))
}

/// One run of a program in a process of its own.
pub(crate) fn sample(settings: Settings, name: &str, batch: usize) -> Result<Sample, String> {
    child::sample(settings, &["port", "nop", name, &batch.to_string()])
}

fn raw(batch: usize, settings: Settings) -> Result<Sample, String> {
    let mut ring = raw_uring::ring(batch as u32)?;
    let mut queues = Queues::of(&mut ring)?;
    let nop = opcode::Nop::new().build();
    steady(settings, || {
        for _ in 0..STEP / batch {
            for _ in 0..batch {
                // SAFETY: a nop refers to no memory.
                unsafe { queues.push(slice::from_ref(&nop)) }?;
            }
            queues.enter(batch)?;
            let mut done = 0;
            for entry in &mut queues.completions {
                done += usize::from(entry.result() == 0);
            }
            if done != batch {
                return Err(format!("{done} of {batch} nops came back"));
            }
        }
        Ok((STEP / batch * batch) as u64)
    })
}
