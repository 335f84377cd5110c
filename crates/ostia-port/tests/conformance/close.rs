//! Closing: berths, ports and handles.

use std::{
    io::ErrorKind,
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use ostia_port::{
    Payload,
    op::{Nop, Receive, ReceiveFrom, Send, Timer},
};

use crate::{
    case::Stage,
    kit::{Desk, assert_cancelled, handles_of, room, v4},
};

cases![
    closing_a_berth_with_ten_thousand_receives_pending_leaves_none_under_way,
    tickets_keep_their_results_when_their_berth_is_closed,
    a_report_tells_what_became_of_everything,
    a_port_is_not_closed_by_a_thread_that_has_a_berth,
    a_port_whose_berth_stays_open_is_not_closed_by_the_deadline,
    a_closed_port_takes_no_submit_and_gives_the_operation_back,
    a_closed_port_has_no_place_for_another_berth,
    a_port_is_closed_many_times_from_any_thread,
    a_handle_stays_open_while_an_operation_is_on_it,
    a_closed_stream_is_the_end_of_the_other,
    berths_that_come_and_go_leak_no_handle,
    ports_that_come_and_go_leak_no_handle,
    a_port_goes_on_after_its_berths_are_gone,
    closing_while_others_post_loses_and_frees_nothing,
    a_berth_that_is_dropped_ends_its_operations,
    a_handle_outlives_its_port_and_its_berth,
];

fn closing_a_berth_with_ten_thousand_receives_pending_leaves_none_under_way(stage: &Stage) {
    let mut desk = stage.desk();
    let sockets: Vec<_> =
        (0..stage.times(2000)).map(|_| desk.port.datagram(&v4()).expect("a socket")).collect();
    let mut receives = Vec::new();
    for _ in 0..5 {
        for socket in &sockets {
            receives.push(desk.submit(ReceiveFrom::new(socket, room(64))));
        }
        desk.turn(Some(Duration::ZERO));
    }
    let report = desk.berth.close(Duration::from_secs(20));
    assert_eq!((report.submitted, report.cancelled), (receives.len() as u64, receives.len() as u64));
    assert_eq!((report.ended, report.leaked, report.unknown), (report.submitted, 0, 0));
    for receive in &mut receives {
        assert_cancelled(receive.poll().expect("it has ended").0);
    }
}

fn tickets_keep_their_results_when_their_berth_is_closed(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    desk.send(&theirs, b"kept".to_vec());
    let mut won = desk.submit(Receive::new(&ours, Vec::with_capacity(8)));
    desk.until("it has ended", |_| won.is_done());
    let mut pending = desk.submit(Receive::new(&ours, Vec::with_capacity(8)));
    desk.berth.close(Duration::from_secs(10));
    assert_eq!(won.poll().expect("it had ended").1, b"kept");
    let (result, buffer) = pending.poll().expect("it has ended");
    assert_cancelled(result);
    assert!(buffer.capacity() >= 8);
}

fn a_report_tells_what_became_of_everything(stage: &Stage) {
    let port = stage.port();
    let mut desk = Desk::new(&port);
    let (ours, _theirs) = desk.pair();
    let before = 2;
    for _ in 0..10 {
        desk.ok(Nop);
    }
    let _pending: Vec<_> = (0..5).map(|_| desk.submit(Receive::new(&ours, room(8)))).collect();
    let report = desk.berth.close(Duration::from_secs(10));
    let expected =
        ostia_port::Report { submitted: before + 15, ended: before + 15, cancelled: 5, ..Default::default() };
    assert_eq!(report, expected);
    assert_eq!(
        port.close(Duration::ZERO).expect("its berth is closed"),
        expected,
        "the port sums its berths up"
    );
}

fn a_port_is_not_closed_by_a_thread_that_has_a_berth(stage: &Stage) {
    let desk = stage.desk();
    assert_eq!(
        desk.port.close(Duration::from_secs(5)).expect_err("it would wait for itself").kind(),
        ErrorKind::Deadlock
    );
    let port = desk.port.clone();
    drop(desk);
    port.close(Duration::ZERO).expect("the berth is closed");
}

fn a_port_whose_berth_stays_open_is_not_closed_by_the_deadline(stage: &Stage) {
    let port = stage.port();
    let (open, closed) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            let desk = Desk::new(&port);
            open.wait();
            closed.wait();
            drop(desk);
        });
        open.wait();
        let error = port.close(Duration::from_millis(20)).expect_err("a berth is open");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        closed.wait();
        port.close(Duration::from_secs(10)).expect("the berth is closed now");
    });
}

fn a_closed_port_takes_no_submit_and_gives_the_operation_back(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, _theirs) = desk.pair();
    // Shut, though not closed: this thread has a berth.
    desk.port.close(Duration::ZERO).expect_err("it would wait for itself");
    assert!(desk.berth.is_closing());
    let bytes: Arc<[u8]> = vec![1].into();
    let refused = desk.berth.submit(Send::new(&ours, Arc::clone(&bytes))).expect_err("it is shut");
    assert_eq!(refused.error.kind(), ErrorKind::NotConnected);
    assert_eq!(Arc::strong_count(&bytes), 2);
    drop(refused.op);
    assert_eq!(Arc::strong_count(&bytes), 1);
}

fn a_closed_port_has_no_place_for_another_berth(stage: &Stage) {
    let port = stage.port();
    port.close(Duration::ZERO).expect("it has no berths");
    assert_eq!(port.berth().expect_err("it is closed").kind(), ErrorKind::NotConnected);
}

fn a_port_is_closed_many_times_from_any_thread(stage: &Stage) {
    let port = stage.port();
    let ready = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut desk = Desk::new(&port);
            ready.wait();
            while !desk.berth.is_closing() {
                desk.turn(None);
            }
        });
        ready.wait();
        for _ in 0..4 {
            scope.spawn(|| port.close(Duration::from_secs(10)).expect("the berth hears of it"));
        }
    });
    port.close(Duration::ZERO).expect("it is closed");
}

fn a_handle_stays_open_while_an_operation_is_on_it(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    let mut receive = desk.submit(Receive::new(&ours, Vec::with_capacity(8)));
    drop(ours);
    desk.idle();
    // The last clone is gone and the operation is not: the other end sees no end.
    desk.send(&theirs, b"to it".to_vec());
    assert_eq!(desk.end(&mut receive).1, b"to it");
    drop(receive);
    assert_eq!(desk.receive_to_end(&theirs), b"", "now it is closed");
}

fn a_closed_stream_is_the_end_of_the_other(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    let clone = ours.clone();
    let mut receive = desk.submit(Receive::new(&theirs, Vec::with_capacity(8)));
    drop(ours);
    desk.idle();
    assert!(!receive.is_done(), "a clone is left");
    drop(clone);
    assert_eq!(desk.end(&mut receive).0.expect("an end is no error").len, 0);
}

fn berths_that_come_and_go_leak_no_handle(stage: &Stage) {
    let port = stage.port();
    let round = || {
        let mut desk = Desk::new(&port);
        let (ours, _theirs) = desk.pair();
        let _pending = desk.submit(Receive::new(&ours, room(8)));
        let report = desk.berth.close(Duration::from_secs(10));
        assert_eq!(report.leaked, 0);
    };
    for _ in 0..5 {
        round();
    }
    let before = handles_of(&port);
    for _ in 0..50 {
        round();
    }
    let after = handles_of(&port);
    assert!(after <= before + 8, "{before} handles before, {after} after");
}

fn ports_that_come_and_go_leak_no_handle(stage: &Stage) {
    let round = || {
        let mut desk = stage.desk();
        drop(desk.pair());
        let port = desk.port.clone();
        drop(desk);
        port.close(Duration::from_secs(5)).expect("its berth is closed");
    };
    for _ in 0..5 {
        round();
    }
    let before = crate::kit::open_handles();
    for _ in 0..50 {
        round();
    }
    let after = crate::kit::open_handles();
    assert!(after <= before + 8, "{before} handles before, {after} after");
}

fn a_port_goes_on_after_its_berths_are_gone(stage: &Stage) {
    let port = stage.port();
    port.post(Payload::Word(1)).expect("there is room");
    for word in 1..4 {
        let mut desk = Desk::new(&port);
        desk.until("the post waited for a berth", |desk| !desk.posts.is_empty());
        assert!(matches!(desk.posts[..], [Payload::Word(found)] if found == word));
        desk.ok(Nop);
        desk.berth.close(Duration::from_secs(5));
        port.post(Payload::Word(word + 1)).expect("there is room");
    }
}

fn closing_while_others_post_loses_and_frees_nothing(stage: &Stage) {
    for _ in 0..stage.times(50) {
        let port = stage.port();
        let held = Arc::new(());
        let ready = Barrier::new(3);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut desk = Desk::new(&port);
                ready.wait();
                while !desk.berth.is_closing() {
                    desk.turn(None);
                }
                desk.posts.clear();
            });
            scope.spawn(|| {
                ready.wait();
                // Until it is refused because the port is shut.
                loop {
                    let held = Arc::clone(&held);
                    match port.post(Payload::Value(Box::new(held))) {
                        Err(refused) if refused.kind == ErrorKind::NotConnected => return,
                        _ => thread::yield_now(),
                    }
                }
            });
            ready.wait();
            port.close(Duration::from_secs(10)).expect("the berth hears of it");
        });
        // A post that won the race against the closing is dropped with the port at the latest.
        drop(port);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}

fn a_berth_that_is_dropped_ends_its_operations(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, _theirs) = desk.pair();
    let mut receive = desk.submit(Receive::new(&ours, room(8)));
    let far = Timer::after(&desk.port, Duration::from_secs(3600));
    let mut timer = desk.submit(far);
    drop(desk);
    assert_cancelled(receive.poll().expect("it has ended").0);
    assert_cancelled(timer.poll().expect("it has ended").0);
}

fn a_handle_outlives_its_port_and_its_berth(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    let port = desk.port.clone();
    drop(desk);
    port.close(Duration::from_secs(5)).expect("its berth is closed");
    drop(port);
    assert!(ours.peer_address().is_ok(), "a stream is a stream");
    ours.shutdown(std::net::Shutdown::Both).expect("it is connected");
    drop((ours, theirs));
}
