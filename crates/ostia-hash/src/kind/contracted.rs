//! The contracted search as numbered attempts: [`Family::FoldPair`], side 1 held, side 2 searched.
//!
//! Attempts belong to epochs. In an epoch side 1 is the same: the best of the epoch's candidates. Early epochs
//! are short with few candidates, because most searches end there; later ones are long, so that choosing
//! the candidate and sorting the keys by it cost little, yet end, so that the graphs stay diverse.
//!
//! Everything about an attempt follows from its number, the seed and the keys.
//!
//! [`Family::FoldPair`]: crate::function::family::Family::FoldPair

use alloc::{sync::Arc, vec::Vec};

use crate::{
    best::Graphs,
    function::{classic::RngSpec, family::Family},
    graph::{
        contract::{self, Contraction, best_first},
        dfs::Counts,
    },
    kind::halves::Assigned,
    philox::Philox,
    search::{Attempt, Problem, Watch},
};

/// Where in an epoch's stream the candidates begin: far behind what any attempt of the same number reads.
const CANDIDATES_OFFSET: u64 = 1 << 32;

/// The first epoch: as many attempts cost about as much as sorting the keys by side 1.
const FIRST_EPOCH: u64 = 16;

/// The longest epoch. On two threads its set-up is then about 3 % of the time, on 16 it is a fifth.
const LONGEST_EPOCH: u64 = 1 << 14;

/// Candidates for side 1 in a long epoch: about 5 ms of choosing for 29,251 keys.
const CANDIDATES_MAX: u64 = 256;

/// An acyclic graph of two halves is looked for, with [`Family::FoldPair`].
///
/// [`Family::FoldPair`]: crate::function::family::Family::FoldPair
#[derive(Clone, Debug)]
pub struct ContractedProblem {
    /// The words to be placed, all different; the position of a word is its index.
    pub words: Arc<[u32]>,
    /// Entries of the first half, as a power of two.
    pub first: u32,
    /// Entries of the second half, as a power of two.
    pub second: u32,
    /// Where attempts take their multipliers from, and epochs theirs.
    pub rng: RngSpec,
    /// False for solutions that are multipliers alone: to count them, or to judge them by their places.
    pub with_entries: bool,
}

/// Memory for the attempts of one thread, and the epoch it is in.
#[derive(Debug)]
pub struct Scratch {
    graph: contract::Scratch,
    epoch: Option<(u64, Contraction)>,
}

/// A run of attempts with one side 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Epoch {
    number: u64,
    candidates: u64,
}

impl Epoch {
    fn of(attempt: u64) -> Epoch {
        let (mut number, mut length, mut left) = (0, FIRST_EPOCH, attempt.saturating_sub(1));
        while length < LONGEST_EPOCH && left >= length {
            left -= length;
            length *= 4;
            number += 1;
        }
        if length == LONGEST_EPOCH {
            number += left / length;
        }
        Epoch { number, candidates: (length / 16).min(CANDIDATES_MAX) }
    }
}

/// True where the contracted search takes the place of the plain one.
pub fn serves(family: Family, first: u32, second: u32) -> bool {
    family == Family::FoldPair && first < 32 && second < 32
}

impl ContractedProblem {
    /// The mask under which the sum of a key's entries is its index.
    pub fn index_mask(&self) -> u32 {
        (self.words.len().next_power_of_two() - 1) as u32
    }

    fn stream(&self, number: u64, further: u64) -> Philox {
        RngSpec { offset: self.rng.offset.wrapping_add(further), ..self.rng }.stream(number)
    }

    fn contraction(&self, epoch: Epoch, watch: &dyn Watch) -> Option<Contraction> {
        let mut stream = self.stream(epoch.number, CANDIDATES_OFFSET);
        let candidates = (0..epoch.candidates).map(|_| stream.multiplier());
        let multiplier = best_first(&self.words, self.first, candidates, || watch.stopped())?;
        Some(Contraction::new(&self.words, multiplier, self.first, self.second))
    }
}

impl Problem for ContractedProblem {
    type Scratch = Scratch;
    type Found = Assigned;

    fn scratch(&self) -> Scratch {
        Scratch { graph: contract::Scratch::new(), epoch: None }
    }

    fn attempt(&self, number: u64, scratch: &mut Scratch, watch: &dyn Watch) -> Attempt<Assigned> {
        let epoch = Epoch::of(number);
        if scratch.epoch.as_ref().is_none_or(|(held, _)| *held != epoch.number) {
            let Some(contraction) = self.contraction(epoch, watch) else { return Attempt::Stopped };
            scratch.epoch = Some((epoch.number, contraction));
        }
        let (_, contraction) = scratch.epoch.as_ref().expect("it was set above");
        let second = self.stream(number, 0).multiplier();
        if !contraction.is_acyclic(second, &mut scratch.graph) {
            return Attempt::Cycle;
        }
        let mut entries = Vec::new();
        if self.with_entries
            && !contraction.assign(second, self.index_mask(), &mut entries, &mut scratch.graph)
        {
            // Not expected: the two agree in every test. If they ever did not, it is no solution.
            return Attempt::Cycle;
        }
        Attempt::Solved(Assigned { multipliers: [contraction.multiplier(), second], entries })
    }

    fn block(&self) -> u64 {
        // About 40 attempts a millisecond with 29,251 keys.
        (1_200_000 / (self.words.len() as u64 + 1)).clamp(1, 64)
    }
}

impl Graphs for ContractedProblem {
    fn entries(found: &Assigned) -> (&[u32], Option<Counts>) {
        (&found.entries, None)
    }

    fn places(&self, found: &Assigned, word: u64) -> (u32, u32) {
        found.places(Family::FoldPair, self.first, self.second, word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        function::family::Family,
        search::{Alone, Ended, First, Searched, Tally, Verdict, run},
    };

    fn words(len: u32) -> Vec<u32> {
        let mut stream = Philox::new(3, 0, 0);
        let mut at = 0x1000_0000;
        let mut next = || {
            at += 16 * (stream.word() % 7 + 1);
            at
        };
        (0..len).map(|_| next()).collect()
    }

    fn problem(words: &[u32], bits: u32, seed: u64) -> ContractedProblem {
        let (first, second) = (bits, bits);
        ContractedProblem {
            words: words.into(),
            first,
            second,
            rng: RngSpec { seed, ..RngSpec::default() },
            with_entries: true,
        }
    }

    #[test]
    fn epochs_follow_each_other_and_grow() {
        let starts = [1, 17, 81, 337, 1_361, 5_457, 21_841, 38_225, 54_609];
        for (number, start) in starts.into_iter().enumerate() {
            assert_eq!(Epoch::of(start).number, number as u64, "attempt {start} begins an epoch");
            assert_eq!(Epoch::of(start - 1).number, number.saturating_sub(1) as u64);
        }
        assert_eq!([1, 17, 81, 337, 54_609].map(|a| Epoch::of(a).candidates), [1, 4, 16, 64, 256]);
        assert!(Epoch::of(u64::MAX).number > 1 << 49);
    }

    #[test]
    fn solutions_answer_every_key_with_its_index() {
        for len in [1, 2, 3, 100, 1_000, 29_251] {
            let words = words(len);
            let bits = len.next_power_of_two().trailing_zeros();
            let problem = problem(&words, bits, 11);
            let Searched { judge, ended, .. } = run(&problem, 1..=1_000, 1, &Alone, First::default());
            assert_eq!(ended, Ended::Done, "{len} keys");
            let (_, Assigned { multipliers, entries }) = judge.0.expect("the search is done");
            let (first, second) = entries.split_at(1 << bits);
            for (index, &word) in words.iter().enumerate() {
                let (one, other) = Family::FoldPair.places(multipliers, bits, bits, u64::from(word));
                let sum = first[one as usize].wrapping_add(second[other as usize]);
                assert_eq!((sum & problem.index_mask()) as usize, index);
            }
        }
    }

    #[test]
    fn threads_and_memory_change_nothing() {
        let words = words(1_900);
        let problem = problem(&words, 11, 12);
        let all = |threads| {
            let mut heard = Vec::new();
            let hear = |number, found: Assigned, _: &Tally| {
                heard.push((number, found));
                Verdict::Continue
            };
            let tally = run(&problem, 1..=700, threads, &Alone, hear).tally;
            (tally, heard)
        };
        let alone = all(1);
        assert!(alone.0.solved > 100, "{:?}", alone.0);
        assert!(all(3) == alone, "three threads find what one does");
        // Entering in the middle, with memory of another epoch, gives the same as walking there.
        let mut scratch = problem.scratch();
        for (number, found) in alone.1.iter().rev().take(300) {
            let again = problem.attempt(*number, &mut scratch, &Alone);
            assert!(again == Attempt::Solved(found.clone()), "attempt {number}");
        }
        let bare = ContractedProblem { with_entries: false, ..problem.clone() };
        let (number, found) = &alone.1[0];
        let wanted = Assigned { multipliers: found.multipliers, entries: Vec::new() };
        assert!(bare.attempt(*number, &mut bare.scratch(), &Alone) == Attempt::Solved(wanted));
    }

    #[test]
    fn a_stopped_search_does_not_choose_a_side() {
        struct Stops;
        impl Watch for Stops {
            fn stopped(&self) -> bool {
                true
            }
        }
        let words = words(100);
        let problem = problem(&words, 7, 13);
        assert!(problem.attempt(1, &mut problem.scratch(), &Stops) == Attempt::Stopped);
    }
}
