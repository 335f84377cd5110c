//! Rings that are full, operations that end while they are cancelled, berths that close, threads that wake.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ostia_port::{Batch, Class, Packet, Payload, op};

use crate::{LONG, finish, listener, on_each_level, pair, pair_of, run};

#[test]
fn bursts_of_many_times_what_a_ring_holds_end_all_and_once() {
    on_each_level("bursts", |builder| {
        for entries in [2, 4] {
            let port = builder.clone().ring_entries(entries).open().unwrap();
            let mut berth = port.berth().unwrap();
            for times in [4, 16, 64] {
                let count = times * entries as usize;
                let mut tickets: Vec<_> = (0..count).map(|_| berth.submit(op::Nop).unwrap()).collect();
                let mut batch = Batch::new();
                let mut ended = 0;
                while ended < count {
                    assert_ne!(berth.wait(&mut batch, Some(LONG)).unwrap(), 0, "{ended} of {count}");
                    ended += batch.drain().filter(|packet| matches!(packet, Packet::Done(_))).count();
                }
                assert_eq!(ended, count);
                for ticket in &mut tickets {
                    ticket.poll().expect("it has ended").0.unwrap();
                }
            }
            let report = berth.close(LONG);
            assert_eq!((report.submitted, report.leaked, report.unknown), (report.ended, 0, 0));
        }
    });
}

#[test]
fn cancels_find_their_operations_when_the_ring_is_full() {
    on_each_level("cancels in a full ring", |builder| {
        let port = builder.ring_entries(2).open().unwrap();
        let mut berth = port.berth().unwrap();
        let listener = listener(&port);
        let pairs: Vec<_> = (0..60).map(|_| pair_of(&mut berth, &listener)).collect();
        let mut receives: Vec<_> = pairs
            .iter()
            .map(|(server, _)| berth.submit(op::Receive::new(server, Vec::with_capacity(8))).unwrap())
            .collect();
        // Every third is known to be in the kernel, every third is asked twice, and two receives have won.
        run(&mut berth, op::Nop).0.unwrap();
        let nops: Vec<_> = (0..10).map(|_| berth.submit(op::Nop).unwrap()).collect();
        for (number, receive) in receives.iter_mut().enumerate() {
            receive.cancel();
            if number % 3 == 0 {
                receive.cancel();
            }
        }
        for receive in receives {
            let (received, buffer) = finish(&mut berth, receive);
            assert_eq!(Class::of(&received.unwrap_err()), Class::Cancelled);
            assert_eq!(buffer.capacity(), 8);
        }
        for nop in nops {
            finish(&mut berth, nop).0.unwrap();
        }
        // Submitted and cancelled before anything reached the kernel.
        let mut at_once: Vec<_> = pairs
            .iter()
            .map(|(server, _)| berth.submit(op::Receive::new(server, Vec::with_capacity(8))).unwrap())
            .collect();
        for receive in &mut at_once {
            receive.cancel();
        }
        for receive in at_once {
            assert_eq!(Class::of(&finish(&mut berth, receive).0.unwrap_err()), Class::Cancelled);
        }
        let report = berth.close(LONG);
        assert_eq!((report.leaked, report.unknown), (0, 0));
    });
}

#[test]
fn a_receive_cancelled_while_it_ends_keeps_its_bytes_or_leaves_them() {
    on_each_level("cancel races", |builder| {
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        let (server, client) = pair(&mut berth);
        let mut got = Vec::new();
        let (mut won, mut lost) = (0, 0);
        for round in 0..2000_u32 {
            let mut receive = berth.submit(op::Receive::new(&server, Vec::with_capacity(4))).unwrap();
            if round % 2 == 0 {
                // In the kernel before there is anything to receive.
                run(&mut berth, op::Nop).0.unwrap();
            }
            let send = berth.submit(op::Send::new(&client, vec![round as u8])).unwrap();
            receive.cancel();
            let (received, buffer) = finish(&mut berth, receive);
            finish(&mut berth, send).0.unwrap();
            match received {
                Ok(received) => {
                    assert_eq!(received.len, buffer.len());
                    got.extend_from_slice(&buffer);
                    won += 1;
                }
                Err(error) => {
                    assert_eq!(Class::of(&error), Class::Cancelled);
                    lost += 1;
                }
            }
        }
        while got.len() < 2000 {
            let (received, buffer) = run(&mut berth, op::Receive::new(&server, Vec::with_capacity(4096)));
            assert_ne!(received.unwrap().len, 0, "{} bytes, {won} won, {lost} lost", got.len());
            got.extend_from_slice(&buffer);
        }
        let expected: Vec<u8> = (0..2000_u32).map(|round| round as u8).collect();
        assert!(got == expected, "a byte is lost or out of order; {won} won, {lost} lost");
    });
}

#[test]
fn a_berth_that_closes_has_everything_back() {
    on_each_level("closing", |builder| {
        let port = builder.ring_entries(4).lent_buffers(4, 64).open().unwrap();
        let mut berth = port.berth().unwrap();
        let listener = listener(&port);
        let pairs: Vec<_> = (0..30).map(|_| pair_of(&mut berth, &listener)).collect();
        let mut receives = Vec::new();
        let mut managed = Vec::new();
        for (number, (server, _)) in pairs.iter().enumerate() {
            if number % 2 == 0 {
                receives.push(berth.submit(op::Receive::new(server, Vec::with_capacity(8))).unwrap());
            } else {
                managed.push(berth.submit(op::ReceiveManaged::new(server)).unwrap());
            }
        }
        let mut accept = berth.submit(op::AcceptMany::new(&listener)).unwrap();
        run(&mut berth, op::Nop).0.unwrap();
        let more: Vec<_> = (0..50).map(|_| berth.submit(op::Nop).unwrap()).collect();
        let report = berth.close(LONG);
        assert_eq!((report.ended, report.leaked, report.unknown), (report.submitted, 0, 0));
        assert!(receives.iter().all(ostia_port::Ticket::is_done));
        assert!(managed.iter().all(ostia_port::Ticket::is_done));
        assert!(more.iter().all(ostia_port::Ticket::is_done));
        for mut receive in receives {
            let (received, buffer) = receive.poll().expect("it has ended");
            assert_eq!(Class::of(&received.unwrap_err()), Class::Cancelled);
            assert_eq!(buffer.capacity(), 8);
        }
        assert!(accept.poll().expect("it has ended").0.is_err());
        assert_eq!(port.close(LONG).unwrap().leaked, 0);
    });
}

#[test]
fn a_post_wakes_a_berth_that_sleeps() {
    on_each_level("wakes", |builder| {
        let port = builder.open().unwrap();
        let count = 2000;
        let taken = Arc::new(AtomicUsize::new(0));
        let receiver = thread::spawn({
            let (port, taken) = (port.clone(), Arc::clone(&taken));
            move || {
                let mut berth = port.berth().unwrap();
                let mut batch = Batch::new();
                let mut seen = 0;
                while seen < count {
                    let came = berth.wait(&mut batch, Some(LONG)).unwrap();
                    assert_ne!(came, 0, "a wake is lost after {seen}");
                    seen += came;
                    taken.store(seen, Ordering::Release);
                }
                berth.close(LONG)
            }
        });
        for number in 0..count {
            // Every other one comes when all before it have been taken: then the berth sleeps, or is about to.
            if number % 2 == 0 {
                let begun = Instant::now();
                while taken.load(Ordering::Acquire) < number {
                    assert!(begun.elapsed() < LONG, "a wake is lost after {number}");
                    thread::yield_now();
                }
            }
            port.post(Payload::Word(number as u64)).unwrap();
        }
        assert_eq!(receiver.join().unwrap().unknown, 0);
    });
}

#[test]
fn a_wait_with_nothing_to_wait_for_lasts_as_long_as_it_was_told() {
    on_each_level("timeouts", |builder| {
        let mut berth = builder.open().unwrap().berth().unwrap();
        let mut batch = Batch::new();
        for timeout in [Duration::from_micros(1), Duration::from_millis(3), Duration::from_millis(30)] {
            let begun = Instant::now();
            assert_eq!(berth.wait(&mut batch, Some(timeout)).unwrap(), 0);
            assert!(begun.elapsed() >= timeout, "{timeout:?} became {:?}", begun.elapsed());
        }
    });
}

/// A child of a fork has none of the ring's memory: what it does there ends it, and not the parent's operations.
#[test]
fn a_forked_child_cannot_touch_the_ring() {
    on_each_level("fork", |builder| {
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        run(&mut berth, op::Nop).0.unwrap();
        // SAFETY: the child touches the ring only, which ends it, or leaves at once.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let _ = berth.submit(op::Nop);
            // SAFETY: it ends this process and nothing else.
            unsafe { libc::_exit(0) };
        }
        assert!(child > 0, "{}", std::io::Error::last_os_error());
        let child = rustix::process::Pid::from_raw(child).unwrap();
        let (_, status) = rustix::process::waitpid(Some(child), rustix::process::WaitOptions::empty())
            .unwrap()
            .expect("it has ended");
        assert_eq!(status.terminating_signal(), Some(libc::SIGSEGV), "{status:?}");
        run(&mut berth, op::Nop).0.unwrap();
        let report = berth.close(LONG);
        assert_eq!((report.leaked, report.unknown), (0, 0));
    });
}
