//! The state of a slot: one word, and every step that may be taken on it. What the bits mean is written in `op::slot`.

use crate::loom::{AtomicU32, Ordering};

const LIVE: u32 = 1;
const DONE: u32 = 1 << 1;
const ABANDONED: u32 = 1 << 2;
pub(crate) const CANCEL: u32 = 1 << 3;
const QUEUED: u32 = 1 << 4;
pub(crate) const GO: u32 = 1 << 5;
pub(crate) const BACK: u32 = 1 << 6;
/// Somebody looks at the slot from outside: it may end, and is not used again before that one is done.
const PINNED: u32 = 1 << 7;
/// Its berth was closed, and the system had not given it back.
const LOST: u32 = 1 << 8;

/// What the one who abandons an operation has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Abandoned {
    /// It had ended: let go of it.
    Ended,
    /// Link the slot, so that somebody asks for its end.
    Link,
    /// Nothing: the slot hangs in the list already.
    Linked,
}

#[derive(Debug)]
pub(crate) struct State(AtomicU32);

impl State {
    /// Of a free slot.
    pub(crate) fn new() -> State {
        State(AtomicU32::new(0))
    }

    /// The operation is in the slot. The caller owns it.
    #[inline]
    pub(crate) fn begin(&self) {
        let before = self.0.load(Ordering::Relaxed);
        debug_assert_eq!(before & !QUEUED, 0, "a free slot has no state");
        if before == 0 {
            // In no list, and of no ticket: nobody else changes it.
            self.0.store(LIVE, Ordering::Relaxed);
        } else {
            self.0.fetch_or(LIVE, Ordering::Relaxed);
        }
    }

    /// The operation has ended. True if nobody waits for it: then the caller lets go of it.
    #[inline]
    pub(crate) fn end(&self) -> bool {
        // Added, not joined: that is one instruction, and the bit is not there before.
        let before = self.0.fetch_add(DONE, Ordering::AcqRel);
        debug_assert_eq!(before & (LIVE | DONE), LIVE, "an operation ends once");
        before & ABANDONED != 0
    }

    /// The ticket is dropped: the operation belongs to itself from here on, and is asked to end.
    pub(crate) fn abandon(&self) -> Abandoned {
        // One change: once `ABANDONED` is seen, the slot may end and be used again at any time. And none that would
        // leave a slot in a list after its end: by then nobody may be there to take it out.
        let before = self.change(|state| {
            Some(if state & DONE != 0 { state | ABANDONED } else { state | ABANDONED | CANCEL | QUEUED })
        });
        match before {
            Some(before) if before & DONE != 0 => Abandoned::Ended,
            Some(before) if before & QUEUED == 0 => Abandoned::Link,
            _ => Abandoned::Linked,
        }
    }

    /// The ticket is given up, and the operation goes on: it belongs to itself from here on. True if it had ended: then
    /// the caller lets go of it.
    pub(crate) fn detach(&self) -> bool {
        self.0.fetch_or(ABANDONED, Ordering::AcqRel) & DONE != 0
    }

    /// The ticket's holder asks for the end. True if the caller is to link the slot.
    pub(crate) fn cancel(&self) -> bool {
        let before = self.change(|state| (state & DONE == 0).then_some(state | CANCEL | QUEUED));
        before.is_some_and(|before| before & QUEUED == 0)
    }

    /// Marks an operation under way as to be cancelled; the caller sees to it.
    pub(crate) fn mark_cancelled(&self) {
        // Only while it lives: it may end meanwhile, and a bit that is set on a free slot would be the next operation's.
        self.change(|state| (state & (LIVE | DONE) == LIVE).then_some(state | CANCEL));
    }

    /// The berth of an operation under way is closed, and leaves it behind. It may still end, where others are told.
    pub(crate) fn lose(&self) {
        self.change(|state| (state & (LIVE | DONE) == LIVE).then_some(state | LOST));
    }

    /// It wants attention, for this reason. True if the caller is to link the slot.
    pub(crate) fn nudge(&self, why: u32) -> bool {
        self.0.fetch_or(why | QUEUED, Ordering::AcqRel) & QUEUED == 0
    }

    /// Why it wanted attention. The caller took it out of the list; from here on anybody may link it again.
    pub(crate) fn take_nudge(&self) -> u32 {
        self.0.fetch_and(!(QUEUED | GO | BACK), Ordering::AcqRel)
    }

    /// Keeps an operation under way from being mistaken for the next one in its slot. False if it has ended, or
    /// somebody else keeps it.
    pub(crate) fn pin(&self) -> bool {
        self.change(|state| (state & (LIVE | DONE | PINNED) == LIVE).then_some(state | PINNED)).is_some()
    }

    /// True if the slot became free meanwhile: then the caller gives it back.
    pub(crate) fn unpin(&self) -> bool {
        self.0.fetch_and(!PINNED, Ordering::AcqRel) & LIVE == 0
    }

    /// The operation is out of its slot. True if the caller is to give the slot back; otherwise whoever has it pinned
    /// will.
    pub(crate) fn free(&self) -> bool {
        if self.0.load(Ordering::Acquire) == LIVE | DONE {
            // In no list, looked at by nobody, and its ticket is spent: nobody else changes it.
            self.0.store(0, Ordering::Release);
            return true;
        }
        // A slot may still hang in a list of nudges, for a cancel that came too late.
        self.0.fetch_and(QUEUED | PINNED, Ordering::AcqRel) & PINNED == 0
    }

    pub(crate) fn is_done(&self) -> bool {
        self.0.load(Ordering::Acquire) & DONE != 0
    }

    pub(crate) fn is_under_way(&self) -> bool {
        self.0.load(Ordering::Acquire) & (LIVE | DONE) == LIVE
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire) & CANCEL != 0
    }

    /// Whether it was left behind, and has not ended.
    pub(crate) fn is_lost(&self) -> bool {
        self.0.load(Ordering::Acquire) & (LOST | DONE) == LOST
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.0.load(Ordering::Acquire) & ABANDONED != 0
    }

    /// Free, in no list, and nobody looks at it.
    pub(crate) fn is_forgotten(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }

    /// The state before the change; none if there was none to be made.
    fn change(&self, change: impl FnMut(u32) -> Option<u32>) -> Option<u32> {
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, change).ok()
    }
}
