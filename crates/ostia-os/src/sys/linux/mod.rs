//! Linux: sysfs and procfs, and the system calls that rustix wraps; libc for the few that it does not.

pub(crate) mod affinity;
pub(crate) mod forks;
pub(crate) mod limits;
pub(crate) mod memory;
pub(crate) mod peer;
pub(crate) mod signals;
pub(crate) mod timing;
pub(crate) mod topology;

/// A file of `/proc` or `/sys`, when it is there.
fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}
