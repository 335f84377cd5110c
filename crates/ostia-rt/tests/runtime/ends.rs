//! How a runtime ends: by shutdown, by drop, inside and outside of tasks, with work left.

use std::{
    future::pending,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use ostia_os::topology::Topology;
use ostia_rt::{Runtime, spawn, spawn_local, yield_now};

const LONG: Duration = Duration::from_secs(30);

fn runtime(workers: usize) -> Runtime {
    Runtime::builder().workers_per_node(workers).build().expect("a runtime starts")
}

#[test]
fn tasks_that_end_in_time_are_not_cancelled() {
    let runtime = runtime(2);
    let (sender, receiver) = mpsc::channel();
    let _task = runtime.spawn(async move {
        for _ in 0..1000 {
            yield_now().await;
        }
        sender.send("done").unwrap();
    });
    let report = runtime.shutdown(LONG, LONG);
    assert_eq!(receiver.recv(), Ok("done"));
    assert_eq!((report.cancelled, report.threads_joined, report.threads_left), (0, 2, 0));
    assert!(report.pending.is_empty(), "{report}");
}

#[test]
fn what_would_wait_for_ever_is_cancelled_and_its_future_dropped() {
    let runtime = runtime(2);
    let witness = Arc::new(());
    for _ in 0..10 {
        let kept = Arc::clone(&witness);
        drop(runtime.spawn(async move {
            let _kept = kept;
            pending::<()>().await;
        }));
    }
    let kept = Arc::clone(&witness);
    drop(runtime.spawn(async move {
        let _kept = Arc::clone(&kept);
        spawn_local(async move {
            let _kept = kept;
            pending::<()>().await;
        })
        .await
        .unwrap();
    }));
    let report = runtime.shutdown(Duration::ZERO, LONG);
    assert!(report.cancelled >= 11, "{report}");
    assert_eq!(Arc::strong_count(&witness), 1);
}

#[test]
fn tasks_that_wait_for_each_other_in_a_ring_are_dropped_too() {
    let runtime = runtime(1);
    let witness = Arc::new(());
    let (sender, receiver) = mpsc::channel::<ostia_rt::JoinHandle<()>>();
    let kept = Arc::clone(&witness);
    let one = runtime.spawn(async move {
        let _kept = kept;
        let other = receiver.recv().unwrap();
        let _ = other.await;
    });
    let two = runtime.spawn(async move {
        let _ = one.await;
    });
    sender.send(two).unwrap();
    drop(runtime);
    assert_eq!(Arc::strong_count(&witness), 1);
}

#[test]
fn a_task_that_does_not_return_is_named_in_the_report() {
    let runtime = runtime(1);
    let (enter, entered) = mpsc::channel();
    let (leave, left) = mpsc::channel::<()>();
    let _task = runtime.handle().spawn_named("the one that stays", async move {
        enter.send(()).unwrap();
        let _ = left.recv();
    });
    entered.recv().unwrap();
    let began = Instant::now();
    let report = runtime.shutdown(Duration::ZERO, Duration::from_millis(50));
    assert!(began.elapsed() < LONG);
    assert_eq!(report.threads_left, 1);
    assert_eq!(report.pending.len(), 1, "{report}");
    assert!(report.to_string().contains("the one that stays still runs (node 0, worker 0)"), "{report}");
    drop(leave);
}

#[test]
fn a_runtime_is_dropped_by_one_of_its_own_tasks() {
    let runtime = runtime(2);
    let handle = runtime.handle();
    let (sender, receiver) = mpsc::channel();
    drop(handle.spawn(async move {
        drop(runtime);
        sender.send(()).unwrap();
    }));
    receiver.recv().unwrap();
    assert!(handle.spawn(async {}).is_finished(), "it takes no task any more");
}

#[test]
fn a_runtime_that_a_task_of_another_drops_ends_by_itself_and_holds_nobody_up() {
    let (outer, inner) = (runtime(1), runtime(1));
    let handle = inner.handle();
    let waits = inner.spawn(pending::<()>());
    let (enter, entered) = mpsc::channel();
    let (leave, left) = mpsc::channel::<()>();
    let busy = inner.spawn(async move {
        enter.send(()).unwrap();
        let _ = left.recv();
        yield_now().await;
    });
    entered.recv().unwrap();
    // If it waited for what is busy, nobody would ever get to the end of it.
    outer.block_on(outer.spawn(async move { drop(inner) })).unwrap();
    assert!(!waits.is_finished() && !busy.is_finished());
    assert!(handle.spawn(async {}).is_finished(), "it takes no task any more");
    drop(leave);
    for task in [waits, busy] {
        assert!(outer.block_on(task).unwrap_err().is_cancelled());
    }
}

#[test]
fn a_runtime_is_dropped_inside_the_block_on_of_another() {
    let outer = runtime(1);
    let inner = runtime(1);
    let task = inner.spawn(pending::<()>());
    outer.block_on(async move { drop(inner) });
    assert!(task.is_finished());
}

#[test]
fn block_on_inside_a_task_or_itself_is_refused_at_once() {
    let runtime = Arc::new(runtime(1));
    let own = Arc::clone(&runtime);
    let error = runtime.block_on(runtime.spawn(async move { own.block_on(async {}) })).unwrap_err();
    assert!(error.to_string().contains("await instead"), "{error}");
    let nested = thread::scope(|scope| {
        let runtime = &runtime;
        scope.spawn(move || runtime.block_on(async { runtime.block_on(async {}) })).join()
    });
    assert!(nested.is_err());
    // The thread may wait again.
    assert_eq!(runtime.block_on(async { 1 }), 1);
}

#[test]
fn many_runtimes_begin_and_end() {
    for _ in 0..50 {
        let runtime = runtime(2);
        drop(runtime.spawn(async { drop(spawn(async {})) }));
    }
}

#[test]
fn each_node_of_a_made_up_topology_has_its_workers() {
    let runtime =
        Runtime::builder().topology(Topology::synthetic("2x2").unwrap()).name("made-up").build().unwrap();
    let handle = runtime.handle();
    assert_eq!((handle.nodes(), handle.workers(0), handle.workers(1)), (2, 2, 2));
    for node in 0..2 {
        let name =
            runtime.block_on(handle.spawn_on(node, async { thread::current().name().map(str::to_owned) }));
        assert!(name.unwrap().unwrap().starts_with(&format!("made-up-n{node}-w")));
    }
}

#[test]
fn nodes_are_chosen_by_list_or_mask_and_must_be_there() {
    let build = |nodes: &str| {
        let builder = Runtime::builder().topology(Topology::synthetic("4x1").unwrap());
        builder.nodes(nodes).and_then(ostia_rt::Builder::build).map(|runtime| runtime.handle().nodes())
    };
    assert_eq!(build("0,2-3").unwrap(), 3);
    assert_eq!(build("0x5").unwrap(), 2);
    assert!(build("7").unwrap_err().to_string().contains("there is no node 7; the nodes are 0-3"));
    assert!(build("x").unwrap_err().to_string().contains("0,2-3"));
    assert!(build("").is_err());
}
