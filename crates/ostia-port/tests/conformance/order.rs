//! Order: on one handle one operation each way, and the others in line.

use ostia_port::op::{Receive, Send, SendVectored};

use crate::{
    case::Stage,
    kit::{pattern, room},
};

cases![
    many_sends_arrive_whole_and_in_the_order_of_their_submits,
    vectored_and_plain_sends_keep_their_order,
    receives_are_served_in_the_order_of_their_submits,
    a_receive_that_waits_holds_up_no_send,
    a_send_that_waits_holds_up_no_receive,
    sends_on_many_streams_do_not_wait_for_each_other,
];

fn many_sends_arrive_whole_and_in_the_order_of_their_submits(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    let all = pattern(3 << 20);
    let mut sends = Vec::new();
    let (mut start, mut len) = (0, 1);
    while start < all.len() {
        let end = (start + len).min(all.len());
        sends.push((desk.submit(Send::new(&ours, all[start..end].to_vec())), end - start));
        start = end;
        // From single bytes to more than a socket holds, and round again.
        len = if len > 400_000 { 1 } else { len * 2 + 1 };
    }
    assert!(sends.len() > 100 || all.len() < 8 << 20);
    let received = desk.receive(&theirs, all.len());
    assert!(received == all, "what arrived differs from what was sent");
    for (send, len) in &mut sends {
        assert_eq!(desk.end(send).0.expect("it was sent"), *len);
    }
}

fn vectored_and_plain_sends_keep_their_order(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    let all = pattern(600_000);
    let mut plain = Vec::new();
    let mut vectored = Vec::new();
    for piece in all.chunks(6000) {
        let (first, second) = piece.split_at(1000);
        plain.push(desk.submit(Send::new(&ours, first.to_vec())));
        let parts = second.chunks(900).map(<[u8]>::to_vec).collect();
        vectored.push(desk.submit(SendVectored::new(&ours, parts)));
    }
    assert!(desk.receive(&theirs, all.len()) == all, "what arrived differs from what was sent");
    for send in &mut plain {
        assert_eq!(desk.end(send).0.expect("it was sent"), 1000);
    }
    for send in &mut vectored {
        assert_eq!(desk.end(send).0.expect("it was sent"), 5000);
    }
}

fn receives_are_served_in_the_order_of_their_submits(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    let mut receives: Vec<_> = (0..100).map(|_| desk.submit(Receive::new(&theirs, room(1)))).collect();
    desk.send(&ours, pattern(100));
    for (receive, expected) in receives.iter_mut().zip(pattern(100)) {
        let (received, bytes) = desk.end(receive);
        assert_eq!((received.expect("a byte came").len, bytes[0]), (1, expected));
    }
}

fn a_receive_that_waits_holds_up_no_send(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    let mut waiting = desk.submit(Receive::new(&ours, Vec::with_capacity(8)));
    desk.send(&ours, b"out".to_vec());
    assert_eq!(desk.receive(&theirs, 3), b"out");
    assert!(!waiting.is_done());
    desk.send(&theirs, b"in".to_vec());
    assert_eq!(desk.end(&mut waiting).1, b"in");
}

fn a_send_that_waits_holds_up_no_receive(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    let large = pattern(16 << 20);
    let mut waiting = desk.submit(Send::new(&ours, large.clone()));
    desk.idle();
    assert!(!waiting.is_done(), "nobody has received so much yet");
    for _ in 0..10 {
        desk.send(&theirs, b"meanwhile".to_vec());
        assert_eq!(desk.receive(&ours, 9), b"meanwhile");
    }
    assert!(desk.receive(&theirs, large.len()) == large, "what arrived differs from what was sent");
    assert_eq!(desk.end(&mut waiting).0.expect("it was sent"), large.len());
}

fn sends_on_many_streams_do_not_wait_for_each_other(stage: &Stage) {
    let mut desk = stage.desk();
    let (stuck, _held) = desk.pair();
    let _waiting = desk.submit(Send::new(&stuck, vec![0; 16 << 20]));
    for _ in 0..10 {
        let (ours, theirs) = desk.pair();
        desk.send(&ours, b"through".to_vec());
        assert_eq!(desk.receive(&theirs, 7), b"through");
    }
}
