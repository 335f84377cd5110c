//! Round trips between tasks of two runtimes on two threads: each is woken by the other and wakes it in turn.
//!
//! What is counted is the CPU time of both. Where the threads are makes all the difference: between two CPUs of a
//! virtual machine each wake is an interrupt through the host. Left alone, the kernel mostly has both on one.
//!
//! Tasks wake each other by a flag and a waker and nothing else. A channel that belongs to no runtime is measured too,
//! and takes longer by itself: it wakes the other side while it holds a lock that the other side wants at once.

use std::{
    future::poll_fn,
    process,
    sync::{
        Arc,
        atomic::{
            AtomicU8,
            Ordering::{AcqRel, Release},
        },
    },
    task::Poll,
    thread,
};

use async_channel::{Receiver, Sender, bounded};
use atomic_waker::AtomicWaker;
use serde_json::Value;

use crate::{
    gate::{Gates, Limit},
    harness::{
        child,
        contest::Contest,
        processor,
        program::{Program, Sample, Settings, named, names, steady},
    },
    rt::{brief, compio, glommio, monoio::Monoio, ours, runtime::Runtime, smol::Smol, tokio::Tokio},
};

/// Round trips between two looks at the clock.
const STEP: u64 = 1024;

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

/// What one thread tells the other by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    Waker,
    Channel,
}

/// What they may be named by.
const CELLS: [(&str, Way, Place); 4] = [
    ("waker-one-CPU", Way::Waker, Place::One),
    ("waker-not-pinned", Way::Waker, Place::Free),
    ("waker-two-CPUs", Way::Waker, Place::Two),
    ("channel-not-pinned", Way::Channel, Place::Free),
];

/// The cell with a gate: threads that are not pinned are on one CPU one time and on two another, and on two the host is
/// measured.
const JUDGED: &str = "waker-one-CPU";

type Run = fn(way: Way, place: Place, settings: Settings) -> Result<Sample, String>;

const PEERS: &[Program<Run>] = &[
    ("tokio", trips::<Tokio>),
    ("compio", trips::<compio::Plain>),
    ("compio-tuned", trips::<compio::Tuned>),
    ("monoio", trips::<Monoio>),
    ("smol", trips::<Smol>),
    ("glommio", trips::<glommio::Glommio>),
];

const OURS: &[Program<Run>] = &[("ours-uring", trips::<ours::Uring>), ("ours-epoll", trips::<ours::Epoll>)];

fn programs() -> Vec<Program<Run>> {
    [OURS, PEERS].concat()
}

/// What they may be named by.
pub(crate) fn cells() -> Vec<String> {
    CELLS.map(|(name, ..)| name.to_owned()).to_vec()
}

/// The program's side.
pub(crate) fn serve(name: &str, cell: &str, settings: Settings) -> Result<Sample, String> {
    let (_, way, place) = *CELLS.iter().find(|(known, ..)| *known == cell).ok_or("there is no such cell")?;
    named(&programs(), name)?(way, place, settings)
}

/// All programs in turns.
pub(crate) fn compare(
    wanted: &[usize],
    rounds: usize,
    settings: Settings,
    gates: &mut Gates,
) -> Result<Value, String> {
    let cases: Vec<String> = wanted.iter().map(|cell| CELLS[*cell].0.to_owned()).collect();
    let columns = &["CPU ns a round trip", "trips/s"];
    let contest = Contest::hold(rounds, columns, &cases, names(&programs()), |case, name| {
        let sample = child::sample(brief(settings), &["rt", "wake", name, &cases[case]])?;
        Ok(vec![sample.nanoseconds(), sample.speed()])
    });
    gates.failed(contest.failures());
    contest.print("Round trips between two runtimes", &names(PEERS));
    for name in names(OURS) {
        for case in 0..cases.len() {
            if let (JUDGED, Some(trip)) = (contest.case(case), contest.rounds(case, name, 0)) {
                let what = format!("cross-thread round trip, {}, CPU ns, {name}", contest.case(case));
                gates.all(what, trip, Limit::AtMost(12_000.0), Some(8_000.0));
            }
        }
    }
    Ok(contest.json(&names(PEERS)))
}

/// How one thread tells the other that it is its turn.
trait Turn: Clone + Send + 'static {
    fn new() -> Self;

    /// Gives the turn to whoever waits for it.
    fn give(&self) -> impl Future<Output = ()> + Send;

    /// Waits for it; false when nobody will give it any more.
    fn take(&self) -> impl Future<Output = bool> + Send;

    /// Nobody will give it any more.
    fn end(&self);
}

/// A flag, and the waker of whoever waits for it.
#[derive(Clone, Debug, Default)]
struct Flag(Arc<Flagged>);

#[derive(Debug, Default)]
struct Flagged {
    /// Nothing, given, or at its end.
    word: AtomicU8,
    waker: AtomicWaker,
}

const GIVEN: u8 = 1;
const ENDED: u8 = 2;

impl Turn for Flag {
    fn new() -> Flag {
        Flag::default()
    }

    async fn give(&self) {
        self.0.word.store(GIVEN, Release);
        self.0.waker.wake();
    }

    async fn take(&self) -> bool {
        poll_fn(|context| {
            self.0.waker.register(context.waker());
            match self.0.word.swap(0, AcqRel) {
                0 => Poll::Pending,
                word => Poll::Ready(word == GIVEN),
            }
        })
        .await
    }

    fn end(&self) {
        self.0.word.store(ENDED, Release);
        self.0.waker.wake();
    }
}

/// A channel with room for one.
#[derive(Clone, Debug)]
struct Channel(Sender<()>, Receiver<()>);

impl Turn for Channel {
    fn new() -> Channel {
        let (sender, receiver) = bounded(1);
        Channel(sender, receiver)
    }

    async fn give(&self) {
        self.0.send(()).await.expect("the other thread waits for it");
    }

    async fn take(&self) -> bool {
        self.1.recv().await.is_ok()
    }

    fn end(&self) {
        self.0.close();
    }
}

fn trips<R: Runtime>(way: Way, place: Place, settings: Settings) -> Result<Sample, String> {
    match way {
        Way::Waker => trips_by::<R, Flag>(place, settings),
        Way::Channel => trips_by::<R, Channel>(place, settings),
    }
}

fn trips_by<R: Runtime, T: Turn>(place: Place, settings: Settings) -> Result<Sample, String> {
    if place != Place::Free {
        processor::pin(0)?;
    }
    let (there, back) = (T::new(), T::new());
    let (theirs, ours) = (there.clone(), back.clone());
    let other = thread::spawn(move || {
        // What the first thread is pinned to, this one is pinned to as well.
        let pinned = if place == Place::Two { processor::pin(1) } else { Ok(()) };
        if let Err(why) = pinned.and_then(|()| answer::<R, T>(theirs, ours)) {
            // The first thread waits for this one and would do so for ever.
            eprintln!("{why}");
            process::exit(1);
        }
    });
    let mut runtime = R::open()?;
    let sample = steady(settings, || {
        let (there, back) = (there.clone(), back.clone());
        runtime.block_on(async {
            R::spawn(async move {
                for _ in 0..STEP {
                    there.give().await;
                    back.take().await;
                }
            })
            .await;
        });
        Ok(STEP)
    })?;
    there.end();
    other.join().map_err(|_| "the other thread panicked".to_owned())?;
    Ok(sample)
}

/// The second thread: it answers until nobody asks any more.
fn answer<R: Runtime, T: Turn>(asked: T, answered: T) -> Result<(), String> {
    R::open()?.block_on(async {
        R::spawn(async move {
            while asked.take().await {
                answered.give().await;
            }
        })
        .await;
    });
    Ok(())
}
