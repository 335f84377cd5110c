//! Tests of tasks without a runtime; Miri runs them, too.

use std::{
    cell::Cell,
    future::{Future, pending, poll_fn, ready},
    pin::{Pin, pin},
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
};

use super::{CAPACITY, Header, Injector, Owned, Schedule, Task, Thieves, new, new_local, queue};

/// A scheduler with a list, and the set of those that live.
#[derive(Clone)]
struct Bench(Arc<(Injector, Owned)>);

impl Bench {
    fn new() -> Bench {
        Bench(Arc::new((Injector::new(), Owned::new())))
    }

    /// Runs what is queued; how many polls it took.
    fn run(&self) -> usize {
        let mut count = 0;
        while let Some(task) = self.0.0.pop() {
            task.run();
            count += 1;
        }
        count
    }

    fn spawn<F>(&self, future: F) -> super::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (task, owned, join) = new(future, self.clone(), None);
        assert!(self.0.1.insert(owned));
        self.0.0.push(task);
        join
    }
}

impl Schedule for Bench {
    type Way = Bench;

    fn way(&self) -> Bench {
        self.clone()
    }

    fn schedule(bench: Bench, task: Task) {
        bench.0.0.push(task);
    }

    fn release(&self, task: &Header) -> bool {
        self.0.1.remove(task)
    }
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Count {
    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Counts when it is dropped.
struct Bomb(Arc<Count>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll<T>(join: &mut super::JoinHandle<T>, woken: &Arc<Count>) -> Poll<Result<T, super::JoinError>> {
    let waker = Waker::from(Arc::clone(woken));
    Pin::new(join).poll(&mut Context::from_waker(&waker))
}

#[test]
fn a_task_gives_its_result_to_the_handle_and_wakes_it_once() {
    let bench = Bench::new();
    let woken = Arc::new(Count::default());
    let mut join = bench.spawn(async { "done".to_owned() });
    assert!(poll(&mut join, &woken).is_pending());
    assert!(poll(&mut join, &woken).is_pending());
    assert_eq!(bench.run(), 1);
    assert_eq!(woken.get(), 1);
    assert!(matches!(poll(&mut join, &woken), Poll::Ready(Ok(text)) if text == "done"));
    assert_eq!(bench.0.1.len(), 0);
}

#[test]
fn a_result_that_nobody_wants_is_dropped_once() {
    let bench = Bench::new();
    let dropped = Arc::new(Count::default());
    let bomb = Bomb(Arc::clone(&dropped));
    drop(bench.spawn(async move { bomb }));
    assert_eq!(bench.run(), 1);
    assert_eq!(dropped.get(), 1);

    let bomb = Bomb(Arc::clone(&dropped));
    let join = bench.spawn(async move { bomb });
    bench.run();
    assert_eq!(dropped.get(), 1, "the result is the handle's");
    drop(join);
    assert_eq!(dropped.get(), 2);
}

#[test]
fn a_task_woken_many_times_is_polled_once_more() {
    let bench = Bench::new();
    let wakers = Arc::new(Mutex::new(Vec::new()));
    let polls = Arc::new(Count::default());
    let (kept, count) = (Arc::clone(&wakers), Arc::clone(&polls));
    let join = bench.spawn(poll_fn(move |cx| {
        count.0.fetch_add(1, Ordering::SeqCst);
        if count.get() > 2 {
            return Poll::Ready(());
        }
        kept.lock().unwrap().push(cx.waker().clone());
        Poll::Pending
    }));
    assert_eq!(bench.run(), 1);
    let waker = wakers.lock().unwrap()[0].clone();
    waker.wake_by_ref();
    waker.wake_by_ref();
    let again = waker.clone();
    again.wake();
    assert_eq!(bench.run(), 1);
    waker.wake();
    assert_eq!(bench.run(), 1);
    assert!(join.is_finished());
    for late in wakers.lock().unwrap().drain(..) {
        late.wake();
    }
    assert_eq!(bench.run(), 0);
    assert_eq!(polls.get(), 3);
}

#[test]
fn a_panic_is_contained_and_handed_to_the_handle() {
    let bench = Bench::new();
    let woken = Arc::new(Count::default());
    let mut join = bench.spawn(async { panic!("no {}", 1) });
    bench.run();
    let Poll::Ready(Err(error)) = poll(&mut join, &woken) else { panic!("it ended with a panic") };
    assert!(error.is_panic() && !error.is_cancelled());
    assert_eq!(error.to_string(), "the task panicked: no 1");
    assert!(error.into_panic().is_some());
}

#[test]
fn a_destructor_that_panics_is_contained_too() {
    struct Worse;
    impl Drop for Worse {
        fn drop(&mut self) {
            panic!("when dropped");
        }
    }
    let bench = Bench::new();
    let woken = Arc::new(Count::default());
    let worse = Worse;
    let mut join = bench.spawn(async move {
        let _worse = worse;
        pending::<()>().await;
    });
    bench.run();
    join.abort();
    bench.run();
    assert!(matches!(poll(&mut join, &woken), Poll::Ready(Err(error)) if error.is_panic()));
    // A result that panics when nobody wants it.
    drop(bench.spawn(async { Worse }));
    bench.run();
    assert_eq!(bench.0.1.len(), 0);
}

#[test]
fn an_aborted_task_is_dropped_by_its_runner_and_says_so() {
    let bench = Bench::new();
    let woken = Arc::new(Count::default());
    let dropped = Arc::new(Count::default());
    let bomb = Bomb(Arc::clone(&dropped));
    let mut join = bench.spawn(async move {
        let _bomb = bomb;
        pending::<()>().await;
    });
    let abort = join.abort_handle();
    assert_eq!(bench.run(), 1);
    abort.abort();
    abort.abort();
    assert_eq!(dropped.get(), 0, "only a runner drops it");
    assert_eq!(bench.run(), 1);
    assert_eq!(dropped.get(), 1);
    assert!(abort.is_finished());
    assert!(matches!(poll(&mut join, &woken), Poll::Ready(Err(error)) if error.is_cancelled()));
    // Of a task that has ended nothing happens.
    abort.abort();
    assert_eq!(bench.run(), 0);
}

#[test]
fn a_task_that_aborts_itself_while_it_runs_is_not_polled_again() {
    let bench = Bench::new();
    let handle = Arc::new(Mutex::new(None::<super::AbortHandle>));
    let own = Arc::clone(&handle);
    let join = bench.spawn(poll_fn(move |cx| {
        own.lock().unwrap().as_ref().expect("it was left there").abort();
        cx.waker().wake_by_ref();
        Poll::<()>::Pending
    }));
    *handle.lock().unwrap() = Some(join.abort_handle());
    assert_eq!(bench.run(), 1);
    assert!(join.is_finished());
}

#[test]
fn a_local_task_is_not_touched_by_another_thread() {
    let bench = Bench::new();
    let shared = Rc::new(Cell::new(0));
    let seen = Rc::clone(&shared);
    let (task, owned, join) = new_local(
        async move {
            seen.set(seen.get() + 1);
            seen
        },
        bench.clone(),
        None,
    );
    assert!(bench.0.1.insert(owned));
    assert!(task.is_local());
    let bad = thread::scope(|scope| {
        let task = task.clone();
        scope.spawn(move || task.run()).join()
    });
    assert!(bad.is_err(), "a local task is run by its own thread");
    task.run();
    assert_eq!(shared.get(), 1);
    let mut join = pin!(join);
    let woken = Waker::from(Arc::new(Count::default()));
    let Poll::Ready(Ok(back)) = join.as_mut().poll(&mut Context::from_waker(&woken)) else {
        panic!("it ended")
    };
    assert!(Rc::ptr_eq(&back, &shared));
}

#[test]
fn what_is_stolen_is_half_and_the_oldest() {
    let bench = Bench::new();
    let (mine, steal) = queue(Thieves::Some);
    let (thief, _) = queue(Thieves::Some);
    let joins: Vec<_> = (0..9).map(|_| new(ready(()), bench.clone(), None)).collect();
    let mut handles = Vec::new();
    for (task, owned, join) in joins {
        assert!(bench.0.1.insert(owned));
        mine.push(task).unwrap();
        handles.push(join);
    }
    let first = steal.steal(&thief, CAPACITY).expect("there are nine");
    assert_eq!((steal.len(), thief.len()), (4, 4));
    first.run();
    while let Some(task) = thief.pop().or_else(|| mine.pop()) {
        task.run();
    }
    assert!(handles.iter().all(super::JoinHandle::is_finished));
    assert!(steal.steal(&thief, CAPACITY).is_none());
}

#[test]
fn where_nobody_steals_the_owner_takes_all_in_their_order() {
    let bench = Bench::new();
    let (mine, steal) = queue(Thieves::None);
    let (thief, _) = queue(Thieves::Some);
    let order = Arc::new(Count::default());
    for round in 0..3 {
        for number in 0..CAPACITY {
            let order = Arc::clone(&order);
            let place = round * CAPACITY + number;
            let task = async move { assert_eq!(order.0.fetch_add(1, Ordering::SeqCst), place) };
            let (task, owned, join) = new(task, bench.clone(), None);
            assert!(bench.0.1.insert(owned));
            drop(join);
            mine.push(task).unwrap();
        }
        assert_eq!(steal.len(), CAPACITY);
        assert!(steal.steal(&thief, CAPACITY).is_none());
        while let Some(task) = mine.pop() {
            task.run();
        }
    }
    assert_eq!((order.get(), bench.0.1.len()), (3 * CAPACITY, 0));
}

#[test]
fn a_queue_that_is_full_gives_the_task_back() {
    let bench = Bench::new();
    let (mine, _steal) = queue(Thieves::Some);
    let mut count = 0;
    loop {
        let (task, owned, join) = new(ready(()), bench.clone(), None);
        assert!(bench.0.1.insert(owned));
        drop(join);
        if let Err(task) = mine.push(task) {
            task.run();
            break;
        }
        count += 1;
    }
    assert_eq!(count, CAPACITY);
    while let Some(task) = mine.pop() {
        task.run();
    }
    assert_eq!(bench.0.1.len(), 0);
}

#[test]
fn no_task_is_lost_or_run_twice_while_three_threads_steal() {
    const TASKS: usize = if cfg!(miri) { 60 } else { 100_000 };
    let bench = Bench::new();
    let (mine, steal) = queue(Thieves::Some);
    let ran = Arc::new(Count::default());
    thread::scope(|scope| {
        for _ in 0..3 {
            let (steal, ran) = (steal.clone(), Arc::clone(&ran));
            scope.spawn(move || {
                let (own, _) = queue(Thieves::Some);
                while ran.get() < TASKS {
                    let Some(task) = own.pop().or_else(|| steal.steal(&own, CAPACITY)) else {
                        thread::yield_now();
                        continue;
                    };
                    task.run();
                }
            });
        }
        for _ in 0..TASKS {
            let count = Arc::clone(&ran);
            let (mut task, owned, join) =
                new(async move { count.0.fetch_add(1, Ordering::SeqCst) }, bench.clone(), None);
            assert!(bench.0.1.insert(owned));
            drop(join);
            while let Err(back) = mine.push(task) {
                task = back;
                if let Some(other) = mine.pop() {
                    other.run();
                }
            }
        }
        while let Some(task) = mine.pop() {
            task.run();
        }
    });
    assert_eq!(ran.get(), TASKS);
    assert_eq!(bench.0.1.len(), 0);
}

#[test]
fn tasks_that_wait_for_each_other_on_many_threads_all_end() {
    const TASKS: usize = if cfg!(miri) { 20 } else { 5_000 };
    let bench = Bench::new();
    let ended = Arc::new(Count::default());
    thread::scope(|scope| {
        for _ in 0..3 {
            let (bench, ended) = (bench.clone(), Arc::clone(&ended));
            scope.spawn(move || {
                while ended.get() < TASKS {
                    if bench.run() == 0 {
                        thread::yield_now();
                    }
                }
            });
        }
        let mut before = bench.spawn(async { 0 });
        for number in 0..TASKS {
            let count = Arc::clone(&ended);
            before = bench.spawn(async move {
                let sum = before.await.unwrap() + number;
                count.0.fetch_add(1, Ordering::SeqCst);
                sum
            });
        }
        drop(before);
    });
    bench.run();
    assert_eq!(bench.0.1.len(), 0);
}
