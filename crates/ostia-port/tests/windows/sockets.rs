//! TCP and UDP at the completion port.

use std::{
    io::{ErrorKind, Read, Write},
    time::{Duration, Instant},
};

use ostia_port::{Batch, Class, ListenOptions, Packet, Payload, op};

use crate::kit::*;

#[test]
fn a_nop_goes_through_the_port_and_comes_back() {
    let (port, mut berth) = open();
    let mut nop = submit(&mut berth, op::Nop);
    assert!(nop.poll().is_none(), "nothing ends inside submit");
    let mut batch = Batch::new();
    assert_eq!(berth.wait(&mut batch, Some(PATIENCE)).expect("a wait"), 1);
    assert!(matches!(batch.iter().next(), Some(Packet::Done(id)) if *id == nop.id()));
    nop.poll().expect("it has ended").0.expect("well");
    close(port, berth);
}

#[test]
fn bytes_go_both_ways_and_the_end_is_a_receive_of_nothing() {
    let (port, mut berth) = open();
    let (client, server) = tcp_pair(&mut berth);
    send(&mut berth, &client, *b"there");
    assert_eq!(receive_all(&mut berth, &server, 5), b"there");
    send(&mut berth, &server, *b"back");
    assert_eq!(receive_all(&mut berth, &client, 4), b"back");
    drop(client);
    assert_eq!(receive(&mut berth, &server, 8).0.expect("the end").len, 0);
    drop(server);
    close(port, berth);
}

#[test]
fn an_accepted_and_a_connected_socket_know_both_addresses() {
    let (port, mut berth) = open();
    for host in ["127.0.0.1:0", "[::1]:0"] {
        let address: std::net::SocketAddr = host.parse().expect("an address");
        let listener = port.listen(&address.into(), &ListenOptions::new()).expect("a listener");
        let to = listener.local_address().expect("its address");
        let (client, server) = pair(&mut berth, &listener, &to);
        assert_eq!(server.local_address().expect("an address"), to);
        assert_eq!(client.peer_address().expect("an address"), to);
        assert_eq!(server.peer_address().expect("an address"), client.local_address().expect("an address"));
        client.shutdown(std::net::Shutdown::Write).expect("a half close");
        assert_eq!(receive(&mut berth, &server, 1).0.expect("the end").len, 0);
        send(&mut berth, &server, *b"still");
        assert_eq!(receive_all(&mut berth, &client, 5), b"still");
    }
    close(port, berth);
}

#[test]
fn a_large_send_is_whole_and_in_order() {
    const LEN: usize = 8 << 20;
    let (port, mut berth) = open();
    let (client, server) = tcp_pair(&mut berth);
    let bytes: Vec<u8> = (0..LEN).map(|place| (place % 251) as u8).collect();
    let mut first = submit(&mut berth, op::Send::new(&client, bytes.clone()));
    let mut second = submit(&mut berth, op::SendVectored::new(&client, vec![bytes.clone(), b"end".to_vec()]));
    let all = receive_all(&mut berth, &server, 2 * LEN + 3);
    assert_eq!(end(&mut berth, &mut first).0.expect("a send"), LEN);
    assert_eq!(end(&mut berth, &mut second).0.expect("a send"), LEN + 3);
    assert!(all[..LEN] == bytes && all[LEN..2 * LEN] == bytes && &all[2 * LEN..] == b"end");
    close(port, berth);
}

#[test]
fn receives_of_one_stream_are_told_in_the_order_of_their_submits() {
    let (port, mut berth) = open();
    let (client, server) = tcp_pair(&mut berth);
    let mut tickets: Vec<_> =
        (0..64).map(|_| submit(&mut berth, op::Receive::new(&server, vec![0_u8; 4]))).collect();
    let bytes: Vec<u8> = (0..64_u32).flat_map(u32::to_le_bytes).collect();
    send(&mut berth, &client, bytes);
    for (number, ticket) in tickets.iter_mut().enumerate() {
        let (received, bytes) = end(&mut berth, ticket);
        assert_eq!(received.expect("bytes").len, 4);
        assert_eq!(bytes, (number as u32).to_le_bytes());
    }
    close(port, berth);
}

#[test]
fn a_cancelled_receive_ends_once_and_gives_its_buffer_back() {
    let (port, mut berth) = open();
    let (client, server) = tcp_pair(&mut berth);
    let mut receive = submit(&mut berth, op::Receive::new(&server, Vec::with_capacity(16)));
    look(&mut berth);
    receive.cancel();
    let (result, buffer) = end(&mut berth, &mut receive);
    assert_eq!(Class::of(&result.expect_err("it was cancelled")), Class::Cancelled);
    assert_eq!(buffer.capacity(), 16);
    send(&mut berth, &client, *b"x");
    assert_eq!(receive_all(&mut berth, &server, 1), b"x");
    close(port, berth);
}

#[test]
fn an_operation_without_a_ticket_ends_by_itself() {
    let (port, mut berth) = open();
    let (client, server) = tcp_pair(&mut berth);
    for _ in 0..100 {
        drop(submit(&mut berth, op::Receive::new(&server, Vec::with_capacity(16))));
    }
    send(&mut berth, &client, *b"x");
    drop((client, server));
    close(port, berth);
}

#[test]
fn a_refused_connect_says_so() {
    let (port, mut berth) = open();
    let listener = port.listen(&loopback(), &ListenOptions::new()).expect("a listener");
    let to = listener.local_address().expect("its address");
    drop(listener);
    let stream = port.stream(&to).expect("a stream");
    let (connected, _stream) = run(&mut berth, op::Connect::new(stream, &to).expect("an address"));
    let error = connected.expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
    assert_eq!(Class::of(&error), Class::PeerGone);
    close(port, berth);
}

#[test]
fn a_second_connect_of_one_stream_fails_by_the_bind() {
    let (port, mut berth) = open();
    let listener = port.listen(&loopback(), &ListenOptions::new()).expect("a listener");
    let to = listener.local_address().expect("its address");
    let (client, _server) = pair(&mut berth, &listener, &to);
    let (again, _client) = run(&mut berth, op::Connect::new(client, &to).expect("an address"));
    again.expect_err("it is connected already");
    close(port, berth);
}

#[test]
fn a_reset_is_an_error_and_no_end() {
    let (port, mut berth) = open();
    let listener = port.listen(&loopback(), &ListenOptions::new()).expect("a listener");
    let to = listener.local_address().expect("its address");
    let mut accept = submit(&mut berth, op::Accept::new(&listener));
    let client = socket2::Socket::from(
        std::net::TcpStream::connect(to.as_ip().expect("an IP address")).expect("a connection"),
    );
    let server = end(&mut berth, &mut accept).0.expect("an accepted stream");
    client.set_linger(Some(Duration::ZERO)).expect("an option");
    // Under way before the reset: Wine tells a receive that comes later of an end.
    let mut receive = submit(&mut berth, op::Receive::new(&server, Vec::with_capacity(8)));
    drop(client);
    let error = end(&mut berth, &mut receive).0.expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    close(port, berth);
}

#[test]
fn a_burst_of_connects_is_accepted_whole() {
    const CLIENTS: usize = 200;
    let (port, mut berth) = open();
    let listener = port.listen(&loopback(), &ListenOptions::new()).expect("a listener");
    let to = listener.local_address().expect("its address").as_ip().expect("an IP address");
    let mut accept = submit(&mut berth, op::AcceptMany::new(&listener));
    let clients = std::thread::spawn(move || {
        (0..CLIENTS)
            .map(|number| {
                let mut client = std::net::TcpStream::connect(to).expect("a connection");
                client.write_all(&(number as u32).to_le_bytes()).expect("a write");
                client
            })
            .collect::<Vec<_>>()
    });
    let mut seen = [false; CLIENTS];
    for _ in 0..CLIENTS {
        let server = next(&mut berth, &mut accept).expect("an accepted stream");
        let bytes = receive_all(&mut berth, &server, 4);
        let number = u32::from_le_bytes(bytes.try_into().expect("four bytes")) as usize;
        assert!(!std::mem::replace(&mut seen[number], true), "client {number} came twice");
    }
    drop(clients.join().expect("the clients' thread"));
    accept.cancel();
    let error = end(&mut berth, &mut accept).0.expect_err("it was cancelled");
    assert_eq!(Class::of(&error), Class::Cancelled);
    close(port, berth);
}

#[test]
fn accepting_many_ends_well_when_nobody_takes_what_comes() {
    let (port, mut berth) = open();
    let listener = port.listen(&loopback(), &ListenOptions::new()).expect("a listener");
    let to = listener.local_address().expect("its address").as_ip().expect("an IP address");
    let mut accept = submit(&mut berth, op::AcceptMany::new(&listener));
    let mut clients = Vec::new();
    let mut batch = Batch::new();
    while !accept.is_done() {
        assert!(clients.len() < 2 * op::AcceptMany::WAITING_MAX, "it should have ended by now");
        clients.push(std::net::TcpStream::connect(to).expect("a connection"));
        berth.wait(&mut batch, Some(Duration::ZERO)).expect("a look");
    }
    let mut streams = 0;
    while let Some(stream) = accept.next() {
        stream.expect("a stream");
        streams += 1;
    }
    assert!(streams >= op::AcceptMany::WAITING_MAX, "{streams}");
    accept.poll().expect("it has ended").0.expect("well");
    close(port, berth);
}

#[test]
fn a_silent_client_is_accepted() {
    let (port, mut berth) = open();
    let listener = port.listen(&loopback(), &ListenOptions::new()).expect("a listener");
    let to = listener.local_address().expect("its address").as_ip().expect("an IP address");
    let mut accept = submit(&mut berth, op::Accept::new(&listener));
    let client = std::net::TcpStream::connect(to).expect("a connection");
    end(&mut berth, &mut accept).0.expect("an accepted stream");
    drop(client);
    close(port, berth);
}

#[test]
fn an_accepted_stream_knows_its_peer_though_that_has_gone() {
    let (port, mut berth) = open();
    let listener = port.listen(&loopback(), &ListenOptions::new()).expect("a listener");
    let to = listener.local_address().expect("its address").as_ip().expect("an IP address");
    let mut accept = submit(&mut berth, op::Accept::new(&listener));
    let client = socket2::Socket::from(std::net::TcpStream::connect(to).expect("a connection"));
    let from = client.local_addr().expect("its address").as_socket().expect("an IP address");
    let server = end(&mut berth, &mut accept).0.expect("an accepted stream");
    let mut receive = submit(&mut berth, op::Receive::new(&server, Vec::with_capacity(8)));
    client.set_linger(Some(Duration::ZERO)).expect("an option");
    drop(client);
    end(&mut berth, &mut receive).0.expect_err("a reset");
    assert_eq!(server.peer_address().expect("it came with the connection"), from.into());
    close(port, berth);
}

#[test]
fn an_abandoned_accept_closes_what_it_was_given() {
    let (port, mut berth) = open();
    let listener = port.listen(&loopback(), &ListenOptions::new()).expect("a listener");
    let to = listener.local_address().expect("its address").as_ip().expect("an IP address");
    let accept = submit(&mut berth, op::Accept::new(&listener));
    let mut client = std::net::TcpStream::connect(to).expect("a connection");
    drop(accept);
    // Whether the connection won or the cancel: nobody keeps it open.
    look(&mut berth);
    drop(listener);
    while look(&mut berth) > 0 {}
    client.set_read_timeout(Some(PATIENCE)).expect("an option");
    close(port, berth);
    match client.read(&mut [0; 1]) {
        Ok(len) => assert_eq!(len, 0),
        Err(error) => assert!(error.kind() != ErrorKind::TimedOut, "{error}"),
    }
}

#[test]
fn datagrams_come_whole_or_say_that_they_were_cut_off() {
    let (port, mut berth) = open();
    let (one, other) = (port.datagram(&loopback()).expect("one"), port.datagram(&loopback()).expect("other"));
    let to = other.local_address().expect("its address");
    let from = one.local_address().expect("its address");
    // Once with the datagram there first, once with the receive.
    for receive_first in [false, true] {
        let receive = op::ReceiveFrom::new(&other, vec![0_u8; 4]);
        let send = op::SendTo::new(&one, b"abcdef".to_vec(), Some(&to)).expect("an address");
        let (mut receive, mut send) = if receive_first {
            let receive = submit(&mut berth, receive);
            look(&mut berth);
            (receive, submit(&mut berth, send))
        } else {
            let mut send = submit(&mut berth, send);
            let sent = end(&mut berth, &mut send).0.expect("a send");
            assert_eq!(sent, 6);
            (
                submit(&mut berth, receive),
                submit(&mut berth, op::SendTo::new(&one, Vec::new(), Some(&to)).expect("an address")),
            )
        };
        let (received, bytes) = end(&mut berth, &mut receive);
        let received = received.expect("a datagram");
        assert_eq!(
            (received.len, received.truncated, &bytes[..]),
            (4, true, &b"abcd"[..]),
            "{receive_first}"
        );
        assert_eq!(received.from.as_ref(), Some(&from));
        end(&mut berth, &mut send).0.expect("a send");
        if !receive_first {
            let (received, _) = run(&mut berth, op::ReceiveFrom::new(&other, Vec::with_capacity(8)));
            assert_eq!(received.expect("an empty datagram").len, 0);
        }
    }
    close(port, berth);
}

#[test]
fn nobody_at_the_other_port_does_not_break_a_receive() {
    let (port, mut berth) = open();
    let datagram = port.datagram(&loopback()).expect("a socket");
    let gone = port.datagram(&loopback()).expect("a socket");
    let to = gone.local_address().expect("its address");
    drop(gone);
    let mut receive = submit(&mut berth, op::ReceiveFrom::new(&datagram, Vec::with_capacity(8)));
    for _ in 0..4 {
        let send = op::SendTo::new(&datagram, b"x".to_vec(), Some(&to)).expect("an address");
        run(&mut berth, send).0.expect("a send");
    }
    let other = port.datagram(&loopback()).expect("a socket");
    let here = datagram.local_address().expect("its address");
    run(&mut berth, op::SendTo::new(&other, b"real".to_vec(), Some(&here)).expect("an address"))
        .0
        .expect("a send");
    let (received, bytes) = end(&mut berth, &mut receive);
    assert_eq!(received.expect("a datagram").len, 4);
    assert_eq!(bytes, b"real");
    close(port, berth);
}

#[test]
fn a_timer_ends_not_early_and_not_much_too_late() {
    let (port, mut berth) = open();
    for millis in [1_u64, 3, 20, 50] {
        let begin = Instant::now();
        let delay = Duration::from_millis(millis);
        let timer = op::Timer::after(&port, delay);
        run(&mut berth, timer).0.expect("a timer");
        let took = begin.elapsed();
        assert!(took >= delay, "{took:?} of {delay:?}");
        // A busy machine may be late by much; a lost wake would show as the patience.
        assert!(took < delay + PATIENCE / 2, "{took:?} of {delay:?}");
    }
    // A later one first, then an earlier one.
    let mut late = submit(&mut berth, op::Timer::after(&port, Duration::from_millis(60)));
    let mut early = submit(&mut berth, op::Timer::after(&port, Duration::from_millis(5)));
    end(&mut berth, &mut early).0.expect("a timer");
    assert!(!late.is_done());
    end(&mut berth, &mut late).0.expect("a timer");
    let mut never = submit(&mut berth, op::Timer::after(&port, Duration::from_secs(3600)));
    never.cancel();
    let error = end(&mut berth, &mut never).0.expect_err("it was cancelled");
    assert_eq!(Class::of(&error), Class::Cancelled);
    close(port, berth);
}

#[test]
fn a_post_wakes_a_sleeper_and_brings_its_payload() {
    let (port, mut berth) = open();
    let poster = port.clone();
    let thread = std::thread::spawn(move || {
        for word in 0..1000 {
            poster.post(Payload::Word(word)).expect("room for it");
        }
    });
    let mut batch = Batch::new();
    let mut expected = 0;
    while expected < 1000 {
        assert!(berth.wait(&mut batch, Some(PATIENCE)).expect("a wait") > 0, "a post was lost");
        for packet in batch.drain() {
            let Packet::Post(Payload::Word(word)) = packet else { panic!("{packet:?}") };
            assert_eq!(word, expected);
            expected += 1;
        }
    }
    thread.join().expect("the poster");
    close(port, berth);
}

#[test]
fn idle_connections_under_managed_receive_hold_no_buffer() {
    let port = ostia_port::Port::builder().lent_buffers(2, 1024).open().expect("a port");
    let mut berth = port.berth().expect("a berth");
    let pairs: Vec<_> = (0..8).map(|_| tcp_pair(&mut berth)).collect();
    let mut tickets: Vec<_> =
        pairs.iter().map(|(_, server)| submit(&mut berth, op::ReceiveManaged::new(server))).collect();
    look(&mut berth);
    // Eight wait and there are two buffers: whichever gets bytes is served.
    for place in (0..8).rev() {
        send(&mut berth, &pairs[place].0, vec![place as u8; 10]);
        let lent = end(&mut berth, &mut tickets[place]).0.expect("bytes");
        assert_eq!(*lent, [place as u8; 10]);
    }
    // All at once: two are served, the others wait until a buffer comes back.
    let mut tickets: Vec<_> =
        pairs.iter().map(|(_, server)| submit(&mut berth, op::ReceiveManaged::new(server))).collect();
    for (client, _) in &pairs {
        send(&mut berth, client, *b"all");
    }
    let mut lent = Vec::new();
    let mut served = 0;
    let give_up = Instant::now() + PATIENCE;
    let mut batch = Batch::new();
    while served < 8 {
        assert!(Instant::now() < give_up, "{served} were served");
        let before = served;
        for ticket in &mut tickets {
            if let Some((result, ())) = ticket.poll() {
                let bytes = result.expect("bytes");
                assert_eq!(*bytes, *b"all");
                lent.push(bytes);
                served += 1;
            }
        }
        assert!(lent.len() <= 2, "no more are lent than there are");
        if served == before {
            lent.clear();
            berth.wait(&mut batch, Some(PATIENCE)).expect("a wait");
        }
    }
    drop(lent);
    close(port, berth);
}

#[test]
fn a_managed_receive_of_many_tells_each_piece_and_the_end() {
    let (port, mut berth) = open();
    let (client, server) = tcp_pair(&mut berth);
    let mut many = submit(&mut berth, op::ReceiveManagedMany::new(&server));
    for round in 0..5_u8 {
        send(&mut berth, &client, vec![round; 100]);
        let mut bytes = Vec::new();
        while bytes.len() < 100 {
            bytes.extend_from_slice(&next(&mut berth, &mut many).expect("bytes"));
        }
        assert_eq!(bytes, vec![round; 100]);
    }
    drop(client);
    assert!(next(&mut berth, &mut many).expect("the end").is_empty());
    end(&mut berth, &mut many).0.expect("it ended with the stream");
    close(port, berth);
}
