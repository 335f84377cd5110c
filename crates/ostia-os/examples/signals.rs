//! Tells which signal comes, and cleans up before it ends: `cargo run -p ostia-os --example signals`, then ctrl-c.

use std::{error::Error, time::Duration};

use ostia_os::signals::{Signal, Signals};

fn main() -> Result<(), Box<dyn Error>> {
    let signals = Signals::to(Signal::ALL).patience(Duration::from_secs(5)).open()?;
    println!("waiting; press ctrl-c");
    if let Some(signal) = signals.wait(Some(Duration::from_secs(60))) {
        println!("{signal}: cleaning up");
    }
    // A process whose console is being closed is kept alive until here.
    drop(signals);
    println!("done");
    Ok(())
}
