//! The raw door: an entry for io_uring that the caller wrote.

use std::{convert::Infallible, fmt, io};

use io_uring::squeue;

use super::OsRequest;
use crate::op::{Op, Outcome, Request, sealed::Sealed};

/// What the kernel said of a raw entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawDone {
    /// The result; a negative one comes as an error instead.
    pub result: u32,
    /// The flags of the completion.
    pub flags: u32,
}

/// One entry for io_uring, written by the caller. It comes back, with what it was to keep alive, when the kernel
/// is done with it; like any other operation it can be cancelled and abandoned.
///
/// # Platforms
///
/// io_uring alone takes it; with epoll it ends with `EOPNOTSUPP`.
pub struct RawSqe<K> {
    entry: squeue::Entry,
    keep: K,
}

impl<K: Send + 'static> RawSqe<K> {
    /// An operation out of `entry`, whose user data is replaced, that keeps `keep` alive.
    ///
    /// # Safety
    ///
    /// - Everything the entry points to lives and stays where it is, and nobody else uses it, until the kernel is
    ///   done: it is `'static`, or `keep` owns it and does not move it when it is moved itself.
    /// - The entry has one completion, or two of which the last is a notification (`IORING_CQE_F_NOTIF`): it is
    ///   not multishot, is not linked to another entry, and does not ask to skip its completion.
    /// - It does not change the ring itself: no files or buffers of the ring are registered or removed by it.
    pub unsafe fn new(entry: squeue::Entry, keep: K) -> RawSqe<K> {
        RawSqe { entry, keep }
    }
}

impl<K> fmt::Debug for RawSqe<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawSqe").field("entry", &self.entry).finish_non_exhaustive()
    }
}

impl<K> Sealed for RawSqe<K> {}

// `Op` asks for `Send`: an entry is plain data, and `new` made the caller answer for what it points to.
impl<K: Send + 'static> Op for RawSqe<K> {
    type Out = RawDone;
    type Back = K;
    type Item = Infallible;

    fn prepare(&mut self) -> Request {
        Request::Os(OsRequest::Raw { entry: &raw const self.entry })
    }

    fn finish(self, outcome: Outcome) -> (io::Result<RawDone>, K) {
        let done = outcome.result().map(|result| RawDone { result: result as u32, flags: outcome.buffer() });
        (done, self.keep)
    }
}
