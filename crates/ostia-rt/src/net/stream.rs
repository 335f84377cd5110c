//! What TCP streams, Unix sockets and pipes have in common.

use std::{
    fmt,
    future::{Future, poll_fn},
    io,
    net::Shutdown,
    ops::Deref,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Instant,
};

use ostia_port::{
    buf::{Head, IoBuf, IoBufMut, Tail},
    op,
};

use super::left::{Exact, InHand, Managed, Once, Receiving, Serving, in_time};
use crate::{
    driver::Operation,
    io::no_room,
    loom::lock,
    time::{Sleep, sleep_until},
};

/// A connected stream, and what dropped receives have left of it.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) stream: ostia_port::Stream,
    pub(crate) receiving: Receiving,
    pub(super) read_deadline: Deadline,
    pub(super) write_deadline: Deadline,
}

/// When what is begun on a stream has to have ended. To ask costs a load where there is none.
#[derive(Debug, Default)]
pub(super) struct Deadline {
    is_set: AtomicBool,
    at: Mutex<Option<Instant>>,
}

impl Deadline {
    pub(super) fn set(&self, at: Option<Instant>) {
        *lock(&self.at) = at;
        self.is_set.store(at.is_some(), Ordering::Release);
    }

    #[inline]
    fn get(&self) -> Option<Instant> {
        if self.is_set.load(Ordering::Acquire) { *lock(&self.at) } else { None }
    }
}

impl Inner {
    pub(crate) fn new(stream: ostia_port::Stream) -> Arc<Inner> {
        Arc::new(Inner {
            stream,
            receiving: Receiving::new(),
            read_deadline: Deadline::default(),
            write_deadline: Deadline::default(),
        })
    }

    pub(crate) async fn read<B: IoBufMut>(&self, mut buffer: B) -> (io::Result<usize>, B) {
        let _turn = self.receiving.turn.enter().await;
        if self.receiving.is_left() {
            if let Err(error) = has_room(buffer.capacity()) {
                return (Err(error), buffer);
            }
            match poll_fn(|cx| self.receiving.poll_left(cx)).await {
                Serving::Nothing => {}
                Serving::Bytes => {
                    return (Ok(self.receiving.serve(|bytes| buffer.fill_from(bytes))), buffer);
                }
                Serving::End(end) => return (end.map(|()| 0), buffer),
            }
        }
        let once = InHand::new(&self.receiving, Once::new(op::Receive::new(&self.stream, buffer)));
        match self.read_deadline.get() {
            None => once.await,
            Some(deadline) => once.until(deadline).await,
        }
    }

    pub(crate) async fn read_exact<B: IoBufMut>(&self, mut buffer: B, len: usize) -> (io::Result<()>, B) {
        if buffer.capacity() < len {
            return (Err(no_room(len, buffer.capacity())), buffer);
        }
        let _turn = self.receiving.turn.enter().await;
        let mut filled = 0;
        while filled < len && self.receiving.is_left() {
            match poll_fn(|cx| self.receiving.poll_left(cx)).await {
                Serving::Nothing => {}
                Serving::Bytes => {
                    let mut room = Head::new(Tail::new(buffer, filled), len - filled);
                    filled += self.receiving.serve(|bytes| room.fill_from(bytes));
                    buffer = room.into_inner().into_inner();
                }
                Serving::End(end) => {
                    let error = end.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into());
                    return (Err(error), buffer);
                }
            }
        }
        let exact = InHand::new(&self.receiving, Exact::new(self.stream.clone(), buffer, filled, len));
        match self.read_deadline.get() {
            None => exact.await,
            Some(deadline) => exact.until(deadline).await,
        }
    }

    pub(crate) async fn read_managed(&self) -> io::Result<Lent> {
        let _turn = self.receiving.turn.enter().await;
        if self.receiving.is_left() {
            match poll_fn(|cx| self.receiving.poll_left(cx)).await {
                Serving::Nothing => {}
                Serving::Bytes => {
                    let mut left = Box::default();
                    self.receiving.serve(|bytes| {
                        left = Box::from(bytes);
                        bytes.len()
                    });
                    return Ok(Lent(Bytes::Left(left)));
                }
                Serving::End(end) => return end.map(|()| Lent(Bytes::Left(Box::default()))),
            }
        }
        let managed = InHand::new(&self.receiving, Managed::new(op::ReceiveManaged::new(&self.stream)));
        let received = match self.read_deadline.get() {
            None => managed.await,
            Some(deadline) => managed.until(deadline).await,
        };
        received.map(|lent| Lent(Bytes::Lent(lent)))
    }

    pub(crate) async fn write<B: IoBuf>(&self, buffer: B) -> (io::Result<usize>, B) {
        let sending = Sending::new(op::Send::new(&self.stream, buffer));
        match self.write_deadline.get() {
            None => sending.await,
            Some(deadline) => sending.until(deadline).await,
        }
    }

    pub(crate) async fn write_vectored<B: IoBuf>(&self, buffers: Vec<B>) -> (io::Result<usize>, Vec<B>) {
        let sending = Sending::new(op::SendVectored::new(&self.stream, buffers));
        match self.write_deadline.get() {
            None => sending.await,
            Some(deadline) => sending.until(deadline).await,
        }
    }

    pub(crate) async fn shutdown(&self) -> io::Result<()> {
        // First: to one who reads from a pipe, the empty send below may look like the end.
        if self.stream.has_halves() {
            self.sent().await?;
        }
        self.stream.shutdown(Shutdown::Write)
    }

    /// Waits until what was handed over is out: sends go out in their order, and an empty one goes behind them all.
    async fn sent(&self) -> io::Result<()> {
        self.write(Vec::new()).await.0.map(drop)
    }
}

impl Inner {
    /// Waits until all that was written is out, and tells the other end that nothing more comes; and until a dropped
    /// receive has let go of the stream.
    pub(super) async fn close(&self) -> io::Result<()> {
        let closed = match self.sent().await.and_then(|()| self.stream.shutdown(Shutdown::Write)) {
            // The other end was first. A pipe has no half to close, and is closed whole.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotConnected | io::ErrorKind::Unsupported) =>
            {
                Ok(())
            }
            closed => closed,
        };
        let _turn = self.receiving.turn.enter().await;
        while self.receiving.is_left() {
            match poll_fn(|cx| self.receiving.poll_left(cx)).await {
                Serving::Bytes => drop(self.receiving.serve(<[u8]>::len)),
                Serving::Nothing | Serving::End(_) => {}
            }
        }
        closed
    }
}

fn has_room(capacity: usize) -> io::Result<()> {
    if capacity == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a receive needs a buffer with room"));
    }
    Ok(())
}

/// A send under way; dropped before its end, it goes on.
pub(super) struct Sending<O: op::Op>(Operation<O>);

impl<O: op::Op> Sending<O> {
    #[inline]
    pub(super) fn new(op: O) -> Sending<O> {
        Sending(Operation::new(op))
    }
}

impl<O: op::Op> Future for Sending<O> {
    type Output = (io::Result<O::Out>, O::Back);

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<O: op::Op> Drop for Sending<O> {
    #[inline]
    fn drop(&mut self) {
        if let Some(ticket) = self.0.take_ticket() {
            ticket.detach();
        }
    }
}

impl<O: op::Op> Sending<O> {
    /// The same, with an end at this time.
    fn until(self, deadline: Instant) -> SendingUntil<O> {
        SendingUntil { sending: self, time: Some(sleep_until(deadline)) }
    }
}

/// A send that has its time. When that is over it is asked to end, and its buffer is waited for.
///
/// It is a type and no async function: across an await of one, a caller's `&'static [u8]` would be a slice of any
/// lifetime, and that is no buffer.
struct SendingUntil<O: op::Op> {
    sending: Sending<O>,
    /// None when it is over.
    time: Option<Sleep>,
}

impl<O: op::Op> Future for SendingUntil<O> {
    type Output = (io::Result<O::Out>, O::Back);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let SendingUntil { sending, time } = &mut *self;
        if let Some(sleep) = time {
            if let Poll::Ready(sent) = Pin::new(&mut *sending).poll(cx) {
                return Poll::Ready(sent);
            }
            if Pin::new(sleep).poll(cx).is_pending() {
                return Poll::Pending;
            }
            *time = None;
            sending.0.cancel();
        }
        sending.0.poll_withdrawn(cx).map(|(sent, back)| (in_time(sent), back))
    }
}

/// Bytes that were received into a buffer of the runtime's own, which is lent until this is dropped. Empty at the end of
/// the stream.
///
/// There are so many such buffers at each worker and no more: while none is left, [`TcpStream::read_managed`] waits.
///
/// [`TcpStream::read_managed`]: super::TcpStream::read_managed
pub struct Lent(Bytes);

enum Bytes {
    Lent(op::Lent),
    /// What a dropped receive had left.
    Left(Box<[u8]>),
}

impl Deref for Lent {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Lent(lent) => lent,
            Bytes::Left(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lent").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// The methods of what receives from a stream; `self.inner` is its [`Inner`].
macro_rules! reads {
    ($name:ident) => {
        impl $name {
            /// Receives into `buffer`, from its beginning, as much as there is and has room; waits for the first byte.
            /// How many: 0 is the end of the stream.
            ///
            /// Several may read at a time: each waits for its turn, in the order in which they came.
            ///
            /// # Errors
            ///
            /// Those of the system; `InvalidInput` for a buffer without room.
            ///
            /// # Cancel safety
            ///
            /// What a dropped read had received is kept, and given to whoever reads next. Its buffer is lost.
            #[inline]
            pub async fn read<B: $crate::io::IoBufMut>(&self, buffer: B) -> (std::io::Result<usize>, B) {
                self.inner.read(buffer).await
            }

            /// When reads that are begun from now on have to have ended; none, the usual, lets them wait as long as it
            /// takes. One that has not ended by then fails with `TimedOut`, gives its buffer back, and takes nothing that
            /// it does not give; `read_exact` has in its buffer what had come. The time is that of
            /// [`time::now`](crate::time::now).
            pub fn set_read_deadline(&self, deadline: Option<std::time::Instant>) {
                self.inner.read_deadline.set(deadline);
            }

            /// Receives until `buffer` has `len` bytes.
            ///
            /// # Errors
            ///
            /// Those of the system; `UnexpectedEof` if the stream ends before, `InvalidInput` if the buffer has not so
            /// much room.
            ///
            /// # Cancel safety
            ///
            /// What was received until it is dropped is kept, all of it, and given to whoever reads next. Its buffer is
            /// lost.
            pub async fn read_exact<B: $crate::io::IoBufMut>(
                &self,
                buffer: B,
                len: usize,
            ) -> (std::io::Result<()>, B) {
                self.inner.read_exact(buffer, len).await
            }

            /// Receives into a buffer that is lent only when something has come: who waits holds none.
            ///
            /// # Errors
            ///
            /// Those of the system.
            ///
            /// # Cancel safety
            ///
            /// What a dropped read had received is kept, and given to whoever reads next.
            pub async fn read_managed(&self) -> std::io::Result<$crate::net::Lent> {
                self.inner.read_managed().await
            }
        }

        reads!(as $name);
        reads!(as &$name);
    };
    (as $name:ty) => {
        impl $crate::io::AsyncRead for $name {
            #[inline]
            async fn read<B: $crate::io::IoBufMut>(&mut self, buffer: B) -> (std::io::Result<usize>, B) {
                self.inner.read(buffer).await
            }

            async fn read_exact<B: $crate::io::IoBufMut>(
                &mut self,
                buffer: B,
                len: usize,
            ) -> (std::io::Result<()>, B) {
                self.inner.read_exact(buffer, len).await
            }
        }
    };
}

/// The methods of what sends on a stream; `self.inner` is its [`Inner`].
macro_rules! writes {
    ($name:ident) => {
        impl $name {
            /// Sends all of `buffer`; how many bytes those were. It ends when the system has taken the last one.
            ///
            /// What several send at a time goes out one after the other, each whole.
            ///
            /// # Errors
            ///
            /// Those of the system. Then a part of it may have been sent.
            ///
            /// # Cancel safety
            ///
            /// A write that has begun is not cancelled when it is dropped: it goes on to its end, and later ones wait
            /// behind it. One that was never polled, or never found room to begin, sends nothing.
            #[inline]
            pub async fn write<B: $crate::io::IoBuf>(&self, buffer: B) -> (std::io::Result<usize>, B) {
                self.inner.write(buffer).await
            }

            /// When writes that are begun from now on have to have ended; none, the usual, lets them take as long as they
            /// take. One that has not ended by then is stopped, fails with `TimedOut`, and gives its buffer back; a part
            /// of it may have been sent.
            pub fn set_write_deadline(&self, deadline: Option<std::time::Instant>) {
                self.inner.write_deadline.set(deadline);
            }

            /// As `write`, which never sends less: this is how what writes to anything says that it means all.
            ///
            /// # Errors
            ///
            /// As `write`.
            ///
            /// # Cancel safety
            ///
            /// As `write`.
            pub async fn write_all<B: $crate::io::IoBuf>(&self, buffer: B) -> (std::io::Result<()>, B) {
                let (sent, buffer) = self.inner.write(buffer).await;
                (sent.map(drop), buffer)
            }

            /// Sends several buffers, at most 16, one after the other, all of them.
            ///
            /// # Errors
            ///
            /// As `write`; `InvalidInput` for more buffers.
            ///
            /// # Cancel safety
            ///
            /// As `write`.
            pub async fn write_vectored<B: $crate::io::IoBuf>(
                &self,
                buffers: Vec<B>,
            ) -> (std::io::Result<usize>, Vec<B>) {
                self.inner.write_vectored(buffers).await
            }

            /// Closes this direction, behind all that was written before: the peer reads the end of the stream. The
            /// other direction stays open.
            ///
            /// # Platforms
            ///
            /// A Windows named pipe has no half that could be closed: `Unsupported`.
            ///
            /// # Errors
            ///
            /// Those of the system.
            ///
            /// # Cancel safety
            ///
            /// Dropped before its end it closes nothing.
            pub async fn shutdown(&self) -> std::io::Result<()> {
                self.inner.shutdown().await
            }
        }

        writes!(as $name);
        writes!(as &$name);
    };
    (as $name:ty) => {
        impl $crate::io::AsyncWrite for $name {
            #[inline]
            async fn write<B: $crate::io::IoBuf>(&mut self, buffer: B) -> (std::io::Result<usize>, B) {
                self.inner.write(buffer).await
            }

            async fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }

            async fn shutdown(&mut self) -> std::io::Result<()> {
                self.inner.shutdown().await
            }
        }
    };
}

pub(super) use {reads, writes};

/// The receiving half of a stream: see `split`. The stream is closed when both halves are gone.
#[derive(Debug)]
pub struct ReadHalf {
    inner: Arc<Inner>,
}

/// The sending half of a stream: see `split`. The stream is closed when both halves are gone; `shutdown` closes this
/// direction earlier.
#[derive(Debug)]
pub struct WriteHalf {
    inner: Arc<Inner>,
}

reads!(ReadHalf);
writes!(WriteHalf);

pub(super) fn split(inner: Arc<Inner>) -> (ReadHalf, WriteHalf) {
    (ReadHalf { inner: Arc::clone(&inner) }, WriteHalf { inner })
}
