//! The topology from `/sys`, of the CPUs in the process's affinity mask.

use std::io;

use super::{affinity, read};
use crate::topology::{Source, Topology, sysfs};

pub(crate) fn detect() -> io::Result<Topology> {
    Ok(sysfs::describe(Source::Detected, &read, &affinity::allowed()?)?)
}
