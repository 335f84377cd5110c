//! The claim to a task's result.

use std::{
    any::Any,
    error::Error,
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    ptr::NonNull,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
};

use super::{Task, raw::Header};

/// The claim to the result of a task, and a handle on the task.
///
/// Dropping it lets the task go on by itself; its result is dropped when it has ended.
///
/// # Cancel safety
///
/// It is a future that may be dropped and asked again through `&mut`; the result comes once.
#[must_use = "a task that nobody waits for goes on by itself: say so with `drop`, or wait for it"]
pub struct JoinHandle<T> {
    header: NonNull<Header>,
    output: PhantomData<fn() -> T>,
}

// SAFETY: the header is shared under the rules of its word, and the result that may come out of it here is `Send`.
unsafe impl<T: Send> Send for JoinHandle<T> {}
// SAFETY: through a shared reference nothing comes out but whether the task has ended.
unsafe impl<T: Send> Sync for JoinHandle<T> {}

impl<T> Unpin for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    /// # Safety
    ///
    /// The pointer's reference becomes the handle's, there is no other handle, and `T` is the output of the future.
    pub(super) unsafe fn from_header(header: NonNull<Header>) -> JoinHandle<T> {
        JoinHandle { header, output: PhantomData }
    }

    fn header(&self) -> &Header {
        // SAFETY: the handle's reference keeps it alive.
        unsafe { self.header.as_ref() }
    }

    /// Asks for the task's end: at the next moment at which it would be polled its future is dropped instead, and
    /// the result is a [`JoinError`] that [is cancelled](JoinError::is_cancelled). A task that is just ending may
    /// still win.
    pub fn abort(&self) {
        self.abort_handle().abort();
    }

    /// A handle that can only ask for the end.
    pub fn abort_handle(&self) -> AbortHandle {
        self.header().state.add_reference();
        // SAFETY: the reference has just been added.
        AbortHandle { task: unsafe { Task::from_header(self.header) } }
    }

    /// The same claim, whose holder also answers for the task: when it is dropped the task is aborted.
    pub fn abort_on_drop(self) -> AbortOnDrop<T> {
        AbortOnDrop(self)
    }

    /// Whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.header().state.is_complete()
    }

    /// The result, if the task has ended.
    fn take(&mut self) -> Option<Result<T, JoinError>> {
        if !self.is_finished() {
            return None;
        }
        let mut result = Poll::Pending;
        // SAFETY: it is complete, this is its one handle, and `result` is of the type that `take` writes.
        unsafe { Header::take(self.header, (&raw mut result).cast()) };
        match result {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(result) = self.take() {
            return Poll::Ready(result);
        }
        let state = &self.header().state;
        // SAFETY: the handle's reference keeps it alive beyond this use.
        let place = unsafe { Header::join(self.header) };
        // A runner that completes takes what lies there, unless the bit is taken down first.
        if state.has_join_waker() && !state.unset_join_waker() {
            return self.take().map_or(Poll::Pending, Poll::Ready);
        }
        let former = place.with_mut(|place| {
            // SAFETY: the bit is not set, and the task was not complete before: the place is the handle's.
            let place = unsafe { &mut *place };
            match place {
                Some(waker) if waker.will_wake(cx.waker()) => None,
                _ => place.replace(cx.waker().clone()),
            }
        });
        // A foreign waker may do anything when it is dropped.
        drop(former);
        state.set_join_waker();
        // It may have ended before the waker lay there.
        self.take().map_or(Poll::Pending, Poll::Ready)
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        /// The reference is given up also if what is dropped before panics.
        struct Reference(NonNull<Header>);
        impl Drop for Reference {
            fn drop(&mut self) {
                // SAFETY: it was the handle's.
                unsafe { Header::release(self.0) };
            }
        }
        let reference = Reference(self.header);
        if self.header().state.leave_join() {
            // SAFETY: it is complete, and this was its one handle.
            unsafe { Header::take(reference.0, std::ptr::null_mut()) };
        } else {
            // SAFETY: the handle's reference keeps it alive beyond this use.
            let place = unsafe { Header::join(reference.0) };
            // SAFETY: it was not complete when the bits were taken down: the place is the handle's.
            drop(place.with_mut(|place| unsafe { (*place).take() }));
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("task", &self.header().name.as_str())
            .field("finished", &self.is_finished())
            .finish()
    }
}

/// See [`JoinHandle::abort_on_drop`].
///
/// # Cancel safety
///
/// As [`JoinHandle`]: asked through `&mut` it may be asked again.
#[derive(Debug)]
#[must_use = "the task is aborted when this is dropped"]
pub struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        // Of one that has ended this asks nothing.
        self.0.abort();
    }
}

/// Asks for a task's end, from anywhere.
#[derive(Clone, Debug)]
pub struct AbortHandle {
    task: Task,
}

impl AbortHandle {
    /// As [`JoinHandle::abort`].
    pub fn abort(&self) {
        self.task.cancel();
    }

    /// Whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.task.header().state.is_complete()
    }
}

/// Why a task has no result.
pub struct JoinError {
    why: Why,
}

enum Why {
    Cancelled,
    /// Behind a lock that is never taken twice: so the error may be shared between threads, as errors are.
    Panicked(Mutex<Box<dyn Any + Send>>),
}

impl JoinError {
    pub(crate) fn cancelled() -> JoinError {
        JoinError { why: Why::Cancelled }
    }

    pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> JoinError {
        JoinError { why: Why::Panicked(Mutex::new(panic)) }
    }

    /// Whether its end was asked for: by [`JoinHandle::abort`], or because the runtime ends.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.why, Why::Cancelled)
    }

    /// Whether it panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self.why, Why::Panicked(_))
    }

    /// What it panicked with, to go on with by [`std::panic::resume_unwind`]; none if it was cancelled.
    pub fn into_panic(self) -> Option<Box<dyn Any + Send>> {
        match self.why {
            Why::Panicked(panic) => Some(panic.into_inner().unwrap_or_else(PoisonError::into_inner)),
            Why::Cancelled => None,
        }
    }

    /// What it panicked with, as text, if that is what it was.
    fn message(&self) -> Option<String> {
        let Why::Panicked(panic) = &self.why else { return None };
        let panic = panic.lock().unwrap_or_else(PoisonError::into_inner);
        let text = panic.downcast_ref::<&'static str>().map(|text| (*text).to_owned());
        text.or_else(|| panic.downcast_ref::<String>().cloned())
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Why::Cancelled => f.write_str("JoinError::Cancelled"),
            Why::Panicked(_) => {
                write!(f, "JoinError::Panicked({:?})", self.message().as_deref().unwrap_or(".."))
            }
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.why, self.message()) {
            (Why::Cancelled, _) => f.write_str("the task was cancelled"),
            (Why::Panicked(_), Some(message)) => write!(f, "the task panicked: {message}"),
            (Why::Panicked(_), None) => f.write_str("the task panicked"),
        }
    }
}

impl Error for JoinError {}
