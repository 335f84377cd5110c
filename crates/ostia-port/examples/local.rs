//! A server and a client on this machine: a Unix socket on Linux, a named pipe on Windows, by the same lines.
//!
//! ```sh
//! cargo run -p ostia-port --example local
//! ```

use std::error::Error;

use ostia_port::{Address, Batch, Berth, ListenOptions, Port, Ticket, op};

fn main() -> Result<(), Box<dyn Error>> {
    let port = Port::open()?;
    let mut berth = port.berth()?;

    // This user alone may connect, and nobody from another machine.
    let address = Address::local(&format!("example-{}", std::process::id()))?;
    let listener = port.listen(&address, &ListenOptions::new())?;
    println!("listening on {address} ({})", port.backend());

    let accept = berth.submit(op::Accept::new(&listener))?;
    let connect = berth.submit(op::Connect::new(port.stream(&address)?, &address)?)?;
    let (connected, client) = end(&mut berth, connect)?;
    connected?;
    let server = end(&mut berth, accept)?.0?;

    let question = berth.submit(op::Send::new(&client, b"what is a port for?".to_vec()))?;
    let asked = berth.submit(op::Receive::new(&server, Vec::with_capacity(64)))?;
    let (received, text) = end(&mut berth, asked)?;
    received?;
    end(&mut berth, question)?.0?;
    println!("the client asks:    {}", String::from_utf8_lossy(&text));

    let answer = berth.submit(op::Send::new(&server, b"for what arrives".to_vec()))?;
    let told = berth.submit(op::Receive::new(&client, Vec::with_capacity(64)))?;
    let (received, text) = end(&mut berth, told)?;
    received?;
    end(&mut berth, answer)?.0?;
    println!("the server answers: {}", String::from_utf8_lossy(&text));
    Ok(())
}

/// What an operation tells, and what it gives back.
type Ended<O> = (std::io::Result<<O as op::Op>::Out>, <O as op::Op>::Back);

/// Waits for one operation.
fn end<O: op::Op>(berth: &mut Berth, mut ticket: Ticket<O>) -> Result<Ended<O>, Box<dyn Error>> {
    let mut batch = Batch::new();
    loop {
        if let Some(ended) = ticket.poll() {
            return Ok(ended);
        }
        berth.wait(&mut batch, None)?;
    }
}
