//! The timers of one worker: a heap of deadlines from which any timer can be taken out again.
//!
//! | a timer | is left by |
//! |---|---|
//! | waits | [`Timers::take_due`] or [`Timers::close`]: expired; [`Timers::remove`]: gone |
//! | expired or gone | nothing: its [`Key`] names no timer any more, and never another one |
//!
//! This is a plain structure: no clock, no lock, no thread. The worker holds it under a lock of its own, so that a
//! timer can be dropped anywhere. No waker is dropped or woken in here, all of them are handed out: either may end
//! a task, and a task that ends may drop a timer, which would take the same lock.
//!
//! A timer that is removed leaves at once. A program that sets a timeout for each request and cancels nearly all of
//! them holds only those that still count. Why a heap and no wheel: `docs/decisions/timers.md`.

use std::{
    task::Waker,
    time::{Duration, Instant},
};

/// Children of a node: four halve the depth of a binary heap, and a step down still compares only neighbours.
const CHILDREN: usize = 4;

/// The most timers that one call of [`Timers::take_due`] takes, so that the lock is held for microseconds and tasks
/// and I/O have their turn between. As many as one wait of a berth delivers packets.
pub(crate) const DUE_MAX: usize = 256;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Timers {
    /// Deadlines are counted from here: comparing two numbers is cheaper than comparing two instants.
    origin: Instant,
    heap: Vec<Entry>,
    slots: Vec<Slot>,
    /// Where in the heap the entry of each slot is; apart from the slots, because the heap changes little else.
    places: Vec<u32>,
    /// The free slot used last, which is the first to be used again: it is in the cache.
    free: Option<u32>,
    inserted: u64,
    is_closed: bool,
}

/// Names one timer, for ever: no key is given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    slot: u32,
    turn: u64,
}

/// The timer has expired, or was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expired;

#[derive(Debug, Clone, Copy)]
struct Entry {
    deadline_ns: u64,
    /// The number of the timer. Of two with one deadline the one inserted first comes first.
    turn: u64,
    slot: u32,
}

impl Entry {
    #[inline]
    fn order(&self) -> u128 {
        // One wide number: its comparison has no branch that could be guessed wrong.
        u128::from(self.deadline_ns) << 64 | u128::from(self.turn)
    }
}

#[derive(Debug)]
enum Slot {
    Free { next: Option<u32> },
    Waits { turn: u64, waker: Waker },
}

impl Timers {
    /// No timers. Deadlines before `origin` are taken as `origin`; it should lie in the past.
    pub(crate) fn new(origin: Instant) -> Timers {
        Timers {
            origin,
            heap: Vec::new(),
            slots: Vec::new(),
            places: Vec::new(),
            free: None,
            inserted: 0,
            is_closed: false,
        }
    }

    /// How many timers wait.
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether none does.
    pub(crate) fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// A new timer. Nothing is allocated unless there are more of them now than ever before. The waker is given back
    /// if no timers are taken any more.
    ///
    /// # Panics
    ///
    /// If 4,294,967,295 timers wait.
    pub(crate) fn insert(&mut self, deadline: Instant, waker: Waker) -> Result<Key, Waker> {
        if self.is_closed {
            return Err(waker);
        }
        let turn = self.inserted;
        self.inserted += 1;
        let place = self.heap.len();
        let new = Slot::Waits { turn, waker };
        let slot = match self.free {
            Some(slot) => {
                let Slot::Free { next } = std::mem::replace(&mut self.slots[slot as usize], new) else {
                    unreachable!("the list of free slots has free slots only")
                };
                self.free = next;
                slot
            }
            None => {
                let slot = u32::try_from(self.slots.len()).expect("fewer timers than a u32 counts");
                self.slots.push(new);
                self.places.push(0);
                slot
            }
        };
        self.heap.push(Entry { deadline_ns: self.nanos(deadline), turn, slot });
        self.up(place);
        Ok(Key { slot, turn })
    }

    /// Whether this timer is the next one. If it is new, its worker may sleep for too long.
    pub(crate) fn is_next(&self, key: Key) -> bool {
        self.heap.first().is_some_and(|entry| entry.turn == key.turn)
    }

    /// Another waker for this timer. The one it had, if that was another, is to be dropped outside of any lock.
    pub(crate) fn set_waker(&mut self, key: Key, new: &Waker) -> Result<Option<Waker>, Expired> {
        match self.slots.get_mut(key.slot as usize) {
            Some(Slot::Waits { turn, waker }) if *turn == key.turn => {
                Ok((!waker.will_wake(new)).then(|| std::mem::replace(waker, new.clone())))
            }
            _ => Err(Expired),
        }
    }

    /// Another deadline for this timer.
    pub(crate) fn reset(&mut self, key: Key, deadline: Instant) -> Result<(), Expired> {
        let place = self.place(key).ok_or(Expired)?;
        self.heap[place].deadline_ns = self.nanos(deadline);
        self.settle(place);
        Ok(())
    }

    /// Takes this timer out. Its waker is to be dropped outside of any lock; none if it has expired.
    pub(crate) fn remove(&mut self, key: Key) -> Option<Waker> {
        let place = self.place(key)?;
        Some(self.take(place))
    }

    /// When the next timer expires: exactly, as it was asked for.
    #[inline]
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.heap.first().map(|entry| self.instant(entry.deadline_ns))
    }

    /// Takes out the timers whose deadline is not after `now`, at most [`DUE_MAX`] of them, the earliest first; says
    /// how many. Are more of them due, [`next_deadline`](Self::next_deadline) is not after `now` either. The wakers
    /// are to be woken outside of any lock.
    pub(crate) fn take_due(&mut self, now: Instant, into: &mut Vec<Waker>) -> usize {
        let before = into.len();
        // Rounded down: a timer is never early.
        let now = self.nanos(now);
        while self.heap.first().is_some_and(|entry| entry.deadline_ns <= now) && into.len() - before < DUE_MAX
        {
            into.push(self.take(0));
        }
        into.len() - before
    }

    /// Takes out all timers, in no order, and takes no more. The wakers are to be woken outside of any lock: whoever
    /// waits for a timer looks for another worker then.
    pub(crate) fn close(&mut self, into: &mut Vec<Waker>) {
        self.is_closed = true;
        while let Some(last) = self.heap.len().checked_sub(1) {
            into.push(self.take(last));
        }
    }

    fn place(&self, key: Key) -> Option<usize> {
        match self.slots.get(key.slot as usize) {
            Some(Slot::Waits { turn, .. }) if *turn == key.turn => {
                Some(self.places[key.slot as usize] as usize)
            }
            _ => None,
        }
    }

    fn take(&mut self, place: usize) -> Waker {
        let entry = self.heap.swap_remove(place);
        if place < self.heap.len() {
            self.settle(place);
        }
        let free = Slot::Free { next: self.free.replace(entry.slot) };
        match std::mem::replace(&mut self.slots[entry.slot as usize], free) {
            Slot::Waits { waker, .. } => waker,
            Slot::Free { .. } => unreachable!("an entry of the heap has a slot that waits"),
        }
    }

    /// Moves the entry at `place` to where it belongs.
    fn settle(&mut self, place: usize) {
        if self.up(place) == place {
            self.down(place);
        }
    }

    /// Moves an entry up while it comes before its parent; says where it is then.
    fn up(&mut self, from: usize) -> usize {
        let entry = self.heap[from];
        let mut place = from;
        while place > 0 {
            let parent = (place - 1) / CHILDREN;
            if self.heap[parent].order() <= entry.order() {
                break;
            }
            self.put(self.heap[parent], place);
            place = parent;
        }
        self.put(entry, place);
        place
    }

    /// Moves an entry down while one of its children comes before it.
    fn down(&mut self, from: usize) {
        let entry = self.heap[from];
        let mut place = from;
        while let Some(least) = self.least_child(place) {
            if entry.order() <= self.heap[least].order() {
                break;
            }
            self.put(self.heap[least], place);
            place = least;
        }
        self.put(entry, place);
    }

    /// The child of `place` that comes first.
    #[inline]
    fn least_child(&self, place: usize) -> Option<usize> {
        let first = place * CHILDREN + 1;
        if let Some([a, b, c, d]) = self.heap.get(first..first + CHILDREN) {
            // All four, nearly always: two pairs and a final, in which nothing has to be guessed.
            let (left, left_order) = if b.order() < a.order() { (1, b.order()) } else { (0, a.order()) };
            let (right, right_order) = if d.order() < c.order() { (3, d.order()) } else { (2, c.order()) };
            return Some(first + if right_order < left_order { right } else { left });
        }
        (first..self.heap.len()).min_by_key(|&child| self.heap[child].order())
    }

    #[inline]
    fn put(&mut self, entry: Entry, at: usize) {
        self.heap[at] = entry;
        self.places[entry.slot as usize] = at as u32;
    }

    /// Nanoseconds since the origin. They last for 584 years; what is later is as late as that.
    #[inline]
    fn nanos(&self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.origin);
        since.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(since.subsec_nanos()))
    }

    fn instant(&self, nanos: u64) -> Instant {
        // What does not exist is later than anybody waits; the next look will find the timer still there.
        let far = Duration::from_secs(60 * 60 * 24 * 365);
        self.origin.checked_add(Duration::from_nanos(nanos)).unwrap_or_else(|| self.origin + far)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc, task::Wake};

    use proptest::prelude::*;

    use super::*;

    /// A waker that can be told from others: it has a place of its own.
    struct Named(#[expect(dead_code, reason = "what has no size has no place")] u8);

    impl Wake for Named {
        fn wake(self: Arc<Named>) {}
    }

    fn waker() -> Waker {
        Waker::from(Arc::new(Named(0)))
    }

    /// `will_wake` may say no of two that are the same.
    fn same(one: &Waker, other: &Waker) -> bool {
        one.data() == other.data()
    }

    #[track_caller]
    fn insert(timers: &mut Timers, deadline: Instant, waker: Waker) -> Key {
        timers.insert(deadline, waker).expect("timers are taken")
    }

    const SECOND: Duration = Duration::from_secs(1);
    const YEAR: Duration = Duration::from_secs(60 * 60 * 24 * 365);

    /// A program against the timers and against a sorted map, which has to agree after each step.
    struct Pair {
        start: Instant,
        now: Instant,
        timers: Timers,
        model: BTreeMap<(Instant, usize), Waker>,
        /// Every key there ever was, with the deadline it was last given; its number is its turn.
        keys: Vec<(Key, Instant)>,
    }

    impl Pair {
        fn new() -> Pair {
            // The origin lies a while back, so that deadlines may lie in the past.
            let start = Instant::now() + 10 * SECOND;
            let timers = Timers::new(start - SECOND);
            Pair { start, now: start, timers, model: BTreeMap::new(), keys: Vec::new() }
        }

        fn insert(&mut self, deadline: Instant) {
            let waker = waker();
            let key = insert(&mut self.timers, deadline, waker.clone());
            assert!(self.keys.iter().all(|&(other, _)| other != key), "no key is given twice");
            self.model.insert((deadline, self.keys.len()), waker);
            self.keys.push((key, deadline));
        }

        fn reset(&mut self, turn: usize, to: Instant) {
            let (key, deadline) = &mut self.keys[turn];
            let expected = self.model.remove(&(*deadline, turn));
            assert_eq!(self.timers.reset(*key, to), expected.as_ref().map(drop).ok_or(Expired));
            if let Some(waker) = expected {
                *deadline = to;
                self.model.insert((to, turn), waker);
            }
        }

        fn set_waker(&mut self, turn: usize) {
            let (key, deadline) = self.keys[turn];
            let new = waker();
            match (self.timers.set_waker(key, &new), self.model.get_mut(&(deadline, turn))) {
                (Ok(Some(old)), Some(expected)) => {
                    assert!(same(&old, expected));
                    *expected = new.clone();
                    // The same one again changes nothing.
                    assert!(
                        self.timers
                            .set_waker(key, &new)
                            .is_ok_and(|old| old.is_none_or(|old| same(&old, &new)))
                    );
                }
                (Err(Expired), None) => {}
                (result, expected) => panic!("{result:?} where {expected:?} waits"),
            }
        }

        fn remove(&mut self, turn: usize) {
            let (key, deadline) = self.keys[turn];
            match (self.timers.remove(key), self.model.remove(&(deadline, turn))) {
                (Some(waker), Some(expected)) => assert!(same(&waker, &expected)),
                (None, None) => {}
                (removed, expected) => panic!("removed {removed:?}, but {expected:?} waits"),
            }
        }

        fn advance(&mut self, by: Duration) {
            self.now += by;
            let mut due = Vec::new();
            while self.timers.take_due(self.now, &mut due) == DUE_MAX {}
            for waker in due {
                let ((deadline, turn), expected) = self.model.pop_first().expect("no more than wait");
                assert!(same(&waker, &expected), "the earliest comes first, of equals the first inserted");
                assert!(deadline <= self.now, "timer {turn} came early");
            }
        }

        fn check(&self) {
            let next = self.model.first_key_value();
            assert_eq!(
                (self.timers.len(), self.timers.is_empty()),
                (self.model.len(), self.model.is_empty())
            );
            assert_eq!(self.timers.next_deadline(), next.map(|((deadline, _), _)| *deadline));
            for (turn, &(key, deadline)) in self.keys.iter().enumerate() {
                let first = next.is_some_and(|(first, _)| *first == (deadline, turn));
                assert_eq!(self.timers.is_next(key), first);
            }
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Insert(Duration),
        Reset(prop::sample::Index, Duration),
        SetWaker(prop::sample::Index),
        Remove(prop::sample::Index),
        Advance(Duration),
    }

    /// A distance from half a second before the start: few enough that some are equal, some in the past, and some
    /// decades away.
    fn distance() -> impl Strategy<Value = Duration> {
        prop_oneof![
            6 => (0..40_u32).prop_map(|i| i * Duration::from_millis(50)),
            2 => (0..2_000_000_000_u64).prop_map(Duration::from_nanos),
            1 => (1..90_u32).prop_map(|years| years * YEAR),
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        let any = any::<prop::sample::Index>;
        prop_oneof![
            6 => distance().prop_map(Step::Insert),
            2 => (any(), distance()).prop_map(|(which, to)| Step::Reset(which, to)),
            1 => any().prop_map(Step::SetWaker),
            3 => any().prop_map(Step::Remove),
            2 => (0..300_000_000_u64).prop_map(|ns| Step::Advance(Duration::from_nanos(ns))),
        ]
    }

    proptest! {
        #[test]
        fn timers_do_what_a_sorted_map_does(steps in prop::collection::vec(step(), 1..if cfg!(miri) { 30 } else { 200 })) {
            let mut pair = Pair::new();
            for step in steps {
                let count = pair.keys.len();
                let base = pair.start - SECOND / 2;
                match step {
                    Step::Insert(at) => pair.insert(base + at),
                    Step::Advance(by) => pair.advance(by),
                    _ if count == 0 => {}
                    Step::Reset(which, to) => pair.reset(which.index(count), base + to),
                    Step::SetWaker(which) => pair.set_waker(which.index(count)),
                    Step::Remove(which) => pair.remove(which.index(count)),
                }
                pair.check();
            }
            pair.advance(100 * YEAR);
            pair.check();
            prop_assert!(pair.timers.is_empty());
        }
    }

    #[test]
    fn a_timer_is_not_due_a_nanosecond_before_its_deadline() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        insert(&mut timers, start + SECOND, waker());
        let mut due = Vec::new();
        assert_eq!(timers.take_due(start + SECOND - Duration::from_nanos(1), &mut due), 0);
        assert_eq!(timers.take_due(start + SECOND, &mut due), 1);
    }

    #[test]
    fn what_lies_before_the_origin_is_due_at_once() {
        let start = Instant::now() + SECOND;
        let mut timers = Timers::new(start);
        insert(&mut timers, start - SECOND, waker());
        assert_eq!(timers.next_deadline(), Some(start));
        assert_eq!(timers.take_due(start, &mut Vec::new()), 1);
    }

    #[test]
    fn what_lies_behind_the_end_of_the_count_never_comes_early() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        let Some(far) = start.checked_add(1000 * YEAR) else { panic!("instants reach a thousand years") };
        insert(&mut timers, far, waker());
        assert!(timers.next_deadline().is_some_and(|next| next >= start + YEAR));
        assert_eq!(timers.take_due(start + 500 * YEAR, &mut Vec::new()), 0);
    }

    #[test]
    fn a_key_of_a_slot_that_is_used_again_names_no_timer() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        let first = insert(&mut timers, start + SECOND, waker());
        assert!(timers.remove(first).is_some());
        let second = insert(&mut timers, start + 2 * SECOND, waker());
        assert_eq!(first.slot, second.slot, "the slot is used again");
        assert!(timers.remove(first).is_none());
        assert_eq!(timers.reset(first, start), Err(Expired));
        assert!(timers.set_waker(first, Waker::noop()).is_err());
        assert!(!timers.is_next(first));
        assert_eq!(timers.len(), 1);
        assert!(timers.remove(second).is_some());
    }

    #[test]
    fn one_call_takes_a_bounded_number_and_says_that_more_are_due() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        for _ in 0..DUE_MAX + 1 {
            insert(&mut timers, start, waker());
        }
        let mut due = Vec::new();
        assert_eq!(timers.take_due(start, &mut due), DUE_MAX);
        assert!(timers.next_deadline().is_some_and(|next| next <= start));
        assert_eq!(timers.take_due(start, &mut due), 1);
        assert_eq!(due.len(), DUE_MAX + 1);
    }

    #[test]
    fn nothing_is_allocated_for_timers_that_come_and_go() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        let waker = waker();
        for round in 0..1000 {
            let keys: [Key; 8] = std::array::from_fn(|i| {
                insert(&mut timers, start + (round + i as u32) * Duration::from_millis(7), waker.clone())
            });
            for key in keys {
                assert!(timers.remove(key).is_some());
            }
        }
        assert_eq!(timers.slots.len(), 8);
    }

    #[test]
    fn closed_timers_expire_all_of_them_and_take_no_more() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        let keys: Vec<Key> = (0..100).map(|i| insert(&mut timers, start + i * SECOND, waker())).collect();
        let mut wakers = Vec::new();
        timers.close(&mut wakers);
        assert_eq!((wakers.len(), timers.len()), (100, 0));
        assert!(keys.into_iter().all(|key| timers.remove(key).is_none()));
        let late = waker();
        assert!(timers.insert(start, late.clone()).is_err_and(|back| same(&back, &late)));
        assert_eq!(timers.next_deadline(), None);
    }
}
