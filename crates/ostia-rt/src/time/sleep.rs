//! A future that ends at a certain time.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use super::{
    after,
    timers::{Expired, Key},
};
use crate::{
    context,
    loom::lock,
    node::{self, Node},
};

/// Ends after `delay`, counted from this call by the runtime's clock; never earlier.
///
/// # Panics
///
/// On a thread that is neither a worker nor inside `block_on`: there is no runtime whose clock could be asked.
#[track_caller]
pub fn sleep(delay: Duration) -> Sleep {
    let node = super::node();
    let deadline = after(node.now(), delay);
    Sleep { deadline, node, waits: None, ended: false }
}

/// Ends at `deadline` by the [runtime's clock](crate::time::now), never earlier. One in the past ends at the next
/// turn of a worker.
///
/// # Panics
///
/// As [`sleep`].
#[track_caller]
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { deadline, node: super::node(), waits: None, ended: false }
}

/// What [`sleep`] and [`sleep_until`] give: a future that ends at its deadline.
///
/// It may be polled on any worker and any other thread, moved between them, and dropped anywhere: a timer that is
/// dropped vanishes. On an idle machine it ends some tens of microseconds late, and a busy worker comes to its timers
/// after its slice.
///
/// ```
/// use std::time::Duration;
///
/// # let runtime = ostia_rt::Runtime::builder().workers_per_node(1).build()?;
/// runtime.block_on(async {
///     let before = ostia_rt::time::now();
///     ostia_rt::time::sleep(Duration::from_millis(5)).await;
///     assert!(ostia_rt::time::now() >= before + Duration::from_millis(5));
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Cancel safety
///
/// Awaiting `&mut sleep` again goes on with the same deadline.
///
/// # Panics
///
/// A poll panics after the end of the runtime it was made in: there is nobody left who could wake the caller.
#[must_use = "futures do nothing unless they are awaited"]
pub struct Sleep {
    deadline: Instant,
    /// Where it was made: its clock is the one that the deadline is meant by. Another one, if that has lost its workers.
    node: Arc<Node>,
    /// The worker whose timer it has, and which one. Where it was polled first; it stays there.
    waits: Option<(usize, Key)>,
    /// It has given its end. Polled again, it gives it again, until it is reset.
    ended: bool,
}

impl Sleep {
    /// When it ends.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether its time has come.
    pub fn is_elapsed(&self) -> bool {
        self.clock() >= self.deadline
    }

    /// What the clock says that it goes by.
    pub(super) fn clock(&self) -> Instant {
        self.node.now()
    }

    /// Another deadline, earlier or later; one that has ended can be awaited anew.
    ///
    /// Whoever waits for it already waits on: the next end wakes it.
    pub fn reset(&mut self, deadline: Instant) {
        self.deadline = deadline;
        self.ended = false;
        let Some((seat, key)) = self.waits else { return };
        let seat = &self.node.seats[seat];
        let mut timers = lock(&seat.timers);
        match timers.reset(key, deadline) {
            // The worker may sleep until the deadline that it had.
            Ok(()) if timers.is_next(key) => {
                drop(timers);
                seat.ring();
            }
            Ok(()) => {}
            Err(Expired) => {
                drop(timers);
                self.waits = None;
            }
        }
    }

    /// Leaves the timer, if it is not expired.
    fn forget(&mut self) {
        if let Some((seat, key)) = self.waits.take() {
            let waker = lock(&self.node.seats[seat].timers).remove(key);
            // Only now, without the lock: this may be the last thing that knows of a task, which may own timers.
            drop(waker);
        }
    }

    /// A timer on the worker of the moment, or on any other of the node; if the node has lost its workers, on another
    /// node, which has the same clock.
    #[track_caller]
    fn begin(&mut self, waker: &Waker) {
        let mut waker = match insert(&self.node, self.deadline, waker.clone()) {
            Ok(place) => {
                self.waits = Some(place);
                return;
            }
            Err(back) => back,
        };
        let runtime = self.node.runtime.get().and_then(Weak::upgrade);
        for node in runtime.iter().flat_map(|runtime| &runtime.nodes) {
            match insert(node, self.deadline, waker) {
                Ok(place) => {
                    self.node = Arc::clone(node);
                    self.waits = Some(place);
                    return;
                }
                Err(back) => waker = back,
            }
        }
        panic!("a timer is waited for after the end of its runtime");
    }
}

/// A timer on a worker of the node: which worker's, and which one. The waker comes back if all of them have ended.
fn insert(node: &Arc<Node>, deadline: Instant, mut waker: Waker) -> Result<(usize, Key), Waker> {
    let seats = &node.seats;
    let here =
        context::with(|here| here.filter(|here| Arc::ptr_eq(&here.node, node)).map(|here| here.seat.number));
    let first = here.unwrap_or_else(node::turn);
    for seat in (first..first + seats.len()).map(|seat| seat % seats.len()) {
        let mut timers = lock(&seats[seat].timers);
        match timers.insert(deadline, waker) {
            Ok(key) => {
                let is_next = timers.is_next(key);
                drop(timers);
                if is_next && here != Some(seat) {
                    // It may sleep for longer.
                    seats[seat].ring();
                }
                return Ok((seat, key));
            }
            // That worker has ended.
            Err(back) => waker = back,
        }
    }
    Err(waker)
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if let Some((seat, key)) = this.waits {
            let former = lock(&this.node.seats[seat].timers).set_waker(key, cx.waker());
            match former {
                Ok(former) => {
                    drop(former);
                    return Poll::Pending;
                }
                Err(Expired) => this.waits = None,
            }
            // Nearly always so: but a worker that ends lets all its timers expire, and `reset` may come in between.
            if this.is_elapsed() {
                this.ended = true;
            }
        }
        if this.ended {
            return Poll::Ready(());
        }
        this.begin(cx.waker());
        Poll::Pending
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep")
            .field("deadline", &self.deadline)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.forget();
    }
}
