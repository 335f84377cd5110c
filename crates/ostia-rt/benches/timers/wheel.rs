//! The other candidate: a hierarchical wheel. Ticks of 32.8 us, eight levels of 64 slots, lists through the slab.

use std::{
    task::Waker,
    time::{Duration, Instant},
};

const LEVELS: usize = 8;
const SLOTS: usize = 64;
const TICK_BITS: u32 = 15;
const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    slot: u32,
    turn: u64,
}

struct Timer {
    tick: u64,
    turn: u64,
    before: u32,
    after: u32,
    /// Level and place of its list; what is due already lies in no list but the last one.
    list: u32,
    waker: Option<Waker>,
}

pub(crate) struct Wheel {
    origin: Instant,
    elapsed: u64,
    heads: Vec<u32>,
    occupied: [u64; LEVELS],
    timers: Vec<Timer>,
    free: u32,
    inserted: u64,
    len: usize,
}

impl Wheel {
    pub(crate) fn new(origin: Instant) -> Wheel {
        Wheel {
            origin,
            elapsed: 0,
            heads: vec![NONE; LEVELS * SLOTS + 1],
            occupied: [0; LEVELS],
            timers: Vec::new(),
            free: NONE,
            inserted: 0,
            len: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn insert(&mut self, deadline: Instant, waker: Waker) -> Key {
        let turn = self.inserted;
        self.inserted += 1;
        self.len += 1;
        // Rounded up: a timer is never early.
        let tick = self.nanos(deadline).saturating_add((1 << TICK_BITS) - 1) >> TICK_BITS;
        let timer = Timer { tick, turn, before: NONE, after: NONE, list: NONE, waker: Some(waker) };
        let slot = if self.free == NONE {
            self.timers.push(timer);
            self.timers.len() as u32 - 1
        } else {
            let slot = self.free;
            self.free = self.timers[slot as usize].after;
            self.timers[slot as usize] = timer;
            slot
        };
        self.link(slot);
        Key { slot, turn }
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<Waker> {
        let timer = self.timers.get_mut(key.slot as usize)?;
        if timer.turn != key.turn {
            return None;
        }
        let waker = timer.waker.take()?;
        self.unlink(key.slot);
        self.release(key.slot);
        Some(waker)
    }

    /// Not exact above the first level: when the list has to be looked at.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        if self.heads[LEVELS * SLOTS] != NONE {
            return Some(self.origin);
        }
        let (level, place) = self.next_list()?;
        let tick = self.start(level, place);
        Some(self.origin + Duration::from_nanos(tick << TICK_BITS))
    }

    pub(crate) fn take_due(&mut self, now: Instant, into: &mut Vec<Waker>) {
        let now = self.nanos(now) >> TICK_BITS;
        self.empty(LEVELS * SLOTS, into);
        while let Some((level, place)) = self.next_list() {
            let start = self.start(level, place);
            if start > now {
                break;
            }
            self.elapsed = start;
            let list = level * SLOTS + place;
            if level == 0 {
                self.empty(list, into);
            } else {
                while self.heads[list] != NONE {
                    let slot = self.heads[list];
                    self.unlink(slot);
                    self.link(slot);
                }
                self.empty(LEVELS * SLOTS, into);
            }
        }
        self.elapsed = self.elapsed.max(now);
    }

    fn empty(&mut self, list: usize, into: &mut Vec<Waker>) {
        while self.heads[list] != NONE {
            let slot = self.heads[list];
            self.unlink(slot);
            into.push(self.timers[slot as usize].waker.take().expect("it waits"));
            self.release(slot);
        }
    }

    fn release(&mut self, slot: u32) {
        self.len -= 1;
        let timer = &mut self.timers[slot as usize];
        timer.turn = u64::MAX;
        timer.after = self.free;
        self.free = slot;
    }

    fn next_list(&self) -> Option<(usize, usize)> {
        for (level, &occupied) in self.occupied.iter().enumerate() {
            if occupied != 0 {
                let now = (self.elapsed >> (6 * level)) as u32 % 64;
                let ahead = occupied.rotate_right(now).trailing_zeros();
                return Some((level, ((now + ahead) % 64) as usize));
            }
        }
        None
    }

    fn start(&self, level: usize, place: usize) -> u64 {
        let width = 1_u64 << (6 * level);
        let lap = width << 6;
        let base = self.elapsed & !(lap - 1);
        let start = base + place as u64 * width;
        if start < self.elapsed & !(width - 1) { start + lap } else { start }
    }

    fn link(&mut self, slot: u32) {
        let tick = self.timers[slot as usize].tick;
        let list = if tick <= self.elapsed {
            LEVELS * SLOTS
        } else {
            let level = (((tick ^ self.elapsed) | 63).ilog2() / 6) as usize;
            let place = (tick >> (6 * level)) as usize % SLOTS;
            self.occupied[level] |= 1 << place;
            level * SLOTS + place
        };
        let head = std::mem::replace(&mut self.heads[list], slot);
        if head != NONE {
            self.timers[head as usize].before = slot;
        }
        let timer = &mut self.timers[slot as usize];
        (timer.list, timer.before, timer.after) = (list as u32, NONE, head);
    }

    fn unlink(&mut self, slot: u32) {
        let Timer { list, before, after, .. } = self.timers[slot as usize];
        if after != NONE {
            self.timers[after as usize].before = before;
        }
        if before != NONE {
            self.timers[before as usize].after = after;
        } else {
            self.heads[list as usize] = after;
            let (level, place) = (list as usize / SLOTS, list as usize % SLOTS);
            if after == NONE && level < LEVELS {
                self.occupied[level] &= !(1 << place);
            }
        }
    }

    fn nanos(&self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.origin);
        since.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(since.subsec_nanos()))
    }
}
