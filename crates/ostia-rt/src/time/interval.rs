//! Ticks at a steady pace.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use super::{
    after,
    sleep::{Sleep, sleep_until},
};

/// Ticks every `period`, the first time at once.
///
/// # Panics
///
/// If `period` is zero; and as [`sleep`](crate::time::sleep).
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    interval_at(super::now(), period)
}

/// Ticks at `start`, and every `period` from then on.
///
/// # Panics
///
/// If `period` is zero; and as [`sleep`](crate::time::sleep).
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert!(!period.is_zero(), "an interval has a period");
    Interval { sleep: sleep_until(start), period, missed: MissedTicks::default() }
}

/// What becomes of ticks whose time has passed before they were asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum MissedTicks {
    /// All of them come, one directly after the other, until the pace is kept again: none is lost.
    #[default]
    Burst,
    /// The next one comes a period after the late one: there is always a period between two.
    Delay,
    /// The next one comes when one would have come anyway: what was missed is lost, the pace is kept.
    Skip,
}

impl MissedTicks {
    /// When the tick after that of `deadline` is, which was taken at `now`.
    fn next(self, deadline: Instant, now: Instant, period: Duration) -> Instant {
        let next = after(deadline, period);
        if next >= now {
            // Nothing was missed, whatever is done about it.
            return if self == MissedTicks::Delay { after(now.max(deadline), period) } else { next };
        }
        match self {
            MissedTicks::Burst => next,
            MissedTicks::Delay => after(now, period),
            MissedTicks::Skip => {
                let into = (now - deadline).as_nanos() % period.as_nanos();
                if into == 0 { now } else { after(now, period - nanos(into)) }
            }
        }
    }
}

/// What [`interval`] gives: ticks at a steady pace.
///
/// ```
/// use std::time::Duration;
/// use ostia_rt::time::{MissedTicks, interval};
///
/// # let runtime = ostia_rt::Runtime::builder().workers_per_node(1).build()?;
/// runtime.block_on(async {
///     let mut ticks = interval(Duration::from_millis(2)).missed_ticks(MissedTicks::Skip);
///     let first = ticks.tick().await;
///     assert_eq!(ticks.tick().await, first + Duration::from_millis(2));
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Interval {
    /// Until the next tick.
    sleep: Sleep,
    period: Duration,
    missed: MissedTicks,
}

impl Interval {
    /// What becomes of missed ticks: [`MissedTicks::Burst`] unless told otherwise.
    #[must_use]
    pub fn missed_ticks(mut self, missed: MissedTicks) -> Interval {
        self.missed = missed;
        self
    }

    /// How far its ticks are from each other.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// The next tick: the time it was meant for, which is never later than now.
    ///
    /// # Cancel safety
    ///
    /// A tick that was not given is not lost.
    ///
    /// # Panics
    ///
    /// As a poll of [`Sleep`].
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// As [`tick`](Self::tick), for those who poll.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        ready!(Pin::new(&mut self.sleep).poll(cx));
        let deadline = self.sleep.deadline();
        self.sleep.reset(self.missed.next(deadline, self.sleep.clock(), self.period));
        Poll::Ready(deadline)
    }

    /// The next tick comes a period from now.
    pub fn reset(&mut self) {
        self.sleep.reset(after(self.sleep.clock(), self.period));
    }
}

/// Nanoseconds that are fewer than some duration has.
fn nanos(nanos: u128) -> Duration {
    const SECOND: u128 = 1_000_000_000;
    Duration::new((nanos / SECOND) as u64, (nanos % SECOND) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When the next tick is, in milliseconds, after one of 100 that was taken at `now`; the period is 10.
    #[track_caller]
    fn check(missed: MissedTicks, now: u64, expected: u64) {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let next = missed.next(at(100), at(now), Duration::from_millis(10));
        assert_eq!(next, at(expected), "{missed:?}, taken at {now}");
    }

    #[test]
    fn a_burst_gives_all_ticks_at_their_own_times() {
        check(MissedTicks::Burst, 100, 110);
        check(MissedTicks::Burst, 109, 110);
        check(MissedTicks::Burst, 110, 110);
        check(MissedTicks::Burst, 157, 110);
    }

    #[test]
    fn a_delay_moves_all_later_ticks() {
        check(MissedTicks::Delay, 100, 110);
        check(MissedTicks::Delay, 103, 113);
        check(MissedTicks::Delay, 157, 167);
    }

    #[test]
    fn a_skip_keeps_the_pace() {
        check(MissedTicks::Skip, 100, 110);
        check(MissedTicks::Skip, 109, 110);
        check(MissedTicks::Skip, 110, 110);
        check(MissedTicks::Skip, 111, 120);
        check(MissedTicks::Skip, 157, 160);
        check(MissedTicks::Skip, 160, 160);
    }

    #[test]
    fn periods_of_centuries_do_not_overflow() {
        let now = Instant::now();
        for missed in [MissedTicks::Burst, MissedTicks::Delay, MissedTicks::Skip] {
            assert!(missed.next(now, now, Duration::MAX) > now);
        }
    }
}
