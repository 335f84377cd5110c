//! glommio, as it comes. Its workers share nothing.

use std::{path::Path, rc::Rc, time::Duration};

use glommio::{
    LocalExecutor, LocalExecutorBuilder, Placement,
    io::BufferedFile,
    net::{TcpListener, TcpStream},
    spawn_local,
};
use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    harness::program::{Sample, Settings, steady},
    rt::{
        echo::{BUFFER, Seat, Service, apart, burn, ended},
        files,
        runtime::Runtime,
    },
};

pub(crate) struct Glommio(LocalExecutor);

impl Runtime for Glommio {
    fn open() -> Result<Glommio, String> {
        LocalExecutorBuilder::new(Placement::Unbound).make().map(Glommio).map_err(told("executor"))
    }

    fn block_on<T>(&mut self, future: impl Future<Output = T>) -> T {
        self.0.run(future)
    }

    fn spawn<T: Send + 'static>(
        future: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + 'static {
        spawn_local(future)
    }
}

pub(crate) fn echo(service: Service) -> Result<(), String> {
    apart(service, |seat| serve(&seat))
}

fn serve(seat: &Seat) -> Result<(), String> {
    Glommio::open()?.block_on(async {
        // It always sets `SO_REUSEPORT`.
        let listener = TcpListener::bind(seat.address).map_err(told("listen"))?;
        seat.listening()?;
        let work = seat.work;
        loop {
            let stream = listener.accept().await.map_err(told("accept"))?;
            stream.set_nodelay(true).map_err(told("TCP_NODELAY"))?;
            spawn_local(async move { ended(serve_one(stream, work).await) }).detach();
        }
    })
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

/// It reads into buffers of its own, and no other way is offered.
pub(crate) fn read(path: &Path, settings: Settings) -> Result<Sample, String> {
    let mut runtime = Glommio::open()?;
    let file = Rc::new(runtime.block_on(BufferedFile::open(path)).map_err(told("open"))?);
    let mut readers = files::Readers::new(false);
    steady(settings, || {
        runtime.block_on(readers.step(|mut places, buffer| {
            let file = Rc::clone(&file);
            spawn_local(async move {
                for _ in 0..files::EACH {
                    let meant = places.next();
                    let block = file.read_at(meant * files::BLOCK as u64, files::BLOCK).await;
                    let block = block.map_err(told("read"))?;
                    files::check(block.len(), &block, meant)?;
                }
                Ok(buffer)
            })
        }))
    })
}

fn told<E: std::fmt::Display>(what: &str) -> impl Fn(E) -> String {
    move |error| format!("glommio, {what}: {error}")
}
