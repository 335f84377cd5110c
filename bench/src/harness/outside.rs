//! A program seen from outside: what the kernel counted of it from its start to its end.
#![expect(unsafe_code, reason = "what a process that ended has taken has no safe wrapper")]

use std::{
    io::{Error, ErrorKind, Read as _},
    mem::MaybeUninit,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// What a program took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    /// From its start until its end was seen.
    pub(crate) wall: Duration,
    /// CPU time of all its threads, for itself and in the kernel.
    pub(crate) cpu: Duration,
    /// The most memory it had at a time, in bytes. The kernel counts from before the program is loaded, so that this
    /// is never less than what the comparison itself has.
    pub(crate) peak: u64,
    /// How often its threads gave their CPU away.
    pub(crate) voluntary: u64,
    /// How often it was taken from them.
    pub(crate) involuntary: u64,
}

/// Runs a program to its end. What it says goes nowhere; what it complains of is the error if it fails.
pub(crate) fn run(command: &mut Command) -> Result<Taken, String> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let shown = format!("{command:?}");
    let begun = Instant::now();
    let mut child = command.spawn().map_err(|error| format!("{shown}: {error}"))?;
    let mut complaint = String::new();
    let mut errors = child.stderr.take().expect("it was asked for");
    // Its end comes with the end of the program.
    errors.read_to_string(&mut complaint).map_err(|error| format!("{shown}: {error}"))?;
    let (status, usage) = wait(child.id()).map_err(|error| format!("{shown}: {error}"))?;
    let wall = begun.elapsed();
    if status != 0 {
        return Err(format!("{shown} ended with status {status:#x}: {}", complaint.trim()));
    }
    let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, 1000 * t.tv_usec as u32);
    Ok(Taken {
        wall,
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
        peak: 1024 * usage.ru_maxrss as u64,
        voluntary: usage.ru_nvcsw as u64,
        involuntary: usage.ru_nivcsw as u64,
    })
}

/// Waits for the end of a child of this process that nobody else waits for.
fn wait(child: u32) -> Result<(i32, libc::rusage), Error> {
    let mut status = 0;
    let mut usage = MaybeUninit::uninit();
    loop {
        // SAFETY: the call writes one status and one usage, for which there is room.
        let ended = unsafe { libc::wait4(child as libc::pid_t, &mut status, 0, usage.as_mut_ptr()) };
        if ended >= 0 {
            // SAFETY: the call succeeded, so it has written the usage.
            return Ok((status, unsafe { usage.assume_init() }));
        }
        let error = Error::last_os_error();
        if error.kind() != ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_works_takes_something() {
        let taken =
            run(Command::new("sh").args(["-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"])).unwrap();
        assert!(taken.cpu > Duration::ZERO && taken.wall > Duration::ZERO && taken.peak > 0);
    }

    #[test]
    fn a_program_that_fails_says_why() {
        let why = run(Command::new("sh").args(["-c", "echo no such luck >&2; exit 3"])).unwrap_err();
        assert!(why.ends_with("ended with status 0x300: no such luck"), "{why}");
    }
}
