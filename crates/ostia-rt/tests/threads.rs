//! As many threads as was said. The only test of its program: others would have threads of their own.

use std::{
    fs,
    io::{self, Write},
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};

use ostia_os::topology::Topology;
use ostia_rt::{NodeThreads, Runtime, blocking};

/// How many threads the process has, if the system says so: Linux does. Under Wine the folder is there too, and is
/// about another process, the one that opens files for all.
fn threads() -> Option<usize> {
    if cfg!(windows) {
        return None;
    }
    fs::read_dir("/proc/self/task").ok().map(Iterator::count)
}

#[test]
fn the_process_has_as_many_threads_as_the_runtime_says() {
    let Some(before) = threads() else {
        let what =
            "SKIPPED the_process_has_as_many_threads_as_the_runtime_says: the system does not count them";
        writeln!(io::stderr(), "{what}").unwrap();
        return;
    };
    let runtime = Runtime::builder()
        .topology(Topology::synthetic("2x2").unwrap())
        .workers_per_node(1)
        .threads_per_node(3)
        .offload_threads_max(2)
        .build()
        .unwrap();
    let said = runtime.threads();
    let node = |node| NodeThreads { node, workers: 3, concurrency: 1, offload_max: 2 };
    assert_eq!((said.total, said.watchdogs, &said.per_node), (11, 1, &vec![node(0), node(1)]));
    let started = said.watchdogs + said.per_node.iter().map(|node| node.workers).sum::<usize>();
    assert_eq!(threads(), Some(before + started));

    // Blocking sections start none.
    let barrier = Arc::new(Barrier::new(3));
    let tasks: Vec<_> = (0..3)
        .map(|_| {
            let barrier = Arc::clone(&barrier);
            runtime.handle().spawn_on(0, async move { blocking(|| barrier.wait()) })
        })
        .collect();
    runtime.block_on(async {
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(threads(), Some(before + started));
    drop(runtime);
    // A thread that was joined leaves the system's list a moment later.
    let began = Instant::now();
    while threads() != Some(before) && began.elapsed() < Duration::from_secs(30) {
        thread::yield_now();
    }
    assert_eq!(threads(), Some(before));
}
