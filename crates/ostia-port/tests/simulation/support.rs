//! What the tests of this program share.

use std::time::Duration;

use ostia_port::{
    Address, Batch, Berth, Builder, ListenOptions, Listener, Port, Stream, Ticket, op,
    sim::{Options, State},
};

pub(crate) fn port(options: Options) -> Port {
    port_of(Port::builder().sim(options))
}

pub(crate) fn port_of(builder: Builder) -> Port {
    builder.open().expect("a simulated kernel opens")
}

pub(crate) fn state(port: &Port) -> State {
    State::of(port).expect("the port is simulated")
}

pub(crate) fn any_ip() -> Address {
    Address::Ip("127.0.0.1:0".parse().expect("an address"))
}

/// Waits until the operation has ended, and takes its result.
pub(crate) fn end<O: op::Op>(berth: &mut Berth, mut ticket: Ticket<O>) -> (std::io::Result<O::Out>, O::Back) {
    let mut batch = Batch::new();
    loop {
        if let Some(result) = ticket.poll() {
            return result;
        }
        berth.wait(&mut batch, None).expect("a wait for an operation that ends");
    }
}

/// Submits an operation and waits for its end.
pub(crate) fn run<O: op::Op>(berth: &mut Berth, op: O) -> (std::io::Result<O::Out>, O::Back) {
    let ticket = berth.submit(op).expect("there is room for an operation");
    end(berth, ticket)
}

/// A listener, and both ends of a connection through it.
pub(crate) fn connected(berth: &mut Berth) -> (Listener, Stream, Stream) {
    let port = berth.port().clone();
    let listener = port.listen(&any_ip(), &ListenOptions::new()).expect("a port of its own");
    let address = listener.local_address().expect("it is bound");
    let accept = berth.submit(op::Accept::new(&listener)).expect("room");
    let client = port.stream(&address).expect("a stream");
    let (result, client) = run(berth, op::Connect::new(client, &address).expect("an address"));
    result.expect("somebody listens");
    let server = end(berth, accept).0.expect("somebody connects");
    (listener, server, client)
}

/// Closes the berth and holds its report to what must be.
pub(crate) fn close(berth: Berth) {
    let port = berth.port().clone();
    let report = berth.close(Duration::from_secs(10));
    assert_eq!(report.leaked, 0, "{report:?}");
    assert_eq!(report.unknown, 0, "{report:?}");
    assert_eq!(report.ended, report.submitted, "{report:?}");
    assert_eq!(state(&port).handles, 0, "no handle is left");
}
