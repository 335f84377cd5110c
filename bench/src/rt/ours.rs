//! Ours: the runtime, by what it offers to everyone. One function a part, and it is the same for every back end; where a
//! back end is not to be had, the program says so and is left out.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use ostia_os::{affinity, topology::Topology};
use ostia_rt::{
    Backend, Handle, Placement,
    compat::Compat,
    fs::File,
    net::{TcpListener, TcpStream},
    spawn,
};

use crate::{
    harness::program::{Program, Sample, Settings, steady},
    port::files::Run,
    rt::{
        echo::{self, BUFFER, Service, announce, burn, ended},
        files, http,
        runtime::Runtime,
        tasks::Operation,
    },
};

pub(crate) const ECHO: &[Program<echo::Serve>] = &[
    ("ours-uring", |service| echo(Backend::Uring, service)),
    ("ours-epoll", |service| echo(Backend::Epoll, service)),
];

pub(crate) const HTTP: &[Program<http::Serve>] =
    &[("ours-uring", || http(Backend::Uring)), ("ours-epoll", || http(Backend::Epoll))];

pub(crate) const FILES: &[Program<Run>] = &[
    ("ours-uring", |path, settings| read(Backend::Uring, path, settings)),
    ("ours-epoll", |path, settings| read(Backend::Epoll, path, settings)),
];

/// On io_uring.
pub(crate) struct Uring(ostia_rt::Runtime);

/// On epoll.
pub(crate) struct Epoll(ostia_rt::Runtime);

/// The two kinds differ in nothing but their back end.
macro_rules! kind {
    ($name:ident) => {
        impl Runtime for $name {
            fn yield_now() -> impl Future<Output = ()> + Send {
                ostia_rt::yield_now()
            }

            fn open() -> Result<$name, String> {
                open(Backend::$name, 1).map($name)
            }

            fn block_on<T>(&mut self, future: impl Future<Output = T>) -> T {
                self.0.block_on(future)
            }

            fn spawn<T: Send + 'static>(
                future: impl Future<Output = T> + Send + 'static,
            ) -> impl Future<Output = T> + 'static {
                let task = spawn(future);
                async { task.await.expect("no task here panics or is cancelled") }
            }

            /// The thread of `block_on` is no worker: it only waits.
            fn run(&mut self, operation: Operation) {
                let task = self.0.spawn(operation.step::<$name>());
                self.0.block_on(task).expect("no task here panics or is cancelled");
            }
        }
    };
}

kind!(Uring);
kind!(Epoll);

fn open(backend: Backend, workers: usize) -> Result<ostia_rt::Runtime, String> {
    let builder = ostia_rt::Runtime::builder().backend(backend).workers_per_node(workers);
    // A thread that was given a place keeps its workers there: threads of nodes that are made up are not bound, and
    // start where the one is that starts them. Otherwise workers are bound to what the process's first thread has.
    let builder = match affinity::current().map_err(told("affinity"))?
        == affinity::allowed().map_err(told("affinity"))?
    {
        true => builder,
        false => builder.topology(Topology::synthetic("1x1").map_err(told("topology"))?),
    };
    builder.build().map_err(told("runtime"))
}

fn echo(backend: Backend, service: Service) -> Result<(), String> {
    let work = service.work;
    serve(backend, service.workers, move |stream| async move { ended(serve_one(stream, work).await) })
}

fn http(backend: Backend) -> Result<(), String> {
    serve(backend, 1, |stream| async { ended(http::serve_one(Compat::from(stream)).await) })
}

/// Every connection has a task, which begins with the worker that has fewer of them.
fn serve<F: Future<Output = ()> + Send + 'static>(
    backend: Backend,
    workers: usize,
    connection: impl Fn(TcpStream) -> F + Send + 'static,
) -> Result<(), String> {
    let runtime = open(backend, workers)?;
    let server = runtime.spawn(async move {
        let listener =
            TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).map_err(told("listen"))?;
        announce(listener.local_addr().map_err(told("listen"))?)?;
        let handle = Handle::current();
        loop {
            let stream = listener.accept().await.map_err(told("accept"))?;
            stream.set_nodelay(true).map_err(told("TCP_NODELAY"))?;
            drop(handle.spawn_at(Placement::LeastLoaded, connection(stream)));
        }
    });
    runtime.block_on(server).map_err(told("the server"))?
}

async fn serve_one(stream: TcpStream, work: Duration) -> Result<(), String> {
    let mut buffer = Vec::with_capacity(BUFFER);
    loop {
        let (read, received) = stream.read(buffer).await;
        if read.map_err(told("read"))? == 0 {
            return Ok(());
        }
        burn(work);
        let (written, sent) = stream.write_all(received).await;
        written.map_err(told("write"))?;
        buffer = sent;
    }
}

fn read(backend: Backend, path: &Path, settings: Settings) -> Result<Sample, String> {
    let runtime = open(backend, 1)?;
    let file = Arc::new(runtime.block_on(File::open(path)).map_err(told("open"))?);
    let mut readers = Some(files::Readers::new(false));
    steady(settings, || {
        let file = Arc::clone(&file);
        let mut own = readers.take().ok_or("a step that failed has the readers")?;
        // The thread of `block_on` is no worker: whoever begins the tasks is a task.
        let step = runtime.spawn(async move {
            let begin = |places, buffer| {
                let file = Arc::clone(&file);
                let read = move |buffer, at| {
                    let file = Arc::clone(&file);
                    async move { file.read_at(buffer, at).await }
                };
                let task = spawn(files::reads(places, buffer, read));
                async { task.await.map_err(told("a task"))? }
            };
            let reads = own.step(begin).await;
            (own, reads)
        });
        let (own, reads) = runtime.block_on(step).map_err(told("a task"))?;
        readers = Some(own);
        reads
    })
}

fn told<E: std::fmt::Display>(what: &str) -> impl Fn(E) -> String {
    move |error| format!("ours, {what}: {error}")
}
