//! Round trips between two threads that wait: each is woken by the other and wakes it in turn.
//!
//! What is counted is the CPU time of both. Where the threads are makes all the difference: between two CPUs of a
//! virtual machine each wake is an interrupt through the host. Left alone, the kernel mostly has both on one.
#![expect(unsafe_code, reason = "a submission queue entry is pushed with a promise that its memory lives")]

use std::{
    os::fd::{AsRawFd as _, OwnedFd, RawFd},
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use io_uring::{IoUring, opcode, squeue::Flags, types::Fd};
use rustix::{
    event::{EventfdFlags, eventfd},
    io::{read, write},
    thread::futex,
};
use serde_json::Value;

use crate::{
    gate::{Gates, Limit},
    harness::{
        child,
        contest::Contest,
        processor,
        program::{Program, Sample, Settings, named, names, steady},
    },
    port::{compio, ours, raw_uring},
};

/// Round trips between two looks at the clock.
const STEP: u64 = 64;

pub(crate) type Run = fn(place: Place, settings: Settings) -> Result<Sample, String>;

/// Where the two threads are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// Where the kernel puts them.
    Free,
    /// Both on one CPU.
    One,
    /// On two CPUs.
    Two,
}

const PLACES: [(Place, &str); 3] =
    [(Place::Free, "not pinned"), (Place::One, "on one CPU"), (Place::Two, "on two CPUs")];

const RAW: &[Program<Run>] = &[
    ("raw-futex", trips::<Futex>),
    ("raw-eventfd", trips::<Eventfd>),
    ("raw-msg-ring", trips::<MessageRing>),
];

const PEERS: &[Program<Run>] = &[("compio-driver", trips::<compio::Waiting>)];

fn programs() -> Vec<Program<Run>> {
    [RAW, PEERS, ours::WAKE].concat()
}

/// The program's side.
pub(crate) fn serve(name: &str, place: &str, settings: Settings) -> Result<Sample, String> {
    let run = named(&programs(), name)?;
    let place = PLACES.iter().find(|(_, known)| *known == place).ok_or("there is no such place")?.0;
    run(place, settings)
}

/// All programs in turns.
pub(crate) fn compare(rounds: usize, settings: Settings, gates: &mut Gates) -> Result<Value, String> {
    let cases = PLACES.map(|(_, name)| name.to_owned());
    let columns = &["CPU ns a round trip", "trips/s"];
    let contest = Contest::hold(rounds, columns, &cases, names(&programs()), |case, name| {
        let sample = sample(settings, name, PLACES[case].1)?;
        Ok(vec![sample.nanoseconds(), sample.speed()])
    });
    gates.failed(contest.failures());
    contest.print("Round trips of two threads that wait", &names(RAW));
    for name in names(ours::WAKE) {
        // Threads that are not pinned end up like this most of the time, and their figures are a toss-up between
        // the other two.
        if let Some(trip) = contest.rounds(1, name, 0) {
            let what = format!("cross-thread round trip, {}, CPU ns, {name}", contest.case(1));
            gates.all(what, trip, Limit::AtMost(10_000.0), Some(8_000.0));
        }
    }
    Ok(contest.json(&names(RAW)))
}

/// One run of a program in a process of its own.
pub(crate) fn sample(settings: Settings, name: &str, place: &str) -> Result<Sample, String> {
    child::sample(settings, &["port", "wake", name, place])
}

/// What a thread waits at, and how the other wakes it.
pub(crate) trait End: Sized {
    /// What the other needs to wake this one.
    type Address: Send + 'static;

    /// Opened by the thread that waits.
    fn open() -> Result<Self, String>;

    fn address(&self) -> Self::Address;

    fn meet(&mut self, other: Self::Address);

    /// Wakes the other, now or at the beginning of the next wait.
    fn post(&mut self) -> Result<(), String>;

    /// Waits until the other has posted once more.
    fn wait(&mut self) -> Result<(), String>;

    /// Sends what the last post left for a wait that does not come.
    fn flush(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// The trips of two ends of a kind.
pub(crate) fn trips<E: End>(place: Place, settings: Settings) -> Result<Sample, String> {
    if place != Place::Free {
        processor::pin(0)?;
    }
    let (to_second, from_first) = channel();
    let (to_first, from_second) = channel();
    let over = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&over);
    let second = thread::spawn(move || {
        // What the first thread is pinned to, this one is pinned to as well.
        let pinned = if place == Place::Two { processor::pin(1) } else { Ok(()) };
        if let Err(why) = pinned.and_then(|()| answer::<E>(&to_first, &from_first, &seen)) {
            // The first thread waits for this one and would do so for ever.
            eprintln!("{why}");
            process::exit(1);
        }
    });
    let mut first = E::open()?;
    to_second.send(first.address()).map_err(|error| error.to_string())?;
    first.meet(from_second.recv().map_err(|error| error.to_string())?);
    let sample = steady(settings, || {
        for _ in 0..STEP {
            first.post()?;
            first.wait()?;
        }
        Ok(STEP)
    })?;
    over.store(true, Ordering::Release);
    first.post()?;
    first.wait()?;
    second.join().map_err(|_| "the other thread panicked".to_owned())?;
    Ok(sample)
}

/// The second thread: it answers until it is told that all is over, and that too it answers.
fn answer<E: End>(
    to_first: &Sender<E::Address>,
    from_first: &Receiver<E::Address>,
    over: &AtomicBool,
) -> Result<(), String> {
    let mut second = E::open()?;
    to_first.send(second.address()).map_err(|error| error.to_string())?;
    second.meet(from_first.recv().map_err(|error| error.to_string())?);
    loop {
        second.wait()?;
        let last = over.load(Ordering::Acquire);
        second.post()?;
        if last {
            return second.flush();
        }
    }
}

/// A word in memory for each thread.
struct Futex {
    own: Arc<AtomicU32>,
    other: Arc<AtomicU32>,
}

impl End for Futex {
    type Address = Arc<AtomicU32>;

    fn open() -> Result<Futex, String> {
        Ok(Futex { own: Arc::default(), other: Arc::default() })
    }

    fn address(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.own)
    }

    fn meet(&mut self, other: Arc<AtomicU32>) {
        self.other = other;
    }

    fn post(&mut self) -> Result<(), String> {
        self.other.store(1, Ordering::Release);
        futex::wake(&self.other, futex::Flags::PRIVATE, 1).map_err(|error| format!("futex: {error}"))?;
        Ok(())
    }

    fn wait(&mut self) -> Result<(), String> {
        while self.own.swap(0, Ordering::Acquire) == 0 {
            match futex::wait(&self.own, futex::Flags::PRIVATE, 0, None) {
                Err(rustix::io::Errno::AGAIN) => {}
                waited => waited.map_err(|error| format!("futex: {error}"))?,
            }
        }
        Ok(())
    }
}

/// A counter in the kernel for each thread, read by a call that blocks.
struct Eventfd {
    own: Arc<OwnedFd>,
    other: Arc<OwnedFd>,
}

impl End for Eventfd {
    type Address = Arc<OwnedFd>;

    fn open() -> Result<Eventfd, String> {
        let own = eventfd(0, EventfdFlags::CLOEXEC).map_err(|error| format!("eventfd: {error}"))?;
        let own = Arc::new(own);
        Ok(Eventfd { other: Arc::clone(&own), own })
    }

    fn address(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.own)
    }

    fn meet(&mut self, other: Arc<OwnedFd>) {
        self.other = other;
    }

    fn post(&mut self) -> Result<(), String> {
        write(&self.other, &1_u64.to_ne_bytes()).map_err(|error| format!("eventfd: {error}"))?;
        Ok(())
    }

    fn wait(&mut self) -> Result<(), String> {
        read(&self.own, &mut [0; 8]).map_err(|error| format!("eventfd: {error}"))?;
        Ok(())
    }
}

/// A ring for each thread, and messages from one to the other: a post is sent by the call that waits.
struct MessageRing {
    ring: IoUring,
    other: RawFd,
    /// Posts that have come and were not waited for yet.
    rung: u32,
}

/// What a message carries, to tell it from anything else.
const MESSAGE: u64 = 7;

impl End for MessageRing {
    type Address = RawFd;

    fn open() -> Result<MessageRing, String> {
        let ring = raw_uring::ring(8)?;
        Ok(MessageRing { other: ring.as_raw_fd(), ring, rung: 0 })
    }

    fn address(&self) -> RawFd {
        self.ring.as_raw_fd()
    }

    fn meet(&mut self, other: RawFd) {
        self.other = other;
    }

    fn post(&mut self) -> Result<(), String> {
        // Only a message that failed says so to its sender.
        let message = opcode::MsgRingData::new(Fd(self.other), 0, MESSAGE, None).build();
        let message = message.flags(Flags::SKIP_SUCCESS);
        // SAFETY: a message refers to no memory of ours; a wrong descriptor in it is an error that the kernel tells.
        unsafe { self.ring.submission().push(&message) }.map_err(|_| "the queue is full".to_owned())
    }

    fn wait(&mut self) -> Result<(), String> {
        while self.rung == 0 {
            self.ring.submit_and_wait(1).map_err(|error| format!("enter: {error}"))?;
            for entry in self.ring.completion() {
                match (entry.user_data(), entry.result()) {
                    (MESSAGE, 0) => self.rung += 1,
                    other => return Err(format!("a message became {other:?}")),
                }
            }
        }
        self.rung -= 1;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), String> {
        self.ring.submit().map_err(|error| format!("enter: {error}"))?;
        Ok(())
    }
}
