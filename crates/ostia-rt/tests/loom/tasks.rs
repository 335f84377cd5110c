//! Tasks: their word of states, their queues, and stealing.

use std::{
    future::{Future, poll_fn, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize as Plain, Ordering},
    },
    task::{Poll, Waker},
};

use ::loom::{
    sync::atomic::{AtomicBool, AtomicUsize},
    thread,
};

use crate::{
    block_on, check,
    task::{Header, Injector, JoinHandle, Owned, Schedule, Task, Thieves, new, put_off, queue},
};

/// A scheduler with a list, and the set of those that live.
#[derive(Clone)]
struct Bench(Arc<(Injector, Owned)>);

impl Bench {
    fn new() -> Bench {
        Bench(Arc::new((Injector::new(), Owned::new())))
    }

    /// Runs what is queued; how many.
    fn run(&self) -> usize {
        let mut count = 0;
        while let Some(task) = self.0.0.pop() {
            task.run();
            count += 1;
        }
        count
    }

    fn task<F>(&self, future: F) -> (Task, JoinHandle<F::Output>)
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (task, owned, join) = new(future, self.clone(), None);
        assert!(self.0.1.insert(owned));
        (task, join)
    }

    fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (task, join) = self.task(future);
        self.0.0.push(task);
        join
    }
}

impl Schedule for Bench {
    type Way = Bench;

    fn way(&self) -> Bench {
        self.clone()
    }

    fn schedule(way: Bench, task: Task) {
        way.0.0.push(task);
    }

    fn release(&self, task: &Header) -> bool {
        self.0.1.remove(task)
    }
}

/// Counts when it is dropped.
struct Bomb(Arc<Plain>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_task_that_is_woken_while_it_runs_sees_what_both_who_woke_it_left() {
    check(|| {
        let bench = Bench::new();
        let left = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let place = Arc::new(::loom::sync::Mutex::new(None::<Waker>));
        let (seen, kept) = (Arc::clone(&left), Arc::clone(&place));
        let join = bench.spawn(poll_fn(move |cx| {
            *kept.lock().expect("no panic") = Some(cx.waker().clone());
            // Relaxed: the wake alone is what orders them.
            if seen.iter().all(|one| one.load(Ordering::Relaxed)) { Poll::Ready(()) } else { Poll::Pending }
        }));
        assert_eq!(bench.run(), 1);
        let waker = place.lock().expect("no panic").take().expect("it was polled");
        let wakers: Vec<_> = (0..2)
            .map(|number| {
                let (left, waker, bench) = (Arc::clone(&left), waker.clone(), bench.clone());
                thread::spawn(move || {
                    left[number].store(true, Ordering::Relaxed);
                    if number == 0 {
                        waker.wake()
                    } else {
                        waker.wake_by_ref()
                    };
                    // Who wakes may be who runs.
                    bench.run();
                })
            })
            .collect();
        wakers.into_iter().for_each(|waker| waker.join().expect("no panic"));
        bench.run();
        assert!(join.is_finished(), "a wake was lost");
        place.lock().expect("no panic").take();
        drop(waker);
        assert_eq!(bench.0.1.len(), 0);
    });
}

#[test]
fn a_task_that_is_aborted_while_it_ends_drops_its_future_and_its_result_once() {
    check(|| {
        let bench = Bench::new();
        let (futures, results) = (Arc::new(Plain::new(0)), Arc::new(Plain::new(0)));
        let (future, result) = (Bomb(Arc::clone(&futures)), Arc::clone(&results));
        let join = bench.spawn(async move {
            let _future = future;
            Bomb(result)
        });
        let abort = join.abort_handle();
        let aborts = thread::spawn(move || abort.abort());
        let leaves = thread::spawn(move || drop(join));
        bench.run();
        aborts.join().expect("no panic");
        leaves.join().expect("no panic");
        assert_eq!(bench.run(), 0, "a task that has ended is in no queue");
        assert_eq!(futures.load(Ordering::Relaxed), 1);
        assert!(results.load(Ordering::Relaxed) <= 1);
        assert_eq!((bench.0.1.len(), Arc::strong_count(&bench.0)), (0, 1), "the task is gone");
        assert_eq!(Arc::strong_count(&results), 1);
    });
}

#[test]
fn a_task_that_goes_behind_the_others_comes_again_or_is_aborted() {
    check(|| {
        let bench = Bench::new();
        let polls = Arc::new(Plain::new(0));
        let count = Arc::clone(&polls);
        let join = bench.spawn(poll_fn(move |cx| {
            if count.fetch_add(1, Ordering::Relaxed) == 0 {
                assert!(put_off(cx.waker().data(), cx.waker()));
                // It is also woken: it is to be in the queue once all the same.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        }));
        let abort = join.abort_handle();
        let others = [
            thread::spawn(move || abort.abort()),
            thread::spawn({
                let bench = bench.clone();
                move || {
                    bench.run();
                }
            }),
        ];
        bench.run();
        others.into_iter().for_each(|other| other.join().expect("no panic"));
        bench.run();
        assert!(join.is_finished(), "it was queued no more");
        assert!(polls.load(Ordering::Relaxed) <= 2);
        assert_eq!(bench.0.1.len(), 0);
    });
}

#[test]
fn a_result_reaches_who_waits_for_it() {
    check(|| {
        let bench = Bench::new();
        let join = bench.spawn(ready(7));
        let runner = thread::spawn({
            let bench = bench.clone();
            move || bench.run()
        });
        assert_eq!(block_on(join).expect("it was not aborted"), 7);
        assert_eq!(runner.join().expect("no panic"), 1);
    });
}

#[test]
fn what_is_stolen_while_its_owner_works_is_run_once() {
    check(|| {
        let bench = Bench::new();
        let ran = Arc::new([const { Plain::new(0) }; 3]);
        let (mine, steal) = queue(Thieves::Some);
        let task = |number: usize| {
            let ran = Arc::clone(&ran);
            let (task, join) = bench.task(async move {
                ran[number].fetch_add(1, Ordering::Relaxed);
            });
            drop(join);
            task
        };
        mine.push(task(0)).expect("there is room");
        mine.push(task(1)).expect("there is room");
        let thief = thread::spawn(move || {
            let (own, _) = queue(Thieves::Some);
            if let Some(first) = steal.steal(&own, 2) {
                first.run();
            }
            while let Some(task) = own.pop() {
                task.run();
            }
        });
        if let Some(first) = mine.pop() {
            first.run();
        }
        mine.push(task(2)).expect("there is room");
        while let Some(task) = mine.pop() {
            task.run();
        }
        thief.join().expect("no panic");
        assert!(ran.iter().all(|times| times.load(Ordering::Relaxed) == 1));
        assert_eq!(bench.0.1.len(), 0);
    });
}

#[test]
fn two_thieves_take_each_task_once_and_none_is_left() {
    check(|| {
        let bench = Bench::new();
        let ran = Arc::new(AtomicUsize::new(0));
        let (mine, steal) = queue(Thieves::Some);
        for _ in 0..3 {
            let ran = Arc::clone(&ran);
            let (task, join) = bench.task(async move {
                ran.fetch_add(1, Ordering::Relaxed);
            });
            drop(join);
            mine.push(task).expect("there is room");
        }
        let thieves: Vec<_> = (0..2)
            .map(|_| {
                let steal = steal.clone();
                thread::spawn(move || {
                    let (own, _) = queue(Thieves::Some);
                    if let Some(first) = steal.steal(&own, 1) {
                        first.run();
                    }
                })
            })
            .collect();
        thieves.into_iter().for_each(|thief| thief.join().expect("no panic"));
        while let Some(task) = mine.pop() {
            task.run();
        }
        assert_eq!(ran.load(Ordering::Relaxed), 3);
        assert_eq!(bench.0.1.len(), 0);
    });
}

#[test]
fn a_task_that_is_spawned_while_the_runtime_ends_is_refused_or_cancelled() {
    check(|| {
        let bench = Bench::new();
        let dropped = Arc::new(Plain::new(0));
        let bomb = Bomb(Arc::clone(&dropped));
        let spawner = thread::spawn({
            let bench = bench.clone();
            move || {
                let (task, owned, join) = new(
                    async move {
                        let _bomb = bomb;
                        std::future::pending::<()>().await;
                    },
                    bench.clone(),
                    None,
                );
                drop(join);
                if bench.0.1.insert(owned) {
                    bench.0.0.push(task);
                } else {
                    task.cancel();
                    task.run();
                }
            }
        });
        bench.0.1.close();
        bench.0.1.cancel_all();
        bench.run();
        spawner.join().expect("no panic");
        bench.run();
        // One that was inserted before the close is among those whose end was asked for.
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
        assert_eq!(bench.0.1.len(), 0);
    });
}
