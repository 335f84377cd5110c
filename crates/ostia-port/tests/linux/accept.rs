//! Accepting many.

use std::{
    io,
    net::TcpStream,
    time::{Duration, Instant},
};

use ostia_port::{Batch, ListenOptions, op};

use crate::{LONG, finish, is_alone, listener, loopback, next, on_each_level, run};

#[test]
fn more_connections_than_a_ring_has_room_for_are_all_accepted() {
    on_each_level("many connections", |builder| {
        // Completions for eight fit: the kernel keeps the rest, and a multishot accept ends and is begun again.
        let port = builder.ring_entries(2).open().unwrap();
        let mut berth = port.berth().unwrap();
        let listener = listener(&port);
        let std::net::SocketAddr::V4(address) = listener.local_address().unwrap().as_ip().unwrap() else {
            panic!("an address of IPv4")
        };
        let mut accept = berth.submit(op::AcceptMany::new(&listener)).unwrap();
        run(&mut berth, op::Nop).0.unwrap();
        let clients: Vec<TcpStream> = (0..64).map(|_| TcpStream::connect(address).unwrap()).collect();
        let mut accepted = Vec::new();
        while accepted.len() < clients.len() {
            accepted.push(next(&mut berth, &mut accept).expect("it has not ended").unwrap());
        }
        let mut peers: Vec<_> =
            accepted.iter().map(|stream| stream.peer_address().unwrap().as_ip().unwrap()).collect();
        let mut ours: Vec<_> = clients.iter().map(|client| client.local_addr().unwrap()).collect();
        peers.sort_unstable();
        ours.sort_unstable();
        assert_eq!(peers, ours);
        accept.cancel();
        let ended = finish(&mut berth, accept).0;
        assert!(ended.is_err(), "{ended:?}");
    });
}

#[test]
fn it_ends_well_when_too_many_wait_and_none_is_lost() {
    on_each_level("too many wait", |builder| {
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        let listener = listener(&port);
        let address = listener.local_address().unwrap().as_ip().unwrap();
        let all = op::AcceptMany::WAITING_MAX + 150;
        let clients: Vec<TcpStream> = (0..all).map(|_| TcpStream::connect(address).unwrap()).collect();
        let mut accepted = 0;
        let mut ends = 0;
        while accepted < clients.len() {
            let before = accepted;
            let mut accept = berth.submit(op::AcceptMany::new(&listener)).unwrap();
            let mut batch = Batch::new();
            // Nobody takes the streams until it has ended, or all are there.
            let mut seen = 0;
            while !accept.is_done() && accepted + seen < clients.len() {
                assert_ne!(berth.wait(&mut batch, Some(LONG)).unwrap(), 0, "it hangs at {accepted} + {seen}");
                seen += batch.iter().filter(|packet| matches!(packet, ostia_port::Packet::More(_))).count();
            }
            if !accept.is_done() {
                accept.cancel();
            }
            while let Some(stream) = next(&mut berth, &mut accept) {
                stream.unwrap();
                accepted += 1;
            }
            if finish(&mut berth, accept).0.is_ok() {
                assert!(accepted - before >= op::AcceptMany::WAITING_MAX, "{before} to {accepted}");
                ends += 1;
            }
        }
        assert!(ends > 0, "it never ended by itself");
        assert_eq!(accepted, clients.len());
    });
}

/// The limit of descriptors is the whole process's: so this test has one of its own.
#[test]
fn a_lack_of_descriptors_is_told_and_waited_for() {
    if is_alone("accept::a_lack_of_descriptors_is_told_and_waited_for", &[]) {
        without_descriptors();
    }
}

fn without_descriptors() {
    on_each_level("lack of descriptors", |builder| {
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        let listener = listener(&port);
        let address = listener.local_address().unwrap().as_ip().unwrap();
        let client = TcpStream::connect(address).unwrap();
        let hoard = Hoard::take();
        let mut accept = berth.submit(op::AcceptMany::new(&listener)).unwrap();
        let begun = Instant::now();
        let mut told = 0;
        let mut batch = Batch::new();
        while begun.elapsed() < Duration::from_millis(200) {
            berth.wait(&mut batch, Some(Duration::from_millis(50))).unwrap();
            while let Some(item) = accept.next() {
                assert_eq!(item.unwrap_err().raw_os_error(), Some(libc_emfile()));
                told += 1;
            }
        }
        // It is told, and tried again, each time after twice as long.
        assert!((1..20).contains(&told), "{told} errors in 200 ms");
        assert!(!accept.is_done());
        drop(hoard);
        let stream = loop {
            if let Ok(stream) = next(&mut berth, &mut accept).expect("it goes on") {
                break stream;
            }
        };
        assert_eq!(stream.peer_address().unwrap().as_ip(), Some(client.local_addr().unwrap()));
    });
}

fn libc_emfile() -> i32 {
    rustix::io::Errno::MFILE.raw_os_error()
}

/// Every descriptor there is.
struct Hoard(#[expect(dead_code, reason = "held")] Vec<std::fs::File>, rustix::process::Rlimit);

impl Hoard {
    fn take() -> Hoard {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let before = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, rustix::process::Rlimit { current: Some(128), ..before }).unwrap();
        let mut files = Vec::new();
        loop {
            match std::fs::File::open("/dev/null") {
                Ok(file) => files.push(file),
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(libc_emfile()), "{error}");
                    return Hoard(files, before);
                }
            }
        }
    }
}

impl Drop for Hoard {
    fn drop(&mut self) {
        rustix::process::setrlimit(rustix::process::Resource::Nofile, self.1).unwrap();
    }
}

#[test]
fn an_abandoned_accept_of_many_closes_what_it_had() {
    on_each_level("abandoned accept", |builder| {
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        let listener = port.listen(&loopback(), &ListenOptions::new()).unwrap();
        let address = listener.local_address().unwrap().as_ip().unwrap();
        let accept = berth.submit(op::AcceptMany::new(&listener)).unwrap();
        let mut clients: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(address).unwrap()).collect();
        let mut batch = Batch::new();
        let mut seen = 0;
        while seen < clients.len() {
            seen += berth.wait(&mut batch, Some(LONG)).unwrap();
        }
        drop(accept);
        run(&mut berth, op::Nop).0.unwrap();
        for client in &mut clients {
            client.set_read_timeout(Some(LONG)).unwrap();
            let end = io::Read::read(client, &mut [0; 1]);
            assert!(
                matches!(end, Ok(0))
                    || end.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
            );
        }
    });
}

#[test]
fn a_handle_that_does_not_listen_is_an_error_and_no_end() {
    on_each_level("no listener", |builder| {
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        let listener = listener(&port);
        // A listener that is shut down does not listen any more.
        let raw = listener.raw();
        // SAFETY: the listener lives.
        let borrowed = unsafe { std::os::fd::BorrowedFd::borrow_raw(raw) };
        rustix::net::shutdown(borrowed, rustix::net::Shutdown::Both).unwrap();
        let (ended, ()) = run(&mut berth, op::AcceptMany::new(&listener));
        assert!(ended.is_err());
    });
}
