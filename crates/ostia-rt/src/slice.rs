//! CPU work in slices: it runs on a worker, and gives way when its slice is over, so that what waits at that worker for
//! its turn, and for its operations, is served in time.
//!
//! A slice is what is left of the worker's turn ([`Builder::slice`](crate::Builder::slice)), by the runtime's clock.
//! Work that comes in pieces ([`Pieces`]) is done by the worker of its task, and by others of the same node while they
//! have nothing else to do: each of them does one slice and looks for work of its own before it does another.

use std::{
    any::Any,
    fmt,
    future::Future,
    ops::ControlFlow,
    panic::{self, AssertUnwindSafe},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use ostia_port::Port;

use crate::{
    context,
    loom::lock,
    node::Node,
    wake::wake,
    yields::{YieldNow, yield_now},
};

/// How long work on a thread that is no worker's goes on before it gives way.
const ELSEWHERE: Duration = Duration::from_micros(500);

/// What is left of the time to work.
#[derive(Debug)]
pub struct Slice {
    /// Whose clock it is; none for the system's.
    clock: Option<Port>,
    ends: Instant,
}

impl Slice {
    fn now() -> Slice {
        let here = context::with(|here| here.map(|here| (here.node.port.clone(), here.slice_ends.get())));
        match here {
            Some((port, ends)) => Slice { clock: Some(port), ends },
            None => Slice { clock: None, ends: Instant::now() + ELSEWHERE },
        }
    }

    /// A whole slice from now on, for a worker that has nothing else to do.
    pub(crate) fn whole(port: &Port, len: Duration) -> Slice {
        Slice { clock: Some(port.clone()), ends: port.now() + len }
    }

    /// Whether it is over: then the work should give way. Asking costs a look at the clock, some 20 ns: ask after each
    /// few microseconds of work.
    pub fn is_over(&self) -> bool {
        let is_over = self.clock.as_ref().map_or_else(Instant::now, Port::now) >= self.ends;
        if is_over {
            // The worker looks at its operations next, whatever else it was to run.
            context::with(|here| {
                if let Some(here) = here {
                    here.slice_is_over.set(true);
                }
            });
        }
        is_over
    }
}

/// Lets others go first if the worker's slice is over; otherwise goes on at once.
///
/// # Cancel safety
///
/// Dropping it has no effect.
pub fn breathe() -> Breathe {
    Breathe { yields: None }
}

/// See [`breathe`].
#[derive(Debug)]
#[must_use = "a future does nothing until it is polled"]
pub struct Breathe {
    yields: Option<YieldNow>,
}

impl Future for Breathe {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yields.is_none() && !Slice::now().is_over() {
            return Poll::Ready(());
        }
        Pin::new(self.yields.get_or_insert_with(yield_now)).poll(cx)
    }
}

/// Runs CPU work in slices: `work` is called again and again until it breaks with its result. Each time it should go on
/// until [`Slice::is_over`].
///
/// ```
/// use std::ops::ControlFlow;
///
/// let runtime = ostia_rt::Runtime::builder().workers_per_node(1).build()?;
/// let mut sum = 0u64;
/// let mut numbers = 0..1_000_000u64;
/// let task = runtime.spawn(ostia_rt::compute(move |slice| {
///     while !slice.is_over() {
///         for _ in 0..1000 {
///             let Some(number) = numbers.next() else { return ControlFlow::Break(sum) };
///             sum += number;
///         }
///     }
///     ControlFlow::Continue(())
/// }));
/// assert_eq!(runtime.block_on(task).unwrap(), 499_999_500_000);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Cancel safety
///
/// Dropping it drops the work between two slices.
pub fn compute<T, W>(work: W) -> Compute<W>
where
    W: FnMut(&Slice) -> ControlFlow<T>,
{
    Compute { work }
}

/// See [`compute`].
#[must_use = "a future does nothing until it is polled"]
pub struct Compute<W> {
    work: W,
}

// The work is called, and never pinned.
impl<W> Unpin for Compute<W> {}

impl<T, W> Future for Compute<W>
where
    W: FnMut(&Slice) -> ControlFlow<T>,
{
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match (self.work)(&Slice::now()) {
            ControlFlow::Break(result) => Poll::Ready(result),
            ControlFlow::Continue(()) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

impl<W> fmt::Debug for Compute<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compute").finish_non_exhaustive()
    }
}

/// Work that several may do at a time, piece by piece.
pub trait Pieces: Send + Sync + 'static {
    /// Does pieces until the slice is over. False if there is no piece left to begin; others may still be at theirs.
    fn some(&self, slice: &Slice) -> bool;
}

/// Does work in pieces: on the worker of the task that waits for it, and on further ones of the node while they have
/// nothing else to do. It is over when nobody is at a piece any more.
///
/// # Panics
///
/// If a piece does, wherever it was done; the others are not begun then.
///
/// # Cancel safety
///
/// Dropping it lets those who are at a piece finish it, and begins no other.
pub fn compute_pieces<P: Pieces>(pieces: Arc<P>) -> ComputePieces {
    let shared = SharedWork {
        pieces,
        state: Mutex::new(State {
            is_open: true,
            helpers: 0,
            helpers_max: usize::MAX,
            waker: None,
            panic: None,
        }),
    };
    ComputePieces { work: Arc::new(shared), node: None }
}

impl ComputePieces {
    /// At most so many workers are at its pieces at a time, that of the task that waits for it included: 1, or 0, means
    /// that one alone. The others pass the work over, and may sleep.
    pub fn at_most(self, workers: usize) -> ComputePieces {
        lock(&self.work.state).helpers_max = workers.saturating_sub(1);
        self
    }
}

/// See [`compute_pieces`].
#[must_use = "a future does nothing until it is polled"]
pub struct ComputePieces {
    work: Arc<SharedWork>,
    /// Where others find it, once it has begun.
    node: Option<Arc<Node>>,
}

/// What the workers of a node know of work in pieces.
pub(crate) struct SharedWork {
    pieces: Arc<dyn Pieces>,
    state: Mutex<State>,
}

/// Who is there to help.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Joined {
    /// One more, and there is a place for another.
    OneMore,
    /// One more, and it has the last place: the others are to pass the work over.
    Last,
    /// Nobody: there is nothing to begin, or no place.
    Nobody,
}

struct State {
    /// There may be pieces to begin.
    is_open: bool,
    /// Those at its pieces, without the worker of the task that waits for it.
    helpers: usize,
    /// That many of them there may be.
    helpers_max: usize,
    /// The task that waits for the helpers.
    waker: Option<Waker>,
    panic: Option<Box<dyn Any + Send>>,
}

impl SharedWork {
    /// Takes a place, for [`SharedWork::help`].
    pub(crate) fn join(&self) -> Joined {
        let mut state = lock(&self.state);
        if !state.has_place() {
            return Joined::Nobody;
        }
        state.helpers += 1;
        if state.has_place() { Joined::OneMore } else { Joined::Last }
    }

    /// Whether somebody might help.
    pub(crate) fn has_place(&self) -> bool {
        lock(&self.state).has_place()
    }

    /// Does a slice of it in the place that was taken, and leaves it; false if there is nothing to begin.
    pub(crate) fn help(&self, slice: &Slice) -> bool {
        self.some(slice, 1)
    }

    /// Does a slice of it, in the place of as many helpers.
    fn some(&self, slice: &Slice, places: usize) -> bool {
        let done = panic::catch_unwind(AssertUnwindSafe(|| self.pieces.some(slice)));
        let mut state = lock(&self.state);
        state.helpers -= places;
        match done {
            Ok(more) => state.is_open &= more,
            Err(panic) => {
                state.is_open = false;
                state.panic.get_or_insert(panic);
            }
        }
        let is_open = state.is_open;
        let waker = if !is_open && state.helpers == 0 { state.waker.take() } else { None };
        drop(state);
        waker.into_iter().for_each(wake);
        is_open
    }
}

impl State {
    fn has_place(&self) -> bool {
        self.is_open && self.helpers < self.helpers_max
    }
}

impl fmt::Debug for SharedWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedWork").finish_non_exhaustive()
    }
}

impl ComputePieces {
    fn withdraw(&mut self) {
        if let Some(node) = self.node.take() {
            node.withdraw_work(&self.work);
        }
    }
}

impl Future for ComputePieces {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.node.is_none()
            && self.work.has_place()
            && let Some(node) = context::with(|here| here.map(|here| Arc::clone(&here.node)))
        {
            node.offer_work(&self.work);
            self.node = Some(node);
        }
        let is_open = lock(&self.work.state).is_open;
        if is_open && self.work.some(&Slice::now(), 0) {
            if let Some(node) = &self.node
                && self.work.has_place()
            {
                // A slice was not enough: it is long, and worth a wake if somebody sleeps.
                node.wake_one();
            }
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.withdraw();
        let mut state = lock(&self.work.state);
        if state.helpers > 0 {
            let former = state.waker.replace(cx.waker().clone());
            drop(state);
            drop(former);
            return Poll::Pending;
        }
        let panic = state.panic.take();
        drop(state);
        match panic {
            Some(panic) => panic::resume_unwind(panic),
            None => Poll::Ready(()),
        }
    }
}

impl Drop for ComputePieces {
    fn drop(&mut self) {
        lock(&self.work.state).is_open = false;
        self.withdraw();
    }
}

impl fmt::Debug for ComputePieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ComputePieces").finish_non_exhaustive()
    }
}
