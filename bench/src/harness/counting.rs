//! A global allocator that counts, so that "no allocation per operation" is a figure and not a belief.
//!
//! It counts only where that was asked for, so that timed runs pay no more than a look at a flag.
#![expect(unsafe_code, reason = "a global allocator is an unsafe trait: it hands out raw memory")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

/// The system's allocator, and a count of what was asked of it.
#[derive(Debug)]
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static ON: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicU64 = AtomicU64::new(0);

/// Counts from now on.
pub(crate) fn count() {
    ON.store(true, Relaxed);
}

/// Allocations since [`count`], of all threads; giving memory back does not count.
pub(crate) fn allocations() -> u64 {
    COUNT.load(Relaxed)
}

/// Where the count lies, for a process that reads it from outside.
pub(crate) fn address() -> usize {
    (&raw const COUNT).addr()
}

fn note() {
    if ON.load(Relaxed) {
        COUNT.fetch_add(1, Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator unchanged, which keeps the contract of the trait.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller promises what `System` asks for, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: as in `alloc`; `old` came from `System`, as all memory of this allocator does.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as in `realloc`.
        unsafe { System.dealloc(old, layout) }
    }
}
