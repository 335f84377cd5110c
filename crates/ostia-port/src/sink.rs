//! Where a back end puts what happened.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    op::{Outcome, slot::Flight},
    packet::{Batch, Packet},
    quay::Quay,
    sys::offload::Offload,
};

/// Collects the packets of one berth.
///
/// A completion may be told only during a wait ([`Sink::complete`]). A back end that knows the outcome already
/// when it is asked to submit says so by [`Sink::later`]: then the next wait tells it, and no caller is surprised
/// by an operation that ended inside `submit`.
#[derive(Debug)]
pub(crate) struct Sink {
    pub(crate) quay: &'static Quay,
    pub(crate) offload: Arc<Offload>,
    /// Told, and not yet delivered.
    pub(crate) packets: VecDeque<Packet>,
    /// Ended, and not yet told.
    pub(crate) later: VecDeque<(Flight, Outcome)>,
    /// Their turn has come.
    pub(crate) next: VecDeque<Flight>,
    /// How many packets this wait may still take from what others could take, too.
    pub(crate) room: usize,
    /// Operations that ended, told or abandoned.
    pub(crate) ended: u64,
    /// A wake was received that could have gone to another berth, too.
    pub(crate) rung: bool,
    /// Completions of which nobody knew.
    pub(crate) unknown: u64,
}

impl Sink {
    pub(crate) fn new(quay: &'static Quay, offload: Arc<Offload>) -> Sink {
        Sink {
            quay,
            offload,
            packets: VecDeque::with_capacity(Batch::MAX),
            later: VecDeque::with_capacity(256),
            next: VecDeque::new(),
            room: 0,
            ended: 0,
            rung: false,
            unknown: 0,
        }
    }

    /// The operation has ended. Only during a wait.
    #[inline]
    pub(crate) fn complete(&mut self, flight: Flight, outcome: Outcome) {
        self.leave_turn(&flight);
        self.complete_without_turn(flight, outcome);
    }

    /// As [`Sink::complete`], for an operation that waited for its turn and never had it.
    #[inline]
    pub(crate) fn complete_without_turn(&mut self, flight: Flight, outcome: Outcome) {
        self.ended += 1;
        if let Some(id) = flight.finish(outcome) {
            self.packets.push_back(Packet::Done(id));
        }
    }

    /// One result of many. Only during a wait. False if nobody wants more: the back end ends the operation then.
    pub(crate) fn item(&mut self, flight: &Flight, outcome: Outcome) -> bool {
        let wanted = flight.item(outcome);
        if wanted {
            self.packets.push_back(Packet::More(flight.slot().id()));
        }
        wanted
    }

    /// The operation has ended already, and the next wait is to tell it.
    #[inline]
    pub(crate) fn later(&mut self, flight: Flight, outcome: Outcome) {
        self.later.push_back((flight, outcome));
    }

    /// What has no asynchronous form, or would stall the berth, runs on a thread of its own.
    pub(crate) fn offload(&mut self, flight: Flight) {
        self.offload.start(flight);
    }

    /// A completion of which nobody knows: of an operation that has ended, or of none of ours.
    pub(crate) fn unknown(&mut self, key: u64) {
        self.unknown += 1;
        tracing::debug!(key, "a completion of no operation under way");
    }

    /// The wake packet of a shared quay has been received.
    #[cfg_attr(not(windows), expect(dead_code, reason = "only IOCP shares a quay"))]
    pub(crate) fn take_bell_down(&mut self) {
        self.rung = true;
        self.quay.take_down();
    }

    /// Nothing here waits to be told.
    pub(crate) fn is_empty(&self) -> bool {
        self.packets.is_empty() && self.later.is_empty() && self.next.is_empty()
    }

    #[inline]
    fn leave_turn(&mut self, flight: &Flight) {
        let (Some(handle), Some(direction)) = (flight.handle(), flight.direction()) else { return };
        let Some(next) = handle.turns.of(direction).leave() else { return };
        next.slot().now_at(crate::op::slot::At::BackEnd);
        let quay = next.slot().slab.quay();
        if std::ptr::eq(quay, self.quay) {
            self.next.push_back(next);
        } else {
            quay.send_go(next);
        }
    }
}
