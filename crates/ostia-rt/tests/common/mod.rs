//! What tests of I/O share: runtimes on each back end there is, and futures that are dropped in the middle.

#![allow(dead_code, reason = "no test needs all of it")]

use std::{
    future::{Future, poll_fn},
    io::{self, Write},
    net::SocketAddr,
    panic::Location,
    pin::pin,
    sync::mpsc,
    task::Poll,
    thread,
    time::Duration,
};

use ostia_os::topology::Topology;
use ostia_rt::{
    Backend, Builder, Handle, Runtime,
    net::{TcpListener, TcpStream},
};

/// A test that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(if cfg!(windows) { 240 } else { 60 });

/// The back ends that this system may have.
pub(crate) fn backends() -> &'static [Backend] {
    if cfg!(windows) { &[Backend::Iocp] } else { &[Backend::Uring, Backend::Epoll] }
}

/// Runs the test on each back end, with one worker and with two; `test` is run by `block_on`.
#[track_caller]
pub(crate) fn on_each<T, F>(test: T)
where
    T: Fn(Handle) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    for &backend in backends() {
        for workers in [1, 2] {
            let test = test.clone();
            within(&format!("{backend}, {workers} workers"), Location::caller(), move || {
                if let Some(runtime) = runtime(backend, workers) {
                    let handle = runtime.handle();
                    let task = runtime.spawn(async move { test(handle).await });
                    runtime.block_on(task).expect("the test's task ends");
                }
            });
        }
    }
}

/// None, and a line that says so, if this machine refuses the back end.
pub(crate) fn runtime(backend: Backend, workers: usize) -> Option<Runtime> {
    built(backend, Runtime::builder().workers_per_node(workers))
}

/// The same, with nodes of this shape.
pub(crate) fn runtime_of(backend: Backend, shape: &str) -> Option<Runtime> {
    built(backend, Runtime::builder().topology(Topology::synthetic(shape).expect("a shape")))
}

fn built(backend: Backend, builder: Builder) -> Option<Runtime> {
    match builder.backend(backend).build() {
        Ok(runtime) => Some(runtime),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            let name = thread::current().name().unwrap_or("a test").to_owned();
            writeln!(io::stderr(), "SKIPPED {name}: no {backend} here: {error}").expect("stderr is there");
            None
        }
        Err(error) => panic!("a runtime on {backend}: {error}"),
    }
}

/// Runs it on a thread of its own, so that one that hangs ends the test and not the machine's patience.
#[track_caller]
pub(crate) fn within(what: &str, place: &Location<'_>, run: impl FnOnce() + Send + 'static) {
    let (sender, ended) = mpsc::channel();
    let name = thread::current().name().unwrap_or("a test").to_owned();
    let thread = thread::Builder::new().name(name).spawn(move || {
        run();
        let _ = sender.send(());
    });
    let thread = thread.expect("a thread starts");
    match ended.recv_timeout(PATIENCE) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{place}: it hangs ({what})"),
        _ => {
            if let Err(panic) = thread.join() {
                let _ = writeln!(io::stderr(), "{place}: on {what}:");
                std::panic::resume_unwind(panic);
            }
        }
    }
}

/// What came first.
#[derive(Debug)]
pub(crate) enum Either<A, B> {
    First(A),
    Second(B),
}

/// Polls both, the first one first, until one has ended; the other is dropped, however far it has come.
pub(crate) async fn select<A: Future, B: Future>(first: A, second: B) -> Either<A::Output, B::Output> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    poll_fn(|cx| {
        if let Poll::Ready(first) = first.as_mut().poll(cx) {
            return Poll::Ready(Either::First(first));
        }
        second.as_mut().poll(cx).map(Either::Second)
    })
    .await
}

/// Polls the future once, and drops it if it has not ended.
pub(crate) async fn only_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

/// Ends after so many turns of the worker.
pub(crate) async fn turns(count: usize) {
    for _ in 0..count {
        ostia_rt::yield_now().await;
    }
}

/// Numbers that look like chance, the same ones each time.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

/// So many rounds, or fewer where a system call takes a hundred times as long.
pub(crate) fn rounds(count: usize) -> usize {
    if cfg!(windows) { count.div_ceil(20) } else { count }
}

/// Both ends of a TCP connection: accepted, and connected.
pub(crate) async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(loopback()).expect("a listener");
    let at = listener.local_addr().expect("its address");
    let connecting = ostia_rt::spawn(TcpStream::connect(at));
    let accepted = listener.accept().await.expect("a client");
    (accepted, connecting.await.expect("no panic").expect("somebody listens"))
}

/// A port of the system's choice, of this machine alone.
pub(crate) fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

/// How many descriptors this process has; none where that is not to be seen, and it is on Linux only. Under Wine the
/// folder is there too, and is about another process, the one that opens files for all.
pub(crate) fn descriptors() -> Option<usize> {
    if cfg!(windows) {
        return None;
    }
    // The folder's own among them, each time.
    std::fs::read_dir("/proc/self/fd").ok().map(Iterator::count)
}

/// Whether this is Windows as Wine has it; by a program that only Wine brings along.
pub(crate) fn is_wine() -> bool {
    cfg!(windows) && std::path::Path::new("C:/windows/system32/winecfg.exe").exists()
}
