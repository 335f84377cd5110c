//! The timers of a quay: a heap of deadlines from which any timer can be taken out again.
//!
//! Each slot knows its place in the heap, so that a cancelled timer leaves at once: a program that sets a timeout
//! for each request and cancels nearly all of them holds only those that still count.

use std::{sync::atomic::Ordering, time::Instant};

use crate::op::slot::{At, Flight, Slot};

/// Children of a node: four lie in two cache lines, and the heap is half as deep as with two.
const CHILDREN: usize = 4;

#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: Vec<Entry>,
    submitted: u64,
}

#[derive(Debug)]
struct Entry {
    deadline: Instant,
    /// Of two with one deadline the one submitted first comes first.
    turn: u64,
    flight: Flight,
}

impl Entry {
    fn order(&self) -> (Instant, u64) {
        (self.deadline, self.turn)
    }
}

impl Timers {
    pub(crate) fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.heap.first().map(|entry| entry.deadline)
    }

    /// True if the new timer is now the earliest.
    pub(crate) fn insert(&mut self, flight: Flight, deadline: Instant) -> bool {
        flight.slot().now_at(At::Timers);
        self.submitted += 1;
        self.heap.push(Entry { deadline, turn: self.submitted, flight });
        self.up(self.heap.len() - 1) == 0
    }

    pub(crate) fn remove(&mut self, slot: &'static Slot) -> Option<Flight> {
        let place = slot.place.load(Ordering::Relaxed) as usize;
        let found = self.heap.get(place).is_some_and(|entry| std::ptr::eq(entry.flight.slot(), slot));
        found.then(|| self.take(place))
    }

    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Flight> {
        (self.next_deadline()? <= now).then(|| self.take(0))
    }

    fn take(&mut self, place: usize) -> Flight {
        let entry = self.heap.swap_remove(place);
        if place < self.heap.len() {
            let place = self.up(place);
            self.down(place);
        }
        entry.flight
    }

    fn up(&mut self, mut place: usize) -> usize {
        while place > 0 {
            let parent = (place - 1) / CHILDREN;
            if self.heap[parent].order() <= self.heap[place].order() {
                break;
            }
            self.heap.swap(parent, place);
            self.note(place);
            place = parent;
        }
        self.note(place);
        place
    }

    fn down(&mut self, mut place: usize) {
        loop {
            let first = place * CHILDREN + 1;
            let children = first..(first + CHILDREN).min(self.heap.len());
            let Some(least) = children.min_by_key(|&child| self.heap[child].order()) else { break };
            if self.heap[place].order() <= self.heap[least].order() {
                break;
            }
            self.heap.swap(place, least);
            self.note(place);
            place = least;
        }
        self.note(place);
    }

    fn note(&self, place: usize) {
        self.heap[place].flight.slot().place.store(place as u32, Ordering::Relaxed);
    }
}
