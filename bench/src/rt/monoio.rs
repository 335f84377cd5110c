//! monoio on io_uring, as it comes. Its workers share nothing.

use std::{path::Path, rc::Rc, time::Duration};

use monoio::{
    IoUringDriver, RuntimeBuilder,
    fs::File,
    io::{AsyncReadRent as _, AsyncWriteRentExt as _},
    net::{TcpListener, TcpStream},
    spawn,
};

use crate::{
    harness::program::{Sample, Settings, steady},
    rt::{
        echo::{BUFFER, Seat, Service, apart, burn, ended},
        files,
        runtime::Runtime,
    },
};

pub(crate) struct Monoio(monoio::Runtime<IoUringDriver>);

impl Runtime for Monoio {
    fn open() -> Result<Monoio, String> {
        RuntimeBuilder::<IoUringDriver>::new().build().map(Monoio).map_err(told("runtime"))
    }

    fn block_on<T>(&mut self, future: impl Future<Output = T>) -> T {
        self.0.block_on(future)
    }

    fn spawn<T: Send + 'static>(
        future: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + 'static {
        spawn(future)
    }
}

pub(crate) fn echo(service: Service) -> Result<(), String> {
    apart(service, |seat| serve(&seat))
}

fn serve(seat: &Seat) -> Result<(), String> {
    Monoio::open()?.block_on(async {
        // It sets `SO_REUSEPORT` where nothing else is said.
        let listener = TcpListener::bind(seat.address).map_err(told("listen"))?;
        seat.listening()?;
        let work = seat.work;
        loop {
            let (stream, _) = listener.accept().await.map_err(told("accept"))?;
            stream.set_nodelay(true).map_err(told("TCP_NODELAY"))?;
            spawn(async move { ended(serve_one(stream, work).await) });
        }
    })
}

async fn serve_one(mut stream: TcpStream, work: Duration) -> Result<(), String> {
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
        buffer.clear();
    }
}

pub(crate) fn read(path: &Path, settings: Settings) -> Result<Sample, String> {
    let mut runtime = Monoio::open()?;
    let file = Rc::new(runtime.block_on(File::open(path)).map_err(told("open"))?);
    let read = move |buffer: Vec<u8>, at: u64| {
        let file = Rc::clone(&file);
        async move { file.read_at(buffer, at).await }
    };
    let mut readers = files::Readers::new(false);
    steady(settings, || {
        runtime.block_on(readers.step(|places, buffer| spawn(files::reads(places, buffer, read.clone()))))
    })
}

fn told<E: std::fmt::Display>(what: &str) -> impl Fn(E) -> String {
    move |error| format!("monoio, {what}: {error}")
}
