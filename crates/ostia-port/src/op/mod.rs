//! What each operation asks for, free of any operating system.

pub(crate) mod slab;
pub(crate) mod slot;

mod datagram;
mod file;
mod managed;
mod ready;
mod stream;
mod timer;

use std::{fmt, io, sync::Arc, time::Instant};

pub(crate) use self::{datagram::Message, file::FileCall, stream::Target};
pub use self::{
    datagram::{ReceiveFrom, ReceiveFromVectored, ReceivedFrom, SendTo, SendToVectored},
    file::{
        CreateDir, Entry, EntryKind, Flush, ListDir, Metadata, MetadataOf, MetadataOfFile, Open, OpenOptions,
        ReadAt, ReadVectoredAt, Remove, RemoveDir, Rename, SetSize, WriteAt, WriteVectoredAt,
    },
    managed::{Lent, ReceiveManaged, ReceiveManagedMany},
    ready::{Readiness, Ready},
    stream::{
        Accept, AcceptMany, Connect, Receive, ReceiveVectored, Received, SLICES_MAX, Send, SendVectored,
    },
    timer::{Nop, Timer},
};
use crate::{handle::Handle, port::Port, turn::Direction};

/// One operation: what it owns while it is under way, and what it gives back.
///
/// The types of this module are all there are; the trait is sealed.
pub trait Op: Sized + std::marker::Send + 'static + sealed::Sealed {
    /// What a success tells.
    type Out;
    /// What comes back in either case: buffers, mostly.
    type Back;
    /// One result of many; [`std::convert::Infallible`] for an operation that has one result only.
    type Item;

    #[doc(hidden)]
    const MANY: bool = false;

    /// What no back end could do, found before anything is begun.
    #[doc(hidden)]
    fn check(&self) -> io::Result<()> {
        Ok(())
    }

    /// The handle it is on, and the turn it takes there.
    #[doc(hidden)]
    fn target(&self) -> Option<(&Handle, Option<Direction>)> {
        None
    }

    /// Whether it may be submitted at a berth of this port: it is on a handle of it, or on none.
    fn fits(&self, port: &Port) -> bool {
        self.target().is_none_or(|(handle, _)| Arc::ptr_eq(handle.port(), port.shared()))
    }

    /// The port of the handle it is on.
    fn port(&self) -> Option<Port> {
        self.target().map(|(handle, _)| Port::of(handle))
    }

    /// What is asked of the back end. `self` stays where it is until the operation has ended.
    #[doc(hidden)]
    fn prepare(&mut self) -> Request;

    /// From the back end's answer to the caller's.
    #[doc(hidden)]
    fn finish(self, outcome: Outcome) -> (io::Result<Self::Out>, Self::Back);

    /// From one answer of many to the caller's.
    #[doc(hidden)]
    fn item(&self, _outcome: Outcome) -> io::Result<Self::Item> {
        unreachable!("this operation has one result")
    }

    /// Lets go of an answer that nobody wants.
    #[doc(hidden)]
    fn discard_item(&self, outcome: Outcome) {
        drop(self.item(outcome));
    }
}

pub(crate) mod sealed {
    #[expect(unnameable_types, reason = "that is what seals a trait")]
    pub trait Sealed {}
}

/// Names one operation of one port. Small numbers, used again after the operation has been taken from its
/// ticket; the generation tells the uses apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TicketId {
    pub(crate) berth: u16,
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl TicketId {
    /// The berth it was submitted at, as a small number.
    pub fn berth(self) -> usize {
        self.berth.into()
    }

    /// Its place among the operations of that berth, as a small number.
    pub fn index(self) -> usize {
        self.index as usize
    }

    /// How often that place was used before.
    pub fn generation(self) -> u32 {
        self.generation
    }
}

impl fmt::Display for TicketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.berth, self.index, self.generation)
    }
}

/// A back end's answer: a count or a handle, or the system's error code.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    value: i64,
    /// What came beside it: flags in the upper half, the number of a lent buffer in the lower. Two words in all:
    /// they travel in registers.
    beside: u64,
}

/// What comes beside an answer.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u32);

impl Flags {
    /// A datagram was cut off, or a message goes on.
    pub(crate) const MORE_DATA: Flags = Flags(1);
    /// [`Outcome::buffer`] is the number of a lent buffer.
    pub(crate) const BUFFER: Flags = Flags(1 << 1);

    pub(crate) fn has(self, flag: Flags) -> bool {
        self.0 & flag.0 != 0
    }
}

impl Outcome {
    pub(crate) const fn ok(value: usize) -> Outcome {
        Outcome { value: value as i64, beside: 0 }
    }

    /// A failure, by the system's code (errno; Win32 or Winsock).
    pub(crate) const fn error(code: i32) -> Outcome {
        Outcome { value: -(code as i64), beside: 0 }
    }

    pub(crate) fn from_error(error: &io::Error) -> Outcome {
        Outcome::error(error.raw_os_error().unwrap_or(crate::sys::error::CODE_OTHER))
    }

    /// From a call's result, by what of it counts.
    #[cfg_attr(not(windows), allow(dead_code, reason = "Linux's calls tell numbers"))]
    pub(crate) fn of<T>(result: io::Result<T>, value: impl FnOnce(T) -> usize) -> Outcome {
        match result {
            Ok(result) => Outcome::ok(value(result)),
            Err(error) => Outcome::from_error(&error),
        }
    }

    pub(crate) const fn with(mut self, flag: Flags) -> Outcome {
        self.beside |= (flag.0 as u64) << 32;
        self
    }

    pub(crate) const fn with_buffer(self, buffer: u32) -> Outcome {
        self.with_detail(buffer).with(Flags::BUFFER)
    }

    /// What else a back end tells of an operation that only it has; there is no lent buffer then.
    pub(crate) const fn with_detail(mut self, detail: u32) -> Outcome {
        self.beside = self.beside >> 32 << 32 | detail as u64;
        self
    }

    /// What came beside the answer.
    pub(crate) const fn flags(self) -> Flags {
        Flags((self.beside >> 32) as u32)
    }

    /// The number of the lent buffer, if the flags say that there is one; otherwise what `with_detail` was told.
    pub(crate) const fn buffer(self) -> u32 {
        self.beside as u32
    }

    pub(crate) fn is_ok(self) -> bool {
        self.value >= 0
    }

    /// The error's code, if it is one.
    #[cfg_attr(windows, allow(dead_code, reason = "Linux alone decides by it"))]
    pub(crate) fn code(self) -> Option<i32> {
        (self.value < 0).then(|| -self.value as i32)
    }

    pub(crate) fn result(self) -> io::Result<usize> {
        if self.value >= 0 {
            Ok(self.value as usize)
        } else {
            Err(io::Error::from_raw_os_error(-self.value as i32))
        }
    }
}

/// What a back end is asked for. Pointers lead into the operation or its buffer and are good until the flight
/// ends; the handle is the flight's.
#[doc(hidden)]
#[derive(Debug)]
pub enum Request {
    /// End soon, and well.
    Nop,
    /// End well at this time. Berths do this themselves; no back end sees it.
    Timer(Instant),
    /// A connection; `many`: one item after the other.
    Accept { many: bool },
    /// Connect the handle.
    Connect { target: *const Target },
    /// From a stream or a message pipe, at most `len` bytes; 0 is the end.
    Receive { buffer: *mut u8, len: usize },
    /// The same into `count` slices.
    ReceiveVectored { slices: *mut Slice, count: usize },
    /// The same into a buffer that the back end lends when there is something to receive.
    ReceiveManaged { many: bool },
    /// To a stream or a message pipe: all of it.
    Send { buffer: *const u8, len: usize },
    /// The same from `count` slices.
    SendVectored { slices: *mut Slice, count: usize },
    /// One datagram.
    ReceiveFrom { message: *mut Message },
    /// One datagram.
    SendTo { message: *mut Message },
    /// From a place in a file; fewer only at its end.
    ReadAt { buffer: *mut u8, len: usize, offset: u64 },
    /// To a place in a file: all of it.
    WriteAt { buffer: *const u8, len: usize, offset: u64 },
    /// From a place in a file into slices; may be short.
    ReadVectoredAt { slices: *mut Slice, count: usize, offset: u64 },
    /// To a place in a file from slices: all of it.
    WriteVectoredAt { slices: *mut Slice, count: usize, offset: u64 },
    /// Down to the disk.
    Sync { data_only: bool },
    /// Cut off or fill with zeros.
    SetSize { size: u64 },
    /// What takes a path, or fills in more than a number.
    File { call: *mut FileCall },
    /// Until a foreign descriptor can be read or written.
    Ready { readiness: Readiness },
    /// What only one system has.
    Os(crate::sys::OsRequest),
}

// SAFETY: the pointers lead into the operation, which is `Send`; whoever holds the flight uses them alone.
unsafe impl std::marker::Send for Request {}

/// One piece of memory of a vectored operation, as the system wants it.
#[doc(hidden)]
pub type Slice = crate::sys::Slice;
