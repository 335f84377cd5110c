//! Which CPU a thread runs on, and what CPU time another process has taken.
#![expect(unsafe_code, reason = "the CPU clock of another process has no safe wrapper")]

use std::{mem::MaybeUninit, thread, time::Duration};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// How often a process may be found at work before that is a fault: a quarter of a second.
const LOOKS: usize = 250;

/// Keeps this thread, and the threads it starts from now on, on the CPU that is the `nth` of those this program
/// started with; on the last one if there are fewer.
pub(crate) fn pin(nth: usize) -> Result<(), String> {
    let allowed = allowed()?;
    let cpu = *allowed.get(nth).or(allowed.last()).ok_or("no CPU is allowed")?;
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).map_err(|error| format!("pinning to CPU {cpu}: {error}"))
}

/// The CPUs that this program may run on: of the process, which its first thread stands for at its start.
fn allowed() -> Result<Vec<usize>, String> {
    static FIRST: std::sync::OnceLock<Vec<usize>> = std::sync::OnceLock::new();
    if let Some(known) = FIRST.get() {
        return Ok(known.clone());
    }
    let set = sched_getaffinity(None).map_err(|error| format!("allowed CPUs: {error}"))?;
    let all = (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect();
    Ok(FIRST.get_or_init(|| all).clone())
}

/// The CPU time of a process that has nothing to do, of all its threads, those that ended among them.
///
/// The kernel adds the time of a thread to its account when the thread is taken off its CPU, and at a clock tick
/// (of 4 ms here) while it runs. So a figure read while the process works is up to a tick old for each thread. A
/// figure of a process that sleeps is exact, and that is why this waits until two of them agree. `schedstat` reads the
/// same account with the same delay, and forgets threads that have ended.
pub(crate) fn idle_cpu(process: u32) -> Result<Duration, String> {
    let mut before = cpu_of(process)?;
    for _ in 0..LOOKS {
        thread::sleep(Duration::from_millis(1));
        let now = cpu_of(process)?;
        if now == before {
            return Ok(now);
        }
        before = now;
    }
    Err("it takes CPU time without anything to do".into())
}

/// The CPU time of a process, as far as the kernel has added it up: see [`idle_cpu`].
pub(crate) fn cpu_of(process: u32) -> Result<Duration, String> {
    let mut clock = MaybeUninit::uninit();
    // SAFETY: the call writes one clock id, for which there is room.
    let failed = unsafe { libc::clock_getcpuclockid(process as libc::pid_t, clock.as_mut_ptr()) };
    if failed != 0 {
        return Err(format!("the clock of process {process}: {}", std::io::Error::from_raw_os_error(failed)));
    }
    // SAFETY: the call above succeeded, so it has written the id.
    let clock = unsafe { clock.assume_init() };
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one timespec, for which there is room.
    let failed = unsafe { libc::clock_gettime(clock, &mut time) };
    if failed != 0 {
        return Err(format!("the CPU time of process {process}: {}", std::io::Error::last_os_error()));
    }
    Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}
