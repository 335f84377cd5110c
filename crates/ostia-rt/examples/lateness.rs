//! How late do sleeps end? `cargo run -p ostia-rt --release --example lateness`, on a machine that does nothing else.
//!
//! For each back end: sleeps of many lengths on one worker, one after the other, and the percentiles of how much later
//! than asked for they ended. None may be early.

#![expect(clippy::print_stdout, reason = "an example prints what it found")]

use std::{io, time::Duration};

use ostia_rt::{
    Backend, Runtime,
    time::{now, sleep_until},
};

const SLEEPS: u32 = 2000;

fn main() -> io::Result<()> {
    println!("| back end | sleeps | median us | 90 % | 99 % | 99.9 % | latest |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    let backends: &[Backend] =
        if cfg!(windows) { &[Backend::Iocp] } else { &[Backend::Uring, Backend::Epoll] };
    for &backend in backends {
        let runtime = match Runtime::builder().workers_per_node(1).backend(backend).build() {
            Ok(runtime) => runtime,
            Err(error) => {
                println!("{backend} is not to be had: {error}");
                continue;
            }
        };
        let task = runtime.spawn(async {
            let mut late = Vec::new();
            for i in 0..SLEEPS {
                // From 50 us to 2 ms, in no order.
                let deadline = now() + Duration::from_micros(u64::from(50 + i * 7919 % 1950));
                sleep_until(deadline).await;
                late.push(now().checked_duration_since(deadline).expect("a sleep is never early"));
            }
            late.sort();
            late
        });
        let late = runtime.block_on(task).map_err(io::Error::other)?;
        let at = |part: f64| late[(part * (late.len() - 1) as f64) as usize].as_nanos() as f64 / 1000.0;
        println!(
            "| {backend} | {} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} |",
            late.len(),
            at(0.5),
            at(0.9),
            at(0.99),
            at(0.999),
            at(1.0)
        );
    }
    Ok(())
}
