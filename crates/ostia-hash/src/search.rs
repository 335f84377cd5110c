//! Numbered attempts, in order, on one thread or many, with one answer.
//!
//! An attempt is a pure function of its number. Threads take blocks of numbers; what they find is handed to
//! the judge in the order of the numbers, never in the order of time. So the outcome, the counts included,
//! is the same for any number of threads.

use core::{fmt, ops::RangeInclusive};

/// Who looks on while a search runs, and may end it.
pub trait Watch: Sync {
    /// True once the search should end. Asked often: at least every 5 ms of work.
    fn stopped(&self) -> bool {
        false
    }

    /// True once not even a table that is found already is wanted. Unlike [`Watch::stopped`] this does not
    /// hold when only the time for the search is over.
    fn abandoned(&self) -> bool {
        self.stopped()
    }

    /// Told after some more attempts were made.
    fn tried(&self, attempts: u64) {
        let _ = attempts;
    }
}

/// Nobody looks on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Watch for Alone {}

/// What became of one attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Attempt<F> {
    /// It solves the set.
    Solved(F),
    /// Two ends of a key fell on one vertex, or two keys on one place.
    Collision,
    /// The graph has a cycle, or the keys could not all be placed.
    Cycle,
    /// The watch ended it midway; it counts for nothing.
    Stopped,
}

/// A set to be solved by numbered attempts.
pub trait Problem: Sync {
    /// Memory that attempts use again and again.
    type Scratch;
    /// What a solving attempt leaves behind.
    type Found: Send;

    /// Memory for one thread.
    fn scratch(&self) -> Self::Scratch;

    /// Makes one attempt. Depends on `number` alone, never on what `scratch` was used for before.
    fn attempt(&self, number: u64, scratch: &mut Self::Scratch, watch: &dyn Watch) -> Attempt<Self::Found>;

    /// How many attempts a thread takes at a time: about a millisecond's worth.
    fn block(&self) -> u64 {
        8
    }
}

/// Attempts counted by what became of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Attempts that solved the set.
    pub solved: u64,
    /// Attempts that ended in [`Attempt::Collision`].
    pub collisions: u64,
    /// Attempts that ended in [`Attempt::Cycle`].
    pub cycles: u64,
}

impl Tally {
    /// All attempts.
    pub fn attempts(&self) -> u64 {
        self.solved + self.collisions + self.cycles
    }

    /// Adds another count to this one.
    pub fn add(&mut self, other: Tally) {
        self.solved += other.solved;
        self.collisions += other.collisions;
        self.cycles += other.cycles;
    }
}

/// What the judge says to a solution.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Go on with the next attempt.
    Continue,
    /// That was the last one.
    Done,
}

/// How a search ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// The judge had enough.
    Done,
    /// No number is left.
    Exhausted,
    /// The watch ended it.
    Stopped,
}

/// Hears of each solution in the order of attempts: number, what was found, all counts up to it inclusive.
pub type Judge<'a, F> = dyn FnMut(u64, F, &Tally) -> Verdict + Send + 'a;

/// Makes the attempts of `numbers` on this thread until the judge is done.
pub fn run_here<P: Problem>(
    problem: &P,
    numbers: RangeInclusive<u64>,
    watch: &dyn Watch,
    judge: &mut Judge<'_, P::Found>,
) -> (Ended, Tally) {
    let mut scratch = problem.scratch();
    let mut tally = Tally::default();
    for number in numbers {
        if watch.stopped() {
            return (Ended::Stopped, tally);
        }
        match problem.attempt(number, &mut scratch, watch) {
            Attempt::Solved(found) => {
                tally.solved += 1;
                watch.tried(1);
                if judge(number, found, &tally) == Verdict::Done {
                    return (Ended::Done, tally);
                }
                continue;
            }
            Attempt::Collision => tally.collisions += 1,
            Attempt::Cycle => tally.cycles += 1,
            Attempt::Stopped => return (Ended::Stopped, tally),
        }
        watch.tried(1);
    }
    (Ended::Exhausted, tally)
}

/// As [`run_here`], on `threads` threads; the same outcome for any number of them.
pub fn run<P: Problem>(
    problem: &P,
    numbers: RangeInclusive<u64>,
    threads: usize,
    watch: &dyn Watch,
    judge: &mut Judge<'_, P::Found>,
) -> (Ended, Tally) {
    #[cfg(feature = "std")]
    if threads > 1 {
        return threaded::run(problem, numbers, threads, watch, judge);
    }
    let _ = threads;
    run_here(problem, numbers, watch, judge)
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ended::Done => "done",
            Ended::Exhausted => "no attempt left",
            Ended::Stopped => "stopped",
        })
    }
}

#[cfg(feature = "std")]
mod threaded {
    //! Workers take blocks under one lock and leave results there; whoever leaves the oldest missing one
    //! folds all that are ready. Nobody runs more than [`AHEAD`] blocks per worker ahead of the fold.

    use std::{
        collections::BTreeMap,
        sync::{
            Condvar, Mutex,
            atomic::{AtomicBool, Ordering},
        },
        vec::Vec,
    };

    use super::{Attempt, Ended, Judge, Problem, RangeInclusive, Tally, Verdict, Watch};

    /// Blocks a worker may finish while an older one still runs: bounds what waits to be folded.
    const AHEAD: u64 = 16;

    /// What one block of attempts came to: the solutions, each with the counts up to it, and all counts.
    struct Block<F> {
        found: Vec<(u64, F, Tally)>,
        tally: Tally,
        stopped: bool,
    }

    struct State<'a, 'j, F> {
        next: u64,
        folded: u64,
        ready: BTreeMap<u64, Block<F>>,
        judge: &'a mut Judge<'j, F>,
        tally: Tally,
        ended: Option<Ended>,
    }

    /// Ends an attempt that nobody needs any more.
    struct Needed<'a> {
        watch: &'a dyn Watch,
        over: &'a AtomicBool,
    }

    impl Watch for Needed<'_> {
        fn stopped(&self) -> bool {
            self.over.load(Ordering::Relaxed) || self.watch.stopped()
        }
    }

    pub(super) fn run<P: Problem>(
        problem: &P,
        numbers: RangeInclusive<u64>,
        threads: usize,
        watch: &dyn Watch,
        judge: &mut Judge<'_, P::Found>,
    ) -> (Ended, Tally) {
        let (first, last) = numbers.into_inner();
        if first > last {
            return (Ended::Exhausted, Tally::default());
        }
        let size = problem.block().max(1);
        let blocks = (last - first) / size + 1;
        let over = AtomicBool::new(false);
        let turn = Condvar::new();
        let state = Mutex::new(State {
            next: 0,
            folded: 0,
            ready: BTreeMap::new(),
            judge,
            tally: Tally::default(),
            ended: None,
        });
        let work = || {
            let needed = Needed { watch, over: &over };
            let _unwinding = EndsOthers { over: &over, turn: &turn, state: &state };
            let mut scratch = problem.scratch();
            let mut held = state.lock().expect("no worker panics while it holds the lock");
            loop {
                while !over.load(Ordering::Relaxed) && held.next >= held.folded + AHEAD * threads as u64 {
                    held = turn.wait(held).expect("no worker panics while it holds the lock");
                }
                if over.load(Ordering::Relaxed) || held.next == blocks {
                    return;
                }
                let number = held.next;
                held.next += 1;
                drop(held);
                let start = first + number * size;
                let end = start.saturating_add(size - 1).min(last);
                let block = attempt_all(problem, start..=end, &mut scratch, &needed);
                watch.tried(block.tally.attempts());
                held = state.lock().expect("no worker panics while it holds the lock");
                held.ready.insert(number, block);
                held.fold(blocks);
                if held.ended.is_some() {
                    over.store(true, Ordering::Relaxed);
                }
                turn.notify_all();
            }
        };
        std::thread::scope(|scope| {
            for n in 1..threads as u64 {
                // A thread for a block that does not exist would only cost its start.
                if n < blocks {
                    scope.spawn(work);
                }
            }
            work();
        });
        let state = state.into_inner().expect("no worker panics while it holds the lock");
        (state.ended.unwrap_or(Ended::Exhausted), state.tally)
    }

    /// When a worker panics the others stop, so that the scope ends and the panic goes on.
    struct EndsOthers<'a, S> {
        over: &'a AtomicBool,
        turn: &'a Condvar,
        state: &'a Mutex<S>,
    }

    impl<S> Drop for EndsOthers<'_, S> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                self.over.store(true, Ordering::Relaxed);
                // Whoever looked at `over` before that store holds the lock until it waits.
                drop(self.state.lock());
                self.turn.notify_all();
            }
        }
    }

    fn attempt_all<P: Problem>(
        problem: &P,
        numbers: RangeInclusive<u64>,
        scratch: &mut P::Scratch,
        watch: &dyn Watch,
    ) -> Block<P::Found> {
        let mut block = Block { found: Vec::new(), tally: Tally::default(), stopped: false };
        for number in numbers {
            if watch.stopped() {
                block.stopped = true;
                break;
            }
            match problem.attempt(number, scratch, watch) {
                Attempt::Solved(found) => {
                    block.tally.solved += 1;
                    block.found.push((number, found, block.tally));
                }
                Attempt::Collision => block.tally.collisions += 1,
                Attempt::Cycle => block.tally.cycles += 1,
                Attempt::Stopped => {
                    block.stopped = true;
                    break;
                }
            }
        }
        block
    }

    impl<F> State<'_, '_, F> {
        /// Hands over every block whose turn has come.
        fn fold(&mut self, blocks: u64) {
            while self.ended.is_none()
                && let Some(block) = self.ready.remove(&self.folded)
            {
                self.folded += 1;
                for (number, found, within) in block.found {
                    let mut upto = self.tally;
                    upto.add(within);
                    if (self.judge)(number, found, &upto) == Verdict::Done {
                        self.tally = upto;
                        self.ended = Some(Ended::Done);
                        return;
                    }
                }
                self.tally.add(block.tally);
                if block.stopped {
                    self.ended = Some(Ended::Stopped);
                } else if self.folded == blocks {
                    self.ended = Some(Ended::Exhausted);
                }
            }
        }
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use std::{
        sync::atomic::{AtomicU64, Ordering},
        vec::Vec,
    };

    use proptest::prelude::*;

    use super::*;

    /// Solves where a number's hash says so; takes longer for some numbers, so that threads overtake.
    struct Sieve {
        one_in: u64,
        block: u64,
    }

    fn hash(number: u64) -> u64 {
        (number ^ 0x51).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40
    }

    impl Problem for Sieve {
        type Scratch = ();
        type Found = u64;

        fn scratch(&self) {}

        fn attempt(&self, number: u64, (): &mut (), _: &dyn Watch) -> Attempt<u64> {
            let hash = hash(number);
            for _ in 0..hash % 50 {
                std::thread::yield_now();
            }
            match hash {
                h if h % self.one_in == 0 => Attempt::Solved(h),
                h if h % 3 == 0 => Attempt::Collision,
                _ => Attempt::Cycle,
            }
        }

        fn block(&self) -> u64 {
            self.block
        }
    }

    fn outcome(
        sieve: &Sieve,
        last: u64,
        threads: usize,
        wanted: usize,
    ) -> (Ended, Tally, Vec<(u64, u64, Tally)>) {
        let mut heard = Vec::new();
        let (ended, tally) = run(sieve, 1..=last, threads, &Alone, &mut |number, found, tally| {
            heard.push((number, found, *tally));
            if heard.len() == wanted { Verdict::Done } else { Verdict::Continue }
        });
        (ended, tally, heard)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn any_number_of_threads_gives_the_same_outcome(
            one_in in 1u64..60, block in 1u64..9, last in 0u64..300, wanted in 1usize..6,
        ) {
            let sieve = Sieve { one_in, block };
            let alone = outcome(&sieve, last, 1, wanted);
            for threads in [2, 3, 8] {
                prop_assert_eq!(&outcome(&sieve, last, threads, wanted), &alone);
            }
        }
    }

    #[test]
    fn a_watch_that_stops_ends_every_thread() {
        struct After(AtomicU64);
        impl Watch for After {
            fn stopped(&self) -> bool {
                self.0.load(Ordering::Relaxed) >= 20
            }
            fn tried(&self, attempts: u64) {
                self.0.fetch_add(attempts, Ordering::Relaxed);
            }
        }
        for threads in [1, 4] {
            let watch = After(AtomicU64::new(0));
            let sieve = Sieve { one_in: u64::MAX, block: 2 };
            let (ended, tally) = run(&sieve, 1..=u64::MAX, threads, &watch, &mut |_, _, _| Verdict::Done);
            assert_eq!(ended, Ended::Stopped);
            assert!(tally.attempts() <= 20 + 2 * threads as u64, "{tally:?}");
        }
    }

    #[test]
    fn a_panic_in_an_attempt_reaches_the_caller() {
        struct Faulty;
        impl Problem for Faulty {
            type Scratch = ();
            type Found = ();
            fn scratch(&self) {}
            fn attempt(&self, number: u64, (): &mut (), _: &dyn Watch) -> Attempt<()> {
                assert!(number != 40, "attempt 40 is faulty");
                Attempt::Cycle
            }
        }
        for threads in [1, 4] {
            let caught = std::panic::catch_unwind(|| {
                run(&Faulty, 1..=1_000_000_000_000, threads, &Alone, &mut |_, (), _| Verdict::Done)
            });
            assert!(caught.is_err());
        }
    }
}
