//! Linux: io_uring, or epoll where io_uring is refused. The only place with two back ends in one build.

pub(crate) mod blocking;
mod borrow;
pub(crate) mod epoll;
pub(crate) mod error;
pub(crate) mod local;
pub(crate) mod message;
mod path;
pub(crate) mod raw;
mod socket;
mod transfer;
pub(crate) mod uring;

use std::{
    io,
    net::{Shutdown, SocketAddr},
    os::fd::RawFd,
    time::Duration,
};

use socket2::SockAddr;

pub(crate) use self::path::SysPath;
use crate::{
    address::Address,
    handle::Kind,
    op::{
        slab::Owned,
        slot::{Flight, Slot},
    },
    port::{Backend, Config, ListenOptions},
    quay::Quay,
    sink::Sink,
};

pub(crate) type Raw = RawFd;
pub(crate) type Slice = libc::iovec;

/// What a port of this system alone is told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    pub(crate) ring: uring::RingOptions,
}

/// What lies beside an operation in its slot: something of io_uring's, nothing of epoll's.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    pub(crate) uring: uring::Aside,
}

/// What a back end remembers of a handle.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    pub(crate) uring: uring::Memo,
    pub(crate) epoll: epoll::Memo,
    /// The name in the file system that goes when the handle does.
    name: Option<local::Name>,
}

/// What `recvmsg` and `sendmsg` want.
pub(crate) struct MessageHeader(pub(crate) libc::msghdr);

impl Default for MessageHeader {
    fn default() -> MessageHeader {
        // SAFETY: a header of zeros and null pointers is a valid one.
        MessageHeader(unsafe { std::mem::zeroed() })
    }
}

impl std::fmt::Debug for MessageHeader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MessageHeader")
    }
}

/// What only Linux has.
#[derive(Debug)]
pub enum OsRequest {
    /// An entry for io_uring, written by the caller.
    Raw {
        /// It lies in the operation.
        entry: *const io_uring::squeue::Entry,
    },
}

/// The longest slice of a vectored operation: the kernel counts with a sign.
pub(crate) const SLICE_MAX: usize = isize::MAX as usize;

pub(crate) fn slice(base: *mut u8, len: usize) -> Slice {
    libc::iovec { iov_base: base.cast(), iov_len: len }
}

/// Where a slice begins and how long it is.
#[cfg(feature = "sim")]
pub(crate) fn parts(slice: &Slice) -> (*mut u8, usize) {
    (slice.iov_base.cast(), slice.iov_len)
}

/// The system's number of a handle, for others.
pub(crate) fn shown(raw: Raw, _memo: &Memo) -> Raw {
    raw
}

/// The address of the other end, where accepting told it.
pub(crate) fn known_peer(_memo: &Memo) -> Option<&SockAddr> {
    None
}

/// The descriptor that an operation yielded.
pub(crate) fn raw_of(value: usize) -> Raw {
    Raw::try_from(value).expect("a descriptor is a small number")
}

/// Asks a socket something that never waits.
pub(crate) fn with_socket<T>(raw: Raw, ask: impl FnOnce(&socket2::Socket) -> io::Result<T>) -> io::Result<T> {
    ask(&socket::Borrowed::new(raw))
}

/// The name of a local socket; empty if it has none.
pub(crate) fn socket_path(address: &SockAddr) -> std::path::PathBuf {
    address.as_pathname().map(std::path::Path::to_path_buf).unwrap_or_default()
}

/// Where a local address of this name is.
pub(crate) fn local_path(name: &str) -> io::Result<std::path::PathBuf> {
    Ok(local::folder()?.join(name))
}

#[derive(Debug)]
pub(crate) enum System {
    Uring(uring::System),
    Epoll,
}

#[derive(Debug)]
pub(crate) enum Driver {
    Uring(Box<uring::Driver>),
    Epoll(Box<epoll::Driver>),
}

#[derive(Debug)]
pub(crate) enum Waker {
    Uring(uring::Waker),
    Epoll(epoll::Waker),
}

impl Waker {
    pub(crate) fn wake(&self) -> io::Result<()> {
        match self {
            Waker::Uring(waker) => waker.wake(),
            Waker::Epoll(waker) => waker.wake(),
        }
    }
}

/// How one thread of several at a quay is woken. There are never several.
#[derive(Debug)]
pub(crate) enum Caller {}

impl Caller {
    pub(crate) fn call(&self) -> io::Result<()> {
        match *self {}
    }
}

impl System {
    pub(crate) fn open(config: &Config) -> io::Result<System> {
        match config.backend {
            Backend::Uring => uring::System::open(config).map(System::Uring),
            Backend::Epoll => Ok(System::Epoll),
            Backend::Auto => Ok(uring::System::open(config).map_or_else(
                |error| {
                    uring::tell_why_not(&error);
                    System::Epoll
                },
                System::Uring,
            )),
            other => {
                let why = format!("there is no {other} on Linux: uring and epoll are what there is");
                Err(io::Error::new(io::ErrorKind::Unsupported, why))
            }
        }
    }

    pub(crate) fn backend(&self) -> Backend {
        match self {
            System::Uring(_) => Backend::Uring,
            System::Epoll => Backend::Epoll,
        }
    }

    pub(crate) fn driver(&self, config: &Config, quay: &'static Quay) -> io::Result<Driver> {
        match self {
            System::Uring(system) => {
                system.driver(config, quay).map(|driver| Driver::Uring(Box::new(driver)))
            }
            System::Epoll => epoll::Driver::open(quay).map(|driver| Driver::Epoll(Box::new(driver))),
        }
    }

    /// Whether descriptors wait in the kernel (io_uring) or say that they would (epoll).
    fn nonblocking(&self) -> bool {
        matches!(self, System::Epoll)
    }

    pub(crate) fn listen(&self, address: &Address, options: &ListenOptions) -> io::Result<(Raw, Kind)> {
        socket::listen(address, options, self.nonblocking())
    }

    pub(crate) fn stream(&self, address: &Address, from: Option<SocketAddr>) -> io::Result<(Raw, Kind)> {
        socket::stream(address, from, self.nonblocking())
    }

    pub(crate) fn datagram(&self, address: &Address) -> io::Result<(Raw, Kind)> {
        socket::datagram(address, self.nonblocking())
    }

    pub(crate) fn connect_datagram(&self, raw: Raw, address: &SockAddr) -> io::Result<()> {
        socket::connect_datagram(raw, address)
    }

    pub(crate) fn attach(&self, raw: Raw, kind: Kind, memo: &mut Memo) -> io::Result<()> {
        memo.name = socket::name(raw, kind);
        Ok(())
    }

    pub(crate) fn close(&self, raw: Raw, kind: Kind, memo: &mut Memo) {
        memo.epoll.forget(raw);
        if let Some(name) = memo.name.take() {
            name.remove();
        }
        socket::close(raw, kind);
    }

    pub(crate) fn shutdown(&self, raw: Raw, _kind: Kind, how: Shutdown) -> io::Result<()> {
        socket::shutdown(raw, how)
    }

    pub(crate) fn has_halves(&self, _kind: Kind) -> bool {
        true
    }

    pub(crate) fn local_address(&self, raw: Raw, _kind: Kind) -> io::Result<SockAddr> {
        socket::local_address(raw)
    }

    pub(crate) fn peer_address(&self, raw: Raw, _kind: Kind) -> io::Result<SockAddr> {
        socket::peer_address(raw)
    }

    pub(crate) fn nodelay(&self, raw: Raw, _kind: Kind) -> io::Result<bool> {
        socket::nodelay(raw)
    }

    pub(crate) fn set_nodelay(&self, raw: Raw, _kind: Kind, nodelay: bool) -> io::Result<()> {
        socket::set_nodelay(raw, nodelay)
    }
}

impl super::Driver for Driver {
    #[inline]
    fn submit(&mut self, flight: Flight, sink: &mut Sink) {
        match self {
            Driver::Uring(driver) => driver.submit(flight, sink),
            Driver::Epoll(driver) => driver.submit(flight, sink),
        }
    }

    fn cancel(&mut self, slot: &'static Slot, sink: &mut Sink) {
        match self {
            Driver::Uring(driver) => driver.cancel(slot, sink),
            Driver::Epoll(driver) => driver.cancel(slot, sink),
        }
    }

    #[inline]
    fn wait(&mut self, timeout: Option<Duration>, slots: &Owned, sink: &mut Sink) -> io::Result<()> {
        match self {
            Driver::Uring(driver) => driver.wait(timeout, slots, sink),
            Driver::Epoll(driver) => driver.wait(timeout, slots, sink),
        }
    }

    #[inline]
    fn is_quiet(&self, under_way: bool) -> bool {
        match self {
            Driver::Uring(driver) => driver.is_quiet(),
            // Only what waits there can be heard.
            Driver::Epoll(_) => !under_way,
        }
    }

    fn backend(&self) -> Backend {
        match self {
            Driver::Uring(_) => Backend::Uring,
            Driver::Epoll(_) => Backend::Epoll,
        }
    }
}
