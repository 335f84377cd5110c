//! From an operation to an entry of the ring.

use std::{io, os::fd::RawFd};

use io_uring::{opcode, squeue, types};

use crate::{
    op::{Request, slot::Flight},
    sys::error,
};

/// What becomes of an operation.
pub(super) enum Entry {
    Ring(squeue::Entry),
    Offload,
    Refused(i32),
}

#[inline]
pub(super) fn entry(flight: &Flight) -> Entry {
    let fd = types::Fd(flight.handle().map_or(-1, |handle| handle.raw));
    Entry::Ring(match *flight.request() {
        Request::Nop => opcode::Nop::new().build(),
        Request::Receive { buffer, len } => opcode::Recv::new(fd, buffer, clip(len)).build(),
        Request::Send { buffer, len } => {
            opcode::Send::new(fd, buffer, clip(len)).flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL).build()
        }
        Request::Accept { many: false } => {
            opcode::Accept::new(fd, std::ptr::null_mut(), std::ptr::null_mut()).flags(libc::SOCK_CLOEXEC).build()
        }
        Request::Connect { target } => {
            // SAFETY: the request's pointers are good while the flight lives.
            let Some(socket) = (unsafe { &(*target).socket }) else {
                return Entry::Refused(error::CODE_UNSUPPORTED);
            };
            opcode::Connect::new(fd, socket.as_ptr().cast(), socket.len()).build()
        }
        _ => return Entry::Refused(error::CODE_UNSUPPORTED),
    })
}

/// The longest transfer the kernel takes at once.
fn clip(len: usize) -> u32 {
    len.min(0x7fff_f000) as u32
}

/// `IORING_REGISTER_SEND_MSG_RING`, of Linux 6.13.
const REGISTER_SEND_MSG_RING: libc::c_uint = 31;

/// Puts a completion into another thread's ring, from a thread that needs none itself (6.13).
pub(super) fn message(ring: RawFd, key: u64) -> io::Result<()> {
    const { assert!(size_of::<squeue::Entry>() == 64, "the kernel reads 64 bytes") };
    let entry = opcode::MsgRingData::new(types::Fd(ring), 0, key, None).build();
    let entry = &raw const entry;
    // SAFETY: the kernel reads one entry, which lives across the call.
    let done = unsafe { libc::syscall(libc::SYS_io_uring_register, -1, REGISTER_SEND_MSG_RING, entry, 1) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
