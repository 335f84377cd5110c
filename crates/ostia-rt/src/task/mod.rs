//! Tasks: a future in one allocation, with a word that says who may touch it.
//!
//! All that is unsafe in this crate is in this folder. A task is a [`raw::Header`] with the rest of its cell behind it;
//! whoever knows it has a reference that is counted in the same word. The word's bits:
//!
//! | bits | where the task is | who may touch the future or the result |
//! |---|---|---|
//! | `NOTIFIED` | in one queue; the queue has a reference, a [`Task`] | nobody |
//! | `RUNNING` | with the one that took it out of the queue | that one: the runner |
//! | `RUNNING`, `NOTIFIED` | the same; it was woken, and the runner will queue it again | the runner |
//! | `RUNNING`, put off | in one queue: it let others go first, and never stopped; who takes it out is the runner | nobody |
//! | none | waiting: a waker has a reference, or nobody will ever wake it | nobody |
//! | `COMPLETE`, `JOIN` | ended | the join handle |
//! | `COMPLETE` | ended, and nobody waits for the result | nobody: the runner has dropped it |
//! | `CANCELLED` | (beside the others) its end was asked for: the next runner drops the future instead of polling it | |
//!
//! Only the step from no bit to `NOTIFIED` and the runner put a task into a queue, so it is in one queue at most. Only a runner sets
//! `COMPLETE`, so the future is dropped by a runner: for a local task (`!Send`) that is its own thread. The set of
//! those that live ([`Owned`]) has a reference until the runner takes it out, so the count reaches zero only after the
//! future is gone; a task that the runtime's end has left behind is the exception, and `raw::free` sees to it.
//!
//! The pieces in here know no runtime: [`Schedule`] is what they ask of it. `tests/loom.rs` tries every order of their
//! steps, and Miri runs their tests.

mod join;
mod list;
mod name;
mod owned;
mod queue;
mod raw;
mod state;
#[cfg(all(test, not(loom)))]
mod tests;
mod waker;

use std::{fmt, future::Future, mem::ManuallyDrop, ptr::NonNull};

pub use self::join::{AbortHandle, AbortOnDrop, JoinError, JoinHandle};
pub(crate) use self::{
    list::Injector,
    name::{AtomicName, Name, TypeName},
    owned::Owned,
    queue::{CAPACITY, Local, Steal, Thieves, new as queue},
    raw::{Header, thread_token},
    waker::put_off,
};

/// What a task asks of the runtime.
pub(crate) trait Schedule: Send + Sync + 'static {
    /// What leads to its queue.
    type Way;

    /// Where it goes when it is woken.
    fn way(&self) -> Self::Way;

    /// It was woken: into a queue with it, behind the others. Without the scheduler, which lies in the task: whoever takes
    /// it out of the queue may have run it to its end, and freed it, before this returns.
    fn schedule(way: Self::Way, task: Task);

    /// It has ended: out of the set of those that live. True if it was there; then the set's reference is the
    /// caller's.
    fn release(&self, task: &Header) -> bool;
}

/// A task with one reference. In a queue it stands for the right to run it.
pub(crate) struct Task {
    header: NonNull<Header>,
}

// SAFETY: the header is shared under the rules of its word; the future is touched by runners only, and a local one's
// runner asserts that it is on the right thread.
unsafe impl Send for Task {}
// SAFETY: through a shared reference there is only the word and what never changes.
unsafe impl Sync for Task {}

impl Task {
    /// # Safety
    ///
    /// The pointer's reference becomes the task's.
    unsafe fn from_header(header: NonNull<Header>) -> Task {
        Task { header }
    }

    fn into_header(self) -> NonNull<Header> {
        ManuallyDrop::new(self).header
    }

    fn header(&self) -> &Header {
        // SAFETY: the task's reference keeps it alive.
        unsafe { self.header.as_ref() }
    }

    /// What the task is called.
    pub(crate) fn name(&self) -> &'static Name {
        self.header().name
    }

    /// What tells it from others for as long as it lives.
    #[inline]
    pub(crate) fn address(&self) -> *const () {
        self.header.as_ptr().cast_const().cast()
    }

    /// Polls it once. The caller took it out of a queue.
    #[inline]
    pub(crate) fn run(self) {
        let thread = self.header().thread;
        assert!(thread == 0 || thread == thread_token(), "a local task is run by its own thread");
        // SAFETY: this is a task out of a queue, and its reference goes with it.
        unsafe { Header::run(self.into_header()) };
    }

    /// Whether only one thread may run it.
    pub(crate) fn is_local(&self) -> bool {
        self.header().thread != 0
    }

    /// Asks for its end: a runner drops the future.
    pub(crate) fn cancel(&self) {
        if self.header().state.cancel() {
            // SAFETY: `cancel` has added the reference that goes into the queue.
            unsafe { Header::schedule(self.header) };
        }
    }
}

impl Clone for Task {
    fn clone(&self) -> Task {
        self.header().state.add_reference();
        Task { header: self.header }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        // SAFETY: the reference is the task's.
        unsafe { Header::release(self.header) };
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Task").field(&self.name().as_str()).finish()
    }
}

/// A new task: the right to run it, the reference for the set of those that live, and its join handle.
pub(crate) fn new<F, S>(
    future: F,
    scheduler: S,
    name: Option<&'static Name>,
) -> (Task, Task, JoinHandle<F::Output>)
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
    S: Schedule,
{
    parts(raw::allocate(future, scheduler, name, false))
}

/// As [`new`], for a future that only the calling thread may touch. The scheduler brings it back to that thread.
pub(crate) fn new_local<F, S>(
    future: F,
    scheduler: S,
    name: Option<&'static Name>,
) -> (Task, Task, JoinHandle<F::Output>)
where
    F: Future + 'static,
    S: Schedule,
{
    parts(raw::allocate(future, scheduler, name, true))
}

fn parts<T>(header: NonNull<Header>) -> (Task, Task, JoinHandle<T>) {
    // SAFETY: `allocate` counted three references, and this is the first.
    let queued = unsafe { Task::from_header(header) };
    // SAFETY: this is the second.
    let owned = unsafe { Task::from_header(header) };
    // SAFETY: this is the third, and `T` is the output of the future.
    let join = unsafe { JoinHandle::from_header(header) };
    (queued, owned, join)
}
