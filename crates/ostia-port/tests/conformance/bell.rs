//! Bells: a wait of one particular berth is ended from outside.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use ostia_port::{Bell, Packet, Payload, op};

use crate::{case::Stage, kit::Desk};

cases![
    a_ring_ends_a_wait_without_a_packet,
    a_ring_before_a_wait_ends_that_one_and_many_rings_are_one,
    a_ring_takes_nothing_from_the_time_of_the_next_wait,
    a_ring_loses_no_completion_and_no_post,
    a_bell_wakes_its_own_berth_and_no_other,
    bells_hand_a_ball_around_and_no_ring_is_lost,
    rings_from_many_threads_are_all_heard,
    one_thread_rings_for_its_own_berths,
    the_bell_of_a_closed_berth_does_nothing,
];

fn a_ring_ends_a_wait_without_a_packet(stage: &Stage) {
    let port = stage.port();
    for _ in 0..stage.times(200) {
        let (sender, bells) = mpsc::channel::<Bell>();
        thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                let mut desk = Desk::new(&port);
                sender.send(desk.berth.bell()).expect("the other thread listens");
                desk.turn(None)
            });
            bells.recv().expect("the sleeper has a bell").ring();
            let packets = sleeper.join().expect("the sleeper is woken");
            assert!(packets.is_empty(), "{packets:?}");
        });
    }
}

fn a_ring_before_a_wait_ends_that_one_and_many_rings_are_one(stage: &Stage) {
    let mut desk = stage.desk();
    let bell = desk.berth.bell();
    let timeout = Duration::from_millis(30);
    for rings in [1, 2, 100] {
        for _ in 0..rings {
            bell.clone().ring();
        }
        // For ever, if it were not for the rings.
        assert!(desk.turn(None).is_empty());
        let before = desk.port.now();
        assert!(desk.turn(Some(timeout)).is_empty());
        assert!(desk.port.now() - before >= timeout, "{rings} rings end one wait");
    }
}

fn a_ring_takes_nothing_from_the_time_of_the_next_wait(stage: &Stage) {
    let mut desk = stage.desk();
    let bell = desk.berth.bell();
    let timeout = Duration::from_millis(30);
    for _ in 0..3 {
        // Whichever wait returns has heard it: also one that had no time, or something to tell.
        bell.ring();
        assert!(desk.turn(Some(Duration::ZERO)).is_empty());
        desk.port.post(Payload::Word(1)).expect("there is room");
        bell.ring();
        assert_eq!(desk.turn(None).len(), 1);
        let before = desk.port.now();
        assert!(desk.turn(Some(timeout)).is_empty());
        assert!(desk.port.now() - before >= timeout);
    }
}

fn a_ring_loses_no_completion_and_no_post(stage: &Stage) {
    let mut desk = stage.desk();
    let bell = desk.berth.bell();
    let (ours, theirs) = desk.pair();
    for round in 0..stage.times(1000) {
        let mut receive = desk.submit(op::Receive::new(&theirs, Vec::with_capacity(8)));
        bell.ring();
        let mut send = desk.submit(op::Send::new(&ours, b"rung".to_vec()));
        desk.port.post(Payload::Word(round as u64)).expect("there is room");
        let mut posts = 0;
        desk.until("everything has come", |desk| {
            bell.ring();
            posts += desk.posts.drain(..).count();
            receive.is_done() && send.is_done() && posts == 1
        });
        assert_eq!(receive.poll().expect("it is done").1, b"rung");
        send.poll().expect("it is done").0.expect("it was sent");
    }
}

fn a_bell_wakes_its_own_berth_and_no_other(stage: &Stage) {
    let port = stage.port();
    let rings = stage.times(2000);
    let (sender, bells) = mpsc::channel::<Bell>();
    let others_ready = Barrier::new(3);
    let heard = AtomicUsize::new(0);
    thread::scope(|scope| {
        let others: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut desk = Desk::new(&port);
                    others_ready.wait();
                    let mut returns = 0;
                    while !desk.berth.is_closing() {
                        assert!(desk.turn(None).is_empty());
                        returns += 1;
                    }
                    returns
                })
            })
            .collect();
        others_ready.wait();
        let (heard, port) = (&heard, &port);
        scope.spawn(move || {
            let mut desk = Desk::new(port);
            sender.send(desk.berth.bell()).expect("the other thread listens");
            while heard.load(Ordering::Relaxed) < rings {
                assert!(desk.turn(None).is_empty());
                heard.fetch_add(1, Ordering::Release);
            }
        });
        let bell = bells.recv().expect("it has a bell");
        for ring in 0..rings {
            bell.ring();
            while heard.load(Ordering::Acquire) <= ring {
                thread::yield_now();
            }
        }
        port.close(Duration::from_secs(20)).expect("the berths hear of it");
        for other in others {
            assert!(other.join().expect("it waits well") <= 1, "nobody rang for it");
        }
    });
}

fn bells_hand_a_ball_around_and_no_ring_is_lost(stage: &Stage) {
    // Everybody sleeps for ever, but for who has the ball; it is in memory, and only the bells tell of it.
    const BERTHS: usize = 4;
    let port = stage.port();
    let throws = stage.times(20_000);
    let ball = AtomicUsize::new(0);
    let bells: [std::sync::OnceLock<Bell>; BERTHS] = Default::default();
    let ready = Barrier::new(BERTHS);
    thread::scope(|scope| {
        for here in 0..BERTHS {
            let (port, ball, bells, ready) = (&port, &ball, &bells, &ready);
            scope.spawn(move || {
                let mut desk = Desk::new(port);
                bells[here].set(desk.berth.bell()).expect("it is the first");
                ready.wait();
                loop {
                    let place = ball.load(Ordering::Acquire);
                    if place % BERTHS == here {
                        ball.store(place + 1, Ordering::Release);
                        bells[(here + 1) % BERTHS].get().expect("all are there").ring();
                    }
                    if place >= throws {
                        break;
                    }
                    if ball.load(Ordering::Acquire) % BERTHS != here {
                        assert!(desk.turn(None).is_empty());
                    }
                }
                // Whoever is last tells the others, who may have missed the end of it.
                for bell in bells {
                    bell.get().expect("all are there").ring();
                }
            });
        }
    });
    assert!(ball.load(Ordering::Relaxed) > throws);
}

fn rings_from_many_threads_are_all_heard(stage: &Stage) {
    const RINGERS: usize = 3;
    let port = stage.port();
    let each = stage.times(10_000);
    let mut desk = Desk::new(&port);
    let bell = desk.berth.bell();
    let left: [AtomicUsize; RINGERS] = Default::default();
    thread::scope(|scope| {
        for left in &left {
            let bell = bell.clone();
            scope.spawn(move || {
                for _ in 0..each {
                    left.fetch_add(1, Ordering::Relaxed);
                    bell.ring();
                }
            });
        }
        // It sleeps until there is news, however long: a ring that is lost is never made up for.
        while left.iter().map(|left| left.load(Ordering::Relaxed)).sum::<usize>() < RINGERS * each {
            assert!(desk.turn(None).is_empty());
        }
    });
}

fn one_thread_rings_for_its_own_berths(stage: &Stage) {
    let port = stage.port();
    let mut desks: Vec<Desk> = (0..3).map(|_| Desk::new(&port)).collect();
    let bells: Vec<Bell> = desks.iter().map(|desk| desk.berth.bell()).collect();
    for round in 0..100 {
        let place = round % desks.len();
        bells[place].ring();
        assert!(desks[place].turn(None).is_empty());
        bells.iter().for_each(Bell::ring);
        for desk in &mut desks {
            assert!(desk.turn(None).is_empty());
        }
    }
}

fn the_bell_of_a_closed_berth_does_nothing(stage: &Stage) {
    let port = stage.port();
    let closed: Vec<Bell> = (0..3)
        .map(|_| {
            let mut desk = Desk::new(&port);
            let bell = desk.berth.bell();
            bell.ring();
            assert!(desk.turn(None).is_empty());
            desk.berth.close(Duration::from_secs(10));
            bell
        })
        .collect();
    // Perhaps where one of those was.
    let mut desk = Desk::new(&port);
    let timeout = Duration::from_millis(30);
    for _ in 0..3 {
        closed.iter().for_each(Bell::ring);
        let before = desk.port.now();
        assert!(desk.turn(Some(timeout)).is_empty());
        assert!(desk.port.now() - before >= timeout);
    }
    // And its own is heard.
    desk.berth.bell().ring();
    assert!(desk.turn(None).is_empty());
    port.post(Payload::Word(7)).expect("there is room");
    assert!(matches!(desk.turn(None)[..], [Packet::Post(Payload::Word(7))]));
}
