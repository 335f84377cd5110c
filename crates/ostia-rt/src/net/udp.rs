//! UDP.

use std::{future::poll_fn, io, net::SocketAddr};

use ostia_port::{
    Datagram,
    op::{ReceiveFrom, ReceivedFrom, SendTo},
};

use super::{
    left::{self, InHand, Receiving},
    stream::Sending,
    tcp::{ip, port},
};
use crate::io::{IoBuf, IoBufMut};

/// A socket for datagrams.
///
/// ```
/// use ostia_rt::net::UdpSocket;
///
/// # let runtime = ostia_rt::Runtime::builder().workers_per_node(1).build()?;
/// runtime.block_on(async {
///     let anywhere = "127.0.0.1:0".parse().expect("an address");
///     let (one, other) = (UdpSocket::bind(anywhere)?, UdpSocket::bind(anywhere)?);
///     one.send_to(&b"hello"[..], other.local_addr()?).await.0?;
///     let (received, buffer) = other.receive_from(Vec::with_capacity(1500)).await;
///     assert_eq!((&buffer[..], received?.from), (&b"hello"[..], one.local_addr()?));
///     std::io::Result::Ok(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct UdpSocket {
    datagram: Datagram,
    receiving: Receiving<Option<io::Result<ReceivedFrom>>>,
}

/// What is known of a datagram that was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// How many bytes; 0 is an empty datagram.
    pub len: usize,
    /// It was longer than the buffer's room, and its end is lost.
    pub truncated: bool,
    /// Who sent it.
    pub from: SocketAddr,
}

impl UdpSocket {
    /// Binds a socket to this address; port 0 lets the system choose one.
    ///
    /// # Errors
    ///
    /// Those of the system.
    ///
    /// # Panics
    ///
    /// On a thread of no runtime.
    #[track_caller]
    pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
        Ok(UdpSocket { datagram: port().datagram(&address.into())?, receiving: Receiving::new() })
    }

    /// From here on, datagrams go to and come from this address alone.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn connect(&self, to: SocketAddr) -> io::Result<()> {
        self.datagram.connect(&to.into())
    }

    /// Where it is bound.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        ip(self.datagram.local_address())
    }

    /// Whether datagrams may go to all machines of a network at once.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        self.datagram.set_broadcast(broadcast)
    }

    /// How many bytes the system keeps of what has come and was not received yet. It may make more of it, or less.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_receive_buffer_size(&self, bytes: usize) -> io::Result<()> {
        self.datagram.set_receive_buffer_size(bytes)
    }

    /// Sends `buffer` as one datagram.
    ///
    /// # Errors
    ///
    /// Those of the system.
    ///
    /// # Cancel safety
    ///
    /// A send that has begun is not cancelled when it is dropped.
    pub async fn send_to<B: IoBuf>(&self, buffer: B, to: SocketAddr) -> (io::Result<usize>, B) {
        let send = SendTo::new(&self.datagram, buffer, Some(&to.into()));
        Sending::new(send.expect("an IP address is one for every system")).await
    }

    /// Sends `buffer` as one datagram to the address that it is connected to.
    ///
    /// # Errors
    ///
    /// Those of the system: not connected, above all; that an earlier datagram found nobody, too.
    ///
    /// # Cancel safety
    ///
    /// As [`UdpSocket::send_to`].
    pub async fn send<B: IoBuf>(&self, buffer: B) -> (io::Result<usize>, B) {
        let send = SendTo::new(&self.datagram, buffer, None);
        Sending::new(send.expect("without an address none is wrong")).await
    }

    /// Receives one datagram into `buffer`, from its beginning. What it has no room for is lost, and that is told.
    ///
    /// Several may receive at a time: they are served in the order in which they came.
    ///
    /// # Errors
    ///
    /// Those of the system; that an earlier datagram found nobody, too.
    ///
    /// # Cancel safety
    ///
    /// A datagram that a dropped receive had won is kept whole, and given to whoever receives next. Its buffer is lost.
    pub async fn receive_from<B: IoBufMut>(&self, buffer: B) -> (io::Result<Received>, B) {
        let (received, buffer) = self.take(buffer).await;
        let received = received.and_then(|received| {
            let from = received.from.and_then(|from| from.as_ip());
            let nobody = || io::Error::new(io::ErrorKind::Unsupported, "the system does not say who sent it");
            Ok(Received { len: received.len, truncated: received.truncated, from: from.ok_or_else(nobody)? })
        });
        (received, buffer)
    }

    /// As [`UdpSocket::receive_from`], of a socket that is connected: who sent it is known. How many bytes.
    ///
    /// # Errors
    ///
    /// As [`UdpSocket::receive_from`].
    ///
    /// # Cancel safety
    ///
    /// As [`UdpSocket::receive_from`].
    pub async fn receive<B: IoBufMut>(&self, buffer: B) -> (io::Result<usize>, B) {
        let (received, buffer) = self.take(buffer).await;
        (received.map(|received| received.len), buffer)
    }

    async fn take<B: IoBufMut>(&self, mut buffer: B) -> (io::Result<ReceivedFrom>, B) {
        let _turn = self.receiving.turn.enter().await;
        if self.receiving.is_left() {
            let left = poll_fn(|cx| self.receiving.poll_datagram(cx, |bytes| buffer.fill_from(bytes))).await;
            if let Some(received) = left {
                return (received, buffer);
            }
        }
        let receive = ReceiveFrom::new(&self.datagram, buffer);
        InHand::new(&self.receiving, left::Datagram::new(receive)).await
    }
}
