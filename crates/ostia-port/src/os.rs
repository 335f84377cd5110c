//! What only one system has.

/// What only Linux has: raw entries for io_uring, adopted descriptors, and how rings are set up.
#[cfg(target_os = "linux")]
pub mod linux {
    use std::{
        io,
        os::fd::{IntoRawFd, OwnedFd},
    };

    pub use io_uring;

    pub use crate::sys::linux::{
        raw::{RawDone, RawSqe},
        uring::{RingLevel, RingOptions},
    };
    use crate::{
        handle::{Foreign, Handle, Kind, Listener},
        option,
        port::{Builder, Port},
    };

    /// Prefers this listener, of those that share its port ([`ListenOptions::reuse_port`](crate::ListenOptions)), for
    /// connections whose packets this CPU takes.
    ///
    /// # Errors
    ///
    /// Those of the system; only TCP has it: `Unsupported`.
    pub fn set_incoming_cpu(listener: &Listener, cpu: usize) -> io::Result<()> {
        option::set_incoming_cpu(listener, cpu)
    }

    /// See [`set_incoming_cpu`]; none if it was never set.
    ///
    /// # Errors
    ///
    /// As those of [`set_incoming_cpu`].
    pub fn incoming_cpu(listener: &Listener) -> io::Result<Option<usize>> {
        // The system says -1 where nothing was set.
        Ok(Some(option::incoming_cpu(listener)?).filter(|cpu| i32::try_from(*cpu).is_ok_and(|cpu| cpu >= 0)))
    }

    impl Port {
        /// Takes over a descriptor that was made elsewhere. It is closed when the last clone of the handle, and
        /// the last operation on it, are gone.
        ///
        /// # Errors
        ///
        /// Those of the system; the descriptor is closed then.
        pub fn adopt(&self, descriptor: OwnedFd) -> io::Result<Foreign> {
            Handle::attach(self.shared(), descriptor.into_raw_fd(), Kind::Foreign).map(Foreign)
        }
    }

    impl Builder {
        /// How the rings are set up.
        pub fn ring(mut self, options: RingOptions) -> Builder {
            self.config_mut().sys.ring = options;
            self
        }
    }
}

/// What only Windows has: named pipes made otherwise than usual, who is at the other end of one, adopted handles and
/// raw overlapped calls.
#[cfg(windows)]
pub mod windows {
    use std::{
        io,
        os::windows::io::{IntoRawHandle, IntoRawSocket, OwnedHandle, OwnedSocket},
    };

    pub use crate::sys::windows::{
        pipe::PipeOptions,
        raw::{RawCall, Started},
        security::Access,
    };
    use crate::{
        address::Address,
        handle::{Foreign, Handle, Kind, Listener, Stream},
        port::Port,
        sys::windows::pipe,
    };

    impl PipeOptions {
        /// A listener of this name, listening.
        ///
        /// # Errors
        ///
        /// `InvalidInput` if the address is not `\\.\pipe\name`; else those of the system: somebody has the name
        /// already.
        pub fn listen(&self, port: &Port, address: &Address) -> io::Result<Listener> {
            let (raw, kind) = port.shared().system.os()?.listen_pipe(address, self)?;
            Handle::attach(port.shared(), raw, kind).map(Listener)
        }

        /// A listener of a name that nobody else has, and the name.
        ///
        /// # Errors
        ///
        /// Those of the system, and after ten names that somebody had `AddrInUse`.
        pub fn listen_generated(&self, port: &Port) -> io::Result<(Listener, Address)> {
            pipe::generated(|address| self.listen(port, address))
        }

        /// A stream to be connected to a pipe by [`op::Connect`](crate::op::Connect). Of the options only the one for
        /// messages counts.
        ///
        /// # Errors
        ///
        /// `InvalidInput` if the address is not `\\.\pipe\name`.
        pub fn stream(&self, port: &Port, address: &Address) -> io::Result<Stream> {
            let (raw, kind) = port.shared().system.os()?.pipe_stream(address, self)?;
            Handle::attach(port.shared(), raw, kind).map(Stream)
        }
    }

    /// Both ends of a pipe that has no name anybody could know: the server's and the client's.
    ///
    /// # Errors
    ///
    /// Those of the system; `PermissionDenied` if another process was faster, and is at the other end.
    pub fn pipe_pair(port: &Port) -> io::Result<(Stream, Stream)> {
        let (server, client) = port.shared().system.os()?.pipe_pair()?;
        let attach = |end: OwnedHandle| {
            Handle::attach(port.shared(), end.into_raw_handle().addr(), Kind::Pipe).map(Stream)
        };
        Ok((attach(server)?, attach(client)?))
    }

    /// The number of the process at the other end of a pipe. It may mean another process when that one has ended.
    ///
    /// # Errors
    ///
    /// Those of the system; a socket has no such number.
    pub fn peer_process(pipe: &Stream) -> io::Result<u32> {
        pipe::peer_process(pipe.raw())
    }

    /// The user at the other end of a pipe, by the written form of its security identifier. The system knows a client
    /// only after something was received from it.
    ///
    /// The call asks on a thread of its own, because for a moment that thread acts as the client.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn peer_user(pipe: &Stream) -> io::Result<String> {
        pipe::peer_user(pipe.raw())
    }

    /// Cuts the client of a pipe off, at the server's end. What it has not received yet is lost.
    ///
    /// # Errors
    ///
    /// Those of the system; the client's end cannot do this.
    pub fn disconnect(pipe: &Stream) -> io::Result<()> {
        pipe::disconnect(pipe.raw())
    }

    impl Port {
        /// Takes over a handle that was made elsewhere, opened overlapped. It is closed when the last clone of the
        /// handle, and the last operation on it, are gone.
        ///
        /// # Errors
        ///
        /// `InvalidInput` if it was not opened overlapped, or belongs to a completion port already; it is closed
        /// then.
        pub fn adopt(&self, handle: OwnedHandle) -> io::Result<Foreign> {
            Handle::attach(self.shared(), handle.into_raw_handle().addr(), Kind::Foreign).map(Foreign)
        }

        /// Takes over a socket that was made elsewhere, as [`Port::adopt`] does a handle.
        ///
        /// # Errors
        ///
        /// As those of [`Port::adopt`].
        pub fn adopt_socket(&self, socket: OwnedSocket) -> io::Result<Foreign> {
            let raw = usize::try_from(socket.into_raw_socket()).expect("a socket is as wide as a pointer");
            Handle::attach(self.shared(), raw, Kind::Foreign).map(Foreign)
        }
    }
}
