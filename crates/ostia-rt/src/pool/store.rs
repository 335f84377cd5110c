//! The accounts of a pool: what is out, what is kept, who waits. Plain data: the lock is the pool's, and nothing is
//! woken or freed in here, it is all handed out to be woken and freed without the lock.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    task::Waker,
    time::{Duration, Instant},
};

/// 4 KiB: a page, and about what a small message with its frame needs.
const LEN_MIN_LOG2: u32 = 12;
/// 16 MiB: who moves more at once gains nothing from a pool.
const LEN_MAX_LOG2: u32 = 24;
const CLASSES: usize = (LEN_MAX_LOG2 - LEN_MIN_LOG2 + 1) as usize;
/// The largest buffer there is.
pub(super) const LEN_MAX: usize = 1 << LEN_MAX_LOG2;

/// One of the sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Class(u8);

impl Class {
    pub(super) fn len(self) -> usize {
        1 << (LEN_MIN_LOG2 + u32::from(self.0))
    }
}

/// What a request gets: the bytes are counted as out already.
#[derive(Debug)]
pub(super) enum Grant {
    /// A buffer that was kept.
    Kept(Vec<u8>),
    /// The right to allocate one.
    Room,
}

/// A place in the line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket(u64);

/// What a pool has, and what it has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Bytes that may be out and kept together.
    pub budget_bytes: usize,
    /// Bytes of the buffers that are out.
    pub out_bytes: usize,
    /// How many buffers are out.
    pub out: usize,
    /// Bytes of the buffers that are kept.
    pub kept_bytes: usize,
    /// How many buffers are kept.
    pub kept: usize,
    /// The most bytes that were ever out at once.
    pub high_water_bytes: usize,
    /// Requests that wait.
    pub waiting: usize,
    /// Requests served with a kept buffer.
    pub hits: u64,
    /// Requests for which a buffer was allocated.
    pub misses: u64,
    /// Requests that had to wait.
    pub waits: u64,
    /// Requests that were refused because they would have had to wait.
    pub refusals: u64,
    /// Kept buffers that were freed: nobody needed them, or others needed their room.
    pub trims: u64,
}

#[derive(Debug)]
pub(super) struct Store {
    keep: Duration,
    shelves: [Shelf; CLASSES],
    /// When the kept buffers were looked through last; none if nothing was kept then.
    trimmed: Option<Instant>,
    asked: u64,
    /// Who waits, in the order of asking.
    line: BTreeMap<u64, (Class, Waker)>,
    /// Who waited and has not come for it yet.
    granted: BTreeMap<u64, Grant>,
    usage: Usage,
}

#[derive(Debug, Default)]
struct Shelf {
    /// The one that came home last lies at the back.
    kept: VecDeque<Vec<u8>>,
    /// The fewest that were kept at any time since the last look: so many were not needed.
    spare: usize,
}

impl Store {
    pub(super) fn new(budget: usize, keep: Duration) -> Store {
        Store {
            keep,
            shelves: Default::default(),
            trimmed: None,
            asked: 0,
            line: BTreeMap::new(),
            granted: BTreeMap::new(),
            usage: Usage { budget_bytes: budget, ..Usage::default() },
        }
    }

    pub(super) fn usage(&self) -> Usage {
        Usage { waiting: self.line.len(), ..self.usage }
    }

    /// The smallest size with room for `len` bytes.
    pub(super) fn class(&self, len: usize) -> io::Result<Class> {
        let refuse = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        if len > LEN_MAX {
            return refuse(format!("a pooled buffer has 16 MiB at most, and {len} bytes were asked for"));
        }
        let log2 = len.max(1 << LEN_MIN_LOG2).next_power_of_two().trailing_zeros();
        let class = Class((log2 - LEN_MIN_LOG2) as u8);
        let (size, budget) = (class.len(), self.usage.budget_bytes);
        if size > budget {
            return refuse(format!(
                "a buffer of {size} bytes is more than the pool's budget of {budget} bytes"
            ));
        }
        Ok(class)
    }

    /// A buffer at once, or none: nobody is overtaken.
    pub(super) fn try_take(&mut self, class: Class, freed: &mut Vec<Vec<u8>>) -> Option<Grant> {
        let grant = if self.line.is_empty() { self.grant(class, freed) } else { None };
        self.usage.refusals += u64::from(grant.is_none());
        grant
    }

    /// A buffer at once, or a place in the line: then `waker` is taken.
    pub(super) fn ask(
        &mut self,
        class: Class,
        waker: &mut Option<Waker>,
        freed: &mut Vec<Vec<u8>>,
    ) -> Result<Grant, Ticket> {
        if self.line.is_empty()
            && let Some(grant) = self.grant(class, freed)
        {
            return Ok(grant);
        }
        self.usage.waits += 1;
        let ticket = self.asked;
        self.asked += 1;
        self.line.insert(ticket, (class, waker.take().expect("who asks has a waker")));
        Err(Ticket(ticket))
    }

    /// What was granted meanwhile; otherwise `waker` is exchanged for the one that waited.
    pub(super) fn ask_again(&mut self, ticket: Ticket, waker: &mut Option<Waker>) -> Option<Grant> {
        if let Some((_, waiting)) = self.line.get_mut(&ticket.0) {
            let new = waker.as_mut().expect("who asks has a waker");
            std::mem::swap(waiting, new);
            return None;
        }
        Some(self.granted.remove(&ticket.0).expect("who left the line was granted a buffer"))
    }

    /// Gives up a place in the line, or what was granted since. The waker is to be dropped without the lock.
    pub(super) fn leave(
        &mut self,
        class: Class,
        ticket: Ticket,
        freed: &mut Vec<Vec<u8>>,
        wakers: &mut Vec<Waker>,
    ) -> Option<Waker> {
        if let Some((_, waker)) = self.line.remove(&ticket.0) {
            // Those behind may need less.
            self.serve(freed, wakers);
            return Some(waker);
        }
        match self.granted.remove(&ticket.0) {
            Some(Grant::Kept(bytes)) => self.give_back(class, Some(bytes), freed, wakers),
            Some(Grant::Room) => self.give_back(class, None, freed, wakers),
            None => {}
        }
        None
    }

    /// One buffer less is out.
    pub(super) fn give_back(
        &mut self,
        class: Class,
        bytes: Option<Vec<u8>>,
        freed: &mut Vec<Vec<u8>>,
        wakers: &mut Vec<Waker>,
    ) {
        self.usage.out -= 1;
        self.usage.out_bytes -= class.len();
        if let Some(bytes) = bytes {
            self.usage.kept += 1;
            self.usage.kept_bytes += class.len();
            self.shelf(class).kept.push_back(bytes);
        }
        self.serve(freed, wakers);
    }

    /// Frees what was kept all the time since the last look, if that is long enough ago; says when to look again.
    pub(super) fn trim(&mut self, now: Instant, freed: &mut Vec<Vec<u8>>) -> Option<Instant> {
        if self.usage.kept == 0 {
            self.trimmed = None;
            return None;
        }
        match self.trimmed {
            Some(trimmed) if now.saturating_duration_since(trimmed) < self.keep => {}
            trimmed => {
                for class in (0..CLASSES).map(|class| Class(class as u8)) {
                    // Without an earlier look nobody knows for how long they have been kept.
                    let spare = if trimmed.is_some() { self.shelf(class).spare } else { 0 };
                    (0..spare).for_each(|_| self.free(class, freed));
                    let shelf = self.shelf(class);
                    shelf.spare = shelf.kept.len();
                }
                self.trimmed = Some(now);
            }
        }
        let next = self.trimmed?.checked_add(self.keep)?;
        (self.usage.kept != 0).then_some(next)
    }

    /// Serves those who wait, in their order, until one of them needs more than there is.
    fn serve(&mut self, freed: &mut Vec<Vec<u8>>, wakers: &mut Vec<Waker>) {
        while let Some((&ticket, &(class, _))) = self.line.first_key_value() {
            let Some(grant) = self.grant(class, freed) else { break };
            self.granted.insert(ticket, grant);
            if let Some((_, (_, waker))) = self.line.pop_first() {
                wakers.push(waker);
            }
        }
    }

    /// Counts one buffer as out, if the budget has room for it.
    fn grant(&mut self, class: Class, freed: &mut Vec<Vec<u8>>) -> Option<Grant> {
        let size = class.len();
        if self.usage.out_bytes + size > self.usage.budget_bytes {
            return None;
        }
        self.usage.out += 1;
        self.usage.out_bytes += size;
        self.usage.high_water_bytes = self.usage.high_water_bytes.max(self.usage.out_bytes);
        let shelf = self.shelf(class);
        if let Some(bytes) = shelf.kept.pop_back() {
            shelf.spare = shelf.spare.min(shelf.kept.len());
            self.usage.kept -= 1;
            self.usage.kept_bytes -= size;
            self.usage.hits += 1;
            return Some(Grant::Kept(bytes));
        }
        // The largest first: fewest are lost.
        for class in (0..CLASSES).rev().map(|class| Class(class as u8)) {
            while self.usage.out_bytes + self.usage.kept_bytes > self.usage.budget_bytes
                && !self.shelf(class).kept.is_empty()
            {
                self.free(class, freed);
            }
        }
        self.usage.misses += 1;
        Some(Grant::Room)
    }

    /// Frees the buffer that came home first of those kept.
    fn free(&mut self, class: Class, freed: &mut Vec<Vec<u8>>) {
        let shelf = self.shelf(class);
        if let Some(bytes) = shelf.kept.pop_front() {
            shelf.spare = shelf.spare.min(shelf.kept.len());
            freed.push(bytes);
            self.usage.kept -= 1;
            self.usage.kept_bytes -= class.len();
            self.usage.trims += 1;
        }
    }

    fn shelf(&mut self, class: Class) -> &mut Shelf {
        &mut self.shelves[usize::from(class.0)]
    }
}
