//! The raw door, and readiness of foreign sockets.

use std::{
    io::{ErrorKind, Write},
    net::{TcpListener, TcpStream},
    os::windows::{fs::OpenOptionsExt, io::OwnedHandle},
};

use ostia_port::{
    Class, Port,
    op::{self, Readiness},
    os::windows::{RawCall, Started},
};
use windows_sys::Win32::{
    Foundation::{ERROR_IO_PENDING, GetLastError},
    Storage::FileSystem::{FILE_FLAG_OVERLAPPED, ReadFile},
    System::IO::OVERLAPPED,
};

use crate::kit::*;

fn file(folder: &tempfile::TempDir, flags: u32) -> OwnedHandle {
    let path = folder.path().join("file");
    std::fs::write(&path, b"0123456789").expect("a file");
    std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path).expect("the file").into()
}

#[test]
fn a_raw_call_owns_its_data_until_it_has_ended() {
    let (port, mut berth) = open();
    let folder = tempfile::tempdir().expect("a folder");
    let foreign = port.adopt(file(&folder, FILE_FLAG_OVERLAPPED)).expect("an overlapped handle");
    let read = |offset: u32| {
        let call = move |handle, overlapped: *mut OVERLAPPED, data: &mut Vec<u8>| {
            let mut header = OVERLAPPED::default();
            header.Anonymous.Anonymous.Offset = offset;
            // SAFETY: the header is the operation's; no call has it yet.
            unsafe { overlapped.write(header) };
            // SAFETY: the data lies still until the call has ended.
            let done = unsafe { ReadFile(handle, data.as_mut_ptr(), 4, std::ptr::null_mut(), overlapped) };
            if done != 0 {
                return Started::Done;
            }
            // SAFETY: the call reads a number of this thread.
            match unsafe { GetLastError() } {
                ERROR_IO_PENDING => Started::Pending,
                code => Started::Failed(code),
            }
        };
        // SAFETY: the header and the data go to one call on this handle, and what it said is told.
        unsafe { RawCall::new(&foreign, vec![0_u8; 4], call) }
    };
    let (result, data) = run(&mut berth, read(3));
    assert_eq!((result.expect("a read"), &data[..]), (4, &b"3456"[..]));
    let error = run(&mut berth, read(100)).0.expect_err("it is the end: a raw call is told the code");
    assert_eq!(error.raw_os_error(), Some(38));
    drop(foreign);
    close(port, berth);
}

#[test]
fn a_handle_belongs_to_one_port() {
    let (port, berth) = open();
    let folder = tempfile::tempdir().expect("a folder");
    let handle = file(&folder, FILE_FLAG_OVERLAPPED);
    let again = handle.try_clone().expect("the same object");
    let _foreign = port.adopt(handle).expect("an overlapped handle");
    let refused = Port::open().expect("another port").adopt(again).expect_err("it has a port");
    assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{refused}");
    let refused = port.adopt(file(&folder, 0)).expect_err("its calls would hold the thread");
    assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{refused}");
    close(port, berth);
}

#[test]
fn a_foreign_socket_is_waited_for_until_it_is_ready() {
    let (port, mut berth) = open();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let mut client = TcpStream::connect(listener.local_addr().expect("its address")).expect("a connection");
    let (server, _) = listener.accept().expect("a connection");
    let server = port.adopt_socket(server.into()).expect("an overlapped socket");
    run(&mut berth, op::Ready::new(&server, Readiness::Write)).0.expect("there is room");
    let mut readable = submit(&mut berth, op::Ready::new(&server, Readiness::Read));
    look(&mut berth);
    assert!(!readable.is_done(), "nothing was sent");
    client.write_all(b"x").expect("a write");
    end(&mut berth, &mut readable).0.expect("there is a byte");
    // It is still there: readiness takes nothing.
    run(&mut berth, op::Ready::new(&server, Readiness::Read)).0.expect("there is a byte");
    let listener = port.adopt_socket(listener.into()).expect("an overlapped socket");
    let mut waiting = submit(&mut berth, op::Ready::new(&listener, Readiness::Read));
    look(&mut berth);
    waiting.cancel();
    let error = end(&mut berth, &mut waiting).0.expect_err("it was cancelled");
    assert_eq!(Class::of(&error), Class::Cancelled);
    drop((server, listener));
    close(port, berth);
}
