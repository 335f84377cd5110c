//! What all futures here have in common: look, join the line, be called; or leave, and pass on what was given.
//!
//! | turn | means | `poll` | drop |
//! |---|---|---|---|
//! | outside | nobody knows of the future | looks, and joins the line if it has to wait | nothing |
//! | in line | it has a place | ends if the place was called, else renews the waker | leaves; if it was called, passes on |
//! | over | it has ended | panics | nothing |
//!
//! Wakers are woken and dropped after the lock has been released, so a wake may run a task, end one, or come back here.
//! Of foreign code only the clone of a waker runs under a lock; if it panics, nothing has changed yet.

use std::{
    fmt::{self, Debug, Formatter},
    mem,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use super::line::{Line, Place, Wakes, renew};
use crate::loom::{Mutex, lock};

/// What one kind of future waits for. Every function is called under the lock of the state.
pub(crate) trait Wait {
    /// What the lock guards.
    type State;
    /// What lies in line for the future: what it asks for, and what it was given.
    type Item;
    type Output;

    /// The line in which this future waits.
    fn line<'s>(&self, state: &'s mut Self::State) -> &'s mut Line<Self::Item>;

    /// Ends at once if it need not wait.
    fn arrive(&mut self, state: &mut Self::State, wakes: &mut Wakes) -> Option<Self::Output>;

    /// It has to wait: what goes in line for it.
    fn join(&mut self, state: &mut Self::State) -> Self::Item;

    /// It was called, has left the line, and ends.
    fn called(&mut self, item: Self::Item, state: &mut Self::State, wakes: &mut Wakes) -> Self::Output;

    /// It was dropped before it ended, and has left the line. If it was called, what it was given goes to the next. What
    /// is left in the item is dropped when the lock has been released.
    fn withdraw(&mut self, item: &mut Self::Item, called: bool, state: &mut Self::State, wakes: &mut Wakes) {
        let _ = (item, called, state, wakes);
    }
}

/// A future that waits in a line.
#[must_use = "futures do nothing unless they are polled"]
pub(crate) struct Waiting<'a, W: Wait> {
    home: &'a Mutex<W::State>,
    turn: Turn,
    wait: W,
}

#[derive(Debug)]
enum Turn {
    Outside,
    InLine(Place),
    Over,
}

impl<'a, W: Wait> Waiting<'a, W> {
    pub(crate) fn new(home: &'a Mutex<W::State>, wait: W) -> Self {
        Self { home, turn: Turn::Outside, wait }
    }
}

/// Nothing in it is ever pinned.
impl<W: Wait> Unpin for Waiting<'_, W> {}

impl<W: Wait> Future for Waiting<'_, W> {
    type Output = W::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<W::Output> {
        let this = self.get_mut();
        let mut wakes = Wakes::none();
        let mut state = lock(this.home);
        if let Turn::InLine(place) = &this.turn {
            let line = this.wait.line(&mut state);
            if !line.is_called(place) {
                let before = line.renew(place, cx.waker());
                drop(state);
                drop(before);
                return Poll::Pending;
            }
        }
        let output = match mem::replace(&mut this.turn, Turn::Over) {
            Turn::Outside => match this.wait.arrive(&mut state, &mut wakes) {
                Some(output) => output,
                None => {
                    this.turn = Turn::Outside;
                    let waker = cx.waker().clone();
                    let item = this.wait.join(&mut state);
                    this.turn = Turn::InLine(this.wait.line(&mut state).join(item, waker));
                    return Poll::Pending;
                }
            },
            Turn::InLine(place) => {
                let left = this.wait.line(&mut state).leave(place);
                this.wait.called(left.item, &mut state, &mut wakes)
            }
            Turn::Over => {
                drop(state);
                panic!("a future was polled after it had ended");
            }
        };
        drop(state);
        wakes.wake();
        Poll::Ready(output)
    }
}

impl<W: Wait> Drop for Waiting<'_, W> {
    fn drop(&mut self) {
        if let Turn::InLine(place) = mem::replace(&mut self.turn, Turn::Over) {
            let mut wakes = Wakes::none();
            let mut state = lock(self.home);
            let mut left = self.wait.line(&mut state).leave(place);
            self.wait.withdraw(&mut left.item, left.called, &mut state, &mut wakes);
            drop(state);
            wakes.wake();
            drop((left.item, left.waker));
        }
    }
}

impl<W: Wait> Debug for Waiting<'_, W> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("turn", &self.turn).finish_non_exhaustive()
    }
}

/// Polls where at most one waits: its waker lies in a cell of the state.
pub(crate) fn poll_alone<S, R>(
    home: &Mutex<S>,
    cx: &Context<'_>,
    look: impl FnOnce(&mut S, &mut Wakes) -> Option<R>,
    cell: impl FnOnce(&mut S) -> &mut Option<Waker>,
) -> Poll<R> {
    let mut wakes = Wakes::none();
    let mut state = lock(home);
    let (polled, before) = match look(&mut state, &mut wakes) {
        // It is not called again for what it has.
        Some(output) => (Poll::Ready(output), cell(&mut state).take()),
        None => (Poll::Pending, renew(cell(&mut state), cx.waker())),
    };
    drop(state);
    drop(before);
    wakes.wake();
    polled
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::{
        pin::pin,
        sync::{Arc, Mutex as StdMutex},
        task::Wake,
    };

    use super::*;
    use crate::sync::{
        Notify, Semaphore,
        hand::{Hand, panics},
    };

    #[test]
    fn a_task_may_run_inside_the_wake_that_is_meant_for_it() {
        let semaphore = Arc::new(Semaphore::new(1));
        let held = Arc::clone(&semaphore).try_acquire_many_owned(1).expect("it is there");
        let mut waiting = Hand::new(Arc::clone(&semaphore).acquire_many_owned(1));
        assert!(waiting.poll().is_pending());
        let waker = waiting.change_waker();
        waker.when_woken(move || assert!(waiting.poll().is_ready(), "and gives the permit back"));
        drop(held);
        assert_eq!((waker.wakes(), semaphore.available()), (1, 1));
    }

    #[test]
    fn a_wake_may_drop_another_who_waits() {
        let notify = Arc::new(Notify::new());
        let wait = |notify: &Arc<Notify>| {
            let notify = Arc::clone(notify);
            Hand::new(async move { notify.notified().await })
        };
        let (mut first, mut second) = (wait(&notify), wait(&notify));
        assert!(first.poll().is_pending() && second.poll().is_pending());
        let waker = second.change_waker();
        first.when_woken(move || drop(second));
        notify.notify_all();
        assert_eq!((first.wakes(), waker.wakes()), (1, 1));
        assert!(first.poll().is_ready());
    }

    #[test]
    fn all_are_woken_though_one_panics() {
        let notify = Notify::new();
        let mut three = [(); 3].map(|()| Hand::new(notify.notified()));
        assert!(three.iter_mut().all(|hand| hand.poll().is_pending()));
        three[0].when_woken(|| panic!("a waker of ill will"));
        three[1].when_woken(|| panic!("another"));
        assert!(panics(|| notify.notify_all()));
        assert!(three.iter_mut().all(|hand| hand.wakes() == 1 && hand.poll().is_ready()));
    }

    #[test]
    fn a_waker_that_panics_while_the_caller_unwinds_ends_nothing_else() {
        let semaphore = Semaphore::new(1);
        let held = semaphore.try_acquire().expect("it is there");
        let mut waiting = Hand::new(semaphore.acquire());
        assert!(waiting.poll().is_pending());
        waiting.when_woken(|| panic!("a waker of ill will"));
        assert!(panics(move || {
            let _held = held;
            panic!("with the permit in hand");
        }));
        assert_eq!(waiting.wakes(), 1);
        assert!(waiting.poll().is_ready());
    }

    /// When the last of these wakers goes, what it holds is dropped, as a task is.
    struct Holder<T>(StdMutex<Option<T>>);

    impl<T: Send + 'static> Wake for Holder<T> {
        fn wake(self: Arc<Self>) {
            drop(self.0.lock().expect("nothing panics inside").take());
        }
    }

    #[test]
    fn a_waker_that_is_replaced_may_drop_what_comes_back_here() {
        let semaphore = Arc::new(Semaphore::new(1));
        let held = Arc::clone(&semaphore).try_acquire_many_owned(1).expect("it is there");
        let waker = Waker::from(Arc::new(Holder(StdMutex::new(Some(held)))));
        let mut waiting = pin!(semaphore.acquire());
        assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        // The stored one is the last: it goes with the permit it holds, and the permit goes to who waits.
        assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert!(waiting.poll(&mut Context::from_waker(Waker::noop())).is_ready());
    }

    #[test]
    fn a_future_that_leaves_may_drop_with_its_waker_what_comes_back_here() {
        let semaphore = Arc::new(Semaphore::new(1));
        let held = Arc::clone(&semaphore).try_acquire_many_owned(1).expect("it is there");
        let waker = Waker::from(Arc::new(Holder(StdMutex::new(Some(held)))));
        let mut waiting = Box::pin(semaphore.acquire());
        assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        drop(waiting);
        assert_eq!(semaphore.available(), 1);
    }
}
