//! What becomes of what a worker had whose berth cannot wait any more.

use std::{
    future::{Future, pending, poll_fn},
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::Poll,
    time::Duration,
};

use ostia_port::Class;
use ostia_rt::{
    Handle, JoinError, JoinHandle, Placement,
    fs::File,
    net::{TcpListener, TcpStream},
    sim::{self, Break, Options},
    spawn, spawn_local, time, yield_now,
};

use crate::world::world;

const FIRST: Placement = Placement::Fixed { node: 0, worker: 0 };
const SECOND: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(30);

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let far = spawn(async move { TcpStream::connect(address).await.unwrap() });
    let near = listener.accept().await.unwrap();
    (near, far.await.unwrap())
}

/// A future that was begun here, and goes on wherever it is polled next.
async fn begun<F: Future>(future: F) -> Pin<Box<F>> {
    let mut future = Box::pin(future);
    poll_fn(|cx| {
        assert!(future.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    future
}

/// A task that tells where it ran.
type Placed = JoinHandle<Option<(usize, usize)>>;

/// Tells that it was dropped, and where; what it spawns then is no business of the lost worker.
struct Witness {
    dropped: Arc<AtomicUsize>,
    spawned: Arc<Mutex<Vec<Placed>>>,
}

impl Drop for Witness {
    fn drop(&mut self) {
        assert_eq!(sim::place(), Some((0, 0)), "a local task is dropped by its own thread");
        self.dropped.fetch_add(1, Ordering::Relaxed);
        self.spawned.lock().unwrap().push(spawn(async { sim::place() }));
        assert!(spawn_local(async {}).is_finished(), "it is refused at once");
    }
}

/// Runs a local task on the first worker.
async fn at_first<F: Future<Output = ()> + 'static>(
    handle: &Handle,
    task: impl FnOnce() -> F + Send + 'static,
) -> Result<(), JoinError> {
    let (sender, joined) = mpsc::channel();
    let begins = handle.spawn_at(FIRST, async move {
        assert_eq!(sim::place(), Some((0, 0)));
        sender.send(spawn_local(task())).unwrap();
    });
    begins.await.unwrap();
    joined.recv().unwrap().await
}

type Read = (TcpStream, io::Result<usize>, Vec<u8>);

/// What the first worker has when it is lost.
struct Had {
    reads: Vec<JoinHandle<Read>>,
    sleeps: JoinHandle<Duration>,
    locals: Vec<JoinHandle<()>>,
    queued: Vec<JoinHandle<usize>>,
}

async fn read(stream: TcpStream) -> Read {
    let (result, bytes) = stream.read(Vec::with_capacity(8)).await;
    (stream, result, bytes)
}

/// Runs on the first worker, which is lost then: a local task, so that it stays there.
async fn lose(streams: Vec<TcpStream>, witness: impl Fn() -> Witness, had: mpsc::Sender<Had>, how: Break) {
    let mut reads = Vec::new();
    for stream in streams {
        reads.push(spawn(begun(read(stream)).await));
    }
    let began = time::now();
    let sleep = begun(time::sleep(SECOND)).await;
    let sleeps = spawn(async move {
        sleep.await;
        time::now() - began
    });
    // The worker has waited then, and the kernel has the reads.
    time::sleep(Duration::from_millis(1)).await;
    let locals = (0..10).map(|number| {
        let witness = witness();
        spawn_local(async move {
            let _witness = witness;
            // Some wait, some are in the queue.
            if number % 2 == 0 {
                loop {
                    yield_now().await;
                }
            }
            pending::<()>().await;
        })
    });
    let locals = locals.collect();
    let queued = (0..30).map(|number| {
        spawn(async move {
            for _ in 0..20 {
                yield_now().await;
            }
            number
        })
    });
    let queued = queued.collect();
    had.send(Had { reads, sleeps, locals, queued }).unwrap();
    sim::break_worker(how);
    pending::<()>().await;
}

#[test]
fn what_a_lost_worker_had_goes_on_at_its_sibling() {
    for how in [Break::Waits, Break::All] {
        for seed in 0..50 {
            let mut options = Options::new(seed);
            // What is submitted is in the kernel after a turn.
            options.refuse = 0;
            let mut world = world("1x2", options);
            let handle = world.handle();
            let dropped = Arc::new(AtomicUsize::new(0));
            let spawned = Arc::new(Mutex::new(Vec::new()));
            let counted = Arc::clone(&dropped);
            world
                .run_until(async move {
                    let (near, far) = handle.spawn(pair()).await.unwrap();
                    let (other, _peer) = handle.spawn(pair()).await.unwrap();
                    let (sender, had) = mpsc::channel();
                    let kept = Arc::clone(&spawned);
                    let witness =
                        move || Witness { dropped: Arc::clone(&counted), spawned: Arc::clone(&kept) };
                    let lost = at_first(&handle, move || lose(vec![near, other], witness, sender, how)).await;
                    let lost = lost.unwrap_err();
                    assert!(lost.is_cancelled());
                    let had = had.recv().unwrap();
                    for (number, task) in had.queued.into_iter().enumerate() {
                        assert_eq!(task.await.unwrap(), number);
                    }
                    for task in had.locals {
                        assert!(task.await.unwrap_err().is_cancelled());
                    }
                    assert!(had.sleeps.await.unwrap() >= SECOND);
                    let spawned = std::mem::take(&mut *spawned.lock().unwrap());
                    assert_eq!(spawned.len(), 10);
                    for task in spawned {
                        assert_eq!(task.await.unwrap(), Some((0, 1)));
                    }
                    for task in had.reads {
                        match task.await {
                            Ok((stream, result, buffer)) => {
                                assert_eq!(how, Break::Waits);
                                assert_eq!(Class::of(&result.unwrap_err()), Class::Cancelled);
                                assert_eq!(buffer.capacity(), 8);
                                drop(stream);
                            }
                            Err(error) => {
                                assert_eq!(how, Break::All);
                                assert!(error.is_panic(), "{error}");
                                assert!(error.to_string().contains("has not given it back"), "{error}");
                            }
                        }
                    }
                    drop(far);
                    goes_on(&handle).await;
                })
                .unwrap();
            assert_eq!(dropped.load(Ordering::Relaxed), 10);
            assert_eq!(world.workers(), 1);
            let report = world.shutdown(LONG, LONG);
            assert_eq!(
                (report.cancelled, report.threads_joined, report.pending.len()),
                (0, 2, 0),
                "{report}"
            );
            assert_eq!(report.operations_leaked, if how == Break::All { 2 } else { 0 }, "{report}");
            assert_eq!(report.lost.len(), 1);
            assert_eq!(report.lost[0].place, (0, 0));
            let text = report.to_string();
            assert!(text.contains("worker 0 of node 0 was lost: the simulated berth is broken"), "{text}");
        }
    }
}

/// The second worker does what the first one would.
async fn goes_on(handle: &Handle) {
    let placements = [
        FIRST,
        Placement::Here,
        Placement::RoundRobin,
        Placement::LeastLoaded,
        Placement::Key(1),
        Placement::Node(0),
    ];
    for placement in placements.into_iter().chain((0..10).map(Placement::Key)) {
        let place = handle.spawn_at(placement, async { spawn_local(async { sim::place() }).await.unwrap() });
        assert_eq!(place.await.unwrap(), Some((0, 1)), "{placement:?}");
    }
    let echoed = handle.spawn(async {
        let (near, far) = pair().await;
        far.write_all(b"abc".to_vec()).await.0.unwrap();
        near.read_exact(Vec::with_capacity(3), 3).await.1
    });
    assert_eq!(echoed.await.unwrap(), b"abc");
}

#[test]
fn a_listener_goes_on_accepting_after_its_worker_was_lost() {
    for seed in 0..20 {
        let mut world = world("1x2", Options::new(seed));
        let handle = world.handle();
        let accepted = world.run_until(async move {
            let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let address = listener.local_addr().unwrap();
            let (sender, begun_there) = mpsc::channel();
            let lost = at_first(&handle, || async move {
                let accept = begun(async move { listener.accept().await.map(drop) }).await;
                sender.send(spawn(accept)).unwrap();
                time::sleep(Duration::from_millis(1)).await;
                sim::break_worker(Break::Waits);
                pending::<()>().await;
            });
            assert!(lost.await.unwrap_err().is_cancelled());
            let accept = begun_there.recv().unwrap();
            let client = handle.spawn(async move { TcpStream::connect(address).await.map(drop) });
            client.await.unwrap().unwrap();
            accept.await.unwrap()
        });
        accepted.unwrap().unwrap();
    }
}

#[test]
fn a_runtime_that_has_lost_its_last_worker_is_over_and_says_why() {
    for how in [Break::Waits, Break::All] {
        for seed in 0..50 {
            let mut world = world("1x2", Options::new(seed));
            let handle = world.handle();
            let witness = Arc::new(());
            let kept = Arc::clone(&witness);
            world
                .run_until(async move {
                    let (near, _far) = handle.spawn(pair()).await.unwrap();
                    let tasks: Vec<_> = (0..20)
                        .map(|number| {
                            let kept = Arc::clone(&kept);
                            handle.spawn_at(Placement::RoundRobin, async move {
                                let _kept = Arc::clone(&kept);
                                let local = spawn_local(async move {
                                    let _kept = kept;
                                    pending::<()>().await;
                                });
                                if number % 3 == 0 {
                                    loop {
                                        yield_now().await;
                                    }
                                }
                                time::sleep(LONG * if number % 3 == 1 { 1 } else { 1000 }).await;
                                local.await
                            })
                        })
                        .collect();
                    // This one is awaited outside of the runtime.
                    let mut read = begun(near.read(Vec::with_capacity(8))).await;
                    for worker in 0..2 {
                        let fixed = Placement::Fixed { node: 0, worker };
                        let breaks = handle.spawn_at(fixed, async move {
                            drop(spawn_local(async move { sim::break_worker(how) }));
                        });
                        let _ = breaks.await;
                    }
                    for task in tasks {
                        assert!(task.await.unwrap_err().is_cancelled());
                    }
                    if how == Break::Waits {
                        assert!(read.as_mut().await.0.is_err());
                    }
                    drop(read);
                    assert!(handle.spawn(async {}).is_finished(), "it takes no task any more");
                    assert!(handle.spawn_at(FIRST, async {}).await.unwrap_err().is_cancelled());
                    let error = near.write_all(b"abc".to_vec()).await.0.unwrap_err();
                    assert_eq!(error.kind(), io::ErrorKind::NotConnected);
                })
                .unwrap();
            assert_eq!(Arc::strong_count(&witness), 1);
            assert_eq!(world.workers(), 0);
            let report = world.shutdown(LONG, LONG);
            assert_eq!((report.threads_joined, report.pending.len()), (2, 0), "{report}");
            assert_eq!(report.lost.len(), 2, "{report}");
        }
    }
}

#[test]
fn a_node_that_has_lost_its_last_worker_refuses_and_others_go_on() {
    let mut world = world("2x1", Options::new(1));
    let handle = world.handle();
    world
        .run_until(async move {
            let waits = handle.spawn_on(0, pending::<()>());
            let elsewhere = handle.spawn_on(1, time::sleep(SECOND));
            let breaks = handle.spawn_on(0, async { sim::break_worker(Break::Waits) });
            let _ = breaks.await;
            assert!(waits.await.unwrap_err().is_cancelled());
            elsewhere.await.unwrap();
            assert!(handle.spawn_on(0, async {}).await.unwrap_err().is_cancelled());
            assert!(handle.spawn_at(FIRST, async {}).await.unwrap_err().is_cancelled());
            for _ in 0..10 {
                for placement in [Placement::Here, Placement::RoundRobin, Placement::LeastLoaded] {
                    assert_eq!(
                        handle.spawn_at(placement, async { sim::place() }).await.unwrap(),
                        Some((1, 0))
                    );
                }
            }
        })
        .unwrap();
    let report = world.shutdown(LONG, LONG);
    assert_eq!((report.lost.len(), report.threads_joined, report.pending.len()), (1, 2, 0), "{report}");
}

#[test]
fn a_write_to_a_file_that_is_lost_is_its_own_tasks_end_and_no_other_writers() {
    let mut lost_writes = 0;
    for seed in 0..20 {
        let mut options = Options::new(seed);
        options.refuse = 0;
        let mut world = world("1x2", options);
        let handle = world.handle();
        let lost = world.run_until(async move {
            let (sender, had) = mpsc::channel();
            let ended = at_first(&handle, move || async move {
                let file = Arc::new(File::create("lost").await.unwrap());
                let other = Arc::clone(&file);
                let write = begun(async move { other.write_at(vec![7; 4096], 0).await.0 }).await;
                sender.send((file, spawn(write))).unwrap();
                // Now the kernel has it already, and now it has ended, too.
                time::sleep(Duration::from_nanos(1 << seed)).await;
                sim::break_worker(Break::All);
                pending::<()>().await;
            });
            assert!(ended.await.unwrap_err().is_cancelled());
            let (file, write) = had.recv().unwrap();
            let lost = write.await.is_err();
            // Whoever writes next does not wait for what never ends.
            let next = handle.spawn(async move { file.write_at(vec![8; 10], 0).await.0 });
            assert_eq!(next.await.expect("it does not panic").expect("it is written"), 10);
            lost
        });
        lost_writes += usize::from(lost.unwrap());
    }
    assert!(lost_writes > 0, "in no run was one under way");
}

#[test]
fn what_a_lost_worker_left_behind_is_an_error_to_who_is_owed_no_buffer() {
    let mut options = Options::new(3);
    options.refuse = 0;
    let mut world = world("1x2", options);
    let handle = world.handle();
    world
        .run_until(async move {
            let listener = Arc::new(TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap());
            let (near, _far) = handle.spawn(pair()).await.unwrap();
            let near = Arc::new(near);
            let (accepts, reads) = (Arc::clone(&listener), Arc::clone(&near));
            let ended = at_first(&handle, move || async move {
                let accept = begun(async move { drop(accepts.accept().await) }).await;
                let read = begun(async move { drop(reads.read(Vec::with_capacity(8)).await) }).await;
                // The worker has waited then, and the kernel has both.
                time::sleep(Duration::from_millis(1)).await;
                drop((accept, read));
                sim::break_worker(Break::All);
                pending::<()>().await;
            });
            assert!(ended.await.unwrap_err().is_cancelled());
            let listener = Arc::into_inner(listener).expect("nobody accepts any more");
            let closed = handle.spawn(async move { listener.close().await }).await;
            closed.expect("it does not panic").expect_err("its accept is lost");
            let reads = Arc::clone(&near);
            let read = handle.spawn(async move { reads.read(Vec::with_capacity(8)).await.0 });
            read.await.expect("it does not panic").expect_err("the dropped one is lost");
        })
        .unwrap();
}
