//! A search on one thread, a slice at a time.

use core::{fmt, ops::RangeInclusive};

use super::{Attempt, Ended, Judge, Problem, Searched, Tally, Verdict, Watch};

/// A search that one thread at a time makes, as far as it has time for it. It locks nothing and keeps nothing but what
/// attempts need anyway.
///
/// ```
/// use ostia_hash::{
///     function::classic::RngSpec,
///     kind::contracted::ContractedProblem,
///     search::{Alone, Ended, First, Sliced},
/// };
///
/// let words = (0..100).map(|word| word * 48).collect();
/// let rng = RngSpec::default();
/// let problem = ContractedProblem { words, first: 7, second: 7, rng, with_entries: true };
/// let mut search = Sliced::new(problem, 1..=1000, First::default());
/// let mut slices = 1;
/// // The slices of this one are as short as can be: an attempt each.
/// let ended = loop {
///     match search.step(&Alone, &mut || true) {
///         Some(ended) => break ended,
///         None => slices += 1,
///     }
/// };
/// let searched = search.end(ended);
/// let (number, _) = searched.judge.0.expect("there is a solution");
/// assert_eq!((ended, number), (Ended::Done, slices));
/// ```
pub struct Sliced<P: Problem, J> {
    pub(super) problem: P,
    pub(super) judge: J,
    pub(super) scratch: P::Scratch,
    /// Those that are not made yet.
    pub(super) numbers: RangeInclusive<u64>,
    pub(super) tally: Tally,
}

impl<P: Problem, J: Judge<P::Found>> Sliced<P, J> {
    /// The attempts of `numbers`, until the judge is done.
    pub fn new(problem: P, numbers: RangeInclusive<u64>, judge: J) -> Sliced<P, J> {
        Sliced { scratch: problem.scratch(), problem, judge, numbers, tally: Tally::default() }
    }

    /// Makes attempts until the search has ended, or the slice: that is asked after each of them. `None` if there is
    /// more to do.
    pub fn step(&mut self, watch: &dyn Watch, is_over: &mut dyn FnMut() -> bool) -> Option<Ended> {
        loop {
            if self.numbers.is_empty() {
                return Some(Ended::Exhausted);
            }
            if watch.stopped() {
                return Some(Ended::Stopped);
            }
            let number = *self.numbers.start();
            let attempt = self.problem.attempt(number, &mut self.scratch, watch);
            if matches!(attempt, Attempt::Stopped) {
                return Some(Ended::Stopped);
            }
            self.numbers.next();
            watch.tried(1);
            match attempt {
                Attempt::Solved(found) => {
                    self.tally.solved += 1;
                    if self.judge.hear(number, found, &self.tally) == Verdict::Done {
                        return Some(Ended::Done);
                    }
                }
                Attempt::Collision => self.tally.collisions += 1,
                Attempt::Cycle | Attempt::Stopped => self.tally.cycles += 1,
            }
            if !self.numbers.is_empty() && is_over() {
                return None;
            }
        }
    }

    /// Makes all that is left.
    pub fn run(mut self, watch: &dyn Watch) -> Searched<J> {
        loop {
            if let Some(ended) = self.step(watch, &mut || false) {
                return self.end(ended);
            }
        }
    }

    /// What it came to, when [`Sliced::step`] has said how it ended.
    pub fn end(self, ended: Ended) -> Searched<J> {
        Searched { judge: self.judge, ended, tally: self.tally }
    }

    /// The attempts so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }
}

impl<P: Problem, J> fmt::Debug for Sliced<P, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (numbers, tally) = (&self.numbers, &self.tally);
        f.debug_struct("Sliced").field("numbers", numbers).field("tally", tally).finish_non_exhaustive()
    }
}
