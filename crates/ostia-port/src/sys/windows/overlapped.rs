//! The header that the kernel writes to, at the start of each slot, and the two sides of one call.
//!
//! A call that takes time is told twice: by what it returns, to the thread that made it, and by a packet, which any
//! thread may take out of the port before the call has even returned. The slot must stay the operation's until
//! both have been seen, so the second of the two goes on with it:
//!
//! | bits of `phase` | meaning |
//! |---|---|
//! | none | nothing is with the kernel, or the call has not returned yet |
//! | `ISSUED` | the call has returned, and a packet will come |
//! | `DEQUEUED` | the packet has come |
//! | `CANCEL` | somebody wants the operation's end: whoever sets `ISSUED` asks the kernel for it |

use std::{
    cell::UnsafeCell,
    fmt,
    mem::offset_of,
    ptr,
    sync::{
        Mutex,
        atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering},
    },
};

use windows_sys::Win32::{
    Foundation::{ERROR_OPERATION_ABORTED, HANDLE},
    System::IO::{CancelIoEx, OVERLAPPED},
};

use super::{accept::Accepting, afd::PollRoom, error};
use crate::op::slot::{Flight, Slot};

pub(super) const ISSUED: u32 = 1;
pub(super) const DEQUEUED: u32 = 1 << 1;
pub(super) const CANCEL: u32 = 1 << 2;

/// What an OVERLAPPED belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Whose {
    /// A slot: the header lies at its start.
    Slot,
    /// One of the several calls of an accept: see `accept`.
    Accept,
}

/// An OVERLAPPED, and behind it, out of the kernel's sight, what it belongs to.
#[repr(C)]
pub(super) struct Head {
    overlapped: UnsafeCell<OVERLAPPED>,
    pub(super) whose: Whose,
}

// The kernel is given the address of the slot as that of an OVERLAPPED.
const _: () = assert!(offset_of!(Head, overlapped) == 0);
const _: () = assert!(offset_of!(Aside, head) == 0);
const _: () = assert!(offset_of!(Slot, sys) == 0);

/// How a call ended: the operation's own status, and the bytes it moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    /// The Win32 or Winsock code; 0 for success.
    pub(super) code: u32,
    pub(super) bytes: usize,
}

impl Head {
    pub(super) fn new(whose: Whose) -> Head {
        Head { overlapped: UnsafeCell::new(OVERLAPPED::default()), whose }
    }

    /// Makes the header ready for one more call.
    ///
    /// # Safety
    ///
    /// No call with this header is under way.
    pub(super) unsafe fn reset(&self, offset: u64) {
        let mut fresh = OVERLAPPED::default();
        fresh.Anonymous.Anonymous.Offset = offset as u32;
        fresh.Anonymous.Anonymous.OffsetHigh = (offset >> 32) as u32;
        // SAFETY: the caller promises that neither the kernel nor another thread uses it.
        unsafe { self.overlapped.get().write(fresh) };
    }

    /// The status that the kernel wrote here. The one in a port's entry is not documented to be the same.
    ///
    /// # Safety
    ///
    /// The call has ended: it said so, or its packet has come.
    pub(super) unsafe fn answer(&self) -> Answer {
        // SAFETY: the kernel has written it, and writes no more. Volatile: no code of this program wrote it.
        let overlapped = unsafe { self.overlapped.get().read_volatile() };
        let (status, bytes) = (overlapped.Internal, overlapped.InternalHigh);
        // The status is a number of 32 bits in a field of 64.
        Answer { code: error::of_status(status as u32), bytes }
    }
}

/// What lies beside an operation in its slot.
#[repr(C)]
pub(crate) struct Aside {
    head: Head,
    phase: AtomicU32,
    /// Where the call under way is to be cancelled; set before `ISSUED`.
    target: AtomicUsize,
    /// What was moved so far. The flight's holder's, as all below.
    pub(super) done: AtomicUsize,
    /// How far an operation of several steps is.
    pub(super) stage: AtomicU32,
    /// The number of a lent buffer.
    pub(super) piece: AtomicU32,
    /// What the wait for readiness reads and writes.
    pub(super) poll: PollRoom,
    /// A message that was gathered from several buffers.
    pub(super) gathered: Mutex<Vec<u8>>,
    /// The calls of an accept; never freed, so a late cancel may look there.
    pub(super) accepting: AtomicPtr<Accepting>,
}

impl Default for Aside {
    fn default() -> Aside {
        Aside {
            head: Head::new(Whose::Slot),
            phase: AtomicU32::new(0),
            target: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            stage: AtomicU32::new(0),
            piece: AtomicU32::new(0),
            poll: PollRoom::default(),
            gathered: Mutex::default(),
            accepting: AtomicPtr::new(ptr::null_mut()),
        }
    }
}

impl fmt::Debug for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aside").field("phase", &self.phase).finish_non_exhaustive()
    }
}

impl Aside {
    /// A new operation begins in this slot.
    pub(super) fn begin(&self) {
        self.done.store(0, Ordering::Relaxed);
        self.stage.store(0, Ordering::Relaxed);
        self.accepting.store(ptr::null_mut(), Ordering::Relaxed);
    }
}

/// The address that the kernel gets; as a pointer to the whole slot, so that it may be turned back into one.
pub(super) fn overlapped_of(slot: &'static Slot) -> *mut OVERLAPPED {
    ptr::from_ref(slot).cast_mut().cast()
}

/// What a call said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// It is done; whether a packet comes, too, depends on the handle.
    Done,
    /// A packet will come.
    Pending,
    /// It failed, and no packet will come.
    Failed(u32),
}

/// What became of a call.
#[must_use]
pub(super) enum Issued {
    /// The kernel has the operation.
    Under,
    Ended(Flight, Answer),
}

/// Makes one call for an operation. `skip`: the handle gives no packet for a call that succeeds at once.
pub(super) fn issue(
    flight: Flight,
    target: HANDLE,
    skip: bool,
    offset: u64,
    call: impl FnOnce(*mut OVERLAPPED) -> Said,
) -> Issued {
    let aside = &flight.slot().sys;
    // Who asks for a cancel marks the slot first and the phase then: either that is seen in the next line, or by
    // whoever sets `ISSUED`.
    aside.phase.swap(0, Ordering::AcqRel);
    if flight.is_cancelled() {
        return Issued::Ended(flight, Answer { code: ERROR_OPERATION_ABORTED, bytes: 0 });
    }
    aside.target.store(target.addr(), Ordering::Relaxed);
    // SAFETY: the flight is here, so nothing of it is with the kernel.
    unsafe { aside.head.reset(offset) };
    let slot = flight.hand_over();
    match call(overlapped_of(slot)) {
        Said::Failed(code) => {
            // SAFETY: the call failed, so no packet gives the flight to anyone else.
            let flight = unsafe { Flight::take_up(slot) };
            Issued::Ended(flight, Answer { code, bytes: 0 })
        }
        Said::Done if skip => {
            // SAFETY: it succeeded at once, and its handle sends no packet then.
            let flight = unsafe { Flight::take_up(slot) };
            // SAFETY: it has ended.
            let answer = unsafe { slot.sys.head.answer() };
            Issued::Ended(flight, answer)
        }
        Said::Done | Said::Pending => meet_packet(slot),
    }
}

/// The call has returned, and its packet has come or will.
fn meet_packet(slot: &'static Slot) -> Issued {
    let aside = &slot.sys;
    let mut phase = aside.phase.load(Ordering::Acquire);
    loop {
        if phase & (CANCEL | DEQUEUED) == CANCEL {
            cancel_call(slot);
        }
        match aside.phase.compare_exchange(phase, phase | ISSUED, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => break,
            Err(now) => phase = now,
        }
    }
    if phase & DEQUEUED == 0 {
        // From here on the slot is that of whoever takes the packet.
        return Issued::Under;
    }
    // SAFETY: the packet came first, and whoever took it left the flight to us.
    let flight = unsafe { Flight::take_up(slot) };
    // SAFETY: its packet has come.
    let answer = unsafe { aside.head.answer() };
    Issued::Ended(flight, answer)
}

/// The packet of a slot has come. None if the thread that made the call goes on with it, or if no call of this
/// slot was under way.
///
/// # Safety
///
/// The packet is the kernel's answer to a call for this slot.
pub(super) unsafe fn dequeued(slot: &'static Slot) -> Option<(Flight, Answer)> {
    let before = slot.sys.phase.fetch_or(DEQUEUED, Ordering::AcqRel);
    if before & (ISSUED | DEQUEUED) != ISSUED {
        return None;
    }
    // SAFETY: the packet has come.
    let answer = unsafe { slot.sys.head.answer() };
    // SAFETY: the call had returned, and of call and packet the second is here.
    Some((unsafe { Flight::take_up(slot) }, answer))
}

/// Asks the kernel for the end of the call under way, if there is one. False if there is none: then the operation
/// may be waiting elsewhere. The slot is pinned.
pub(super) fn cancel(slot: &'static Slot) -> bool {
    let before = slot.sys.phase.fetch_or(CANCEL, Ordering::AcqRel);
    let under_way = before & (ISSUED | DEQUEUED) == ISSUED;
    if under_way {
        cancel_call(slot);
    }
    under_way
}

fn cancel_call(slot: &'static Slot) {
    let target = ptr::without_provenance_mut(slot.sys.target.load(Ordering::Relaxed));
    // "Not found" tells nothing: the packet is on its way. It comes in any case.
    // SAFETY: the header belongs to a slot, which is never freed; a handle that is closed by now has no call of it.
    unsafe { CancelIoEx(target, overlapped_of(slot)) };
}
