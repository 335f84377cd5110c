//! Addresses of sockets and pipes.

use std::{
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use socket2::SockAddr;

use crate::sys;

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
    /// The local address of this name, the same on every system: a Unix socket in a folder that this user alone may
    /// enter (it is made), or a named pipe.
    ///
    /// # Errors
    ///
    /// If the name is empty or has a separator in it, or the folder cannot be had.
    pub fn local(name: &str) -> io::Result<Address> {
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\\', '\0']) {
            let why =
                format!("{name:?} is no name for a local address: it may have no separator and not be empty");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        sys::local_path(name).map(Address::Local)
    }

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

    /// From what the system's calls say.
    pub(crate) fn from_system(address: &SockAddr) -> io::Result<Address> {
        if let Some(ip) = address.as_socket() {
            return Ok(Address::Ip(ip));
        }
        if address.is_unix() {
            return Ok(Address::Local(sys::socket_path(address)));
        }
        Err(io::Error::new(io::ErrorKind::Unsupported, "an address of an unknown family"))
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

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Ip(address) => address.fmt(f),
            Address::Local(path) if path.as_os_str().is_empty() => f.write_str("(unnamed)"),
            Address::Local(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_name_is_a_name_and_not_a_path() {
        for name in ["", ".", "..", "a/b", r"a\b", "a\0b"] {
            assert_eq!(Address::local(name).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{name:?}");
        }
        let path = Address::local("ostia-test-name").unwrap();
        let path = path.as_path().expect("it is local");
        assert!(path.ends_with("ostia-test-name"), "{}", path.display());
    }
}
