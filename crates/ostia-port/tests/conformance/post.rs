//! Posts: what threads send to whichever berth comes first.

use std::{
    io::ErrorKind,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Wake, Waker},
    thread,
    time::Duration,
};

use ostia_port::{Batch, Packet, Payload, op};

use crate::{case::Stage, kit::Desk};

cases![
    a_burst_of_posts_from_four_threads_loses_none_and_keeps_each_threads_order,
    a_post_wakes_a_sleeping_berth,
    posted_work_runs_once_on_the_berths_thread_and_makes_no_packet,
    posted_work_may_submit,
    posts_of_one_thread_come_in_its_order,
    a_full_queue_refuses_a_post_and_gives_it_back,
    who_finds_no_room_is_woken_when_a_post_was_taken_and_when_the_port_closes,
    a_value_of_any_type_is_posted,
    a_post_to_a_closed_port_comes_back,
    posts_that_nobody_took_are_dropped_with_their_port,
    a_batch_that_is_exactly_full_is_followed_by_the_rest,
    a_flood_of_posts_starves_no_operation,
    work_that_panics_takes_nothing_else_down,
    a_post_is_delivered_once_though_each_wake_finds_many,
];

fn a_burst_of_posts_from_four_threads_loses_none_and_keeps_each_threads_order(stage: &Stage) {
    const THREADS: u64 = 4;
    let port = stage.port();
    let each = stage.times(25_000) as u64;
    let mut desk = Desk::new(&port);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let port = &port;
            scope.spawn(move || {
                for number in 0..each {
                    let mut payload = Payload::Word(thread << 32 | number);
                    // The queue is bounded: who is refused tries again.
                    while let Err(refused) = port.post(payload) {
                        assert_eq!(refused.kind, std::io::ErrorKind::WouldBlock);
                        payload = refused.payload;
                        thread::yield_now();
                    }
                }
            });
        }
        let mut next = [0; THREADS as usize];
        desk.until("all posts have come", |desk| {
            for payload in desk.posts.drain(..) {
                let Payload::Word(word) = payload else { panic!("words were posted") };
                let thread = (word >> 32) as usize;
                assert_eq!(word & 0xffff_ffff, next[thread], "the next of thread {thread}");
                next[thread] += 1;
            }
            next.iter().all(|count| *count == each)
        });
    });
    assert!(desk.turn(Some(Duration::ZERO)).is_empty(), "and no more");
}

fn a_post_wakes_a_sleeping_berth(stage: &Stage) {
    let port = stage.port();
    let ready = Barrier::new(2);
    thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            let mut desk = Desk::new(&port);
            ready.wait();
            let mut came = Vec::new();
            // For ever: nothing but the post ends it.
            while came.len() < 100 {
                came.extend(desk.turn(None).into_iter().map(|packet| match packet {
                    Packet::Post(Payload::Word(word)) => word,
                    other => panic!("{other:?}"),
                }));
            }
            came
        });
        ready.wait();
        for word in 0..100 {
            port.post(Payload::Word(word)).expect("there is room");
            if word % 10 == 0 {
                thread::yield_now();
            }
        }
        assert_eq!(sleeper.join().expect("the sleeper ends"), (0..100).collect::<Vec<u64>>());
    });
}

fn posted_work_runs_once_on_the_berths_thread_and_makes_no_packet(stage: &Stage) {
    let mut desk = stage.desk();
    let here = thread::current().id();
    let runs = Arc::new(AtomicUsize::new(0));
    let port = desk.port.clone();
    let counted = Arc::clone(&runs);
    thread::spawn(move || {
        for _ in 0..10 {
            let counted = Arc::clone(&counted);
            port.post(Payload::Run(Box::new(move |_| {
                assert_eq!(thread::current().id(), here);
                counted.fetch_add(1, Ordering::Relaxed);
            })))
            .expect("there is room");
        }
        port.post(Payload::Word(7)).expect("there is room");
    })
    .join()
    .expect("posting needs no berth");
    desk.until("the word has come", |desk| !desk.posts.is_empty());
    assert!(matches!(desk.posts[..], [Payload::Word(7)]), "work makes no packet: {:?}", desk.posts);
    assert_eq!(runs.load(Ordering::Relaxed), 10);
}

fn posted_work_may_submit(stage: &Stage) {
    let mut desk = stage.desk();
    let (sender, tickets) = std::sync::mpsc::channel();
    let port = desk.port.clone();
    thread::spawn(move || {
        let work = move |berth: &mut ostia_port::Berth| {
            let ticket = berth.submit(op::Nop).expect("a nop is begun");
            sender.send(ticket).expect("somebody listens");
        };
        port.post(Payload::Run(Box::new(work))).expect("there is room");
    })
    .join()
    .expect("posting needs no berth");
    let mut ticket = None;
    desk.until("the work has run", |_| {
        ticket = ticket.take().or_else(|| tickets.try_recv().ok());
        ticket.is_some()
    });
    desk.end(&mut ticket.expect("the work has run")).0.expect("a nop ends well");
}

fn posts_of_one_thread_come_in_its_order(stage: &Stage) {
    let mut desk = stage.desk();
    for word in 0..1000 {
        desk.port.post(Payload::Word(word)).expect("there is room");
    }
    desk.until("all have come", |desk| desk.posts.len() == 1000);
    for (place, payload) in desk.posts.iter().enumerate() {
        assert!(matches!(payload, Payload::Word(word) if *word == place as u64), "{payload:?} at {place}");
    }
}

fn a_full_queue_refuses_a_post_and_gives_it_back(stage: &Stage) {
    let port = stage.builder().posts_max(8).open().expect("a port opens");
    let mut desk = Desk::new(&port);
    for word in 0..8 {
        port.post(Payload::Word(word)).expect("there is room for eight");
    }
    let refused = port.post(Payload::Word(8)).expect_err("there is room for eight");
    assert_eq!(refused.kind, std::io::ErrorKind::WouldBlock);
    assert!(matches!(refused.payload, Payload::Word(8)));
    desk.until("the eight have come", |desk| desk.posts.len() == 8);
    port.post(refused.payload).expect("there is room again");
    desk.until("the ninth has come", |desk| desk.posts.len() == 9);
}

fn who_finds_no_room_is_woken_when_a_post_was_taken_and_when_the_port_closes(stage: &Stage) {
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let port = stage.builder().posts_max(2).open().expect("a port opens");
    let mut desk = Desk::new(&port);
    let woken: Vec<_> = (0..3).map(|_| Arc::new(Count(AtomicUsize::new(0)))).collect();
    let wakers: Vec<_> = woken.iter().map(|count| Waker::from(Arc::clone(count))).collect();
    let counts = || woken.iter().map(|count| count.0.load(Ordering::SeqCst)).collect::<Vec<_>>();
    let post = |waker| port.post_or_wake(Payload::Word(1), waker);
    for waker in &wakers[..2] {
        post(waker).expect("there is room for two");
    }
    for waker in &wakers {
        let refused = post(waker).expect_err("there is room for two");
        assert_eq!(refused.kind, ErrorKind::WouldBlock);
        // Whoever asks twice stands in the line once, if nobody came between.
        post(waker).expect_err("there is room for two");
    }
    assert_eq!(counts(), [0, 0, 0]);
    desk.until("the two have come", |desk| desk.posts.len() == 2);
    assert_eq!(counts(), [1, 1, 1], "nothing is in anybody's way");
    for waker in &wakers[..2] {
        post(waker).expect("there is room again");
    }
    post(&wakers[2]).expect_err("there is room for two");
    drop(desk);
    port.close(Duration::ZERO).expect("it has no berths");
    assert_eq!(counts(), [1, 1, 2]);
    assert_eq!(post(&wakers[0]).expect_err("it is closed").kind, ErrorKind::NotConnected);
}

fn a_value_of_any_type_is_posted(stage: &Stage) {
    let mut desk = stage.desk();
    desk.port.post(Payload::Value(Box::new(String::from("amphorae")))).expect("there is room");
    desk.until("it has come", |desk| !desk.posts.is_empty());
    let Some(Payload::Value(value)) = desk.posts.pop() else { panic!("a value was posted") };
    assert_eq!(*value.downcast::<String>().expect("it is what it was"), "amphorae");
}

fn a_post_to_a_closed_port_comes_back(stage: &Stage) {
    let port = stage.port();
    port.close(Duration::ZERO).expect("it has no berths");
    let refused = port.post(Payload::Word(3)).expect_err("it is closed");
    assert_eq!(refused.kind, std::io::ErrorKind::NotConnected);
    assert!(matches!(refused.payload, Payload::Word(3)));
}

fn posts_that_nobody_took_are_dropped_with_their_port(stage: &Stage) {
    let port = stage.port();
    let held = Arc::new(());
    for _ in 0..5 {
        let held = Arc::clone(&held);
        // Work that holds the very port it waits at would keep it alive for ever.
        let itself = port.clone();
        port.post(Payload::Run(Box::new(move |_| drop((held, itself))))).expect("there is room");
    }
    assert_eq!(Arc::strong_count(&held), 6);
    port.close(Duration::ZERO).expect("it has no berths");
    assert_eq!(Arc::strong_count(&held), 1);
}

fn a_batch_that_is_exactly_full_is_followed_by_the_rest(stage: &Stage) {
    let port = stage.port();
    let mut berth = port.berth().expect("there is a place");
    let mut batch = Batch::with_limit(16);
    for word in 0..40 {
        port.post(Payload::Word(word)).expect("there is room");
    }
    let mut came = Vec::new();
    for expected in [16, 16, 8] {
        assert_eq!(berth.wait(&mut batch, Some(Duration::ZERO)).expect("a wait"), expected);
        came.extend(batch.drain().map(|packet| match packet {
            Packet::Post(Payload::Word(word)) => word,
            other => panic!("{other:?}"),
        }));
    }
    assert_eq!(came, (0..40).collect::<Vec<u64>>());
}

fn a_flood_of_posts_starves_no_operation(stage: &Stage) {
    // Each post that is taken is posted again, so there is never an empty queue.
    let mut desk = stage.desk();
    for word in 0..1000 {
        desk.port.post(Payload::Word(word)).expect("there is room");
    }
    let (ours, theirs) = desk.pair();
    for round in 0..20_u8 {
        let mut receive = desk.submit(op::Receive::new(&theirs, Vec::with_capacity(8)));
        let mut send = desk.submit(op::Send::new(&ours, vec![round]));
        let mut left = 100_000;
        while !(receive.is_done() && send.is_done()) {
            left -= 1;
            assert!(left > 0, "an operation was starved by posts");
            for packet in desk.turn(Some(Duration::ZERO)) {
                if let Packet::Post(payload) = packet {
                    desk.port.post(payload).expect("there is room for what was taken");
                }
            }
        }
        assert_eq!(receive.poll().expect("it is done").1, [round]);
        send.poll().expect("it is done").0.expect("it was sent");
        for payload in desk.posts.drain(..) {
            desk.port.post(payload).expect("there is room for what was taken");
        }
    }
}

fn work_that_panics_takes_nothing_else_down(stage: &Stage) {
    let mut desk = stage.desk();
    let mut nops: Vec<_> = (0..10).map(|_| desk.submit(op::Nop)).collect();
    let silent = || std::panic::resume_unwind(Box::new("meant"));
    desk.port.post(Payload::Run(Box::new(move |_| silent()))).expect("there is room");
    desk.port.post(Payload::Word(1)).expect("there is room");
    let unwound = catch_unwind(AssertUnwindSafe(|| desk.until("never", |_| false))).expect_err("it panics");
    assert_eq!(*unwound.downcast::<&str>().expect("the work's own"), "meant");
    for nop in &mut nops {
        desk.end(nop).0.expect("a nop ends well");
    }
    desk.until("the other post has come", |desk| !desk.posts.is_empty());
    let report = desk.berth.close(Duration::from_secs(5));
    assert_eq!((report.submitted, report.leaked, report.unknown), (10, 0, 0));
}

fn a_post_is_delivered_once_though_each_wake_finds_many(stage: &Stage) {
    let mut desk = stage.desk();
    let taken = Arc::new(AtomicUsize::new(0));
    for _ in 0..500 {
        for _ in 0..3 {
            let taken = Arc::clone(&taken);
            desk.port
                .post(Payload::Run(Box::new(move |_| {
                    taken.fetch_add(1, Ordering::Relaxed);
                })))
                .expect("room");
        }
        desk.turn(Some(Duration::ZERO));
    }
    desk.idle();
    assert_eq!(taken.load(Ordering::Relaxed), 1500);
}
