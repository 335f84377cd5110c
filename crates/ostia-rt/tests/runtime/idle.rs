//! A runtime that has nothing to do does nothing: its threads are not woken at all.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path::PathBuf,
    thread,
    time::Duration,
};

use crate::common::{backends, loopback};
use ostia_rt::{Runtime, net::TcpListener, spawn, time::sleep};

/// How often each thread whose name begins so left its CPU, also against its will: one that spins does. None where the
/// system does not tell: Linux does. Under Wine the folder is there too, and is about another process, the one that
/// opens files for all.
fn switches(name: &str) -> Option<BTreeMap<PathBuf, u64>> {
    if cfg!(windows) {
        return None;
    }
    let mut switches = BTreeMap::new();
    for thread in fs::read_dir("/proc/self/task").ok()?.flatten() {
        let thread = thread.path();
        // One of another test may be gone again.
        let Ok(comm) = fs::read_to_string(thread.join("comm")) else { continue };
        if comm.starts_with(name) {
            let status = fs::read_to_string(thread.join("status")).unwrap();
            let counts = status.lines().filter_map(|line| line.split_once("ctxt_switches:"));
            switches.insert(thread, counts.map(|(_, count)| count.trim().parse::<u64>().unwrap()).sum());
        }
    }
    Some(switches)
}

#[test]
fn an_idle_runtime_wakes_for_nobody() {
    if switches("no thread").is_none() {
        writeln!(io::stderr(), "SKIPPED an_idle_runtime_wakes_for_nobody: the system does not tell").unwrap();
        return;
    }
    for (number, &backend) in backends().iter().enumerate() {
        let name = format!("idle{number}");
        let builder = Runtime::builder().name(&name).workers_per_node(2).backend(backend);
        // A watchdog that looks often also lies down soon.
        let runtime = match builder.stall_after(Some(Duration::from_millis(10))).build() {
            Ok(runtime) => runtime,
            Err(error) => {
                let what = "SKIPPED an_idle_runtime_wakes_for_nobody";
                writeln!(io::stderr(), "{what}: no {backend} here: {error}").unwrap();
                continue;
            }
        };
        // It has worked, and something waits: a listener, a task that will sleep for an hour.
        runtime.block_on(async {
            let listener = TcpListener::bind(loopback()).unwrap();
            drop(spawn(async move { drop(listener.accept().await) }));
            drop(spawn(sleep(Duration::from_secs(3600))));
            for _ in 0..100 {
                spawn(sleep(Duration::from_micros(100))).await.unwrap();
            }
        });
        // Until it is quiet; then for a second.
        let mut before = switches(&name).unwrap();
        assert!(before.len() >= 3, "{backend}: two workers and a watchdog: {before:?}");
        let mut quiet = 0;
        for _ in 0..100 {
            thread::sleep(Duration::from_millis(100));
            let now = switches(&name).unwrap();
            quiet = if now == before { quiet + 1 } else { 0 };
            before = now;
            if quiet == 10 {
                break;
            }
        }
        assert_eq!(quiet, 10, "{backend}: its threads wake again and again: {before:?}");
        assert!(before.values().all(|count| *count > 0), "{backend}: each has slept: {before:?}");
    }
}
