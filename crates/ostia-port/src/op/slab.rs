//! Where the slots of a berth live.
//!
//! Slots are made in chunks and never given back to the system: a ticket, a late cancel or the kernel may know a
//! slot longer than its berth lives. When a berth closes, its slab goes to a pool of the process and serves the
//! next berth. A slab in which a dead berth had to leave something behind (a read the kernel would not give up) is
//! not used again.
//!
//! Only the thread of the berth takes slots. Any thread may give one back: the owner to its own list, the others
//! to a stack that the owner empties when its list runs dry.

use std::{
    cell::Cell,
    ptr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicPtr, AtomicU16, AtomicU32, AtomicUsize, Ordering},
    },
};

use super::slot::{Flight, LIVE, Slot};
use crate::quay::Quay;

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
    returned: AtomicPtr<Slot>,
    /// Slots given back by the owner; touched by the owner only.
    free: Own<*const Slot>,
    /// Operations the owner started less those it saw given back; touched by the owner only.
    limit: Own<usize>,
}

/// A cell that only the thread of the slab's owner touches.
#[derive(Debug)]
struct Own<T: Copy>(Cell<T>);

// SAFETY: each access is behind a comparison with the owner's token, or in a method of `Owned`, which is not Send.
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

    pub(crate) fn give_back(&'static self, slot: &'static Slot) {
        if self.is_ours() {
            slot.free_next.store(self.free.0.get().cast_mut(), Ordering::Relaxed);
            self.free.0.set(slot);
            return;
        }
        let mut head = self.returned.load(Ordering::Relaxed);
        loop {
            slot.free_next.store(head, Ordering::Relaxed);
            let slot = ptr::from_ref(slot).cast_mut();
            match self.returned.compare_exchange_weak(head, slot, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
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

    fn grow(&'static self) -> bool {
        let len = self.len.load(Ordering::Relaxed);
        if len as usize >= self.limit.0.get() {
            return false;
        }
        let chunk: Vec<Slot> = (0..CHUNK as u32).map(|place| Slot::new(len + place, self)).collect();
        let chunk = Box::leak(chunk.into_boxed_slice());
        self.chunks[len as usize / CHUNK].store(chunk.as_mut_ptr(), Ordering::Release);
        self.len.store(len + CHUNK as u32, Ordering::Release);
        // The lowest index is taken first.
        for slot in chunk.iter().rev() {
            slot.free_next.store(self.free.0.get().cast_mut(), Ordering::Relaxed);
            self.free.0.set(slot);
        }
        true
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
        let limit = limit.clamp(1, OPS_MAX).next_multiple_of(CHUNK);
        let pooled = POOL.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let slab = pooled.unwrap_or_else(|| {
            Box::leak(Box::new(Slab {
                number: AtomicU16::new(NUMBER.fetch_add(1, Ordering::Relaxed)),
                owner: AtomicUsize::new(0),
                quay: AtomicPtr::new(ptr::null_mut()),
                chunks: (0..OPS_MAX / CHUNK).map(|_| AtomicPtr::new(ptr::null_mut())).collect(),
                len: AtomicU32::new(0),
                returned: AtomicPtr::new(ptr::null_mut()),
                free: Own(Cell::new(ptr::null())),
                limit: Own(Cell::new(0)),
            }))
        });
        slab.quay.store(ptr::from_ref(quay).cast_mut(), Ordering::Release);
        slab.owner.store(thread_token(), Ordering::Release);
        slab.limit.0.set(limit);
        Owned { slab, not_send: std::marker::PhantomData }
    }

    pub(crate) fn slab(&self) -> &'static Slab {
        self.slab
    }

    /// A free slot, or none if the limit is reached.
    #[inline]
    pub(crate) fn take(&self) -> Option<&'static Slot> {
        let slab = self.slab;
        if slab.free.0.get().is_null() {
            let returned = slab.returned.swap(ptr::null_mut(), Ordering::Acquire);
            slab.free.0.set(returned);
            if returned.is_null() && !slab.grow() {
                return None;
            }
        }
        // SAFETY: the list holds slots, which are never freed.
        let slot = unsafe { &*slab.free.0.get() };
        slab.free.0.set(slot.free_next.load(Ordering::Relaxed));
        Some(slot)
    }

    /// Gives back a slot that was taken and not used.
    pub(crate) fn put_back(&self, slot: &'static Slot) {
        self.slab.give_back(slot);
    }

    /// The flight the kernel gives back by its key; none if the key is of no operation under way.
    ///
    /// # Safety
    ///
    /// If the key is that of an operation under way, its flight was handed over and has not been taken up since.
    #[inline]
    pub(crate) unsafe fn flight(&self, key: u64) -> Option<Flight> {
        let slot = self.live(key)?;
        // SAFETY: the caller's promise.
        Some(unsafe { Flight::take_up(slot) })
    }

    /// The slot of an operation under way.
    #[inline]
    pub(crate) fn live(&self, key: u64) -> Option<&'static Slot> {
        let slot = self.slab.slot(key as u32)?;
        (slot.key() == key && slot.is_under_way()).then_some(slot)
    }

    /// Every operation that has not ended.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = &'static Slot> {
        let slab = self.slab;
        (0..slab.len.load(Ordering::Relaxed))
            .filter_map(move |index| slab.slot(index))
            .filter(|slot| slot.state.load(Ordering::Acquire) & LIVE != 0 && slot.is_under_way())
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let left_behind = self.under_way().next().is_some();
        // In this order: a slot given back by now goes to the list of foreigners.
        self.slab.owner.store(0, Ordering::Release);
        if left_behind {
            // The kernel still has some of its memory: no other berth is to meet those operations.
            return;
        }
        POOL.lock().unwrap_or_else(PoisonError::into_inner).push(self.slab);
    }
}
