//! Operations on streams and listeners.

use std::{convert::Infallible, io, mem::MaybeUninit, sync::Arc};

use socket2::SockAddr;

use super::{Flags, Op, Outcome, Request, Slice, sealed::Sealed};
use crate::{
    address::Address,
    buf::{IoBuf, IoBufMut},
    handle::{Handle, Kind, Listener, Stream},
    port::{Port, Shared},
    sys,
    turn::Direction,
};

/// The most buffers of one vectored operation: they fit into its slot, and no system takes fewer.
pub const SLICES_MAX: usize = 16;

/// What a receive tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// How many bytes. From a stream, 0 is its end; from a message pipe, an empty message.
    pub len: usize,
    /// From a message pipe: the message goes on, and the next receive has more of it.
    pub more: bool,
}

impl Received {
    fn of(outcome: Outcome) -> io::Result<Received> {
        Ok(Received { len: outcome.result()?, more: outcome.flags().has(Flags::MORE_DATA) })
    }
}

/// Receives into a buffer, from its beginning, up to its capacity. On success the buffer's length is what was
/// received.
#[derive(Debug)]
pub struct Receive<B> {
    handle: Handle,
    buffer: B,
}

impl<B: IoBufMut> Receive<B> {
    /// Receives from `stream` into `buffer`.
    pub fn new(stream: &Stream, buffer: B) -> Receive<B> {
        Receive { handle: stream.0.clone(), buffer }
    }
}

impl<B> Sealed for Receive<B> {}

impl<B: IoBufMut> Op for Receive<B> {
    type Out = Received;
    type Back = B;
    type Item = Infallible;

    #[inline]
    fn target(&self) -> Option<(&Handle, Option<Direction>)> {
        Some((&self.handle, Some(Direction::In)))
    }

    fn check(&self) -> io::Result<()> {
        room(self.buffer.capacity())
    }

    #[inline]
    fn prepare(&mut self) -> Request {
        Request::Receive { buffer: self.buffer.stable_mut_ptr(), len: self.buffer.capacity() }
    }

    #[inline]
    fn finish(mut self, outcome: Outcome) -> (io::Result<Received>, B) {
        let received = Received::of(outcome);
        if let Ok(received) = &received {
            // SAFETY: the system wrote so many bytes from the buffer's beginning, and was given its capacity.
            unsafe { self.buffer.set_init(received.len) };
        }
        (received, self.buffer)
    }
}

/// A receive into no room would end at once with 0, as the end of the stream does.
fn room(capacity: usize) -> io::Result<()> {
    if capacity == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a receive needs a buffer with room"));
    }
    Ok(())
}

/// Sends all of a buffer. It ends when the system has taken the last byte, or with the error that stopped it;
/// sends on one stream go out whole, in the order in which they were submitted.
#[derive(Debug)]
pub struct Send<B> {
    handle: Handle,
    buffer: B,
}

impl<B: IoBuf> Send<B> {
    /// Sends `buffer` on `stream`.
    pub fn new(stream: &Stream, buffer: B) -> Send<B> {
        Send { handle: stream.0.clone(), buffer }
    }
}

impl<B> Sealed for Send<B> {}

impl<B: IoBuf> Op for Send<B> {
    type Out = usize;
    type Back = B;
    type Item = Infallible;

    #[inline]
    fn target(&self) -> Option<(&Handle, Option<Direction>)> {
        Some((&self.handle, Some(Direction::Out)))
    }

    #[inline]
    fn prepare(&mut self) -> Request {
        Request::Send { buffer: self.buffer.stable_ptr(), len: self.buffer.init_len() }
    }

    #[inline]
    fn finish(self, outcome: Outcome) -> (io::Result<usize>, B) {
        (outcome.result(), self.buffer)
    }
}

/// Buffers of a vectored operation, and where they lie, for the system.
#[derive(Debug)]
pub(super) struct Slices<B> {
    pub(super) buffers: Vec<B>,
    slices: MaybeUninit<[Slice; SLICES_MAX]>,
}

// SAFETY: the pointers in `slices` lead into `buffers`, which are `Send`, and are used by one at a time.
unsafe impl<B: std::marker::Send> std::marker::Send for Slices<B> {}

impl<B: IoBuf> Slices<B> {
    pub(super) fn new(buffers: Vec<B>) -> Slices<B> {
        Slices { buffers, slices: MaybeUninit::uninit() }
    }

    pub(super) fn check(&self) -> io::Result<()> {
        if self.buffers.len() > SLICES_MAX {
            let why = format!("{} buffers in one operation; {SLICES_MAX} is the most", self.buffers.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        if self.buffers.iter().any(|buffer| buffer.init_len() > sys::SLICE_MAX) {
            let why = format!("a buffer of more than {} bytes in a vectored operation", sys::SLICE_MAX);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        Ok(())
    }

    pub(super) fn fill_init(&mut self) -> (*mut Slice, usize) {
        let first = self.slices.as_mut_ptr().cast::<Slice>();
        for (place, buffer) in self.buffers.iter().enumerate() {
            let slice = sys::slice(buffer.stable_ptr().cast_mut(), buffer.init_len());
            // SAFETY: `check` saw that there are at most SLICES_MAX buffers.
            let here = unsafe { first.add(place) };
            // SAFETY: as above.
            unsafe { here.write(slice) };
        }
        (first, self.buffers.len())
    }
}

impl<B: IoBufMut> Slices<B> {
    pub(super) fn fill_room(&mut self) -> (*mut Slice, usize) {
        let first = self.slices.as_mut_ptr().cast::<Slice>();
        for (place, buffer) in self.buffers.iter_mut().enumerate() {
            let slice = sys::slice(buffer.stable_mut_ptr(), buffer.capacity());
            // SAFETY: `check` saw that there are at most SLICES_MAX buffers.
            let here = unsafe { first.add(place) };
            // SAFETY: as above.
            unsafe { here.write(slice) };
        }
        (first, self.buffers.len())
    }

    /// Tells the buffers of `len` bytes that were received into them, one after the other.
    pub(super) fn set_init(&mut self, mut len: usize) {
        for buffer in &mut self.buffers {
            let here = len.min(buffer.capacity());
            // SAFETY: the system filled the buffers in their order, each to its capacity before the next.
            unsafe { buffer.set_init(here) };
            len -= here;
        }
    }

    pub(super) fn room(&self) -> usize {
        self.buffers.iter().map(IoBufMut::capacity).sum()
    }
}

/// Receives into several buffers, each up to its capacity before the next.
#[derive(Debug)]
pub struct ReceiveVectored<B> {
    handle: Handle,
    slices: Slices<B>,
}

impl<B: IoBufMut> ReceiveVectored<B> {
    /// Receives from `stream` into `buffers`, at most [`SLICES_MAX`].
    pub fn new(stream: &Stream, buffers: Vec<B>) -> ReceiveVectored<B> {
        ReceiveVectored { handle: stream.0.clone(), slices: Slices::new(buffers) }
    }
}

impl<B> Sealed for ReceiveVectored<B> {}

impl<B: IoBufMut> Op for ReceiveVectored<B> {
    type Out = Received;
    type Back = Vec<B>;
    type Item = Infallible;

    fn target(&self) -> Option<(&Handle, Option<Direction>)> {
        Some((&self.handle, Some(Direction::In)))
    }

    fn check(&self) -> io::Result<()> {
        self.slices.check()?;
        room(self.slices.room())
    }

    fn prepare(&mut self) -> Request {
        let (slices, count) = self.slices.fill_room();
        Request::ReceiveVectored { slices, count }
    }

    fn finish(mut self, outcome: Outcome) -> (io::Result<Received>, Vec<B>) {
        let received = Received::of(outcome);
        if let Ok(received) = &received {
            self.slices.set_init(received.len);
        }
        (received, self.slices.buffers)
    }
}

/// Sends several buffers, one after the other, whole.
#[derive(Debug)]
pub struct SendVectored<B> {
    handle: Handle,
    slices: Slices<B>,
}

impl<B: IoBuf> SendVectored<B> {
    /// Sends `buffers`, at most [`SLICES_MAX`], on `stream`.
    pub fn new(stream: &Stream, buffers: Vec<B>) -> SendVectored<B> {
        SendVectored { handle: stream.0.clone(), slices: Slices::new(buffers) }
    }
}

impl<B> Sealed for SendVectored<B> {}

impl<B: IoBuf> Op for SendVectored<B> {
    type Out = usize;
    type Back = Vec<B>;
    type Item = Infallible;

    fn target(&self) -> Option<(&Handle, Option<Direction>)> {
        Some((&self.handle, Some(Direction::Out)))
    }

    fn check(&self) -> io::Result<()> {
        self.slices.check()
    }

    fn prepare(&mut self) -> Request {
        let (slices, count) = self.slices.fill_init();
        Request::SendVectored { slices, count }
    }

    fn finish(self, outcome: Outcome) -> (io::Result<usize>, Vec<B>) {
        (outcome.result(), self.slices.buffers)
    }
}

/// Connects. The stream comes back in either case; one whose connect failed is good for closing only.
///
/// Abandoned, it closes the stream.
#[derive(Debug)]
pub struct Connect {
    stream: Stream,
    target: Target,
}

/// Where a connect goes.
#[doc(hidden)]
#[derive(Debug)]
pub struct Target {
    #[cfg_attr(not(windows), allow(dead_code, reason = "only a named pipe is connected by its name"))]
    pub(crate) address: Address,
    /// As the system's socket calls want it; none for a named pipe.
    pub(crate) socket: Option<SockAddr>,
}

impl Connect {
    /// Connects `stream`, which [`Port::stream`](crate::Port::stream) made for this address.
    ///
    /// # Errors
    ///
    /// If the address is none: a path too long for a socket.
    pub fn new(stream: Stream, address: &Address) -> io::Result<Connect> {
        let socket = match stream.0.inner().kind {
            Kind::Pipe => None,
            _ => Some(address.to_system()?),
        };
        Ok(Connect { stream, target: Target { address: address.clone(), socket } })
    }
}

impl Sealed for Connect {}

impl Op for Connect {
    type Out = ();
    type Back = Stream;
    type Item = Infallible;

    fn target(&self) -> Option<(&Handle, Option<Direction>)> {
        Some((&self.stream.0, Some(Direction::Out)))
    }

    fn prepare(&mut self) -> Request {
        Request::Connect { target: &raw const self.target }
    }

    fn finish(self, outcome: Outcome) -> (io::Result<()>, Stream) {
        (outcome.result().map(drop), self.stream)
    }
}

/// Accepts one connection.
#[derive(Debug)]
pub struct Accept {
    handle: Handle,
    /// Whose the stream will be, if not the listener's port's.
    onto: Option<Port>,
}

impl Accept {
    /// Accepts from `listener`.
    pub fn new(listener: &Listener) -> Accept {
        Accept { handle: listener.0.clone(), onto: None }
    }

    /// The stream will be another port's than the listener's: operations on it are submitted there. Both ports have the
    /// same back end; otherwise the accept is refused.
    ///
    /// # Platforms
    ///
    /// On Windows a named pipe belongs to one port from its beginning: to accept one onto another port is refused.
    pub fn onto(mut self, port: &Port) -> Accept {
        self.onto = Some(port.clone());
        self
    }
}

/// Whether what this listener accepts may be that port's.
fn may_go_onto(listener: &Handle, onto: &Port) -> io::Result<()> {
    let (from, onto) = (listener.port(), onto.shared());
    if Arc::ptr_eq(from, onto) {
        return Ok(());
    }
    if !from.system.shares_handles_with(&onto.system) {
        let why = "a stream is accepted onto a port of the listener's own back end";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    if listener.inner().kind == Kind::Pipe {
        let why = "a named pipe belongs to its listener's port";
        return Err(io::Error::new(io::ErrorKind::Unsupported, why));
    }
    Ok(())
}

impl Listener {
    /// Whether its streams may be of this port: see [`Accept::onto`].
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the port has another back end, `Unsupported` of a named pipe, which is its listener's port's.
    pub fn may_accept_onto(&self, port: &Port) -> io::Result<()> {
        may_go_onto(&self.0, port)
    }
}

/// The stream of a handle the system accepted. It is closed if it cannot be attached to the port.
fn accepted(listener: &Handle, port: &Arc<Shared>, outcome: Outcome) -> io::Result<Stream> {
    let raw = sys::raw_of(outcome.result()?);
    let kind = listener.inner().kind;
    debug_assert!(matches!(kind, Kind::Tcp | Kind::LocalStream | Kind::Pipe), "streams are accepted");
    Handle::attach(port, raw, kind).map(Stream)
}

impl Sealed for Accept {}

impl Op for Accept {
    type Out = Stream;
    type Back = ();
    type Item = Infallible;

    fn target(&self) -> Option<(&Handle, Option<Direction>)> {
        Some((&self.handle, Some(Direction::In)))
    }

    fn check(&self) -> io::Result<()> {
        self.onto.as_ref().map_or(Ok(()), |onto| may_go_onto(&self.handle, onto))
    }

    fn prepare(&mut self) -> Request {
        Request::Accept { many: false }
    }

    fn finish(self, outcome: Outcome) -> (io::Result<Stream>, ()) {
        let port = self.onto.as_ref().map_or(self.handle.port(), Port::shared);
        (accepted(&self.handle, port, outcome), ())
    }
}

/// Accepts one connection after the other: each is an item of the ticket, by [`Ticket::next`] the listener's port's, by
/// [`Ticket::next_onto`] another's.
///
/// It ends with `Ok` when so many streams wait in the ticket that no more are taken for now ([`AcceptMany::WAITING_MAX`]):
/// take them, and submit again. It ends with an error if it was cancelled or the listener is broken. What is wrong
/// with one connection only does not end it, and neither does a lack of descriptors: that is told as an item.
///
/// [`Ticket::next`]: crate::Ticket::next
/// [`Ticket::next_onto`]: crate::Ticket::next_onto
#[derive(Debug)]
pub struct AcceptMany {
    handle: Handle,
}

impl AcceptMany {
    /// So many streams may wait in a ticket; then it ends. What the system had accepted by that time comes, too.
    pub const WAITING_MAX: usize = 256;

    /// Accepts from `listener`.
    pub fn new(listener: &Listener) -> AcceptMany {
        AcceptMany { handle: listener.0.clone() }
    }

    pub(crate) fn may_go_onto(&self, onto: &Port) -> io::Result<()> {
        may_go_onto(&self.handle, onto)
    }

    pub(crate) fn item_onto(&self, onto: &Port, outcome: Outcome) -> io::Result<Stream> {
        accepted(&self.handle, onto.shared(), outcome)
    }
}

impl Sealed for AcceptMany {}

impl Op for AcceptMany {
    type Out = ();
    type Back = ();
    type Item = Stream;

    const MANY: bool = true;

    fn target(&self) -> Option<(&Handle, Option<Direction>)> {
        Some((&self.handle, Some(Direction::In)))
    }

    fn prepare(&mut self) -> Request {
        Request::Accept { many: true }
    }

    fn finish(self, outcome: Outcome) -> (io::Result<()>, ()) {
        (outcome.result().map(drop), ())
    }

    fn item(&self, outcome: Outcome) -> io::Result<Stream> {
        accepted(&self.handle, self.handle.port(), outcome)
    }
}
