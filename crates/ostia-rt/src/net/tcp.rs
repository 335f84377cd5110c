//! TCP.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use ostia_port::{Address, KeepAlive, ListenOptions, Port};

use super::{
    accept::Accepting,
    connect,
    resolve::lookup,
    stream::{self, Inner, ReadHalf, WriteHalf, reads, writes},
};
use crate::{placement::Placement, runtime::Handle, time::timeout};

/// The port of the node of the moment.
#[track_caller]
pub(super) fn port() -> Port {
    Handle::current().some_node().port.clone()
}

pub(super) fn ip(address: io::Result<Address>) -> io::Result<SocketAddr> {
    address?.as_ip().ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "it has no IP address"))
}

/// Listens for TCP connections.
///
/// ```
/// use ostia_rt::net::{TcpListener, TcpStream};
///
/// # let runtime = ostia_rt::Runtime::builder().workers_per_node(1).build()?;
/// runtime.block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0".parse().expect("an address"))?;
///     let at = listener.local_addr()?;
///     ostia_rt::spawn(async move {
///         let stream = listener.accept().await?;
///         stream.write_all(&b"hello"[..]).await.0
///     });
///     let stream = TcpStream::connect(at).await?;
///     let (read, buffer) = stream.read_exact(Vec::with_capacity(5), 5).await;
///     read?;
///     assert_eq!(buffer, b"hello");
///     std::io::Result::Ok(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct TcpListener {
    accepting: Accepting,
}

impl TcpListener {
    /// Listens at this address; port 0 lets the system choose one.
    ///
    /// # Errors
    ///
    /// Those of the system: the address is in use, not allowed, or not of this machine.
    ///
    /// # Panics
    ///
    /// On a thread of no runtime.
    #[track_caller]
    pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::bind_with(address, &ListenOptions::new())
    }

    /// As [`TcpListener::bind`], otherwise than usual.
    ///
    /// # Errors
    ///
    /// As [`TcpListener::bind`].
    ///
    /// # Panics
    ///
    /// On a thread of no runtime.
    #[track_caller]
    pub fn bind_with(address: SocketAddr, options: &ListenOptions) -> io::Result<TcpListener> {
        let listener = port().listen(&address.into(), options)?;
        Ok(TcpListener { accepting: Accepting::new(listener) })
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
    /// will be so again: its [`Class`](crate::Class) is `Fatal`.
    ///
    /// # Cancel safety
    ///
    /// A connection that a dropped accept had won goes to whoever accepts next.
    pub async fn accept(&self) -> io::Result<TcpStream> {
        self.accepting.accept().await.map(TcpStream::new)
    }

    /// As [`TcpListener::accept`], but the connection belongs to the node that the placement says, whose workers do its
    /// operations, and not to the listener's. With it comes where: whoever serves the connection is spawned there.
    ///
    /// The place is chosen when there is a connection: by turns, each place has as many as the others, and
    /// [`Placement::LeastLoaded`] looks at the load of that moment. [`Placement::Here`] is the node of the task that asks.
    ///
    /// ```
    /// use ostia_rt::{Handle, Placement, net::TcpListener};
    ///
    /// # async fn serve(stream: ostia_rt::net::TcpStream) {}
    /// async fn server(listener: TcpListener) -> std::io::Result<()> {
    ///     loop {
    ///         let (stream, place) = listener.accept_at(Placement::LeastLoaded).await?;
    ///         Handle::current().spawn_at(place, serve(stream));
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`TcpListener::accept`].
    ///
    /// # Panics
    ///
    /// If the placement names a node or a worker that is not there; on a thread of no runtime.
    ///
    /// # Cancel safety
    ///
    /// As [`TcpListener::accept`]; whoever accepts next says where it belongs.
    pub async fn accept_at(&self, placement: Placement) -> io::Result<(TcpStream, Placement)> {
        let (stream, place) = self.accepting.accept_at(placement).await?;
        Ok((TcpStream::new(stream), place))
    }

    /// Ends it: connections that nobody has taken are closed, nobody can connect any more, and the address is free. To drop
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

    /// Where it listens: the port the system chose, if it was asked for port 0.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        ip(self.accepting.listener.local_address())
    }
}

/// A TCP connection: see [`TcpListener`] for an example.
///
/// It is closed when it is dropped, behind what was handed over to be sent.
#[derive(Debug)]
pub struct TcpStream {
    inner: Arc<Inner>,
}

reads!(TcpStream);
writes!(TcpStream);

impl TcpStream {
    pub(super) fn new(stream: ostia_port::Stream) -> TcpStream {
        TcpStream { inner: Inner::new(stream) }
    }

    #[cfg(any(feature = "futures-io", feature = "hyper", feature = "tokio-io"))]
    pub(crate) fn into_inner(self) -> Arc<Inner> {
        self.inner
    }

    /// Connects to this address.
    ///
    /// # Errors
    ///
    /// Those of the system: nobody listens there, it cannot be reached, or nobody has answered in the system's time.
    ///
    /// # Panics
    ///
    /// On a thread of no runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its end, it closes its socket.
    pub async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
        let (connected, stream) = connect::operation(address)?.await;
        connected.map(|()| TcpStream::new(stream))
    }

    /// Connects to whichever of these addresses answers first. The families take turns; each attempt has 250 ms before
    /// the next one joins it, and one that fails starts the next at once. Those that do not win close their sockets.
    ///
    /// # Errors
    ///
    /// If none answers, what was wrong with the first that failed; `InvalidInput` if there is no address.
    ///
    /// # Panics
    ///
    /// On a thread of no runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its end, it closes its sockets.
    pub async fn connect_any(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
        connect::first_of(addresses).await.map(TcpStream::new)
    }

    /// Looks the host up and connects to whichever of its addresses answers first, all within `limit`: see
    /// [`lookup`](super::lookup) and [`TcpStream::connect_any`].
    ///
    /// # Errors
    ///
    /// Theirs; `TimedOut` if the time is over.
    ///
    /// # Panics
    ///
    /// On a thread of no runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its end, it closes its sockets.
    pub async fn connect_host(host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
        let connecting = async { TcpStream::connect_any(&lookup(host, port).await?).await };
        timeout(limit, connecting).await?
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
        self.inner.close().await
    }

    /// The address of this end.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        ip(self.inner.stream.local_address())
    }

    /// The address of the other end.
    ///
    /// # Errors
    ///
    /// Those of the system: not connected any more, above all.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        ip(self.inner.stream.peer_address())
    }

    /// Whether small writes go out at once. A stream of this crate starts with the system's own setting.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.inner.stream.set_nodelay(nodelay)
    }

    /// See [`TcpStream::set_nodelay`].
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.inner.stream.nodelay()
    }

    /// Whether the system asks now and then if the other end of a silent connection is still there, and how often.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_keep_alive(&self, keep_alive: Option<KeepAlive>) -> io::Result<()> {
        self.inner.stream.set_keep_alive(keep_alive)
    }

    /// Whether it does.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn keep_alive(&self) -> io::Result<bool> {
        self.inner.stream.keep_alive()
    }

    /// What becomes of unsent bytes when the stream is closed. As the system is set, they are sent, and nobody waits.
    /// With a time of zero they are dropped, and the other end is told of a reset. With any other time **closing waits**
    /// so long, on the worker that drops the stream: seldom what is wanted.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.inner.stream.set_linger(linger)
    }

    /// How many bytes the system keeps of what is sent and not on its way yet. It may make more of it, or less.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_send_buffer_size(&self, bytes: usize) -> io::Result<()> {
        self.inner.stream.set_send_buffer_size(bytes)
    }

    /// How many bytes the system keeps of what has come and was not read yet. It may make more of it, or less.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_receive_buffer_size(&self, bytes: usize) -> io::Result<()> {
        self.inner.stream.set_receive_buffer_size(bytes)
    }
}
