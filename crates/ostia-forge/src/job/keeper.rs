//! Rows on their way out: into the journal, many at a time, and then to whoever listens.

use ostia_rt::sync::mpsc;

use super::{JobError, events::Event, records::Records};
use crate::{digest::Digest, journal::OutputFile, row::Row};

/// Batches of rows that may wait for the journal.
pub(crate) const WAITING: usize = 64;
/// Rows of one transaction, about.
const TOGETHER: usize = 512;

/// A set that has ended.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Ended {
    pub(crate) row: Row,
    /// The identifier of its table, if there is one.
    pub(crate) name: Option<String>,
    /// The keys of its table.
    pub(crate) keys: u64,
    /// The digest of its input, if that was read.
    pub(crate) content: Option<Digest>,
    /// The files that are in place.
    pub(crate) outputs: Vec<OutputFile>,
}

impl Ended {
    pub(crate) fn row(row: Row) -> Ended {
        Ended { row, name: None, keys: 0, content: None, outputs: Vec::new() }
    }
}

/// Takes rows as long as there are senders; gives back the first error, after which nothing more is recorded.
pub(super) async fn keep(
    records: Option<Records>,
    mut ended: mpsc::Receiver<Vec<Ended>>,
    events: mpsc::Sender<Event>,
    fails: impl Fn(),
) -> Result<(), JobError> {
    let mut kept = Ok(());
    while let Some(mut batch) = ended.recv().await {
        while batch.len() < TOGETHER
            && let Ok(more) = ended.try_recv()
        {
            batch.extend(more);
        }
        let rows = match &records {
            Some(records) if kept.is_ok() => {
                let (rows, recorded) = records.record(batch).await;
                if recorded.is_err() {
                    // What is not recorded is made again by the next run.
                    fails();
                    kept = recorded;
                }
                rows
            }
            _ => batch.into_iter().map(|ended| ended.row).collect(),
        };
        // Nobody may listen any more, which is no reason to end.
        let _ = events.send(Event::Ended(rows)).await;
    }
    kept
}
