//! Resource limits, and the control groups' CPU quota.

use std::{io, num::NonZero};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::read;
use crate::limits::{Limit, cgroup};

pub(crate) fn descriptors() -> io::Result<Limit> {
    Ok(limit(getrlimit(Resource::Nofile)))
}

pub(crate) fn raise_descriptors() -> io::Result<Limit> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    }
    descriptors()
}

pub(crate) fn locked_memory() -> io::Result<Limit> {
    Ok(limit(getrlimit(Resource::Memlock)))
}

/// Groups know no number of CPUs: the quota is in time already.
pub(crate) fn cpu_quota(_allowed: NonZero<usize>) -> Option<f64> {
    cgroup::quota(&read)
}

fn limit(limit: Rlimit) -> Limit {
    Limit { current: limit.current, maximum: limit.maximum }
}
