//! Readiness of a foreign socket, asked of the driver below Winsock.
//!
//! Winsock's own waits hold a thread or set the socket to another mode. The driver has a request that ends when a
//! socket is ready, like any other operation; it is not documented, and the event loops of many programs rest on
//! it. The request goes through a handle of its own, of which one serves a port.

use std::{
    cell::UnsafeCell,
    fmt, io,
    os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle},
    ptr,
};

use windows_sys::{
    Wdk::{
        Foundation::OBJECT_ATTRIBUTES,
        Storage::FileSystem::{FILE_OPEN, NtCreateFile},
        System::IO::NtDeviceIoControlFile,
    },
    Win32::{
        Foundation::{HANDLE, STATUS_PENDING, UNICODE_STRING},
        Networking::WinSock::{SIO_BASE_HANDLE, SOCKET, WSAIoctl},
        Storage::FileSystem::{FILE_SHARE_READ, FILE_SHARE_WRITE, SYNCHRONIZE},
        System::IO::{IO_STATUS_BLOCK, OVERLAPPED},
    },
};

use super::{PortHandle, error, overlapped::Said};
use crate::op::Readiness;

const IOCTL_AFD_POLL: u32 = 0x0001_2024;

const RECEIVE: u32 = 0x01;
const SEND: u32 = 0x04;
const DISCONNECT: u32 = 0x08;
const ABORT: u32 = 0x10;
const LOCAL_CLOSE: u32 = 0x20;
const ACCEPT: u32 = 0x80;
const CONNECT_FAIL: u32 = 0x100;

/// What the driver reads and writes: a list of one socket.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct PollInfo {
    timeout: i64,
    count: u32,
    exclusive: u32,
    handle: HANDLE,
    events: u32,
    status: i32,
}

/// Room for one request, beside the operation.
pub(super) struct PollRoom(UnsafeCell<PollInfo>);

impl Default for PollRoom {
    fn default() -> PollRoom {
        PollRoom(UnsafeCell::new(PollInfo {
            timeout: 0,
            count: 0,
            exclusive: 0,
            handle: ptr::null_mut(),
            events: 0,
            status: 0,
        }))
    }
}

impl fmt::Debug for PollRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PollRoom")
    }
}

/// A way to the driver.
pub(super) fn open(port: &PortHandle) -> io::Result<OwnedHandle> {
    let mut name: Vec<u16> = r"\Device\Afd\Ostia".encode_utf16().collect();
    let bytes = (name.len() * size_of::<u16>()) as u16;
    let name = UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: name.as_mut_ptr() };
    let attributes = OBJECT_ATTRIBUTES {
        Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
        RootDirectory: ptr::null_mut(),
        ObjectName: &raw const name,
        Attributes: 0,
        SecurityDescriptor: ptr::null(),
        SecurityQualityOfService: ptr::null(),
    };
    let mut handle: HANDLE = ptr::null_mut();
    let mut status = IO_STATUS_BLOCK::default();
    // SAFETY: name and attributes live across the call, as do the places for handle and status.
    let done = unsafe {
        NtCreateFile(
            &raw mut handle,
            SYNCHRONIZE,
            &raw const attributes,
            &raw mut status,
            ptr::null(),
            0,
            FILE_SHARE_READ | FILE_SHARE_WRITE,
            FILE_OPEN,
            0,
            ptr::null(),
            0,
        )
    };
    match error::of_status(done.cast_unsigned()) {
        0 => {}
        code => return Err(io::Error::from_raw_os_error(code as i32)),
    }
    // SAFETY: the call succeeded, so the handle is ours.
    let handle = unsafe { OwnedHandle::from_raw_handle(handle) };
    port.associate(handle.as_raw_handle())?;
    Ok(handle)
}

/// The socket below all layers, which is the one the driver knows; none if this is no socket.
pub(super) fn base(raw: usize) -> Option<HANDLE> {
    let mut base: SOCKET = 0;
    let mut returned = 0;
    // SAFETY: the place for the socket lives across the call, which is not overlapped.
    let done = unsafe {
        WSAIoctl(
            raw,
            SIO_BASE_HANDLE,
            ptr::null(),
            0,
            (&raw mut base).cast(),
            size_of::<SOCKET>() as u32,
            &raw mut returned,
            ptr::null_mut(),
            None,
        )
    };
    (done == 0).then(|| ptr::without_provenance_mut(base))
}

/// Starts the wait for readiness.
///
/// # Safety
///
/// `overlapped` and `room` are used by nothing else and stay good until the request has ended.
pub(super) unsafe fn poll(
    afd: HANDLE,
    socket: HANDLE,
    readiness: Readiness,
    room: &PollRoom,
    overlapped: *mut OVERLAPPED,
) -> Said {
    let events = match readiness {
        Readiness::Read => RECEIVE | ACCEPT | DISCONNECT | ABORT,
        Readiness::Write => SEND | ABORT | CONNECT_FAIL,
    };
    let events = events | LOCAL_CLOSE;
    let info = PollInfo { timeout: i64::MAX, count: 1, exclusive: 0, handle: socket, events, status: 0 };
    let place = room.0.get();
    // SAFETY: the caller's promise.
    unsafe { place.write(info) };
    // An OVERLAPPED begins with what the kernel calls a status block, and a packet carries the context.
    let block = overlapped.cast::<IO_STATUS_BLOCK>();
    let len = size_of::<PollInfo>() as u32;
    // SAFETY: the caller's promise; both handles are open.
    let status = unsafe {
        NtDeviceIoControlFile(
            afd,
            ptr::null_mut(),
            None,
            overlapped.cast_const().cast(),
            block,
            IOCTL_AFD_POLL,
            place.cast_const().cast(),
            len,
            place.cast(),
            len,
        )
    };
    match status {
        STATUS_PENDING => Said::Pending,
        status => match error::of_status(status.cast_unsigned()) {
            0 => Said::Done,
            code => Said::Failed(code),
        },
    }
}
