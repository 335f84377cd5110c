//! Signals: a handler that does next to nothing, and a thread that does the rest.
//!
//! The handler sets a bit and writes to an eventfd: both are allowed in a handler, whatever was interrupted. A thread
//! waits for the eventfd and tells the subscribers. It is started with the first subscription and stays, asleep, as
//! long as the process: so none is ever waited for.
//!
//! signalfd was not taken: it sees only signals that are blocked in every thread, which a library that is started
//! late cannot arrange, and blocked signals are inherited by every program that is started.
//!
//! What is weak: after a fork without exec the child has the handler but not the thread, and a signal to it is lost.

use std::{
    io, mem,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    ptr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI32, AtomicU32, Ordering},
    },
    thread,
};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use crate::signals::{Signal, Signals, deliver};

/// The signals that have come and were not yet told, a bit for each of [`Signal`].
static PENDING: AtomicU32 = AtomicU32::new(0);

/// The eventfd that the handler writes to; it is never closed.
static BELL: AtomicI32 = AtomicI32::new(-1);

/// What each signal did before we listened to it, and whether the thread runs.
static BEFORE: Mutex<Before> = Mutex::new(Before { thread: false, actions: [None; Signal::COUNT] });

struct Before {
    thread: bool,
    actions: [Option<libc::sigaction>; Signal::COUNT],
}

/// Starts listening to a signal. False when it was ignored before and is left so.
pub(crate) fn listen(signal: Signal, even_if_ignored: bool) -> io::Result<bool> {
    let Some(number) = number_of(signal) else { return Ok(true) };
    let mut before = before();
    if !before.thread {
        start()?;
        before.thread = true;
    }
    let was = action(number, None)?;
    if was.sa_sigaction == libc::SIG_IGN && !even_if_ignored {
        return Ok(false);
    }
    // SAFETY: all zeros is a sigaction: no flags, nothing blocked, the default handler.
    let mut ours: libc::sigaction = unsafe { mem::zeroed() };
    ours.sa_sigaction = handler();
    // Most system calls that it interrupts go on as if nothing had been.
    ours.sa_flags = libc::SA_RESTART;
    action(number, Some(&ours))?;
    before.actions[signal as usize] = Some(was);
    Ok(true)
}

/// Stops listening: the signal does again what it did before, unless someone else has changed that since.
pub(crate) fn unlisten(signal: Signal) {
    let Some(number) = number_of(signal) else { return };
    let mut before = before();
    if let Some(was) = before.actions[signal as usize].take()
        && action(number, None).is_ok_and(|now| now.sa_sigaction == handler())
    {
        // Nothing can be wrong with an action that the kernel gave us.
        let _ = action(number, Some(&was));
    }
}

pub(crate) fn ignore_broken_pipes() -> io::Result<()> {
    // SAFETY: all zeros is a sigaction, as above.
    let mut ignore: libc::sigaction = unsafe { mem::zeroed() };
    ignore.sa_sigaction = libc::SIG_IGN;
    action(libc::SIGPIPE, Some(&ignore)).map(drop)
}

fn before() -> MutexGuard<'static, Before> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn number_of(signal: Signal) -> Option<libc::c_int> {
    match signal {
        Signal::Interrupt => Some(libc::SIGINT),
        Signal::Terminate => Some(libc::SIGTERM),
        Signal::HangUp => Some(libc::SIGHUP),
        Signal::Break | Signal::Close | Signal::LogOff | Signal::Shutdown => None,
    }
}

fn handler() -> libc::sighandler_t {
    on_signal as extern "C" fn(libc::c_int) as libc::sighandler_t
}

/// The handler. Only what may be done in one: atomics, and `write`.
extern "C" fn on_signal(number: libc::c_int) {
    let signal = match number {
        libc::SIGINT => Signal::Interrupt,
        libc::SIGTERM => Signal::Terminate,
        libc::SIGHUP => Signal::HangUp,
        _ => return,
    };
    PENDING.fetch_or(1 << signal as u32, Ordering::SeqCst);
    let one = 1u64.to_ne_bytes();
    // SAFETY: the C library gives each thread an errno of its own.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: that pointer is valid as long as the thread.
    let kept = unsafe { errno.read() };
    // SAFETY: eight bytes are read from an array of eight. The descriptor was set before the handler was, and is
    // never closed. A full counter makes the call fail instead of blocking, and is as good as another ring.
    unsafe { libc::write(BELL.load(Ordering::SeqCst), one.as_ptr().cast(), one.len()) };
    // SAFETY: as above. The code that was interrupted may be about to look at it.
    unsafe { errno.write(kept) };
}

/// Sets an action, if there is one, and gives the one before.
fn action(number: libc::c_int, new: Option<&libc::sigaction>) -> io::Result<libc::sigaction> {
    // SAFETY: all zeros is a sigaction, as above.
    let mut old: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: both point to a sigaction or nowhere. The only handlers that are set by us are `on_signal` and what the
    // kernel had before.
    let result = unsafe { libc::sigaction(number, new.map_or(ptr::null(), ptr::from_ref), &raw mut old) };
    if result == 0 { Ok(old) } else { Err(io::Error::last_os_error()) }
}

fn start() -> io::Result<()> {
    let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    BELL.store(bell.as_raw_fd(), Ordering::SeqCst);
    // If the thread cannot be started the descriptor is closed with it; no handler has been set yet.
    thread::Builder::new().name("ostia-signals".to_owned()).spawn(move || tell(&bell))?;
    Ok(())
}

fn tell(bell: &OwnedFd) {
    loop {
        let mut fds = [PollFd::new(bell, PollFlags::IN)];
        // Interrupted or not: what has come is looked at below.
        let _ = poll(&mut fds, None);
        drain(bell);
        let came = PENDING.swap(0, Ordering::SeqCst);
        for signal in Signal::ALL {
            if came >> signal as u32 & 1 == 1 {
                deliver(signal);
            }
        }
    }
}

/// Takes the count out of an eventfd that does not block.
fn drain(bell: &OwnedFd) {
    let _ = rustix::io::read(bell, &mut [0; 8]);
}

/// A descriptor that is readable while something is pending.
#[derive(Debug)]
pub(crate) struct Doorbell(OwnedFd);

impl Doorbell {
    pub(crate) fn new() -> io::Result<Doorbell> {
        Ok(Doorbell(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    pub(crate) fn ring(&self) {
        // It fails only when the counter is full, and then it rings already.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    pub(crate) fn silence(&self) {
        drain(&self.0);
    }
}

/// A descriptor that can be polled: it is readable while [`Signals::try_next`] has something. It must not be read.
///
/// # Platforms
///
/// Linux. Elsewhere, and here too, [`wake`](crate::signals::Options::wake) can reach an event loop.
impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inbox.doorbell.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_pipes_are_ignored_where_they_were_not() {
        // SAFETY: all zeros is a sigaction: the default one.
        let default = unsafe { mem::zeroed() };
        let rust = action(libc::SIGPIPE, Some(&default)).unwrap();
        ignore_broken_pipes().unwrap();
        let now = action(libc::SIGPIPE, Some(&rust)).unwrap();
        assert_eq!(now.sa_sigaction, libc::SIG_IGN);
    }
}
