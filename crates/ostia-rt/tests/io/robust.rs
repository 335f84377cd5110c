//! What tasks, wakers and callers may do to a runtime without harm.

use std::{
    future::{Future, pending, poll_fn},
    io,
    net::SocketAddr,
    panic::Location,
    pin::pin,
    rc::Rc,
    sync::{Arc, mpsc},
    task::{Context, Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use ostia_rt::{
    JoinHandle, Placement, Runtime,
    fs::File,
    net::{TcpListener, TcpStream},
    pool::Pool,
    spawn, spawn_local, time, yield_now,
};

use crate::common::{self, pair, within};

const LONG: Duration = Duration::from_secs(30);

fn runtime(workers: usize) -> Runtime {
    Runtime::builder().workers_per_node(workers).build().expect("a runtime starts")
}

/// Polls it once, with that waker.
fn poll_with<F: Future>(future: std::pin::Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

#[test]
fn tasks_longer_than_a_slice_let_the_local_ones_run_too() {
    within("local tasks", Location::caller(), || {
        let runtime = runtime(1);
        let task = runtime.spawn(async {
            let local = spawn_local(async {
                for _ in 0..200 {
                    yield_now().await;
                }
            });
            let long = spawn(async {
                loop {
                    let began = Instant::now();
                    while began.elapsed() < Duration::from_millis(1) {
                        std::hint::spin_loop();
                    }
                    yield_now().await;
                }
            });
            local.await.unwrap();
            long.abort();
        });
        runtime.block_on(task).unwrap();
    });
}

#[test]
fn a_deadline_that_never_comes_is_one_too() {
    within("a shutdown", Location::caller(), || {
        let runtime = runtime(1);
        let task = runtime.spawn(async { yield_now().await });
        let report = runtime.shutdown(Duration::MAX, Duration::MAX);
        assert_eq!((report.cancelled, report.threads_joined), (0, 1));
        assert!(task.is_finished());
    });
}

#[test]
fn what_waits_is_cancelled_although_its_worker_is_busy() {
    within("a shutdown", Location::caller(), || {
        let runtime = runtime(2);
        let handle = runtime.handle();
        let fixed = Placement::Fixed { node: 0, worker: 0 };
        let (polled, is_polled) = mpsc::channel();
        let waits = handle.spawn_at(fixed, async move {
            let _local = spawn(pending::<()>());
            polled.send(()).unwrap();
            pending::<()>().await;
        });
        is_polled.recv().unwrap();
        let (release, is_released) = mpsc::channel::<()>();
        let (begun, has_begun) = mpsc::channel();
        let busy = handle.spawn(async move {
            begun.send(()).unwrap();
            let _ = is_released.recv();
        });
        has_begun.recv().unwrap();
        let shutdown = thread::spawn(move || runtime.shutdown(Duration::ZERO, Duration::from_millis(300)));
        let report = shutdown.join().unwrap();
        assert_eq!(report.pending.len(), 1, "{report}");
        assert!(waits.is_finished() && !busy.is_finished());
        drop(release);
    });
}

#[test]
fn a_waker_that_panics_does_not_take_a_worker_down() {
    struct Bad;
    impl Wake for Bad {
        fn wake(self: Arc<Self>) {
            panic!("a waker that panics");
        }
    }
    within("wakers", Location::caller(), || {
        let runtime = runtime(1);
        let bad = Waker::from(Arc::new(Bad));
        let task = runtime.spawn(async move {
            // By a timer, by a packet, and from the list of a batch that has others, too.
            let mut timer = Box::pin(time::sleep(Duration::from_millis(5)));
            assert!(poll_with(timer.as_mut(), &bad).is_pending());
            time::sleep(Duration::from_millis(20)).await;
            let (near, far) = pair().await;
            let mut read = Box::pin(near.read(Vec::with_capacity(8)));
            assert!(poll_with(read.as_mut(), &bad).is_pending());
            far.write_all(b"abc".to_vec()).await.0.unwrap();
            time::sleep(Duration::from_millis(20)).await;
            let (read, bytes) = read.await;
            assert_eq!((read.unwrap(), bytes), (3, b"abc".to_vec()));
        });
        runtime.block_on(task).unwrap();
        let report = runtime.shutdown(LONG, LONG);
        assert_eq!((report.threads_joined, report.threads_left), (1, 0), "{report}");
    });
}

#[test]
fn a_dropped_operation_forgets_its_waker() {
    struct Quiet;
    impl Wake for Quiet {
        fn wake(self: Arc<Self>) {}
    }
    within("a waker", Location::caller(), || {
        let runtime = runtime(1);
        let witness = Arc::new(Quiet);
        let waker = Waker::from(Arc::clone(&witness));
        let task = runtime.spawn(async move {
            let (near, _far) = pair().await;
            {
                let mut read = pin!(near.read(Vec::with_capacity(8)));
                assert!(poll_with(read.as_mut(), &waker).is_pending());
            }
            drop(waker);
        });
        runtime.block_on(task).unwrap();
        runtime.shutdown(LONG, LONG);
        assert_eq!(Arc::strong_count(&witness), 1, "nobody can be woken by it any more");
    });
}

#[test]
fn who_waits_for_room_is_woken_when_an_operation_was_given_up() {
    for workers in [1, 2] {
        within("room", Location::caller(), move || {
            let builder = Runtime::builder().workers_per_node(workers).ops_max(2);
            let runtime = builder.build().expect("a runtime starts");
            let task = runtime.spawn(async {
                // Connected to one who never accepts: an accept that is given up may keep its place for a while.
                let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
                let address = listener.local_addr().unwrap();
                let near = TcpStream::connect(address).await.unwrap();
                let other = TcpStream::connect(address).await.unwrap();
                let far = TcpStream::connect(address).await.unwrap();
                let write = {
                    let mut first = pin!(near.read(Vec::with_capacity(8)));
                    let mut second = pin!(other.read(Vec::with_capacity(8)));
                    poll_fn(|cx| {
                        assert!(first.as_mut().poll(cx).is_pending());
                        assert!(second.as_mut().poll(cx).is_pending());
                        Poll::Ready(())
                    })
                    .await;
                    let write = spawn_local(async move {
                        far.write_all(b"abc".to_vec()).await.0.unwrap();
                        far
                    });
                    for _ in 0..10 {
                        yield_now().await;
                    }
                    assert!(!write.is_finished(), "as many as may be are under way");
                    write
                };
                drop((near, other));
                drop(write.await.unwrap());
            });
            runtime.block_on(task).unwrap();
        });
    }
}

#[test]
fn an_operation_on_a_runtime_that_one_of_its_tasks_has_dropped_is_refused() {
    within("a stream", Location::caller(), || {
        let first = runtime(1);
        let (near, _far) = first.block_on(first.spawn(pair())).unwrap();
        let handle = first.handle();
        let _ = handle.block_on(handle.spawn(async move { drop(first) }));
        let (read, _) = handle.block_on(near.read(Vec::with_capacity(8)));
        assert!(read.is_err());
    });
}

#[test]
fn who_begins_more_operations_outside_than_may_be_posted_waits_for_room() {
    // More than a port holds.
    const READS: usize = 16_384 + 1000;
    within("posts", Location::caller(), || {
        let runtime = runtime(1);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"a").unwrap();
        let file = runtime.block_on(File::open(path)).unwrap();
        // The only worker takes no post meanwhile.
        let (release, is_released) = mpsc::channel::<()>();
        let (begun, has_begun) = mpsc::channel();
        let holds = runtime.spawn(async move {
            begun.send(()).unwrap();
            let _ = is_released.recv();
        });
        has_begun.recv().unwrap();
        let mut release = Some(release);
        runtime.block_on(async {
            let read = || file.read_at(Vec::with_capacity(1), 0);
            let mut reads: Vec<_> = (0..READS).map(|_| Some(Box::pin(read()))).collect();
            poll_fn(|cx| {
                for place in &mut reads {
                    if let Some(read) = place
                        && let Poll::Ready((result, bytes)) = read.as_mut().poll(cx)
                    {
                        assert_eq!((result.unwrap(), bytes), (1, b"a".to_vec()));
                        assert!(release.is_none(), "the worker does something else");
                        *place = None;
                    }
                }
                release = None;
                if reads.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        });
        runtime.block_on(holds).unwrap();
    });
}

#[test]
fn who_awaits_an_operation_outside_of_a_runtime_that_ends_is_told() {
    for workers in [1, 2] {
        within("a stream", Location::caller(), move || {
            let runtime = runtime(workers);
            let handle = runtime.handle();
            let (near, far) = runtime.block_on(runtime.spawn(pair())).unwrap();
            let (begun, has_begun) = mpsc::channel();
            let waits = thread::spawn(move || {
                handle.block_on(async {
                    let mut read = pin!(near.read(Vec::with_capacity(8)));
                    poll_fn(|cx| {
                        let polled = read.as_mut().poll(cx);
                        let _ = begun.send(());
                        polled
                    })
                    .await
                })
            });
            // Posted; and polled again, because a worker has begun it.
            for _ in 0..2 {
                has_begun.recv().unwrap();
            }
            let report = runtime.shutdown(Duration::ZERO, LONG);
            assert_eq!((report.threads_joined, report.operations_leaked), (workers, 0), "{report}");
            let (read, buffer) = waits.join().unwrap();
            assert!(read.is_err());
            assert_eq!(buffer.capacity(), 8);
            drop(far);
        });
    }
}

#[test]
fn a_local_future_whose_thread_is_gone_is_dropped_by_no_other_thread() {
    struct Witness(mpsc::Sender<thread::ThreadId>);
    impl Drop for Witness {
        fn drop(&mut self) {
            let _ = self.0.send(thread::current().id());
        }
    }
    within("a local task", Location::caller(), || {
        let runtime = runtime(1);
        let (sender, receiver) = mpsc::channel();
        let (release, is_released) = mpsc::channel::<()>();
        let (begun, has_begun) = mpsc::channel();
        let task = runtime.spawn(async move {
            let held = Witness(sender);
            let local = spawn_local(async move {
                let _both = (held, Rc::new(()));
                pending::<()>().await;
            });
            yield_now().await;
            yield_now().await;
            begun.send((thread::current().id(), local.abort_handle())).unwrap();
            let _ = is_released.recv();
        });
        let (worker, abort) = has_begun.recv().unwrap();
        let (end, may_end) = mpsc::channel::<()>();
        let ends = thread::spawn(move || {
            thread::sleep(Duration::from_millis(100));
            drop(release);
            let _ = may_end.recv();
        });
        let report = runtime.shutdown(Duration::ZERO, Duration::from_millis(20));
        assert_eq!(report.threads_left, 0, "{report}");
        drop(task);
        // The next thread may lie where the worker's lay.
        thread::spawn(move || drop(abort)).join().unwrap();
        drop(end);
        ends.join().unwrap();
        while let Ok(dropped_by) = receiver.try_recv() {
            assert_eq!(dropped_by, worker);
        }
    });
}

#[test]
fn a_server_within_its_budget_of_buffers_serves_more_connections_than_it_has_buffers() {
    const BUDGET: usize = 64 << 10;
    const SIZE: usize = 16 << 10;
    const CONNECTIONS: usize = 40;
    for &backend in common::backends() {
        within(&format!("a budget on {backend}"), Location::caller(), move || {
            // None, and a line that says so, where there is no such back end.
            if common::runtime(backend, 1).is_none() {
                return;
            }
            let runtime = Runtime::builder()
                .backend(backend)
                .nodes("0")
                .and_then(|builder| builder.workers_per_node(2).buffers_max(BUDGET).build())
                .expect("a runtime starts");
            let pool = runtime.handle().buffers(0);
            assert_eq!(pool.usage().budget_bytes, BUDGET);
            let task = runtime.spawn(async move {
                let listener = TcpListener::bind(common::loopback()).unwrap();
                let address = listener.local_addr().unwrap();
                // All of it is out: one more is refused, or waits, and one that never can be is an error.
                let mut out = Vec::new();
                for _ in 0..BUDGET / SIZE {
                    out.push(pool.take(SIZE).await.unwrap());
                }
                assert!(pool.try_take(1).unwrap().is_none());
                let error = pool.take(BUDGET + 1).await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
                let mut accepted = Vec::new();
                for _ in 0..CONNECTIONS {
                    accepted.push(connect_and_be_served(&listener, address, &pool).await);
                }
                while pool.usage().waiting < CONNECTIONS {
                    yield_now().await;
                }
                assert_eq!(pool.usage().out_bytes, BUDGET);
                drop(out);
                for (server, client) in accepted {
                    server.await.unwrap();
                    client.await.unwrap();
                }
                let usage = pool.usage();
                assert_eq!((usage.out, usage.waiting), (0, 0), "{usage:?}");
                assert_eq!(usage.high_water_bytes, BUDGET, "{usage:?}");
                assert!(usage.kept_bytes <= BUDGET && usage.waits >= CONNECTIONS as u64, "{usage:?}");
            });
            runtime.block_on(task).unwrap();
        });
    }

    /// A client that says its number of bytes, and a server that echoes them out of a buffer of the pool.
    async fn connect_and_be_served(
        listener: &TcpListener,
        address: SocketAddr,
        pool: &Pool,
    ) -> (JoinHandle<()>, JoinHandle<()>) {
        let connecting = spawn(TcpStream::connect(address));
        let near = listener.accept().await.unwrap();
        let far = connecting.await.unwrap().unwrap();
        let pool = pool.clone();
        let server = spawn(async move {
            let buffer = pool.take(SIZE).await.unwrap();
            let (read, bytes) = near.read_exact(buffer, 1000).await;
            read.unwrap();
            near.write_all(bytes).await.0.unwrap();
        });
        let client = spawn(async move {
            far.write_all(vec![b'x'; 1000]).await.0.unwrap();
            let (read, bytes) = far.read_exact(Vec::with_capacity(1000), 1000).await;
            read.unwrap();
            assert_eq!(bytes, vec![b'x'; 1000]);
        });
        (server, client)
    }
}
