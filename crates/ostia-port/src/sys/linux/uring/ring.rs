//! One ring, and the one call that both hands entries over and waits.

use std::{
    io,
    os::fd::{AsRawFd, RawFd},
    ptr,
    time::Duration,
};

use io_uring::{EnterFlags, IoUring, Submitter, cqueue, squeue, types::Timespec};

use super::probe::{RingLevel, features};

/// `IORING_REGISTER_RING_FDS` and its opposite: the calling thread's own short name for its ring.
const REGISTER_RING_FDS: libc::c_uint = 20;
const UNREGISTER_RING_FDS: libc::c_uint = 21;

pub(super) struct Ring {
    ring: IoUring,
    /// What the enter call takes for the ring: its short name, or its descriptor.
    name: RawFd,
    /// The flags of every enter call.
    always: EnterFlags,
    registered: bool,
}

/// `struct io_uring_getevents_arg`
#[repr(C)]
struct GeteventsArg {
    sigmask: u64,
    sigmask_size: u32,
    min_wait_us: u32,
    timespec: u64,
}

/// `struct io_uring_rsrc_update`
#[repr(C)]
struct RingName {
    offset: u32,
    reserved: u32,
    descriptor: u64,
}

/// How an enter call went when it did not fail for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entered {
    /// As it was to.
    Well,
    /// The kernel holds back completions for which the ring has no room: take some first.
    Full,
    /// The kernel has no memory for more requests at the moment.
    Starved,
}

impl Ring {
    pub(super) fn new(entries: u32, level: RingLevel) -> io::Result<Ring> {
        let ring = build(entries, level)?;
        let mut always = EnterFlags::empty();
        if features(&ring).no_iowait {
            // A berth that waits for the next request is not waiting for a disk.
            always |= EnterFlags::NO_IOWAIT;
        }
        let mut ring = Ring { name: ring.as_raw_fd(), ring, always, registered: false };
        if level >= RingLevel::Linux6_0 {
            ring.register();
        }
        Ok(ring)
    }

    /// Saves the kernel a look at the table of descriptors in each call. If it will not, nothing is lost.
    fn register(&mut self) {
        let mut name =
            RingName { offset: u32::MAX, reserved: 0, descriptor: self.descriptor() as u64 };
        // SAFETY: the kernel reads and writes one `io_uring_rsrc_update`, which lives across the call.
        let done = unsafe {
            libc::syscall(
                libc::SYS_io_uring_register,
                self.descriptor(),
                REGISTER_RING_FDS,
                &raw mut name,
                1,
            )
        };
        if done == 1 {
            (self.name, self.registered) = (name.offset as RawFd, true);
            self.always |= EnterFlags::REGISTERED_RING;
        }
    }

    pub(super) fn descriptor(&self) -> RawFd {
        self.ring.as_raw_fd()
    }

    pub(super) fn submitter(&self) -> Submitter<'_> {
        self.ring.submitter()
    }

    pub(super) fn completions(&mut self) -> cqueue::CompletionQueue<'_> {
        self.ring.completion()
    }

    /// Whether completions are there to be read.
    #[inline]
    pub(super) fn has_completions(&mut self) -> bool {
        !self.ring.completion().is_empty()
    }

    /// Whether the kernel keeps completions for which the ring had no room.
    #[inline]
    pub(super) fn has_overflowed(&mut self) -> bool {
        self.ring.submission().cq_overflow()
    }

    /// Whether the kernel has something to do that it does inside a call only.
    #[inline]
    pub(super) fn has_work(&mut self) -> bool {
        let queue = self.ring.submission();
        queue.taskrun() || queue.cq_overflow()
    }

    /// Whether entries wait to be handed over.
    #[inline]
    pub(super) fn has_entries(&mut self) -> bool {
        !self.ring.submission().is_empty()
    }

    /// Puts an entry into the ring; false if there is no room.
    ///
    /// # Safety
    ///
    /// What the entry points to lives until its completion.
    #[inline]
    pub(super) unsafe fn push(&mut self, entry: &squeue::Entry) -> bool {
        // SAFETY: the caller's promise.
        unsafe { self.ring.submission().push(entry) }.is_ok()
    }

    /// Hands over what is in the ring, and takes no completion.
    pub(super) fn submit(&mut self) -> io::Result<Entered> {
        let entries = self.ring.submission().len() as u32;
        self.enter(entries, 0, EnterFlags::empty(), None)
    }

    /// Hands over what is in the ring and lets the kernel do what it does inside a call only; does not wait.
    pub(super) fn look(&mut self) -> io::Result<Entered> {
        let entries = self.ring.submission().len() as u32;
        self.enter(entries, 0, EnterFlags::GETEVENTS, None)
    }

    /// Hands over what is in the ring and waits for one completion.
    pub(super) fn sleep(&mut self, timeout: Option<Duration>) -> io::Result<Entered> {
        let entries = self.ring.submission().len() as u32;
        self.enter(entries, 1, EnterFlags::GETEVENTS, timeout)
    }

    /// Waits for one completion, and hands nothing over.
    pub(super) fn only_sleep(&mut self, timeout: Option<Duration>) -> io::Result<Entered> {
        self.enter(0, 1, EnterFlags::GETEVENTS, timeout)
    }

    fn enter(
        &self,
        entries: u32,
        want: u32,
        flags: EnterFlags,
        timeout: Option<Duration>,
    ) -> io::Result<Entered> {
        let flags = flags | self.always;
        let done = match timeout {
            None => call(self.name, entries, want, flags, ptr::null::<libc::sigset_t>()),
            Some(timeout) => {
                let time = Timespec::from(timeout);
                let arg = GeteventsArg {
                    sigmask: 0,
                    sigmask_size: 0,
                    min_wait_us: 0,
                    timespec: (&raw const time).addr() as u64,
                };
                call(self.name, entries, want, flags | EnterFlags::EXT_ARG, &raw const arg)
            }
        };
        if done >= 0 {
            return Ok(Entered::Well);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            // The time is over, or a signal came: a wait ends early and well.
            Some(libc::ETIME | libc::EINTR) => Ok(Entered::Well),
            Some(libc::EBUSY) => Ok(Entered::Full),
            Some(libc::EAGAIN) => Ok(Entered::Starved),
            _ => Err(error),
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if self.registered {
            let mut name = RingName { offset: self.name as u32, reserved: 0, descriptor: 0 };
            // SAFETY: the kernel reads one `io_uring_rsrc_update`, which lives across the call.
            unsafe {
                libc::syscall(
                    libc::SYS_io_uring_register,
                    self.descriptor(),
                    UNREGISTER_RING_FDS,
                    &raw mut name,
                    1,
                );
            }
        }
    }
}

#[inline]
fn call<T>(ring: RawFd, entries: u32, want: u32, flags: EnterFlags, arg: *const T) -> libc::c_long {
    // SAFETY: `arg` is null, or a getevents argument (as the flags say) that lives across the call, as does the
    // time it points to.
    unsafe {
        libc::syscall(libc::SYS_io_uring_enter, ring, entries, want, flags.bits(), arg, size_of::<T>())
    }
}

/// A ring with the flags of a level.
pub(super) fn build(entries: u32, level: RingLevel) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    // Multishot operations and bursts complete more than was submitted at a time.
    builder.setup_clamp().setup_cqsize(entries.saturating_mul(4)).dontfork();
    if level >= RingLevel::Linux5_19 {
        builder.setup_submit_all().setup_taskrun_flag().setup_coop_taskrun();
    }
    if level >= RingLevel::Linux6_0 {
        builder.setup_single_issuer();
    }
    if level >= RingLevel::Linux6_1 {
        builder.setup_defer_taskrun();
    }
    if level >= RingLevel::Latest {
        builder.setup_no_sqarray();
    }
    builder.build(entries)
}
