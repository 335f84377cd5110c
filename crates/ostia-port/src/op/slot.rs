//! The slot of one operation: what the kernel, the back end and the ticket share while it is under way.
//!
//! | bits | who may touch the body | who may change them |
//! |---|---|---|
//! | none | the berth that owns the slab: the slot is free | that berth, by `begin` |
//! | `LIVE` | whoever holds the [`Flight`]: berth, turn, back end, offload thread, one after the other | |
//! | `LIVE`, `DONE` | whoever holds the ticket | the holder of the flight, once, by `finish` |
//! | `LIVE`, `DONE`, `ABANDONED` | whichever of the two came second; it frees the slot | the ticket's drop, or its `detach` |
//! | `CANCEL` | (beside the others) somebody asked for the end | anyone |
//! | `QUEUED` | (beside the others, also when free) the slot hangs in a quay's list of nudges | see `quay` |
//! | `GO`, `BACK` | the flight hangs there too: its turn has come, or its result is in the body | the flight's holder |
//! | `PINNED` | (beside the others) somebody looks from outside: it may end, and is not used again yet | whoever looks |
//! | `LOST` | (beside `LIVE`) its berth was closed and has left it behind | the berth that owned the slab |
//!
//! A slot's memory is never given back (see `slab`), so a late look at one is a look at the next operation, which
//! the generation tells apart, and never at foreign memory.

use std::{
    cell::UnsafeCell,
    collections::VecDeque,
    fmt, io,
    mem::MaybeUninit,
    panic::{self, AssertUnwindSafe},
    ptr::{self, NonNull},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicPtr, AtomicU8, AtomicU32, Ordering},
    },
};

use super::{Op, Outcome, Request, TicketId, slab::Slab};
pub(crate) use crate::shared::{BACK, CANCEL, GO};
use crate::{
    handle, loom,
    shared::{Abandoned, Link, State},
    sys,
    turn::{Direction, Turn},
};

/// Where the flight of an operation is, so that a cancel knows where to look. Only a hint: it is looked for
/// there under that place's lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum At {
    BackEnd,
    Turn,
    Timers,
    Offload,
}

/// Room for an operation inside its slot. The largest of ours, a datagram with its address and slices, is a
/// little smaller; a larger one of a caller's own buffer type is boxed.
const STORAGE_WORDS: usize = 64;

#[repr(C, align(64))]
pub(crate) struct Slot {
    /// What a back end keeps beside the operation; on Windows the OVERLAPPED.
    pub(crate) sys: sys::Aside,
    pub(crate) state: State,
    generation: AtomicU32,
    pub(crate) index: u32,
    pub(crate) slab: &'static Slab,
    /// The next slot in a quay's list of nudges; belongs to whoever set `QUEUED`.
    pub(crate) nudge_next: loom::AtomicPtr<Slot>,
    /// The next free slot; belongs to the list the slot is in.
    pub(crate) free_next: loom::AtomicPtr<Slot>,
    at: AtomicU8,
    /// The line in which it waits for its turn. Turns are never freed, so looking there is always allowed.
    turn: AtomicPtr<Turn>,
    /// Its place among the timers, or where its back end keeps it; a hint to whoever has the flight.
    pub(crate) place: AtomicU32,
    body: UnsafeCell<Body>,
    /// Results of an operation that yields many.
    items: Mutex<VecDeque<Outcome>>,
}

/// The list of a quay's nudges.
#[derive(Debug)]
pub(crate) struct Nudges;

impl Link for Nudges {
    type Node = Slot;

    fn next(slot: &Slot) -> &loom::AtomicPtr<Slot> {
        &slot.nudge_next
    }
}

/// The lists of a slab's free slots.
#[derive(Debug)]
pub(crate) struct Free;

impl Link for Free {
    type Node = Slot;

    fn next(slot: &Slot) -> &loom::AtomicPtr<Slot> {
        &slot.free_next
    }
}

// SAFETY: `body` is touched only by whom the table above names; everything else is atomic or locked. What is in
// the storage is `Send`, by the bound of `begin`.
unsafe impl Sync for Slot {}
// SAFETY: as above.
unsafe impl Send for Slot {}

struct Body {
    request: MaybeUninit<Request>,
    outcome: Outcome,
    /// See [`Flight::progress`].
    progress: usize,
    /// The handle the operation is on, alive because the operation holds a reference to it.
    handle: Option<NonNull<handle::Inner>>,
    direction: Option<Direction>,
    table: Option<&'static Table>,
    storage: Storage,
}

#[repr(C, align(16))]
struct Storage([MaybeUninit<u64>; STORAGE_WORDS]);

/// What can be done with an operation whose type is forgotten.
pub(crate) struct Table {
    /// Takes the operation out and lets go of it and of its result.
    discard: unsafe fn(*mut Storage, Outcome),
    /// Lets go of one result of many.
    discard_item: unsafe fn(*mut Storage, Outcome),
}

struct TableOf<O>(std::marker::PhantomData<O>);

impl<O: Op> TableOf<O> {
    const TABLE: Table = Table { discard: discard::<O>, discard_item: discard_item::<O> };
}

const fn fits<O>() -> bool {
    size_of::<O>() <= size_of::<Storage>() && align_of::<O>() <= align_of::<Storage>()
}

/// # Safety
///
/// The storage holds an `O`, and nobody uses it after this call.
unsafe fn take<O: Op>(storage: *mut Storage) -> O {
    if fits::<O>() {
        // SAFETY: the caller promises that an `O` lies here; `fits` is what `begin` asked, too.
        unsafe { ptr::read(storage.cast::<O>()) }
    } else {
        // SAFETY: as above; what did not fit was boxed by `begin`.
        let boxed = unsafe { ptr::read(storage.cast::<Box<O>>()) };
        *boxed
    }
}

/// # Safety
///
/// The storage holds an `O`, and nobody else uses it during `'a`.
unsafe fn peek<'a, O: Op>(storage: *mut Storage) -> &'a mut O {
    if fits::<O>() {
        // SAFETY: the caller promises that an `O` lies here.
        unsafe { &mut *storage.cast::<O>() }
    } else {
        // SAFETY: as above; what did not fit was boxed by `begin`.
        unsafe { &mut *storage.cast::<Box<O>>() }
    }
}

unsafe fn discard<O: Op>(storage: *mut Storage, outcome: Outcome) {
    // SAFETY: the table is that of the type which `begin` stored.
    let op = unsafe { take::<O>(storage) };
    drop(op.finish(outcome));
}

unsafe fn discard_item<O: Op>(storage: *mut Storage, outcome: Outcome) {
    // SAFETY: the table is that of the type which `begin` stored.
    let op = unsafe { peek::<O>(storage) };
    op.discard_item(outcome);
}

impl Slot {
    pub(crate) fn new(index: u32, slab: &'static Slab) -> Slot {
        Slot {
            sys: sys::Aside::default(),
            state: State::new(),
            generation: AtomicU32::new(1),
            index,
            slab,
            nudge_next: loom::AtomicPtr::new(ptr::null_mut()),
            free_next: loom::AtomicPtr::new(ptr::null_mut()),
            at: AtomicU8::new(At::BackEnd as u8),
            turn: AtomicPtr::new(ptr::null_mut()),
            place: AtomicU32::new(0),
            body: UnsafeCell::new(Body {
                request: MaybeUninit::uninit(),
                outcome: Outcome::ok(0),
                progress: 0,
                handle: None,
                direction: None,
                table: None,
                storage: Storage([MaybeUninit::uninit(); STORAGE_WORDS]),
            }),
            items: Mutex::new(VecDeque::new()),
        }
    }

    pub(crate) fn id(&self) -> TicketId {
        TicketId {
            berth: self.slab.number(),
            index: self.index,
            generation: self.generation.load(Ordering::Relaxed),
        }
    }

    /// Index and generation, as a back end gives them to the kernel.
    #[cfg_attr(windows, allow(dead_code, reason = "IOCP tells an operation by its OVERLAPPED, not by a key"))]
    pub(crate) fn key(&self) -> u64 {
        u64::from(self.generation.load(Ordering::Relaxed)) << 32 | u64::from(self.index)
    }

    /// Puts an operation into a free slot.
    ///
    /// The caller owns the slot: it has just been taken from the free list.
    #[inline]
    pub(crate) fn begin<O: Op>(&'static self, op: O) -> Flight {
        let body = self.body.get();
        // SAFETY: the slot is free and ours, so the body is, too.
        let storage = unsafe { &raw mut (*body).storage };
        if fits::<O>() {
            // SAFETY: it fits, and the storage is as aligned as `fits` asked.
            unsafe { ptr::write(storage.cast::<O>(), op) };
        } else {
            // SAFETY: a box is a word.
            unsafe { ptr::write(storage.cast::<Box<O>>(), Box::new(op)) };
        }
        // SAFETY: an `O` was stored in the line above, and nobody else knows of it yet.
        let op = unsafe { peek::<O>(storage) };
        let target = op.target().map(|(handle, direction)| (NonNull::from(handle.inner()), direction));
        let request = op.prepare();
        let (handle, direction) =
            target.map_or((None, None), |(handle, direction)| (Some(handle), direction));
        // Field by field: a reference to the whole body would take the request's pointers into it their right to point.
        // SAFETY: the body is ours, as above; so for each field.
        unsafe { (*body).request = MaybeUninit::new(request) };
        // SAFETY: as above.
        unsafe { (*body).progress = 0 };
        // SAFETY: as above.
        unsafe { (*body).handle = handle };
        // SAFETY: as above.
        unsafe { (*body).direction = direction };
        // SAFETY: as above.
        unsafe { (*body).table = Some(&TableOf::<O>::TABLE) };
        self.at.store(At::BackEnd as u8, Ordering::Relaxed);
        self.state.begin();
        Flight { slot: self }
    }

    /// Takes the operation and its outcome out of a slot that is done, and frees the slot.
    ///
    /// The caller is the ticket of this operation, whose type is `O`, and gives the slot up.
    #[inline]
    pub(crate) fn take_done<O: Op>(&'static self) -> Ended<O> {
        assert!(self.is_done(), "an operation is taken after its end");
        let body = self.body.get();
        // SAFETY: `DONE` gave the body to the ticket, which is the caller.
        let outcome = unsafe { (*body).outcome };
        // SAFETY: as above.
        let storage = unsafe { &raw mut (*body).storage };
        // SAFETY: the ticket knows the type it was made with; the slot is freed below, so nobody takes it twice.
        let op = unsafe { take::<O>(storage) };
        self.free();
        Ended { op, outcome }
    }

    /// Makes one result of many out of a back end's answer. The caller is the ticket, whose type is `O`, and asks the
    /// operation for its handle only.
    pub(crate) fn item_by<O: Op, R>(&'static self, make: impl FnOnce(&O) -> R) -> R {
        // SAFETY: taking the address reads nothing.
        let storage = unsafe { &raw mut (*self.body.get()).storage };
        // SAFETY: the ticket knows the type it was made with; `make` reads only the handle, which nobody writes.
        make(unsafe { peek::<O>(storage) })
    }

    /// Lets go of an operation that is both done and abandoned. Called by whichever of the two came second.
    fn discard(&'static self) {
        let body = self.body.get();
        // SAFETY: both sides have given the slot up; the second of them, and nobody else, is here.
        let table = unsafe { (*body).table };
        // SAFETY: as above.
        let outcome = unsafe { (*body).outcome };
        // SAFETY: as above.
        let storage = unsafe { &raw mut (*body).storage };
        let table = table.expect("a live slot has a table");
        for item in self.drain_items() {
            // SAFETY: the table belongs to the type that was stored.
            unsafe { (table.discard_item)(storage, item) };
        }
        let let_go = AssertUnwindSafe(|| {
            // SAFETY: as above, and the slot is freed next.
            unsafe { (table.discard)(storage, outcome) }
        });
        // This is in the midst of others' completions: a caller's buffer that panics is not to take them along.
        if panic::catch_unwind(let_go).is_err() {
            tracing::error!(id = %self.id(), "the buffer of an abandoned operation panicked when it was dropped");
        }
        self.free();
    }

    fn free(&'static self) {
        // Only whoever frees the slot changes its generation.
        let generation = self.generation.load(Ordering::Relaxed).wrapping_add(1);
        self.generation.store(generation, Ordering::Relaxed);
        if self.state.free() {
            self.slab.give_back(self);
        }
    }

    /// Keeps an operation under way from being mistaken for the next one in its slot: until the pin is dropped
    /// the slot is not used again. None if the operation has ended.
    pub(crate) fn pin(&'static self) -> Option<Pin> {
        // Made only when it is one: to drop a pin takes it away.
        self.state.pin().then(|| Pin { slot: self })
    }

    pub(crate) fn now_at(&self, at: At) {
        self.at.store(at as u8, Ordering::Relaxed);
    }

    /// It waits for its turn there.
    pub(crate) fn now_in_line(&self, turn: &'static Turn) {
        self.turn.store(ptr::from_ref(turn).cast_mut(), Ordering::Relaxed);
        self.now_at(At::Turn);
    }

    /// Takes the operation out of the line in which it waits for its turn, if it does.
    pub(crate) fn withdraw_from_line(&'static self) -> Option<Flight> {
        // SAFETY: turns are never freed; the pointer is null or was one.
        let turn = unsafe { self.turn.load(Ordering::Relaxed).as_ref() }?;
        turn.withdraw(self)
    }

    pub(crate) fn at(&self) -> At {
        const PLACES: [At; 4] = [At::BackEnd, At::Turn, At::Timers, At::Offload];
        PLACES[usize::from(self.at.load(Ordering::Relaxed))]
    }

    fn drain_items(&self) -> VecDeque<Outcome> {
        std::mem::take(&mut *self.items.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn has_items(&self) -> bool {
        !self.items.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// The next of many results, which stays.
    pub(crate) fn first_item(&self) -> Option<Outcome> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).front().copied()
    }

    /// The next of many results.
    pub(crate) fn next_item(&self) -> Option<Outcome> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// The ticket is dropped: the operation belongs to itself from here on, and is asked to end.
    pub(crate) fn abandon(&'static self) {
        let quay = self.slab.quay();
        match self.state.abandon() {
            Abandoned::Ended => self.discard(),
            Abandoned::Link => quay.link(self),
            Abandoned::Linked => {}
        }
    }

    /// The ticket is given up: the operation belongs to itself from here on, and ends when it ends.
    pub(crate) fn detach(&'static self) {
        if self.state.detach() {
            self.discard();
        }
    }

    /// The ticket's holder asks for the end.
    pub(crate) fn cancel(&'static self) {
        if self.state.cancel() {
            self.slab.quay().link(self);
        }
    }

    /// Marks an operation under way as to be cancelled; the caller sees to it itself, and is the owner of the slab:
    /// nobody else could use the slot for another operation meanwhile.
    pub(crate) fn mark_cancelled(&self) {
        self.state.mark_cancelled();
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state.is_done()
    }

    pub(crate) fn is_under_way(&self) -> bool {
        self.state.is_under_way()
    }

    /// Whether somebody asked for this operation's end.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.state.is_cancelled()
    }

    /// Marks an operation under way as left behind; the caller is its berth, which closes.
    pub(crate) fn lose(&self) {
        self.state.lose();
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.state.is_lost()
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("id", &self.id()).field("state", &self.state).finish_non_exhaustive()
    }
}

/// An operation under way. There is one for each, and giving it up is the one way to end the operation: so it
/// ends once, and whoever holds the flight may use what the request points to.
#[must_use = "an operation whose flight is lost never ends"]
pub(crate) struct Flight {
    slot: &'static Slot,
}

impl Flight {
    pub(crate) fn slot(&self) -> &'static Slot {
        self.slot
    }

    #[cfg_attr(windows, allow(dead_code, reason = "IOCP tells an operation by its OVERLAPPED, not by a key"))]
    pub(crate) fn key(&self) -> u64 {
        self.slot.key()
    }

    /// What is asked for. Its pointers are good until the flight ends.
    #[inline]
    pub(crate) fn request(&self) -> &Request {
        // SAFETY: the holder of the flight owns the body.
        let request = unsafe { &(*self.slot.body.get()).request };
        // SAFETY: `begin` wrote the request before there was a flight.
        unsafe { request.assume_init_ref() }
    }

    /// As [`Flight::request`], for a back end that goes on with the rest of a transfer.
    #[cfg_attr(windows, allow(dead_code, reason = "a transfer that is continued is Linux's way"))]
    #[inline]
    pub(crate) fn request_mut(&mut self) -> &mut Request {
        // SAFETY: the holder of the flight owns the body, and the flight is borrowed exclusively.
        let request = unsafe { &mut (*self.slot.body.get()).request };
        // SAFETY: `begin` wrote the request before there was a flight.
        unsafe { request.assume_init_mut() }
    }

    /// The handle the operation is on.
    #[inline]
    pub(crate) fn handle(&self) -> Option<&handle::Inner> {
        // SAFETY: the holder of the flight owns the body.
        let handle = unsafe { (*self.slot.body.get()).handle }?;
        // SAFETY: the operation in the body keeps the handle alive.
        Some(unsafe { handle.as_ref() })
    }

    /// Which of the handle's turns it takes.
    #[inline]
    pub(crate) fn direction(&self) -> Option<Direction> {
        // SAFETY: the holder of the flight owns the body.
        unsafe { (*self.slot.body.get()).direction }
    }

    /// Whether somebody asked for the end.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.slot.is_cancelled()
    }

    /// Adds one result of many. False if nobody wants it any more; then it has been let go of.
    pub(crate) fn item(&self, outcome: Outcome) -> bool {
        if self.slot.state.is_abandoned() {
            // SAFETY: the holder of the flight owns the body.
            let table = unsafe { (*self.slot.body.get()).table };
            // SAFETY: taking the address reads nothing.
            let storage = unsafe { &raw mut (*self.slot.body.get()).storage };
            // SAFETY: the table belongs to the type that was stored, and the ticket is gone.
            unsafe { (table.expect("a live slot has a table").discard_item)(storage, outcome) };
            return false;
        }
        self.slot.items.lock().unwrap_or_else(PoisonError::into_inner).push_back(outcome);
        true
    }

    /// How many results nobody has taken yet.
    pub(crate) fn items_waiting(&self) -> usize {
        self.slot.items.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Ends the operation. `Some` if a ticket waits for it; otherwise everything has been let go of.
    #[inline]
    pub(crate) fn finish(self, outcome: Outcome) -> Option<TicketId> {
        let slot = self.slot;
        let id = slot.id();
        // SAFETY: the flight owned the body until the line below.
        unsafe { (*slot.body.get()).outcome = outcome };
        if slot.state.end() {
            slot.discard();
            return None;
        }
        Some(id)
    }

    /// How much of a transfer has been done, by a back end that goes on with the rest of it; 0 at first.
    #[cfg_attr(windows, allow(dead_code, reason = "a transfer that is continued is Linux's way"))]
    pub(crate) fn progress(&self) -> usize {
        // SAFETY: the holder of the flight owns the body.
        unsafe { (*self.slot.body.get()).progress }
    }

    #[cfg_attr(windows, allow(dead_code, reason = "a transfer that is continued is Linux's way"))]
    pub(crate) fn set_progress(&mut self, progress: usize) {
        // SAFETY: as above, and the flight is borrowed exclusively.
        unsafe { (*self.slot.body.get()).progress = progress };
    }

    /// Leaves the outcome in the body, for whoever takes the flight up again.
    pub(crate) fn set_outcome(&mut self, outcome: Outcome) {
        // SAFETY: the holder of the flight owns the body.
        unsafe { (*self.slot.body.get()).outcome = outcome };
    }

    /// What `set_outcome` left.
    pub(crate) fn outcome(&self) -> Outcome {
        // SAFETY: the holder of the flight owns the body.
        unsafe { (*self.slot.body.get()).outcome }
    }

    /// Gives the flight to the kernel, or to a list: [`Flight::take_up`] makes it again.
    pub(crate) fn hand_over(self) -> &'static Slot {
        self.slot
    }

    /// The flight that [`Flight::hand_over`] gave away.
    ///
    /// # Safety
    ///
    /// It was given away, and nobody has taken it up since.
    pub(crate) unsafe fn take_up(slot: &'static Slot) -> Flight {
        Flight { slot }
    }
}

impl fmt::Debug for Flight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Flight").field(&self.slot.id()).finish()
    }
}

/// The flight that hung in a list of nudges, which the drain has just cleared of `GO` or `BACK`.
pub(crate) fn taken_from_nudge(slot: &'static Slot, why: u32) -> Flight {
    assert!(why & (GO | BACK) != 0, "a flight hangs in the list");
    // SAFETY: whoever set the bit had handed the flight over, and clearing the bit, once, took it.
    unsafe { Flight::take_up(slot) }
}

/// An operation that has ended, out of its slot.
#[derive(Debug)]
pub(crate) struct Ended<O> {
    op: O,
    outcome: Outcome,
}

impl<O: Op> Ended<O> {
    pub(crate) fn finish_with(self) -> (io::Result<O::Out>, O::Back) {
        self.op.finish(self.outcome)
    }
}

/// See [`Slot::pin`].
#[derive(Debug)]
pub(crate) struct Pin {
    slot: &'static Slot,
}

impl Drop for Pin {
    fn drop(&mut self) {
        if self.slot.state.unpin() {
            // It ended meanwhile, and was kept back for us.
            self.slot.slab.give_back(self.slot);
        }
    }
}
