//! How exactly a thread's waits end.

use std::io;

use crate::sys;

/// From here on the system ends the calling thread's waits as soon as their time has come, and does not gather several
/// such ends into one.
///
/// ```
/// ostia_os::timing::be_punctual()?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Platforms
///
/// On Linux a wait may otherwise end up to 50 us late, by the thread's timer slack. It is inherited by threads that
/// this one starts. Windows has nothing of the kind: there it depends on the timer that is waited for.
///
/// # Errors
///
/// The system's.
pub fn be_punctual() -> io::Result<()> {
    sys::timing::be_punctual()
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_that_is_punctual_has_no_slack_and_others_keep_theirs() {
        let slack = || rustix::thread::current_timer_slack().unwrap();
        let before = slack();
        let punctual = std::thread::spawn(move || {
            super::be_punctual().unwrap();
            slack()
        });
        assert_eq!(punctual.join().unwrap(), 1);
        assert_eq!(slack(), before);
    }
}
