//! What a simulated runtime does, one thing at a time.

use std::{
    collections::BTreeSet,
    future::pending,
    ops::ControlFlow,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use ostia_os::topology::Topology;
use ostia_rt::{
    Pieces, Runtime, Slice, compute_pieces, offload,
    sim::{self, Options, World},
    spawn, spawn_local, time, yield_now,
};

pub(crate) fn world(shape: &str, options: Options) -> World {
    let topology = Topology::synthetic(shape).expect("a shape");
    Runtime::builder().topology(topology).sim(options).world().expect("a simulation opens")
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_night_passes_at_once_and_ends_in_order() {
    let mut world = world("2x2", Options::new(1));
    let handle = world.handle();
    let order = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&order);
    let begin = world.kernel().now();
    world
        .run_until(async move {
            let tasks: Vec<_> = (0..8u32)
                .map(|number| {
                    let order = Arc::clone(&kept);
                    handle.spawn_on(number as usize % 2, async move {
                        time::sleep(HOUR * (8 - number)).await;
                        order.lock().unwrap().push(number);
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        })
        .unwrap();
    assert_eq!(*order.lock().unwrap(), [7, 6, 5, 4, 3, 2, 1, 0]);
    assert!((8 * HOUR..9 * HOUR).contains(&(world.kernel().now() - begin)));
    let report = world.shutdown(HOUR, HOUR);
    assert_eq!((report.cancelled, report.threads_joined, report.threads_left), (0, 4, 0), "{report}");
}

#[test]
fn who_waits_for_nothing_is_named() {
    let mut world = world("1x2", Options::new(2));
    let handle = world.handle();
    let stuck = world
        .run_until(async move {
            handle.spawn_named("the one that waits", pending::<()>()).await.unwrap();
        })
        .unwrap_err();
    let text = stuck.to_string();
    assert!(text.contains("the one that waits (node 0"), "{text}");
    assert_eq!(stuck.pending().len(), 1);
    let report = world.shutdown(HOUR, 2 * HOUR);
    assert_eq!((report.cancelled, report.pending.len()), (1, 0), "{report}");
}

#[test]
fn what_takes_too_long_at_the_end_is_named() {
    let mut world = world("1x1", Options::new(3));
    let handle = world.handle();
    drop(handle.spawn_named("never", async {
        struct Stubborn;
        impl Drop for Stubborn {
            fn drop(&mut self) {
                sim::burn(2 * HOUR);
            }
        }
        let _stubborn = Stubborn;
        pending::<()>().await;
    }));
    world.run_for(HOUR).unwrap();
    let begin = world.kernel().now();
    let kernel = world.kernel().clone();
    let report = world.shutdown(HOUR, HOUR);
    assert_eq!((report.cancelled, report.pending.len()), (1, 1), "{report}");
    assert!(kernel.now() - begin >= HOUR);
}

#[test]
fn work_is_stolen_inside_a_node_and_never_between_nodes() {
    let mut world = world("2x4", Options::new(4));
    let handle = world.handle();
    let places = world
        .run_until(async move {
            let tasks = handle.spawn_on(1, async {
                let tasks: Vec<_> = (0..400)
                    .map(|_| {
                        spawn(async {
                            sim::burn(Duration::from_millis(1));
                            yield_now().await;
                            sim::place().expect("a task runs on a worker")
                        })
                    })
                    .collect();
                let mut places = Vec::new();
                for task in tasks {
                    places.push(task.await.unwrap());
                }
                places
            });
            tasks.await.unwrap()
        })
        .unwrap();
    assert!(places.iter().all(|(node, _)| *node == 1));
    let mut workers: Vec<usize> = places.into_iter().map(|(_, worker)| worker).collect();
    workers.sort_unstable();
    workers.dedup();
    assert_eq!(workers, [0, 1, 2, 3]);
}

#[test]
fn a_local_task_stays_with_its_worker() {
    let mut world = world("1x4", Options::new(5));
    let handle = world.handle();
    let moved = world.run_until(async move {
        let moved = handle.spawn(async {
            let home = sim::place();
            let moved = Arc::new(AtomicUsize::new(0));
            let tasks: Vec<_> = (0..20)
                .map(|number| {
                    let moved = Arc::clone(&moved);
                    spawn_local(async move {
                        for _ in 0..20 {
                            time::sleep(Duration::from_micros(number)).await;
                            moved.fetch_add(usize::from(sim::place() != home), Ordering::Relaxed);
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            moved.load(Ordering::Relaxed)
        });
        moved.await.unwrap()
    });
    assert_eq!(moved.unwrap(), 0);
}

#[test]
fn a_computation_gives_way_when_its_slice_is_over_by_the_simulated_clock() {
    let mut world = world("1x1", Options::new(6));
    let handle = world.handle();
    let calls = world.run_until(async move {
        let mut left = 100;
        let mut calls = 0;
        let work = handle.spawn(ostia_rt::compute(move |slice| {
            calls += usize::from(!slice.is_over());
            while !slice.is_over() {
                sim::burn(Duration::from_micros(50));
                left -= 1;
                if left == 0 {
                    return ControlFlow::Break(calls);
                }
            }
            ControlFlow::Continue(())
        }));
        work.await.unwrap()
    });
    // 100 times 50 us are 10 slices of 500 us.
    assert!((10..=11).contains(&calls.unwrap()));
}

#[test]
fn whoever_looks_at_the_clock_works_as_long_as_a_look_takes() {
    let mut options = Options::new(7);
    options.look = Duration::from_micros(100);
    let mut world = world("1x1", options);
    let handle = world.handle();
    let looks = world.run_until(async move {
        let work = handle.spawn(ostia_rt::compute(move |slice| {
            let looks = (0..).take_while(|_| !slice.is_over()).count();
            ControlFlow::Break(looks)
        }));
        work.await.unwrap()
    });
    // A slice is 500 us, of which the worker itself has looked at a few.
    assert!((1..5).contains(&looks.unwrap()));
}

#[test]
fn where_no_thread_can_be_had_a_job_is_refused_until_the_kernel_is_healed() {
    let mut options = Options::new(8);
    options.no_thread = 1000;
    let mut world = world("1x1", options);
    let handle = world.handle();
    let kernel = world.kernel().clone();
    let (first, second) = world
        .run_until(async move {
            let task = handle.spawn(async move {
                let first = offload(|| 1).await;
                kernel.heal();
                (first, offload(|| 2).await)
            });
            task.await.unwrap()
        })
        .unwrap();
    let panic = first.unwrap_err().into_panic().expect("it counts as a panic");
    assert!(panic.downcast_ref::<String>().unwrap().contains("no thread could be had"));
    assert_eq!(second.unwrap(), 2);
}

/// Pieces that take a slice each, and where they were done.
struct Long {
    left: AtomicUsize,
    places: Mutex<BTreeSet<(usize, usize)>>,
}

impl Pieces for Long {
    fn some(&self, slice: &Slice) -> bool {
        self.places.lock().unwrap().extend(sim::place());
        while !slice.is_over() {
            sim::burn(Duration::from_micros(50));
        }
        self.left.fetch_sub(1, Ordering::Relaxed) > 1
    }
}

#[test]
fn who_finds_no_place_at_work_in_pieces_sleeps() {
    for seed in 0..20 {
        let mut world = world("1x4", Options::new(seed));
        let handle = world.handle();
        let mut run = |workers| {
            let before = world.handle().metrics();
            let work = Arc::new(Long { left: AtomicUsize::new(200), places: Mutex::default() });
            let pieces = compute_pieces(Arc::clone(&work)).at_most(workers);
            let task = handle.spawn(pieces);
            world.run_until(task).unwrap().unwrap();
            let turns = world.handle().metrics().since(&before).total().turns;
            (work.places.lock().unwrap().len(), turns)
        };
        let (places, turns) = run(1);
        assert_eq!(places, 1, "seed {seed}");
        assert!(turns < 250, "seed {seed}: {turns} turns for 200 pieces of one worker");
        // Of four all have a place, at some time.
        let (places, _) = run(4);
        assert_eq!(places, 4, "seed {seed}");
    }
}
