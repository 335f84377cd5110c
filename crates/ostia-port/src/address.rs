//! Addresses of sockets and pipes.

use std::{
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use socket2::SockAddr;

/// Where a socket or a pipe is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// A name in this machine: a path on Linux (a Unix socket), `\\.\pipe\name` on Windows (a named pipe). The
    /// empty path is that of a socket without a name.
    Local(PathBuf),
}

impl Address {
    /// The path of a local address.
    pub fn as_path(&self) -> Option<&Path> {
        match self {
            Address::Local(path) => Some(path),
            Address::Ip(_) => None,
        }
    }

    /// The socket address of an IP address.
    pub fn as_ip(&self) -> Option<SocketAddr> {
        match self {
            Address::Ip(address) => Some(*address),
            Address::Local(_) => None,
        }
    }

    /// As the system's calls want it.
    pub(crate) fn to_system(&self) -> io::Result<SockAddr> {
        match self {
            Address::Ip(address) => Ok(SockAddr::from(*address)),
            Address::Local(path) => SockAddr::unix(path),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        Address::Ip(address)
    }
}

impl TryFrom<&SockAddr> for Address {
    type Error = io::Error;

    fn try_from(address: &SockAddr) -> io::Result<Address> {
        if let Some(ip) = address.as_socket() {
            return Ok(Address::Ip(ip));
        }
        if address.is_unix() {
            #[cfg(unix)]
            let path = address.as_pathname().map(Path::to_path_buf).unwrap_or_default();
            #[cfg(not(unix))]
            let path = PathBuf::new();
            return Ok(Address::Local(path));
        }
        Err(io::Error::new(io::ErrorKind::Unsupported, "an address of an unknown family"))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Ip(address) => address.fmt(f),
            Address::Local(path) if path.as_os_str().is_empty() => f.write_str("(unnamed)"),
            Address::Local(path) => path.display().fmt(f),
        }
    }
}
