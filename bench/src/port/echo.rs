//! Echo over loopback TCP: connections x message bytes, CPU time of the server a request.
//!
//! The server is a process of its own on the first CPU, the client a thread of this process on the second.

use std::net::{Ipv4Addr, TcpListener, TcpStream};

use serde_json::{Value, json};

use crate::{
    gate::{Gates, Limit},
    harness::{
        child::Running,
        contest::Contest,
        counting,
        load::{self, Load, Place, Talk},
        program::{self, Program, Sample, Settings, named, names},
    },
    port::{compio, ours, polling, raw_epoll, raw_uring},
};

/// What each connection has room for in the server.
pub(crate) const BUFFER: usize = 16 << 10;

/// Connections and bytes of a message.
pub(crate) type Cell = (usize, usize);

const CELLS: [Cell; 6] = [(1, 64), (64, 64), (512, 64), (1, 16 << 10), (64, 16 << 10), (512, 16 << 10)];

/// Serves so many connections until all of them are closed; begins with [`announce`].
pub(crate) type Serve = fn(connections: usize) -> Result<(), String>;

const RAW: &[Program<Serve>] = &[("raw-epoll", raw_epoll::echo), ("raw-uring", raw_uring::echo)];

const COMPIO: &[Program<Serve>] = &[
    ("compio", compio::echo_plain),
    ("compio-tuned", compio::echo_tuned),
    ("compio-driver", compio::echo_driver),
];

const PEERS: &[Program<Serve>] = &[("compio-poll", compio::echo_poll), ("polling", polling::echo)];

fn programs() -> Vec<Program<Serve>> {
    [RAW, ours::ECHO, COMPIO, PEERS].concat()
}

/// The server's side.
pub(crate) fn serve(name: &str, connections: usize) -> Result<(), String> {
    named(&programs(), name)?(connections)
}

/// Tells the client where the server listens.
pub(crate) fn announce(port: u16) -> Result<(), String> {
    program::tell(&json!({ "port": port, "counter": counting::address() }))
}

/// What is the same for all servers that have no way of their own to accept: it is no part of the comparison.
pub(crate) fn accepted(connections: usize) -> Result<Vec<TcpStream>, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(told("listen"))?;
    announce(listener.local_addr().map_err(told("listen"))?.port())?;
    let mut streams = Vec::with_capacity(connections);
    for _ in 0..connections {
        let (stream, _) = listener.accept().map_err(told("accept"))?;
        stream.set_nodelay(true).map_err(told("TCP_NODELAY"))?;
        streams.push(stream);
    }
    Ok(streams)
}

/// All programs in turns.
pub(crate) fn compare(rounds: usize, settings: Settings, gates: &mut Gates) -> Result<Value, String> {
    let cases = CELLS.map(|(connections, size)| {
        let size = if size < 1024 { format!("{size} B") } else { format!("{} KiB", size >> 10) };
        format!("{connections} x {size}")
    });
    let columns = &["CPU ns a request", "requests/s"];
    let contest = Contest::hold(rounds, columns, &cases, names(&programs()), |case, name| {
        let sample = sample(settings, name, CELLS[case])?;
        Ok(vec![sample.nanoseconds(), sample.speed()])
    });
    gates.failed(contest.failures());
    let raw = names(RAW);
    contest.print("Echo, connections x message", &raw);
    println!("\nEcho, geometric mean of all cells over the better raw program of each: median, p25 - p75");
    for name in names(&programs()) {
        if let Some(mean) = contest.mean_ratio(name, &raw) {
            let (low, high) = (mean.quantile(0.25), mean.quantile(0.75));
            println!("{name:24} {:.3} {low:.3} - {high:.3}", mean.median());
        }
    }
    for name in names(ours::ECHO) {
        if let Some(mean) = contest.mean_ratio(name, &raw) {
            let what = format!("echo, {name} / better raw, mean of cells");
            gates.all(what, &mean, Limit::AtMost(1.05), None);
        }
        if let Some((case, ratio)) = contest.worst_ratio(name, &raw) {
            let what = format!("echo, {name} / better raw, worst cell ({})", contest.case(case));
            gates.all(what, &ratio, Limit::AtMost(1.15), None);
        }
        for peer in names(COMPIO) {
            if let Some(mean) = contest.mean_ratio(name, &[peer]) {
                gates.all(format!("echo, {name} / {peer}, mean of cells"), &mean, Limit::AtMost(1.0), None);
            }
        }
    }
    Ok(contest.json(&raw))
}

/// One server, from its start to its end.
pub(crate) fn sample(settings: Settings, name: &str, (connections, size): Cell) -> Result<Sample, String> {
    let server = Running::start(settings, &["port", "echo", name, &connections.to_string()])?;
    let load = Load { connections, talk: Talk::Echo(size), place: Place::Second };
    match load::measure(&server, settings, load) {
        Ok(measured) => server.end().map(|()| measured.sample),
        Err(why) => Err(format!("{why}; {}", server.stop())),
    }
}

fn told(what: &str) -> impl Fn(std::io::Error) -> String {
    move |error| format!("{what}: {error}")
}
