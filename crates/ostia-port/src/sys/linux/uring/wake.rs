//! Waking a berth that sleeps in its ring: by a message put into the ring from outside, where the kernel can
//! (6.13), or by an eventfd that the ring reads. One of the two is chosen when the port opens.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd, RawFd},
    sync::Arc,
};

use io_uring::{opcode, squeue, types};
use rustix::event::{EventfdFlags, eventfd};

use super::{KEY_WAKE, op};

/// What others wake the berth by.
#[derive(Debug)]
pub(crate) enum Waker {
    /// The ring's descriptor; the quay forgets the waker before the ring is closed.
    Message(RawFd),
    Event(Arc<OwnedFd>),
}

impl Waker {
    pub(crate) fn wake(&self) -> io::Result<()> {
        match self {
            Waker::Message(ring) => match op::message(*ring, KEY_WAKE) {
                // No room for one more completion: then there are some, and the berth does not sleep.
                Err(error) if error.raw_os_error() == Some(libc::EOVERFLOW) => Ok(()),
                done => done,
            },
            Waker::Event(event) => match rustix::io::write(event, &1_u64.to_ne_bytes()) {
                // As many wakes as can be counted have not been seen: one more makes no difference.
                Ok(_) | Err(rustix::io::Errno::AGAIN) => Ok(()),
                Err(error) => Err(error.into()),
            },
        }
    }
}

/// The ring's end of an eventfd.
#[derive(Debug)]
pub(super) struct Alarm {
    event: Arc<OwnedFd>,
    /// Where the kernel puts the count; its, while the read is under way.
    count: Box<u64>,
    pub(super) armed: bool,
}

impl Alarm {
    pub(super) fn new() -> io::Result<Alarm> {
        let event = eventfd(0, EventfdFlags::CLOEXEC)?;
        Ok(Alarm { event: Arc::new(event), count: Box::new(0), armed: false })
    }

    pub(super) fn waker(&self) -> Waker {
        Waker::Event(Arc::clone(&self.event))
    }

    /// The read that ends when somebody wakes.
    pub(super) fn entry(&mut self) -> squeue::Entry {
        let buffer = (&raw mut *self.count).cast::<u8>();
        opcode::Read::new(types::Fd(self.event.as_raw_fd()), buffer, size_of::<u64>() as u32).build()
    }

    /// Lets the memory live for ever: the kernel may still write to it.
    pub(super) fn leak(self) {
        std::mem::forget(self.count);
    }
}
