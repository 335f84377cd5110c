//! The CPUs that a thread may run on.
//!
//! What is refused here is seldom fatal: a thread that could not be bound works, and is only slower now and then.
//! Callers will often tell it as a warning and go on.

use std::{io, marker::PhantomData};

use crate::{CpuSet, sys};

/// The CPUs that this process's threads may be bound to.
///
/// # Platforms
///
/// On Linux it is the affinity mask of the process's main thread, so ask before that is bound. On Windows, all
/// active CPUs of all processor groups, unless the process or its job is confined to some of them.
///
/// # Errors
///
/// The system's.
pub fn allowed() -> io::Result<CpuSet> {
    sys::affinity::allowed()
}

/// The CPUs that the calling thread may run on.
///
/// # Platforms
///
/// On Windows those of the thread's (primary) processor group.
///
/// # Errors
///
/// The system's.
pub fn current() -> io::Result<CpuSet> {
    sys::affinity::current()
}

/// Splits a set into what one thread can be bound to at a time.
///
/// # Platforms
///
/// On Linux that is the whole set. On Windows a thread is bound within one processor group, so a node with more than
/// 64 CPUs has several parts, and its threads are dealt out to them.
pub fn parts(cpus: &CpuSet) -> Vec<CpuSet> {
    sys::affinity::parts(cpus)
}

/// Binds the calling thread to a set of CPUs, until what is returned is dropped.
///
/// CPUs that the thread may not use are left out; [`Pinned::cpus`] says which remained. Threads that it starts
/// inherit the binding on Linux.
///
/// ```
/// use ostia_os::{CpuSet, affinity};
///
/// let one: CpuSet = affinity::current()?.first().into_iter().collect();
/// let pinned = affinity::pin(&one)?;
/// assert_eq!(*pinned.cpus(), one);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// `InvalidInput` when none of the CPUs may be used, or, on Windows, when they are in several processor groups (see
/// [`parts`]); or the system's. The thread is then bound as it was.
pub fn pin(cpus: &CpuSet) -> io::Result<Pinned> {
    if cpus.is_empty() {
        return Err(refused("a thread cannot be bound to no CPU"));
    }
    let previous = sys::affinity::bind(cpus).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput if error.raw_os_error().is_some() => {
            refused(&format!("none of the CPUs {cpus} may be used by this thread"))
        }
        _ => error,
    })?;
    let mut pinned = Pinned { cpus: CpuSet::new(), previous: Some(previous), thread: PhantomData };
    // An error here undoes the binding, since `pinned` is dropped.
    pinned.cpus = current()?;
    Ok(pinned)
}

/// A thread that is bound to CPUs. Dropping it binds the thread as it was before.
///
/// ```compile_fail
/// // It belongs to its thread.
/// let pinned = ostia_os::affinity::pin(&"0".parse().unwrap()).unwrap();
/// std::thread::spawn(move || drop(pinned));
/// ```
#[derive(Debug)]
#[must_use = "the thread is bound until this is dropped; call `keep` to bind it for good"]
pub struct Pinned {
    cpus: CpuSet,
    previous: Option<sys::affinity::Previous>,
    /// Not Send: it must be dropped on the thread it is about.
    thread: PhantomData<*const ()>,
}

impl Pinned {
    /// The CPUs that the thread may run on now, as the system says.
    pub fn cpus(&self) -> &CpuSet {
        &self.cpus
    }

    /// Leaves the thread bound.
    pub fn keep(mut self) {
        self.previous = None;
    }

    /// Binds the thread as it was before, and says whether that worked.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn undo(mut self) -> io::Result<()> {
        self.previous.take().map_or(Ok(()), |previous| sys::affinity::restore(&previous))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if let Some(previous) = self.previous.take() {
            // Whoever wants to know calls `undo`.
            let _ = sys::affinity::restore(&previous);
        }
    }
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}
