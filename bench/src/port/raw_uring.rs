//! Echo on io_uring alone, with nothing that a server could do without.
#![expect(unsafe_code, reason = "the kernel is handed addresses of buffers that live on here")]

use std::os::fd::AsRawFd;

use io_uring::{
    CompletionQueue, IoUring, SubmissionQueue, Submitter, cqueue, opcode,
    squeue::{Entry, Flags},
    types::Fixed,
};

use crate::port::echo::{self, BUFFER};

/// Room in the submission queue; a connection has two entries at once at most.
const ENTRIES: u32 = 1024;

/// A ring as fast as this kernel has it: used by one thread, completions handed over when that thread waits, and
/// no array of indices.
pub(crate) fn ring(entries: u32) -> Result<IoUring, String> {
    let mut builder = IoUring::builder();
    builder.setup_single_issuer().setup_defer_taskrun().setup_submit_all().setup_no_sqarray();
    builder.setup_cqsize(entries * 4).build(entries).map_err(told("setup"))
}

/// The two queues of a ring, and the system call between them.
pub(crate) struct Queues<'a> {
    submitter: Submitter<'a>,
    submissions: SubmissionQueue<'a>,
    pub(crate) completions: CompletionQueue<'a>,
}

impl Queues<'_> {
    /// Takes a ring apart, for good: the kernel then need not look up its descriptor at every call.
    pub(crate) fn of(ring: &mut IoUring) -> Result<Queues<'_>, String> {
        let (mut submitter, submissions, completions) = ring.split();
        submitter.register_ring_fd().map_err(told("register the ring"))?;
        Ok(Queues { submitter, submissions, completions })
    }

    pub(crate) fn submitter(&self) -> &Submitter<'_> {
        &self.submitter
    }

    /// Queues entries.
    ///
    /// # Safety
    ///
    /// The memory they refer to stays where it is until they are done, and nobody else writes to it or, where they
    /// write to it, looks at it.
    pub(crate) unsafe fn push(&mut self, entries: &[Entry]) -> Result<(), String> {
        // SAFETY: the caller promises what the queue asks for, which is the same.
        unsafe { self.submissions.push_multiple(entries) }.map_err(told("push"))
    }

    /// Submits what is queued, and waits until so many completions are there.
    pub(crate) fn enter(&mut self, completions: usize) -> Result<(), String> {
        self.submissions.sync();
        self.submitter.submit_and_wait(completions).map_err(told("enter"))?;
        // What the kernel has taken and put there since is seen from now on.
        self.submissions.sync();
        self.completions.sync();
        Ok(())
    }
}

/// A send and the receive after it go to the kernel as a chain, so that a request costs two entries, one
/// completion and a share of one system call. Sockets are registered. Tried and no faster: one entry at a time,
/// asking for the poll first.
pub(crate) fn echo(connections: usize) -> Result<(), String> {
    let streams = echo::accepted(connections)?;
    let mut buffers: Vec<Vec<u8>> = streams.iter().map(|_| vec![0; BUFFER]).collect();
    // After the buffers, so that it is gone before them.
    let mut ring = ring(ENTRIES)?;
    let mut queues = Queues::of(&mut ring)?;
    let descriptors: Vec<_> = streams.iter().map(AsRawFd::as_raw_fd).collect();
    queues.submitter().register_files(&descriptors).map_err(told("register files"))?;
    let receive = |index: usize, buffer: &mut [u8]| {
        let receive = opcode::Recv::new(Fixed(index as u32), buffer.as_mut_ptr(), BUFFER as u32);
        receive.build().user_data(index as u64)
    };
    let send = |index: usize, message: &[u8]| {
        // Waiting for all of it lets the kernel send what a full socket did not take; a part of it breaks the chain.
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
        let send =
            opcode::Send::new(Fixed(index as u32), message.as_ptr(), message.len() as u32).flags(flags);
        send.build().user_data(index as u64)
    };
    for (index, buffer) in buffers.iter_mut().enumerate() {
        // SAFETY: the buffer outlives the ring, and is looked at only when the receive is done.
        unsafe { queues.push(&[receive(index, buffer)]) }?;
    }
    let mut open = streams.len();
    while open > 0 {
        queues.enter(1)?;
        // Sends that succeed are silent, so a completion is a receive, or a send that failed and ends the server.
        while let Some(entry) = queues.completions.next() {
            let index = entry.user_data() as usize;
            let buffer = &mut buffers[index];
            let done = done(&entry)?;
            if done == 0 {
                open -= 1;
                continue;
            }
            let chain = Flags::IO_LINK | Flags::SKIP_SUCCESS;
            let entries = [send(index, &buffer[..done]).flags(chain), receive(index, buffer)];
            // SAFETY: the buffer outlives the ring; the receive, which writes to it, starts when the send, which
            // reads it, is done.
            unsafe { queues.push(&entries) }?;
        }
    }
    Ok(())
}

/// How many bytes an operation moved.
fn done(entry: &cqueue::Entry) -> Result<usize, String> {
    let failed = |code: i32| format!("io_uring: {}", std::io::Error::from_raw_os_error(-code));
    usize::try_from(entry.result()).map_err(|_| failed(entry.result()))
}

fn told<E: std::fmt::Display>(what: &str) -> impl Fn(E) -> String {
    move |error| format!("io_uring, {what}: {error}")
}
