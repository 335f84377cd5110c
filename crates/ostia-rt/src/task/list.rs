//! A queue for tasks that come from anywhere: it runs through the tasks themselves, so that it cannot be full and
//! needs no memory.

use std::ptr::{self, NonNull};

use super::{Task, raw::Header};
use crate::loom::{AtomicUsize, Mutex, Ordering, lock};

/// Tasks in the order in which they came.
#[derive(Debug)]
pub(crate) struct Injector {
    ends: Mutex<Ends>,
    /// How many there are; looking costs no lock.
    len: AtomicUsize,
}

#[derive(Debug)]
struct Ends {
    first: *mut Header,
    last: *mut Header,
    /// Nobody takes tasks any more.
    closed: bool,
}

// SAFETY: the pointers stand for tasks, which are `Send`.
unsafe impl Send for Ends {}

impl Injector {
    pub(crate) fn new() -> Injector {
        let ends = Ends { first: ptr::null_mut(), last: ptr::null_mut(), closed: false };
        Injector { ends: Mutex::new(ends), len: AtomicUsize::new(0) }
    }

    /// How many tasks there are, about.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a task behind the others. After [`Injector::close`] it is let go of instead.
    pub(crate) fn push(&self, task: Task) {
        drop(self.try_push(task));
    }

    /// Adds a task behind the others; it comes back if nobody takes tasks here any more.
    pub(crate) fn try_push(&self, task: Task) -> Result<(), Task> {
        let mut ends = lock(&self.ends);
        if ends.closed {
            return Err(task);
        }
        let header = task.into_header();
        ends.append(header);
        self.len.store(self.len.load(Ordering::Relaxed) + 1, Ordering::Release);
        Ok(())
    }

    /// Takes the first `count`, or as many as there are.
    pub(crate) fn take(&self, count: usize, mut each: impl FnMut(Task)) {
        if self.is_empty() {
            return;
        }
        for _ in 0..count {
            let Some(task) = self.pop() else { return };
            each(task);
        }
    }

    /// Takes the first.
    pub(crate) fn pop(&self) -> Option<Task> {
        if self.is_empty() {
            return None;
        }
        let mut ends = lock(&self.ends);
        let header = ends.detach()?;
        self.len.store(self.len.load(Ordering::Relaxed) - 1, Ordering::Release);
        // SAFETY: `push` left the task's reference here, and it is out of the list.
        Some(unsafe { Task::from_header(header) })
    }

    /// Takes no task any more; those that are here may still be taken out.
    pub(crate) fn shut(&self) {
        lock(&self.ends).closed = true;
    }

    /// Lets go of all tasks, and of those that come later.
    pub(crate) fn close(&self) {
        self.shut();
        while let Some(task) = self.pop() {
            drop(task);
        }
    }
}

impl Ends {
    fn append(&mut self, header: NonNull<Header>) {
        // SAFETY: the list has the task's reference from here on; the link is the list's.
        unsafe { header.as_ref() }.next.store(ptr::null_mut(), Ordering::Relaxed);
        match NonNull::new(self.last) {
            // SAFETY: it is in the list, which has its reference.
            Some(last) => unsafe { last.as_ref() }.next.store(header.as_ptr(), Ordering::Relaxed),
            None => self.first = header.as_ptr(),
        }
        self.last = header.as_ptr();
    }

    fn detach(&mut self) -> Option<NonNull<Header>> {
        let header = NonNull::new(self.first)?;
        // SAFETY: it is in the list, which has its reference.
        self.first = unsafe { header.as_ref() }.next.load(Ordering::Relaxed);
        if self.first.is_null() {
            self.last = ptr::null_mut();
        }
        Some(header)
    }
}

impl Drop for Injector {
    fn drop(&mut self) {
        self.close();
    }
}
