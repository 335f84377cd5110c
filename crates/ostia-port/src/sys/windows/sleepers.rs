//! The threads that wait at a port, each by itself.
//!
//! A packet wakes one thread, and nobody chooses which. That is right for work that any of them can do. For what is
//! meant for one of them (`Bell`), and while a berth closes (see `quay`), it is not: then a sleeper is woken by a call
//! queued to its thread, which ends a wait that allows such calls.

use std::{
    io,
    os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle},
    ptr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::ThreadId,
};

use windows_sys::Win32::{
    Foundation::{DUPLICATE_SAME_ACCESS, DuplicateHandle, HANDLE},
    System::Threading::{GetCurrentProcess, GetCurrentThread, QueueUserAPC},
};

#[derive(Debug, Default)]
pub(super) struct Sleepers(Mutex<Vec<Arc<Sleeper>>>);

#[derive(Debug)]
pub(super) struct Sleeper {
    id: ThreadId,
    thread: OwnedHandle,
    /// A call is queued to the thread since it last lay down: one is enough.
    called: AtomicBool,
}

impl Sleeper {
    /// From here on the thread is woken.
    pub(super) fn lie_down(&self) {
        self.called.store(false, Ordering::SeqCst);
    }

    /// Queues a call to the thread: it ends the sleep of now, or the next.
    pub(super) fn call(&self) -> io::Result<()> {
        // SAFETY: the thread is one of this process, and the function does nothing.
        if unsafe { QueueUserAPC(Some(nothing), self.thread.as_raw_handle(), 0) } == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }
}

impl Sleepers {
    /// The calling thread waits at this port from now on.
    pub(super) fn join(&self) -> io::Result<Arc<Sleeper>> {
        let mut thread: HANDLE = ptr::null_mut();
        // SAFETY: the call gives a number that means this process.
        let process = unsafe { GetCurrentProcess() };
        // SAFETY: the call gives a number that means this thread.
        let current = unsafe { GetCurrentThread() };
        // SAFETY: both numbers are good here, and the place for the handle lives across the call.
        let done = unsafe {
            DuplicateHandle(process, current, process, &raw mut thread, 0, 0, DUPLICATE_SAME_ACCESS)
        };
        if done == 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call succeeded, so the handle is ours.
        let thread = unsafe { OwnedHandle::from_raw_handle(thread) };
        let sleeper =
            Arc::new(Sleeper { id: std::thread::current().id(), thread, called: AtomicBool::new(false) });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&sleeper));
        Ok(sleeper)
    }

    pub(super) fn leave(&self, sleeper: &Arc<Sleeper>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|one| !Arc::ptr_eq(one, sleeper));
    }

    /// Wakes all of them but the calling one.
    pub(super) fn wake_all(&self) -> io::Result<()> {
        let here = std::thread::current().id();
        let mut result = Ok(());
        for sleeper in &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            if sleeper.id == here || sleeper.called.swap(true, Ordering::SeqCst) {
                continue;
            }
            if let Err(error) = sleeper.call() {
                sleeper.called.store(false, Ordering::SeqCst);
                result = Err(error);
            }
        }
        result
    }
}

/// What the queued call does: that it came is all that counts.
extern "system" fn nothing(_: usize) {}
