//! The client that all servers meet: one thread, one epoll instance, ping-pong on every connection.
//!
//! A connection has one request underway at most: sent whole, and the next one when the answer is back whole. Both
//! ends have `TCP_NODELAY`. The first answer of each connection is compared byte by byte, or read as HTTP.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::epoll::{self, CreateFlags, Event, EventData, EventFlags},
    fd::OwnedFd,
    time::Timespec,
};

use crate::harness::{
    child::Running,
    processor,
    program::{Sample, Settings},
};

/// A server that answers nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Events taken at once.
const EVENTS: usize = 512;

/// What servers are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Talk {
    /// So many bytes, and the same bytes back.
    Echo(usize),
    /// A page over HTTP/1.1, on a connection that is kept.
    Http,
}

/// Where the client is while it measures, and how it waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// On the second CPU, asking for events without ever sleeping. A client that sleeps has to be woken by the
    /// server, and on a virtual machine that costs the server an interrupt through the host: up to 300 us where
    /// the host is busy, many times the request. A client on another machine costs it nothing of the kind.
    Second,
    /// Wherever the system puts it, asleep while nothing comes: so that a server that wants all CPUs has them.
    Free,
}

/// What a client asks for, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) connections: usize,
    pub(crate) talk: Talk,
    pub(crate) place: Place,
}

/// What came of a load.
#[derive(Debug)]
pub(crate) struct Measured {
    /// What the server took for it.
    pub(crate) sample: Sample,
    /// How many answers each connection had.
    pub(crate) each: Vec<u64>,
    /// How long each answer took, the shortest first.
    latencies: Vec<Duration>,
}

impl Measured {
    /// What a part of the answers came within, in microseconds; `at` is between 0 and 1.
    pub(crate) fn latency(&self, at: f64) -> f64 {
        let index = (self.latencies.len().saturating_sub(1)) as f64 * at;
        self.latencies.get(index.round() as usize).map_or(0.0, |latency| latency.as_secs_f64() * 1e6)
    }
}

/// Puts a load on a server that runs, and measures it.
pub(crate) fn measure(server: &Running, settings: Settings, load: Load) -> Result<Measured, String> {
    thread::scope(|scope| {
        // A thread of its own, since what it is pinned to, processes started by it would be pinned to as well.
        let client = scope.spawn(|| drive(server, settings, load));
        client.join().map_err(|_| "the client panicked".to_owned())?
    })
}

/// The server's CPU time is read from outside, before and after, when the client has all its answers and the server
/// sleeps: so both figures are exact, and every request counts whole.
fn drive(server: &Running, settings: Settings, load: Load) -> Result<Measured, String> {
    if load.place == Place::Second {
        processor::pin(1)?;
    }
    let said = |name: &str| server.first()[name].as_u64().ok_or_else(|| format!("it did not say its {name}"));
    let port = u16::try_from(said("port")?).map_err(|error| error.to_string())?;
    let allocations = || if settings.counting { server.number_at(said("counter")?) } else { Ok(0) };
    let mut client = Client::connect(port, load)?;
    client.drive(settings.warm)?;
    let (counted, cpu) = (allocations()?, server.idle_cpu()?);
    client.forget();
    let begun = Instant::now();
    client.drive(settings.measured)?;
    let wall = begun.elapsed();
    let cpu = server.idle_cpu()? - cpu;
    let allocations = allocations()? - counted;
    let each: Vec<u64> = client.connections.iter().map(|connection| connection.answers).collect();
    let mut latencies = client.latencies;
    latencies.sort_unstable();
    Ok(Measured { sample: Sample { operations: each.iter().sum(), cpu, wall, allocations }, each, latencies })
}

/// Connections to a server.
pub(crate) struct Client {
    epoll: OwnedFd,
    connections: Vec<Connection>,
    request: Vec<u8>,
    /// Bytes of an answer.
    answer: usize,
    back: Vec<u8>,
    events: Vec<Event>,
    latencies: Vec<Duration>,
    pause: Timespec,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    /// How much of the answer is back.
    back: usize,
    /// When the request was sent.
    sent: Instant,
    /// How many came back whole.
    answers: u64,
}

impl Client {
    /// Connects, and has each connection answer one request, which is looked at.
    pub(crate) fn connect(port: u16, load: Load) -> Result<Client, String> {
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(|error| format!("epoll: {error}"))?;
        let mut client = Client {
            epoll,
            connections: Vec::with_capacity(load.connections),
            request: load.talk.request(),
            answer: 0,
            back: Vec::new(),
            events: Vec::with_capacity(EVENTS),
            latencies: Vec::new(),
            pause: match load.place {
                Place::Second => Timespec { tv_sec: 0, tv_nsec: 0 },
                Place::Free => Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 },
            },
        };
        for _ in 0..load.connections {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(told("connect"))?;
            stream.set_nodelay(true).map_err(told("TCP_NODELAY"))?;
            client.connections.push(Connection { stream, back: 0, sent: Instant::now(), answers: 0 });
        }
        for index in 0..load.connections {
            let stream = &mut client.connections[index].stream;
            stream.set_read_timeout(Some(PATIENCE)).map_err(told("a time limit"))?;
            stream.write_all(&client.request).map_err(told("send"))?;
            client.answer = load.talk.look(stream, &client.request)?;
            stream.set_nonblocking(true).map_err(told("O_NONBLOCK"))?;
            let data = EventData::new_u64(index as u64);
            epoll::add(&client.epoll, stream, data, EventFlags::IN).map_err(told("epoll"))?;
        }
        client.back.resize(client.answer, 0);
        Ok(client)
    }

    /// Begins to count anew.
    fn forget(&mut self) {
        self.latencies.clear();
        for connection in &mut self.connections {
            connection.answers = 0;
        }
    }

    /// Keeps every connection busy for a while, and waits for what is underway then.
    pub(crate) fn drive(&mut self, span: Duration) -> Result<(), String> {
        let end = Instant::now() + span;
        for index in 0..self.connections.len() {
            self.send(index, Instant::now())?;
        }
        let mut underway = self.connections.len();
        let mut heard = Instant::now();
        while underway > 0 {
            self.events.clear();
            let room = rustix::buffer::spare_capacity(&mut self.events);
            epoll::wait(&self.epoll, room, Some(&self.pause)).map_err(told("epoll"))?;
            let now = Instant::now();
            if !self.events.is_empty() {
                heard = now;
            } else if now > heard + PATIENCE {
                return Err(format!("{underway} requests are still underway after {PATIENCE:?}"));
            }
            for at in 0..self.events.len() {
                let index = { self.events[at].data }.u64() as usize;
                if !self.receive(index)? {
                    continue;
                }
                let now = Instant::now();
                let connection = &mut self.connections[index];
                connection.answers += 1;
                self.latencies.push(now - connection.sent);
                if now >= end {
                    underway -= 1;
                } else {
                    self.send(index, now)?;
                }
            }
        }
        Ok(())
    }

    fn send(&mut self, index: usize, now: Instant) -> Result<(), String> {
        let connection = &mut self.connections[index];
        connection.sent = now;
        // With one request underway the buffers of the two sockets are empty, and take it.
        match connection.stream.write(&self.request).map_err(told("send"))? {
            all if all == self.request.len() => Ok(()),
            part => Err(format!("the socket took {part} bytes of {}", self.request.len())),
        }
    }

    /// Receives what is there; true when the answer is complete.
    fn receive(&mut self, index: usize) -> Result<bool, String> {
        let connection = &mut self.connections[index];
        let left = self.answer - connection.back;
        match connection.stream.read(&mut self.back[..left]).map_err(told("receive"))? {
            0 => return Err("the server closed a connection".into()),
            read => connection.back += read,
        }
        let complete = connection.back == self.answer;
        if complete {
            connection.back = 0;
        }
        Ok(complete)
    }
}

impl Talk {
    fn request(self) -> Vec<u8> {
        match self {
            Talk::Echo(size) => (0..size).map(|at| (at % 251) as u8).collect(),
            Talk::Http => b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec(),
        }
    }

    /// Reads the first answer while the connection still waits, to see that it is one. Gives its length, which all
    /// later ones have: the date in the head of a page is always as long.
    fn look(self, stream: &mut TcpStream, request: &[u8]) -> Result<usize, String> {
        match self {
            Talk::Echo(size) => {
                let mut back = vec![0; size];
                stream.read_exact(&mut back).map_err(told("receive"))?;
                if back != request {
                    return Err("what comes back is not what was sent".into());
                }
                Ok(size)
            }
            Talk::Http => {
                let mut back = Vec::new();
                loop {
                    let mut piece = [0; 1024];
                    match stream.read(&mut piece).map_err(told("receive"))? {
                        0 => return Err("the server closed a connection within a page".into()),
                        read => back.extend_from_slice(&piece[..read]),
                    }
                    match page(&back)? {
                        Some(length) if back.len() == length => return Ok(length),
                        Some(length) if back.len() > length => return Err("more than a page came".into()),
                        _ => {}
                    }
                }
            }
        }
    }
}

/// The length of a page with its head, once the head is there.
fn page(back: &[u8]) -> Result<Option<usize>, String> {
    const END: &[u8] = b"\r\n\r\n";
    let Some(end) = back.windows(END.len()).position(|window| window == END) else { return Ok(None) };
    let head = str::from_utf8(&back[..end]).map_err(|error| format!("the head of a page: {error}"))?;
    let mut lines = head.split("\r\n");
    match lines.next() {
        Some(status) if status.starts_with("HTTP/1.1 200") => {}
        other => return Err(format!("instead of a page came {other:?}")),
    }
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
    });
    match length {
        Some(Ok(length)) => Ok(Some(end + END.len() + length)),
        _ => Err("a page without its length".into()),
    }
}

fn told<E: std::fmt::Display>(what: &str) -> impl Fn(E) -> String {
    move |error| format!("client, {what}: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_as_long_as_its_head_says() {
        assert_eq!(page(b"HTTP/1.1 200 OK\r\nContent-Le"), Ok(None));
        assert_eq!(page(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\ndate: now\r\n\r\n"), Ok(Some(54)));
        assert!(page(b"HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\n").is_err());
        assert!(page(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }
}
