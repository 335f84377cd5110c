//! Buffers that are counted, so that a lost one is missed, and chance for the programs that use them.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use ostia_port::buf::{IoBuf, IoBufMut};

/// How many of something there are.
#[derive(Clone, Default)]
pub(crate) struct Count(Arc<AtomicUsize>);

impl Count {
    pub(crate) fn now(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// One more, until it is dropped.
    pub(crate) fn one(&self) -> Counted {
        self.0.fetch_add(1, Ordering::Relaxed);
        Counted(self.clone())
    }
}

pub(crate) struct Counted(Count);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bytes that are counted while they exist.
pub(crate) struct Buffer {
    pub(crate) bytes: Vec<u8>,
    _counted: Counted,
}

impl Buffer {
    pub(crate) fn new(bytes: Vec<u8>, count: &Count) -> Buffer {
        Buffer { bytes, _counted: count.one() }
    }

    pub(crate) fn room(len: usize, count: &Count) -> Buffer {
        Buffer::new(Vec::with_capacity(len), count)
    }
}

// SAFETY: as its vector's: the heap allocation does not move with it, and `len` bytes are initialised.
unsafe impl IoBuf for Buffer {
    fn stable_ptr(&self) -> *const u8 {
        self.bytes.stable_ptr()
    }

    fn init_len(&self) -> usize {
        self.bytes.init_len()
    }
}

// SAFETY: as its vector's, which owns its whole capacity.
unsafe impl IoBufMut for Buffer {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.bytes.stable_mut_ptr()
    }

    fn capacity(&self) -> usize {
        IoBufMut::capacity(&self.bytes)
    }

    unsafe fn set_init(&mut self, len: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.bytes.set_init(len) }
    }
}

/// A row of numbers that is the same each time: splitmix64, apart from the one of the simulation.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0xd6e8_feb8_6659_fd93))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// True once in so many times.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}
