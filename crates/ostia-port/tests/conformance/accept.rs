//! Accepting.

use std::{collections::HashSet, io::ErrorKind, time::Duration};

use ostia_port::{
    Backend, Port, Stream, Ticket,
    op::{Accept, AcceptMany, Connect, Receive, ReceiveManaged},
};

use crate::{
    case::Stage,
    kit::{Desk, assert_cancelled, handles_of, room, v4, v6},
};

cases![
    a_thousand_connects_are_all_accepted,
    accepting_many_stops_at_its_bound_and_goes_on,
    a_client_that_says_nothing_is_accepted,
    a_client_that_is_gone_does_not_stop_the_listener,
    accepting_many_is_cancelled_and_what_it_had_is_given,
    accepting_many_is_abandoned_and_closes_what_it_had,
    accepts_wait_in_line,
    an_accept_ends_when_its_berth_closes,
    both_families_are_accepted_with_their_addresses,
    closing_a_stream_as_soon_as_it_is_accepted_is_safe,
    a_stream_is_accepted_onto_another_port,
    what_was_accepted_onto_another_port_and_abandoned_is_closed,
    a_stream_is_not_accepted_onto_what_cannot_have_it,
    each_of_many_is_taken_onto_the_port_that_is_chosen_for_it,
];

fn connects(desk: &mut Desk, to: &ostia_port::Address, count: usize) -> Vec<Ticket<Connect>> {
    (0..count)
        .map(|_| {
            let connect = desk.connect(to);
            desk.submit(connect)
        })
        .collect()
}

fn a_thousand_connects_are_all_accepted(stage: &Stage) {
    let mut desk = stage.desk();
    let (listener, at) = desk.listen(&v4());
    let count = stage.times(1000).max(100);
    let mut accepts = desk.submit(AcceptMany::new(&listener));
    let mut pending = connects(&mut desk, &at, count);
    let mut accepted: Vec<Stream> = Vec::new();
    while accepted.len() < count {
        match desk.item(&mut accepts) {
            Some(stream) => accepted.push(stream.expect("a client")),
            None => {
                desk.end(&mut accepts).0.expect("it ends well at its bound");
                accepts = desk.submit(AcceptMany::new(&listener));
            }
        }
    }
    let mut clients = HashSet::new();
    let mut streams = Vec::new();
    for connect in &mut pending {
        let (connected, stream) = desk.end(connect);
        connected.expect("somebody listens");
        clients.insert(stream.local_address().expect("it is connected"));
        streams.push(stream);
    }
    let peers: HashSet<_> =
        accepted.iter().map(|stream| stream.peer_address().expect("it is connected")).collect();
    assert_eq!((peers.len(), clients), (count, peers), "each client once");
}

fn accepting_many_stops_at_its_bound_and_goes_on(stage: &Stage) {
    let mut desk = stage.desk();
    let (listener, at) = desk.listen(&v4());
    let count = AcceptMany::WAITING_MAX + 50;
    let mut accepts = desk.submit(AcceptMany::new(&listener));
    let mut pending = connects(&mut desk, &at, count);
    // Nobody takes them, until the operation has had enough.
    desk.until("it stops at its bound", |_| accepts.is_done());
    let mut accepted = Vec::new();
    while let Some(stream) = accepts.next() {
        accepted.push(stream.expect("a client"));
    }
    // More may have been accepted before the kernel heard that it is enough: by a ring, or by the accepts that wait.
    let most = match stage.backend {
        Backend::Uring => count,
        Backend::Iocp => AcceptMany::WAITING_MAX + 16,
        _ => AcceptMany::WAITING_MAX,
    };
    assert!((1..=most).contains(&accepted.len()), "{} waited", accepted.len());
    desk.end(&mut accepts).0.expect("it ends well at its bound");
    let mut accepts = desk.submit(AcceptMany::new(&listener));
    while accepted.len() < count {
        match desk.item(&mut accepts) {
            Some(stream) => accepted.push(stream.expect("a client")),
            None => accepts = desk.submit(AcceptMany::new(&listener)),
        }
    }
    for connect in &mut pending {
        desk.end(connect).0.expect("somebody listens");
    }
}

fn a_client_that_says_nothing_is_accepted(stage: &Stage) {
    let mut desk = stage.desk();
    let (listener, at) = desk.listen(&v4());
    let mut silent = connects(&mut desk, &at, 1);
    // Not one byte is sent, and the accept ends all the same.
    let (accepted, ()) = desk.ok(Accept::new(&listener));
    let (connected, stream) = desk.end(&mut silent[0]);
    connected.expect("somebody listens");
    drop((accepted, stream));
}

fn a_client_that_is_gone_does_not_stop_the_listener(stage: &Stage) {
    let mut desk = stage.desk();
    let (listener, at) = desk.listen(&v4());
    for _ in 0..20 {
        // Connected, not accepted yet, and gone.
        for mut connect in connects(&mut desk, &at, 3) {
            drop(desk.end(&mut connect));
        }
        for _ in 0..3 {
            let mut accept = desk.submit(Accept::new(&listener));
            desk.idle_once();
            accept.cancel();
            drop(desk.end(&mut accept));
        }
    }
    let (ours, theirs) = desk.pair_at(&listener, &at);
    drop((ours, theirs));
}

fn accepting_many_is_cancelled_and_what_it_had_is_given(stage: &Stage) {
    let mut desk = stage.desk();
    let (listener, at) = desk.listen(&v4());
    for _ in 0..stage.times(50).max(5) {
        let mut accepts = desk.submit(AcceptMany::new(&listener));
        let mut pending = connects(&mut desk, &at, 5);
        let streams: Vec<_> = pending.iter_mut().map(|connect| desk.end(connect)).collect();
        let first = desk.item(&mut accepts).expect("five come").expect("a client");
        accepts.cancel();
        desk.until("it has ended", |_| accepts.is_done());
        let mut accepted = vec![first];
        while let Some(stream) = accepts.next() {
            accepted.push(stream.expect("a client"));
        }
        assert_cancelled(accepts.poll().expect("it has ended").0);
        // Those that had not been accepted wait for the next.
        while accepted.len() < streams.len() {
            accepted.push(desk.ok(Accept::new(&listener)).0);
        }
        let peers: HashSet<_> =
            accepted.iter().map(|stream| stream.peer_address().expect("connected")).collect();
        let clients: HashSet<_> =
            streams.iter().map(|(_, stream)| stream.local_address().expect("connected")).collect();
        assert_eq!(peers, clients, "no client is lost");
    }
}

fn accepting_many_is_abandoned_and_closes_what_it_had(stage: &Stage) {
    let mut desk = stage.desk();
    let (listener, at) = desk.listen(&v4());
    let round = |desk: &mut Desk| {
        let accepts = desk.submit(AcceptMany::new(&listener));
        for mut connect in connects(desk, &at, 4) {
            drop(desk.end(&mut connect));
        }
        desk.idle_once();
        drop(accepts);
        desk.idle_once();
        let mut rest = desk.submit(AcceptMany::new(&listener));
        desk.idle();
        rest.cancel();
        while desk.item(&mut rest).is_some() {}
    };
    for _ in 0..5 {
        round(&mut desk);
    }
    desk.idle();
    let before = handles_of(&desk.port);
    for _ in 0..stage.times(100).max(20) {
        round(&mut desk);
    }
    desk.idle();
    let after = handles_of(&desk.port);
    assert!(after <= before + 12, "{before} handles before, {after} after");
}

fn accepts_wait_in_line(stage: &Stage) {
    let mut desk = stage.desk();
    let (listener, at) = desk.listen(&v4());
    let mut accepts: Vec<_> = (0..20).map(|_| desk.submit(Accept::new(&listener))).collect();
    let mut pending = connects(&mut desk, &at, 20);
    let accepted: Vec<_> = accepts.iter_mut().map(|accept| desk.end(accept).0.expect("a client")).collect();
    let clients: HashSet<_> =
        pending.iter_mut().map(|connect| desk.end(connect).1.local_address().expect("connected")).collect();
    assert_eq!(clients.len(), accepted.len());
}

fn an_accept_ends_when_its_berth_closes(stage: &Stage) {
    let mut desk = stage.desk();
    let (listener, _) = desk.listen(&v4());
    let mut accept = desk.submit(Accept::new(&listener));
    let mut many = desk.submit(AcceptMany::new(&listener));
    desk.turn(Some(Duration::ZERO));
    assert_eq!(desk.berth.close(Duration::from_secs(10)).leaked, 0);
    assert_cancelled(accept.poll().expect("it has ended").0);
    assert_cancelled(many.poll().expect("it has ended").0);
}

fn both_families_are_accepted_with_their_addresses(stage: &Stage) {
    let mut desk = stage.desk();
    for way in [v4(), v6()] {
        let Ok(listener) = desk.port.listen(&way, &ostia_port::ListenOptions::new()) else {
            stage.skip("no IPv6 on this machine");
        };
        let at = listener.local_address().expect("a listener has an address");
        let mut accepts = desk.submit(AcceptMany::new(&listener));
        let mut pending = connects(&mut desk, &at, 10);
        for connect in &mut pending {
            let (connected, stream) = desk.end(connect);
            connected.expect("somebody listens");
            let accepted = desk.item(&mut accepts).expect("one each").expect("a client");
            assert_eq!(accepted.local_address().expect("connected"), at);
            let peer = accepted.peer_address().expect("connected");
            assert_ne!(peer, at, "the client's address, not ours");
            assert_eq!(stream.peer_address().expect("connected"), at);
        }
    }
}

fn closing_a_stream_as_soon_as_it_is_accepted_is_safe(stage: &Stage) {
    let mut desk = stage.desk();
    let (listener, at) = desk.listen(&v4());
    for _ in 0..stage.times(200) {
        let mut pending = connects(&mut desk, &at, 1);
        drop(desk.ok(Accept::new(&listener)));
        let (connected, stream) = desk.end(&mut pending[0]);
        connected.expect("somebody listens");
        assert_eq!(desk.receive_to_end(&stream), b"");
    }
    // And the listener inside its own accept's end.
    let mut accept = desk.submit(Accept::new(&listener));
    drop(listener);
    let mut pending = connects(&mut desk, &at, 1);
    let (accepted, ()) = desk.end(&mut accept);
    drop(accept);
    drop((accepted, desk.end(&mut pending[0])));
    let connect = desk.connect(&at);
    assert!(desk.run(connect).0.is_err(), "nobody listens any more");
}

fn a_stream_is_accepted_onto_another_port(stage: &Stage) {
    let mut desk = stage.desk();
    let other = stage.port_beside(&desk.port);
    let mut there = Desk::new(&other);
    for round in 0..10 {
        let (listener, at) = desk.listen(&v4());
        let mut accept = desk.submit(Accept::new(&listener).onto(&other));
        let connect = desk.connect(&at);
        let mut connect = desk.submit(connect);
        let (connected, ours) = desk.end(&mut connect);
        connected.expect("somebody listens");
        let (accepted, ()) = desk.end(&mut accept);
        let theirs = accepted.expect("somebody connects");
        assert_eq!(
            theirs.peer_address().expect("it is connected"),
            ours.local_address().expect("it is connected")
        );
        // Its operations are of the other port now, and of that one alone.
        let refused = desk.berth.submit(Receive::new(&theirs, room(8))).expect_err("it is another port's");
        assert_eq!(refused.error.kind(), ErrorKind::InvalidInput);
        drop(refused);
        let mut receive = there.submit(Receive::new(&theirs, room(8)));
        there.idle_once();
        desk.send(&ours, *b"hither");
        let (received, bytes) = there.end(&mut receive);
        assert_eq!(&bytes[..received.expect("it was sent").len], b"hither");
        // Lent buffers are that port's own, too.
        desk.send(&ours, *b"lent");
        let (lent, ()) = there.ok(ReceiveManaged::new(&theirs));
        assert_eq!(&*lent, b"lent");
        let mut answer = desk.submit(Receive::new(&ours, room(8)));
        desk.idle_once();
        there.send(&theirs, *b"thither");
        let (received, bytes) = desk.end(&mut answer);
        assert_eq!(&bytes[..received.expect("it was sent").len], b"thither", "round {round}");
        drop(listener);
        // The stream outlives its listener, and the one port the other's berth.
        drop(theirs);
        assert!(desk.receive_to_end(&ours).is_empty());
    }
    there.berth.close(Duration::from_secs(10));
    let (ours, _) = desk.pair();
    drop(ours);
}

fn what_was_accepted_onto_another_port_and_abandoned_is_closed(stage: &Stage) {
    let mut desk = stage.desk();
    let other = stage.port_beside(&desk.port);
    let (listener, at) = desk.listen(&v4());
    let accept = desk.submit(Accept::new(&listener).onto(&other));
    let connect = desk.connect(&at);
    let (_, ours) = desk.ok(connect);
    desk.until("it has been accepted", |_| accept.is_done());
    drop(accept);
    let (received, _) = desk.run(Receive::new(&ours, room(8)));
    assert!(received.map_or(true, |received| received.len == 0), "nobody has it");
}

fn a_stream_is_not_accepted_onto_what_cannot_have_it(stage: &Stage) {
    let mut desk = stage.desk();
    let (listener, at) = desk.listen(&v4());
    // Another kernel's, whatever this one is.
    let foreign = if stage.is_sim() {
        stage.port()
    } else {
        Port::builder().sim(ostia_port::sim::Options::new(1)).open().expect("a simulated port")
    };
    let refused = desk.berth.submit(Accept::new(&listener).onto(&foreign)).expect_err("it is another's");
    assert_eq!(refused.error.kind(), ErrorKind::InvalidInput);
    // Onto the very port of the listener is nothing special.
    let own = desk.port.clone();
    let mut accept = desk.submit(Accept::new(&listener).onto(&own));
    let connect = desk.connect(&at);
    let (_, _ours) = desk.ok(connect);
    desk.end(&mut accept).0.expect("somebody connects");
    // A named pipe belongs to one port from its beginning.
    let other = stage.port_beside(&desk.port);
    let (listener, at) = desk.listen(&stage.local());
    let accept = desk.berth.submit(Accept::new(&listener).onto(&other));
    if stage.is_iocp() {
        assert_eq!(accept.expect_err("it is a pipe").error.kind(), ErrorKind::Unsupported);
        return;
    }
    let mut accept = accept.expect("it is a socket");
    let connect = desk.connect(&at);
    let (_, ours) = desk.ok(connect);
    let theirs = desk.end(&mut accept).0.expect("somebody connects");
    let mut there = Desk::new(&other);
    there.send(&theirs, *b"local");
    assert_eq!(desk.receive(&ours, 5), b"local");
}

fn each_of_many_is_taken_onto_the_port_that_is_chosen_for_it(stage: &Stage) {
    let mut desk = stage.desk();
    let other = stage.port_beside(&desk.port);
    let own = desk.port.clone();
    let mut there = Desk::new(&other);
    let (listener, at) = desk.listen(&v4());
    let mut accepts = desk.submit(AcceptMany::new(&listener));
    assert!(accepts.next_onto(|| unreachable!("nobody has come")).is_none());
    listener.may_accept_onto(&other).expect("it is a socket");
    for round in 0..10 {
        let connect = desk.connect(&at);
        let mut connect = desk.submit(connect);
        let (connected, ours) = desk.end(&mut connect);
        connected.expect("somebody listens");
        let mut taken = None;
        desk.until("it has been accepted", |_| {
            taken = accepts.next_onto(|| if round % 2 == 0 { other.clone() } else { own.clone() });
            taken.is_some()
        });
        let theirs = taken.expect("just seen").expect("somebody connects");
        assert_eq!(
            theirs.peer_address().expect("it is connected"),
            ours.local_address().expect("it is connected")
        );
        // Its operations are of the port that was chosen, and of that one alone.
        let (has, has_not) = if round % 2 == 0 { (&mut there, &mut desk) } else { (&mut desk, &mut there) };
        let refused = has_not.berth.submit(Receive::new(&theirs, room(8))).expect_err("it is another port's");
        assert_eq!(refused.error.kind(), ErrorKind::InvalidInput);
        has.send(&theirs, *b"whose");
        assert_eq!(desk.receive(&ours, 5), b"whose");
    }
    // What a port cannot have stays for whoever can.
    let foreign = Port::builder().sim(ostia_port::sim::Options::new(1)).open().expect("a simulated port");
    let refused = listener.may_accept_onto(&foreign).expect_err("it is another kernel's");
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    let connect = desk.connect(&at);
    let (_, ours) = desk.ok(connect);
    let mut taken = None;
    desk.until("it has been accepted", |_| {
        taken = accepts.next_onto(|| foreign.clone());
        taken.is_some()
    });
    let refused = taken.expect("just seen").expect_err("it is another kernel's");
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    let theirs = accepts.next().expect("it is still there").expect("somebody connects");
    desk.send(&theirs, *b"ours");
    assert_eq!(desk.receive(&ours, 4), b"ours");
    // A named pipe belongs to one port from its beginning.
    let (listener, _) = desk.listen(&stage.local());
    let may = listener.may_accept_onto(&other);
    listener.may_accept_onto(&own).expect("it is its own");
    if stage.is_iocp() {
        assert_eq!(may.expect_err("it is a pipe").kind(), ErrorKind::Unsupported);
    } else {
        may.expect("it is a socket");
    }
}
