//! Functions that wait, on threads that are there for it.

use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use crate::common::{on_each, only_once, turns};
use ostia_rt::{Runtime, offload, spawn, spawn_blocking};

const LONG: Duration = Duration::from_secs(30);

/// One thread to offload to, and so many places in the queue before it.
fn runtime(jobs: usize) -> Runtime {
    let builder = Runtime::builder().workers_per_node(1).offload_threads_max(1).offload_jobs_max(jobs);
    builder.build().expect("a runtime starts")
}

/// Keeps the one thread busy until the sender is dropped or used.
fn occupy(runtime: &Runtime) -> mpsc::Sender<()> {
    let (leave, left) = mpsc::channel::<()>();
    let (enter, entered) = mpsc::channel();
    drop(runtime.handle().spawn_blocking(move || {
        enter.send(()).unwrap();
        let _ = left.recv_timeout(LONG);
    }));
    entered.recv_timeout(LONG).unwrap();
    leave
}

#[test]
fn a_function_runs_elsewhere_and_its_result_comes_back() {
    on_each(|_| async {
        let here = thread::current().id();
        let (there, name) =
            offload(|| (thread::current().id(), thread::current().name().map(str::to_owned))).await.unwrap();
        assert_ne!(here, there);
        assert!(name.unwrap().contains("offload"));
        let task = spawn_blocking(|| 7);
        assert_eq!(task.await.unwrap(), 7);
    });
}

#[test]
fn it_works_inside_block_on_and_from_outside_by_a_handle() {
    let runtime = runtime(4);
    assert_eq!(runtime.block_on(async { offload(|| 1).await.unwrap() }), 1);
    assert_eq!(runtime.block_on(async { spawn_blocking(|| 2).await.unwrap() }), 2);
    let task = runtime.handle().spawn_blocking(|| 3);
    assert_eq!(runtime.block_on(task).unwrap(), 3);
}

#[test]
fn a_panic_goes_to_whoever_waits_and_the_thread_goes_on() {
    let runtime = runtime(4);
    let error = runtime.block_on(offload(|| panic!("as it was meant to"))).unwrap_err();
    assert!(error.to_string().contains("as it was meant to"), "{error}");
    let error = runtime.block_on(runtime.handle().spawn_blocking(|| panic!("this too"))).unwrap_err();
    assert!(error.is_panic() && error.to_string().contains("this too"), "{error}");
    assert_eq!(runtime.block_on(offload(|| 1)).unwrap(), 1);
}

#[test]
fn who_comes_when_the_queue_is_full_waits_and_all_come_in_order() {
    let runtime = runtime(2);
    let leave = occupy(&runtime);
    let order = Arc::new(Mutex::new(Vec::new()));
    let own = Arc::clone(&order);
    let all = runtime.spawn(async move {
        let mut tasks = Vec::new();
        for number in 0..20 {
            let order = Arc::clone(&own);
            tasks.push(spawn(async move {
                offload(move || order.lock().unwrap().push(number)).await.unwrap();
            }));
            // It comes before the next one.
            turns(2).await;
        }
        drop(leave);
        for task in tasks {
            task.await.unwrap();
        }
    });
    runtime.block_on(all).unwrap();
    assert_eq!(*order.lock().unwrap(), (0..20).collect::<Vec<_>>());
}

#[test]
fn a_function_whose_future_is_dropped_is_not_begun_and_leaves_its_place() {
    let runtime = runtime(1);
    let leave = occupy(&runtime);
    let ran = Arc::new(AtomicUsize::new(0));
    let (own, last) = (Arc::clone(&ran), Arc::clone(&ran));
    runtime.block_on(async move {
        for _ in 0..100 {
            let ran = Arc::clone(&own);
            // The first has a place in the queue, the others wait for one.
            assert!(only_once(offload(move || ran.fetch_add(1, Ordering::Relaxed))).await.is_none());
        }
        drop(leave);
        assert_eq!(offload(move || last.fetch_add(10, Ordering::Relaxed)).await.unwrap(), 0);
    });
    assert_eq!(ran.load(Ordering::Relaxed), 10);
}

#[test]
fn one_that_has_begun_goes_on_when_its_future_is_dropped() {
    let runtime = runtime(1);
    let (enter, entered) = mpsc::channel();
    let (leave, left) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    let task = runtime.spawn(offload(move || {
        enter.send(()).unwrap();
        left.recv_timeout(LONG).unwrap();
        tell.send(()).unwrap();
    }));
    entered.recv_timeout(LONG).unwrap();
    task.abort();
    assert!(runtime.block_on(task).unwrap_err().is_cancelled());
    leave.send(()).unwrap();
    told.recv_timeout(LONG).unwrap();
}

#[test]
fn what_no_thread_has_begun_is_cancelled_when_the_runtime_ends() {
    let runtime = runtime(1);
    let leave = occupy(&runtime);
    let handle = runtime.handle();
    let has_run = Arc::new(AtomicBool::new(false));
    // One in the queue and one before it; both are waited for on threads of their own, which outlive the runtime.
    let (waits, waiting) = mpsc::channel();
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let (handle, has_run, waits) = (handle.clone(), Arc::clone(&has_run), waits.clone());
            thread::spawn(move || {
                handle.block_on(async {
                    let mut job = std::pin::pin!(offload(move || has_run.store(true, Ordering::Relaxed)));
                    assert!(only_once(job.as_mut()).await.is_none());
                    waits.send(()).unwrap();
                    job.await
                })
            })
        })
        .collect();
    waiting.recv_timeout(LONG).unwrap();
    waiting.recv_timeout(LONG).unwrap();
    let task = handle.spawn_blocking(|| ());
    let waits = handle.spawn(pending::<()>());
    let report = runtime.shutdown(Duration::ZERO, LONG);
    assert_eq!(report.threads_left, 0, "{report}");
    for thread in threads {
        assert!(thread.join().unwrap().unwrap_err().is_cancelled());
    }
    assert!(handle.block_on(task).unwrap_err().is_cancelled());
    assert!(handle.block_on(waits).unwrap_err().is_cancelled());
    assert!(handle.block_on(offload(|| ())).unwrap_err().is_cancelled());
    assert!(!has_run.load(Ordering::Relaxed));
    drop(leave);
}
