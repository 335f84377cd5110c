//! Time: sleeping, ticking, and giving up in time.
//!
//! All of it goes by the runtime's clock ([`now`]): the system's monotonic clock, and in the simulation that of the
//! simulation. Nothing is ever early.

mod interval;
mod sleep;
mod timeout;
mod timers;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

pub(crate) use self::timers::{DUE_MAX, Timers};
pub use self::{
    interval::{Interval, MissedTicks, interval, interval_at},
    sleep::{Sleep, sleep, sleep_until},
    timeout::{Elapsed, Timeout, timeout, timeout_at},
};
use crate::{node::Node, runtime::Handle};

/// What the runtime's clock says.
///
/// # Panics
///
/// On a thread that is neither a worker nor inside `block_on`: there is no runtime whose clock could be asked.
#[track_caller]
pub fn now() -> Instant {
    node().now()
}

/// Where the caller is, or whose runtime it waits for.
#[track_caller]
fn node() -> Arc<Node> {
    Handle::current().some_node()
}

/// `start + delay`, or a day that nobody will see where the sum does not exist.
pub(crate) fn after(start: Instant, delay: Duration) -> Instant {
    start.checked_add(delay).unwrap_or_else(|| start + Duration::from_secs(60 * 60 * 24 * 365 * 30))
}
