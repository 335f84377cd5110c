//! From an operation to calls of the system, and from their answers to its outcome.
//!
//! An operation is a loop: one call ([`call`]), its answer, and what follows from that ([`react`]). An answer may
//! be there at once or come in a packet; both lead here.

use std::{
    io, ptr,
    sync::{PoisonError, atomic::Ordering},
    time::Duration,
};

use windows_sys::Win32::{
    Foundation::{
        ERROR_ACCESS_DENIED, ERROR_BROKEN_PIPE, ERROR_CONNECTION_ABORTED, ERROR_FILE_NOT_FOUND,
        ERROR_HANDLE_EOF, ERROR_MORE_DATA, ERROR_NO_DATA, ERROR_OPERATION_ABORTED, ERROR_PIPE_BUSY,
        ERROR_PIPE_CONNECTED, ERROR_PIPE_NOT_CONNECTED, ERROR_PORT_UNREACHABLE, HANDLE,
    },
    Networking::WinSock::{WSABUF, WSAECONNRESET, WSAEMSGSIZE, WSAENETRESET, WSAENOTCONN},
};

use super::{
    Inner, KEY_GO, KEY_NOP, OsRequest, accept, afd, error,
    overlapped::{self, Answer, Issued, issue},
    pipe::{self, Place},
    raw::RawRequest,
    socket,
};
use crate::{
    handle,
    handle::Kind,
    op::{AcceptMany, Flags, Outcome, Readiness, ReceiveManagedMany, Request, Slice, slot::Flight},
    sink::Sink,
    sys,
};

/// What became of an operation for now.
#[must_use]
pub(super) enum Step {
    /// It is with the kernel, or waits somewhere.
    Under,
    Ended(Flight, Outcome),
    /// It has no asynchronous form.
    Offload(Flight),
}

/// What follows from an answer.
enum Next {
    /// One more call.
    Again(Flight),
    Is(Step),
}

fn ended(flight: Flight, outcome: Outcome) -> Next {
    Next::Is(Step::Ended(flight, outcome))
}

/// Stages of a managed receive.
const WAIT_FOR_BYTES: u32 = 0;
const TAKE_BYTES: u32 = 1;

/// What the system has in its cache, or takes into it, is copied inside the call that asks for it, and everything else of
/// the thread waits: so a file is read and written in pieces of this size at most, and others come to it between them.
const FILE_PIECE: usize = 256 * 1024;

/// A client whose pipe is busy tries again after so long, and twice as long each time up to the second figure.
const FIRST_RETRY: Duration = Duration::from_millis(1);
const LAST_RETRY: Duration = Duration::from_millis(32);

/// Begins an operation, from `submit`.
pub(super) fn start(shared: &Inner, flight: Flight, sink: &mut Sink) -> Step {
    flight.slot().sys.begin();
    match flight.request() {
        Request::Nop => bounce(shared, flight, KEY_NOP),
        // Their results may come at once, and none may be told inside `submit`.
        Request::Accept { many: true } | Request::ReceiveManaged { many: true } => {
            bounce(shared, flight, KEY_GO)
        }
        _ => run(shared, flight, sink),
    }
}

/// Sends the operation through the port: it goes on during a wait.
fn bounce(shared: &Inner, flight: Flight, key: usize) -> Step {
    let slot = flight.hand_over();
    match shared.port.post(key, overlapped::overlapped_of(slot)) {
        Ok(()) => Step::Under,
        Err(error) => {
            // SAFETY: no packet was sent, so nobody else takes it up.
            let flight = unsafe { Flight::take_up(slot) };
            Step::Ended(flight, Outcome::from_error(&error))
        }
    }
}

/// Goes on with an operation that waited for something else than a call.
pub(super) fn resume(shared: &Inner, flight: Flight, sink: &mut Sink) -> Step {
    if matches!(flight.request(), Request::Accept { .. })
        && !flight.slot().sys.accepting.load(Ordering::Acquire).is_null()
    {
        return accept::resume(shared, flight, sink);
    }
    run(shared, flight, sink)
}

/// An answer has come in a packet.
pub(super) fn landed(shared: &Inner, flight: Flight, answer: Answer, sink: &mut Sink) -> Step {
    match react(shared, flight, answer, sink) {
        Next::Again(flight) => run(shared, flight, sink),
        Next::Is(step) => step,
    }
}

/// Makes calls until one takes time, or the operation has ended.
fn run(shared: &Inner, mut flight: Flight, sink: &mut Sink) -> Step {
    loop {
        match call(shared, flight, sink) {
            Called::Issued(Issued::Under) => return Step::Under,
            Called::Issued(Issued::Ended(of, answer)) => match react(shared, of, answer, sink) {
                Next::Again(of) if was_long_copy(&of, answer) => return bounce(shared, of, KEY_GO),
                Next::Again(of) => flight = of,
                Next::Is(step) => return step,
            },
            Called::Not(step) => return step,
        }
    }
}

/// Whether the call was of a file, and has copied a whole piece on this thread.
fn was_long_copy(flight: &Flight, answer: Answer) -> bool {
    let is_of_file = matches!(
        flight.request(),
        Request::ReadAt { .. }
            | Request::ReadVectoredAt { .. }
            | Request::WriteAt { .. }
            | Request::WriteVectoredAt { .. }
    );
    is_of_file && answer.bytes == FILE_PIECE
}

/// The handle that an operation's calls are on.
fn target(handle: &handle::Inner) -> HANDLE {
    match &handle.sys.pipe {
        Some(place) => match &**place {
            Place::Client(client) => client.handle(),
            Place::Server(_) => ptr::null_mut(),
        },
        None => ptr::without_provenance_mut(handle.raw),
    }
}

enum Called {
    Issued(Issued),
    Not(Step),
}

fn refused(flight: Flight, code: i32) -> Called {
    Called::Not(Step::Ended(flight, Outcome::error(code)))
}

fn failed(flight: Flight, error: &io::Error) -> Called {
    Called::Not(Step::Ended(flight, Outcome::from_error(error)))
}

/// The next call of an operation.
fn call(shared: &Inner, flight: Flight, sink: &mut Sink) -> Called {
    let (handle, skip, kind) = match flight.handle() {
        Some(handle) => (target(handle), handle.sys.skip, handle.kind),
        None => (ptr::null_mut(), false, Kind::File),
    };
    let aside = &flight.slot().sys;
    let done = aside.done.load(Ordering::Relaxed);
    let socket = handle.addr();
    if kind == Kind::Pipe && handle.is_null() && moves_bytes(flight.request()) {
        // A client that has not connected. The code of a pipe for this would read as the end of the stream.
        return refused(flight, WSAENOTCONN);
    }
    Called::Issued(match *flight.request() {
        Request::Receive { buffer, len } => receive(flight, handle, kind, skip, &[slice_of(buffer, len)]),
        Request::ReceiveVectored { slices, count } => {
            // SAFETY: the request's pointers are good while the flight lives.
            let slices = unsafe { std::slice::from_raw_parts(slices, count) };
            let (left, count) = socket::rest(slices, done);
            receive(flight, handle, kind, skip, &left[..count])
        }
        Request::Send { buffer, len } => {
            let left = slice_of(buffer.cast_mut().wrapping_add(done), len - done);
            send(flight, handle, kind, skip, &[left])
        }
        Request::SendVectored { slices, count } => {
            // SAFETY: the request's pointers are good while the flight lives.
            let slices = unsafe { std::slice::from_raw_parts(slices, count) };
            let (left, count) = socket::rest(slices, done);
            if kind == Kind::Pipe && count > 1 && is_message(&flight) {
                // Each write is a message, and these are to be one: no call gathers them.
                let gathered = gather(&flight, &left[..count]);
                return Called::Issued(send(flight, handle, kind, skip, &[gathered]));
            }
            send(flight, handle, kind, skip, &left[..count])
        }
        Request::ReceiveManaged { .. } => {
            if aside.stage.load(Ordering::Relaxed) == WAIT_FOR_BYTES {
                receive(flight, handle, kind, skip, &[WSABUF { len: 0, buf: ptr::null_mut() }])
            } else {
                return take_bytes(shared, flight, handle, kind, skip);
            }
        }
        Request::ReceiveFrom { message } => issue(flight, handle, skip, 0, |overlapped| {
            // SAFETY: message and header are the operation's, which the kernel has until the call has ended.
            unsafe { socket::receive_from(socket, message, overlapped) }
        }),
        Request::SendTo { message } => issue(flight, handle, skip, 0, |overlapped| {
            // SAFETY: as above.
            unsafe { socket::send_to(socket, message, overlapped) }
        }),
        Request::ReadAt { len, .. } if done == len => return ended_at(flight, done),
        Request::ReadAt { buffer, len, offset } => {
            read(flight, handle, skip, offset + done as u64, slice_of(buffer.wrapping_add(done), len - done))
        }
        Request::WriteAt { len, .. } if done == len => return ended_at(flight, done),
        Request::WriteAt { buffer, len, offset } => {
            let left = slice_of(buffer.cast_mut().wrapping_add(done), len - done);
            write(flight, handle, skip, offset + done as u64, left)
        }
        Request::ReadVectoredAt { slices, count, offset } => {
            // SAFETY: the request's pointers are good while the flight lives.
            let slices = unsafe { std::slice::from_raw_parts(slices, count) };
            let (left, count) = socket::rest(slices, done);
            if count == 0 {
                return ended_at(flight, done);
            }
            read(flight, handle, skip, offset + done as u64, left[0])
        }
        Request::WriteVectoredAt { slices, count, offset } => {
            // SAFETY: as above.
            let slices = unsafe { std::slice::from_raw_parts(slices, count) };
            let (left, count) = socket::rest(slices, done);
            if count == 0 {
                return ended_at(flight, done);
            }
            write(flight, handle, skip, offset + done as u64, left[0])
        }
        Request::Connect { target } if kind == Kind::Pipe => {
            // SAFETY: the request's pointers are good while the flight lives.
            let path = unsafe { (*target).address.as_path() };
            return connect_pipe(shared, path, flight);
        }
        Request::Connect { target } => {
            // SAFETY: as above.
            let Some(to) = (unsafe { (*target).socket.as_ref() }) else {
                return refused(flight, error::CODE_UNSUPPORTED);
            };
            let mut failure = None;
            let issued = issue(flight, handle, skip, 0, |overlapped| {
                // SAFETY: address and header are the operation's, which the kernel has until the call has ended.
                let said = unsafe { socket::connect(socket, to, overlapped) };
                said.unwrap_or_else(|error| {
                    failure = error.raw_os_error();
                    overlapped::Said::Failed(0)
                })
            });
            match (issued, failure) {
                (Issued::Ended(flight, _), Some(code)) => return refused(flight, code),
                (issued, _) => issued,
            }
        }
        Request::Accept { many } if kind == Kind::Tcp => {
            return Called::Not(accept::start(shared, flight, socket, many, sink));
        }
        Request::Accept { .. } => return accept_pipe(shared, flight),
        Request::Sync { .. } | Request::SetSize { .. } | Request::File { .. } => {
            return Called::Not(Step::Offload(flight));
        }
        Request::Ready { readiness } => return wait_for_readiness(shared, flight, socket, readiness),
        Request::Os(OsRequest::Raw(ref request)) => {
            let (operation, start) = request.parts();
            shared.note_raw(flight.slot());
            let issued = issue(flight, handle, skip, 0, |overlapped| {
                // SAFETY: the operation stays where it is while it is under way, and this is its one call.
                unsafe { RawRequest::start(operation, start, handle, overlapped) }
            });
            if let Issued::Ended(flight, _) = &issued {
                shared.forget_raw(flight.slot());
            }
            issued
        }
        Request::Nop | Request::Timer(_) => return refused(flight, error::CODE_UNSUPPORTED),
    })
}

fn moves_bytes(request: &Request) -> bool {
    !matches!(request, Request::Connect { .. } | Request::Accept { .. })
}

fn ended_at(flight: Flight, done: usize) -> Called {
    Called::Not(Step::Ended(flight, Outcome::ok(done)))
}

fn slice_of(buffer: *mut u8, len: usize) -> WSABUF {
    WSABUF { len: len.min(socket::CALL_MAX) as u32, buf: buffer }
}

/// Whether the pipe that the operation is on is one of messages.
fn is_message(flight: &Flight) -> bool {
    flight.handle().is_some_and(|handle| handle.sys.message)
}

/// Copies several buffers to one place, which stays as it is until the operation ends.
fn gather(flight: &Flight, slices: &[Slice]) -> Slice {
    let mut gathered = flight.slot().sys.gathered.lock().unwrap_or_else(PoisonError::into_inner);
    gathered.clear();
    for slice in slices {
        // SAFETY: the slices are those of the operation's buffers, whose bytes are initialised.
        gathered.extend_from_slice(unsafe { std::slice::from_raw_parts(slice.buf, slice.len as usize) });
    }
    slice_of(gathered.as_mut_ptr(), gathered.len())
}

fn receive(flight: Flight, handle: HANDLE, kind: Kind, skip: bool, slices: &[Slice]) -> Issued {
    issue(flight, handle, skip, 0, |overlapped| {
        if kind == Kind::Pipe {
            let first = slices[0];
            // SAFETY: buffer and header are the operation's, which the kernel has until the call has ended.
            unsafe { pipe::read(handle, first.buf, first.len, overlapped) }
        } else {
            // SAFETY: as above.
            unsafe { socket::receive(handle.addr(), slices, overlapped) }
        }
    })
}

fn send(flight: Flight, handle: HANDLE, kind: Kind, skip: bool, slices: &[Slice]) -> Issued {
    issue(flight, handle, skip, 0, |overlapped| {
        if kind == Kind::Pipe {
            let first = slices.first().copied().unwrap_or(WSABUF { len: 0, buf: ptr::null_mut() });
            // SAFETY: buffer and header are the operation's, which the kernel has until the call has ended.
            unsafe { pipe::write(handle, first.buf, first.len, overlapped) }
        } else {
            // SAFETY: as above.
            unsafe { socket::send(handle.addr(), slices, overlapped) }
        }
    })
}

fn read(flight: Flight, handle: HANDLE, skip: bool, offset: u64, room: Slice) -> Issued {
    issue(flight, handle, skip, offset, |overlapped| {
        // SAFETY: buffer and header are the operation's, which the kernel has until the call has ended.
        unsafe { pipe::read(handle, room.buf, room.len.min(FILE_PIECE as u32), overlapped) }
    })
}

fn write(flight: Flight, handle: HANDLE, skip: bool, offset: u64, left: Slice) -> Issued {
    issue(flight, handle, skip, offset, |overlapped| {
        // SAFETY: as above.
        unsafe { pipe::write(handle, left.buf, left.len.min(FILE_PIECE as u32), overlapped) }
    })
}

/// The second half of a managed receive: there are bytes, so now a piece is taken.
fn take_bytes(shared: &Inner, flight: Flight, handle: HANDLE, kind: Kind, skip: bool) -> Called {
    let (flight, piece) = match shared.take_piece(flight) {
        Ok(taken) => taken,
        Err(step) => return Called::Not(step),
    };
    flight.slot().sys.piece.store(piece.into(), Ordering::Relaxed);
    let lending = shared.lending(&flight);
    let room = slice_of(lending.address(piece), lending.piece_len());
    Called::Issued(receive(flight, handle, kind, skip, &[room]))
}

/// A try to open a pipe. A busy one is tried again by the clock: its own wait would hold the thread.
fn connect_pipe(shared: &Inner, path: Option<&std::path::Path>, flight: Flight) -> Called {
    if flight.is_cancelled() {
        return Called::Not(Step::Ended(flight, sys::cancelled()));
    }
    let client = flight.handle().and_then(|handle| match handle.sys.pipe.as_deref() {
        Some(Place::Client(client)) => Some(client),
        _ => None,
    });
    let (Some(client), Some(path)) = (client, path) else { return refused(flight, error::CODE_UNSUPPORTED) };
    match client.open(path) {
        Ok(()) => ended_at(flight, 0),
        Err(error) => {
            let aside = &flight.slot().sys;
            let gone = error.raw_os_error() == Some(ERROR_FILE_NOT_FOUND as i32);
            let busy = error.raw_os_error() == Some(BUSY);
            // A name with few instances is gone for a moment between one client and the next. Who has seen it
            // waits for it a while.
            let was_there = aside.stage.load(Ordering::Relaxed) > 0;
            if busy {
                aside.piece.store(0, Ordering::Relaxed);
            }
            if busy || gone && was_there && aside.piece.fetch_add(1, Ordering::Relaxed) < GONE_TRIES {
                return Called::Not(retry(shared, flight));
            }
            failed(flight, &error)
        }
    }
}

/// So often a pipe that was busy may be gone when it is tried again.
const GONE_TRIES: u32 = 32;

/// The same again, a little later.
fn retry(shared: &Inner, flight: Flight) -> Step {
    let tries = flight.slot().sys.stage.fetch_add(1, Ordering::Relaxed);
    let delay = FIRST_RETRY.saturating_mul(1 << tries.min(16)).min(LAST_RETRY);
    match shared.clock.delay(flight, delay) {
        Ok(()) => Step::Under,
        Err(flight) => Step::Ended(flight, sys::cancelled()),
    }
}

/// Asks the driver below Winsock, which knows sockets only.
fn wait_for_readiness(shared: &Inner, flight: Flight, raw: usize, readiness: Readiness) -> Called {
    let Some(base) = afd::base(raw) else { return refused(flight, error::CODE_UNSUPPORTED) };
    let afd = match shared.afd() {
        Ok(afd) => afd,
        Err(error) => return failed(flight, &error),
    };
    let room = &flight.slot().sys.poll;
    Called::Issued(issue(flight, afd, false, 0, |overlapped| {
        // SAFETY: room and header are the operation's, which the kernel has until the request has ended.
        unsafe { afd::poll(afd, base, readiness, room, overlapped) }
    }))
}

fn server(flight: &Flight) -> Option<&pipe::Server> {
    match flight.handle()?.sys.pipe.as_deref() {
        Some(Place::Server(server)) => Some(server),
        _ => None,
    }
}

fn accept_pipe(shared: &Inner, flight: Flight) -> Called {
    let Some(server) = server(&flight) else { return refused(flight, error::CODE_UNSUPPORTED) };
    match server.begin() {
        Ok(instance) => Called::Issued(issue(flight, instance, false, 0, |overlapped| {
            // SAFETY: the header is the operation's, which the kernel has until the call has ended.
            unsafe { pipe::connect(instance, overlapped) }
        })),
        // As many instances as there may be serve their clients: one of them will be done some time.
        Err(error) if matches!(error.raw_os_error(), Some(BUSY | DENIED)) => {
            Called::Not(retry(shared, flight))
        }
        Err(error) => failed(flight, &error),
    }
}

const BUSY: i32 = ERROR_PIPE_BUSY as i32;
const DENIED: i32 = ERROR_ACCESS_DENIED as i32;

/// What follows from a call's answer.
fn react(shared: &Inner, flight: Flight, answer: Answer, sink: &mut Sink) -> Next {
    let kind = flight.handle().map_or(Kind::File, |handle| handle.kind);
    let Answer { code, bytes } = answer;
    let aside = &flight.slot().sys;
    match *flight.request() {
        Request::Receive { .. } => {
            let outcome = received(&flight, kind, code, bytes);
            ended(flight, outcome)
        }
        Request::ReceiveVectored { slices, count } => {
            let done = flight.slot().sys.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
            // SAFETY: the request's pointers are good while the flight lives.
            let slices = unsafe { std::slice::from_raw_parts(slices, count) };
            if kind == Kind::Pipe && code == ERROR_MORE_DATA && socket::rest(slices, done).1 > 0 {
                // The message goes on, and so does the room.
                return Next::Again(flight);
            }
            let outcome = received(&flight, kind, code, done);
            ended(flight, outcome)
        }
        Request::ReceiveManaged { many } => managed(shared, flight, kind, many, answer, sink),
        Request::Send { len, .. } => sent(flight, kind, code, bytes, len),
        Request::SendVectored { slices, count } => {
            // SAFETY: the request's pointers are good while the flight lives.
            let slices = unsafe { std::slice::from_raw_parts(slices, count) };
            let len = slices.iter().map(|slice| slice.len as usize).sum();
            // Its memory is given back: messages of several buffers are rare, and slots are many.
            drop(std::mem::take(&mut *aside.gathered.lock().unwrap_or_else(PoisonError::into_inner)));
            sent(flight, kind, code, bytes, len)
        }
        Request::ReceiveFrom { message } => {
            if is_echo_of_send(code) && !flight.is_cancelled() {
                return Next::Again(flight);
            }
            if code == 0 || is_cut_off(code) {
                // SAFETY: the request's pointers are good while the flight lives, and the receive has ended.
                unsafe { socket::fill_in_sender(message) };
            }
            let outcome = received(&flight, kind, code, bytes);
            ended(flight, outcome)
        }
        Request::SendTo { .. } => {
            let outcome = if code == 0 { Outcome::ok(bytes) } else { error_of(&flight, kind, code) };
            ended(flight, outcome)
        }
        Request::ReadAt { .. } | Request::ReadVectoredAt { .. } => {
            let done = flight.slot().sys.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
            match code {
                0 if is_whole(&flight, done) => ended(flight, Outcome::ok(done)),
                0 if bytes > 0 => Next::Again(flight),
                0 | ERROR_HANDLE_EOF => ended(flight, Outcome::ok(done)),
                _ => {
                    let outcome = error_of(&flight, kind, code);
                    ended(flight, outcome)
                }
            }
        }
        Request::WriteAt { len, .. } => sent(flight, kind, code, bytes, len),
        Request::WriteVectoredAt { slices, count, .. } => {
            // SAFETY: the request's pointers are good while the flight lives.
            let slices = unsafe { std::slice::from_raw_parts(slices, count) };
            let len = slices.iter().map(|slice| slice.len as usize).sum();
            sent(flight, kind, code, bytes, len)
        }
        Request::Connect { .. } => {
            let outcome = if code != 0 {
                error_of(&flight, kind, code)
            } else {
                // Before anything else asks the socket.
                let raw = flight.handle().map_or(0, |handle| handle.raw);
                Outcome::of(socket::update_connected(raw), |()| 0)
            };
            ended(flight, outcome)
        }
        Request::Accept { many } => accepted_pipe(flight, many, code, sink),
        Request::Ready { .. } => {
            let outcome = if code == 0 { Outcome::ok(0) } else { error_of(&flight, kind, code) };
            ended(flight, outcome)
        }
        Request::Os(_) => {
            let outcome = received(&flight, kind, code, bytes);
            ended(flight, outcome)
        }
        _ => ended(flight, Outcome::error(error::CODE_UNSUPPORTED)),
    }
}

/// Whether a read into one buffer has filled it.
fn is_whole(flight: &Flight, done: usize) -> bool {
    matches!(flight.request(), Request::ReadAt { len, .. } if done == *len)
}

fn is_cut_off(code: u32) -> bool {
    code == ERROR_MORE_DATA || code == WSAEMSGSIZE as u32
}

/// An earlier datagram found nobody. That is no error of this receive.
fn is_echo_of_send(code: u32) -> bool {
    [ERROR_PORT_UNREACHABLE, WSAECONNRESET as u32, WSAENETRESET as u32].contains(&code)
}

/// How a receive ended.
fn received(flight: &Flight, kind: Kind, code: u32, bytes: usize) -> Outcome {
    match code {
        0 => Outcome::ok(bytes),
        code if is_cut_off(code) => Outcome::ok(bytes).with(Flags::MORE_DATA),
        // The other end of a pipe is gone: that is how its stream ends.
        ERROR_BROKEN_PIPE | ERROR_PIPE_NOT_CONNECTED if kind == Kind::Pipe => Outcome::ok(0),
        code => error_of(flight, kind, code),
    }
}

/// The outcome of a failed call.
fn error_of(flight: &Flight, kind: Kind, code: u32) -> Outcome {
    if code == ERROR_OPERATION_ABORTED && !flight.is_cancelled() {
        // Nobody asked for this end: the handle was torn down under us.
        return Outcome::error(socket_code(kind, ERROR_CONNECTION_ABORTED));
    }
    Outcome::error(socket_code(kind, code))
}

fn socket_code(kind: Kind, code: u32) -> i32 {
    if socket::is_socket(kind) { error::of_socket(code) } else { code as i32 }
}

/// A part of a send or a write is done: all of it, or is there more?
fn sent(flight: Flight, kind: Kind, code: u32, bytes: usize, len: usize) -> Next {
    let done = flight.slot().sys.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
    match code {
        0 if done >= len => ended(flight, Outcome::ok(done)),
        0 if bytes > 0 => Next::Again(flight),
        // No error, and no byte: it would never end.
        0 => ended(flight, Outcome::error(error::CODE_OTHER)),
        ERROR_NO_DATA | ERROR_PIPE_NOT_CONNECTED if kind == Kind::Pipe => {
            ended(flight, Outcome::error(ERROR_BROKEN_PIPE as i32))
        }
        code => {
            let outcome = error_of(&flight, kind, code);
            ended(flight, outcome)
        }
    }
}

/// A step of a managed receive is done.
fn managed(shared: &Inner, flight: Flight, kind: Kind, many: bool, answer: Answer, sink: &mut Sink) -> Next {
    let aside = &flight.slot().sys;
    let Answer { code, bytes } = answer;
    if aside.stage.load(Ordering::Relaxed) == WAIT_FOR_BYTES {
        // On a pipe of messages, "more" is what a look of no bytes says when a message has come.
        if code == 0 && !is_message(&flight) || is_cut_off(code) {
            aside.stage.store(TAKE_BYTES, Ordering::Relaxed);
            return Next::Again(flight);
        }
        let outcome = received(&flight, kind, code, 0);
        return end_of_managed(flight, many, outcome, sink);
    }
    aside.stage.store(WAIT_FOR_BYTES, Ordering::Relaxed);
    let piece = aside.piece.load(Ordering::Relaxed) as u16;
    let outcome = received(&flight, kind, code, bytes);
    let lending = shared.lending(&flight);
    if !outcome.is_ok() || bytes == 0 {
        lending.give_back(piece);
        return end_of_managed(flight, many, outcome, sink);
    }
    let outcome = outcome.with_buffer(lending.name(piece));
    if !many {
        return ended(flight, outcome);
    }
    if !sink.item(&flight, outcome) {
        return ended(flight, sys::cancelled());
    }
    if flight.items_waiting() >= ReceiveManagedMany::WAITING_MAX {
        return ended(flight, Outcome::ok(0));
    }
    Next::Again(flight)
}

/// A managed receive ends without bytes: by an error, or because the stream does.
fn end_of_managed(flight: Flight, many: bool, outcome: Outcome, sink: &mut Sink) -> Next {
    if many && outcome.is_ok() {
        sink.item(&flight, outcome);
    }
    ended(flight, outcome)
}

/// The wait for a pipe's client is over.
fn accepted_pipe(flight: Flight, many: bool, code: u32, sink: &mut Sink) -> Next {
    let Some(server) = server(&flight) else { return ended(flight, Outcome::error(error::CODE_UNSUPPORTED)) };
    match code {
        // It may have been there before anybody waited.
        0 | ERROR_PIPE_CONNECTED => {
            let outcome = Outcome::ok(server.connected());
            flight.slot().sys.stage.store(0, Ordering::Relaxed);
            if !many {
                return ended(flight, outcome);
            }
            if !sink.item(&flight, outcome) {
                return ended(flight, sys::cancelled());
            }
            if flight.items_waiting() >= AcceptMany::WAITING_MAX {
                return ended(flight, Outcome::ok(0));
            }
            Next::Again(flight)
        }
        // It came and went.
        ERROR_NO_DATA => {
            server.disconnect_current();
            server.give_back();
            Next::Again(flight)
        }
        ERROR_OPERATION_ABORTED => {
            server.give_back();
            let outcome = error_of(&flight, Kind::Pipe, code);
            ended(flight, outcome)
        }
        code => {
            server.drop_current();
            ended(flight, Outcome::error(code as i32))
        }
    }
}
