//! Where io_uring is refused, whatever way it is, there is epoll.

use std::{
    io::{self, Write},
    thread,
};

use ostia_port::{Backend, Port};

/// From here on, this thread's system call of that number fails with that error.
fn refuse(call: libc::c_long, error: i32) -> io::Result<()> {
    let statement = |code: u32, jump_true, jump_false, k| libc::sock_filter {
        code: code as u16,
        jt: jump_true,
        jf: jump_false,
        k,
    };
    let mut filter = [
        // The number of the call is the first word.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, call as u32),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | error as u32),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
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
