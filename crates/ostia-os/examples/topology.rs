//! Tells what the process may use: `cargo run -p ostia-os --example topology`, or with a made-up shape like `2x4x2`.

use std::{env, error::Error};

use ostia_os::{affinity, limits, memory, peer::Peer, topology::Topology};

fn main() -> Result<(), Box<dyn Error>> {
    let topology = match env::args().nth(1) {
        Some(shape) => Topology::synthetic(&shape)?,
        None => Topology::detect()?,
    };
    println!("{topology}");
    println!("this thread: CPUs {}", affinity::current()?);
    println!("this process: {}, {}", Peer::current()?.user(), limits::cpus()?);
    println!("descriptors: {}", limits::descriptors()?);
    println!("locked memory: {}", limits::locked_memory()?);
    println!("pages: {} bytes", memory::page_size());
    Ok(())
}
