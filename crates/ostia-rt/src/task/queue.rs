//! A worker's own queue: the worker adds at one end and takes from the other, and others steal where it takes.
//!
//! It is a ring of places with two counts that only grow. The places from `head` to `tail` have tasks. The owner alone
//! writes places and `tail`; taking, by whomever, is one step of `head` from what it was when the places were read. A
//! place is written again only after `head` has passed it, so a step that succeeds has read what was there.

use std::{
    cell::Cell,
    marker::PhantomData,
    ptr::{self, NonNull},
    sync::Arc,
};

use super::{Task, raw::Header};
use crate::loom::{AtomicPtr, AtomicU64, Ordering};

/// So many tasks at most; more than a slice of work is better shared.
#[cfg(not(loom))]
pub(crate) const CAPACITY: usize = 256;
/// Small enough to be full within the few steps that loom can try.
#[cfg(loom)]
pub(crate) const CAPACITY: usize = 4;

#[derive(Debug)]
struct Ring {
    head: Apart<AtomicU64>,
    tail: Apart<AtomicU64>,
    places: Box<[AtomicPtr<Header>]>,
    thieves: Thieves,
}

/// Whether others steal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thieves {
    /// They do.
    Some,
    /// The worker is its node's only one. Taking is then one step after another, without a locked instruction.
    None,
}

/// On cache lines of its own: who steals does not slow down who adds.
#[derive(Debug)]
#[repr(align(128))]
struct Apart<T>(T);

/// The owner's end.
#[derive(Debug)]
pub(crate) struct Local {
    ring: Arc<Ring>,
    /// The owner is one thread.
    here: PhantomData<Cell<()>>,
}

/// The others' end.
#[derive(Debug, Clone)]
pub(crate) struct Steal {
    ring: Arc<Ring>,
}

/// A new queue: its two ends.
pub(crate) fn new(thieves: Thieves) -> (Local, Steal) {
    let ring = Arc::new(Ring {
        thieves,
        head: Apart(AtomicU64::new(0)),
        tail: Apart(AtomicU64::new(0)),
        places: (0..CAPACITY).map(|_| AtomicPtr::new(ptr::null_mut())).collect(),
    });
    (Local { ring: Arc::clone(&ring), here: PhantomData }, Steal { ring })
}

impl Ring {
    fn place(&self, at: u64) -> &AtomicPtr<Header> {
        &self.places[at as usize % CAPACITY]
    }

    fn len(&self) -> usize {
        let head = self.head.0.load(Ordering::Acquire);
        let tail = self.tail.0.load(Ordering::Acquire);
        // Read one after the other, they may be of different moments.
        (tail.saturating_sub(head) as usize).min(CAPACITY)
    }
}

impl Local {
    /// How many there are; others may take some meanwhile.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.ring.len()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a task behind the others, unless there is no room.
    #[inline]
    pub(crate) fn push(&self, task: Task) -> Result<(), Task> {
        let head = self.ring.head.0.load(Ordering::Acquire);
        let tail = self.ring.tail.0.load(Ordering::Relaxed);
        if tail - head >= CAPACITY as u64 {
            return Err(task);
        }
        self.ring.place(tail).store(task.into_header().as_ptr(), Ordering::Relaxed);
        self.ring.tail.0.store(tail + 1, Ordering::Release);
        Ok(())
    }

    /// Takes the first.
    #[inline]
    pub(crate) fn pop(&self) -> Option<Task> {
        let mut head = self.ring.head.0.load(Ordering::Acquire);
        let tail = self.ring.tail.0.load(Ordering::Relaxed);
        loop {
            if head == tail {
                return None;
            }
            let header = self.ring.place(head).load(Ordering::Relaxed);
            if self.ring.thieves == Thieves::None {
                self.ring.head.0.store(head + 1, Ordering::Release);
                // SAFETY: `push` left the task's reference in the place, and nobody else takes: `steal` does not, and the
                // owner is one thread.
                return Some(unsafe { taken(header) });
            }
            match self.ring.head.0.compare_exchange_weak(head, head + 1, Ordering::AcqRel, Ordering::Acquire)
            {
                // SAFETY: `push` left the task's reference in the place, and this step alone took it out.
                Ok(_) => return Some(unsafe { taken(header) }),
                Err(other) => head = other,
            }
        }
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        while let Some(task) = self.pop() {
            drop(task);
        }
    }
}

impl Steal {
    /// How many there are, about.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.ring.len()
    }

    /// Takes half of them, rounded up and at most `limit`, the oldest: the first is returned, the others go into
    /// `into`, which has room for them. Nothing where nobody steals.
    pub(crate) fn steal(&self, into: &Local, limit: usize) -> Option<Task> {
        if self.ring.thieves == Thieves::None {
            return None;
        }
        debug_assert!(!Arc::ptr_eq(&self.ring, &into.ring), "nobody steals from himself");
        let mut loot = [ptr::null_mut(); CAPACITY / 2];
        let mut head = self.ring.head.0.load(Ordering::Acquire);
        loop {
            let tail = self.ring.tail.0.load(Ordering::Acquire);
            let len = tail.saturating_sub(head);
            if len > CAPACITY as u64 {
                // The head is of a moment long past.
                head = self.ring.head.0.load(Ordering::Acquire);
                continue;
            }
            let count = (len as usize).div_ceil(2).min(limit).min(CAPACITY / 2).min(into.room() + 1);
            if count == 0 {
                return None;
            }
            for (piece, at) in loot[..count].iter_mut().zip(head..) {
                *piece = self.ring.place(at).load(Ordering::Relaxed);
            }
            let next = head + count as u64;
            match self.ring.head.0.compare_exchange_weak(head, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break self.carry(&loot[..count], into),
                Err(other) => head = other,
            }
        }
    }

    fn carry(&self, loot: &[*mut Header], into: &Local) -> Option<Task> {
        for header in &loot[1..] {
            // SAFETY: the owner left the tasks' references in the places, and one step took all of them out.
            let task = unsafe { taken(*header) };
            into.push(task).expect("there was room, and only the owner adds");
        }
        // SAFETY: as above.
        Some(unsafe { taken(loot[0]) })
    }
}

impl Local {
    /// How many more there is room for.
    pub(crate) fn room(&self) -> usize {
        CAPACITY - self.len()
    }
}

/// # Safety
///
/// The pointer was in a place, and the caller's step took it out.
unsafe fn taken(header: *mut Header) -> Task {
    let header = NonNull::new(header).expect("a place that was passed by the tail has a task");
    // SAFETY: `push` left the reference there, and the caller took it out.
    unsafe { Task::from_header(header) }
}
