//! Operations on datagrams.

use std::{convert::Infallible, io, mem::MaybeUninit};

use socket2::SockAddr;

use super::{Flags, Op, Outcome, Request, Slice, sealed::Sealed, stream::Slices};
use crate::{
    address::Address,
    buf::{IoBuf, IoBufMut},
    handle::{Datagram, Handle},
    sys,
    turn::Direction,
};

/// One datagram, as the system's calls want it: it lies in the operation, which lies in its slot.
#[doc(hidden)]
#[derive(Debug)]
pub struct Message {
    /// Where it goes; where it came from.
    pub(crate) address: Option<SockAddr>,
    pub(crate) slices: *mut Slice,
    pub(crate) count: usize,
    /// What the system wants beside it.
    pub(crate) sys: sys::MessageHeader,
}

// SAFETY: the pointers lead into the operation that owns the message.
unsafe impl std::marker::Send for Message {}

impl Message {
    fn new(address: Option<SockAddr>) -> Message {
        Message { address, slices: std::ptr::null_mut(), count: 0, sys: sys::MessageHeader::default() }
    }
}

/// What came with a datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedFrom {
    /// How many bytes; 0 is an empty datagram.
    pub len: usize,
    /// It was longer than the room, and its end is lost.
    pub truncated: bool,
    /// Who sent it, if the system says so.
    pub from: Option<Address>,
}

impl ReceivedFrom {
    fn of(outcome: Outcome, message: &Message) -> io::Result<ReceivedFrom> {
        let len = outcome.result()?;
        let from = message.address.as_ref().and_then(|address| Address::from_system(address).ok());
        Ok(ReceivedFrom { len, truncated: outcome.flags().has(Flags::MORE_DATA), from })
    }
}

/// Receives one datagram. It says whether the datagram was longer than the room; the rest of it is lost then.
#[derive(Debug)]
pub struct ReceiveFrom<B> {
    handle: Handle,
    message: Message,
    slice: MaybeUninit<Slice>,
    buffer: B,
}

// SAFETY: the pointer in `slice` leads into the buffer, which is `Send`, and is used by one at a time.
unsafe impl<B: std::marker::Send> std::marker::Send for ReceiveFrom<B> {}

impl<B: IoBufMut> ReceiveFrom<B> {
    /// Receives from `datagram` into `buffer`.
    pub fn new(datagram: &Datagram, buffer: B) -> ReceiveFrom<B> {
        let handle = datagram.0.clone();
        ReceiveFrom { handle, message: Message::new(None), slice: MaybeUninit::uninit(), buffer }
    }
}

impl<B> Sealed for ReceiveFrom<B> {}

impl<B: IoBufMut> Op for ReceiveFrom<B> {
    type Out = ReceivedFrom;
    type Back = B;
    type Item = Infallible;

    fn target(&self) -> Option<(&Handle, Option<Direction>)> {
        Some((&self.handle, Some(Direction::In)))
    }

    fn prepare(&mut self) -> Request {
        let slice = self.slice.write(sys::slice(self.buffer.stable_mut_ptr(), self.buffer.capacity()));
        (self.message.slices, self.message.count) = (slice, 1);
        Request::ReceiveFrom { message: &raw mut self.message }
    }

    fn finish(mut self, outcome: Outcome) -> (io::Result<ReceivedFrom>, B) {
        let received = ReceivedFrom::of(outcome, &self.message);
        if let Ok(received) = &received {
            // SAFETY: the system wrote so many bytes from the buffer's beginning, and was given its capacity.
            unsafe { self.buffer.set_init(received.len) };
        }
        (received, self.buffer)
    }
}

/// [`ReceiveFrom`] into several buffers, each up to its capacity before the next.
#[derive(Debug)]
pub struct ReceiveFromVectored<B> {
    handle: Handle,
    message: Message,
    slices: Slices<B>,
}

impl<B: IoBufMut> ReceiveFromVectored<B> {
    /// Receives from `datagram` into `buffers`, at most [`super::SLICES_MAX`].
    pub fn new(datagram: &Datagram, buffers: Vec<B>) -> ReceiveFromVectored<B> {
        ReceiveFromVectored {
            handle: datagram.0.clone(),
            message: Message::new(None),
            slices: Slices::new(buffers),
        }
    }
}

impl<B> Sealed for ReceiveFromVectored<B> {}

impl<B: IoBufMut> Op for ReceiveFromVectored<B> {
    type Out = ReceivedFrom;
    type Back = Vec<B>;
    type Item = Infallible;

    fn target(&self) -> Option<(&Handle, Option<Direction>)> {
        Some((&self.handle, Some(Direction::In)))
    }

    fn check(&self) -> io::Result<()> {
        self.slices.check()
    }

    fn prepare(&mut self) -> Request {
        (self.message.slices, self.message.count) = self.slices.fill_room();
        Request::ReceiveFrom { message: &raw mut self.message }
    }

    fn finish(mut self, outcome: Outcome) -> (io::Result<ReceivedFrom>, Vec<B>) {
        let received = ReceivedFrom::of(outcome, &self.message);
        if let Ok(received) = &received {
            self.slices.set_init(received.len);
        }
        (received, self.slices.buffers)
    }
}

/// Sends one datagram.
#[derive(Debug)]
pub struct SendTo<B> {
    handle: Handle,
    message: Message,
    slice: MaybeUninit<Slice>,
    buffer: B,
}

// SAFETY: as for `ReceiveFrom`.
unsafe impl<B: std::marker::Send> std::marker::Send for SendTo<B> {}

impl<B: IoBuf> SendTo<B> {
    /// Sends `buffer` to `address`, or to the connected one.
    ///
    /// # Errors
    ///
    /// If the address is none: a path too long for a socket.
    pub fn new(datagram: &Datagram, buffer: B, address: Option<&Address>) -> io::Result<SendTo<B>> {
        let message = Message::new(address.map(Address::to_system).transpose()?);
        Ok(SendTo { handle: datagram.0.clone(), message, slice: MaybeUninit::uninit(), buffer })
    }
}

impl<B> Sealed for SendTo<B> {}

impl<B: IoBuf> Op for SendTo<B> {
    type Out = usize;
    type Back = B;
    type Item = Infallible;

    fn target(&self) -> Option<(&Handle, Option<Direction>)> {
        Some((&self.handle, Some(Direction::Out)))
    }

    fn prepare(&mut self) -> Request {
        let slice = sys::slice(self.buffer.stable_ptr().cast_mut(), self.buffer.init_len());
        (self.message.slices, self.message.count) = (self.slice.write(slice), 1);
        Request::SendTo { message: &raw mut self.message }
    }

    fn finish(self, outcome: Outcome) -> (io::Result<usize>, B) {
        (outcome.result(), self.buffer)
    }
}

/// [`SendTo`] from several buffers, as one datagram.
#[derive(Debug)]
pub struct SendToVectored<B> {
    handle: Handle,
    message: Message,
    slices: Slices<B>,
}

impl<B: IoBuf> SendToVectored<B> {
    /// Sends `buffers`, at most [`super::SLICES_MAX`], to `address`, or to the connected one.
    ///
    /// # Errors
    ///
    /// If the address is none: a path too long for a socket.
    pub fn new(
        datagram: &Datagram,
        buffers: Vec<B>,
        address: Option<&Address>,
    ) -> io::Result<SendToVectored<B>> {
        let message = Message::new(address.map(Address::to_system).transpose()?);
        Ok(SendToVectored { handle: datagram.0.clone(), message, slices: Slices::new(buffers) })
    }
}

impl<B> Sealed for SendToVectored<B> {}

impl<B: IoBuf> Op for SendToVectored<B> {
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
        (self.message.slices, self.message.count) = self.slices.fill_init();
        Request::SendTo { message: &raw mut self.message }
    }

    fn finish(self, outcome: Outcome) -> (io::Result<usize>, Vec<B>) {
        (outcome.result(), self.slices.buffers)
    }
}
