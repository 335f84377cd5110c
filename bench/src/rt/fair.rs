//! Whether connections are served alike when handlers take their time: 16 connections, two workers, and 200 us of
//! CPU time for every request. The slowest connection beside the fastest, by requests.

use std::time::Duration;

use serde_json::Value;

use crate::{
    gate::{Gates, Limit},
    harness::{
        contest::Contest,
        load::{Load, Place, Talk},
        program::{Settings, names},
    },
    rt::{
        echo::{self, programs},
        ours,
    },
};

const LOAD: Load = Load { connections: 16, talk: Talk::Echo(64), place: Place::Free };

const WORKERS: usize = 2;

/// Microseconds.
const WORK: usize = 200;

/// Two workers serve some 600 requests a connection in a second; of fewer, chance would be most of the difference.
const MEASURED: Duration = Duration::from_secs(1);

/// What it may be named by.
pub(crate) fn cells() -> Vec<String> {
    vec!["16-connections-200us-2-workers".to_owned()]
}

/// All programs in turns.
pub(crate) fn compare(
    _: &[usize],
    rounds: usize,
    settings: Settings,
    gates: &mut Gates,
) -> Result<Value, String> {
    let settings = Settings { measured: MEASURED, ..settings };
    let columns = &["slowest / fastest", "CPU ns a request", "requests/s", "p50 us", "p99 us"];
    let contest = Contest::hold(rounds, columns, &cells(), names(&programs()), |_, name| {
        let measured = echo::measure(settings, name, WORKERS, WORK, LOAD)?;
        let few = measured.each.iter().copied().min().unwrap_or(0);
        let many = measured.each.iter().copied().max().unwrap_or(0);
        let sample = measured.sample;
        let (p50, p99) = (measured.latency(0.5), measured.latency(0.99));
        Ok(vec![few as f64 / many as f64, sample.nanoseconds(), sample.speed(), p50, p99])
    });
    gates.failed(contest.failures());
    contest.print("Connections served alike", &[]);
    for name in names(ours::ECHO) {
        if let Some(fairness) = contest.rounds(0, name, 0) {
            let what = format!("16 connections, 200 us a request, slowest / fastest, {name}");
            gates.all(what, fairness, Limit::AtLeast(0.9), None);
        }
    }
    Ok(contest.json(&[]))
}
