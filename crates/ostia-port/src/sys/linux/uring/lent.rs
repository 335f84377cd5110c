//! Buffers that the kernel takes by itself when something has come: a ring of them, shared with the kernel.
//!
//! The kernel reads entries from its head on, we write them at the tail. A piece belongs to the kernel from the
//! moment its entry is behind the tail until a completion names it.

use std::{
    alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error},
    io,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
};

use io_uring::types::BufRingEntry;

use super::ring::Ring;
use crate::sys::lending::Lending;

/// A ring has one group of buffers.
pub(super) const GROUP: u16 = 0;

pub(super) struct Buffers {
    pub(super) lending: Arc<Lending>,
    entries: *mut BufRingEntry,
    layout: Layout,
    tail: u16,
    /// How many pieces the kernel has.
    held: u16,
    /// On their way from the lending to the kernel; kept, so that it allocates once.
    returned: Vec<u16>,
}

impl Buffers {
    /// Registers a ring for all pieces of `lending`, and fills it.
    pub(super) fn new(ring: &Ring, lending: Arc<Lending>) -> io::Result<Buffers> {
        let count = lending.count();
        let layout = Layout::from_size_align(usize::from(count) * size_of::<BufRingEntry>(), 4096)
            .map_err(io::Error::other)?;
        // SAFETY: there is at least one piece, so the size is not zero.
        let entries = unsafe { alloc_zeroed(layout) }.cast::<BufRingEntry>();
        if entries.is_null() {
            handle_alloc_error(layout);
        }
        // SAFETY: the memory is page-aligned and large enough, and is freed after it has been unregistered.
        let registered = unsafe { ring.register_buffers(entries.cast(), count, GROUP) };
        if let Err(error) = registered {
            // SAFETY: it was allocated with this layout, and the kernel did not take it.
            unsafe { dealloc(entries.cast(), layout) };
            return Err(error);
        }
        let returned = Vec::with_capacity(usize::from(count));
        let mut buffers = Buffers { lending, entries, layout, tail: 0, held: 0, returned };
        buffers.refill(false);
        Ok(buffers)
    }

    /// A completion named this piece: the kernel has let go of it.
    #[inline]
    pub(super) fn taken(&mut self) {
        self.held -= 1;
    }

    /// How many pieces the kernel has.
    pub(super) fn held(&self) -> u16 {
        self.held
    }

    /// Whether the kernel is to be given more, if more has come back.
    pub(super) fn is_low(&self) -> bool {
        self.held <= self.lending.count() / 2
    }

    /// Gives a piece to the kernel.
    pub(super) fn give(&mut self, piece: u16) {
        self.write(piece);
        self.publish();
    }

    /// Gives the kernel what has come back. If nothing has and somebody waits for it, the berth is woken when
    /// something does.
    pub(super) fn refill(&mut self, wanted: bool) {
        if wanted || self.is_low() {
            self.lending.take_returned(&mut self.returned, wanted);
        }
        if self.returned.is_empty() {
            return;
        }
        while let Some(piece) = self.returned.pop() {
            self.write(piece);
        }
        self.publish();
    }

    fn write(&mut self, piece: u16) {
        let mask = self.lending.count() - 1;
        // SAFETY: the ring has as many entries as there are pieces, a power of two.
        let entry = unsafe { self.entries.add(usize::from(self.tail & mask)) };
        // SAFETY: no more entries are behind the tail than there are pieces, so the kernel does not look at this one.
        let entry = unsafe { &mut *entry };
        entry.set_addr(self.lending.address(piece).addr() as u64);
        entry.set_len(self.lending.piece_len() as u32);
        entry.set_bid(piece);
        self.tail = self.tail.wrapping_add(1);
        self.held += 1;
    }

    fn publish(&self) {
        // SAFETY: `entries` is the base of a ring of buffers; its tail lies within it.
        let tail = unsafe { BufRingEntry::tail(self.entries) };
        // SAFETY: the tail is two bytes, aligned to two, that the kernel only reads.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }

    /// Takes the ring back from the kernel: no operation takes a piece any more.
    pub(super) fn close(self, ring: &Ring) {
        if ring.unregister_buffers(GROUP).is_ok() {
            // SAFETY: it was allocated with this layout, and the kernel has let go of it.
            unsafe { dealloc(self.entries.cast(), self.layout) };
        }
        // Otherwise the memory stays the kernel's: it is not freed.
    }
}

impl std::fmt::Debug for Buffers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buffers").field("held", &self.held).finish_non_exhaustive()
    }
}

const _: () = assert!(size_of::<BufRingEntry>() == 16, "the kernel's size of an entry");
