//! A search that several make together: each takes blocks of attempts, and comes and goes as it has time.
//!
//! Blocks are numbered. A block is *begun* by somebody, *parked* if that one's slice ends first, *ready* when all its
//! attempts are made, and *folded* when all before it are: then the judge hears of its solutions. All but the attempts
//! is done under one lock. `end` is the first block that nobody needs: it only ever falls, to the block behind one that
//! ends the search by itself, and to 0 when the search has ended. Who is at a block from there on stops.

use core::{fmt, mem, ops::RangeInclusive};
use std::{
    collections::BTreeMap,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    vec::Vec,
};

use super::{Attempt, Ended, Judge, Problem, Searched, Sliced, Tally, Verdict, Watch};

/// Blocks that may be begun before the oldest is folded: bounds what waits for a worker that the system holds up. About
/// a second's work.
const AHEAD: u64 = 1024;

/// A search that any number of threads make together; the outcome is the same for any number of them, and of slices.
///
/// Whoever has time calls [`Blocks::work`]. When it has said `false` to somebody, and the others have returned from it,
/// [`Blocks::result`] has the outcome.
pub struct Blocks<P: Problem, J> {
    problem: P,
    first: u64,
    last: u64,
    /// Attempts of a block; the last one may have fewer.
    size: u64,
    blocks: u64,
    /// The judge is done with one solution.
    wants_one: bool,
    end: AtomicU64,
    state: Mutex<State<P, J>>,
    /// Rung when there is more to begin, for those who stay.
    turn: Condvar,
}

struct State<P: Problem, J> {
    /// The first block that nobody has begun.
    next: u64,
    parked: Vec<Block<P::Found>>,
    /// Somebody was told that nothing is left to begin. From then on nothing is parked: nobody might come for it.
    closed: bool,
    ready: BTreeMap<u64, Block<P::Found>>,
    folded: u64,
    /// Of those who are away. They hold what was made for earlier attempts, a side of the graph for instance.
    scratches: Vec<P::Scratch>,
    judge: Option<J>,
    tally: Tally,
    ended: Option<Ended>,
}

/// What some attempts came to: the solutions, each with the counts up to it, and all counts.
struct Block<F> {
    number: u64,
    /// Those that are left.
    numbers: RangeInclusive<u64>,
    found: Vec<(u64, F, Tally)>,
    tally: Tally,
    stopped: bool,
}

/// What there is to do.
enum Next<F> {
    Block(Block<F>),
    /// Something, as soon as an older block is folded.
    Later,
    Nothing,
}

/// Ends an attempt that nobody needs any more.
struct Needed<'a> {
    watch: &'a dyn Watch,
    end: &'a AtomicU64,
    block: u64,
}

impl Watch for Needed<'_> {
    fn stopped(&self) -> bool {
        self.end.load(Ordering::Relaxed) <= self.block || self.watch.stopped()
    }
}

impl<P: Problem, J: Judge<P::Found>> Blocks<P, J> {
    /// The attempts of `numbers`, until the judge is done.
    pub fn new(problem: P, numbers: RangeInclusive<u64>, judge: J) -> Blocks<P, J> {
        Blocks::of(problem, numbers, judge, Vec::new(), Tally::default())
    }

    fn of(
        problem: P,
        numbers: RangeInclusive<u64>,
        judge: J,
        scratches: Vec<P::Scratch>,
        tally: Tally,
    ) -> Blocks<P, J> {
        let size = problem.block().max(1);
        let is_empty = numbers.is_empty();
        let (first, last) = numbers.into_inner();
        let blocks = if is_empty { 0 } else { ((last - first) / size).saturating_add(1) };
        let wants_one = judge.wants_one();
        let state = State {
            next: 0,
            parked: Vec::new(),
            closed: false,
            ready: BTreeMap::new(),
            folded: 0,
            scratches,
            judge: Some(judge),
            tally,
            ended: is_empty.then_some(Ended::Exhausted),
        };
        let (end, state, turn) = (AtomicU64::new(blocks), Mutex::new(state), Condvar::new());
        Blocks { problem, first, last, size, blocks, wants_one, end, state, turn }
    }

    /// Makes attempts until the slice is over, which is asked after each of them, or until nothing is left to begin:
    /// then it is `false`, though others may still be at theirs. When somebody was told so, the others finish what
    /// they have begun, be their slices over or not.
    ///
    /// It is `true` at once where so many blocks are begun before the oldest is folded that there may be no more.
    ///
    /// # Panics
    /// If an attempt or the judge does. The search ends by that, and has no result.
    pub fn work(&self, watch: &dyn Watch, is_over: &mut dyn FnMut() -> bool) -> bool {
        self.go(watch, is_over, false)
    }

    /// The outcome, once.
    ///
    /// # Panics
    /// When the search has not ended, or has by a panic, or when the outcome was taken.
    #[track_caller]
    pub fn result(&self) -> Searched<J> {
        let mut state = self.state();
        let ended = state.ended.expect("the search has ended, and not by a panic");
        let judge = state.judge.take().expect("its outcome is taken once");
        Searched { judge, ended, tally: state.tally }
    }

    /// Makes all of it on `threads` threads, this one included.
    pub fn run(self, threads: usize, watch: &dyn Watch) -> Searched<J> {
        let work = || {
            self.go(watch, &mut || false, true);
        };
        std::thread::scope(|scope| {
            // A thread for a block that does not exist would only cost its start.
            for _ in 1..(threads as u64).min(self.blocks) {
                scope.spawn(work);
            }
            work();
        });
        self.result()
    }

    fn go(&self, watch: &dyn Watch, is_over: &mut dyn FnMut() -> bool, stays: bool) -> bool {
        let unwinding = EndsOthers(self);
        let mut scratch = None;
        let mut state = self.state();
        let more = loop {
            let mut block = match self.next(&mut state) {
                Next::Block(block) => block,
                Next::Later if stays => {
                    state = self.turn.wait(state).unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
                Next::Later => break true,
                Next::Nothing => break false,
            };
            scratch = scratch.or_else(|| state.scratches.pop());
            drop(state);
            let memory = scratch.get_or_insert_with(|| self.problem.scratch());
            let is_whole = self.attempts(&mut block, memory, watch, is_over);
            state = self.state();
            if !is_whole && state.closed {
                drop(state);
                self.attempts(&mut block, memory, watch, &mut || false);
                state = self.state();
            } else if !is_whole {
                state.parked.push(block);
                self.turn.notify_one();
                break true;
            }
            state.ready.insert(block.number, block);
            state.fold(self.blocks);
            if state.ended.is_some() {
                self.end.store(0, Ordering::Relaxed);
            }
            self.turn.notify_all();
            if is_over() {
                break self.has_more(&mut state);
            }
        };
        state.scratches.extend(scratch);
        drop(state);
        mem::forget(unwinding);
        more
    }

    fn next(&self, state: &mut State<P, J>) -> Next<P::Found> {
        if !self.has_more(state) {
            return Next::Nothing;
        }
        // The oldest first: younger ones wait for it.
        let oldest = (0..state.parked.len()).min_by_key(|&place| state.parked[place].number);
        if let Some(place) = oldest
            && state.parked[place].number < self.end.load(Ordering::Relaxed)
        {
            return Next::Block(state.parked.swap_remove(place));
        }
        if state.next >= state.folded + AHEAD {
            return Next::Later;
        }
        let number = state.next;
        state.next += 1;
        let start = self.first + number * self.size;
        let numbers = start..=start.saturating_add(self.size - 1).min(self.last);
        Next::Block(Block { number, numbers, found: Vec::new(), tally: Tally::default(), stopped: false })
    }

    /// Whether anything is left to begin; if not, it stays so.
    fn has_more(&self, state: &mut State<P, J>) -> bool {
        let end = self.end.load(Ordering::Relaxed);
        let more = state.next < end || state.parked.iter().any(|block| block.number < end);
        state.closed |= !more;
        more
    }

    /// Makes the attempts of a block; false if the slice is over before.
    fn attempts(
        &self,
        block: &mut Block<P::Found>,
        scratch: &mut P::Scratch,
        watch: &dyn Watch,
        is_over: &mut dyn FnMut() -> bool,
    ) -> bool {
        let needed = Needed { watch, end: &self.end, block: block.number };
        let before = block.tally.attempts();
        let mut is_whole = true;
        while let Some(number) = block.numbers.next() {
            let attempt = match needed.stopped() {
                true => Attempt::Stopped,
                false => self.problem.attempt(number, scratch, &needed),
            };
            match attempt {
                Attempt::Solved(found) => {
                    block.tally.solved += 1;
                    block.found.push((number, found, block.tally));
                    if self.wants_one {
                        break;
                    }
                }
                Attempt::Collision => block.tally.collisions += 1,
                Attempt::Cycle => block.tally.cycles += 1,
                Attempt::Stopped => {
                    block.stopped = true;
                    break;
                }
            }
            if !block.numbers.is_empty() && is_over() {
                is_whole = false;
                break;
            }
        }
        if block.stopped || self.wants_one && block.tally.solved > 0 {
            self.end.fetch_min(block.number + 1, Ordering::Relaxed);
        }
        watch.tried(block.tally.attempts() - before);
        is_whole
    }

    fn state(&self) -> MutexGuard<'_, State<P, J>> {
        // A judge that panics leaves a search that has ended: see `EndsOthers`.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: Problem, J: Judge<P::Found>> From<Sliced<P, J>> for Blocks<P, J> {
    /// Goes on where that one is: with its judge, its counts and its memory. It must not have ended.
    fn from(search: Sliced<P, J>) -> Blocks<P, J> {
        let Sliced { problem, judge, scratch, numbers, tally } = search;
        Blocks::of(problem, numbers, judge, Vec::from([scratch]), tally)
    }
}

impl<P: Problem, J: Judge<P::Found>> State<P, J> {
    /// Hands over every block whose turn has come.
    fn fold(&mut self, blocks: u64) {
        // It is not put back if it panics: nobody hears of anything then.
        let Some(mut judge) = self.judge.take() else { return };
        self.fold_to(blocks, &mut judge);
        self.judge = Some(judge);
    }

    fn fold_to(&mut self, blocks: u64, judge: &mut J) {
        while self.ended.is_none()
            && let Some(block) = self.ready.remove(&self.folded)
        {
            self.folded += 1;
            for (number, found, within) in block.found {
                let mut upto = self.tally;
                upto.add(within);
                if judge.hear(number, found, &upto) == Verdict::Done {
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

/// When one of them panics, nothing is left to do for the others: so they return, and the panic goes on.
struct EndsOthers<'a, P: Problem, J: Judge<P::Found>>(&'a Blocks<P, J>);

impl<P: Problem, J: Judge<P::Found>> Drop for EndsOthers<'_, P, J> {
    fn drop(&mut self) {
        self.0.end.store(0, Ordering::Relaxed);
        // Whoever looked at `end` before that store holds the lock until it waits.
        drop(self.0.state());
        self.0.turn.notify_all();
    }
}

impl<P: Problem, J> fmt::Debug for Blocks<P, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.end.load(Ordering::Relaxed);
        f.debug_struct("Blocks").field("blocks", &self.blocks).field("end", &end).finish_non_exhaustive()
    }
}
