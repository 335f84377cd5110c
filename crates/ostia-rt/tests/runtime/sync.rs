//! What tasks wait for each other with, on a real runtime of several workers.

use std::{
    collections::HashSet,
    future::{pending, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use ostia_rt::{
    Limiter, Runtime, Scope, spawn,
    sync::{Mutex, Notify, Semaphore, mpsc, oneshot, watch},
    time::{now, sleep},
    yield_now,
};

fn runtime() -> Runtime {
    Runtime::builder().workers_per_node(3).build().expect("a runtime starts")
}

#[test]
fn every_value_arrives_and_those_of_one_sender_in_order() {
    const SENDERS: usize = 4;
    const VALUES: usize = 5_000;
    runtime().block_on(async {
        let (sender, mut receiver) = mpsc::channel(8);
        for number in 0..SENDERS {
            let sender = sender.clone();
            drop(spawn(async move {
                for value in 0..VALUES {
                    sender.send((number, value)).await.expect("the receiver is there");
                }
            }));
        }
        drop(sender);
        let mut next = [0; SENDERS];
        while let Some((number, value)) = receiver.recv().await {
            assert_eq!(value, next[number]);
            next[number] += 1;
        }
        assert_eq!(next, [VALUES; SENDERS]);
    });
}

#[test]
fn requests_and_answers_find_each_other() {
    runtime().block_on(async {
        let (requests, mut inbox) = mpsc::channel::<(u64, oneshot::Sender<u64>)>(4);
        let server = spawn(async move {
            let mut served = 0;
            while let Some((number, answer)) = inbox.recv().await {
                served += 1;
                // Who asked may have been aborted.
                let _ = answer.send(number * 2);
            }
            served
        });
        let clients: Vec<_> = (0..1_000)
            .map(|number| {
                let requests = requests.clone();
                spawn(async move {
                    let (answer, receiver) = oneshot::channel();
                    requests.send((number, answer)).await.expect("the server is there");
                    receiver.await.expect("each request is answered")
                })
            })
            .collect();
        drop(requests);
        for (number, client) in (0..).zip(clients) {
            assert_eq!(client.await.expect("it does not panic"), number * 2);
        }
        assert_eq!(server.await.expect("it does not panic"), 1_000);
    });
}

#[test]
fn one_task_at_a_time_has_the_value_across_awaits() {
    runtime().block_on(async {
        let mutex = Arc::new(Mutex::new(0));
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let mutex = Arc::clone(&mutex);
                spawn(async move {
                    for _ in 0..500 {
                        let mut guard = mutex.lock().await;
                        let seen = *guard;
                        yield_now().await;
                        *guard = seen + 1;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("it does not panic");
        }
        assert_eq!(*mutex.lock().await, 4_000);
    });
}

#[test]
fn aborted_tasks_lose_no_permit() {
    runtime().block_on(async {
        let semaphore = Arc::new(Semaphore::new(4));
        let (inside, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..2_000)
            .map(|number| {
                let (semaphore, inside, most) =
                    (Arc::clone(&semaphore), Arc::clone(&inside), Arc::clone(&most));
                spawn(async move {
                    let permit = semaphore.acquire_many(1 + number % 3).await.expect("it is open");
                    let now = inside.fetch_add(permit.count(), SeqCst) + permit.count();
                    most.fetch_max(now, SeqCst);
                    // No await between the two counts: who is aborted here has left.
                    inside.fetch_sub(permit.count(), SeqCst);
                    yield_now().await;
                })
            })
            .collect();
        for task in tasks.iter().step_by(3) {
            task.abort();
            yield_now().await;
        }
        for task in tasks {
            // Whether it was aborted in time is chance.
            let _ = task.await;
        }
        assert_eq!(semaphore.available(), 4);
        assert!((1..=4).contains(&most.load(SeqCst)));
    });
}

#[test]
fn aborted_tasks_lose_neither_a_value_nor_a_turn() {
    runtime().block_on(async {
        let (mutex, node) = (Arc::new(Mutex::new(())), Limiter::new(2));
        let (request, confirmed) = (node.child(1), Arc::new(AtomicUsize::new(0)));
        let (sender, mut receiver) = mpsc::channel(2);
        let tasks: Vec<_> = (0..2_000)
            .map(|number| {
                let (mutex, sender, confirmed) = (Arc::clone(&mutex), sender.clone(), Arc::clone(&confirmed));
                let limiter = if number % 2 == 0 { node.clone() } else { request.clone() };
                spawn(async move {
                    let _permit = limiter.acquire().await;
                    let guard = mutex.lock().await;
                    yield_now().await;
                    drop(guard);
                    sender.send(number).await.expect("the receiver is there");
                    confirmed.fetch_add(1, SeqCst);
                })
            })
            .collect();
        drop(sender);
        let aborter = spawn(async move {
            for task in tasks.iter().step_by(3) {
                task.abort();
                yield_now().await;
            }
            for task in tasks {
                let _ = task.await;
            }
        });
        let mut received = HashSet::new();
        while let Some(number) = receiver.recv().await {
            assert!(received.insert(number), "each arrives once");
        }
        aborter.await.expect("it does not panic");
        // Who was aborted between its send and its next turn has sent, and does not know.
        assert!(received.len() >= confirmed.load(SeqCst));
        assert!((0..2_000).filter(|number| number % 3 != 0).all(|number| received.contains(&number)));
        assert!(mutex.try_lock().is_some());
        assert_eq!((node.stats().in_use, node.stats().waiting, request.stats().in_use_max), (0, 0, 1));
    });
}

#[test]
fn two_tasks_that_notify_each_other_never_miss() {
    runtime().block_on(async {
        let (ping, pong) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let other = spawn({
            let (ping, pong) = (Arc::clone(&ping), Arc::clone(&pong));
            async move {
                for _ in 0..10_000 {
                    ping.notified().await;
                    pong.notify_one();
                }
            }
        });
        for _ in 0..10_000 {
            ping.notify_one();
            pong.notified().await;
        }
        other.await.expect("it does not panic");
    });
}

#[test]
fn all_who_watch_see_the_last_value() {
    runtime().block_on(async {
        let (sender, receiver) = watch::channel(0);
        let watchers: Vec<_> = (0..8)
            .map(|_| {
                let mut receiver = receiver.clone();
                spawn(async move {
                    let mut seen = 0;
                    while receiver.changed().await.is_ok() {
                        let value = *receiver.borrow_and_update();
                        assert!(value > seen, "never backwards, and never one twice");
                        seen = value;
                    }
                    seen
                })
            })
            .collect();
        for value in 1..=2_000 {
            sender.send(value);
            if value % 16 == 0 {
                yield_now().await;
            }
        }
        drop(sender);
        for watcher in watchers {
            assert_eq!(watcher.await.expect("it does not panic"), 2_000);
        }
    });
}

#[test]
fn a_request_with_many_tasks_does_not_starve_one_with_few() {
    runtime().block_on(async {
        // One permit: while somebody of the few has it, nobody of the many gets on.
        let node = Limiter::new(1);
        let (greedy, modest) = (node.child(1_000), node.child(1_000));
        // It is held until all have joined the line.
        let held = node.acquire().await;
        let (left, mut tasks) = (Arc::new(AtomicUsize::new(2_000)), Vec::new());
        for (limiter, count) in [(&greedy, 2_000), (&modest, 20)] {
            for _ in 0..count {
                let (limiter, left, few) = (limiter.clone(), Arc::clone(&left), count == 20);
                tasks.push(spawn(async move {
                    let _permit = limiter.acquire().await;
                    if !few {
                        left.fetch_sub(1, SeqCst);
                    }
                    yield_now().await;
                    // How many of the other request were still to come.
                    few.then(|| left.load(SeqCst))
                }));
            }
        }
        while node.stats().waiting < 2_020 {
            yield_now().await;
        }
        drop(held);
        let mut fewest = usize::MAX;
        for task in tasks {
            fewest = fewest.min(task.await.expect("it does not panic").unwrap_or(usize::MAX));
        }
        // Twenty turns each; who came first is chance.
        assert!([1_980, 1_981].contains(&fewest), "{fewest} were left when the last of the few had its turn");
        let stats = node.stats();
        assert_eq!((stats.in_use, stats.in_use_max, stats.waiting, stats.given), (0, 1, 0, 2_021));
    });
}

#[test]
fn a_scope_ends_with_the_last_of_its_tasks_however_they_end() {
    let (report, entered) = runtime().block_on(async {
        let scope = Scope::new("server");
        let mut tasks = Vec::new();
        for number in 0..300 {
            let guard = scope.enter("request").expect("it is open");
            tasks.push(spawn(async move {
                match number % 3 {
                    0 => guard.cancelled().await,
                    1 => panic!("request {number} fails, as it should in this test"),
                    _ => pending().await,
                }
            }));
        }
        for task in tasks.iter().skip(2).step_by(3) {
            task.abort();
        }
        let early = scope.drain(ready(())).await;
        assert!(early.pending.len() >= 100, "a third waits to be cancelled");
        assert!(early.pending.iter().all(|pending| pending.name == "request" && pending.scope == "server"));
        scope.cancel();
        (scope.drain(pending()).await, 300)
    });
    assert_eq!((report.entered, report.ended, report.pending.len()), (entered, entered, 0));
    assert!(report.cancelled);
}

#[test]
fn a_drain_gives_up_at_its_deadline_and_says_for_what() {
    runtime().block_on(async {
        let scope = Scope::with_clock("server", now);
        let guard = scope.enter("deaf").expect("it is open");
        let task = spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        let deadline = Duration::from_millis(20);
        let report = scope.drain(sleep(deadline)).await;
        assert_eq!((report.entered, report.ended), (1, 0));
        let work = &report.pending[0];
        assert_eq!((&*work.name, work.scope.as_str(), work.location.file()), ("deaf", "server", file!()));
        assert!(report.at.duration_since(work.since) >= deadline);
        task.abort();
        assert!(scope.drain(pending()).await.pending.is_empty());
    });
}

#[test]
fn work_that_is_cancelled_leaves_its_loop() {
    runtime().block_on(async {
        let scope = Scope::new("job");
        let turns = Arc::new(AtomicUsize::new(0));
        let child = scope.child("part").expect("it is open");
        for _ in 0..4 {
            let (guard, turns) = (child.enter("loop").expect("it is open"), Arc::clone(&turns));
            drop(spawn(async move {
                while !guard.is_cancelled() {
                    turns.fetch_add(1, SeqCst);
                    yield_now().await;
                }
            }));
        }
        while turns.load(SeqCst) < 1_000 {
            yield_now().await;
        }
        scope.cancel();
        scope.ended().await;
        assert!(child.has_ended());
    });
}
