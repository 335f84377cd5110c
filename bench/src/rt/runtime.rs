//! What all runtimes have in common, as far as the parts need it.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use crate::rt::tasks::Operation;

/// A runtime with one worker.
pub(crate) trait Runtime: Sized + 'static {
    /// Opens it on this thread.
    fn open() -> Result<Self, String>;

    /// Runs a future to its end.
    fn block_on<T>(&mut self, future: impl Future<Output = T>) -> T;

    /// Begins a task; called from within [`Runtime::block_on`].
    fn spawn<T: Send + 'static>(
        future: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + 'static;

    /// Lets others run, in the way that the runtime has for it; a wake of oneself where it has none.
    fn yield_now() -> impl Future<Output = ()> + Send {
        Yield::default()
    }

    /// Runs an operation as many times as it is measured at once, where tasks run.
    fn run(&mut self, operation: Operation) {
        self.block_on(operation.step::<Self>());
    }
}

/// Wakes itself, once.
#[derive(Debug, Default)]
pub(crate) struct Yield(bool);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0 {
            return Poll::Ready(());
        }
        self.0 = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
