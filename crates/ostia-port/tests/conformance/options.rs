//! What handles are made with.

use std::{io::ErrorKind, net::SocketAddr};

use ostia_port::{
    Address, ListenOptions,
    op::{Accept, Open, OpenOptions, Remove},
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
