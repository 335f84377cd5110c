//! Windows: one completion port, shared by all berths.
//!
//! **Strategy.** Each handle is tied to the port when it is made. An operation's OVERLAPPED is the start of its slot,
//! so the pointer in a packet leads to the operation, whichever berth takes the packet. Slots are never freed, and
//! a flight is out of our hands until its packet has been taken: nothing the kernel may still write to is used.
//! What succeeds at once sends no packet where the handle's provider is known to honour that wish.
//!
//! **What it leans on.** A call that returned "pending" or success is followed by one packet, whatever else happens to
//! it; an error at once by none, but for warnings ("more data"), which the kernel treats as successes. The status
//! is the OVERLAPPED's own. A cancel is a request: the packet comes in any case.
//!
//! **Weak points.** Opening, flushing and metadata have no asynchronous form: offload threads do them. Cached reads,
//! and cached and extending writes, may hold the calling thread inside the kernel, a piece of the file at a time (`op`).
//! All berths share one port: the kernel's lock on it is the price for any thread being able to help. Local datagrams
//! do not exist. A connect that is refused is tried again by the system for about two seconds.
//!
//! **Not seen on Windows itself.** Tests run under Wine, which ignores the port's concurrency limit and has no wait
//! completion packets (`clock`), among others.

mod accept;
mod afd;
pub(crate) mod blocking;
mod borrow;
mod clock;
pub(crate) mod error;
mod op;
mod overlapped;
mod path;
pub(crate) mod pipe;
pub(crate) mod raw;
pub(crate) mod security;
mod sleepers;
mod socket;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashSet, VecDeque},
    io,
    net::{Shutdown, SocketAddr},
    os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle},
    path::PathBuf,
    ptr,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use socket2::SockAddr;
use windows_sys::Win32::{
    Foundation::{HANDLE, INVALID_HANDLE_VALUE, WAIT_IO_COMPLETION, WAIT_TIMEOUT},
    Storage::FileSystem::SetFileCompletionNotificationModes,
    System::{
        IO::{
            CreateIoCompletionPort, GetQueuedCompletionStatusEx, OVERLAPPED, OVERLAPPED_ENTRY,
            PostQueuedCompletionStatus,
        },
        WindowsProgramming::{FILE_SKIP_COMPLETION_PORT_ON_SUCCESS, FILE_SKIP_SET_EVENT_ON_HANDLE},
    },
};

pub(crate) use self::path::SysPath;
use self::{
    clock::Clock,
    op::Step,
    overlapped::{Head, Whose},
    pipe::Place,
    sleepers::{Sleeper, Sleepers},
};
pub(crate) use self::{overlapped::Aside, socket::MessageHeader};
use crate::{
    address::Address,
    handle::Kind,
    op::{
        Outcome, slab,
        slot::{Flight, Slot},
    },
    packet::Batch,
    port::{Backend, Config, ListenOptions},
    quay::Quay,
    sink::Sink,
    sys::{self, lending::Lending},
    timeout,
};

/// A socket, or a handle of a file or pipe; as wide as either. An odd number is the address, plus one, of what stands
/// for a pipe that is not one instance; the system's own are even.
pub(crate) type Raw = usize;

/// One piece of memory of a vectored operation: Winsock's WSABUF.
pub(crate) type Slice = windows_sys::Win32::Networking::WinSock::WSABUF;

/// The completion keys: what a packet is. Not one of them is that of a handle.
const KEY_IO: usize = 1;
/// Somebody rang.
const KEY_WAKE: usize = 2;
/// The clock fired.
const KEY_CLOCK: usize = 3;
/// A nop comes back.
const KEY_NOP: usize = 4;
/// An operation goes on in a wait.
const KEY_GO: usize = 5;
/// Of an adopted handle: somebody else may have made calls on it, too.
const KEY_FOREIGN: usize = 6;

/// What a port of this system alone is told; nothing so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {}

/// What is remembered of a handle.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    /// It sends no packet for what succeeds at once.
    skip: bool,
    /// It is a pipe of messages.
    message: bool,
    /// What the raw number leads to, if it is odd.
    pipe: Option<Box<Place>>,
    /// It is an adopted socket.
    socket: bool,
    /// Whose connection was accepted: it is known also after the other end has gone.
    peer: Option<SockAddr>,
}

/// What only Windows has.
#[derive(Debug)]
pub enum OsRequest {
    /// An overlapped call of the caller's own.
    Raw(raw::RawRequest),
}

/// The name of a local socket: there are none of this crate's, and no name that could be told.
pub(crate) fn socket_path(_address: &SockAddr) -> PathBuf {
    PathBuf::new()
}

/// Where a local address of this name is.
pub(crate) fn local_path(name: &str) -> io::Result<PathBuf> {
    Ok(PathBuf::from(format!(r"\\.\pipe\{name}")))
}

/// The longest slice of a vectored operation: a WSABUF counts in 32 bits.
pub(crate) const SLICE_MAX: usize = u32::MAX as usize;

pub(crate) fn slice(base: *mut u8, len: usize) -> Slice {
    Slice { len: u32::try_from(len).unwrap_or(u32::MAX), buf: base }
}

/// Where a slice begins and how long it is.
#[cfg(feature = "sim")]
pub(crate) fn parts(slice: &Slice) -> (*mut u8, usize) {
    (slice.buf, slice.len as usize)
}

/// The handle that an operation yielded.
pub(crate) fn raw_of(value: usize) -> Raw {
    value
}

/// The completion port.
#[derive(Debug)]
struct PortHandle(OwnedHandle);

impl PortHandle {
    fn open(concurrency: u32) -> io::Result<PortHandle> {
        // SAFETY: this is how a port without a handle is made.
        let port = unsafe { CreateIoCompletionPort(INVALID_HANDLE_VALUE, ptr::null_mut(), 0, concurrency) };
        if port.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call succeeded, so the handle is ours.
        Ok(PortHandle(unsafe { OwnedHandle::from_raw_handle(port) }))
    }

    fn raw(&self) -> HANDLE {
        self.0.as_raw_handle()
    }

    fn post(&self, key: usize, overlapped: *mut OVERLAPPED) -> io::Result<()> {
        // SAFETY: the port is open; what is posted is passed through unread.
        let done = unsafe { PostQueuedCompletionStatus(self.raw(), 0, key, overlapped) };
        if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Ties a handle to the port, for life.
    fn associate(&self, handle: HANDLE) -> io::Result<()> {
        self.associate_as(handle, KEY_IO)
    }

    fn associate_as(&self, handle: HANDLE, key: usize) -> io::Result<()> {
        // SAFETY: both handles are open.
        let done = unsafe { CreateIoCompletionPort(handle, self.raw(), key, 0) };
        if done.is_null() { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// Asks for no packet for what succeeds at once, and for no event at all: nobody waits for the handle itself.
fn skip_on_success(handle: HANDLE) -> bool {
    let modes = FILE_SKIP_COMPLETION_PORT_ON_SUCCESS | FILE_SKIP_SET_EVENT_ON_HANDLE;
    // SAFETY: the handle is open.
    unsafe { SetFileCompletionNotificationModes(handle, modes as u8) != 0 }
}

/// What the threads of a port share.
#[derive(Debug)]
struct Inner {
    port: Arc<PortHandle>,
    clock: Clock,
    sleepers: Sleepers,
    /// The buffers that are lent; made when the first is needed.
    lending: OnceLock<Arc<Lending>>,
    quay: OnceLock<&'static Quay>,
    /// Managed receives that wait for a piece; at most as many as there are slots.
    parked: Mutex<VecDeque<Flight>>,
    parked_count: AtomicUsize,
    /// The way to the driver of sockets, for readiness.
    afd: OnceLock<OwnedHandle>,
    /// The slots of raw calls under way, by address.
    raw_calls: Mutex<HashSet<usize>>,
}

impl Inner {
    fn afd(&self) -> io::Result<HANDLE> {
        if let Some(afd) = self.afd.get() {
            return Ok(afd.as_raw_handle());
        }
        let opened = afd::open(&self.port)?;
        Ok(self.afd.get_or_init(|| opened).as_raw_handle())
    }

    /// A raw call begins: only its packet is taken for one of ours.
    fn note_raw(&self, slot: &'static Slot) {
        let address = ptr::from_ref(slot).addr();
        self.raw_calls.lock().unwrap_or_else(PoisonError::into_inner).insert(address);
    }

    /// A raw call has ended. False if there was none in this slot.
    fn forget_raw(&self, slot: *const Slot) -> bool {
        self.raw_calls.lock().unwrap_or_else(PoisonError::into_inner).remove(&slot.addr())
    }

    fn lending(&self, flight: &Flight) -> &Arc<Lending> {
        self.lending.get_or_init(|| {
            let handle = flight.handle().expect("a receive is on a handle");
            handle
                .port
                .new_lending(self.quay.get().expect("a berth was opened before anything was submitted"))
        })
    }

    /// A piece for this operation; if there is none it waits here.
    fn take_piece(&self, flight: Flight) -> Result<(Flight, u16), Step> {
        let lending = Arc::clone(self.lending(&flight));
        // The lock makes a piece that comes back meanwhile wait until the operation is to be found.
        let mut parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(piece) = lending.take() {
            return Ok((flight, piece));
        }
        if flight.is_cancelled() {
            return Err(Step::Ended(flight, sys::cancelled()));
        }
        parked.push_back(flight);
        self.parked_count.store(parked.len(), Ordering::Release);
        Err(Step::Under)
    }

    fn unpark(&self, choose: impl FnOnce(&VecDeque<Flight>) -> Option<usize>) -> Option<Flight> {
        let mut parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        let place = choose(&parked)?;
        let flight = parked.remove(place);
        self.parked_count.store(parked.len(), Ordering::Release);
        flight
    }

    /// What became of an operation during a wait is told at once.
    fn tell(&self, step: Step, sink: &mut Sink) {
        match step {
            Step::Under => {}
            Step::Ended(flight, outcome) => sink.complete(flight, outcome),
            Step::Offload(flight) => sink.offload(flight),
        }
    }
}

#[derive(Debug)]
pub(crate) struct System {
    shared: Arc<Inner>,
}

impl System {
    pub(crate) fn open(config: &Config) -> io::Result<System> {
        if !matches!(config.backend, Backend::Auto | Backend::Iocp) {
            let why = format!("there is no {} on Windows: iocp is what there is", config.backend);
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        socket::start_up()?;
        let port = Arc::new(PortHandle::open(config.concurrency)?);
        let clock = Clock::new(&port, &config.name);
        let shared = Inner {
            port,
            clock,
            sleepers: Sleepers::default(),
            lending: OnceLock::new(),
            quay: OnceLock::new(),
            parked: Mutex::default(),
            parked_count: AtomicUsize::new(0),
            afd: OnceLock::new(),
            raw_calls: Mutex::default(),
        };
        Ok(System { shared: Arc::new(shared) })
    }

    pub(crate) fn backend(&self) -> Backend {
        Backend::Iocp
    }

    pub(crate) fn driver(&self, _config: &Config, quay: &'static Quay) -> io::Result<Driver> {
        let sleeper = self.shared.sleepers.join()?;
        self.shared.quay.get_or_init(|| {
            quay.set_waker(sys::Waker::Os(Waker { shared: Arc::clone(&self.shared) }));
            quay
        });
        let entries = vec![OVERLAPPED_ENTRY::default(); Batch::MAX].into_boxed_slice();
        Ok(Driver { shared: Arc::clone(&self.shared), sleeper, entries })
    }

    pub(crate) fn listen(&self, address: &Address, options: &ListenOptions) -> io::Result<(Raw, Kind)> {
        match address {
            Address::Ip(_) => Ok((socket::listen(address, options)?, Kind::Tcp)),
            Address::Local(_) => self.listen_pipe(address, &pipe::PipeOptions::new()),
        }
    }

    pub(crate) fn listen_pipe(
        &self,
        address: &Address,
        options: &pipe::PipeOptions,
    ) -> io::Result<(Raw, Kind)> {
        let server = pipe::Server::new(&self.shared.port, path_of(address)?, options)?;
        Ok((raw_place(Place::Server(server)), Kind::Pipe))
    }

    pub(crate) fn pipe_stream(
        &self,
        address: &Address,
        options: &pipe::PipeOptions,
    ) -> io::Result<(Raw, Kind)> {
        pipe::name(path_of(address)?)?;
        let client = pipe::Client::new(&self.shared.port, options.is_message());
        Ok((raw_place(Place::Client(client)), Kind::Pipe))
    }

    pub(crate) fn pipe_pair(&self) -> io::Result<(OwnedHandle, OwnedHandle)> {
        pipe::pair(&self.shared.port)
    }

    pub(crate) fn stream(&self, address: &Address, from: Option<SocketAddr>) -> io::Result<(Raw, Kind)> {
        match address {
            Address::Ip(_) => Ok((socket::stream(address, from)?, Kind::Tcp)),
            Address::Local(_) => self.pipe_stream(address, &pipe::PipeOptions::new()),
        }
    }

    pub(crate) fn datagram(&self, address: &Address) -> io::Result<(Raw, Kind)> {
        Ok((socket::datagram(address)?, Kind::Udp))
    }

    pub(crate) fn connect_datagram(&self, raw: Raw, address: &SockAddr) -> io::Result<()> {
        socket::connect_datagram(raw, address)
    }

    pub(crate) fn attach(&self, raw: Raw, kind: Kind, memo: &mut Memo) -> io::Result<()> {
        let handle: HANDLE = ptr::without_provenance_mut(raw);
        match kind {
            Kind::Tcp => {
                memo.peer = accept::take_peer(raw);
                self.shared.port.associate(handle)?;
                memo.skip = socket::may_skip(raw) && skip_on_success(handle);
            }
            // Datagrams and skipping do not go together: a known fault of the system.
            Kind::Udp => self.shared.port.associate(handle)?,
            Kind::File => {
                self.shared.port.associate(handle)?;
                memo.skip = skip_on_success(handle);
            }
            Kind::Pipe if raw & 1 == 1 => {
                // SAFETY: an odd number is the address of a box, plus one, and is taken back once.
                let place = unsafe { Box::from_raw(ptr::with_exposed_provenance_mut::<Place>(raw - 1)) };
                if let Place::Client(client) = &*place {
                    (memo.message, memo.skip) = (client.message, !client.message);
                }
                memo.pipe = Some(place);
            }
            Kind::Pipe => {
                // One instance, which belongs to the port already. A message cut off is a warning, of which nobody
                // says whether it is skipped: so pipes of messages skip nothing.
                memo.message = pipe::is_message_pipe(handle)?;
                memo.skip = !memo.message && skip_on_success(handle);
            }
            Kind::Foreign => {
                memo.socket = socket::is_one(raw);
                self.shared.port.associate_as(handle, KEY_FOREIGN).map_err(|error| {
                    let why = format!("not opened overlapped, or of another completion port: {error}");
                    io::Error::new(io::ErrorKind::InvalidInput, why)
                })?;
                memo.skip = raw::skips_already(handle);
            }
            Kind::LocalStream | Kind::LocalDatagram => {
                return Err(io::ErrorKind::Unsupported.into());
            }
        }
        Ok(())
    }

    pub(crate) fn close(&self, raw: Raw, kind: Kind, memo: &mut Memo) {
        match kind {
            Kind::Tcp | Kind::Udp => socket::close(raw),
            Kind::Pipe if raw & 1 == 1 => memo.pipe = None,
            Kind::Foreign if memo.socket => socket::close(raw),
            Kind::Pipe | Kind::File | Kind::LocalStream | Kind::LocalDatagram | Kind::Foreign => {
                // SAFETY: the handle that owned it is being dropped, and no operation on it is under way.
                drop(unsafe { OwnedHandle::from_raw_handle(ptr::without_provenance_mut(raw)) });
            }
        }
    }

    pub(crate) fn shutdown(&self, raw: Raw, kind: Kind, how: Shutdown) -> io::Result<()> {
        of_socket(kind)?;
        socket::shutdown(raw, how)
    }

    pub(crate) fn has_halves(&self, kind: Kind) -> bool {
        of_socket(kind).is_ok()
    }

    pub(crate) fn local_address(&self, raw: Raw, kind: Kind) -> io::Result<SockAddr> {
        of_socket(kind)?;
        socket::Borrowed::new(raw).local_addr()
    }

    pub(crate) fn peer_address(&self, raw: Raw, kind: Kind) -> io::Result<SockAddr> {
        of_socket(kind)?;
        socket::Borrowed::new(raw).peer_addr()
    }

    pub(crate) fn nodelay(&self, raw: Raw, kind: Kind) -> io::Result<bool> {
        of_socket(kind)?;
        socket::Borrowed::new(raw).tcp_nodelay()
    }

    pub(crate) fn set_nodelay(&self, raw: Raw, kind: Kind, nodelay: bool) -> io::Result<()> {
        of_socket(kind)?;
        socket::Borrowed::new(raw).set_tcp_nodelay(nodelay)
    }
}

fn path_of(address: &Address) -> io::Result<&std::path::Path> {
    address.as_path().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a pipe has a local address"))
}

/// Asks a socket something that never waits.
pub(crate) fn with_socket<T>(raw: Raw, ask: impl FnOnce(&socket2::Socket) -> io::Result<T>) -> io::Result<T> {
    ask(&socket::Borrowed::new(raw))
}

/// The system's number of a handle, for others.
pub(crate) fn shown(raw: Raw, memo: &Memo) -> Raw {
    match memo.pipe.as_deref() {
        None => raw,
        Some(Place::Client(client)) => client.handle().addr(),
        // Each instance has a number of its own: that of the one that listens.
        Some(Place::Server(server)) => server.handle().addr(),
    }
}

/// The address of the other end, where accepting told it.
pub(crate) fn known_peer(memo: &Memo) -> Option<&SockAddr> {
    memo.peer.as_ref()
}

/// The raw number that stands for this.
fn raw_place(place: Place) -> Raw {
    const { assert!(align_of::<Place>() > 1, "the lowest bit is free") };
    Box::into_raw(Box::new(place)).expose_provenance() | 1
}

/// What only sockets have.
fn of_socket(kind: Kind) -> io::Result<()> {
    if socket::is_socket(kind) {
        return Ok(());
    }
    let why = "a pipe has no socket address, no half to close and no small packets";
    Err(io::Error::new(io::ErrorKind::Unsupported, why))
}

/// Wakes whoever sleeps at the port.
#[derive(Debug)]
pub(crate) struct Waker {
    shared: Arc<Inner>,
}

impl Waker {
    /// One packet: one thread.
    pub(crate) fn wake(&self) -> io::Result<()> {
        self.shared.port.post(KEY_WAKE, ptr::null_mut())
    }

    pub(crate) fn wake_all(&self) -> io::Result<()> {
        self.shared.sleepers.wake_all()
    }
}

/// Wakes one thread, also one that has only said that it will sleep.
#[derive(Debug)]
pub(crate) struct Caller(Arc<Sleeper>);

impl Caller {
    pub(crate) fn call(&self) -> io::Result<()> {
        self.0.call()
    }
}

/// One thread's place at the port.
pub(crate) struct Driver {
    shared: Arc<Inner>,
    sleeper: Arc<Sleeper>,
    /// What one call takes out of the port.
    entries: Box<[OVERLAPPED_ENTRY]>,
}

// SAFETY: the entries lead nowhere between two waits; a driver is its thread's all the same.
unsafe impl Send for Driver {}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Driver")
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.shared.sleepers.leave(&self.sleeper);
    }
}

impl sys::Driver for Driver {
    fn submit(&mut self, flight: Flight, sink: &mut Sink) {
        match op::start(&self.shared, flight, sink) {
            Step::Under => {}
            Step::Ended(flight, outcome) => sink.later(flight, outcome),
            Step::Offload(flight) => sink.offload(flight),
        }
    }

    fn cancel(&mut self, slot: &'static Slot, sink: &mut Sink) {
        if accept::cancel(slot) || overlapped::cancel(slot) {
            return;
        }
        let of_slot = |flight: &Flight| ptr::eq(flight.slot(), slot);
        let waiting = self.shared.unpark(|parked| parked.iter().position(of_slot));
        if let Some(flight) = waiting.or_else(|| self.shared.clock.remove(slot)) {
            accept::forget(slot);
            sink.later(flight, sys::cancelled());
        }
    }

    fn wait(&mut self, timeout: Option<Duration>, _slots: &slab::Owned, sink: &mut Sink) -> io::Result<()> {
        let ended = sink.ended;
        self.serve_parked(sink);
        if !self.shared.clock.works() {
            self.go_on_with_delayed(sink);
        }
        let timeout = if sink.ended == ended && sink.is_empty() { timeout } else { Some(Duration::ZERO) };
        let count = self.take(timeout, sink.room)?;
        for place in 0..count {
            let entry = self.entries[place];
            self.dispatch(&entry, sink);
        }
        self.serve_parked(sink);
        Ok(())
    }

    fn lie_down(&mut self) {
        self.sleeper.lie_down();
    }

    fn deadline_changed(&mut self, deadline: Instant) {
        self.shared.clock.set_timer(deadline);
    }

    fn keeps_time(&self) -> bool {
        self.shared.clock.works()
    }

    fn caller(&self) -> Option<Caller> {
        Some(Caller(Arc::clone(&self.sleeper)))
    }

    fn backend(&self) -> Backend {
        Backend::Iocp
    }
}

impl Driver {
    /// Takes packets out of the port, and sleeps until there is one.
    fn take(&mut self, wait: Option<Duration>, room: usize) -> io::Result<usize> {
        let wait = match self.shared.clock.next_delayed() {
            None => wait,
            due => timeout::until(Instant::now(), due, wait),
        };
        let millis = timeout::millis(wait);
        let room = room.clamp(1, self.entries.len()) as u32;
        let mut count = 0;
        // A sleep may be ended by a call queued to this thread; a look may not, it would find nothing.
        let alertable = i32::from(millis != 0);
        // SAFETY: the port is open, the array has so many entries, and both out-pointers live across the call.
        let done = unsafe {
            GetQueuedCompletionStatusEx(
                self.shared.port.raw(),
                self.entries.as_mut_ptr(),
                room,
                &raw mut count,
                millis,
                alertable,
            )
        };
        if done != 0 {
            return Ok(count as usize);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error().map(i32::cast_unsigned) {
            Some(WAIT_TIMEOUT | WAIT_IO_COMPLETION) => Ok(0),
            _ => Err(error),
        }
    }

    /// What one packet is for. That the wait succeeded says nothing about the operation.
    fn dispatch(&mut self, entry: &OVERLAPPED_ENTRY, sink: &mut Sink) {
        let shared = &*self.shared;
        match entry.lpCompletionKey {
            KEY_WAKE => sink.take_bell_down(),
            KEY_CLOCK => self.go_on_with_delayed(sink),
            KEY_NOP | KEY_GO => {
                let Some(slot) = slot_of(entry.lpOverlapped) else { return sink.unknown(KEY_GO as u64) };
                // SAFETY: packets with these keys are sent by `bounce`, which handed the flight over.
                let flight = unsafe { Flight::take_up(slot) };
                if entry.lpCompletionKey == KEY_NOP {
                    sink.complete(flight, Outcome::ok(0));
                } else {
                    let step = op::resume(shared, flight, sink);
                    shared.tell(step, sink);
                }
            }
            KEY_IO => self.dispatch_io(entry, sink),
            KEY_FOREIGN => {
                // Only the number is looked at: the call may be somebody else's.
                if self.shared.forget_raw(entry.lpOverlapped.cast_const().cast()) {
                    self.dispatch_io(entry, sink);
                } else {
                    sink.unknown(KEY_FOREIGN as u64);
                }
            }
            unknown => sink.unknown(unknown as u64),
        }
    }

    fn dispatch_io(&mut self, entry: &OVERLAPPED_ENTRY, sink: &mut Sink) {
        let shared = &*self.shared;
        let head = entry.lpOverlapped.cast_const().cast::<Head>();
        if head.is_null() {
            return sink.unknown(KEY_IO as u64);
        }
        // SAFETY: handles with this key are used by calls of this back end alone, whose headers are never freed.
        let whose = unsafe { (*head).whose };
        if whose == Whose::Accept {
            // SAFETY: it lies in a call of an accept, as it says.
            match unsafe { accept::dequeued(shared, head, sink) } {
                Some(step) => shared.tell(step, sink),
                None => sink.unknown(KEY_IO as u64),
            }
            return;
        }
        let Some(slot) = slot_of(entry.lpOverlapped) else { return sink.unknown(KEY_IO as u64) };
        // SAFETY: the packet came from a handle of ours, as answer to a call for this slot.
        if let Some((flight, answer)) = unsafe { overlapped::dequeued(slot) } {
            let step = op::landed(shared, flight, answer, sink);
            shared.tell(step, sink);
        }
    }

    /// What waited for a next try.
    fn go_on_with_delayed(&mut self, sink: &mut Sink) {
        let shared = &*self.shared;
        shared.clock.fired(Instant::now(), |flight| {
            let step = op::resume(shared, flight, sink);
            shared.tell(step, sink);
        });
    }

    /// What waited for a piece, as far as pieces have come back.
    fn serve_parked(&mut self, sink: &mut Sink) {
        let shared = &*self.shared;
        let mut left = shared.parked_count.load(Ordering::Acquire);
        while left > 0 && shared.lending.get().is_some_and(|lending| lending.has_free()) {
            let Some(flight) = shared.unpark(|parked| (!parked.is_empty()).then_some(0)) else { return };
            let step = op::resume(shared, flight, sink);
            shared.tell(step, sink);
            left -= 1;
        }
    }
}

/// The slot whose header this is, if an operation is under way in it.
fn slot_of(overlapped: *mut OVERLAPPED) -> Option<&'static Slot> {
    // SAFETY: null, or the start of a slot, by what the packet's key says; slots are never freed.
    let slot = unsafe { overlapped.cast_const().cast::<Slot>().as_ref() }?;
    slot.is_under_way().then_some(slot)
}
