//! compio: its runtime as it comes, and with the flags that suit one thread. Its workers share nothing.

use std::time::Duration;

use compio::{
    BufResult,
    driver::ProactorBuilder,
    io::{AsyncRead as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::spawn,
};

use crate::{
    port::compio::{plain, runtime, tuned},
    rt::{
        echo::{BUFFER, Seat, Service, apart, burn, ended, listen_too},
        runtime::Runtime,
    },
};

/// As it comes.
pub(crate) struct Plain(compio::runtime::Runtime);

/// With the flags of a ring that one thread uses.
pub(crate) struct Tuned(compio::runtime::Runtime);

/// The two kinds differ in nothing but their flags.
macro_rules! kind {
    ($name:ident, $flags:ident) => {
        impl Runtime for $name {
            fn open() -> Result<$name, String> {
                Ok($name(runtime($flags())?))
            }

            fn block_on<T>(&mut self, future: impl Future<Output = T>) -> T {
                self.0.block_on(future)
            }

            fn spawn<T: Send + 'static>(
                future: impl Future<Output = T> + Send + 'static,
            ) -> impl Future<Output = T> + 'static {
                let task = spawn(future);
                async { task.await.unwrap_or_else(|_| unreachable!("no task here panics or is cancelled")) }
            }
        }
    };
}

kind!(Plain, plain);
kind!(Tuned, tuned);

pub(crate) fn echo_plain(service: Service) -> Result<(), String> {
    apart(service, |seat| echo(plain(), &seat))
}

pub(crate) fn echo_tuned(service: Service) -> Result<(), String> {
    apart(service, |seat| echo(tuned(), &seat))
}

fn echo(flags: ProactorBuilder, seat: &Seat) -> Result<(), String> {
    runtime(flags)?.block_on(async {
        let listener = TcpListener::from_std(listen_too(seat.address)?).map_err(told("listen"))?;
        seat.listening()?;
        let work = seat.work;
        loop {
            let (stream, _) = listener.accept().await.map_err(told("accept"))?;
            stream.set_nodelay(true).map_err(told("TCP_NODELAY"))?;
            spawn(async move { ended(serve_one(stream, work).await) }).detach();
        }
    })
}

async fn serve_one(mut stream: TcpStream, work: Duration) -> Result<(), String> {
    let mut buffer = Vec::with_capacity(BUFFER);
    loop {
        let BufResult(read, received) = stream.read(buffer).await;
        if read.map_err(told("read"))? == 0 {
            return Ok(());
        }
        burn(work);
        let BufResult(written, sent) = stream.write_all(received).await;
        written.map_err(told("write"))?;
        buffer = sent;
        buffer.clear();
    }
}

fn told<E: std::fmt::Display>(what: &str) -> impl Fn(E) -> String {
    move |error| format!("compio, {what}: {error}")
}
