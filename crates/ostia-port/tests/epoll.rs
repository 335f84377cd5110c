//! What is particular to epoll: how readiness becomes completion. What every back end promises is in `conformance`.

#![cfg(target_os = "linux")]

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    os::unix::net::UnixListener,
    thread,
    time::{Duration, Instant},
};

use ostia_port::{Address, Backend, Batch, Berth, Class, ListenOptions, Packet, Port, Stream, Ticket, op};

const PATIENCE: Duration = Duration::from_secs(20);

fn port() -> Port {
    Port::builder().backend(Backend::Epoll).open().expect("Linux has epoll")
}

/// Waits until the operation has ended, and gives what it gave.
#[track_caller]
fn end<O: op::Op>(berth: &mut Berth, ticket: &mut Ticket<O>) -> (io::Result<O::Out>, O::Back) {
    let until = Instant::now() + PATIENCE;
    let mut batch = Batch::new();
    loop {
        if let Some(result) = ticket.poll() {
            return result;
        }
        let left = until.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "an operation does not end");
        berth.wait(&mut batch, Some(left)).unwrap();
    }
}

#[track_caller]
fn run<O: op::Op>(berth: &mut Berth, op: O) -> (io::Result<O::Out>, O::Back) {
    let mut ticket = berth.submit(op).expect("there is room");
    end(berth, &mut ticket)
}

/// The next of many results.
#[track_caller]
fn next<O: op::Op>(berth: &mut Berth, ticket: &mut Ticket<O>) -> io::Result<O::Item> {
    let until = Instant::now() + PATIENCE;
    let mut batch = Batch::new();
    loop {
        if let Some(item) = ticket.next() {
            return item;
        }
        let left = until.saturating_duration_since(Instant::now());
        assert!(!left.is_zero() && !ticket.is_done(), "nothing more comes");
        berth.wait(&mut batch, Some(left)).unwrap();
    }
}

/// A stream of the port, and its other end in the hands of the test.
fn pair(port: &Port, berth: &mut Berth) -> (Stream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = Address::Ip(listener.local_addr().unwrap());
    let stream = port.stream(&address).unwrap();
    let (connected, stream) = run(berth, op::Connect::new(stream, &address).unwrap());
    connected.unwrap();
    (stream, listener.accept().unwrap().0)
}

/// What the calling thread has used of its CPU.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[test]
fn bytes_go_both_ways() {
    let port = port();
    let mut berth = port.berth().unwrap();
    assert_eq!(berth.backend(), Backend::Epoll);
    let listener = port.listen(&(Ipv4Addr::LOCALHOST, 0).into_address(), &ListenOptions::new()).unwrap();
    let address = listener.local_address().unwrap();
    let mut accept = berth.submit(op::Accept::new(&listener)).unwrap();
    let stream = port.stream(&address).unwrap();
    let (connected, ours) = run(&mut berth, op::Connect::new(stream, &address).unwrap());
    connected.unwrap();
    let theirs = end(&mut berth, &mut accept).0.unwrap();
    assert_eq!(theirs.peer_address().unwrap(), ours.local_address().unwrap());
    for _ in 0..3 {
        let mut receive = berth.submit(op::Receive::new(&theirs, Vec::with_capacity(64))).unwrap();
        run(&mut berth, op::Send::new(&ours, b"there".to_vec())).0.unwrap();
        let (received, buffer) = end(&mut berth, &mut receive);
        assert_eq!((received.unwrap().len, &buffer[..]), (5, &b"there"[..]));
        run(&mut berth, op::SendVectored::new(&theirs, vec![b"ba".to_vec(), vec![], b"ck".to_vec()]))
            .0
            .unwrap();
        let room = vec![Vec::with_capacity(3), Vec::with_capacity(3)];
        let (received, buffers) = run(&mut berth, op::ReceiveVectored::new(&ours, room));
        assert_eq!(received.unwrap().len, 4);
        assert_eq!(buffers, [b"bac".to_vec(), b"k".to_vec()]);
    }
    ours.shutdown(Shutdown::Write).unwrap();
    let (received, _) = run(&mut berth, op::Receive::new(&theirs, Vec::with_capacity(64)));
    assert_eq!(received.unwrap().len, 0);
    let report = berth.close(PATIENCE);
    assert_eq!((report.submitted, report.leaked, report.unknown), (report.ended, 0, 0));
}

trait IntoAddress {
    fn into_address(self) -> Address;
}

impl IntoAddress for (Ipv4Addr, u16) {
    fn into_address(self) -> Address {
        Address::Ip(self.into())
    }
}

#[test]
fn a_connect_that_is_refused_says_so() {
    let port = port();
    let mut berth = port.berth().unwrap();
    let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let address = Address::Ip(gone);
    let stream = port.stream(&address).unwrap();
    let (connected, _) = run(&mut berth, op::Connect::new(stream, &address).unwrap());
    assert_eq!(connected.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_send_larger_than_the_socket_arrives_whole_and_in_order() {
    let port = port();
    let mut berth = port.berth().unwrap();
    let (stream, mut peer) = pair(&port, &mut berth);
    let bytes: Vec<u8> = (0..12_000_000u32).map(|place| (place % 251) as u8).collect();
    let expected = bytes.clone();
    let mut sends = Vec::new();
    for part in bytes.chunks(5_000_000) {
        let thirds: Vec<Vec<u8>> = part.chunks(part.len() / 3 + 1).map(<[u8]>::to_vec).collect();
        sends.push(berth.submit(op::SendVectored::new(&stream, thirds)).unwrap());
    }
    let last = berth.submit(op::Send::new(&stream, b"end".to_vec())).unwrap();
    let reader = thread::spawn(move || {
        let mut all = Vec::new();
        peer.read_to_end(&mut all).unwrap();
        all
    });
    let sent: usize = sends.iter_mut().map(|send| end(&mut berth, send).0.unwrap()).sum();
    assert_eq!(sent, expected.len());
    let mut last = last;
    assert_eq!(end(&mut berth, &mut last).0.unwrap(), 3);
    drop(stream);
    let all = reader.join().unwrap();
    assert_eq!(all.len(), expected.len() + 3);
    assert!(all.starts_with(&expected) && all.ends_with(b"end"));
}

#[test]
fn what_waits_is_cancelled_at_once() {
    let port = port();
    let mut berth = port.berth().unwrap();
    let (stream, peer) = pair(&port, &mut berth);
    let listener = port.listen(&(Ipv4Addr::LOCALHOST, 0).into_address(), &ListenOptions::new()).unwrap();
    let mut receive = berth.submit(op::Receive::new(&stream, Vec::with_capacity(8))).unwrap();
    let mut second = berth.submit(op::Receive::new(&stream, Vec::with_capacity(8))).unwrap();
    let mut accept = berth.submit(op::AcceptMany::new(&listener)).unwrap();
    let mut send = berth.submit(op::Send::new(&stream, vec![7; 32 << 20])).unwrap();
    berth.wait(&mut Batch::new(), Some(Duration::ZERO)).unwrap();
    for cancel in
        [&mut || receive.cancel(), &mut || accept.cancel(), &mut || send.cancel()] as [&mut dyn FnMut(); 3]
    {
        cancel();
    }
    let (received, buffer) = end(&mut berth, &mut receive);
    assert_eq!(Class::of(&received.unwrap_err()), Class::Cancelled);
    assert_eq!(buffer.capacity(), 8);
    assert_eq!(Class::of(&end(&mut berth, &mut accept).0.unwrap_err()), Class::Cancelled);
    assert_eq!(Class::of(&end(&mut berth, &mut send).0.unwrap_err()), Class::Cancelled);
    // The one behind it has its turn.
    (&peer).write_all(b"now").unwrap();
    assert_eq!(end(&mut berth, &mut second).0.unwrap().len, 3);
}

#[test]
fn a_peer_that_sends_to_somebody_who_does_not_read_wakes_the_berth_no_more_than_once() {
    let port = port();
    let mut berth = port.berth().unwrap();
    let (stream, mut peer) = pair(&port, &mut berth);
    let mut receive = berth.submit(op::Receive::new(&stream, Vec::with_capacity(1))).unwrap();
    peer.write_all(b"abc").unwrap();
    assert_eq!(end(&mut berth, &mut receive).0.unwrap().len, 1);
    let before = cpu_time();
    assert_eq!(berth.wait(&mut Batch::new(), Some(Duration::from_millis(300))).unwrap(), 0);
    let used = cpu_time() - before;
    assert!(used < Duration::from_millis(100), "a wait for nothing took {used:?} of the CPU");
    // What was there is still there.
    let (received, buffer) = run(&mut berth, op::Receive::new(&stream, Vec::with_capacity(8)));
    assert_eq!((received.unwrap().len, &buffer[..]), (2, &b"bc"[..]));
    // Nor does a peer that is gone.
    let mut receive = berth.submit(op::Receive::new(&stream, Vec::with_capacity(1))).unwrap();
    drop(peer);
    assert_eq!(end(&mut berth, &mut receive).0.unwrap().len, 0);
    stream.shutdown(Shutdown::Both).unwrap();
    let before = cpu_time();
    assert_eq!(berth.wait(&mut Batch::new(), Some(Duration::from_millis(300))).unwrap(), 0);
    let used = cpu_time() - before;
    assert!(used < Duration::from_millis(100), "a wait for nothing took {used:?} of the CPU");
}

#[test]
fn a_handle_is_used_at_two_berths_and_closed_by_a_third_thread() {
    let port = port();
    let mut here = port.berth().unwrap();
    for round in 0..50 {
        let (stream, mut peer) = pair(&port, &mut here);
        let mut receive = here.submit(op::Receive::new(&stream, Vec::with_capacity(8))).unwrap();
        here.wait(&mut Batch::new(), Some(Duration::ZERO)).unwrap();
        peer.write_all(b"one").unwrap();
        assert_eq!(end(&mut here, &mut receive).0.unwrap().len, 3);
        let (port, there) = (port.clone(), stream.clone());
        let other = thread::spawn(move || {
            let mut berth = port.berth().unwrap();
            let mut receive = berth.submit(op::Receive::new(&there, Vec::with_capacity(8))).unwrap();
            berth.wait(&mut Batch::new(), Some(Duration::ZERO)).unwrap();
            peer.write_all(b"three").unwrap();
            assert_eq!(end(&mut berth, &mut receive).0.unwrap().len, 5);
            drop(there);
        });
        other.join().unwrap();
        // The descriptor's number comes back with the next round; nothing of this one may reach it.
        thread::spawn(move || drop(stream)).join().unwrap();
        let report = here.wait(&mut Batch::new(), Some(Duration::ZERO)).unwrap();
        assert_eq!(report, 0, "round {round}");
    }
}

#[test]
fn a_connect_to_a_unix_socket_whose_line_is_full_waits_for_its_turn() {
    let port = port();
    let mut berth = port.berth().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    socket.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
    socket.listen(0).unwrap();
    let listener = UnixListener::from(socket);
    let address = Address::Local(path);
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let stream = port.stream(&address).unwrap();
        waiting.push(berth.submit(op::Connect::new(stream, &address).unwrap()).unwrap());
    }
    let mut batch = Batch::new();
    while berth.wait(&mut batch, Some(Duration::from_millis(20))).unwrap() > 0 {}
    let done = waiting.iter().filter(|ticket| ticket.is_done()).count();
    assert!((1..4).contains(&done), "{done} of 4 found room in a line of one");
    let mut last = waiting.pop().expect("there are four");
    last.cancel();
    assert_eq!(Class::of(&end(&mut berth, &mut last).0.unwrap_err()), Class::Cancelled);
    let accepted: Vec<_> = thread::scope(|scope| {
        let accepting = scope.spawn(|| (0..3).map(|_| listener.accept().unwrap()).collect());
        for ticket in &mut waiting {
            end(&mut berth, ticket).0.unwrap();
        }
        accepting.join().unwrap()
    });
    assert_eq!(accepted.len(), 3);
}

#[test]
fn a_datagram_for_a_unix_socket_that_is_full_waits_for_room() {
    let port = port();
    let mut berth = port.berth().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let address = Address::Local(folder.path().join("receiver"));
    let receiver = port.datagram(&address).unwrap();
    let sender = port.datagram(&Address::Local("".into())).unwrap();
    let mut sends: Vec<_> = (0..2000u32)
        .map(|number| {
            let bytes = number.to_ne_bytes().to_vec();
            berth.submit(op::SendTo::new(&sender, bytes, Some(&address)).unwrap()).unwrap()
        })
        .collect();
    for number in 0..2000u32 {
        let (received, buffer) = run(&mut berth, op::ReceiveFrom::new(&receiver, Vec::with_capacity(8)));
        assert_eq!((received.unwrap().len, &buffer[..]), (4, &number.to_ne_bytes()[..]));
    }
    for send in &mut sends {
        assert_eq!(end(&mut berth, send).0.unwrap(), 4);
    }
}

#[test]
fn a_datagram_says_where_it_is_from_and_whether_it_was_cut() {
    let port = port();
    let mut berth = port.berth().unwrap();
    let ours = port.datagram(&(Ipv4Addr::LOCALHOST, 0).into_address()).unwrap();
    let theirs = port.datagram(&(Ipv4Addr::LOCALHOST, 0).into_address()).unwrap();
    let to = theirs.local_address().unwrap();
    let mut receive = berth.submit(op::ReceiveFrom::new(&theirs, Vec::with_capacity(4))).unwrap();
    run(&mut berth, op::SendTo::new(&ours, b"longer".to_vec(), Some(&to)).unwrap()).0.unwrap();
    let (received, buffer) = end(&mut berth, &mut receive);
    let received = received.unwrap();
    assert_eq!((received.len, received.truncated, &buffer[..]), (4, true, &b"long"[..]));
    assert_eq!(received.from, Some(ours.local_address().unwrap()));
    run(&mut berth, op::SendTo::new(&ours, vec![], Some(&to)).unwrap()).0.unwrap();
    let received = run(&mut berth, op::ReceiveFrom::new(&theirs, Vec::with_capacity(4))).0.unwrap();
    assert_eq!((received.len, received.truncated), (0, false));
}

#[test]
fn whoever_finds_no_lent_buffer_waits_until_one_comes_back() {
    let port = Port::builder().backend(Backend::Epoll).lent_buffers(1, 64).open().unwrap();
    let mut berth = port.berth().unwrap();
    let (first, mut first_peer) = pair(&port, &mut berth);
    let (second, mut second_peer) = pair(&port, &mut berth);
    let mut one = berth.submit(op::ReceiveManaged::new(&first)).unwrap();
    let mut many = berth.submit(op::ReceiveManagedMany::new(&second)).unwrap();
    assert_eq!(berth.wait(&mut Batch::new(), Some(Duration::from_millis(10))).unwrap(), 0);
    first_peer.write_all(b"first").unwrap();
    let lent = end(&mut berth, &mut one).0.unwrap();
    assert_eq!(&lent[..], b"first");
    second_peer.write_all(b"second").unwrap();
    let before = cpu_time();
    assert_eq!(berth.wait(&mut Batch::new(), Some(Duration::from_millis(100))).unwrap(), 0);
    assert!(cpu_time() - before < Duration::from_millis(50), "it waits, and does not look again and again");
    let giver = thread::spawn(move || drop(lent));
    let received = next(&mut berth, &mut many).unwrap();
    assert_eq!(&received[..], b"second");
    giver.join().unwrap();
    // One that is cancelled while it waits for a buffer leaves the line.
    let mut one = berth.submit(op::ReceiveManaged::new(&first)).unwrap();
    first_peer.write_all(b"later").unwrap();
    berth.wait(&mut Batch::new(), Some(Duration::from_millis(20))).unwrap();
    one.cancel();
    assert_eq!(Class::of(&end(&mut berth, &mut one).0.unwrap_err()), Class::Cancelled);
    drop(received);
    drop(second_peer);
    assert!(next(&mut berth, &mut many).unwrap().is_empty());
    end(&mut berth, &mut many).0.unwrap();
    let lent = run(&mut berth, op::ReceiveManaged::new(&first)).0.unwrap();
    assert_eq!(&lent[..], b"later");
}

#[test]
fn many_receives_end_when_as_many_wait_as_may() {
    let port = port();
    let mut berth = port.berth().unwrap();
    let (stream, mut peer) = pair(&port, &mut berth);
    let mut many = berth.submit(op::ReceiveManagedMany::new(&stream)).unwrap();
    let mut sent = Vec::new();
    while !many.is_done() {
        let chunk = [sent.len() as u8; 100];
        peer.write_all(&chunk).unwrap();
        sent.extend_from_slice(&chunk);
        berth.wait(&mut Batch::new(), Some(Duration::from_millis(5))).unwrap();
    }
    let mut count = 0;
    let mut received = Vec::new();
    while let Some(item) = many.next() {
        count += 1;
        received.extend_from_slice(&item.unwrap());
    }
    many.poll().expect("it has ended").0.unwrap();
    assert_eq!(count, op::ReceiveManagedMany::WAITING_MAX);
    peer.shutdown(Shutdown::Write).unwrap();
    loop {
        let (received_now, buffer) = run(&mut berth, op::Receive::new(&stream, Vec::with_capacity(4096)));
        if received_now.unwrap().len == 0 {
            break;
        }
        received.extend_from_slice(&buffer);
    }
    assert_eq!(received, sent);
}

#[test]
fn many_accepts_end_when_as_many_wait_as_may_and_begin_again() {
    let port = port();
    let mut berth = port.berth().unwrap();
    let listener = port.listen(&(Ipv4Addr::LOCALHOST, 0).into_address(), &ListenOptions::new()).unwrap();
    let Address::Ip(address) = listener.local_address().unwrap() else { panic!("it is over IP") };
    let count = op::AcceptMany::WAITING_MAX + 20;
    let peers: Vec<_> = (0..count).map(|_| TcpStream::connect(address).unwrap()).collect();
    let mut accept = berth.submit(op::AcceptMany::new(&listener)).unwrap();
    end_of_many(&mut berth, &accept);
    let mut streams = Vec::new();
    while let Some(item) = accept.next() {
        streams.push(item.unwrap());
    }
    accept.poll().expect("it has ended").0.unwrap();
    assert_eq!(streams.len(), op::AcceptMany::WAITING_MAX);
    let mut accept = berth.submit(op::AcceptMany::new(&listener)).unwrap();
    for _ in streams.len()..count {
        streams.push(next(&mut berth, &mut accept).unwrap());
    }
    // They do not wait in the kernel, and are not handed on to a child.
    for stream in &streams {
        assert!(never_waits(stream), "an accepted stream is close-on-exec and never waits");
    }
    drop(peers);
}

fn never_waits(stream: &Stream) -> bool {
    let information = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", stream.raw())).unwrap();
    let flags = information.lines().find_map(|line| line.strip_prefix("flags:")).expect("there are flags");
    let flags = u32::from_str_radix(flags.trim(), 8).unwrap();
    // O_CLOEXEC and O_NONBLOCK.
    flags & 0o2_004_000 == 0o2_004_000
}

fn end_of_many<O: op::Op>(berth: &mut Berth, ticket: &Ticket<O>) {
    let until = Instant::now() + PATIENCE;
    while !ticket.is_done() {
        let left = until.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "an operation does not end");
        berth.wait(&mut Batch::new(), Some(left)).unwrap();
    }
}

#[test]
fn files_are_made_written_read_and_removed() {
    let port = port();
    let mut berth = port.berth().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (path, renamed) = (folder.path().join("file"), folder.path().join("renamed"));
    let options = op::OpenOptions::new().read(true).write(true).create_new(true);
    let file = run(&mut berth, op::Open::new(&port, &path, options).unwrap()).0.unwrap();
    let again = run(&mut berth, op::Open::new(&port, &path, options).unwrap()).0;
    assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    let bytes: Vec<u8> = (0..3_000_000u32).map(|place| (place % 253) as u8).collect();
    assert_eq!(run(&mut berth, op::WriteAt::new(&file, bytes.clone(), 10)).0.unwrap(), bytes.len());
    run(&mut berth, op::Flush::data_only(&file)).0.unwrap();
    // More than is read at once, in memory and up to the end.
    let (read, buffer) = run(&mut berth, op::ReadAt::new(&file, Vec::with_capacity(4_000_000), 10));
    assert_eq!(read.unwrap(), bytes.len());
    assert!(buffer == bytes, "what was written is read");
    let (read, buffer) = run(&mut berth, op::ReadAt::new(&file, Vec::with_capacity(16), 0));
    assert_eq!(read.unwrap(), 16);
    assert_eq!(&buffer[..12], b"\0\0\0\0\0\0\0\0\0\0\0\x01");
    let (read, _) = run(&mut berth, op::ReadAt::new(&file, Vec::with_capacity(16), 1 << 40));
    assert_eq!(read.unwrap(), 0);
    let parts = vec![b"abc".to_vec(), vec![], b"defg".to_vec()];
    assert_eq!(run(&mut berth, op::WriteVectoredAt::new(&file, parts, 2)).0.unwrap(), 7);
    let room = vec![Vec::with_capacity(4), Vec::with_capacity(5)];
    let (read, buffers) = run(&mut berth, op::ReadVectoredAt::new(&file, room, 1));
    assert_eq!(read.unwrap(), 9);
    assert_eq!(buffers, [b"\0abc".to_vec(), b"defg\0".to_vec()]);
    run(&mut berth, op::SetSize::new(&file, 100)).0.unwrap();
    run(&mut berth, op::Flush::new(&file)).0.unwrap();
    let metadata = run(&mut berth, op::MetadataOfFile::new(&file)).0.unwrap();
    assert_eq!((metadata.len, metadata.kind, metadata.read_only), (100, op::EntryKind::File, false));
    assert!(metadata.modified.is_some_and(|time| time.elapsed().is_ok_and(|age| age < PATIENCE)));
    run(&mut berth, op::Rename::new(&path, &renamed).unwrap()).0.unwrap();
    let inner = folder.path().join("inner");
    run(&mut berth, op::CreateDir::new(&inner).unwrap()).0.unwrap();
    std::os::unix::fs::symlink("renamed", folder.path().join("link")).unwrap();
    let mut entries = run(&mut berth, op::ListDir::new(folder.path()).unwrap()).0.unwrap();
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    let names: Vec<_> = entries.iter().map(|entry| (entry.name.to_str().unwrap(), entry.kind)).collect();
    let expected = [
        ("inner", Some(op::EntryKind::Directory)),
        ("link", Some(op::EntryKind::Link)),
        ("renamed", Some(op::EntryKind::File)),
    ];
    assert_eq!(names, expected);
    for (follow, kind) in [(true, op::EntryKind::File), (false, op::EntryKind::Link)] {
        let of = op::MetadataOf::new(&folder.path().join("link"), follow).unwrap();
        assert_eq!(run(&mut berth, of).0.unwrap().kind, kind);
    }
    assert!(run(&mut berth, op::Remove::new(&inner).unwrap()).0.is_err());
    run(&mut berth, op::RemoveDir::new(&inner).unwrap()).0.unwrap();
    run(&mut berth, op::Remove::new(&renamed).unwrap()).0.unwrap();
    let gone = run(&mut berth, op::MetadataOf::new(&renamed, true).unwrap()).0;
    assert_eq!(gone.unwrap_err().kind(), io::ErrorKind::NotFound);
    let read_only = op::OpenOptions::new().read(true);
    let nowhere = run(&mut berth, op::Open::new(&port, &renamed, read_only).unwrap()).0;
    assert_eq!(nowhere.unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_busy_stream_starves_no_other() {
    let port = port();
    let mut berth = port.berth().unwrap();
    let (busy, mut busy_peer) = pair(&port, &mut berth);
    let (calm, mut calm_peer) = pair(&port, &mut berth);
    let flood = thread::spawn(move || while busy_peer.write_all(&[1; 65_536]).is_ok() {});
    let mut asked = berth.submit(op::Receive::new(&calm, Vec::with_capacity(8))).unwrap();
    let mut flooded = berth.submit(op::Receive::new(&busy, Vec::with_capacity(4096))).unwrap();
    let mut batch = Batch::new();
    let mut turns_since = None;
    for turn in 0.. {
        berth.wait(&mut batch, Some(PATIENCE)).unwrap();
        if let Some((received, buffer)) = flooded.poll() {
            assert!(received.unwrap().len > 0);
            flooded = berth.submit(op::Receive::new(&busy, buffer)).unwrap();
        }
        if turn == 100 {
            calm_peer.write_all(b"me").unwrap();
            turns_since = Some(turn);
        }
        if asked.poll().is_some() {
            let since = turn - turns_since.expect("it was not asked before");
            assert!(since <= 4, "another stream had to wait for {since} turns");
            break;
        }
        assert!(turn < 1000, "the calm one never comes");
    }
    drop(flooded);
    drop(busy);
    berth.close(PATIENCE);
    flood.join().unwrap();
}

#[test]
fn a_foreign_descriptor_is_waited_for_also_if_it_is_a_duplicate_or_a_regular_file() {
    let port = port();
    let mut berth = port.berth().unwrap();
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let first = port.adopt(reader.try_clone().unwrap()).unwrap();
    let second = port.adopt(reader).unwrap();
    let mut one = berth.submit(op::Ready::new(&first, op::Readiness::Read)).unwrap();
    let mut two = berth.submit(op::Ready::new(&second, op::Readiness::Read)).unwrap();
    assert_eq!(berth.wait(&mut Batch::new(), Some(Duration::from_millis(20))).unwrap(), 0);
    rustix::io::write(&writer, b"x").unwrap();
    end(&mut berth, &mut one).0.unwrap();
    end(&mut berth, &mut two).0.unwrap();
    // The file goes on living in the other one, and closing this one ends its registration alone.
    drop(first);
    run(&mut berth, op::Ready::new(&second, op::Readiness::Read)).0.unwrap();
    let mut byte = [0; 2];
    // SAFETY: the handle is open.
    let borrowed = unsafe { std::os::fd::BorrowedFd::borrow_raw(second.raw()) };
    assert_eq!(rustix::io::read(borrowed, &mut byte).unwrap(), 1);
    let mut two = berth.submit(op::Ready::new(&second, op::Readiness::Read)).unwrap();
    assert_eq!(berth.wait(&mut Batch::new(), Some(Duration::from_millis(20))).unwrap(), 0);
    drop(writer);
    end(&mut berth, &mut two).0.unwrap();

    let file = port.adopt(tempfile::tempfile().unwrap().into()).unwrap();
    for readiness in [op::Readiness::Read, op::Readiness::Write] {
        run(&mut berth, op::Ready::new(&file, readiness)).0.unwrap();
    }

    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
    while rustix::io::write(&writer, &[0; 4096]).is_ok() {}
    let writer = port.adopt(writer).unwrap();
    let mut room = berth.submit(op::Ready::new(&writer, op::Readiness::Write)).unwrap();
    assert_eq!(berth.wait(&mut Batch::new(), Some(Duration::from_millis(20))).unwrap(), 0);
    rustix::io::read(&reader, &mut [0; 65_536]).unwrap();
    end(&mut berth, &mut room).0.unwrap();
}

#[test]
fn a_packet_comes_once_for_each_end() {
    let port = port();
    let mut berth = port.berth().unwrap();
    let (stream, mut peer) = pair(&port, &mut berth);
    let mut batch = Batch::new();
    for _ in 0..100 {
        let receive = berth.submit(op::Receive::new(&stream, Vec::with_capacity(8))).unwrap();
        let send = berth.submit(op::Send::new(&stream, b"x".to_vec())).unwrap();
        let nop = berth.submit(op::Nop).unwrap();
        peer.write_all(b"y").unwrap();
        let mut seen = Vec::new();
        while seen.len() < 3 {
            assert!(berth.wait(&mut batch, Some(PATIENCE)).unwrap() > 0, "something is missing");
            seen.extend(batch.drain().map(|packet| match packet {
                Packet::Done(id) => id,
                other => panic!("{other:?}"),
            }));
        }
        seen.sort();
        let mut expected = [receive.id(), send.id(), nop.id()];
        expected.sort();
        assert_eq!(seen, expected);
    }
}
