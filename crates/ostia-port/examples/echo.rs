//! A TCP echo server on one thread: what comes is sent back.
//!
//! ```sh
//! cargo run -p ostia-port --example echo                     # on a free port of this machine, until ctrl-c
//! cargo run -p ostia-port --example echo -- 127.0.0.1:7000   # on this one
//! cargo run -p ostia-port --example echo -- --once           # it connects to itself, and ends
//! ```

use std::{collections::HashMap, env, error::Error, io};

use ostia_port::{Address, Batch, Berth, Class, ListenOptions, Listener, Packet, Port, Stream, Ticket, op};

/// One connection: it is received from or sent to, one after the other.
enum Doing {
    Receiving(Stream, Ticket<op::Receive<Vec<u8>>>),
    Sending(Stream, Ticket<op::Send<Vec<u8>>>),
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let once = arguments.iter().any(|argument| argument == "--once");
    let address = arguments.iter().find(|argument| !argument.starts_with("--"));
    let address: Address = Address::Ip(address.map_or("127.0.0.1:0", String::as_str).parse()?);

    let port = Port::open()?;
    let mut berth = port.berth()?;
    let listener = port.listen(&address, &ListenOptions::new())?;
    println!("listening on {} ({})", listener.local_address()?, port.backend());

    // A client of our own, on a thread of the standard library: it needs nothing of this crate.
    let client = once.then(|| std::thread::spawn(client(&listener)));
    serve(&mut berth, &listener, once)?;
    if let Some(client) = client {
        client.join().expect("the client does not panic")?;
        println!("echoed, and done");
    }
    Ok(())
}

fn serve(berth: &mut Berth, listener: &Listener, once: bool) -> Result<(), Box<dyn Error>> {
    let mut accept = berth.submit(op::AcceptMany::new(listener))?;
    let mut connections = HashMap::new();
    let mut batch = Batch::new();
    loop {
        berth.wait(&mut batch, None)?;
        for packet in batch.drain() {
            match packet {
                // One more connection. A refusal of one is no reason to stop.
                Packet::More(_) => match accept.next() {
                    Some(Ok(stream)) => {
                        receive(berth, stream, Vec::with_capacity(16 * 1024), &mut connections)?
                    }
                    Some(Err(error)) => eprintln!("a connection could not be accepted: {error}"),
                    None => {}
                },
                // Accepting has ended: it paused because many connections waited, or it failed.
                Packet::Done(id) if id == accept.id() => {
                    accept.poll().expect("it is done").0?;
                    accept = berth.submit(op::AcceptMany::new(listener))?;
                }
                Packet::Done(id) => {
                    let Some(doing) = connections.remove(&id) else { continue };
                    let goes_on = step(berth, doing, &mut connections)?;
                    if once && !goes_on {
                        return Ok(());
                    }
                }
                Packet::Post(_) => {}
            }
        }
    }
}

/// What follows when an operation has ended. False if the connection is over.
fn step(
    berth: &mut Berth,
    doing: Doing,
    connections: &mut HashMap<op::TicketId, Doing>,
) -> Result<bool, Box<dyn Error>> {
    match doing {
        Doing::Receiving(stream, mut ticket) => {
            let (received, buffer) = ticket.poll().expect("it is done");
            match received {
                Ok(received) if received.len == 0 => return Ok(false),
                Ok(_) => {
                    let ticket = berth.submit(op::Send::new(&stream, buffer))?;
                    connections.insert(ticket.id(), Doing::Sending(stream, ticket));
                }
                Err(error) => return over(&error),
            }
        }
        Doing::Sending(stream, mut ticket) => {
            let (sent, buffer) = ticket.poll().expect("it is done");
            match sent {
                Ok(_) => receive(berth, stream, buffer, connections)?,
                Err(error) => return over(&error),
            }
        }
    }
    Ok(true)
}

fn receive(
    berth: &mut Berth,
    stream: Stream,
    buffer: Vec<u8>,
    connections: &mut HashMap<op::TicketId, Doing>,
) -> Result<(), Box<dyn Error>> {
    let ticket = berth.submit(op::Receive::new(&stream, buffer))?;
    connections.insert(ticket.id(), Doing::Receiving(stream, ticket));
    Ok(())
}

fn over(error: &io::Error) -> Result<bool, Box<dyn Error>> {
    if Class::of(error) != Class::PeerGone {
        eprintln!("a connection failed: {error}");
    }
    Ok(false)
}

fn client(listener: &Listener) -> impl FnOnce() -> io::Result<()> + use<> {
    use std::io::{Read, Write};

    let address = listener.local_address().expect("it listens").as_ip().expect("it is an IP address");
    move || {
        let mut stream = std::net::TcpStream::connect(address)?;
        stream.write_all(b"hello")?;
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut back = Vec::new();
        stream.read_to_end(&mut back)?;
        assert_eq!(back, b"hello");
        Ok(())
    }
}
