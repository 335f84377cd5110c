//! Tasks on a real runtime: spawned, woken, stolen, aborted, panicking.

use std::{
    cell::Cell,
    future::{Future, pending, poll_fn},
    pin::pin,
    rc::Rc,
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    thread,
};

use ostia_rt::{Handle, Runtime, spawn, spawn_local, sync::oneshot, yield_now};

fn runtime(workers: usize) -> Runtime {
    Runtime::builder().workers_per_node(workers).build().expect("a runtime starts")
}

#[test]
fn tasks_spawn_tasks_and_wait_for_them() {
    let runtime = runtime(2);
    let sum = runtime.block_on(async {
        let tasks: Vec<_> = (0..1000u64)
            .map(|number| {
                spawn(async move {
                    yield_now().await;
                    spawn(async move { number }).await.unwrap()
                })
            })
            .collect();
        let mut sum = 0;
        for task in tasks {
            sum += task.await.unwrap();
        }
        sum
    });
    assert_eq!(sum, 499_500);
}

#[test]
fn a_task_spawned_from_outside_wakes_a_worker_that_sleeps() {
    let runtime = runtime(2);
    for number in 0..200 {
        assert_eq!(runtime.block_on(runtime.spawn(async move { number })).unwrap(), number);
    }
}

#[test]
fn a_waker_used_by_a_foreign_thread_wakes_the_task() {
    let runtime = runtime(1);
    let (sender, receiver) = mpsc::channel();
    let mut sender = Some(sender);
    let task = runtime.spawn(poll_fn(move |cx| match sender.take() {
        Some(sender) => {
            sender.send(cx.waker().clone()).unwrap();
            Poll::Pending
        }
        None => Poll::Ready("woken"),
    }));
    let waker = receiver.recv().unwrap();
    thread::spawn(move || waker.wake()).join().unwrap();
    assert_eq!(runtime.block_on(task).unwrap(), "woken");
}

#[test]
fn two_workers_run_two_tasks_at_a_time() {
    let runtime = runtime(2);
    // Each waits for the other: one worker alone would never come back.
    let barrier = Arc::new(Barrier::new(2));
    let tasks: Vec<_> = (0..2)
        .map(|_| {
            let barrier = Arc::clone(&barrier);
            runtime.spawn(async move { barrier.wait().is_leader() })
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
fn what_a_busy_worker_cannot_come_to_is_stolen() {
    let runtime = runtime(2);
    let (sender, receiver) = mpsc::channel();
    let done = runtime.spawn(async move {
        // All of these are in this worker's queue, and it does not come back before they are done.
        for _ in 0..8 {
            let sender = sender.clone();
            drop(spawn(async move { sender.send(thread::current().id()).unwrap() }));
        }
        let here = thread::current().id();
        (0..7).map(|_| receiver.recv().unwrap()).all(|thread| thread != here)
    });
    assert!(runtime.block_on(done).unwrap());
}

#[test]
fn a_local_task_stays_with_its_worker() {
    let runtime = runtime(2);
    let moved = runtime.block_on(runtime.spawn(async {
        let home = thread::current().id();
        let moved = spawn_local(async move {
            let shared = Rc::new(Cell::new(0));
            let other = Rc::clone(&shared);
            let task = spawn_local(async move {
                for _ in 0..100 {
                    yield_now().await;
                    other.set(other.get() + usize::from(thread::current().id() != home));
                }
            });
            for _ in 0..100 {
                yield_now().await;
            }
            task.await.unwrap();
            shared.get()
        });
        moved.await.unwrap()
    }));
    assert_eq!(moved.unwrap(), 0);
}

#[test]
fn a_local_task_that_is_woken_elsewhere_comes_back_to_its_worker() {
    let runtime = runtime(2);
    let home = runtime.block_on(runtime.spawn(async {
        let home = thread::current().id();
        let task = spawn_local(async move {
            let mut began = false;
            poll_fn(move |cx| {
                if std::mem::replace(&mut began, true) {
                    return Poll::Ready(());
                }
                let waker = cx.waker().clone();
                thread::spawn(move || waker.wake());
                Poll::Pending
            })
            .await;
            thread::current().id()
        });
        task.await.unwrap() == home
    }));
    assert!(home.unwrap());
}

#[test]
fn a_panic_takes_neither_worker_nor_other_tasks_down() {
    let runtime = runtime(1);
    let bad = runtime.spawn(async { panic!("as it was meant to") });
    let error = runtime.block_on(bad).unwrap_err();
    assert!(error.is_panic());
    assert_eq!(runtime.block_on(runtime.spawn(async { 7 })).unwrap(), 7);
}

#[test]
fn an_aborted_task_says_that_it_was_cancelled() {
    let runtime = runtime(1);
    let task = runtime.spawn(pending::<()>());
    task.abort();
    assert!(runtime.block_on(task).unwrap_err().is_cancelled());
}

#[test]
fn a_task_that_always_wakes_itself_keeps_nobody_from_running() {
    let runtime = runtime(1);
    let count = Arc::new(AtomicUsize::new(0));
    let own = Arc::clone(&count);
    let spinner = runtime.spawn(async move {
        loop {
            own.fetch_add(1, Ordering::Relaxed);
            yield_now().await;
        }
    });
    for _ in 0..100 {
        runtime.block_on(runtime.spawn(async {})).unwrap();
    }
    spinner.abort();
    assert!(runtime.block_on(spinner).unwrap_err().is_cancelled());
    assert!(count.load(Ordering::Relaxed) > 0);
}

#[test]
fn more_tasks_than_a_queue_holds_all_run() {
    let runtime = runtime(2);
    let count = runtime.block_on(runtime.spawn(async {
        let tasks: Vec<_> = (0..10_000).map(|_| spawn(yield_now())).collect();
        let mut count = 0;
        for task in tasks {
            task.await.unwrap();
            count += 1;
        }
        count
    }));
    assert_eq!(count.unwrap(), 10_000);
}

#[test]
fn a_handle_outlives_its_runtime_and_spawns_nothing() {
    let handle: Handle = {
        let runtime = runtime(1);
        runtime.handle()
    };
    let task = handle.spawn(async { 1 });
    assert!(task.is_finished());
    assert!(handle.block_on(task).unwrap_err().is_cancelled());
}

#[test]
fn a_light_task_behind_one_that_never_comes_back_is_rescued() {
    let runtime = runtime(2);
    let (sender, receiver) = mpsc::channel();
    let task = runtime.spawn(async move {
        // So that the worker thinks that tasks are light.
        for _ in 0..10_000 {
            yield_now().await;
        }
        drop(spawn(async move { sender.send(()).unwrap() }));
        // The task that was just spawned waits in this very worker's queue, alone.
        receiver.recv()
    });
    assert!(runtime.block_on(task).unwrap().is_ok());
}

#[test]
fn a_yield_wakes_whatever_it_is_polled_with() {
    struct Inner(AtomicUsize);
    impl Wake for Inner {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let runtime = runtime(1);
    let task = runtime.spawn(async {
        let inner = Arc::new(Inner(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&inner));
        let mut yielding = pin!(yield_now());
        // As in a set of futures, which has wakers of its own.
        assert!(yielding.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(inner.0.load(Ordering::SeqCst), 1);
        assert!(yielding.poll(&mut Context::from_waker(&waker)).is_ready());
        // The waker of another task, which sleeps: that one is woken, and this one is not.
        let (sender, receiver) = mpsc::channel();
        let other = spawn(poll_fn(move |cx| match sender.send(cx.waker().clone()) {
            Ok(()) => Poll::Pending,
            Err(_) => Poll::Ready("woken"),
        }));
        let waker = loop {
            match receiver.try_recv() {
                Ok(waker) => break waker,
                Err(_) => yield_now().await,
            }
        };
        drop(receiver);
        assert!(pin!(yield_now()).poll(&mut Context::from_waker(&waker)).is_pending());
        other.await.unwrap()
    });
    assert_eq!(runtime.block_on(task).unwrap(), "woken");
}

#[test]
fn a_chain_of_tasks_that_end_one_another_needs_no_stack() {
    // Were what is woken run by whoever wakes it, so many would not fit on a worker's stack.
    const LINKS: usize = 100_000;
    for workers in [1, 2] {
        let runtime = runtime(workers);
        let (ends, mut woken) = oneshot::channel::<()>();
        let tasks: Vec<_> = (0..LINKS)
            .map(|_| {
                let (end, begin) = oneshot::channel();
                let before = std::mem::replace(&mut woken, begin);
                runtime.spawn(async move {
                    before.await.expect("the one before sends");
                    end.send(()).expect("the next one waits");
                })
            })
            .collect();
        ends.send(()).expect("the first one waits");
        runtime.block_on(async {
            woken.await.expect("the last one sends");
            for task in tasks {
                task.await.expect("it ends");
            }
        });
    }
}

#[test]
fn a_task_whose_claim_answers_for_it_is_aborted_with_it_and_not_otherwise() {
    struct Tells(mpsc::Sender<&'static str>);
    impl Drop for Tells {
        fn drop(&mut self) {
            let _ = self.0.send("dropped");
        }
    }
    let runtime = runtime(1);
    let (sender, told) = mpsc::channel();
    let tells = Tells(sender);
    let waits = runtime.spawn(async move {
        let _tells = tells;
        pending::<()>().await;
    });
    drop(waits.abort_on_drop());
    assert_eq!(told.recv(), Ok("dropped"));
    let ends = runtime.spawn(async {
        yield_now().await;
        7
    });
    assert_eq!(runtime.block_on(ends.abort_on_drop()).unwrap(), 7);
}
