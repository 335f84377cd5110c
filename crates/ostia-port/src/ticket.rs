//! What the caller holds while an operation is under way.

use std::{fmt, io, marker::PhantomData};

use crate::{
    handle::Stream,
    op::{AcceptMany, Op, TicketId, slot::Slot},
    port::Port,
};

/// The claim to the result of one operation. It may be sent to another thread, and outlive the berth.
///
/// Dropping it abandons the operation: a cancel is asked for, nobody waits, and the operation's buffers and
/// handles live on until the kernel has given them back. Then they are dropped, with whatever the result was: a
/// connection accepted too late is closed. [`Ticket::detach`] gives the ticket up, too, and lets the operation go on.
#[must_use = "dropping a ticket abandons its operation"]
pub struct Ticket<O: Op> {
    slot: &'static Slot,
    /// The key of the operation, and `TAKEN`. Two words in all: they travel in registers.
    key: u64,
    op: PhantomData<fn() -> O>,
}

/// Beside the key: the result has been given, and the slot is another operation's. No index is as large.
const TAKEN: u64 = 1 << 31;

impl<O: Op> Ticket<O> {
    pub(crate) fn new(slot: &'static Slot) -> Ticket<O> {
        Ticket { slot, key: slot.key(), op: PhantomData }
    }

    /// The slot, as long as it is this ticket's.
    fn slot(&self) -> Option<&'static Slot> {
        (self.key & TAKEN == 0).then_some(self.slot)
    }

    /// The name by which packets speak of this operation.
    pub fn id(&self) -> TicketId {
        TicketId {
            berth: self.slot.slab.number(),
            index: self.slot.index,
            generation: (self.key >> 32) as u32,
        }
    }

    /// The result, once, when the operation has ended: what it told, and what it gives back. Of an operation that
    /// yields many, after the last of them has been taken by [`Ticket::next`].
    pub fn poll(&mut self) -> Option<(io::Result<O::Out>, O::Back)> {
        let slot = self.slot().filter(|slot| slot.is_done() && !(O::MANY && slot.has_items()))?;
        self.key |= TAKEN;
        Some(slot.take_done::<O>().finish_with())
    }

    /// Whether the operation has ended; then [`Ticket::poll`] has the result, unless it has given it already.
    pub fn is_done(&self) -> bool {
        self.slot().is_none_or(Slot::is_done)
    }

    /// Whether its berth was closed before the system had given the operation back. Then it may never end, and what it
    /// has stays where it is: the system may still use it. Where berths share their completions (IOCP), it may still
    /// come back to another one.
    pub fn is_lost(&self) -> bool {
        self.slot().is_some_and(Slot::is_lost)
    }

    /// One more result of an operation that yields many. After the last one, and after its end, none: a result
    /// that came before the end is still given first.
    #[expect(
        clippy::should_implement_trait,
        reason = "none means none yet, and an iterator's end is for good"
    )]
    pub fn next(&mut self) -> Option<io::Result<O::Item>> {
        let slot = self.slot()?;
        let outcome = slot.next_item()?;
        Some(slot.item_by(|op: &O| op.item(outcome)))
    }

    /// Asks for the operation's end. It still ends once, and tells how: cancelled, or with a result that had
    /// already won. May be called from any thread, costs no memory, and is never lost.
    pub fn cancel(&mut self) {
        if let Some(slot) = self.slot().filter(|slot| !slot.is_done()) {
            slot.cancel();
        }
    }

    /// Lets the operation go on by itself. As when the ticket is dropped, nobody waits for it, and it lets go of
    /// everything when it has ended; but it is not asked to end: what is to be sent is sent, to the last byte. Only the
    /// closing of its berth still cancels it.
    ///
    /// Of an operation that yields many, nobody could take what it yields: that one is abandoned.
    pub fn detach(mut self) {
        if O::MANY {
            return;
        }
        if let Some(slot) = self.slot() {
            self.key |= TAKEN;
            slot.detach();
        }
    }
}

impl Ticket<AcceptMany> {
    /// As [`Ticket::next`], and the stream will be another port's than the listener's: see [`Accept::onto`]. Which one is
    /// asked when there is a stream, and not before.
    ///
    /// A stream that cannot be of that port is not taken: whoever asks next has it. Whether it can, [`Listener::may_accept_onto`]
    /// tells.
    ///
    /// [`Accept::onto`]: crate::op::Accept::onto
    /// [`Listener::may_accept_onto`]: crate::Listener::may_accept_onto
    pub fn next_onto(&mut self, choose: impl FnOnce() -> Port) -> Option<io::Result<Stream>> {
        let slot = self.slot()?;
        if !slot.first_item()?.is_ok() {
            return self.next();
        }
        let onto = choose();
        Some(slot.item_by(|op: &AcceptMany| {
            op.may_go_onto(&onto)?;
            // Nobody else takes any.
            let outcome = slot.next_item().expect("it was seen");
            op.item_onto(&onto, outcome)
        }))
    }
}

impl<O: Op> Drop for Ticket<O> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot() {
            slot.abandon();
        }
    }
}

impl<O: Op> fmt::Debug for Ticket<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("id", &self.id()).field("done", &self.is_done()).finish()
    }
}
