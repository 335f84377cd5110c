//! Console control events, which come on a thread that the system starts for each.
//!
//! The handler tells the subscribers on that thread. After close, log-off and shutdown the system ends the process as
//! soon as the handler returns, or after some seconds; so for these `deliver` returns when the subscribers are done.

use std::{
    io,
    sync::{Mutex, PoisonError},
};

use windows_sys::{
    Win32::System::Console::{
        CTRL_BREAK_EVENT, CTRL_C_EVENT, CTRL_CLOSE_EVENT, CTRL_LOGOFF_EVENT, CTRL_SHUTDOWN_EVENT,
        SetConsoleCtrlHandler,
    },
    core::BOOL,
};

use super::outcome;
use crate::signals::{Signal, deliver};

/// Whether the handler is set. It is set once, and stays: without subscribers it says that an event is not ours, and
/// then the system does what it would do without it.
///
/// To remove it would be to wait for the console's lock, under which handlers are called, while a subscription is
/// being dropped that a handler may be waiting for.
static SET: Mutex<bool> = Mutex::new(false);

/// Starts listening. What is ignored cannot be found out here.
pub(crate) fn listen(_signal: Signal, _even_if_ignored: bool) -> io::Result<bool> {
    let mut set = SET.lock().unwrap_or_else(PoisonError::into_inner);
    if !*set {
        // SAFETY: the handler is a function of this program, which may be called at any time, on any thread.
        outcome(unsafe { SetConsoleCtrlHandler(Some(on_event), true.into()) })?;
        *set = true;
    }
    Ok(true)
}

pub(crate) fn unlisten(_signal: Signal) {}

pub(crate) fn ignore_broken_pipes() -> io::Result<()> {
    Ok(())
}

/// True keeps the next handler, at last the system's, from being called.
extern "system" fn on_event(event: u32) -> BOOL {
    let signal = match event {
        CTRL_C_EVENT => Signal::Interrupt,
        CTRL_BREAK_EVENT => Signal::Break,
        CTRL_CLOSE_EVENT => Signal::Close,
        CTRL_LOGOFF_EVENT => Signal::LogOff,
        CTRL_SHUTDOWN_EVENT => Signal::Shutdown,
        _ => return 0,
    };
    deliver(signal).into()
}

/// Nothing here can be polled: event loops are reached by `wake`.
#[derive(Debug)]
pub(crate) struct Doorbell;

impl Doorbell {
    #[expect(clippy::unnecessary_wraps, reason = "it fails on other platforms")]
    pub(crate) fn new() -> io::Result<Doorbell> {
        Ok(Doorbell)
    }

    pub(crate) fn ring(&self) {}

    pub(crate) fn silence(&self) {}
}

#[cfg(test)]
mod tests {
    use std::{
        env,
        io::Write,
        os::windows::process::CommandExt,
        process::Command,
        sync::{Arc, Barrier, mpsc},
        thread,
        time::Duration,
    };

    use windows_sys::Win32::System::{Console::GenerateConsoleCtrlEvent, Threading::CREATE_NEW_CONSOLE};

    use super::*;
    use crate::signals::Signals;

    /// The handler is called as the system would: Wine has no console to close. One test, as subscriptions are the
    /// process's.
    #[test]
    fn a_close_is_held_until_every_subscriber_is_done() {
        assert_eq!(on_event(CTRL_C_EVENT), 0, "nobody listens");

        let one = Signals::to(Signal::ALL).open().unwrap();
        let other = Signals::to([Signal::Close]).open().unwrap();
        assert_eq!(on_event(CTRL_C_EVENT), 1);
        assert_eq!(one.try_next(), Some(Signal::Interrupt));
        assert_eq!(other.try_next(), None);
        assert_eq!(on_event(77), 0, "no event that is known");

        let (returned, result) = mpsc::channel();
        let handler = thread::spawn(move || returned.send(on_event(CTRL_CLOSE_EVENT)).unwrap());
        assert_eq!(one.wait(None), Some(Signal::Close));
        assert_eq!(other.wait(None), Some(Signal::Close));
        one.done();
        // Not done: nothing may arrive, however long one waits.
        assert!(result.recv_timeout(Duration::from_millis(50)).is_err());
        drop(other);
        assert_eq!(result.recv(), Ok(1));
        handler.join().unwrap();

        // Whoever was done is not waited for again, and who is gone is not told.
        assert_eq!(on_event(CTRL_CLOSE_EVENT), 1);
        drop(one);
        assert_eq!(on_event(CTRL_CLOSE_EVENT), 0);

        // A subscriber that is never done uses up its patience, and no more.
        let never = Signals::to([Signal::Shutdown]).patience(Duration::from_millis(20)).open().unwrap();
        assert_eq!(on_event(CTRL_SHUTDOWN_EVENT), 1);
        assert_eq!(on_event(CTRL_CLOSE_EVENT), 0, "nobody listens to that any more");
        assert_eq!(never.try_next(), Some(Signal::Shutdown));
        drop(never);

        // What wakes is called for each; what it breaks is its own.
        let met = Arc::new(Barrier::new(2));
        let meeting = met.clone();
        let woken = Signals::to([Signal::Break])
            .wake(move |signal| {
                meeting.wait();
                panic!("{signal} breaks the callback");
            })
            .open()
            .unwrap();
        let handler = thread::spawn(|| on_event(CTRL_BREAK_EVENT));
        met.wait();
        assert_eq!(woken.wait(None), Some(Signal::Break));
        assert_eq!(handler.join().unwrap(), 1);
        drop(woken);
        assert_eq!(on_event(CTRL_BREAK_EVENT), 0, "nobody listens any more");
    }

    #[test]
    #[ignore = "the other process of the test below, which starts it"]
    fn a_process_with_a_console() {
        let signals = Signals::to([Signal::Interrupt, Signal::Break]).open().unwrap();
        for (event, signal) in [(CTRL_C_EVENT, Signal::Interrupt), (CTRL_BREAK_EVENT, Signal::Break)] {
            // SAFETY: it takes plain values; 0 is every process of this console, and this one has it for itself.
            if let Err(why) = outcome(unsafe { GenerateConsoleCtrlEvent(event, 0) }) {
                eprintln!("no console: {why}");
                std::process::exit(2);
            }
            assert_eq!(signals.wait(Some(Duration::from_secs(20))), Some(signal));
        }
    }

    #[test]
    fn events_of_a_console_come_through_the_system() {
        let ended = Command::new(env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture"])
            .arg("sys::windows::signals::tests::a_process_with_a_console")
            .creation_flags(CREATE_NEW_CONSOLE)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&ended.stderr);
        if ended.status.code() == Some(2) {
            let name = "events_of_a_console_come_through_the_system";
            let _ = writeln!(io::stderr(), "SKIPPED {name}: {}", told.trim());
        } else {
            assert!(ended.status.success(), "{told}");
        }
    }
}
