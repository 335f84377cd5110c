//! Sections that block: another worker runs meanwhile, and never more at a time than was said.

use std::{
    future::pending,
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use ostia_rt::{Runtime, blocking, spawn, spawn_local, time, yield_now};

const LONG: Duration = Duration::from_secs(30);

/// So many workers at a time, of so many threads.
fn runtime(workers: usize, threads: usize) -> Runtime {
    Runtime::builder().workers_per_node(workers).threads_per_node(threads).build().expect("a runtime starts")
}

#[test]
fn a_worker_that_blocks_lets_another_run() {
    let runtime = runtime(1, 2);
    let (sender, receiver) = mpsc::channel();
    let first = runtime.spawn(async move {
        // It lies in this worker's queue, and is its only one: nobody would steal it.
        drop(spawn(async move { sender.send("from the other").unwrap() }));
        blocking(|| receiver.recv_timeout(LONG))
    });
    assert_eq!(runtime.block_on(first).unwrap(), Ok("from the other"));
}

#[test]
fn what_comes_while_a_worker_blocks_is_run_too() {
    let runtime = runtime(1, 2);
    let (entered, has_entered) = mpsc::channel();
    let (sender, receiver) = mpsc::channel();
    let first = runtime.spawn(async move {
        blocking(|| {
            entered.send(()).unwrap();
            receiver.recv_timeout(LONG)
        })
    });
    has_entered.recv_timeout(LONG).unwrap();
    let second = runtime.spawn(async move { sender.send(7).unwrap() });
    assert_eq!(runtime.block_on(first).unwrap(), Ok(7));
    runtime.block_on(second).unwrap();
}

#[test]
fn what_a_blocking_section_spawns_runs_elsewhere() {
    let runtime = runtime(1, 2);
    let answer = runtime.spawn(async {
        blocking(|| {
            let here = thread::current().id();
            let (sender, receiver) = mpsc::channel();
            drop(spawn(async move { sender.send(thread::current().id()).unwrap() }));
            receiver.recv_timeout(LONG).map(|there| there != here)
        })
    });
    assert_eq!(runtime.block_on(answer).unwrap(), Ok(true));
}

#[test]
fn without_a_thread_to_spare_the_siblings_take_what_waits() {
    let runtime = runtime(2, 2);
    let (sender, receiver) = mpsc::channel();
    let first = runtime.spawn(async move {
        drop(spawn(async move { sender.send(()).unwrap() }));
        blocking(|| receiver.recv_timeout(LONG))
    });
    assert_eq!(runtime.block_on(first).unwrap(), Ok(()));
}

#[test]
fn never_more_run_at_a_time_than_was_said() {
    let (workers, threads) = (2, 5);
    let runtime = runtime(workers, threads);
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    // A task is running from `in` to `out`, and it is out while it blocks or waits.
    let enter = {
        let (running, most) = (Arc::clone(&running), Arc::clone(&most));
        move || {
            let now = running.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now, Ordering::SeqCst);
        }
    };
    let leave = move || {
        running.fetch_sub(1, Ordering::SeqCst);
    };
    let tasks: Vec<_> = (0..40)
        .map(|number| {
            let (enter, leave) = (enter.clone(), leave.clone());
            runtime.spawn(async move {
                for turn in 0..50 {
                    enter();
                    thread::yield_now();
                    leave();
                    match (number + turn) % 4 {
                        0 => {
                            // In and out again inside the task: the section is what is not counted.
                            blocking(thread::yield_now);
                            enter();
                            thread::yield_now();
                            leave();
                        }
                        1 => time::sleep(Duration::from_micros(50)).await,
                        _ => yield_now().await,
                    }
                }
            })
        })
        .collect();
    runtime.block_on(async {
        for task in tasks {
            task.await.unwrap();
        }
    });
    let most = most.load(Ordering::SeqCst);
    assert!((1..=workers).contains(&most), "{most} ran at a time");
}

#[test]
fn as_many_block_at_a_time_as_there_are_threads_and_the_last_keeps_none_from_coming_back() {
    let runtime = runtime(1, 4);
    let barrier = Arc::new(Barrier::new(4));
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let barrier = Arc::clone(&barrier);
            runtime.spawn(async move { blocking(|| barrier.wait().is_leader()) })
        })
        .collect();
    let leaders = runtime.block_on(async {
        let mut leaders = 0;
        for task in tasks {
            leaders += usize::from(task.await.unwrap());
        }
        leaders
    });
    assert_eq!(leaders, 1);
}

#[test]
fn who_comes_back_is_let_in_although_the_other_never_rests() {
    let runtime = runtime(1, 2);
    let (told, hears) = mpsc::channel();
    let is_over = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_over);
    let first = runtime.spawn(async move {
        drop(spawn(async move {
            told.send(()).unwrap();
            while !seen.load(Ordering::Relaxed) {
                yield_now().await;
            }
        }));
        // The spinner runs when this returns, and does not end before this task has gone on.
        blocking(|| hears.recv_timeout(LONG)).unwrap();
        is_over.store(true, Ordering::Relaxed);
    });
    runtime.block_on(first).unwrap();
}

#[test]
fn a_panic_in_a_section_is_the_tasks_and_the_worker_goes_on() {
    let runtime = runtime(1, 2);
    for _ in 0..3 {
        let task = runtime.spawn(async { blocking(|| panic!("as it was meant to")) });
        assert!(runtime.block_on(task).unwrap_err().is_panic());
    }
    assert_eq!(runtime.block_on(runtime.spawn(async { 1 })).unwrap(), 1);
}

#[test]
fn sections_inside_sections_and_outside_of_a_runtime_only_call() {
    assert_eq!(blocking(|| 1), 1);
    let runtime = runtime(1, 2);
    assert_eq!(runtime.block_on(async { blocking(|| 2) }), 2);
    let task = runtime.spawn(async { blocking(|| blocking(|| 3)) });
    assert_eq!(runtime.block_on(task).unwrap(), 3);
}

#[test]
fn inside_a_section_block_on_is_refused_and_afterwards_the_task_is_where_it_was() {
    let runtime = Arc::new(runtime(1, 2));
    let own = Arc::clone(&runtime);
    let task = runtime.spawn(async move {
        let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            blocking(|| own.block_on(async {}));
        }));
        assert!(refused.is_err());
        // Only a worker's thread spawns these.
        let local = spawn_local(async { 4 }).await.unwrap();
        time::sleep(Duration::from_micros(1)).await;
        local
    });
    assert_eq!(runtime.block_on(task).unwrap(), 4);
}

#[test]
fn a_runtime_ends_although_workers_stand_in_line_behind_one_that_stays() {
    let runtime = runtime(1, 3);
    let (entered, has_entered) = mpsc::channel();
    let (leave, left) = mpsc::channel::<()>();
    let (_sender, receiver) = mpsc::channel::<()>();
    let (returns, returned) = mpsc::channel();
    // One comes back from its section, and finds the only permit with the other.
    drop(runtime.spawn(async move {
        blocking(|| returned.recv_timeout(LONG)).unwrap();
        pending::<()>().await;
    }));
    drop(runtime.spawn(async move {
        entered.send(()).unwrap();
        let _ = left.recv();
        drop(receiver);
    }));
    has_entered.recv_timeout(LONG).unwrap();
    returns.send(()).unwrap();
    let began = Instant::now();
    let report = runtime.shutdown(Duration::ZERO, Duration::from_millis(100));
    assert!(began.elapsed() < LONG);
    assert_eq!((report.threads_joined, report.threads_left), (2, 1), "{report}");
    drop(leave);
}
