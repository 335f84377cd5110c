//! Limits: what is refused, and that everything goes on afterwards.

use std::{io::ErrorKind, time::Duration};

use ostia_port::{
    Batch,
    op::{Nop, Receive, ReceiveVectored, SLICES_MAX, SendVectored, Timer},
};

use crate::{
    case::Stage,
    kit::{Desk, assert_cancelled, pattern, room},
};

cases![
    one_operation_too_many_is_refused_and_the_berth_goes_on,
    far_more_operations_than_a_ring_has_entries_all_end,
    more_slices_than_the_most_are_refused,
    the_most_slices_are_taken,
    a_receive_without_room_is_refused,
    a_batch_has_at_least_one_place_and_at_most_the_most,
    a_buffer_larger_than_the_system_takes_is_received_into,
    completions_faster_than_they_are_waited_for_are_kept,
    an_operation_larger_than_its_slot_works,
];

fn one_operation_too_many_is_refused_and_the_berth_goes_on(stage: &Stage) {
    let port = stage.builder().ops_max(10).open().expect("a port opens");
    let mut desk = Desk::new(&port);
    for _ in 0..3 {
        let mut timers: Vec<_> =
            (0..10).map(|_| desk.submit(Timer::after(&port, Duration::from_secs(3600)))).collect();
        let refused = desk.berth.submit(Nop).expect_err("ten are under way");
        assert_eq!(refused.error.kind(), ErrorKind::WouldBlock);
        timers[0].cancel();
        assert_cancelled(desk.end(&mut timers[0]).0);
        desk.ok(Nop);
        for timer in &mut timers[1..] {
            timer.cancel();
            assert_cancelled(desk.end(timer).0);
        }
    }
}

fn far_more_operations_than_a_ring_has_entries_all_end(stage: &Stage) {
    let port = stage.builder().ring_entries(4).open().expect("a port opens");
    let mut desk = Desk::new(&port);
    let (ours, theirs) = desk.pair();
    for _ in 0..5 {
        let mut nops: Vec<_> = (0..1000).map(|_| desk.submit(Nop)).collect();
        let mut receive = desk.submit(Receive::new(&theirs, room(8)));
        let cancelled: Vec<_> = (0..100)
            .map(|_| {
                let mut nop = desk.submit(Nop);
                nop.cancel();
                nop
            })
            .collect();
        receive.cancel();
        for nop in &mut nops {
            desk.end(nop).0.expect("a nop ends well");
        }
        assert_cancelled(desk.end(&mut receive).0);
        desk.until("those have ended, too", |_| cancelled.iter().all(ostia_port::Ticket::is_done));
        desk.send(&ours, b"and on".to_vec());
        assert_eq!(desk.receive(&theirs, 6), b"and on");
    }
    let report = desk.berth.close(Duration::from_secs(10));
    assert_eq!((report.ended, report.leaked, report.unknown), (report.submitted, 0, 0));
}

fn more_slices_than_the_most_are_refused(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, _theirs) = desk.pair();
    let refused = desk.berth.submit(SendVectored::new(&ours, vec![vec![1]; SLICES_MAX + 1]));
    assert_eq!(refused.expect_err("no system takes so many").error.kind(), ErrorKind::InvalidInput);
    let refused = desk.berth.submit(ReceiveVectored::new(&ours, vec![room(1); SLICES_MAX + 1]));
    assert_eq!(refused.expect_err("no system takes so many").error.kind(), ErrorKind::InvalidInput);
}

fn the_most_slices_are_taken(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    let all = pattern(SLICES_MAX * 100);
    let parts = all.chunks(100).map(<[u8]>::to_vec).collect();
    assert_eq!(desk.ok(SendVectored::new(&ours, parts)).0, all.len());
    let mut received = Vec::new();
    while received.len() < all.len() {
        let (told, buffers) = desk.ok(ReceiveVectored::new(&theirs, vec![room(100); SLICES_MAX]));
        received.extend_from_slice(&buffers.concat()[..told.len]);
    }
    assert!(received == all, "what arrived differs from what was sent");
}

fn a_receive_without_room_is_refused(stage: &Stage) {
    // It would end at once with nothing, as the end of a stream does.
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    let refused = desk.berth.submit(Receive::new(&ours, Vec::new()));
    assert_eq!(refused.expect_err("it has no room").error.kind(), ErrorKind::InvalidInput);
    let refused = desk.berth.submit(ReceiveVectored::new(&ours, vec![room(0); 3]));
    assert_eq!(refused.expect_err("it has no room").error.kind(), ErrorKind::InvalidInput);
    desk.send(&theirs, b"fine".to_vec());
    assert_eq!(desk.receive(&ours, 4), b"fine");
}

fn a_batch_has_at_least_one_place_and_at_most_the_most(stage: &Stage) {
    let port = stage.port();
    let mut berth = port.berth().expect("there is a place");
    let nops: Vec<_> = (0..1000).map(|_| berth.submit(Nop).expect("a nop is begun")).collect();
    let (mut one, mut most) = (Batch::with_limit(0), Batch::with_limit(usize::MAX));
    assert_eq!(berth.wait(&mut one, Some(Duration::from_secs(10))).expect("a wait"), 1);
    let mut told = 1;
    while told < nops.len() {
        let count = berth.wait(&mut most, Some(Duration::from_secs(10))).expect("a wait");
        assert!((1..=Batch::MAX).contains(&count));
        told += count;
    }
}

fn a_buffer_larger_than_the_system_takes_is_received_into(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    // More than 31 bits say; untouched memory costs nothing.
    let mut huge: Vec<u8> = Vec::new();
    if let Err(error) = huge.try_reserve_exact((1 << 31) + (1 << 20)) {
        stage.skip(format!("this system gives no 2 GiB: {error}"));
    }
    desk.send(&ours, b"a few bytes".to_vec());
    let (received, huge) = desk.ok(Receive::new(&theirs, huge));
    assert_eq!((received.len, &huge[..]), (11, &b"a few bytes"[..]));
}

fn completions_faster_than_they_are_waited_for_are_kept(stage: &Stage) {
    // More ends at once than a small ring's list of completions has room for.
    let port = stage.builder().ring_entries(2).open().expect("a port opens");
    let mut desk = Desk::new(&port);
    let count = stage.times(400).max(50);
    let pairs: Vec<_> = (0..count / 10).map(|_| desk.pair()).collect();
    let mut receives: Vec<_> =
        pairs.iter().map(|(_, theirs)| desk.submit(Receive::new(theirs, room(8)))).collect();
    desk.idle();
    let mut other = Desk::new(&stage.port());
    drop(other.turn(Some(Duration::ZERO)));
    for (ours, _) in &pairs {
        // All of them become due while nobody looks.
        ours.shutdown(std::net::Shutdown::Write).expect("it is connected");
    }
    for receive in &mut receives {
        assert_eq!(desk.end(receive).0.expect("an end is no error").len, 0);
    }
    let report = desk.berth.close(Duration::from_secs(10));
    assert_eq!((report.ended, report.leaked, report.unknown), (report.submitted, 0, 0));
}

/// A buffer that is itself larger than an operation's place.
struct Wide {
    bytes: Box<[u8]>,
    padding: [u64; 100],
}

// SAFETY: the bytes lie on the heap and stay there while the value moves.
unsafe impl ostia_port::buf::IoBuf for Wide {
    fn stable_ptr(&self) -> *const u8 {
        self.bytes.as_ptr()
    }

    fn init_len(&self) -> usize {
        self.bytes.len()
    }
}

fn an_operation_larger_than_its_slot_works(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    let wide = Wide { bytes: pattern(5000).into(), padding: std::array::from_fn(|place| place as u64) };
    let (sent, wide) = desk.ok(ostia_port::op::Send::new(&ours, wide));
    assert_eq!(sent, 5000);
    assert!(wide.padding.iter().enumerate().all(|(place, word)| place as u64 == *word));
    assert!(desk.receive(&theirs, 5000) == pattern(5000), "what arrived differs from what was sent");
}
