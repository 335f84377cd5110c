//! How much memory sets may take together.

use std::sync::Arc;

use ostia_rt::sync::{OwnedPermit, Semaphore};

use super::{account::Due, keeper::Ended, window::Waiting};
use crate::{
    row::Row,
    set::{SetError, Times},
};

/// What a set takes at its height for each byte of its file: words, graph, table, and the text of its outputs. Packed
/// keys of four bytes with C and Rust take about so much; text and wider keys less.
const TIMES: u64 = 48;
/// What a set takes whatever its size.
const EACH: u64 = 64 << 10;
/// The unit in which memory is shared out.
const UNIT: u64 = 1 << 10;

/// A budget of bytes. What a set takes is estimated from the length of its file.
pub(super) struct Memory {
    units: Arc<Semaphore>,
    bytes: u64,
}

impl Memory {
    pub(super) fn new(bytes: u64) -> Memory {
        let units = usize::try_from(bytes / UNIT).unwrap_or(usize::MAX).max(1);
        Memory { units: Arc::new(Semaphore::new(units)), bytes }
    }

    /// How many bytes of files may travel together, if more than `most` are not wanted: what they take is to fit
    /// several times.
    pub(super) fn together(&self, most: u64) -> u64 {
        most.min(self.bytes / TIMES / 4)
    }

    /// Waits for what sets in files of so many bytes take together. An error if they take more than there is: how
    /// much.
    pub(super) async fn take(&self, bytes: u64) -> Result<OwnedPermit, u64> {
        let needs = EACH + bytes.saturating_mul(TIMES);
        let units = usize::try_from(needs / UNIT).unwrap_or(usize::MAX);
        Arc::clone(&self.units).acquire_many_owned(units).await.map_err(|_| needs)
    }

    /// The end of a set that takes more than there is.
    pub(super) fn refuse(&self, set: Waiting, needs: u64) -> (Due, Ended) {
        let path = set.due.path().to_owned();
        let error = SetError::Memory { path, needs, budget: self.bytes };
        let row = Row::failed(set.due.path(), &error, Times::default());
        (set.due, Ended::row(row))
    }
}
