//! Sections of a task that block: the worker says so, and another one may run meanwhile.

use std::{
    rc::Rc,
    sync::atomic::{Ordering, fence},
};

use crate::{
    context::{self, Here, Left},
    worker::end_process,
};

/// Runs a function that blocks the thread: a lock that is held for long, a library that reads by itself.
///
/// On a worker it lets others go on: what waits at this worker goes to its siblings, and if the node has more threads
/// than workers that run at a time ([`Builder::threads_per_node`](crate::Builder::threads_per_node)), one of those runs
/// instead of this one until the function returns. Then this one waits until it may run again. Elsewhere it only calls
/// the function.
///
/// What is this worker's alone waits until then: its [local tasks](crate::spawn_local), the timers that were set here,
/// and on Linux the ends of the operations that were begun here.
///
/// Inside the function the thread is no worker: what is spawned goes to the others, and `block_on` is refused as in a
/// task.
///
/// # Panics
///
/// If the function does.
///
/// In a process that the function has forked, and that returns from it, the child ends at once.
pub fn blocking<R>(function: impl FnOnce() -> R) -> R {
    let section = Section::enter();
    let result = function();
    drop(section);
    result
}

/// A worker outside of its work; it comes back to it also if the function panics.
#[derive(Debug)]
struct Section {
    left: Left,
}

impl Section {
    fn enter() -> Option<Section> {
        // Whoever is inside the berth's wait drops a buffer there, and is in no task.
        let here = context::current().filter(|here| !here.driver.is_waiting.get())?;
        here.hand_over();
        let left = context::leave(&here);
        here.give_way();
        // Either who leaves something finds the permit free, or we see what was left.
        fence(Ordering::SeqCst);
        // A worker may rest now that could not before, or lies asleep and did not have to wake.
        if !here.node.injector.is_empty() {
            here.node.wake_one();
        }
        Some(Section { left })
    }
}

impl Drop for Section {
    fn drop(&mut self) {
        let here = self.left.here();
        if here.driver.is_forked() {
            // Who has the permit is not in this process, and would never give it back.
            end_process();
        }
        here.take_turn();
    }
}

impl Here {
    /// Leaves to the others what others can do.
    fn hand_over(self: &Rc<Here>) {
        self.driver.check_process();
        // What was submitted goes to the system, and what has ended is told.
        if let Err(error) = self.driver.wait(Some(std::time::Duration::ZERO)) {
            tracing::warn!(%error, node = self.node.id, "a worker could not hand its operations over");
        }
        self.leave_to_siblings();
    }

    /// Leaves the tasks that may move to the node.
    pub(crate) fn leave_to_siblings(&self) {
        self.seat.inbox.take(usize::MAX, |task| {
            if task.is_local() {
                self.local.borrow_mut().push_back(task);
            } else {
                self.node.injector.push(task);
            }
        });
        while let Some(task) = self.queue.pop() {
            self.node.injector.push(task);
        }
    }

    /// Gives the permit back, if there is one.
    pub(crate) fn give_way(&self) {
        if let Some(permits) = &self.node.permits
            && self.has_permit.replace(false)
        {
            permits.give_back();
        }
    }

    /// Waits for a permit, if there are any and this worker has none.
    pub(crate) fn take_turn(&self) {
        if let Some(permits) = &self.node.permits
            && !self.has_permit.replace(true)
        {
            permits.take(self.seat.number);
            self.permit_since.set(self.node.now());
        }
    }
}
