//! [`Notify`]: wakes those who wait for something that is kept elsewhere.

use std::{
    fmt::{self, Debug, Formatter},
    pin::Pin,
    task::{Context, Poll},
};

use super::{
    line::{Line, Wakes},
    wait::{Wait, Waiting},
};
use crate::loom::{AtomicU64, Mutex, Ordering, lock};

/// Wakes those who wait for something that is kept elsewhere.
///
/// [`notify_one`](Notify::notify_one) wakes the one who has waited longest, and if nobody waits it is remembered, once,
/// for the next who comes. [`notify_all`](Notify::notify_all) wakes all whose [`notified`](Notify::notified) was called
/// before, whether or not they have been polled yet, and is not remembered. So nothing is missed between a look and the
/// wait if the future is made first:
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// use ostia_rt::sync::Notify;
///
/// async fn until_ready(ready: &AtomicBool, changed: &Notify) {
///     loop {
///         let next = changed.notified();
///         if ready.load(Ordering::Acquire) {
///             return;
///         }
///         next.await;
///     }
/// }
/// # use std::{pin::pin, task::{Context, Poll, Waker}};
/// # let (ready, changed) = (AtomicBool::new(false), Notify::new());
/// # let mut cx = Context::from_waker(Waker::noop());
/// # let mut waiting = pin!(until_ready(&ready, &changed));
/// # assert!(waiting.as_mut().poll(&mut cx).is_pending());
/// # ready.store(true, Ordering::Release);
/// # changed.notify_all();
/// # assert_eq!(waiting.as_mut().poll(&mut cx), Poll::Ready(()));
/// ```
pub struct Notify {
    /// How often all were notified. Changed under the lock.
    rounds: AtomicU64,
    state: Mutex<State>,
}

struct State {
    /// A notification that found nobody.
    kept: bool,
    line: Line<Call>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    /// Not called yet, or with all the others.
    Shared,
    /// Called alone: if it is not taken it goes to the next.
    Alone,
}

impl State {
    fn notify_one(&mut self, wakes: &mut Wakes) {
        match self.line.call(wakes) {
            Some(call) => *call = Call::Alone,
            None => self.kept = true,
        }
    }
}

impl Notify {
    /// Nobody waits, and nothing is remembered.
    pub fn new() -> Self {
        Self { rounds: AtomicU64::new(0), state: Mutex::new(State { kept: false, line: Line::new() }) }
    }

    /// Wakes the one who has waited longest. If nobody waits, the next who comes need not wait; several such
    /// notifications are one.
    pub fn notify_one(&self) {
        let mut wakes = Wakes::none();
        lock(&self.state).notify_one(&mut wakes);
        wakes.wake();
    }

    /// Wakes all who called [`notified`](Self::notified) before.
    pub fn notify_all(&self) {
        let mut wakes = Wakes::none();
        let mut state = lock(&self.state);
        self.rounds.fetch_add(1, Ordering::Release);
        state.line.call_all(&mut wakes);
        drop(state);
        wakes.wake();
    }

    /// Waits until it is notified.
    ///
    /// # Cancel safety
    ///
    /// A notification that was given to a future which is then dropped goes to the next in line, or is remembered. Its
    /// place in line is lost.
    pub fn notified(&self) -> Notified<'_> {
        let rounds = self.rounds.load(Ordering::Acquire);
        Notified(Waiting::new(&self.state, Wanted { notify: self, rounds }))
    }
}

impl Default for Notify {
    fn default() -> Self {
        Self::new()
    }
}

impl Debug for Notify {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (kept, waiting) = {
            let state = lock(&self.state);
            (state.kept, state.line.len())
        };
        f.debug_struct("Notify").field("kept", &kept).field("waiting", &waiting).finish()
    }
}

/// Ends when it is notified; made by [`Notify::notified`].
///
/// # Panics
///
/// If it is polled after it has ended.
#[derive(Debug)]
#[must_use = "futures do nothing unless they are polled"]
pub struct Notified<'a>(Waiting<'a, Wanted<'a>>);

impl Future for Notified<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.get_mut().0).poll(cx)
    }
}

struct Wanted<'a> {
    notify: &'a Notify,
    /// How often all had been notified when the future was made.
    rounds: u64,
}

impl Wait for Wanted<'_> {
    type State = State;
    type Item = Call;
    type Output = ();

    fn line<'s>(&self, state: &'s mut State) -> &'s mut Line<Call> {
        &mut state.line
    }

    fn arrive(&mut self, state: &mut State, _wakes: &mut Wakes) -> Option<()> {
        // Who was notified with all the others leaves what is remembered for somebody else.
        let all = self.notify.rounds.load(Ordering::Acquire) != self.rounds;
        (all || std::mem::take(&mut state.kept)).then_some(())
    }

    fn join(&mut self, _state: &mut State) -> Call {
        Call::Shared
    }

    fn called(&mut self, _call: Call, _state: &mut State, _wakes: &mut Wakes) {}

    fn withdraw(&mut self, call: &mut Call, _called: bool, state: &mut State, wakes: &mut Wakes) {
        if *call == Call::Alone {
            state.notify_one(wakes);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::hand::{Hand, now};

    #[test]
    fn a_notification_that_found_nobody_is_remembered_once() {
        let notify = Notify::new();
        notify.notify_one();
        notify.notify_one();
        assert_eq!(now(notify.notified()), Some(()));
        assert_eq!(now(notify.notified()), None);
    }

    #[test]
    fn one_notification_wakes_the_one_who_waited_longest() {
        let notify = Notify::new();
        let (mut first, mut second) = (Hand::new(notify.notified()), Hand::new(notify.notified()));
        assert!(first.poll().is_pending() && second.poll().is_pending());
        notify.notify_one();
        assert_eq!((first.wakes(), second.wakes()), (1, 0));
        assert!(second.poll().is_pending());
        assert!(first.poll().is_ready());
    }

    #[test]
    fn notifying_all_wakes_those_who_came_before_and_nobody_else() {
        let notify = Notify::new();
        let mut unpolled = Hand::new(notify.notified());
        let mut polled = Hand::new(notify.notified());
        assert!(polled.poll().is_pending());
        notify.notify_all();
        assert_eq!(polled.wakes(), 1);
        assert!(polled.poll().is_ready() && unpolled.poll().is_ready());
        assert_eq!(now(notify.notified()), None);
    }

    #[test]
    fn what_a_dropped_future_was_given_passes_to_the_next() {
        let notify = Notify::new();
        let (mut first, mut second) = (Hand::new(notify.notified()), Hand::new(notify.notified()));
        assert!(first.poll().is_pending() && second.poll().is_pending());
        notify.notify_one();
        drop(first);
        assert_eq!(second.wakes(), 1);
        drop(second);
        assert_eq!(now(notify.notified()), Some(()), "it came back, and is remembered");
        assert_eq!(now(notify.notified()), None);
    }

    #[test]
    fn what_all_were_given_passes_to_nobody() {
        let notify = Notify::new();
        let mut first = Hand::new(notify.notified());
        assert!(first.poll().is_pending());
        notify.notify_all();
        drop(first);
        assert_eq!(now(notify.notified()), None);
    }

    #[test]
    fn a_future_that_leaves_the_middle_of_the_line_is_not_missed() {
        let notify = Notify::new();
        let mut three = [(); 3].map(|()| Some(Hand::new(notify.notified())));
        for hand in three.iter_mut().flatten() {
            assert!(hand.poll().is_pending());
        }
        three[1] = None;
        notify.notify_one();
        notify.notify_one();
        assert_eq!(three.iter().flatten().map(Hand::wakes).collect::<Vec<_>>(), [1, 1]);
        assert!(format!("{notify:?}").contains("waiting: 0"), "{notify:?}");
    }

    #[test]
    fn the_waker_of_the_last_poll_is_woken() {
        let notify = Notify::new();
        let mut hand = Hand::new(notify.notified());
        assert!(hand.poll().is_pending());
        let before = hand.change_waker();
        assert!(hand.poll().is_pending());
        notify.notify_one();
        assert_eq!((before.wakes(), hand.wakes()), (0, 1));
    }

    #[test]
    #[should_panic(expected = "polled after it had ended")]
    fn a_future_that_has_ended_is_not_polled_again() {
        let notify = Notify::new();
        notify.notify_one();
        let mut hand = Hand::new(notify.notified());
        assert!(hand.poll().is_ready());
        let _ = hand.poll();
    }
}
