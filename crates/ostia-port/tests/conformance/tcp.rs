//! Streams over IP.

use std::{io::ErrorKind, net::Shutdown, sync::mpsc, time::Duration};

use ostia_port::{
    Address, Class, ListenOptions, Stream,
    buf::{Head, Keeper, Kept, Tail},
    op::{Accept, Connect, Receive, ReceiveVectored, Send, SendVectored},
};

use crate::{
    case::Stage,
    kit::{Desk, class_of, pattern, room, v4, v6},
};

cases![
    bytes_go_both_ways_over_v4_and_addresses_are_told,
    bytes_go_both_ways_over_v6_and_addresses_are_told,
    a_send_of_32_mib_arrives_whole,
    large_sends_go_both_ways_at_once,
    everything_sent_before_the_end_is_received_over_v4,
    everything_sent_before_the_end_is_received_over_v6,
    a_reply_is_received_after_our_half_is_closed,
    the_end_of_a_stream_is_told_again_and_again,
    a_reset_is_an_error_and_no_end,
    a_send_to_a_peer_that_is_gone_is_an_error,
    shutting_down_ends_a_receive_under_way,
    a_receive_takes_no_more_than_its_room,
    vectored_sends_and_receives_fill_their_buffers_in_order,
    a_send_of_nothing_ends_well,
    a_refused_connect_says_so,
    a_stream_that_is_not_connected_refuses_and_stays_usable_elsewhere,
    a_stream_connects_once,
    nothing_is_received_before_it_is_sent,
    an_accepted_stream_is_a_whole_stream,
    a_receive_brings_no_more_than_the_front_of_its_buffer,
    kept_buffers_go_to_their_keeper_however_their_operation_ends,
    a_stream_comes_from_the_address_it_was_told,
];

fn talk(desk: &mut Desk, way: &Address) {
    let (listener, at) = desk.listen(way);
    let (ours, theirs) = desk.pair_at(&listener, &at);
    assert_eq!(ours.peer_address().expect("it is connected"), at);
    assert_eq!(theirs.local_address().expect("it is connected"), at);
    assert_eq!(
        ours.local_address().expect("it is connected"),
        theirs.peer_address().expect("it is connected"),
        "both ends agree"
    );
    for round in 0..50_u8 {
        desk.send(&ours, vec![round; 100]);
        assert_eq!(desk.receive(&theirs, 100), [round; 100]);
        desk.send(&theirs, vec![!round; 100]);
        assert_eq!(desk.receive(&ours, 100), [!round; 100]);
    }
    drop(ours);
    assert_eq!(desk.receive_to_end(&theirs), b"");
}

/// The case needs IPv6.
fn need_v6(stage: &Stage, desk: &Desk) {
    if let Err(error) = desk.port.listen(&v6(), &ListenOptions::new()) {
        stage.skip(format!("no IPv6 on this machine: {error}"));
    }
}

fn bytes_go_both_ways_over_v4_and_addresses_are_told(stage: &Stage) {
    talk(&mut stage.desk(), &v4());
}

fn bytes_go_both_ways_over_v6_and_addresses_are_told(stage: &Stage) {
    let mut desk = stage.desk();
    need_v6(stage, &desk);
    talk(&mut desk, &v6());
}

fn a_send_of_32_mib_arrives_whole(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    let all = pattern(if stage.is_sim() { 4 << 20 } else { 32 << 20 });
    let mut send = desk.submit(Send::new(&ours, all.clone()));
    assert!(desk.receive(&theirs, all.len()) == all, "what arrived differs from what was sent");
    assert_eq!(desk.end(&mut send).0.expect("it was sent"), all.len());
}

fn large_sends_go_both_ways_at_once(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    let there = pattern(stage.times(16 << 20));
    let back: Vec<u8> = there.iter().rev().copied().collect();
    let mut sends =
        [desk.submit(Send::new(&ours, there.clone())), desk.submit(Send::new(&theirs, back.clone()))];
    let (mut arrived, mut returned) = (Vec::new(), Vec::new());
    while arrived.len() < there.len() || returned.len() < back.len() {
        for (stream, all, len) in [(&theirs, &mut arrived, there.len()), (&ours, &mut returned, back.len())] {
            if all.len() < len {
                let (received, bytes) = desk.ok(Receive::new(stream, room((len - all.len()).min(300_000))));
                all.extend_from_slice(&bytes[..received.len]);
            }
        }
    }
    assert!(arrived == there && returned == back, "what arrived differs from what was sent");
    for send in &mut sends {
        desk.end(send).0.expect("it was sent");
    }
}

/// Who sends a lot and closes at once is heard to the end.
pub(crate) fn hang_up(stage: &Stage, desk: &mut Desk, way: &Address) {
    let (listener, at) = desk.listen(way);
    let all = pattern(stage.times(400_000));
    for _ in 0..stage.times(20).max(3) {
        let (ours, theirs) = desk.pair_at(&listener, &at);
        let mut send = desk.submit(Send::new(&ours, all.clone()));
        // The send holds the stream; with its end the stream closes.
        drop(ours);
        let mut received = Vec::new();
        loop {
            let (told, bytes) = desk.ok(Receive::new(&theirs, room(10_000)));
            if told.len == 0 {
                break;
            }
            received.extend_from_slice(&bytes[..told.len]);
            drop(send.poll());
        }
        assert!(received == all, "{} of {} bytes before the end", received.len(), all.len());
    }
}

fn everything_sent_before_the_end_is_received_over_v4(stage: &Stage) {
    hang_up(stage, &mut stage.desk(), &v4());
}

fn everything_sent_before_the_end_is_received_over_v6(stage: &Stage) {
    let mut desk = stage.desk();
    need_v6(stage, &desk);
    hang_up(stage, &mut desk, &v6());
}

/// Question, half close, answer; the answer comes though our half is closed.
pub(crate) fn half_close(stage: &Stage, desk: &mut Desk, way: &Address) {
    let (listener, at) = desk.listen(way);
    for _ in 0..stage.times(100).max(5) {
        let (ours, theirs) = desk.pair_at(&listener, &at);
        desk.send(&ours, b"question".to_vec());
        ours.shutdown(Shutdown::Write).expect("it is connected");
        assert_eq!(desk.receive_to_end(&theirs), b"question");
        desk.send(&theirs, b"answer".to_vec());
        drop(theirs);
        assert_eq!(desk.receive_to_end(&ours), b"answer");
        let sent = desk.run(Send::new(&ours, b"too late".to_vec())).0;
        assert_eq!(class_of(sent), Class::PeerGone, "our half is closed");
    }
}

fn a_reply_is_received_after_our_half_is_closed(stage: &Stage) {
    half_close(stage, &mut stage.desk(), &v4());
}

fn the_end_of_a_stream_is_told_again_and_again(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    desk.send(&ours, b"last".to_vec());
    drop(ours);
    assert_eq!(desk.receive_to_end(&theirs), b"last");
    for _ in 0..5 {
        assert_eq!(desk.ok(Receive::new(&theirs, room(8))).0.len, 0);
    }
}

/// Closes a stream with unread data, which resets the connection.
fn reset(desk: &mut Desk, stream: Stream, peer: &Stream) {
    desk.send(peer, vec![1; 100]);
    assert_eq!(desk.receive(&stream, 1), [1], "all of it has arrived, and one byte was read");
    drop(stream);
}

fn a_reset_is_an_error_and_no_end(stage: &Stage) {
    let mut desk = stage.desk();
    for early in [false, true].repeat(stage.times(20).max(2)) {
        let (ours, theirs) = desk.pair();
        // A receive under way, and one that comes after.
        let waiting = early.then(|| desk.submit(Receive::new(&ours, room(8))));
        reset(&mut desk, theirs, &ours);
        let result = match waiting {
            Some(mut waiting) => desk.end(&mut waiting).0,
            None => desk.run(Receive::new(&ours, room(8))).0,
        };
        #[cfg(windows)]
        if crate::kit::is_wine() && matches!(&result, Ok(received) if received.len == 0) {
            // It shuts a socket down before it closes it: the end comes before the reset.
            stage.wine_differs();
        }
        assert_eq!(class_of(result), Class::PeerGone);
    }
}

fn a_send_to_a_peer_that_is_gone_is_an_error(stage: &Stage) {
    // On Linux this would be a signal that ends the process, if it were not asked for otherwise.
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    reset(&mut desk, theirs, &ours);
    let error = (0..100).find_map(|_| desk.run(Send::new(&ours, vec![0; 1000])).0.err());
    assert_eq!(Class::of(&error.expect("nobody is there")), Class::PeerGone);
    let vectored = desk.run(SendVectored::new(&ours, vec![vec![0; 10]; 3])).0;
    assert_eq!(class_of(vectored), Class::PeerGone);
}

fn shutting_down_ends_a_receive_under_way(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    let mut receive = desk.submit(Receive::new(&ours, room(8)));
    desk.idle();
    assert!(!receive.is_done());
    ours.shutdown(Shutdown::Both).expect("it is connected");
    let their_end = (!stage.is_iocp()).then_some(theirs);
    // An end or an error, but soon.
    let (received, _) = desk.end(&mut receive);
    assert!(received.is_err() || received.is_ok_and(|received| received.len == 0));
    drop(their_end);
}

fn a_receive_takes_no_more_than_its_room(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    desk.send(&ours, pattern(1000));
    let mut all = Vec::new();
    while all.len() < 1000 {
        let (received, bytes) = desk.ok(Receive::new(&theirs, room(7)));
        assert!((1..=7).contains(&received.len));
        all.extend_from_slice(&bytes[..received.len]);
    }
    assert_eq!(all, pattern(1000));
}

fn vectored_sends_and_receives_fill_their_buffers_in_order(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    let all = pattern(160);
    let parts: Vec<Vec<u8>> =
        vec![all[..10].to_vec(), Vec::new(), all[10..150].to_vec(), all[150..].to_vec()];
    let (sent, parts) = desk.ok(SendVectored::new(&ours, parts));
    assert_eq!((sent, parts.len()), (160, 4));
    let mut received = Vec::new();
    while received.len() < 160 {
        let buffers: Vec<Vec<u8>> = [3, 50, 4].into_iter().map(Vec::with_capacity).collect();
        let capacities: Vec<usize> = buffers.iter().map(Vec::capacity).collect();
        let (told, buffers) = desk.ok(ReceiveVectored::new(&theirs, buffers));
        assert_eq!(buffers.iter().map(Vec::len).sum::<usize>(), told.len);
        let full = buffers
            .iter()
            .zip(&capacities)
            .take_while(|(buffer, capacity)| buffer.len() == **capacity)
            .count();
        assert!(buffers.iter().skip(full + 1).all(Vec::is_empty), "each is filled before the next");
        received.extend(buffers.concat());
    }
    assert_eq!(received, all);
}

fn a_send_of_nothing_ends_well(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    desk.send(&ours, Vec::new());
    assert_eq!(desk.ok(SendVectored::<Vec<u8>>::new(&ours, Vec::new())).0, 0);
    desk.send(&ours, b"and goes on".to_vec());
    assert_eq!(desk.receive(&theirs, 11), b"and goes on");
}

fn a_refused_connect_says_so(stage: &Stage) {
    let mut desk = stage.desk();
    let (listener, at) = desk.listen(&v4());
    drop(listener);
    let connect = desk.connect(&at);
    let (result, stream) = desk.run(connect);
    let error = result.expect_err("nobody listens");
    assert_eq!((error.kind(), Class::of(&error)), (ErrorKind::ConnectionRefused, Class::PeerGone));
    drop(stream);
}

fn a_stream_that_is_not_connected_refuses_and_stays_usable_elsewhere(stage: &Stage) {
    let mut desk = stage.desk();
    let (listener, at) = desk.listen(&v4());
    let stream = desk.port.stream(&at).expect("a stream");
    assert!(desk.run(Receive::new(&stream, room(8))).0.is_err(), "it is not connected");
    assert!(stream.peer_address().is_err(), "it has no peer");
    let (connected, stream) = desk.run(ostia_port::op::Connect::new(stream, &at).expect("it is an address"));
    connected.expect("somebody listens");
    let (accepted, ()) = desk.ok(Accept::new(&listener));
    desk.send(&stream, b"now".to_vec());
    assert_eq!(desk.receive(&accepted, 3), b"now");
}

fn a_stream_connects_once(stage: &Stage) {
    let mut desk = stage.desk();
    let (listener, at) = desk.listen(&v4());
    let (ours, theirs) = desk.pair_at(&listener, &at);
    let (again, ours) = desk.run(ostia_port::op::Connect::new(ours, &at).expect("it is an address"));
    assert!(again.is_err(), "it is connected");
    desk.send(&ours, b"as it was".to_vec());
    assert_eq!(desk.receive(&theirs, 9), b"as it was");
}

fn nothing_is_received_before_it_is_sent(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    let mut receive = desk.submit(Receive::new(&theirs, room(8)));
    for _ in 0..5 {
        desk.turn(Some(Duration::from_millis(1)));
        assert!(!receive.is_done());
    }
    desk.send(&ours, b"x".to_vec());
    assert_eq!(desk.end(&mut receive).0.expect("a byte").len, 1);
}

fn an_accepted_stream_is_a_whole_stream(stage: &Stage) {
    // Some systems give a stream that knows neither its ends nor how to close a half, until it is told what it is.
    let mut desk = stage.desk();
    let (listener, at) = desk.listen(&v4());
    let (ours, theirs) = desk.pair_at(&listener, &at);
    theirs.set_nodelay(true).expect("it is TCP");
    assert!(theirs.nodelay().expect("it is TCP"));
    theirs.local_address().expect("it is connected");
    theirs.peer_address().expect("it is connected");
    desk.send(&theirs, b"bye".to_vec());
    theirs.shutdown(Shutdown::Write).expect("it is connected");
    assert_eq!(desk.receive_to_end(&ours), b"bye");
    ours.shutdown(Shutdown::Write).expect("it is connected");
    assert_eq!(desk.receive_to_end(&theirs), b"");
}

fn a_receive_brings_no_more_than_the_front_of_its_buffer(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    let sent = pattern(1000);
    desk.send(&ours, sent.clone());
    let mut all = Vec::with_capacity(4096);
    while all.len() < sent.len() {
        let start = all.len();
        let (received, back) = desk.ok(Receive::new(&theirs, Head::new(Tail::new(all, start), 7)));
        all = back.into_inner().into_inner();
        assert!((1..=7).contains(&received.len), "{} bytes of seven", received.len);
        assert_eq!(all.len(), start + received.len);
    }
    assert_eq!(all, sent);
    // A send takes no more, either.
    let (count, _) = desk.ok(Send::new(&ours, Head::new(sent.clone(), 5)));
    assert_eq!((count, desk.receive(&theirs, 5)), (5, sent[..5].to_vec()));
}

fn kept_buffers_go_to_their_keeper_however_their_operation_ends(stage: &Stage) {
    struct Shelf(mpsc::Sender<Vec<u8>>);
    impl Keeper for Shelf {
        fn take_back(&mut self, bytes: Vec<u8>) {
            self.0.send(bytes).expect("the case looks");
        }
    }
    let (sender, shelf) = mpsc::channel();
    let kept = || Kept::new(Vec::with_capacity(512), Shelf(sender.clone()));
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    desk.send(&theirs, *b"well");
    let (_, bytes) = desk.ok(Receive::new(&ours, kept()));
    assert_eq!(&**bytes, b"well");
    assert!(shelf.try_recv().is_err(), "we have it");
    drop(bytes);
    assert_eq!(shelf.try_recv().expect("it went back"), b"well");
    // Abandoned, cancelled and detached.
    drop(desk.submit(Receive::new(&ours, kept())));
    let mut cancelled = desk.submit(Receive::new(&ours, kept()));
    cancelled.cancel();
    assert!(desk.end(&mut cancelled).0.is_err());
    desk.submit(Receive::new(&ours, kept())).detach();
    desk.send(&theirs, *b"late");
    let mut back = Vec::new();
    desk.until("all three are back", |_| {
        back.extend(shelf.try_iter());
        back.len() == 3
    });
    assert_eq!(back.iter().filter(|bytes| *bytes == b"late").count(), 1);
}

fn a_stream_comes_from_the_address_it_was_told(stage: &Stage) {
    let mut desk = stage.desk();
    for way in [v4(), v6()] {
        let (listener, at) = desk.listen(&way);
        // A port that was free a moment ago.
        let from = desk.listen(&way).1;
        let stream = desk.port.stream_from(&at, &from).expect("it is free");
        let mut accept = desk.submit(Accept::new(&listener));
        let (connected, ours) = desk.run(Connect::new(stream, &at).expect("it is an address"));
        connected.expect("somebody listens");
        let theirs = desk.end(&mut accept).0.expect("somebody connects");
        assert_eq!(ours.local_address().expect("it is connected"), from);
        assert_eq!(theirs.peer_address().expect("it is connected"), from);
        desk.send(&ours, *b"from there");
        assert_eq!(desk.receive(&theirs, 10), b"from there");
        // The system's choice of the port is one, too.
        let stream = desk.port.stream_from(&at, &way).expect("it is of this machine");
        let (connected, ours) = desk.run(Connect::new(stream, &at).expect("it is an address"));
        connected.expect("somebody listens");
        assert_ne!(ours.local_address().expect("it is connected").as_ip().expect("it is IP").port(), 0);
    }
    let mixed = desk.port.stream_from(&v4(), &v6()).expect_err("they are of two families");
    assert_eq!(mixed.kind(), ErrorKind::InvalidInput);
    let local = desk.port.stream_from(&stage.local(), &v4()).expect_err("a name has no such thing");
    assert_eq!(local.kind(), ErrorKind::Unsupported);
}
