//! Cancelling: a request, after which the operation still ends once.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use ostia_port::{
    Class, Packet, Stream,
    op::{Accept, Nop, Receive, Send},
};

use crate::{
    case::Stage,
    kit::{Desk, assert_cancelled, pattern, room},
};

cases![
    a_cancelled_receive_ends_once_and_says_so,
    a_cancel_that_races_arriving_data_loses_no_byte,
    cancels_from_another_thread_that_race_arriving_data_lose_no_byte,
    a_cancel_of_what_has_ended_changes_nothing,
    a_cancel_before_the_first_wait_counts,
    a_cancel_from_another_thread_reaches_a_sleeping_berth,
    a_cancelled_receive_in_line_leaves_the_line,
    the_line_goes_on_when_its_first_is_cancelled,
    a_cancelled_accept_leaves_its_connection_to_the_next,
    a_connect_that_nobody_answers_is_cancelled,
    a_cancelled_send_has_sent_a_beginning_and_no_more,
    a_thousand_cancels_at_once_end_each_operation_once,
    a_second_cancel_changes_nothing,
    a_cancel_that_comes_late_does_not_touch_the_next_operation,
];

fn a_cancelled_receive_ends_once_and_says_so(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    for _ in 0..stage.times(1000) {
        let mut receive = desk.submit(Receive::new(&ours, Vec::with_capacity(64)));
        desk.turn(Some(Duration::ZERO));
        receive.cancel();
        let (result, buffer) = desk.end(&mut receive);
        assert_cancelled(result);
        assert!(buffer.is_empty() && buffer.capacity() >= 64, "the buffer comes back");
        assert!(receive.poll().is_none(), "a result is given once");
    }
    desk.send(&theirs, b"still open".to_vec());
    assert_eq!(desk.receive(&ours, 10), b"still open");
}

/// One receive that is cancelled at some moment: what it brought, if anything.
fn cancelled_at_some_moment(desk: &mut Desk, from: &Stream, round: usize, cancel: bool) -> Vec<u8> {
    let mut receive = desk.submit(Receive::new(from, room(16)));
    for _ in 0..round % 3 {
        desk.turn(Some(Duration::ZERO));
    }
    if cancel {
        receive.cancel();
    }
    match desk.end(&mut receive) {
        (Ok(received), bytes) => {
            assert!(received.len > 0, "the stream has not ended");
            bytes[..received.len].to_vec()
        }
        (Err(error), _) => {
            assert_eq!(Class::of(&error), Class::Cancelled, "{error}");
            Vec::new()
        }
    }
}

fn a_cancel_that_races_arriving_data_loses_no_byte(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    let (mut sent, mut received) = (0_u8, 0_u8);
    for round in 0..stage.times(100_000) {
        let mut receive = desk.submit(Receive::new(&theirs, room(16)));
        if round % 5 < 2 {
            desk.turn(Some(Duration::ZERO));
        }
        // Data and cancel, in either order, and both may be in one submission.
        let early = round % 2 == 0;
        if early {
            receive.cancel();
        }
        let mut send = desk.submit(Send::new(&ours, vec![sent]));
        sent = sent.wrapping_add(1);
        if !early {
            receive.cancel();
        }
        let (result, bytes) = desk.end(&mut receive);
        match result {
            Ok(got) => {
                for byte in &bytes[..got.len] {
                    assert_eq!(*byte, received, "in round {round}");
                    received = received.wrapping_add(1);
                }
            }
            Err(error) => assert_eq!(Class::of(&error), Class::Cancelled, "{error}"),
        }
        desk.end(&mut send).0.expect("it was sent");
        if round % 64 == 63 {
            // What the cancelled ones left is served to the next.
            while received != sent {
                assert_eq!(desk.receive(&theirs, 1), [received], "after round {round}");
                received = received.wrapping_add(1);
            }
        }
    }
}

fn cancels_from_another_thread_that_race_arriving_data_lose_no_byte(stage: &Stage) {
    let port = stage.port();
    let mut desk = Desk::among(&port);
    let (ours, theirs) = desk.pair();
    let all = pattern(stage.times(60_000));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut desk = Desk::among(&port);
            for piece in all.chunks(3) {
                desk.send(&ours, piece);
            }
            stop.store(true, Ordering::Release);
        });
        let mut received = Vec::new();
        let mut round = 0;
        while received.len() < all.len() {
            round += 1;
            // With the last byte sent, nothing races any more.
            let cancel = !stop.load(Ordering::Acquire);
            received.extend(cancelled_at_some_moment(&mut desk, &theirs, round, cancel));
        }
        assert!(received == all, "a byte is missing, doubled or in the wrong place");
    });
}

fn a_cancel_of_what_has_ended_changes_nothing(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    desk.send(&theirs, b"won".to_vec());
    let mut receive = desk.submit(Receive::new(&ours, Vec::with_capacity(8)));
    desk.until("it has ended", |_| receive.is_done());
    receive.cancel();
    assert_eq!(desk.end(&mut receive).1, b"won");
    receive.cancel();
    assert!(receive.poll().is_none());
}

fn a_cancel_before_the_first_wait_counts(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, _theirs) = desk.pair();
    for _ in 0..100 {
        let mut receive = desk.submit(Receive::new(&ours, Vec::with_capacity(8)));
        receive.cancel();
        assert_cancelled(desk.end(&mut receive).0);
    }
}

fn a_cancel_from_another_thread_reaches_a_sleeping_berth(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, _theirs) = desk.pair();
    for _ in 0..stage.times(2000) {
        let mut receive = desk.submit(Receive::new(&ours, Vec::with_capacity(8)));
        thread::scope(|scope| {
            let canceller = scope.spawn(|| {
                receive.cancel();
                receive
            });
            // For ever: a cancel that woke nobody would hang here.
            let packets = desk.turn(None);
            assert!(matches!(packets[..], [Packet::Done(_)]), "{packets:?}");
            let mut receive = canceller.join().expect("cancelling needs no berth");
            assert_cancelled(receive.poll().expect("it has ended").0);
        });
    }
}

fn a_cancelled_receive_in_line_leaves_the_line(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    let mut receives: Vec<_> = (0..5).map(|_| desk.submit(Receive::new(&ours, room(1)))).collect();
    receives[1].cancel();
    receives[3].cancel();
    assert_cancelled(desk.end(&mut receives[1]).0);
    assert_cancelled(desk.end(&mut receives[3]).0);
    desk.send(&theirs, b"abc".to_vec());
    for (place, expected) in [(0, b'a'), (2, b'b'), (4, b'c')] {
        let (received, bytes) = desk.end(&mut receives[place]);
        assert_eq!((received.expect("a byte came").len, bytes[0]), (1, expected));
    }
}

fn the_line_goes_on_when_its_first_is_cancelled(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    let mut first = desk.submit(Receive::new(&ours, room(1)));
    let mut second = desk.submit(Receive::new(&ours, room(1)));
    desk.turn(Some(Duration::ZERO));
    first.cancel();
    assert_cancelled(desk.end(&mut first).0);
    desk.send(&theirs, b"z".to_vec());
    assert_eq!(*desk.end(&mut second).1, *b"z");
}

fn a_cancelled_accept_leaves_its_connection_to_the_next(stage: &Stage) {
    let mut desk = stage.desk();
    let (listener, at) = desk.listen(&crate::kit::v4());
    for round in 0..stage.times(500) {
        let mut accept = desk.submit(Accept::new(&listener));
        if round % 2 == 0 {
            desk.turn(Some(Duration::ZERO));
        }
        let connect = desk.connect(&at);
        let mut connect = desk.submit(connect);
        if round % 3 == 0 {
            desk.turn(Some(Duration::ZERO));
        }
        accept.cancel();
        let accepted = match desk.end(&mut accept).0 {
            Ok(stream) => stream,
            Err(error) => {
                assert_eq!(Class::of(&error), Class::Cancelled, "{error}");
                desk.ok(Accept::new(&listener)).0
            }
        };
        let (connected, stream) = desk.end(&mut connect);
        connected.expect("somebody listens");
        desk.send(&stream, b"it is the one".to_vec());
        assert_eq!(desk.receive(&accepted, 13), b"it is the one");
    }
}

fn a_connect_that_nobody_answers_is_cancelled(stage: &Stage) {
    // A line that is full: the system lets who comes now wait for an answer.
    let mut desk = stage.desk();
    let options = ostia_port::ListenOptions::new().backlog(1);
    let listener = desk.port.listen(&crate::kit::v4(), &options).expect("it can be listened there");
    let at = listener.local_address().expect("a listener has an address");
    let mut waiting = Vec::new();
    for _ in 0..8 {
        let connect = desk.connect(&at);
        let mut connect = desk.submit(connect);
        desk.idle();
        match connect.poll() {
            None => waiting.push(connect),
            Some((Ok(()), stream)) => std::mem::forget(stream),
            Some((Err(_), _)) => {
                stage.skip("this system refuses who comes to a full line; none waits for an answer")
            }
        }
    }
    assert!(!waiting.is_empty(), "a line of one takes eight");
    for mut connect in waiting {
        connect.cancel();
        let (result, stream) = desk.end(&mut connect);
        assert_cancelled(result);
        drop(stream);
    }
    drop(listener);
}

fn a_cancelled_send_has_sent_a_beginning_and_no_more(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    let all = pattern(32 << 20);
    let mut send = desk.submit(Send::new(&ours, all.clone()));
    desk.idle();
    assert!(!send.is_done(), "nobody has received so much yet");
    send.cancel();
    assert_cancelled(desk.end(&mut send).0);
    drop(send);
    ours.shutdown(std::net::Shutdown::Write).expect("it is connected");
    let received = desk.receive_to_end(&theirs);
    assert!(received.len() < all.len(), "it was cancelled");
    assert!(all.starts_with(&received), "what arrived is a beginning");
}

fn a_thousand_cancels_at_once_end_each_operation_once(stage: &Stage) {
    let mut desk = stage.desk();
    let count = stage.times(1000).max(100);
    let pairs: Vec<_> = (0..10).map(|_| desk.pair()).collect();
    let mut receives: Vec<_> =
        (0..count).map(|place| desk.submit(Receive::new(&pairs[place % 10].0, room(8)))).collect();
    desk.turn(Some(Duration::ZERO));
    for receive in &mut receives {
        receive.cancel();
    }
    let mut told = 0;
    while told < count {
        let packets = desk.turn(Some(Duration::from_secs(10)));
        assert!(!packets.is_empty(), "{told} of {count} have ended");
        told += packets.len();
    }
    assert!(desk.turn(Some(Duration::ZERO)).is_empty(), "none ends twice");
    for receive in &mut receives {
        assert_cancelled(receive.poll().expect("it has ended").0);
    }
    let report = desk.berth.close(Duration::from_secs(5));
    assert_eq!((report.submitted, report.leaked, report.unknown), (report.ended, 0, 0));
}

fn a_second_cancel_changes_nothing(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, _theirs) = desk.pair();
    let mut receive = desk.submit(Receive::new(&ours, room(8)));
    for _ in 0..10 {
        receive.cancel();
        desk.turn(Some(Duration::ZERO));
    }
    assert_cancelled(desk.end(&mut receive).0);
    assert!(desk.turn(Some(Duration::ZERO)).is_empty());
}

fn a_cancel_that_comes_late_does_not_touch_the_next_operation(stage: &Stage) {
    // A place is used again as soon as its operation has been taken. A cancel that is still on its way must not meet
    // whoever stands there now.
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    for round in 0..stage.times(5000) {
        let mut nop = desk.submit(Nop);
        desk.until("it has ended or nearly", |_| round % 2 == 0 || nop.is_done());
        nop.cancel();
        drop(nop);
        let mut next = desk.submit(Receive::new(&ours, room(4)));
        let mut send = desk.submit(Send::new(&theirs, b"next".to_vec()));
        let (received, bytes) = desk.end(&mut next);
        assert_eq!((received.expect("nobody cancelled this one").len, &*bytes), (4, &b"next"[..]));
        desk.end(&mut send).0.expect("it was sent");
    }
}
