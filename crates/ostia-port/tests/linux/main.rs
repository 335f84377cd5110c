//! What only Linux has, and what only its rings can get wrong. What every back end owes is in `conformance`; what needs
//! a look at descriptors, signals or children is here, for rings and for epoll.

#![cfg(target_os = "linux")]

mod accept;
mod children;
mod doors;
mod files;
mod hangup;
mod large;
mod local;
mod managed;
mod options;
mod readiness;
mod refused;
mod rings;
mod sockets;

use std::{
    io::{self, Write},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use ostia_port::{
    Address, Backend, Batch, Berth, Builder, ListenOptions, Listener, Port, Stream, Ticket,
    op::{self, Op},
    os::linux::{RingLevel, RingOptions},
};

/// Nothing in these tests takes as long unless it hangs.
const LONG: Duration = Duration::from_secs(20);

const LEVELS: [RingLevel; 5] =
    [RingLevel::Linux5_11, RingLevel::Linux5_19, RingLevel::Linux6_0, RingLevel::Linux6_1, RingLevel::Latest];

fn builder(level: RingLevel) -> Builder {
    Port::builder().backend(Backend::Uring).ring(RingOptions::new().level_max(level))
}

/// Runs a test with rings as on every kernel from 5.11 up to this one; or says that there are none.
fn on_each_level(name: &str, test: impl Fn(Builder)) {
    for level in LEVELS {
        if let Err(error) = builder(level).open() {
            let _ = writeln!(io::stderr(), "SKIPPED {name} as on {level:?}: no io_uring: {error}");
            continue;
        }
        test(builder(level));
    }
}

/// Runs a test with rings of every level, and with epoll.
fn on_each_backend(name: &str, test: impl Fn(Builder)) {
    on_each_level(name, &test);
    test(Port::builder().backend(Backend::Epoll));
}

/// Runs a test in a process of its own: what it looks at or changes is the whole process's. True in that process.
fn is_alone(name: &str, variables: &[(&str, &std::path::Path)]) -> bool {
    const ALONE: &str = "OSTIA_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", name, "--nocapture"]).env(ALONE, "1").envs(variables.iter().copied());
    let done = child.output().unwrap();
    let told = String::from_utf8_lossy(&done.stderr);
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{:?}: {said}{told}", done.status);
    assert!(said.contains("1 passed"), "no test is called {name}: {said}");
    // What is printed by `eprint!` in a test that passes is never seen; a line that says SKIPPED is to be.
    let _ = io::stderr().write_all(&done.stderr);
    false
}

/// Waits until an operation has ended.
fn finish<O: Op>(berth: &mut Berth, mut ticket: Ticket<O>) -> (io::Result<O::Out>, O::Back) {
    let mut batch = Batch::new();
    loop {
        if let Some(end) = ticket.poll() {
            return end;
        }
        assert_ne!(berth.wait(&mut batch, Some(LONG)).unwrap(), 0, "{ticket:?} hangs");
    }
}

/// Submits, and waits until it has ended.
fn run<O: Op>(berth: &mut Berth, op: O) -> (io::Result<O::Out>, O::Back) {
    let ticket = berth.submit(op).unwrap();
    finish(berth, ticket)
}

/// The next of many results; `None` when the operation has ended.
fn next<O: Op>(berth: &mut Berth, ticket: &mut Ticket<O>) -> Option<io::Result<O::Item>> {
    let mut batch = Batch::new();
    loop {
        if let Some(item) = ticket.next() {
            return Some(item);
        }
        if ticket.is_done() {
            return ticket.next();
        }
        assert_ne!(berth.wait(&mut batch, Some(LONG)).unwrap(), 0, "{ticket:?} hangs");
    }
}

fn loopback() -> Address {
    Address::Ip("127.0.0.1:0".parse().unwrap())
}

/// A name in the file system that no other test has.
fn local_name() -> Address {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("ostia-port-linux-{}-{number}", std::process::id());
    Address::Local(std::env::temp_dir().join(name))
}

fn listener(port: &Port) -> Listener {
    port.listen(&loopback(), &ListenOptions::new()).unwrap()
}

/// Both ends of a connection.
fn pair_of(berth: &mut Berth, listener: &Listener) -> (Stream, Stream) {
    let port = berth.port().clone();
    let address = listener.local_address().unwrap();
    let accept = berth.submit(op::Accept::new(listener)).unwrap();
    let connect = op::Connect::new(port.stream(&address).unwrap(), &address).unwrap();
    let (connected, client) = run(berth, connect);
    connected.unwrap();
    (finish(berth, accept).0.unwrap(), client)
}

fn pair(berth: &mut Berth) -> (Stream, Stream) {
    let listener = listener(berth.port());
    pair_of(berth, &listener)
}

/// Bytes that are not the same anywhere near.
fn pattern(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|place| (place as u8).wrapping_mul(31).wrapping_add((place >> 8) as u8) ^ seed).collect()
}
