//! Ours: the completion port, by what it offers to everyone. One function a part, and it is the same for every back
//! end; where a back end is not to be had, the program says so and is left out.

use std::{
    mem,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

use ostia_port::{
    Address, Backend, Batch, Berth, ListenOptions, Packet, Payload, Port, Stream, Ticket,
    op::{self, OpenOptions, ReadAt, Receive, Send, TicketId, Timer},
};

use crate::{
    harness::program::{Program, Sample, Settings, steady},
    port::{
        echo::{self, BUFFER},
        files::{self, BLOCK, DEPTH, Places, check},
        nop,
        timers::{self, Found, Lateness, repeat},
        wake::{self, End, trips},
    },
};

pub(crate) const ECHO: &[Program<echo::Serve>] = &[
    ("ours-uring", |connections| serve(Backend::Uring, connections)),
    ("ours-epoll", |connections| serve(Backend::Epoll, connections)),
];

pub(crate) const NOP: &[Program<nop::Run>] = &[
    ("ours-uring", |batch, settings| nops(Backend::Uring, batch, settings)),
    ("ours-epoll", |batch, settings| nops(Backend::Epoll, batch, settings)),
];

pub(crate) const FILES: &[Program<files::Run>] = &[
    ("ours-uring", |path, settings| read(Backend::Uring, path, settings)),
    ("ours-epoll", |path, settings| read(Backend::Epoll, path, settings)),
];

pub(crate) const WAKE: &[Program<wake::Run>] =
    &[("ours-uring", trips::<Uring>), ("ours-epoll", trips::<Epoll>)];

pub(crate) const TIMERS: &[Program<timers::Run>] = &[
    ("ours-uring", |spans| sleep(Backend::Uring, spans)),
    ("ours-epoll", |spans| sleep(Backend::Epoll, spans)),
];

/// A port and its one berth.
fn berth(backend: Backend) -> Result<(Port, Berth), String> {
    let port = Port::builder().backend(backend).open().map_err(told("open"))?;
    let berth = port.berth().map_err(told("berth"))?;
    Ok((port, berth))
}

/// Waits for the end of one operation, the only one that is under way.
fn alone<O: op::Op>(berth: &mut Berth, op: O) -> Result<O::Out, String> {
    let mut ticket = berth.submit(op).map_err(told("submit"))?;
    let mut batch = Batch::new();
    loop {
        if let Some((ended, _)) = ticket.poll() {
            return ended.map_err(told("an operation"));
        }
        berth.wait(&mut batch, None).map_err(told("wait"))?;
    }
}

/// What a connection waits for.
enum Pending {
    Receive(Ticket<Receive<Vec<u8>>>),
    Send(Ticket<Send<Vec<u8>>>),
    Nothing,
}

/// Whose an operation is, by its place among those of the berth: small numbers, so a list will do.
#[derive(Debug, Default)]
struct Owners(Vec<usize>);

impl Owners {
    fn note(&mut self, id: TicketId, owner: usize) {
        if id.index() >= self.0.len() {
            self.0.resize(id.index() + 1, 0);
        }
        self.0[id.index()] = owner;
    }

    fn of(&self, id: TicketId) -> usize {
        self.0[id.index()]
    }
}

fn accept(port: &Port, berth: &mut Berth, connections: usize) -> Result<Vec<Stream>, String> {
    let address = Address::Ip(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let listener = port.listen(&address, &ListenOptions::new()).map_err(told("listen"))?;
    let address = listener.local_address().map_err(told("listen"))?;
    echo::announce(address.as_ip().ok_or("no IP address")?.port())?;
    let mut streams = Vec::with_capacity(connections);
    for _ in 0..connections {
        let stream = alone(berth, op::Accept::new(&listener))?;
        stream.set_nodelay(true).map_err(told("TCP_NODELAY"))?;
        streams.push(stream);
    }
    Ok(streams)
}

/// The connections of a server, and what each of them waits for.
struct Server {
    berth: Berth,
    streams: Vec<Stream>,
    pending: Vec<Pending>,
    owners: Owners,
}

impl Server {
    fn receive(&mut self, owner: usize, buffer: Vec<u8>) -> Result<(), String> {
        let receive = Receive::new(&self.streams[owner], buffer);
        let ticket = self.berth.submit(receive).map_err(told("receive"))?;
        self.owners.note(ticket.id(), owner);
        self.pending[owner] = Pending::Receive(ticket);
        Ok(())
    }

    fn send(&mut self, owner: usize, message: Vec<u8>) -> Result<(), String> {
        let send = Send::new(&self.streams[owner], message);
        let ticket = self.berth.submit(send).map_err(told("send"))?;
        self.owners.note(ticket.id(), owner);
        self.pending[owner] = Pending::Send(ticket);
        Ok(())
    }
}

/// One operation at a time for each connection. To receive into a second buffer while the first is still being sent
/// was tried, and is no faster.
fn serve(backend: Backend, connections: usize) -> Result<(), String> {
    let (port, mut berth) = berth(backend)?;
    let streams = accept(&port, &mut berth, connections)?;
    let pending = (0..connections).map(|_| Pending::Nothing).collect();
    let mut server = Server { berth, streams, pending, owners: Owners::default() };
    for owner in 0..connections {
        server.receive(owner, Vec::with_capacity(BUFFER))?;
    }
    let mut open = connections;
    let mut batch = Batch::new();
    while open > 0 {
        server.berth.wait(&mut batch, None).map_err(told("wait"))?;
        for packet in batch.drain() {
            let Packet::Done(id) = packet else { return Err(format!("ours: {packet:?}")) };
            let owner = server.owners.of(id);
            match mem::replace(&mut server.pending[owner], Pending::Nothing) {
                Pending::Receive(mut ticket) => {
                    let (received, message) = ticket.poll().ok_or("a receive that is done and is not")?;
                    match received.map_err(told("receive"))?.len {
                        0 => open -= 1,
                        _ => server.send(owner, message)?,
                    }
                }
                Pending::Send(mut ticket) => {
                    let (sent, buffer) = ticket.poll().ok_or("a send that is done and is not")?;
                    sent.map_err(told("send"))?;
                    server.receive(owner, buffer)?;
                }
                Pending::Nothing => return Err("ours: a packet for nobody".into()),
            }
        }
    }
    Ok(())
}

fn nops(backend: Backend, many: usize, settings: Settings) -> Result<Sample, String> {
    let (_port, mut berth) = berth(backend)?;
    let mut tickets = Vec::with_capacity(many);
    let mut batch = Batch::new();
    steady(settings, || {
        for _ in 0..nop::STEP / many {
            for _ in 0..many {
                tickets.push(berth.submit(op::Nop).map_err(told("submit"))?);
            }
            let mut done = 0;
            while done < many {
                berth.wait(&mut batch, None).map_err(told("wait"))?;
                done += batch.drain().filter(|packet| matches!(packet, Packet::Done(_))).count();
            }
            for mut ticket in tickets.drain(..) {
                let (ended, ()) = ticket.poll().ok_or("a nop that is done and is not")?;
                ended.map_err(told("nop"))?;
            }
        }
        Ok((nop::STEP / many * many) as u64)
    })
}

fn read(backend: Backend, path: &Path, settings: Settings) -> Result<Sample, String> {
    let (port, mut berth) = berth(backend)?;
    let open = op::Open::new(&port, path, OpenOptions::new().read(true)).map_err(told("open"))?;
    let file = alone(&mut berth, open)?;
    let mut places = Places::new();
    let mut owners = Owners::default();
    let mut read = |berth: &mut Berth, owners: &mut Owners, owner: usize, buffer: Vec<u8>| {
        let meant = places.next();
        let read = ReadAt::new(&file, buffer, meant * BLOCK as u64);
        let ticket = berth.submit(read).map_err(told("read"))?;
        owners.note(ticket.id(), owner);
        Ok::<_, String>((meant, ticket))
    };
    let mut underway = Vec::with_capacity(DEPTH);
    for owner in 0..DEPTH {
        underway.push(read(&mut berth, &mut owners, owner, Vec::with_capacity(BLOCK))?);
    }
    let mut batch = Batch::new();
    steady(settings, || {
        let mut reads = 0;
        while reads < files::STEP as u64 {
            berth.wait(&mut batch, None).map_err(told("wait"))?;
            for packet in batch.drain() {
                let Packet::Done(id) = packet else { return Err(format!("ours: {packet:?}")) };
                let owner = owners.of(id);
                let (meant, ticket) = &mut underway[owner];
                let (got, buffer) = ticket.poll().ok_or("a read that is done and is not")?;
                check(got.map_err(told("read"))?, &buffer, *meant)?;
                reads += 1;
                underway[owner] = read(&mut berth, &mut owners, owner, buffer)?;
            }
        }
        Ok(reads)
    })
}

/// A berth that waits for posts, alone at its port: so that a post is for it and nobody else.
struct Waiting {
    port: Port,
    berth: Berth,
    batch: Batch,
    other: Option<Port>,
    /// Posts that have come and were not waited for yet.
    rung: usize,
}

impl Waiting {
    fn open(backend: Backend) -> Result<Waiting, String> {
        let (port, berth) = berth(backend)?;
        Ok(Waiting { port, berth, batch: Batch::new(), other: None, rung: 0 })
    }

    fn post(&mut self) -> Result<(), String> {
        self.other.as_ref().ok_or("ours: nobody to wake")?.post(Payload::Word(1)).map_err(told("post"))
    }

    fn wait(&mut self) -> Result<(), String> {
        while self.rung == 0 {
            self.berth.wait(&mut self.batch, None).map_err(told("wait"))?;
            self.rung += self.batch.drain().filter(|packet| matches!(packet, Packet::Post(_))).count();
        }
        self.rung -= 1;
        Ok(())
    }
}

/// The two kinds differ in nothing but their back end.
macro_rules! end {
    ($name:ident) => {
        struct $name(Waiting);

        impl End for $name {
            type Address = Port;

            fn open() -> Result<$name, String> {
                Waiting::open(Backend::$name).map($name)
            }

            fn address(&self) -> Port {
                self.0.port.clone()
            }

            fn meet(&mut self, other: Port) {
                self.0.other = Some(other);
            }

            fn post(&mut self) -> Result<(), String> {
                self.0.post()
            }

            fn wait(&mut self) -> Result<(), String> {
                self.0.wait()
            }
        }
    };
}

end!(Uring);
end!(Epoll);

fn sleep(backend: Backend, spans: &[Duration]) -> Result<Found, String> {
    let (_port, mut berth) = berth(backend)?;
    let mut owners = Owners::default();
    let mut timers = Vec::with_capacity(spans.len());
    let mut batch = Batch::new();
    repeat(spans, |late| {
        timers.clear();
        for (owner, span) in spans.iter().enumerate() {
            let due = Instant::now() + *span;
            let ticket = berth.submit(Timer::at(due)).map_err(told("timer"))?;
            owners.note(ticket.id(), owner);
            timers.push((due, ticket));
        }
        let all = late.len() + spans.len();
        while late.len() < all {
            berth.wait(&mut batch, None).map_err(told("wait"))?;
            for packet in batch.drain() {
                let Packet::Done(id) = packet else { return Err(format!("ours: {packet:?}")) };
                let (due, ticket) = &mut timers[owners.of(id)];
                late.push(Lateness::since(*due));
                ticket.poll().ok_or("a timer that is done and is not")?.0.map_err(told("timer"))?;
            }
        }
        Ok(())
    })
}

fn told<E: std::fmt::Display>(what: &str) -> impl Fn(E) -> String {
    move |error| format!("ours, {what}: {error}")
}
