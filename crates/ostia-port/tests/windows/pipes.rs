//! Named pipes.

use std::{
    io::{ErrorKind, Read, Write},
    os::windows::fs::OpenOptionsExt,
    time::Duration,
};

use ostia_port::{
    Address, Batch, Class, ListenOptions, op,
    os::windows::{Access, PipeOptions, disconnect, peer_process, peer_user, pipe_pair},
};

use crate::{kit::*, wine::wine_differs};

#[test]
fn the_same_calls_serve_a_pipe_that_serve_a_socket() {
    let (port, mut berth) = open();
    let name = Address::local(&format!("ostia-test-same-{}", std::process::id())).expect("a name");
    let listener = port.listen(&name, &ListenOptions::new()).expect("a listener");
    let (client, server) = pair(&mut berth, &listener, &name);
    send(&mut berth, &client, *b"there");
    assert_eq!(receive_all(&mut berth, &server, 5), b"there");
    send(&mut berth, &server, *b"back");
    assert_eq!(receive_all(&mut berth, &client, 4), b"back");
    drop(client);
    assert_eq!(receive(&mut berth, &server, 8).0.expect("the end").len, 0);
    let (sent, _) = run(&mut berth, op::Send::new(&server, b"nobody".to_vec()));
    let error = sent.expect_err("nobody receives");
    assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{error}");
    assert_eq!(Class::of(&error), Class::PeerGone);
    drop((listener, server));
    close(port, berth);
}

#[test]
fn what_was_sent_before_the_close_still_arrives() {
    let (port, mut berth) = open();
    let (server, client) = pipe_pair(&port).expect("a pair");
    send(&mut berth, &server, vec![7; 1000]);
    drop(server);
    assert_eq!(receive_all(&mut berth, &client, 1000), vec![7; 1000]);
    assert_eq!(receive(&mut berth, &client, 8).0.expect("the end").len, 0);
    close(port, berth);
}

#[test]
fn a_large_write_is_whole_and_waits_for_the_reader() {
    const LEN: usize = 4 << 20;
    let (port, mut berth) = open();
    let (server, client) = pipe_pair(&port).expect("a pair");
    let bytes: Vec<u8> = (0..LEN).map(|place| (place % 253) as u8).collect();
    let mut large = submit(&mut berth, op::Send::new(&client, bytes.clone()));
    let mut parts = submit(&mut berth, op::SendVectored::new(&client, vec![b"ab".to_vec(), b"cd".to_vec()]));
    look(&mut berth);
    assert!(!large.is_done(), "the pipe's buffer is smaller than this");
    assert!(receive_all(&mut berth, &server, LEN) == bytes);
    assert_eq!(receive_all(&mut berth, &server, 4), b"abcd");
    assert_eq!(end(&mut berth, &mut large).0.expect("a send"), LEN);
    assert_eq!(end(&mut berth, &mut parts).0.expect("a send"), 4);
    close(port, berth);
}

#[test]
fn a_message_longer_than_the_room_comes_in_parts_that_say_so() {
    let (port, mut berth) = open();
    let options = PipeOptions::new().message(true);
    let (listener, name) = options.listen_generated(&port).expect("a listener");
    let mut accept = submit(&mut berth, op::Accept::new(&listener));
    let client = options.stream(&port, &name).expect("a stream");
    let (connected, client) = run(&mut berth, op::Connect::new(client, &name).expect("an address"));
    connected.expect("a connection");
    let server = end(&mut berth, &mut accept).0.expect("an accepted stream");
    // Once with the message there first, once with the receive.
    for receive_first in [false, true] {
        for (from, to) in [(&client, &server), (&server, &client)] {
            let mut first = None;
            if receive_first {
                first = Some(submit(&mut berth, op::Receive::new(to, vec![0; 4])));
                look(&mut berth);
            }
            send(&mut berth, from, *b"abcdefghij");
            send(&mut berth, from, *b"k");
            let mut first = first.unwrap_or_else(|| submit(&mut berth, op::Receive::new(to, vec![0; 4])));
            let (received, bytes) = end(&mut berth, &mut first);
            assert_eq!((received.expect("a part").more, &bytes[..]), (true, &b"abcd"[..]));
            let (received, bytes) = run(&mut berth, op::Receive::new(to, vec![0; 4]));
            assert_eq!((received.expect("a part").more, &bytes[..]), (true, &b"efgh"[..]));
            let (received, bytes) = run(&mut berth, op::Receive::new(to, vec![0; 4]));
            assert_eq!((received.expect("a part").more, &bytes[..]), (false, &b"ij"[..]));
            let (received, bytes) = run(&mut berth, op::Receive::new(to, vec![0; 4]));
            assert_eq!((received.expect("a message").more, &bytes[..]), (false, &b"k"[..]));
        }
    }
    // One message over several buffers, with too little room in all of them.
    send(&mut berth, &client, *b"abcdefghij");
    let (received, parts) = run(&mut berth, op::ReceiveVectored::new(&server, vec![vec![0; 3], vec![0; 4]]));
    let received = received.expect("a part");
    assert_eq!((received.len, received.more), (7, true));
    assert_eq!(parts, [b"abc".to_vec(), b"defg".to_vec()]);
    assert_eq!(receive_all(&mut berth, &server, 3), b"hij");
    let (sent, _) = run(&mut berth, op::SendVectored::new(&client, vec![b"a".to_vec(), b"b".to_vec()]));
    assert_eq!(sent.expect("a send"), 2);
    assert_eq!(receive(&mut berth, &server, 8).1, b"ab", "several buffers are one message");
    close(port, berth);
}

#[test]
fn managed_receives_serve_pipes_of_bytes_and_of_messages() {
    let (port, mut berth) = open();
    for message in [false, true] {
        let options = PipeOptions::new().message(message);
        let (listener, name) = options.listen_generated(&port).expect("a listener");
        let (client, server) = pair(&mut berth, &listener, &name);
        let mut many = submit(&mut berth, op::ReceiveManagedMany::new(&server));
        look(&mut berth);
        for round in 0..3_u8 {
            send(&mut berth, &client, vec![round; 100]);
            assert_eq!(*next(&mut berth, &mut many).expect("bytes"), [round; 100]);
        }
        drop(client);
        assert!(next(&mut berth, &mut many).expect("the end").is_empty());
        end(&mut berth, &mut many).0.expect("it ended with the stream");
    }
    close(port, berth);
}

#[test]
fn no_client_finds_the_name_gone_in_a_storm() {
    const CLIENTS: usize = 60;
    let (port, mut berth) = open();
    let (listener, name) = PipeOptions::new().listen_generated(&port).expect("a listener");
    let mut accept = submit(&mut berth, op::AcceptMany::new(&listener));
    let mut connects: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let stream = port.stream(&name).expect("a stream");
            submit(&mut berth, op::Connect::new(stream, &name).expect("an address"))
        })
        .collect();
    let servers: Vec<_> =
        (0..CLIENTS).map(|_| next(&mut berth, &mut accept).expect("an accepted stream")).collect();
    let clients: Vec<_> = connects
        .iter_mut()
        .map(|connect| {
            let (connected, stream) = end(&mut berth, connect);
            connected.expect("the name was there all the time");
            stream
        })
        .collect();
    for (number, client) in clients.iter().enumerate() {
        send(&mut berth, client, [number as u8]);
    }
    let mut seen: Vec<u8> = servers.iter().flat_map(|server| receive_all(&mut berth, server, 1)).collect();
    seen.sort_unstable();
    assert!(seen.iter().copied().eq(0..CLIENTS as u8));
    accept.cancel();
    end(&mut berth, &mut accept).0.expect_err("it was cancelled");
    close(port, berth);
}

#[test]
fn a_client_waits_for_a_free_instance_and_may_stop_waiting() {
    let (port, mut berth) = open();
    let (listener, name) = PipeOptions::new().instances_max(1).listen_generated(&port).expect("a listener");
    let (first, server) = pair(&mut berth, &listener, &name);
    let connect = |port: &ostia_port::Port| {
        op::Connect::new(port.stream(&name).expect("a stream"), &name).expect("an address")
    };
    let mut waiting = submit(&mut berth, connect(&port));
    let mut given_up = submit(&mut berth, connect(&port));
    let mut timer = submit(&mut berth, op::Timer::after(&port, Duration::from_millis(100)));
    end(&mut berth, &mut timer).0.expect("a timer");
    assert!(!waiting.is_done() && !given_up.is_done(), "the one instance is taken");
    given_up.cancel();
    let error = end(&mut berth, &mut given_up).0.expect_err("it was cancelled");
    assert_eq!(Class::of(&error), Class::Cancelled);
    let mut accept = submit(&mut berth, op::Accept::new(&listener));
    drop((first, server));
    let second = end(&mut berth, &mut accept).0.expect("an accepted stream");
    let (connected, client) = end(&mut berth, &mut waiting);
    connected.expect("it is free now");
    send(&mut berth, &client, *b"x");
    assert_eq!(receive_all(&mut berth, &second, 1), b"x");
    close(port, berth);
}

#[test]
fn a_name_that_nobody_has_is_not_found() {
    let (port, mut berth) = open();
    let name = Address::local("ostia-test-nobody").expect("a name");
    let stream = port.stream(&name).expect("a stream");
    let (connected, stream) = run(&mut berth, op::Connect::new(stream, &name).expect("an address"));
    assert_eq!(connected.expect_err("nobody listens").kind(), ErrorKind::NotFound);
    // It never was connected: that is an error, and not the end of a stream.
    let error = receive(&mut berth, &stream, 1).0.expect_err("no pipe");
    assert_eq!(error.kind(), ErrorKind::NotConnected, "{error}");
    for remote in [r"\\host\pipe\name", r"\\.\pipe\", "name"] {
        let refused = port.stream(&Address::Local(remote.into())).expect_err("no name of this machine");
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    }
    close(port, berth);
}

#[test]
fn a_cancelled_accept_leaves_the_name_listening() {
    let (port, mut berth) = open();
    let (listener, name) = PipeOptions::new().listen_generated(&port).expect("a listener");
    let mut accept = submit(&mut berth, op::Accept::new(&listener));
    look(&mut berth);
    accept.cancel();
    end(&mut berth, &mut accept).0.expect_err("it was cancelled");
    // It connects before anybody waits for it: that is no error either.
    let client = connect(&mut berth, &name);
    let (server, ()) = run(&mut berth, op::Accept::new(&listener));
    let server = server.expect("the client that came first");
    send(&mut berth, &client, *b"x");
    assert_eq!(receive_all(&mut berth, &server, 1), b"x");
    close(port, berth);
}

#[test]
fn a_client_that_came_and_went_does_not_end_an_accept() {
    let (port, mut berth) = open();
    let (listener, name) = PipeOptions::new().listen_generated(&port).expect("a listener");
    drop(connect(&mut berth, &name));
    let mut accept = submit(&mut berth, op::Accept::new(&listener));
    let client = connect(&mut berth, &name);
    // Either the one that went was handed out and its stream has ended, or it was passed over.
    let mut server = end(&mut berth, &mut accept).0.expect("an accepted stream");
    send(&mut berth, &client, *b"x");
    if receive(&mut berth, &server, 1).1.is_empty() {
        server = run(&mut berth, op::Accept::new(&listener)).0.expect("the other one");
        assert_eq!(receive_all(&mut berth, &server, 1), b"x");
    }
    drop(server);
    close(port, berth);
}

#[test]
fn each_end_of_a_pipe_knows_the_process_and_the_user_at_the_other() {
    let (port, mut berth) = open();
    let (listener, name) = PipeOptions::new().listen_generated(&port).expect("a listener");
    let (client, server) = pair(&mut berth, &listener, &name);
    send(&mut berth, &client, *b"x");
    receive_all(&mut berth, &server, 1);
    for end in [&client, &server] {
        assert_eq!(peer_process(end).expect("a process"), std::process::id());
    }
    let of_client = peer_user(&server).expect("a user");
    assert!(of_client.starts_with("S-1-5-"), "{of_client}");
    assert_eq!(of_client, peer_user(&client).expect("a user"));
    close(port, berth);
}

#[test]
fn a_cut_off_client_is_at_its_end() {
    let (port, mut berth) = open();
    let (server, client) = pipe_pair(&port).expect("a pair");
    disconnect(&client).expect_err("only the server can");
    disconnect(&server).expect("a disconnect");
    assert_eq!(receive(&mut berth, &client, 1).0.expect("the end").len, 0);
    close(port, berth);
}

#[test]
fn a_second_owner_of_a_name_is_refused() {
    let (port, berth) = open();
    let (_listener, name) = PipeOptions::new().listen_generated(&port).expect("a listener");
    let second = PipeOptions::new().listen(&port, &name);
    wine_differs("pipe-first-instance", second.is_err());
    close(port, berth);
}

#[test]
fn each_preset_lets_its_own_user_in() {
    let (port, mut berth) = open();
    for access in [Access::OwnerOnly, Access::SameSession, Access::AuthenticatedUsers] {
        let options = PipeOptions::new().access(access.clone());
        let (listener, name) = options.listen_generated(&port).expect("a listener");
        let (client, server) = pair(&mut berth, &listener, &name);
        send(&mut berth, &client, *b"x");
        assert_eq!(receive_all(&mut berth, &server, 1), b"x", "{access:?}");
    }
    let nobody = PipeOptions::new().access(Access::Sddl("no descriptor".to_owned()));
    nobody.listen_generated(&port).expect_err("that is no descriptor");
    close(port, berth);
}

#[test]
fn another_program_s_client_is_served() {
    let (port, mut berth) = open();
    let (listener, name) = PipeOptions::new().listen_generated(&port).expect("a listener");
    let path = name.as_path().expect("a local name").to_path_buf();
    let mut accept = submit(&mut berth, op::Accept::new(&listener));
    let thread = std::thread::spawn(move || {
        let identification = 0x0001_0000;
        let mut pipe = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .security_qos_flags(identification)
            .open(path)
            .expect("the name listens");
        pipe.write_all(b"question").expect("a write");
        let mut answer = [0; 6];
        pipe.read_exact(&mut answer).expect("a read");
        answer
    });
    let server = end(&mut berth, &mut accept).0.expect("an accepted stream");
    assert_eq!(receive_all(&mut berth, &server, 8), b"question");
    send(&mut berth, &server, *b"answer");
    assert_eq!(&thread.join().expect("the client"), b"answer");
    close(port, berth);
}

#[test]
fn a_cancelled_receive_leaves_the_bytes_for_the_next() {
    let (port, mut berth) = open();
    let (server, client) = pipe_pair(&port).expect("a pair");
    for _ in 0..20 {
        let mut receive = submit(&mut berth, op::Receive::new(&server, Vec::with_capacity(4)));
        look(&mut berth);
        receive.cancel();
        let error = end(&mut berth, &mut receive).0.expect_err("it was cancelled");
        assert_eq!(Class::of(&error), Class::Cancelled);
    }
    send(&mut berth, &client, *b"x");
    assert_eq!(receive_all(&mut berth, &server, 1), b"x");
    let mut batch = Batch::new();
    assert_eq!(berth.wait(&mut batch, Some(Duration::ZERO)).expect("a look"), 0, "no packet is left over");
    close(port, berth);
}
