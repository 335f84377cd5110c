//! Who receives from a handle, or takes what a listener has accepted: one at a time, in the order in which they came.
//!
//! | the word is | that means | who may change it |
//! |---|---|---|
//! | `FREE` | nobody has the turn | whoever comes: to `TAKEN` |
//! | `TAKEN` | somebody has it | who has it: to `FREE`; who has to wait, under the lock: to `CROWDED` |
//! | `CROWDED` | and others wait, or have waited | who has it, under the lock: hands it over, or to `FREE` |
//!
//! A turn that was handed over belongs to the one who was called, who may not know it yet; if that one is dropped, the
//! turn goes on to the next.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use crate::loom::{AtomicUsize, Mutex, Ordering, lock};

const FREE: usize = 0;
const TAKEN: usize = 1;
const CROWDED: usize = 2;

#[derive(Debug)]
pub(crate) struct Turn {
    word: AtomicUsize,
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<(u64, Waker)>,
    /// Whose turn it is, of those who waited.
    called: Option<u64>,
    next: u64,
}

impl Turn {
    pub(crate) fn new() -> Turn {
        Turn { word: AtomicUsize::new(FREE), line: Mutex::new(Line::default()) }
    }

    /// Waits for the turn.
    pub(crate) fn enter(&self) -> Enter<'_> {
        Enter { turn: self, number: None }
    }

    #[inline]
    fn take(&self) -> bool {
        self.word.compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[inline]
    fn leave(&self) {
        if self.word.compare_exchange(TAKEN, FREE, Ordering::Release, Ordering::Relaxed).is_err() {
            self.hand_over();
        }
    }

    #[cold]
    fn hand_over(&self) {
        let mut line = lock(&self.line);
        let Some((number, waker)) = line.waiting.pop_front() else {
            self.word.store(FREE, Ordering::Release);
            return;
        };
        line.called = Some(number);
        if line.waiting.is_empty() {
            self.word.store(TAKEN, Ordering::Relaxed);
        }
        drop(line);
        waker.wake();
    }

    /// The number in line; none if the turn was free after all.
    #[cold]
    fn join(&self, waker: &Waker) -> Option<u64> {
        let waker = waker.clone();
        let mut line = lock(&self.line);
        loop {
            if self.take() {
                // A waker that is dropped may run anything.
                drop(line);
                return None;
            }
            match self.word.compare_exchange(TAKEN, CROWDED, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) | Err(CROWDED) => break,
                Err(_) => {}
            }
        }
        let number = line.next;
        line.next += 1;
        line.waiting.push_back((number, waker));
        Some(number)
    }

    /// Whether one who waits has been called.
    #[cold]
    fn is_called(&self, number: u64, waker: &Waker) -> bool {
        let waker = waker.clone();
        let mut line = lock(&self.line);
        if line.called == Some(number) {
            line.called = None;
            return true;
        }
        let waiting = line.waiting.iter_mut().find(|waiting| waiting.0 == number);
        let former = std::mem::replace(&mut waiting.expect("it waits until it is called").1, waker);
        drop(line);
        drop(former);
        false
    }

    #[cold]
    fn give_up(&self, number: u64) {
        let mut line = lock(&self.line);
        if line.called == Some(number) {
            line.called = None;
            drop(line);
            self.leave();
            return;
        }
        let place = line.waiting.iter().position(|waiting| waiting.0 == number);
        let waiting = place.and_then(|place| line.waiting.remove(place));
        drop(line);
        drop(waiting);
    }
}

/// Ends when the turn has come.
#[derive(Debug)]
#[must_use = "nobody waits until it is polled"]
pub(crate) struct Enter<'a> {
    turn: &'a Turn,
    /// The number in line.
    number: Option<u64>,
}

impl<'a> Future for Enter<'a> {
    type Output = Taken<'a>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Taken<'a>> {
        let turn = self.turn;
        match self.number {
            None => {
                if !turn.take() {
                    self.number = turn.join(cx.waker());
                    if self.number.is_some() {
                        return Poll::Pending;
                    }
                }
            }
            Some(number) => {
                if !turn.is_called(number, cx.waker()) {
                    return Poll::Pending;
                }
                self.number = None;
            }
        }
        Poll::Ready(Taken { turn })
    }
}

impl Drop for Enter<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.turn.give_up(number);
        }
    }
}

/// The turn; it goes to the next when this is dropped.
#[derive(Debug)]
pub(crate) struct Taken<'a> {
    turn: &'a Turn,
}

impl Drop for Taken<'_> {
    #[inline]
    fn drop(&mut self) {
        self.turn.leave();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::{
        pin::pin,
        sync::{Arc, atomic::AtomicUsize as Count},
        task::Wake,
    };

    use super::*;

    #[derive(Default)]
    struct Wakes(Count);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Wakes {
        fn count(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    fn hand() -> (Arc<Wakes>, Waker) {
        let wakes = Arc::new(Wakes::default());
        (Arc::clone(&wakes), Waker::from(wakes))
    }

    #[test]
    fn the_turn_goes_along_the_line() {
        let turn = Turn::new();
        let (first_wakes, first_waker) = hand();
        let (second_wakes, second_waker) = hand();
        let (mut first_cx, mut second_cx) =
            (Context::from_waker(&first_waker), Context::from_waker(&second_waker));
        let mut zeroth = pin!(turn.enter());
        let Poll::Ready(held) = zeroth.as_mut().poll(&mut first_cx) else { panic!("it is free") };
        let (mut first, mut second) = (pin!(turn.enter()), pin!(turn.enter()));
        assert!(first.as_mut().poll(&mut first_cx).is_pending());
        assert!(second.as_mut().poll(&mut second_cx).is_pending());
        drop(held);
        assert_eq!((first_wakes.count(), second_wakes.count()), (1, 0));
        assert!(second.as_mut().poll(&mut second_cx).is_pending());
        let mut late = pin!(turn.enter());
        assert!(late.as_mut().poll(&mut first_cx).is_pending(), "it was handed over");
        let Poll::Ready(held) = first.as_mut().poll(&mut first_cx) else { panic!("it was called") };
        drop(held);
        assert_eq!(second_wakes.count(), 1);
        let Poll::Ready(held) = second.as_mut().poll(&mut second_cx) else { panic!("it was called") };
        drop(held);
        let Poll::Ready(held) = late.as_mut().poll(&mut first_cx) else { panic!("it was called") };
        drop(held);
        assert!(pin!(turn.enter()).poll(&mut first_cx).is_ready());
    }

    #[test]
    fn who_is_called_and_gives_up_calls_the_next() {
        let turn = Turn::new();
        let (_, waker) = hand();
        let (wakes, last_waker) = hand();
        let (mut cx, mut last_cx) = (Context::from_waker(&waker), Context::from_waker(&last_waker));
        let Poll::Ready(held) = pin!(turn.enter()).poll(&mut cx) else { panic!("it is free") };
        let mut called = Box::pin(turn.enter());
        let mut gone = Box::pin(turn.enter());
        let mut last = Box::pin(turn.enter());
        assert!(called.as_mut().poll(&mut cx).is_pending());
        assert!(gone.as_mut().poll(&mut cx).is_pending());
        assert!(last.as_mut().poll(&mut last_cx).is_pending());
        drop(gone);
        drop(held);
        assert_eq!(wakes.count(), 0);
        drop(called);
        assert_eq!(wakes.count(), 1);
        drop(last);
        assert!(pin!(turn.enter()).poll(&mut cx).is_ready(), "nobody has it");
    }
}
