//! The word of a task: what it is doing, who holds it, and the named steps from one to the next.

use crate::loom::{AtomicUsize, Ordering, fence};

/// Somebody polls it, and alone may touch its future.
const RUNNING: usize = 1;
/// It is in a queue, or will be put there by whoever runs it.
const NOTIFIED: usize = 1 << 1;
/// The future is gone, and the result is there, or was.
const COMPLETE: usize = 1 << 2;
/// Its end was asked for.
const CANCELLED: usize = 1 << 3;
/// The join handle lives: the result is for it.
const JOIN: usize = 1 << 4;
/// The join handle's waker lies in its place; see `set_join_waker`.
const JOIN_WAKER: usize = 1 << 5;
/// One reference.
const ONE: usize = 1 << 6;

/// What is to be done after a poll that was not the last.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// Nothing: it waits, and the runner's reference is gone.
    Waits,
    /// It was woken meanwhile: the runner's reference goes back into a queue.
    Again,
    /// Its end was asked for meanwhile; it is still the runner's.
    Cancelled,
}

/// Whose a result is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The join handle's, whose waker is the runner's to use.
    Waiting,
    /// The join handle's, which has not asked yet.
    Handle,
    /// The runner's still: nobody wants it.
    Runner,
}

#[derive(Debug)]
pub(crate) struct State(AtomicUsize);

impl State {
    /// A task that is about to be queued. Three references: the queue's, the join handle's, the set's of those that
    /// live.
    pub(crate) fn new() -> State {
        State(AtomicUsize::new(NOTIFIED | JOIN | (3 * ONE)))
    }

    /// Wakes; true if the caller has to queue it, with a reference that this call has added.
    #[inline]
    pub(crate) fn wake_by_ref(&self) -> bool {
        // Also when it is notified already: the next poll must see what the waker did before.
        let before = self.0.fetch_or(NOTIFIED, Ordering::AcqRel);
        if before & (RUNNING | NOTIFIED | COMPLETE) != 0 {
            return false;
        }
        // Nobody else queues it, so nobody runs it before the caller has.
        self.add_reference();
        true
    }

    /// Wakes; true if the caller has to queue it with its own reference, which otherwise it still has.
    #[inline]
    pub(crate) fn wake_by_value(&self) -> bool {
        self.0.fetch_or(NOTIFIED, Ordering::AcqRel) & (RUNNING | NOTIFIED | COMPLETE) == 0
    }

    /// Asks for the end; true if the caller has to queue it, with a reference that this call has added.
    pub(crate) fn cancel(&self) -> bool {
        let before = self.0.fetch_or(CANCELLED | NOTIFIED, Ordering::AcqRel);
        if before & (RUNNING | NOTIFIED | COMPLETE) != 0 {
            return false;
        }
        self.add_reference();
        true
    }

    /// From queued to running; true if it is not to be polled any more. The caller took it out of a queue.
    #[inline]
    pub(crate) fn start(&self) -> bool {
        // An addition, because it is one instruction: the one bit is set, the other is not.
        let before = self.0.fetch_sub(NOTIFIED - RUNNING, Ordering::AcqRel);
        debug_assert_eq!(before & (NOTIFIED | RUNNING | COMPLETE), NOTIFIED, "it was in a queue");
        before & CANCELLED != 0
    }

    /// From queued without ever having stopped to running; true if it is not to be polled any more. What a waker did that
    /// this does not see is seen by `stop`, which finds the task woken.
    #[inline]
    pub(crate) fn go_on(&self) -> bool {
        let now = self.0.load(Ordering::Acquire);
        debug_assert_eq!(now & (RUNNING | COMPLETE), RUNNING, "it was put off");
        now & CANCELLED != 0
    }

    /// The poll is over, and was not the last.
    #[inline]
    pub(crate) fn stop(&self) -> After {
        let mut now = self.0.load(Ordering::Acquire);
        loop {
            debug_assert_ne!(now & RUNNING, 0, "the caller runs it");
            let (next, after) = if now & CANCELLED != 0 {
                return After::Cancelled;
            } else if now & NOTIFIED != 0 {
                (now & !RUNNING, After::Again)
            } else {
                // Never the last one: the set of those that live has one.
                ((now & !RUNNING) - ONE, After::Waits)
            };
            match self.0.compare_exchange_weak(now, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return after,
                Err(other) => now = other,
            }
        }
    }

    /// The result is in its place; whose it is from here on.
    #[inline]
    pub(crate) fn complete(&self) -> Whose {
        // As in `start`.
        let before = self.0.fetch_add(COMPLETE - RUNNING, Ordering::AcqRel);
        debug_assert_eq!(before & (RUNNING | COMPLETE), RUNNING, "it was run by the caller");
        match (before & JOIN != 0, before & JOIN_WAKER != 0) {
            (true, true) => Whose::Waiting,
            (true, false) => Whose::Handle,
            (false, _) => Whose::Runner,
        }
    }

    /// The join handle's waker lies in its place. From here on the handle only reads it, and a runner that completes
    /// the task takes it. False if the task is complete: then nobody took it.
    pub(crate) fn set_join_waker(&self) -> bool {
        self.change_join_waker(|now| now | JOIN_WAKER)
    }

    /// The join handle is about to write its waker. False if the task is complete: then the place is the runner's.
    pub(crate) fn unset_join_waker(&self) -> bool {
        self.change_join_waker(|now| now & !JOIN_WAKER)
    }

    fn change_join_waker(&self, change: impl Fn(usize) -> usize) -> bool {
        let mut now = self.0.load(Ordering::Acquire);
        loop {
            if now & COMPLETE != 0 {
                return false;
            }
            match self.0.compare_exchange_weak(now, change(now), Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(other) => now = other,
            }
        }
    }

    /// Whether the join handle's waker lies in its place. Asked by the handle.
    pub(crate) fn has_join_waker(&self) -> bool {
        self.0.load(Ordering::Acquire) & JOIN_WAKER != 0
    }

    #[inline]
    pub(crate) fn is_complete(&self) -> bool {
        self.0.load(Ordering::Acquire) & COMPLETE != 0
    }

    /// The join handle goes. True if there is a result, which is its own to drop; otherwise its waker's place is its
    /// own. In either case it still has its reference.
    pub(crate) fn leave_join(&self) -> bool {
        let mut now = self.0.load(Ordering::Acquire);
        loop {
            if now & COMPLETE != 0 {
                return true;
            }
            let next = now & !(JOIN | JOIN_WAKER);
            match self.0.compare_exchange_weak(now, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return false,
                Err(other) => now = other,
            }
        }
    }

    #[inline]
    pub(crate) fn add_reference(&self) {
        let before = self.0.fetch_add(ONE, Ordering::Relaxed);
        if before > usize::MAX / 2 {
            // So many wakers were leaked that the count is about to be wrong.
            std::process::abort();
        }
    }

    /// Gives up references; true if they were the last, and the caller has to free the task.
    #[inline]
    pub(crate) fn release(&self, references: usize) -> bool {
        let before = self.0.fetch_sub(references * ONE, Ordering::Release);
        if before / ONE != references {
            return false;
        }
        // What the others did with it happened before it is freed.
        fence(Ordering::Acquire);
        true
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_is_woken_while_it_runs_goes_back_to_the_queue_once() {
        let state = State::new();
        assert!(!state.wake_by_ref(), "it is queued already");
        assert!(!state.start());
        assert!(!state.wake_by_ref());
        assert!(!state.wake_by_ref());
        assert_eq!(state.stop(), After::Again);
        assert!(!state.start());
        assert_eq!(state.stop(), After::Waits);
        assert!(state.wake_by_ref());
        assert!(!state.wake_by_value());
    }

    #[test]
    fn a_task_that_goes_on_hears_of_wakes_and_of_its_end() {
        let state = State::new();
        assert!(!state.start());
        assert!(!state.wake_by_ref(), "it runs, or is in a queue");
        assert!(!state.go_on());
        assert_eq!(state.stop(), After::Again);
        assert!(!state.start());
        assert!(!state.cancel());
        assert!(state.go_on(), "it is not to be polled");
        assert_eq!(state.complete(), Whose::Handle);
    }

    #[test]
    fn a_task_whose_end_is_asked_for_is_queued_once_and_not_polled() {
        let state = State::new();
        assert!(!state.start());
        assert_eq!(state.stop(), After::Waits);
        assert!(state.cancel());
        assert!(!state.cancel());
        assert!(state.start(), "it is not to be polled");
        assert_eq!(state.complete(), Whose::Handle);
        assert!(state.leave_join());
        assert!(!state.cancel());
    }

    #[test]
    fn the_last_reference_is_the_last() {
        let state = State::new();
        assert!(!state.start());
        assert!(!state.leave_join(), "there is no result yet");
        assert!(!state.release(1), "the handle's");
        assert_eq!(state.complete(), Whose::Runner);
        state.add_reference();
        assert!(!state.release(1));
        assert!(state.release(2));
    }

    #[test]
    fn the_place_of_the_join_waker_belongs_to_one_at_a_time() {
        let state = State::new();
        assert!(!state.start());
        assert!(state.set_join_waker());
        assert!(state.has_join_waker());
        assert!(state.unset_join_waker());
        assert!(state.set_join_waker());
        assert_eq!(state.complete(), Whose::Waiting);
        assert!(!state.unset_join_waker(), "it is the runner's");
        assert!(!state.set_join_waker());
    }
}
