//! Whose status it is that an operation is told.

use std::{
    fs,
    os::windows::{fs::OpenOptionsExt, io::OwnedHandle},
    sync::mpsc,
    time::Duration,
};

use windows_sys::Win32::{Storage::FileSystem::FILE_FLAG_OVERLAPPED, System::IO::OVERLAPPED};

use super::*;
use crate::{
    op,
    os::windows::{RawCall, Started},
    packet::{Batch, Packet},
    port::Port,
};

const STATUS_BUFFER_OVERFLOW: usize = 0x8000_0005;
const STATUS_PIPE_BROKEN: usize = 0xc000_014b;
const PATIENCE: Duration = Duration::from_secs(20);

fn overlapped_file() -> (tempfile::TempDir, OwnedHandle) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    fs::write(&path, b"bytes").expect("a file");
    let file = fs::OpenOptions::new().read(true).custom_flags(FILE_FLAG_OVERLAPPED).open(path);
    (folder, file.expect("the file").into())
}

fn post(port: &Port, key: usize, bytes: u32, header: *mut OVERLAPPED) {
    let system = port.shared().system.os().expect("IOCP");
    // SAFETY: the port is open; what is posted is passed through unread.
    let done = unsafe { PostQueuedCompletionStatus(system.shared.port.raw(), bytes, key, header) };
    assert_ne!(done, 0, "a packet");
}

/// Three calls are under way. Each header is filled in by hand, as the kernel would, in another way; what the packets
/// themselves say of status and count is something else again, and they come in another order.
#[test]
fn each_operation_is_told_its_own_identity_status_and_bytes() {
    let port = Port::open().expect("a port");
    let mut berth = port.berth().expect("a berth");
    let (_folder, file) = overlapped_file();
    let foreign = port.adopt(file).expect("an overlapped handle");
    let own =
        [(0, 11, Ok(11)), (STATUS_BUFFER_OVERFLOW, 22, Ok(22)), (STATUS_PIPE_BROKEN, 0, Err(Some(109)))];
    let (tell, told) = mpsc::channel();
    let mut calls: Vec<_> = (0..own.len())
        .map(|place| {
            let tell = tell.clone();
            // SAFETY: the header goes to no call of the system; one packet is posted for it below.
            let call = unsafe {
                RawCall::new(&foreign, place, move |_, header, _| {
                    tell.send(header.expose_provenance()).expect("somebody listens");
                    Started::Pending
                })
            };
            let ticket = berth.submit(call).expect("the port takes it");
            (ticket, ptr::with_exposed_provenance_mut::<OVERLAPPED>(told.recv().expect("the call was made")))
        })
        .collect();
    for place in [2, 0, 1] {
        let (status, bytes, _) = own[place];
        let header = calls[place].1;
        let filled = OVERLAPPED { Internal: status, InternalHigh: bytes, ..OVERLAPPED::default() };
        // SAFETY: the operation is under way, and nothing but this line writes to its header.
        unsafe { header.write_volatile(filled) };
        post(&port, KEY_FOREIGN, 4711, header);
        let mut batch = Batch::new();
        assert_eq!(berth.wait(&mut batch, Some(PATIENCE)).expect("a wait"), 1);
        let told = batch.drain().next();
        let ticket = &mut calls[place].0;
        assert!(matches!(told, Some(Packet::Done(id)) if id == ticket.id()), "{told:?}");
        let (result, data) = ticket.poll().expect("it has ended");
        assert_eq!(data, place);
        assert_eq!(result.map_err(|error| error.raw_os_error()), own[place].2, "operation {place}");
    }
    drop((calls, foreign));
    assert_eq!(berth.close(PATIENCE).leaked, 0);
}

#[test]
fn packets_of_nobody_are_counted_and_nothing_else() {
    let port = Port::open().expect("a port");
    let mut berth = port.berth().expect("a berth");
    let mut theirs = OVERLAPPED::default();
    // No such key; a key of ours without a header; somebody else's call on an adopted handle.
    post(&port, 4711, 1, ptr::null_mut());
    post(&port, KEY_IO, 1, ptr::null_mut());
    post(&port, KEY_FOREIGN, 1, &raw mut theirs);
    let mut nop = berth.submit(op::Nop).expect("the port takes it");
    let mut batch = Batch::new();
    while nop.poll().is_none() {
        assert!(berth.wait(&mut batch, Some(PATIENCE)).expect("a wait") > 0);
    }
    assert_eq!(berth.close(PATIENCE).unknown, 3);
}

#[test]
fn sockets_of_the_system_s_own_provider_skip_packets_and_listeners_do_not() {
    socket::start_up().expect("Winsock");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let client =
        std::net::TcpStream::connect(listener.local_addr().expect("its address")).expect("a connection");
    let raw = |socket: &dyn std::os::windows::io::AsRawSocket| socket.as_raw_socket() as usize;
    assert!(!socket::may_skip(raw(&listener)));
    assert!(socket::may_skip(raw(&client)), "there is no layered provider on a test machine");
}
