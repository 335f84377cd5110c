//! Waking whoever waits, whoever that is.

use std::{
    panic::{self, AssertUnwindSafe},
    task::Waker,
};

/// Wakes. A waker may be anybody's, and do anything: one that panics is not to take the worker down, nor those who are
/// to be woken after it.
pub(crate) fn wake(waker: Waker) {
    if let Err(thrown) = panic::catch_unwind(AssertUnwindSafe(|| waker.wake())) {
        tracing::error!("a waker panicked when it was used");
        // What it was thrown with may panic, too, when it is dropped.
        std::mem::forget(thrown);
    }
}
