//! Who is at the other end of a named pipe.

use std::{
    io,
    os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle},
    process, ptr,
};

use windows_sys::{
    Win32::{
        Foundation::{ERROR_ACCESS_DENIED, HANDLE, WAIT_OBJECT_0, WAIT_TIMEOUT},
        Security::{GetTokenInformation, TOKEN_QUERY, TOKEN_USER, TokenUser},
        System::{
            Pipes::{GetNamedPipeClientProcessId, GetNamedPipeServerProcessId, PeekNamedPipe},
            Threading::{
                GetCurrentProcess, OpenProcess, OpenProcessToken, PROCESS_QUERY_LIMITED_INFORMATION,
                PROCESS_SYNCHRONIZE, WaitForSingleObject,
            },
        },
    },
    core::BOOL,
};

use super::outcome;
use crate::peer::{Peer, Sid, Side, User};

/// A process, held: its number is not given to another while this lives.
#[derive(Debug)]
pub(crate) struct Process(OwnedHandle);

impl Process {
    fn open(pid: u32) -> io::Result<Process> {
        // SAFETY: it takes plain values; the handle is not inherited.
        let handle = unsafe { OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE, 0, pid) };
        if handle.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the system has just made this handle for us, and nobody else knows it.
        Ok(Process(unsafe { OwnedHandle::from_raw_handle(handle) }))
    }

    /// A process is signalled when it has ended.
    pub(crate) fn is_running(&self) -> io::Result<bool> {
        // SAFETY: the handle is open as long as `self`, with the right to wait.
        match unsafe { WaitForSingleObject(self.0.as_raw_handle(), 0) } {
            WAIT_OBJECT_0 => Ok(false),
            WAIT_TIMEOUT => Ok(true),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn user(&self) -> io::Result<User> {
        user_of(self.0.as_raw_handle())
    }
}

/// One end of a local connection, as this system has it: a handle here, a descriptor elsewhere.
pub trait LocalEnd: AsHandle {}

impl<T: AsHandle> LocalEnd for T {}

pub(crate) fn of(end: &impl LocalEnd, other: Side) -> io::Result<Peer> {
    match other {
        Side::Client => Peer::of_pipe_client(end),
        Side::Server => Peer::of_pipe_server(end),
    }
}

pub(crate) fn current() -> io::Result<Peer> {
    // SAFETY: it takes nothing and gives a constant that stands for this process.
    let user = user_of(unsafe { GetCurrentProcess() })?;
    Ok(Peer::new(Some(process::id()), user, None))
}

type Ask = unsafe extern "system" fn(HANDLE, *mut u32) -> BOOL;

impl Peer {
    /// The client of a named pipe, asked by the server's end.
    ///
    /// The process is held, and it is the one that connected: its handle is opened while the pipe is connected, which
    /// ends with the process. That cannot be asked of a pipe which only the server writes to. Ask before a read is
    /// waiting on a pipe without overlapped operations, which would keep the question waiting as well.
    ///
    /// # Platforms
    ///
    /// Windows.
    ///
    /// # Errors
    ///
    /// When it is no such pipe, is not connected any more, or the process may not be looked at.
    pub fn of_pipe_client(pipe: impl AsHandle) -> io::Result<Peer> {
        of_pipe(pipe.as_handle(), GetNamedPipeClientProcessId)
    }

    /// The server of a named pipe, asked by the client's end; see [`Peer::of_pipe_client`].
    ///
    /// # Platforms
    ///
    /// Windows.
    ///
    /// # Errors
    ///
    /// When it is no such pipe, is not connected any more, or the process may not be looked at.
    pub fn of_pipe_server(pipe: impl AsHandle) -> io::Result<Peer> {
        of_pipe(pipe.as_handle(), GetNamedPipeServerProcessId)
    }
}

fn of_pipe(pipe: BorrowedHandle<'_>, ask: Ask) -> io::Result<Peer> {
    let mut pid = 0;
    // SAFETY: the handle is borrowed, so it is open, and `pid` is a valid place for the answer.
    outcome(unsafe { ask(pipe.as_raw_handle(), &raw mut pid) })?;
    let process = Process::open(pid)?;
    // The number was that of the process at the other end when it connected. Had that process ended before we opened
    // it, its end of the pipe would be closed.
    connected(pipe)?;
    let user = process.user()?;
    Ok(Peer::new(Some(pid), user, Some(process)))
}

fn connected(pipe: BorrowedHandle<'_>) -> io::Result<()> {
    let (room, nowhere) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: the handle is open; nothing is to be read, and no figure is to be told.
    let result = unsafe { PeekNamedPipe(pipe.as_raw_handle(), room, 0, nowhere, nowhere, nowhere) };
    match outcome(result) {
        // An end that may not read cannot ask.
        Err(error) if error.raw_os_error() == Some(ERROR_ACCESS_DENIED.cast_signed()) => Ok(()),
        other => other,
    }
}

/// The user in a process's token.
fn user_of(process: HANDLE) -> io::Result<User> {
    let mut token = ptr::null_mut();
    // SAFETY: the callers' handle is open and may be asked; `token` is a valid place for the answer.
    outcome(unsafe { OpenProcessToken(process, TOKEN_QUERY, &raw mut token) })?;
    // SAFETY: the system has just made this handle for us, and nobody else knows it.
    let token = unsafe { OwnedHandle::from_raw_handle(token) };

    // A TOKEN_USER, and behind it the identifier, which has at most 68 bytes. Eight bytes an element, for the pointer.
    let mut buffer = [0u64; 32];
    let room = u32::try_from(size_of_val(&buffer)).map_err(io::Error::other)?;
    let mut len = 0;
    // SAFETY: the handle is open; the buffer has `room` bytes, is aligned for a pointer and lives across the call.
    let result = unsafe {
        GetTokenInformation(token.as_raw_handle(), TokenUser, buffer.as_mut_ptr().cast(), room, &raw mut len)
    };
    outcome(result)?;
    // SAFETY: the system has written a TOKEN_USER at the start of the buffer, which is large enough and aligned.
    let user: TOKEN_USER = unsafe { buffer.as_ptr().cast::<TOKEN_USER>().read() };
    // The identifier lies in the same buffer: where, tells the pointer, which need not be followed.
    let start = user.User.Sid.addr().checked_sub(buffer.as_ptr().addr());
    let bytes: Vec<u8> = buffer.iter().flat_map(|word| word.to_le_bytes()).take(len as usize).collect();
    let tail = start.and_then(|start| bytes.get(start..)).unwrap_or_default();
    let len = tail.get(1).map_or(0, |&numbers| 8 + 4 * usize::from(numbers));
    let sid = tail.get(..len).and_then(Sid::from_bytes);
    sid.map(User::Windows).ok_or_else(|| io::Error::other("the token's user is no security identifier"))
}

#[cfg(test)]
mod tests {
    use std::{
        env,
        fs::{File, OpenOptions},
        io::{Read, Write},
        process::{Child, Command, Stdio},
    };

    use windows_sys::Win32::{
        Foundation::INVALID_HANDLE_VALUE,
        Storage::FileSystem::{FILE_FLAG_FIRST_PIPE_INSTANCE, PIPE_ACCESS_DUPLEX},
        System::Pipes::{CreateNamedPipeW, PIPE_REJECT_REMOTE_CLIENTS, PIPE_TYPE_BYTE, PIPE_WAIT},
    };

    use super::*;

    /// The server's end of a new pipe; a client that opens it is connected at once.
    fn pipe(name: &str) -> OwnedHandle {
        let name: Vec<u16> = name.encode_utf16().chain([0]).collect();
        // SAFETY: the name ends with 0 and lives across the call; the rest are plain values.
        let handle = unsafe {
            CreateNamedPipeW(
                name.as_ptr(),
                PIPE_ACCESS_DUPLEX | FILE_FLAG_FIRST_PIPE_INSTANCE,
                PIPE_TYPE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS,
                1,
                512,
                512,
                0,
                ptr::null(),
            )
        };
        assert_ne!(handle, INVALID_HANDLE_VALUE, "{}", io::Error::last_os_error());
        // SAFETY: the system has just made this handle for us, and nobody else knows it.
        unsafe { OwnedHandle::from_raw_handle(handle) }
    }

    fn name(of: &str) -> String {
        format!(r"\\.\pipe\ostia-os-test-{}-{of}", process::id())
    }

    fn open(name: &str) -> File {
        OpenOptions::new().read(true).write(true).open(name).unwrap()
    }

    #[test]
    fn both_ends_of_a_pipe_within_the_process_are_this_process() {
        let name = name("own");
        let server = pipe(&name);
        let client = open(&name);
        let current = Peer::current().unwrap();
        for peer in [Peer::of_pipe_client(&server).unwrap(), Peer::of_pipe_server(&client).unwrap()] {
            assert_eq!(peer.pid(), Some(process::id()));
            assert!(peer.same_user(&current));
            assert!(peer.is_held());
            assert_eq!(peer.is_running().unwrap(), Some(true));
        }
        assert!(current.user().to_string().starts_with("user S-1-5-"), "{current:?}");
        drop(client);
        assert!(Peer::of_pipe_client(&server).is_err(), "nobody is connected any more");
        assert!(Peer::of_pipe_server(File::open(env::current_exe().unwrap()).unwrap()).is_err());
    }

    const PIPE: &str = "OSTIA_OS_TEST_PIPE";

    #[test]
    #[ignore = "the other process of the test below, which starts it"]
    fn the_client() {
        let mut pipe = open(&env::var(PIPE).unwrap());
        pipe.write_all(b"!").unwrap();
        // Until the server's end is closed.
        let _ = pipe.read(&mut [0]);
    }

    #[test]
    fn the_process_at_the_other_end_is_held_and_seen_to_end() {
        let name = name("other");
        let server = pipe(&name);
        let mut child: Child = Command::new(env::current_exe().unwrap())
            .args(["--ignored", "--exact", "sys::windows::peer::tests::the_client"])
            .env(PIPE, &name)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = File::from(server);
        // Nothing can be read before the client is connected.
        let mut byte = [0];
        loop {
            match server.read(&mut byte) {
                Ok(1) => break,
                Ok(_) => panic!("the client has gone"),
                Err(error) if error.raw_os_error() == Some(536) => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
        let peer = Peer::of_pipe_client(&server).unwrap();
        assert_eq!(peer.pid(), Some(child.id()));
        assert!(peer.same_user(&Peer::current().unwrap()));
        assert_eq!(peer.is_running().unwrap(), Some(true));
        drop(server);
        assert!(child.wait().unwrap().success());
        assert_eq!(peer.is_running().unwrap(), Some(false));
    }
}
