//! Several berths at one port.

use std::{
    io::ErrorKind,
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use ostia_port::{
    Packet, Payload,
    op::{Nop, Receive, Send},
};

use crate::{
    case::Stage,
    kit::{Desk, assert_cancelled, pattern, room},
};

cases![
    posts_to_four_berths_reach_each_one_of_them_once,
    work_posted_to_four_berths_runs_once,
    a_post_goes_to_a_sleeper_while_another_is_busy,
    one_handle_is_used_from_two_berths,
    sends_from_two_berths_on_one_stream_stay_whole,
    a_handle_of_another_port_is_refused,
    a_ticket_is_polled_on_another_thread,
    a_receive_is_cancelled_from_another_berth,
    four_berths_play_ball_and_no_wake_is_lost,
    all_berths_hear_of_the_closing,
    a_berth_that_closes_takes_no_others_completions_with_it,
    streams_move_between_berths,
];

fn posts_to_four_berths_reach_each_one_of_them_once(stage: &Stage) {
    const BERTHS: usize = 4;
    let port = stage.port();
    let count = stage.times(20_000);
    let seen: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
    let total = AtomicUsize::new(0);
    let ready = Barrier::new(BERTHS + 1);
    thread::scope(|scope| {
        for _ in 0..BERTHS {
            scope.spawn(|| {
                let mut desk = Desk::new(&port);
                ready.wait();
                while !desk.berth.is_closing() {
                    for packet in desk.turn(None) {
                        let Packet::Post(Payload::Word(word)) = packet else { panic!("{packet:?}") };
                        seen[word as usize].fetch_add(1, Ordering::Relaxed);
                        total.fetch_add(1, Ordering::Release);
                    }
                }
            });
        }
        ready.wait();
        for word in 0..count as u64 {
            while port.post(Payload::Word(word)).is_err() {
                thread::yield_now();
            }
        }
        while total.load(Ordering::Acquire) < count {
            thread::yield_now();
        }
        port.close(Duration::from_secs(20)).expect("the berths hear of it");
    });
    assert!(seen.iter().all(|seen| seen.load(Ordering::Relaxed) == 1));
}

fn work_posted_to_four_berths_runs_once(stage: &Stage) {
    const BERTHS: usize = 4;
    let port = stage.port();
    let count = stage.times(10_000);
    let runs = Arc::new(AtomicUsize::new(0));
    let ready = Barrier::new(BERTHS + 1);
    thread::scope(|scope| {
        for _ in 0..BERTHS {
            scope.spawn(|| {
                let mut desk = Desk::new(&port);
                ready.wait();
                while !desk.berth.is_closing() {
                    assert!(desk.turn(None).is_empty(), "work makes no packet");
                }
            });
        }
        ready.wait();
        for _ in 0..count {
            let runs = Arc::clone(&runs);
            let mut work: Payload = Payload::Run(Box::new(move |_| {
                runs.fetch_add(1, Ordering::Release);
            }));
            while let Err(refused) = port.post(work) {
                work = refused.payload;
                thread::yield_now();
            }
        }
        while runs.load(Ordering::Acquire) < count {
            thread::yield_now();
        }
        port.close(Duration::from_secs(20)).expect("the berths hear of it");
    });
    assert_eq!(runs.load(Ordering::Relaxed), count);
}

fn a_post_goes_to_a_sleeper_while_another_is_busy(stage: &Stage) {
    let port = stage.port();
    let ready = Barrier::new(2);
    // This thread has a berth and never waits.
    let _busy = Desk::new(&port);
    thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            let mut desk = Desk::new(&port);
            ready.wait();
            desk.turn(None)
        });
        ready.wait();
        port.post(Payload::Word(5)).expect("there is room");
        let packets = sleeper.join().expect("the sleeper is woken");
        assert!(matches!(packets[..], [Packet::Post(Payload::Word(5))]), "{packets:?}");
    });
}

fn one_handle_is_used_from_two_berths(stage: &Stage) {
    // Each of two streams is sent on by one berth and received from by the other.
    let port = stage.port();
    let mut desk = Desk::among(&port);
    let (ours, theirs) = desk.pair();
    let rounds = stage.times(2000) as u32;
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut desk = Desk::among(&port);
            for round in 0..rounds {
                assert_eq!(desk.receive(&theirs, 4), round.to_le_bytes());
                desk.send(&theirs, (!round).to_le_bytes());
            }
        });
        for round in 0..rounds {
            let mut answer = desk.submit(Receive::new(&ours, room(4)));
            desk.send(&ours, round.to_le_bytes());
            let (received, bytes) = desk.end(&mut answer);
            assert_eq!((received.expect("an answer").len, &bytes[..]), (4, &(!round).to_le_bytes()[..]));
        }
    });
}

fn sends_from_two_berths_on_one_stream_stay_whole(stage: &Stage) {
    const LEN: usize = 100_000;
    let port = stage.port();
    let mut desk = Desk::among(&port);
    let (ours, theirs) = desk.pair();
    let each = stage.times(100).max(10);
    thread::scope(|scope| {
        for name in [b'a', b'b'] {
            let (port, ours) = (&port, &ours);
            scope.spawn(move || {
                let mut desk = Desk::among(port);
                let mut sends: Vec<_> =
                    (0..each).map(|_| desk.submit(Send::new(ours, vec![name; LEN]))).collect();
                for send in &mut sends {
                    assert_eq!(desk.end(send).0.expect("it was sent"), LEN);
                }
            });
        }
        let mut count = [0; 2];
        for _ in 0..2 * each {
            let bytes = desk.receive(&theirs, LEN);
            assert!(bytes.iter().all(|byte| *byte == bytes[0]), "two sends were mixed");
            count[usize::from(bytes[0] == b'b')] += 1;
        }
        assert_eq!(count, [each, each]);
    });
}

fn a_handle_of_another_port_is_refused(stage: &Stage) {
    let mut desk = stage.desk();
    let mut other = stage.desk();
    let (ours, _theirs) = desk.pair();
    let bytes: Arc<[u8]> = vec![1].into();
    let refused =
        other.berth.submit(Send::new(&ours, Arc::clone(&bytes))).expect_err("it is of another port");
    assert_eq!(refused.error.kind(), ErrorKind::InvalidInput);
    drop(refused);
    assert_eq!(Arc::strong_count(&bytes), 1, "the operation came back");
    other.ok(Nop);
}

fn a_ticket_is_polled_on_another_thread(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    for _ in 0..stage.times(200) {
        let mut receive = desk.submit(Receive::new(&ours, Vec::with_capacity(8)));
        let mut send = desk.submit(Send::new(&theirs, b"far".to_vec()));
        thread::scope(|scope| {
            let poller = scope.spawn(move || {
                loop {
                    if let Some((result, bytes)) = receive.poll() {
                        assert_eq!(result.expect("it succeeds").len, 3);
                        return bytes;
                    }
                    thread::yield_now();
                }
            });
            desk.end(&mut send).0.expect("it was sent");
            while !poller.is_finished() {
                desk.idle_once();
            }
            assert_eq!(poller.join().expect("it saw the end"), b"far");
        });
    }
}

fn a_receive_is_cancelled_from_another_berth(stage: &Stage) {
    let port = stage.port();
    let mut desk = Desk::among(&port);
    let (ours, _theirs) = desk.pair();
    for _ in 0..stage.times(500) {
        let mut receive = desk.submit(Receive::new(&ours, room(8)));
        thread::scope(|scope| {
            let other = scope.spawn(|| {
                let mut desk = Desk::among(&port);
                receive.cancel();
                desk.ok(Nop);
                receive
            });
            while !other.is_finished() {
                desk.idle_once();
            }
            let mut receive = other.join().expect("a berth may cancel what another submitted");
            assert_cancelled(desk.end(&mut receive).0);
        });
    }
}

fn four_berths_play_ball_and_no_wake_is_lost(stage: &Stage) {
    // Whoever has the ball posts it again, until it was caught so many times; everybody sleeps for ever in between.
    const BERTHS: usize = 4;
    let port = stage.port();
    let throws = stage.times(20_000) as u64;
    let ready = Barrier::new(BERTHS + 1);
    thread::scope(|scope| {
        for _ in 0..BERTHS {
            scope.spawn(|| {
                let mut desk = Desk::new(&port);
                ready.wait();
                while !desk.berth.is_closing() {
                    for packet in desk.turn(None) {
                        let Packet::Post(Payload::Word(left)) = packet else { panic!("{packet:?}") };
                        if left == 0 {
                            let port = port.clone();
                            thread::spawn(move || port.close(Duration::from_secs(20)));
                        } else {
                            port.post(Payload::Word(left - 1)).expect("there is room for one ball");
                        }
                    }
                }
            });
        }
        ready.wait();
        port.post(Payload::Word(throws)).expect("there is room");
    });
    port.close(Duration::from_secs(20)).expect("all berths are closed");
}

fn all_berths_hear_of_the_closing(stage: &Stage) {
    for _ in 0..stage.times(100).max(10) {
        let port = stage.port();
        let ready = Barrier::new(5);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut desk = Desk::new(&port);
                    ready.wait();
                    while !desk.berth.is_closing() {
                        desk.turn(None);
                    }
                });
            }
            ready.wait();
            port.close(Duration::from_secs(20)).expect("every berth wakes up");
        });
    }
}

fn a_berth_that_closes_takes_no_others_completions_with_it(stage: &Stage) {
    let port = stage.port();
    let mut desk = Desk::among(&port);
    let (ours, theirs) = desk.pair();
    for _ in 0..stage.times(200) {
        let mut receive = desk.submit(Receive::new(&ours, Vec::with_capacity(8)));
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut desk = Desk::among(&port);
                desk.send(&theirs, b"stays".to_vec());
                desk.berth.close(Duration::from_secs(10));
            });
            assert_eq!(desk.end(&mut receive).1, b"stays");
        });
    }
}

fn streams_move_between_berths(stage: &Stage) {
    let port = stage.port();
    let mut desk = Desk::among(&port);
    let (mut ours, mut theirs) = desk.pair();
    for round in 0..stage.times(40).max(4) {
        let sent = pattern(100_000 + round);
        let moved = thread::scope(|scope| {
            let mover = scope.spawn(|| {
                // Each time another berth's.
                let mut desk = Desk::among(&port);
                let mut send = desk.submit(Send::new(&ours, sent.clone()));
                let received = desk.receive(&theirs, sent.len());
                desk.end(&mut send).0.expect("it was sent");
                received
            });
            mover.join().expect("a stream is used where it is")
        });
        assert!(moved == sent, "what arrived differs from what was sent");
        std::mem::swap(&mut ours, &mut theirs);
    }
}
