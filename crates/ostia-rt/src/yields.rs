//! Letting others go first.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use crate::{context, task::put_off};

/// Lets the tasks that wait at this worker go first.
///
/// # Cancel safety
///
/// Dropping it has no effect.
pub fn yield_now() -> YieldNow {
    YieldNow { has_yielded: false }
}

/// See [`yield_now`].
#[derive(Debug)]
#[must_use = "a future does nothing until it is polled"]
pub struct YieldNow {
    has_yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.has_yielded, true) {
            return Poll::Ready(());
        }
        // The waker may also be that of something inside of the task, which has to be woken then.
        if !context::with(|here| here.is_some_and(|here| put_off(here.running.get(), cx.waker()))) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}
