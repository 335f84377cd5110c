//! Who is at the other end of a Unix socket.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    process,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::peer::{Peer, Side, User};

/// A process, held: its number is not given to another while this lives.
#[derive(Debug)]
pub(crate) struct Process(OwnedFd);

impl Process {
    /// A pidfd is readable when the process has ended.
    pub(crate) fn is_running(&self) -> io::Result<bool> {
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        Ok(rustix::io::retry_on_intr(|| poll(&mut fds, Some(&now)))? == 0)
    }
}

/// One end of a local connection, as this system has it: a descriptor here, a handle on Windows.
pub trait LocalEnd: AsFd {}

impl<T: AsFd> LocalEnd for T {}

/// A socket says by itself who is at its other end.
pub(crate) fn of(end: &impl LocalEnd, _other: Side) -> io::Result<Peer> {
    Peer::of_socket(end)
}

pub(crate) fn current() -> io::Result<Peer> {
    let uid = rustix::process::geteuid().as_raw();
    let gid = rustix::process::getegid().as_raw();
    Ok(Peer::new(Some(process::id()), User::Unix { uid, gid }, None))
}

impl Peer {
    /// Who is at the other end of a connected Unix socket: whoever called `connect`, or `listen`, or made the pair,
    /// with the user it had then.
    ///
    /// The process is held against reuse of its number from Linux 6.5 on, if it still runs.
    ///
    /// # Platforms
    ///
    /// Linux.
    ///
    /// # Errors
    ///
    /// When it is no Unix socket, or not connected.
    pub fn of_socket(socket: impl AsFd) -> io::Result<Peer> {
        let socket = socket.as_fd();
        // What the kernel writes when nobody is there: all ones.
        let nobody = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
        let who: libc::ucred = option(socket, libc::SO_PEERCRED, nobody)?;
        if who.uid == u32::MAX && who.gid == u32::MAX {
            return Err(io::ErrorKind::NotConnected.into());
        }
        // 0 is a process that this one cannot see, in another space of numbers.
        let pid = u32::try_from(who.pid).ok().filter(|&pid| pid != 0);
        // Older kernels do not know the option, and a process that has ended may have none; both are no error.
        let process = option::<RawFd>(socket, libc::SO_PEERPIDFD, -1).ok().filter(|&fd| fd >= 0);
        let process = process.map(|fd| {
            // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
            Process(unsafe { OwnedFd::from_raw_fd(fd) })
        });
        Ok(Peer::new(pid, User::Unix { uid: who.uid, gid: who.gid }, process))
    }
}

/// A plain value from the kernel.
trait Plain: Copy {}
impl Plain for libc::ucred {}
impl Plain for RawFd {}

fn option<T: Plain>(socket: BorrowedFd<'_>, name: libc::c_int, mut value: T) -> io::Result<T> {
    let mut len = libc::socklen_t::try_from(size_of::<T>()).expect("a few bytes");
    // SAFETY: the kernel writes at most `len` bytes to `value`, which has them, and any bytes are a value of the two
    // types of integers that are Plain.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, name, (&raw mut value).cast(), &raw mut len)
    };
    match result {
        0 if len as usize == size_of::<T>() => Ok(value),
        // A short answer is none of what was asked for.
        0 => Err(io::ErrorKind::InvalidData.into()),
        _ => Err(io::Error::last_os_error()),
    }
}
