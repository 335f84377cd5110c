//! Abandoning: a ticket is dropped, and the operation belongs to itself.

use std::{sync::Arc, thread, time::Duration};

use ostia_port::{
    buf::{IoBuf, IoBufMut},
    op::{Accept, AcceptMany, Nop, Open, OpenOptions, Receive, Send, Timer},
};

use crate::{
    case::Stage,
    kit::{Desk, handles_of, pattern, room, v4},
};

cases![
    an_abandoned_operation_keeps_its_buffer_until_it_has_ended,
    abandoned_operations_of_every_kind_end_and_are_counted,
    accepts_abandoned_in_a_loop_leak_no_handle,
    connects_abandoned_in_a_loop_leak_no_handle,
    an_abandoned_connect_closes_its_stream,
    an_abandoned_open_closes_its_file,
    a_stream_whose_receive_is_abandoned_goes_on,
    tickets_dropped_after_their_berth_was_closed_free_everything,
    a_ticket_dropped_on_another_thread_lets_go_there,
    a_ticket_that_was_never_polled_frees_its_result,
    an_abandoned_send_in_line_is_never_sent,
    a_detached_send_arrives_whole_and_those_behind_it_follow,
    a_stream_dropped_after_its_send_was_detached_is_closed_when_all_has_gone,
    a_detached_receive_keeps_its_buffer_until_it_has_ended,
    a_detached_operation_that_had_ended_lets_go_at_once,
    detached_operations_end_with_their_berth_and_are_counted,
    an_operation_that_yields_many_ends_when_it_is_detached,
];

/// Bytes that say when they are let go of.
struct Watched {
    bytes: Box<[u8]>,
    #[expect(dead_code, reason = "its count is looked at from outside")]
    watch: Arc<()>,
}

impl Watched {
    fn new(bytes: Vec<u8>, watch: &Arc<()>) -> Watched {
        Watched { bytes: bytes.into_boxed_slice(), watch: Arc::clone(watch) }
    }
}

// SAFETY: the bytes are a boxed slice, whose promise this is.
unsafe impl IoBuf for Watched {
    fn stable_ptr(&self) -> *const u8 {
        self.bytes.stable_ptr()
    }

    fn init_len(&self) -> usize {
        self.bytes.init_len()
    }
}

// SAFETY: as above.
unsafe impl IoBufMut for Watched {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.bytes.stable_mut_ptr()
    }

    fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    unsafe fn set_init(&mut self, _len: usize) {}
}

fn a_detached_send_arrives_whole_and_those_behind_it_follow(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    let (first, second) = (pattern(16 << 20), pattern(100_000));
    desk.submit(Send::new(&ours, first.clone())).detach();
    desk.turn(Some(Duration::ZERO));
    // In line behind it, and detached there.
    desk.submit(Send::new(&ours, second.clone())).detach();
    let mut last = desk.submit(Send::new(&ours, b"after".to_vec()));
    assert!(desk.receive(&theirs, first.len()) == first, "what arrived differs from what was sent");
    assert!(desk.receive(&theirs, second.len()) == second, "what arrived differs from what was sent");
    assert_eq!(desk.receive(&theirs, 5), b"after");
    desk.end(&mut last).0.expect("it was sent");
}

fn a_stream_dropped_after_its_send_was_detached_is_closed_when_all_has_gone(stage: &Stage) {
    let mut desk = stage.desk();
    for way in [v4(), stage.local()] {
        let (ours, theirs) = desk.pair_over(&way);
        let sent = pattern(8 << 20);
        desk.submit(Send::new(&ours, sent.clone())).detach();
        drop(ours);
        assert!(desk.receive_to_end(&theirs) == sent, "what arrived differs from what was sent");
    }
}

fn a_detached_receive_keeps_its_buffer_until_it_has_ended(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    let watch = Arc::new(());
    desk.submit(Receive::new(&ours, Watched::new(vec![0; 8], &watch))).detach();
    desk.idle();
    assert_eq!(Arc::strong_count(&watch), 2, "nothing has come, and nobody asked for its end");
    desk.send(&theirs, b"for it");
    desk.until("the buffer is let go of", |_| Arc::strong_count(&watch) == 1);
    // What came was that operation's.
    desk.send(&theirs, b"for us");
    assert_eq!(desk.receive(&ours, 6), b"for us");
}

fn a_detached_operation_that_had_ended_lets_go_at_once(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, _theirs) = desk.pair();
    let bytes: Arc<[u8]> = vec![7; 8].into();
    let send = desk.submit(Send::new(&ours, Arc::clone(&bytes)));
    desk.until("it has ended", |_| send.is_done());
    assert_eq!(Arc::strong_count(&bytes), 2, "its result waits in the ticket");
    send.detach();
    assert_eq!(Arc::strong_count(&bytes), 1);
    let mut nop = desk.submit(Nop);
    desk.end(&mut nop).0.expect("a nop ends well");
    // The result has been taken: there is nothing to be let go of.
    nop.detach();
}

fn detached_operations_end_with_their_berth_and_are_counted(stage: &Stage) {
    let mut desk = stage.desk();
    let (listener, at) = desk.listen(&v4());
    let (ours, _theirs) = desk.pair_at(&listener, &at);
    let watch = Arc::new(());
    desk.submit(Receive::new(&ours, Watched::new(vec![0; 8], &watch))).detach();
    desk.submit(Receive::new(&ours, Watched::new(vec![0; 8], &watch))).detach();
    desk.submit(Accept::new(&listener)).detach();
    let far = Timer::after(&desk.port, Duration::from_secs(3600));
    desk.submit(far).detach();
    desk.turn(Some(Duration::ZERO));
    let report = desk.berth.close(Duration::from_secs(10));
    assert_eq!((report.ended, report.leaked, report.unknown), (report.submitted, 0, 0));
    assert_eq!((report.cancelled, Arc::strong_count(&watch)), (4, 1));
}

fn an_operation_that_yields_many_ends_when_it_is_detached(stage: &Stage) {
    let mut desk = stage.desk();
    let (listener, at) = desk.listen(&v4());
    desk.submit(AcceptMany::new(&listener)).detach();
    desk.turn(Some(Duration::ZERO));
    // The next in line has its turn: nobody else accepts here any more.
    desk.pair_at(&listener, &at);
}

fn an_abandoned_operation_keeps_its_buffer_until_it_has_ended(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    let bytes: Arc<[u8]> = vec![7; 32 << 20].into();
    for _ in 0..3 {
        drop(desk.submit(Send::new(&ours, Arc::clone(&bytes))));
    }
    assert_eq!(Arc::strong_count(&bytes), 4, "nothing has ended yet");
    desk.until("all buffers have come back", |_| Arc::strong_count(&bytes) == 1);
    drop(theirs);
}

fn abandoned_operations_of_every_kind_end_and_are_counted(stage: &Stage) {
    let mut desk = stage.desk();
    let (listener, at) = desk.listen(&v4());
    let (ours, _theirs) = desk.pair_at(&listener, &at);
    for _ in 0..20 {
        drop(desk.submit(Nop));
        drop(desk.submit(Receive::new(&ours, room(16))));
        drop(desk.submit(Send::new(&ours, vec![1; 16])));
        drop(desk.submit(Accept::new(&listener)));
        let far = Timer::after(&desk.port, Duration::from_secs(3600));
        drop(desk.submit(far));
        let connect = desk.connect(&at);
        drop(desk.submit(connect));
        desk.turn(Some(Duration::ZERO));
    }
    // They make no packet; only the report tells of them.
    desk.idle();
    let report = desk.berth.close(Duration::from_secs(10));
    assert_eq!((report.ended, report.leaked, report.unknown), (report.submitted, 0, 0));
}

fn accepts_abandoned_in_a_loop_leak_no_handle(stage: &Stage) {
    let mut desk = stage.desk();
    let (listener, at) = desk.listen(&v4());
    let round = |desk: &mut Desk, round: usize| {
        let accept = desk.submit(Accept::new(&listener));
        if round.is_multiple_of(2) {
            desk.turn(Some(Duration::ZERO));
        }
        let connect = desk.connect(&at);
        let mut connect = desk.submit(connect);
        if round.is_multiple_of(3) {
            desk.turn(Some(Duration::ZERO));
        }
        // Late, early, or in between: what it accepted is closed.
        drop(accept);
        let (connected, stream) = desk.end(&mut connect);
        connected.expect("somebody listens");
        // Who was not accepted waits in the line, and would fill it.
        let mut next = desk.submit(Accept::new(&listener));
        desk.idle_once();
        next.cancel();
        drop(desk.end(&mut next));
        drop(stream);
    };
    for place in 0..20 {
        round(&mut desk, place);
    }
    desk.idle();
    let before = handles_of(&desk.port);
    for place in 0..stage.times(400).max(40) {
        round(&mut desk, place);
    }
    desk.idle();
    let after = handles_of(&desk.port);
    assert!(after <= before + 12, "{before} handles before, {after} after");
}

fn connects_abandoned_in_a_loop_leak_no_handle(stage: &Stage) {
    let mut desk = stage.desk();
    let (listener, at) = desk.listen(&v4());
    let round = |desk: &mut Desk, place: usize| {
        let connect = desk.connect(&at);
        let connect = desk.submit(connect);
        if place.is_multiple_of(2) {
            desk.turn(Some(Duration::ZERO));
        }
        drop(connect);
        let mut accept = desk.submit(Accept::new(&listener));
        desk.idle_once();
        accept.cancel();
        drop(desk.end(&mut accept));
    };
    for place in 0..20 {
        round(&mut desk, place);
    }
    desk.idle();
    let before = handles_of(&desk.port);
    for place in 0..stage.times(400).max(40) {
        round(&mut desk, place);
    }
    desk.idle();
    let after = handles_of(&desk.port);
    assert!(after <= before + 12, "{before} handles before, {after} after");
}

fn an_abandoned_connect_closes_its_stream(stage: &Stage) {
    let mut desk = stage.desk();
    let (listener, at) = desk.listen(&v4());
    let connect = desk.connect(&at);
    let connect = desk.submit(connect);
    let (accepted, ()) = desk.ok(Accept::new(&listener));
    drop(connect);
    // The other end sees an end, in order or not, and is not left alone.
    let (received, _) = desk.run(Receive::new(&accepted, room(8)));
    assert!(received.map_or(true, |received| received.len == 0));
}

fn an_abandoned_open_closes_its_file(stage: &Stage) {
    let mut desk = stage.desk();
    let path = stage.path();
    let options = OpenOptions::new().read(true).write(true).create(true);
    desk.ok(Open::new(&desk.port, &path, options).expect("it is a path"));
    let round = |desk: &mut Desk| {
        let open = Open::new(&desk.port, &path, options).expect("it is a path");
        drop(desk.submit(open));
        desk.idle_once();
    };
    for _ in 0..10 {
        round(&mut desk);
    }
    desk.idle();
    let before = handles_of(&desk.port);
    for _ in 0..100 {
        round(&mut desk);
    }
    // Whoever opens for us may be a moment behind: it is over when a later one is.
    desk.ok(Open::new(&desk.port, &path, options).expect("it is a path"));
    desk.idle();
    let after = handles_of(&desk.port);
    desk.ok(ostia_port::op::Remove::new(&path).expect("it is a path"));
    assert!(after <= before + 8, "{before} handles before, {after} after");
}

fn a_stream_whose_receive_is_abandoned_goes_on(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    for _ in 0..stage.times(500) {
        drop(desk.submit(Receive::new(&ours, room(8))));
        // The next stands in line behind the one that was abandoned, and gets its turn.
        let mut receive = desk.submit(Receive::new(&ours, room(8)));
        desk.idle_once();
        let mut send = desk.submit(Send::new(&theirs, b"on".to_vec()));
        let (received, bytes) = desk.end(&mut receive);
        assert_eq!(&bytes[..received.expect("it goes on").len], b"on");
        desk.end(&mut send).0.expect("it was sent");
    }
}

fn tickets_dropped_after_their_berth_was_closed_free_everything(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    let bytes: Arc<[u8]> = pattern(32 << 20).into();
    let mut tickets: Vec<_> = (0..10).map(|_| desk.submit(Send::new(&ours, Arc::clone(&bytes)))).collect();
    desk.turn(Some(Duration::ZERO));
    let report = desk.berth.close(Duration::from_secs(10));
    assert_eq!(report.leaked, 0);
    assert_eq!(Arc::strong_count(&bytes), 11, "their results wait in the tickets");
    assert!(tickets[9].poll().expect("it has ended").0.is_err(), "nobody received");
    assert_eq!(Arc::strong_count(&bytes), 10);
    drop(tickets);
    assert_eq!(Arc::strong_count(&bytes), 1);
    drop((ours, theirs));
}

fn a_ticket_dropped_on_another_thread_lets_go_there(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, _theirs) = desk.pair();
    for _ in 0..stage.times(500) {
        let bytes: Arc<[u8]> = vec![1; 8].into();
        let receive = desk.submit(Receive::new(&ours, room(8)));
        let send = desk.submit(Send::new(&ours, Arc::clone(&bytes)));
        thread::scope(|scope| {
            scope.spawn(move || drop((receive, send)));
            while Arc::strong_count(&bytes) > 1 {
                desk.idle_once();
            }
        });
    }
    desk.idle();
    let report = desk.berth.close(Duration::from_secs(10));
    assert_eq!((report.ended, report.leaked, report.unknown), (report.submitted, 0, 0));
}

fn a_ticket_that_was_never_polled_frees_its_result(stage: &Stage) {
    let mut desk = stage.desk();
    let (listener, at) = desk.listen(&v4());
    for _ in 0..5 {
        drop(desk.pair_at(&listener, &at));
    }
    desk.idle();
    let before = handles_of(&desk.port);
    for _ in 0..50 {
        let accept = desk.submit(Accept::new(&listener));
        let connect = desk.connect(&at);
        let connect = desk.submit(connect);
        desk.until("both have ended", |_| accept.is_done() && connect.is_done());
        // Two streams nobody asked for.
        drop((accept, connect));
    }
    desk.idle();
    let after = handles_of(&desk.port);
    assert!(after <= before + 8, "{before} handles before, {after} after");
}

fn an_abandoned_send_in_line_is_never_sent(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    let first = pattern(16 << 20);
    let mut large = desk.submit(Send::new(&ours, first.clone()));
    let in_line = desk.submit(Send::new(&ours, b"never".to_vec()));
    let mut last = desk.submit(Send::new(&ours, b"after".to_vec()));
    drop(in_line);
    assert!(desk.receive(&theirs, first.len()) == first, "what arrived differs from what was sent");
    assert_eq!(desk.receive(&theirs, 5), b"after");
    desk.end(&mut large).0.expect("it was sent");
    desk.end(&mut last).0.expect("it was sent");
}
