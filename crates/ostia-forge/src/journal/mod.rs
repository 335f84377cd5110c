//! The journal of an output folder: what was made of each set, and what came out.
//!
//! One SQLite file in the folder, [`FILE`], with one writer at a time, who has the folder's
//! [lock](crate::lock). A run records its rows in
//! batches, each a transaction of its own; so a process that is killed leaves whole batches. The next run asks what
//! is [known](Journal::known_of) of its sets and passes over those whose input, options and outputs are as recorded.
//! A [`Reader`] may look at any time, also while a run writes. `docs/journal.md` describes the tables.
//!
//! | while | the file | beside it |
//! |---|---|---|
//! | a run writes | the batches up to the last checkpoint | `-wal`, the later ones, and `-shm`, where they are |
//! | a run was killed | the same | the same; whoever opens it next sees every whole batch |
//! | nobody writes | everything | nothing |
//!
//! Where the file system has no shared memory for the middle column, SQLite's rollback journal is used instead, and
//! nothing else differs.

mod error;
mod path;
mod read;
mod schema;
mod write;

use crate::{
    digest::Digest,
    row::{Outcome, Row},
};

pub use error::{JournalError, Trouble};
pub use read::{Entries, Reader};
pub use write::Journal;

/// The journal's name in the output folder.
pub const FILE: &str = ".ostia-journal.sqlite";

/// A file that came out of a set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutputFile {
    /// Its name, seen from the output folder.
    pub name: String,
    /// Its length in bytes.
    pub len: u64,
    /// The digest of its bytes.
    pub digest: Digest,
}

/// A set's row, and what tells whether it would come out the same again.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// The row. Its files are not recorded but [`outputs`](Entry::outputs) are; a reader makes one of the other.
    pub row: Row,
    /// The digest of the input, when it could be read.
    pub content: Option<Digest>,
    /// The digest of all that was asked for.
    pub options: Digest,
    /// The files that were stored.
    pub outputs: Vec<OutputFile>,
}

/// What an earlier run left of a set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Known {
    /// What became of it.
    pub outcome: Outcome,
    /// The identifier its outputs are named after, when there is a table.
    pub name: Option<String>,
    /// How many keys the table has.
    pub keys: Option<u64>,
    /// The digest of its input, when it could be read.
    pub content: Option<Digest>,
    /// The digest of what was asked for.
    pub options: Digest,
    /// The files that were stored.
    pub outputs: Vec<OutputFile>,
}

/// What is recorded of a run as it begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunInfo {
    /// What was asked for, as JSON.
    pub job: String,
    /// The version of ostia.
    pub version: String,
    /// Threads.
    pub threads: u32,
    /// Nodes.
    pub nodes: u32,
}

/// How many sets of a run ended how.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// All that were found.
    pub found: u64,
    /// Those that were made.
    pub done: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that somebody ended.
    pub stopped: u64,
    /// Those that were passed over, as they were made before.
    pub skipped: u64,
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// It has not, or it was killed and nobody has written since.
    Running,
    /// Every set was made or passed over.
    Done,
    /// Some sets failed, or the run itself did.
    Failed,
    /// Somebody ended it, or it was killed.
    Interrupted,
}

impl How {
    const ALL: [How; 4] = [How::Running, How::Done, How::Failed, How::Interrupted];

    /// The name in the journal.
    pub fn name(self) -> &'static str {
        match self {
            How::Running => "running",
            How::Done => "done",
            How::Failed => "failed",
            How::Interrupted => "interrupted",
        }
    }

    fn from_name(name: &str) -> Option<How> {
        How::ALL.into_iter().find(|how| how.name() == name)
    }
}

/// The number of a run in its journal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RunId(pub(crate) i64);

/// A run, as it was recorded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Run {
    /// Its number: later runs have higher ones.
    pub id: RunId,
    /// When it began, in milliseconds since 1970.
    pub begun_ms: u64,
    /// When it ended; `None` for one that was killed.
    pub ended_ms: Option<u64>,
    /// What was known at its beginning.
    pub info: RunInfo,
    /// How it ended.
    pub how: How,
    /// What it came to; all 0 until it has ended.
    pub counts: Counts,
}

/// An entry, and the run that recorded it.
#[derive(Clone, PartialEq, Debug)]
pub struct Recorded {
    /// The run.
    pub run: RunId,
    /// What it recorded. The paths of the row's files begin with the folder that was opened.
    pub entry: Entry,
}
