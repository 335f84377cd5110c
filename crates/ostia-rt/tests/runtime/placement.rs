//! Where tasks begin.

use std::{collections::HashMap, future::pending, io::Write as _, thread};

use ostia_os::{CpuSet, affinity, topology::Topology};
use ostia_rt::{Placement, Runtime, blocking, spawn_blocking, yield_now};

fn runtime(shape: &str) -> Runtime {
    Runtime::builder().topology(Topology::synthetic(shape).unwrap()).name("here").build().unwrap()
}

/// The thread on which a task is when it begins, and is alone: nobody is there who would steal it.
fn where_it_begins(runtime: &Runtime, placement: Placement) -> String {
    let task = runtime.handle().spawn_at(placement, async { thread::current().name().unwrap().to_owned() });
    runtime.block_on(task).unwrap()
}

#[test]
fn one_after_the_other_comes_to_all_workers_of_all_nodes_equally_often() {
    let runtime = runtime("2x2");
    let mut counts = HashMap::new();
    for _ in 0..40 {
        *counts.entry(where_it_begins(&runtime, Placement::RoundRobin)).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 4, "{counts:?}");
    assert!(counts.values().all(|count| *count == 10), "{counts:?}");
}

#[test]
fn a_fixed_place_is_that_place_and_one_that_is_not_there_is_refused() {
    let runtime = runtime("2x2");
    for (node, worker) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let name = where_it_begins(&runtime, Placement::Fixed { node, worker });
        assert_eq!(name, format!("here-n{node}-w{worker}"));
    }
    assert!(where_it_begins(&runtime, Placement::Node(1)).starts_with("here-n1-"));
    let refused = |placement| {
        thread::scope(|scope| {
            let handle = runtime.handle();
            scope.spawn(move || drop(handle.spawn_at(placement, async {}))).join().is_err()
        })
    };
    assert!(refused(Placement::Node(2)));
    assert!(refused(Placement::Fixed { node: 1, worker: 2 }));
}

#[test]
fn the_same_key_has_the_same_worker_and_many_keys_have_many() {
    let runtime = runtime("2x2");
    let mut counts = HashMap::new();
    for key in 0..64 {
        let placement = Placement::by_key(&format!("key {key}"));
        let first = where_it_begins(&runtime, placement);
        assert_eq!(where_it_begins(&runtime, placement), first);
        *counts.entry(first).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 4, "{counts:?}");
}

#[test]
fn the_better_of_two_keeps_the_load_even() {
    let runtime = runtime("1x4");
    let handle = runtime.handle();
    let tasks: Vec<_> = (0..400).map(|_| handle.spawn_at(Placement::LeastLoaded, pending::<()>())).collect();
    // Each of them has told where it was spawned.
    let report = {
        drop(tasks);
        let mut counts = HashMap::new();
        for task in handle.tasks() {
            *counts.entry(task.place).or_insert(0) += 1;
        }
        counts
    };
    assert_eq!(report.values().sum::<i32>(), 400);
    assert!(report.values().all(|count| (80..=120).contains(count)), "{report:?}");
}

#[test]
fn each_worker_runs_on_the_cpus_of_its_node_alone_also_after_it_has_blocked() {
    let here = Topology::detect().unwrap();
    let (first, others) = match here.cpus().iter().collect::<Vec<_>>()[..] {
        [first, ref others @ ..] if !others.is_empty() => (first, others.iter().copied().collect::<CpuSet>()),
        ref cpus => {
            let what =
                format!("SKIPPED the affinity of workers: there is no CPU to be kept away from but {cpus:?}");
            writeln!(std::io::stderr(), "{what}").unwrap();
            return;
        }
    };
    // A node that has one CPU of the machine's, and one that has all the others.
    for cpus in [CpuSet::from_iter([first]), others] {
        let topology = here.restricted(&cpus).unwrap();
        let nodes = topology.nodes().iter().filter(|node| !node.cpus().is_empty());
        let nodes: Vec<CpuSet> = nodes.map(|node| node.cpus().clone()).collect();
        let runtime =
            Runtime::builder().topology(topology).workers_per_node(2).threads_per_node(3).build().unwrap();
        let handle = runtime.handle();
        for (node, cpus) in nodes.iter().enumerate() {
            for worker in 0..handle.workers(node) {
                let looks = handle.spawn_at(Placement::Fixed { node, worker }, async {
                    let before = affinity::current().unwrap();
                    let inside = blocking(|| affinity::current().unwrap());
                    yield_now().await;
                    let mut seen = vec![before, inside, affinity::current().unwrap()];
                    // On Linux a thread is bound as the one that starts it.
                    if cfg!(target_os = "linux") {
                        seen.push(spawn_blocking(|| affinity::current().unwrap()).await.unwrap());
                    }
                    seen
                });
                for seen in runtime.block_on(looks).unwrap() {
                    assert_eq!(seen, *cpus, "worker {worker} of node {node}");
                }
            }
        }
    }
}
