//! From an operation to an entry of the ring.

use std::{
    cell::UnsafeCell,
    io,
    mem::MaybeUninit,
    os::fd::RawFd,
    ptr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use io_uring::{opcode, squeue, types};

use super::{lent, probe::Kernel, ring::Sqe, stat};
use crate::{
    handle,
    op::{FileCall, OpenOptions, Readiness, Request, slot::Flight},
    sys::{
        error,
        linux::{OsRequest, message, transfer},
    },
};

/// `IORING_RECVSEND_POLL_FIRST`: do not try before something has come.
const POLL_FIRST: u16 = 1;

/// A read that finds its bytes in memory copies them inside the call that hands it over, and everything else in
/// the ring waits: so it is done in parts of this size at most, with a look at the others between them.
pub(super) const READ_MAX: usize = 256 * 1024;

/// What a ring remembers of an operation, beside it in its slot.
pub(crate) struct Aside {
    /// The key for which the kernel was last asked for a cancel.
    cancel_asked: AtomicU64,
    /// Of a vectored send. The kernel reads it when it takes the entry, and not later.
    header: UnsafeCell<MaybeUninit<libc::msghdr>>,
}

// SAFETY: the header is touched only by whoever holds the flight of the slot it lies in.
unsafe impl Sync for Aside {}
// SAFETY: as above.
unsafe impl Send for Aside {}

impl std::fmt::Debug for Aside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Aside").field("cancel_asked", &self.cancel_asked).finish_non_exhaustive()
    }
}

impl Default for Aside {
    fn default() -> Aside {
        Aside { cancel_asked: AtomicU64::new(0), header: UnsafeCell::new(MaybeUninit::uninit()) }
    }
}

impl Aside {
    /// True once for each operation: a second cancel would only find what the first one did.
    pub(super) fn asks_first(&self, key: u64) -> bool {
        self.cancel_asked.swap(key, Ordering::Relaxed) != key
    }
}

/// What a ring remembers of a handle.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    /// The last receive left nothing behind: the next one need not try before it waits.
    drained: AtomicBool,
}

impl Memo {
    pub(super) fn set_drained(&self, drained: bool) {
        if self.drained.load(Ordering::Relaxed) != drained {
            self.drained.store(drained, Ordering::Relaxed);
        }
    }
}

/// What becomes of an operation.
pub(super) enum Entry {
    Ring(squeue::Entry),
    /// It needs a piece of lent memory first: see `done`.
    Managed,
    Offload,
    Refused(i32),
}

fn descriptor(flight: &Flight) -> types::Fd {
    types::Fd(flight.handle().map_or(-1, |handle| handle.raw))
}

/// The commonest operations, as they are written into the ring; none of another.
#[inline(always)]
pub(super) fn common(flight: &Flight, kernel: &Kernel) -> Option<Sqe> {
    let fd = || flight.handle().map_or(-1, |handle| handle.raw);
    Some(match *flight.request() {
        Request::Nop => Sqe { opcode: opcode::Nop::CODE, user_data: flight.key(), ..Sqe::default() },
        Request::Receive { buffer, len } => Sqe {
            opcode: opcode::Recv::CODE,
            ioprio: poll_first(flight, kernel),
            fd: fd(),
            address: buffer.addr() as u64,
            len: clip(len),
            user_data: flight.key(),
            ..Sqe::default()
        },
        Request::Send { buffer, len } => Sqe {
            opcode: opcode::Send::CODE,
            fd: fd(),
            address: buffer.addr() as u64,
            len: clip(len),
            op_flags: SEND_FLAGS as u32,
            user_data: flight.key(),
            ..Sqe::default()
        },
        Request::ReadAt { buffer, len, offset } => Sqe {
            opcode: opcode::Read::CODE,
            fd: fd(),
            offset,
            address: buffer.addr() as u64,
            len: len.min(READ_MAX) as u32,
            user_data: flight.key(),
            ..Sqe::default()
        },
        _ => return None,
    })
}

pub(super) fn entry(flight: &mut Flight, kernel: &Kernel, rooms: &mut stat::Rooms) -> Entry {
    let fd = descriptor(flight);
    Entry::Ring(match *flight.request() {
        // Not `recvmsg`: that writes to its header when it ends.
        Request::ReceiveVectored { slices, count } => opcode::Readv::new(fd, slices, count as u32).build(),
        Request::ReceiveManaged { .. } => return Entry::Managed,
        Request::SendVectored { slices, count } => {
            let header = flight.slot().sys.uring.header.get().cast::<libc::msghdr>();
            // SAFETY: the holder of the flight owns the header; zeros are one, and memory is what it lies in.
            unsafe { header.write_bytes(0, 1) };
            // SAFETY: as above.
            let written = unsafe { &mut *header };
            (written.msg_iov, written.msg_iovlen) = (slices, count);
            opcode::SendMsg::new(fd, header).flags(SEND_FLAGS as u32).build()
        }
        Request::ReceiveFrom { message } => {
            // SAFETY: the message is this flight's.
            let header = unsafe { message::for_receiving(message) };
            opcode::RecvMsg::new(fd, header).ioprio(poll_first(flight, kernel)).build()
        }
        Request::SendTo { message } => {
            // SAFETY: the message is this flight's.
            let header = unsafe { message::for_sending(message) };
            opcode::SendMsg::new(fd, header).flags(libc::MSG_NOSIGNAL as u32).build()
        }
        Request::Accept { many } => {
            // The address could be of the next connection by the time it is read: the socket is asked later.
            if many && kernel.multishot_accept {
                opcode::AcceptMulti::new(fd).flags(libc::SOCK_CLOEXEC).build()
            } else {
                opcode::Accept::new(fd, ptr::null_mut(), ptr::null_mut()).flags(libc::SOCK_CLOEXEC).build()
            }
        }
        Request::Connect { target } => {
            // SAFETY: the request's pointers are good while the flight lives.
            let Some(socket) = (unsafe { &(*target).socket }) else {
                return Entry::Refused(error::CODE_UNSUPPORTED);
            };
            opcode::Connect::new(fd, socket.as_ptr().cast(), socket.len()).build()
        }
        Request::WriteAt { buffer, len, offset } => {
            opcode::Write::new(fd, buffer, clip(len)).offset(offset).build()
        }
        Request::ReadVectoredAt { slices, count, offset } => {
            let entry = opcode::Readv::new(fd, slices, count as u32).offset(offset).build();
            // SAFETY: the slices are this flight's.
            let len = unsafe { std::slice::from_raw_parts(slices, count) }.iter().map(|one| one.iov_len);
            // Slices cannot be cut as easily as one buffer: what is long is copied by a thread of the kernel's.
            if len.sum::<usize>() > READ_MAX { entry.flags(squeue::Flags::ASYNC) } else { entry }
        }
        Request::WriteVectoredAt { slices, count, offset } => {
            opcode::Writev::new(fd, slices, count as u32).offset(offset).build()
        }
        Request::Sync { data_only } => {
            let flags = if data_only { types::FsyncFlags::DATASYNC } else { types::FsyncFlags::empty() };
            opcode::Fsync::new(fd).flags(flags).build()
        }
        Request::SetSize { size } if kernel.ops.truncate => opcode::Ftruncate::new(fd, size).build(),
        Request::SetSize { .. } => return Entry::Offload,
        Request::File { call } => {
            // SAFETY: the call is this flight's.
            return file_entry(unsafe { &*call }, fd, flight, kernel, rooms);
        }
        Request::Ready { readiness } => {
            let events = match readiness {
                Readiness::Read => libc::POLLIN | libc::POLLRDHUP,
                Readiness::Write => libc::POLLOUT,
            };
            opcode::PollAdd::new(fd, events as u32).build()
        }
        // SAFETY: the entry lies in the operation of this flight.
        Request::Os(OsRequest::Raw { entry }) => unsafe { (*entry).clone() },
        // `common` has these, and berths keep timers themselves.
        Request::Nop
        | Request::Receive { .. }
        | Request::Send { .. }
        | Request::ReadAt { .. }
        | Request::Timer(_) => return Entry::Refused(error::CODE_UNSUPPORTED),
    })
}

/// A send goes on until all is sent, and a peer that is gone is an error and no signal.
const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;

fn poll_first(flight: &Flight, kernel: &Kernel) -> u16 {
    let drained = flight.handle().is_some_and(|handle| handle.sys.uring.drained.load(Ordering::Relaxed));
    if drained && kernel.poll_first() { POLL_FIRST } else { 0 }
}

fn file_entry(
    call: &FileCall,
    fd: types::Fd,
    flight: &mut Flight,
    kernel: &Kernel,
    rooms: &mut stat::Rooms,
) -> Entry {
    let here = types::Fd(libc::AT_FDCWD);
    Entry::Ring(match call {
        FileCall::Open { path, options } if kernel.ops.open => {
            opcode::OpenAt::new(here, path.as_c_str().as_ptr())
                .flags(open_flags(*options))
                .mode(0o666)
                .build()
        }
        FileCall::Metadata { path, follow, .. } if kernel.ops.metadata => {
            let flags = if *follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
            let room = rooms.take();
            flight.set_progress(room);
            opcode::Statx::new(here, path.as_c_str().as_ptr(), rooms.address(room))
                .flags(flags)
                .mask(stat::MASK)
                .build()
        }
        FileCall::MetadataOfFile { .. } if kernel.ops.metadata => {
            let room = rooms.take();
            flight.set_progress(room);
            opcode::Statx::new(fd, c"".as_ptr(), rooms.address(room))
                .flags(libc::AT_EMPTY_PATH)
                .mask(stat::MASK)
                .build()
        }
        FileCall::Rename { source, target } if kernel.ops.rename => {
            opcode::RenameAt::new(here, source.as_c_str().as_ptr(), here, target.as_c_str().as_ptr()).build()
        }
        FileCall::Remove { path } if kernel.ops.remove => {
            opcode::UnlinkAt::new(here, path.as_c_str().as_ptr()).build()
        }
        FileCall::RemoveDir { path } if kernel.ops.remove => {
            opcode::UnlinkAt::new(here, path.as_c_str().as_ptr()).flags(libc::AT_REMOVEDIR).build()
        }
        FileCall::CreateDir { path } if kernel.ops.create_dir => {
            opcode::MkDirAt::new(here, path.as_c_str().as_ptr()).mode(0o777).build()
        }
        // There is no listing by a ring, and the rest came with later kernels.
        _ => return Entry::Offload,
    })
}

fn open_flags(options: OpenOptions) -> i32 {
    let access = match (options.read, options.write) {
        (true, true) => libc::O_RDWR,
        (false, true) => libc::O_WRONLY,
        (_, false) => libc::O_RDONLY,
    };
    let mut flags = access | libc::O_CLOEXEC;
    if options.create_new {
        flags |= libc::O_CREAT | libc::O_EXCL;
    } else if options.create {
        flags |= libc::O_CREAT;
    }
    if options.truncate {
        flags |= libc::O_TRUNC;
    }
    flags
}

/// A receive into a buffer that the kernel takes from the ring of buffers.
pub(super) fn receive_lent(handle: &handle::Inner, many: bool, kernel: &Kernel, len: usize) -> squeue::Entry {
    let fd = types::Fd(handle.raw);
    if many && kernel.multishot_receive() {
        return opcode::RecvMulti::new(fd, lent::GROUP).build();
    }
    opcode::Recv::new(fd, ptr::null_mut(), clip(len))
        .buf_group(lent::GROUP)
        .build()
        .flags(squeue::Flags::BUFFER_SELECT)
}

/// A receive, without waiting, into a piece of lent memory.
pub(super) fn receive_piece(handle: &handle::Inner, address: *mut u8, len: usize) -> squeue::Entry {
    opcode::Recv::new(types::Fd(handle.raw), address, clip(len)).flags(libc::MSG_DONTWAIT).build()
}

/// Until there is something to receive.
pub(super) fn receivable(handle: &handle::Inner) -> squeue::Entry {
    opcode::PollAdd::new(types::Fd(handle.raw), (libc::POLLIN | libc::POLLRDHUP) as u32).build()
}

/// At most what the kernel takes at once.
fn clip(len: usize) -> u32 {
    transfer::clip(len) as u32
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
