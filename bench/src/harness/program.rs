//! The side of the programs that are compared: each runs in a fresh process, which is this program again.
//!
//! The words after `program` are the settings, the comparison, the part, the program's name and what the part adds. A program
//! tells what it measured on one line of standard output, as JSON; one that cannot run says why on standard error
//! and ends with a failure.

use std::{
    io::{Write as _, stdout},
    process::ExitCode,
    time::{Duration, Instant},
};

use rustix::process::{Signal, set_parent_process_death_signal};
use serde_json::{Value, json};

use crate::{harness::counting, measure::process_cpu};

/// What all programs of one run share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// How long a program works before it is measured.
    pub(crate) warm: Duration,
    /// How long it is measured.
    pub(crate) measured: Duration,
    /// Whether allocations are counted.
    pub(crate) counting: bool,
}

impl Settings {
    pub(crate) fn words(self) -> [String; 3] {
        [self.warm.as_millis(), self.measured.as_millis(), u128::from(self.counting)]
            .map(|word| word.to_string())
    }

    fn parse(words: &[String]) -> Option<Settings> {
        let millis = |word: &String| Some(Duration::from_millis(word.parse().ok()?));
        let [warm, measured, counting] = words else { return None };
        Some(Settings { warm: millis(warm)?, measured: millis(measured)?, counting: counting == "1" })
    }
}

/// A program of a part: its name, and what runs it.
pub(crate) type Program<F> = (&'static str, F);

/// What a program measured of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// How many operations.
    pub(crate) operations: u64,
    /// The CPU time that all threads of the process took for them.
    pub(crate) cpu: Duration,
    /// How long that was for people.
    pub(crate) wall: Duration,
    /// The allocations among them, if they were counted.
    pub(crate) allocations: u64,
}

impl Sample {
    /// CPU time of one operation, in nanoseconds.
    pub(crate) fn nanoseconds(&self) -> f64 {
        self.cpu.as_nanos() as f64 / self.operations as f64
    }

    /// Operations in a second.
    pub(crate) fn speed(&self) -> f64 {
        self.operations as f64 / self.wall.as_secs_f64()
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "operations": self.operations,
            "cpu_ns": self.cpu.as_nanos() as u64,
            "wall_ns": self.wall.as_nanos() as u64,
            "allocations": self.allocations,
        })
    }

    pub(crate) fn parse(value: &Value) -> Option<Sample> {
        let number = |name| value.get(name)?.as_u64();
        Some(Sample {
            operations: number("operations")?,
            cpu: Duration::from_nanos(number("cpu_ns")?),
            wall: Duration::from_nanos(number("wall_ns")?),
            allocations: number("allocations")?,
        })
    }
}

/// Runs a step over and over, for a while unmeasured and then measured. A step tells how many operations it was;
/// it should be long enough for a look at the clock not to count.
///
/// The measured CPU time is exact where the other threads of the process sleep at both ends: of the thread that
/// asks, the kernel brings the time up to date first.
pub(crate) fn steady(
    settings: Settings,
    mut step: impl FnMut() -> Result<u64, String>,
) -> Result<Sample, String> {
    let mut work = |span: Duration| -> Result<u64, String> {
        let begun = Instant::now();
        let mut operations = 0;
        while begun.elapsed() < span {
            operations += step()?;
        }
        Ok(operations)
    };
    work(settings.warm)?;
    let begun = Instant::now();
    let (allocations, cpu) = (counting::allocations(), process_cpu());
    let operations = work(settings.measured)?;
    let cpu = process_cpu() - cpu;
    Ok(Sample { operations, cpu, wall: begun.elapsed(), allocations: counting::allocations() - allocations })
}

/// Says something on a line of standard output, at once.
pub(crate) fn tell(said: &Value) -> Result<(), String> {
    let mut out = stdout().lock();
    writeln!(out, "{said}").and_then(|()| out.flush()).map_err(|error| format!("standard output: {error}"))
}

/// The programs of a comparison: runs the one that the words name, and gives back what it measured of itself, or
/// nothing if it has said what there was to say.
pub(crate) type Serve = fn(words: &[&str], settings: Settings) -> Result<Option<Value>, String>;

/// What this process does when it is a program of one of these comparisons.
pub(crate) fn main(words: &[String], comparisons: &[Program<Serve>]) -> ExitCode {
    match run(words, comparisons) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String], comparisons: &[Program<Serve>]) -> Result<(), String> {
    // Whoever ends the comparison ends its programs too.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| error.to_string())?;
    let (settings, words) = words.split_at_checked(3).ok_or_else(not_for_people)?;
    let settings = Settings::parse(settings).ok_or_else(not_for_people)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (comparison, words) = words.split_first().ok_or_else(not_for_people)?;
    if settings.counting {
        counting::count();
    }
    match named(comparisons, comparison)?(words, settings)? {
        Some(said) => tell(&said),
        None => Ok(()),
    }
}

/// What someone reads who tries this by hand.
pub(crate) fn not_for_people() -> String {
    "these words are for a comparison itself".to_owned()
}

pub(crate) fn number(word: &str) -> Result<usize, String> {
    word.parse().map_err(|error| format!("{word}: {error}"))
}

/// The program of that name.
pub(crate) fn named<F: Copy>(programs: &[Program<F>], name: &str) -> Result<F, String> {
    let found = programs.iter().find(|(known, _)| *known == name);
    found.map(|(_, run)| *run).ok_or_else(|| format!("there is no program {name}"))
}

/// What programs are called.
pub(crate) fn names<F>(programs: &[Program<F>]) -> Vec<&'static str> {
    programs.iter().map(|(name, _)| *name).collect()
}
