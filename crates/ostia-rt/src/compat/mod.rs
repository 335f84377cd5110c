//! Streams for those who lend buffers instead of giving them: `futures-io`, tokio's traits, hyper.
//!
//! Such traits read into a slice that is only lent for the time of a call, and a completion may come later than that. So
//! a [`Compat`] has a buffer of its own each way, and copies: a read copies out of what was received; a write copies in,
//! is told to be done at once, and is sent while the caller goes on. `flush` waits until it is out.
//!
//! | feature | what it adds |
//! |---|---|
//! | `futures-io` | `AsyncRead`, `AsyncBufRead`, `AsyncWrite` of the crate `futures-io` |
//! | `tokio-io` | `AsyncRead`, `AsyncBufRead`, `AsyncWrite` of the crate `tokio`; none of its runtime |
//! | `hyper` | `Read`, `Write` of hyper's `rt`, and `hyper::Executor`, `hyper::Timer` |

#[cfg(feature = "futures-io")]
mod futures_io;
#[cfg(feature = "hyper")]
pub mod hyper;
#[cfg(feature = "tokio-io")]
mod tokio_io;

use std::{
    fmt,
    future::Future,
    io::{self, IoSlice},
    net::Shutdown,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use ostia_port::op;

use crate::{
    driver::Operation,
    net::{Inner, Serving, TcpStream},
};

/// What one receive may bring.
const READ_LEN: usize = 16 * 1024;
/// So much is copied at a time to be sent. A caller who has more comes again when it is out: he should not run far
/// ahead of his peer.
const WRITE_LEN: usize = 64 * 1024;

/// A stream whose callers lend their buffers: see [the module](self).
///
/// # Cancel safety
///
/// A future of the traits that is dropped loses nothing: what was received waits for the next read, what was written is
/// sent. Dropping the `Compat` itself lets a send that has begun go on to its end.
pub struct Compat {
    inner: Arc<Inner>,
    reading: Reading,
    writing: Writing,
}

enum Reading {
    /// Bytes that nobody has taken yet, from here on; and the buffer.
    Bytes(usize, Vec<u8>),
    Receives(Operation<op::Receive<Vec<u8>>>),
}

enum Writing {
    Idle(Vec<u8>),
    Sends(Operation<op::Send<Vec<u8>>>),
    /// So much was copied, and nobody has been told, because it has not begun: on a thread that is no worker's, or while
    /// the worker has no room. What is told to be written is sent, and this may still be dropped.
    Begins(Operation<op::Send<Vec<u8>>>, usize),
    /// It failed, and whoever wrote was told.
    Broken,
}

impl From<TcpStream> for Compat {
    fn from(stream: TcpStream) -> Compat {
        Compat {
            inner: stream.into_inner(),
            reading: Reading::Bytes(0, Vec::new()),
            writing: Writing::Idle(Vec::new()),
        }
    }
}

impl Compat {
    /// Waits until there are bytes, or the stream has ended, and has `put` take them: at most `room`, and how many.
    fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        room: usize,
        put: impl FnOnce(&[u8]),
    ) -> Poll<io::Result<usize>> {
        if room == 0 {
            return Poll::Ready(Ok(0));
        }
        ready!(self.poll_bytes(cx))?;
        let bytes = self.bytes();
        let count = bytes.len().min(room);
        put(&bytes[..count]);
        self.consume(count);
        Poll::Ready(Ok(count))
    }

    /// Waits until there are bytes, or the stream has ended.
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.reading {
                Reading::Bytes(from, buffer) if *from < buffer.len() => return Poll::Ready(Ok(())),
                Reading::Bytes(from, buffer) => {
                    *from = 0;
                    buffer.clear();
                    if self.inner.receiving.is_left() {
                        // A receive was dropped before the stream came here.
                        let left = self.inner.receiving.poll_left(cx);
                        if let Poll::Ready(Serving::Bytes) = left {
                            self.inner.receiving.serve(|bytes| {
                                buffer.extend_from_slice(bytes);
                                bytes.len()
                            });
                        }
                        match ready!(left) {
                            Serving::Nothing | Serving::Bytes => continue,
                            Serving::End(end) => return Poll::Ready(end),
                        }
                    }
                    let mut buffer = std::mem::take(buffer);
                    buffer.reserve_exact(READ_LEN);
                    self.reading =
                        Reading::Receives(Operation::new(op::Receive::new(&self.inner.stream, buffer)));
                }
                Reading::Receives(operation) => {
                    let (received, buffer) = ready!(Pin::new(operation).poll(cx));
                    self.reading = Reading::Bytes(0, buffer);
                    if received?.len == 0 {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }

    /// What `poll_bytes` has found; nothing at the end of the stream.
    fn bytes(&self) -> &[u8] {
        match &self.reading {
            Reading::Bytes(from, buffer) => &buffer[*from..],
            Reading::Receives(_) => &[],
        }
    }

    /// So many of them have been taken.
    fn consume(&mut self, count: usize) {
        if let Reading::Bytes(from, buffer) = &mut self.reading {
            *from = (*from + count).min(buffer.len());
        }
    }

    /// Copies what there is room for and begins to send it.
    fn poll_send(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if slices.iter().all(|slice| slice.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        if !matches!(self.writing, Writing::Begins(..)) {
            ready!(self.poll_sent(cx))?;
            let Writing::Idle(buffer) = &mut self.writing else {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            };
            let mut buffer = std::mem::take(buffer);
            buffer.clear();
            for slice in slices {
                let room = WRITE_LEN - buffer.len();
                buffer.extend_from_slice(&slice[..slice.len().min(room)]);
            }
            let count = buffer.len();
            self.writing = Writing::Begins(Operation::new(op::Send::new(&self.inner.stream, buffer)), count);
        }
        self.poll_begun(cx)
    }

    /// Waits until what was copied has begun to go out; how much that was.
    fn poll_begun(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Writing::Begins(operation, count) = &mut self.writing else { return Poll::Ready(Ok(0)) };
        let count = *count;
        match Pin::new(&mut *operation).poll(cx) {
            Poll::Pending if !operation.is_under_way() => return Poll::Pending,
            Poll::Pending => {
                if let Writing::Begins(operation, _) = std::mem::replace(&mut self.writing, Writing::Broken) {
                    self.writing = Writing::Sends(operation);
                }
            }
            Poll::Ready((Ok(_), buffer)) => self.writing = Writing::Idle(buffer),
            Poll::Ready((Err(error), _)) => {
                self.writing = Writing::Broken;
                return Poll::Ready(Err(error));
            }
        }
        Poll::Ready(Ok(count))
    }

    /// Waits until what was written is out.
    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_begun(cx))?;
        let Writing::Sends(operation) = &mut self.writing else { return Poll::Ready(Ok(())) };
        let (sent, buffer) = ready!(Pin::new(operation).poll(cx));
        match sent {
            Ok(_) => {
                self.writing = Writing::Idle(buffer);
                Poll::Ready(Ok(()))
            }
            Err(error) => {
                self.writing = Writing::Broken;
                Poll::Ready(Err(error))
            }
        }
    }

    /// Whether what was written goes out without anybody who waits for it.
    #[cfg(feature = "hyper")]
    fn sends_unwatched(&self) -> bool {
        matches!(&self.writing, Writing::Sends(operation) if operation.goes_on_unwatched())
    }

    /// Waits until what was written is out, and closes this direction.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_sent(cx))?;
        Poll::Ready(match self.inner.stream.shutdown(Shutdown::Write) {
            // The peer has closed already: nothing more can come to it anyhow.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            closed => closed,
        })
    }
}

impl Drop for Compat {
    fn drop(&mut self) {
        if let Writing::Sends(operation) = &mut self.writing
            && let Some(ticket) = operation.take_ticket()
        {
            ticket.detach();
        }
    }
}

impl fmt::Debug for Compat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let writing = match &self.writing {
            Writing::Idle(_) => "idle",
            Writing::Sends(_) | Writing::Begins(..) => "sends",
            Writing::Broken => "broken",
        };
        f.debug_struct("Compat")
            .field("stream", &self.inner.stream)
            .field("bytes", &self.bytes().len())
            .field("writing", &writing)
            .finish()
    }
}
