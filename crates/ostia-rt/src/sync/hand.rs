//! A hand-made waker for tests: it counts how often it was woken, and does what it is told when it is.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

type Deed = Box<dyn FnOnce() + Send>;

/// Counts its wakes.
#[derive(Default)]
pub(crate) struct Count {
    wakes: AtomicUsize,
    deed: Mutex<Option<Deed>>,
}

impl Count {
    pub(crate) fn wakes(&self) -> usize {
        self.wakes.load(SeqCst)
    }

    /// Does something inside the next wake.
    pub(crate) fn when_woken(&self, deed: impl FnOnce() + Send + 'static) {
        *self.deed.lock().expect("deeds are done outside of it") = Some(Box::new(deed));
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, SeqCst);
        let deed = self.deed.lock().expect("deeds are done outside of it").take();
        if let Some(deed) = deed {
            deed();
        }
    }
}

/// A future with a waker of its own, polled by hand.
pub(crate) struct Hand<F> {
    future: Pin<Box<F>>,
    count: Arc<Count>,
}

impl<F: Future> Hand<F> {
    pub(crate) fn new(future: F) -> Self {
        Self { future: Box::pin(future), count: Arc::default() }
    }

    pub(crate) fn poll(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(&self.count));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    pub(crate) fn wakes(&self) -> usize {
        self.count.wakes()
    }

    /// The next poll comes with another waker; the one before stays to be asked.
    pub(crate) fn change_waker(&mut self) -> Arc<Count> {
        std::mem::take(&mut self.count)
    }

    /// Does something inside the next wake.
    pub(crate) fn when_woken(&self, deed: impl FnOnce() + Send + 'static) {
        self.count.when_woken(deed);
    }
}

/// Polls once.
pub(crate) fn now<F: Future>(future: F) -> Option<F::Output> {
    match Hand::new(future).poll() {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Whether it panics.
pub(crate) fn panics(deed: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(deed)).is_err()
}
