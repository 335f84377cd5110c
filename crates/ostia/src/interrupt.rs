//! Ctrl-C: the first ends the work cleanly, the second ends the process at once.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use ostia_hash::search::Watch;

use crate::exit::Ended;

/// Hears of Ctrl-C, and counts attempts.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt {
    pressed: Arc<AtomicBool>,
    tried: Arc<AtomicU64>,
}

impl Interrupt {
    /// Begins to listen; once in a process.
    pub(crate) fn listen() -> Result<Interrupt, Ended> {
        let interrupt = Interrupt { pressed: Arc::default(), tried: Arc::default() };
        let pressed = Arc::clone(&interrupt.pressed);
        ctrlc::set_handler(move || {
            if pressed.swap(true, Ordering::Relaxed) {
                // What is left behind is a temporary file at most; the next run removes it.
                std::process::exit(130);
            }
        })
        .map_err(|error| Ended::failed(format_args!("cannot listen for Ctrl-C: {error}")))?;
        Ok(interrupt)
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
