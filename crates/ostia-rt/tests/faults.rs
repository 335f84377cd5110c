//! What goes wrong with peers: they come by thousands, are killed, reset, do not read, do not write; and with a server
//! that has no descriptors left. Peers are other processes, most of them, on the standard library's sockets: this
//! program again, told by its environment what to be.
//!
//! `soak` is all of it for as long as `OSTIA_SOAK_SECONDS` says, with figures: `cargo xtask soak peers --seconds 600`.

mod common;
#[cfg(target_os = "linux")]
#[path = "faults/lack.rs"]
mod lack;
#[path = "faults/resets.rs"]
mod resets;

use std::{
    env,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream as Plain},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ostia_rt::{
    Runtime,
    net::{TcpListener, TcpStream},
    spawn,
    time::{sleep, timeout},
};

/// What the other process is to be; and where it finds the server.
const ROLE: &str = "OSTIA_TEST_PEER";
const SERVER: &str = "OSTIA_TEST_SERVER";
const PATIENCE: Duration = Duration::from_secs(60);

/// What the server saw.
#[derive(Debug, Default)]
struct Seen {
    accepted: AtomicUsize,
    open: AtomicUsize,
    echoed: AtomicU64,
    /// Connections that ended otherwise than by the peer's end.
    broken: AtomicUsize,
}

impl Seen {
    /// Waits until no connection is open any more.
    async fn all_closed(&self) {
        let waited = timeout(PATIENCE, async {
            while self.open.load(Ordering::SeqCst) > 0 {
                sleep(Duration::from_millis(5)).await;
            }
        });
        assert!(waited.await.is_ok(), "connections stay open: {self:?}");
    }
}

/// Echoes for ever.
async fn serve(listener: TcpListener, seen: Arc<Seen>) {
    loop {
        let Ok(stream) = listener.accept().await else { continue };
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
}

async fn echo(stream: TcpStream, seen: &Seen) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(1024);
    loop {
        let (read, filled) = stream.read(buffer).await;
        let len = read?;
        if len == 0 {
            return Ok(());
        }
        let (written, sent) = stream.write_all(filled).await;
        written?;
        seen.echoed.fetch_add(len as u64, Ordering::Relaxed);
        buffer = sent;
    }
}

struct Stage {
    runtime: Runtime,
    address: SocketAddr,
    seen: Arc<Seen>,
}

impl Stage {
    fn new(runtime: Runtime) -> Stage {
        let listener = runtime.block_on(async { TcpListener::bind("127.0.0.1:0".parse().unwrap()) }).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        drop(runtime.spawn(serve(listener, Arc::clone(&seen))));
        Stage { runtime, address, seen }
    }

    /// Another process, which plays a part.
    fn peer(&self, role: &str) -> Peer {
        Peer::start("peer", |command| command.env(ROLE, role).env(SERVER, self.address.to_string()))
    }
}

/// One test at a time: they look at what the process has.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Each back end there is.
fn on_each(test: impl Fn(Stage)) {
    let _alone = alone();
    for backend in common::backends() {
        if let Some(runtime) = common::runtime(*backend, 2) {
            test(Stage::new(runtime));
        }
    }
}

struct Peer {
    child: Child,
    says: BufReader<ChildStdout>,
}

impl Peer {
    /// This program again, as one of its tests, with what the other one tells it.
    fn start(test: &str, tell: impl FnOnce(&mut Command) -> &mut Command) -> Peer {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]);
        let mut child = tell(&mut command).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let says = BufReader::new(child.stdout.take().unwrap());
        Peer { child, says }
    }

    /// Waits until the peer says so.
    fn hear(&mut self, word: &str) {
        let mut line = String::new();
        while self.says.read_line(&mut line).unwrap() > 0 {
            // The test harness of the other process speaks, too.
            if line.trim_end().ends_with(word) {
                return;
            }
            line.clear();
        }
        panic!("the peer ended before it said {word}");
    }

    fn ends_well(mut self) {
        drop(self.child.stdin.take());
        let mut rest = String::new();
        self.says.read_to_string(&mut rest).unwrap();
        assert!(self.child.wait().unwrap().success(), "{rest}");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The other process.
#[test]
#[ignore = "it is what the other tests start"]
fn peer() {
    let Ok(role) = env::var(ROLE) else { return };
    let server: SocketAddr = env::var(SERVER).unwrap().parse().unwrap();
    let (role, count) = role.split_once(' ').unwrap_or((&role, "1"));
    let count: usize = count.parse().unwrap();
    let mut streams: Vec<Plain> = (0..count)
        .map(|_| {
            let stream = Plain::connect(server).unwrap();
            stream.set_nodelay(true).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream
        })
        .collect();
    match role {
        // Each sends its own words, three times, and they all come back.
        "talkers" => {
            for round in 0..3 {
                for (number, stream) in streams.iter_mut().enumerate() {
                    stream.write_all(format!("{round:08}{number:08}").as_bytes()).unwrap();
                }
                for (number, stream) in streams.iter_mut().enumerate() {
                    let mut back = [0; 16];
                    stream.read_exact(&mut back).unwrap();
                    assert_eq!(back, format!("{round:08}{number:08}").as_bytes());
                }
            }
            say("talked");
            wait_for_the_end();
        }
        // They hold their connections until they are killed.
        "victims" => {
            for stream in &mut streams {
                stream.write_all(b"last words").unwrap();
            }
            say("ready");
            wait_for_the_end();
        }
        // They write, and never read.
        "deaf" => {
            for stream in &mut streams {
                stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
                let words = vec![b'd'; 1 << 20];
                // Until the server's answers, which nobody reads, keep it from reading.
                while stream.write(&words).is_ok() {}
            }
            say("stuffed");
            wait_for_the_end();
        }
        other => panic!("there is no part called {other}"),
    }
}

fn say(word: &str) {
    println!("{word}");
    io::stdout().flush().unwrap();
}

fn wait_for_the_end() {
    let _ = io::stdin().read(&mut [0]);
}

/// What this process has of memory, in bytes, and how many descriptors; where the system tells: on Linux. Under Wine
/// the files are there too, and are about another process, the one that opens files for all.
fn figures() -> Option<(u64, usize)> {
    if cfg!(windows) {
        let test = thread::current().name().unwrap_or("a test").to_owned();
        writeln!(io::stderr(), "SKIPPED memory and descriptors of {test}: the system does not count them")
            .expect("stderr is there");
        return None;
    }
    let pages: u64 = std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
    Some((pages * 4096, std::fs::read_dir("/proc/self/fd").ok()?.count()))
}

fn six_thousand(stage: &Stage, count: usize) {
    let mut peer = stage.peer(&format!("talkers {count}"));
    peer.hear("talked");
    assert_eq!(stage.seen.open.load(Ordering::SeqCst), count);
    peer.ends_well();
    stage.runtime.block_on(stage.seen.all_closed());
}

#[test]
fn six_thousand_connections_of_another_process_are_served_and_leave_nothing() {
    // A connection has a descriptor at either end; both processes have a table of their own.
    let count = if cfg!(windows) { 200 } else { 6_000 };
    on_each(|stage| {
        six_thousand(&stage, count);
        let first = figures();
        six_thousand(&stage, count);
        assert_eq!(stage.seen.accepted.load(Ordering::SeqCst), 2 * count);
        assert_eq!(stage.seen.echoed.load(Ordering::SeqCst), 2 * 3 * 16 * count as u64);
        assert_eq!(stage.seen.broken.load(Ordering::SeqCst), 0);
        if let (Some(first), Some(second)) = (first, figures()) {
            assert!(second.1 <= first.1, "descriptors: {first:?}, then {second:?}");
            // What the first round needed is enough for the second; 2 KiB a connection would be 12 MB.
            assert!(second.0 < first.0 + (8 << 20), "memory: {first:?}, then {second:?}");
        }
    });
}

#[test]
fn the_connections_of_a_peer_that_is_killed_end_and_the_others_go_on() {
    on_each(|stage| {
        let mut victim = stage.peer("victims 200");
        let mut other = stage.peer("talkers 50");
        victim.hear("ready");
        other.hear("talked");
        victim.child.kill().unwrap();
        victim.child.wait().unwrap();
        stage.runtime.block_on(async {
            let waited = timeout(PATIENCE, async {
                while stage.seen.open.load(Ordering::SeqCst) > 50 {
                    sleep(Duration::from_millis(5)).await;
                }
            });
            assert!(waited.await.is_ok(), "{:?}", stage.seen);
        });
        let mut late = stage.peer("talkers 5");
        late.hear("talked");
        late.ends_well();
        other.ends_well();
        stage.runtime.block_on(stage.seen.all_closed());
    });
}

#[test]
fn a_peer_that_does_not_read_holds_up_nobody_else_and_no_memory() {
    on_each(|stage| {
        let before = figures();
        let mut deaf = stage.peer("deaf 20");
        deaf.hear("stuffed");
        let began = Instant::now();
        let mut other = stage.peer("talkers 50");
        other.hear("talked");
        assert!(began.elapsed() < PATIENCE);
        if let (Some(before), Some(now)) = (before, figures()) {
            // A server that took what it cannot give back would have 20 times a megabyte, and grow.
            assert!(now.0 < before.0 + (16 << 20), "memory: {before:?}, then {now:?}");
        }
        other.ends_well();
        drop(deaf);
        stage.runtime.block_on(stage.seen.all_closed());
    });
}

#[test]
fn a_peer_that_says_nothing_is_given_up_in_time() {
    on_each(|stage| {
        let listener =
            stage.runtime.block_on(async { TcpListener::bind("127.0.0.1:0".parse().unwrap()) }).unwrap();
        let _silent = Plain::connect(listener.local_addr().unwrap()).unwrap();
        let waited = stage.runtime.block_on(async {
            let stream = listener.accept().await.unwrap();
            timeout(Duration::from_millis(50), stream.read(Vec::with_capacity(16))).await
        });
        assert!(waited.is_err());
    });
}

/// All of it, again and again.
#[test]
#[ignore = "it takes as long as it is told"]
fn soak() {
    let seconds = env::var("OSTIA_SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let end = Instant::now() + Duration::from_secs(seconds);
    let backends = common::backends();
    let share = Duration::from_secs(seconds) / u32::try_from(backends.len()).unwrap();
    for (number, backend) in backends.iter().enumerate() {
        let Some(runtime) = common::runtime(*backend, 2) else { continue };
        let stage = Stage::new(runtime);
        let until = end - share * u32::try_from(backends.len() - 1 - number).unwrap();
        let mut rounds = 0;
        let mut told = Instant::now();
        let mut first = None;
        while Instant::now() < until {
            six_thousand(&stage, 2_000);
            let mut victim = stage.peer("victims 200");
            victim.hear("ready");
            drop(victim);
            let mut deaf = stage.peer("deaf 4");
            deaf.hear("stuffed");
            drop(deaf);
            stage.runtime.block_on(stage.seen.all_closed());
            rounds += 1;
            first = first.or_else(figures);
            if told.elapsed() > Duration::from_secs(15) || Instant::now() >= until {
                told = Instant::now();
                let seen = &stage.seen;
                println!(
                    "{backend}: {rounds} rounds, {} connections ({} broken by their peers), {} bytes echoed, memory and descriptors {:?}",
                    seen.accepted.load(Ordering::SeqCst),
                    seen.broken.load(Ordering::SeqCst),
                    seen.echoed.load(Ordering::SeqCst),
                    figures(),
                );
            }
        }
        if let (Some(first), Some(last)) = (first, figures()) {
            assert!(last.1 <= first.1 + 8, "descriptors: {first:?}, then {last:?}");
            assert!(last.0 < first.0 + (16 << 20), "memory: {first:?}, then {last:?}");
        }
    }
}
