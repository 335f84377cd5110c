//! Nothing to be set: how exact a wait is depends on the timer.

use std::io;

pub(crate) fn be_punctual() -> io::Result<()> {
    Ok(())
}
