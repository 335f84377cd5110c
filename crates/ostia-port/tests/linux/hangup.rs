//! Ends of streams: all that was sent before comes first.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, TcpListener},
    os::unix::net::UnixListener,
    thread,
};

use ostia_port::{Address, Berth, Builder, Port, Stream, op};

use crate::{finish, local_name, next, on_each_backend, pair, pattern, run};

/// The other end of a stream, of either family.
trait Peer: Read + Write + Send {}

impl<T: Read + Write + Send> Peer for T {}

fn connected(port: &Port, berth: &mut Berth, address: &Address) -> Stream {
    let connect = op::Connect::new(port.stream(address).unwrap(), address).unwrap();
    let (connected, stream) = run(berth, connect);
    connected.unwrap();
    stream
}

/// A stream of the port and its other end, in each way there is.
fn each_way(builder: &Builder, test: impl Fn(&mut Berth, Stream, Box<dyn Peer>)) {
    let port = builder.clone().open().unwrap();
    let mut berth = port.berth().unwrap();
    for ip in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
        let listener = match TcpListener::bind((ip, 0)) {
            Ok(listener) => listener,
            Err(error) if ip.is_ipv6() => {
                let _ =
                    writeln!(std::io::stderr(), "SKIPPED ends of streams over IPv6: there is none: {error}");
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        let stream = connected(&port, &mut berth, &Address::Ip(listener.local_addr().unwrap()));
        let peer = listener.accept().unwrap().0;
        test(&mut berth, stream, Box::new(peer));
    }
    let name = local_name();
    let listener = UnixListener::bind(name.as_path().unwrap()).unwrap();
    let stream = connected(&port, &mut berth, &name);
    let peer = listener.accept().unwrap().0;
    test(&mut berth, stream, Box::new(peer));
    std::fs::remove_file(name.as_path().unwrap()).unwrap();
}

fn receive_all(berth: &mut Berth, stream: &Stream) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let (received, bytes) = run(berth, op::Receive::new(stream, Vec::with_capacity(30_000)));
        if received.unwrap().len == 0 {
            return all;
        }
        all.extend(bytes);
    }
}

#[test]
fn all_bytes_come_before_the_end_when_the_other_end_closes_at_once() {
    on_each_backend("ends of streams", |builder| {
        // Far more than sockets hold, and so little that the other end is gone before anybody receives.
        for len in [3_000_001, 5000] {
            let all = pattern(len, 7);
            each_way(&builder, |berth, stream, mut peer| {
                let writer = thread::scope(|scope| {
                    let writer = scope.spawn(|| {
                        peer.write_all(&all).unwrap();
                        drop(peer);
                    });
                    if len < 10_000 {
                        writer.join().unwrap();
                        return receive_all(berth, &stream);
                    }
                    receive_all(berth, &stream)
                });
                assert!(writer == all, "{} of {len} bytes", writer.len());
                // The end stays the end.
                let (again, _) = run(berth, op::Receive::new(&stream, Vec::with_capacity(8)));
                assert_eq!(again.unwrap().len, 0);
            });
            each_way(&builder, |berth, stream, mut peer| {
                let received = thread::scope(|scope| {
                    scope.spawn(|| {
                        peer.write_all(&all).unwrap();
                        drop(peer);
                    });
                    let mut received = Vec::new();
                    loop {
                        let mut many = berth.submit(op::ReceiveManagedMany::new(&stream)).unwrap();
                        while let Some(lent) = next(berth, &mut many) {
                            let lent = lent.unwrap();
                            if lent.is_empty() {
                                return received;
                            }
                            received.extend_from_slice(&lent);
                        }
                        finish(berth, many).0.unwrap();
                    }
                });
                assert!(received == all, "{} of {len} bytes", received.len());
            });
            // The other way round: we close at once, and the other end has all of it.
            each_way(&builder, |berth, stream, mut peer| {
                let received = thread::scope(|scope| {
                    let reader = scope.spawn(move || {
                        let mut received = Vec::new();
                        peer.read_to_end(&mut received).unwrap();
                        received
                    });
                    assert_eq!(run(berth, op::Send::new(&stream, all.clone())).0.unwrap(), len);
                    drop(stream);
                    reader.join().unwrap()
                });
                assert!(received == all, "{} of {len} bytes", received.len());
            });
        }
    });
}

#[test]
fn closing_both_halves_ends_what_waits() {
    on_each_backend("both halves", |builder| {
        let mut berth = builder.open().unwrap().berth().unwrap();
        for _ in 0..20 {
            let (server, client) = pair(&mut berth);
            let mut receive = berth.submit(op::Receive::new(&server, Vec::with_capacity(8))).unwrap();
            let many = berth.submit(op::ReceiveManaged::new(&server)).unwrap();
            run(&mut berth, op::Nop).0.unwrap();
            assert!(receive.poll().is_none());
            let closer = thread::spawn({
                let server = server.clone();
                move || server.shutdown(Shutdown::Both).unwrap()
            });
            assert_eq!(finish(&mut berth, receive).0.unwrap().len, 0);
            assert!(finish(&mut berth, many).0.unwrap().is_empty());
            closer.join().unwrap();
            let (end, _) = run(&mut berth, op::Receive::new(&client, Vec::with_capacity(8)));
            assert_eq!(end.unwrap().len, 0);
        }
    });
}
