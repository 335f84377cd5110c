//! What tasks use to wait for each other.
//!
//! All of it works under any executor, and between any threads. Those who wait are served in the order in which they
//! came; each wait may be dropped at any time, and each says under *Cancel safety* what becomes of what it was given.
//! Nothing grows without bound: a channel has a capacity, and a line is as long as there are futures that wait.
//!
//! A future that has ended panics if it is polled again. Wakers are woken where no lock is held; if one panics, all the
//! others are woken first, and the panic then comes out of the call that woke it.

mod line;
pub mod mpsc;
mod mutex;
mod notify;
pub mod oneshot;
mod semaphore;
mod wait;
pub mod watch;

#[cfg(all(test, not(loom)))]
pub(crate) mod hand;

pub(crate) use self::{
    line::{Line, Wakes},
    wait::{Wait, Waiting},
};
pub use self::{
    mutex::{Guard, Locking, Mutex, OwnedGuard},
    notify::{Notified, Notify},
    semaphore::{Acquire, AcquireError, OwnedPermit, Permit, Semaphore, TryAcquireError},
};
