//! What dropping a future means: one test for each line of the contract, each in a loop, on each back end.
//!
//! | dropped | what becomes of it |
//! |---|---|
//! | a receive, an accept, a datagram that had already won | it is kept on the handle, and served first to the next caller |
//! | a write that was handed over | it is not cancelled, it completes; later writes queue behind it |
//! | a connect | it closes its socket |
//! | a timer | it vanishes |

mod common;

use std::{
    collections::HashMap,
    future::Future,
    io::{self, Write as _},
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use ostia_rt::{
    net::{LocalEndpoint, LocalListener, LocalStream, TcpListener, TcpStream, UdpSocket},
    spawn,
    time::sleep,
};

use crate::common::{Dice, Either, descriptors, loopback, on_each, only_once, pair, rounds, select, turns};

/// One test at a time: they count the descriptors of the process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs the test, and sees to it that as many descriptors are there afterwards as before.
async fn counted(test: impl Future<Output = ()>) {
    let before = descriptors();
    test.await;
    if before.is_none() {
        let what = "SKIPPED the descriptors of a line of the contract: the system does not count them";
        writeln!(io::stderr(), "{what}").expect("stderr is there");
        return;
    }
    let patience = Instant::now() + Duration::from_secs(20);
    while descriptors() > before {
        assert!(Instant::now() < patience, "{before:?} descriptors before, now {:?}", descriptors());
        turns(10).await;
    }
}

/// Words, each of its place's number: what is sent in all tests of streams.
fn words(count: usize) -> Vec<u8> {
    (0..count as u32).flat_map(u32::to_be_bytes).collect()
}

/// Sends the words in pieces of any size, with pauses.
async fn send_in_pieces(stream: TcpStream, words: Vec<u8>, mut dice: Dice) {
    let mut rest = &words[..];
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at((1 + dice.below(100)).min(rest.len()));
        stream.write_all(piece.to_vec()).await.0.expect("it is sent");
        turns(dice.below(6)).await;
        rest = behind;
    }
    stream.shutdown().await.expect("a half can be closed");
}

#[test]
fn a_dropped_receive_that_had_won_is_served_first_to_the_next() {
    let _alone = alone();
    on_each(|_| {
        counted(async {
            for seed in 0..rounds(20) as u64 {
                let (ours, theirs) = pair().await;
                let sent = words(1000);
                let sending = spawn(send_in_pieces(theirs, sent.clone(), Dice::new(seed)));
                let mut dice = Dice::new(seed ^ 0xD1CE);
                let mut received = Vec::new();
                loop {
                    let patience = turns(dice.below(6));
                    // With another buffer each time: what was left has to fit into whatever comes.
                    let room = 1 + dice.below(64);
                    match dice.below(4) {
                        0 => match select(ours.read(vec![0; room].into_boxed_slice()), patience).await {
                            Either::First((read, bytes)) => match read.expect("it comes") {
                                0 => break,
                                len => received.extend_from_slice(&bytes[..len]),
                            },
                            Either::Second(()) => {}
                        },
                        1 => match select(ours.read_managed(), patience).await {
                            Either::First(lent) => match lent.expect("it comes") {
                                lent if lent.is_empty() => break,
                                lent => received.extend_from_slice(&lent),
                            },
                            Either::Second(()) => {}
                        },
                        2 => match select(ours.read_exact(Vec::with_capacity(room), room), patience).await {
                            Either::First((read, bytes)) => {
                                received.extend_from_slice(&bytes);
                                if read.is_err() {
                                    break;
                                }
                            }
                            Either::Second(()) => {}
                        },
                        _ => match select(ours.read(Vec::with_capacity(room)), patience).await {
                            Either::First((read, bytes)) => {
                                received.extend_from_slice(&bytes);
                                if read.expect("it comes") == 0 {
                                    break;
                                }
                            }
                            Either::Second(()) => {}
                        },
                    }
                }
                sending.await.unwrap();
                assert!(received == sent, "seed {seed}: {} bytes of {}", received.len(), sent.len());
            }
        })
    });
}

#[test]
fn a_receive_that_is_dropped_after_its_bytes_came_leaves_them_to_the_next() {
    let _alone = alone();
    on_each(|_| {
        counted(async {
            let (ours, theirs) = pair().await;
            let mut at_once = 0;
            for round in 0..rounds(200) as u32 {
                {
                    let mut reading = pin!(ours.read(Vec::with_capacity(100)));
                    assert!(only_once(reading.as_mut()).await.is_none(), "nothing was sent yet");
                    theirs.write_all(round.to_be_bytes().to_vec()).await.0.expect("it is sent");
                    // Its end is told to nobody who would look.
                    turns(20).await;
                }
                let (read, bytes) = match only_once(ours.read_exact(Vec::with_capacity(4), 4)).await {
                    Some(read) => {
                        at_once += 1;
                        read
                    }
                    None => ours.read_exact(Vec::with_capacity(4), 4).await,
                };
                read.expect("it comes");
                assert_eq!(bytes, round.to_be_bytes());
            }
            assert!(at_once > 0, "none was there already");
            // What was left is there for the last, and the end behind it.
            {
                let mut reading = pin!(ours.read(Vec::with_capacity(100)));
                assert!(only_once(reading.as_mut()).await.is_none(), "nothing was sent yet");
                theirs.write_all(&b"last"[..]).await.0.expect("it is sent");
                drop(theirs);
                turns(20).await;
            }
            let (read, bytes) = ours.read_exact(Vec::with_capacity(10), 5).await;
            assert_eq!(read.expect_err("one more").kind(), std::io::ErrorKind::UnexpectedEof);
            assert_eq!(bytes, b"last");
        })
    });
}

#[test]
fn a_dropped_exact_receive_leaves_all_it_had_received() {
    let _alone = alone();
    on_each(|_| {
        counted(async {
            let (ours, theirs) = pair().await;
            for _ in 0..rounds(100) {
                {
                    let mut reading = pin!(ours.read_exact(Vec::with_capacity(8), 8));
                    assert!(only_once(reading.as_mut()).await.is_none());
                    for piece in [&b"ab"[..], &b"cd"[..]] {
                        theirs.write_all(piece).await.0.expect("it is sent");
                        for _ in 0..20 {
                            assert!(only_once(reading.as_mut()).await.is_none(), "not yet");
                            turns(1).await;
                        }
                    }
                }
                {
                    // Again, by another, which gets what there is, and is dropped as well.
                    let mut reading = pin!(ours.read_exact(vec![0; 6].into_boxed_slice(), 6));
                    for _ in 0..20 {
                        assert!(only_once(reading.as_mut()).await.is_none(), "not yet");
                        turns(1).await;
                    }
                }
                theirs.write_all(&b"efgh"[..]).await.0.expect("it is sent");
                let (read, bytes) = ours.read_exact(Vec::with_capacity(8), 8).await;
                read.expect("all of it");
                assert_eq!(bytes, b"abcdefgh");
            }
        })
    });
}

#[test]
fn receives_of_several_tasks_dropped_at_any_time_lose_nothing() {
    let _alone = alone();
    on_each(|_| {
        counted(async {
            let (ours, theirs) = pair().await;
            let ours = Arc::new(ours);
            let sent = words(300);
            let sending = spawn(send_in_pieces(theirs, sent.clone(), Dice::new(7)));
            // Each takes a word at a time; whatever happens between, no word is torn, lost or told twice.
            let readers: Vec<_> = (0..4)
                .map(|seed| {
                    let ours = Arc::clone(&ours);
                    spawn(async move {
                        let mut dice = Dice::new(seed);
                        let mut got = Vec::new();
                        loop {
                            let reading = ours.read_exact(Vec::with_capacity(4), 4);
                            match select(reading, turns(dice.below(16))).await {
                                Either::First((Ok(()), word)) => {
                                    got.push(u32::from_be_bytes(word.try_into().expect("four")));
                                }
                                Either::First((Err(_), rest)) => {
                                    assert!(rest.is_empty(), "the end came in the midst of a word");
                                    return got;
                                }
                                Either::Second(()) => {}
                            }
                        }
                    })
                })
                .collect();
            let mut all = Vec::new();
            for reader in readers {
                let got = reader.await.unwrap();
                assert!(got.is_sorted(), "each reader's words come in order");
                all.extend(got);
            }
            sending.await.unwrap();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..300), "each word once");
        })
    });
}

#[test]
fn a_dropped_accept_that_had_won_gives_its_connection_to_the_next() {
    let _alone = alone();
    on_each(|_| {
        counted(async {
            let listener = Arc::new(TcpListener::bind(loopback()).expect("a listener"));
            let at = listener.local_addr().expect("its address");
            let count = rounds(300);
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
                .map(|seed| {
                    let listener = Arc::clone(&listener);
                    let share = (count + seed as usize) / 2;
                    spawn(async move {
                        let mut dice = Dice::new(seed);
                        let mut accepted = Vec::new();
                        while accepted.len() < share {
                            match select(listener.accept(), turns(dice.below(6))).await {
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
            let address = |address: std::io::Result<SocketAddr>| address.expect("it is connected");
            let mut peers: Vec<_> = accepted.iter().map(|stream| address(stream.peer_addr())).collect();
            let clients = clients.await.unwrap();
            let mut locals: Vec<_> = clients.iter().map(|stream| address(stream.local_addr())).collect();
            peers.sort_unstable();
            locals.sort_unstable();
            assert_eq!(peers, locals, "each client once");
        })
    });
}

#[test]
fn what_nobody_accepted_is_closed_with_its_listener() {
    let _alone = alone();
    on_each(|_| {
        counted(async {
            for _ in 0..rounds(20) {
                let listener = TcpListener::bind(loopback()).expect("a listener");
                let at = listener.local_addr().expect("its address");
                drop(only_once(listener.accept()).await);
                let mut clients = Vec::new();
                for _ in 0..5 {
                    clients.push(TcpStream::connect(at).await.expect("somebody listens"));
                }
                drop(listener);
                for client in clients {
                    // The end, or a reset, by the system that it is; not silence.
                    let (read, _) = client.read(Vec::with_capacity(1)).await;
                    assert_eq!(read.unwrap_or(0), 0);
                }
            }
        })
    });
}

#[test]
fn a_dropped_receive_of_a_datagram_leaves_it_whole_to_the_next() {
    let _alone = alone();
    on_each(|_| {
        counted(async {
            let (ours, theirs) = (UdpSocket::bind(loopback()), UdpSocket::bind(loopback()));
            let (ours, theirs) = (ours.expect("a socket"), theirs.expect("a socket"));
            let (to, from) = (ours.local_addr().expect("bound"), theirs.local_addr().expect("bound"));
            let count = rounds(1000);
            let sending = spawn(async move {
                let mut dice = Dice::new(1);
                for number in 0..count {
                    // Of any length, none among them; the number says which.
                    let mut bytes = vec![number as u8; dice.below(500)];
                    bytes.extend_from_slice(&(number as u32).to_be_bytes());
                    let bytes = if number % 10 == 9 { Vec::new() } else { bytes };
                    theirs.send_to(bytes, to).await.0.expect("it is sent");
                    // Datagrams are dropped where there is no room: one at a time.
                    let (acknowledged, _) = theirs.receive_from(Vec::with_capacity(1)).await;
                    assert_eq!(acknowledged.expect("it comes").from, to);
                }
            });
            let mut dice = Dice::new(2);
            let mut lens = Dice::new(1);
            for number in 0..count {
                let (received, bytes) = loop {
                    let receiving = ours.receive_from(Vec::with_capacity(600));
                    match select(receiving, turns(dice.below(6))).await {
                        Either::First((received, bytes)) => break (received.expect("it comes"), bytes),
                        Either::Second(()) => {}
                    }
                };
                let len = lens.below(500);
                let expected = if number % 10 == 9 { 0 } else { len + 4 };
                assert_eq!((received.len, bytes.len()), (expected, expected), "number {number}");
                assert_eq!((received.from, received.truncated), (from, false));
                if let Some((rest, last)) = bytes.split_last_chunk() {
                    assert_eq!(u32::from_be_bytes(*last) as usize, number);
                    assert!(rest.iter().all(|&byte| byte == number as u8));
                }
                ours.send_to(&b"!"[..], from).await.0.expect("it is sent");
            }
            sending.await.unwrap();
        })
    });
}

#[test]
fn a_kept_datagram_is_cut_for_a_smaller_buffer_and_that_is_told() {
    let _alone = alone();
    on_each(|_| {
        counted(async {
            let (ours, theirs) = (UdpSocket::bind(loopback()), UdpSocket::bind(loopback()));
            let (ours, theirs) = (ours.expect("a socket"), theirs.expect("a socket"));
            let to = ours.local_addr().expect("bound");
            for _ in 0..rounds(50) {
                {
                    let mut receiving = pin!(ours.receive_from(Vec::with_capacity(100)));
                    assert!(only_once(receiving.as_mut()).await.is_none(), "nothing was sent yet");
                    theirs.send_to(&b"abcdef"[..], to).await.0.expect("it is sent");
                    turns(20).await;
                }
                let (received, bytes) = ours.receive_from(vec![0; 4].into_boxed_slice()).await;
                let received = received.expect("it comes");
                assert_eq!((received.len, received.truncated, &*bytes), (4, true, &b"abcd"[..]));
                assert!(
                    only_once(ours.receive_from(Vec::with_capacity(9))).await.is_none(),
                    "its end is gone"
                );
            }
        })
    });
}

#[test]
fn a_dropped_write_goes_on_and_later_ones_queue_behind_it() {
    let _alone = alone();
    on_each(|_| {
        counted(async {
            for seed in 0..rounds(10) as u64 {
                let (ours, theirs) = pair().await;
                let mut dice = Dice::new(seed);
                let mut expected = Vec::new();
                let writing = async {
                    for number in 0..60u8 {
                        // Some are far more than the system takes at once: most are dropped in their midst.
                        let len = if number % 7 == 3 { 300_000 } else { 1 + dice.below(20_000) };
                        let piece = vec![number; len];
                        expected.extend_from_slice(&piece);
                        drop(select(ours.write(piece), turns(dice.below(3))).await);
                    }
                    ours.shutdown().await.expect("a half can be closed");
                };
                let reading = spawn(async move {
                    let mut received = Vec::new();
                    let mut buffer = Vec::with_capacity(50_000);
                    loop {
                        let read;
                        (read, buffer) = theirs.read(buffer).await;
                        if read.expect("it comes") == 0 {
                            return received;
                        }
                        received.extend_from_slice(&buffer);
                    }
                });
                writing.await;
                let received = reading.await.unwrap();
                assert!(received == expected, "seed {seed}: {} of {}", received.len(), expected.len());
            }
        })
    });
}

#[test]
fn a_stream_that_is_dropped_after_its_write_still_sends_it() {
    let _alone = alone();
    on_each(|_| {
        counted(async {
            for _ in 0..rounds(20) {
                let (ours, theirs) = pair().await;
                drop(only_once(ours.write(vec![7; 2_000_000])).await);
                drop(ours);
                let (read, bytes) = theirs.read_exact(Vec::with_capacity(2_000_000), 2_000_000).await;
                read.expect("all of it");
                assert!(bytes.iter().all(|&byte| byte == 7));
                assert_eq!(theirs.read(bytes).await.0.expect("the end"), 0);
            }
        })
    });
}

#[test]
fn a_dropped_connect_closes_its_socket() {
    let _alone = alone();
    on_each(|_| {
        counted(async {
            let listener = TcpListener::bind(loopback()).expect("a listener");
            let at = listener.local_addr().expect("its address");
            let mut dice = Dice::new(5);
            let mut kept = HashMap::new();
            for round in 0..rounds(200) {
                let connecting = TcpStream::connect(at);
                if let Either::First(stream) = select(connecting, turns(dice.below(4))).await {
                    let stream = stream.expect("somebody listens");
                    if round % 2 == 0 {
                        kept.insert(stream.local_addr().expect("it is connected"), stream);
                    }
                }
            }
            // The last one in line.
            let last = TcpStream::connect(at).await.expect("somebody listens");
            let last_at = last.local_addr().expect("it is connected");
            loop {
                // One that is gone already may be told as an error.
                let Ok(stream) = listener.accept().await else { continue };
                let Ok(peer) = stream.peer_addr() else { continue };
                if peer == last_at {
                    break;
                }
                match kept.remove(&peer) {
                    Some(theirs) => {
                        theirs.write_all(&b"!"[..]).await.0.expect("it is open");
                        stream.read_exact(Vec::with_capacity(1), 1).await.0.expect("it is open");
                    }
                    // Closed by its drop: the end, or a reset.
                    None => assert_eq!(stream.read(Vec::with_capacity(1)).await.0.unwrap_or(0), 0),
                }
            }
            assert!(kept.is_empty(), "{} were connected and never accepted", kept.len());
        })
    });
}

#[test]
fn the_lines_hold_for_local_streams_too() {
    let _alone = alone();
    on_each(|_| {
        counted(async {
            static NUMBER: AtomicUsize = AtomicUsize::new(0);
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let name = format!("contract-{}-{number}", std::process::id());
            let endpoint = LocalEndpoint::named(&name).expect("a name");
            let listener = LocalListener::bind(&endpoint).expect("a listener");
            for seed in 0..rounds(20) as u64 {
                drop(only_once(listener.accept()).await);
                let connecting = spawn({
                    let endpoint = endpoint.clone();
                    async move { LocalStream::connect(&endpoint).await }
                });
                turns(3).await;
                let ours = listener.accept().await.expect("a client");
                let theirs = connecting.await.unwrap().expect("somebody listens");
                let sent = words(500);
                let sending = spawn({
                    let (sent, mut dice) = (sent.clone(), Dice::new(seed));
                    async move {
                        for piece in sent.chunks(50) {
                            drop(select(theirs.write(piece.to_vec()), turns(dice.below(2))).await);
                            turns(dice.below(6)).await;
                        }
                        // Behind those that were dropped.
                        theirs.write(&b"end"[..]).await.0.expect("it is sent");
                        theirs
                    }
                });
                let mut dice = Dice::new(seed ^ 0xD1CE);
                let mut received = Vec::new();
                while received.len() < sent.len() + 3 {
                    let reading = ours.read(Vec::with_capacity(1 + dice.below(64)));
                    match select(reading, turns(dice.below(6))).await {
                        Either::First((read, bytes)) => {
                            assert_ne!(read.expect("it comes"), 0, "too early an end");
                            received.extend_from_slice(&bytes);
                        }
                        Either::Second(()) => {}
                    }
                }
                assert!(received[..sent.len()] == sent, "seed {seed}");
                assert_eq!(received[sent.len()..], *b"end");
                drop(sending.await.unwrap());
            }
        })
    });
}

struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_dropped_timer_vanishes() {
    let _alone = alone();
    on_each(|_| {
        counted(async {
            let wakes = Arc::new(Wakes(AtomicUsize::new(0)));
            let waker = Waker::from(Arc::clone(&wakes));
            for _ in 0..rounds(200) {
                let mut short = pin!(sleep(Duration::from_micros(500)));
                // Dropped by the select, after a turn or two, or when it is over.
                let _ = select(short.as_mut(), turns(2)).await;
                let mut gone = Box::pin(sleep(Duration::from_millis(1)));
                assert_eq!(gone.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Pending);
                drop(gone);
            }
            assert_eq!(Arc::strong_count(&wakes), 2, "no timer keeps a waker");
            sleep(Duration::from_millis(5)).await;
            assert_eq!(wakes.0.load(Ordering::SeqCst), 0, "nobody is woken for a timer that is gone");
        })
    });
}
