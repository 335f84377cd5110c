//! What is seen of long work: a line on a terminal, nothing anywhere else.

use std::{fmt::Write, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// How often the line is drawn again.
const REDRAW: Duration = Duration::from_millis(100);

/// A line for a search: attempts, their rate, and how many are predicted. Draws itself.
pub(crate) fn search(quiet: bool) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, target(quiet));
    bar.set_style(style("{spinner} {msg}"));
    bar
}

/// A line for many sets.
pub(crate) fn sets(quiet: bool) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), target(quiet));
    // The library's own rate has four decimals, and its time left is 0 until the first set is done.
    let rate = |state: &ProgressState, out: &mut dyn Write| {
        // A line that cannot be drawn is no reason to end.
        let _ = write!(out, "{:.0}/s", state.per_sec());
    };
    let left = |state: &ProgressState, out: &mut dyn Write| {
        if state.pos() > 0 {
            let _ = write!(out, ", about {} left", time(state.eta()));
        }
    };
    bar.set_style(
        style("{bar:24} {pos}/{len} sets, {rate}{left}{msg}").with_key("rate", rate).with_key("left", left),
    );
    bar.enable_steady_tick(REDRAW);
    bar
}

/// Draws on the standard error when that is a terminal; indicatif draws nowhere else.
fn target(quiet: bool) -> ProgressDrawTarget {
    if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr_with_hz(10) }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is a constant")
}

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
