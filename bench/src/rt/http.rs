//! Pages over HTTP/1.1 with hyper, 64 connections that are kept: requests a second of the server's CPU time.

use std::convert::Infallible;

use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    rt::{Read, Write},
    server::conn::http1,
    service::service_fn,
};
use serde_json::Value;

use crate::{
    gate::{Gates, Limit},
    harness::{
        child::Running,
        contest::Contest,
        load::{self, Load, Place, Talk},
        processor,
        program::{Program, Settings, named, names},
    },
    rt::{ours, tokio},
};

const LOAD: Load = Load { connections: 64, talk: Talk::Http, place: Place::Second };

/// Serves connections until it is ended; begins with [`announce`](crate::rt::echo::announce).
pub(crate) type Serve = fn() -> Result<(), String>;

const PEERS: &[Program<Serve>] = &[("tokio", tokio::http)];

fn programs() -> Vec<Program<Serve>> {
    [ours::HTTP, PEERS].concat()
}

/// What it may be named by.
pub(crate) fn cells() -> Vec<String> {
    vec!["64-connections".to_owned()]
}

/// The server's side.
pub(crate) fn serve(name: &str) -> Result<(), String> {
    processor::pin(0)?;
    named(&programs(), name)?()
}

/// Serves one connection to its end: the same for every runtime.
pub(crate) async fn serve_one(stream: impl Read + Write + Unpin) -> Result<(), String> {
    let page = async |_: Request<Incoming>| {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"Hello, world!\n"))))
    };
    let served = http1::Builder::new().serve_connection(stream, service_fn(page)).await;
    served.map_err(|error| format!("hyper: {error}"))
}

/// All programs in turns.
pub(crate) fn compare(
    _: &[usize],
    rounds: usize,
    settings: Settings,
    gates: &mut Gates,
) -> Result<Value, String> {
    let columns = &["CPU ns a request", "requests/CPU s", "requests/s", "p50 us", "p99 us"];
    let contest = Contest::hold(rounds, columns, &cells(), names(&programs()), |_, name| {
        let server = Running::start(settings, &["rt", "http", name])?;
        let measured = load::measure(&server, settings, LOAD);
        let measured = measured.map_err(|why| format!("{why}; {}", server.stop()))?;
        let cost = measured.sample.nanoseconds();
        let (p50, p99) = (measured.latency(0.5), measured.latency(0.99));
        Ok(vec![cost, 1e9 / cost, measured.sample.speed(), p50, p99])
    });
    gates.failed(contest.failures());
    contest.print("HTTP/1.1 with hyper", &names(PEERS));
    for name in names(ours::HTTP) {
        // Less time a request is more requests a second of it.
        if let Some(ratio) = contest.ratio(0, "tokio", name) {
            let what = format!("hyper, 64 connections, requests a CPU second, {name} / tokio");
            gates.all(what, &ratio, Limit::AtLeast(0.95), Some(1.1));
        }
    }
    Ok(contest.json(&names(PEERS)))
}
