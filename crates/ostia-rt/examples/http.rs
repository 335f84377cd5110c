//! An HTTP/1 server with hyper, on this runtime.
//!
//! ```sh
//! cargo run -p ostia-rt --release --example http -- 127.0.0.1:8080 &
//! curl http://127.0.0.1:8080/hello
//! ```
//!
//! The first argument is the address (127.0.0.1:0, any free port, unless told otherwise), the second the number of
//! workers. It prints where it listens, and serves until it is asked to end (ctrl-c, or SIGTERM): then it takes no
//! connection any more, gives answers that are under way a second, and says what became of the rest. A second ctrl-c ends
//! it at once, and so does a second SIGTERM.

use std::{convert::Infallible, env, error::Error, io, net::SocketAddr, process::ExitCode, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use ostia_rt::{
    Class, Handle, Placement, Runtime,
    compat::{Compat, hyper::Timer},
    net::{TcpListener, TcpStream},
};

const USAGE: &str = "usage: http [ADDRESS [WORKERS]]";
/// What is under way has so long when the server is asked to end.
const GRACE: Duration = Duration::from_secs(1);
const DEADLINE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("http: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let address: SocketAddr = address
        .parse()
        .map_err(|_| format!("{address:?} is no address: write one such as 127.0.0.1:8080; {USAGE}"))?;
    let mut builder = Runtime::builder().name("http");
    if let Some(workers) = arguments.next() {
        let count = workers.parse().map_err(|_| format!("{workers:?} is no number of workers; {USAGE}"))?;
        builder = builder.workers_per_node(count);
    }
    let runtime = builder.build()?;
    // Who reads that it listens may at once ask it to end: signals are heard from before the first poll on.
    let program = async {
        let listener =
            TcpListener::bind(address).map_err(|error| format!("cannot listen on {address}: {error}"))?;
        println!("listening on http://{}", listener.local_addr()?);
        let accepting = Handle::current().spawn(serve(listener)).abort_on_drop();
        Ok::<_, Box<dyn Error>>(accepting.await??)
    };
    let run = runtime.run_until_signal(program, GRACE, DEADLINE)?;
    match run.end {
        Ok(ended) => ended,
        Err(signal) => {
            eprintln!("http: ended by {signal}: {}", run.report);
            Ok(())
        }
    }
}

/// Accepts connections until that fails for good; each is a task, with the worker that has fewer of them, and belongs to
/// its node.
async fn serve(listener: TcpListener) -> io::Result<()> {
    let runtime = Handle::current();
    loop {
        match listener.accept_at(Placement::LeastLoaded).await {
            Ok((stream, place)) => drop(runtime.spawn_at(place, connection(stream))),
            Err(error) if Class::of(&error) == Class::Fatal => return Err(error),
            // Of one connection that is gone before it was taken, or of a system that lacks something for the moment.
            Err(error) => eprintln!("http: {error}"),
        }
    }
}

async fn connection(stream: TcpStream) {
    // Answers are small, and nobody should wait for more of them.
    let _ = stream.set_nodelay(true);
    let served =
        http1::Builder::new().timer(Timer).serve_connection(Compat::from(stream), service_fn(answer));
    if let Err(error) = served.await {
        eprintln!("http: a connection ended: {error}");
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, body) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/") => {
            (StatusCode::OK, Bytes::from_static(b"hello from a completion port\n"))
        }
        (&Method::GET | &Method::HEAD, path) => {
            (StatusCode::OK, Bytes::from(format!("hello, {}\n", &path[1..])))
        }
        _ => (StatusCode::METHOD_NOT_ALLOWED, Bytes::from_static(b"this server only says hello\n")),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    Ok(response)
}
