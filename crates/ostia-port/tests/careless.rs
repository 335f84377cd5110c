//! Callers that are careless, unlucky, or mean: what they do must not cost anyone else a result.

use std::{
    io::{self, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use ostia_port::{Address, Backend, Batch, Berth, Builder, Packet, Port, Stream, Ticket, op, op::Op};

/// Nothing here takes as long unless it hangs.
const LONG: Duration = Duration::from_secs(20);

const BACKENDS: &[Backend] = if cfg!(windows) { &[Backend::Iocp] } else { &[Backend::Uring, Backend::Epoll] };

/// Runs a test with each back end of this system that there is.
fn on_each_backend(name: &str, test: impl Fn(Builder)) {
    for &backend in BACKENDS {
        let builder = Port::builder().backend(backend);
        match builder.clone().open() {
            Ok(_) => test(builder),
            Err(error) => {
                let _ = writeln!(io::stderr(), "SKIPPED {name} with {backend}: {error}");
            }
        }
    }
}

fn finish<O: Op>(berth: &mut Berth, mut ticket: Ticket<O>) -> (io::Result<O::Out>, O::Back) {
    let mut batch = Batch::new();
    let began = Instant::now();
    loop {
        let end = ticket.poll();
        assert!(began.elapsed() < LONG, "{ticket:?} hangs with {}", berth.backend());
        if let Some(end) = end {
            return end;
        }
        berth.wait(&mut batch, Some(LONG)).unwrap();
    }
}

/// A stream of the port, and the other end of it as the standard library has it.
fn connected(berth: &mut Berth) -> (Stream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::Ip(listener.local_addr().unwrap());
    let stream = berth.port().stream(&address).unwrap();
    let connect = berth.submit(op::Connect::new(stream, &address).unwrap()).unwrap();
    let (done, stream) = finish(berth, connect);
    done.unwrap();
    (stream, listener.accept().unwrap().0)
}

#[test]
fn a_receive_that_waits_for_a_buffer_is_not_held_up_by_one_that_has_nothing_to_receive() {
    on_each_backend("one idle, one busy", |builder| {
        let port = builder.lent_buffers(1, 64).open().unwrap();
        let mut berth = port.berth().unwrap();
        let (first, mut first_peer) = connected(&mut berth);
        let (idle, _idle_peer) = connected(&mut berth);
        let (busy, mut busy_peer) = connected(&mut berth);
        first_peer.write_all(b"first").unwrap();
        let receive = berth.submit(op::ReceiveManaged::new(&first)).unwrap();
        let lent = finish(&mut berth, receive).0.unwrap();
        // The only buffer is out: both wait for it, the one without data first.
        let _idle = berth.submit(op::ReceiveManaged::new(&idle)).unwrap();
        let busy = berth.submit(op::ReceiveManaged::new(&busy)).unwrap();
        busy_peer.write_all(b"busy").unwrap();
        berth.wait(&mut Batch::new(), Some(Duration::ZERO)).unwrap();
        drop(lent);
        assert_eq!(*finish(&mut berth, busy).0.unwrap(), *b"busy");
    });
}

/// The calling thread, as the system lists it.
#[cfg(target_os = "linux")]
fn this_thread() -> std::path::PathBuf {
    std::fs::read_link("/proc/thread-self").unwrap()
}

#[cfg(target_os = "linux")]
fn until_asleep(thread: &std::path::Path) {
    let status = std::path::Path::new("/proc").join(thread).join("status");
    while !std::fs::read_to_string(&status).unwrap().contains("State:\tS") {
        thread::yield_now();
    }
}

#[cfg(not(target_os = "linux"))]
fn this_thread() -> thread::Thread {
    thread::current()
}

/// Elsewhere nobody tells; it is about to.
#[cfg(not(target_os = "linux"))]
fn until_asleep(_: &thread::Thread) {
    thread::yield_now();
}

#[test]
fn each_buffer_that_comes_back_wakes_one_more_of_those_that_wait_for_it() {
    on_each_backend("several wait for one buffer", |builder| {
        let port = builder.lent_buffers(1, 64).open().unwrap();
        let mut berth = port.berth().unwrap();
        let mut pairs: Vec<_> = (0..4).map(|_| connected(&mut berth)).collect();
        for (_, peer) in &mut pairs {
            peer.write_all(b"there").unwrap();
        }
        let mut tickets: Vec<_> =
            pairs.iter().map(|(stream, _)| berth.submit(op::ReceiveManaged::new(stream)).unwrap()).collect();
        // Another thread gives each back when this one sleeps.
        let (send, lents) = mpsc::channel::<op::Lent>();
        let sleeper = this_thread();
        let giver = thread::spawn(move || {
            for lent in lents {
                until_asleep(&sleeper);
                drop(lent);
            }
        });
        let mut batch = Batch::new();
        while !tickets.is_empty() {
            let (began, left) = (Instant::now(), tickets.len());
            berth.wait(&mut batch, Some(LONG)).unwrap();
            assert!(began.elapsed() < LONG, "{left} are left with {}", port.backend());
            tickets.retain_mut(|ticket| match ticket.poll() {
                None => true,
                Some((lent, ())) => {
                    send.send(lent.unwrap()).unwrap();
                    false
                }
            });
        }
        drop(send);
        giver.join().unwrap();
    });
}

/// Makes the other end reset the connection, and waits until that has arrived.
#[cfg(target_os = "linux")]
fn reset(stream: &Stream, peer: TcpStream) {
    socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    // A connection that was reset has no peer any more.
    let began = Instant::now();
    while stream.peer_address().is_ok() && began.elapsed() < LONG {
        thread::yield_now();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_reset_is_not_lost_to_a_cancel() {
    on_each_backend("reset and cancel", |builder| {
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        let (stream, peer) = connected(&mut berth);
        // The buffers are there already.
        let mut early = berth.submit(op::ReceiveManaged::new(&stream)).unwrap();
        early.cancel();
        finish(&mut berth, early).0.unwrap_err();
        reset(&stream, peer);
        let mut receive = berth.submit(op::ReceiveManaged::new(&stream)).unwrap();
        receive.cancel();
        let first = finish(&mut berth, receive).0.unwrap_err();
        if first.raw_os_error() == Some(libc::ECANCELED) {
            // Then the news is still to come, and no end of the stream.
            let second = berth.submit(op::Receive::new(&stream, Vec::with_capacity(8))).unwrap();
            let second = finish(&mut berth, second).0;
            assert_eq!(second.unwrap_err().kind(), io::ErrorKind::ConnectionReset, "with {}", port.backend());
        } else {
            assert_eq!(first.kind(), io::ErrorKind::ConnectionReset, "with {}", port.backend());
        }
    });
}

#[test]
fn a_timer_is_on_time_although_an_earlier_one_was_cancelled() {
    on_each_backend("earliest timer cancelled", |builder| {
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        // Where the machine lets the thread wait for long, the early one is due before it is cancelled: once more then.
        let was_cancelled = (0..50).any(|_| {
            let mut early = berth.submit(op::Timer::after(&port, Duration::from_millis(30))).unwrap();
            let late = berth.submit(op::Timer::after(&port, Duration::from_millis(60))).unwrap();
            berth.wait(&mut Batch::new(), Some(Duration::ZERO)).unwrap();
            early.cancel();
            let early = finish(&mut berth, early).0;
            finish(&mut berth, late).0.unwrap();
            early.is_err()
        });
        assert!(was_cancelled, "with {}", port.backend());
    });
}

/// A buffer that does not want to go.
struct Stubborn(Vec<u8>);

impl Drop for Stubborn {
    fn drop(&mut self) {
        panic!("a buffer that panics when it is dropped (this is part of a test)");
    }
}

// SAFETY: what holds for the vector holds for it.
unsafe impl ostia_port::buf::IoBuf for Stubborn {
    fn stable_ptr(&self) -> *const u8 {
        self.0.as_ptr()
    }

    fn init_len(&self) -> usize {
        self.0.len()
    }
}

// SAFETY: as above.
unsafe impl ostia_port::buf::IoBufMut for Stubborn {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.0.as_mut_ptr()
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }

    unsafe fn set_init(&mut self, _: usize) {}
}

#[test]
fn an_abandoned_buffer_whose_drop_panics_costs_no_other_operation_its_end() {
    on_each_backend("a buffer whose drop panics", |builder| {
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        let pairs: Vec<_> = (0..4).map(|_| connected(&mut berth)).collect();
        let mut tickets = Vec::new();
        for (stream, _) in &pairs {
            let buffer = Stubborn(Vec::with_capacity(8));
            drop(berth.submit(op::Receive::new(stream, buffer)).unwrap());
            // Waits for the turn of the one before it; then it is cancelled, too.
            let mut ticket = berth.submit(op::Receive::new(stream, Vec::with_capacity(8))).unwrap();
            ticket.cancel();
            tickets.push(ticket);
        }
        for ticket in tickets {
            finish(&mut berth, ticket).0.unwrap_err();
        }
        assert_eq!(berth.close(LONG).leaked, 0);
    });
}

#[test]
fn a_place_in_a_file_that_no_file_has_is_refused() {
    on_each_backend("offsets too large", |builder| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"precious").unwrap();
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        let options = op::OpenOptions::new().read(true).write(true);
        let open = berth.submit(op::Open::new(&port, &path, options).unwrap()).unwrap();
        let file = finish(&mut berth, open).0.unwrap();
        // To the systems these mean other places: the current one, or the end.
        for offset in [u64::MAX, u64::MAX - 1, 1 << 63] {
            let kind = |refused: Option<io::Error>| refused.map(|error| error.kind());
            let invalid = Some(io::ErrorKind::InvalidInput);
            let bytes = || vec![0_u8; 4];
            let write = berth.submit(op::WriteAt::new(&file, bytes(), offset));
            assert_eq!(kind(write.err().map(|refused| refused.error)), invalid, "{offset:x}");
            let write = berth.submit(op::WriteVectoredAt::new(&file, vec![bytes()], offset));
            assert_eq!(kind(write.err().map(|refused| refused.error)), invalid, "{offset:x}");
            let read = berth.submit(op::ReadAt::new(&file, bytes(), offset));
            assert_eq!(kind(read.err().map(|refused| refused.error)), invalid, "{offset:x}");
            let read = berth.submit(op::ReadVectoredAt::new(&file, vec![bytes()], offset));
            assert_eq!(kind(read.err().map(|refused| refused.error)), invalid, "{offset:x}");
        }
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    });
}

#[test]
fn a_name_that_no_thread_can_have_is_refused_when_the_port_opens() {
    on_each_backend("a name with a zero byte", |builder| {
        let refused = builder.name("a\0b").open().unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    });
}

#[test]
fn a_berth_that_is_closed_without_patience_still_takes_back_what_ends_at_once() {
    on_each_backend("no patience", |builder| {
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        let (stream, _peer) = connected(&mut berth);
        let mut ticket = berth.submit(op::Receive::new(&stream, Vec::with_capacity(8))).unwrap();
        berth.wait(&mut Batch::new(), Some(Duration::ZERO)).unwrap();
        let report = berth.close(Duration::ZERO);
        assert_eq!((report.cancelled, report.leaked), (1, 0), "with {}", port.backend());
        ticket.poll().expect("it has ended").0.unwrap_err();
    });
}

#[test]
fn work_may_wait_submit_and_change_its_berth_for_another() {
    on_each_backend("work that does everything", |builder| {
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        let (send, done) = mpsc::channel();
        let other = port.clone();
        let work = move |berth: &mut Berth| {
            let ticket = berth.submit(op::Nop).unwrap();
            finish(berth, ticket).0.unwrap();
            let new = other.berth().unwrap();
            drop(std::mem::replace(berth, new));
            send.send(berth.submit(op::Nop).unwrap()).unwrap();
        };
        port.post(ostia_port::Payload::Run(Box::new(work))).unwrap();
        let mut batch = Batch::new();
        assert_eq!(berth.wait(&mut batch, Some(LONG)).unwrap(), 1);
        let mut ticket = done.try_recv().unwrap();
        assert!(matches!(batch.iter().next(), Some(Packet::Done(id)) if *id == ticket.id()));
        ticket.poll().expect("it was told").0.unwrap();
    });
}

#[test]
fn work_that_panics_leaves_the_berth_and_what_others_posted() {
    on_each_backend("work that panics", |builder| {
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        let panics = |_: &mut Berth| panic!("work that panics (this is part of a test)");
        port.post(ostia_port::Payload::Run(Box::new(panics))).unwrap();
        port.post(ostia_port::Payload::Word(7)).unwrap();
        let nop = berth.submit(op::Nop).unwrap();
        let mut batch = Batch::new();
        let waited =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| berth.wait(&mut batch, Some(LONG))));
        waited.unwrap_err();
        berth.wait(&mut batch, Some(LONG)).unwrap();
        assert!(matches!(batch.iter().next(), Some(Packet::Post(ostia_port::Payload::Word(7)))));
        finish(&mut berth, nop).0.unwrap();
    });
}

#[test]
fn tickets_outlive_berth_port_and_thread() {
    on_each_backend("late tickets", |builder| {
        let (nop, mut receive, items) = thread::spawn(move || {
            let port = builder.lent_buffers(2, 64).open().unwrap();
            let mut berth = port.berth().unwrap();
            let (stream, mut peer) = connected(&mut berth);
            let nop = berth.submit(op::Nop).unwrap();
            peer.write_all(b"late").unwrap();
            let mut many = berth.submit(op::ReceiveManagedMany::new(&stream)).unwrap();
            let mut batch = Batch::new();
            let item = loop {
                if let Some(item) = many.next() {
                    break item.unwrap();
                }
                assert_ne!(berth.wait(&mut batch, Some(LONG)).unwrap(), 0);
            };
            peer.write_all(b"later").unwrap();
            assert_ne!(berth.wait(&mut batch, Some(LONG)).unwrap(), 0);
            (nop, many, item)
        })
        .join()
        .unwrap();
        let mut nop = nop;
        nop.poll().expect("it ended").0.unwrap();
        assert_eq!(*items, *b"late");
        assert!(receive.poll().is_none(), "an item comes first");
        assert_eq!(*receive.next().expect("it had come").unwrap(), *b"later");
        receive.poll().expect("it ended with its berth").0.unwrap_err();
        receive.cancel();
    });
}
