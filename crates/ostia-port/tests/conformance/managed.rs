//! Managed receives: buffers are lent when there is something to receive.

use std::{sync::mpsc, thread, time::Duration};

use ostia_port::{
    Backend, Class, Packet, Port, Stream, Ticket,
    op::{Lent, ReceiveManaged, ReceiveManagedMany},
};

use crate::{
    case::Stage,
    kit::{Desk, assert_cancelled, pattern, v4},
};

cases![
    idle_connections_hold_no_buffer,
    a_managed_receive_brings_what_was_sent,
    the_end_of_a_stream_is_an_empty_loan,
    many_managed_receives_bring_everything_in_order,
    a_receive_waits_while_no_buffer_is_left_and_goes_on_with_the_next,
    a_loan_given_back_by_another_thread_wakes_the_berth,
    a_loan_outlives_its_ticket_its_stream_and_its_berth,
    a_cancelled_managed_receive_loses_no_byte_and_no_buffer,
    an_abandoned_managed_receive_loses_no_buffer,
    managed_receives_stop_at_their_bound_and_lose_nothing,
    a_reset_is_an_error_under_management_too,
];

fn port_of_four_buffers(stage: &Stage) -> Port {
    stage.builder().lent_buffers(4, 4096).open().expect("a port opens")
}

fn idle_connections_hold_no_buffer(stage: &Stage) {
    const IDLE: usize = 64;
    let port = port_of_four_buffers(stage);
    let mut desk = Desk::new(&port);
    let (listener, at) = desk.listen(&v4());
    let pairs: Vec<_> = (0..IDLE).map(|_| desk.pair_at(&listener, &at)).collect();
    let mut receives: Vec<_> =
        pairs.iter().map(|(_, theirs)| desk.submit(ReceiveManaged::new(theirs))).collect();
    desk.idle();
    assert!(receives.iter().all(|receive| !receive.is_done()), "all of them wait, with four buffers");
    // Now all of them are sent to at once, and each is served.
    for (place, (ours, _)) in pairs.iter().enumerate() {
        desk.send(ours, vec![place as u8; 1000]);
    }
    let mut served = 0;
    desk.until("all are served", |_| {
        for (place, receive) in receives.iter_mut().enumerate() {
            if let Some((lent, ())) = receive.poll() {
                // Given back at the end of this line: the next waits for it.
                assert_eq!(*lent.expect("it was sent to"), vec![place as u8; 1000]);
                served += 1;
            }
        }
        served == IDLE
    });
}

fn a_managed_receive_brings_what_was_sent(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    for round in 0..stage.times(1000) {
        let sent = pattern(round % 5000 + 1);
        desk.send(&ours, sent.clone());
        let mut received = Vec::new();
        while received.len() < sent.len() {
            let (lent, ()) = desk.ok(ReceiveManaged::new(&theirs));
            assert!(!lent.is_empty());
            received.extend_from_slice(&lent);
        }
        assert!(received == sent, "what arrived differs from what was sent");
    }
}

fn the_end_of_a_stream_is_an_empty_loan(stage: &Stage) {
    let port = port_of_four_buffers(stage);
    let mut desk = Desk::new(&port);
    let (ours, theirs) = desk.pair();
    desk.send(&ours, b"last".to_vec());
    drop(ours);
    assert_eq!(*desk.ok(ReceiveManaged::new(&theirs)).0, *b"last");
    // More often than there are buffers: the end takes none.
    let ends: Vec<Lent> = (0..10).map(|_| desk.ok(ReceiveManaged::new(&theirs)).0).collect();
    assert!(ends.iter().all(|end| end.is_empty()));
    let mut many = desk.submit(ReceiveManagedMany::new(&theirs));
    assert!(desk.item(&mut many).expect("the end is told").expect("and is no error").is_empty());
    desk.end(&mut many).0.expect("it ends well");
}

/// All of a stream, by receives of many results.
fn receive_many(desk: &mut Desk, stream: &Stream, mut each: impl FnMut(&mut Desk, Lent)) {
    loop {
        let mut many = desk.submit(ReceiveManagedMany::new(stream));
        while let Some(item) = desk.item(&mut many) {
            let lent = item.expect("it was sent");
            if lent.is_empty() {
                desk.end(&mut many).0.expect("the end is no error");
                return;
            }
            each(desk, lent);
        }
        desk.end(&mut many).0.expect("it ends well at its bound");
    }
}

fn many_managed_receives_bring_everything_in_order(stage: &Stage) {
    let port = port_of_four_buffers(stage);
    let mut desk = Desk::new(&port);
    let (ours, theirs) = desk.pair();
    let all = pattern(stage.times(8 << 20));
    let mut send = desk.submit(ostia_port::op::Send::new(&ours, all.clone()));
    drop(ours);
    let mut received = Vec::new();
    receive_many(&mut desk, &theirs, |_, lent| {
        received.extend_from_slice(&lent);
        drop(send.poll());
    });
    assert!(received == all, "{} of {} bytes, or not in order", received.len(), all.len());
}

fn a_receive_waits_while_no_buffer_is_left_and_goes_on_with_the_next(stage: &Stage) {
    let port = port_of_four_buffers(stage);
    let mut desk = Desk::new(&port);
    let pairs: Vec<_> = (0..5).map(|_| desk.pair()).collect();
    for (ours, _) in &pairs {
        desk.send(ours, b"cargo".to_vec());
    }
    let mut held: Vec<Lent> =
        pairs[..4].iter().map(|(_, theirs)| desk.ok(ReceiveManaged::new(theirs)).0).collect();
    let mut waiting: Ticket<ReceiveManaged> = desk.submit(ReceiveManaged::new(&pairs[4].1));
    desk.idle();
    assert!(!waiting.is_done(), "all four buffers are lent");
    held.pop();
    assert_eq!(*desk.end(&mut waiting).0.expect("a buffer came back"), *b"cargo");
}

fn a_loan_given_back_by_another_thread_wakes_the_berth(stage: &Stage) {
    let port = port_of_four_buffers(stage);
    let mut desk = Desk::new(&port);
    let pairs: Vec<_> = (0..5).map(|_| desk.pair()).collect();
    for _ in 0..stage.times(100).max(5) {
        for (ours, _) in &pairs {
            desk.send(ours, b"cargo".to_vec());
        }
        let held: Vec<Lent> =
            pairs[..4].iter().map(|(_, theirs)| desk.ok(ReceiveManaged::new(theirs)).0).collect();
        let mut waiting = desk.submit(ReceiveManaged::new(&pairs[4].1));
        desk.idle_once();
        assert!(!waiting.is_done(), "all four buffers are lent");
        let (sender, loans) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(move || drop(loans.recv()));
            sender.send(held).expect("the other thread listens");
            // For ever: a loan that came back and woke nobody would hang here.
            while !waiting.is_done() {
                for packet in desk.turn(None) {
                    assert!(matches!(packet, Packet::Done(_)), "{packet:?}");
                }
            }
        });
        assert_eq!(*desk.end(&mut waiting).0.expect("a buffer came back"), *b"cargo");
    }
}

fn a_loan_outlives_its_ticket_its_stream_and_its_berth(stage: &Stage) {
    let port = port_of_four_buffers(stage);
    let mut desk = Desk::new(&port);
    let (ours, theirs) = desk.pair();
    desk.send(&ours, b"kept".to_vec());
    let lent = desk.ok(ReceiveManaged::new(&theirs)).0;
    desk.send(&ours, b"in the ticket".to_vec());
    let mut ticket = desk.submit(ReceiveManaged::new(&theirs));
    desk.until("it has ended", |_| ticket.is_done());
    drop((ours, theirs));
    desk.berth.close(Duration::from_secs(10));
    let late = ticket.poll().expect("it had ended").0.expect("it was sent");
    port.close(Duration::from_secs(5)).expect("its berth is closed");
    drop((desk.port, port));
    let there = thread::spawn(move || {
        assert_eq!((&*lent, &*late), (&b"kept"[..], &b"in the ticket"[..]));
    });
    there.join().expect("a loan goes anywhere");
}

fn a_cancelled_managed_receive_loses_no_byte_and_no_buffer(stage: &Stage) {
    let port = port_of_four_buffers(stage);
    let mut desk = Desk::new(&port);
    let (ours, theirs) = desk.pair();
    let (mut sent, mut received) = (0_u8, 0_u8);
    for round in 0..stage.times(10_000) {
        let mut receive = desk.submit(ReceiveManaged::new(&theirs));
        if round % 2 == 0 {
            desk.turn(Some(Duration::ZERO));
        }
        let mut send = desk.submit(ostia_port::op::Send::new(&ours, vec![sent]));
        sent = sent.wrapping_add(1);
        if round % 3 == 0 {
            desk.turn(Some(Duration::ZERO));
        }
        receive.cancel();
        let lent = match desk.end(&mut receive).0 {
            Ok(lent) => lent,
            Err(error) => {
                assert_eq!(Class::of(&error), Class::Cancelled, "{error}");
                desk.end(&mut send).0.expect("it was sent");
                desk.ok(ReceiveManaged::new(&theirs)).0
            }
        };
        for byte in &*lent {
            assert_eq!(*byte, received, "in round {round}");
            received = received.wrapping_add(1);
        }
        drop(send.poll());
    }
}

fn an_abandoned_managed_receive_loses_no_buffer(stage: &Stage) {
    let port = port_of_four_buffers(stage);
    let mut desk = Desk::new(&port);
    let (ours, theirs) = desk.pair();
    // Far more often than there are buffers.
    for round in 0..stage.times(500).max(20) {
        let receive = desk.submit(ReceiveManaged::new(&theirs));
        let many = desk.submit(ReceiveManagedMany::new(&theirs));
        desk.send(&ours, vec![1; 100]);
        if round % 2 == 0 {
            desk.idle_once();
        }
        drop((receive, many));
        desk.idle_once();
    }
    // What is abandoned may still win, and take what is meant for the next.
    desk.idle();
    desk.send(&ours, b"end".to_vec());
    let mut last = Vec::new();
    while !last.ends_with(b"end") {
        last.extend_from_slice(&desk.ok(ReceiveManaged::new(&theirs)).0);
    }
    let pairs: Vec<_> = (0..4).map(|_| desk.pair()).collect();
    for (ours, _) in &pairs {
        desk.send(ours, b"four".to_vec());
    }
    let held: Vec<Lent> = pairs.iter().map(|(_, theirs)| desk.ok(ReceiveManaged::new(theirs)).0).collect();
    assert_eq!(held.len(), 4, "all four buffers are there");
}

fn managed_receives_stop_at_their_bound_and_lose_nothing(stage: &Stage) {
    let port = stage.builder().lent_buffers(64, 64).open().expect("a port opens");
    let mut desk = Desk::new(&port);
    let (ours, theirs) = desk.pair();
    let all = pattern(64 * 200);
    let mut send = desk.submit(ostia_port::op::Send::new(&ours, all.clone()));
    drop(ours);
    let mut many = desk.submit(ReceiveManagedMany::new(&theirs));
    // Nobody takes what comes, until the operation has had enough.
    desk.until("it stops at its bound", |_| many.is_done());
    let mut received = Vec::new();
    let mut waiting = 0;
    while let Some(item) = many.next() {
        waiting += 1;
        received.extend_from_slice(&item.expect("it was sent"));
    }
    // A ring may have received some more before it heard that it is enough: never more than there are buffers.
    let most = if stage.backend == Backend::Uring { 64 } else { ReceiveManagedMany::WAITING_MAX };
    assert!((1..=most).contains(&waiting), "{waiting} waited");
    desk.end(&mut many).0.expect("it ends well at its bound");
    receive_many(&mut desk, &theirs, |_, lent| {
        received.extend_from_slice(&lent);
        drop(send.poll());
    });
    assert!(received == all, "{} of {} bytes, or not in order", received.len(), all.len());
}

fn a_reset_is_an_error_under_management_too(stage: &Stage) {
    let port = port_of_four_buffers(stage);
    let mut desk = Desk::new(&port);
    for _ in 0..6 {
        let (ours, theirs) = desk.pair();
        desk.send(&ours, vec![1; 100]);
        let mut receive = desk.submit(ReceiveManaged::new(&ours));
        assert_eq!(desk.receive(&theirs, 1), [1]);
        // Closed with unread data.
        drop(theirs);
        let result = desk.end(&mut receive).0;
        #[cfg(windows)]
        if crate::kit::is_wine() && matches!(&result, Ok(lent) if lent.is_empty()) {
            // It shuts a socket down before it closes it: the end comes before the reset.
            stage.wine_differs();
        }
        assert_eq!(crate::kit::class_of(result), Class::PeerGone);
    }
    let (ours, _theirs) = desk.pair();
    let mut receive = desk.submit(ReceiveManaged::new(&ours));
    desk.idle_once();
    receive.cancel();
    assert_cancelled(desk.end(&mut receive).0);
}
