//! Windows, from version 10 on, 64 bits.

pub(crate) mod affinity;
pub(crate) mod forks;
pub(crate) mod limits;
pub(crate) mod memory;
pub(crate) mod peer;
pub(crate) mod signals;
pub(crate) mod timing;
pub(crate) mod topology;

use std::io;

use windows_sys::core::BOOL;

// Masks of processor groups have 64 bits, and records the sizes that `crate::topology::records` reads.
const _: () = assert!(size_of::<usize>() == 8, "ostia-os knows Windows with 64 bits only");

/// The outcome of a call that returns 0 when it fails.
fn outcome(result: BOOL) -> io::Result<()> {
    if result == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
