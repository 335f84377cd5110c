//! From an operation to the call that does it now or says that it would wait.

use std::{os::fd::RawFd, sync::Arc, time::Duration};

use super::super::{
    blocking::{call, outcome},
    message,
    transfer::{advance, clip},
};
use crate::{
    error::Class,
    handle::{self, Kind},
    op::{AcceptMany, Message, Outcome, Readiness, ReceiveManagedMany, Request, Target, slot::Flight},
    quay::Quay,
    sink::Sink,
    sys::{error, lending::Lending},
};

/// So many bytes of one send go out at a time; then others have their turn. More than a socket's usual room.
const SEND_MAX: usize = 1 << 20;

/// So many results of one operation that yields many, likewise.
const ITEMS_MAX: usize = 64;

/// Where a call led.
#[derive(Debug)]
pub(super) enum Step {
    Ended(Outcome),
    /// It is to be made again when the descriptor is ready.
    Waits,
    /// It is to be made again after a while, because readiness would not tell.
    Later(Pause),
    /// It is to be made again when a lent buffer has come back.
    Starves,
}

/// How long something is left alone: twice as long each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pause {
    first: Duration,
    longest: Duration,
}

/// For a Unix socket whose line is full: nobody tells when it moves.
const LINE: Pause = Pause { first: Duration::from_millis(1), longest: Duration::from_millis(64) };

/// For a process without a free descriptor: somebody has to close one.
const LACK: Pause = Pause { first: Duration::from_millis(10), longest: Duration::from_secs(1) };

impl Pause {
    /// How long, when so many were in vain before.
    pub(super) fn after(self, tries: u8) -> Duration {
        self.first.saturating_mul(1 << tries.min(16)).min(self.longest)
    }
}

/// The buffers of this berth, made when the first is needed.
#[derive(Debug)]
pub(super) struct Buffers {
    quay: &'static Quay,
    pub(super) lending: Option<Arc<Lending>>,
}

impl Buffers {
    pub(super) fn new(quay: &'static Quay) -> Buffers {
        Buffers { quay, lending: None }
    }

    fn of(&mut self, handle: &handle::Inner) -> &Arc<Lending> {
        self.lending.get_or_insert_with(|| handle.port.new_lending(self.quay))
    }
}

/// One try of an operation on a descriptor that never waits.
#[inline]
pub(super) fn attempt(flight: &mut Flight, buffers: &mut Buffers) -> Step {
    let Some((raw, kind)) = flight.handle().map(|handle| (handle.raw, handle.kind)) else {
        return Step::Ended(Outcome::error(error::CODE_UNSUPPORTED));
    };
    match *flight.request() {
        Request::Receive { buffer, len } => {
            // SAFETY: the buffer has room for so many bytes, and is the flight's.
            step(call(|| unsafe { libc::recv(raw, buffer.cast(), clip(len), 0) }))
        }
        Request::ReceiveVectored { slices, count } => {
            let mut header = header();
            (header.msg_iov, header.msg_iovlen) = (slices, count as _);
            // SAFETY: the slices and what they lead to are good while the flight lives.
            step(call(|| unsafe { libc::recvmsg(raw, &raw mut header, 0) }))
        }
        Request::Send { .. } | Request::SendVectored { .. } => send(flight, raw),
        Request::ReceiveFrom { message } => receive_from(raw, message),
        Request::SendTo { message } => send_to(raw, kind, message),
        Request::Accept { many: false } => accept(raw),
        Request::Connect { target } => connect(flight, raw, target),
        Request::ReceiveManaged { many: false } => {
            let handle = flight.handle().expect("it has just been asked");
            receive_managed(raw, buffers.of(handle))
        }
        Request::Ready { readiness } => ready(raw, readiness),
        _ => Step::Ended(Outcome::error(error::CODE_UNSUPPORTED)),
    }
}

/// As [`attempt`], for an operation that yields many results. Only during a wait. `lacked`: what was tried last failed
/// for want of descriptors, and that has been told.
pub(super) fn attempt_many(
    flight: &mut Flight,
    buffers: &mut Buffers,
    lacked: bool,
    sink: &mut Sink,
) -> Step {
    let Some(handle) = flight.handle() else {
        return Step::Ended(Outcome::error(error::CODE_UNSUPPORTED));
    };
    match *flight.request() {
        Request::Accept { many: true } => accept_many(flight, handle.raw, lacked, sink),
        _ => receive_many(flight, handle.raw, buffers.of(handle), sink),
    }
}

fn step(result: Result<usize, i32>) -> Step {
    match result {
        Err(libc::EAGAIN) => Step::Waits,
        result => Step::Ended(outcome(result)),
    }
}

fn header() -> libc::msghdr {
    // SAFETY: a header of zeros and null pointers is a valid one.
    unsafe { std::mem::zeroed() }
}

/// All of it, as far as the socket takes it now.
fn send(flight: &mut Flight, raw: RawFd) -> Step {
    let mut budget = SEND_MAX;
    loop {
        let (sent, asked) = match *flight.request() {
            Request::Send { buffer, len } => {
                let len = len.min(budget);
                // SAFETY: so many bytes of the buffer are initialised, and the flight keeps it.
                (call(|| unsafe { libc::send(raw, buffer.cast(), len, libc::MSG_NOSIGNAL) }), len)
            }
            Request::SendVectored { slices, count } => {
                let mut header = header();
                (header.msg_iov, header.msg_iovlen) = (slices, count as _);
                // SAFETY: the slices and what they lead to are good while the flight lives.
                (call(|| unsafe { libc::sendmsg(raw, &raw const header, libc::MSG_NOSIGNAL) }), usize::MAX)
            }
            _ => unreachable!("it sends"),
        };
        match sent {
            Ok(sent) => {
                if advance(flight, sent) {
                    return Step::Ended(Outcome::ok(flight.progress()));
                }
                budget = budget.saturating_sub(sent);
                if sent < asked || budget == 0 {
                    return Step::Waits;
                }
            }
            Err(libc::EAGAIN) => return Step::Waits,
            Err(code) => return Step::Ended(Outcome::error(code)),
        }
    }
}

fn receive_from(raw: RawFd, datagram: *mut Message) -> Step {
    // SAFETY: the message lies in the operation of the flight that is tried.
    let header = unsafe { message::for_receiving(datagram) };
    // SAFETY: the header, and what it leads to, lie in that operation.
    match call(|| unsafe { libc::recvmsg(raw, header, 0) }) {
        // SAFETY: the header was filled in above, and the kernel has written to it.
        Ok(len) => Step::Ended(unsafe { message::received(datagram, len) }),
        failed => step(failed),
    }
}

fn send_to(raw: RawFd, kind: Kind, datagram: *mut Message) -> Step {
    // SAFETY: the message lies in the operation of the flight that is tried.
    let header = unsafe { message::for_sending(datagram) };
    // SAFETY: the header, and what it leads to, lie in that operation.
    let sent = call(|| unsafe { libc::sendmsg(raw, header, libc::MSG_NOSIGNAL) });
    // SAFETY: as above.
    let is_addressed = !unsafe { (*header).msg_name }.is_null();
    match sent {
        // Full is the line of the one who is to receive it, of which this socket's readiness says nothing.
        Err(libc::EAGAIN) if kind == Kind::LocalDatagram && is_addressed => Step::Later(LINE),
        result => step(result),
    }
}

/// A connection whose peer has gone again is passed over.
fn accept(raw: RawFd) -> Step {
    for _ in 0..ITEMS_MAX {
        match accept_once(raw) {
            Err(libc::ECONNABORTED) => {}
            result => return step(result),
        }
    }
    Step::Waits
}

fn accept_once(raw: RawFd) -> Result<usize, i32> {
    let none = std::ptr::null_mut();
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: it is asked for no address, and writes to no memory.
    call(|| unsafe { libc::accept4(raw, none, std::ptr::null_mut(), flags) } as isize)
}

fn accept_many(flight: &Flight, raw: RawFd, mut lacked: bool, sink: &mut Sink) -> Step {
    for _ in 0..ITEMS_MAX {
        if flight.items_waiting() >= AcceptMany::WAITING_MAX {
            return Step::Ended(Outcome::ok(0));
        }
        let (item, pause) = match accept_once(raw) {
            Ok(accepted) => {
                lacked = false;
                (Outcome::ok(accepted), false)
            }
            Err(libc::EAGAIN) => return Step::Waits,
            Err(libc::ECONNABORTED) => continue,
            Err(code) => match error::class(code) {
                // One connection's fault.
                Class::PeerGone => (Outcome::error(code), false),
                Class::Transient if lacked => return Step::Later(LACK),
                Class::Transient => (Outcome::error(code), true),
                Class::Cancelled | Class::Fatal => return Step::Ended(Outcome::error(code)),
            },
        };
        if !sink.item(flight, item) {
            return Step::Ended(crate::sys::cancelled());
        }
        if pause {
            return Step::Later(LACK);
        }
    }
    Step::Waits
}

/// Asked again, the kernel says what has become of it.
fn connect(flight: &mut Flight, raw: RawFd, target: *const Target) -> Step {
    // SAFETY: the target lies in the operation, which stays where it is.
    let Some(address) = (unsafe { &(*target).socket }) else {
        return Step::Ended(Outcome::error(error::CODE_UNSUPPORTED));
    };
    let has_begun = flight.progress() > 0;
    let (to, len) = (address.as_ptr().cast(), address.len());
    // SAFETY: the address is so long, and lives as long as the flight.
    match call(|| unsafe { libc::connect(raw, to, len) } as isize) {
        Ok(_) => Step::Ended(Outcome::ok(0)),
        Err(libc::EISCONN) if has_begun => Step::Ended(Outcome::ok(0)),
        Err(libc::EINPROGRESS | libc::EALREADY) => {
            flight.set_progress(1);
            Step::Waits
        }
        // A Unix socket whose listener has a full line.
        Err(libc::EAGAIN) if address.is_unix() => Step::Later(LINE),
        Err(code) => Step::Ended(Outcome::error(code)),
    }
}

/// A buffer is taken for the call alone, unless something comes into it.
fn receive_lent(raw: RawFd, lending: &Lending) -> Result<Outcome, Step> {
    let Some(piece) = lending.take() else { return Err(Step::Starves) };
    let (buffer, len) = (lending.address(piece), lending.piece_len());
    // SAFETY: the piece is so long, and ours until it is given back or named in the outcome.
    match call(|| unsafe { libc::recv(raw, buffer.cast(), len, 0) }) {
        Ok(len) if len > 0 => Ok(Outcome::ok(len).with_buffer(lending.name(piece))),
        result => {
            lending.give_back(piece);
            Err(step(result))
        }
    }
}

fn receive_managed(raw: RawFd, lending: &Lending) -> Step {
    match receive_lent(raw, lending) {
        Ok(outcome) => Step::Ended(outcome),
        Err(step) => step,
    }
}

fn receive_many(flight: &Flight, raw: RawFd, lending: &Lending, sink: &mut Sink) -> Step {
    loop {
        if flight.items_waiting() >= ReceiveManagedMany::WAITING_MAX {
            return Step::Ended(Outcome::ok(0));
        }
        let (item, is_last) = match receive_lent(raw, lending) {
            Ok(received) => (received, false),
            Err(Step::Ended(end)) if end.is_ok() => (end, true),
            Err(step) => return step,
        };
        let is_short = item.result().is_ok_and(|len| len < lending.piece_len());
        if !sink.item(flight, item) {
            return Step::Ended(crate::sys::cancelled());
        }
        if is_last {
            return Step::Ended(Outcome::ok(0));
        }
        if is_short {
            // Most likely there is no more for now; if there is, epoll says so at once.
            return Step::Waits;
        }
    }
}

/// A look, without waiting. What has no readiness, a regular file, is ready.
fn ready(raw: RawFd, readiness: Readiness) -> Step {
    let events = match readiness {
        Readiness::Read => libc::POLLIN,
        Readiness::Write => libc::POLLOUT,
    };
    let mut poll = libc::pollfd { fd: raw, events, revents: 0 };
    // SAFETY: one descriptor is asked for, and its record lives across the call.
    match call(|| unsafe { libc::poll(&raw mut poll, 1, 0) } as isize) {
        Ok(0) => Step::Waits,
        Ok(_) if poll.revents & libc::POLLNVAL != 0 => Step::Ended(Outcome::error(libc::EBADF)),
        Ok(_) => Step::Ended(Outcome::ok(0)),
        Err(code) => Step::Ended(Outcome::error(code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_up_to_its_longest() {
        let check = |pause: Pause, tries, millis| {
            assert_eq!(pause.after(tries), Duration::from_millis(millis), "{pause:?} after {tries}");
        };
        check(LINE, 0, 1);
        check(LINE, 5, 32);
        check(LINE, 6, 64);
        check(LINE, u8::MAX, 64);
        check(LACK, 0, 10);
        check(LACK, 3, 80);
        check(LACK, u8::MAX, 1000);
    }
}
