//! [`Mutex`]: a value that one task at a time has, across awaits.

use std::{
    fmt::{self, Debug, Formatter},
    ops::{Deref, DerefMut},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    line::{Line, Wakes},
    wait::{Wait, Waiting},
};
use crate::loom::{self, lock};

/// A value that one task at a time has, across awaits.
///
/// The guard has the value itself: it is taken out when the mutex is locked, and goes from hand to hand along the line,
/// so it is fair, and nobody can have it twice. Where no await lies between, `std::sync::Mutex` is cheaper and does the
/// same. After a panic the value is what it was at that moment: whoever comes next has it so.
///
/// ```
/// use ostia_rt::sync::Mutex;
///
/// # use std::{pin::pin, task::{Context, Poll, Waker}};
/// # let mut cx = Context::from_waker(Waker::noop());
/// # let example = pin!(async {
/// let total = Mutex::new(1);
/// *total.lock().await += 1;
/// assert_eq!(*total.lock().await, 2);
/// # });
/// # assert_eq!(example.poll(&mut cx), Poll::Ready(()));
/// ```
pub struct Mutex<T> {
    state: loom::Mutex<State<T>>,
}

struct State<T> {
    /// Boxed, so that only a pointer goes from hand to hand. None while a guard has it.
    value: Option<Box<T>>,
    /// Those who wait, and for those who were called the value.
    line: Line<Option<Box<T>>>,
}

impl<T> State<T> {
    /// The value goes to the next in line, or waits here.
    fn pass(&mut self, value: Box<T>, wakes: &mut Wakes) {
        match self.line.call(wakes) {
            Some(hands) => *hands = Some(value),
            None => self.value = Some(value),
        }
    }
}

impl<T> Mutex<T> {
    /// A mutex that has this value.
    pub fn new(value: T) -> Self {
        Self { state: loom::Mutex::new(State { value: Some(Box::new(value)), line: Line::new() }) }
    }

    /// Waits for the value, behind those who came before.
    ///
    /// # Cancel safety
    ///
    /// A value that was handed to a future which is then dropped goes to the next in line. Its place in line is lost.
    pub fn lock(&self) -> Locking<'_, T> {
        Locking(Waiting::new(&self.state, Wanted { mutex: self }))
    }

    /// As [`lock`](Self::lock), and the guard keeps the mutex alive by itself.
    ///
    /// # Cancel safety
    ///
    /// As [`lock`](Self::lock).
    pub async fn lock_owned(self: Arc<Self>) -> OwnedGuard<T> {
        let value = self.lock().await.value.take();
        OwnedGuard { mutex: self, value }
    }

    /// The value, if nobody has it.
    pub fn try_lock(&self) -> Option<Guard<'_, T>> {
        let value = lock(&self.state).value.take()?;
        Some(Guard { mutex: self, value: Some(value) })
    }

    /// As [`try_lock`](Self::try_lock), and the guard keeps the mutex alive by itself.
    pub fn try_lock_owned(self: Arc<Self>) -> Option<OwnedGuard<T>> {
        let value = lock(&self.state).value.take()?;
        Some(OwnedGuard { mutex: self, value: Some(value) })
    }

    fn unlock(&self, value: Option<Box<T>>) {
        if let Some(value) = value {
            let mut wakes = Wakes::none();
            lock(&self.state).pass(value, &mut wakes);
            wakes.wake();
        }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: Debug> Debug for Mutex<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("Mutex");
        match self.try_lock() {
            Some(guard) => text.field("value", &*guard),
            None => text.field("value", &format_args!("<locked>")),
        };
        text.finish()
    }
}

/// The value of a [`Mutex`]; it goes to the next in line when this is dropped.
#[must_use = "the value goes back at once"]
pub struct Guard<'a, T> {
    mutex: &'a Mutex<T>,
    /// None only while it is dropped.
    value: Option<Box<T>>,
}

/// The value of a [`Mutex`] that it keeps alive; it goes to the next in line when this is dropped.
#[must_use = "the value goes back at once"]
pub struct OwnedGuard<T> {
    mutex: Arc<Mutex<T>>,
    /// None only while it is dropped.
    value: Option<Box<T>>,
}

const HELD: &str = "a guard has the value until it is dropped";

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_deref().expect(HELD)
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_deref_mut().expect(HELD)
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        self.mutex.unlock(self.value.take());
    }
}

impl<T: Debug> Debug for Guard<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Debug::fmt(&**self, f)
    }
}

impl<T> Deref for OwnedGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_deref().expect(HELD)
    }
}

impl<T> DerefMut for OwnedGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_deref_mut().expect(HELD)
    }
}

impl<T> Drop for OwnedGuard<T> {
    fn drop(&mut self) {
        self.mutex.unlock(self.value.take());
    }
}

impl<T: Debug> Debug for OwnedGuard<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Debug::fmt(&**self, f)
    }
}

/// Ends with the value; made by [`Mutex::lock`].
///
/// # Panics
///
/// If it is polled after it has ended.
#[must_use = "futures do nothing unless they are polled"]
pub struct Locking<'a, T>(Waiting<'a, Wanted<'a, T>>);

impl<'a, T> Future for Locking<'a, T> {
    type Output = Guard<'a, T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Guard<'a, T>> {
        Pin::new(&mut self.get_mut().0).poll(cx)
    }
}

impl<T> Debug for Locking<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Locking").field(&self.0).finish()
    }
}

struct Wanted<'a, T> {
    mutex: &'a Mutex<T>,
}

impl<'a, T> Wait for Wanted<'a, T> {
    type State = State<T>;
    type Item = Option<Box<T>>;
    type Output = Guard<'a, T>;

    fn line<'s>(&self, state: &'s mut State<T>) -> &'s mut Line<Option<Box<T>>> {
        &mut state.line
    }

    fn arrive(&mut self, state: &mut State<T>, _wakes: &mut Wakes) -> Option<Guard<'a, T>> {
        // If it lies there nobody waits: it goes from hand to hand.
        Some(Guard { mutex: self.mutex, value: Some(state.value.take()?) })
    }

    fn join(&mut self, _state: &mut State<T>) -> Option<Box<T>> {
        None
    }

    fn called(&mut self, value: Option<Box<T>>, _state: &mut State<T>, _wakes: &mut Wakes) -> Guard<'a, T> {
        Guard { mutex: self.mutex, value }
    }

    fn withdraw(
        &mut self,
        value: &mut Option<Box<T>>,
        _called: bool,
        state: &mut State<T>,
        wakes: &mut Wakes,
    ) {
        if let Some(value) = value.take() {
            state.pass(value, wakes);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::hand::{Hand, now, panics};

    #[test]
    fn the_value_goes_along_the_line() {
        let mutex = Mutex::new(0);
        let first = mutex.try_lock().expect("nobody has it");
        let (mut second, mut third) = (Hand::new(mutex.lock()), Hand::new(mutex.lock()));
        assert!(second.poll().is_pending() && third.poll().is_pending());
        drop(first);
        assert_eq!((second.wakes(), third.wakes()), (1, 0));
        assert!(mutex.try_lock().is_none(), "it was handed over");
        let Poll::Ready(mut guard) = second.poll() else { panic!("it was called") };
        *guard += 1;
        drop(guard);
        assert_eq!(third.poll().map(|guard| *guard), Poll::Ready(1));
        assert_eq!(mutex.try_lock().as_deref(), Some(&1));
    }

    #[test]
    fn a_dropped_future_passes_the_value_on() {
        let mutex = Mutex::new(());
        let first = mutex.try_lock().expect("nobody has it");
        let (mut second, mut third) = (Hand::new(mutex.lock()), Hand::new(mutex.lock()));
        assert!(second.poll().is_pending() && third.poll().is_pending());
        drop(first);
        drop(second);
        assert_eq!(third.wakes(), 1);
        drop(third);
        assert!(mutex.try_lock().is_some());
    }

    #[test]
    fn an_owned_guard_keeps_the_mutex() {
        let mutex = Arc::new(Mutex::new(1));
        let guard = Arc::clone(&mutex).try_lock_owned().expect("nobody has it");
        let mut next = Hand::new(Arc::clone(&mutex).lock_owned());
        assert!(next.poll().is_pending());
        drop(guard);
        let Poll::Ready(mut guard) = next.poll() else { panic!("it was called") };
        *guard = 2;
        assert_eq!(format!("{mutex:?} {guard:?}"), "Mutex { value: <locked> } 2");
        drop(guard);
        assert_eq!(format!("{mutex:?}"), "Mutex { value: 2 }");
    }

    #[test]
    fn a_panic_leaves_the_value_to_the_next() {
        let mutex = Mutex::new(0);
        assert!(panics(|| {
            let mut guard = mutex.try_lock().expect("nobody has it");
            *guard = 5;
            panic!("with the guard in hand");
        }));
        assert_eq!(now(mutex.lock()).as_deref(), Some(&5));
    }

    #[test]
    fn a_waker_that_panics_keeps_nothing_back() {
        let mutex = Mutex::new(0);
        let first = mutex.try_lock().expect("nobody has it");
        let mut second = Hand::new(mutex.lock());
        assert!(second.poll().is_pending());
        second.when_woken(|| panic!("a waker of ill will"));
        assert!(panics(|| drop(first)));
        assert!(second.poll().is_ready());
        assert!(mutex.try_lock().is_some());
    }
}
