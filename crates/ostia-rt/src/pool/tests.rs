use std::{
    collections::VecDeque,
    sync::mpsc,
    task::{Wake, Waker},
    thread::{self, Thread},
};

use proptest::prelude::*;

use super::*;
use crate::sync::hand::Count;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const KEEP: Duration = Duration::from_secs(1);

/// A `take` under way, and what it was told.
struct Waiter {
    take: Pin<Box<Take>>,
    count: Arc<Count>,
    len: usize,
}

impl Waiter {
    fn new(pool: &Pool, len: usize) -> Waiter {
        Waiter { take: Box::pin(pool.take(len)), count: Arc::default(), len }
    }

    fn poll(&mut self) -> Poll<io::Result<Buffer>> {
        self.take.as_mut().poll(&mut Context::from_waker(&Waker::from(self.count.clone())))
    }

    #[track_caller]
    fn waits(&mut self) {
        assert!(self.poll().is_pending(), "it should wait");
    }

    #[track_caller]
    fn gets(&mut self) -> Buffer {
        match self.poll() {
            Poll::Ready(Ok(buffer)) => buffer,
            other => panic!("it should get a buffer: {other:?}"),
        }
    }
}

#[track_caller]
fn taken(pool: &Pool, len: usize) -> Buffer {
    pool.try_take(len).expect("a size that there is").expect("the budget has room")
}

#[test]
fn a_request_gets_the_smallest_size_with_room_for_it() {
    let pool = Pool::new(64 * MIB, KEEP);
    let check = |len, size| {
        let buffer = taken(&pool, len);
        assert_eq!((buffer.len(), buffer.capacity()), (0, size), "for {len} bytes");
    };
    check(0, 4 * KIB);
    check(1, 4 * KIB);
    check(4 * KIB, 4 * KIB);
    check(4 * KIB + 1, 8 * KIB);
    check(64 * KIB, 64 * KIB);
    check(9 * MIB, 16 * MIB);
    check(16 * MIB, 16 * MIB);
}

#[test]
fn what_can_never_be_served_is_refused_at_once() {
    let pool = Pool::new(MIB, KEEP);
    let check = |len: usize| {
        let kind = io::ErrorKind::InvalidInput;
        assert_eq!(pool.try_take(len).map(drop).map_err(|error| error.kind()), Err(kind), "{len}");
        match Waiter::new(&pool, len).poll() {
            Poll::Ready(Err(error)) => assert_eq!(error.kind(), kind, "{len}"),
            other => panic!("{len} bytes: {other:?}"),
        }
    };
    check(MIB + 1);
    check(16 * MIB + 1);
    check(usize::MAX);
    drop(taken(&pool, MIB));
}

#[test]
fn the_buffer_that_came_home_last_goes_out_first() {
    let pool = Pool::new(MIB, KEEP);
    let (first, second) = (taken(&pool, KIB), taken(&pool, KIB));
    let places = [first.as_ptr(), second.as_ptr()];
    drop(first);
    drop(second);
    let (again, then) = (taken(&pool, KIB), taken(&pool, KIB));
    assert_eq!([then.as_ptr(), again.as_ptr()], places);
    let usage = pool.usage();
    assert_eq!((usage.misses, usage.hits), (2, 2));
}

#[test]
fn a_buffer_comes_back_empty() {
    let pool = Pool::new(MIB, KEEP);
    taken(&pool, KIB).extend_from_slice(b"somebody's secret");
    let again = taken(&pool, KIB);
    assert!(again.is_empty());
    assert_eq!(pool.usage().hits, 1);
}

#[test]
fn a_buffer_that_was_grown_or_taken_apart_is_not_kept() {
    let pool = Pool::new(MIB, KEEP);
    let mut grown = taken(&pool, KIB);
    grown.resize(5 * KIB, 0);
    drop(grown);
    let mut apart = taken(&pool, KIB);
    drop(std::mem::take(&mut *apart));
    drop(apart);
    let bytes = taken(&pool, KIB).into_vec();
    assert_eq!(bytes.capacity(), 4 * KIB);
    let usage = pool.usage();
    assert_eq!((usage.out_bytes, usage.out, usage.kept_bytes, usage.kept), (0, 0, 0, 0));
}

#[test]
fn kept_buffers_make_room_for_other_sizes() {
    let pool = Pool::new(64 * KIB, KEEP);
    let small: Vec<Buffer> = (0..16).map(|_| taken(&pool, 4 * KIB)).collect();
    assert!(pool.try_take(1).expect("a size that there is").is_none());
    assert_eq!(pool.usage().refusals, 1);
    drop(small);
    assert_eq!(pool.usage().kept_bytes, 64 * KIB);
    let large = taken(&pool, 32 * KIB);
    let usage = pool.usage();
    assert_eq!((usage.out_bytes, usage.kept_bytes, usage.trims), (32 * KIB, 32 * KIB, 8));
    drop(large);
}

#[test]
fn who_waits_is_served_in_the_order_of_asking_whatever_the_sizes() {
    let pool = Pool::new(64 * KIB, KEEP);
    let mut out: Vec<Buffer> = (0..16).map(|_| taken(&pool, 4 * KIB)).collect();
    let mut large = Waiter::new(&pool, 16 * KIB);
    let mut small = Waiter::new(&pool, 4 * KIB);
    large.waits();
    small.waits();
    // Three buffers would do for the small one, but the large one was first.
    out.truncate(13);
    small.waits();
    assert!(pool.try_take(1).expect("a size that there is").is_none(), "nobody is overtaken");
    assert_eq!((large.count.wakes(), small.count.wakes()), (0, 0));
    out.truncate(12);
    assert_eq!((large.count.wakes(), small.count.wakes()), (1, 0));
    let large = large.gets();
    small.waits();
    drop(large);
    assert_eq!(small.count.wakes(), 1);
    drop(small.gets());
    assert_eq!(pool.usage().waits, 2);
}

#[test]
fn a_dropped_request_lets_those_behind_it_pass() {
    let pool = Pool::new(64 * KIB, KEEP);
    let half = taken(&pool, 32 * KIB);
    let mut whole = Waiter::new(&pool, 64 * KIB);
    let mut small = Waiter::new(&pool, 4 * KIB);
    whole.waits();
    small.waits();
    drop(whole);
    assert_eq!(small.count.wakes(), 1);
    drop(small.gets());
    drop(half);
    assert_eq!(pool.usage().out_bytes, 0);
}

#[test]
fn what_was_granted_to_a_request_that_is_dropped_goes_to_the_next() {
    let pool = Pool::new(4 * KIB, KEEP);
    let buffer = taken(&pool, 1);
    let mut first = Waiter::new(&pool, 1);
    let mut second = Waiter::new(&pool, 1);
    first.waits();
    second.waits();
    drop(buffer);
    assert_eq!((first.count.wakes(), second.count.wakes()), (1, 0));
    drop(first);
    assert_eq!(second.count.wakes(), 1);
    drop(second.gets());
    let usage = pool.usage();
    assert_eq!((usage.out, usage.waiting, usage.kept), (0, 0, 1));
}

#[test]
fn only_the_last_waker_is_woken() {
    let pool = Pool::new(4 * KIB, KEEP);
    let buffer = taken(&pool, 1);
    let mut waiter = Waiter::new(&pool, 1);
    waiter.waits();
    let before = std::mem::take(&mut waiter.count);
    waiter.waits();
    drop(buffer);
    assert_eq!((before.wakes(), waiter.count.wakes()), (0, 1));
}

#[test]
fn what_nobody_needed_for_a_while_is_freed_and_what_was_needed_is_kept() {
    let pool = Pool::new(MIB, KEEP);
    let start = Instant::now();
    assert_eq!(pool.trim(start), None, "nothing is kept");
    drop([taken(&pool, KIB), taken(&pool, KIB), taken(&pool, KIB)]);
    assert_eq!(pool.trim(start), Some(start + KEEP));
    // Two at once are needed, one is not.
    drop([taken(&pool, KIB), taken(&pool, KIB)]);
    assert_eq!(pool.trim(start + KEEP / 2), Some(start + KEEP), "too early");
    assert_eq!(pool.usage().kept, 3);
    assert_eq!(pool.trim(start + KEEP), Some(start + 2 * KEEP));
    assert_eq!(pool.usage().kept, 2);
    // Nobody asks any more: one look later there is nothing to look at.
    assert_eq!(pool.trim(start + 2 * KEEP), None);
    let usage = pool.usage();
    assert_eq!((usage.kept, usage.kept_bytes, usage.trims), (0, 0, 3));
}

#[test]
fn a_waker_that_panics_keeps_no_buffer_from_the_next() {
    let pool = Pool::new(8 * KIB, KEEP);
    let held = taken(&pool, 8 * KIB);
    let (mut first, mut second) = (Waiter::new(&pool, 4 * KIB), Waiter::new(&pool, 4 * KIB));
    first.waits();
    second.waits();
    first.count.when_woken(|| panic!("a waker of ill will"));
    drop(held);
    assert_eq!((first.count.wakes(), second.count.wakes()), (1, 1));
    drop((first.gets(), second.gets()));
}

#[test]
fn the_high_water_mark_stays() {
    let pool = Pool::new(MIB, KEEP);
    drop([taken(&pool, 64 * KIB), taken(&pool, 4 * KIB)]);
    drop(taken(&pool, 8 * KIB));
    assert_eq!(pool.usage().high_water_bytes, 68 * KIB);
}

#[test]
fn a_buffer_outlives_its_pool() {
    let pool = Pool::new(MIB, KEEP);
    let mut buffer = taken(&pool, KIB);
    drop(pool);
    buffer.extend_from_slice(b"still mine");
    assert_eq!(*buffer, b"still mine");
}

/// Waits for a future by parking the thread.
fn wait<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Unpark>) {
            self.0.unpark();
        }
    }
    let mut future = std::pin::pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(out) => return out,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn buffers_go_home_from_any_thread_and_nobody_waits_for_ever() {
    let rounds = if cfg!(miri) { 20 } else { 2000 };
    let pool = Pool::new(32 * KIB, KEEP);
    thread::scope(|scope| {
        let (send, receive) = mpsc::sync_channel(1);
        for thread in 0..3_usize {
            let (pool, send) = (&pool, send.clone());
            scope.spawn(move || {
                for round in 0..rounds {
                    let len = (4 * KIB) << ((thread + round) % 3);
                    let buffer = wait(pool.take(len)).expect("a size that there is");
                    assert!(buffer.capacity() >= len);
                    send.send(buffer).expect("the other side takes all of them");
                }
            });
        }
        drop(send);
        for buffer in receive {
            let usage = pool.usage();
            assert!(usage.out_bytes + usage.kept_bytes <= usage.budget_bytes, "{usage:?}");
            drop(buffer);
        }
    });
    let usage = pool.usage();
    assert_eq!((usage.out, usage.out_bytes, usage.waiting), (0, 0, 0));
    assert_eq!(usage.hits + usage.misses, 3 * rounds as u64);
}

#[derive(Debug, Clone)]
enum Step {
    TryTake(usize),
    Take(usize),
    /// Polls all who wait, as a runtime does that wakes too often.
    Poll,
    DropBuffer(prop::sample::Index),
    Grow(prop::sample::Index),
    DropWaiter(prop::sample::Index),
    Trim(Duration),
}

fn step() -> impl Strategy<Value = Step> {
    let any = any::<prop::sample::Index>;
    let len = || (0..7_u32, 0..3_usize).prop_map(|(log2, less)| ((4 * KIB) << log2) - less);
    prop_oneof![
        4 => len().prop_map(Step::TryTake),
        4 => len().prop_map(Step::Take),
        1 => Just(Step::Poll),
        5 => any().prop_map(Step::DropBuffer),
        1 => any().prop_map(Step::Grow),
        2 => any().prop_map(Step::DropWaiter),
        1 => (0..1500_u64).prop_map(|ms| Step::Trim(Duration::from_millis(ms))),
    ]
}

fn size(len: usize) -> usize {
    len.next_power_of_two().max(4 * KIB)
}

proptest! {
    #[test]
    fn the_budget_holds_and_nothing_is_lost(
        budget in (4..400_usize).prop_map(|kib| kib * KIB),
        steps in prop::collection::vec(step(), 1..if cfg!(miri) { 60 } else { 200 }),
    ) {
        let pool = Pool::new(budget, KEEP);
        let mut now = Instant::now();
        // Each with the size that the pool counts it as.
        let mut out: Vec<(Buffer, usize)> = Vec::new();
        let mut line: VecDeque<Waiter> = VecDeque::new();
        for step in steps {
            match step {
                Step::TryTake(len) => match pool.try_take(len) {
                    Ok(Some(buffer)) => {
                        assert!(line.is_empty(), "nobody is overtaken");
                        out.push((buffer, size(len)));
                    }
                    Ok(None) => {}
                    Err(_) => assert!(size(len) > budget),
                },
                Step::Take(len) => {
                    let mut waiter = Waiter::new(&pool, len);
                    match waiter.poll() {
                        Poll::Ready(Ok(buffer)) => out.push((buffer, size(len))),
                        Poll::Ready(Err(_)) => assert!(size(len) > budget),
                        Poll::Pending => line.push_back(waiter),
                    }
                }
                Step::Poll => {}
                Step::DropBuffer(which) if !out.is_empty() => drop(out.swap_remove(which.index(out.len()))),
                Step::Grow(which) if !out.is_empty() => {
                    let which = which.index(out.len());
                    let more = out[which].0.capacity() + 1;
                    out[which].0.reserve(more);
                }
                Step::DropWaiter(which) if !line.is_empty() => drop(line.remove(which.index(line.len()))),
                Step::Trim(by) => {
                    now += by;
                    pool.trim(now);
                }
                Step::DropBuffer(_) | Step::Grow(_) | Step::DropWaiter(_) => {}
            }
            // Those who were woken are at the front of the line, and all of them are served.
            let woken = line.iter().take_while(|waiter| waiter.count.wakes() > 0).count();
            for (place, mut waiter) in std::mem::take(&mut line).into_iter().enumerate() {
                if place < woken {
                    out.push((waiter.gets(), size(waiter.len)));
                } else {
                    assert_eq!(waiter.count.wakes(), 0, "nobody is woken for nothing");
                    waiter.waits();
                    line.push_back(waiter);
                }
            }
            let usage = pool.usage();
            assert_eq!(usage.out_bytes, out.iter().map(|(_, size)| size).sum::<usize>());
            assert_eq!((usage.out, usage.waiting), (out.len(), line.len()));
            assert!(usage.out_bytes + usage.kept_bytes <= budget, "{usage:?}");
            assert!(usage.high_water_bytes >= usage.out_bytes);
            if let Some(first) = line.front() {
                assert!(usage.out_bytes + size(first.len) > budget, "who fits does not wait: {usage:?}");
            }
        }
        drop(line);
        drop(out);
        let usage = pool.usage();
        assert_eq!((usage.out, usage.out_bytes, usage.waiting), (0, 0, 0));
        pool.trim(now);
        pool.trim(now + KEEP);
        assert_eq!(pool.trim(now + 2 * KEEP), None);
        assert_eq!(pool.usage().kept_bytes, 0);
    }
}
