//! A process that is forked off has nothing of its parent's runtime, and does it no harm. The only test of its program:
//! a fork takes whatever locks other threads hold at that moment.
#![cfg(target_os = "linux")]

mod common;

use std::{
    future::{Future, poll_fn},
    panic::{self, AssertUnwindSafe},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use ostia_rt::{Handle, Runtime, blocking, spawn, spawn_local, time, yield_now};

/// A child hangs no longer than this: the kernel ends it.
const PATIENCE_S: u32 = 60;

/// Forks. None in the child.
#[expect(unsafe_code, reason = "no library forks")]
fn fork() -> Option<i32> {
    // SAFETY: this is the only thread that does anything but wait: the harness waits for it, and the workers sleep, or it
    // is a worker, and the test waits.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "{}", std::io::Error::last_os_error());
    if pid == 0 {
        // SAFETY: it sets a timer of this process, whose signal ends it.
        unsafe { libc::alarm(PATIENCE_S) };
        return None;
    }
    Some(pid)
}

/// Runs `child` in a process that is forked off here; how it ended.
#[expect(unsafe_code, reason = "no library ends a process like this")]
fn forked(child: impl FnOnce()) -> i32 {
    let Some(pid) = fork() else {
        let result = panic::catch_unwind(AssertUnwindSafe(child));
        // SAFETY: it ends the process, and runs nothing of what the parent had registered.
        unsafe { libc::_exit(if result.is_ok() { 7 } else { 1 }) };
    };
    wait_for(pid)
}

/// How a child ended.
#[expect(unsafe_code, reason = "no library waits for a fork")]
fn wait_for(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: the pointer is to a number that lives across the call.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    status
}

fn refused<T>(what: impl FnOnce() -> T) {
    let Err(thrown) = panic::catch_unwind(AssertUnwindSafe(what)) else { panic!("it was not refused") };
    let literal = thrown.downcast_ref::<&str>().map(|message| (*message).to_owned());
    let message = literal.or_else(|| thrown.downcast_ref::<String>().cloned()).expect("a sentence");
    assert!(message.contains("does not live on in a forked process"), "{message}");
}

#[track_caller]
fn assert_well(status: i32) {
    assert_eq!((libc::WIFEXITED(status), libc::WEXITSTATUS(status)), (true, 7), "status {status:#x}");
}

/// The parent's runtime works as before.
fn assert_works(runtime: &Runtime) {
    for number in 0..100 {
        let task = runtime.spawn(async move {
            time::sleep(Duration::from_micros(10)).await;
            number
        });
        assert_eq!(runtime.block_on(task).unwrap(), number);
    }
}

#[test]
fn a_forked_process_is_refused_and_leaves_its_parent_alone() {
    for &backend in common::backends() {
        let Some(runtime) = common::runtime(backend, 2) else { continue };
        assert_works(&runtime);
        let mut runtime = Some(runtime);

        // What is asked of the runtime in the child is refused, and its drop touches nothing.
        let status = forked(|| {
            let runtime = runtime.take().expect("it is there");
            refused(|| runtime.block_on(async {}));
            refused(|| drop(runtime.spawn(async {})));
            refused(|| drop(runtime.handle().spawn_on(0, async {})));
            refused(|| drop(runtime.handle().spawn_blocking(|| ())));
            drop(runtime);
            // One of its own works.
            let own = Runtime::builder().backend(backend).workers_per_node(1).build().unwrap();
            assert_works(&own);
            drop(own);
        });
        assert_well(status);
        let runtime = runtime.expect("the child took its own");
        assert_works(&runtime);

        // A future that forks: the child does not wait for what never comes.
        let mut status = None;
        runtime.block_on(async {
            let mut forks = 0;
            poll_fn(|cx| {
                forks += 1;
                if forks > 1 {
                    return Poll::Ready(());
                }
                let handle = ostia_rt::Handle::current();
                status = Some(forked(|| {
                    refused(|| drop(ostia_rt::spawn(async {})));
                    refused(|| handle.block_on(async {}));
                }));
                cx.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
        });
        assert_well(status.unwrap());
        assert_works(&runtime);

        // A task that forks: its worker is not the child's.
        let handle = runtime.handle();
        runtime.block_on(runtime.spawn(async move { fork_in_a_task(handle).await })).unwrap();
        assert_works(&runtime);

        // And its shutdown reports nothing.
        let mut runtime = Some(runtime);
        let status = forked(|| {
            let report = runtime.take().expect("it is there").shutdown(Duration::ZERO, Duration::ZERO);
            assert_eq!((report.threads_joined, report.threads_left, report.cancelled), (0, 0, 0));
        });
        assert_well(status);
        let runtime = runtime.expect("the child took its own");
        assert_works(&runtime);
        let report = runtime.shutdown(Duration::ZERO, Duration::from_secs(30));
        assert_eq!(report.threads_joined, 2);
    }
}

/// From here on this process leaves no picture of its memory behind when it is aborted.
#[expect(unsafe_code, reason = "a limit of this process")]
fn leave_no_core() {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a limit that lives across the call.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) }, 0);
}

/// What a task does that forks.
async fn fork_in_a_task(handle: Handle) {
    let (near, far) = common::pair().await;
    // The child asks for this and that, and is refused.
    let status = forked(|| {
        refused(|| drop(spawn(async {})));
        refused(|| drop(spawn_local(async {})));
        refused(|| drop(handle.spawn_on(0, async {})));
        refused(|| handle.block_on(async {}));
        refused(|| blocking(|| ()));
        let mut read = pin!(near.read(Vec::with_capacity(8)));
        refused(|| read.as_mut().poll(&mut Context::from_waker(Waker::noop())));
    });
    assert_well(status);
    // The child does nothing of the kind, and returns to a worker that is not there.
    let child = fork();
    if child.is_none() {
        leave_no_core();
    }
    yield_now().await;
    let status = wait_for(child.expect("no child comes here"));
    assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGABRT, "status {status:#x}");
    // The parent's operations go on.
    far.write_all(b"abc".to_vec()).await.0.unwrap();
    let (read, bytes) = near.read_exact(Vec::with_capacity(3), 3).await;
    read.unwrap();
    assert_eq!(bytes, b"abc");
}
