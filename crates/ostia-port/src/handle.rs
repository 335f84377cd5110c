//! Handles: what operations are on. A handle is closed when the last of its clones and of the operations on it
//! is gone, so its number cannot come to mean something else while the kernel still uses it.

use std::{fmt, io, net::Shutdown, sync::Arc};

use socket2::SockAddr;

use crate::{
    address::Address,
    port::Shared,
    sys::{self, Raw},
    turn::Turns,
};

/// What a handle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A stream or listener over IP.
    Tcp,
    /// A stream or listener in the file system.
    #[cfg_attr(windows, allow(dead_code, reason = "a pipe is what Windows has there"))]
    LocalStream,
    /// Datagrams over IP.
    Udp,
    /// Datagrams in the file system.
    #[cfg_attr(windows, allow(dead_code, reason = "Windows has none"))]
    LocalDatagram,
    /// A Windows named pipe: one end of it, or (listening) the name.
    #[cfg_attr(not(windows), allow(dead_code, reason = "Windows alone has them"))]
    Pipe,
    /// A file.
    File,
    /// Somebody else's, adopted.
    Foreign,
}

pub(crate) struct Inner {
    pub(crate) raw: Raw,
    pub(crate) kind: Kind,
    pub(crate) port: Arc<Shared>,
    pub(crate) turns: &'static Turns,
    /// What a back end remembers of it.
    pub(crate) sys: sys::Memo,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.port.system.close(self.raw, self.kind, &mut self.sys);
        self.turns.release();
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("raw", &self.raw).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// A counted reference to a handle.
#[doc(hidden)]
#[derive(Debug, Clone)]
pub struct Handle(Arc<Inner>);

impl Handle {
    /// Takes over a raw handle: it is closed by this one, also if attaching fails.
    pub(crate) fn attach(port: &Arc<Shared>, raw: Raw, kind: Kind) -> io::Result<Handle> {
        let mut inner =
            Inner { raw, kind, port: Arc::clone(port), turns: Turns::claim(), sys: sys::Memo::default() };
        port.system.attach(raw, kind, &mut inner.sys)?;
        Ok(Handle(Arc::new(inner)))
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    pub(crate) fn port(&self) -> &Arc<Shared> {
        &self.0.port
    }

    fn system(&self) -> &sys::System {
        &self.0.port.system
    }
}

macro_rules! handle_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name(pub(crate) Handle);

        impl $name {
            /// The system's own number of it, for logs and for calls of the system that this crate has no word
            /// for. It stays this handle's until the last clone and operation are gone.
            pub fn raw(&self) -> Raw {
                let inner = self.0.inner();
                sys::shown(inner.raw, &inner.sys)
            }
        }
    };
}

handle_type! {
    /// A connected stream of bytes: TCP, a Unix socket, or one end of a Windows named pipe.
    Stream
}
handle_type! {
    /// What streams are accepted from.
    Listener
}
handle_type! {
    /// A socket for datagrams.
    Datagram
}
handle_type! {
    /// An open file. There is no shared position: each read and write says where.
    File
}
handle_type! {
    /// Somebody else's descriptor or handle, adopted: it can be waited for, and used by raw calls.
    Foreign
}

fn address(raw: io::Result<SockAddr>) -> io::Result<Address> {
    Address::from_system(&raw?)
}

impl Stream {
    /// The address of this end.
    ///
    /// # Errors
    ///
    /// Those of the system; of a named pipe, `Unsupported`.
    pub fn local_address(&self) -> io::Result<Address> {
        address(self.0.system().local_address(self.raw(), self.0.inner().kind))
    }

    /// The address of the other end.
    ///
    /// # Errors
    ///
    /// Those of the system: not connected, above all; of a named pipe, `Unsupported`.
    pub fn peer_address(&self) -> io::Result<Address> {
        let inner = self.0.inner();
        if let Some(peer) = sys::known_peer(&inner.sys) {
            return Address::from_system(peer);
        }
        address(self.0.system().peer_address(self.raw(), inner.kind))
    }

    /// Closes one direction, or both. What was sent before still arrives; a receive under way ends.
    ///
    /// # Platforms
    ///
    /// On Windows a receive under way goes on until the other end has closed, too, or it is cancelled.
    ///
    /// # Errors
    ///
    /// Those of the system; a named pipe has no half to close: `Unsupported`.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.system().shutdown(self.raw(), self.0.inner().kind, how)
    }

    /// Whether it has two directions that can be closed apart. A named pipe has not.
    pub fn has_halves(&self) -> bool {
        self.0.system().has_halves(self.0.inner().kind)
    }

    /// Whether small sends go out at once. A stream of this crate starts with the system's own setting.
    ///
    /// # Errors
    ///
    /// Those of the system; only TCP has it.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.0.system().set_nodelay(self.raw(), self.0.inner().kind, nodelay)
    }

    /// See [`Stream::set_nodelay`].
    ///
    /// # Errors
    ///
    /// Those of the system; only TCP has it.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.0.system().nodelay(self.raw(), self.0.inner().kind)
    }
}

impl Listener {
    /// Where it listens: the port the system chose, if it was asked for port 0.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_address(&self) -> io::Result<Address> {
        address(self.0.system().local_address(self.raw(), self.0.inner().kind))
    }
}

impl Datagram {
    /// Where it is bound.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_address(&self) -> io::Result<Address> {
        address(self.0.system().local_address(self.raw(), self.0.inner().kind))
    }

    /// From here on, datagrams go to and come from this address alone.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn connect(&self, to: &Address) -> io::Result<()> {
        self.0.system().connect_datagram(self.raw(), &to.to_system()?)
    }
}
