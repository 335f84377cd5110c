//! Making, asking and closing descriptors: calls that never wait.

use std::{
    io,
    mem::ManuallyDrop,
    net::{Shutdown, SocketAddr},
    ops::Deref,
    os::fd::{FromRawFd, IntoRawFd, RawFd},
};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::{address::Address, handle::Kind, port::ListenOptions};

/// A look at a socket that belongs to a handle.
pub(super) struct Borrowed(ManuallyDrop<Socket>);

impl Borrowed {
    pub(super) fn new(raw: RawFd) -> Borrowed {
        // SAFETY: the caller has a handle, which keeps the descriptor open; it is not closed here.
        Borrowed(ManuallyDrop::new(unsafe { Socket::from_raw_fd(raw) }))
    }
}

impl Deref for Borrowed {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.0
    }
}

fn open(address: &Address, kind: Type, nonblocking: bool) -> io::Result<Socket> {
    let domain = match address {
        Address::Ip(address) => Domain::for_address(*address),
        Address::Local(_) => Domain::UNIX,
    };
    // Close-on-exec from the first moment, by the call itself.
    let socket = Socket::new(domain, kind, None)?;
    if nonblocking {
        socket.set_nonblocking(true)?;
    }
    Ok(socket)
}

pub(super) fn listen(
    address: &Address,
    options: &ListenOptions,
    nonblocking: bool,
) -> io::Result<(RawFd, Kind)> {
    let socket = open(address, Type::STREAM, nonblocking)?;
    let kind = match address {
        Address::Ip(address) => {
            // A port whose connections still linger may be used again; one that listens may not.
            socket.set_reuse_address(true)?;
            if options.reuse_port {
                socket.set_reuse_port(true)?;
            }
            if let (true, Some(only)) = (address.is_ipv6(), options.only_v6) {
                socket.set_only_v6(only)?;
            }
            Kind::Tcp
        }
        Address::Local(_) => Kind::LocalStream,
    };
    bind(&socket, address)?;
    socket.listen(options.backlog)?;
    Ok((socket.into_raw_fd(), kind))
}

pub(super) fn stream(
    address: &Address,
    from: Option<SocketAddr>,
    nonblocking: bool,
) -> io::Result<(RawFd, Kind)> {
    let socket = open(address, Type::STREAM, nonblocking)?;
    if let Some(from) = from {
        // A port whose last connection still lingers may be used again, to somewhere else.
        socket.set_reuse_address(true)?;
        socket.bind(&from.into())?;
    }
    let kind = match address {
        Address::Ip(_) => Kind::Tcp,
        Address::Local(_) => Kind::LocalStream,
    };
    Ok((socket.into_raw_fd(), kind))
}

pub(super) fn datagram(address: &Address, nonblocking: bool) -> io::Result<(RawFd, Kind)> {
    let socket = open(address, Type::DGRAM, nonblocking)?;
    let kind = match address {
        Address::Ip(_) => Kind::Udp,
        Address::Local(_) => Kind::LocalDatagram,
    };
    // The empty path is a socket without a name.
    if address.as_path().is_none_or(|path| !path.as_os_str().is_empty()) {
        bind(&socket, address)?;
    }
    Ok((socket.into_raw_fd(), kind))
}

fn bind(socket: &Socket, address: &Address) -> io::Result<()> {
    match address {
        Address::Ip(address) => socket.bind(&(*address).into()),
        Address::Local(path) => super::local::bind(socket, path),
    }
}

/// The name in the file system that goes with the handle: that of a listener, or of a datagram socket. An accepted
/// stream has its listener's name, which is not its own.
pub(super) fn name(raw: RawFd, kind: Kind) -> Option<super::local::Name> {
    let socket = Borrowed::new(raw);
    let owns = match kind {
        Kind::LocalStream => socket.is_listener().unwrap_or(false),
        Kind::LocalDatagram => true,
        _ => false,
    };
    owns.then(|| super::local::Name::of(&socket)).flatten()
}

pub(super) fn connect_datagram(raw: RawFd, address: &SockAddr) -> io::Result<()> {
    Borrowed::new(raw).connect(address)
}

pub(super) fn close(raw: RawFd, _kind: Kind) {
    // SAFETY: the handle that owned it is being dropped, and no operation on it is under way.
    drop(unsafe { std::os::fd::OwnedFd::from_raw_fd(raw) });
}

pub(super) fn shutdown(raw: RawFd, how: Shutdown) -> io::Result<()> {
    Borrowed::new(raw).shutdown(how)
}

pub(super) fn local_address(raw: RawFd) -> io::Result<SockAddr> {
    Borrowed::new(raw).local_addr()
}

pub(super) fn peer_address(raw: RawFd) -> io::Result<SockAddr> {
    Borrowed::new(raw).peer_addr()
}

pub(super) fn nodelay(raw: RawFd) -> io::Result<bool> {
    Borrowed::new(raw).tcp_nodelay()
}

pub(super) fn set_nodelay(raw: RawFd, nodelay: bool) -> io::Result<()> {
    Borrowed::new(raw).set_tcp_nodelay(nodelay)
}
