//! One value from one task to another.
//!
//! ```
//! use ostia_rt::sync::oneshot;
//!
//! let (sender, mut receiver) = oneshot::channel();
//! assert_eq!(receiver.try_recv(), Err(oneshot::TryRecvError::Empty));
//! sender.send(7).expect("the receiver is there");
//! assert_eq!(receiver.try_recv(), Ok(7));
//! ```
//!
//! The value is the sender's until it was sent and the receiver's afterwards; whoever is left with it drops it.

use std::{
    error::Error,
    fmt::{self, Debug, Display, Formatter},
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use super::{line::Wakes, wait::poll_alone};
use crate::loom::{Mutex, lock};

/// The two ends for one value.
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let state = State { value: None, sent: None, closed: false, receiver: None, sender: None };
    let shared = Arc::new(Mutex::new(state));
    (Sender { shared: Some(Arc::clone(&shared)) }, Receiver { shared, taken: false })
}

struct State<T> {
    value: Option<T>,
    /// What the sender did: true if it sent, false if it was dropped.
    sent: Option<bool>,
    /// The receiver takes no value any more that has not been sent.
    closed: bool,
    receiver: Option<Waker>,
    sender: Option<Waker>,
}

/// Sends the value.
pub struct Sender<T> {
    /// None when it has sent.
    shared: Option<Arc<Mutex<State<T>>>>,
}

impl<T> Sender<T> {
    /// Sends the value and wakes the receiver.
    ///
    /// # Errors
    ///
    /// Gives the value back if the receiver is closed or gone.
    pub fn send(mut self, value: T) -> Result<(), T> {
        let shared = self.shared.take().expect("only this function takes it");
        let mut wakes = Wakes::none();
        let mut state = lock(&shared);
        if state.closed {
            return Err(value);
        }
        state.value = Some(value);
        state.sent = Some(true);
        let own = state.sender.take();
        wakes.extend(state.receiver.take());
        drop(state);
        wakes.wake();
        drop(own);
        Ok(())
    }

    /// Whether a value would come back.
    pub fn is_closed(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| lock(shared).closed)
    }

    /// Waits until the receiver is closed or gone, so that work on a value that nobody wants can be given up.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and called again.
    pub async fn closed(&mut self) {
        poll_fn(|cx| self.poll_closed(cx)).await;
    }

    /// As [`closed`](Self::closed): the waker of the last call is woken.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let shared = self.shared.as_ref().expect("it has not sent, or it would be gone");
        poll_alone(shared, cx, |state, _| state.closed.then_some(()), |state| &mut state.sender)
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let Some(shared) = self.shared.take() else { return };
        let mut wakes = Wakes::none();
        let mut state = lock(&shared);
        state.sent = Some(false);
        let own = state.sender.take();
        wakes.extend(state.receiver.take());
        drop(state);
        wakes.wake();
        drop(own);
    }
}

impl<T> Debug for Sender<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("closed", &self.is_closed()).finish()
    }
}

/// Receives the value: it is a future that ends with it, or with [`Closed`] if there will be none.
///
/// # Cancel safety
///
/// The future is the receiver itself. Polled by reference (`&mut receiver`) and dropped so, it loses nothing; when the
/// receiver is dropped, the sender is told, and a value that was sent already is dropped.
///
/// # Panics
///
/// If it is polled after it gave the value.
#[must_use = "futures do nothing unless they are polled"]
pub struct Receiver<T> {
    shared: Arc<Mutex<State<T>>>,
    taken: bool,
}

impl<T> Receiver<T> {
    /// Takes the value if it has been sent.
    ///
    /// # Errors
    ///
    /// If it has not been sent yet, or never will be, or was taken before.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let mut state = lock(&self.shared);
        match (state.value.take(), state.sent) {
            (Some(value), _) => {
                self.taken = true;
                Ok(value)
            }
            (None, None) if !state.closed => Err(TryRecvError::Empty),
            (None, _) => Err(TryRecvError::Closed),
        }
    }

    /// No value is taken any more, and the sender is told. One that was sent before can still be received.
    pub fn close(&mut self) {
        let mut wakes = Wakes::none();
        let mut state = lock(&self.shared);
        state.closed = true;
        wakes.extend(state.sender.take());
        drop(state);
        wakes.wake();
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, Closed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        assert!(!this.taken, "a future was polled after it had ended");
        let look = |state: &mut State<T>, _: &mut Wakes| match (state.value.take(), state.sent) {
            (Some(value), _) => Some(Ok(value)),
            (None, None) if !state.closed => None,
            (None, _) => Some(Err(Closed)),
        };
        let polled = poll_alone(&this.shared, cx, look, |state| &mut state.receiver);
        this.taken = matches!(polled, Poll::Ready(Ok(_)));
        polled
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if self.taken {
            // The sender has gone with its value, and left nothing.
            return;
        }
        let mut wakes = Wakes::none();
        let mut state = lock(&self.shared);
        state.closed = true;
        let value = state.value.take();
        let own = state.receiver.take();
        wakes.extend(state.sender.take());
        drop(state);
        wakes.wake();
        drop((value, own));
    }
}

impl<T> Debug for Receiver<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (closed, sent) = {
            let state = lock(&self.shared);
            (state.closed, state.sent)
        };
        f.debug_struct("Receiver").field("closed", &closed).field("sent", &sent).finish()
    }
}

/// The sender was dropped, or the receiver closed, before a value was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl Display for Closed {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "the channel was closed before a value was sent")
    }
}

impl Error for Closed {}

/// Why there is no value at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// None has been sent yet.
    Empty,
    /// None will be sent any more.
    Closed,
}

impl Display for TryRecvError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "no value has been sent yet"),
            Self::Closed => write!(f, "no value will be sent any more"),
        }
    }
}

impl Error for TryRecvError {}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::hand::{Hand, panics};

    #[test]
    fn a_value_wakes_who_waits_for_it() {
        let (sender, receiver) = channel();
        let mut receiver = Hand::new(receiver);
        assert!(receiver.poll().is_pending());
        sender.send("value").expect("the receiver is there");
        assert_eq!(receiver.wakes(), 1);
        assert_eq!(receiver.poll(), Poll::Ready(Ok("value")));
        assert!(panics(|| assert!(receiver.poll().is_pending())));
    }

    #[test]
    fn a_dropped_sender_is_noticed() {
        let (sender, receiver) = channel::<u8>();
        let mut receiver = Hand::new(receiver);
        assert!(receiver.poll().is_pending());
        drop(sender);
        assert_eq!(receiver.wakes(), 1);
        assert_eq!(receiver.poll(), Poll::Ready(Err(Closed)));
    }

    #[test]
    fn a_dropped_receiver_is_noticed_and_the_value_comes_back() {
        let (mut sender, receiver) = channel();
        {
            let mut closed = Hand::new(sender.closed());
            assert!(closed.poll().is_pending());
            drop(receiver);
            assert_eq!(closed.wakes(), 1);
            assert!(closed.poll().is_ready());
        }
        assert_eq!(sender.send(7), Err(7));
    }

    #[test]
    fn what_was_sent_before_the_receiver_closed_is_received() {
        let (sender, mut receiver) = channel();
        sender.send(7).expect("the receiver is there");
        receiver.close();
        assert_eq!(receiver.try_recv(), Ok(7));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    }

    #[test]
    fn nothing_is_sent_to_a_receiver_that_closed() {
        let (sender, mut receiver) = channel();
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        receiver.close();
        assert!(sender.is_closed());
        assert_eq!(sender.send(7), Err(7));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    }

    #[test]
    fn a_value_that_is_not_received_is_dropped_with_the_receiver() {
        let witness = Arc::new(());
        let (sender, receiver) = channel();
        sender.send(Arc::clone(&witness)).expect("the receiver is there");
        drop(receiver);
        assert_eq!(Arc::strong_count(&witness), 1);
    }

    #[test]
    fn a_receiver_may_be_dropped_inside_the_wake_of_its_value() {
        let (sender, receiver) = channel();
        let mut receiver = Hand::new(receiver);
        assert!(receiver.poll().is_pending());
        let witness = Arc::new(());
        let (value, seen) = (Arc::clone(&witness), Arc::clone(&witness));
        let waker = receiver.change_waker();
        let mut held = Some(receiver);
        waker.when_woken(move || {
            assert_eq!(Arc::strong_count(&seen), 3, "the value is there already");
            drop(held.take());
        });
        sender.send(value).expect("the receiver was there");
        assert_eq!(waker.wakes(), 1);
        assert_eq!(Arc::strong_count(&witness), 1);
    }
}
