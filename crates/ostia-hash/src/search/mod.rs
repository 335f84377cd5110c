//! Numbered attempts, in order, on one thread or many, with one answer.
//!
//! An attempt is a pure function of its number. Threads take blocks of numbers; what they find is handed to
//! the judge in the order of the numbers, never in the order of time. So the outcome, the counts included,
//! is the same for any number of threads.
//!
//! [`run`] makes a search from its beginning to its end. Who has other things to do as well makes it in slices: alone
//! by [`Sliced`], or together with others by [`Blocks`], into which a [`Sliced`] can turn at any time.

#[cfg(feature = "std")]
mod blocks;
mod sliced;

use core::{fmt, ops::RangeInclusive};

#[cfg(feature = "std")]
pub use blocks::Blocks;
pub use sliced::Sliced;

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
    /// Memory that attempts use again and again, one at a time.
    type Scratch: Send;
    /// What a solving attempt leaves behind.
    type Found: Send;

    /// New memory.
    fn scratch(&self) -> Self::Scratch;

    /// Makes one attempt. Depends on `number` alone, never on what `scratch` was used for before.
    fn attempt(&self, number: u64, scratch: &mut Self::Scratch, watch: &dyn Watch) -> Attempt<Self::Found>;

    /// How many attempts a thread takes at a time: about a millisecond's worth.
    fn block(&self) -> u64 {
        8
    }
}

impl<P: Problem> Problem for &P {
    type Scratch = P::Scratch;
    type Found = P::Found;

    fn scratch(&self) -> P::Scratch {
        (**self).scratch()
    }

    fn attempt(&self, number: u64, scratch: &mut P::Scratch, watch: &dyn Watch) -> Attempt<P::Found> {
        (**self).attempt(number, scratch, watch)
    }

    fn block(&self) -> u64 {
        (**self).block()
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

/// Hears of solutions, and has what the search was for in the end.
///
/// Any closure of that form is one.
pub trait Judge<F>: Send {
    /// Hears of each solution in the order of attempts: its number, what was found, all counts up to it inclusive.
    fn hear(&mut self, number: u64, found: F, upto: &Tally) -> Verdict;

    /// True if the first solution it hears of is the last, whatever it is: then nobody goes on behind a solution.
    /// Always the same.
    fn wants_one(&self) -> bool {
        false
    }
}

impl<F, J: FnMut(u64, F, &Tally) -> Verdict + Send> Judge<F> for J {
    fn hear(&mut self, number: u64, found: F, upto: &Tally) -> Verdict {
        self(number, found, upto)
    }
}

/// Takes the first solution, with the number of its attempt.
#[derive(Clone, Debug)]
pub struct First<F>(pub Option<(u64, F)>);

impl<F> Default for First<F> {
    fn default() -> First<F> {
        First(None)
    }
}

impl<F: Send> Judge<F> for First<F> {
    fn hear(&mut self, number: u64, found: F, _: &Tally) -> Verdict {
        self.0 = Some((number, found));
        Verdict::Done
    }

    fn wants_one(&self) -> bool {
        true
    }
}

/// What a search came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Searched<J> {
    /// Who has heard of the solutions.
    pub judge: J,
    /// How it ended.
    pub ended: Ended,
    /// All attempts up to that end, in the order of their numbers.
    pub tally: Tally,
}

/// Makes the attempts of `numbers` on `threads` threads until the judge is done; the same outcome for any number of
/// them. Without feature `std` there is one thread.
pub fn run<P: Problem, J: Judge<P::Found>>(
    problem: P,
    numbers: RangeInclusive<u64>,
    threads: usize,
    watch: &dyn Watch,
    judge: J,
) -> Searched<J> {
    #[cfg(feature = "std")]
    if threads > 1 {
        return Blocks::new(problem, numbers, judge).run(threads, watch);
    }
    let _ = threads;
    Sliced::new(problem, numbers, judge).run(watch)
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

#[cfg(all(test, feature = "std"))]
mod tests {
    use std::{
        sync::{
            Barrier,
            atomic::{AtomicU64, Ordering},
        },
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
        let searched = run(sieve, 1..=last, threads, &Alone, |number, found, tally: &Tally| {
            heard.push((number, found, *tally));
            if heard.len() == wanted { Verdict::Done } else { Verdict::Continue }
        });
        (searched.ended, searched.tally, heard)
    }

    /// The same by slices: first alone, so many of them, then by `workers` threads together.
    fn sliced_outcome(
        sieve: &Sieve,
        last: u64,
        (alone, workers): (usize, u64),
        wanted: usize,
        seed: u64,
    ) -> (Ended, Tally, Vec<(u64, u64, Tally)>) {
        let mut heard = Vec::new();
        let hear = |number, found, tally: &Tally| {
            heard.push((number, found, *tally));
            if heard.len() == wanted { Verdict::Done } else { Verdict::Continue }
        };
        let mut search = Sliced::new(sieve, 1..=last, hear);
        let mut asked = seed;
        let mut is_over = move || {
            asked += 1;
            hash(asked).is_multiple_of(5)
        };
        let ended = (0..alone).find_map(|_| search.step(&Alone, &mut is_over));
        let (ended, tally) = match ended {
            Some(ended) => (ended, search.end(ended).tally),
            None => {
                let blocks = Blocks::from(search);
                std::thread::scope(|scope| {
                    for worker in 0..workers {
                        let (blocks, mut is_over) = (&blocks, is_over);
                        // Others cut theirs elsewhere.
                        for _ in 0..worker {
                            is_over();
                        }
                        scope.spawn(move || while blocks.work(&Alone, &mut is_over) {});
                    }
                });
                let searched = blocks.result();
                (searched.ended, searched.tally)
            }
        };
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

        #[test]
        fn slices_give_the_outcome_of_an_undivided_search(
            one_in in 1u64..60, block in 1u64..9, last in 0u64..300, wanted in 1usize..6, first in 0usize..9,
            workers in 1u64..5, seed in any::<u32>(),
        ) {
            let sieve = Sieve { one_in, block };
            let whole = outcome(&sieve, last, 1, wanted);
            for alone in [first, usize::MAX] {
                let sliced = sliced_outcome(&sieve, last, (alone, workers), wanted, seed.into());
                prop_assert_eq!(&sliced, &whole);
            }
        }

        #[test]
        fn who_wants_one_solution_gets_the_first(
            one_in in 1u64..60, block in 1u64..9, last in 0u64..300, threads in 1usize..5,
        ) {
            let sieve = Sieve { one_in, block };
            let (ended, tally, heard) = outcome(&sieve, last, 1, 1);
            let found = heard.first().map(|&(number, found, _)| (number, found));
            let searched = run(&sieve, 1..=last, threads, &Alone, First::default());
            prop_assert_eq!((searched.ended, searched.tally, searched.judge.0), (ended, tally, found));
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
            let Searched { ended, tally, .. } = run(&sieve, 1..=u64::MAX, threads, &watch, First::default());
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
                run(&Faulty, 1..=1_000_000_000_000, threads, &Alone, First::default())
            });
            assert!(caught.is_err());
        }
    }

    /// Attempt 1 waits at a gate, once it has said that it is there; the others only count.
    struct Gated {
        block: u64,
        gate: [Barrier; 2],
        others: AtomicU64,
    }

    impl Gated {
        fn new(block: u64) -> Gated {
            Gated { block, gate: [Barrier::new(2), Barrier::new(2)], others: AtomicU64::new(0) }
        }
    }

    impl Problem for Gated {
        type Scratch = ();
        type Found = ();

        fn scratch(&self) {}

        fn attempt(&self, number: u64, (): &mut (), _: &dyn Watch) -> Attempt<()> {
            if number == 1 {
                for gate in &self.gate {
                    gate.wait();
                }
            } else {
                self.others.fetch_add(1, Ordering::Relaxed);
            }
            Attempt::Cycle
        }

        fn block(&self) -> u64 {
            self.block
        }
    }

    #[test]
    fn nobody_runs_far_ahead_of_an_attempt_that_is_held_up() {
        let gated = Gated::new(1);
        let blocks = Blocks::new(&gated, 1..=5000, First::default());
        std::thread::scope(|scope| {
            scope.spawn(|| while blocks.work(&Alone, &mut || true) {});
            gated.gate[0].wait();
            for _ in 0..2 {
                assert!(blocks.work(&Alone, &mut || false), "there is more to do, but not now");
                assert_eq!(gated.others.load(Ordering::Relaxed), 1023);
            }
            gated.gate[1].wait();
            while blocks.work(&Alone, &mut || false) {}
        });
        let searched = blocks.result();
        assert_eq!((searched.ended, searched.tally.attempts()), (Ended::Exhausted, 5000));
    }

    #[test]
    fn what_was_begun_is_finished_when_the_others_have_gone() {
        let gated = Gated::new(100);
        let blocks = Blocks::new(&gated, 1..=100, First::default());
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| blocks.work(&Alone, &mut || true));
            gated.gate[0].wait();
            assert!(!blocks.work(&Alone, &mut || false), "there is one block, and it is begun");
            gated.gate[1].wait();
            assert!(!worker.join().expect("it does not panic"));
        });
        let searched = blocks.result();
        assert_eq!((searched.ended, searched.tally.attempts()), (Ended::Exhausted, 100));
    }

    #[test]
    fn a_panic_of_one_ends_the_others_and_leaves_no_result() {
        struct Faulty;
        impl Problem for Faulty {
            type Scratch = ();
            type Found = ();
            fn scratch(&self) {}
            fn attempt(&self, number: u64, (): &mut (), _: &dyn Watch) -> Attempt<()> {
                assert!(number != 4000, "attempt 4000 is faulty");
                Attempt::Cycle
            }
        }
        let blocks = Blocks::new(Faulty, 1..=u64::MAX, First::default());
        let ends = std::thread::scope(|scope| {
            let work = || while blocks.work(&Alone, &mut || false) {};
            let workers: Vec<_> = (0..3).map(|_| scope.spawn(work)).collect();
            workers.into_iter().map(|worker| worker.join().is_err()).collect::<Vec<_>>()
        });
        assert_eq!(ends.iter().filter(|&&panicked| panicked).count(), 1);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| blocks.result())).is_err());
    }

    #[test]
    fn a_watch_ends_slices_as_it_ends_a_whole_search() {
        /// Stops after so many attempts.
        struct Budget(AtomicU64);
        impl Watch for Budget {
            fn stopped(&self) -> bool {
                self.0.load(Ordering::Relaxed) == 0
            }
            fn tried(&self, attempts: u64) {
                let left = self.0.load(Ordering::Relaxed).saturating_sub(attempts);
                self.0.store(left, Ordering::Relaxed);
            }
        }
        let sieve = Sieve { one_in: u64::MAX, block: 4 };
        for budget in [0, 1, 2, 7, 40] {
            let watch = Budget(AtomicU64::new(budget));
            let mut search = Sliced::new(&sieve, 1..=1000, First::default());
            let ended = (0..1000).find_map(|_| search.step(&watch, &mut || true));
            assert_eq!((ended, search.tally().attempts()), (Some(Ended::Stopped), budget));
            let watch = Budget(AtomicU64::new(budget));
            let blocks = Blocks::new(&sieve, 1..=1000, First::default());
            while blocks.work(&watch, &mut || true) {}
            let searched = blocks.result();
            assert_eq!((searched.ended, searched.tally.attempts()), (Ended::Stopped, budget));
        }
    }
}
