//! A server that has no descriptors left says so, rests, and serves everybody once there are some again. The server is
//! the other process here: how many descriptors a process may have is a matter of the whole of it.

use std::{
    env,
    io::{BufRead as _, Read as _, Write as _},
    net::TcpStream as Plain,
    panic::Location,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use ostia_rt::{
    Backend, Runtime, fs,
    net::{TcpListener, TcpStream, UdpSocket},
    spawn,
    sync::oneshot,
    time::sleep,
};
use rustix::{
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

use crate::{PATIENCE, Peer, Seen, alone, common, echo, resets::nothing_is_left, say, wait_for_the_end};

/// Which back end the other process has, by its number.
const BACKEND: &str = "OSTIA_TEST_BACKEND";
/// More than the server may have at a time, and few enough for the system to keep until they are accepted.
const CLIENTS: usize = 40;
/// So many descriptors are left to the server.
const LEFT: usize = 8;
/// For so long it is watched while it has none.
const WATCHED: Duration = Duration::from_millis(200);

#[test]
fn a_server_without_descriptors_says_so_rests_and_loses_nobody() {
    let _alone = alone();
    for (number, backend) in common::backends().iter().enumerate() {
        if common::runtime(*backend, 1).is_some() {
            common::within(&backend.to_string(), Location::caller(), move || loses_nobody(number));
        }
    }
}

/// On the back end of this number.
fn loses_nobody(number: usize) {
    let mut server = Peer::start("lack::server", |command| command.env(BACKEND, number.to_string()));
    let mut line = String::new();
    let address = loop {
        line.clear();
        assert!(server.says.read_line(&mut line).unwrap() > 0, "the server ended");
        if let Some((_, address)) = line.trim_end().split_once("listens ") {
            break address.to_owned();
        }
    };
    let mut clients: Vec<Plain> = (0..CLIENTS)
        .map(|number| {
            let mut stream = Plain::connect(&address).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(format!("client {number:4}").as_bytes()).unwrap();
            stream
        })
        .collect();
    server.hear("has none left");
    // Who came first was accepted first, and leaves room for the others.
    for (client, stream) in clients.drain(..).enumerate() {
        let mut back = [0; 11];
        (&stream).read_exact(&mut back).unwrap();
        assert_eq!(back, format!("client {client:4}").as_bytes(), "on back end {number}");
    }
    server.ends_well();
}

/// The other process.
#[test]
#[ignore = "it is what the other test starts"]
fn server() {
    let Ok(number) = env::var(BACKEND) else { return };
    let backend = common::backends()[number.parse::<usize>().unwrap()];
    let runtime = common::runtime(backend, 2).expect("the other process has one");
    let file = env::current_exe().unwrap();
    let seen = Arc::new(Seen::default());
    // Threads that are started when they are first needed have been needed.
    runtime.block_on(async { drop(fs::File::open(&file).await.unwrap()) });
    let listener = runtime.block_on(async { TcpListener::bind(common::loopback()) }).unwrap();
    let address = listener.local_addr().unwrap();
    let before = leave(LEFT);
    let (sender, rested) = oneshot::channel();
    let lacks = Arc::new(AtomicUsize::new(0));
    drop(runtime.spawn(serve(listener, Arc::clone(&seen), Arc::clone(&lacks), sender)));
    say(&format!("listens {address}"));
    runtime.block_on(rested).unwrap();
    let before_rest = runtime.handle().metrics();
    runtime.block_on(async { sleep(WATCHED).await });
    let meanwhile = runtime.handle().metrics().since(&before_rest).total();
    // A server that asks again and again has a turn every microsecond; one on a machine that is busy otherwise, which
    // still has to answer who came before, has some hundreds. It asks, and may say so, after twice as long each time.
    assert!(meanwhile.turns < 1000, "{meanwhile:?}");
    let errors = lacks.load(Ordering::SeqCst);
    assert!((1..20).contains(&errors), "{errors} errors");
    runtime.block_on(everything_else_says_so(address, &file, backend));
    say("has none left");
    wait_for_the_end();
    runtime.block_on(seen.all_closed());
    assert_eq!(seen.accepted.load(Ordering::SeqCst), CLIENTS);
    assert_eq!(seen.broken.load(Ordering::SeqCst), 0);
    runtime.block_on(nothing_is_left(Some(before)));
    runtime.block_on(async { drop(fs::File::open(&file).await.unwrap()) });
}

/// Leaves so many descriptors to this process; how many it has.
fn leave(count: usize) -> usize {
    let numbers = std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().file_name());
    let taken: Vec<u64> = numbers.map(|name| name.to_str().unwrap().parse().unwrap()).collect();
    // Some may have been inherited with a high number: it stays theirs although it is above the limit.
    let last = (0..).filter(|number| !taken.contains(number)).nth(count - 1).expect("numbers do not end");
    setrlimit(Resource::Nofile, Rlimit { current: Some(last + 1), ..getrlimit(Resource::Nofile) }).unwrap();
    common::descriptors().unwrap()
}

fn is_lack(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(Errno::MFILE.raw_os_error())
}

/// Echoes for ever; says when it is first told of a lack, and counts how often it is.
async fn serve(listener: TcpListener, seen: Arc<Seen>, lacks: Arc<AtomicUsize>, first: oneshot::Sender<()>) {
    let mut first = Some(first);
    loop {
        match listener.accept().await {
            Ok(stream) => {
                seen.accepted.fetch_add(1, Ordering::SeqCst);
                seen.open.fetch_add(1, Ordering::SeqCst);
                let seen = Arc::clone(&seen);
                drop(spawn(async move {
                    if echo(stream, &seen).await.is_err() {
                        seen.broken.fetch_add(1, Ordering::SeqCst);
                    }
                    seen.open.fetch_sub(1, Ordering::SeqCst);
                }));
            }
            Err(error) => {
                assert!(is_lack(&error), "{error}");
                lacks.fetch_add(1, Ordering::SeqCst);
                if let Some(first) = first.take() {
                    let _ = first.send(());
                }
            }
        }
    }
}

async fn everything_else_says_so(address: std::net::SocketAddr, file: &std::path::Path, backend: Backend) {
    let error = TcpStream::connect(address).await.unwrap_err();
    assert!(is_lack(&error), "a connect: {error}");
    let error = fs::File::open(file).await.unwrap_err();
    assert!(fs::PathError::of(&error).is_some_and(|error| is_lack(error.os_error())), "a file: {error}");
    let error = TcpListener::bind(common::loopback()).unwrap_err();
    assert!(is_lack(&error), "a listener: {error}");
    let error = UdpSocket::bind(common::loopback()).unwrap_err();
    assert!(is_lack(&error), "a socket: {error}");
    let error = Runtime::builder().backend(backend).build().map(drop).unwrap_err();
    assert!(is_lack(&error) || error.to_string().contains("descriptors"), "a runtime: {error}");
}
