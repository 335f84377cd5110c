//! Writes to a file whose futures were dropped: they are completed, and whoever writes next waits for them.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll, Waker},
};

use ostia_port::op::Op;

use crate::{
    driver::{Operation, lost},
    loom::{Mutex, lock},
    sync,
};

/// What is left of a file's writes.
pub(super) struct Left {
    /// How many there are, the one that somebody waits for included.
    count: AtomicUsize,
    list: Mutex<Vec<Box<dyn Late>>>,
    /// Who waits for them; the others wait here.
    order: sync::Mutex<()>,
}

/// A write that nobody waits for, of whatever buffer. Dropped, it goes on by itself.
trait Late: Send {
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

struct Dropped<O: Op>(Option<Operation<O>>);

impl<O: Op> Late for Dropped<O> {
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(operation) = &mut self.0 else { return Poll::Ready(()) };
        // Asked first: to poll one that never ends is a panic, and this may be in the midst of one.
        if operation.is_lost() {
            tracing::warn!(error = %lost(), "what became of a write that nobody waits for is not known");
            self.0.take().into_iter().for_each(Operation::detach);
            return Poll::Ready(());
        }
        let Poll::Ready((result, back)) = Pin::new(operation).poll(cx) else {
            return Poll::Pending;
        };
        self.0 = None;
        drop(back);
        if let Err(error) = result {
            tracing::warn!(%error, "a write that nobody waited for has failed");
        }
        Poll::Ready(())
    }
}

impl<O: Op> Drop for Dropped<O> {
    fn drop(&mut self) {
        if let Some(operation) = self.0.take() {
            operation.detach();
        }
    }
}

impl Left {
    pub(super) fn new() -> Left {
        Left { count: AtomicUsize::new(0), list: Mutex::new(Vec::new()), order: sync::Mutex::new(()) }
    }

    /// A write's future was dropped.
    #[cold]
    fn leave<O: Op>(&self, operation: Operation<O>) {
        self.count.fetch_add(1, Ordering::AcqRel);
        let mut list = lock(&self.list);
        list.push(Box::new(Dropped(Some(operation))));
        // Those that have ended go, so that there are no more than are under way.
        let mut over = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        let mut place = 0;
        while place < list.len() {
            match list[place].poll_end(&mut cx) {
                Poll::Ready(()) => over.push(list.swap_remove(place)),
                Poll::Pending => place += 1,
            }
        }
        drop(list);
        self.count.fetch_sub(over.len(), Ordering::AcqRel);
    }

    /// Waits until all that was left has ended.
    #[inline]
    pub(super) async fn settle(&self) {
        if self.count.load(Ordering::Acquire) > 0 {
            self.wait().await;
        }
    }

    #[cold]
    async fn wait(&self) {
        let _first = self.order.lock().await;
        loop {
            let Some(late) = lock(&self.list).pop() else { return };
            let mut taken = Taken { left: self, late: Some(late) };
            poll_fn(|cx| taken.late.as_mut().map_or(Poll::Ready(()), |late| late.poll_end(cx))).await;
            taken.late = None;
            self.count.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl fmt::Debug for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Left").field("count", &self.count).finish_non_exhaustive()
    }
}

/// One that is waited for; it goes back if the waiting is given up.
struct Taken<'a> {
    left: &'a Left,
    late: Option<Box<dyn Late>>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(late) = self.late.take() {
            lock(&self.left.list).push(late);
        }
    }
}

/// A write under way; if this is dropped, it is left.
pub(super) struct Write<'a, O: Op> {
    left: &'a Left,
    operation: Option<Operation<O>>,
}

impl<'a, O: Op> Write<'a, O> {
    pub(super) fn new(left: &'a Left, op: O) -> Write<'a, O> {
        Write { left, operation: Some(Operation::new(op)) }
    }

    /// Whether it was handed over and has not told its end: then it goes on, whatever becomes of this.
    pub(super) fn has_begun(&self) -> bool {
        self.operation.as_ref().is_some_and(Operation::has_begun)
    }
}

impl<O: Op> Future for Write<'_, O> {
    type Output = (std::io::Result<O::Out>, O::Back);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let operation = self.operation.as_mut().expect("it is not polled after its end");
        let polled = Pin::new(operation).poll(cx);
        if polled.is_ready() {
            self.operation = None;
        }
        polled
    }
}

impl<O: Op> Drop for Write<'_, O> {
    fn drop(&mut self) {
        if let Some(operation) = self.operation.take()
            && operation.has_begun()
        {
            self.left.leave(operation);
        }
    }
}
