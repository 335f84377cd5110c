//! A task in memory: its allocation, and all work with pointers to it.

use std::{
    any::Any,
    future::Future,
    mem::{self, ManuallyDrop},
    panic::{self, AssertUnwindSafe},
    pin::Pin,
    ptr::NonNull,
    sync::atomic,
    task::{Context, Poll, Waker},
};

use super::{
    JoinError, Name, Schedule, Task, TypeName,
    state::{After, State, Whose},
    waker,
};
use crate::loom::{AtomicPtr, AtomicUsize, UnsafeCell};

/// What every task begins with, whatever its future is.
#[derive(Debug)]
pub(crate) struct Header {
    pub(super) state: State,
    table: &'static Table,
    /// The next one in a list; belongs to whoever has the queued reference.
    pub(super) next: AtomicPtr<Header>,
    /// Its place in the set of those that live; guarded by the set's lock.
    pub(super) place: AtomicUsize,
    pub(super) name: &'static Name,
    /// The one thread that may touch the future, or 0.
    pub(super) thread: usize,
    /// It asked to go behind the others: from its queue it goes on as running. The runner's alone, whoever that is: the
    /// queue hands it over with the task.
    pub(super) is_put_off: atomic::AtomicBool,
}

/// What can be done with a task whose future's type is forgotten.
#[derive(Debug)]
struct Table {
    /// Polls it. The pointer's reference is the runner's, and used up.
    run: unsafe fn(NonNull<Header>),
    /// Queues it. The reference goes into the queue.
    schedule: unsafe fn(NonNull<Header>),
    /// Moves the result to where the pointer leads, or drops it if it is null. The result is the caller's.
    take: unsafe fn(NonNull<Header>, *mut ()),
    /// Where the join handle's waker lies.
    join: unsafe fn(NonNull<Header>) -> NonNull<UnsafeCell<Option<Waker>>>,
    /// Frees it. There is no other reference.
    free: unsafe fn(NonNull<Header>),
}

#[repr(C)]
struct Cell<F: Future, S> {
    header: Header,
    scheduler: S,
    stage: UnsafeCell<Stage<F>>,
    /// Whose it is, the word says: `JOIN_WAKER`.
    join: UnsafeCell<Option<Waker>>,
}

enum Stage<F: Future> {
    /// The runner's alone.
    Running(F),
    /// The runner's until `complete`, then the join handle's if there is one.
    Finished(Result<F::Output, JoinError>),
    Taken,
}

struct TableOf<F, S>(std::marker::PhantomData<(F, S)>);

impl<F: Future + 'static, S: Schedule> TableOf<F, S> {
    const TABLE: Table = Table {
        run: run::<F, S>,
        schedule: schedule::<F, S>,
        take: take::<F, S>,
        join: join::<F, S>,
        free: free::<F, S>,
    };
}

/// A number that no other thread has, had, or will have; never 0. An address would not do: a thread may lie where another
/// one lay, whose local tasks are not its own.
pub(crate) fn thread_token() -> usize {
    static LAST: atomic::AtomicUsize = atomic::AtomicUsize::new(0);
    thread_local!(static TOKEN: std::cell::Cell<usize> = const { std::cell::Cell::new(0) });
    if TOKEN.get() == 0 {
        TOKEN.set(LAST.fetch_add(1, atomic::Ordering::Relaxed) + 1);
    }
    TOKEN.get()
}

/// Makes a task; the pointer stands for three references.
///
/// If `local`, the calling thread is the one that may touch the future.
pub(super) fn allocate<F, S>(
    future: F,
    scheduler: S,
    name: Option<&'static Name>,
    local: bool,
) -> NonNull<Header>
where
    F: Future + 'static,
    S: Schedule,
{
    let cell = Box::new(Cell {
        header: Header {
            state: State::new(),
            table: &TableOf::<F, S>::TABLE,
            next: AtomicPtr::new(std::ptr::null_mut()),
            place: AtomicUsize::new(0),
            name: name.unwrap_or(&TypeName::<F>::NAME),
            thread: if local { thread_token() } else { 0 },
            is_put_off: atomic::AtomicBool::new(false),
        },
        scheduler,
        stage: UnsafeCell::new(Stage::Running(future)),
        join: UnsafeCell::new(None),
    });
    NonNull::from(Box::leak(cell)).cast()
}

/// # Safety
///
/// The pointer leads to a living task with this future and scheduler, whose references keep it alive during `'a`.
unsafe fn cell<'a, F: Future, S>(header: NonNull<Header>) -> &'a Cell<F, S> {
    // SAFETY: the caller's promise; the header is the first field of the cell.
    unsafe { header.cast::<Cell<F, S>>().as_ref() }
}

unsafe fn run<F: Future + 'static, S: Schedule>(header: NonNull<Header>) {
    // SAFETY: the table is that of the cell's type, and the runner has a reference.
    let cell = unsafe { cell::<F, S>(header) };
    let is_over =
        if cell.header.was_put_off() { cell.header.state.go_on() } else { cell.header.state.start() };
    if is_over {
        // SAFETY: this is the runner: `start` made it so, or who put it off was and gave it to the queue.
        if unsafe { finish(cell, Err(JoinError::cancelled())) } {
            // SAFETY: there is no other reference.
            unsafe { free::<F, S>(header) };
        }
        return;
    }
    // SAFETY: the runner's reference outlives the waker, which gives back none.
    let waker = unsafe { waker::borrowed(header) };
    let polled = panic::catch_unwind(AssertUnwindSafe(|| {
        cell.stage.with_mut(|stage| {
            // SAFETY: only the runner touches the stage until `complete`.
            let Stage::Running(future) = (unsafe { &mut *stage }) else {
                unreachable!("a task that is not complete has its future")
            };
            // SAFETY: the future stays in the cell, which does not move, until it is dropped there.
            let future = unsafe { Pin::new_unchecked(future) };
            future.poll(&mut Context::from_waker(&waker))
        })
    }));
    let result = match polled {
        Ok(Poll::Pending) => {
            let after = if cell.header.is_put_off() { After::Again } else { cell.header.state.stop() };
            match after {
                // The reference is gone, and perhaps the task.
                After::Waits => return,
                After::Again => {
                    // SAFETY: the runner's reference is what goes into the queue.
                    let task = unsafe { Task::from_header(header) };
                    S::schedule(cell.scheduler.way(), task);
                    return;
                }
                After::Cancelled => Err(JoinError::cancelled()),
            }
        }
        Ok(Poll::Ready(output)) => Ok(output),
        Err(panic) => Err(JoinError::panicked(panic)),
    };
    // SAFETY: this is the runner still.
    if unsafe { finish(cell, result) } {
        // SAFETY: there is no other reference.
        unsafe { free::<F, S>(header) };
    }
}

/// Puts the result in the future's place and tells the join handle. Uses up the runner's reference; true if it was the
/// last one: then the caller frees the task, as nobody may while this borrows it.
///
/// # Safety
///
/// The caller is the runner.
unsafe fn finish<F: Future + 'static, S: Schedule>(
    cell: &Cell<F, S>,
    result: Result<F::Output, JoinError>,
) -> bool {
    // SAFETY: only the runner touches the stage until `complete`.
    let dropped = unsafe { replace(cell, Stage::Taken) };
    let result = match dropped {
        Ok(()) => result,
        Err(panic) => {
            // The output, if there is one, is not worth more than what its future said at the end.
            discard(result);
            Err(JoinError::panicked(panic))
        }
    };
    // SAFETY: as above; there is no future any more that could panic.
    let _ = unsafe { replace(cell, Stage::Finished(result)) };
    match cell.header.state.complete() {
        Whose::Waiting => {
            // SAFETY: the word gave the place to the runner.
            let waker = cell.join.with_mut(|waker| unsafe { (*waker).take() });
            if let Some(waker) = waker {
                // A foreign waker may do anything; the worker goes on.
                let _ = panic::catch_unwind(AssertUnwindSafe(|| waker.wake()));
            }
        }
        Whose::Handle => {}
        Whose::Runner => {
            // SAFETY: nobody else wants the result, so it is still the runner's.
            if let Err(panic) = unsafe { replace(cell, Stage::Taken) } {
                let task = cell.header.name.as_str();
                tracing::error!(task, "a result that nobody wanted panicked when it was dropped");
                drop_quietly(panic);
            }
        }
    }
    let theirs = cell.scheduler.release(&cell.header);
    cell.header.state.release(1 + usize::from(theirs))
}

/// Puts another stage in the place of this one, which is dropped there: a pinned future does not move. What a
/// destructor panics with is returned.
///
/// # Safety
///
/// The caller may touch the stage.
unsafe fn replace<F: Future, S>(cell: &Cell<F, S>, next: Stage<F>) -> Result<(), Box<dyn Any + Send>> {
    cell.stage.with_mut(|stage| {
        let mut next = ManuallyDrop::new(next);
        let dropped = panic::catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: the caller may touch it, and it is written anew below, whatever this does.
            unsafe { std::ptr::drop_in_place(stage) };
        }));
        // SAFETY: what was there is dropped; `next` is taken once.
        let next = unsafe { ManuallyDrop::take(&mut next) };
        // SAFETY: as above.
        unsafe { std::ptr::write(stage, next) };
        dropped
    })
}

/// Drops a value whose destructor may panic, and what it panics with, too.
fn discard<T>(value: T) {
    if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(|| drop(value))) {
        drop_quietly(panic);
    }
}

/// A panic's payload may panic when it is dropped, and so on: the second one is forgotten.
fn drop_quietly(panic: Box<dyn Any + Send>) {
    if let Err(second) = panic::catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        mem::forget(second);
    }
}

unsafe fn schedule<F: Future + 'static, S: Schedule>(header: NonNull<Header>) {
    // SAFETY: the table is that of the cell's type, and the caller's reference keeps it alive.
    let cell = unsafe { cell::<F, S>(header) };
    // SAFETY: the caller's reference is what goes into the queue.
    let task = unsafe { Task::from_header(header) };
    S::schedule(cell.scheduler.way(), task);
}

unsafe fn take<F: Future + 'static, S: Schedule>(header: NonNull<Header>, to: *mut ()) {
    // SAFETY: the table is that of the cell's type, and the join handle has a reference.
    let cell = unsafe { cell::<F, S>(header) };
    if to.is_null() {
        // SAFETY: the task is complete, so the stage is the join handle's.
        if let Err(panic) = unsafe { replace(cell, Stage::Taken) } {
            panic::resume_unwind(panic);
        }
        return;
    }
    cell.stage.with_mut(|stage| {
        // SAFETY: the task is complete, so the stage is the join handle's; there is no pinned future in it.
        let stage = mem::replace(unsafe { &mut *stage }, Stage::Taken);
        let Stage::Finished(result) = stage else { panic!("a join handle is polled after it was ready") };
        // SAFETY: the join handle knows the type, and gives room for it.
        unsafe { to.cast::<Poll<Result<F::Output, JoinError>>>().write(Poll::Ready(result)) };
    });
}

unsafe fn join<F: Future + 'static, S: Schedule>(
    header: NonNull<Header>,
) -> NonNull<UnsafeCell<Option<Waker>>> {
    // SAFETY: the table is that of the cell's type, and the join handle has a reference.
    NonNull::from(unsafe { &cell::<F, S>(header).join })
}

unsafe fn free<F: Future + 'static, S: Schedule>(header: NonNull<Header>) {
    // SAFETY: there is no other reference, and the cell came from a box.
    let cell = unsafe { Box::from_raw(header.cast::<Cell<F, S>>().as_ptr()) };
    let thread = cell.header.thread;
    if thread != 0 && thread != thread_token() && !cell.header.state.is_complete() {
        // Its own thread is gone without having run it to its end, and nobody else may touch it.
        cell.stage.with_mut(|stage| {
            // SAFETY: there is no other reference.
            mem::forget(mem::replace(unsafe { &mut *stage }, Stage::Taken));
        });
    }
    discard(cell);
}

impl Header {
    /// Whether it asked, in this poll, to go behind the others. The caller is the runner.
    #[inline]
    fn is_put_off(&self) -> bool {
        self.is_put_off.load(atomic::Ordering::Relaxed)
    }

    /// Whether it did in the poll before, and has the caller as its runner for that. Asked once, before the poll.
    #[inline]
    fn was_put_off(&self) -> bool {
        let was = self.is_put_off();
        if was {
            self.is_put_off.store(false, atomic::Ordering::Relaxed);
        }
        was
    }

    /// # Safety
    ///
    /// The pointer's reference is used up. The caller is a worker that took the task out of a queue.
    pub(super) unsafe fn run(this: NonNull<Header>) {
        // SAFETY: the reference keeps it alive.
        let run = unsafe { this.as_ref() }.table.run;
        // SAFETY: the caller's promise.
        unsafe { run(this) };
    }

    /// # Safety
    ///
    /// The pointer's reference goes into the queue.
    pub(super) unsafe fn schedule(this: NonNull<Header>) {
        // SAFETY: the reference keeps it alive.
        let schedule = unsafe { this.as_ref() }.table.schedule;
        // SAFETY: the caller's promise.
        unsafe { schedule(this) };
    }

    /// # Safety
    ///
    /// The task is complete and the caller its join handle; `to` is null or has room for its result.
    pub(super) unsafe fn take(this: NonNull<Header>, to: *mut ()) {
        // SAFETY: the join handle's reference keeps it alive.
        let take = unsafe { this.as_ref() }.table.take;
        // SAFETY: the caller's promise.
        unsafe { take(this, to) };
    }

    /// Where the join handle's waker lies.
    ///
    /// # Safety
    ///
    /// The caller has a reference, and keeps it during `'a`.
    pub(super) unsafe fn join<'a>(this: NonNull<Header>) -> &'a UnsafeCell<Option<Waker>> {
        // SAFETY: the caller's reference keeps it alive.
        let join = unsafe { this.as_ref() }.table.join;
        // SAFETY: as above.
        let place = unsafe { join(this) };
        // SAFETY: as above.
        unsafe { place.as_ref() }
    }

    /// Gives up one reference.
    ///
    /// # Safety
    ///
    /// It is the caller's, and used up.
    pub(super) unsafe fn release(this: NonNull<Header>) {
        // SAFETY: the reference keeps it alive until here.
        let header = unsafe { this.as_ref() };
        let free = header.table.free;
        if header.state.release(1) {
            // SAFETY: it was the last one.
            unsafe { free(this) };
        }
    }
}
