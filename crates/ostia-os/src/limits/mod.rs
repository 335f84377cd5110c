//! What the process may have: descriptors, locked memory, CPU time.

pub mod cgroup;

use std::{fmt, io, num::NonZero};

use crate::sys;

/// A limit: what holds now, and how far the process may raise it by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// What holds. `None` is no limit.
    pub current: Option<u64>,
    /// How far it may be raised. `None` is as far as one likes.
    pub maximum: Option<u64>,
}

impl Limit {
    /// No limit.
    pub const NONE: Limit = Limit { current: None, maximum: None };
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tell = |limit: Option<u64>| match limit {
            Some(limit) => write!(f, "{limit}"),
            None => write!(f, "no limit"),
        };
        tell(self.current)?;
        if self.maximum != self.current {
            write!(f, " (may be raised to ")?;
            match self.maximum {
                Some(limit) => write!(f, "{limit})")?,
                None => write!(f, "any number)")?,
            }
        }
        Ok(())
    }
}

/// How many descriptors (files, sockets) the process may have open.
///
/// # Platforms
///
/// Windows has no such limit but memory: [`Limit::NONE`].
///
/// # Errors
///
/// The system's.
pub fn descriptors() -> io::Result<Limit> {
    sys::limits::descriptors()
}

/// Raises the limit on descriptors as far as the process may, and says what holds then.
///
/// A program that calls it must not use `select`, which breaks on numbers from 1,024 on. What it starts inherits
/// the limit.
///
/// # Errors
///
/// The system's. The limit is then what it was.
pub fn raise_descriptors() -> io::Result<Limit> {
    sys::limits::raise_descriptors()
}

/// How many bytes the process may keep from being paged out. Registered buffers of io_uring count against it.
///
/// # Platforms
///
/// On Linux, `RLIMIT_MEMLOCK`; a process with `CAP_IPC_LOCK` is not bound by it. On Windows the process's working
/// set: what may be locked is a little less than its minimum, and the process may raise both.
///
/// # Errors
///
/// The system's.
pub fn locked_memory() -> io::Result<Limit> {
    sys::limits::locked_memory()
}

/// The CPUs a process may use, and how much of their time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cpus {
    /// How many CPUs its threads may run on.
    pub allowed: NonZero<usize>,
    /// How many CPUs' worth of time it gets, where a container or a job says so: 1.5 is one and a half.
    pub quota: Option<f64>,
}

impl Cpus {
    /// How many threads can be running at a time without being held up: the smaller of both, and the quota rounded
    /// up, at least 1.
    pub fn parallelism(&self) -> NonZero<usize> {
        // `as` saturates, and turns what is no number into 0.
        let granted = self.quota.and_then(|quota| NonZero::new(quota.ceil() as usize));
        match (granted, self.quota) {
            (Some(granted), _) => granted.min(self.allowed),
            (None, Some(_)) => NonZero::<usize>::MIN,
            (None, None) => self.allowed,
        }
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} CPUs", self.allowed)?;
        match self.quota {
            Some(quota) => write!(f, ", time of {quota:.2}"),
            None => Ok(()),
        }
    }
}

/// The CPUs this process may use, and how much of their time.
///
/// # Platforms
///
/// On Linux the quota is the smallest of the process's control groups and those above it, version 1 and 2; see
/// [`cgroup`]. On Windows it is the hard cap of the job that the process belongs to.
///
/// # Errors
///
/// When the system does not tell which CPUs are allowed.
pub fn cpus() -> io::Result<Cpus> {
    let allowed = sys::affinity::allowed()?;
    let allowed = NonZero::new(allowed.len()).ok_or_else(|| io::Error::other("no CPU is allowed"))?;
    Ok(Cpus { allowed, quota: sys::limits::cpu_quota(allowed) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parallelism_is_the_smaller_of_cpus_and_time() {
        let check = |allowed, quota, expected| {
            let cpus = Cpus { allowed: NonZero::new(allowed).unwrap(), quota };
            assert_eq!(cpus.parallelism().get(), expected, "{cpus:?}");
        };
        check(8, None, 8);
        check(8, Some(2.0), 2);
        check(8, Some(2.01), 3);
        check(8, Some(0.1), 1);
        check(8, Some(0.0), 1);
        check(2, Some(64.0), 2);
        check(2, Some(f64::INFINITY), 2);
    }

    #[test]
    fn limits_are_told_in_words() {
        assert_eq!(Limit::NONE.to_string(), "no limit");
        let raisable = Limit { current: Some(1024), maximum: Some(4096) };
        assert_eq!(raisable.to_string(), "1024 (may be raised to 4096)");
        assert_eq!(Limit { current: Some(8), maximum: None }.to_string(), "8 (may be raised to any number)");
    }
}
