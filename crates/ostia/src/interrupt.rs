//! Ctrl-C: the first ends the work cleanly, the second ends the process at once. While nothing is at work yet
//! that looks at it, such as a read of the standard input, the first does too.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use ostia_hash::search::Watch;

use crate::exit::{self, Ended};

/// Hears of Ctrl-C, and counts attempts.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt {
    /// True once somebody looks at `pressed` every few milliseconds.
    at_work: Arc<AtomicBool>,
    pressed: Arc<AtomicBool>,
    tried: Arc<AtomicU64>,
}

impl Interrupt {
    /// Begins to listen; once in a process.
    pub(crate) fn listen() -> Result<Interrupt, Ended> {
        let interrupt = Interrupt { at_work: Arc::default(), pressed: Arc::default(), tried: Arc::default() };
        let (at_work, pressed) = (Arc::clone(&interrupt.at_work), Arc::clone(&interrupt.pressed));
        ctrlc::set_handler(move || {
            if pressed.swap(true, Ordering::Relaxed) || !at_work.load(Ordering::Relaxed) {
                // What is left behind is a temporary file at most; the next run removes it.
                exit::now(&Ended::Interrupted);
            }
        })
        .map_err(|error| Ended::failed(format_args!("cannot listen for Ctrl-C: {error}")))?;
        Ok(interrupt)
    }

    /// From here on the work itself looks for Ctrl-C.
    pub(crate) fn work_begins(&self) {
        self.at_work.store(true, Ordering::Relaxed);
    }

    /// Attempts so far.
    pub(crate) fn tried(&self) -> u64 {
        self.tried.load(Ordering::Relaxed)
    }
}

impl Watch for Interrupt {
    fn stopped(&self) -> bool {
        self.pressed.load(Ordering::Relaxed)
    }

    fn tried(&self, attempts: u64) {
        self.tried.fetch_add(attempts, Ordering::Relaxed);
    }
}
