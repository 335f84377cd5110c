//! smol: its executor for one thread, and its executor that several threads run.

use std::{
    fs::File, future::pending, net::Ipv4Addr, os::unix::fs::FileExt as _, path::Path, sync::Arc, thread,
    time::Duration,
};

use smol::{
    Executor, LocalExecutor, block_on,
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    unblock,
};

use crate::{
    harness::program::{Sample, Settings, steady},
    rt::{
        echo::{BUFFER, Service, announce, burn, ended},
        files,
        runtime::Runtime,
    },
};

thread_local! {
    /// The executor of this thread.
    static LOCAL: &'static LocalExecutor<'static> = Box::leak(Box::default());
}

pub(crate) struct Smol;

impl Runtime for Smol {
    fn open() -> Result<Smol, String> {
        Ok(Smol)
    }

    fn block_on<T>(&mut self, future: impl Future<Output = T>) -> T {
        block_on(LOCAL.with(|local| *local).run(future))
    }

    fn spawn<T: Send + 'static>(
        future: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + 'static {
        LOCAL.with(|local| local.spawn(future))
    }
}

static SHARED: Executor<'static> = Executor::new();

pub(crate) fn echo(service: Service) -> Result<(), String> {
    if service.workers == 1 {
        let local = LOCAL.with(|local| *local);
        let spawn = |stream, work| local.spawn(async move { ended(serve_one(stream, work).await) }).detach();
        return block_on(local.run(serve(service.work, spawn)));
    }
    for _ in 1..service.workers {
        thread::spawn(|| block_on(SHARED.run(pending::<()>())));
    }
    let spawn = |stream, work| SHARED.spawn(async move { ended(serve_one(stream, work).await) }).detach();
    block_on(SHARED.run(serve(service.work, spawn)))
}

async fn serve(work: Duration, spawn: impl Fn(TcpStream, Duration)) -> Result<(), String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(told("listen"))?;
    announce(listener.local_addr().map_err(told("listen"))?)?;
    loop {
        let (stream, _) = listener.accept().await.map_err(told("accept"))?;
        stream.set_nodelay(true).map_err(told("TCP_NODELAY"))?;
        spawn(stream, work);
    }
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
    let file = Arc::new(File::open(path).map_err(told("open"))?);
    let read = move |mut buffer: Vec<u8>, at: u64| {
        let file = Arc::clone(&file);
        unblock(move || (file.read_at(&mut buffer, at), buffer))
    };
    let mut readers = files::Readers::new(true);
    steady(settings, || {
        Smol.block_on(readers.step(|places, buffer| Smol::spawn(files::reads(places, buffer, read.clone()))))
    })
}

fn told<E: std::fmt::Display>(what: &str) -> impl Fn(E) -> String {
    move |error| format!("smol, {what}: {error}")
}
