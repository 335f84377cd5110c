//! In the steady state nothing allocates that a program does again and again: a read, a write, a wait, a look at the
//! clock. The counter is the process's allocator, so this is a program of its own.

mod common;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    io::{self, Write as _},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ostia_rt::{
    Handle, Limiter, fs, io as rt_io,
    net::UdpSocket,
    spawn, spawn_local,
    sync::{Mutex, Notify, Semaphore, mpsc, watch},
    time::{sleep, timeout},
    yield_now,
};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are handed on.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are handed on.
        unsafe { System.realloc(memory, layout, len) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const ROUNDS: u64 = if cfg!(windows) { 50 } else { 300 };
/// A row of rounds may still need a longer queue than any before it; what allocates in each round does so in each row.
const ROWS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(60);

/// How many allocations a round of it makes, at least: those of the row that made fewest, by the rounds.
struct Figures(Vec<(&'static str, f64)>);

impl Figures {
    async fn of(&mut self, what: &'static str, mut once: impl AsyncFnMut()) {
        let mut fewest = u64::MAX;
        for _ in 0..ROWS {
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            for _ in 0..ROUNDS {
                once().await;
            }
            fewest = fewest.min(ALLOCATIONS.load(Ordering::Relaxed) - before);
            if fewest == 0 {
                break;
            }
        }
        self.0.push((what, fewest as f64 / ROUNDS as f64));
    }
}

/// What is in a place; the caller puts something back.
fn take(place: &mut Vec<u8>) -> Vec<u8> {
    std::mem::take(place)
}

async fn everything(handle: Handle) -> Figures {
    let mut figures = Figures(Vec::with_capacity(64));
    streams(&mut figures).await;
    datagrams(&mut figures).await;
    files(&mut figures).await;
    waits(&mut figures, &handle).await;
    figures
}

async fn streams(figures: &mut Figures) {
    let (near, far) = common::pair().await;
    let echo = spawn(async move {
        let mut buffer = Vec::with_capacity(1024);
        loop {
            let (read, filled) = far.read(buffer).await;
            if read.expect("it goes on") == 0 {
                return;
            }
            let (written, back) = far.write_all(filled).await;
            written.expect("it goes on");
            buffer = back;
        }
    });
    let (mut out, mut back) = (vec![7_u8; 64], Vec::with_capacity(64));
    figures
        .of("an echo", async || {
            let (written, kept) = near.write_all(take(&mut out)).await;
            written.expect("it is sent");
            out = kept;
            let (read, filled) = near.read_exact(take(&mut back), 64).await;
            read.expect("it comes back");
            back = filled;
        })
        .await;
    figures
        .of("an echo within a time", async || {
            let (written, kept) = near.write_all(take(&mut out)).await;
            written.expect("it is sent");
            out = kept;
            let (read, filled) =
                timeout(PATIENCE, near.read_exact(take(&mut back), 64)).await.expect("in time");
            read.expect("it comes back");
            back = filled;
        })
        .await;
    figures
        .of("an echo into the system's buffer", async || {
            let (written, kept) = near.write_all(take(&mut out)).await;
            written.expect("it is sent");
            out = kept;
            let mut len = 0;
            while len < 64 {
                len += near.read_managed().await.expect("it comes back").len();
            }
        })
        .await;
    let (mut reader, mut writer) = near.split();
    figures
        .of("an echo through halves and traits", async || {
            let (written, kept) = rt_io::AsyncWrite::write_all(&mut writer, take(&mut out)).await;
            written.expect("it is sent");
            out = kept;
            let (read, filled) = rt_io::AsyncRead::read_exact(&mut reader, take(&mut back), 64).await;
            read.expect("it comes back");
            back = filled;
        })
        .await;
    writer.shutdown().await.expect("it is connected");
    echo.await.expect("no panic");
}

async fn datagrams(figures: &mut Figures) {
    let bind = || UdpSocket::bind(common::loopback()).expect("a socket");
    let (one, other) = (bind(), bind());
    let to = other.local_addr().expect("it is bound");
    let (mut out, mut back) = (vec![7_u8; 64], Vec::with_capacity(64));
    figures
        .of("a datagram", async || {
            let (sent, kept) = one.send_to(take(&mut out), to).await;
            sent.expect("it is sent");
            out = kept;
            let (received, filled) = other.receive_from(take(&mut back)).await;
            received.expect("it comes");
            back = filled;
        })
        .await;
}

async fn files(figures: &mut Figures) {
    let folder = tempfile::tempdir().expect("a folder");
    let options = fs::OpenOptions::new().read(true).write(true).create(true);
    let file = fs::File::open_with(folder.path().join("file"), options).await.expect("a file");
    let mut block = vec![7_u8; 4096];
    figures
        .of("a block written and read", async || {
            let (written, kept) = file.write_all_at(take(&mut block), 4096).await;
            written.expect("there is room");
            let (read, filled) = file.read_exact_at(kept, 4096, 4096).await;
            read.expect("it is there");
            block = filled;
        })
        .await;
}

async fn waits(figures: &mut Figures, handle: &Handle) {
    figures.of("a yield", async || yield_now().await).await;
    figures.of("a short sleep", async || sleep(Duration::from_nanos(1)).await).await;
    let pool = handle.buffers(0);
    figures.of("a buffer of the pool", async || drop(pool.take(4096).await.expect("there is one"))).await;
    let limiter: Limiter = handle.limiter(0);
    figures.of("a permit of the limiter", async || drop(limiter.acquire().await)).await;
    let semaphore = Semaphore::new(1);
    figures.of("a permit of a semaphore", async || drop(semaphore.acquire().await)).await;

    // Two tasks that wait for each other, each time.
    let (ping, mut pinged) = mpsc::channel(1);
    let (pong, mut ponged) = mpsc::channel(1);
    let other = spawn(async move {
        while let Some(value) = pinged.recv().await {
            pong.send(value).await.expect("somebody waits for it");
        }
    });
    figures
        .of("a value there and back", async || {
            ping.send(1).await.expect("somebody waits for it");
            assert_eq!(ponged.recv().await, Some(1));
        })
        .await;
    drop(ping);
    other.await.expect("no panic");

    let shared = Arc::new((Mutex::new(0_u64), Notify::new(), Notify::new()));
    let other = spawn({
        let shared = Arc::clone(&shared);
        async move {
            loop {
                shared.1.notified().await;
                let is_over = *shared.0.lock().await == u64::MAX;
                shared.2.notify_one();
                if is_over {
                    return;
                }
            }
        }
    });
    figures
        .of("a notification and a lock", async || {
            *shared.0.lock().await += 1;
            shared.1.notify_one();
            shared.2.notified().await;
        })
        .await;
    *shared.0.lock().await = u64::MAX;
    shared.1.notify_one();
    other.await.expect("no panic");

    let (sender, mut receiver) = watch::channel(0_u64);
    figures
        .of("a change of a watched value", async || {
            sender.send(7);
            receiver.changed().await.expect("the sender is there");
        })
        .await;
    figures.of("a task", async || spawn(async {}).await.expect("no panic")).await;
}

/// So many allocations each round may make; of all others none.
fn most(what: &str) -> f64 {
    match what {
        // A task is one piece of memory, with all that belongs to it, and so is a value that is watched.
        "a task" | "a change of a watched value" => 1.0,
        _ => 0.0,
    }
}

#[test]
fn nothing_allocates_in_the_steady_state() {
    let mut wrong = Vec::new();
    for &backend in common::backends() {
        for workers in [1, 2] {
            let Some(runtime) = common::runtime(backend, workers) else { continue };
            let handle = runtime.handle();
            let task = runtime.spawn(async move {
                // It stays on one thread: a closure's future is not known to be one that may move.
                spawn_local(everything(handle)).await.expect("it holds").0
            });
            for (what, count) in runtime.block_on(task).expect("it holds") {
                writeln!(io::stderr(), "{backend}, {workers} workers: {what}: {count}")
                    .expect("stderr is there");
                if count > most(what) {
                    wrong.push(format!("{backend}, {workers} workers: {what}: {count} allocations"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
