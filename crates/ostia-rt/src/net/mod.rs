//! Sockets and pipes.
//!
//! A socket belongs to the node whose worker made it, and its operations run at that node's workers; it may be used from
//! any thread all the same. What a listener accepts is its own node's, or, by `accept_at`, that of a placement. What is received and sent lies in buffers that the operation owns: see [`io`](crate::io).
//!
//! **What dropping a future means** here: a receive or an accept that had already won is kept, and served first to the
//! next caller; a write that was handed over is not cancelled, it completes, and later writes queue behind it; a dropped
//! connect closes its socket.

mod accept;
mod connect;
mod left;
mod local;
mod resolve;
mod stream;
mod tcp;
mod turn;
mod udp;

pub use ostia_port::{KeepAlive, ListenOptions};

#[cfg(any(feature = "futures-io", feature = "hyper", feature = "tokio-io"))]
pub(crate) use self::{left::Serving, stream::Inner};
pub use self::{
    local::{LocalEndpoint, LocalListener, LocalStream},
    resolve::lookup,
    stream::{Lent, ReadHalf, WriteHalf},
    tcp::{TcpListener, TcpStream},
    udp::{Received, UdpSocket},
};
