//! Sockets and pipes on real runtimes, on each back end.

use std::{
    io::{self, Read, Write},
    net::TcpStream as StdStream,
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use ostia_os::peer::Peer;
use ostia_rt::{
    io::{AsyncRead, AsyncWrite, copy},
    net::{
        KeepAlive, ListenOptions, LocalEndpoint, LocalListener, LocalStream, TcpListener, TcpStream,
        UdpSocket, lookup,
    },
    spawn,
    time::{now, timeout},
};

use crate::common::{self, is_wine, loopback, on_each, pair};

/// Bytes that tell their place.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}

#[test]
fn what_is_written_is_read_in_order() {
    on_each(|_| async {
        let (ours, theirs) = pair().await;
        let sent = pattern(1 << 20);
        let writing = spawn({
            let sent = sent.clone();
            async move {
                for chunk in sent.chunks(37_123) {
                    let (written, _) = theirs.write(chunk.to_vec()).await;
                    assert_eq!(written.expect("it is sent"), chunk.len());
                }
                theirs.shutdown().await.expect("a half can be closed");
                theirs
            }
        });
        let mut received = Vec::new();
        let mut buffer = Vec::with_capacity(10_000);
        loop {
            let read;
            (read, buffer) = ours.read(buffer).await;
            if read.expect("it is received") == 0 {
                break;
            }
            received.extend_from_slice(&buffer);
        }
        assert!(received == sent, "{} bytes of {}", received.len(), sent.len());
        // The other direction is open still.
        let theirs = writing.await.unwrap();
        let (written, _) = ours.write_all(b"answer".to_vec()).await;
        written.expect("it is sent");
        let (read, answer) = theirs.read_exact(Vec::with_capacity(64), 6).await;
        read.expect("it comes");
        assert_eq!(answer, b"answer");
    });
}

#[test]
fn block_on_reads_and_writes_through_the_workers() {
    for &backend in common::backends() {
        let Some(runtime) = common::runtime(backend, 2) else { continue };
        runtime.block_on(async {
            let (ours, theirs) = pair().await;
            for round in 0..100u32 {
                theirs.write_all(round.to_be_bytes().to_vec()).await.0.expect("it is sent");
                let (read, bytes) = ours.read_exact(vec![0; 4].into_boxed_slice(), 4).await;
                read.expect("it comes");
                assert_eq!(*bytes, round.to_be_bytes());
            }
        });
    }
}

#[test]
fn many_connections_are_accepted_and_answered() {
    on_each(|_| async {
        let listener = TcpListener::bind(loopback()).expect("a listener");
        let at = listener.local_addr().expect("its address");
        let count = if cfg!(windows) { 40 } else { 400 };
        let server = spawn(async move {
            let mut served = Vec::new();
            for _ in 0..count {
                let stream = listener.accept().await.expect("a client");
                served.push(spawn(async move {
                    let (mut reader, mut writer) = stream.split();
                    let copied = copy(&mut reader, &mut writer).await.expect("it is echoed");
                    writer.shutdown().await.expect("a half can be closed");
                    copied
                }));
            }
            let mut sum = 0;
            for one in served {
                sum += one.await.unwrap();
            }
            sum
        });
        let clients: Vec<_> = (0..count)
            .map(|number: u32| {
                spawn(async move {
                    let stream = TcpStream::connect(at).await.expect("somebody listens");
                    stream.write_all(number.to_be_bytes().to_vec()).await.0.expect("it is sent");
                    stream.shutdown().await.expect("a half can be closed");
                    let (read, bytes) = stream.read_exact(Vec::with_capacity(4), 4).await;
                    read.expect("it comes back");
                    assert_eq!(bytes, number.to_be_bytes());
                    let (read, _) = stream.read(bytes).await;
                    assert_eq!(read.expect("the end"), 0);
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
        assert_eq!(server.await.unwrap(), 4 * u64::from(count));
    });
}

#[test]
fn several_accept_at_a_time_and_each_client_is_accepted_once() {
    on_each(|_| async {
        let listener = std::sync::Arc::new(TcpListener::bind(loopback()).expect("a listener"));
        let at = listener.local_addr().expect("its address");
        let acceptors: Vec<_> = (0..8)
            .map(|_| {
                let listener = std::sync::Arc::clone(&listener);
                spawn(async move {
                    let mut peers = Vec::new();
                    for _ in 0..4 {
                        let stream = listener.accept().await.expect("a client");
                        peers.push(stream.peer_addr().expect("it is connected"));
                        // Until the client has seen that it was accepted.
                        stream.write_all(&b"!"[..]).await.0.expect("it is sent");
                    }
                    peers
                })
            })
            .collect();
        let mut clients = Vec::new();
        for _ in 0..32 {
            let stream = TcpStream::connect(at).await.expect("somebody listens");
            clients.push(stream.local_addr().expect("it is connected"));
            stream.read_exact(Vec::with_capacity(1), 1).await.0.expect("it was accepted");
        }
        let mut peers = Vec::new();
        for acceptor in acceptors {
            peers.extend(acceptor.await.unwrap());
        }
        peers.sort();
        clients.sort();
        assert_eq!(peers, clients);
    });
}

#[test]
fn a_connect_to_nobody_is_an_error() {
    on_each(|_| async {
        // Bound, and not listening any more: nobody else gets the port so soon.
        let listener = TcpListener::bind(loopback()).expect("a listener");
        let at = listener.local_addr().expect("its address");
        drop(listener);
        let error = TcpStream::connect(at).await.expect_err("nobody listens");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_blocking_client_of_the_standard_library_is_served() {
    on_each(|_| async {
        let listener = TcpListener::bind(loopback()).expect("a listener");
        let at = listener.local_addr().expect("its address");
        let client = std::thread::spawn(move || {
            let mut stream = StdStream::connect(at)?;
            stream.write_all(b"question")?;
            stream.shutdown(std::net::Shutdown::Write)?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            io::Result::Ok(answer)
        });
        let stream = listener.accept().await.expect("a client");
        stream.set_nodelay(true).expect("it is TCP");
        assert!(stream.nodelay().expect("it is TCP"));
        let (read, question) = stream.read_exact(Vec::with_capacity(8), 8).await;
        read.expect("it comes");
        assert_eq!(question, b"question");
        assert_eq!(stream.read(Vec::with_capacity(8)).await.0.expect("the end"), 0);
        stream.write_all(b"answer".to_vec()).await.0.expect("it is sent");
        drop(stream);
        assert_eq!(client.join().expect("no panic").expect("it is served"), "answer");
    });
}

#[test]
fn a_managed_read_brings_its_own_buffer() {
    on_each(|_| async {
        let (ours, theirs) = pair().await;
        for round in 0..1000u32 {
            theirs.write_all(round.to_be_bytes().to_vec()).await.0.expect("it is sent");
            let mut received = Vec::new();
            while received.len() < 4 {
                received.extend_from_slice(&ours.read_managed().await.expect("it comes"));
            }
            assert_eq!(received, round.to_be_bytes());
        }
        drop(theirs);
        assert!(ours.read_managed().await.expect("the end").is_empty());
    });
}

#[test]
fn generic_code_reads_and_writes_with_its_own_buffers() {
    async fn upper<R: AsyncRead, W: AsyncWrite>(mut reader: R, mut writer: W, len: usize) -> io::Result<()> {
        let (read, mut bytes) = reader.read_exact(Vec::with_capacity(len), len).await;
        read?;
        bytes.make_ascii_uppercase();
        writer.write_all(bytes).await.0
    }
    on_each(|_| async {
        let (ours, theirs) = pair().await;
        upper(&b"hello"[..], &theirs, 5).await.expect("it is sent");
        let mut heard = Vec::new();
        upper(&ours, &mut heard, 5).await.expect("it comes");
        assert_eq!(heard, b"HELLO");
        let error = upper(&b"short"[..], &theirs, 6).await.expect_err("too short");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        let (read, buffer) = ours.read_exact(Vec::with_capacity(3), 1000).await;
        assert_eq!(read.expect_err("no room").kind(), io::ErrorKind::InvalidInput);
        assert!(buffer.is_empty());
        let (read, _) = ours.read(Vec::new()).await;
        assert_eq!(read.expect_err("no room").kind(), io::ErrorKind::InvalidInput);
    });
}

#[test]
fn a_read_ends_at_its_deadline_and_gives_its_buffer_back() {
    on_each(|_| async {
        let (ours, theirs) = pair().await;
        let buffer: Vec<u8> = Vec::with_capacity(100);
        let place = buffer.as_ptr().addr();
        let deadline = now() + Duration::from_millis(20);
        ours.set_read_deadline(Some(deadline));
        let (read, buffer) = ours.read(buffer).await;
        assert_eq!(read.expect_err("nothing came").kind(), io::ErrorKind::TimedOut);
        assert!(now() >= deadline);
        assert_eq!(buffer.as_ptr().addr(), place, "it is the same buffer");
        assert_eq!(ours.read_managed().await.expect_err("it is over").kind(), io::ErrorKind::TimedOut);
        // What had come of it stays in the buffer, and what comes later is there for the next.
        theirs.write_all(&b"abc"[..]).await.0.expect("it is sent");
        ours.set_read_deadline(Some(now() + Duration::from_millis(50)));
        let (read, buffer) = ours.read_exact(buffer, 6).await;
        assert_eq!(read.expect_err("too few came").kind(), io::ErrorKind::TimedOut);
        assert_eq!(buffer, b"abc");
        ours.set_read_deadline(None);
        theirs.write_all(&b"defghi"[..]).await.0.expect("it is sent");
        let (read, buffer) = ours.read_exact(buffer, 6).await;
        read.expect("all came");
        assert_eq!(buffer, b"defghi");
    });
}

#[test]
fn a_write_that_nobody_reads_ends_at_its_deadline() {
    on_each(|_| async {
        let (ours, theirs) = pair().await;
        ours.set_write_deadline(Some(now() + Duration::from_millis(30)));
        let (written, buffer) = ours.write(vec![1; 64 << 20]).await;
        assert_eq!(written.expect_err("there is no room for so much").kind(), io::ErrorKind::TimedOut);
        assert_eq!(buffer.len(), 64 << 20);
        // The other direction has no deadline.
        theirs.write_all(&b"still here"[..]).await.0.expect("it is sent");
        ours.read_exact(Vec::with_capacity(10), 10).await.0.expect("it comes");
    });
}

#[test]
fn of_several_addresses_one_that_answers_is_connected() {
    on_each(|_| async {
        let listener = TcpListener::bind(loopback()).expect("a listener");
        let at = listener.local_addr().expect("its address");
        let gone = TcpListener::bind(loopback()).expect("a listener");
        let nobody = gone.local_addr().expect("its address");
        drop(gone);
        // Where nobody listens, it is told at once, and the next begins at once.
        let before = now();
        let stream = TcpStream::connect_any(&[nobody, nobody, at]).await.expect("the last one listens");
        assert_eq!(stream.peer_addr().expect("it is connected"), at);
        if !cfg!(windows) {
            // Windows asks thrice before it says so.
            assert!(now() - before < Duration::from_millis(240), "it has not waited for a turn");
        }
        let error = TcpStream::connect_any(&[nobody, nobody]).await.expect_err("nobody listens");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let error = TcpStream::connect_any(&[]).await.expect_err("nowhere");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    });
}

#[test]
fn an_attempt_that_is_not_answered_is_overtaken_and_closed() {
    if cfg!(windows) {
        let _ = writeln!(
            io::stderr(),
            "SKIPPED an_attempt_that_is_not_answered_is_overtaken_and_closed: Windows refuses what a full line of a \
             listener has no room for"
        );
        return;
    }
    on_each(|_| async {
        // A listener whose line is full answers nobody.
        let full = TcpListener::bind_with(loopback(), &ListenOptions::new().backlog(0)).expect("a listener");
        let silent = full.local_addr().expect("its address");
        let mut waiting = Vec::new();
        while let Ok(stream) = timeout(Duration::from_millis(100), TcpStream::connect(silent)).await {
            waiting.push(stream.expect("it is in line"));
        }
        let listener = TcpListener::bind(loopback()).expect("a listener");
        let at = listener.local_addr().expect("its address");
        let before = now();
        let stream = TcpStream::connect_any(&[silent, at]).await.expect("the second one answers");
        assert_eq!(stream.peer_addr().expect("it is connected"), at);
        assert!(now() - before >= Duration::from_millis(250), "the first one had its turn");
        let late = TcpStream::connect_host("127.0.0.1", silent.port(), Duration::from_millis(50)).await;
        assert_eq!(late.expect_err("nobody answers").kind(), io::ErrorKind::TimedOut);
    });
}

#[test]
fn names_are_looked_up_and_numbers_are_not() {
    on_each(|_| async {
        assert_eq!(lookup("127.0.0.1", 80).await.expect("numbers"), ["127.0.0.1:80".parse().unwrap()]);
        assert_eq!(lookup("::1", 81).await.expect("numbers"), ["[::1]:81".parse().unwrap()]);
        let found = lookup("localhost", 82).await.expect("every machine knows it");
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 82), "{found:?}");
        let error = lookup("no such name", 1).await.expect_err("it has spaces");
        assert!(!error.to_string().is_empty());
        let listener = TcpListener::bind(loopback()).expect("a listener");
        let at = listener.local_addr().expect("its address");
        let stream = TcpStream::connect_host("localhost", at.port(), Duration::from_secs(20)).await;
        assert_eq!(stream.expect("it listens").peer_addr().expect("it is connected"), at);
    });
}

#[test]
fn options_are_set_and_told() {
    on_each(|_| async {
        let (ours, _theirs) = pair().await;
        assert!(!ours.keep_alive().expect("it is TCP"));
        let often = KeepAlive::new().idle(Duration::from_secs(30)).interval(Duration::from_secs(5));
        ours.set_keep_alive(Some(often)).expect("it is TCP");
        assert!(ours.keep_alive().expect("it is TCP"));
        ours.set_keep_alive(None).expect("it is TCP");
        ours.set_send_buffer_size(64 << 10).expect("it is a socket");
        ours.set_receive_buffer_size(64 << 10).expect("it is a socket");
        // A reset instead of an end: it is told as an error, also to the reader behind one that was dropped.
        let (ours, theirs) = pair().await;
        drop(common::only_once(ours.read(Vec::with_capacity(1))).await);
        theirs.set_linger(Some(Duration::ZERO)).expect("it is TCP");
        drop(theirs);
        let (read, _) = ours.read(Vec::with_capacity(1)).await;
        match read {
            // Wine tells a receive that comes after the reset of an end.
            Ok(0) if is_wine() => writeln!(io::stderr(), "WINE-DIFFERS a-receive-after-a-reset").unwrap(),
            told => assert_eq!(told.expect_err("it was reset").kind(), io::ErrorKind::ConnectionReset),
        }
    });
}

#[test]
fn datagrams_go_to_whom_they_are_sent() {
    on_each(|_| async {
        let bind = || UdpSocket::bind(loopback()).expect("a socket");
        let (one, other, third) = (bind(), bind(), bind());
        let at = |socket: &UdpSocket| socket.local_addr().expect("it is bound");
        one.connect(at(&other)).expect("it is an address");
        // Not from the one it is connected to: it is not heard.
        third.send_to(&b"who"[..], at(&one)).await.0.expect("it is sent");
        one.send(b"question".to_vec()).await.0.expect("it is sent");
        let (received, bytes) = other.receive_from(Vec::with_capacity(100)).await;
        let received = received.expect("it comes");
        assert_eq!((bytes.as_slice(), received.from), (&b"question"[..], at(&one)));
        other.send_to(&b"answer"[..], received.from).await.0.expect("it is sent");
        let (received, bytes) = one.receive(vec![0; 3].into_boxed_slice()).await;
        assert_eq!((received.expect("it comes"), &*bytes), (3, &b"ans"[..]));
        other.send_to(&b""[..], at(&one)).await.0.expect("it is sent");
        assert_eq!(one.receive(bytes).await.0.expect("an empty one"), 0);
    });
}

#[test]
fn both_ends_of_a_local_stream_know_who_the_other_is() {
    on_each(|_| async {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("net-{}-{number}", std::process::id());
        let endpoint = LocalEndpoint::named(&name).expect("a name");
        let listener = LocalListener::bind(&endpoint).expect("a listener");
        if is_wine() {
            let what = "SKIPPED that the name of a local listener is taken: Wine gives a pipe's name to whoever asks";
            writeln!(io::stderr(), "{what}").expect("stderr is there");
        } else {
            let taken = LocalListener::bind(&endpoint).expect_err("it is taken");
            assert_eq!(taken.kind(), io::ErrorKind::AddrInUse, "{taken}");
        }
        let connecting = spawn({
            let endpoint = endpoint.clone();
            async move { LocalStream::connect(&endpoint).await }
        });
        let server = listener.accept().await.expect("a client");
        let client = connecting.await.unwrap().expect("somebody listens");
        // A pipe knows its client once something has come from it.
        client.write_all(&b"hello"[..]).await.0.expect("it is sent");
        server.read_exact(Vec::with_capacity(5), 5).await.0.expect("it comes");
        let this = Peer::current().expect("this process");
        for end in [&server, &client] {
            let peer = end.peer().expect("it is connected");
            assert_eq!(peer.pid(), Some(std::process::id()));
            assert!(peer.same_user(&this));
        }
        // On Windows a name lives as long as any end of it, and who connects waits while all of them are taken.
        drop((server, client, listener));
        // Its accept is asked to end, and then the name goes.
        let patience = now() + Duration::from_secs(20);
        while !matches!(timeout(Duration::from_secs(1), LocalStream::connect(&endpoint)).await, Ok(Err(_))) {
            assert!(now() < patience, "somebody listens still");
            ostia_rt::yield_now().await;
        }
    });
}

#[test]
fn a_listener_that_is_closed_has_let_go_of_its_address() {
    on_each(|_| async {
        let mut at = loopback();
        let endpoint =
            LocalEndpoint::named(&format!("closed-{}-{:?}", std::process::id(), std::thread::current().id()));
        let endpoint = endpoint.expect("a name");
        for round in 0..common::rounds(40) {
            let listener = TcpListener::bind(at).expect("its address is free");
            at = listener.local_addr().expect("its address");
            let local = LocalListener::bind(&endpoint).expect("its name is free");
            // Now it has accepted nobody yet, now it accepts, and has some that nobody takes.
            let mut clients = Vec::new();
            if round % 2 == 1 {
                drop(common::only_once(listener.accept()).await);
                drop(common::only_once(local.accept()).await);
                for _ in 0..round % 4 {
                    clients.push(TcpStream::connect(at).await.expect("somebody listens"));
                }
            }
            // Nothing is waited for between the close and what shows it: a dropped listener would still be there.
            listener.close().await.expect("nothing is wrong with it");
            drop(TcpListener::bind(at).expect("its address is free at once"));
            local.close().await.expect("nothing is wrong with it");
            drop(LocalListener::bind(&endpoint).expect("its name is free at once"));
            for client in clients {
                // The end, or a reset, by the system that it is; not silence.
                assert_eq!(client.read(Vec::with_capacity(1)).await.0.unwrap_or(0), 0);
            }
            let refused = TcpStream::connect(at).await.expect_err("nobody listens any more");
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
            LocalStream::connect(&endpoint).await.expect_err("nobody listens any more");
        }
    });
}

#[test]
fn a_stream_that_is_closed_has_sent_all_and_tells_what_became_of_it() {
    on_each(|_| async {
        let (ours, theirs) = pair().await;
        let sent = pattern(1 << 20);
        // Dropped: it goes on, and so does what comes behind it. So is a read, which has the stream for a while.
        drop(common::only_once(ours.write(sent.clone())).await);
        drop(common::only_once(ours.read(Vec::with_capacity(10))).await);
        let closing = spawn(ours.close());
        let (read, received) = theirs.read_exact(Vec::with_capacity(sent.len()), sent.len()).await;
        read.expect("all of it comes");
        assert!(received == sent);
        assert_eq!(theirs.read(Vec::with_capacity(1)).await.0.expect("the end"), 0);
        closing.await.unwrap().expect("it is out");
        // Who closes second is well closed, too.
        theirs.close().await.expect("there was nothing to be sent");

        // What nobody will read is an error. Windows tells of a reset only who has something to send.
        let (ours, theirs) = pair().await;
        theirs.set_linger(Some(Duration::ZERO)).expect("it is TCP");
        drop(theirs);
        let reset = ours.read(Vec::with_capacity(1)).await.0;
        if !cfg!(windows) {
            assert_eq!(reset.expect_err("it was reset").kind(), io::ErrorKind::ConnectionReset);
            assert_eq!(ours.close().await.expect_err("it was reset").kind(), io::ErrorKind::BrokenPipe);
        }

        // A write that nobody reads ends at its deadline.
        let (ours, theirs) = pair().await;
        drop(common::only_once(ours.write(vec![1; 64 << 20])).await);
        ours.set_write_deadline(Some(now() + Duration::from_millis(30)));
        assert_eq!(ours.close().await.expect_err("nobody reads").kind(), io::ErrorKind::TimedOut);
        drop(theirs);
    });
}

/// What a peer that is not ours does: connects, sends, half closes, reads to the end, and tells what it read.
const PEER: &str = "
import socket, sys
peer = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 30)
peer.sendall(bytes(range(256)) * 4096)
peer.shutdown(socket.SHUT_WR)
back = b''
while True:
    piece = peer.recv(65536)
    if not piece: break
    back += piece
assert back == bytes(range(256)) * 4096, len(back)
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.settimeout(30)
datagrams.sendto(b'ping', ('127.0.0.1', int(sys.argv[2])))
assert datagrams.recv(100) == b'pong'
print('all of it')
";

#[test]
fn a_python_peer_is_served() {
    on_each(|_| async {
        let listener = TcpListener::bind(loopback()).expect("a listener");
        let datagrams = UdpSocket::bind(loopback()).expect("a socket");
        let ports = [listener.local_addr(), datagrams.local_addr()];
        let ports = ports.map(|at| at.expect("it is bound").port().to_string());
        let peer = Command::new("python3").arg("-c").arg(PEER).args(ports).stdout(Stdio::piped()).spawn();
        let peer = match peer {
            Ok(peer) => peer,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                writeln!(io::stderr(), "SKIPPED a_python_peer_is_served: no python3 here").expect("stderr");
                return;
            }
            Err(error) => panic!("python3: {error}"),
        };
        let stream = listener.accept().await.expect("a client");
        let (mut reader, mut writer) = stream.split();
        assert_eq!(copy(&mut reader, &mut writer).await.expect("it is echoed"), 1 << 20);
        writer.shutdown().await.expect("a half can be closed");
        drop((reader, writer));
        let (received, bytes) = datagrams.receive_from(Vec::with_capacity(100)).await;
        assert_eq!(bytes, b"ping");
        datagrams.send_to(&b"pong"[..], received.expect("it comes").from).await.0.expect("it is sent");
        let output = peer.wait_with_output().expect("it ends");
        assert!(output.status.success());
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "all of it");
    });
}

#[test]
fn a_local_stream_without_halves_says_so_and_goes_on() {
    on_each(|_| async {
        let name = format!("halves-{}-{:?}", std::process::id(), std::thread::current().id());
        let endpoint = LocalEndpoint::named(&name.replace(['(', ')'], "-")).expect("a name");
        let listener = LocalListener::bind(&endpoint).expect("a listener");
        let connecting = spawn(async move { LocalStream::connect(&endpoint).await });
        let theirs = listener.accept().await.expect("a client");
        let ours = connecting.await.unwrap().expect("somebody listens");
        let reading = spawn(async move { theirs.read(Vec::with_capacity(8)).await });
        match ours.shutdown().await {
            Ok(()) => assert_eq!(reading.await.unwrap().0.expect("it is the end"), 0),
            // A pipe: who reads from it has seen no end.
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::Unsupported);
                ours.write_all(&b"more"[..]).await.0.expect("it is open");
                assert_eq!(reading.await.unwrap().1, b"more");
            }
        }
        // The task that read had the other end.
        ours.close().await.expect("the other end was first");
    });
}
