//! Four threads at one port, thousands of connections, and no mercy: bytes are checked as they come, receives are
//! cancelled, connections are dropped in the middle and opened again, and wander from thread to thread.
//!
//! Two seconds as a test; `cargo xtask soak stress` runs it for a minute.

#![cfg(target_os = "linux")]

use std::{
    collections::HashMap,
    env, fs,
    io::{self, Write},
    thread,
    time::{Duration, Instant},
};

use ostia_port::{
    Address, Backend, Batch, Berth, Class, ListenOptions, Listener, Packet, Payload, Port, Report, Stream,
    Ticket,
    op::{self, TicketId},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const THREADS: usize = 4;
/// Both ends of a connection are ours: two descriptors each.
const PAIRS_MAX: usize = 4_000;
/// Descriptors that are no connection: files of the test, rings, listeners, and pairs that are being replaced.
const SPARE: usize = 512;

/// A generator of our own: the run is to be the same whatever the standard library does.
struct Dice(u64);

impl Dice {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ mixed >> 27) % below
    }
}

/// The byte at a place of every stream.
fn byte(place: u64) -> u8 {
    (place.wrapping_mul(0x9e37_79b9) >> 13) as u8
}

struct Pair {
    client: Stream,
    server: Stream,
    sent: u64,
    received: u64,
    out: Option<Ticket<op::Send<Vec<u8>>>>,
    into: Option<Ticket<op::Receive<Vec<u8>>>>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    bytes: u64,
    opened: u64,
    dropped: u64,
    cancelled: u64,
    wandered: u64,
}

struct Worker<'a> {
    port: &'a Port,
    berth: Berth,
    batch: Batch,
    listener: Listener,
    address: Address,
    dice: Dice,
    pairs: Vec<Pair>,
    /// Which pair an operation is of, and whether it receives.
    names: HashMap<TicketId, (usize, bool)>,
    spare: Vec<Vec<u8>>,
    tally: Tally,
}

impl<'a> Worker<'a> {
    fn new(port: &'a Port, seed: u64) -> io::Result<Worker<'a>> {
        let loopback = Address::Ip("127.0.0.1:0".parse().expect("an address"));
        let listener = port.listen(&loopback, &ListenOptions::new())?;
        Ok(Worker {
            port,
            berth: port.berth()?,
            batch: Batch::new(),
            address: listener.local_address()?,
            listener,
            dice: Dice(seed),
            pairs: Vec::new(),
            names: HashMap::new(),
            spare: Vec::new(),
            tally: Tally::default(),
        })
    }

    /// One more connection. What happens to the others meanwhile is attended to.
    fn open(&mut self) -> io::Result<()> {
        let stream = self.port.stream(&self.address)?;
        let mut accept = self.berth.submit(op::Accept::new(&self.listener)).expect("there is room");
        let mut connect = self.berth.submit(op::Connect::new(stream, &self.address)?).expect("there is room");
        while !(accept.is_done() && connect.is_done()) {
            self.attend(Some(Duration::from_secs(30)));
        }
        let (connected, client) = connect.poll().expect("it is done");
        connected?;
        let server = accept.poll().expect("it is done").0?;
        self.pairs.push(Pair { client, server, sent: 0, received: 0, out: None, into: None });
        self.tally.opened += 1;
        Ok(())
    }

    fn attend(&mut self, timeout: Option<Duration>) {
        let mut batch = std::mem::take(&mut self.batch);
        self.berth.wait(&mut batch, timeout).expect("a wait does not fail");
        for packet in batch.drain() {
            match packet {
                Packet::Done(id) => self.ended(id),
                Packet::More(id) => panic!("{id} yields one result"),
                Packet::Post(Payload::Value(value)) => {
                    self.pairs.push(*value.downcast::<Pair>().expect("pairs are what is posted"));
                }
                Packet::Post(payload) => panic!("nobody posts {payload:?}"),
            }
        }
        self.batch = batch;
    }

    fn ended(&mut self, id: TicketId) {
        // Not found: an operation that was abandoned, or one of `open`.
        let Some((place, receives)) = self.names.remove(&id) else { return };
        let pair = &mut self.pairs[place];
        if receives {
            let (received, buffer) =
                pair.into.take().and_then(|mut ticket| ticket.poll()).expect("it is done");
            match received {
                Ok(received) => {
                    assert!(received.len > 0, "nobody closes a half");
                    for (&got, place) in buffer.iter().zip(pair.received..) {
                        assert_eq!(got, byte(place), "byte {place} of a stream");
                    }
                    pair.received += received.len as u64;
                    self.tally.bytes += received.len as u64;
                }
                Err(error) => assert_eq!(Class::of(&error), Class::Cancelled, "{error}"),
            }
            self.spare.push(buffer);
        } else {
            let (sent, buffer) = pair.out.take().and_then(|mut ticket| ticket.poll()).expect("it is done");
            assert_eq!(sent.expect("the other end is ours, and reads"), buffer.len());
            self.spare.push(buffer);
        }
    }

    fn buffer(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_else(|| Vec::with_capacity(4096))
    }

    /// Something happens to one connection.
    fn act(&mut self) -> io::Result<()> {
        if self.pairs.is_empty() {
            return Ok(());
        }
        let place = self.dice.next(self.pairs.len() as u64) as usize;
        if self.pairs[place].out.is_none() {
            let mut bytes = self.buffer();
            let pair = &mut self.pairs[place];
            let end = pair.sent + 1 + self.dice.next(4096);
            bytes.clear();
            bytes.extend((pair.sent..end).map(byte));
            pair.sent = end;
            let ticket = self.berth.submit(op::Send::new(&pair.client, bytes)).expect("there is room");
            self.names.insert(ticket.id(), (place, false));
            pair.out = Some(ticket);
        }
        if self.pairs[place].into.is_none() {
            let bytes = self.buffer();
            let pair = &mut self.pairs[place];
            let ticket = self.berth.submit(op::Receive::new(&pair.server, bytes)).expect("there is room");
            self.names.insert(ticket.id(), (place, true));
            pair.into = Some(ticket);
        } else if self.dice.next(16) == 0
            && let Some(ticket) = &mut self.pairs[place].into
        {
            ticket.cancel();
            self.tally.cancelled += 1;
        }
        if self.dice.next(256) == 0 {
            // Both ends go in the middle of whatever they do.
            drop(self.remove(place));
            self.tally.dropped += 1;
            self.open()?;
        }
        Ok(())
    }

    /// Lets an idle connection go to whichever thread comes first.
    fn wander(&mut self) {
        let Some(place) = self.pairs.iter().position(|pair| pair.out.is_none() && pair.into.is_none()) else {
            return;
        };
        let pair = self.remove(place);
        match self.port.post(Payload::Value(Box::new(pair))) {
            Ok(()) => self.tally.wandered += 1,
            Err(refused) => match refused.payload {
                Payload::Value(value) => self.pairs.push(*value.downcast().expect("it is a pair")),
                other => panic!("{other:?} was not posted"),
            },
        }
    }

    /// Takes a pair out; the last one gets its place.
    fn remove(&mut self, place: usize) -> Pair {
        let pair = self.pairs.swap_remove(place);
        for ticket in
            [pair.out.as_ref().map(Ticket::id), pair.into.as_ref().map(Ticket::id)].into_iter().flatten()
        {
            self.names.remove(&ticket);
        }
        if let Some(moved) = self.pairs.get(place) {
            for ticket in [moved.out.as_ref().map(Ticket::id), moved.into.as_ref().map(Ticket::id)]
                .into_iter()
                .flatten()
            {
                if let Some(name) = self.names.get_mut(&ticket) {
                    name.0 = place;
                }
            }
        }
        pair
    }

    fn run(mut self, pairs: usize, length: Duration) -> (Tally, Report) {
        for _ in 0..pairs {
            self.open().expect("a connection");
        }
        let end = Instant::now() + length;
        while Instant::now() < end {
            for _ in 0..64 {
                self.act().expect("a connection");
            }
            self.wander();
            self.attend(Some(Duration::ZERO));
        }
        let Worker { berth, pairs, tally, .. } = self;
        drop(pairs);
        (tally, berth.close(Duration::from_secs(20)))
    }
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("Linux").count()
}

/// How many pairs the descriptor limit allows.
fn pairs() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).expect("up to the hard limit one may");
    let allowed = limit.maximum.map_or(usize::MAX, |maximum| maximum as usize);
    (allowed.saturating_sub(SPARE) / 2).min(PAIRS_MAX)
}

fn stress(backend: Backend) {
    let seconds =
        env::var("OSTIA_STRESS_SECONDS").ok().map_or(2, |text| text.parse().expect("a number of seconds"));
    let pairs = pairs();
    let before = descriptors();
    let port = match Port::builder().backend(backend).open() {
        Ok(port) => port,
        Err(error) => {
            let _ = writeln!(io::stderr(), "SKIPPED the stress on {backend}: {error}");
            return;
        }
    };
    let results: Vec<(Tally, Report)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS as u64)
            .map(|seed| {
                let port = &port;
                scope.spawn(move || {
                    let worker = Worker::new(port, seed).expect("a berth");
                    worker.run(pairs / THREADS, Duration::from_secs(seconds))
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker")).collect()
    });
    let report = port.close(Duration::from_secs(20)).expect("every berth is closed");
    let mut sum = Tally::default();
    for (tally, report) in &results {
        sum.bytes += tally.bytes;
        sum.opened += tally.opened;
        sum.dropped += tally.dropped;
        sum.cancelled += tally.cancelled;
        sum.wandered += tally.wandered;
        assert_eq!((report.leaked, report.unknown), (0, 0), "{report:?}");
    }
    let _ = writeln!(
        io::stderr(),
        "stress on {backend}: {seconds} s, {} descriptors, {sum:?}, {report:?}",
        pairs * 2
    );
    assert_eq!(report.submitted, report.ended, "each operation ends once");
    assert!(sum.bytes > 0 && sum.dropped > 0 && sum.cancelled > 0 && sum.wandered > 0, "{sum:?}");
    drop(port);
    // Kernels close the files of a ring a little later than the ring.
    let end = Instant::now() + Duration::from_secs(10);
    while descriptors() > before && Instant::now() < end {
        thread::yield_now();
    }
    assert!(descriptors() <= before, "{} descriptors before, {} after", before, descriptors());
}

#[test]
fn four_threads_and_thousands_of_connections_lose_nothing() {
    // One after the other: together they would ask for twice the descriptors.
    stress(Backend::Uring);
    stress(Backend::Epoll);
}
