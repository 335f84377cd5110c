//! Datagrams.

use std::{io::ErrorKind, net::SocketAddr, time::Duration};

use ostia_port::{
    Address, Datagram,
    op::{ReceiveFrom, ReceiveFromVectored, SendTo, SendToVectored},
};

use crate::{
    case::Stage,
    kit::{Desk, assert_cancelled, pattern, room, v4, v6},
};

cases![
    a_datagram_arrives_with_its_senders_address,
    a_datagram_arrives_over_v6,
    an_empty_datagram_is_no_end,
    a_datagram_longer_than_the_room_says_so,
    datagrams_keep_their_bounds,
    a_vectored_datagram_is_one_datagram,
    a_connected_socket_needs_no_address_and_hears_one_peer,
    a_datagram_to_nobody_harms_no_later_one,
    receives_of_datagrams_are_served_in_order,
    a_cancelled_receive_of_a_datagram_loses_none,
    a_port_is_chosen_for_port_zero,
    a_datagram_that_is_too_long_is_an_error,
    datagrams_in_the_machine_go_by_name,
];

fn sockets(desk: &Desk, at: &Address) -> (Datagram, Address, Datagram, Address) {
    let make = || {
        let socket = desk.port.datagram(at).expect("it can be bound there");
        let address = socket.local_address().expect("it is bound");
        (socket, address)
    };
    let ((ours, our_address), (theirs, their_address)) = (make(), make());
    (ours, our_address, theirs, their_address)
}

fn send(desk: &mut Desk, from: &Datagram, bytes: &[u8], to: Option<&Address>) {
    let (sent, _) = desk.ok(SendTo::new(from, bytes.to_vec(), to).expect("it is an address"));
    assert_eq!(sent, bytes.len());
}

fn talk(desk: &mut Desk, at: &Address) {
    let (ours, our_address, theirs, their_address) = sockets(desk, at);
    for round in 0..50_usize {
        let sent = pattern(round * 20);
        send(desk, &ours, &sent, Some(&their_address));
        let (told, bytes) = desk.ok(ReceiveFrom::new(&theirs, room(1500)));
        assert_eq!((told.len, told.truncated, told.from.as_ref()), (sent.len(), false, Some(&our_address)));
        assert_eq!(&bytes[..told.len], sent);
        send(desk, &theirs, b"back", told.from.as_ref());
        assert_eq!(desk.ok(ReceiveFrom::new(&ours, room(16))).0.from, Some(their_address.clone()));
    }
}

fn a_datagram_arrives_with_its_senders_address(stage: &Stage) {
    talk(&mut stage.desk(), &v4());
}

fn a_datagram_arrives_over_v6(stage: &Stage) {
    let mut desk = stage.desk();
    if let Err(error) = desk.port.datagram(&v6()) {
        stage.skip(format!("no IPv6 on this machine: {error}"));
    }
    talk(&mut desk, &v6());
}

fn an_empty_datagram_is_no_end(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, _, theirs, to) = sockets(&desk, &v4());
    send(&mut desk, &ours, b"", Some(&to));
    send(&mut desk, &ours, b"after it", Some(&to));
    let (told, _) = desk.ok(ReceiveFrom::new(&theirs, room(16)));
    assert_eq!((told.len, told.truncated), (0, false));
    let (told, bytes) = desk.ok(ReceiveFrom::new(&theirs, room(16)));
    assert_eq!(&bytes[..told.len], b"after it");
}

fn a_datagram_longer_than_the_room_says_so(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, from, theirs, to) = sockets(&desk, &v4());
    let long = pattern(1000);
    for len in [1, 999] {
        send(&mut desk, &ours, &long, Some(&to));
        let (told, bytes) = desk.ok(ReceiveFrom::new(&theirs, room(len)));
        assert_eq!((told.len, told.truncated, told.from), (len, true, Some(from.clone())));
        assert_eq!(*bytes, long[..len], "what fits is delivered");
    }
    send(&mut desk, &ours, &long, Some(&to));
    let (told, _) = desk.ok(ReceiveFrom::new(&theirs, room(1000)));
    assert_eq!((told.len, told.truncated), (1000, false), "what just fits is not cut");
    send(&mut desk, &ours, &long, Some(&to));
    let (told, buffers) = desk.ok(ReceiveFromVectored::new(&theirs, vec![room(10), room(20)]));
    assert_eq!((told.len, told.truncated), (30, true));
    assert_eq!(buffers.concat(), long[..30]);
}

fn datagrams_keep_their_bounds(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, _, theirs, to) = sockets(&desk, &v4());
    for round in 0..20 {
        for len in 0..10 {
            send(&mut desk, &ours, &vec![len; usize::from(len) + round], Some(&to));
        }
        for len in 0..10 {
            let (told, bytes) = desk.ok(ReceiveFrom::new(&theirs, room(100)));
            assert_eq!(bytes[..told.len], vec![len; usize::from(len) + round]);
        }
    }
}

fn a_vectored_datagram_is_one_datagram(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, _, theirs, to) = sockets(&desk, &v4());
    let all = pattern(300);
    let parts: Vec<Vec<u8>> = all.chunks(70).map(<[u8]>::to_vec).collect();
    let (sent, _) = desk.ok(SendToVectored::new(&ours, parts, Some(&to)).expect("it is an address"));
    assert_eq!(sent, 300);
    let (told, buffers) = desk.ok(ReceiveFromVectored::new(&theirs, vec![room(100), room(200), room(50)]));
    assert_eq!((told.len, told.truncated), (300, false));
    assert_eq!(buffers.concat()[..300], all);
}

fn a_connected_socket_needs_no_address_and_hears_one_peer(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, our_address, theirs, their_address) = sockets(&desk, &v4());
    let stranger = desk.port.datagram(&v4()).expect("it can be bound there");
    ours.connect(&their_address).expect("it is an address");
    send(&mut desk, &stranger, b"from a stranger", Some(&our_address));
    send(&mut desk, &theirs, b"from a friend", Some(&our_address));
    let (told, bytes) = desk.ok(ReceiveFrom::new(&ours, room(100)));
    assert_eq!(&bytes[..told.len], b"from a friend");
    send(&mut desk, &ours, b"without address", None);
    let (told, bytes) = desk.ok(ReceiveFrom::new(&theirs, room(100)));
    assert_eq!((&bytes[..told.len], told.from), (&b"without address"[..], Some(our_address)));
}

fn a_datagram_to_nobody_harms_no_later_one(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, our_address, theirs, _) = sockets(&desk, &v4());
    let nobody = {
        let gone = desk.port.datagram(&v4()).expect("it can be bound there");
        gone.local_address().expect("it is bound")
    };
    desk.idle();
    ours.connect(&nobody).expect("it is an address");
    for _ in 0..3 {
        // The answer that nobody is there may come as the error of one operation, this one or the next.
        drop(desk.run(SendTo::new(&ours, b"hello?".to_vec(), None).expect("no address")));
        desk.idle_once();
    }
    ours.connect(&theirs.local_address().expect("it is bound")).expect("it is an address");
    let mut receive = desk.submit(ReceiveFrom::new(&ours, room(16)));
    for _ in 0..5 {
        send(&mut desk, &theirs, b"alive", Some(&our_address));
        #[cfg(windows)]
        if crate::kit::is_wine() {
            desk.idle();
            if !receive.is_done() {
                // It goes on waiting, though a datagram is there.
                stage.wine_differs();
            }
        }
        match desk.end(&mut receive) {
            (Ok(told), bytes) => {
                assert_eq!(&bytes[..told.len], b"alive");
                return;
            }
            (Err(_), _) => receive = desk.submit(ReceiveFrom::new(&ours, room(16))),
        }
    }
    panic!("the socket is good for nothing any more");
}

fn receives_of_datagrams_are_served_in_order(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, _, theirs, to) = sockets(&desk, &v4());
    let mut receives: Vec<_> = (0..20).map(|_| desk.submit(ReceiveFrom::new(&theirs, room(8)))).collect();
    for number in 0..20 {
        send(&mut desk, &ours, &[number], Some(&to));
    }
    for (receive, number) in receives.iter_mut().zip(0..) {
        let (told, bytes) = desk.end(receive);
        assert_eq!((told.expect("one each").len, bytes[0]), (1, number));
    }
}

fn a_cancelled_receive_of_a_datagram_loses_none(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, _, theirs, to) = sockets(&desk, &v4());
    for number in 0..stage.times(2000) as u32 {
        let mut receive = desk.submit(ReceiveFrom::new(&theirs, room(8)));
        if number % 3 == 0 {
            desk.turn(Some(Duration::ZERO));
        }
        let to_send = SendTo::new(&ours, number.to_le_bytes().to_vec(), Some(&to)).expect("it is an address");
        let mut sent = desk.submit(to_send);
        if number % 2 == 0 {
            desk.turn(Some(Duration::ZERO));
        }
        receive.cancel();
        let (told, bytes) = desk.end(&mut receive);
        desk.end(&mut sent).0.expect("it was sent");
        let bytes = match told {
            Ok(told) => bytes[..told.len].to_vec(),
            Err(error) => {
                assert_cancelled::<()>(Err(error));
                let (told, bytes) = desk.ok(ReceiveFrom::new(&theirs, room(8)));
                bytes[..told.len].to_vec()
            }
        };
        assert_eq!(bytes, number.to_le_bytes(), "one is lost, doubled or late");
    }
}

fn a_port_is_chosen_for_port_zero(stage: &Stage) {
    let desk = stage.desk();
    let (_ours, first, _theirs, second) = sockets(&desk, &v4());
    let port = |address: &Address| address.as_ip().as_ref().map(SocketAddr::port).expect("it is IP");
    assert!(port(&first) != 0 && port(&second) != 0 && first != second);
    let taken = desk.port.datagram(&first).expect_err("it is taken");
    assert_eq!(taken.kind(), ErrorKind::AddrInUse);
}

fn a_datagram_that_is_too_long_is_an_error(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, _, theirs, to) = sockets(&desk, &v4());
    assert!(desk.run(SendTo::new(&ours, vec![0; 70_000], Some(&to)).expect("it is an address")).0.is_err());
    send(&mut desk, &ours, b"short", Some(&to));
    assert_eq!(desk.ok(ReceiveFrom::new(&theirs, room(16))).0.len, 5);
}

fn datagrams_in_the_machine_go_by_name(stage: &Stage) {
    if stage.is_iocp() {
        stage.skip("Windows has no datagrams between local names");
    }
    if cfg!(windows) && stage.is_sim() {
        stage.skip("the addresses that Windows knows have no names in the machine");
    }
    let mut desk = stage.desk();
    let (at, back) = (stage.local(), stage.local());
    let receiver = desk.port.datagram(&at).expect("it can be bound there");
    let sender = desk.port.datagram(&back).expect("it can be bound there");
    send(&mut desk, &sender, b"by name", Some(&at));
    let (told, bytes) = desk.ok(ReceiveFrom::new(&receiver, room(16)));
    assert_eq!((&bytes[..told.len], told.from), (&b"by name"[..], Some(back)));
}
