//! Virtual memory with a preferred node.

use std::{io, ptr, ptr::NonNull, slice};

use windows_sys::Win32::System::{
    Memory::{
        MEM_COMMIT, MEM_RELEASE, MEM_RESERVE, PAGE_READWRITE, VirtualAlloc, VirtualAllocExNuma, VirtualFree,
    },
    ProcessStatus::{K32QueryWorkingSetEx, PSAPI_WORKING_SET_EX_INFORMATION},
    SystemInformation::{GetSystemInfo, SYSTEM_INFO},
    Threading::{GetCurrentProcess, GetNumaHighestNodeNumber},
};

use super::outcome;
use crate::memory::Place;

pub(crate) fn page_size() -> usize {
    let mut info = SYSTEM_INFO::default();
    // SAFETY: `info` is a valid place for the answer.
    unsafe { GetSystemInfo(&raw mut info) };
    info.dwPageSize as usize
}

/// Whole pages, committed for reading and writing, zeroed, owned.
#[derive(Debug)]
pub(crate) struct Pages {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: `start` is memory that only this value owns; nothing about it belongs to a thread.
unsafe impl Send for Pages {}
// SAFETY: through a shared reference the memory is only read.
unsafe impl Sync for Pages {}

impl Pages {
    /// `len` is more than 0 and whole pages.
    pub(crate) fn map(len: usize, place: Place) -> io::Result<(Pages, Option<io::Error>)> {
        let (node, unlike) = match place {
            Place::Anywhere => return Ok((Pages::anywhere(len)?, None)),
            Place::Preferred(node) => (node, None),
            Place::Bound(node) => {
                let why = "Windows binds no memory to a node: it is preferred";
                (node, Some(io::Error::new(io::ErrorKind::Unsupported, why)))
            }
        };
        match Pages::preferring(len, node) {
            Ok(pages) => Ok((pages, unlike)),
            Err(refused) => Ok((Pages::anywhere(len)?, Some(refused))),
        }
    }

    fn anywhere(len: usize) -> io::Result<Pages> {
        // SAFETY: without an address the system chooses one that nothing else has.
        let start = unsafe { VirtualAlloc(ptr::null(), len, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE) };
        Pages::owning(start.cast(), len)
    }

    fn preferring(len: usize, node: u32) -> io::Result<Pages> {
        // Asked first, since not every system looks at the number itself.
        let mut highest = 0;
        // SAFETY: it is a valid place for the answer.
        outcome(unsafe { GetNumaHighestNodeNumber(&raw mut highest) })?;
        if node > highest {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("there is no node {node}")));
        }
        // SAFETY: it takes nothing and gives a constant that stands for this process.
        let process = unsafe { GetCurrentProcess() };
        // SAFETY: without an address the system chooses one that nothing else has.
        let start = unsafe {
            VirtualAllocExNuma(process, ptr::null(), len, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE, node)
        };
        Pages::owning(start.cast(), len)
    }

    fn owning(start: *mut u8, len: usize) -> io::Result<Pages> {
        Ok(Pages { start: NonNull::new(start).ok_or_else(io::Error::last_os_error)?, len })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `len` bytes are committed, all initialised (the system's are zero), and live as long as `self`.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `bytes`; and `self` is borrowed mutably, so nobody else looks.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }

    /// The memory is promised since it was committed; touching each page finds it.
    pub(crate) fn prefault(&mut self) -> io::Result<()> {
        for byte in self.bytes_mut().iter_mut().step_by(page_size()) {
            let byte = ptr::from_mut(byte);
            // SAFETY: it comes from a mutable reference to one byte.
            let value = unsafe { byte.read_volatile() };
            // SAFETY: as above; volatile, so that it is not left out for changing nothing.
            unsafe { byte.write_volatile(value) };
        }
        Ok(())
    }

    /// The node of the page at `offset`, which is below `len`; nothing when there is no page yet.
    pub(crate) fn node_of(&self, offset: usize) -> io::Result<Option<u32>> {
        let page = ptr::from_ref(&self.bytes()[offset]);
        let mut about =
            PSAPI_WORKING_SET_EX_INFORMATION { VirtualAddress: page.cast_mut().cast(), ..Default::default() };
        let room = u32::try_from(size_of_val(&about)).map_err(io::Error::other)?;
        // SAFETY: it takes nothing and gives a constant that stands for this process.
        let process = unsafe { GetCurrentProcess() };
        // SAFETY: one entry of `room` bytes is read and written, and lives across the call; the address in it is
        // looked at and not followed.
        outcome(unsafe { K32QueryWorkingSetEx(process, (&raw mut about).cast(), room) })?;
        // SAFETY: all fields of the union are integers, for which any bits are a value.
        Ok(node_in(unsafe { about.VirtualAttributes.Flags }))
    }
}

/// Bit 0 says that there is a page; bits 16 to 21 are its node.
fn node_in(flags: usize) -> Option<u32> {
    (flags & 1 == 1).then_some((flags >> 16 & 0x3f) as u32)
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the memory is this value's own, and nothing borrows it when it is dropped.
        let freed = unsafe { VirtualFree(self.start.as_ptr().cast(), 0, MEM_RELEASE) };
        debug_assert_ne!(freed, 0, "memory that the system gave can be given back");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_is_read_from_the_flags_of_a_page() {
        assert_eq!(node_in(0), None);
        assert_eq!(node_in(0b11 << 16), None);
        // Valid, shared by 7, protected as read-write, on node 3; and what lies above the node.
        assert_eq!(node_in(1 | 7 << 1 | 4 << 4 | 3 << 16 | 0b11 << 22), Some(3));
    }
}
