//! What a runtime tells of itself.

use std::{
    future::pending,
    sync::mpsc,
    time::{Duration, Instant},
};

use ostia_rt::{Backend, Runtime, spawn, time::sleep, yield_now};

const LONG: Duration = Duration::from_secs(60);

#[test]
fn counters_tell_what_workers_did() {
    let runtime = Runtime::builder().workers_per_node(2).build().unwrap();
    let before = runtime.handle().metrics();
    let task = runtime.spawn(async {
        let tasks: Vec<_> = (0..10)
            .map(|_| {
                spawn(async {
                    for _ in 0..100 {
                        yield_now().await;
                    }
                    sleep(Duration::from_millis(1)).await;
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    runtime.block_on(task).unwrap();
    let did = runtime.handle().metrics().since(&before);
    let total = did.total();
    assert!(total.polls >= 10 * 102, "{did}");
    assert!(total.turns >= 2 && total.parks >= 1, "{did}");
    assert_eq!(total.expired, 10, "{did}");
    assert!(did.to_json().contains("\"expired\":"), "{did}");
}

#[test]
fn gauges_tell_what_there_is() {
    let runtime = Runtime::builder().workers_per_node(1).nodes("0").unwrap().build().unwrap();
    let (sender, receiver) = mpsc::channel();
    let tasks: Vec<_> = (0..3)
        .map(|i| {
            let sender = sender.clone();
            runtime.spawn(async move {
                let handle = ostia_rt::Handle::current();
                let buffer = handle.buffers(0).take(5000).await.unwrap();
                let _permit = handle.limiter(0).acquire().await;
                sender.send(()).unwrap();
                if i == 0 {
                    pending::<()>().await;
                }
                sleep(LONG * 60).await;
                drop(buffer);
            })
        })
        .collect();
    for _ in &tasks {
        receiver.recv().unwrap();
    }
    // The last one has told before it went to sleep: one more task comes after that.
    runtime.block_on(runtime.spawn(async {})).unwrap();
    let node = &runtime.handle().metrics().nodes[0];
    assert_eq!((node.timers, node.buffers.out, node.buffers.out_bytes), (2, 3, 3 * 8192));
    assert!(node.tasks >= 3, "{node:?}");
    assert_eq!((node.permits.in_use, node.permits.limit), (3, 1024));
    assert_eq!((node.queued, node.in_flight), (0, 0));
    for task in &tasks {
        task.abort();
    }
    runtime.block_on(async {
        for task in tasks {
            assert!(task.await.is_err_and(|error| error.is_cancelled()));
        }
    });
    let node = &runtime.handle().metrics().nodes[0];
    assert_eq!((node.timers, node.buffers.out, node.buffers.kept, node.permits.in_use), (0, 0, 3, 0));
}

#[test]
fn an_idle_runtime_gives_buffers_up() {
    // Its clock goes on to what the worker waits for: here, to the time at which it looks at the buffers.
    let runtime = Runtime::builder().workers_per_node(1).backend(Backend::Sim).build().unwrap();
    let buffers = runtime.handle().buffers(0);
    let taken = buffers.clone();
    let task = runtime
        .spawn(async move { drop([taken.take(1).await.unwrap(), taken.take(100_000).await.unwrap()]) });
    runtime.block_on(task).unwrap();
    let began = Instant::now();
    while buffers.usage().kept > 0 {
        assert!(began.elapsed() < LONG, "{:?}", buffers.usage());
        std::thread::yield_now();
    }
    assert_eq!(buffers.usage().trims, 2);
}
