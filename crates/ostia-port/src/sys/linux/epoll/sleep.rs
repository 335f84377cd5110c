//! Looking for events, and sleeping until there are some.

use std::{io, os::fd::RawFd, time::Duration};

use crate::timeout;

/// How long a sleep can be told to be.
#[derive(Debug)]
pub(super) struct Sleep {
    /// It knows `epoll_pwait2` (5.11), or has not been asked yet.
    nanoseconds: bool,
}

/// A timespec of 64 bits on every processor, as the call wants it.
#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

impl Sleep {
    pub(super) fn new() -> Sleep {
        Sleep { nanoseconds: true }
    }

    /// Sleeps until there are events, at most for the timeout, rounded up. How many there are; none if a signal came.
    pub(super) fn wait(
        &mut self,
        epoll: RawFd,
        events: &mut [libc::epoll_event],
        timeout: Option<Duration>,
    ) -> io::Result<usize> {
        let room = libc::c_int::try_from(events.len()).unwrap_or(libc::c_int::MAX);
        let into = events.as_mut_ptr();
        if self.nanoseconds
            && let Some(timeout) = timeout
            && !timeout.is_zero()
        {
            let time = Timespec {
                seconds: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
                nanoseconds: timeout.subsec_nanos().into(),
            };
            let (time, mask) = (&raw const time, std::ptr::null::<libc::sigset_t>());
            // SAFETY: there is room for so many events, and the time lives across the call; there is no mask.
            let count = unsafe { libc::syscall(libc::SYS_epoll_pwait2, epoll, into, room, time, mask, 8) };
            match told(count) {
                // A sandbox that does not know the call may refuse it by EPERM.
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                    self.nanoseconds = false;
                }
                count => return count,
            }
        }
        let millis = match timeout {
            None => -1,
            timeout => libc::c_int::try_from(timeout::millis(timeout)).unwrap_or(libc::c_int::MAX),
        };
        // SAFETY: there is room for so many events.
        let count = unsafe { libc::epoll_wait(epoll, into, room, millis) };
        told(count.into())
    }
}

fn told(count: libc::c_long) -> io::Result<usize> {
    match usize::try_from(count) {
        Ok(count) => Ok(count),
        Err(_) => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::EINTR) => Ok(0),
            error => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::{
        os::fd::AsRawFd,
        time::{Duration, Instant},
    };

    use super::{super::registry::KEY_WAKE, *};

    #[test]
    fn a_sleep_is_never_short_whichever_call_there_is() {
        let epoll = rustix::event::epoll::create(rustix::event::epoll::CreateFlags::CLOEXEC).unwrap();
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 4];
        for nanoseconds in [true, false] {
            let mut sleep = Sleep { nanoseconds };
            for timeout in [Duration::from_nanos(1), Duration::from_micros(300), Duration::from_micros(1500)]
            {
                let began = Instant::now();
                assert_eq!(sleep.wait(epoll.as_raw_fd(), &mut events, Some(timeout)).unwrap(), 0);
                assert!(began.elapsed() >= timeout, "{timeout:?}, {sleep:?}");
            }
            assert_eq!(sleep.wait(epoll.as_raw_fd(), &mut events, Some(Duration::ZERO)).unwrap(), 0);
        }
    }

    #[test]
    fn every_wake_ends_one_sleep_though_nobody_reads_the_counter() {
        let waker = super::super::Waker::new().unwrap();
        let registry = super::super::Registry::new(waker.raw()).unwrap();
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 4];
        let mut sleep = Sleep::new();
        for _ in 0..3 {
            waker.wake().unwrap();
            assert_eq!(sleep.wait(registry.raw(), &mut events, Some(Duration::MAX)).unwrap(), 1);
            assert_eq!({ events[0].u64 }, KEY_WAKE);
            assert_eq!(sleep.wait(registry.raw(), &mut events, Some(Duration::ZERO)).unwrap(), 0);
        }
    }
}
