//! Where the slots of a berth live.
//!
//! Slots are made in chunks and never given back to the system: a ticket, a late cancel or the kernel may know a
//! slot longer than its berth lives. When a berth closes, its slab goes to a pool of the process. It serves another
//! berth when every slot has come back and hangs in no list: a slab in which a dead berth had to leave something (a
//! read the kernel would not give up) waits for it, for ever if need be.
//!
//! Only the thread of the berth takes slots. Any thread may give one back: the owner to its own list, the others
//! to a stack that the owner empties when its list runs dry.

use std::{
    cell::Cell,
    ptr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicPtr, AtomicU16, AtomicU32, AtomicUsize, Ordering},
    },
};

use super::slot::{Flight, Free, Slot};
use crate::{loom, quay::Quay, shared::Stack};

/// Slots made at a time.
const CHUNK: usize = 256;
/// A berth can have so many operations under way at most, whatever is asked for.
pub(crate) const OPS_MAX: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct Slab {
    number: AtomicU16,
    /// The thread that owns it, as `thread_token` names it; 0 while it is in the pool.
    owner: AtomicUsize,
    quay: AtomicPtr<Quay>,
    chunks: Box<[AtomicPtr<Slot>]>,
    /// How many slots exist; grown by the owner only.
    len: AtomicU32,
    /// Slots given back by other threads.
    returned: Stack<Free>,
    /// Slots given back by the owner; touched by the owner only.
    free: Own<*const Slot>,
    /// Slots taken less those that the owner saw given back; touched by the owner only.
    used: Own<usize>,
    /// How many may be; touched by the owner only.
    limit: Own<usize>,
    /// The owner has found no room, and nobody has given a slot back since: whoever does rings.
    is_full: AtomicBool,
}

/// A cell that only the thread of the slab's owner touches.
#[derive(Debug)]
struct Own<T: Copy>(Cell<T>);

// SAFETY: each access is behind a comparison with the owner's token, or in a method of `Owned`, which is not Send, or
// of a slab in the pool, under the pool's lock.
unsafe impl<T: Copy> Sync for Own<T> {}
// SAFETY: a pointer to a slot may be anywhere; slots are `Sync`.
unsafe impl<T: Copy> Send for Own<T> {}

static POOL: Mutex<Vec<&'static Slab>> = Mutex::new(Vec::new());
static NUMBER: AtomicU16 = AtomicU16::new(0);

/// A number that no other living thread has.
fn thread_token() -> usize {
    thread_local!(static TOKEN: u8 = const { 0 });
    TOKEN.with(|token| ptr::from_ref(token).addr())
}

impl Slab {
    pub(crate) fn number(&self) -> u16 {
        self.number.load(Ordering::Relaxed)
    }

    /// Where the owner waits.
    pub(crate) fn quay(&self) -> &'static Quay {
        // SAFETY: quays are never given back to the system, and a slab has one before it has a slot in use.
        unsafe { &*self.quay.load(Ordering::Acquire) }
    }

    fn is_ours(&self) -> bool {
        self.owner.load(Ordering::Relaxed) == thread_token()
    }

    /// Adds a slot to the owner's list.
    #[inline]
    fn put(&self, slot: &'static Slot) {
        slot.free_next.store(self.free.0.get().cast_mut(), loom::Ordering::Relaxed);
        self.free.0.set(slot);
    }

    pub(crate) fn give_back(&'static self, slot: &'static Slot) {
        if self.is_ours() {
            self.put(slot);
            self.used.0.set(self.used.0.get() - 1);
            if !self.is_full.load(Ordering::Relaxed) {
                return;
            }
        } else {
            self.returned.push(slot);
        }
        // Either the owner, which says that it is full and looks again, finds the slot, or we see that it is.
        if self.is_full.swap(false, Ordering::AcqRel) {
            self.quay().ring_all();
        }
    }

    fn slot(&self, index: u32) -> Option<&'static Slot> {
        if index >= self.len.load(Ordering::Acquire) {
            return None;
        }
        let chunk = self.chunks[index as usize / CHUNK].load(Ordering::Acquire);
        // SAFETY: `len` counts slots of chunks that were published before; a chunk has CHUNK slots.
        let slot = unsafe { chunk.add(index as usize % CHUNK) };
        // SAFETY: as above; slots are never freed.
        Some(unsafe { &*slot })
    }

    /// Moves what other threads gave back to the owner's own list.
    fn take_returned(&self) {
        for slot in self.returned.take() {
            self.put(slot);
            self.used.0.set(self.used.0.get() - 1);
        }
    }

    /// Whether nobody knows any of its slots any more. Asked of a slab in the pool, under the pool's lock.
    fn is_forgotten(&self) -> bool {
        self.take_returned();
        // A slot that hangs in a list of nudges, for a cancel that came too late, has a state although it is free.
        self.used.0.get() == 0 && self.slots().all(|slot| slot.state.is_forgotten())
    }

    fn slots(&self) -> impl DoubleEndedIterator<Item = &'static Slot> {
        (0..self.len.load(Ordering::Acquire)).filter_map(|index| self.slot(index))
    }

    /// Makes every slot free, the lowest index first.
    fn free_all(&self) {
        self.free.0.set(ptr::null());
        for slot in self.slots().rev() {
            self.put(slot);
        }
    }

    fn grow(&'static self) {
        let len = self.len.load(Ordering::Relaxed);
        let chunk: Vec<Slot> = (0..CHUNK as u32).map(|place| Slot::new(len + place, self)).collect();
        // Shared from the first moment: nobody ever has a slot alone, but for what lies in its cells.
        let chunk: &'static [Slot] = Box::leak(chunk.into_boxed_slice());
        self.chunks[len as usize / CHUNK].store(chunk.as_ptr().cast_mut(), Ordering::Release);
        self.len.store(len + CHUNK as u32, Ordering::Release);
        // The lowest index is taken first.
        for slot in chunk.iter().rev() {
            self.put(slot);
        }
    }
}

/// The slab of a berth, in the hands of its thread.
#[derive(Debug)]
pub(crate) struct Owned {
    slab: &'static Slab,
    not_send: std::marker::PhantomData<*const ()>,
}

impl Owned {
    /// A slab for this thread, of at most `limit` operations at a time.
    pub(crate) fn claim(quay: &'static Quay, limit: usize) -> Owned {
        let pooled = {
            let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
            let place = pool.iter().rposition(|slab| slab.is_forgotten());
            place.map(|place| pool.remove(place))
        };
        let slab = pooled.unwrap_or_else(|| {
            Box::leak(Box::new(Slab {
                number: AtomicU16::new(NUMBER.fetch_add(1, Ordering::Relaxed)),
                owner: AtomicUsize::new(0),
                quay: AtomicPtr::new(ptr::null_mut()),
                chunks: (0..OPS_MAX / CHUNK).map(|_| AtomicPtr::new(ptr::null_mut())).collect(),
                len: AtomicU32::new(0),
                returned: Stack::new(),
                free: Own(Cell::new(ptr::null())),
                used: Own(Cell::new(0)),
                limit: Own(Cell::new(0)),
                is_full: AtomicBool::new(false),
            }))
        });
        slab.quay.store(ptr::from_ref(quay).cast_mut(), Ordering::Release);
        slab.owner.store(thread_token(), Ordering::Release);
        slab.limit.0.set(limit.clamp(1, OPS_MAX));
        slab.is_full.store(false, Ordering::Relaxed);
        slab.free_all();
        Owned { slab, not_send: std::marker::PhantomData }
    }

    pub(crate) fn slab(&self) -> &'static Slab {
        self.slab
    }

    /// A free slot, or none if the limit is reached.
    #[inline]
    pub(crate) fn take(&self) -> Option<&'static Slot> {
        let slab = self.slab;
        if (slab.free.0.get().is_null() || slab.used.0.get() >= slab.limit.0.get()) && !self.make_room() {
            return None;
        }
        // SAFETY: the list holds slots, which are never freed.
        let slot = unsafe { &*slab.free.0.get() };
        slab.free.0.set(slot.free_next.load(loom::Ordering::Relaxed));
        slab.used.0.set(slab.used.0.get() + 1);
        Some(slot)
    }

    /// Sees to it that there is a free slot, unless the limit is reached.
    #[cold]
    fn make_room(&self) -> bool {
        let slab = self.slab;
        slab.take_returned();
        if slab.used.0.get() >= slab.limit.0.get() {
            slab.is_full.swap(true, Ordering::AcqRel);
            slab.take_returned();
            if slab.used.0.get() >= slab.limit.0.get() {
                return false;
            }
            slab.is_full.store(false, Ordering::Relaxed);
        }
        if slab.free.0.get().is_null() {
            // All slots are in use, and are fewer than the limit, which is at most what there are chunks for.
            slab.grow();
        }
        true
    }

    /// How many slots are in use: of operations under way, and of those whose result nobody has taken.
    #[cfg(feature = "sim")]
    pub(crate) fn used(&self) -> usize {
        self.slab.take_returned();
        self.slab.used.0.get()
    }

    /// Whether one was asked for in vain, and none has been given back since.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.slab.is_full.load(Ordering::Acquire)
    }

    /// The flight the kernel gives back by its key; none if the key is of no operation under way.
    ///
    /// # Safety
    ///
    /// If the key is that of an operation under way, its flight was handed over and has not been taken up since.
    #[cfg_attr(windows, allow(dead_code, reason = "IOCP tells an operation by its OVERLAPPED, not by a key"))]
    #[inline]
    pub(crate) unsafe fn flight(&self, key: u64) -> Option<Flight> {
        let slot = self.live(key)?;
        // SAFETY: the caller's promise.
        Some(unsafe { Flight::take_up(slot) })
    }

    /// The slot of an operation under way.
    #[cfg_attr(windows, allow(dead_code, reason = "IOCP tells an operation by its OVERLAPPED, not by a key"))]
    #[inline]
    pub(crate) fn live(&self, key: u64) -> Option<&'static Slot> {
        let slot = self.slab.slot(key as u32)?;
        (slot.key() == key && slot.is_under_way()).then_some(slot)
    }

    /// Every operation that has not ended.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = &'static Slot> {
        self.slab.slots().filter(|slot| slot.is_under_way())
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // In this order: a slot given back by now goes to the list of foreigners.
        self.slab.owner.store(0, Ordering::Release);
        POOL.lock().unwrap_or_else(PoisonError::into_inner).push(self.slab);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_cannot_be_pinned_is_not_given_back_by_the_attempt() {
        let quay = Quay::claim(false);
        let owned = Owned::claim(quay, 4);
        let slot = owned.take().expect("all are free");
        // As when a cancel comes so late that its operation has been taken out.
        assert!(slot.pin().is_none(), "no operation is in it");
        assert_eq!(owned.slab.used.0.get(), 1, "it is given back once, by whoever has it");
        owned.slab.give_back(slot);
        assert_eq!(owned.slab.used.0.get(), 0);
        drop(owned);
        quay.release();
    }
}
