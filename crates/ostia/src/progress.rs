//! What is seen of long work: some lines on a terminal, and little anywhere else.

use std::{
    fmt::{Display, Write},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use ostia_forge::job::View;

use crate::{exit, units::time};

/// A line for a search: attempts, their rate, and how many are predicted. Draws itself.
pub(crate) fn search(quiet: bool) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, target(quiet));
    bar.set_style(style("{spinner} {msg}"));
    bar
}

/// How often the panel is drawn again.
const REDRAW: Duration = Duration::from_millis(100);
/// How often a line is said where no panel can be drawn.
const SAID: Duration = Duration::from_secs(5);
/// A set that is solved for longer is named.
const LONG: Duration = Duration::from_millis(500);

/// What is seen of a bulk run: on a terminal a few lines that are drawn again and again, elsewhere a line every few
/// seconds, and nothing at all for who wants it quiet.
pub(crate) struct Panel {
    bar: ProgressBar,
    is_quiet: bool,
    begun: Instant,
}

impl Panel {
    /// A panel; a quiet one shows nothing.
    pub(crate) fn new(is_quiet: bool) -> Panel {
        let bar = ProgressBar::with_draw_target(Some(0), target(is_quiet));
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
            style("{bar:24} {pos}/{len} sets, {rate}{left}{msg}")
                .with_key("rate", rate)
                .with_key("left", left),
        );
        Panel { bar, is_quiet, begun: Instant::now() }
    }

    /// How long to wait before it is drawn again; none if it never is.
    pub(crate) fn pace(&self) -> Option<Duration> {
        match (self.is_quiet, self.bar.is_hidden()) {
            (true, _) => None,
            (false, true) => Some(SAID),
            (false, false) => Some(REDRAW),
        }
    }

    /// Shows how a job stands.
    pub(crate) fn draw(&self, view: &View) {
        let counts = view.counts;
        if self.bar.is_hidden() {
            let rate = counts.ended() as f64 / self.begun.elapsed().as_secs_f64();
            self.say(format_args!(
                "{} of {} sets, {rate:.0}/s{}",
                counts.ended(),
                counts.found,
                failed(view)
            ));
            return;
        }
        self.bar.set_length(counts.found);
        self.bar.set_position(counts.ended());
        self.bar.set_message(lines(view));
        self.bar.tick();
    }

    /// Says something beside the panel.
    pub(crate) fn say(&self, what: impl Display) {
        if !self.is_quiet {
            self.bar.suspend(|| exit::tell(what));
        }
    }

    /// Takes it off the screen.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn failed(view: &View) -> String {
    match view.counts.failed {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    }
}

/// What stands behind and below the bar.
fn lines(view: &View) -> String {
    let mut lines = failed(view);
    if !view.found_all {
        lines.push_str(", still looking for more");
    }
    if view.load.len() > 1 {
        lines.push_str("\n  under way:");
        for node in &view.load {
            // A string takes all that is written to it.
            let _ = write!(lines, " node {}: {} sets", node.node, node.sets);
        }
    }
    for set in view.solving.iter().filter(|set| set.time >= LONG).take(4) {
        let name = set.path.file_name().unwrap_or_default().to_string_lossy();
        let _ = write!(lines, "\n  {} for {}, {} attempts", name, time(set.time), set.attempts);
    }
    lines
}

/// Draws on the standard error when that is a terminal; indicatif draws nowhere else.
fn target(quiet: bool) -> ProgressDrawTarget {
    if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr_with_hz(10) }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is a constant")
}

#[cfg(test)]
mod tests {
    use ostia_forge::job::{Counts, NodeLoad, Solving};

    use super::*;

    #[test]
    fn a_panel_names_nodes_and_what_takes_long() {
        let solving = |name: &str, ms| Solving {
            path: format!("keys/{name}").into(),
            time: Duration::from_millis(ms),
            attempts: 7,
        };
        let mut view = View {
            counts: Counts { found: 9, failed: 2, ..Counts::default() },
            found_all: true,
            load: vec![NodeLoad { node: 0, sets: 3 }],
            solving: vec![solving("slow.keys", 2_500), solving("quick.keys", 3)],
        };
        assert_eq!(lines(&view), ", 2 failed\n  slow.keys for 2.50 s, 7 attempts");
        view.load.push(NodeLoad { node: 4, sets: 1 });
        view.found_all = false;
        view.solving.clear();
        view.counts.failed = 0;
        assert_eq!(lines(&view), ", still looking for more\n  under way: node 0: 3 sets node 4: 1 sets");
    }
}
