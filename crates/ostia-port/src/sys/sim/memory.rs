//! The memory of operations: the one place where the simulation follows a request's pointers.
//!
//! Every function borrows the flight, and whoever holds the flight may use what its request points to. A flight that
//! has ended is gone, and with it every way to its memory.

use std::slice;

use socket2::SockAddr;

use crate::{
    address::Address,
    op::{FileCall, Message, Request, slot::Flight},
    sys::{self, lending::Lending},
};

/// The pieces of an operation's buffers, one after the other.
fn pieces(flight: &Flight) -> Vec<(*mut u8, usize)> {
    let (slices, count) = match *flight.request() {
        Request::Receive { buffer, len } | Request::ReadAt { buffer, len, .. } => return vec![(buffer, len)],
        Request::Send { buffer, len } | Request::WriteAt { buffer, len, .. } => {
            return vec![(buffer.cast_mut(), len)];
        }
        Request::ReceiveVectored { slices, count }
        | Request::SendVectored { slices, count }
        | Request::ReadVectoredAt { slices, count, .. }
        | Request::WriteVectoredAt { slices, count, .. } => (slices, count),
        Request::ReceiveFrom { message } | Request::SendTo { message } => {
            // SAFETY: the message lies in the operation, which lives as long as its flight.
            let message = unsafe { &*message };
            (message.slices, message.count)
        }
        _ => return Vec::new(),
    };
    if count == 0 {
        return Vec::new();
    }
    // SAFETY: the slices lie in the operation, `count` of them, filled in when it was prepared.
    unsafe { slice::from_raw_parts(slices, count) }.iter().map(sys::parts).collect()
}

/// How many bytes there are in its buffers, or is room for.
pub(super) fn len(flight: &Flight) -> usize {
    pieces(flight).iter().map(|(_, len)| len).sum()
}

/// At most `len` of the bytes to be sent, from `start` on.
pub(super) fn read(flight: &Flight, start: usize, len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    each_part(flight, start, len, |address, len| {
        // SAFETY: the part lies in a buffer of initialised bytes that the operation owns.
        bytes.extend_from_slice(unsafe { slice::from_raw_parts(address, len) });
    });
    bytes
}

/// Puts what was received into its buffers, from `start` on.
pub(super) fn write(flight: &mut Flight, start: usize, bytes: &[u8]) {
    let mut rest = bytes;
    each_part(flight, start, bytes.len(), |address, len| {
        let (here, after) = rest.split_at(len);
        // SAFETY: the part lies in the room of a buffer that the operation owns, and that nobody else looks at.
        unsafe { address.copy_from_nonoverlapping(here.as_ptr(), len) };
        rest = after;
    });
    assert!(rest.is_empty(), "{} bytes are {} more than there is room for", bytes.len(), rest.len());
}

/// Calls `each` with the parts of its buffers in which the bytes from `start` to `start + len` lie.
fn each_part(flight: &Flight, start: usize, len: usize, mut each: impl FnMut(*mut u8, usize)) {
    let (mut skip, mut left) = (start, len);
    for (address, len) in pieces(flight) {
        let skipped = skip.min(len);
        skip -= skipped;
        let here = (len - skipped).min(left);
        if here > 0 {
            // SAFETY: `skipped` is at most the piece's length.
            each(unsafe { address.add(skipped) }, here);
            left -= here;
        }
    }
}

/// Whether its buffers are room to be written to.
pub(super) fn is_room(flight: &Flight) -> bool {
    matches!(
        flight.request(),
        Request::Receive { .. }
            | Request::ReceiveVectored { .. }
            | Request::ReceiveFrom { .. }
            | Request::ReadAt { .. }
            | Request::ReadVectoredAt { .. }
    )
}

/// Fills the room with a pattern of this number.
pub(super) fn poison(flight: &mut Flight, number: u64) {
    let pattern: Vec<u8> = (0..len(flight)).map(|place| pattern(number, place)).collect();
    write(flight, 0, &pattern);
}

/// Whether the room from `start` on is as `poison` left it.
pub(super) fn is_poisoned(flight: &Flight, number: u64, start: usize) -> bool {
    // The whole room was initialised by `poison`.
    let bytes = read(flight, start, usize::MAX);
    bytes.iter().enumerate().all(|(place, byte)| *byte == pattern(number, start + place))
}

fn pattern(number: u64, place: usize) -> u8 {
    (number.wrapping_mul(0x9e37_79b9) >> 8) as u8 ^ (place as u8).wrapping_mul(31)
}

/// A number that changes with the bytes to be sent.
pub(super) fn sum(flight: &Flight) -> u64 {
    let bytes = read(flight, 0, usize::MAX);
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Where a connect goes.
pub(super) fn target(flight: &Flight) -> Option<(Address, Option<SockAddr>)> {
    let Request::Connect { target } = *flight.request() else { return None };
    // SAFETY: the target lies in the operation, which lives as long as its flight.
    let target = unsafe { &*target };
    Some((target.address.clone(), target.socket.clone()))
}

/// The message of a datagram's operation.
pub(super) fn message(flight: &mut Flight) -> Option<&mut Message> {
    let (Request::ReceiveFrom { message } | Request::SendTo { message }) = *flight.request() else {
        return None;
    };
    // SAFETY: the message lies in the operation, which lives as long as its flight; that is borrowed exclusively.
    Some(unsafe { &mut *message })
}

/// What is asked about a path.
pub(super) fn call(flight: &mut Flight) -> Option<&mut FileCall> {
    let Request::File { call } = *flight.request() else { return None };
    // SAFETY: as for the message.
    Some(unsafe { &mut *call })
}

/// Fills a piece that was taken from the pool.
pub(super) fn lend(lending: &Lending, piece: u16, bytes: &[u8]) {
    assert!(bytes.len() <= lending.piece_len(), "no more than the piece holds");
    // SAFETY: the piece was taken by the caller and is nobody else's; it is long enough by the line above.
    unsafe { lending.address(piece).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
}
