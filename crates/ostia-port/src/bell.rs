//! The bell of one berth: it ends that berth's wait, and no other's.

use std::{fmt, sync::Arc};

use crate::{
    quay::Quay,
    shared::{self, Mark},
    sys,
};

/// Ends the wait of one particular berth. Cheap to clone; may be rung from any thread.
///
/// Whoever leaves something for a thread, in memory that both know, rings afterwards: either the thread finds it before
/// it waits, or its wait returns. A ring that comes while the berth does not wait ends its next wait at once. Rings are
/// not counted: however many there are until a wait returns, they are one. Only a sleeper costs a system call.
///
/// A bell may outlive its berth; then it does nothing.
#[derive(Clone)]
pub struct Bell(Arc<Inner>);

/// What a berth and its bells share.
struct Inner {
    /// Somebody rang, and no wait has returned since. Of a closed berth: for good.
    rung: Mark,
    quay: &'static Quay,
    /// Where several berths share a quay: whether this one sleeps, and how it alone is woken.
    own: Option<(shared::Bell, sys::Caller)>,
}

impl Bell {
    /// Of the berth at this quay; with a caller where others wait there, too.
    pub(crate) fn new(quay: &'static Quay, caller: Option<sys::Caller>) -> Bell {
        let own = caller.map(|caller| (shared::Bell::new(), caller));
        Bell(Arc::new(Inner { rung: Mark::new(), quay, own }))
    }

    /// Ends the berth's present wait, or its next one.
    pub fn ring(&self) {
        let inner = &*self.0;
        if !inner.rung.set() {
            return;
        }
        let woken = match &inner.own {
            None => inner.quay.ring(),
            Some((bell, caller)) => bell.ring(false, || caller.call()),
        };
        if let Err(error) = woken {
            // The wait returns when it wakes for whatever else.
            inner.rung.not_heard();
            tracing::warn!(%error, "a berth could not be woken");
        }
    }

    /// Whether a wait is to return. Asked after `lie_down`, before the berth sleeps.
    #[inline]
    pub(crate) fn is_rung(&self) -> bool {
        self.0.rung.is_set()
    }

    /// A wait returns, and says whether somebody rang. What was left before a ring is seen from here on.
    #[inline]
    pub(crate) fn take_down(&self) -> bool {
        self.0.rung.take_down()
    }

    /// From here on a ring wakes the thread; it must now look whether somebody rang before.
    pub(crate) fn lie_down(&self) {
        if let Some((bell, _)) = &self.0.own {
            bell.lie_down();
        }
    }

    /// The thread is awake, by whatever.
    pub(crate) fn get_up(&self) {
        if let Some((bell, _)) = &self.0.own {
            bell.get_up();
        }
    }

    /// The berth is closed: whoever rings from here on finds that somebody else has.
    pub(crate) fn silence(&self) {
        self.0.rung.set();
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bell").field("rung", &self.is_rung()).finish_non_exhaustive()
    }
}
