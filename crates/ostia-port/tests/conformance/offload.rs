//! Jobs: what may wait runs elsewhere.

use std::{
    io::ErrorKind,
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use ostia_port::{Bell, Job, Port, op};

use crate::{case::Stage, kit::Desk};

cases![
    a_job_runs_once_and_not_inside_the_call,
    a_job_rings_for_the_berth_that_waits_for_it,
    every_job_of_a_burst_runs_once,
    jobs_run_in_the_order_of_their_calls_where_one_thread_does_them,
    a_job_may_ask_for_another,
    a_job_too_many_is_refused_and_comes_back,
    a_job_that_panics_costs_no_thread,
    jobs_and_operations_have_no_more_threads_than_was_said,
    jobs_that_were_not_begun_are_dropped_when_the_port_closes,
    a_job_after_the_closing_is_refused_and_comes_back,
];

/// Counts when it is dropped.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

#[track_caller]
fn offload(port: &Port, job: impl FnOnce() + Send + 'static) {
    port.offload(Box::new(job)).expect("there is room");
}

/// A job that adds one, and rings.
fn counting(desk: &Desk, count: &Arc<AtomicUsize>) -> Job {
    let (bell, count) = (desk.berth.bell(), Arc::clone(count));
    Box::new(move || {
        count.fetch_add(1, Ordering::Release);
        bell.ring();
    })
}

/// Keeps the port's one thread busy until the sender is dropped. In the simulation nothing runs before a wait.
fn keep_busy(stage: &Stage, port: &Port) -> mpsc::Sender<()> {
    let (release, released) = mpsc::channel();
    if stage.is_sim() {
        return release;
    }
    let begun = Arc::new(Barrier::new(2));
    offload(port, {
        let begun = Arc::clone(&begun);
        move || {
            begun.wait();
            // It ends with an error, when the other end is dropped.
            let _ = released.recv();
        }
    });
    begun.wait();
    release
}

fn a_job_runs_once_and_not_inside_the_call(stage: &Stage) {
    let mut desk = stage.desk();
    let (sender, ran) = mpsc::channel();
    let bell = desk.berth.bell();
    offload(&desk.port, move || {
        sender.send(thread::current().id()).expect("the other thread listens");
        bell.ring();
    });
    assert!(desk.turn(None).is_empty(), "a job makes no packet");
    let thread = ran.recv().expect("it ran");
    assert_eq!(thread == thread::current().id(), stage.is_sim(), "a simulation has one thread");
    ran.recv().expect_err("it ran once");
    assert_eq!(desk.port.offload_threads(), usize::from(!stage.is_sim()));
}

fn a_job_rings_for_the_berth_that_waits_for_it(stage: &Stage) {
    let mut desk = stage.desk();
    let count = Arc::new(AtomicUsize::new(0));
    for round in 1..=stage.times(2000) {
        desk.port.offload(counting(&desk, &count)).expect("there is room");
        while count.load(Ordering::Acquire) < round {
            // For ever, if it were not for the job's ring.
            assert!(desk.turn(None).is_empty());
        }
    }
}

fn every_job_of_a_burst_runs_once(stage: &Stage) {
    let mut desk = stage.desk();
    let count = Arc::new(AtomicUsize::new(0));
    let jobs = stage.times(10_000);
    for _ in 0..jobs {
        let mut job = counting(&desk, &count);
        while let Err(refused) = desk.port.offload(job) {
            assert_eq!(refused.error.kind(), ErrorKind::WouldBlock);
            job = refused.op;
            thread::yield_now();
        }
    }
    desk.until("all have run", |_| count.load(Ordering::Acquire) == jobs);
    desk.idle();
    assert_eq!(count.load(Ordering::Acquire), jobs);
    assert!(desk.port.offload_threads() <= desk.port.offload_threads_max());
}

fn jobs_run_in_the_order_of_their_calls_where_one_thread_does_them(stage: &Stage) {
    let port = stage.builder().offload_threads_max(1).open().expect("a port");
    let mut desk = Desk::new(&port);
    let (sender, ran) = mpsc::channel();
    for number in 0..100 {
        let (sender, bell) = (sender.clone(), desk.berth.bell());
        offload(&port, move || {
            sender.send(number).expect("the other thread listens");
            bell.ring();
        });
    }
    let mut order = Vec::new();
    desk.until("all have run", |_| {
        order.extend(ran.try_iter());
        order.len() == 100
    });
    assert!(order.is_sorted(), "{order:?}");
}

fn a_job_may_ask_for_another(stage: &Stage) {
    fn next(port: Port, left: usize, bell: Bell, done: mpsc::Sender<()>) {
        if left == 0 {
            done.send(()).expect("the other thread listens");
            bell.ring();
            return;
        }
        let again = port.clone();
        offload(&port, move || next(again, left - 1, bell, done));
    }
    let mut desk = stage.desk();
    let (sender, done) = mpsc::channel();
    next(desk.port.clone(), 100, desk.berth.bell(), sender);
    while done.try_recv().is_err() {
        assert!(desk.turn(None).is_empty());
    }
}

fn a_job_too_many_is_refused_and_comes_back(stage: &Stage) {
    let port = stage.builder().offload_threads_max(1).offload_jobs_max(2).open().expect("a port");
    let mut desk = Desk::new(&port);
    let busy = keep_busy(stage, &port);
    let count = Arc::new(AtomicUsize::new(0));
    for _ in 0..2 {
        port.offload(counting(&desk, &count)).expect("two may wait");
    }
    let refused = port.offload(counting(&desk, &count)).expect_err("a third may not");
    assert_eq!(refused.error.kind(), ErrorKind::WouldBlock);
    assert_eq!(count.load(Ordering::Acquire), 0);
    (refused.op)();
    drop(busy);
    desk.until("those that waited have run", |_| count.load(Ordering::Acquire) == 3);
    port.offload(counting(&desk, &count)).expect("there is room again");
    desk.until("it has run, too", |_| count.load(Ordering::Acquire) == 4);
}

fn a_job_that_panics_costs_no_thread(stage: &Stage) {
    struct Spiteful;
    impl Drop for Spiteful {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new("what was thrown, thrown again"));
        }
    }
    let port = stage.builder().offload_threads_max(1).open().expect("a port");
    let mut desk = Desk::new(&port);
    let count = Arc::new(AtomicUsize::new(0));
    for _ in 0..20 {
        // Not by `panic!`: that would be told on the screen.
        offload(&port, || std::panic::resume_unwind(Box::new("a job's own")));
        offload(&port, || std::panic::resume_unwind(Box::new(Spiteful)));
        port.offload(counting(&desk, &count)).expect("there is room");
    }
    desk.until("those between have run", |_| count.load(Ordering::Acquire) == 20);
    assert_eq!(port.offload_threads(), usize::from(!stage.is_sim()));
}

fn jobs_and_operations_have_no_more_threads_than_was_said(stage: &Stage) {
    let port = stage.builder().offload_threads_max(2).open().expect("a port");
    let mut desk = Desk::new(&port);
    let path = stage.path();
    let options = op::OpenOptions::new().read(true).write(true).create(true);
    let count = Arc::new(AtomicUsize::new(0));
    let mut opens: Vec<_> = (0..50)
        .map(|_| {
            port.offload(counting(&desk, &count)).expect("there is room");
            desk.submit(op::Open::new(&port, &path, options).expect("it is a path"))
        })
        .collect();
    for open in &mut opens {
        desk.end(open).0.expect("it can be opened");
    }
    desk.until("all jobs have run", |_| count.load(Ordering::Acquire) == 50);
    assert!(port.offload_threads() <= 2, "{} threads", port.offload_threads());
    desk.ok(op::Remove::new(&path).expect("it is a path"));
}

fn jobs_that_were_not_begun_are_dropped_when_the_port_closes(stage: &Stage) {
    let port = stage.builder().offload_threads_max(1).open().expect("a port");
    let busy = keep_busy(stage, &port);
    let (dropped, ran) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for _ in 0..10 {
        // They hold the very port.
        let (held, ran, port_too) = (Dropped(Arc::clone(&dropped)), Arc::clone(&ran), port.clone());
        offload(&port, move || {
            ran.fetch_add(1, Ordering::Release);
            drop((held, port_too));
        });
    }
    assert_eq!(dropped.load(Ordering::Acquire), 0);
    port.close(Duration::from_secs(20)).expect("nobody has a berth; nobody waits for the one that runs");
    assert_eq!((dropped.load(Ordering::Acquire), ran.load(Ordering::Acquire)), (10, 0));
    drop(busy);
}

fn a_job_after_the_closing_is_refused_and_comes_back(stage: &Stage) {
    let port = stage.port();
    let count = Arc::new(AtomicUsize::new(0));
    let job: Job = {
        let count = Arc::clone(&count);
        Box::new(move || {
            count.fetch_add(1, Ordering::Release);
        })
    };
    port.close(Duration::from_secs(20)).expect("nobody has a berth");
    let refused = port.offload(job).expect_err("the port is closed");
    assert_eq!(refused.error.kind(), ErrorKind::NotConnected);
    (refused.op)();
    assert_eq!(count.load(Ordering::Acquire), 1);
    assert_eq!(port.offload_threads(), 0);
}
