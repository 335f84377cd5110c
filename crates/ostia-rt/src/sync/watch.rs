//! One value that changes, and those who watch it.
//!
//! ```
//! use ostia_rt::sync::watch;
//!
//! # use std::{pin::pin, task::{Context, Poll, Waker}};
//! # let mut cx = Context::from_waker(Waker::noop());
//! # let example = pin!(async {
//! let (sender, mut receiver) = watch::channel("starting");
//! sender.send("ready");
//! receiver.changed().await?;
//! assert_eq!(*receiver.borrow(), "ready");
//! # Ok::<(), watch::Closed>(())
//! # });
//! # assert_eq!(example.poll(&mut cx), Poll::Ready(Ok(())));
//! ```
//!
//! Only the newest value is kept, so a slow watcher skips some and never holds up the sender. A watcher has the value by
//! reference count: it may keep it for as long as it likes, across awaits too, and nobody waits for it.

use std::{
    error::Error,
    fmt::{self, Debug, Display, Formatter},
    marker::PhantomData,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    line::{Line, Wakes},
    wait::{Wait, Waiting},
};
use crate::loom::{Mutex, lock};

/// A value, the one who changes it, and the first who watches it and has seen it as it is now.
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let state = State {
        value: Arc::new(value),
        version: 0,
        open: true,
        receivers: 1,
        line: Line::new(),
        deserted: Line::new(),
    };
    let shared = Arc::new(Mutex::new(state));
    (Sender { shared: Arc::clone(&shared) }, Receiver { shared, seen: 0 })
}

struct State<T> {
    value: Arc<T>,
    /// How often it was changed.
    version: u64,
    /// The sender is there.
    open: bool,
    receivers: usize,
    /// Who waits for a change.
    line: Line<()>,
    /// Who waits for the last receiver to go.
    deserted: Line<()>,
}

/// Changes the value.
pub struct Sender<T> {
    shared: Arc<Mutex<State<T>>>,
}

impl<T> Sender<T> {
    /// Changes the value, also if nobody watches, and gives back the one before.
    pub fn send(&self, value: T) -> Arc<T> {
        let value = Arc::new(value);
        let mut wakes = Wakes::none();
        let mut state = lock(&self.shared);
        let before = mem::replace(&mut state.value, value);
        state.version += 1;
        state.line.call_all(&mut wakes);
        drop(state);
        wakes.wake();
        before
    }

    /// The value as it is now.
    pub fn borrow(&self) -> Arc<T> {
        Arc::clone(&lock(&self.shared).value)
    }

    /// Another who watches, and has seen the value as it is now.
    pub fn subscribe(&self) -> Receiver<T> {
        let mut state = lock(&self.shared);
        state.receivers += 1;
        Receiver { shared: Arc::clone(&self.shared), seen: state.version }
    }

    /// How many watch.
    pub fn receivers(&self) -> usize {
        lock(&self.shared).receivers
    }

    /// Waits until nobody watches.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and called again.
    pub async fn deserted(&self) {
        Waiting::new(&self.shared, Deserted(PhantomData)).await;
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut wakes = Wakes::none();
        let mut state = lock(&self.shared);
        state.open = false;
        state.line.call_all(&mut wakes);
        drop(state);
        wakes.wake();
    }
}

impl<T: Debug> Debug for Sender<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("value", &self.borrow()).field("receivers", &self.receivers()).finish()
    }
}

/// Watches the value; may be cloned, and the clone has seen as much.
pub struct Receiver<T> {
    shared: Arc<Mutex<State<T>>>,
    /// The version it has seen.
    seen: u64,
}

impl<T> Receiver<T> {
    /// The value as it is now; a change that has not been seen stays so.
    pub fn borrow(&self) -> Arc<T> {
        Arc::clone(&lock(&self.shared).value)
    }

    /// The value as it is now, and now it has been seen.
    pub fn borrow_and_update(&mut self) -> Arc<T> {
        let state = lock(&self.shared);
        self.seen = state.version;
        Arc::clone(&state.value)
    }

    /// Whether the value has changed since it was seen.
    pub fn has_changed(&self) -> bool {
        lock(&self.shared).version != self.seen
    }

    /// Waits until the value is another than was seen, and has seen it then.
    ///
    /// # Errors
    ///
    /// If the sender is gone, and its last value has been seen.
    ///
    /// # Cancel safety
    ///
    /// A change counts as seen only when this ends: dropped before, it has missed nothing.
    pub fn changed(&mut self) -> Changed<'_, T> {
        Changed(Waiting::new(&self.shared, Change { seen: &mut self.seen, value: PhantomData }))
    }

    /// Waits until the value, the present one or a later one, is as wanted. That one has been seen then.
    ///
    /// # Errors
    ///
    /// If the sender is gone, and its last value was not as wanted.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and called again: it begins with the value as it is then.
    pub async fn wait_for(&mut self, wanted: impl Fn(&T) -> bool) -> Result<Arc<T>, Closed> {
        loop {
            let value = self.borrow_and_update();
            if wanted(&value) {
                return Ok(value);
            }
            drop(value);
            self.changed().await?;
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        lock(&self.shared).receivers += 1;
        Self { shared: Arc::clone(&self.shared), seen: self.seen }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut wakes = Wakes::none();
        let mut state = lock(&self.shared);
        state.receivers -= 1;
        if state.receivers == 0 {
            state.deserted.call_all(&mut wakes);
        }
        drop(state);
        wakes.wake();
    }
}

impl<T: Debug> Debug for Receiver<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("value", &self.borrow())
            .field("has_changed", &self.has_changed())
            .finish()
    }
}

/// The sender is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl Display for Closed {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "the sender is gone, and the value will not change again")
    }
}

impl Error for Closed {}

/// Ends when the value has changed; made by [`Receiver::changed`].
///
/// # Panics
///
/// If it is polled after it has ended.
#[must_use = "futures do nothing unless they are polled"]
pub struct Changed<'a, T: 'a>(Waiting<'a, Change<'a, T>>);

impl<T> Future for Changed<'_, T> {
    type Output = Result<(), Closed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.get_mut().0).poll(cx)
    }
}

impl<T> Debug for Changed<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Changed").field(&self.0).finish()
    }
}

struct Change<'a, T> {
    seen: &'a mut u64,
    value: PhantomData<fn(T)>,
}

impl<T> Change<'_, T> {
    fn look(&mut self, state: &State<T>) -> Option<Result<(), Closed>> {
        if state.version != *self.seen {
            *self.seen = state.version;
            Some(Ok(()))
        } else if state.open {
            None
        } else {
            Some(Err(Closed))
        }
    }
}

impl<T> Wait for Change<'_, T> {
    type State = State<T>;
    type Item = ();
    type Output = Result<(), Closed>;

    fn line<'s>(&self, state: &'s mut State<T>) -> &'s mut Line<()> {
        &mut state.line
    }

    fn arrive(&mut self, state: &mut State<T>, _wakes: &mut Wakes) -> Option<Self::Output> {
        self.look(state)
    }

    fn join(&mut self, _state: &mut State<T>) {}

    fn called(&mut self, (): (), state: &mut State<T>, _wakes: &mut Wakes) -> Self::Output {
        self.look(state).expect("who watches is called for a change, or for the end")
    }
}

/// Waits until nobody watches.
struct Deserted<T>(PhantomData<fn(T)>);

impl<T> Wait for Deserted<T> {
    type State = State<T>;
    type Item = ();
    type Output = ();

    fn line<'s>(&self, state: &'s mut State<T>) -> &'s mut Line<()> {
        &mut state.deserted
    }

    fn arrive(&mut self, state: &mut State<T>, _wakes: &mut Wakes) -> Option<()> {
        (state.receivers == 0).then_some(())
    }

    fn join(&mut self, _state: &mut State<T>) {}

    fn called(&mut self, (): (), _state: &mut State<T>, _wakes: &mut Wakes) {}
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::hand::{Hand, now};

    #[test]
    fn a_change_wakes_all_who_watch() {
        let (sender, mut one) = channel(0);
        let mut two = one.clone();
        let (mut first, mut second) = (Hand::new(one.changed()), Hand::new(two.changed()));
        assert!(first.poll().is_pending() && second.poll().is_pending());
        assert_eq!(*sender.send(1), 0);
        assert_eq!((first.wakes(), second.wakes()), (1, 1));
        assert_eq!(first.poll(), Poll::Ready(Ok(())));
        assert_eq!(second.poll(), Poll::Ready(Ok(())));
        drop((first, second));
        assert_eq!((*one.borrow(), one.has_changed()), (1, false));
    }

    #[test]
    fn a_dropped_wait_has_missed_nothing() {
        let (sender, mut receiver) = channel(0);
        let mut waiting = Hand::new(receiver.changed());
        assert!(waiting.poll().is_pending());
        sender.send(1);
        drop(waiting);
        assert!(receiver.has_changed());
        assert_eq!(now(receiver.changed()), Some(Ok(())));
        assert_eq!(now(receiver.changed()), None);
    }

    #[test]
    fn the_last_value_is_seen_before_the_end() {
        let (sender, mut receiver) = channel(0);
        sender.send(1);
        drop(sender);
        assert_eq!(now(receiver.changed()), Some(Ok(())));
        assert_eq!(*receiver.borrow_and_update(), 1);
        assert_eq!(now(receiver.changed()), Some(Err(Closed)));
    }

    #[test]
    fn a_sender_that_goes_wakes_who_waits() {
        let (sender, mut receiver) = channel(0);
        let mut waiting = Hand::new(receiver.wait_for(|value| *value > 1));
        assert!(waiting.poll().is_pending());
        sender.send(1);
        assert!(waiting.poll().is_pending(), "that is not what it wants");
        drop(sender);
        assert_eq!(waiting.wakes(), 2);
        assert_eq!(waiting.poll(), Poll::Ready(Err(Closed)));
    }

    #[test]
    fn the_sender_learns_that_nobody_watches() {
        let (sender, receiver) = channel(0);
        let other = sender.subscribe();
        let mut deserted = Hand::new(sender.deserted());
        assert!(deserted.poll().is_pending());
        drop(receiver);
        assert!(deserted.poll().is_pending());
        drop(other);
        assert_eq!(deserted.wakes(), 1);
        assert!(deserted.poll().is_ready());
        drop(deserted);
        assert_eq!(
            now(sender.subscribe().wait_for(|value| *value == 0)).map(|value| value.is_ok()),
            Some(true)
        );
    }

    #[test]
    fn who_keeps_a_value_holds_up_nobody() {
        let (sender, receiver) = channel(String::from("old"));
        let kept = receiver.borrow();
        sender.send(String::from("new"));
        assert_eq!((kept.as_str(), receiver.borrow().as_str()), ("old", "new"));
    }
}
