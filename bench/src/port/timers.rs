//! How late timers are while nothing else happens: 200 of 1 to 20 ms at once.
#![expect(unsafe_code, reason = "the kernel is handed addresses of time spans that live on here")]

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    io,
    os::fd::AsRawFd as _,
    ptr,
    time::{Duration, Instant},
};

use io_uring::{
    opcode,
    types::{TimeoutFlags, Timespec},
};
use rustix::{
    event::epoll::{self, CreateFlags},
    time::{ClockId, clock_gettime},
};
use serde_json::{Value, json};

use crate::{
    gate::{Gates, Limit},
    harness::{
        child,
        contest::Contest,
        counting,
        program::{Program, Sample, Settings, named, names},
    },
    measure::process_cpu,
    port::{compio, ours, polling, raw_uring},
};

/// Timers at once.
const TIMERS: u32 = 200;

/// The shortest and the longest.
const SPANS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));

/// How often all of them run in one process; the first time only warms up.
const TIMES: usize = 6;

/// How much too late a timer was; too early is a fault and told as such.
#[derive(Clone, Copy, PartialEq, PartialOrd, Debug)]
pub(crate) struct Lateness(f64);

impl Lateness {
    /// Of a timer that was due then and has run just now.
    pub(crate) fn since(due: Instant) -> Lateness {
        Lateness::at(Instant::now(), due)
    }

    fn at(now: Instant, due: Instant) -> Lateness {
        let early = due.saturating_duration_since(now).as_secs_f64();
        Lateness(now.saturating_duration_since(due).as_secs_f64() - early)
    }
}

pub(crate) type Run = fn(spans: &[Duration]) -> Result<Found, String>;

const RAW: &[Program<Run>] = &[("raw-uring", uring), ("raw-epoll", raw_epoll)];

const PEERS: &[Program<Run>] = &[("polling", polling::timers), ("compio", compio::timers)];

fn programs() -> Vec<Program<Run>> {
    [RAW, PEERS, ours::TIMERS].concat()
}

/// What a program's timers came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    p50: Lateness,
    p99: Lateness,
    sample: Sample,
}

/// The program's side.
pub(crate) fn serve(name: &str, _: Settings) -> Result<Value, String> {
    let found = named(&programs(), name)?(&spans())?;
    Ok(json!({ "p50": found.p50.0, "p99": found.p99.0, "sample": found.sample.json() }))
}

/// Has all timers run several times. `run` starts them and waits for them, and notes how late each was.
pub(crate) fn repeat(
    spans: &[Duration],
    mut run: impl FnMut(&mut Vec<Lateness>) -> Result<(), String>,
) -> Result<Found, String> {
    let mut late = Vec::with_capacity(spans.len() * TIMES);
    run(&mut late)?;
    late.clear();
    let begun = Instant::now();
    let (allocations, cpu) = (counting::allocations(), process_cpu());
    for _ in 1..TIMES {
        run(&mut late)?;
    }
    let cpu = process_cpu() - cpu;
    let (allocations, wall) = (counting::allocations() - allocations, begun.elapsed());
    if late.len() != spans.len() * (TIMES - 1) {
        return Err(format!("{} of {} timers ran", late.len(), spans.len() * (TIMES - 1)));
    }
    late.sort_by(|one, other| one.0.total_cmp(&other.0));
    if late[0] < Lateness(0.0) {
        return Err(format!("a timer ran {:.6} s too early", -late[0].0));
    }
    let quantile = |at: f64| late[((late.len() - 1) as f64 * at).round() as usize];
    let sample = Sample { operations: late.len() as u64, cpu, wall, allocations };
    Ok(Found { p50: quantile(0.5), p99: quantile(0.99), sample })
}

/// One run of a program in a process of its own.
pub(crate) fn sample(settings: Settings, name: &str) -> Result<Sample, String> {
    let said = child::run(settings, &["port", "timers", name])?;
    Sample::parse(&said["sample"]).ok_or_else(|| format!("it said {said}"))
}

/// All programs in turns.
pub(crate) fn compare(rounds: usize, settings: Settings, gates: &mut Gates) -> Result<Value, String> {
    let cases = [format!("{TIMERS} of 1 to 20 ms at once, nothing else to do")];
    let columns = &["late, us, p50 of a run", "late, us, p99", "CPU ns a timer"];
    let contest = Contest::hold(rounds, columns, &cases, names(&programs()), |_, name| {
        let said = child::run(settings, &["port", "timers", name])?;
        let late = |quantile: &str| said[quantile].as_f64().map(|seconds| seconds * 1e6);
        let sample = Sample::parse(&said["sample"]).map(|sample| sample.nanoseconds());
        let figures: Option<Vec<f64>> = [late("p50"), late("p99"), sample].into_iter().collect();
        figures.ok_or_else(|| format!("it said {said}"))
    });
    gates.failed(contest.failures());
    contest.print("Timers", &names(RAW));
    for name in names(ours::TIMERS) {
        for (column, quantile, limit) in [(0, "p50", 100.0), (1, "p99", 1000.0)] {
            if let Some(late) = contest.rounds(0, name, column) {
                gates.all(format!("timers late, us, {quantile}, {name}"), late, Limit::AtMost(limit), None);
            }
        }
    }
    Ok(contest.json(&names(RAW)))
}

/// Evenly from the shortest to the longest, in an order that is neither that nor its reverse.
fn spans() -> Vec<Duration> {
    let (least, most) = SPANS;
    // 67 and 200 have no divisor in common, so each place is visited once.
    let place = |index: u32| index * 67 % TIMERS;
    (0..TIMERS).map(|index| least + (most - least) * place(index) / (TIMERS - 1)).collect()
}

/// Timers in a heap, for programs that can wait until a moment and no more.
#[derive(Debug)]
pub(crate) struct Due(BinaryHeap<Reverse<Instant>>);

impl Due {
    /// All of them start now.
    pub(crate) fn new(spans: &[Duration]) -> Due {
        Due(spans.iter().map(|span| Reverse(Instant::now() + *span)).collect())
    }

    /// When the first is due.
    pub(crate) fn first(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse(due)| *due)
    }

    /// Takes out what is due by now, and notes how late that is.
    pub(crate) fn take(&mut self, late: &mut Vec<Lateness>) {
        let now = Instant::now();
        while let Some(due) = self.first().filter(|due| *due <= now) {
            self.0.pop();
            late.push(Lateness::at(now, due));
        }
    }
}

/// One timeout of the ring for each, by the clock: a span would begin when the kernel comes to it.
fn uring(spans: &[Duration]) -> Result<Found, String> {
    let mut times: Vec<Timespec> = Vec::with_capacity(spans.len());
    let mut ring = raw_uring::ring(TIMERS)?;
    repeat(spans, |late| {
        // Two names of one clock, read one after the other; what lies between them counts as lateness.
        let (begun, clock) = (Instant::now(), clock_gettime(ClockId::Monotonic));
        let clock = Duration::try_from(clock).map_err(|error| error.to_string())?;
        times.clear();
        times.extend(spans.iter().map(|span| Timespec::from(clock + *span)));
        for (index, time) in times.iter().enumerate() {
            let timer = opcode::Timeout::new(time).flags(TimeoutFlags::ABS).build().user_data(index as u64);
            // SAFETY: the kernel reads the time when the entry is submitted, and until then nobody changes it.
            unsafe { ring.submission().push(&timer) }.map_err(|error| error.to_string())?;
        }
        let all = late.len() + spans.len();
        while late.len() < all {
            ring.submit_and_wait(1).map_err(|error| format!("enter: {error}"))?;
            for entry in ring.completion() {
                match -entry.result() {
                    libc::ETIME => late.push(Lateness::since(begun + spans[entry.user_data() as usize])),
                    other => return Err(format!("a timeout ended with {other}")),
                }
            }
        }
        Ok(())
    })
}

/// A heap, and a wait for the first of it, by the call that takes nanoseconds.
fn raw_epoll(spans: &[Duration]) -> Result<Found, String> {
    let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(|error| format!("epoll: {error}"))?;
    repeat(spans, |late| {
        let mut due = Due::new(spans);
        while let Some(first) = due.first() {
            let left = first.saturating_duration_since(Instant::now());
            let left =
                libc::timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
            let mut event = libc::epoll_event { events: 0, u64: 0 };
            // SAFETY: there is room for the one event that may be written, and the time is alive during the call.
            let events = unsafe { libc::epoll_pwait2(epoll.as_raw_fd(), &mut event, 1, &left, ptr::null()) };
            if events < 0 {
                return Err(format!("epoll: {}", io::Error::last_os_error()));
            }
            due.take(late);
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_span_is_there_once() {
        let mut spans = spans();
        spans.sort();
        spans.dedup();
        assert_eq!(spans.len(), TIMERS as usize);
        assert_eq!((spans[0], spans[spans.len() - 1]), SPANS);
    }

    #[test]
    fn a_timer_that_runs_too_early_has_a_negative_lateness() {
        let due = Instant::now();
        let second = Duration::from_secs(1);
        assert_eq!(Lateness::at(due + second, due), Lateness(1.0));
        assert_eq!(Lateness::at(due, due + second), Lateness(-1.0));
    }
}
