//! The set of the tasks that live: whoever ends the runtime finds them here.

use super::{Task, raw::Header};
use crate::loom::{AtomicUsize, Mutex, Ordering, lock};

/// Tasks that have not ended.
#[derive(Debug)]
pub(crate) struct Owned {
    inner: Mutex<Inner>,
    /// How many there are; looking costs no lock.
    len: AtomicUsize,
}

#[derive(Debug, Default)]
struct Inner {
    tasks: Vec<Task>,
    closed: bool,
}

impl Owned {
    pub(crate) fn new() -> Owned {
        Owned { inner: Mutex::new(Inner::default()), len: AtomicUsize::new(0) }
    }

    /// How many there are, about.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// Adds a task; false if no more are taken.
    pub(crate) fn insert(&self, task: Task) -> bool {
        let mut inner = lock(&self.inner);
        if inner.closed {
            drop(inner);
            return false;
        }
        task.header().place.store(inner.tasks.len(), Ordering::Relaxed);
        inner.tasks.push(task);
        self.len.store(inner.tasks.len(), Ordering::Release);
        true
    }

    /// Takes a task out that has ended. True if it was here; its reference is the caller's then.
    pub(crate) fn remove(&self, header: &Header) -> bool {
        let mut inner = lock(&self.inner);
        let place = header.place.load(Ordering::Relaxed);
        if !inner.tasks.get(place).is_some_and(|task| std::ptr::eq(task.header(), header)) {
            return false;
        }
        let task = inner.tasks.swap_remove(place);
        if let Some(moved) = inner.tasks.get(place) {
            moved.header().place.store(place, Ordering::Relaxed);
        }
        self.len.store(inner.tasks.len(), Ordering::Release);
        drop(inner);
        let _ = task.into_header();
        true
    }

    /// No more are taken.
    pub(crate) fn close(&self) {
        lock(&self.inner).closed = true;
    }

    /// Asks for the end of all of them.
    pub(crate) fn cancel_all(&self) {
        for task in self.list() {
            task.cancel();
        }
    }

    /// Asks for the end of those that only one thread may run; whether there are any.
    pub(crate) fn cancel_local(&self) -> bool {
        let mut tasks = self.list();
        tasks.retain(Task::is_local);
        tasks.iter().for_each(Task::cancel);
        !tasks.is_empty()
    }

    /// All of them, now.
    pub(crate) fn list(&self) -> Vec<Task> {
        lock(&self.inner).tasks.clone()
    }

    /// Lets go of all of them; their futures, too, unless others know them.
    pub(crate) fn forget(&self) {
        let tasks = std::mem::take(&mut lock(&self.inner).tasks);
        self.len.store(0, Ordering::Release);
        drop(tasks);
    }
}
