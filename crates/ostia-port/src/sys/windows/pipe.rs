//! Named pipes: the name that listens, the end that connects, and the calls that move bytes.
//!
//! A pipe's name has instances; each serves one client. A listener keeps one instance ready beyond those it has
//! handed out, so that a client does not find the name gone between two accepts. Instances belong to the port
//! from the moment they are made, because the wait for a client is told through it.

use std::{
    io,
    os::windows::{
        ffi::OsStrExt,
        io::{AsRawHandle, FromRawHandle, IntoRawHandle, OwnedHandle},
    },
    path::Path,
    ptr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use windows_sys::Win32::{
    Foundation::{
        ERROR_IO_PENDING, ERROR_MORE_DATA, ERROR_PIPE_NOT_CONNECTED, GetLastError, HANDLE, INVALID_HANDLE_VALUE,
    },
    Security::SECURITY_ATTRIBUTES,
    Storage::FileSystem::{
        CreateFileW, FILE_FLAG_FIRST_PIPE_INSTANCE, FILE_FLAG_OVERLAPPED, FILE_READ_ATTRIBUTES, FILE_READ_DATA,
        FILE_WRITE_ATTRIBUTES, FILE_WRITE_DATA, OPEN_EXISTING, PIPE_ACCESS_DUPLEX, READ_CONTROL, ReadFile,
        SECURITY_IDENTIFICATION, SECURITY_SQOS_PRESENT, SYNCHRONIZE, WriteFile,
    },
    System::{
        IO::OVERLAPPED,
        Pipes::{
            ConnectNamedPipe, CreateNamedPipeW, DisconnectNamedPipe, GetNamedPipeInfo, PIPE_READMODE_BYTE,
            PIPE_READMODE_MESSAGE, PIPE_REJECT_REMOTE_CLIENTS, PIPE_TYPE_BYTE, PIPE_TYPE_MESSAGE,
            PIPE_UNLIMITED_INSTANCES, PIPE_WAIT, SetNamedPipeHandleState,
        },
    },
};

use super::{PortHandle, overlapped::Said, security::Descriptor};

/// What the system keeps for bytes that were sent and not yet received, each way.
const BUFFER_LEN: u32 = 64 * 1024;

/// What stands behind the raw number of a pipe that is not one instance.
#[derive(Debug)]
pub(super) enum Place {
    Server(Server),
    Client(Client),
}

/// How instances of a pipe are made.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) message: bool,
    pub(super) instances_max: Option<u32>,
    pub(super) first: bool,
    pub(super) reject_remote: bool,
    pub(super) access: super::security::Access,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            message: false,
            instances_max: None,
            first: true,
            reject_remote: true,
            access: super::security::Access::OwnerOnly,
        }
    }
}

/// A name that listens.
#[derive(Debug)]
pub(super) struct Server {
    name: Vec<u16>,
    settings: Settings,
    descriptor: Descriptor,
    port: Arc<PortHandle>,
    state: Mutex<Instances>,
}

#[derive(Debug, Default)]
struct Instances {
    /// Nobody waits for its client yet; a client may connect to it nevertheless.
    next: Option<OwnedHandle>,
    /// An accept waits for its client.
    current: Option<OwnedHandle>,
}

/// One end of a pipe that is to be connected.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) message: bool,
    port: Arc<PortHandle>,
    handle: OnceLock<OwnedHandle>,
}

/// A pipe's name as the system's calls want it. Names on other machines are no local addresses.
pub(super) fn name(path: &Path) -> io::Result<Vec<u16>> {
    const PREFIX: &str = r"\\.\pipe\";
    const NAME_MAX: usize = 256;
    let mut name: Vec<u16> = path.as_os_str().encode_wide().collect();
    let lower = |unit: u16| u8::try_from(unit).map_or(0, |byte| byte.to_ascii_lowercase());
    let prefixed = name.len() > PREFIX.len()
        && PREFIX.bytes().zip(&name).all(|(wanted, unit)| lower(*unit) == wanted.to_ascii_lowercase());
    if !prefixed || name.len() > NAME_MAX || name.contains(&0) {
        let why = format!(r"a local address on Windows is \\.\pipe\name; this is {}", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    name.push(0);
    Ok(name)
}

impl Server {
    /// The name listens when this returns.
    pub(super) fn new(port: &Arc<PortHandle>, path: &Path, settings: Settings) -> io::Result<Server> {
        let name = name(path)?;
        let descriptor = Descriptor::new(&settings.access, settings.reject_remote)?;
        let port = Arc::clone(port);
        let server = Server { name, settings, descriptor, port, state: Mutex::default() };
        let first = server.instance(server.settings.first)?;
        server.lock().next = Some(first);
        Ok(server)
    }

    fn lock(&self) -> MutexGuard<'_, Instances> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more instance of the name.
    fn instance(&self, first: bool) -> io::Result<OwnedHandle> {
        let Settings { message, instances_max, reject_remote, .. } = self.settings;
        let mut open_mode = PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED;
        if first {
            open_mode |= FILE_FLAG_FIRST_PIPE_INSTANCE;
        }
        let mut pipe_mode = PIPE_WAIT;
        pipe_mode |=
            if message { PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE } else { PIPE_TYPE_BYTE | PIPE_READMODE_BYTE };
        if reject_remote {
            pipe_mode |= PIPE_REJECT_REMOTE_CLIENTS;
        }
        let attributes = SECURITY_ATTRIBUTES {
            nLength: size_of::<SECURITY_ATTRIBUTES>() as u32,
            lpSecurityDescriptor: self.descriptor.as_ptr(),
            bInheritHandle: 0,
        };
        let count = instances_max.unwrap_or(PIPE_UNLIMITED_INSTANCES);
        // SAFETY: the name ends with a zero; it and the attributes live across the call.
        let handle = unsafe {
            CreateNamedPipeW(
                self.name.as_ptr(),
                open_mode,
                pipe_mode,
                count,
                BUFFER_LEN,
                BUFFER_LEN,
                0,
                &raw const attributes,
            )
        };
        let handle = owned(handle)?;
        self.port.associate(handle.as_raw_handle())?;
        Ok(handle)
    }

    /// The instance whose client is to be waited for.
    pub(super) fn begin(&self) -> io::Result<HANDLE> {
        let mut state = self.lock();
        let instance = match state.next.take() {
            Some(instance) => instance,
            // With one instance at most there is none when this is made: then the name is to be ours again, or
            // nobody's.
            None => self.instance(self.settings.first && self.settings.instances_max == Some(1))?,
        };
        Ok(state.current.insert(instance).as_raw_handle())
    }

    /// The client has come: the instance is handed out, and before that the next one listens, if there may be one.
    pub(super) fn connected(&self) -> usize {
        let mut state = self.lock();
        if state.next.is_none() && self.settings.instances_max != Some(1) {
            match self.instance(false) {
                Ok(instance) => state.next = Some(instance),
                Err(error) => tracing::debug!(%error, "no further instance of a pipe for now"),
            }
        }
        state.current.take().expect("an accept has its instance").into_raw_handle().addr()
    }

    /// The accept is over, and nobody came: the instance goes on listening.
    pub(super) fn give_back(&self) {
        let mut state = self.lock();
        if let Some(instance) = state.current.take() {
            state.next.get_or_insert(instance);
        }
    }

    /// A client came and went before anybody noticed.
    pub(super) fn disconnect_current(&self) {
        if let Some(instance) = &self.lock().current {
            // SAFETY: the instance is open.
            unsafe { DisconnectNamedPipe(instance.as_raw_handle()) };
        }
    }

    /// The instance is of no use any more.
    pub(super) fn drop_current(&self) {
        self.lock().current = None;
    }
}

impl Client {
    pub(super) fn new(port: &Arc<PortHandle>, message: bool) -> Client {
        Client { message, port: Arc::clone(port), handle: OnceLock::new() }
    }

    pub(super) fn handle(&self) -> HANDLE {
        self.handle.get().map_or(ptr::null_mut(), |handle| handle.as_raw_handle())
    }

    /// Connects, at once or not at all.
    pub(super) fn open(&self, path: &Path) -> io::Result<()> {
        let name = name(path)?;
        if self.handle.get().is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let handle = open_end(&name)?;
        if self.message {
            set_message_mode(handle.as_raw_handle())?;
        }
        self.port.associate(handle.as_raw_handle())?;
        if !self.message {
            super::skip_on_success(handle.as_raw_handle());
        }
        self.handle.set(handle).map_err(|_| io::ErrorKind::AlreadyExists.into())
    }
}

/// Opens the client's end of a pipe. The server learns who we are and cannot act in our name.
pub(super) fn open_end(name: &[u16]) -> io::Result<OwnedHandle> {
    debug_assert_eq!(name.last(), Some(&0), "a name ends with a zero");
    // Not "generic write": it asks for the right to make instances, which a server does not give to others.
    let access = FILE_READ_DATA
        | FILE_WRITE_DATA
        | FILE_READ_ATTRIBUTES
        | FILE_WRITE_ATTRIBUTES
        | READ_CONTROL
        | SYNCHRONIZE;
    let flags = FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION;
    // SAFETY: the name ends with a zero and lives across the call; no attributes and no template are fine.
    let handle = unsafe {
        CreateFileW(name.as_ptr(), access, 0, ptr::null(), OPEN_EXISTING, flags, ptr::null_mut())
    };
    owned(handle)
}

fn set_message_mode(handle: HANDLE) -> io::Result<()> {
    let mode = PIPE_READMODE_MESSAGE | PIPE_WAIT;
    // SAFETY: the handle is open, and the mode lives across the call.
    let done = unsafe { SetNamedPipeHandleState(handle, &raw const mode, ptr::null(), ptr::null()) };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether what is written to this end arrives in messages.
pub(super) fn is_message_pipe(handle: HANDLE) -> io::Result<bool> {
    let mut flags = 0;
    // SAFETY: the handle is open, and the flags live across the call.
    let done = unsafe {
        GetNamedPipeInfo(handle, &raw mut flags, ptr::null_mut(), ptr::null_mut(), ptr::null_mut())
    };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(flags & PIPE_TYPE_MESSAGE != 0) }
}

fn owned(handle: HANDLE) -> io::Result<OwnedHandle> {
    if handle == INVALID_HANDLE_VALUE || handle.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call that made it succeeded, so the handle is ours.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

fn said(done: i32) -> Said {
    if done != 0 {
        return Said::Done;
    }
    // SAFETY: the call reads a number of this thread.
    match unsafe { GetLastError() } {
        ERROR_IO_PENDING => Said::Pending,
        code => Said::Failed(code),
    }
}

/// Starts the wait for a client of this instance.
///
/// # Safety
///
/// `overlapped` is that of nothing else, and stays good until the call has ended.
pub(super) unsafe fn connect(instance: HANDLE, overlapped: *mut OVERLAPPED) -> Said {
    // SAFETY: the caller's promise.
    said(unsafe { ConnectNamedPipe(instance, overlapped) })
}

/// Starts a read.
///
/// # Safety
///
/// The buffer and `overlapped` stay good until the call has ended, and are used by nothing else.
pub(super) unsafe fn read(handle: HANDLE, buffer: *mut u8, len: u32, overlapped: *mut OVERLAPPED) -> Said {
    if handle.is_null() {
        return Said::Failed(ERROR_PIPE_NOT_CONNECTED);
    }
    // SAFETY: the caller's promise.
    match said(unsafe { ReadFile(handle, buffer, len, ptr::null_mut(), overlapped) }) {
        // A message longer than the buffer is a warning of the kernel, for which it sends a packet.
        Said::Failed(ERROR_MORE_DATA) => Said::Pending,
        said => said,
    }
}

/// Starts a write.
///
/// # Safety
///
/// As for [`read`].
pub(super) unsafe fn write(handle: HANDLE, buffer: *const u8, len: u32, overlapped: *mut OVERLAPPED) -> Said {
    if handle.is_null() {
        return Said::Failed(ERROR_PIPE_NOT_CONNECTED);
    }
    // SAFETY: the caller's promise.
    said(unsafe { WriteFile(handle, buffer, len, ptr::null_mut(), overlapped) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_pipes_of_this_machine_are_addresses() {
        for good in [r"\\.\pipe\a", r"\\.\PIPE\a b", r"\\.\pipe\a\b"] {
            assert!(name(Path::new(good)).is_ok(), "{good}");
        }
        for bad in [r"\\host\pipe\a", r"\\.\pipe\", r"a", r"C:\a", "\\\\.\\pipe\\a\0b", ""] {
            let refused = name(Path::new(bad)).expect_err(bad);
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{bad}");
        }
        assert!(name(Path::new(&format!(r"\\.\pipe\{}", "x".repeat(300)))).is_err());
    }
}
