//! The search for one set on a runtime: on the worker of its task, a slice at a time, and on idle workers of the node
//! beside it once a slice was not enough.

use std::{
    ops::{ControlFlow, RangeInclusive},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use ostia_hash::{
    create::Engine,
    search::{Blocks, Judge, Problem, Searched, Sliced, Watch},
};
use ostia_rt::{Pieces, Slice, breathe, compute, compute_pieces};

/// Ends the work on a set: when the job is ended, or its time is over.
#[derive(Debug)]
pub(super) struct SetWatch {
    pub(super) is_cancelled: Arc<AtomicBool>,
    pub(super) until: Option<Instant>,
    /// Attempts, for those who look on.
    pub(super) tried: AtomicU64,
}

impl SetWatch {
    pub(super) fn new(is_cancelled: &Arc<AtomicBool>, limit: Option<Duration>) -> SetWatch {
        // A limit beyond what the clock can say is none.
        let until = limit.and_then(|limit| Instant::now().checked_add(limit));
        SetWatch { is_cancelled: Arc::clone(is_cancelled), until, tried: AtomicU64::new(0) }
    }

    pub(super) fn is_out_of_time(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }
}

impl Watch for SetWatch {
    fn stopped(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed) || self.is_out_of_time()
    }

    fn abandoned(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }

    fn tried(&self, attempts: u64) {
        self.tried.fetch_add(attempts, Ordering::Relaxed);
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Slices {
    pub(super) watch: Arc<SetWatch>,
    /// Workers at one set; none for as many as there are.
    pub(super) at_most: Option<usize>,
}

impl Engine for Slices {
    async fn search<P, J>(&self, problem: P, numbers: RangeInclusive<u64>, judge: J) -> Searched<J>
    where
        P: Problem + Send + 'static,
        J: Judge<P::Found> + 'static,
    {
        let mut search = Sliced::new(problem, numbers, judge);
        let mut step = |slice: &Slice| search.step(&*self.watch, &mut || slice.is_over());
        let ended = match self.at_most {
            Some(1) => {
                Some(compute(|slice| step(slice).map_or(ControlFlow::Continue(()), ControlFlow::Break)).await)
            }
            _ => compute(|slice| ControlFlow::Break(step(slice))).await,
        };
        if let Some(ended) = ended {
            return search.end(ended);
        }
        let shared = Arc::new(Shared { blocks: Blocks::from(search), watch: Arc::clone(&self.watch) });
        let mut work = compute_pieces(Arc::clone(&shared));
        if let Some(at_most) = self.at_most {
            work = work.at_most(at_most);
        }
        work.await;
        shared.blocks.result()
    }

    async fn breathe(&self) {
        breathe().await;
    }

    fn watch(&self) -> &dyn Watch {
        &*self.watch
    }
}

struct Shared<P: Problem, J> {
    blocks: Blocks<P, J>,
    watch: Arc<SetWatch>,
}

impl<P, J> Pieces for Shared<P, J>
where
    P: Problem + Send + 'static,
    J: Judge<P::Found> + 'static,
{
    fn some(&self, slice: &Slice) -> bool {
        self.blocks.work(&*self.watch, &mut || slice.is_over())
    }
}
