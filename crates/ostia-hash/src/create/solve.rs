//! A step of the plan as a problem, and the search for its solution.

use alloc::{sync::Arc, vec::Vec};

use super::{BestOf, Engine, Failure, Options, fixed};
use crate::{
    best::{Best, Graphs, Improvement, Measured},
    kind::{
        chm::{Chm, ChmProblem, Refused, Sizes},
        contracted::{self, ContractedProblem},
        displace::{DisplaceProblem, Displaced},
        halves::{Assigned, HalvesProblem},
        retrieval::{Peeled, RetrievalProblem},
    },
    lane::Lane,
    plan::{Step, What},
    search::{Alone, Attempt, Ended, First, Problem, Searched, Tally},
    squeeze::Squeeze,
};

/// What a search leaves behind.
pub(super) enum Solution {
    Chm(Chm),
    Halves(Assigned),
    Displace(Displaced),
    Retrieval(Peeled),
}

/// How a search ended, its attempts, and the solution with its attempt number.
pub(super) struct Sought<F> {
    pub(super) ended: Ended,
    pub(super) tally: Tally,
    pub(super) found: Option<(u64, F)>,
}

impl<F> Sought<F> {
    fn map<G>(self, map: impl FnOnce(F) -> G) -> Sought<G> {
        let Sought { ended, tally, found } = self;
        Sought { ended, tally, found: found.map(|(number, found)| (number, map(found))) }
    }
}

/// Looks for solutions.
pub(super) struct Solver<'a, E> {
    pub(super) options: &'a Options,
    pub(super) squeeze: Squeeze,
    pub(super) words: &'a Arc<[u64]>,
    pub(super) engine: &'a E,
}

impl<E: Engine> Solver<'_, E> {
    /// What the best table is, if it is looked for.
    pub(super) fn best(&self) -> Option<&BestOf> {
        self.options.best.as_ref().filter(|best| self.words.len() >= best.keys_min)
    }

    pub(super) async fn step(
        &self,
        step: &Step,
        limit: u64,
        bests: &mut Vec<Improvement>,
    ) -> Result<Sought<Solution>, Failure> {
        let (words, rng, fixed) = (Arc::clone(self.words), self.options.rng, fixed(self.options));
        Ok(match step.what {
            What::Chm { function, vertices, index_bits } => {
                let sizes = Sizes { edges: 1 << index_bits, vertices: 1 << vertices };
                let refuse = |refused: Refused| Failure::Options(alloc::format!("{refused}"));
                let forced = self.options.seeds.iter().map(|&s| s as u32).collect();
                let problem = ChmProblem::new(self.narrow(), function, sizes)
                    .and_then(|problem| problem.with_seeds(forced))
                    .map_err(refuse)?
                    .with_rng(rng)
                    .with_graph(self.options.graph);
                // When every seed is given all attempts are one. A seed that is drawn has five bits or more, so
                // eight attempts that are alike by chance are one set in 2^35.
                let given = (2..=8).all(|number| problem.seeds(number) == problem.seeds(1));
                let limit = if given { limit.min(1) } else { limit };
                let bytes = sizes.solving_bytes(words.len(), self.options.graph);
                self.graph(problem, limit, bests, bytes).await.map(Solution::Chm)
            }
            What::Halves { family, first, second, index_bits } => {
                let bytes = Lane::width_below(1 << index_bits) as usize;
                let sought = if fixed.is_none() && contracted::serves(family, first, second) {
                    let words = self.narrow();
                    let problem = ContractedProblem { words, first, second, rng, with_entries: true };
                    self.graph(problem, limit, bests, bytes).await
                } else {
                    let problem = HalvesProblem { words, rng, fixed, family, first, second, index_bits };
                    self.graph(problem, limit, bests, bytes).await
                };
                sought.map(Solution::Halves)
            }
            What::Displace { mixed, buckets, slots } => {
                let problem = DisplaceProblem { words, rng, fixed, mixed, buckets, slots };
                self.first(problem, limit).await.map(Solution::Displace)
            }
            What::Retrieval { part } => {
                let problem = RetrievalProblem { words, rng, fixed, part };
                self.first(problem, limit).await.map(Solution::Retrieval)
            }
        })
    }

    /// The words of a function that takes 32 bits.
    fn narrow(&self) -> Arc<[u32]> {
        self.words.iter().map(|&word| word as u32).collect()
    }

    /// The first solution of a problem within so many attempts.
    async fn first<P: Problem + Send + 'static>(&self, problem: P, limit: u64) -> Sought<P::Found> {
        let Searched { judge, ended, tally } = self.engine.search(problem, 1..=limit, First::default()).await;
        Sought { ended, tally, found: judge.0 }
    }

    /// The solution that is wanted of a graph with entries of so many bytes: the first, or the best.
    async fn graph<P: Graphs + Clone + Send + 'static>(
        &self,
        problem: P,
        limit: u64,
        bests: &mut Vec<Improvement>,
        bytes: usize,
    ) -> Sought<P::Found> {
        let Some(best) = self.best() else { return self.first(problem, limit).await };
        let subset = best.subset.iter().map(|&word| self.squeeze.apply(word)).collect();
        let measured = Measured { problem: problem.clone(), subset, bytes };
        let search = self.engine.search(measured, 1..=limit, Best::new(best.rules));
        let Searched { judge, ended, tally } = search.await;
        bests.extend_from_slice(judge.improvements());
        self.engine.breathe().await;
        // The watch may have ended the search; the attempt that is made again is one that was whole.
        let found = judge.best().and_then(|best| {
            match problem.attempt(best.attempt, &mut problem.scratch(), &Alone) {
                Attempt::Solved(found) => Some((best.attempt, found)),
                Attempt::Collision | Attempt::Cycle | Attempt::Stopped => None,
            }
        });
        Sought { ended, tally, found }
    }
}
