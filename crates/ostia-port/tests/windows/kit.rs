//! What the tests share.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use ostia_port::{Address, Batch, Berth, ListenOptions, Listener, Port, Stream, Ticket, op};

/// Long enough for a slow machine, short enough for a hung test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn loopback() -> Address {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()
}

/// Waits until the operation has ended.
#[track_caller]
pub(crate) fn end<O: op::Op>(berth: &mut Berth, ticket: &mut Ticket<O>) -> (io::Result<O::Out>, O::Back) {
    let mut batch = Batch::new();
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(result) = ticket.poll() {
            return result;
        }
        let left = give_up.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "an operation has not ended in time");
        berth.wait(&mut batch, Some(left)).expect("a wait");
    }
}

/// Waits for the next of many results.
#[track_caller]
pub(crate) fn next<O: op::Op>(berth: &mut Berth, ticket: &mut Ticket<O>) -> io::Result<O::Item> {
    let mut batch = Batch::new();
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(item) = ticket.next() {
            return item;
        }
        assert!(!ticket.is_done(), "an operation of many results has ended early");
        let left = give_up.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "no further result in time");
        berth.wait(&mut batch, Some(left)).expect("a wait");
    }
}

/// Takes what is there, without waiting.
pub(crate) fn look(berth: &mut Berth) -> usize {
    let mut batch = Batch::new();
    berth.wait(&mut batch, Some(Duration::ZERO)).expect("a look")
}

#[track_caller]
pub(crate) fn submit<O: op::Op>(berth: &mut Berth, op: O) -> Ticket<O> {
    berth.submit(op).expect("the port takes it")
}

/// Submits, and waits for the end.
#[track_caller]
pub(crate) fn run<O: op::Op>(berth: &mut Berth, op: O) -> (io::Result<O::Out>, O::Back) {
    let mut ticket = submit(berth, op);
    end(berth, &mut ticket)
}

#[track_caller]
pub(crate) fn connect(berth: &mut Berth, to: &Address) -> Stream {
    let stream = berth.port().stream(to).expect("a stream");
    let (connected, stream) = run(berth, op::Connect::new(stream, to).expect("an address"));
    connected.expect("a connection");
    stream
}

/// Both ends of a connection.
#[track_caller]
pub(crate) fn pair(berth: &mut Berth, listener: &Listener, to: &Address) -> (Stream, Stream) {
    let mut accept = submit(berth, op::Accept::new(listener));
    let client = connect(berth, to);
    let server = end(berth, &mut accept).0.expect("an accepted stream");
    (client, server)
}

#[track_caller]
pub(crate) fn tcp_pair(berth: &mut Berth) -> (Stream, Stream) {
    let listener = berth.port().listen(&loopback(), &ListenOptions::new()).expect("a listener");
    let to = listener.local_address().expect("its address");
    pair(berth, &listener, &to)
}

#[track_caller]
pub(crate) fn receive(
    berth: &mut Berth,
    stream: &Stream,
    room: usize,
) -> (io::Result<op::Received>, Vec<u8>) {
    run(berth, op::Receive::new(stream, Vec::with_capacity(room)))
}

#[track_caller]
pub(crate) fn receive_all(berth: &mut Berth, stream: &Stream, len: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < len {
        let (received, bytes) = receive(berth, stream, len - all.len());
        assert_ne!(received.expect("bytes").len, 0, "the stream ended after {} of {len} bytes", all.len());
        all.extend(bytes);
    }
    all
}

#[track_caller]
pub(crate) fn send(berth: &mut Berth, stream: &Stream, bytes: impl Into<Vec<u8>>) {
    let bytes = bytes.into();
    let len = bytes.len();
    let (sent, _) = run(berth, op::Send::new(stream, bytes));
    assert_eq!(sent.expect("a send"), len);
}

pub(crate) fn open() -> (Port, Berth) {
    let port = Port::open().expect("a port");
    let berth = port.berth().expect("a berth");
    (port, berth)
}

/// Closes, and sees that everything was given back.
#[track_caller]
pub(crate) fn close(port: Port, berth: Berth) {
    berth.close(PATIENCE);
    let report = port.close(PATIENCE).expect("all berths are closed");
    assert_eq!((report.leaked, report.unknown), (0, 0), "{report:?}");
    assert_eq!(report.submitted, report.ended, "{report:?}");
}
