//! Echo over loopback TCP: connections x message bytes, CPU time of the server a request.
//!
//! The server is a process of its own, the client a thread of this process. With one worker the server is on the
//! first CPU and the client on the second, asking without sleep. With two workers nobody is pinned, and the client
//! sleeps while nothing comes, so that the workers have both CPUs of a machine with two.
//!
//! Runtimes whose workers share nothing listen once for each worker at the same port (`SO_REUSEPORT`), as their
//! users do; the kernel then decides which worker a connection has.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process,
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use rustix::{
    fd::OwnedFd,
    net::{AddressFamily, SocketType, bind, getsockname, listen, socket, sockopt},
};
use serde_json::{Value, json};

use crate::{
    gate::{Gates, Limit},
    harness::{
        child::Running,
        contest::Contest,
        counting,
        load::{self, Load, Measured, Place, Talk},
        processor,
        program::{self, Program, Settings, named, names},
    },
    measure::thread_cpu,
    rt::{compio, glommio, monoio, ours, smol, tokio},
};

/// What each connection has room for in the server.
pub(crate) const BUFFER: usize = 16 << 10;

/// How long a queue of connections that wait to be accepted may be.
const BACKLOG: i32 = 1024;

/// What a server is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Service {
    pub(crate) workers: usize,
    /// The CPU time that each request takes beside its echo.
    pub(crate) work: Duration,
}

/// Serves connections until it is ended; begins with [`announce`].
pub(crate) type Serve = fn(service: Service) -> Result<(), String>;

pub(crate) const PEERS: &[Program<Serve>] = &[
    ("tokio", tokio::echo),
    ("compio", compio::echo_plain),
    ("compio-tuned", compio::echo_tuned),
    ("monoio", monoio::echo),
    ("smol", smol::echo),
    ("glommio", glommio::echo),
];

pub(crate) fn programs() -> Vec<Program<Serve>> {
    [ours::ECHO, PEERS].concat()
}

/// Workers, connections and bytes of a message.
type Cell = (usize, usize, usize);

const CELLS: [Cell; 12] = [
    (1, 1, 64),
    (1, 64, 64),
    (1, 512, 64),
    (1, 1, 16 << 10),
    (1, 64, 16 << 10),
    (1, 512, 16 << 10),
    (2, 1, 64),
    (2, 64, 64),
    (2, 512, 64),
    (2, 1, 16 << 10),
    (2, 64, 16 << 10),
    (2, 512, 16 << 10),
];

/// What they may be named by.
pub(crate) fn cells() -> Vec<String> {
    let name = |(workers, connections, size): Cell| {
        let size = if size < 1024 { format!("{size}B") } else { format!("{}KiB", size >> 10) };
        format!("{workers}w-{connections}x{size}")
    };
    CELLS.map(name).to_vec()
}

/// The server's side; `work` is in microseconds.
pub(crate) fn serve(name: &str, workers: usize, work: usize) -> Result<(), String> {
    if workers == 1 {
        processor::pin(0)?;
    }
    named(&programs(), name)?(Service { workers, work: Duration::from_micros(work as u64) })
}

/// All programs in turns.
pub(crate) fn compare(
    wanted: &[usize],
    rounds: usize,
    settings: Settings,
    gates: &mut Gates,
) -> Result<Value, String> {
    let called = cells();
    let cases: Vec<String> = wanted.iter().map(|cell| called[*cell].clone()).collect();
    let columns = &["CPU ns a request", "requests/s", "p50 us", "p99 us"];
    let contest = Contest::hold(rounds, columns, &cases, names(&programs()), |case, name| {
        let (workers, connections, size) = CELLS[wanted[case]];
        let place = if workers == 1 { Place::Second } else { Place::Free };
        let load = Load { connections, talk: Talk::Echo(size), place };
        let measured = measure(settings, name, workers, 0, load)?;
        let sample = measured.sample;
        Ok(vec![sample.nanoseconds(), sample.speed(), measured.latency(0.5), measured.latency(0.99)])
    });
    gates.failed(contest.failures());
    let peers = names(PEERS);
    contest.print("Echo, workers - connections x message", &peers);
    println!("\nEcho, geometric mean of all {} cells, CPU ns a request: median, p25 - p75", cases.len());
    for name in names(&programs()) {
        if let Some(mean) = contest.mean(name) {
            let (low, high) = (mean.quantile(0.25), mean.quantile(0.75));
            println!("{name:24} {:.0} {low:.0} - {high:.0}", mean.median());
        }
    }
    // One peer for all cells, as a user would have to choose.
    let mean = |name: &str| contest.mean(name).map(|mean| mean.median());
    let ran = peers.iter().copied().filter(|name| mean(name).is_some());
    let best = ran.min_by(|one, other| mean(one).partial_cmp(&mean(other)).expect("they are figures"));
    for name in names(ours::ECHO) {
        if let Some((ours, best)) = contest.mean(name).zip(best)
            && let Some(peer) = contest.mean(best)
        {
            let what = format!("echo, mean of {} cells, {name} / {best}", cases.len());
            gates.all(what, &ours.over(&peer), Limit::AtMost(1.05), Some(0.95));
        }
        if let Some((case, ratio)) = contest.worst_ratio(name, &peers) {
            let against = contest.best(case, &peers).unwrap_or("nobody");
            let what = format!("echo, worst cell ({}), {name} / {against}", contest.case(case));
            gates.all(what, &ratio, Limit::AtMost(1.2), None);
        }
    }
    Ok(contest.json(&peers))
}

/// One server, from its start to its end; `work` is in microseconds.
pub(crate) fn measure(
    settings: Settings,
    name: &str,
    workers: usize,
    work: usize,
    load: Load,
) -> Result<Measured, String> {
    let server = start(settings, name, workers, work)?;
    load::measure(&server, settings, load).map_err(|why| format!("{why}; {}", server.stop()))
}

/// Starts a server, which serves until it is ended.
pub(crate) fn start(settings: Settings, name: &str, workers: usize, work: usize) -> Result<Running, String> {
    Running::start(settings, &["rt", "echo", name, &workers.to_string(), &work.to_string()])
}

/// Tells the client where the server listens.
pub(crate) fn announce(address: SocketAddr) -> Result<(), String> {
    program::tell(&json!({ "port": address.port(), "counter": counting::address() }))
}

/// What a handler does beside its echo: it takes CPU time of its thread.
pub(crate) fn burn(work: Duration) {
    if work.is_zero() {
        return;
    }
    let end = thread_cpu() + work;
    while thread_cpu() < end {
        // A look at the clock is a system call; some hundred nanoseconds of arithmetic are between two of them.
        (0..256_u64).fold(0, |sum, next| std::hint::black_box(sum ^ next));
    }
}

/// What became of a connection: nothing may go wrong with one.
pub(crate) fn ended(connection: Result<(), String>) {
    if let Err(why) = connection {
        fail(&why);
    }
}

/// Ends the process because of a thread or task that nobody waits for.
fn fail(why: &str) -> ! {
    eprintln!("{why}");
    process::exit(1)
}

/// The place of one worker among workers that share nothing.
#[derive(Debug)]
pub(crate) struct Seat {
    /// Where all of them listen.
    pub(crate) address: SocketAddr,
    pub(crate) work: Duration,
    all: Arc<Barrier>,
}

impl Seat {
    /// Called by each worker when it listens: whoever connects from then on may come to any of them.
    pub(crate) fn listening(&self) -> Result<(), String> {
        match self.all.wait().is_leader() {
            true => announce(self.address),
            false => Ok(()),
        }
    }
}

/// Runs each worker on a thread of its own, the first one on this.
pub(crate) fn apart(service: Service, run: fn(Seat) -> Result<(), String>) -> Result<(), String> {
    // Bound and never listening: it only keeps the port for the others.
    let keeper = reused(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let address = SocketAddr::try_from(getsockname(&keeper).map_err(told("address"))?);
    let address = address.map_err(told("address"))?;
    let all = Arc::new(Barrier::new(service.workers));
    let seat = || Seat { address, work: service.work, all: Arc::clone(&all) };
    for _ in 1..service.workers {
        let seat = seat();
        thread::spawn(move || {
            if let Err(why) = run(seat) {
                fail(&why);
            }
        });
    }
    run(seat())
}

/// Listens where others listen too, for runtimes that have no such way of their own.
pub(crate) fn listen_too(address: SocketAddr) -> Result<TcpListener, String> {
    let socket = reused(address)?;
    listen(&socket, BACKLOG).map_err(told("listen"))?;
    Ok(TcpListener::from(socket))
}

fn reused(address: SocketAddr) -> Result<OwnedFd, String> {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).map_err(told("socket"))?;
    sockopt::set_socket_reuseport(&socket, true).map_err(told("SO_REUSEPORT"))?;
    bind(&socket, &address).map_err(told("bind"))?;
    Ok(socket)
}

fn told<E: std::fmt::Display>(what: &str) -> impl Fn(E) -> String {
    move |error| format!("{what}: {error}")
}
