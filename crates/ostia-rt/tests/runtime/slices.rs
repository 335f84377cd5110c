//! CPU work in slices: it gives way, and gets help only from those who are idle.

use std::{
    collections::HashSet,
    ops::ControlFlow,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use ostia_rt::{Pieces, Runtime, Slice, breathe, compute, compute_pieces, spawn, yield_now};

fn runtime(workers: usize) -> Runtime {
    Runtime::builder()
        .workers_per_node(workers)
        .slice(Duration::from_millis(1))
        .build()
        .expect("a runtime starts")
}

#[test]
fn work_that_takes_long_lets_other_tasks_in_between() {
    let runtime = runtime(1);
    let others = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&others);
    let count = runtime.block_on(runtime.spawn(async move {
        let own = Arc::clone(&others);
        let task = spawn(async move {
            loop {
                own.fetch_add(1, Ordering::Relaxed);
                yield_now().await;
            }
        });
        let end = Instant::now() + Duration::from_millis(50);
        let mut slices = 0;
        let slices = compute(move |slice: &Slice| {
            slices += 1;
            while !slice.is_over() {
                std::hint::spin_loop();
            }
            if Instant::now() >= end { ControlFlow::Break(slices) } else { ControlFlow::Continue(()) }
        })
        .await;
        task.abort();
        slices
    }));
    assert!(count.unwrap() > 1);
    assert!(seen.load(Ordering::Relaxed) > 1);
}

#[test]
fn breathing_yields_only_when_the_slice_is_over() {
    let runtime = runtime(1);
    let turns = Arc::new(AtomicUsize::new(0));
    let own = Arc::clone(&turns);
    runtime
        .block_on(runtime.spawn(async move {
            let count = Arc::clone(&own);
            let other = spawn(async move {
                loop {
                    count.fetch_add(1, Ordering::Relaxed);
                    yield_now().await;
                }
            });
            let end = Instant::now() + Duration::from_millis(20);
            let mut breaths = 0;
            while Instant::now() < end {
                breathe().await;
                breaths += 1;
            }
            other.abort();
            assert!(breaths > own.load(Ordering::Relaxed), "most of them went on at once");
        }))
        .unwrap();
    assert!(turns.load(Ordering::Relaxed) > 0);
}

/// Counts up to an end, and remembers who helped.
struct Counting {
    next: AtomicUsize,
    end: usize,
    done: AtomicUsize,
    threads: Mutex<HashSet<ThreadId>>,
    fails_at: usize,
    /// It is done as soon as two have worked on it.
    for_two: bool,
}

impl Counting {
    fn new(end: usize) -> Counting {
        Counting {
            next: AtomicUsize::new(0),
            end,
            done: AtomicUsize::new(0),
            threads: Mutex::default(),
            fails_at: usize::MAX,
            for_two: false,
        }
    }
}

impl Pieces for Counting {
    fn some(&self, slice: &Slice) -> bool {
        let both = {
            let mut threads = self.threads.lock().unwrap();
            threads.insert(thread::current().id());
            threads.len() == 2
        };
        if self.for_two && both {
            return false;
        }
        loop {
            let piece = self.next.fetch_add(1, Ordering::Relaxed);
            if piece >= self.end {
                return false;
            }
            assert!(piece != self.fails_at, "a piece that fails");
            let until = Instant::now() + Duration::from_micros(20);
            while Instant::now() < until {
                std::hint::spin_loop();
            }
            self.done.fetch_add(1, Ordering::Relaxed);
            if slice.is_over() {
                return true;
            }
        }
    }
}

#[test]
fn a_long_piece_of_work_gets_the_help_of_an_idle_worker() {
    let runtime = runtime(2);
    // Until both have come, or it is plain that one of them never will.
    let work = Arc::new(Counting { for_two: true, ..Counting::new(5_000_000) });
    runtime.block_on(runtime.spawn(compute_pieces(Arc::clone(&work)))).unwrap();
    assert_eq!(work.threads.lock().unwrap().len(), 2);
}

#[test]
fn work_in_pieces_is_done_by_one_worker_while_the_other_is_busy() {
    let runtime = runtime(2);
    let stop = Arc::new(AtomicBool::new(false));
    let busy = Arc::clone(&stop);
    let began = Arc::new(AtomicBool::new(false));
    let begins = Arc::clone(&began);
    let other = runtime.spawn(async move {
        begins.store(true, Ordering::Release);
        while !busy.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
        thread::current().id()
    });
    while !began.load(Ordering::Acquire) {
        thread::yield_now();
    }
    let work = Arc::new(Counting::new(500));
    runtime.block_on(runtime.spawn(compute_pieces(Arc::clone(&work)))).unwrap();
    stop.store(true, Ordering::Relaxed);
    let busy = runtime.block_on(other).unwrap();
    assert!(!work.threads.lock().unwrap().contains(&busy));
}

#[test]
fn a_piece_that_panics_ends_the_work_wherever_it_was_done() {
    let runtime = runtime(2);
    let work = Arc::new(Counting { fails_at: 2_000, ..Counting::new(5_000) });
    let error = runtime.block_on(runtime.spawn(compute_pieces(Arc::clone(&work)))).unwrap_err();
    assert!(error.to_string().contains("a piece that fails"), "{error}");
    assert!(work.done.load(Ordering::Relaxed) < 5_000);
    assert_eq!(runtime.block_on(runtime.spawn(async { 1 })).unwrap(), 1);
}

/// Counts who is at it.
struct Crowd {
    inside: AtomicUsize,
    most: AtomicUsize,
    left: AtomicUsize,
}

impl Pieces for Crowd {
    fn some(&self, slice: &Slice) -> bool {
        let inside = 1 + self.inside.fetch_add(1, Ordering::Relaxed);
        self.most.fetch_max(inside, Ordering::Relaxed);
        let end = Instant::now() + Duration::from_micros(100);
        while Instant::now() < end && !slice.is_over() {
            std::hint::spin_loop();
        }
        self.inside.fetch_sub(1, Ordering::Relaxed);
        let take = |left: usize| left.checked_sub(1);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok_and(|left| left > 1)
    }
}

#[test]
fn no_more_workers_are_at_work_in_pieces_than_it_allows() {
    let runtime = runtime(4);
    for (workers, most) in [(0, 1), (1, 1), (2, 2), (3, 3)] {
        let (inside, left) = (AtomicUsize::new(0), AtomicUsize::new(500));
        let work = Arc::new(Crowd { inside, most: AtomicUsize::new(0), left });
        runtime.block_on(runtime.spawn(compute_pieces(Arc::clone(&work)).at_most(workers))).unwrap();
        assert!((1..=most).contains(&work.most.load(Ordering::Relaxed)), "{workers}");
        assert_eq!(work.left.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn work_for_two_gets_the_help_of_one_of_many() {
    let runtime = runtime(4);
    let work = Arc::new(Counting { for_two: true, ..Counting::new(5_000_000) });
    runtime.block_on(runtime.spawn(compute_pieces(Arc::clone(&work)).at_most(2))).unwrap();
    assert_eq!(work.threads.lock().unwrap().len(), 2);
}
