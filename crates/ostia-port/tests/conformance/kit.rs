//! What the cases have in common: one thread's desk at a port, pairs of streams, and looks at the system.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::{Duration, Instant},
};

use ostia_port::{
    Address, Backend, Batch, Berth, Class, ListenOptions, Listener, Packet, Payload, Port, Stream, Ticket,
    op::{self, Op},
};

/// Long enough for anything that is going to happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a finished operation gives.
pub(crate) type Ended<O> = (io::Result<<O as Op>::Out>, <O as Op>::Back);

/// A berth, and what its waits have brought.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) port: Port,
    pub(crate) berth: Berth,
    batch: Batch,
    /// Posts that waits brought while something else was waited for.
    pub(crate) posts: Vec<Payload>,
    /// How long one wait may sleep.
    nap: Duration,
}

impl Desk {
    /// This thread's place at a port at which no other thread waits.
    pub(crate) fn new(port: &Port) -> Desk {
        let berth = port.berth().expect("an open port has a place for a thread");
        Desk {
            port: port.clone(),
            berth,
            batch: Batch::new(),
            posts: Vec::new(),
            nap: Duration::from_secs(1),
        }
    }

    /// This thread's place at a port at which others wait, too. Where all share one queue, another may receive the
    /// packet of what this one waits for: then it has to look for itself now and then.
    pub(crate) fn among(port: &Port) -> Desk {
        let mut desk = Desk::new(port);
        if port.backend() == Backend::Iocp {
            desk.nap = Duration::from_millis(5);
        }
        desk
    }

    #[track_caller]
    pub(crate) fn submit<O: Op>(&mut self, op: O) -> Ticket<O> {
        self.berth.submit(op).expect("the operation is begun")
    }

    /// One wait.
    #[track_caller]
    pub(crate) fn turn(&mut self, timeout: Option<Duration>) -> Vec<Packet> {
        self.berth.wait(&mut self.batch, timeout).expect("a wait fails only if the system does");
        self.batch.drain().collect()
    }

    /// Waits until it is so.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Desk) -> bool) {
        let start = Instant::now();
        while !is_so(self) {
            assert!(start.elapsed() < PATIENCE, "it did not come to this: {what}");
            for packet in self.turn(Some(self.nap)) {
                if let Packet::Post(payload) = packet {
                    self.posts.push(payload);
                }
            }
        }
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn end<O: Op>(&mut self, ticket: &mut Ticket<O>) -> Ended<O> {
        let mut ended = None;
        self.until("an operation ends", |_| {
            ended = ticket.poll();
            ended.is_some()
        });
        ended.expect("it has ended")
    }

    #[track_caller]
    pub(crate) fn run<O: Op>(&mut self, op: O) -> Ended<O> {
        let mut ticket = self.submit(op);
        self.end(&mut ticket)
    }

    /// As `run`, for what must succeed.
    #[track_caller]
    pub(crate) fn ok<O: Op>(&mut self, op: O) -> (O::Out, O::Back) {
        let (result, back) = self.run(op);
        (result.expect("the operation succeeds"), back)
    }

    /// The next of many results; none when there will be no more.
    #[track_caller]
    pub(crate) fn item<O: Op>(&mut self, ticket: &mut Ticket<O>) -> Option<io::Result<O::Item>> {
        let mut item = None;
        self.until("there is one more, or an end", |_| {
            item = ticket.next();
            item.is_some() || ticket.is_done()
        });
        // It may have ended between the two questions.
        item.or_else(|| ticket.next())
    }

    /// Waits long enough for what does not happen: ten naps of a millisecond.
    #[track_caller]
    pub(crate) fn idle(&mut self) {
        for _ in 0..10 {
            for packet in self.turn(Some(Duration::from_millis(1))) {
                if let Packet::Post(payload) = packet {
                    self.posts.push(payload);
                }
            }
        }
    }

    /// One short wait.
    #[track_caller]
    pub(crate) fn idle_once(&mut self) {
        let packets = self.turn(Some(Duration::from_micros(100)));
        self.posts.extend(packets.into_iter().filter_map(|packet| match packet {
            Packet::Post(payload) => Some(payload),
            _ => None,
        }));
    }

    #[track_caller]
    pub(crate) fn listen(&self, at: &Address) -> (Listener, Address) {
        let listener = self.port.listen(at, &ListenOptions::new()).expect("it can be listened there");
        let address = match at {
            Address::Ip(_) => listener.local_address().expect("a listener has an address"),
            Address::Local(_) => at.clone(),
        };
        (listener, address)
    }

    #[track_caller]
    pub(crate) fn connect(&mut self, to: &Address) -> op::Connect {
        let stream = self.port.stream(to).expect("a stream can be made");
        op::Connect::new(stream, to).expect("it is an address")
    }

    /// Both ends of a connection: who connected, who accepted.
    #[track_caller]
    pub(crate) fn pair_at(&mut self, listener: &Listener, at: &Address) -> (Stream, Stream) {
        let mut accept = self.submit(op::Accept::new(listener));
        let connect = self.connect(at);
        let mut connect = self.submit(connect);
        let (connected, stream) = self.end(&mut connect);
        connected.expect("somebody listens");
        let (accepted, ()) = self.end(&mut accept);
        (stream, accepted.expect("somebody connects"))
    }

    #[track_caller]
    pub(crate) fn pair_over(&mut self, way: &Address) -> (Stream, Stream) {
        let (listener, at) = self.listen(way);
        self.pair_at(&listener, &at)
    }

    /// Both ends of a TCP connection.
    #[track_caller]
    pub(crate) fn pair(&mut self) -> (Stream, Stream) {
        self.pair_over(&v4())
    }

    #[track_caller]
    pub(crate) fn send(&mut self, stream: &Stream, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        let len = bytes.len();
        let (sent, _) = self.ok(op::Send::new(stream, bytes));
        assert_eq!(sent, len, "sends are whole");
    }

    /// Exactly so many bytes.
    #[track_caller]
    pub(crate) fn receive(&mut self, stream: &Stream, len: usize) -> Vec<u8> {
        let mut all = Vec::with_capacity(len);
        while all.len() < len {
            let (received, bytes) = self.ok(op::Receive::new(stream, room((len - all.len()).min(1 << 20))));
            assert!(received.len > 0, "the stream ends after {} of {len} bytes", all.len());
            all.extend_from_slice(&bytes[..received.len]);
        }
        all
    }

    /// Everything up to the end of the stream.
    #[track_caller]
    pub(crate) fn receive_to_end(&mut self, stream: &Stream) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let (received, bytes) = self.ok(op::Receive::new(stream, Vec::with_capacity(64 * 1024)));
            if received.len == 0 {
                return all;
            }
            all.extend_from_slice(&bytes);
        }
    }
}

/// A buffer with room for so many bytes and no more; a vector may have more than it was asked for.
pub(crate) fn room(len: usize) -> Box<[u8]> {
    vec![0; len].into_boxed_slice()
}

/// Bytes by which one sees if any is missing, doubled or in the wrong place.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_u32;
    let mut bytes = Vec::with_capacity(len + 3);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Loopback, and a port of the system's choice.
pub(crate) fn v4() -> Address {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()
}

/// The same over IPv6.
pub(crate) fn v6() -> Address {
    SocketAddr::from((Ipv6Addr::LOCALHOST, 0)).into()
}

/// How many handles are open: of the simulated kernel, or of this process.
pub(crate) fn handles_of(port: &Port) -> usize {
    ostia_port::sim::State::of(port).map_or_else(open_handles, |state| state.handles)
}

#[track_caller]
pub(crate) fn class_of<T>(result: io::Result<T>) -> Class {
    match result {
        Ok(_) => panic!("a failure was due, and it succeeded"),
        Err(error) => Class::of(&error),
    }
}

#[track_caller]
pub(crate) fn assert_cancelled<T>(result: io::Result<T>) {
    match result {
        Ok(_) => panic!("it was to end cancelled, and it succeeded"),
        Err(error) => assert_eq!(Class::of(&error), Class::Cancelled, "{error}"),
    }
}

#[cfg(not(windows))]
mod linux;
#[cfg(windows)]
mod windows;

#[cfg(not(windows))]
pub(crate) use self::linux::{is_inheritable, is_wine, open_handles};
#[cfg(windows)]
pub(crate) use self::windows::{is_inheritable, is_wine, open_handles};
