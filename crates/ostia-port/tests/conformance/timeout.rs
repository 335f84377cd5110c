//! Timers.

use std::{sync::Barrier, thread, time::Duration};

use ostia_port::{Packet, Payload, op::Timer};

use crate::{
    case::Stage,
    kit::{Desk, assert_cancelled},
};

cases![
    a_timer_never_ends_early,
    timers_end_in_the_order_of_their_deadlines,
    timers_of_one_deadline_end_in_the_order_of_their_submits,
    a_timer_set_by_another_thread_shortens_the_wait,
    a_cancelled_timer_ends_at_once,
    a_timer_is_cancelled_by_a_thread_without_a_berth,
    an_abandoned_timer_vanishes,
    a_timer_of_the_past_ends_at_the_next_wait,
    a_timer_of_an_age_is_only_far_away,
    a_flood_of_posts_starves_no_timer,
    a_timeout_for_each_request_costs_only_those_that_count,
    a_timer_that_has_ended_poisons_no_later_wait,
];

fn a_timer_never_ends_early(stage: &Stage) {
    let mut desk = stage.desk();
    for micros in [0, 1, 50, 400, 500, 999, 1000, 1001, 3000, 15_600, 20_000] {
        let deadline = desk.port.now() + Duration::from_micros(micros);
        desk.ok(Timer::at(deadline));
        let late = desk.port.now().checked_duration_since(deadline);
        assert!(late.is_some(), "a timer of {micros} us ended early");
    }
}

fn timers_end_in_the_order_of_their_deadlines(stage: &Stage) {
    let mut desk = stage.desk();
    let start = desk.port.now();
    // In an order that is neither that of the deadlines nor its reverse.
    let delays: Vec<u64> = (0..500).map(|place| place * 211 % 500 * 40).collect();
    let timers: Vec<_> = delays
        .iter()
        .map(|delay| (desk.submit(Timer::at(start + Duration::from_micros(*delay))), delay))
        .collect();
    let mut told = Vec::new();
    while told.len() < timers.len() {
        let packets = desk.turn(Some(Duration::from_secs(10)));
        assert!(!packets.is_empty(), "every timer ends");
        for packet in packets {
            let Packet::Done(id) = packet else { panic!("{packet:?}") };
            let (_, delay) = timers.iter().find(|(timer, _)| timer.id() == id).expect("it is one of ours");
            told.push(**delay);
        }
    }
    assert!(told.is_sorted(), "{told:?}");
}

fn timers_of_one_deadline_end_in_the_order_of_their_submits(stage: &Stage) {
    let mut desk = stage.desk();
    let deadline = desk.port.now() + Duration::from_millis(2);
    let timers: Vec<_> = (0..50).map(|_| desk.submit(Timer::at(deadline))).collect();
    let mut told = Vec::new();
    while told.len() < timers.len() {
        told.extend(desk.turn(Some(Duration::from_secs(10))).into_iter().map(|packet| match packet {
            Packet::Done(id) => id,
            other => panic!("{other:?}"),
        }));
    }
    assert!(told.iter().eq(timers.iter().map(ostia_port::Ticket::id).collect::<Vec<_>>().iter()));
}

fn a_timer_set_by_another_thread_shortens_the_wait(stage: &Stage) {
    let port = stage.port();
    let ready = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut desk = Desk::new(&port);
            let far = Timer::after(&port, Duration::from_secs(3600));
            let _far = desk.submit(far);
            ready.wait();
            // Nothing ends this wait but the timer that is set meanwhile.
            let packets = desk.turn(None);
            assert!(matches!(packets[..], [Packet::Done(_)]), "{packets:?}");
        });
        ready.wait();
        let itself = port.clone();
        let work = move |berth: &mut ostia_port::Berth| {
            let near =
                berth.submit(Timer::after(&itself, Duration::from_millis(3))).expect("a timer is begun");
            // Forgotten, so that dropping it does not abandon it: its packet is what is waited for.
            std::mem::forget(near);
        };
        port.post(Payload::Run(Box::new(work))).expect("there is room");
    });
}

fn a_cancelled_timer_ends_at_once(stage: &Stage) {
    let mut desk = stage.desk();
    let far = Timer::after(&desk.port, Duration::from_secs(3600));
    let mut far = desk.submit(far);
    desk.idle();
    assert!(!far.is_done());
    let before = desk.port.now();
    far.cancel();
    assert_cancelled(desk.end(&mut far).0);
    assert!(desk.port.now() - before < Duration::from_secs(60));
}

fn a_timer_is_cancelled_by_a_thread_without_a_berth(stage: &Stage) {
    let mut desk = stage.desk();
    for _ in 0..stage.times(200) {
        let far = Timer::after(&desk.port, Duration::from_secs(3600));
        let mut far = desk.submit(far);
        thread::scope(|scope| {
            let canceller = scope.spawn(|| {
                far.cancel();
                far
            });
            // The wait is for ever: a cancel that woke nobody would hang here.
            let packets = desk.turn(None);
            assert!(matches!(packets[..], [Packet::Done(_)]), "{packets:?}");
            let mut far = canceller.join().expect("cancelling needs no berth");
            assert_cancelled(far.poll().expect("it has ended").0);
        });
    }
}

fn an_abandoned_timer_vanishes(stage: &Stage) {
    let mut desk = stage.desk();
    for _ in 0..1000 {
        let far = Timer::after(&desk.port, Duration::from_secs(3600));
        drop(desk.submit(far));
    }
    desk.idle();
    let report = desk.berth.close(Duration::from_secs(5));
    assert_eq!((report.submitted, report.ended, report.cancelled, report.leaked), (1000, 1000, 0, 0));
}

fn a_timer_of_the_past_ends_at_the_next_wait(stage: &Stage) {
    let mut desk = stage.desk();
    let mut past = desk.submit(Timer::at(desk.port.now()));
    assert_eq!(desk.turn(Some(Duration::ZERO)).len(), 1);
    past.poll().expect("its time had come").0.expect("a timer ends well");
}

fn a_timer_of_an_age_is_only_far_away(stage: &Stage) {
    let mut desk = stage.desk();
    let age = Timer::after(&desk.port, Duration::MAX);
    let mut age = desk.submit(age);
    let near = Timer::after(&desk.port, Duration::from_millis(1));
    desk.ok(near);
    assert!(!age.is_done());
    age.cancel();
    assert_cancelled(desk.end(&mut age).0);
}

fn a_flood_of_posts_starves_no_timer(stage: &Stage) {
    let mut desk = stage.desk();
    for word in 0..600 {
        desk.port.post(Payload::Word(word)).expect("there is room");
    }
    let timer = Timer::after(&desk.port, Duration::from_millis(1));
    let mut timer = desk.submit(timer);
    let start = std::time::Instant::now();
    while timer.poll().is_none() {
        assert!(start.elapsed() < Duration::from_secs(20), "a timer was starved by posts");
        for packet in desk.turn(Some(Duration::from_millis(1))) {
            if let Packet::Post(payload) = packet {
                desk.port.post(payload).expect("there is room for what was taken");
            }
        }
    }
}

fn a_timeout_for_each_request_costs_only_those_that_count(stage: &Stage) {
    // A program that sets a timeout for each request and cancels nearly all of them.
    let mut desk = stage.desk();
    let rounds = stage.times(20_000);
    for _ in 0..rounds {
        let timeout = Timer::after(&desk.port, Duration::from_secs(30));
        let mut timeout = desk.submit(timeout);
        timeout.cancel();
        assert_cancelled(desk.end(&mut timeout).0);
    }
    let report = desk.berth.close(Duration::from_secs(5));
    assert_eq!((report.ended, report.cancelled), (rounds as u64, 0));
}

fn a_timer_that_has_ended_poisons_no_later_wait(stage: &Stage) {
    let mut desk = stage.desk();
    for _ in 0..10 {
        let near = Timer::after(&desk.port, Duration::from_millis(1));
        desk.ok(near);
        let timeout = Duration::from_millis(5);
        let before = desk.port.now();
        assert!(desk.turn(Some(timeout)).is_empty(), "an old timer has nothing more to tell");
        assert!(desk.port.now() - before >= timeout);
    }
}
