//! Waiting: how long, for what, and what ends it.

use std::{
    sync::{Barrier, mpsc},
    thread,
    time::Duration,
};

use ostia_port::{Batch, Packet, Payload, op};

use crate::{case::Stage, kit::Desk};

cases![
    a_wait_of_no_time_returns_at_once_with_nothing,
    a_wait_with_nothing_to_tell_lasts_as_long_as_was_said_and_never_less,
    a_wait_delivers_no_more_than_the_batch_takes_and_the_rest_next,
    nothing_ends_inside_submit,
    waits_of_no_time_bring_completions_too,
    what_makes_no_packet_does_not_end_a_wait,
    a_closing_port_ends_every_wait_at_once,
    a_wait_brings_good_and_failed_operations_alike,
    each_end_is_told_by_one_packet_of_its_own_name,
    a_packet_comes_after_the_result_is_there,
    names_of_operations_are_used_again_with_another_generation,
];

fn a_wait_of_no_time_returns_at_once_with_nothing(stage: &Stage) {
    let mut desk = stage.desk();
    for _ in 0..100 {
        assert!(desk.turn(Some(Duration::ZERO)).is_empty());
    }
}

fn a_wait_with_nothing_to_tell_lasts_as_long_as_was_said_and_never_less(stage: &Stage) {
    let mut desk = stage.desk();
    for micros in [1, 10, 100, 400, 500, 999, 1000, 1001, 1500, 5000, 20_000, 50_000] {
        let timeout = Duration::from_micros(micros);
        let before = desk.port.now();
        assert!(desk.turn(Some(timeout)).is_empty());
        let waited = desk.port.now() - before;
        assert!(waited >= timeout, "a wait of {timeout:?} returned after {waited:?}");
    }
}

fn a_wait_delivers_no_more_than_the_batch_takes_and_the_rest_next(stage: &Stage) {
    let port = stage.port();
    let mut berth = port.berth().expect("there is a place");
    let mut nops: Vec<_> = (0..20).map(|_| berth.submit(op::Nop).expect("a nop is begun")).collect();
    let mut batch = Batch::with_limit(3);
    let mut told = Vec::new();
    while told.len() < nops.len() {
        let count = berth.wait(&mut batch, Some(Duration::from_secs(10))).expect("a wait");
        assert!((1..=3).contains(&count), "{count} packets in a batch of three");
        assert_eq!(count, batch.len());
        told.extend(batch.drain().map(|packet| match packet {
            Packet::Done(id) => id,
            other => panic!("{other:?}"),
        }));
    }
    told.sort_unstable();
    let mut ids: Vec<_> = nops.iter().map(ostia_port::Ticket::id).collect();
    ids.sort_unstable();
    assert_eq!(told, ids);
    assert!(nops.iter_mut().all(|nop| nop.poll().is_some()));
}

fn nothing_ends_inside_submit(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    desk.send(&ours, b"waits already".to_vec());
    let nop = desk.submit(op::Nop);
    assert!(!nop.is_done());
    let mut receive = desk.submit(op::Receive::new(&theirs, Vec::with_capacity(64)));
    assert!(!receive.is_done(), "the data was there, and still");
    let mut send = desk.submit(op::Send::new(&ours, b"x".to_vec()));
    assert!(!send.is_done(), "there is room, and still");
    let past = op::Timer::at(desk.port.now());
    let timer = desk.submit(past);
    assert!(!timer.is_done(), "its time has come, and still");
    let stream = desk.port.stream(&crate::kit::v4()).expect("a stream");
    let mut failing = desk.submit(op::Receive::new(&stream, Vec::with_capacity(8)));
    assert!(!failing.is_done(), "it cannot succeed, and still");
    assert!(desk.end(&mut failing).0.is_err(), "it is not connected");
    assert_eq!(desk.end(&mut receive).1, b"waits already");
    desk.end(&mut send).0.expect("it was sent");
}

fn waits_of_no_time_bring_completions_too(stage: &Stage) {
    // Where the kernel works only when asked, a look that does not ask would never see an end.
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    for _ in 0..100 {
        let mut receive = desk.submit(op::Receive::new(&theirs, Vec::with_capacity(8)));
        let mut send = desk.submit(op::Send::new(&ours, b"tide".to_vec()));
        let start = std::time::Instant::now();
        while !(receive.is_done() && send.is_done()) {
            assert!(start.elapsed() < Duration::from_secs(20), "looks alone never bring it");
            desk.turn(Some(Duration::ZERO));
        }
        assert_eq!(receive.poll().expect("it is done").1, b"tide");
        send.poll().expect("it is done").0.expect("it was sent");
    }
}

fn what_makes_no_packet_does_not_end_a_wait(stage: &Stage) {
    let mut desk = stage.desk();
    let timeout = Duration::from_millis(30);
    for _ in 0..3 {
        desk.port.post(Payload::Run(Box::new(|_| ()))).expect("there is room");
        // An abandoned operation makes no packet, either.
        drop(desk.submit(op::Nop));
        let before = desk.port.now();
        assert!(desk.turn(Some(timeout)).is_empty());
        assert!(desk.port.now() - before >= timeout);
    }
}

fn a_closing_port_ends_every_wait_at_once(stage: &Stage) {
    const BERTHS: usize = 3;
    let port = stage.port();
    let ready = Barrier::new(BERTHS + 1);
    thread::scope(|scope| {
        for _ in 0..BERTHS {
            scope.spawn(|| {
                let mut desk = Desk::new(&port);
                let timer = op::Timer::after(&port, Duration::from_secs(3600));
                let mut pending = desk.submit(timer);
                ready.wait();
                while !desk.berth.is_closing() {
                    desk.turn(None);
                }
                let report = desk.berth.close(Duration::from_secs(5));
                assert_eq!(report.leaked, 0);
                crate::kit::assert_cancelled(pending.poll().expect("it has ended, and is not lost").0);
            });
        }
        ready.wait();
        let report = port.close(Duration::from_secs(20)).expect("the berths hear of it");
        assert_eq!((report.submitted, report.ended, report.leaked), (3, 3, 0));
    });
}

fn a_wait_brings_good_and_failed_operations_alike(stage: &Stage) {
    let mut desk = stage.desk();
    let (good, peer) = desk.pair();
    let (cancelled, _held) = desk.pair();
    let broken = desk.port.stream(&crate::kit::v4()).expect("a stream");
    let mut receives = [
        desk.submit(op::Receive::new(&good, Vec::with_capacity(8))),
        desk.submit(op::Receive::new(&cancelled, Vec::with_capacity(8))),
        desk.submit(op::Receive::new(&broken, Vec::with_capacity(8))),
    ];
    receives[1].cancel();
    desk.send(&peer, b"good".to_vec());
    assert_eq!(desk.end(&mut receives[0]).1, b"good");
    crate::kit::assert_cancelled(desk.end(&mut receives[1]).0);
    assert_ne!(crate::kit::class_of(desk.end(&mut receives[2]).0), ostia_port::Class::Cancelled);
}

fn each_end_is_told_by_one_packet_of_its_own_name(stage: &Stage) {
    let mut desk = stage.desk();
    let count = 1000;
    let tickets: Vec<_> = (0..count).map(|_| desk.submit(op::Nop)).collect();
    let mut told = Vec::new();
    let start = std::time::Instant::now();
    while told.len() < count && start.elapsed() < Duration::from_secs(20) {
        for packet in desk.turn(Some(Duration::from_secs(1))) {
            let Packet::Done(id) = packet else { panic!("{packet:?}") };
            told.push(id);
        }
    }
    assert!(desk.turn(Some(Duration::ZERO)).is_empty(), "no end is told twice");
    told.sort_unstable();
    let mut ids: Vec<_> = tickets.iter().map(ostia_port::Ticket::id).collect();
    ids.sort_unstable();
    assert_eq!(told, ids);
}

fn a_packet_comes_after_the_result_is_there(stage: &Stage) {
    let port = stage.port();
    let rounds = stage.times(2000);
    let (sender, tickets) = mpsc::channel::<ostia_port::Ticket<op::Nop>>();
    let (told, ids) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            // The tickets are held by a thread that never waits: it polls when it is told.
            let mut held = std::collections::HashMap::new();
            for id in ids {
                while let Ok(ticket) = tickets.try_recv() {
                    held.insert(ticket.id(), ticket);
                }
                let mut ticket = held.remove(&id).expect("a ticket comes before its packet");
                ticket.poll().expect("the packet said so").0.expect("a nop ends well");
            }
        });
        let mut desk = Desk::new(&port);
        for _ in 0..rounds {
            sender.send(desk.submit(op::Nop)).expect("the other thread listens");
            let mut ended = 0;
            while ended == 0 {
                for packet in desk.turn(Some(Duration::from_secs(1))) {
                    let Packet::Done(id) = packet else { panic!("{packet:?}") };
                    told.send(id).expect("the other thread listens");
                    ended += 1;
                }
            }
        }
        drop(told);
    });
}

fn names_of_operations_are_used_again_with_another_generation(stage: &Stage) {
    let mut desk = stage.desk();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..1000 {
        let mut nop = desk.submit(op::Nop);
        assert!(seen.insert(nop.id()), "the name {} was used before", nop.id());
        desk.end(&mut nop).0.expect("a nop ends well");
    }
    let places: std::collections::HashSet<usize> = seen.iter().map(|id| id.index()).collect();
    assert!(places.len() < 100, "places are used again: {} for one operation at a time", places.len());
}
