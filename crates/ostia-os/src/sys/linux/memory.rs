//! Anonymous mappings, with a memory policy set before the first page is touched.
//!
//! The policy is a promise of the kernel about pages that are made later; so it costs nothing that the mapping
//! exists before it. `mbind` and `move_pages` have no wrapper in the C library.

use std::{io, ptr, ptr::NonNull, slice};

use rustix::mm::{Advice, MapFlags, ProtFlags};

use crate::memory::Place;

/// The kernel numbers nodes below that; a larger number is not worth a mask.
const MAX_NODES: u32 = 1024;

const WORD_BITS: u32 = libc::c_ulong::BITS;

pub(crate) fn page_size() -> usize {
    rustix::param::page_size()
}

/// Whole pages, mapped for reading and writing, zeroed, owned.
#[derive(Debug)]
pub(crate) struct Pages {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: `start` is memory that only this value owns; nothing about a mapping belongs to a thread.
unsafe impl Send for Pages {}
// SAFETY: through a shared reference the memory is only read.
unsafe impl Sync for Pages {}

impl Pages {
    /// `len` is more than 0 and whole pages.
    pub(crate) fn map(len: usize, place: Place) -> io::Result<(Pages, Option<io::Error>)> {
        // SAFETY: without MAP_FIXED the kernel chooses addresses that nothing else has.
        let start = unsafe {
            rustix::mm::mmap_anonymous(
                ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )
        }?;
        let start = NonNull::new(start.cast()).expect("the kernel maps nothing at 0 unless asked to");
        let pages = Pages { start, len };
        let refused = match place {
            Place::Anywhere => None,
            Place::Preferred(node) => pages.set_policy(libc::MPOL_PREFERRED, node).err(),
            Place::Bound(node) => pages.set_policy(libc::MPOL_BIND, node).err(),
        };
        Ok((pages, refused))
    }

    fn set_policy(&self, policy: libc::c_int, node: u32) -> io::Result<()> {
        if node >= MAX_NODES {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("there is no node {node}")));
        }
        let mut mask = [0 as libc::c_ulong; (MAX_NODES / WORD_BITS) as usize];
        mask[(node / WORD_BITS) as usize] = 1 << (node % WORD_BITS);
        // The kernel takes one bit less than it is told.
        let bits = libc::c_ulong::from(MAX_NODES + 1);
        // SAFETY: the kernel reads the mask, which has the bits it is told of; the range is this mapping's own.
        let result = unsafe {
            libc::syscall(
                libc::SYS_mbind,
                self.start.as_ptr(),
                self.len,
                libc::c_long::from(policy),
                mask.as_ptr(),
                bits,
                0 as libc::c_long,
            )
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping has `len` bytes, all initialised (the kernel's are zero), and lives as long as `self`.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `bytes`; and `self` is borrowed mutably, so nobody else looks.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }

    /// Has the kernel make all pages now.
    pub(crate) fn prefault(&mut self) -> io::Result<()> {
        // SAFETY: the range is this mapping's own, and this advice keeps its contents.
        let populated =
            unsafe { rustix::mm::madvise(self.start.as_ptr().cast(), self.len, Advice::LinuxPopulateWrite) };
        match populated {
            // Before Linux 5.14 there is no such advice.
            Err(rustix::io::Errno::INVAL) => {
                self.touch();
                Ok(())
            }
            other => Ok(other?),
        }
    }

    fn touch(&mut self) {
        for byte in self.bytes_mut().iter_mut().step_by(page_size()) {
            let byte = ptr::from_mut(byte);
            // SAFETY: it comes from a mutable reference to one byte.
            let value = unsafe { byte.read_volatile() };
            // SAFETY: as above; volatile, so that it is not left out for changing nothing.
            unsafe { byte.write_volatile(value) };
        }
    }

    /// The node of the page at `offset`, which is below `len`; nothing when there is no page yet.
    pub(crate) fn node_of(&self, offset: usize) -> io::Result<Option<u32>> {
        let page: *const u8 = &self.bytes()[offset];
        let mut status: libc::c_int = 0;
        // SAFETY: one address is read and one status written, both live here; without a list of nodes, nothing moves.
        let result = unsafe {
            libc::syscall(
                libc::SYS_move_pages,
                0 as libc::c_long,
                1 as libc::c_long,
                &raw const page,
                ptr::null::<libc::c_int>(),
                &raw mut status,
                0 as libc::c_long,
            )
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        match status {
            // No page, or the shared page of zeros that stands for one which was only read.
            error if error == -libc::ENOENT || error == -libc::EFAULT => Ok(None),
            error if error < 0 => Err(io::Error::from_raw_os_error(-error)),
            node => Ok(Some(node.cast_unsigned())),
        }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and nothing borrows it when it is dropped.
        let unmapped = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.len) };
        // The range is one that the kernel gave us, so there is nothing to be refused but by a full table of mappings.
        debug_assert_eq!(unmapped, Ok(()));
    }
}
