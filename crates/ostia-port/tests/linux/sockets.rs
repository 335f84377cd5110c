//! Streams and datagrams.

use std::net::Shutdown;

use ostia_port::{Address, Class, op};

use crate::{finish, local_name, loopback, on_each_level, pair, pattern, run};

#[test]
fn a_stream_carries_bytes_both_ways_and_its_end() {
    on_each_level("a stream", |builder| {
        let mut berth = builder.open().unwrap().berth().unwrap();
        let (server, client) = pair(&mut berth);
        for round in 0..20 {
            let sent = pattern(1000, round);
            let receive = berth.submit(op::Receive::new(&server, Vec::with_capacity(4096))).unwrap();
            assert_eq!(run(&mut berth, op::Send::new(&client, sent.clone())).0.unwrap(), 1000);
            let (received, buffer) = finish(&mut berth, receive);
            assert_eq!((received.unwrap().len, buffer), (1000, sent));
        }
        client.shutdown(Shutdown::Write).unwrap();
        let (end, buffer) = run(&mut berth, op::Receive::new(&server, Vec::with_capacity(16)));
        assert_eq!((end.unwrap().len, buffer.len()), (0, 0));
        // The other way is still open.
        run(&mut berth, op::Send::new(&server, b"still".to_vec())).0.unwrap();
        let (received, buffer) = run(&mut berth, op::Receive::new(&client, Vec::with_capacity(16)));
        assert_eq!((received.unwrap().len, &buffer[..]), (5, &b"still"[..]));
    });
}

#[test]
fn slices_are_sent_whole_and_filled_in_their_order() {
    on_each_level("slices", |builder| {
        let mut berth = builder.open().unwrap().berth().unwrap();
        let (server, client) = pair(&mut berth);
        // Far more than a socket's buffers hold: it goes out in parts, wherever these begin.
        let slices: Vec<Vec<u8>> = (0..7).map(|number| pattern(1_000_003 + number, number as u8)).collect();
        let all: Vec<u8> = slices.concat();
        let send = berth.submit(op::SendVectored::new(&client, slices)).unwrap();
        let mut received = Vec::new();
        while received.len() < all.len() {
            let room = vec![Vec::with_capacity(10_000), Vec::with_capacity(1), Vec::with_capacity(70_000)];
            let (told, room) = run(&mut berth, op::ReceiveVectored::new(&server, room));
            let told = told.unwrap().len;
            let got = room.concat();
            assert_eq!(got.len(), told);
            assert_ne!(told, 0, "the end of the stream after {} bytes", received.len());
            received.extend_from_slice(&got);
        }
        assert_eq!(finish(&mut berth, send).0.unwrap(), all.len());
        assert!(received == all, "the bytes differ");
    });
}

#[test]
fn a_send_that_is_cancelled_midway_says_so() {
    on_each_level("cancelled send", |builder| {
        let mut berth = builder.open().unwrap().berth().unwrap();
        let (_server, client) = pair(&mut berth);
        // Nobody receives: it cannot be whole.
        let mut send = berth.submit(op::Send::new(&client, vec![7_u8; 64 << 20])).unwrap();
        run(&mut berth, op::Nop).0.unwrap();
        assert!(send.poll().is_none());
        send.cancel();
        let (sent, buffer) = finish(&mut berth, send);
        assert_eq!(Class::of(&sent.unwrap_err()), Class::Cancelled);
        assert_eq!(buffer.len(), 64 << 20);
    });
}

#[test]
fn a_datagram_tells_its_sender_and_whether_it_was_cut_off() {
    on_each_level("datagrams", |builder| {
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        let (here, there) = (port.datagram(&loopback()).unwrap(), port.datagram(&loopback()).unwrap());
        let (to, from) = (here.local_address().unwrap(), there.local_address().unwrap());
        for (sent, room, truncated) in [(100, 200, false), (100, 100, false), (100, 60, true), (0, 10, false)]
        {
            let receive = berth.submit(op::ReceiveFrom::new(&here, Vec::with_capacity(room))).unwrap();
            let send = op::SendTo::new(&there, pattern(sent, 3), Some(&to)).unwrap();
            assert_eq!(run(&mut berth, send).0.unwrap(), sent);
            let (received, buffer) = finish(&mut berth, receive);
            let received = received.unwrap();
            assert_eq!((received.len, received.truncated), (sent.min(room), truncated), "{sent} into {room}");
            assert_eq!(received.from.as_ref(), Some(&from));
            assert_eq!(buffer, pattern(sent, 3)[..sent.min(room)]);
        }
        let receive =
            op::ReceiveFromVectored::new(&here, vec![Vec::with_capacity(3), Vec::with_capacity(20)]);
        let receive = berth.submit(receive).unwrap();
        let send =
            op::SendToVectored::new(&there, vec![b"abc".to_vec(), b"def".to_vec()], Some(&to)).unwrap();
        assert_eq!(run(&mut berth, send).0.unwrap(), 6);
        let (received, buffers) = finish(&mut berth, receive);
        assert_eq!((received.unwrap().len, buffers), (6, vec![b"abc".to_vec(), b"def".to_vec()]));
    });
}

#[test]
fn a_datagram_of_a_nameless_local_socket_has_no_path() {
    on_each_level("nameless datagrams", |builder| {
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        let name = local_name();
        let here = port.datagram(&name).unwrap();
        let nameless = port.datagram(&Address::Local("".into())).unwrap();
        run(&mut berth, op::SendTo::new(&nameless, b"x".to_vec(), Some(&name)).unwrap()).0.unwrap();
        let (received, _) = run(&mut berth, op::ReceiveFrom::new(&here, Vec::with_capacity(8)));
        let from = received.unwrap().from;
        assert!(from.as_ref().is_none_or(|from| from == &Address::Local("".into())), "{from:?}");
        let second = local_name();
        let named = port.datagram(&second).unwrap();
        run(&mut berth, op::SendTo::new(&named, b"x".to_vec(), Some(&name)).unwrap()).0.unwrap();
        let (received, _) = run(&mut berth, op::ReceiveFrom::new(&here, Vec::with_capacity(8)));
        assert_eq!(received.unwrap().from, Some(second));
    });
}

#[test]
fn what_no_one_listens_for_is_refused_and_what_nobody_answers_can_be_cancelled() {
    on_each_level("connects", |builder| {
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        let gone = crate::listener(&port).local_address().unwrap();
        let connect = op::Connect::new(port.stream(&gone).unwrap(), &gone).unwrap();
        let error = run(&mut berth, connect).0.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
        let (server, _client) = pair(&mut berth);
        let mut receive = berth.submit(op::Receive::new(&server, Vec::with_capacity(8))).unwrap();
        run(&mut berth, op::Nop).0.unwrap();
        receive.cancel();
        let (received, buffer) = finish(&mut berth, receive);
        assert_eq!(Class::of(&received.unwrap_err()), Class::Cancelled);
        assert_eq!(buffer.capacity(), 8);
    });
}
