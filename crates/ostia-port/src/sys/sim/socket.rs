//! Sockets of the simulated kernel: streams with bounded room, listeners with a bounded line, datagrams that are cut
//! off where they do not fit and are lost nowhere.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr},
};

use socket2::SockAddr;

use super::{
    code::{self, error},
    memory,
    world::{Operation, Step, WaitFor, World},
};
use crate::{
    address::Address,
    handle::Kind,
    op::{Flags, Outcome},
    port::ListenOptions,
};

/// How many datagrams wait at a socket before senders have to: enough for a burst, few enough to be reached.
const DATAGRAMS_MAX: usize = 64;
/// The longest datagram, as with UDP over IPv4.
const DATAGRAM_LEN_MAX: usize = 65_507;
/// The first port that is given to whoever asks for none.
const PORT_FIRST: u16 = 49_152;

/// What a handle's number stands for.
#[derive(Debug)]
pub(super) enum Object {
    Listener(Listener),
    Stream(Stream),
    Datagram(Datagram),
    File(super::file::OpenFile),
}

#[derive(Debug)]
pub(super) struct Listener {
    kind: Kind,
    address: SockAddr,
    /// An IPv6 wildcard that is for IPv6 alone.
    only_v6: bool,
    backlog: usize,
    /// Connected, and not accepted yet.
    line: VecDeque<u32>,
}

#[derive(Debug, Default)]
pub(super) struct Stream {
    connected: bool,
    /// The other end; none when it is closed.
    peer: Option<u32>,
    local: Option<SockAddr>,
    remote: Option<SockAddr>,
    /// Received, and not taken yet.
    incoming: VecDeque<u8>,
    /// The other end sends no more.
    ended: bool,
    read_shut: bool,
    write_shut: bool,
    reset: bool,
    nodelay: bool,
}

#[derive(Debug)]
pub(super) struct Datagram {
    kind: Kind,
    bound: Option<SockAddr>,
    connected: Option<SockAddr>,
    queue: VecDeque<(Option<SockAddr>, Vec<u8>)>,
}

/// Everything that has a number.
#[derive(Debug)]
pub(super) struct Objects {
    by_number: BTreeMap<u32, Object>,
    next_number: u32,
    next_port: u16,
    /// Where something happened that an operation may wait for.
    changed: Vec<u32>,
}

impl Default for Objects {
    fn default() -> Objects {
        Objects {
            by_number: BTreeMap::new(),
            // Far from what any system gives: a number that strays into a real call is refused there.
            next_number: 1 << 20,
            next_port: PORT_FIRST,
            changed: Vec::new(),
        }
    }
}

impl Objects {
    /// A number that was never used before and never will be again.
    pub(super) fn add(&mut self, object: Object) -> u32 {
        let number = self.next_number;
        self.next_number += 1;
        self.by_number.insert(number, object);
        number
    }

    pub(super) fn len(&self) -> usize {
        self.by_number.len()
    }

    pub(super) fn take_changed(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.changed)
    }

    /// # Panics
    ///
    /// If the number is of no open handle: somebody used one after it was closed.
    pub(super) fn get(&mut self, number: u32) -> &mut Object {
        self.by_number.get_mut(&number).unwrap_or_else(|| panic!("handle {number} is used, and is not open"))
    }

    fn stream_of(&mut self, number: u32) -> io::Result<&mut Stream> {
        match self.get(number) {
            Object::Stream(stream) => Ok(stream),
            _ => Err(error(code::INVALID)),
        }
    }

    fn stream(&mut self, number: u32) -> &mut Stream {
        self.stream_of(number).expect("the other end of a stream is a stream")
    }

    pub(super) fn listen(&mut self, address: &Address, options: &ListenOptions) -> io::Result<(u32, Kind)> {
        if options.reuse_port {
            return Err(error(super::super::error::CODE_UNSUPPORTED));
        }
        let kind = stream_kind(address);
        let address = self.free_address(address, |object| match object {
            Object::Listener(listener) => Some(&listener.address),
            _ => None,
        })?;
        let backlog = usize::try_from(options.backlog).unwrap_or(0).max(1);
        let only_v6 = options.only_v6 == Some(true);
        let listener = Listener { kind, address, only_v6, backlog, line: VecDeque::new() };
        Ok((self.add(Object::Listener(listener)), kind))
    }

    pub(super) fn open_stream(
        &mut self,
        address: &Address,
        from: Option<SocketAddr>,
    ) -> io::Result<(u32, Kind)> {
        let local = match from {
            None => None,
            Some(from) => Some(self.free_address(&from.into(), |object| match object {
                Object::Stream(stream) => stream.local.as_ref(),
                _ => None,
            })?),
        };
        let stream = Stream { local, ..Stream::default() };
        Ok((self.add(Object::Stream(stream)), stream_kind(address)))
    }

    pub(super) fn open_datagram(&mut self, address: &Address) -> io::Result<(u32, Kind)> {
        let kind = match address {
            Address::Ip(_) => Kind::Udp,
            Address::Local(_) => Kind::LocalDatagram,
        };
        // The empty path is a socket without a name.
        let bound = match address.as_path() {
            Some(path) if path.as_os_str().is_empty() => None,
            _ => Some(self.free_address(address, |object| match object {
                Object::Datagram(datagram) => datagram.bound.as_ref(),
                _ => None,
            })?),
        };
        let datagram = Datagram { kind, bound, connected: None, queue: VecDeque::new() };
        Ok((self.add(Object::Datagram(datagram)), kind))
    }

    /// The address to be bound to, if nobody of the same kind is.
    fn free_address(
        &mut self,
        address: &Address,
        bound: impl Fn(&Object) -> Option<&SockAddr>,
    ) -> io::Result<SockAddr> {
        let address = match *address {
            Address::Ip(ip) if ip.port() == 0 => Address::Ip(SocketAddr::new(ip.ip(), self.port())),
            _ => address.clone(),
        };
        let address = address.to_system()?;
        let taken = self.by_number.values().filter_map(bound).any(|other| *other == address);
        if taken { Err(error(code::ADDRESS_IN_USE)) } else { Ok(address) }
    }

    fn port(&mut self) -> u16 {
        let port = self.next_port;
        self.next_port = port.checked_add(1).unwrap_or(PORT_FIRST);
        port
    }

    pub(super) fn connect_datagram(&mut self, number: u32, to: &SockAddr) -> io::Result<()> {
        let Object::Datagram(datagram) = self.get(number) else { return Err(error(code::INVALID)) };
        datagram.connected = Some(to.clone());
        Ok(())
    }

    pub(super) fn shutdown(&mut self, number: u32, how: Shutdown) -> io::Result<()> {
        let stream = self.stream_of(number)?;
        if !stream.connected {
            return Err(error(code::NOT_CONNECTED));
        }
        stream.read_shut |= how != Shutdown::Write;
        stream.write_shut |= how != Shutdown::Read;
        let peer = stream.peer.filter(|_| stream.write_shut);
        self.changed.push(number);
        if let Some(peer) = peer {
            self.stream(peer).ended = true;
            self.changed.push(peer);
        }
        Ok(())
    }

    pub(super) fn local_address(&mut self, number: u32) -> io::Result<SockAddr> {
        let address = match self.get(number) {
            Object::Listener(listener) => Some(&listener.address),
            Object::Stream(stream) => stream.local.as_ref(),
            Object::Datagram(datagram) => datagram.bound.as_ref(),
            Object::File(_) => None,
        };
        address.cloned().map_or_else(unnamed, Ok)
    }

    pub(super) fn peer_address(&mut self, number: u32) -> io::Result<SockAddr> {
        let stream = self.stream_of(number)?;
        if !stream.connected {
            return Err(error(code::NOT_CONNECTED));
        }
        stream.remote.clone().map_or_else(unnamed, Ok)
    }

    pub(super) fn nodelay(&mut self, number: u32) -> io::Result<bool> {
        self.stream_of(number).map(|stream| stream.nodelay)
    }

    pub(super) fn set_nodelay(&mut self, number: u32, nodelay: bool) -> io::Result<()> {
        self.stream_of(number).map(|stream| stream.nodelay = nodelay)
    }

    /// The handle is closed. A file is given back: its bytes may have nobody else.
    pub(super) fn close(&mut self, number: u32) -> Option<super::file::OpenFile> {
        let object = self.by_number.remove(&number);
        match object.unwrap_or_else(|| panic!("handle {number} is closed twice")) {
            Object::Listener(listener) => {
                for end in listener.line {
                    self.close_end(end, true);
                }
            }
            Object::Stream(stream) => {
                self.by_number.insert(number, Object::Stream(stream));
                self.close_end(number, false);
            }
            Object::Datagram(_) => {}
            Object::File(file) => return Some(file),
        }
        self.changed.push(number);
        None
    }

    /// One end of a stream goes. The other sees the end, or a reset if something was not read.
    fn close_end(&mut self, number: u32, reset: bool) {
        let Some(Object::Stream(stream)) = self.by_number.remove(&number) else { return };
        let Some(peer) = stream.peer else { return };
        let other = self.stream(peer);
        other.peer = None;
        other.ended = true;
        other.reset |= reset || !stream.incoming.is_empty();
        self.changed.push(peer);
    }

    /// The connection breaks, for both ends.
    fn break_off(&mut self, number: u32, drop_incoming: bool) {
        let peer = self.stream(number).peer;
        for end in [Some(number), peer].into_iter().flatten() {
            let stream = self.stream(end);
            stream.reset = true;
            if drop_incoming {
                stream.incoming.clear();
            }
            self.changed.push(end);
        }
    }

    fn listener_at(&self, address: &SockAddr) -> Option<(u32, &Listener)> {
        self.by_number.iter().find_map(|(number, object)| match object {
            Object::Listener(listener) if listener.is_reached_by(address) => Some((*number, listener)),
            _ => None,
        })
    }

    fn datagram_at(&self, address: &SockAddr) -> Option<(u32, &Datagram)> {
        self.by_number.iter().find_map(|(number, object)| match object {
            Object::Datagram(datagram) if datagram.bound.as_ref().is_some_and(|at| reaches(address, at)) => {
                Some((*number, datagram))
            }
            _ => None,
        })
    }
}

impl Listener {
    fn is_reached_by(&self, to: &SockAddr) -> bool {
        reaches(to, &self.address) && !(self.only_v6 && to.is_ipv4())
    }
}

fn stream_kind(address: &Address) -> Kind {
    match address {
        Address::Ip(_) => Kind::Tcp,
        Address::Local(_) => Kind::LocalStream,
    }
}

fn unnamed() -> io::Result<SockAddr> {
    SockAddr::unix("")
}

/// Whether what is sent `to` an address comes to whoever is bound `at` one: the same, or every address of the machine.
fn reaches(to: &SockAddr, at: &SockAddr) -> bool {
    if to == at {
        return true;
    }
    let (Some(to), Some(at)) = (to.as_socket(), at.as_socket()) else { return false };
    let here = to.ip().is_loopback() || to.ip().is_unspecified();
    let families = at.is_ipv6() || to.is_ipv4();
    to.port() == at.port() && here && at.ip().is_unspecified() && families
}

/// The address as others see it who are told of it.
fn seen(address: &SockAddr) -> SockAddr {
    match address.as_socket() {
        Some(ip) if ip.ip().is_unspecified() => {
            SockAddr::from(SocketAddr::new(localhost(ip.is_ipv6()), ip.port()))
        }
        _ => address.clone(),
    }
}

fn localhost(v6: bool) -> IpAddr {
    if v6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() }
}

impl World {
    pub(super) fn connect(&mut self, operation: &Operation) -> Step {
        let number = operation.handle();
        let Some((address, Some(to))) = memory::target(&operation.flight) else {
            return Step::error(super::super::error::CODE_UNSUPPORTED);
        };
        if self.objects.stream(number).connected {
            return Step::error(code::CONNECTED);
        }
        let Some((listener, found)) = self.objects.listener_at(&to) else {
            return Step::error(if address.as_path().is_some() { code::NO_FILE } else { code::REFUSED });
        };
        if found.line.len() >= found.backlog {
            return Step::Wait(WaitFor::Object(listener));
        }
        let bound = self.objects.stream(number).local.clone();
        let local = bound.or_else(|| {
            let ip = to.as_socket()?;
            Some(SockAddr::from(SocketAddr::new(localhost(ip.is_ipv6()), self.objects.port())))
        });
        let accepted = Stream {
            connected: true,
            peer: Some(number),
            local: Some(seen(&to)),
            remote: local.clone(),
            ..Stream::default()
        };
        let accepted = self.objects.add(Object::Stream(accepted));
        let stream = self.objects.stream(number);
        stream.connected = true;
        stream.peer = Some(accepted);
        stream.local = local;
        stream.remote = Some(seen(&to));
        if let Object::Listener(listener) = self.objects.get(listener) {
            listener.line.push_back(accepted);
        }
        self.objects.changed.extend([listener, number]);
        Step::Done(Outcome::ok(0))
    }

    pub(super) fn accept(&mut self, operation: &Operation, many: bool) -> Step {
        let number = operation.handle();
        let lack = self.dice.chance(self.options.lack);
        let Object::Listener(listener) = self.objects.get(number) else { return Step::error(code::INVALID) };
        debug_assert!(matches!(listener.kind, Kind::Tcp | Kind::LocalStream), "streams are accepted");
        if lack {
            let outcome = Outcome::error(code::DESCRIPTORS);
            return if many { Step::Item { outcome, last: false } } else { Step::Done(outcome) };
        }
        let Some(accepted) = listener.line.pop_front() else { return Step::Wait(WaitFor::Object(number)) };
        self.objects.changed.push(number);
        let outcome = Outcome::ok(accepted as usize);
        if many { Step::Item { outcome, last: false } } else { Step::Done(outcome) }
    }

    /// The connection may break at any time.
    fn may_break(&mut self, number: u32) {
        if self.dice.chance(self.options.reset) && self.objects.stream(number).connected {
            let drop_incoming = self.dice.chance(500);
            self.objects.break_off(number, drop_incoming);
        }
    }

    /// What a receive finds: bytes, or how it ends instead.
    fn receive_up_to(&mut self, number: u32, room: usize) -> Result<Vec<u8>, Step> {
        let stream = self.objects.stream(number);
        let there = stream.incoming.len().min(room);
        if there == 0 {
            return Err(if stream.reset {
                Step::error(code::RESET)
            } else if !stream.connected {
                Step::error(code::NOT_CONNECTED)
            } else if stream.ended || stream.read_shut {
                Step::Done(Outcome::ok(0))
            } else {
                Step::Wait(WaitFor::Object(number))
            });
        }
        let len = self.shortened(there);
        let stream = self.objects.stream(number);
        let bytes = stream.incoming.drain(..len).collect();
        let peer = stream.peer;
        self.objects.changed.extend(peer);
        Ok(bytes)
    }

    pub(super) fn receive(&mut self, operation: &mut Operation) -> Step {
        self.may_break(operation.handle());
        let room = memory::len(&operation.flight);
        match self.receive_up_to(operation.handle(), room) {
            Ok(bytes) => {
                memory::write(&mut operation.flight, 0, &bytes);
                operation.moved = bytes.len();
                Step::Done(Outcome::ok(bytes.len()))
            }
            Err(step) => step,
        }
    }

    pub(super) fn receive_managed(&mut self, operation: &mut Operation, many: bool) -> Step {
        let number = operation.handle();
        self.may_break(number);
        if self.objects.stream(number).incoming.is_empty() {
            return match self.receive_up_to(number, 0) {
                Err(Step::Done(outcome)) if many && outcome.is_ok() => Step::Item { outcome, last: true },
                Err(step) => step,
                Ok(_) => unreachable!("nothing was there to be received"),
            };
        }
        let lending = operation.lending.as_ref().expect("a managed receive came with its pool");
        if self.dice.chance(self.options.no_piece) {
            return Step::Again;
        }
        let Some(piece) = lending.take() else { return Step::Wait(WaitFor::Piece) };
        let bytes = self.receive_up_to(number, lending.piece_len());
        let bytes = bytes.expect("something was there to be received");
        memory::lend(lending, piece, &bytes);
        let outcome = Outcome::ok(bytes.len()).with_buffer(lending.name(piece));
        if many { Step::Item { outcome, last: false } } else { Step::Done(outcome) }
    }

    pub(super) fn send(&mut self, operation: &mut Operation) -> Step {
        let number = operation.handle();
        self.may_break(number);
        if self.dice.chance(self.options.lack) {
            return Step::error(code::AGAIN_LATER);
        }
        let total = memory::len(&operation.flight);
        let stream = self.objects.stream(number);
        if stream.reset {
            return Step::error(code::RESET);
        }
        if !stream.connected {
            return Step::error(code::NOT_CONNECTED);
        }
        let Some(peer) = stream.peer.filter(|_| !stream.write_shut) else { return Step::error(code::PIPE) };
        let left = total - operation.moved;
        if left == 0 {
            return Step::Done(Outcome::ok(total));
        }
        let other = self.objects.stream(peer);
        // Who shut the reading half lets what comes run into the sand.
        let drained = other.read_shut;
        let room = self.options.stream_room.saturating_sub(other.incoming.len());
        let fits = if drained { left } else { left.min(room) };
        if fits == 0 {
            return Step::Wait(WaitFor::Object(number));
        }
        let len = self.shortened(fits);
        let bytes = memory::read(&operation.flight, operation.moved, len);
        if !drained {
            self.objects.stream(peer).incoming.extend(bytes);
            self.objects.changed.push(peer);
        }
        operation.moved += len;
        if operation.moved == total { Step::Done(Outcome::ok(total)) } else { Step::Again }
    }

    pub(super) fn receive_from(&mut self, operation: &mut Operation) -> Step {
        let number = operation.handle();
        let room = memory::len(&operation.flight);
        let Object::Datagram(datagram) = self.objects.get(number) else { return Step::error(code::INVALID) };
        let Some((from, bytes)) = datagram.queue.pop_front() else {
            return Step::Wait(WaitFor::Object(number));
        };
        self.objects.changed.push(number);
        let len = bytes.len().min(room);
        memory::write(&mut operation.flight, 0, &bytes[..len]);
        operation.moved = len;
        if let Some(message) = memory::message(&mut operation.flight) {
            message.address = from;
        }
        let outcome = Outcome::ok(len);
        Step::Done(if bytes.len() > room { outcome.with(Flags::MORE_DATA) } else { outcome })
    }

    pub(super) fn send_to(&mut self, operation: &mut Operation) -> Step {
        let number = operation.handle();
        if self.dice.chance(self.options.lack) {
            return Step::error(code::AGAIN_LATER);
        }
        let named = memory::message(&mut operation.flight).and_then(|message| message.address.clone());
        let Object::Datagram(datagram) = self.objects.get(number) else { return Step::error(code::INVALID) };
        let Some(to) = named.or_else(|| datagram.connected.clone()) else {
            return Step::error(code::NOT_CONNECTED);
        };
        let kind = datagram.kind;
        let from = datagram.bound.as_ref().map(seen);
        let bytes = memory::read(&operation.flight, 0, usize::MAX);
        let len = bytes.len();
        if len > DATAGRAM_LEN_MAX {
            return Step::error(code::MESSAGE_SIZE);
        }
        let Some((receiver, found)) = self.objects.datagram_at(&to) else {
            return if kind == Kind::Udp { Step::Done(Outcome::ok(len)) } else { Step::error(code::NO_FILE) };
        };
        let wanted = found.connected.is_none() || found.connected == from;
        if wanted && found.queue.len() >= DATAGRAMS_MAX {
            return Step::Wait(WaitFor::Object(receiver));
        }
        if let (true, Object::Datagram(found)) = (wanted, self.objects.get(receiver)) {
            found.queue.push_back((from, bytes));
            self.objects.changed.push(receiver);
        }
        operation.moved = len;
        Step::Done(Outcome::ok(len))
    }
}
