//! compio, the nearest peer: its runtime as it comes, its runtime with the flags that suit one thread, and its driver
//! without the runtime.

use std::{
    cell::RefCell,
    fs::File,
    net::TcpStream,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::AcqRel, Ordering::Release},
    },
    task::{Wake, Waker},
    time::{Duration, Instant},
};

use compio::{
    BufResult,
    buf::{IntoInner as _, IoBuf as _, Slice},
    driver::{
        DriverType, Key, Proactor, ProactorBuilder, PushEntry, SharedFd,
        op::{ReadAt, Recv, RecvFlags, Send, SendFlags},
    },
    fs,
    io::{AsyncRead as _, AsyncReadAt as _, AsyncWriteExt as _},
    net,
    runtime::{Runtime, RuntimeBuilder},
    time,
};

use crate::{
    harness::program::{Sample, Settings, steady},
    port::{
        echo::{self, BUFFER},
        files::{BLOCK, DEPTH, Places, STEP, check},
        timers::{Found, Lateness, repeat},
        wake::End,
    },
};

/// The flags of a ring that one thread uses, and room for every operation of a comparison.
pub(crate) fn tuned() -> ProactorBuilder {
    let mut builder = ProactorBuilder::new();
    builder.single_issuer(true).defer_taskrun(true).coop_taskrun(true).taskrun_flag(true).capacity(4096);
    builder.driver_type(DriverType::IoUring);
    builder
}

/// As it comes, on io_uring.
pub(crate) fn plain() -> ProactorBuilder {
    let mut builder = ProactorBuilder::new();
    builder.driver_type(DriverType::IoUring);
    builder
}

/// On epoll, by way of the `polling` crate.
fn poll() -> ProactorBuilder {
    let mut builder = ProactorBuilder::new();
    builder.driver_type(DriverType::Poll);
    builder
}

pub(crate) fn runtime(proactor: ProactorBuilder) -> Result<Runtime, String> {
    RuntimeBuilder::new().with_proactor(proactor).build().map_err(told("runtime"))
}

pub(crate) fn echo_plain(connections: usize) -> Result<(), String> {
    serve(&runtime(plain())?, echo::accepted(connections)?)
}

pub(crate) fn echo_tuned(connections: usize) -> Result<(), String> {
    serve(&runtime(tuned())?, echo::accepted(connections)?)
}

pub(crate) fn echo_poll(connections: usize) -> Result<(), String> {
    serve(&runtime(poll())?, echo::accepted(connections)?)
}

/// A task for each connection.
fn serve(runtime: &Runtime, streams: Vec<TcpStream>) -> Result<(), String> {
    runtime.block_on(async {
        let mut tasks = Vec::with_capacity(streams.len());
        for stream in streams {
            let stream = net::TcpStream::from_std(stream).map_err(told("from_std"))?;
            tasks.push(runtime.spawn(serve_one(stream)));
        }
        for task in tasks {
            task.await.map_err(|_| "compio: a task was lost".to_owned())??;
        }
        Ok(())
    })
}

async fn serve_one(mut stream: net::TcpStream) -> Result<(), String> {
    let mut buffer = Vec::with_capacity(BUFFER);
    loop {
        let BufResult(read, received) = stream.read(buffer).await;
        if read.map_err(told("read"))? == 0 {
            return Ok(());
        }
        let BufResult(written, sent) = stream.write_all(received).await;
        written.map_err(told("write"))?;
        buffer = sent;
        buffer.clear();
    }
}

type Socket = SharedFd<TcpStream>;

/// What a connection of the driver waits for.
enum Pending {
    Recv(Key<Recv<Vec<u8>, Socket>>),
    Send(Key<Send<Slice<Vec<u8>>, Socket>>),
}

thread_local! {
    /// The connections whose operation is done.
    static READY: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// Notes that the operation of a connection is done: how the driver says so without a runtime.
struct Note(usize);

impl Wake for Note {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        READY.with_borrow_mut(|ready| ready.push(self.0));
    }
}

/// The driver with one small state for each connection, and no task.
pub(crate) fn echo_driver(connections: usize) -> Result<(), String> {
    let streams = echo::accepted(connections)?;
    let mut driver = tuned().build().map_err(told("driver"))?;
    let sockets: Vec<Socket> = streams.into_iter().map(SharedFd::new).collect();
    let wakers: Vec<Waker> = (0..sockets.len()).map(|index| Arc::new(Note(index)).into()).collect();
    let mut pending: Vec<Option<Pending>> = Vec::with_capacity(sockets.len());
    for (socket, waker) in sockets.iter().zip(&wakers) {
        pending.push(Some(receive(&mut driver, socket, waker, vec![0; BUFFER])?));
    }
    let mut open = sockets.len();
    let mut ready = Vec::new();
    while open > 0 {
        wait(&mut driver)?;
        READY.with_borrow_mut(|noted| std::mem::swap(noted, &mut ready));
        for index in ready.drain(..) {
            let (socket, waker) = (&sockets[index], &wakers[index]);
            pending[index] = match pending[index].take() {
                Some(Pending::Recv(key)) => match driver.pop(key) {
                    PushEntry::Pending(key) => Some(Pending::Recv(key)),
                    PushEntry::Ready(BufResult(read, done)) => match read.map_err(told("receive"))? {
                        0 => {
                            open -= 1;
                            None
                        }
                        read => Some(send(&mut driver, socket, waker, done.into_inner().slice(..read))?),
                    },
                },
                Some(Pending::Send(key)) => match driver.pop(key) {
                    PushEntry::Pending(key) => Some(Pending::Send(key)),
                    PushEntry::Ready(BufResult(sent, done)) => {
                        let (sent, message) = (sent.map_err(told("send"))?, done.into_inner());
                        if sent < message.len() {
                            return Err(format!("compio: the socket took {sent} bytes of {}", message.len()));
                        }
                        Some(receive(&mut driver, socket, waker, message.into_inner())?)
                    }
                },
                None => None,
            };
        }
    }
    Ok(())
}

fn receive(
    driver: &mut Proactor,
    socket: &Socket,
    waker: &Waker,
    buffer: Vec<u8>,
) -> Result<Pending, String> {
    match driver.push(Recv::new(socket.clone(), buffer, RecvFlags::empty())) {
        PushEntry::Pending(key) => {
            driver.update_waker(&key, waker);
            Ok(Pending::Recv(key))
        }
        PushEntry::Ready(BufResult(result, _)) => Err(format!("compio: an inline receive: {result:?}")),
    }
}

fn send(
    driver: &mut Proactor,
    socket: &Socket,
    waker: &Waker,
    message: Slice<Vec<u8>>,
) -> Result<Pending, String> {
    match driver.push(Send::new(socket.clone(), message, SendFlags::empty())) {
        PushEntry::Pending(key) => {
            driver.update_waker(&key, waker);
            Ok(Pending::Send(key))
        }
        PushEntry::Ready(BufResult(result, _)) => Err(format!("compio: an inline send: {result:?}")),
    }
}

/// Waits for anything at all.
fn wait(driver: &mut Proactor) -> Result<(), String> {
    use std::io::ErrorKind::{Interrupted, TimedOut};
    match driver.poll(None) {
        Err(error) if matches!(error.kind(), Interrupted | TimedOut) => Ok(()),
        polled => polled.map_err(told("poll")),
    }
}

pub(crate) fn files_plain(path: &Path, settings: Settings) -> Result<Sample, String> {
    files(&runtime(plain())?, path, settings)
}

pub(crate) fn files_tuned(path: &Path, settings: Settings) -> Result<Sample, String> {
    files(&runtime(tuned())?, path, settings)
}

/// As many tasks as reads shall be underway, each with its buffer.
fn files(runtime: &Runtime, path: &Path, settings: Settings) -> Result<Sample, String> {
    let file = runtime.block_on(fs::File::open(path)).map_err(told("open"))?;
    let mut places = Places::new();
    let mut buffers: Vec<Vec<u8>> = (0..DEPTH).map(|_| Vec::with_capacity(BLOCK)).collect();
    steady(settings, || {
        runtime.block_on(async {
            let mut tasks = Vec::with_capacity(DEPTH);
            for mut buffer in buffers.drain(..) {
                let file = file.clone();
                let mut places = places.branch();
                tasks.push(runtime.spawn(async move {
                    for _ in 0..STEP / DEPTH {
                        let meant = places.next();
                        let BufResult(read, filled) = file.read_at(buffer, meant * BLOCK as u64).await;
                        check(read.map_err(told("read"))?, &filled, meant)?;
                        buffer = filled;
                        buffer.clear();
                    }
                    Ok::<_, String>(buffer)
                }));
            }
            for task in tasks {
                buffers.push(task.await.map_err(|_| "compio: a task was lost".to_owned())??);
            }
            Ok(STEP as u64)
        })
    })
}

type Reading = Key<ReadAt<Vec<u8>, SharedFd<File>>>;

/// The driver without tasks: what is done is found by asking all 32.
pub(crate) fn files_driver(path: &Path, settings: Settings) -> Result<Sample, String> {
    let mut driver = tuned().build().map_err(told("driver"))?;
    let file = SharedFd::new(File::open(path).map_err(told("open"))?);
    let mut places = Places::new();
    let mut read = |driver: &mut Proactor, buffer: Vec<u8>| -> Result<(u64, Reading), String> {
        let meant = places.next();
        match driver.push(ReadAt::new(file.clone(), meant * BLOCK as u64, buffer)) {
            PushEntry::Pending(key) => Ok((meant, key)),
            PushEntry::Ready(BufResult(result, _)) => Err(format!("compio: an inline read: {result:?}")),
        }
    };
    let mut underway = Vec::with_capacity(DEPTH);
    for _ in 0..DEPTH {
        underway.push(Some(read(&mut driver, vec![0; BLOCK])?));
    }
    steady(settings, || {
        let mut reads = 0;
        while reads < STEP as u64 {
            wait(&mut driver)?;
            for slot in &mut underway {
                let Some((meant, key)) = slot.take() else { continue };
                *slot = match driver.pop(key) {
                    PushEntry::Pending(key) => Some((meant, key)),
                    PushEntry::Ready(BufResult(result, done)) => {
                        let block = done.into_inner();
                        check(result.map_err(told("read"))?, &block, meant)?;
                        reads += 1;
                        Some(read(&mut driver, block)?)
                    }
                };
            }
        }
        Ok(reads)
    })
}

/// A thread that waits in its driver, and a flag that says that this was meant.
pub(crate) struct Waiting {
    driver: Proactor,
    rung: Arc<AtomicBool>,
    other: Option<(Waker, Arc<AtomicBool>)>,
}

impl End for Waiting {
    type Address = (Waker, Arc<AtomicBool>);

    fn open() -> Result<Waiting, String> {
        let driver = tuned().build().map_err(told("driver"))?;
        Ok(Waiting { driver, rung: Arc::default(), other: None })
    }

    fn address(&self) -> Self::Address {
        (self.driver.waker(), Arc::clone(&self.rung))
    }

    fn meet(&mut self, other: Self::Address) {
        self.other = Some(other);
    }

    fn post(&mut self) -> Result<(), String> {
        let (waker, rung) = self.other.as_ref().ok_or("compio: nobody to wake")?;
        rung.store(true, Release);
        waker.wake_by_ref();
        Ok(())
    }

    fn wait(&mut self) -> Result<(), String> {
        while !self.rung.swap(false, AcqRel) {
            wait(&mut self.driver)?;
        }
        Ok(())
    }
}

/// A task for each timer.
pub(crate) fn timers(spans: &[Duration]) -> Result<Found, String> {
    let runtime = runtime(plain())?;
    let sleep = |span: Duration| async move {
        let due = Instant::now() + span;
        time::sleep(span).await;
        Lateness::since(due)
    };
    repeat(spans, |late| {
        runtime.block_on(async {
            let tasks: Vec<_> = spans.iter().map(|span| runtime.spawn(sleep(*span))).collect();
            for task in tasks {
                late.push(task.await.map_err(|_| "compio: a task was lost".to_owned())?);
            }
            Ok(())
        })
    })
}

fn told<E: std::fmt::Display>(what: &str) -> impl Fn(E) -> String {
    move |error| format!("compio, {what}: {error}")
}
