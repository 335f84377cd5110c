//! Durations as the systems take them. Rounding lives here and nowhere else, and it always goes up: half a
//! millisecond that became zero would turn a wait into a spin.

use std::time::{Duration, Instant};

/// Whole milliseconds, rounded up; what does not fit is the longest wait that is not "for ever".
pub(crate) fn millis(timeout: Option<Duration>) -> u32 {
    match timeout {
        None => u32::MAX,
        Some(timeout) => {
            let millis = timeout.as_nanos().div_ceil(1_000_000);
            u32::try_from(millis).unwrap_or(u32::MAX).min(u32::MAX - 1)
        }
    }
}

/// The earlier of a timeout and a deadline, as a timeout from `now`.
pub(crate) fn until(now: Instant, deadline: Option<Instant>, timeout: Option<Duration>) -> Option<Duration> {
    let left = deadline.map(|deadline| deadline.saturating_duration_since(now));
    match (left, timeout) {
        (Some(left), Some(timeout)) => Some(left.min(timeout)),
        (left, timeout) => left.or(timeout),
    }
}

/// `now + timeout`, or a day that nobody will see where the sum does not exist.
pub(crate) fn deadline(now: Instant, timeout: Duration) -> Instant {
    now.checked_add(timeout).unwrap_or_else(|| now + Duration::from_secs(60 * 60 * 24 * 365 * 30))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_rounded_up_and_never_become_for_ever() {
        let check = |timeout, expected| assert_eq!(millis(timeout), expected, "{timeout:?}");
        check(None, u32::MAX);
        check(Some(Duration::ZERO), 0);
        check(Some(Duration::from_nanos(1)), 1);
        check(Some(Duration::from_micros(500)), 1);
        check(Some(Duration::from_millis(1)), 1);
        check(Some(Duration::from_micros(1001)), 2);
        check(Some(Duration::from_secs(60 * 60 * 24 * 365)), u32::MAX - 1);
        check(Some(Duration::MAX), u32::MAX - 1);
    }

    #[test]
    fn the_earlier_of_deadline_and_timeout_counts() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        assert_eq!(until(now, None, None), None);
        assert_eq!(until(now, Some(now + second), None), Some(second));
        assert_eq!(until(now, None, Some(second)), Some(second));
        assert_eq!(until(now, Some(now + 2 * second), Some(second)), Some(second));
        assert_eq!(until(now + second, Some(now), Some(second)), Some(Duration::ZERO));
    }

    #[test]
    fn a_deadline_too_far_away_is_only_far_away() {
        let now = Instant::now();
        assert!(deadline(now, Duration::MAX) > now);
    }
}
