//! What an error means for the one who got it.

use std::io;

use crate::sys;

/// What to do about an error of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The system lacked something for the moment: the same again, a little later, may work.
    Transient,
    /// The other end is gone, or never was there. This connection is over; nothing else is.
    PeerGone,
    /// It ended because its end was asked for.
    Cancelled,
    /// The same again would fail again.
    Fatal,
}

impl Class {
    /// The class of an error. One that has no code of the system, such as an [`io::ErrorKind`] alone, is `Fatal`.
    pub fn of(error: &io::Error) -> Class {
        error.raw_os_error().map_or(Class::Fatal, sys::error::class)
    }
}
