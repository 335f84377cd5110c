//! The client that all echo servers meet: one thread, one epoll instance, ping-pong on every connection.
//!
//! A connection has one message underway at most: sent whole, and sent again when it is back whole. Both ends
//! have `TCP_NODELAY`. The first echo of each connection is compared byte by byte.
//!
//! The client asks for events without ever sleeping. A client that sleeps has to be woken by the server, and on a
//! virtual machine that costs the server an interrupt through the host: up to 300 us where the host is busy, many
//! times the request. A client on another machine costs it nothing of the kind.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    time::{Duration, Instant},
};

use rustix::{
    event::epoll::{self, CreateFlags, Event, EventData, EventFlags},
    fd::OwnedFd,
    time::Timespec,
};

/// A server that answers nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Events are asked for, not waited for.
const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// Events taken at once.
const EVENTS: usize = 512;

/// Connections to an echo server.
pub(crate) struct Client {
    epoll: OwnedFd,
    connections: Vec<Connection>,
    message: Vec<u8>,
    back: Vec<u8>,
    events: Vec<Event>,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    /// How much of the message is back.
    back: usize,
}

impl Client {
    /// Connects, and has each connection echo one message, which is compared.
    pub(crate) fn connect(port: u16, connections: usize, size: usize) -> Result<Client, String> {
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(|error| format!("epoll: {error}"))?;
        let message = (0..size).map(|at| (at % 251) as u8).collect();
        let mut client = Client {
            epoll,
            connections: Vec::with_capacity(connections),
            message,
            back: vec![0; size],
            events: Vec::with_capacity(EVENTS),
        };
        for _ in 0..connections {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(told("connect"))?;
            stream.set_nodelay(true).map_err(told("TCP_NODELAY"))?;
            client.connections.push(Connection { stream, back: 0 });
        }
        for index in 0..connections {
            client.compare(index)?;
            let connection = &client.connections[index];
            connection.stream.set_nonblocking(true).map_err(told("O_NONBLOCK"))?;
            let data = EventData::new_u64(index as u64);
            epoll::add(&client.epoll, &connection.stream, data, EventFlags::IN).map_err(told("epoll"))?;
        }
        Ok(client)
    }

    /// One echo while the connection still waits, to see that it is one.
    fn compare(&mut self, index: usize) -> Result<(), String> {
        let stream = &mut self.connections[index].stream;
        stream.set_read_timeout(Some(PATIENCE)).map_err(told("a time limit"))?;
        stream.write_all(&self.message).map_err(told("send"))?;
        self.back.fill(0);
        stream.read_exact(&mut self.back).map_err(told("receive"))?;
        match self.back == self.message {
            true => Ok(()),
            false => Err("what comes back is not what was sent".into()),
        }
    }

    /// Keeps every connection busy for a while, and waits for what is underway then. Gives the count of
    /// messages that went and came back.
    pub(crate) fn drive(&mut self, span: Duration) -> Result<u64, String> {
        let end = Instant::now() + span;
        for index in 0..self.connections.len() {
            self.send(index)?;
        }
        let mut underway = self.connections.len();
        let mut echoed = 0;
        while underway > 0 {
            self.events.clear();
            let room = rustix::buffer::spare_capacity(&mut self.events);
            epoll::wait(&self.epoll, room, Some(&NOW)).map_err(told("epoll"))?;
            let now = Instant::now();
            if self.events.is_empty() {
                if now > end + PATIENCE {
                    return Err(format!("{underway} messages are still underway after {PATIENCE:?}"));
                }
                continue;
            }
            let over = now >= end;
            for at in 0..self.events.len() {
                let index = { self.events[at].data }.u64() as usize;
                if !self.receive(index)? {
                    continue;
                }
                echoed += 1;
                if over {
                    underway -= 1;
                } else {
                    self.send(index)?;
                }
            }
        }
        Ok(echoed)
    }

    fn send(&mut self, index: usize) -> Result<(), String> {
        // With one message underway the buffers of the two sockets are empty, and take it.
        match self.connections[index].stream.write(&self.message).map_err(told("send"))? {
            all if all == self.message.len() => Ok(()),
            part => Err(format!("the socket took {part} bytes of {}", self.message.len())),
        }
    }

    /// Receives what is there; true when the message is complete.
    fn receive(&mut self, index: usize) -> Result<bool, String> {
        let connection = &mut self.connections[index];
        let left = self.message.len() - connection.back;
        match connection.stream.read(&mut self.back[..left]).map_err(told("receive"))? {
            0 => return Err("the server closed a connection".into()),
            read => connection.back += read,
        }
        let complete = connection.back == self.message.len();
        if complete {
            connection.back = 0;
        }
        Ok(complete)
    }
}

fn told<E: std::fmt::Display>(what: &str) -> impl Fn(E) -> String {
    move |error| format!("client, {what}: {error}")
}
