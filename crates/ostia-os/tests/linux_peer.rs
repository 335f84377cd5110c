//! Who is at the other end of a Unix socket, and what a process inherits.
#![cfg(target_os = "linux")]

use std::{
    env,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::{UnixDatagram, UnixListener, UnixStream},
    process::{self, Child, Command, Stdio},
    thread,
};

use ostia_os::{
    CpuSet, affinity, limits,
    peer::{Peer, User},
    topology::Topology,
};

/// What the other process shall be told.
const WORD: &str = "OSTIA_OS_TEST_WORD";

/// Starts a test of this file in a process of its own.
fn start(test: &str, word: &str) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", test])
        .env(WORD, word)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn both_ends_of_a_pair_are_this_process() {
    let (one, other) = UnixStream::pair().unwrap();
    let current = Peer::current().unwrap();
    assert_eq!((current.pid(), current.is_held()), (Some(process::id()), false));
    assert_eq!(current.is_running().unwrap(), None);
    for end in [&one, &other] {
        let peer = Peer::of_socket(end).unwrap();
        assert_eq!(peer.pid(), Some(process::id()));
        assert_eq!(peer.user(), current.user());
        assert!(peer.same_user(&current));
    }
    assert!(matches!(current.user(), User::Unix { .. }));
}

#[test]
fn a_socket_that_has_no_peer_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    assert!(Peer::of_socket(&stream).is_err());
    let alone = UnixDatagram::unbound().unwrap();
    assert_eq!(Peer::of_socket(&alone).unwrap_err().kind(), io::ErrorKind::NotConnected);
    assert!(Peer::of_socket(io::stderr()).is_err());
}

#[test]
#[ignore = "the other process of the test below, which starts it"]
fn the_client() {
    let mut socket = UnixStream::connect(env::var(WORD).unwrap()).unwrap();
    // Until the server's end is closed.
    socket.read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn the_process_at_the_other_end_is_held_and_seen_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let mut child = start("the_client", path.to_str().unwrap());
    let (socket, _) = listener.accept().unwrap();
    let peer = Peer::of_socket(&socket).unwrap();
    assert_eq!(peer.pid(), Some(child.id()));
    assert!(peer.same_user(&Peer::current().unwrap()));
    if peer.is_held() {
        assert_eq!(peer.is_running().unwrap(), Some(true));
    }
    drop(socket);
    assert!(child.wait().unwrap().success());
    if peer.is_held() {
        assert_eq!(peer.is_running().unwrap(), Some(false));
    } else {
        let name = "the_process_at_the_other_end_is_held_and_seen_to_end";
        let _ = writeln!(io::stderr(), "SKIPPED {name}: this kernel has no SO_PEERPIDFD (Linux 6.5)");
    }
}

#[test]
#[ignore = "the other process of the test below, which starts it"]
fn a_confined_process() {
    let only: CpuSet = env::var(WORD).unwrap().parse().unwrap();
    assert_eq!(affinity::allowed().unwrap(), only);
    assert_eq!(Topology::detect().unwrap().cpus(), only);
    assert_eq!(limits::cpus().unwrap().parallelism().get(), 1);
}

#[test]
fn a_process_that_is_confined_sees_what_is_left() {
    // What a thread starts inherits its CPUs, as from taskset.
    let child = thread::spawn(|| {
        let last: CpuSet = affinity::current().unwrap().iter().last().into_iter().collect();
        let _pinned = affinity::pin(&last).unwrap();
        start("a_confined_process", &last.to_string()).wait()
    });
    assert!(child.join().unwrap().unwrap().success());
}
