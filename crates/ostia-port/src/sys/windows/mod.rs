//! Windows: one completion port, shared by all berths.

pub(crate) mod blocking;
pub(crate) mod error;

use std::{io, net::Shutdown, path::{Path, PathBuf}, time::Duration};

use socket2::SockAddr;

use crate::{
    address::Address,
    handle::Kind,
    op::{
        slab,
        slot::{Flight, Slot},
    },
    port::{Backend, Config, ListenOptions},
    quay::Quay,
    sink::Sink,
};

/// A socket, or a handle of a file or pipe; as wide as either.
pub(crate) type Raw = usize;

/// One piece of memory of a vectored operation: Winsock's WSABUF.
pub(crate) type Slice = windows_sys::Win32::Networking::WinSock::WSABUF;

/// What lies beside an operation in its slot.
#[derive(Debug, Default)]
pub(crate) struct Aside;

/// What is remembered of a handle.
#[derive(Debug, Default)]
pub(crate) struct Memo;

/// What datagrams want beside the message.
#[derive(Debug, Default)]
pub(crate) struct MessageHeader;

/// What only Windows has.
#[derive(Debug)]
pub enum OsRequest {}

/// A path, as it was given.
#[derive(Debug)]
pub struct SysPath(PathBuf);

impl SysPath {
    pub(crate) fn new(path: &Path) -> io::Result<SysPath> {
        Ok(SysPath(path.to_path_buf()))
    }

    /// As it was given.
    #[cfg(feature = "sim")]
    pub(crate) fn to_path_buf(&self) -> PathBuf {
        self.0.clone()
    }
}

pub(crate) fn slice(base: *mut u8, len: usize) -> Slice {
    Slice { len: len as u32, buf: base }
}

/// Where a slice begins and how long it is.
#[cfg(feature = "sim")]
pub(crate) fn parts(slice: &Slice) -> (*mut u8, usize) {
    (slice.buf, slice.len as usize)
}

/// The handle that an operation yielded.
pub(crate) fn raw_of(value: usize) -> Raw {
    value
}

/// Where a local address of this name is.
pub(crate) fn local_path(name: &str) -> io::Result<PathBuf> {
    Ok(PathBuf::from(format!(r"\\.\pipe\{name}")))
}

#[derive(Debug)]
pub(crate) enum System {}

fn unsupported<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

impl System {
    pub(crate) fn open(_config: &Config) -> io::Result<System> {
        unsupported()
    }

    pub(crate) fn backend(&self) -> Backend {
        match *self {}
    }

    pub(crate) fn driver(&self, _config: &Config, _quay: &'static Quay) -> io::Result<Driver> {
        match *self {}
    }

    pub(crate) fn listen(&self, _address: &Address, _options: &ListenOptions) -> io::Result<(Raw, Kind)> {
        match *self {}
    }

    pub(crate) fn stream(&self, _address: &Address) -> io::Result<(Raw, Kind)> {
        match *self {}
    }

    pub(crate) fn datagram(&self, _address: &Address) -> io::Result<(Raw, Kind)> {
        match *self {}
    }

    pub(crate) fn connect_datagram(&self, _raw: Raw, _address: &SockAddr) -> io::Result<()> {
        match *self {}
    }

    pub(crate) fn attach(&self, _raw: Raw, _kind: Kind, _memo: &mut Memo) -> io::Result<()> {
        match *self {}
    }

    pub(crate) fn close(&self, _raw: Raw, _kind: Kind, _memo: &mut Memo) {
        match *self {}
    }

    pub(crate) fn shutdown(&self, _raw: Raw, _kind: Kind, _how: Shutdown) -> io::Result<()> {
        match *self {}
    }

    pub(crate) fn local_address(&self, _raw: Raw, _kind: Kind) -> io::Result<SockAddr> {
        match *self {}
    }

    pub(crate) fn peer_address(&self, _raw: Raw, _kind: Kind) -> io::Result<SockAddr> {
        match *self {}
    }

    pub(crate) fn nodelay(&self, _raw: Raw, _kind: Kind) -> io::Result<bool> {
        match *self {}
    }

    pub(crate) fn set_nodelay(&self, _raw: Raw, _kind: Kind, _nodelay: bool) -> io::Result<()> {
        match *self {}
    }
}

#[derive(Debug)]
pub(crate) enum Driver {}

impl super::Driver for Driver {
    fn submit(&mut self, _flight: Flight, _sink: &mut Sink) {
        match *self {}
    }

    fn cancel(&mut self, _slot: &'static Slot, _sink: &mut Sink) {
        match *self {}
    }

    fn wait(&mut self, _timeout: Option<Duration>, _slots: &slab::Owned, _sink: &mut Sink) -> io::Result<()> {
        match *self {}
    }

    fn backend(&self) -> Backend {
        match *self {}
    }
}

#[derive(Debug)]
pub(crate) enum Waker {}

impl Waker {
    pub(crate) fn wake(&self) -> io::Result<()> {
        match *self {}
    }
}
