//! What tasks cost here: CPU time of each step, one worker. `cargo run -p ostia-rt --release --example costs`

use std::{error::Error, future::Future, time::Duration};

use ostia_rt::{Runtime, spawn, yield_now};

const ROUNDS: u32 = 200_000;

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Runtime::builder().workers_per_node(1).build()?;
    println!("{} worker, {}", runtime.handle().workers(0), runtime.backend());
    let row = |what: &str, took: Duration, count: u32| {
        println!("{what:32}{:8.1} ns", took.as_secs_f64() * 1e9 / f64::from(count))
    };

    let took = measure(&runtime, async {
        for number in 0..ROUNDS {
            let task = spawn(async move { number });
            assert_eq!(task.await.ok(), Some(number));
        }
    })?;
    row("spawn and await one", took, ROUNDS);

    let took = measure(&runtime, async {
        for _ in 0..ROUNDS / 1000 {
            let tasks: Vec<_> = (0..1000).map(|number| spawn(async move { number })).collect();
            for task in tasks {
                drop(task.await);
            }
        }
    })?;
    row("spawn 1000, then await", took, ROUNDS);

    let took = measure(&runtime, async {
        for _ in 0..ROUNDS {
            yield_now().await;
        }
    })?;
    row("a lone task that wakes itself", took, ROUNDS);

    let took = measure(&runtime, async {
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                spawn(async {
                    for _ in 0..ROUNDS / 100 {
                        yield_now().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            drop(task.await);
        }
    })?;
    row("yield, 100 tasks", took, ROUNDS);
    Ok(())
}

/// What it takes of the worker's time.
fn measure<F>(runtime: &Runtime, future: F) -> Result<Duration, Box<dyn Error>>
where
    F: Future<Output = ()> + Send + 'static,
{
    let task = runtime.spawn(async {
        let began = now();
        future.await;
        now().saturating_sub(began)
    });
    Ok(runtime.block_on(task)?)
}

/// The time the thread has had on a CPU, where the system tells it in a file; elsewhere the time of day.
fn now() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|text| text.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| std::time::UNIX_EPOCH.elapsed().unwrap_or_default(), Duration::from_nanos)
}
