//! What is left of receives whose futures were dropped: it belongs to the handle, and is served first to the next
//! caller.
//!
//! A dropped receive is asked to end, and its operation lies here until it has. If it had already won, its bytes are
//! given to whoever receives next, as many at a time as that one has room for; if it was cancelled, it is let go of. So
//! nothing that came is lost, and nothing comes out of order: who receives has the handle's [turn](super::turn), and
//! looks here first.

use std::{
    fmt::{self, Debug},
    future::Future,
    io, mem,
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll},
    time::Instant,
};

use ostia_port::{
    buf::{Head, IoBuf, IoBufMut, Tail},
    op::{Lent, Receive, ReceiveFrom, ReceiveManaged, ReceivedFrom},
};

use super::turn::Turn;
use crate::{
    driver::{Operation, lost},
    loom::{Mutex, lock},
    time::{Elapsed, Sleep, sleep_until},
};

/// The receiving side of a handle; `E` tells how a dropped receive ended.
pub(crate) struct Receiving<E = End> {
    pub(crate) turn: Turn,
    is_left: AtomicBool,
    /// Whoever has the turn uses it, and whoever is dropped with the turn in hand.
    left: Mutex<Option<Left<E>>>,
}

struct Left<E> {
    late: Box<dyn Late<End = E>>,
    /// Once it has ended.
    end: Option<E>,
    /// How many of its bytes have been served.
    served: usize,
}

/// How a dropped receive from a stream ended.
#[derive(Debug)]
pub(crate) struct End {
    len: usize,
    /// Behind its bytes: the stream's end, or an error.
    then: Option<io::Result<()>>,
}

/// A dropped receive, of whatever kind.
pub(crate) trait Late: Send {
    type End;

    /// Asks for its end.
    fn cancel(&mut self);

    /// Whether it may never end, because its worker is lost.
    fn is_lost(&self) -> bool;

    /// Waits for it; asked once only.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Self::End>;

    /// The bytes it has, behind which others may lie that it has not received.
    fn bytes(&self) -> &[u8];

    /// Whether there can be anything to be kept.
    fn may_have_bytes(&self) -> bool;
}

/// What there is for whoever receives next.
pub(crate) enum Serving {
    Nothing,
    /// So many bytes: see [`Receiving::serve`].
    Bytes,
    /// The stream's end, or an error.
    End(io::Result<()>),
}

impl<E> Receiving<E> {
    pub(crate) fn new() -> Receiving<E> {
        Receiving { turn: Turn::new(), is_left: AtomicBool::new(false), left: Mutex::new(None) }
    }

    /// Whether something may be left; asked with the turn in hand.
    #[inline]
    pub(crate) fn is_left(&self) -> bool {
        // Who left it had the turn, and whoever asks has it now.
        self.is_left.load(Ordering::Relaxed)
    }

    #[cold]
    fn leave(&self, late: Box<dyn Late<End = E>>) {
        let former = lock(&self.left).replace(Left { late, end: None, served: 0 });
        debug_assert!(former.is_none(), "who received looked here first");
        self.is_left.store(true, Ordering::Relaxed);
        drop(former);
    }

    /// Nothing is left any more; what comes back is to be dropped without the lock: a buffer of the caller's own kind
    /// may do anything then.
    fn clear(&self, place: &mut Option<Left<E>>) -> Option<Left<E>> {
        self.is_left.store(false, Ordering::Relaxed);
        place.take()
    }
}

impl Receiving {
    /// Waits until it is known what was left.
    pub(crate) fn poll_left(&self, cx: &mut Context<'_>) -> Poll<Serving> {
        let mut place = lock(&self.left);
        let Some(left) = &mut *place else { return Poll::Ready(Serving::Nothing) };
        if left.end.is_none() {
            if left.late.is_lost() {
                let gone = self.clear(&mut place);
                drop(place);
                drop(gone);
                return Poll::Ready(Serving::End(Err(lost())));
            }
            match left.late.poll_end(cx) {
                Poll::Ready(end) => left.end = Some(end),
                Poll::Pending => return Poll::Pending,
            }
        }
        let end = left.end.as_mut().expect("just seen");
        if left.served < end.len {
            return Poll::Ready(Serving::Bytes);
        }
        let then = end.then.take();
        let done = self.clear(&mut place);
        drop(place);
        drop(done);
        Poll::Ready(then.map_or(Serving::Nothing, Serving::End))
    }

    /// Lets `take` have bytes that are left; it says how many it took.
    pub(crate) fn serve(&self, take: impl FnOnce(&[u8]) -> usize) -> usize {
        let mut place = lock(&self.left);
        let Some(Left { late, end: Some(end), served }) = &mut *place else { return 0 };
        let taken = take(&late.bytes()[*served..end.len]);
        *served += taken;
        let is_done = *served == end.len && end.then.is_none();
        let done = if is_done { self.clear(&mut place) } else { None };
        drop(place);
        drop(done);
        taken
    }
}

impl Receiving<Option<io::Result<ReceivedFrom>>> {
    /// The datagram that was left, or its error, once it has ended; `fill` has its bytes, and says how many it took.
    pub(crate) fn poll_datagram(
        &self,
        cx: &mut Context<'_>,
        fill: impl FnOnce(&[u8]) -> usize,
    ) -> Poll<Option<io::Result<ReceivedFrom>>> {
        let mut place = lock(&self.left);
        let Some(left) = &mut *place else { return Poll::Ready(None) };
        if left.late.is_lost() {
            let gone = self.clear(&mut place);
            drop(place);
            drop(gone);
            return Poll::Ready(Some(Err(lost())));
        }
        let end = match left.late.poll_end(cx) {
            Poll::Ready(end) => end,
            Poll::Pending => return Poll::Pending,
        };
        let end = end.map(|result| {
            result.map(|received| {
                let len = fill(&left.late.bytes()[..received.len]);
                ReceivedFrom { truncated: received.truncated || len < received.len, len, ..received }
            })
        });
        let done = self.clear(&mut place);
        drop(place);
        drop(done);
        Poll::Ready(end)
    }
}

impl<E> Debug for Receiving<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiving").field("is_left", &self.is_left).finish_non_exhaustive()
    }
}

/// A receive under way; dropped before its end, it is left for the next caller. Whoever has it has the turn.
pub(crate) struct InHand<'a, L: Late + 'static> {
    receiving: &'a Receiving<L::End>,
    late: Option<L>,
}

impl<'a, L: Late + 'static> InHand<'a, L> {
    pub(crate) fn new(receiving: &'a Receiving<L::End>, late: L) -> InHand<'a, L> {
        InHand { receiving, late: Some(late) }
    }
}

/// A receive as the one who awaits it sees it.
pub(crate) trait Awaited: Late + Unpin + 'static {
    type Output;

    /// Begins it, or goes on with it.
    fn poll_received(&mut self, cx: &mut Context<'_>) -> Poll<Self::Output>;

    /// Goes on with one whose end was asked for because its time is over. What had won wins.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Self::Output>;
}

impl<L: Awaited> Future for InHand<'_, L> {
    type Output = L::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<L::Output> {
        let late = self.late.as_mut().expect("it is not polled after its end");
        let polled = late.poll_received(cx);
        if polled.is_ready() {
            self.late = None;
        }
        polled
    }
}

impl<'a, L: Awaited> InHand<'a, L> {
    /// The same, with an end at this time.
    pub(crate) fn until(self, deadline: Instant) -> Until<'a, L> {
        Until { in_hand: self, time: Some(sleep_until(deadline)) }
    }
}

/// A receive that has its time. When that is over it is asked to end, and its buffer is waited for.
pub(crate) struct Until<'a, L: Late + 'static> {
    in_hand: InHand<'a, L>,
    /// None when it is over.
    time: Option<Sleep>,
}

impl<L: Awaited> Future for Until<'_, L> {
    type Output = L::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<L::Output> {
        let Until { in_hand, time } = &mut *self;
        if let Some(sleep) = time {
            if let Poll::Ready(received) = Pin::new(&mut *in_hand).poll(cx) {
                return Poll::Ready(received);
            }
            if Pin::new(sleep).poll(cx).is_pending() {
                return Poll::Pending;
            }
            *time = None;
            in_hand.late.as_mut().expect("it has not ended").cancel();
        }
        let polled = in_hand.late.as_mut().expect("it is not polled after its end").poll_late(cx);
        if polled.is_ready() {
            in_hand.late = None;
        }
        polled
    }
}

impl<L: Late + 'static> Drop for InHand<'_, L> {
    fn drop(&mut self) {
        if let Some(mut late) = self.late.take()
            && late.may_have_bytes()
        {
            late.cancel();
            self.receiving.leave(Box::new(late));
        }
    }
}

/// The result, if it came before the time was over.
pub(super) fn in_time<T>(result: Option<io::Result<T>>) -> io::Result<T> {
    result.unwrap_or_else(|| Err(io::Error::new(io::ErrorKind::TimedOut, Elapsed)))
}

/// What a receive of this kind came to.
fn end<T>(result: Option<io::Result<T>>, len: impl FnOnce(T) -> usize, before: usize) -> End {
    match result.map(|result| result.map(len)) {
        None => End { len: before, then: None },
        Some(Ok(0)) => End { len: before, then: Some(Ok(())) },
        Some(Ok(len)) => End { len: before + len, then: None },
        Some(Err(error)) => End { len: before, then: Some(Err(error)) },
    }
}

/// One receive into a buffer.
pub(crate) struct Once<B: IoBufMut> {
    operation: Operation<Receive<B>>,
    buffer: Option<B>,
}

impl<B: IoBufMut> Once<B> {
    #[inline]
    pub(crate) fn new(receive: Receive<B>) -> Once<B> {
        Once { operation: Operation::new(receive), buffer: None }
    }
}

// Nothing of it is pinned: buffers lie where they promised.
impl<B: IoBufMut> Unpin for Once<B> {}

impl<B: IoBufMut> Awaited for Once<B> {
    type Output = (io::Result<usize>, B);

    #[inline]
    fn poll_received(&mut self, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.operation)
            .poll(cx)
            .map(|(result, buffer)| (result.map(|received| received.len), buffer))
    }

    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.operation
            .poll_withdrawn(cx)
            .map(|(result, buffer)| (in_time(result).map(|received| received.len), buffer))
    }
}

impl<B: IoBufMut> Late for Once<B> {
    type End = End;

    fn cancel(&mut self) {
        self.operation.cancel();
    }

    fn is_lost(&self) -> bool {
        self.operation.is_lost()
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.operation.poll_withdrawn(cx).map(|(result, buffer)| {
            self.buffer = Some(buffer);
            end(result, |received| received.len, 0)
        })
    }

    fn bytes(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], IoBuf::as_bytes)
    }

    fn may_have_bytes(&self) -> bool {
        self.operation.has_begun()
    }
}

/// Receives until a buffer has so many bytes.
pub(crate) struct Exact<B: IoBufMut> {
    stream: ostia_port::Stream,
    step: Step<B>,
    filled: usize,
    len: usize,
}

enum Step<B: IoBufMut> {
    Between(B),
    Receives(Operation<Receive<Head<Tail<B>>>>),
    Over,
}

impl<B: IoBufMut> Exact<B> {
    /// `filled` bytes are there already.
    pub(crate) fn new(stream: ostia_port::Stream, buffer: B, filled: usize, len: usize) -> Exact<B> {
        Exact { stream, step: Step::Between(buffer), filled, len }
    }
}

impl<B: IoBufMut> Unpin for Exact<B> {}

impl<B: IoBufMut> Awaited for Exact<B> {
    type Output = (io::Result<()>, B);

    fn poll_received(&mut self, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            if let Step::Between(_) = &self.step {
                let Step::Between(buffer) = mem::replace(&mut self.step, Step::Over) else {
                    unreachable!("just seen")
                };
                if self.filled == self.len {
                    return Poll::Ready((Ok(()), buffer));
                }
                let room = Head::new(Tail::new(buffer, self.filled), self.len - self.filled);
                self.step = Step::Receives(Operation::new(Receive::new(&self.stream, room)));
            }
            let Step::Receives(operation) = &mut self.step else { panic!("it is polled after its end") };
            let (result, room) = match Pin::new(operation).poll(cx) {
                Poll::Ready(ended) => ended,
                Poll::Pending => return Poll::Pending,
            };
            let buffer = room.into_inner().into_inner();
            let received = match result {
                Ok(received) if received.len == 0 => Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(received) => Ok(received.len),
                Err(error) => Err(error),
            };
            match received {
                Ok(len) => {
                    self.filled += len;
                    self.step = Step::Between(buffer);
                }
                Err(error) => {
                    self.step = Step::Over;
                    return Poll::Ready((Err(error), buffer));
                }
            }
        }
    }

    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Step::Receives(operation) = &mut self.step else { panic!("it is polled after its end") };
        let (result, room) = match operation.poll_withdrawn(cx) {
            Poll::Ready(ended) => ended,
            Poll::Pending => return Poll::Pending,
        };
        self.step = Step::Over;
        let received = in_time(result).and_then(|received| {
            self.filled += received.len;
            if self.filled < self.len { in_time(None) } else { Ok(()) }
        });
        Poll::Ready((received, room.into_inner().into_inner()))
    }
}

impl<B: IoBufMut> Late for Exact<B> {
    type End = End;

    fn cancel(&mut self) {
        if let Step::Receives(operation) = &mut self.step {
            operation.cancel();
        }
    }

    fn is_lost(&self) -> bool {
        matches!(&self.step, Step::Receives(operation) if operation.is_lost())
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let Step::Receives(operation) = &mut self.step else {
            return Poll::Ready(End { len: self.filled, then: None });
        };
        operation.poll_withdrawn(cx).map(|(result, room)| {
            self.step = Step::Between(room.into_inner().into_inner());
            end(result, |received| received.len, self.filled)
        })
    }

    fn bytes(&self) -> &[u8] {
        match &self.step {
            Step::Between(buffer) => buffer.as_bytes(),
            Step::Receives(_) | Step::Over => &[],
        }
    }

    fn may_have_bytes(&self) -> bool {
        match &self.step {
            Step::Between(_) => self.filled > 0,
            Step::Receives(operation) => self.filled > 0 || operation.has_begun(),
            Step::Over => false,
        }
    }
}

/// One receive into a lent buffer.
pub(crate) struct Managed {
    operation: Operation<ReceiveManaged>,
    lent: Option<Lent>,
}

impl Managed {
    pub(crate) fn new(receive: ReceiveManaged) -> Managed {
        Managed { operation: Operation::new(receive), lent: None }
    }
}

impl Awaited for Managed {
    type Output = io::Result<Lent>;

    fn poll_received(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Lent>> {
        Pin::new(&mut self.operation).poll(cx).map(|(result, ())| result)
    }

    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Lent>> {
        self.operation.poll_withdrawn(cx).map(|(result, ())| in_time(result))
    }
}

impl Late for Managed {
    type End = End;

    fn cancel(&mut self) {
        self.operation.cancel();
    }

    fn is_lost(&self) -> bool {
        self.operation.is_lost()
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.operation
            .poll_withdrawn(cx)
            .map(|(result, ())| end(result, |lent| self.lent.insert(lent).len(), 0))
    }

    fn bytes(&self) -> &[u8] {
        self.lent.as_deref().unwrap_or_default()
    }

    fn may_have_bytes(&self) -> bool {
        self.operation.has_begun()
    }
}

/// One datagram.
pub(crate) struct Datagram<B: IoBufMut> {
    operation: Operation<ReceiveFrom<B>>,
    buffer: Option<B>,
}

impl<B: IoBufMut> Datagram<B> {
    #[inline]
    pub(crate) fn new(receive: ReceiveFrom<B>) -> Datagram<B> {
        Datagram { operation: Operation::new(receive), buffer: None }
    }
}

impl<B: IoBufMut> Unpin for Datagram<B> {}

impl<B: IoBufMut> Awaited for Datagram<B> {
    type Output = (io::Result<ReceivedFrom>, B);

    #[inline]
    fn poll_received(&mut self, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.operation).poll(cx)
    }

    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.operation.poll_withdrawn(cx).map(|(result, buffer)| (in_time(result), buffer))
    }
}

impl<B: IoBufMut> Late for Datagram<B> {
    /// None if it was cancelled. An empty datagram is one, too.
    type End = Option<io::Result<ReceivedFrom>>;

    fn cancel(&mut self) {
        self.operation.cancel();
    }

    fn is_lost(&self) -> bool {
        self.operation.is_lost()
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Self::End> {
        self.operation.poll_withdrawn(cx).map(|(result, buffer)| {
            self.buffer = Some(buffer);
            result
        })
    }

    fn bytes(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], IoBuf::as_bytes)
    }

    fn may_have_bytes(&self) -> bool {
        self.operation.has_begun()
    }
}
