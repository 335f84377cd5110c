//! How long a request waits for a worker that computes: round trips of a blocking client to an echo that begins on
//! worker 0, while that worker is idle, and while it computes in slices; with the echo tied to it, and free to be taken
//! by the other worker. `cargo run -p ostia-rt --release --example busy`

use std::{
    error::Error,
    io::{Read, Write},
    net::SocketAddr,
    ops::ControlFlow,
    time::{Duration, Instant},
};

use ostia_rt::{
    AbortHandle, Handle, Placement, Runtime, Slice, compute,
    net::{TcpListener, TcpStream},
    spawn, spawn_local,
};

const ROUND_TRIPS: usize = 500;
const FIRST: Placement = Placement::Fixed { node: 0, worker: 0 };

fn main() -> Result<(), Box<dyn Error>> {
    println!("{:34}{:>10}{:>10}{:>10}", "round trips, us", "p50", "p90", "p99");
    for (what, computes, is_tied) in [
        ("idle, tied to the worker", false, true),
        ("idle, free", false, false),
        ("worker computes, tied to it", true, true),
        ("worker computes, free", true, false),
    ] {
        let runtime = Runtime::builder().workers_per_node(2).build()?;
        let address = serve(&runtime, is_tied)?;
        let work = computes.then(|| keep_busy(&runtime.handle()));
        let mut times = measure(address)?;
        if let Some(work) = work {
            work.abort();
        }
        times.sort_unstable();
        let at = |part: usize| times[times.len() * part / 100].as_secs_f64() * 1e6;
        println!("{what:34}{:10.0}{:10.0}{:10.0}", at(50), at(90), at(99));
    }
    Ok(())
}

/// Worker 0 computes for ever, a slice at a time.
fn keep_busy(handle: &Handle) -> AbortHandle {
    let work = compute(|slice: &Slice| -> ControlFlow<()> {
        while !slice.is_over() {
            std::hint::spin_loop();
        }
        ControlFlow::Continue(())
    });
    handle.spawn_at(FIRST, work).abort_handle()
}

fn serve(runtime: &Runtime, is_tied: bool) -> Result<SocketAddr, Box<dyn Error>> {
    let listener = runtime.block_on(async { TcpListener::bind(([127, 0, 0, 1], 0).into()) })?;
    let address = listener.local_addr()?;
    let accept = async move {
        let Ok(stream) = listener.accept().await else { return };
        echo(stream).await;
    };
    let begin = async move {
        if is_tied {
            drop(spawn_local(accept));
        } else {
            drop(spawn(accept));
        }
    };
    runtime.block_on(runtime.handle().spawn_at(FIRST, begin))?;
    Ok(address)
}

async fn echo(stream: TcpStream) {
    let mut buffer = Vec::with_capacity(64);
    loop {
        let (read, filled) = stream.read(buffer).await;
        if !matches!(read, Ok(1..)) {
            return;
        }
        let (written, sent) = stream.write_all(filled).await;
        if written.is_err() {
            return;
        }
        buffer = sent;
    }
}

fn measure(address: SocketAddr) -> Result<Vec<Duration>, Box<dyn Error>> {
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut answer = [0; 8];
    let mut times = Vec::with_capacity(ROUND_TRIPS);
    for _ in 0..ROUND_TRIPS {
        let began = Instant::now();
        stream.write_all(b"question")?;
        stream.read_exact(&mut answer)?;
        times.push(began.elapsed());
    }
    Ok(times)
}
