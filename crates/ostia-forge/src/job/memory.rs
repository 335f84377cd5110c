//! How much memory sets may take together.

use std::sync::Arc;

use ostia_hash::table::Foreign;
use ostia_rt::sync::{OwnedPermit, Semaphore};

use super::{account::Due, keeper::Ended, window::Waiting};
use crate::{
    row::Row,
    set::{SetError, Times, languages},
    spec::Spec,
};

/// What a set takes at its height for each byte of its file, without its sources: words, graph, table.
const TIMES: u64 = 24;
/// The same for the text of each language.
const TIMES_SOURCE: u64 = 12;
/// The same for keys that are kept.
const TIMES_KEYS: u64 = 16;
/// What a set takes whatever its size.
const EACH: u64 = 64 << 10;
/// The unit in which memory is shared out.
const UNIT: u64 = 1 << 10;

/// A budget of bytes. What a set takes is estimated from the length of its file and from what is asked for.
pub(super) struct Memory {
    units: Arc<Semaphore>,
    bytes: u64,
    times: u64,
}

impl Memory {
    pub(super) fn new(bytes: u64, spec: &Spec) -> Memory {
        let units = usize::try_from(bytes / UNIT).unwrap_or(usize::MAX).max(1);
        let sources = languages(spec).count() as u64 * TIMES_SOURCE;
        // Self-tests have the keys once more.
        let sources = if spec.tests { sources * 2 } else { sources };
        let keys = if spec.options.foreign == Foreign::Exact { TIMES_KEYS } else { 0 };
        Memory { units: Arc::new(Semaphore::new(units)), bytes, times: TIMES + sources + keys }
    }

    /// How many bytes of files may travel together, if more than `most` are not wanted: what they take is to fit
    /// several times.
    pub(super) fn together(&self, most: u64) -> u64 {
        most.min(self.bytes / self.times / 4)
    }

    /// Waits for what sets take together. An error if they take more than there is: how much.
    pub(super) async fn take(&self, sets: &[Waiting]) -> Result<OwnedPermit, u64> {
        let bytes: u64 = sets.iter().map(|set| set.bytes).sum();
        let needs = (EACH * sets.len() as u64).saturating_add(bytes.saturating_mul(self.times));
        let units = usize::try_from(needs / UNIT).unwrap_or(usize::MAX);
        match Arc::clone(&self.units).acquire_many_owned(units).await {
            Ok(permit) => Ok(permit),
            // Several small ones may take turns with all others, as long as each fits by itself.
            Err(_) if sets.len() > 1 && self.fits_each(sets) => {
                let all = Arc::clone(&self.units).acquire_many_owned(self.units.total()).await;
                all.map_err(|_| needs)
            }
            Err(_) => Err(needs),
        }
    }

    fn fits_each(&self, sets: &[Waiting]) -> bool {
        sets.iter().all(|set| EACH + set.bytes.saturating_mul(self.times) <= self.bytes)
    }

    /// The end of a set that takes more than there is.
    pub(super) fn refuse(&self, set: Waiting, needs: u64) -> (Due, Ended) {
        let path = set.due.path().to_owned();
        let error = SetError::Memory { path, needs, budget: self.bytes };
        let row = Row::failed(set.due.path(), &error, Times::default());
        (set.due, Ended::row(row))
    }
}
