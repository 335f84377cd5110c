//! Why a job could not be done as a whole.

use std::{fmt, io, path::PathBuf};

use ostia_rt::JoinError;

use super::batch::said;
use crate::{
    find::{Sources, WalkError},
    input::ReadError,
    journal::JournalError,
    lock::LockError,
    store::StoreError,
};

/// Why a job could not be done as a whole. What is wrong with a set is told in its row.
#[derive(Debug)]
#[non_exhaustive]
pub enum JobError {
    /// The sets cannot be looked for.
    Walk(WalkError),
    /// There is no set.
    NoSets(Sources),
    /// The node that is asked for is not there.
    NoNode {
        /// Its number.
        node: u32,
        /// Those that are.
        nodes: Vec<u32>,
    },
    /// The file with the values.
    Values(ReadError),
    /// The folder for the outputs cannot be made.
    Out {
        /// The folder.
        dir: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// Another run is at work in the folder for the outputs.
    Lock(LockError),
    /// The journal.
    Journal(JournalError),
    /// A file for all tables, or what an earlier run left behind.
    Store(StoreError),
    /// A file that is to name all tables is there, and is none of ours.
    Foreign(PathBuf),
    /// Part of the job was ended with the runtime, or panicked: then what it said.
    Lost(Option<String>),
}

impl JobError {
    pub(super) fn lost(error: JoinError) -> JobError {
        JobError::Lost(error.into_panic().map(|panic| said(&*panic)))
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JobError::Walk(error) => error.fmt(f),
            JobError::NoSets(sources) => write!(
                f,
                "{sources}: there are no key sets here; sets are files named *.keys, *.keys64, *.u64, *.txt, *.hex, \
                 *.csv, *.json, *.strings or *.lines (--recursive looks into folders inside it)"
            ),
            JobError::NoNode { node, nodes } => {
                let nodes: Vec<String> = nodes.iter().map(u32::to_string).collect();
                write!(f, "there is no node {node}; the nodes are {}", nodes.join(", "))
            }
            JobError::Values(error) => error.fmt(f),
            JobError::Out { dir, why } => write!(f, "{}: the folder cannot be made: {why}", dir.display()),
            JobError::Lock(error) => error.fmt(f),
            JobError::Journal(error) => error.fmt(f),
            JobError::Store(error) => error.fmt(f),
            JobError::Foreign(path) => write!(
                f,
                "{}: is to name all tables, and is there already with other content than ours; move it, or choose \
                 another --out",
                path.display()
            ),
            JobError::Lost(None) => write!(f, "the job was ended with its runtime"),
            JobError::Lost(Some(what)) => {
                write!(f, "the job panicked, which is a defect of Ostia: {what}")
            }
        }
    }
}

impl std::error::Error for JobError {}
