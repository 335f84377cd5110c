//! What becomes of an operation when the kernel has said something of it: its outcome, or its next entry.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use io_uring::cqueue;

use super::{Driver, lent::Buffers, op, stat::Rooms};
use crate::{
    error::Class,
    op::{AcceptMany, FileCall, Outcome, ReceiveManagedMany, Request, slot::Flight},
    sink::Sink,
    sys::{
        self, error,
        lending::Lending,
        linux::{OsRequest, message, transfer},
    },
};

/// In an operation's progress: so many results wait that it was asked to end, well.
pub(super) const ENDING: usize = 1 << (usize::BITS - 1);

/// The first rest of an accept for which the system lacked something; each further one is twice as long.
const REST: Duration = Duration::from_millis(5);
/// The longest.
const REST_MAX: Duration = Duration::from_secs(1);

/// An accept that is tried again, and when.
pub(super) struct Resting {
    pub(super) flight: Flight,
    until: Instant,
}

/// Who takes a lent piece when something has come.
pub(super) enum Lender {
    /// The kernel, from a ring of them.
    Kernel(Buffers),
    /// This driver, when a poll says that there is something (before 5.19).
    Driver(Arc<Lending>),
}

impl Lender {
    /// Whether there is nothing to be handed over to the kernel yet.
    pub(super) fn has_enough(&self) -> bool {
        match self {
            Lender::Kernel(buffers) => !buffers.is_low(),
            Lender::Driver(_) => true,
        }
    }

    fn lending(&self) -> &Arc<Lending> {
        match self {
            Lender::Kernel(buffers) => &buffers.lending,
            Lender::Driver(lending) => lending,
        }
    }
}

/// The entry of this operation was not taken: what it needed is free again.
pub(super) fn undo(flight: &mut Flight, rooms: &mut Rooms, lender: Option<&Lender>) {
    match flight.request() {
        Request::File { call } => {
            // SAFETY: the call is this flight's.
            let call = unsafe { &**call };
            if matches!(call, FileCall::Metadata { .. } | FileCall::MetadataOfFile { .. }) {
                rooms.put_back(flight.progress());
            }
        }
        Request::ReceiveManaged { .. } => {
            if let (Some(piece), Some(lender)) = (piece_of(flight), lender) {
                lender.lending().give_back(piece);
                flight.set_progress(0);
            }
        }
        _ => {}
    }
}

/// The piece that an operation receives into, if the kernel does not choose it.
fn piece_of(flight: &Flight) -> Option<u16> {
    let progress = flight.progress() & !ENDING;
    progress.checked_sub(1).map(|piece| piece as u16)
}

fn outcome(result: i32) -> Outcome {
    if result < 0 { Outcome::error(-result) } else { Outcome::ok(result as usize) }
}

/// Whether a transfer that was interrupted before it began is simply begun again.
fn is_restarted(flight: &Flight, result: i32) -> bool {
    (result == -libc::EINTR || result == -libc::EAGAIN) && !flight.is_cancelled()
}

impl Driver {
    /// The last completion of an entry.
    #[inline]
    pub(super) fn ended(&mut self, flight: Flight, completion: &cqueue::Entry, sink: &mut Sink) {
        let result = completion.result();
        match *flight.request() {
            Request::Nop => sink.complete(flight, outcome(result)),
            Request::Receive { .. } | Request::ReceiveVectored { .. } => {
                self.received(flight, result, completion.flags(), sink);
            }
            Request::Send { .. }
            | Request::SendVectored { .. }
            | Request::ReadAt { .. }
            | Request::WriteAt { .. }
            | Request::WriteVectoredAt { .. } => self.transferred(flight, result, sink),
            _ => self.ended_otherwise(flight, completion, sink),
        }
    }

    fn ended_otherwise(&mut self, mut flight: Flight, completion: &cqueue::Entry, sink: &mut Sink) {
        let result = completion.result();
        match *flight.request() {
            Request::Accept { many: true } => self.accepted(flight, result, sink),
            Request::ReceiveManaged { many } => self.received_lent(flight, many, completion, sink),
            Request::ReceiveFrom { message } if result >= 0 => {
                note_drained(&flight, completion.flags());
                // SAFETY: the message is this flight's, and its header was filled in for the kernel.
                let outcome = unsafe { message::received(message, result as usize) };
                sink.complete(flight, outcome);
            }
            Request::ReceiveFrom { .. }
            | Request::SendTo { .. }
            | Request::ReadVectoredAt { .. }
            | Request::Accept { many: false }
                if is_restarted(&flight, result) =>
            {
                self.start(flight, sink);
            }
            Request::File { call } => {
                // SAFETY: the call is this flight's.
                let call = unsafe { &mut *call };
                if let FileCall::Metadata { answer, .. } | FileCall::MetadataOfFile { answer } = call {
                    if result >= 0 {
                        *answer = Some(self.rooms.read(flight.progress()));
                    } else {
                        self.rooms.put_back(flight.progress());
                    }
                }
                complete(flight, outcome(result), sink);
            }
            // The bits that are set say what was found: ready is all that is told.
            Request::Ready { .. } => complete(flight, outcome(result.min(0)), sink),
            Request::Os(OsRequest::Raw { .. }) => {
                let told = if cqueue::notif(completion.flags()) && flight.progress() == 1 {
                    flight.outcome()
                } else {
                    outcome(result).with_detail(completion.flags())
                };
                flight.set_progress(0);
                sink.complete(flight, told);
            }
            _ => complete(flight, outcome(result), sink),
        }
    }

    /// A completion after which the kernel will have more to say.
    pub(super) fn goes_on(&mut self, mut flight: Flight, completion: &cqueue::Entry, sink: &mut Sink) {
        match *flight.request() {
            Request::Accept { many: true } => {
                // It works again: the next failure is a first one.
                flight.set_progress(flight.progress() & ENDING);
                self.item(&mut flight, outcome(completion.result()), AcceptMany::WAITING_MAX, sink);
            }
            Request::ReceiveManaged { many: true } => {
                let outcome = self.lent_outcome(completion);
                self.item(&mut flight, outcome, ReceiveManagedMany::WAITING_MAX, sink);
            }
            Request::Os(OsRequest::Raw { .. }) => {
                flight.set_outcome(outcome(completion.result()).with_detail(completion.flags()));
                flight.set_progress(1);
            }
            _ => {}
        }
        let _ = flight.hand_over();
    }

    /// One result of many, of an operation that the kernel goes on with. If too many wait, it is asked to end.
    fn item(&mut self, flight: &mut Flight, outcome: Outcome, waiting_max: usize, sink: &mut Sink) {
        let wanted = sink.item(flight, outcome);
        if wanted && flight.progress() & ENDING == 0 && flight.items_waiting() >= waiting_max {
            flight.set_progress(flight.progress() | ENDING);
            self.ask_for_cancel(flight.slot());
        }
    }

    fn received(&mut self, flight: Flight, result: i32, flags: u32, sink: &mut Sink) {
        if result >= 0 {
            note_drained(&flight, flags);
            sink.complete(flight, Outcome::ok(result as usize));
        } else if is_restarted(&flight, result) {
            self.start(flight, sink);
        } else {
            complete(flight, Outcome::error(-result), sink);
        }
    }

    /// Of a transfer that is to be whole: a part is done, or all of it.
    fn transferred(&mut self, mut flight: Flight, result: i32, sink: &mut Sink) {
        if result < 0 {
            if is_restarted(&flight, result) {
                self.start(flight, sink);
            } else {
                complete(flight, Outcome::error(-result), sink);
            }
            return;
        }
        let moved = result as usize;
        let reads = matches!(flight.request(), Request::ReadAt { .. });
        if transfer::advance(&mut flight, moved) || (reads && moved == 0) {
            // All of it, or the file's end.
            let total = flight.progress();
            sink.complete(flight, Outcome::ok(total));
        } else if flight.is_cancelled() {
            sink.complete(flight, sys::cancelled());
        } else if moved == 0 {
            // A write of nothing would be tried again for ever.
            sink.complete(flight, Outcome::error(error::CODE_OTHER));
        } else {
            self.start(flight, sink);
        }
    }

    /// The kernel has ended an accept of many, or one of the accepts that stand for it.
    fn accepted(&mut self, mut flight: Flight, result: i32, sink: &mut Sink) {
        let ending = flight.progress() & ENDING != 0;
        if result >= 0 {
            sink.item(&flight, Outcome::ok(result as usize));
            flight.set_progress(flight.progress() & ENDING);
        }
        let full = ending || flight.items_waiting() >= AcceptMany::WAITING_MAX;
        if result >= 0 || result == -libc::EINTR {
            if flight.is_cancelled() {
                sink.complete(flight, sys::cancelled());
            } else if full {
                sink.complete(flight, Outcome::ok(0));
            } else {
                self.start(flight, sink);
            }
            return;
        }
        if result == -libc::ECANCELED {
            let outcome = if ending && !flight.is_cancelled() { Outcome::ok(0) } else { sys::cancelled() };
            sink.complete(flight, outcome);
            return;
        }
        match error::class(-result) {
            Class::Transient | Class::PeerGone if flight.is_cancelled() => {
                sink.complete(flight, sys::cancelled());
            }
            class @ (Class::Transient | Class::PeerGone) => {
                sink.item(&flight, Outcome::error(-result));
                if full || flight.items_waiting() >= AcceptMany::WAITING_MAX {
                    sink.complete(flight, Outcome::ok(0));
                } else if class == Class::PeerGone {
                    // That one connection is gone; the next one is another.
                    self.start(flight, sink);
                } else {
                    self.rest(flight);
                }
            }
            Class::Cancelled | Class::Fatal => sink.complete(flight, Outcome::error(-result)),
        }
    }

    /// The system lacks something: an accept tried again at once would fail again.
    fn rest(&mut self, mut flight: Flight) {
        let tries = flight.progress();
        flight.set_progress(tries + 1);
        let rest = REST.saturating_mul(1 << tries.min(16)).min(REST_MAX);
        self.resting.push(Resting { flight, until: Instant::now() + rest });
    }

    /// Begins again what has rested long enough; how long a wait may be otherwise.
    pub(super) fn resume_resting(&mut self, timeout: Option<Duration>, sink: &mut Sink) -> Option<Duration> {
        let now = Instant::now();
        while let Some(place) = self.resting.iter().position(|resting| resting.until <= now) {
            let flight = self.resting.swap_remove(place).flight;
            self.start(flight, sink);
        }
        let Some(next) = self.resting.iter().map(|resting| resting.until).min() else { return timeout };
        let left = next.saturating_duration_since(now);
        Some(timeout.map_or(left, |timeout| timeout.min(left)))
    }

    /// Starts a receive into lent memory, or parks it until there is some.
    pub(super) fn start_managed(&mut self, flight: Flight) {
        let Request::ReceiveManaged { many } = *flight.request() else {
            unreachable!("only such a receive is managed")
        };
        if self.buffers.is_none() {
            self.make_lender(&flight);
        }
        let handle = flight.handle().expect("a receive is on a stream");
        match self.buffers.as_ref().expect("made above") {
            Lender::Kernel(buffers) if buffers.held() == 0 => self.parked.push_back(flight),
            Lender::Kernel(buffers) => {
                let len = buffers.lending.piece_len();
                let entry = op::receive_lent(handle, many, &self.kernel, len);
                self.hand_over(flight, entry);
            }
            Lender::Driver(_) => {
                let entry = op::receivable(handle);
                self.hand_over(flight, entry);
            }
        }
    }

    fn make_lender(&mut self, flight: &Flight) {
        let handle = flight.handle().expect("a receive is on a stream");
        let lending = handle.port.new_lending(self.quay);
        let lender = if self.kernel.lends() {
            Buffers::new(&self.ring, Arc::clone(&lending)).map_or_else(
                |error| {
                    tracing::debug!(%error, "the kernel takes no ring of buffers; this crate lends them itself");
                    Lender::Driver(lending)
                },
                Lender::Kernel,
            )
        } else {
            Lender::Driver(lending)
        };
        self.buffers = Some(lender);
    }

    /// Gives the kernel the pieces that have come back, and starts the receives that waited for them.
    pub(super) fn refill(&mut self, sink: &mut Sink) {
        let waiting = self.parked.len();
        match self.buffers.as_mut().expect("the caller has seen it") {
            Lender::Kernel(buffers) => {
                buffers.refill(waiting > 0);
                // All of them, be it one piece: who has nothing to receive takes none, and is not to keep back who has.
                let begun = if buffers.held() == 0 { 0 } else { waiting };
                for _ in 0..begun {
                    let Some(flight) = self.parked.pop_front() else { return };
                    self.start(flight, sink);
                }
            }
            Lender::Driver(_) => {
                for _ in 0..waiting {
                    let Some(flight) = self.parked.pop_front() else { return };
                    if let Err(flight) = self.receive_piece(flight) {
                        self.parked.push_front(flight);
                        return;
                    }
                }
            }
        }
    }

    /// There is something to receive: takes a piece for it. If there is none, the receive comes back, and the
    /// berth is woken when there is.
    fn receive_piece(&mut self, mut flight: Flight) -> Result<(), Flight> {
        let Some(Lender::Driver(lending)) = &self.buffers else { unreachable!("the kernel takes its own") };
        let Some(piece) = lending.take() else { return Err(flight) };
        flight.set_progress(usize::from(piece) + 1);
        let handle = flight.handle().expect("a receive is on a stream");
        let entry = op::receive_piece(handle, lending.address(piece), lending.piece_len());
        self.hand_over(flight, entry);
        Ok(())
    }

    /// The outcome of a receive into a piece that the kernel chose.
    fn lent_outcome(&mut self, completion: &cqueue::Entry) -> Outcome {
        let outcome = outcome(completion.result());
        let Some(piece) = cqueue::buffer_select(completion.flags()) else { return outcome };
        let Some(Lender::Kernel(buffers)) = &mut self.buffers else { return outcome };
        buffers.taken();
        if completion.result() > 0 {
            return outcome.with_buffer(buffers.lending.name(piece));
        }
        // Nothing is in it.
        buffers.give(piece);
        outcome
    }

    /// A receive into lent memory has ended, or one step of it.
    fn received_lent(&mut self, mut flight: Flight, many: bool, completion: &cqueue::Entry, sink: &mut Sink) {
        let result = completion.result();
        let ending = flight.progress() & ENDING != 0;
        let told = if let Some(piece) = piece_of(&flight) {
            flight.set_progress(0);
            let Some(Lender::Driver(lending)) = &self.buffers else {
                unreachable!("the kernel takes its own")
            };
            if result > 0 {
                outcome(result).with_buffer(lending.name(piece))
            } else {
                lending.give_back(piece);
                outcome(result)
            }
        } else if matches!(self.buffers, Some(Lender::Driver(_))) {
            // A poll has ended.
            if flight.is_cancelled() {
                sink.complete(flight, sys::cancelled());
            } else if result >= 0 {
                if let Err(flight) = self.receive_piece(flight) {
                    self.parked.push_back(flight);
                }
            } else {
                sink.complete(flight, Outcome::error(-result));
            }
            return;
        } else {
            self.lent_outcome(completion)
        };
        match told.code() {
            None if !many => sink.complete(flight, told),
            None => {
                let end = result == 0;
                sink.item(&flight, told);
                let full = ending || flight.items_waiting() >= ReceiveManagedMany::WAITING_MAX;
                if end || (full && !flight.is_cancelled()) {
                    sink.complete(flight, Outcome::ok(0));
                } else if flight.is_cancelled() {
                    sink.complete(flight, sys::cancelled());
                } else {
                    // The kernel has stopped of its own accord: it had no room for a completion, or it was one of one.
                    self.start(flight, sink);
                }
            }
            // What only says that it stopped. Anything else is news of the connection, which is told once.
            Some(code @ (libc::ECANCELED | libc::ENOBUFS | libc::EINTR | libc::EAGAIN)) => {
                if flight.is_cancelled() {
                    sink.complete(flight, sys::cancelled());
                } else if ending {
                    sink.complete(flight, Outcome::ok(0));
                } else {
                    match code {
                        libc::ENOBUFS => self.parked.push_back(flight),
                        libc::ECANCELED => sink.complete(flight, told),
                        _ => self.start(flight, sink),
                    }
                }
            }
            Some(_) => sink.complete(flight, told),
        }
    }
}

/// Ends an operation. One that was interrupted because of a cancel was cancelled.
fn complete(flight: Flight, outcome: Outcome, sink: &mut Sink) {
    let interrupted = outcome.code() == Some(libc::EINTR) && flight.is_cancelled();
    sink.complete(flight, if interrupted { sys::cancelled() } else { outcome });
}

fn note_drained(flight: &Flight, flags: u32) {
    if let Some(handle) = flight.handle() {
        handle.sys.uring.set_drained(!cqueue::sock_nonempty(flags));
    }
}
