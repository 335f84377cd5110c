//! Who makes the attempts, and lets others go first.

use core::{future::Future, ops::RangeInclusive};

use crate::search::{Judge, Problem, Searched, Watch, run};

/// What [`create_on`](super::create_on) leaves to its caller: where the attempts are made, and when to give way.
///
/// Whatever it does, the outcome of a search must be the one that [`run`] has: [`Sliced`](crate::search::Sliced) and
/// `Blocks` see to that.
pub trait Engine: Sync {
    /// Makes the attempts of `numbers` until the judge is done.
    fn search<P, J>(
        &self,
        problem: P,
        numbers: RangeInclusive<u64>,
        judge: J,
    ) -> impl Future<Output = Searched<J>> + Send
    where
        P: Problem + Send + 'static,
        J: Judge<P::Found> + 'static;

    /// Lets others go first, if their turn has come. It is asked after each part of a millisecond of other work than
    /// attempts.
    fn breathe(&self) -> impl Future<Output = ()> + Send;

    /// Who looks on, and may end it.
    fn watch(&self) -> &dyn Watch;
}

/// Makes everything where it is called, and gives way to nobody.
pub(super) struct Here<'w> {
    pub(super) threads: usize,
    pub(super) watch: &'w dyn Watch,
}

impl Engine for Here<'_> {
    async fn search<P, J>(&self, problem: P, numbers: RangeInclusive<u64>, judge: J) -> Searched<J>
    where
        P: Problem + Send + 'static,
        J: Judge<P::Found> + 'static,
    {
        run(problem, numbers, self.threads, self.watch, judge)
    }

    async fn breathe(&self) {}

    fn watch(&self) -> &dyn Watch {
        self.watch
    }
}

/// Keys that are worked on between two breaths: well under a millisecond, even where each misses the caches.
const KEYS: usize = 1 << 13;

/// The breaths between parts of the work on a table that is found.
pub(super) struct Breaths<'e, E> {
    pub(super) engine: &'e E,
    /// Whether it may still be abandoned.
    pub(super) heeds: bool,
}

impl<E: Engine> Breaths<'_, E> {
    /// Lets others go first. `None` when the table is abandoned.
    pub(super) async fn take(&self) -> Option<()> {
        if self.heeds && self.engine.watch().abandoned() {
            return None;
        }
        self.engine.breathe().await;
        Some(())
    }
}

/// `0..count` in parts, before each of which a breath is due.
pub(super) fn parts(count: usize) -> impl Iterator<Item = core::ops::Range<usize>> + Send {
    (0..count).step_by(KEYS).map(move |start| start..count.min(start + KEYS))
}
