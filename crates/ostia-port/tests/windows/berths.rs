//! Several berths at one completion port: any of them may receive any packet.

use std::{
    sync::{Arc, Barrier},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use ostia_port::{Batch, Class, Packet, Payload, Port, op};

use crate::kit::*;

/// Threads that do nothing but wait, until the port closes.
fn waiters(port: &Port, count: usize) -> Vec<JoinHandle<()>> {
    let here = Arc::new(Barrier::new(count + 1));
    let waiters = (0..count)
        .map(|_| {
            let (port, here) = (port.clone(), Arc::clone(&here));
            std::thread::spawn(move || {
                let mut berth = port.berth().expect("a berth");
                let mut batch = Batch::new();
                here.wait();
                while !berth.is_closing() {
                    berth.wait(&mut batch, None).expect("a wait");
                }
                berth.close(PATIENCE);
            })
        })
        .collect();
    here.wait();
    waiters
}

/// Closes the port, of which all sleepers have to hear.
fn close_all(port: Port, waiters: Vec<JoinHandle<()>>) {
    let report = port.close(PATIENCE).expect("all sleepers hear of it");
    for waiter in waiters {
        waiter.join().expect("a waiter");
    }
    assert_eq!((report.leaked, report.unknown), (0, 0), "{report:?}");
    assert_eq!(report.submitted, report.ended, "{report:?}");
}

#[test]
fn an_operation_ends_whoever_receives_its_packet() {
    let (port, mut berth) = open();
    let others = waiters(&port, 3);
    let (client, server) = tcp_pair_among(&mut berth);
    let mut batch = Batch::new();
    for round in 0..300_u32 {
        let mut receive = submit(&mut berth, op::Receive::new(&server, vec![0; 4]));
        let mut send = submit(&mut berth, op::Send::new(&client, round.to_le_bytes().to_vec()));
        let give_up = Instant::now() + PATIENCE;
        while !(receive.is_done() && send.is_done()) {
            assert!(Instant::now() < give_up, "round {round} does not end");
            // Another berth may be told of it: this one looks again soon.
            berth.wait(&mut batch, Some(Duration::from_millis(1))).expect("a wait");
        }
        assert_eq!(receive.poll().expect("done").1, round.to_le_bytes());
        assert_eq!(send.poll().expect("done").0.expect("a send"), 4);
    }
    drop((client, server));
    berth.close(PATIENCE);
    close_all(port, others);
}

/// A pair made by waits that allow for other berths.
fn tcp_pair_among(berth: &mut ostia_port::Berth) -> (ostia_port::Stream, ostia_port::Stream) {
    let listener = berth.port().listen(&loopback(), &ostia_port::ListenOptions::new()).expect("a listener");
    let to = listener.local_address().expect("its address");
    let mut accept = submit(berth, op::Accept::new(&listener));
    let stream = berth.port().stream(&to).expect("a stream");
    let mut connect = submit(berth, op::Connect::new(stream, &to).expect("an address"));
    let mut batch = Batch::new();
    let give_up = Instant::now() + PATIENCE;
    while !(accept.is_done() && connect.is_done()) {
        assert!(Instant::now() < give_up, "no connection");
        berth.wait(&mut batch, Some(Duration::from_millis(1))).expect("a wait");
    }
    let (connected, client) = connect.poll().expect("done");
    connected.expect("a connection");
    (client, accept.poll().expect("done").0.expect("a stream"))
}

#[test]
fn a_berth_closes_at_once_though_another_receives_its_last_packets() {
    let port = Port::open().expect("a port");
    let others = waiters(&port, 2);
    for _ in 0..30 {
        let port = port.clone();
        std::thread::spawn(move || {
            let mut berth = port.berth().expect("a berth");
            let (client, server) = tcp_pair_among(&mut berth);
            let mut tickets: Vec<_> = (0..8)
                .map(|_| submit(&mut berth, op::Receive::new(&server, Vec::with_capacity(8))))
                .collect();
            let mut timers: Vec<_> = (0..4)
                .map(|_| submit(&mut berth, op::Timer::after(&port, Duration::from_secs(3600))))
                .collect();
            let begin = Instant::now();
            let report = berth.close(PATIENCE);
            assert_eq!(report.leaked, 0, "{report:?}");
            assert!(begin.elapsed() < PATIENCE / 2, "its last packet went to another, who did not tell");
            for ticket in &mut tickets {
                let error = ticket.poll().expect("it has ended").0.expect_err("it was cancelled");
                assert_eq!(Class::of(&error), Class::Cancelled);
            }
            for timer in &mut timers {
                timer.poll().expect("it has ended").0.expect_err("it was cancelled");
            }
            drop((client, server));
        })
        .join()
        .expect("a berth's thread");
    }
    close_all(port, others);
}

#[test]
fn a_post_reaches_a_sleeper_while_another_berth_closes() {
    for _ in 0..20 {
        let port = Port::open().expect("a port");
        let barrier = Arc::new(Barrier::new(2));
        let sleeper = {
            let (port, barrier) = (port.clone(), Arc::clone(&barrier));
            std::thread::spawn(move || {
                let mut berth = port.berth().expect("a berth");
                let mut batch = Batch::new();
                barrier.wait();
                let mut words = 0;
                let give_up = Instant::now() + PATIENCE;
                while words < 10 {
                    assert!(Instant::now() < give_up, "a post was lost: {words} came");
                    berth.wait(&mut batch, Some(PATIENCE)).expect("a wait");
                    words += batch.drain().filter(|packet| matches!(packet, Packet::Post(_))).count();
                }
                berth.close(PATIENCE);
            })
        };
        let mut berth = port.berth().expect("a berth");
        let stuck = submit(&mut berth, op::Timer::after(&port, Duration::from_secs(3600)));
        barrier.wait();
        let poster = {
            let port = port.clone();
            std::thread::spawn(move || {
                for word in 0..10 {
                    port.post(Payload::Word(word)).expect("room");
                }
            })
        };
        // What this one receives it cannot use; what it woke for has to reach the other.
        berth.close(PATIENCE);
        drop(stuck);
        poster.join().expect("the poster");
        sleeper.join().expect("the sleeper");
        port.close(PATIENCE).expect("all berths are closed");
    }
}

#[test]
fn cancels_from_other_threads_race_with_ends_and_each_operation_ends_once() {
    let port = Port::open().expect("a port");
    let others = waiters(&port, 2);
    let mut berth = port.berth().expect("a berth");
    let (client, server) = tcp_pair_among(&mut berth);
    let mut received = 0;
    let mut sent = 0;
    let mut batch = Batch::new();
    for round in 0..400 {
        let mut receive = submit(&mut berth, op::Receive::new(&server, vec![0; 1]));
        // A send that races with the cancel, in every other round.
        let mut send = (round % 2 == 0).then(|| {
            sent += 1;
            submit(&mut berth, op::Send::new(&client, vec![1]))
        });
        let canceller = {
            std::thread::spawn(move || {
                receive.cancel();
                receive
            })
        };
        let mut receive = canceller.join().expect("the canceller");
        let give_up = Instant::now() + PATIENCE;
        while !receive.is_done() || send.as_ref().is_some_and(|send| !send.is_done()) {
            assert!(Instant::now() < give_up, "round {round} does not end");
            berth.wait(&mut batch, Some(Duration::from_millis(1))).expect("a wait");
        }
        if let Some(send) = &mut send {
            send.poll().expect("done").0.expect("a send");
        }
        match receive.poll().expect("done").0 {
            Ok(got) => received += got.len,
            Err(error) => assert_eq!(Class::of(&error), Class::Cancelled, "{error}"),
        }
    }
    // No byte was lost to a cancel.
    while received < sent {
        let mut receive = submit(&mut berth, op::Receive::new(&server, vec![0; 512]));
        while !receive.is_done() {
            berth.wait(&mut batch, Some(Duration::from_millis(1))).expect("a wait");
        }
        let len = receive.poll().expect("done").0.expect("bytes").len;
        assert_ne!(len, 0);
        received += len;
    }
    assert_eq!(received, sent);
    berth.close(PATIENCE);
    close_all(port, others);
}

#[test]
fn a_timer_wakes_a_sleeper_whose_wait_began_before_it_was_set() {
    let port = Port::open().expect("a port");
    let others = waiters(&port, 1);
    let mut berth = port.berth().expect("a berth");
    for millis in [1, 5, 20] {
        let timer = submit(&mut berth, op::Timer::after(&port, Duration::from_millis(millis)));
        let give_up = Instant::now() + PATIENCE;
        // This thread does not wait at the port: the other one has to.
        while !timer.is_done() {
            assert!(Instant::now() < give_up, "nobody was woken for a timer of {millis} ms");
            std::thread::yield_now();
        }
    }
    berth.close(PATIENCE);
    close_all(port, others);
}
