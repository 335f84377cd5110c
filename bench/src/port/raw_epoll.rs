//! Echo on epoll alone, with nothing that a server could do without.

use std::net::TcpStream;

use rustix::{
    event::epoll::{self, CreateFlags, Event, EventData, EventFlags},
    net::{RecvFlags, SendFlags, recv, send},
};

use crate::port::echo::{self, BUFFER};

/// Events taken at once.
const EVENTS: usize = 512;

/// Level-triggered: one `recv` and one `send` an event, and what is left makes another event, so that no `recv` ever
/// learns that there is nothing. Edge-triggered events were tried and are no faster.
pub(crate) fn echo(connections: usize) -> Result<(), String> {
    let streams = echo::accepted(connections)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(told("create"))?;
    let mut buffers: Vec<_> = streams.iter().map(|_| vec![0; BUFFER]).collect();
    for (index, stream) in streams.iter().enumerate() {
        stream.set_nonblocking(true).map_err(told("O_NONBLOCK"))?;
        epoll::add(&epoll, stream, EventData::new_u64(index as u64), EventFlags::IN).map_err(told("add"))?;
    }
    let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
    let mut open = streams.len();
    while open > 0 {
        events.clear();
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None).map_err(told("wait"))?;
        for event in &events {
            let index = { event.data }.u64() as usize;
            let (stream, buffer) = (&streams[index], &mut buffers[index]);
            let (read, _) = recv(stream, &mut buffer[..], RecvFlags::empty()).map_err(told("recv"))?;
            if read == 0 {
                epoll::delete(&epoll, stream).map_err(told("delete"))?;
                open -= 1;
            } else {
                send_all(stream, &buffer[..read])?;
            }
        }
    }
    Ok(())
}

/// The client has one message underway at most, so the socket has room for it. A client of another kind would find
/// this server wrong, and is told so.
fn send_all(stream: &TcpStream, bytes: &[u8]) -> Result<(), String> {
    match send(stream, bytes, SendFlags::NOSIGNAL).map_err(told("send"))? {
        all if all == bytes.len() => Ok(()),
        part => Err(format!("the socket took {part} bytes of {}", bytes.len())),
    }
}

fn told<E: std::fmt::Display>(what: &str) -> impl Fn(E) -> String {
    move |error| format!("epoll, {what}: {error}")
}
