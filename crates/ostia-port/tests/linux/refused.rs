//! Where io_uring is refused, whatever way it is, there is epoll; and where it is short of memory there is a rest.

use std::{
    io::{self, Write},
    thread,
    time::{Duration, Instant},
};

use ostia_port::{Backend, Batch, Port, op};
use rustix::time::{ClockId, clock_gettime};

fn statement(code: u32, jump_true: u8, jump_false: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: jump_true, jf: jump_false, k }
}

/// From here on, this thread's system call of that number fails with that error.
fn refuse(call: libc::c_long, error: i32) -> io::Result<()> {
    filter(&mut [
        // The number of the call is the first word.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, call as u32),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | error as u32),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ])
}

/// From here on, no ring takes an entry of this thread: as if the kernel had no memory for one.
fn starve() -> io::Result<()> {
    /// The second argument of the call is how many entries it hands over; here is its lower half.
    const HANDED_OVER: u32 = 16 + 8;
    filter(&mut [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 3, libc::SYS_io_uring_enter as u32),
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, HANDED_OVER),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, 0, 0),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EAGAIN as u32),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ])
}

fn filter(filter: &mut [libc::sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: plain numbers.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the program and its filter live across the call.
    let done = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn check(name: &'static str, call: libc::c_long, error: i32) {
    // A filter stays with its thread: so each has one of its own.
    thread::spawn(move || {
        if let Err(error) = Port::builder().backend(Backend::Uring).open() {
            let _ = writeln!(io::stderr(), "SKIPPED {name} refused: there is none: {error}");
            return;
        }
        if let Err(error) = refuse(call, error) {
            let _ = writeln!(io::stderr(), "SKIPPED {name} refused: no filter may be set: {error}");
            return;
        }
        // Unless the environment asks for one of them.
        let port = Port::builder().open();
        if std::env::var_os("OSTIA_BACKEND").is_none() {
            assert_eq!(port.unwrap().backend(), Backend::Epoll, "{name} fails with {error}");
        }
        let told = Port::builder().backend(Backend::Uring).open().unwrap_err();
        assert_eq!(told.raw_os_error(), Some(error), "{name}: {told}");
    })
    .join()
    .unwrap();
}

#[test]
fn any_error_of_the_set_up_means_epoll() {
    for error in
        [libc::ENOSYS, libc::EPERM, libc::EACCES, libc::EOPNOTSUPP, libc::ENOMEM, libc::EINVAL, libc::EMFILE]
    {
        check("io_uring_setup", libc::SYS_io_uring_setup, error);
    }
}

#[test]
fn a_ring_that_may_be_made_and_not_used_means_epoll() {
    for error in [libc::ENOSYS, libc::EPERM] {
        check("io_uring_enter", libc::SYS_io_uring_enter, error);
        check("io_uring_register", libc::SYS_io_uring_register, error);
    }
}

/// How long this thread has kept a CPU busy.
fn busy() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[test]
fn a_berth_rests_while_its_kernel_has_no_memory_for_requests() {
    // As many as the ring has room for, and more: what waits for room is no reason to try at once again, either.
    for count in [1, 2, 40] {
        thread::spawn(move || {
            let builder = Port::builder().backend(Backend::Uring).ring_entries(2);
            let mut berth = match builder.open().and_then(|port| port.berth()) {
                Ok(berth) => berth,
                Err(error) => {
                    let _ = writeln!(io::stderr(), "SKIPPED a starved ring: there is none: {error}");
                    return;
                }
            };
            if let Err(error) = starve() {
                let _ = writeln!(io::stderr(), "SKIPPED a starved ring: no filter may be set: {error}");
                return;
            }
            let nops: Vec<_> = (0..count).map(|_| berth.submit(op::Nop).unwrap()).collect();
            let (began, before) = (Instant::now(), busy());
            let timeout = Duration::from_millis(300);
            assert_eq!(berth.wait(&mut Batch::new(), Some(timeout)).unwrap(), 0);
            assert!(began.elapsed() >= timeout);
            let spent = busy() - before;
            assert!(spent < timeout / 10, "{count} operations: busy for {spent:?} of {timeout:?}");
            assert!(nops.iter().all(|nop| !nop.is_done()), "none was taken");
            // What never reached the kernel comes back; what lies in the ring is given up in time.
            let report = berth.close(Duration::from_millis(50));
            assert_eq!((report.ended + report.leaked, report.unknown), (count, 0), "{report:?}");
        })
        .join()
        .unwrap();
    }
}
