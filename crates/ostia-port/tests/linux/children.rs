//! What a port must not do to its process: hand descriptors to children, leave them open, raise signals, write to
//! memory after its berth is gone.

use std::{
    io::{Read, Write},
    mem,
    net::{TcpListener, TcpStream},
    os::fd::RawFd,
    process::{Command, Stdio},
    ptr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use ostia_port::{Address, Batch, Builder, Class, ListenOptions, Stream, op};

use crate::{LONG, finish, is_alone, listener, local_name, loopback, next, on_each_backend, pair, run};

/// What the descriptor leads to: `socket:[17]`, or a path.
fn leads_to(raw: RawFd) -> String {
    std::fs::read_link(format!("/proc/self/fd/{raw}")).unwrap().to_string_lossy().into_owned()
}

#[test]
fn no_descriptor_of_a_port_is_handed_to_a_child() {
    on_each_backend("children", |builder| {
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        let listener = listener(&port);
        let address = listener.local_address().unwrap();
        let connect =
            |port: &ostia_port::Port| op::Connect::new(port.stream(&address).unwrap(), &address).unwrap();
        let (connected, client) = run(&mut berth, connect(&port));
        connected.unwrap();
        let server = run(&mut berth, op::Accept::new(&listener)).0.unwrap();
        let mut many = berth.submit(op::AcceptMany::new(&listener)).unwrap();
        let (connected, second) = run(&mut berth, connect(&port));
        connected.unwrap();
        let another = next(&mut berth, &mut many).expect("it goes on").unwrap();
        let name = local_name();
        let local = port.listen(&name, &ListenOptions::new()).unwrap();
        let datagram = port.datagram(&loopback()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let options = op::OpenOptions::new().write(true).create(true);
        let file = run(&mut berth, op::Open::new(&port, &dir.path().join("f"), options).unwrap()).0.unwrap();
        let raws = [
            listener.raw(),
            client.raw(),
            server.raw(),
            second.raw(),
            another.raw(),
            local.raw(),
            datagram.raw(),
            file.raw(),
        ];
        let mut child = Command::new("ls");
        child.args(["-l", "/proc/self/fd"]).stdin(Stdio::null()).stderr(Stdio::null());
        let seen = String::from_utf8(child.output().unwrap().stdout).unwrap();
        assert!(seen.contains("/dev/null"), "the child does not see its own: {seen}");
        for raw in raws {
            let ours = leads_to(raw);
            assert!(!seen.contains(&ours), "{ours} in {seen}");
        }
        for kind in ["io_uring", "eventpoll", "eventfd"] {
            assert!(!seen.contains(kind), "{kind} in {seen}");
        }
    });
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn nothing_of_a_port_is_left_open_when_it_is_gone() {
    if !is_alone("children::nothing_of_a_port_is_left_open_when_it_is_gone", &[]) {
        return;
    }
    on_each_backend("descriptors", |builder| {
        let round = |builder: Builder| {
            let port = builder.ring_entries(4).lent_buffers(4, 64).open().unwrap();
            let mut berth = port.berth().unwrap();
            let listener = listener(&port);
            let pairs: Vec<_> = (0..8).map(|_| crate::pair_of(&mut berth, &listener)).collect();
            let mut kept = Vec::new();
            for (number, (server, client)) in pairs.iter().enumerate() {
                let receive = berth.submit(op::ReceiveManagedMany::new(server)).unwrap();
                let send = berth.submit(op::Send::new(client, vec![1; 200])).unwrap();
                if number % 2 == 0 {
                    drop((receive, send));
                } else {
                    kept.push((receive, send));
                }
            }
            let accept = berth.submit(op::AcceptMany::new(&listener)).unwrap();
            let clients: Vec<_> = (0..4)
                .map(|_| TcpStream::connect(listener.local_address().unwrap().as_ip().unwrap()).unwrap())
                .collect();
            berth.wait(&mut Batch::new(), Some(Duration::ZERO)).unwrap();
            // Whether it has accepted some of them: they go with it.
            drop(accept);
            assert_eq!(berth.close(LONG).leaked, 0);
            drop((pairs, clients, listener, kept));
            port.close(LONG).unwrap();
        };
        round(builder.clone());
        let before = descriptors();
        for _ in 0..10 {
            round(builder.clone());
        }
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn a_send_to_a_peer_that_is_gone_raises_no_signal() {
    if !is_alone("children::a_send_to_a_peer_that_is_gone_raises_no_signal", &[]) {
        return;
    }
    // A Rust program ignores the signal from its start; whoever embeds the port may not.
    // SAFETY: the default action replaces the one of the standard library.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    on_each_backend("signals", |builder| {
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        for address in [loopback(), local_name()] {
            let is_local = address.as_path().is_some();
            let listener = port.listen(&address, &ListenOptions::new()).unwrap();
            let address = if is_local { address } else { listener.local_address().unwrap() };
            let connect = op::Connect::new(port.stream(&address).unwrap(), &address).unwrap();
            let (connected, client) = run(&mut berth, connect);
            connected.unwrap();
            drop(run(&mut berth, op::Accept::new(&listener)).0.unwrap());
            // TCP hears of it by the answer to a first send.
            let failed =
                (0..1000).find_map(|_| run(&mut berth, op::Send::new(&client, b"x".to_vec())).0.err());
            assert_eq!(Class::of(&failed.expect("nobody is there")), Class::PeerGone);
            let (sent, _) =
                run(&mut berth, op::SendVectored::new(&client, vec![b"x".to_vec(), b"y".to_vec()]));
            assert_eq!(Class::of(&sent.unwrap_err()), Class::PeerGone);
        }
    });
}

extern "C" fn nothing(_signal: libc::c_int) {}

#[test]
fn a_storm_of_signals_ends_no_wait_badly() {
    if !is_alone("children::a_storm_of_signals_ends_no_wait_badly", &[]) {
        return;
    }
    let handler: extern "C" fn(libc::c_int) = nothing;
    // SAFETY: an action of zeros is one.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    // Calls are interrupted, and not begun again by the kernel.
    action.sa_sigaction = handler as libc::sighandler_t;
    // SAFETY: the action lives across the call, and its handler does nothing.
    assert_eq!(unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, ptr::null_mut()) }, 0);
    // SAFETY: it tells which thread this is.
    let here = unsafe { libc::pthread_self() };
    on_each_backend("a storm of signals", |builder| {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let _stops = Stops(&stop);
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    // SAFETY: the thread lives: it waits for this one.
                    unsafe { libc::pthread_kill(here, libc::SIGUSR1) };
                }
            });
            let mut berth = builder.open().unwrap().berth().unwrap();
            let (server, client) = pair(&mut berth);
            for round in 0..200_u32 {
                let receive = berth.submit(op::Receive::new(&server, Vec::with_capacity(200_000))).unwrap();
                let sent = vec![round as u8; 100_000];
                let mut send = berth.submit(op::Send::new(&client, sent)).unwrap();
                let mut received = finish(&mut berth, receive).1;
                while received.len() < 100_000 {
                    let room = Vec::with_capacity(200_000);
                    received.extend(run(&mut berth, op::Receive::new(&server, room)).1);
                }
                assert!(received == vec![round as u8; 100_000], "round {round}");
                let sent = send.poll().unwrap_or_else(|| finish(&mut berth, send));
                assert_eq!(sent.0.unwrap(), 100_000);
            }
            let begun = Instant::now();
            assert_eq!(berth.wait(&mut Batch::new(), Some(Duration::from_millis(30))).unwrap(), 0);
            assert!(begun.elapsed() >= Duration::from_millis(30), "a signal ended a wait of 30 ms");
            assert_eq!(berth.close(LONG).unknown, 0);
        });
    });
}

/// The storm ends also when the test fails.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn what_is_pending_when_its_berth_closes_writes_to_no_buffer_afterwards() {
    on_each_backend("buffers of a closed berth", |builder| {
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        let listener = TcpListener::bind(loopback().as_ip().unwrap()).unwrap();
        let address = Address::Ip(listener.local_addr().unwrap());
        let mut pairs: Vec<(Stream, TcpStream)> = Vec::new();
        for _ in 0..20 {
            let connect = op::Connect::new(port.stream(&address).unwrap(), &address).unwrap();
            let (connected, stream) = run(&mut berth, connect);
            connected.unwrap();
            pairs.push((stream, listener.accept().unwrap().0));
        }
        let receives: Vec<_> = pairs
            .iter()
            .map(|(stream, _)| {
                berth.submit(op::Receive::new(stream, vec![0xa5_u8; 64].into_boxed_slice())).unwrap()
            })
            .collect();
        run(&mut berth, op::Nop).0.unwrap();
        assert_eq!(berth.close(LONG).leaked, 0);
        let buffers: Vec<_> =
            receives.into_iter().map(|mut receive| receive.poll().expect("it has ended").1).collect();
        for (_, peer) in &mut pairs {
            peer.write_all(&[7; 64]).unwrap();
        }
        // Another berth receives it all: it went nowhere else.
        let mut berth = port.berth().unwrap();
        for (stream, peer) in &mut pairs {
            let (received, bytes) = run(&mut berth, op::Receive::new(stream, Vec::with_capacity(100)));
            assert_eq!((received.unwrap().len, bytes), (64, vec![7; 64]));
            run(&mut berth, op::Send::new(stream, b"back".to_vec())).0.unwrap();
            peer.read_exact(&mut [0; 4]).unwrap();
        }
        assert!(buffers.iter().all(|buffer| **buffer == [0xa5; 64]), "a buffer was written to");
    });
}
