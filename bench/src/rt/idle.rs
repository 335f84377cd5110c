//! What a runtime does that has nothing to do: two workers, and 16 connections that are silent. How often its threads
//! wake.

use std::{fs, thread, time::Duration};

use serde_json::Value;

use crate::{
    gate::{Gates, Limit},
    harness::{
        child::Running,
        contest::Contest,
        load::{Client, Load, Place, Talk},
        processor::cpu_of,
        program::{Settings, names},
    },
    rt::{
        echo::{self, programs},
        ours,
    },
};

const LOAD: Load = Load { connections: 16, talk: Talk::Echo(64), place: Place::Free };

const WORKERS: usize = 2;

/// How long nothing is asked for before one looks.
const SETTLE: Duration = Duration::from_millis(300);

/// How long one looks.
const WATCHED: Duration = Duration::from_secs(3);

/// What it may be named by.
pub(crate) fn cells() -> Vec<String> {
    vec!["2-workers-16-silent-connections".to_owned()]
}

/// All programs at the same time: what is idle disturbs nobody.
pub(crate) fn compare(_: &[usize], _: usize, settings: Settings, gates: &mut Gates) -> Result<Value, String> {
    let all: Vec<_> = names(&programs())
        .into_iter()
        .map(|name| (name, echo::start(settings, name, WORKERS, 0).and_then(Idle::connect)))
        .collect();
    thread::sleep(SETTLE);
    let looks = || all.iter().map(|(_, idle)| idle.as_ref().map_err(Clone::clone).and_then(Idle::look));
    let before: Vec<_> = looks().collect();
    thread::sleep(WATCHED);
    let changes: Vec<_> =
        before.into_iter().zip(looks()).map(|(before, after)| Ok(after?.since(&before?))).collect();
    let columns = &["wakes a second", "CPU us a second", "threads"];
    let contest = Contest::hold(1, columns, &cells(), names(&programs()), |_, name| {
        let at = all.iter().position(|(known, _)| *known == name);
        changes[at.expect("all programs are there")].clone()
    });
    contest.print("Idle", &[]);
    for name in names(ours::ECHO) {
        if let Some(wakes) = contest.rounds(0, name, 0) {
            gates.all(format!("idle, wakes a second, {name}"), wakes, Limit::AtMost(0.0), None);
        }
    }
    Ok(contest.json(&[]))
}

/// A server that nobody asks anything, and the connections to it.
struct Idle {
    server: Running,
    _client: Client,
}

/// What a process had done at some moment.
struct Look {
    /// How often its threads had gone to sleep or been made to wait.
    switches: u64,
    threads: u64,
    cpu: Duration,
}

impl Idle {
    /// Every connection is answered once, so it has its task and its buffers.
    fn connect(server: Running) -> Result<Idle, String> {
        let port = server.first()["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        let client = Client::connect(port.ok_or("it did not say its port")?, LOAD)?;
        Ok(Idle { server, _client: client })
    }

    fn look(&self) -> Result<Look, String> {
        let process = self.server.id();
        let (switches, threads) = switches(process)?;
        Ok(Look { switches, threads, cpu: cpu_of(process)? })
    }
}

impl Look {
    /// Wakes a second, CPU microseconds a second, and how many threads there are.
    fn since(&self, before: &Look) -> Vec<f64> {
        let seconds = WATCHED.as_secs_f64();
        // A thread that ended meanwhile takes its count with it, and was awake for it.
        let ended = before.threads.saturating_sub(self.threads);
        let wakes = self.switches.saturating_sub(before.switches) + ended;
        let cpu = self.cpu.saturating_sub(before.cpu);
        vec![wakes as f64 / seconds, cpu.as_secs_f64() * 1e6 / seconds, self.threads as f64]
    }
}

/// How often the threads of a process have gone to sleep or been made to wait, and how many threads there are.
fn switches(process: u32) -> Result<(u64, u64), String> {
    let folder = format!("/proc/{process}/task");
    let (mut switches, mut threads) = (0, 0);
    for task in fs::read_dir(&folder).map_err(|error| format!("{folder}: {error}"))? {
        let path = task.map_err(|error| format!("{folder}: {error}"))?.path().join("status");
        // A thread that has ended since is not one of them any more.
        let Ok(status) = fs::read_to_string(&path) else { continue };
        let counts = status.lines().filter_map(|line| line.split_once("ctxt_switches:"));
        switches += counts.filter_map(|(_, count)| count.trim().parse::<u64>().ok()).sum::<u64>();
        threads += 1;
    }
    Ok((switches, threads))
}
