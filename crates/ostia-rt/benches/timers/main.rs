//! A heap against a wheel, for the timers of a worker: `cargo bench -p ostia-rt --bench timers`.
//!
//! Prints nanoseconds for each timer, as the median and the range of nine interleaved rounds. The note with the
//! choice is `docs/decisions/timers.md`.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it found")]

#[expect(dead_code, reason = "the benchmark does not use all of it")]
#[path = "../../src/time/timers.rs"]
mod timers;
mod wheel;

use std::{
    collections::VecDeque,
    hint::black_box,
    task::Waker,
    time::{Duration, Instant},
};

use crate::{timers::Timers, wheel::Wheel};

const ROUNDS: usize = 9;
/// Timers a measurement makes.
const MANY: usize = 1_000_000;
/// Timers that live while others come and go, in the second half of the table.
const LIVE: usize = 100_000;

/// What the two have in common.
trait Candidate {
    type Key: Copy;
    fn new(origin: Instant) -> Self;
    fn insert(&mut self, deadline: Instant) -> Self::Key;
    fn remove(&mut self, key: Self::Key) -> bool;
    fn next_deadline(&self) -> Option<Instant>;
    fn take_due(&mut self, now: Instant, into: &mut Vec<Waker>);
    fn len(&self) -> usize;
}

impl Candidate for Timers {
    type Key = timers::Key;

    fn new(origin: Instant) -> Timers {
        Timers::new(origin)
    }

    fn insert(&mut self, deadline: Instant) -> timers::Key {
        Timers::insert(self, deadline, Waker::noop().clone()).expect("timers are taken")
    }

    fn remove(&mut self, key: timers::Key) -> bool {
        Timers::remove(self, key).is_some()
    }

    fn next_deadline(&self) -> Option<Instant> {
        Timers::next_deadline(self)
    }

    fn take_due(&mut self, now: Instant, into: &mut Vec<Waker>) {
        while Timers::take_due(self, now, into) == timers::DUE_MAX {}
    }

    fn len(&self) -> usize {
        Timers::len(self)
    }
}

impl Candidate for Wheel {
    type Key = wheel::Key;

    fn new(origin: Instant) -> Wheel {
        Wheel::new(origin)
    }

    fn insert(&mut self, deadline: Instant) -> wheel::Key {
        Wheel::insert(self, deadline, Waker::noop().clone())
    }

    fn remove(&mut self, key: wheel::Key) -> bool {
        Wheel::remove(self, key).is_some()
    }

    fn next_deadline(&self) -> Option<Instant> {
        Wheel::next_deadline(self)
    }

    fn take_due(&mut self, now: Instant, into: &mut Vec<Waker>) {
        Wheel::take_due(self, now, into);
    }

    fn len(&self) -> usize {
        Wheel::len(self)
    }
}

/// The same numbers each time: an xorshift.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// A request: a timeout is set and removed at once, while `live` others wait.
fn request<C: Candidate>(live: usize) -> f64 {
    let origin = Instant::now();
    let mut timers = C::new(origin);
    let mut dice = Dice(17);
    for _ in 0..live {
        timers.insert(origin + Duration::from_micros(dice.below(60_000_000)));
    }
    measure(MANY, || {
        for i in 0..MANY as u64 {
            let key = timers.insert(origin + Duration::from_secs(30) + Duration::from_micros(i));
            black_box(timers.next_deadline());
            assert!(timers.remove(key));
        }
    })
}

/// Connections with one timeout of 30 s each, set anew in turn: the oldest is removed, a later one is inserted.
fn renew<C: Candidate>(live: usize) -> f64 {
    let origin = Instant::now();
    let mut timers = C::new(origin);
    let mut keys: VecDeque<_> =
        (0..live as u64).map(|i| timers.insert(origin + Duration::from_micros(i))).collect();
    measure(MANY, || {
        for i in 0..MANY as u64 {
            let oldest = keys.pop_front().expect("there are some");
            assert!(timers.remove(oldest));
            keys.push_back(timers.insert(origin + Duration::from_micros(live as u64 + i)));
            black_box(timers.next_deadline());
        }
    })
}

/// As above, but in random order and with timeouts of up to a minute.
fn shuffle<C: Candidate>(live: usize) -> f64 {
    let origin = Instant::now();
    let mut timers = C::new(origin);
    let mut dice = Dice(23);
    let mut keys: Vec<_> =
        (0..live).map(|_| timers.insert(origin + Duration::from_micros(dice.below(60_000_000)))).collect();
    measure(MANY, || {
        for _ in 0..MANY {
            let chosen = dice.below(live as u64) as usize;
            assert!(timers.remove(keys[chosen]));
            keys[chosen] = timers.insert(origin + Duration::from_micros(dice.below(60_000_000)));
            black_box(timers.next_deadline());
        }
    })
}

/// All of `live` random timers expire, looked for each millisecond of a minute.
fn expire<C: Candidate>(live: usize) -> f64 {
    let origin = Instant::now();
    let mut timers = C::new(origin);
    let mut dice = Dice(29);
    let mut due = Vec::with_capacity(live);
    for _ in 0..live {
        timers.insert(origin + Duration::from_micros(dice.below(60_000_000)));
    }
    measure(live, || {
        for ms in 0..=60_001 {
            timers.take_due(origin + Duration::from_millis(ms), &mut due);
            black_box(timers.next_deadline());
            assert!(due.len() <= live);
        }
        assert_eq!((due.len(), timers.len()), (live, 0));
    })
}

/// How often a worker would be woken by one timer of a minute: a wheel looks at a far timer more than once.
fn wakes<C: Candidate>() -> usize {
    let origin = Instant::now();
    let mut timers = C::new(origin);
    let mut due = Vec::new();
    timers.insert(origin + Duration::from_secs(3));
    timers.take_due(origin + Duration::from_secs(3) - Duration::from_nanos(1), &mut due);
    timers.insert(origin + Duration::from_secs(63) + Duration::from_nanos(4711));
    timers.take_due(origin + Duration::from_secs(4), &mut due);
    let mut wakes = 0;
    while let Some(next) = timers.next_deadline() {
        timers.take_due(next, &mut due);
        wakes += 1;
    }
    assert_eq!(due.len(), 2);
    wakes
}

fn measure(count: usize, work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_nanos() as f64 / count as f64
}

fn main() {
    type Work = fn(usize) -> f64;
    let rows: [(&str, Work, Work, usize); 7] = [
        ("insert and remove", request::<Timers>, request::<Wheel>, 0),
        ("insert and remove", request::<Timers>, request::<Wheel>, LIVE),
        ("renew the oldest", renew::<Timers>, renew::<Wheel>, 1_000),
        ("renew the oldest", renew::<Timers>, renew::<Wheel>, LIVE),
        ("renew any", shuffle::<Timers>, shuffle::<Wheel>, 1_000),
        ("renew any", shuffle::<Timers>, shuffle::<Wheel>, LIVE),
        ("expire all", expire::<Timers>, expire::<Wheel>, LIVE),
    ];
    println!("| work | live | heap ns (range) | wheel ns (range) |");
    println!("|---|---:|---:|---:|");
    for (name, heap, wheel, live) in rows {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            times[0].push(heap(live));
            times[1].push(wheel(live));
        }
        let [heap, wheel] = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            format!("{:.1} ({:.1} to {:.1})", times[ROUNDS / 2], times[0], times[ROUNDS - 1])
        });
        println!("| {name} | {live} | {heap} | {wheel} |");
    }
    println!("| wakes of a worker for one far timer | 1 | {} | {} |", wakes::<Timers>(), wakes::<Wheel>());
}
