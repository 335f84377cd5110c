//! Numbers for people, each in the unit that suits it.

use std::time::Duration;

/// A time in the unit that suits it.
pub(crate) fn time(time: Duration) -> String {
    let us = time.as_secs_f64() * 1e6;
    match us {
        us if us < 1e3 => format!("{us:.0} us"),
        us if us < 1e6 => format!("{:.1} ms", us / 1e3),
        us => format!("{:.2} s", us / 1e6),
    }
}

/// Bytes in the unit that suits them.
pub(crate) fn bytes(bytes: usize) -> String {
    match bytes {
        b if b < 10_000 => format!("{b} bytes"),
        b if b < 10_000_000 => format!("{} KiB", b / 1024),
        b => format!("{} MiB", b >> 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_unit_that_suits_them() {
        assert_eq!(time(Duration::from_micros(7)), "7 us");
        assert_eq!(time(Duration::from_micros(7_250)), "7.2 ms");
        assert_eq!(time(Duration::from_millis(7_250)), "7.25 s");
    }
}
