//! Where a job's sets come from: plain data.

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::spec::serial;

/// Where a job's sets come from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Sources {
    /// What is named like a set in a folder.
    Folder {
        /// The folder.
        #[serde(with = "serial::path")]
        dir: PathBuf,
        /// True when folders inside it are searched too.
        #[serde(default)]
        recursive: bool,
        /// Patterns of which a file must match one; none takes every file.
        #[serde(default)]
        include: Vec<String>,
        /// Patterns of files and folders that are passed over, whatever `include` says.
        #[serde(default)]
        exclude: Vec<String>,
    },
    /// These files, in this order.
    List(#[serde(with = "serial::paths")] Vec<PathBuf>),
    /// One file.
    File(#[serde(with = "serial::path")] PathBuf),
}

impl fmt::Display for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sources::Folder { dir: path, .. } | Sources::File(path) => path.display().fmt(f),
            Sources::List(_) => f.write_str("the list of files"),
        }
    }
}

impl Default for Sources {
    /// The folder that the program stands in, without those inside it.
    fn default() -> Self {
        Sources::Folder { dir: ".".into(), recursive: false, include: Vec::new(), exclude: Vec::new() }
    }
}
