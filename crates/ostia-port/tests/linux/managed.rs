//! Receives into lent buffers.

use std::{collections::VecDeque, net::Shutdown, thread};

use ostia_port::{Batch, op};

use crate::{LONG, finish, listener, next, on_each_level, pair, pair_of, pattern, run};

#[test]
fn connections_that_wait_hold_no_buffer() {
    on_each_level("idle connections", |builder| {
        // Two buffers, and forty connections that could want one.
        let port = builder.lent_buffers(2, 512).open().unwrap();
        let mut berth = port.berth().unwrap();
        let listener = listener(&port);
        let pairs: Vec<_> = (0..40).map(|_| pair_of(&mut berth, &listener)).collect();
        let mut waiting: VecDeque<_> =
            pairs.iter().map(|(server, _)| berth.submit(op::ReceiveManaged::new(server)).unwrap()).collect();
        for (number, (_, client)) in pairs.iter().enumerate() {
            let sent = pattern(100 + number, number as u8);
            run(&mut berth, op::Send::new(client, sent.clone())).0.unwrap();
            let ticket = waiting.pop_front().expect("one each");
            let lent = finish(&mut berth, ticket).0.unwrap();
            assert_eq!(*lent, sent);
        }
    });
}

#[test]
fn a_receive_waits_while_every_buffer_is_lent_and_goes_on_when_one_comes_back() {
    on_each_level("no buffer left", |builder| {
        let port = builder.lent_buffers(2, 64).open().unwrap();
        let mut berth = port.berth().unwrap();
        let (server, client) = pair(&mut berth);
        run(&mut berth, op::Send::new(&client, pattern(4 * 64, 1))).0.unwrap();
        let first = run(&mut berth, op::ReceiveManaged::new(&server)).0.unwrap();
        let second = run(&mut berth, op::ReceiveManaged::new(&server)).0.unwrap();
        let mut third = berth.submit(op::ReceiveManaged::new(&server)).unwrap();
        for _ in 0..3 {
            run(&mut berth, op::Nop).0.unwrap();
            assert!(third.poll().is_none(), "there is no third buffer");
        }
        // Given back by another thread, while this one sleeps or is about to.
        let returned = thread::spawn(move || drop(first));
        let third = finish(&mut berth, third).0.unwrap();
        returned.join().unwrap();
        assert_eq!([&second[..], &third[..]].concat(), pattern(4 * 64, 1)[64..192]);
        // A receive that waits for a buffer can be cancelled.
        let mut fourth = berth.submit(op::ReceiveManaged::new(&server)).unwrap();
        run(&mut berth, op::Nop).0.unwrap();
        fourth.cancel();
        assert!(finish(&mut berth, fourth).0.is_err());
        drop((second, third));
        let fifth = run(&mut berth, op::ReceiveManaged::new(&server)).0.unwrap();
        assert_eq!(*fifth, pattern(4 * 64, 1)[192..]);
    });
}

#[test]
fn buffers_come_back_from_what_was_abandoned_and_cancelled() {
    on_each_level("abandoned receives", |builder| {
        let port = builder.lent_buffers(2, 64).open().unwrap();
        let mut berth = port.berth().unwrap();
        let listener = listener(&port);
        for round in 0..50 {
            let (server, client) = pair_of(&mut berth, &listener);
            let mut receive = berth.submit(op::ReceiveManaged::new(&server)).unwrap();
            let mut many = None;
            let send = berth.submit(op::Send::new(&client, vec![1; 64])).unwrap();
            match round % 4 {
                0 => drop(receive),
                1 => {
                    receive.cancel();
                    drop(finish(&mut berth, receive));
                }
                2 => {
                    run(&mut berth, op::Nop).0.unwrap();
                    drop(receive);
                }
                _ => {
                    many = Some(berth.submit(op::ReceiveManagedMany::new(&server)).unwrap());
                    drop(receive);
                }
            }
            finish(&mut berth, send).0.unwrap();
            drop(many);
        }
        let (server, client) = pair_of(&mut berth, &listener);
        run(&mut berth, op::Send::new(&client, pattern(128, 9))).0.unwrap();
        let first = run(&mut berth, op::ReceiveManaged::new(&server)).0.unwrap();
        let second = run(&mut berth, op::ReceiveManaged::new(&server)).0.unwrap();
        assert_eq!([&first[..], &second[..]].concat(), pattern(128, 9));
    });
}

#[test]
fn a_receive_of_many_yields_all_bytes_in_order_whatever_ends_it_midway() {
    on_each_level("receive of many", |builder| {
        // Few buffers and a ring of two: it runs out of both again and again.
        let port = builder.lent_buffers(8, 100).ring_entries(2).open().unwrap();
        let mut berth = port.berth().unwrap();
        let (server, client) = pair(&mut berth);
        let all = pattern(100_000, 5);
        let send = berth.submit(op::Send::new(&client, all.clone())).unwrap();
        let mut received = Vec::new();
        let mut begun = 0;
        let mut ended = false;
        let mut send = Some(send);
        while !ended {
            begun += 1;
            let mut many = berth.submit(op::ReceiveManagedMany::new(&server)).unwrap();
            while let Some(lent) = next(&mut berth, &mut many) {
                let lent = lent.unwrap();
                ended |= lent.is_empty();
                received.extend_from_slice(&lent);
                if received.len() == all.len()
                    && let Some(send) = send.take()
                {
                    assert_eq!(finish(&mut berth, send).0.unwrap(), all.len());
                    client.shutdown(Shutdown::Write).unwrap();
                }
            }
            finish(&mut berth, many).0.unwrap();
        }
        assert!(received == all, "{} of {} bytes, begun {begun} times", received.len(), all.len());
    });
}

#[test]
fn a_receive_of_many_ends_well_when_too_many_wait() {
    on_each_level("too many buffers wait", |builder| {
        let port = builder.lent_buffers(64, 100).open().unwrap();
        let mut berth = port.berth().unwrap();
        let (server, client) = pair(&mut berth);
        let mut many = berth.submit(op::ReceiveManagedMany::new(&server)).unwrap();
        let mut batch = Batch::new();
        let mut sent = 0;
        // Nobody takes what comes.
        while !many.is_done() {
            assert!(sent < 2 * op::ReceiveManagedMany::WAITING_MAX, "it does not end");
            let mut send = berth.submit(op::Send::new(&client, pattern(100, sent as u8))).unwrap();
            sent += 1;
            let mut seen = false;
            while !(many.is_done() || (seen && send.is_done())) {
                assert_ne!(berth.wait(&mut batch, Some(LONG)).unwrap(), 0, "it hangs after {sent}");
                seen |= batch.iter().any(|packet| matches!(packet, ostia_port::Packet::More(_)));
            }
            let sent = if send.is_done() { send.poll().expect("done") } else { finish(&mut berth, send) };
            assert_eq!(sent.0.unwrap(), 100);
        }
        assert!(sent >= op::ReceiveManagedMany::WAITING_MAX, "after {sent}");
        let mut received = Vec::new();
        while let Some(lent) = many.next() {
            received.extend_from_slice(&lent.unwrap());
        }
        finish(&mut berth, many).0.unwrap();
        // What it left comes to the next.
        while received.len() < sent * 100 {
            received.extend_from_slice(&run(&mut berth, op::ReceiveManaged::new(&server)).0.unwrap());
        }
        let expected: Vec<u8> = (0..sent).flat_map(|number| pattern(100, number as u8)).collect();
        assert!(received == expected, "the bytes differ");
    });
}
