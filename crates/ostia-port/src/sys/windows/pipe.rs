//! Named pipes: the name that listens, the end that connects, and the calls that move bytes.
//!
//! A pipe's name has instances; each serves one client. A listener keeps one instance ready beyond those it has
//! handed out, so that a client does not find the name gone between two accepts. Instances belong to the port
//! from the moment they are made, because the wait for a client is told through it.

use std::{
    hash::{BuildHasher, RandomState},
    io,
    os::windows::{
        ffi::OsStrExt,
        io::{AsRawHandle, FromRawHandle, IntoRawHandle, OwnedHandle},
    },
    path::Path,
    ptr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use windows_sys::Win32::{
    Foundation::{
        ERROR_ACCESS_DENIED, ERROR_IO_PENDING, ERROR_MORE_DATA, ERROR_PIPE_BUSY, ERROR_PIPE_NOT_CONNECTED,
        GetLastError, HANDLE, INVALID_HANDLE_VALUE,
    },
    Security::{RevertToSelf, SECURITY_ATTRIBUTES},
    Storage::FileSystem::{
        CreateFileW, FILE_FLAG_FIRST_PIPE_INSTANCE, FILE_FLAG_OVERLAPPED, FILE_READ_ATTRIBUTES,
        FILE_READ_DATA, FILE_WRITE_ATTRIBUTES, FILE_WRITE_DATA, OPEN_EXISTING, PIPE_ACCESS_DUPLEX,
        READ_CONTROL, ReadFile, SECURITY_IDENTIFICATION, SECURITY_SQOS_PRESENT, SYNCHRONIZE, WriteFile,
    },
    System::{
        IO::OVERLAPPED,
        Pipes::{
            ConnectNamedPipe, CreateNamedPipeW, DisconnectNamedPipe, GetNamedPipeClientProcessId,
            GetNamedPipeInfo, GetNamedPipeServerProcessId, ImpersonateNamedPipeClient, PIPE_READMODE_BYTE,
            PIPE_READMODE_MESSAGE, PIPE_REJECT_REMOTE_CLIENTS, PIPE_SERVER_END, PIPE_TYPE_BYTE,
            PIPE_TYPE_MESSAGE, PIPE_UNLIMITED_INSTANCES, PIPE_WAIT, SetNamedPipeHandleState,
        },
    },
};

use super::{
    PortHandle,
    overlapped::Said,
    security::{self, Access, Descriptor},
};
use crate::address::Address;

/// What the system keeps for bytes that were sent and not yet received, each way.
const BUFFER_LEN: u32 = 64 * 1024;

/// What stands behind the raw number of a pipe that is not one instance.
#[derive(Debug)]
pub(super) enum Place {
    Server(Server),
    Client(Client),
}

/// How a pipe is made. Private unless told otherwise: for this user alone, the first of its name, closed to callers
/// over the network. Each option stands for itself, in whatever order they are given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipeOptions {
    message: bool,
    instances_max: Option<u32>,
    first: bool,
    reject_remote: bool,
    access: Access,
}

impl PipeOptions {
    /// The usual: a stream of bytes, as many clients as come, private.
    pub fn new() -> PipeOptions {
        PipeOptions {
            message: false,
            instances_max: None,
            first: true,
            reject_remote: true,
            access: Access::OwnerOnly,
        }
    }

    /// Whether each send is a message, and each receive gets of one message only. Several buffers of one
    /// send are copied together first: no call gathers them. The client's stream has to be made with this option, too.
    pub fn message(mut self, message: bool) -> PipeOptions {
        self.message = message;
        self
    }

    /// The most clients at a time, 1 to 254. A further one waits.
    pub fn instances_max(mut self, instances: u32) -> PipeOptions {
        self.instances_max = Some(instances.clamp(1, PIPE_UNLIMITED_INSTANCES - 1));
        self
    }

    /// Whether listening fails if somebody has the name already. Who listens nevertheless shares the name's clients
    /// with a stranger.
    pub fn first_instance(mut self, first: bool) -> PipeOptions {
        self.first = first;
        self
    }

    /// Whether callers over the network are refused.
    pub fn reject_remote(mut self, reject: bool) -> PipeOptions {
        self.reject_remote = reject;
        self
    }

    /// Who may connect.
    pub fn access(mut self, access: Access) -> PipeOptions {
        self.access = access;
        self
    }

    pub(super) fn is_message(&self) -> bool {
        self.message
    }
}

impl Default for PipeOptions {
    fn default() -> PipeOptions {
        PipeOptions::new()
    }
}

/// A name that listens.
#[derive(Debug)]
pub(super) struct Server {
    name: Vec<u16>,
    options: PipeOptions,
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
    pub(super) fn new(port: &Arc<PortHandle>, path: &Path, options: &PipeOptions) -> io::Result<Server> {
        let name = name(path)?;
        let descriptor = Descriptor::new(&options.access, options.reject_remote)?;
        let port = Arc::clone(port);
        let server = Server { name, options: options.clone(), descriptor, port, state: Mutex::default() };
        let first = server.instance(options.first)?;
        server.lock().next = Some(first);
        Ok(server)
    }

    fn lock(&self) -> MutexGuard<'_, Instances> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The instance that listens, for logs.
    pub(super) fn handle(&self) -> HANDLE {
        let state = self.lock();
        let instance = state.current.as_ref().or(state.next.as_ref());
        instance.map_or(ptr::null_mut(), |instance| instance.as_raw_handle())
    }

    /// One more instance of the name.
    fn instance(&self, first: bool) -> io::Result<OwnedHandle> {
        let PipeOptions { message, instances_max, reject_remote, .. } = self.options;
        let mut open_mode = PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED;
        if first {
            open_mode |= FILE_FLAG_FIRST_PIPE_INSTANCE;
        }
        let mut pipe_mode = PIPE_WAIT;
        pipe_mode |= if message {
            PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE
        } else {
            PIPE_TYPE_BYTE | PIPE_READMODE_BYTE
        };
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
            None => self.instance(self.options.first && self.options.instances_max == Some(1))?,
        };
        Ok(state.current.insert(instance).as_raw_handle())
    }

    /// The client has come: the instance is handed out, and before that the next one listens, if there may be one.
    pub(super) fn connected(&self) -> usize {
        let mut state = self.lock();
        if state.next.is_none() && self.options.instances_max != Some(1) {
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
    let handle =
        unsafe { CreateFileW(name.as_ptr(), access, 0, ptr::null(), OPEN_EXISTING, flags, ptr::null_mut()) };
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

/// A name that nobody else has, after ten tries at most: each time another one, and only while the name is what is
/// wrong.
pub(crate) fn generated<T>(mut make: impl FnMut(&Address) -> io::Result<T>) -> io::Result<(T, Address)> {
    const TRIES: u32 = 10;
    static COUNT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..TRIES {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // The hasher's keys are random; one in each process would do, the count tells the names apart.
        let random = RandomState::new().hash_one(count);
        let name = format!(r"\\.\pipe\ostia-{}-{count}-{random:016x}", std::process::id());
        let address = Address::Local(name.into());
        match make(&address) {
            Ok(made) => return Ok((made, address)),
            Err(error) if is_clash(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "ten generated names of pipes were taken"))
}

/// Somebody has the name.
fn is_clash(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(i32::cast_unsigned);
    matches!(code, Some(ERROR_PIPE_BUSY | ERROR_ACCESS_DENIED))
}

/// Both ends of a pipe with a generated name, which is gone when this returns: it allows one instance.
pub(super) fn pair(port: &Arc<PortHandle>) -> io::Result<(OwnedHandle, OwnedHandle)> {
    let options = PipeOptions::new().instances_max(1);
    let (server, address) = generated(|address| {
        let path = address.as_path().expect("a generated name is local");
        Server::new(port, path, &options)
    })?;
    let client = open_end(&server.name)?;
    port.associate(client.as_raw_handle())?;
    let instance = server.lock().next.take().expect("a new server listens");
    let other = peer_process(instance.as_raw_handle().addr())?;
    if other != std::process::id() {
        let why = format!("process {other} was faster at {address}");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    Ok((instance, client))
}

fn handle_of(raw: usize) -> HANDLE {
    ptr::without_provenance_mut(raw)
}

fn check(done: i32) -> io::Result<()> {
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether this is the server's end.
fn is_server(pipe: HANDLE) -> io::Result<bool> {
    let mut flags = 0;
    // SAFETY: the flags live across the call; a handle that is no pipe is an error.
    check(unsafe {
        GetNamedPipeInfo(pipe, &raw mut flags, ptr::null_mut(), ptr::null_mut(), ptr::null_mut())
    })?;
    Ok(flags & PIPE_SERVER_END != 0)
}

/// The process at the other end.
pub(crate) fn peer_process(raw: usize) -> io::Result<u32> {
    let pipe = handle_of(raw);
    let mut process = 0;
    if is_server(pipe)? {
        // SAFETY: the place for the number lives across the call.
        check(unsafe { GetNamedPipeClientProcessId(pipe, &raw mut process) })?;
    } else {
        // SAFETY: as above.
        check(unsafe { GetNamedPipeServerProcessId(pipe, &raw mut process) })?;
    }
    Ok(process)
}

/// The user at the other end.
pub(crate) fn peer_user(raw: usize) -> io::Result<String> {
    if !is_server(handle_of(raw))? {
        return security::user_of_process(peer_process(raw)?);
    }
    // For a moment the thread acts as the client: a thread of its own, which does nothing else.
    let asked = std::thread::scope(|scope| {
        let asking = std::thread::Builder::new().name("ostia-pipe-peer".to_owned());
        asking.spawn_scoped(scope, || client_user(raw)).map(|thread| thread.join())
    })?;
    asked.unwrap_or_else(|_| Err(io::Error::other("the thread that asked for a pipe's user is gone")))
}

fn client_user(raw: usize) -> io::Result<String> {
    // SAFETY: a handle that is no server's end of a pipe is an error.
    check(unsafe { ImpersonateNamedPipeClient(handle_of(raw)) })?;
    let user = security::user_of_thread();
    // SAFETY: the call takes nothing.
    if unsafe { RevertToSelf() } == 0 {
        // A thread that stays somebody else must do nothing more, not even unwind.
        std::process::abort();
    }
    user
}

/// Cuts the client off.
pub(crate) fn disconnect(raw: usize) -> io::Result<()> {
    // SAFETY: a handle that is no server's end of a pipe is an error.
    check(unsafe { DisconnectNamedPipe(handle_of(raw)) })
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

    #[test]
    fn a_taken_name_leads_to_ten_others_and_any_other_error_to_none() {
        let mut names = Vec::new();
        let refused = generated(|address| {
            names.push(address.clone());
            Err::<(), _>(io::Error::from_raw_os_error([BUSY, DENIED][names.len() % 2]))
        });
        assert_eq!(refused.expect_err("all were taken").kind(), io::ErrorKind::AddrInUse);
        names.sort_by_key(|name| name.to_string());
        names.dedup();
        assert_eq!(names.len(), 10, "each try has a name of its own");

        let mut tries = 0;
        let refused = generated(|_| {
            tries += 1;
            Err::<(), _>(io::ErrorKind::OutOfMemory.into())
        });
        assert_eq!((refused.expect_err("memory").kind(), tries), (io::ErrorKind::OutOfMemory, 1));
        let (third, _) = generated(|_| {
            tries += 1;
            if tries < 4 { Err(io::Error::from_raw_os_error(DENIED)) } else { Ok(tries) }
        })
        .expect("one was free");
        assert_eq!(third, 4);
    }

    const BUSY: i32 = ERROR_PIPE_BUSY as i32;
    const DENIED: i32 = ERROR_ACCESS_DENIED as i32;

    #[test]
    fn options_stand_for_themselves_in_whatever_order_they_are_given() {
        type Change = fn(PipeOptions) -> PipeOptions;
        let changes: [Change; 4] = [
            |options| options.message(true),
            |options| options.instances_max(3),
            |options| options.first_instance(false),
            |options| options.access(Access::SameSession),
        ];
        let mut order = [0, 1, 2, 3];
        let mut seen = Vec::new();
        permute(&mut order, 0, &mut |order| {
            let made = order.iter().fold(PipeOptions::new(), |options, &place| changes[place](options));
            assert!(made.reject_remote, "no other option lets remote callers in: {order:?}");
            seen.push(made);
        });
        assert_eq!(seen.len(), 24);
        seen.dedup();
        assert_eq!(seen.len(), 1);
    }

    fn permute(order: &mut [usize; 4], from: usize, each: &mut impl FnMut(&[usize; 4])) {
        if from == order.len() {
            return each(order);
        }
        for place in from..order.len() {
            order.swap(from, place);
            permute(order, from + 1, each);
            order.swap(from, place);
        }
    }
}
