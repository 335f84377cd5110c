//! What handles are made with.

use std::{io::ErrorKind, net::SocketAddr, time::Duration};

use ostia_port::{
    Address, Class, KeepAlive, ListenOptions,
    op::{Accept, Open, OpenOptions, Receive, Remove},
};

use crate::{
    case::Stage,
    kit::{is_inheritable, v4, v6},
};

cases![
    nodelay_is_read_back,
    no_handle_is_inherited_by_a_child,
    a_listener_at_port_zero_knows_its_port,
    an_ipv6_listener_is_for_ipv6_alone_if_asked,
    a_port_is_shared_by_listeners_only_if_all_ask,
    a_listener_says_where_it_listens,
    a_taken_port_is_not_stolen,
    options_of_streams_are_read_back,
    how_often_the_system_asks_is_counted,
    options_of_listeners_and_datagrams_are_read_back,
    what_has_no_such_option_says_so,
    a_stream_that_lingers_for_no_time_is_reset,
];

fn nodelay_is_read_back(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    for stream in [&ours, &theirs] {
        assert!(!stream.nodelay().expect("it is TCP"), "the system's own setting");
        stream.set_nodelay(true).expect("it is TCP");
        assert!(stream.nodelay().expect("it is TCP"));
        stream.set_nodelay(false).expect("it is TCP");
        assert!(!stream.nodelay().expect("it is TCP"));
    }
}

fn no_handle_is_inherited_by_a_child(stage: &Stage) {
    if stage.is_sim() {
        stage.skip("a simulated kernel has no children");
    }
    let mut desk = stage.desk();
    let local = stage.local();
    for way in [v4(), local] {
        let (listener, at) = desk.listen(&way);
        let (ours, theirs) = desk.pair_at(&listener, &at);
        for (what, raw) in [("connected", ours.raw()), ("accepted", theirs.raw())] {
            assert!(!is_inheritable(raw), "{what} at {at}");
        }
        // A listener at named pipes is a name, and its handles are the pipes.
        if way.as_ip().is_some() || !stage.is_iocp() {
            assert!(!is_inheritable(listener.raw()), "a listener at {at}");
        }
    }
    let socket = desk.port.datagram(&v4()).expect("it can be bound there");
    assert!(!is_inheritable(socket.raw()), "a socket for datagrams");
    let path = stage.path();
    let options = OpenOptions::new().write(true).create_new(true);
    let (file, ()) = desk.ok(Open::new(&desk.port, &path, options).expect("it is a path"));
    let inherited = is_inheritable(file.raw());
    drop(file);
    desk.ok(Remove::new(&path).expect("it is a path"));
    assert!(!inherited, "a file");
}

fn a_listener_at_port_zero_knows_its_port(stage: &Stage) {
    let mut desk = stage.desk();
    let (listener, at) = desk.listen(&v4());
    let port = at.as_ip().as_ref().map(SocketAddr::port).expect("it is IP");
    assert_ne!(port, 0);
    let (other, elsewhere) = desk.listen(&v4());
    assert_ne!(at, elsewhere);
    drop(other);
    drop(desk.pair_at(&listener, &at));
}

fn an_ipv6_listener_is_for_ipv6_alone_if_asked(stage: &Stage) {
    let mut desk = stage.desk();
    if let Err(error) = desk.port.listen(&v6(), &ListenOptions::new()) {
        stage.skip(format!("no IPv6 on this machine: {error}"));
    }
    let any: Address = "[::]:0".parse::<SocketAddr>().expect("it is an address").into();
    for only in [true, false] {
        let listener =
            desk.port.listen(&any, &ListenOptions::new().only_v6(only)).expect("the wildcard is ours");
        let port = listener.local_address().expect("it listens").as_ip().expect("it is IP").port();
        let by_v4: Address = SocketAddr::from(([127, 0, 0, 1], port)).into();
        let connect = desk.connect(&by_v4);
        let connected = desk.run(connect).0;
        assert_eq!(connected.is_err(), only, "{connected:?}");
        if !only {
            drop(desk.ok(Accept::new(&listener)));
        }
    }
}

fn a_port_is_shared_by_listeners_only_if_all_ask(stage: &Stage) {
    let desk = stage.desk();
    let shared = ListenOptions::new().reuse_port(true);
    let first = desk.port.listen(&v4(), &shared);
    if stage.is_iocp() || stage.is_sim() {
        assert_eq!(first.expect_err("Linux alone can do this").kind(), ErrorKind::Unsupported);
        return;
    }
    let first = first.expect("Linux can");
    let at = first.local_address().expect("it listens");
    let second = desk.port.listen(&at, &shared).expect("both ask");
    assert_eq!(second.local_address().expect("it listens"), at);
    let error = desk.port.listen(&at, &ListenOptions::new()).expect_err("this one does not ask");
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
}

fn a_listener_says_where_it_listens(stage: &Stage) {
    if cfg!(windows) && stage.is_sim() {
        stage.skip("the addresses that Windows knows have no names in the machine");
    }
    let desk = stage.desk();
    let at = stage.local();
    let (listener, _) = desk.listen(&at);
    match listener.local_address() {
        Ok(told) => assert_eq!(told, at),
        Err(error) => assert!(stage.is_iocp() && error.kind() == ErrorKind::Unsupported, "{error}"),
    }
}

fn a_taken_port_is_not_stolen(stage: &Stage) {
    // Some systems let a second listener have a port if it asks for an address that was used before.
    let mut desk = stage.desk();
    let (listener, at) = desk.listen(&v4());
    for _ in 0..3 {
        let stolen = desk.port.listen(&at, &ListenOptions::new());
        assert_eq!(stolen.expect_err("it is taken").kind(), ErrorKind::AddrInUse);
        drop(desk.pair_at(&listener, &at));
    }
    // But who comes after us need not wait for connections that are being forgotten.
    drop(listener);
    let again = desk.port.listen(&at, &ListenOptions::new());
    if let Err(error) = again {
        assert!(stage.is_iocp(), "{error}");
    }
}

fn options_of_streams_are_read_back(stage: &Stage) {
    let mut desk = stage.desk();
    for way in [v4(), v6()] {
        let (ours, theirs) = desk.pair_over(&way);
        if stage.is_sim() {
            // What is simulated has nothing behind its options, and says so.
            assert_eq!(ours.set_keep_alive(None).expect_err("no system").kind(), ErrorKind::Unsupported);
            assert_eq!(ours.set_hop_limit(1).expect_err("no system").kind(), ErrorKind::Unsupported);
            continue;
        }
        for stream in [&ours, &theirs] {
            assert!(!stream.keep_alive().expect("it is TCP"), "the system's own setting");
            let often = KeepAlive::new().idle(Duration::from_secs(60)).interval(Duration::from_millis(1500));
            for how in [KeepAlive::new(), often] {
                stream.set_keep_alive(Some(how)).expect("it is TCP");
                assert!(stream.keep_alive().expect("it is TCP"));
                stream.set_keep_alive(None).expect("it is TCP");
                assert!(!stream.keep_alive().expect("it is TCP"));
            }
            assert_eq!(stream.linger().expect("it is TCP"), None, "the system's own setting");
            for linger in [Some(Duration::ZERO), Some(Duration::from_secs(3)), None] {
                stream.set_linger(linger).expect("it is TCP");
                assert_eq!(stream.linger().expect("it is TCP"), linger);
            }
            stream.set_hop_limit(17).expect("it is IP");
            assert_eq!(stream.hop_limit().expect("it is IP"), 17, "{way}");
            stream.set_send_buffer_size(32 << 10).expect("it is a socket");
            assert!(stream.send_buffer_size().expect("it is a socket") >= 32 << 10);
            stream.set_receive_buffer_size(32 << 10).expect("it is a socket");
            assert!(stream.receive_buffer_size().expect("it is a socket") >= 32 << 10);
            assert!(stream.take_error().expect("it is a socket").is_none(), "nothing went wrong");
        }
        // And it works as before.
        desk.send(&ours, *b"set");
        assert_eq!(desk.receive(&theirs, 3), b"set");
    }
}

fn how_often_the_system_asks_is_counted(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, _theirs) = desk.pair();
    let often = KeepAlive::new().idle(Duration::from_secs(60)).count(4);
    let set = ours.set_keep_alive(Some(often));
    if stage.is_sim() {
        assert_eq!(set.expect_err("no system").kind(), ErrorKind::Unsupported);
        return;
    }
    #[cfg(windows)]
    if crate::kit::is_wine() && set.is_err() {
        // It does not know the option.
        stage.wine_differs();
    }
    set.expect("it is TCP");
    assert!(ours.keep_alive().expect("it is TCP"));
}

fn options_of_listeners_and_datagrams_are_read_back(stage: &Stage) {
    let desk = stage.desk();
    let (listener, _) = desk.listen(&v4());
    let socket = desk.port.datagram(&v4()).expect("it can be bound there");
    if stage.is_sim() {
        assert_eq!(socket.set_broadcast(true).expect_err("no system").kind(), ErrorKind::Unsupported);
        assert_eq!(listener.set_hop_limit(1).expect_err("no system").kind(), ErrorKind::Unsupported);
        return;
    }
    listener.set_receive_buffer_size(64 << 10).expect("it is a socket");
    assert!(listener.receive_buffer_size().expect("it is a socket") >= 64 << 10);
    assert!(listener.take_error().expect("it is a socket").is_none());
    assert!(!socket.broadcast().expect("it is IP"), "the system's own setting");
    socket.set_broadcast(true).expect("it is IP");
    assert!(socket.broadcast().expect("it is IP"));
    socket.set_hop_limit(9).expect("it is IP");
    assert_eq!(socket.hop_limit().expect("it is IP"), 9);
    socket.set_send_buffer_size(64 << 10).expect("it is a socket");
    assert!(socket.send_buffer_size().expect("it is a socket") >= 64 << 10);
    assert!(socket.take_error().expect("it is a socket").is_none());
}

fn what_has_no_such_option_says_so(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, _theirs) = desk.pair_over(&stage.local());
    let unsupported = [
        ours.set_keep_alive(Some(KeepAlive::new())),
        ours.set_linger(Some(Duration::ZERO)),
        ours.set_hop_limit(3),
        ours.linger().map(drop),
        ours.keep_alive().map(drop),
        ours.hop_limit().map(drop),
    ];
    for result in unsupported {
        assert_eq!(result.expect_err("it is in this machine").kind(), ErrorKind::Unsupported);
    }
}

fn a_stream_that_lingers_for_no_time_is_reset(stage: &Stage) {
    if stage.is_sim() {
        stage.skip("nothing is behind a simulated socket's options");
    }
    let mut desk = stage.desk();
    let (ours, theirs) = desk.pair();
    ours.set_linger(Some(Duration::ZERO)).expect("it is TCP");
    let mut receive = desk.submit(Receive::new(&theirs, vec![0; 8]));
    desk.turn(Some(Duration::ZERO));
    drop(ours);
    let error = desk.end(&mut receive).0.expect_err("a reset is no end of the stream");
    assert_eq!(Class::of(&error), Class::PeerGone, "{error}");
}
