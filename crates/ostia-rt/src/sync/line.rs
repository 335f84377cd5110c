//! Those who wait, in the order in which they came.
//!
//! | a place is | its waker is | the holder of the [`Place`] may |
//! |---|---|---|
//! | in line | stored | renew the waker, or leave: nobody else notices |
//! | called | taken, to be woken | leave, and then has what it was called for: to take it, or to pass it on |
//!
//! A place that was called stays until its holder has left, so that a future which is dropped after it was called still
//! knows what it was given. The line lies in one slab: to join and to leave, also from the middle, costs no allocation
//! once the slab is as large as the line was at its longest.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    task::Waker,
    thread,
};

use slab::Slab;

/// Those who wait, first come first called, each with an item that says what for.
#[derive(Debug)]
pub(crate) struct Line<T> {
    places: Slab<Waiting<T>>,
    first: usize,
    last: usize,
    len: usize,
}

/// The right to one place in a line. It is not copied, and who lets go of it has to [leave](Line::leave) first.
#[derive(Debug)]
#[must_use = "the place in line is taken until it is left"]
pub(crate) struct Place(usize);

#[derive(Debug)]
struct Waiting<T> {
    item: T,
    /// None if it has been called.
    waker: Option<Waker>,
    before: usize,
    after: usize,
}

/// What is left of a place.
#[derive(Debug)]
pub(crate) struct Left<T> {
    pub(crate) item: T,
    pub(crate) called: bool,
    /// To be dropped where no lock is held: the last waker of a task may drop the task.
    pub(crate) waker: Option<Waker>,
}

/// No place: the end of the line on either side.
const NOBODY: usize = usize::MAX;

impl<T> Line<T> {
    pub(crate) const fn new() -> Self {
        Self { places: Slab::new(), first: NOBODY, last: NOBODY, len: 0 }
    }

    /// How many wait and have not been called.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn join(&mut self, item: T, waker: Waker) -> Place {
        let place =
            self.places.insert(Waiting { item, waker: Some(waker), before: self.last, after: NOBODY });
        match self.last {
            NOBODY => self.first = place,
            last => self.places[last].after = place,
        }
        self.last = place;
        self.len += 1;
        Place(place)
    }

    pub(crate) fn first(&self) -> Option<&T> {
        self.places.get(self.first).map(|waiting| &waiting.item)
    }

    /// Calls the first in line, whose waker goes to `wakes`, and shows its item.
    pub(crate) fn call(&mut self, wakes: &mut Wakes) -> Option<&mut T> {
        let place = self.first;
        if place == NOBODY {
            return None;
        }
        self.unlink(place);
        let waiting = &mut self.places[place];
        wakes.extend(waiting.waker.take());
        Some(&mut waiting.item)
    }

    /// Calls all who are in line.
    pub(crate) fn call_all(&mut self, wakes: &mut Wakes) {
        wakes.reserve(self.len);
        while self.call(wakes).is_some() {}
    }

    pub(crate) fn is_called(&self, place: &Place) -> bool {
        self.places[place.0].waker.is_none()
    }

    /// From now on this waker is woken when the place is called, which it has not been. What comes back is to be dropped
    /// where no lock is held.
    pub(crate) fn renew(&mut self, place: &Place, waker: &Waker) -> Option<Waker> {
        let stored = &mut self.places[place.0].waker;
        debug_assert!(stored.is_some(), "who was called waits no more");
        renew(stored, waker)
    }

    pub(crate) fn leave(&mut self, place: Place) -> Left<T> {
        if !self.is_called(&place) {
            self.unlink(place.0);
        }
        let Waiting { item, waker, .. } = self.places.remove(place.0);
        Left { item, called: waker.is_none(), waker }
    }

    fn unlink(&mut self, place: usize) {
        let Waiting { before, after, .. } = self.places[place];
        match before {
            NOBODY => self.first = after,
            before => self.places[before].after = after,
        }
        match after {
            NOBODY => self.last = before,
            after => self.places[after].before = before,
        }
        self.len -= 1;
    }
}

/// Stores a waker unless it is stored already, and gives back the one before: to be dropped where no lock is held.
pub(crate) fn renew(stored: &mut Option<Waker>, waker: &Waker) -> Option<Waker> {
    match stored {
        Some(stored) if stored.will_wake(waker) => None,
        _ => stored.replace(waker.clone()),
    }
}

/// Wakers that were taken under a lock, to be woken when it has been released.
///
/// All of them are woken, also if one panics; the first panic then goes on to the caller. It ends here if the caller is
/// unwinding already, since two panics at a time would end the process.
#[derive(Debug, Default)]
#[must_use = "somebody waits to be woken"]
pub(crate) struct Wakes {
    first: Option<Waker>,
    rest: Vec<Waker>,
}

impl Wakes {
    pub(crate) const fn none() -> Self {
        Self { first: None, rest: Vec::new() }
    }

    pub(crate) fn extend(&mut self, waker: Option<Waker>) {
        match (&self.first, waker) {
            (_, None) => {}
            (None, waker) => self.first = waker,
            (Some(_), Some(waker)) => self.rest.push(waker),
        }
    }

    fn reserve(&mut self, count: usize) {
        // The first has its own place.
        self.rest.reserve(count.saturating_sub(1));
    }

    /// Wakes them all. No lock may be held.
    #[inline]
    pub(crate) fn wake(self) {
        if self.first.is_some() {
            self.wake_each();
        }
    }

    fn wake_each(self) {
        let mut panic = None;
        for waker in self.first.into_iter().chain(self.rest) {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
                panic.get_or_insert(payload);
            }
        }
        if let Some(payload) = panic
            && !thread::panicking()
        {
            resume_unwind(payload);
        }
    }
}
