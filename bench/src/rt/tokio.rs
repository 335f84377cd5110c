//! tokio: its runtime of one thread, and its runtime of several.

use std::{fs::File, net::Ipv4Addr, os::unix::fs::FileExt as _, path::Path, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::Builder,
    task::{spawn, spawn_blocking},
};

use crate::{
    harness::program::{Sample, Settings, steady},
    rt::{
        echo::{BUFFER, Service, announce, burn, ended},
        files,
        runtime::Runtime,
    },
};

/// The runtime of one thread.
pub(crate) struct Tokio(tokio::runtime::Runtime);

impl Runtime for Tokio {
    fn yield_now() -> impl Future<Output = ()> + Send {
        ::tokio::task::yield_now()
    }

    fn open() -> Result<Tokio, String> {
        Ok(Tokio(open(1)?))
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
}

fn open(workers: usize) -> Result<tokio::runtime::Runtime, String> {
    let mut builder = match workers {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if workers > 1 {
        builder.worker_threads(workers);
    }
    builder.enable_io().build().map_err(told("runtime"))
}

pub(crate) fn echo(service: Service) -> Result<(), String> {
    open(service.workers)?.block_on(async {
        let listener = listen().await?;
        loop {
            let stream = accept(&listener).await?;
            spawn(async move { ended(serve_one(stream, service.work).await) });
        }
    })
}

async fn listen() -> Result<TcpListener, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(told("listen"))?;
    announce(listener.local_addr().map_err(told("listen"))?)?;
    Ok(listener)
}

async fn accept(listener: &TcpListener) -> Result<TcpStream, String> {
    let (stream, _) = listener.accept().await.map_err(told("accept"))?;
    stream.set_nodelay(true).map_err(told("TCP_NODELAY"))?;
    Ok(stream)
}

async fn serve_one(mut stream: TcpStream, work: Duration) -> Result<(), String> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = stream.read(&mut buffer).await.map_err(told("read"))?;
        if read == 0 {
            return Ok(());
        }
        burn(work);
        stream.write_all(&buffer[..read]).await.map_err(told("write"))?;
    }
}

/// Files by way of the threads for what blocks, which is the only way it has.
pub(crate) fn read(path: &Path, settings: Settings) -> Result<Sample, String> {
    let runtime = open(1)?;
    let file = Arc::new(File::open(path).map_err(told("open"))?);
    let read = move |mut buffer: Vec<u8>, at: u64| {
        let file = Arc::clone(&file);
        async move {
            let read = spawn_blocking(move || (file.read_at(&mut buffer, at), buffer));
            read.await.expect("no task here panics or is cancelled")
        }
    };
    let mut readers = files::Readers::new(true);
    steady(settings, || {
        runtime.block_on(readers.step(|places, buffer| {
            let task = spawn(files::reads(places, buffer, read.clone()));
            async { task.await.expect("no task here panics or is cancelled") }
        }))
    })
}

pub(crate) fn http() -> Result<(), String> {
    use hyper_util::rt::TokioIo;

    open(1)?.block_on(async {
        let listener = listen().await?;
        loop {
            let stream = TokioIo::new(accept(&listener).await?);
            spawn(async move { ended(crate::rt::http::serve_one(stream).await) });
        }
    })
}

fn told<E: std::fmt::Display>(what: &str) -> impl Fn(E) -> String {
    move |error| format!("tokio, {what}: {error}")
}
