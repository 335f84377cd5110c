//! Streams inside the machine: Unix sockets and Windows named pipes by one interface.

use std::{io::ErrorKind, net::Shutdown};

use ostia_port::{
    Address, Class, ListenOptions,
    op::{Accept, AcceptMany, Receive, Send},
};

use crate::{
    case::Stage,
    kit::{class_of, pattern, room},
    tcp,
};

cases![
    bytes_go_both_ways_in_the_machine,
    a_local_send_of_8_mib_arrives_whole,
    local_sends_arrive_in_the_order_of_their_submits,
    everything_sent_before_the_end_is_received_in_the_machine,
    a_local_reply_is_received_after_our_half_is_closed,
    a_local_stream_without_halves_says_so,
    a_connect_to_a_name_that_nobody_has_is_refused,
    a_name_is_listened_at_once_only,
    a_name_is_free_again_when_its_listener_is_gone,
    a_local_receive_is_cancelled,
    a_local_accept_is_cancelled_and_the_next_is_served,
    a_client_that_comes_before_the_accept_is_served,
    a_client_that_comes_and_goes_does_not_stop_the_listener,
    clients_that_come_all_at_once_are_all_served,
    a_path_that_is_too_long_is_an_error_and_is_not_cut,
    a_local_send_to_a_peer_that_is_gone_is_an_error,
];

fn bytes_go_both_ways_in_the_machine(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair_over(&stage.local());
    for round in 0..50_u8 {
        desk.send(&ours, vec![round; 100]);
        assert_eq!(desk.receive(&theirs, 100), [round; 100]);
        desk.send(&theirs, vec![!round; 100]);
        assert_eq!(desk.receive(&ours, 100), [!round; 100]);
    }
    drop(ours);
    assert_eq!(desk.receive_to_end(&theirs), b"");
}

fn a_local_send_of_8_mib_arrives_whole(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair_over(&stage.local());
    let all = pattern(8 << 20);
    let mut send = desk.submit(Send::new(&ours, all.clone()));
    assert!(desk.receive(&theirs, all.len()) == all, "what arrived differs from what was sent");
    assert_eq!(desk.end(&mut send).0.expect("it was sent"), all.len());
}

fn local_sends_arrive_in_the_order_of_their_submits(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair_over(&stage.local());
    let all = pattern(600_000);
    let mut sends: Vec<_> =
        all.chunks(1777).map(|piece| desk.submit(Send::new(&ours, piece.to_vec()))).collect();
    assert!(desk.receive(&theirs, all.len()) == all, "what arrived differs from what was sent");
    for send in &mut sends {
        desk.end(send).0.expect("it was sent");
    }
}

fn everything_sent_before_the_end_is_received_in_the_machine(stage: &Stage) {
    tcp::hang_up(stage, &mut stage.desk(), &stage.local());
}

fn a_local_reply_is_received_after_our_half_is_closed(stage: &Stage) {
    if stage.is_iocp() {
        stage.skip("a named pipe has no half to close");
    }
    tcp::half_close(stage, &mut stage.desk(), &stage.local());
}

fn a_local_stream_without_halves_says_so(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, _theirs) = desk.pair_over(&stage.local());
    let told = ours.shutdown(Shutdown::Write);
    if stage.is_iocp() {
        assert_eq!(told.expect_err("a named pipe has none").kind(), ErrorKind::Unsupported);
    } else {
        told.expect("a Unix socket has two halves");
    }
    assert!(ours.set_nodelay(true).is_err(), "only TCP has it");
}

fn a_connect_to_a_name_that_nobody_has_is_refused(stage: &Stage) {
    let mut desk = stage.desk();
    let at = stage.local();
    let connect = desk.connect(&at);
    let error = desk.run(connect).0.expect_err("nobody listens");
    assert!(matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused), "{error}");
}

fn a_name_is_listened_at_once_only(stage: &Stage) {
    let mut desk = stage.desk();
    let at = stage.local();
    let (listener, _) = desk.listen(&at);
    match desk.port.listen(&at, &ListenOptions::new()) {
        Err(error) => {
            // The system's word for a pipe of which there is a first instance.
            let kinds = [ErrorKind::AddrInUse, ErrorKind::PermissionDenied];
            assert!(kinds.contains(&error.kind()), "{error}");
        }
        #[cfg(windows)]
        Ok(_) if crate::kit::is_wine() => stage.wine_differs(),
        Ok(_) => panic!("two listen at one name"),
    }
    let connect = desk.connect(&at);
    let mut connect = desk.submit(connect);
    // Whoever asked whether the name is in use may have been a client that came and went.
    let mut served = false;
    for _ in 0..2 {
        let (accepted, ()) = desk.ok(Accept::new(&listener));
        let ours = if served { None } else { connect.poll() };
        if let Some((connected, stream)) = ours {
            connected.expect("somebody listens");
            desk.send(&stream, b"to the first".to_vec());
            std::mem::forget(stream);
        }
        served = desk.ok(Receive::new(&accepted, room(12))).0.len == 12;
        if served {
            break;
        }
    }
    assert!(served, "the first still listens");
}

fn a_name_is_free_again_when_its_listener_is_gone(stage: &Stage) {
    let mut desk = stage.desk();
    let at = stage.local();
    for _ in 0..5 {
        let (ours, theirs) = desk.pair_over(&at);
        drop((ours, theirs));
        desk.idle();
    }
    if !stage.is_iocp() && !stage.is_sim() {
        assert!(!at.as_path().expect("it is local").exists(), "the name goes with its listener");
    }
}

fn a_local_receive_is_cancelled(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair_over(&stage.local());
    for _ in 0..stage.times(200) {
        let mut receive = desk.submit(Receive::new(&ours, room(8)));
        desk.turn(Some(std::time::Duration::ZERO));
        receive.cancel();
        crate::kit::assert_cancelled(desk.end(&mut receive).0);
    }
    desk.send(&theirs, b"on".to_vec());
    assert_eq!(desk.receive(&ours, 2), b"on");
}

fn a_local_accept_is_cancelled_and_the_next_is_served(stage: &Stage) {
    let mut desk = stage.desk();
    let (listener, at) = desk.listen(&stage.local());
    for _ in 0..stage.times(50).max(5) {
        let mut accept = desk.submit(Accept::new(&listener));
        desk.turn(Some(std::time::Duration::ZERO));
        accept.cancel();
        crate::kit::assert_cancelled(desk.end(&mut accept).0);
        let (ours, theirs) = desk.pair_at(&listener, &at);
        desk.send(&ours, b"served".to_vec());
        assert_eq!(desk.receive(&theirs, 6), b"served");
    }
}

fn a_client_that_comes_before_the_accept_is_served(stage: &Stage) {
    // Between the making of a pipe and the wait for its client there is a moment, and clients come in it.
    let mut desk = stage.desk();
    let (listener, at) = desk.listen(&stage.local());
    for _ in 0..stage.times(200).max(10) {
        let connect = desk.connect(&at);
        let mut connect = desk.submit(connect);
        desk.idle_once();
        let (accepted, ()) = desk.ok(Accept::new(&listener));
        let (connected, stream) = desk.end(&mut connect);
        connected.expect("somebody listens");
        desk.send(&stream, b"early".to_vec());
        assert_eq!(desk.receive(&accepted, 5), b"early");
    }
}

fn a_client_that_comes_and_goes_does_not_stop_the_listener(stage: &Stage) {
    let mut desk = stage.desk();
    let (listener, at) = desk.listen(&stage.local());
    for _ in 0..10 {
        let connect = desk.connect(&at);
        let mut connect = desk.submit(connect);
        desk.idle_once();
        if let Some((_, stream)) = connect.poll() {
            drop(stream);
        } else {
            drop(connect);
        }
        desk.idle_once();
        // Whoever came and went may be accepted, and is at its end; the listener goes on.
        let mut accept = desk.submit(Accept::new(&listener));
        desk.idle();
        accept.cancel();
        if let (Ok(stream), ()) = desk.end(&mut accept) {
            let received = desk.run(Receive::new(&stream, room(8))).0;
            assert!(received.is_err() || received.is_ok_and(|received| received.len == 0));
        }
    }
    let (ours, theirs) = desk.pair_at(&listener, &at);
    desk.send(&ours, b"and it goes on".to_vec());
    assert_eq!(desk.receive(&theirs, 14), b"and it goes on");
}

fn clients_that_come_all_at_once_are_all_served(stage: &Stage) {
    let mut desk = stage.desk();
    let (listener, at) = desk.listen(&stage.local());
    let count = stage.times(200).max(20);
    let mut accepts = desk.submit(AcceptMany::new(&listener));
    let mut connects: Vec<_> = (0..count)
        .map(|_| {
            let connect = desk.connect(&at);
            desk.submit(connect)
        })
        .collect();
    let mut accepted = Vec::new();
    while accepted.len() < count {
        match desk.item(&mut accepts) {
            Some(stream) => accepted.push(stream.expect("a client")),
            None => accepts = desk.submit(AcceptMany::new(&listener)),
        }
    }
    for (place, connect) in connects.iter_mut().enumerate() {
        let (connected, stream) = desk.end(connect);
        connected.expect("somebody listens");
        desk.send(&stream, (place as u32).to_le_bytes());
        // It stays open until its end has been read.
        std::mem::forget(stream.clone());
    }
    let mut heard: Vec<u32> = accepted
        .iter()
        .map(|stream| u32::from_le_bytes(desk.receive(stream, 4).try_into().expect("four bytes")))
        .collect();
    heard.sort_unstable();
    assert!(heard.into_iter().eq(0..count as u32), "each client once");
}

fn a_path_that_is_too_long_is_an_error_and_is_not_cut(stage: &Stage) {
    let desk = stage.desk();
    let name = "n".repeat(300);
    let told = Address::local(&name).and_then(|at| desk.port.listen(&at, &ListenOptions::new()).map(drop));
    assert!(told.is_err(), "a name of 300 letters fits into no address");
}

fn a_local_send_to_a_peer_that_is_gone_is_an_error(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair_over(&stage.local());
    drop(theirs);
    assert_eq!(class_of(desk.run(Send::new(&ours, vec![0; 1000])).0), Class::PeerGone);
}
