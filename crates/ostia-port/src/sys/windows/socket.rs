//! Sockets: made, asked and closed by calls that never wait; and the calls that move bytes.

use std::{
    io,
    mem::{self, ManuallyDrop},
    net::Shutdown,
    ops::Deref,
    os::windows::io::{FromRawSocket, IntoRawSocket},
    ptr,
    sync::OnceLock,
};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use windows_sys::{
    Win32::{
        Networking::WinSock::{
            LPFN_ACCEPTEX, LPFN_CONNECTEX, LPFN_GETACCEPTEXSOCKADDRS, SIO_GET_EXTENSION_FUNCTION_POINTER,
            SIO_UDP_CONNRESET, SIO_UDP_NETRESET, SO_ACCEPTCONN, SO_EXCLUSIVEADDRUSE, SO_PROTOCOL_INFOW,
            SO_TYPE, SO_UPDATE_ACCEPT_CONTEXT, SO_UPDATE_CONNECT_CONTEXT, SOCKADDR, SOCKADDR_STORAGE, SOCKET,
            SOL_SOCKET, WSA_IO_PENDING, WSABUF, WSADATA, WSAEMSGSIZE, WSAGetLastError, WSAID_ACCEPTEX,
            WSAID_CONNECTEX, WSAID_GETACCEPTEXSOCKADDRS, WSAIoctl, WSAPROTOCOL_INFOW, WSARecv, WSARecvFrom,
            WSASend, WSASendTo, WSAStartup, XP1_IFS_HANDLES, getsockopt, setsockopt,
        },
        System::IO::OVERLAPPED,
    },
    core::GUID,
};

use super::overlapped::Said;
use crate::{
    address::Address,
    handle::Kind,
    op::{Message, SLICES_MAX},
    port::ListenOptions,
};

/// The longest transfer of one call: the count of a completion has 32 bits, and some providers take it as signed.
pub(super) const CALL_MAX: usize = 0x7fff_f000;

/// What a datagram wants beside the message: where the system writes who sent it, and how long that is.
#[derive(Default)]
pub(crate) struct MessageHeader {
    from: SOCKADDR_STORAGE,
    from_len: i32,
    flags: u32,
}

impl std::fmt::Debug for MessageHeader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MessageHeader")
    }
}

/// Winsock must be started before anything is asked of it; never stopped, as other code may use it, too.
pub(super) fn start_up() -> io::Result<()> {
    static STARTED: OnceLock<i32> = OnceLock::new();
    const VERSION: u16 = 0x0202;
    let code = *STARTED.get_or_init(|| {
        // SAFETY: a structure of numbers, arrays and a pointer; all zeros are one.
        let mut data: WSADATA = unsafe { mem::zeroed() };
        // SAFETY: the structure lives across the call.
        let code = unsafe { WSAStartup(VERSION, &raw mut data) };
        if code == 0 && data.wVersion != VERSION { super::error::CODE_UNSUPPORTED } else { code }
    });
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}

/// A look at a socket that belongs to a handle.
pub(super) struct Borrowed(ManuallyDrop<Socket>);

impl Borrowed {
    pub(super) fn new(raw: usize) -> Borrowed {
        // SAFETY: the caller has a handle, which keeps the socket open; it is not closed here.
        Borrowed(ManuallyDrop::new(unsafe { Socket::from_raw_socket(raw as u64) }))
    }
}

impl Deref for Borrowed {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.0
    }
}

/// An overlapped socket that children do not inherit: both are said in the call that makes it.
fn open(address: std::net::SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    Socket::new(Domain::for_address(address), kind, Some(protocol))
}

pub(super) fn into_raw(socket: Socket) -> usize {
    socket.into_raw_socket() as usize
}

fn ip(address: &Address) -> io::Result<std::net::SocketAddr> {
    address.as_ip().ok_or_else(|| {
        let why = "a local name on Windows is that of a pipe, and a pipe is a stream";
        io::Error::new(io::ErrorKind::Unsupported, why)
    })
}

pub(super) fn listen(address: &Address, options: &ListenOptions) -> io::Result<usize> {
    if options.reuse_port {
        let why = "Windows shares no port among listeners";
        return Err(io::Error::new(io::ErrorKind::Unsupported, why));
    }
    let address = ip(address)?;
    let socket = open(address, Type::STREAM, Protocol::TCP)?;
    // Otherwise another program could bind the same port and take the connections.
    set_option(raw(&socket), SO_EXCLUSIVEADDRUSE, &1_u32)?;
    if let (true, Some(only)) = (address.is_ipv6(), options.only_v6) {
        socket.set_only_v6(only)?;
    }
    socket.bind(&address.into())?;
    socket.listen(options.backlog)?;
    Ok(into_raw(socket))
}

pub(super) fn stream(address: &Address, from: Option<std::net::SocketAddr>) -> io::Result<usize> {
    let socket = open(ip(address)?, Type::STREAM, Protocol::TCP)?;
    if let Some(from) = from {
        socket.bind(&from.into())?;
    }
    Ok(into_raw(socket))
}

pub(super) fn datagram(address: &Address) -> io::Result<usize> {
    let address = ip(address)?;
    let socket = open(address, Type::DGRAM, Protocol::UDP)?;
    // An answer that nobody listened to an earlier datagram is no reason for a receive to fail. Where a system
    // has no such switch, the receive is begun again: see `is_echo_of_send`.
    for control in [SIO_UDP_CONNRESET, SIO_UDP_NETRESET] {
        let _ = control_off(raw(&socket), control);
    }
    socket.bind(&address.into())?;
    Ok(into_raw(socket))
}

pub(super) fn connect_datagram(raw: usize, address: &SockAddr) -> io::Result<()> {
    Borrowed::new(raw).connect(address)
}

pub(super) fn close(raw: usize) {
    // SAFETY: the handle that owned it is being dropped, and no operation on it is under way.
    drop(unsafe { Socket::from_raw_socket(raw as u64) });
}

pub(super) fn shutdown(raw: usize, how: Shutdown) -> io::Result<()> {
    Borrowed::new(raw).shutdown(how)
}

fn raw(socket: &Socket) -> SOCKET {
    std::os::windows::io::AsRawSocket::as_raw_socket(socket) as SOCKET
}

fn last_error() -> io::Error {
    // SAFETY: the call reads a number of this thread.
    io::Error::from_raw_os_error(unsafe { WSAGetLastError() })
}

fn set_option<T>(socket: SOCKET, option: i32, value: &T) -> io::Result<()> {
    let len = size_of::<T>() as i32;
    // SAFETY: the value has so many bytes, and lives across the call.
    let done = unsafe { setsockopt(socket, SOL_SOCKET, option, ptr::from_ref(value).cast(), len) };
    if done == 0 { Ok(()) } else { Err(last_error()) }
}

fn option<T>(socket: SOCKET, option: i32) -> io::Result<T> {
    // SAFETY: used below for plain structures of numbers, of which all zeros are one.
    let mut value: T = unsafe { mem::zeroed() };
    let mut len = size_of::<T>() as i32;
    // SAFETY: the value has room for so many bytes, and both live across the call.
    let done = unsafe { getsockopt(socket, SOL_SOCKET, option, (&raw mut value).cast(), &raw mut len) };
    if done == 0 { Ok(value) } else { Err(last_error()) }
}

/// A switch of a socket that is off from here on.
fn control_off(socket: SOCKET, control: u32) -> io::Result<()> {
    let off = 0_u32;
    let mut returned = 0;
    // SAFETY: input and output live across the call, which is not overlapped.
    let done = unsafe {
        WSAIoctl(
            socket,
            control,
            (&raw const off).cast(),
            size_of::<u32>() as u32,
            ptr::null_mut(),
            0,
            &raw mut returned,
            ptr::null_mut(),
            None,
        )
    };
    if done == 0 { Ok(()) } else { Err(last_error()) }
}

/// The extension calls of one provider.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extensions {
    pub(super) accept: LPFN_ACCEPTEX,
    pub(super) accept_addresses: LPFN_GETACCEPTEXSOCKADDRS,
    connect: LPFN_CONNECTEX,
}

fn extension<F>(socket: SOCKET, id: &GUID) -> io::Result<F> {
    const { assert!(size_of::<F>() == size_of::<usize>(), "a function pointer is wanted") };
    let mut function = mem::MaybeUninit::<F>::uninit();
    let mut returned = 0;
    // SAFETY: the id and the room for one pointer live across the call, which is not overlapped.
    let done = unsafe {
        WSAIoctl(
            socket,
            SIO_GET_EXTENSION_FUNCTION_POINTER,
            ptr::from_ref(id).cast(),
            size_of::<GUID>() as u32,
            function.as_mut_ptr().cast(),
            size_of::<F>() as u32,
            &raw mut returned,
            ptr::null_mut(),
            None,
        )
    };
    if done != 0 {
        return Err(last_error());
    }
    // SAFETY: the call succeeded, so the pointer of the function with that id was written.
    Ok(unsafe { function.assume_init() })
}

/// The extension calls for such sockets. One provider serves all sockets of a family; it is asked once.
pub(super) fn extensions(socket: usize, v6: bool) -> io::Result<Extensions> {
    static OF_FAMILY: [OnceLock<Extensions>; 2] = [OnceLock::new(), OnceLock::new()];
    let known = &OF_FAMILY[usize::from(v6)];
    if let Some(extensions) = known.get() {
        return Ok(*extensions);
    }
    let extensions = Extensions {
        accept: extension(socket, &WSAID_ACCEPTEX)?,
        accept_addresses: extension(socket, &WSAID_GETACCEPTEXSOCKADDRS)?,
        connect: extension(socket, &WSAID_CONNECTEX)?,
    };
    Ok(*known.get_or_init(|| extensions))
}

/// Whether such a socket may be told to send no packet for what succeeds at once: if its provider's sockets are
/// handles of the kernel. Under a layered provider the completion would vanish.
pub(super) fn may_skip(raw: usize) -> bool {
    // Listeners yield to several calls at once, and their packets come one by one.
    if option::<u32>(raw, SO_ACCEPTCONN).is_ok_and(|listens| listens != 0) {
        return false;
    }
    option::<WSAPROTOCOL_INFOW>(raw, SO_PROTOCOL_INFOW)
        .is_ok_and(|info| info.dwServiceFlags1 & XP1_IFS_HANDLES != 0)
}

/// The accepted socket takes over what the listener was set to; before this, nothing else may be asked of it.
pub(super) fn update_accepted(accepted: usize, listener: usize) -> io::Result<()> {
    set_option(accepted, SO_UPDATE_ACCEPT_CONTEXT, &listener)
}

/// As above, for a socket that was connected.
pub(super) fn update_connected(raw: usize) -> io::Result<()> {
    let nothing: [u8; 0] = [];
    set_option(raw, SO_UPDATE_CONNECT_CONTEXT, &nothing)
}

/// A socket for the next connection of a listener of this family.
pub(super) fn fresh_for_accept(v6: bool) -> io::Result<Socket> {
    Socket::new(if v6 { Domain::IPV6 } else { Domain::IPV4 }, Type::STREAM, Some(Protocol::TCP))
}

/// What a call of Winsock said.
pub(super) fn said(result: i32) -> Said {
    if result == 0 { Said::Done } else { said_last() }
}

pub(super) fn said_last() -> Said {
    // SAFETY: the call reads a number of this thread.
    match unsafe { WSAGetLastError() } {
        WSA_IO_PENDING => Said::Pending,
        code => Said::Failed(code as u32),
    }
}

/// As [`said`], of a receive: a message cut off is a warning of the kernel, for which it sends a packet.
fn said_of_receive(result: i32) -> Said {
    match said(result) {
        Said::Failed(code) if code == WSAEMSGSIZE as u32 => Said::Pending,
        said => said,
    }
}

/// Starts a receive into these buffers.
///
/// # Safety
///
/// The buffers stay good until the call has ended; `overlapped` is that of nothing else.
pub(super) unsafe fn receive(socket: usize, buffers: &[WSABUF], overlapped: *mut OVERLAPPED) -> Said {
    let mut flags = 0;
    // SAFETY: the caller's promise; the array itself is read before the call returns.
    said_of_receive(unsafe {
        WSARecv(
            socket,
            buffers.as_ptr(),
            buffers.len() as u32,
            ptr::null_mut(),
            &raw mut flags,
            overlapped,
            None,
        )
    })
}

/// Starts a send of these buffers.
///
/// # Safety
///
/// As for [`receive`].
pub(super) unsafe fn send(socket: usize, buffers: &[WSABUF], overlapped: *mut OVERLAPPED) -> Said {
    // SAFETY: the caller's promise; the array itself is read before the call returns.
    said(unsafe {
        WSASend(socket, buffers.as_ptr(), buffers.len() as u32, ptr::null_mut(), 0, overlapped, None)
    })
}

/// Starts the receive of a datagram. A real one with real room: a look of no bytes would eat the datagram.
///
/// # Safety
///
/// The message stays good until the call has ended; `overlapped` is that of nothing else.
pub(super) unsafe fn receive_from(socket: usize, message: *mut Message, overlapped: *mut OVERLAPPED) -> Said {
    // SAFETY: the caller's promise; nobody else uses the message until the call below.
    let message = unsafe { &mut *message };
    message.sys.from_len = size_of::<SOCKADDR_STORAGE>() as i32;
    message.sys.flags = 0;
    let from = (&raw mut message.sys.from).cast::<SOCKADDR>();
    // SAFETY: the caller's promise.
    said_of_receive(unsafe {
        WSARecvFrom(
            socket,
            message.slices,
            message.count as u32,
            ptr::null_mut(),
            &raw mut message.sys.flags,
            from,
            &raw mut message.sys.from_len,
            overlapped,
            None,
        )
    })
}

/// Fills in who sent the datagram that was received.
///
/// # Safety
///
/// The message is good, and the receive has ended.
pub(super) unsafe fn fill_in_sender(message: *mut Message) {
    // SAFETY: the caller's promise.
    let message = unsafe { &mut *message };
    let len = message.sys.from_len;
    if len <= 0 || message.sys.from.ss_family == 0 {
        message.address = None;
        return;
    }
    let mut storage = socket2::SockAddrStorage::zeroed();
    // SAFETY: the storage is one of this very type.
    *unsafe { storage.view_as::<SOCKADDR_STORAGE>() } = message.sys.from;
    // SAFETY: the system wrote an address of this length.
    message.address = Some(unsafe { SockAddr::new(storage, len) });
}

/// Starts the send of a datagram, to its address or to the connected one.
///
/// # Safety
///
/// As for [`receive_from`].
pub(super) unsafe fn send_to(socket: usize, message: *mut Message, overlapped: *mut OVERLAPPED) -> Said {
    // SAFETY: the caller's promise.
    let message = unsafe { &*message };
    let (slices, count) = (message.slices, message.count as u32);
    said(match &message.address {
        // SAFETY: the caller's promise; the address lies in the message.
        Some(to) => unsafe {
            let to_len = to.len();
            WSASendTo(socket, slices, count, ptr::null_mut(), 0, to.as_ptr().cast(), to_len, overlapped, None)
        },
        // SAFETY: as above.
        None => unsafe { WSASend(socket, slices, count, ptr::null_mut(), 0, overlapped, None) },
    })
}

/// Starts a connect. The socket is bound first, as the call asks.
///
/// # Errors
///
/// Those of the bind and of the lookup; a failure of the call itself is in the answer.
///
/// # Safety
///
/// The address stays good until the call has ended; `overlapped` is that of nothing else.
pub(super) unsafe fn connect(socket: usize, to: &SockAddr, overlapped: *mut OVERLAPPED) -> io::Result<Said> {
    let any: std::net::SocketAddr = if to.is_ipv6() {
        (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
    } else {
        (std::net::Ipv4Addr::UNSPECIFIED, 0).into()
    };
    let borrowed = Borrowed::new(socket);
    if let Err(error) = borrowed.bind(&any.into())
        && borrowed.local_addr().is_err()
    {
        // Otherwise it is bound already, to an address of the caller's choice.
        return Err(error);
    }
    let connect = extensions(socket, to.is_ipv6())?.connect.expect("a lookup that succeeds gives a function");
    // SAFETY: the caller's promise.
    let done =
        unsafe { connect(socket, to.as_ptr().cast(), to.len(), ptr::null(), 0, ptr::null_mut(), overlapped) };
    Ok(if done != 0 { Said::Done } else { said_last() })
}

/// What is left of some slices after `done` bytes, and at most what one call takes.
pub(super) fn rest(slices: &[WSABUF], mut done: usize) -> ([WSABUF; SLICES_MAX], usize) {
    let mut left = [WSABUF { len: 0, buf: ptr::null_mut() }; SLICES_MAX];
    let (mut count, mut room) = (0, CALL_MAX);
    for slice in slices {
        let len = slice.len as usize;
        let skipped = done.min(len);
        done -= skipped;
        let here = (len - skipped).min(room);
        if here == 0 {
            continue;
        }
        room -= here;
        left[count] = WSABUF { len: here as u32, buf: slice.buf.wrapping_add(skipped) };
        count += 1;
    }
    (left, count)
}

/// Whether this number is that of a socket.
pub(super) fn is_one(raw: usize) -> bool {
    option::<i32>(raw, SO_TYPE).is_ok()
}

/// Which kind of socket handle this is, for codes and calls.
pub(super) fn is_socket(kind: Kind) -> bool {
    matches!(kind, Kind::Tcp | Kind::Udp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_slices_begins_where_the_last_call_ended() {
        let mut bytes = [0_u8; 6];
        let base = bytes.as_mut_ptr();
        let slices = [
            WSABUF { len: 2, buf: base },
            WSABUF { len: 0, buf: base },
            WSABUF { len: 4, buf: base.wrapping_add(2) },
        ];
        let check = |done, expected: &[(u32, usize)]| {
            let (left, count) = rest(&slices, done);
            let left: Vec<_> =
                left[..count].iter().map(|slice| (slice.len, slice.buf.addr() - base.addr())).collect();
            assert_eq!(left, expected, "after {done}");
        };
        check(0, &[(2, 0), (4, 2)]);
        check(1, &[(1, 1), (4, 2)]);
        check(2, &[(4, 2)]);
        check(5, &[(1, 5)]);
        check(6, &[]);
    }

    #[test]
    fn one_call_moves_no_more_than_its_count_can_tell() {
        let slice = WSABUF { len: 0x7000_0000, buf: ptr::null_mut() };
        let (left, count) = rest(&[slice; 3], 0);
        assert_eq!(count, 2);
        assert_eq!(left[0].len as usize + left[1].len as usize, CALL_MAX);
    }
}
