//! What is set at sockets, as the system sees it.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
};

use ostia_port::{
    Address, Class, ListenOptions, Stream, op,
    os::linux::{incoming_cpu, set_incoming_cpu},
};

use crate::{finish, listener, loopback, on_each_backend, pair, run};

fn has_no_delay(stream: &Stream) -> bool {
    let (mut value, mut len) = (0, size_of::<libc::c_int>() as libc::socklen_t);
    let (value_at, len_at) = ((&raw mut value).cast(), &raw mut len);
    // SAFETY: the stream is open, and the value has room for as many bytes as it says.
    let done =
        unsafe { libc::getsockopt(stream.raw(), libc::IPPROTO_TCP, libc::TCP_NODELAY, value_at, len_at) };
    assert_eq!(done, 0);
    value != 0
}

#[test]
fn no_delay_is_what_the_system_says_it_is() {
    on_each_backend("no delay", |builder| {
        let mut berth = builder.open().unwrap().berth().unwrap();
        let (server, client) = pair(&mut berth);
        for stream in [&server, &client] {
            assert!(!has_no_delay(stream), "the system's own setting is off");
            for on in [true, false, true] {
                stream.set_nodelay(on).unwrap();
                assert_eq!((has_no_delay(stream), stream.nodelay().unwrap()), (on, on));
            }
        }
    });
}

#[test]
fn an_address_that_is_taken_is_refused_and_one_that_lingers_is_not() {
    on_each_backend("addresses", |builder| {
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        let listener = listener(&port);
        let address = listener.local_address().unwrap();
        let again = port.listen(&address, &ListenOptions::new()).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AddrInUse);
        let accept = berth.submit(op::Accept::new(&listener)).unwrap();
        let client = TcpStream::connect(address.as_ip().unwrap()).unwrap();
        let server = finish(&mut berth, accept).0.unwrap();
        // The end that closes first lingers.
        drop((server, listener));
        drop(client);
        port.listen(&address, &ListenOptions::new()).unwrap();
        // An address of documentation, which no machine has.
        let elsewhere = Address::Ip(SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 0)));
        let error = port.listen(&elsewhere, &ListenOptions::new()).unwrap_err();
        assert_eq!((error.kind(), Class::of(&error)), (ErrorKind::AddrNotAvailable, Class::Fatal));
        let taken = UdpSocket::bind(loopback().as_ip().unwrap()).unwrap();
        let error = port.datagram(&Address::Ip(taken.local_addr().unwrap())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    });
}

#[test]
fn a_connected_datagram_socket_hears_its_peer_alone() {
    on_each_backend("connected datagrams", |builder| {
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        let here = port.datagram(&loopback()).unwrap();
        let to = here.local_address().unwrap().as_ip().unwrap();
        let (peer, stranger) =
            (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        here.connect(&Address::Ip(peer.local_addr().unwrap())).unwrap();
        for round in 0..10_u8 {
            stranger.send_to(b"a stranger's", to).unwrap();
            peer.send_to(&[round], to).unwrap();
            let (received, bytes) = run(&mut berth, op::ReceiveFrom::new(&here, Vec::with_capacity(100)));
            let received = received.unwrap();
            assert_eq!((received.len, &bytes[..]), (1, &[round][..]));
            assert_eq!(received.from, Some(Address::Ip(peer.local_addr().unwrap())));
            run(&mut berth, op::SendTo::new(&here, vec![round; 3], None).unwrap()).0.unwrap();
            let mut bytes = [0; 8];
            let (len, from) = peer.recv_from(&mut bytes).unwrap();
            assert_eq!((&bytes[..len], from), (&[round; 3][..], to));
        }
    });
}

#[test]
fn a_datagram_to_nobody_fails_once_and_the_socket_goes_on() {
    on_each_backend("datagrams to nobody", |builder| {
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        let here = port.datagram(&loopback()).unwrap();
        let gone = UdpSocket::bind("127.0.0.1:0").unwrap();
        let peer = gone.local_addr().unwrap();
        here.connect(&Address::Ip(peer)).unwrap();
        drop(gone);
        let receive = berth.submit(op::ReceiveFrom::new(&here, Vec::with_capacity(8))).unwrap();
        run(&mut berth, op::Nop).0.unwrap();
        run(&mut berth, op::SendTo::new(&here, b"x".to_vec(), None).unwrap()).0.unwrap();
        let error = finish(&mut berth, receive).0.unwrap_err();
        assert_eq!((error.kind(), Class::of(&error)), (ErrorKind::ConnectionRefused, Class::PeerGone));
        let back = UdpSocket::bind(peer).unwrap();
        run(&mut berth, op::SendTo::new(&here, b"y".to_vec(), None).unwrap()).0.unwrap();
        let mut bytes = [0; 8];
        let (len, from) = back.recv_from(&mut bytes).unwrap();
        assert_eq!(&bytes[..len], b"y");
        back.send_to(b"z", from).unwrap();
        let (received, bytes) = run(&mut berth, op::ReceiveFrom::new(&here, Vec::with_capacity(8)));
        assert_eq!((received.unwrap().len, &bytes[..]), (1, &b"z"[..]));
    });
}

#[test]
fn a_listener_remembers_which_cpu_it_prefers() {
    on_each_backend("incoming CPU", |builder| {
        let port = builder.open().unwrap();
        let listener = port.listen(&loopback(), &ListenOptions::new().reuse_port(true)).unwrap();
        assert_eq!(incoming_cpu(&listener).unwrap(), None, "nobody said so");
        set_incoming_cpu(&listener, 0).unwrap();
        assert_eq!(incoming_cpu(&listener).unwrap(), Some(0));
        let local =
            port.listen(&Address::local("ostia-incoming-cpu").unwrap(), &ListenOptions::new()).unwrap();
        assert_eq!(set_incoming_cpu(&local, 0).unwrap_err().kind(), ErrorKind::Unsupported);
    });
}
