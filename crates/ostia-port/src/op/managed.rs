//! Receiving into buffers that are lent only when there is something to receive: a connection that waits holds
//! none.

use std::{convert::Infallible, fmt, io, ops::Deref};

use super::{Op, Outcome, Request, sealed::Sealed};
use crate::{
    handle::{Handle, Stream},
    sys::lending::Loan,
    turn::Direction,
};

/// Received bytes in a lent buffer. Dropping it gives the buffer back, from any thread; while none is left, the
/// receives that need one wait. Empty at the end of the stream.
pub struct Lent {
    loan: Option<Loan>,
    len: usize,
}

impl Lent {
    fn of(handle: &Handle, outcome: Outcome) -> io::Result<Lent> {
        let len = outcome.result()?;
        let loan = handle.port().lending_of(outcome).map(|lending| lending.loan(outcome.buffer()));
        debug_assert!(len == 0 || loan.is_some(), "bytes come in a buffer");
        Ok(Lent { loan, len })
    }
}

impl Deref for Lent {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.loan.as_ref().map_or(&[], |loan| loan.bytes(self.len))
    }
}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lent").field("len", &self.len).finish_non_exhaustive()
    }
}

/// Receives once, into a lent buffer.
#[derive(Debug)]
pub struct ReceiveManaged {
    handle: Handle,
}

impl ReceiveManaged {
    /// Receives from `stream`.
    pub fn new(stream: &Stream) -> ReceiveManaged {
        ReceiveManaged { handle: stream.0.clone() }
    }
}

impl Sealed for ReceiveManaged {}

impl Op for ReceiveManaged {
    type Out = Lent;
    type Back = ();
    type Item = Infallible;

    fn target(&self) -> Option<(&Handle, Option<Direction>)> {
        Some((&self.handle, Some(Direction::In)))
    }

    fn prepare(&mut self) -> Request {
        Request::ReceiveManaged { many: false }
    }

    fn finish(self, outcome: Outcome) -> (io::Result<Lent>, ()) {
        (Lent::of(&self.handle, outcome), ())
    }
}

/// Receives again and again, each time into a lent buffer: each is an item of the ticket.
///
/// It ends with `Ok` at the end of the stream, and when [`ReceiveManagedMany::WAITING_MAX`] buffers wait in the
/// ticket: take them, and submit again. The end of the stream is told by an empty last item.
#[derive(Debug)]
pub struct ReceiveManagedMany {
    handle: Handle,
}

impl ReceiveManagedMany {
    /// So many buffers may wait in a ticket; then it ends. What the system had filled by that time comes, too.
    pub const WAITING_MAX: usize = 16;

    /// Receives from `stream`.
    pub fn new(stream: &Stream) -> ReceiveManagedMany {
        ReceiveManagedMany { handle: stream.0.clone() }
    }
}

impl Sealed for ReceiveManagedMany {}

impl Op for ReceiveManagedMany {
    type Out = ();
    type Back = ();
    type Item = Lent;

    const MANY: bool = true;

    fn target(&self) -> Option<(&Handle, Option<Direction>)> {
        Some((&self.handle, Some(Direction::In)))
    }

    fn prepare(&mut self) -> Request {
        Request::ReceiveManaged { many: true }
    }

    fn finish(self, outcome: Outcome) -> (io::Result<()>, ()) {
        (outcome.result().map(drop), ())
    }

    fn item(&self, outcome: Outcome) -> io::Result<Lent> {
        Lent::of(&self.handle, outcome)
    }
}
