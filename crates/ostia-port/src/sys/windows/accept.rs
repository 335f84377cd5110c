//! Accepting from a TCP listener: one or several AcceptEx calls at a time.
//!
//! Each call has an OVERLAPPED, a socket for the connection and room for two addresses of its own; they lie in an
//! [`Accepting`], which is never freed: it goes to a pool when the last of its packets has been taken. All of it
//! is used under its lock, so the packet of a call waits until the call has returned.
//!
//! An operation that is to end asks the kernel for the end of its calls and waits for all of their packets. A
//! connection that comes before then is handed over like any other.

use std::{
    collections::HashMap,
    io, ptr,
    sync::{
        LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{Ordering, fence},
    },
    time::Duration,
};

use socket2::SockAddr;
use windows_sys::Win32::{
    Foundation::ERROR_OPERATION_ABORTED,
    Networking::WinSock::{
        SOCKADDR, SOCKADDR_STORAGE, WSAECONNABORTED, WSAECONNREFUSED, WSAECONNRESET, WSAENETDOWN,
        WSAENETRESET, WSAETIMEDOUT,
    },
    System::IO::{CancelIoEx, OVERLAPPED},
};

use super::{
    Inner, error,
    op::Step,
    overlapped::{Answer, Head, Said, Whose},
    socket,
};
use crate::{
    op::{
        AcceptMany, Outcome,
        slot::{Flight, Slot},
    },
    sink::Sink,
    sys,
};

/// Calls outstanding for an operation that accepts many: a burst of connects finds this many sockets ready.
const CALLS_MAX: usize = 16;

/// When no socket could be made, and no call is left whose end would lead to another try.
const BACK_OFF: Duration = Duration::from_millis(20);

/// AcceptEx wants 16 bytes more than the longest address, twice.
const ADDRESS_LEN: usize = size_of::<SOCKADDR_STORAGE>() + 16;

/// One call.
#[repr(C)]
struct Call {
    head: Head,
    of: *const Accepting,
    place: usize,
    addresses: std::cell::UnsafeCell<[u8; 2 * ADDRESS_LEN]>,
}

/// The calls of one operation.
pub(crate) struct Accepting {
    calls: [Call; CALLS_MAX],
    state: Mutex<State>,
}

// SAFETY: calls and their memory are used by whoever holds the lock, and by the kernel while they are under way.
unsafe impl Sync for Accepting {}
// SAFETY: as above; `of` leads to the value itself, which is never moved.
unsafe impl Send for Accepting {}

#[derive(Debug)]
struct State {
    /// The operation, while there is one; its flight is handed over to here.
    parent: Option<&'static Slot>,
    listener: usize,
    v6: bool,
    many: bool,
    /// The socket of each call under way.
    sockets: [Option<usize>; CALLS_MAX],
    /// How the operation ends when the last of its packets has come.
    ending: Option<Outcome>,
}

static POOL: Mutex<Vec<&'static Accepting>> = Mutex::new(Vec::new());

impl Accepting {
    fn claim() -> &'static Accepting {
        let pooled = POOL.lock().unwrap_or_else(PoisonError::into_inner).pop();
        pooled.unwrap_or_else(|| {
            let accepting: &'static mut Accepting = Box::leak(Box::new(Accepting {
                calls: std::array::from_fn(|place| Call {
                    head: Head::new(Whose::Accept),
                    of: ptr::null(),
                    place,
                    addresses: std::cell::UnsafeCell::new([0; 2 * ADDRESS_LEN]),
                }),
                state: Mutex::new(State {
                    parent: None,
                    listener: 0,
                    v6: false,
                    many: false,
                    sockets: [None; CALLS_MAX],
                    ending: None,
                }),
            }));
            let of = ptr::from_ref(&*accepting);
            for call in &mut accepting.calls {
                call.of = of;
            }
            accepting
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Begins to accept.
pub(super) fn start(shared: &Inner, flight: Flight, listener: usize, many: bool, sink: &mut Sink) -> Step {
    let v6 = match socket::Borrowed::new(listener).local_addr() {
        Ok(address) => address.is_ipv6(),
        Err(error) => return Step::Ended(flight, Outcome::from_error(&error)),
    };
    let accepting = Accepting::claim();
    let mut state = accepting.lock();
    let slot = flight.slot();
    (state.listener, state.v6, state.many, state.ending) = (listener, v6, many, None);
    state.parent = Some(slot);
    slot.sys.accepting.store(ptr::from_ref(accepting).cast_mut(), Ordering::Release);
    // Pairs with the fence in `cancel`: either the calls are found there, or the request is seen here.
    fence(Ordering::SeqCst);
    if flight.is_cancelled() {
        state.ending = Some(sys::cancelled());
    }
    fill(shared, accepting, state, flight, sink)
}

/// Goes on after a rest: sockets could not be had.
pub(super) fn resume(shared: &Inner, flight: Flight, sink: &mut Sink) -> Step {
    let accepting = flight.slot().sys.accepting.load(Ordering::Acquire);
    // SAFETY: an operation that accepts has its calls until it ends, and calls are never freed.
    let accepting = unsafe { &*accepting };
    let mut state = accepting.lock();
    if flight.is_cancelled() {
        state.ending = Some(sys::cancelled());
    }
    fill(shared, accepting, state, flight, sink)
}

/// Makes as many calls as there should be. Ends the operation if it is to end and nothing is under way.
fn fill(
    shared: &Inner,
    accepting: &'static Accepting,
    mut state: MutexGuard<'static, State>,
    flight: Flight,
    sink: &mut Sink,
) -> Step {
    let calls_max = if state.many { CALLS_MAX } else { 1 };
    // What the calls may still bring fits into the ticket, too.
    let room = AcceptMany::WAITING_MAX.saturating_sub(flight.items_waiting());
    let wanted = calls_max.min(room.max(usize::from(!state.many)));
    let mut under_way = state.sockets.iter().flatten().count();
    let mut place = 0;
    // A listener that refuses each of so many calls for the sake of one connection has another fault.
    let mut tries = 64;
    while state.ending.is_none() && under_way < wanted && place < calls_max {
        if state.sockets[place].is_some() {
            place += 1;
            continue;
        }
        let Err(error) = call(accepting, &mut state, place) else {
            under_way += 1;
            continue;
        };
        tries -= 1;
        let code = error.raw_os_error().unwrap_or(error::CODE_OTHER);
        let of_one = is_of_one_connection(code) && tries > 0;
        let lack = error::class(code) == crate::error::Class::Transient;
        if !state.many {
            if of_one {
                continue;
            }
            state.ending = Some(Outcome::error(code));
        } else if of_one || lack {
            if !sink.item(&flight, Outcome::error(code)) {
                state.ending = Some(sys::cancelled());
            }
            if lack {
                break;
            }
        } else {
            state.ending = Some(Outcome::error(code));
        }
    }
    conclude(shared, accepting, state, flight)
}

/// One AcceptEx with a socket of its own.
fn call(accepting: &'static Accepting, state: &mut State, place: usize) -> io::Result<()> {
    let functions = socket::extensions(state.listener, state.v6)?;
    let accept = functions.accept.expect("a lookup that succeeds gives a function");
    let fresh = socket::into_raw(socket::fresh_for_accept(state.v6)?);
    let call = &accepting.calls[place];
    // SAFETY: no socket is noted for this call, so it is not under way.
    unsafe { call.head.reset(0) };
    let address_len = ADDRESS_LEN as u32;
    // No first bytes are waited for: a client that says nothing would hold the call for ever.
    // SAFETY: header and addresses are never freed, and used by nobody else until the packet has come.
    let done = unsafe {
        accept(
            state.listener,
            fresh,
            call.addresses.get().cast(),
            0,
            address_len,
            address_len,
            ptr::null_mut(),
            overlapped_of(call),
        )
    };
    let said = if done != 0 { Said::Done } else { socket::said_last() };
    if let Said::Failed(code) = said {
        socket::close(fresh);
        return Err(io::Error::from_raw_os_error(code as i32));
    }
    state.sockets[place] = Some(fresh);
    Ok(())
}

fn overlapped_of(call: &'static Call) -> *mut OVERLAPPED {
    ptr::from_ref(call).cast_mut().cast()
}

/// The packet of one call has come. None if there is no such call.
///
/// # Safety
///
/// The header lies in a call of an [`Accepting`].
pub(super) unsafe fn dequeued(shared: &Inner, head: *const Head, sink: &mut Sink) -> Option<Step> {
    // SAFETY: the caller's promise; the header is the first thing in it.
    let call = unsafe { &*head.cast::<Call>() };
    // SAFETY: it leads to the value around the call, which is never freed.
    let accepting: &'static Accepting = unsafe { &*call.of };
    let mut state = accepting.lock();
    let fresh = state.sockets[call.place].take()?;
    let parent = state.parent.expect("calls belong to an operation");
    // SAFETY: its flight was handed over to here, and the lock is held.
    let flight = unsafe { Flight::take_up(parent) };
    // SAFETY: its packet has come.
    let answer = unsafe { call.head.answer() };
    match end_of(call, &state, fresh, answer) {
        Ok(()) => {
            let outcome = Outcome::ok(fresh);
            if !state.many {
                state.ending = Some(outcome);
            } else if !sink.item(&flight, outcome) {
                begin_end(accepting, &mut state, sys::cancelled());
            } else if flight.items_waiting() >= AcceptMany::WAITING_MAX {
                begin_end(accepting, &mut state, Outcome::ok(0));
            }
        }
        Err(code) => {
            socket::close(fresh);
            let asked = state.ending.is_some() || flight.is_cancelled();
            if code == ERROR_OPERATION_ABORTED as i32 && asked {
                begin_end(accepting, &mut state, sys::cancelled());
            } else if is_of_one_connection(code) {
                if state.many && !sink.item(&flight, Outcome::error(code)) {
                    begin_end(accepting, &mut state, sys::cancelled());
                }
            } else {
                // Nobody asked for its end: the listener itself is broken.
                let code = if code == ERROR_OPERATION_ABORTED as i32 { WSAECONNABORTED } else { code };
                begin_end(accepting, &mut state, Outcome::error(code));
            }
        }
    }
    Some(fill(shared, accepting, state, flight, sink))
}

/// Whether the call has a connection; if so it is made a socket like any other.
fn end_of(call: &Call, state: &State, fresh: usize, answer: Answer) -> Result<(), i32> {
    if answer.code != 0 {
        return Err(error::of_socket(answer.code));
    }
    socket::update_accepted(fresh, state.listener)
        .map_err(|error| error.raw_os_error().unwrap_or(error::CODE_OTHER))?;
    if let Ok(functions) = socket::extensions(state.listener, state.v6)
        && let Some(addresses) = functions.accept_addresses
    {
        let mut local: *mut SOCKADDR = ptr::null_mut();
        let mut peer: *mut SOCKADDR = ptr::null_mut();
        let (mut local_len, mut peer_len) = (0, 0);
        let len = ADDRESS_LEN as u32;
        // SAFETY: the call has ended and left both addresses there; the four places live across this one.
        unsafe {
            addresses(
                call.addresses.get().cast(),
                0,
                len,
                len,
                &raw mut local,
                &raw mut local_len,
                &raw mut peer,
                &raw mut peer_len,
            );
        }
        // SAFETY: it was told to lie there, and to be so long.
        if let Some(peer) = unsafe { copy_address(peer, peer_len) } {
            note_peer(fresh, peer);
        }
    }
    Ok(())
}

/// The other ends of accepted sockets that nobody has taken from their tickets yet, whichever port they will be of.
static PEERS: LazyLock<Mutex<HashMap<usize, SockAddr>>> = LazyLock::new(Mutex::default);

fn note_peer(raw: usize, peer: SockAddr) {
    PEERS.lock().unwrap_or_else(PoisonError::into_inner).insert(raw, peer);
}

/// The other end of a socket that is taken from its ticket, if it was accepted.
pub(super) fn take_peer(raw: usize) -> Option<SockAddr> {
    PEERS.lock().unwrap_or_else(PoisonError::into_inner).remove(&raw)
}

/// # Safety
///
/// If the address is not null, so many bytes of one lie there.
unsafe fn copy_address(address: *const SOCKADDR, len: i32) -> Option<SockAddr> {
    let len = usize::try_from(len).ok().filter(|len| *len > 0 && *len <= size_of::<SOCKADDR_STORAGE>())?;
    if address.is_null() {
        return None;
    }
    let mut storage = socket2::SockAddrStorage::zeroed();
    // SAFETY: the storage is one of this very type.
    let room = ptr::from_mut(unsafe { storage.view_as::<SOCKADDR_STORAGE>() });
    // SAFETY: the caller's promise; the length was seen to fit.
    unsafe { ptr::copy_nonoverlapping(address.cast::<u8>(), room.cast::<u8>(), len) };
    // SAFETY: it was copied from an address of this length.
    Some(unsafe { SockAddr::new(storage, len as i32) })
}

/// The operation is to end, by this outcome unless it has one already; its calls are asked to end.
fn begin_end(accepting: &'static Accepting, state: &mut State, outcome: Outcome) {
    if state.ending.is_some() {
        return;
    }
    state.ending = Some(outcome);
    for (call, socket) in accepting.calls.iter().zip(&state.sockets) {
        if socket.is_some() {
            let listener = ptr::without_provenance_mut(state.listener);
            // SAFETY: the header is never freed, and the operation keeps the listener open.
            unsafe { CancelIoEx(listener, overlapped_of(call)) };
        }
    }
}

/// Ends the operation, if it is to end and its last packet has come; else it is handed over again.
fn conclude(
    shared: &Inner,
    accepting: &'static Accepting,
    mut state: MutexGuard<'static, State>,
    flight: Flight,
) -> Step {
    if state.many && flight.items_waiting() >= AcceptMany::WAITING_MAX {
        begin_end(accepting, &mut state, Outcome::ok(0));
    }
    if state.sockets.iter().any(Option::is_some) {
        let _ = flight.hand_over();
        return Step::Under;
    }
    let (flight, outcome) = match state.ending.take() {
        Some(outcome) => (flight, outcome),
        // Nothing is under way, and nothing is to end: sockets could not be had.
        None => match shared.clock.delay(flight, BACK_OFF) {
            Ok(()) => return Step::Under,
            Err(flight) => (flight, sys::cancelled()),
        },
    };
    drop(state);
    forget(flight.slot());
    Step::Ended(flight, outcome)
}

/// Somebody wants the end of the operation in this slot, which is pinned. False if it has no calls under way.
pub(super) fn cancel(slot: &'static Slot) -> bool {
    fence(Ordering::SeqCst);
    let accepting = slot.sys.accepting.load(Ordering::Acquire);
    // SAFETY: null, or calls, which are never freed.
    let Some(accepting) = (unsafe { accepting.cast_const().as_ref() }) else { return false };
    let mut state = accepting.lock();
    // They may be another operation's by now.
    if !state.parent.is_some_and(|parent| ptr::eq(parent, slot)) {
        return false;
    }
    if state.sockets.iter().all(Option::is_none) {
        return false;
    }
    begin_end(accepting, &mut state, sys::cancelled());
    true
}

/// Lets go of the calls of an operation, none of which is under way.
pub(super) fn forget(slot: &'static Slot) {
    let accepting = slot.sys.accepting.swap(ptr::null_mut(), Ordering::AcqRel);
    // SAFETY: null, or calls, which are never freed.
    let Some(accepting) = (unsafe { accepting.cast_const().as_ref() }) else { return };
    accepting.lock().parent = None;
    POOL.lock().unwrap_or_else(PoisonError::into_inner).push(accepting);
}

/// One connection was over before it was accepted; the next may be well.
fn is_of_one_connection(code: i32) -> bool {
    [WSAECONNABORTED, WSAECONNRESET, WSAECONNREFUSED, WSAENETDOWN, WSAENETRESET, WSAETIMEDOUT].contains(&code)
}
