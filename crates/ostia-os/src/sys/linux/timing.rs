//! Timer slack.

use std::{io, num::NonZeroU64};

pub(crate) fn be_punctual() -> io::Result<()> {
    // One nanosecond: nought would bring the default back.
    Ok(rustix::thread::set_current_timer_slack(Some(NonZeroU64::MIN))?)
}
