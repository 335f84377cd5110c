//! The way into a berth that sleeps: a counter in the kernel that its epoll instance looks at.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd, RawFd},
};

use rustix::{
    event::{EventfdFlags, eventfd},
    io::Errno,
};

/// Wakes the thread that sleeps at an epoll instance.
///
/// It is registered edge-triggered: each write wakes once, and nobody has to read the counter.
#[derive(Debug)]
pub(crate) struct Waker {
    counter: OwnedFd,
}

impl Waker {
    pub(super) fn new() -> io::Result<Waker> {
        let counter = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Waker { counter })
    }

    pub(super) fn raw(&self) -> RawFd {
        self.counter.as_raw_fd()
    }

    pub(crate) fn wake(&self) -> io::Result<()> {
        loop {
            match rustix::io::write(&self.counter, &1u64.to_ne_bytes()) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                // Full after 2^64 - 2 wakes: it starts again, and the write is the wake.
                Err(Errno::AGAIN) => {
                    let _ = rustix::io::read(&self.counter, &mut [0; 8]);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_counter_starts_again() {
        let waker = Waker::new().unwrap();
        rustix::io::write(&waker.counter, &(u64::MAX - 1).to_ne_bytes()).unwrap();
        waker.wake().unwrap();
        let mut count = [0; 8];
        rustix::io::read(&waker.counter, &mut count).unwrap();
        assert_eq!(u64::from_ne_bytes(count), 1);
    }
}
