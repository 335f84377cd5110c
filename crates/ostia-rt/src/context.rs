//! The worker of the moment: what code that runs on a worker finds of it.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    sync::Arc,
    time::Instant,
};

use crate::{
    driver::Driver,
    node::{Node, Seat},
    runtime::Handle,
    task::{Local, Task},
};

/// What belongs to a worker's thread alone.
#[derive(Debug)]
pub(crate) struct Here {
    pub(crate) node: Arc<Node>,
    pub(crate) seat: Arc<Seat>,
    pub(crate) driver: Driver,
    /// Tasks that others may steal.
    pub(crate) queue: Local,
    /// Tasks that stay.
    pub(crate) local: RefCell<VecDeque<Task>>,
    /// With so many tasks of its own, a worker shares further ones with the whole node: they are more than a slice.
    pub(crate) share_above: Cell<usize>,
    /// When the worker's present slice is over.
    pub(crate) slice_ends: Cell<Instant>,
    /// Somebody has noticed that it is.
    pub(crate) slice_is_over: Cell<bool>,
    /// The address of the task that is being polled; null between two.
    pub(crate) running: Cell<*const ()>,
    /// It may run tasks, where that is counted: see [`Permits`](crate::permits::Permits).
    pub(crate) has_permit: Cell<bool>,
    pub(crate) permit_since: Cell<Instant>,
}

thread_local! {
    static HERE: RefCell<Option<Rc<Here>>> = const { RefCell::new(None) };
    /// A thread that waits inside `block_on`.
    static BLOCKED: RefCell<Option<Handle>> = const { RefCell::new(None) };
    /// A worker's thread that is inside a section which blocks, and no worker for the moment.
    static IS_OUTSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Asks the worker of the moment; there is none on a thread that is not the runtime's.
#[inline]
pub(crate) fn with<R>(ask: impl FnOnce(Option<&Here>) -> R) -> R {
    let mut ask = Some(ask);
    let asked = HERE.try_with(|here| {
        let here = here.borrow();
        (ask.take().expect("asked once"))(here.as_deref())
    });
    // A destructor at the thread's end asks: the worker is gone.
    asked.unwrap_or_else(|_| (ask.take().expect("not asked yet"))(None))
}

/// The worker of the moment.
pub(crate) fn current() -> Option<Rc<Here>> {
    HERE.try_with(|here| here.borrow().clone()).ok().flatten()
}

/// Until this is dropped, the calling thread is that worker.
#[derive(Debug)]
pub(crate) struct Entered {
    former: Option<Rc<Here>>,
}

pub(crate) fn enter(here: &Rc<Here>) -> Entered {
    Entered { former: HERE.with(|place| place.replace(Some(Rc::clone(here)))) }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let here = HERE.with(|place| place.replace(self.former.take()));
        // Outside of the borrow: what it has may ask for the worker of the moment.
        drop(here);
    }
}

/// Until this is dropped, the calling thread is no worker, and one that waits.
#[derive(Debug)]
pub(crate) struct Left {
    here: Rc<Here>,
    blocked: Option<Blocked>,
}

/// The calling thread, which is that worker, is none for a while.
pub(crate) fn leave(here: &Rc<Here>) -> Left {
    drop(HERE.with(|place| place.take()));
    IS_OUTSIDE.set(true);
    let handle = here.node.runtime.get().and_then(Handle::upgrade);
    Left { here: Rc::clone(here), blocked: handle.and_then(|handle| Blocked::enter(&handle)) }
}

/// Whether the calling thread is a worker's, whatever it does at the moment.
pub(crate) fn is_worker() -> bool {
    IS_OUTSIDE.get() || with(|here| here.is_some())
}

impl Left {
    pub(crate) fn here(&self) -> &Here {
        &self.here
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        drop(self.blocked.take());
        IS_OUTSIDE.set(false);
        HERE.with(|place| place.replace(Some(Rc::clone(&self.here))));
    }
}

/// Marks a thread that waits inside `block_on`.
#[derive(Debug)]
pub(crate) struct Blocked(());

impl Blocked {
    /// None if the thread is a worker, or waits already.
    pub(crate) fn enter(handle: &Handle) -> Option<Blocked> {
        let is_worker = with(|here| here.is_some());
        BLOCKED.with(|blocked| {
            let mut blocked = blocked.borrow_mut();
            if is_worker || blocked.is_some() {
                return None;
            }
            *blocked = Some(handle.clone());
            Some(Blocked(()))
        })
    }

    /// The runtime that the thread waits for.
    pub(crate) fn handle() -> Option<Handle> {
        BLOCKED.try_with(|blocked| blocked.borrow().clone()).ok().flatten()
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        drop(BLOCKED.with(|blocked| blocked.take()));
    }
}
