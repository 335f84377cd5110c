//! A bell that wakes a sleeper and costs nothing while nobody sleeps.

use std::io;

use crate::loom::{AtomicU32, Ordering, fence};

const AWAKE: u32 = 0;
const ASLEEP: u32 = 1;
const RUNG: u32 = 2;

/// Nobody rang since the mark was taken down.
const CLEAR: u32 = 0;
const SET: u32 = 1;
/// Somebody rang, and could not wake the sleeper.
const NOT_HEARD: u32 = 2;

/// That somebody rang for one thread: set by many, taken down by that one.
#[derive(Debug)]
pub(crate) struct Mark(AtomicU32);

impl Mark {
    pub(crate) fn new() -> Mark {
        Mark(AtomicU32::new(CLEAR))
    }

    /// True if the caller is to wake the thread; otherwise another does.
    pub(crate) fn set(&self) -> bool {
        // A change in either case: who takes the mark down sees also what was left by those who found it set.
        self.0.swap(SET, Ordering::AcqRel) != SET
    }

    /// The thread could not be woken: the next to set the mark tries again.
    pub(crate) fn not_heard(&self) {
        let _ = self.0.compare_exchange(SET, NOT_HEARD, Ordering::AcqRel, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed) != CLEAR
    }

    /// True if it was set. What was left before is seen from here on.
    #[inline]
    pub(crate) fn take_down(&self) -> bool {
        self.is_set() && self.0.swap(CLEAR, Ordering::AcqRel) != CLEAR
    }
}

/// Who goes to sleep says so first and looks again at everything that could have been left; who leaves something looks
/// at the bell afterwards. One of the two sees the other.
#[derive(Debug)]
pub(crate) struct Bell(AtomicU32);

impl Bell {
    pub(crate) fn new() -> Bell {
        Bell(AtomicU32::new(AWAKE))
    }

    /// Whether somebody sleeps whom `ring` would wake.
    pub(crate) fn sleeps(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) == ASLEEP
    }

    /// Calls `wake` if somebody sleeps and nobody else has rung. What it is for was left before.
    ///
    /// A latch is rung once until it is taken down, whoever sleeps.
    ///
    /// # Errors
    ///
    /// Those of `wake`; then the bell is as it was, and the next ring tries again.
    pub(crate) fn ring(&self, latch: bool, wake: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        // Pairs with the fence in `lie_down`: either the sleeper sees what was left, or we see the sleeper.
        fence(Ordering::SeqCst);
        let before = if latch { AWAKE } else { ASLEEP };
        if self.0.load(Ordering::Relaxed) != before
            || self.0.compare_exchange(before, RUNG, Ordering::SeqCst, Ordering::Relaxed).is_err()
        {
            return Ok(());
        }
        wake().inspect_err(|_| {
            let _ = self.0.compare_exchange(RUNG, before, Ordering::SeqCst, Ordering::Relaxed);
        })
    }

    /// From here on the bell wakes this thread. It must now look once more at what may have been left.
    pub(crate) fn lie_down(&self) {
        self.0.store(ASLEEP, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The thread is awake, by whatever; of a latch: the wake has been received, and the next ring sends another.
    pub(crate) fn get_up(&self) {
        self.0.store(AWAKE, Ordering::SeqCst);
    }
}
