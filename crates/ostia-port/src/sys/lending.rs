//! Buffers that are lent: memory of a berth, cut into pieces of one size.
//!
//! A back end takes a piece when there is something to receive ([`Lending::take`]; io_uring's kernel takes it
//! itself, from those handed over by [`Lending::take_returned`]). The piece comes back when the [`Loan`] is
//! dropped, from any thread; if somebody waits for one, the berth is woken.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use crate::quay::Quay;

/// One page: what the kernel's rings ask for, and more than any vector instruction does.
const ALIGN: usize = 4096;

pub(crate) struct Lending {
    /// Its number among those of the port.
    number: u16,
    memory: *mut u8,
    layout: std::alloc::Layout,
    count: u16,
    len: usize,
    /// Pieces that nobody has, the last one given back on top: it is still in the cache.
    free: Mutex<Vec<u16>>,
    wanted: AtomicBool,
    /// Pieces that are named in an outcome or in somebody's hands.
    lent: AtomicU32,
    quay: &'static Quay,
}

// SAFETY: the memory belongs to this value; each piece of it is used by whoever took its number.
unsafe impl Send for Lending {}
// SAFETY: as above.
unsafe impl Sync for Lending {}

impl Lending {
    /// `count` pieces of `len` bytes each, for the berth at this quay.
    pub(crate) fn new(number: u16, count: u16, len: usize, quay: &'static Quay) -> Arc<Lending> {
        let bytes = usize::from(count) * len;
        let layout =
            std::alloc::Layout::from_size_align(bytes.max(1), ALIGN).expect("a pool smaller than memory");
        // SAFETY: the layout's size is not zero.
        let memory = unsafe { std::alloc::alloc_zeroed(layout) };
        if memory.is_null() {
            std::alloc::handle_alloc_error(layout);
        }
        let free = Mutex::new((0..count).rev().collect());
        let (wanted, lent) = (AtomicBool::new(false), AtomicU32::new(0));
        Arc::new(Lending { number, memory, layout, count, len, free, wanted, lent, quay })
    }

    /// Whether nobody has a piece, or the name of one from which a loan will be made.
    pub(crate) fn is_whole(&self) -> bool {
        self.lent.load(Ordering::Acquire) == 0
    }

    /// Names a loan of this piece, for one outcome: the loan is made of it once, by [`Lending::loan`].
    pub(crate) fn name(&self, piece: u16) -> u32 {
        self.lent.fetch_add(1, Ordering::Relaxed);
        u32::from(self.number) << 16 | u32::from(piece)
    }

    pub(crate) fn piece_len(&self) -> usize {
        self.len
    }

    #[cfg_attr(windows, allow(dead_code, reason = "io_uring alone hands its pieces to the kernel"))]
    pub(crate) fn count(&self) -> u16 {
        self.count
    }

    /// Where a piece lies.
    pub(crate) fn address(&self, piece: u16) -> *mut u8 {
        assert!(piece < self.count, "piece {piece} of {}", self.count);
        // SAFETY: the piece lies within the memory, by the line above.
        unsafe { self.memory.add(usize::from(piece) * self.len) }
    }

    /// A free piece. If there is none, the berth is woken when one comes back.
    pub(crate) fn take(&self) -> Option<u16> {
        let taken = self.lock().pop();
        if taken.is_some() {
            return taken;
        }
        self.wanted.store(true, Ordering::SeqCst);
        self.lock().pop()
    }

    /// All free pieces at once. If there is none and somebody wants one, the berth is woken when one comes back.
    #[cfg_attr(windows, allow(dead_code, reason = "io_uring alone hands its pieces to the kernel"))]
    pub(crate) fn take_returned(&self, into: &mut Vec<u16>, wanted: bool) {
        into.append(&mut self.lock());
        if wanted && into.is_empty() {
            self.wanted.store(true, Ordering::SeqCst);
            into.append(&mut self.lock());
        }
    }

    /// A piece that was taken and is not needed.
    pub(crate) fn give_back(&self, piece: u16) {
        self.lock().push(piece);
        if self.wanted.swap(false, Ordering::SeqCst) {
            let _ = self.quay.ring();
        }
    }

    /// Whether there is a free piece. If not, the berth is woken when one comes back.
    pub(crate) fn has_free(&self) -> bool {
        if !self.lock().is_empty() {
            return true;
        }
        self.wanted.store(true, Ordering::SeqCst);
        !self.lock().is_empty()
    }

    /// The loan of a piece that was taken, by the name that was put into the outcome.
    pub(crate) fn loan(self: Arc<Self>, name: u32) -> Loan {
        debug_assert_eq!(name >> 16, u32::from(self.number), "the piece is of this pool");
        Loan { lending: self, piece: name as u16 }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<u16>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lending {
    fn drop(&mut self) {
        // SAFETY: it was allocated with this layout, and the last user is gone.
        unsafe { std::alloc::dealloc(self.memory, self.layout) };
    }
}

impl fmt::Debug for Lending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lending").field("count", &self.count).field("len", &self.len).finish_non_exhaustive()
    }
}

/// A piece in somebody's hands.
#[derive(Debug)]
pub(crate) struct Loan {
    lending: Arc<Lending>,
    piece: u16,
}

impl Loan {
    /// The first `len` bytes of it.
    pub(crate) fn bytes(&self, len: usize) -> &[u8] {
        let len = len.min(self.lending.len);
        // SAFETY: the piece lies in the pool, which the loan keeps alive; it was zeroed at first and belongs to
        // this loan alone.
        unsafe { std::slice::from_raw_parts(self.lending.address(self.piece), len) }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.lending.give_back(self.piece);
        self.lending.lent.fetch_sub(1, Ordering::Release);
    }
}
