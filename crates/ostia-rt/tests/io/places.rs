//! Connections that belong to the node that a placement says, on each back end, with nodes of our own making.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream as StdStream},
    panic::Location,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use ostia_rt::{
    Handle, Placement,
    net::{LocalEndpoint, LocalListener, LocalStream, TcpListener, TcpStream},
    spawn,
    time::now,
    yield_now,
};

use crate::common::{Dice, Either, backends, loopback, only_once, rounds, runtime_of, select, turns, within};

/// Runs the test on each back end with nodes of these shapes, as a task of node 0.
#[track_caller]
fn on_nodes<T, F>(shapes: &[&'static str], test: T)
where
    T: Fn(Handle) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    for &backend in backends() {
        for &shape in shapes {
            let test = test.clone();
            within(&format!("{backend}, {shape}"), Location::caller(), move || {
                if let Some(runtime) = runtime_of(backend, shape) {
                    let handle = runtime.handle();
                    let task = handle.clone().spawn_on(0, async move { test(handle).await });
                    runtime.block_on(task).expect("the test's task ends");
                }
            });
        }
    }
}

/// The node that the calling task runs on, by the name of its thread: `ostia-n1-w0`.
fn node_here() -> usize {
    let name = thread::current().name().expect("workers have names").to_owned();
    let number = name.split("-n").nth(1).and_then(|rest| rest.split('-').next());
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{name} is no worker's name"))
}

#[track_caller]
fn node_of(place: Placement) -> usize {
    match place {
        Placement::Fixed { node, .. } => node,
        place => panic!("{place:?} is no place"),
    }
}

/// Sends back each byte that comes, until the end; on which nodes it was meanwhile.
async fn echo(stream: TcpStream) -> BTreeSet<usize> {
    let mut nodes = BTreeSet::new();
    let mut buffer = Vec::with_capacity(1);
    loop {
        let (read, filled) = stream.read(buffer).await;
        nodes.insert(node_here());
        if read.expect("it comes") == 0 {
            return nodes;
        }
        let (written, sent) = stream.write_all(filled).await;
        written.expect("it is sent");
        buffer = sent;
    }
}

/// So many connections from a thread of its own, with which the runtime has nothing to do; each asks and is answered so
/// often.
fn ask(at: SocketAddr, count: usize, questions: u8) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut streams: Vec<_> =
            (0..count).map(|_| StdStream::connect(at).expect("somebody listens")).collect();
        for question in 0..questions {
            for stream in &mut streams {
                stream.write_all(&[question]).expect("it is sent");
                let mut answer = [255];
                stream.read_exact(&mut answer).expect("it comes back");
                assert_eq!(answer, [question]);
            }
        }
    })
}

#[test]
fn connections_are_spread_evenly_over_the_nodes_and_their_operations_stay_there() {
    on_nodes(&["2x1", "2x2"], |handle| async move {
        const QUESTIONS: u8 = 5;
        let listener = TcpListener::bind(loopback()).expect("a listener");
        let count = if cfg!(windows) { 8 } else { 40 };
        let before = handle.metrics();
        let asking = ask(listener.local_addr().expect("its address"), count, QUESTIONS);
        let mut served = Vec::new();
        for _ in 0..count {
            let (stream, place) = listener.accept_at(Placement::RoundRobin).await.expect("a client");
            served.push((node_of(place), handle.spawn_at(place, echo(stream))));
        }
        let mut counts = BTreeMap::new();
        for (node, one) in served {
            assert_eq!(one.await.unwrap(), BTreeSet::from([node]), "it is where it was said to be");
            *counts.entry(node).or_insert(0) += 1;
        }
        asking.join().expect("each is answered");
        assert_eq!(counts, BTreeMap::from([(0, count / 2), (1, count / 2)]));
        // For each connection the questions, their answers, and the end; at the listener's node its accept, too.
        let each = (count / 2 * (2 * usize::from(QUESTIONS) + 1)) as u64;
        let patience = now() + Duration::from_secs(30);
        loop {
            let did = handle.metrics().since(&before);
            let submitted: Vec<u64> = did
                .nodes
                .iter()
                .map(|node| node.workers.iter().map(|worker| worker.submitted).sum())
                .collect();
            if submitted == [each + 1, each] {
                break;
            }
            // Workers tell what they did at the end of a turn.
            assert!(now() < patience, "{submitted:?} operations, and {each} are of each node's connections");
            yield_now().await;
        }
    });
}

#[test]
fn a_dropped_accept_loses_neither_a_connection_nor_a_turn() {
    on_nodes(&["2x1", "2x2"], |handle| async move {
        let listener = Arc::new(TcpListener::bind(loopback()).expect("a listener"));
        let at = listener.local_addr().expect("its address");
        let count = rounds(320).next_multiple_of(8);
        let clients = spawn(async move {
            let mut dice = Dice::new(3);
            let mut streams = Vec::new();
            for _ in 0..count {
                streams.push(TcpStream::connect(at).await.expect("somebody listens"));
                turns(dice.below(6)).await;
            }
            streams
        });
        let acceptors: Vec<_> = (0..2)
            .map(|node| {
                let listener = Arc::clone(&listener);
                // One of them is not of the listener's node.
                handle.spawn_on(node, async move {
                    let mut dice = Dice::new(node as u64);
                    let mut accepted = Vec::new();
                    while accepted.len() < count / 2 {
                        let accept = listener.accept_at(Placement::RoundRobin);
                        match select(accept, turns(dice.below(6))).await {
                            Either::First(stream) => accepted.push(stream.expect("a client")),
                            Either::Second(()) => {}
                        }
                    }
                    accepted
                })
            })
            .collect();
        let mut accepted = Vec::new();
        for acceptor in acceptors {
            accepted.extend(acceptor.await.unwrap());
        }
        let clients = clients.await.unwrap();
        let mut peers: Vec<_> =
            accepted.iter().map(|(stream, _)| stream.peer_addr().expect("it is connected")).collect();
        let mut locals: Vec<_> =
            clients.iter().map(|stream| stream.local_addr().expect("it is connected")).collect();
        peers.sort_unstable();
        locals.sort_unstable();
        assert_eq!(peers, locals, "each client once");
        let of_first = accepted.iter().filter(|(_, place)| node_of(*place) == 0).count();
        assert_eq!(of_first, count / 2, "no turn was wasted");
    });
}

#[test]
fn a_listener_that_is_dropped_closes_what_it_had_and_not_what_it_gave() {
    on_nodes(&["2x1"], |handle| async move {
        for _ in 0..rounds(20) {
            let listener = TcpListener::bind(loopback()).expect("a listener");
            let at = listener.local_addr().expect("its address");
            drop(only_once(listener.accept_at(Placement::Node(1))).await);
            let first = TcpStream::connect(at).await.expect("somebody listens");
            let (given, place) = listener.accept_at(Placement::Node(1)).await.expect("a client");
            let mut others = Vec::new();
            for _ in 0..5 {
                others.push(TcpStream::connect(at).await.expect("somebody listens"));
            }
            drop(listener);
            for other in others {
                // The end, or a reset, by the system that it is; not silence.
                let (read, _) = other.read(Vec::with_capacity(1)).await;
                assert_eq!(read.unwrap_or(0), 0);
            }
            let served = handle.spawn_at(place, echo(given));
            first.write_all(&b"?"[..]).await.0.expect("it is sent");
            first.read_exact(Vec::with_capacity(1), 1).await.0.expect("it comes back");
            drop(first);
            assert_eq!(served.await.unwrap(), BTreeSet::from([1]));
        }
    });
}

#[test]
fn each_policy_places_a_connection_as_it_places_a_task() {
    on_nodes(&["2x1", "2x2"], |handle| async move {
        let listener = Arc::new(TcpListener::bind(loopback()).expect("a listener"));
        let at = listener.local_addr().expect("its address");
        let mut clients = Vec::new();
        let mut placed = async |placement, count: usize| {
            let mut nodes = Vec::new();
            let mut tasks = Vec::new();
            for _ in 0..count {
                clients.push(TcpStream::connect(at).await.expect("somebody listens"));
                let (stream, place) = listener.accept_at(placement).await.expect("a client");
                // As long as it is served, it is a load.
                tasks.push(handle.spawn_at(place, echo(stream)));
                nodes.push(node_of(place));
            }
            clients.clear();
            for (node, task) in nodes.iter().zip(tasks) {
                assert_eq!(task.await.unwrap(), BTreeSet::from([*node]));
            }
            nodes
        };
        assert_eq!(placed(Placement::Node(1), 3).await, [1; 3]);
        assert_eq!(placed(Placement::Fixed { node: 0, worker: 0 }, 3).await, [0; 3]);
        assert_eq!(placed(Placement::Here, 3).await, [0; 3], "where this task is");
        let keyed = placed(Placement::by_key(&"a client's name"), 4).await;
        assert!(keyed.iter().all(|node| *node == keyed[0]), "{keyed:?}");
        let balanced = placed(Placement::LeastLoaded, 24).await;
        let of_first = balanced.iter().filter(|node| **node == 0).count();
        assert!((6..=18).contains(&of_first), "{balanced:?}");

        // The accept of the listener's own kind goes on beside it.
        let client = TcpStream::connect(at).await.expect("somebody listens");
        let stream = listener.accept().await.expect("a client");
        drop(client);
        assert_eq!(handle.spawn_on(0, echo(stream)).await.unwrap(), BTreeSet::from([0]));
        // A task of the other node asks for itself.
        let client = TcpStream::connect(at).await.expect("somebody listens");
        let asked = Arc::clone(&listener);
        let there = handle.spawn_on(1, async move { asked.accept_at(Placement::Here).await });
        assert_eq!(node_of(there.await.unwrap().expect("a client").1), 1);
        drop(client);
        let nowhere = spawn(async move { listener.accept_at(Placement::Node(2)).await.map(drop) });
        assert!(nowhere.await.expect_err("there is none").is_panic());
    });
}

#[test]
fn local_connections_are_placed_where_the_system_can() {
    on_nodes(&["2x1"], |handle| async move {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("places-{}-{number}", std::process::id());
        let endpoint = LocalEndpoint::named(&name).expect("a name");
        let listener = LocalListener::bind(&endpoint).expect("a listener");
        let mut nodes = Vec::new();
        for _ in 0..4 {
            let connecting = spawn({
                let endpoint = endpoint.clone();
                async move { LocalStream::connect(&endpoint).await }
            });
            let (stream, place) = listener.accept_at(Placement::RoundRobin).await.expect("a client");
            let client = connecting.await.unwrap().expect("somebody listens");
            client.write_all(&b"hello"[..]).await.0.expect("it is sent");
            let hearing = handle.spawn_at(place, async move {
                let (read, heard) = stream.read_exact(Vec::with_capacity(5), 5).await;
                read.map(|()| (node_here(), heard))
            });
            let (node, heard) = hearing.await.unwrap().expect("it comes");
            assert_eq!((node, heard.as_slice()), (node_of(place), &b"hello"[..]));
            nodes.push(node);
        }
        if cfg!(windows) {
            assert_eq!(nodes, [0; 4], "a pipe is its listener's node's");
            let refused = listener.accept_at(Placement::Node(1)).await.expect_err("a pipe stays");
            assert_eq!(refused.kind(), io::ErrorKind::Unsupported);
        } else {
            assert_eq!(nodes.iter().filter(|node| **node == 0).count(), 2, "{nodes:?}");
        }
    });
}
