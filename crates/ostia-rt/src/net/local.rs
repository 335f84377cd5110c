//! Connections inside this machine: Unix sockets, and Windows named pipes, under one kind of name.

use std::{fmt, io, sync::Arc};

use ostia_os::peer::{Peer, Side};
use ostia_port::{Address, ListenOptions, op::Connect};

use super::{
    accept::Accepting,
    stream::{self, Inner, ReadHalf, WriteHalf, reads, writes},
    tcp::port,
};
use crate::{driver::Operation, placement::Placement};

/// The name of a place in this machine that can be listened at and connected to.
///
/// # Platforms
///
/// On Linux it is a Unix socket in a folder that this user alone may enter, on Windows a named pipe that no other
/// machine can reach. In either case nobody but the user who listens may connect.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LocalEndpoint {
    address: Address,
}

impl LocalEndpoint {
    /// The endpoint of this name, the same on every system. The name has no separator in it, and is not empty.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the name is none; those of the system if the folder of the names cannot be had.
    pub fn named(name: &str) -> io::Result<LocalEndpoint> {
        Address::local(name).map(|address| LocalEndpoint { address })
    }
}

impl fmt::Display for LocalEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// Listens at a [`LocalEndpoint`], for this user alone.
///
/// ```
/// use ostia_rt::net::{LocalEndpoint, LocalListener, LocalStream};
///
/// # let runtime = ostia_rt::Runtime::builder().workers_per_node(1).build()?;
/// runtime.block_on(async {
///     let here = LocalEndpoint::named(&format!("example-{}", std::process::id()))?;
///     let listener = LocalListener::bind(&here)?;
///     let connecting = ostia_rt::spawn(async move { LocalStream::connect(&here).await });
///     let server = listener.accept().await?;
///     let client = connecting.await.expect("it does not panic")?;
///     client.write_all(&b"hello"[..]).await.0?;
///     let (read, buffer) = server.read_exact(Vec::with_capacity(5), 5).await;
///     read?;
///     assert_eq!(buffer, b"hello");
///     std::io::Result::Ok(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct LocalListener {
    accepting: Accepting,
}

impl LocalListener {
    /// Listens at this endpoint. The name is free again a moment after the listener is dropped: when the system has given
    /// back what accepts, for which [`LocalListener::close`] waits.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if somebody listens there already; those of the system.
    ///
    /// # Panics
    ///
    /// On a thread of no runtime.
    #[track_caller]
    pub fn bind(endpoint: &LocalEndpoint) -> io::Result<LocalListener> {
        let listener = port().listen(&endpoint.address, &ListenOptions::new())?;
        Ok(LocalListener { accepting: Accepting::new(listener) })
    }

    /// The next connection. From the first call on, the listener accepts connections also while nobody waits for one,
    /// up to 256; they are closed if the listener is dropped before somebody took them.
    ///
    /// Several may accept at a time: they are served in the order in which they came.
    ///
    /// # Errors
    ///
    /// What is wrong with one connection only, or that the system has no descriptor left: the next call goes on, and the
    /// listener itself waits a while before it asks such a system again. Anything else is wrong with the listener, and
    /// will be so again.
    ///
    /// # Cancel safety
    ///
    /// A connection that a dropped accept had won goes to whoever accepts next.
    pub async fn accept(&self) -> io::Result<LocalStream> {
        let stream = self.accepting.accept().await?;
        Ok(LocalStream { inner: Inner::new(stream), peer: Side::Client })
    }

    /// As [`LocalListener::accept`], but the connection belongs to the node that the placement says: see
    /// [`TcpListener::accept_at`](super::TcpListener::accept_at).
    ///
    /// # Platforms
    ///
    /// A Windows named pipe belongs to its listener's node from its beginning. A placement that leaves the choice chooses
    /// a worker there, and one that names another node is `Unsupported`.
    ///
    /// # Errors
    ///
    /// As [`LocalListener::accept`].
    ///
    /// # Panics
    ///
    /// If the placement names a node or a worker that is not there; on a thread of no runtime.
    ///
    /// # Cancel safety
    ///
    /// As [`LocalListener::accept`]; whoever accepts next says where it belongs.
    pub async fn accept_at(&self, placement: Placement) -> io::Result<(LocalStream, Placement)> {
        let (stream, place) = self.accepting.accept_at(placement).await?;
        Ok((LocalStream { inner: Inner::new(stream), peer: Side::Client }, place))
    }

    /// Ends it: connections that nobody has taken are closed, nobody can connect any more, and the name is free. To drop
    /// the listener asks for the same, and does not wait for it.
    ///
    /// # Errors
    ///
    /// What was wrong with the listener, if nobody has been told yet. It is closed all the same.
    ///
    /// # Cancel safety
    ///
    /// It goes on to its end by itself.
    pub async fn close(self) -> io::Result<()> {
        self.accepting.close().await
    }
}

/// A connection inside this machine: see [`LocalListener`] for an example.
///
/// It is closed when it is dropped, behind what was handed over to be sent.
#[derive(Debug)]
pub struct LocalStream {
    inner: Arc<Inner>,
    peer: Side,
}

reads!(LocalStream);
writes!(LocalStream);

impl LocalStream {
    /// Connects to this endpoint.
    ///
    /// # Errors
    ///
    /// `NotFound` or `ConnectionRefused` if nobody listens there; those of the system.
    ///
    /// # Panics
    ///
    /// On a thread of no runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its end, it closes its socket or pipe.
    pub async fn connect(endpoint: &LocalEndpoint) -> io::Result<LocalStream> {
        let connect = Connect::new(port().stream(&endpoint.address)?, &endpoint.address)?;
        let (connected, stream) = Operation::new(connect).await;
        connected.map(|()| LocalStream { inner: Inner::new(stream), peer: Side::Server })
    }

    /// Two halves that may be used, and dropped, by different tasks.
    pub fn split(self) -> (ReadHalf, WriteHalf) {
        stream::split(self.inner)
    }

    /// Closes it behind all that was written, whose end it waits for, and tells how that went. To drop the stream closes it
    /// behind the same, and nobody waits or is told.
    ///
    /// What was written is then with the system, and the other end reads it, and the end. Only an answer says that it has.
    ///
    /// # Errors
    ///
    /// Those of the system: what was written may not arrive. A connection that the other end has closed meanwhile is well
    /// closed. `TimedOut` at the deadline of writes. In each case it is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its end, it is as if the stream was dropped.
    pub async fn close(self) -> io::Result<()> {
        match self.inner.close().await {
            // As a socket or a pipe tells that the other end was first.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            closed => closed,
        }
    }

    /// Who is at the other end.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn peer(&self) -> io::Result<Peer> {
        Peer::of(&self.inner.stream, self.peer)
    }
}
