//! What a waiter receives.

use std::{any::Any, fmt};

use crate::{berth::Berth, op::TicketId};

/// One thing that happened.
#[derive(Debug)]
pub enum Packet {
    /// The operation of this ticket has ended: its `poll` has the result.
    Done(TicketId),
    /// An operation that yields many results has one more: its `next` has it.
    More(TicketId),
    /// Somebody posted this.
    Post(Payload),
}

/// What a post carries.
pub enum Payload {
    /// A number, whatever it means to those who post and wait.
    Word(u64),
    /// A value of any type.
    Value(Box<dyn Any + Send>),
    /// Work for whichever berth takes it, run inside its `wait`; no packet tells of it. This is how a thread
    /// without a berth submits.
    Run(Box<dyn FnOnce(&mut Berth) + Send>),
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Payload::Word(word) => f.debug_tuple("Word").field(word).finish(),
            Payload::Value(_) => f.write_str("Value(..)"),
            Payload::Run(_) => f.write_str("Run(..)"),
        }
    }
}

/// As many packets as one wait may deliver. The caller keeps it, so that waiting allocates nothing.
#[derive(Debug)]
pub struct Batch {
    pub(crate) packets: Vec<Packet>,
    pub(crate) limit: usize,
}

impl Batch {
    /// The most packets one wait delivers, so that timers and tasks get their turn.
    pub const MAX: usize = 256;

    /// A batch of the usual size.
    pub fn new() -> Batch {
        Batch::with_limit(Batch::MAX)
    }

    /// A batch of at most `limit` packets; at least 1, at most [`Batch::MAX`].
    pub fn with_limit(limit: usize) -> Batch {
        let limit = limit.clamp(1, Batch::MAX);
        Batch { packets: Vec::with_capacity(limit), limit }
    }

    /// How many packets the last wait delivered and nobody has taken yet.
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// The packets, in the order in which they came.
    pub fn iter(&self) -> std::slice::Iter<'_, Packet> {
        self.packets.iter()
    }

    /// Takes the packets out, in the order in which they came.
    pub fn drain(&mut self) -> std::vec::Drain<'_, Packet> {
        self.packets.drain(..)
    }
}

impl Default for Batch {
    fn default() -> Batch {
        Batch::new()
    }
}

impl<'a> IntoIterator for &'a Batch {
    type Item = &'a Packet;
    type IntoIter = std::slice::Iter<'a, Packet>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
