//! `ostia results`.

mod csv;

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    io::{self, BufWriter, Write},
    time::Duration,
};

use ostia_forge::{
    journal::{How, JournalError, Reader, Run, RunId},
    row::{Outcome, Row},
};

use super::json_row;
use crate::{
    args::Results,
    exit::Ended,
    units::{bytes, time},
};

/// How many failures are told one by one, and how many slow sets.
const TOLD: usize = 5;

impl From<JournalError> for Ended {
    fn from(error: JournalError) -> Ended {
        Ended::failed(error)
    }
}

/// Runs the command.
pub(crate) fn run(args: &Results) -> Result<(), Ended> {
    let reader = Reader::open(&args.dir)?;
    let only = args.failed.then_some(Outcome::Failed);
    let mut out = BufWriter::new(io::stdout().lock());
    if args.csv {
        csv::write(&mut out, reader.entries(only))?;
    } else if args.json {
        for recorded in reader.entries(only) {
            writeln!(out, "{}", json_row(&recorded?.entry.row))?;
        }
    } else {
        if !args.failed {
            summary(&mut out, &reader)?;
        }
        table(&mut out, &reader, only)?;
    }
    out.flush()?;
    Ok(())
}

/// What all sets come to.
#[derive(Default)]
struct Sum {
    outcomes: [u64; Outcome::ALL.len()],
    keys: u128,
    attempts: u128,
    bytes_in: u128,
    bytes_out: u128,
    files: u64,
    /// Sets that the newest run has recorded itself.
    of_run: [u64; Outcome::ALL.len()],
    failures: Vec<String>,
    /// The slowest, by microseconds; the quickest of them is on top.
    slowest: BinaryHeap<Reverse<(u64, String)>>,
}

impl Sum {
    fn add(&mut self, run: Option<RunId>, recorded: &ostia_forge::journal::Recorded) {
        let entry = &recorded.entry;
        let row = &entry.row;
        self.outcomes[row.outcome as usize] += 1;
        self.of_run[row.outcome as usize] += u64::from(Some(recorded.run) == run);
        self.keys += row.table.as_ref().map_or(0, |table| table.keys as u128);
        self.attempts += u128::from(row.attempts);
        self.bytes_in += u128::from(row.bytes_in.unwrap_or(0));
        self.bytes_out += entry.outputs.iter().map(|output| u128::from(output.len)).sum::<u128>();
        self.files += entry.outputs.len() as u64;
        if row.outcome == Outcome::Failed && self.failures.len() < TOLD {
            self.failures.push(row.error.clone().unwrap_or_else(|| row.path.display().to_string()));
        }
        let slow = Reverse((took_us(row), row.path.display().to_string()));
        if self.slowest.len() < TOLD {
            self.slowest.push(slow);
        } else if self.slowest.peek().is_some_and(|quickest| slow.0.0 > quickest.0.0) {
            self.slowest.pop();
            self.slowest.push(slow);
        }
    }
}

/// The newest run, and what is there now.
fn summary(out: &mut impl Write, reader: &Reader) -> Result<(), Ended> {
    let runs = reader.runs()?;
    let newest = runs.first();
    let mut sum = Sum::default();
    for recorded in reader.entries(None) {
        sum.add(newest.map(|run| run.id), &recorded?);
    }
    if let Some(run) = newest {
        tell_run(out, run, &sum.of_run)?;
    }
    // A set that a run found unchanged keeps the row of the run that made it.
    let [done, _, failed, stopped] = sum.outcomes;
    writeln!(out, "in the journal: {}", sets(done, failed, stopped, 0))?;
    let short = |bytes_: u128| bytes(usize::try_from(bytes_).unwrap_or(usize::MAX));
    writeln!(
        out,
        "  {} keys, {} attempts, {} read, {} files of {}",
        sum.keys,
        sum.attempts,
        short(sum.bytes_in),
        sum.files,
        short(sum.bytes_out)
    )?;
    for failure in &sum.failures {
        writeln!(out, "  failed: {}", one_line(failure))?;
    }
    if failed > sum.failures.len() as u64 {
        writeln!(out, "  and {} more; --failed shows all", failed - sum.failures.len() as u64)?;
    }
    let slowest = sum.slowest.into_sorted_vec();
    if let [Reverse((us, _)), ..] = slowest[..]
        && us > 0
    {
        let told: Vec<String> = slowest
            .iter()
            .map(|Reverse((us, path))| format!("{} {}", one_line(path), time(Duration::from_micros(*us))))
            .collect();
        writeln!(out, "  slowest: {}", told.join(", "))?;
    }
    writeln!(out)?;
    Ok(())
}

fn tell_run(out: &mut impl Write, run: &Run, recorded: &[u64; Outcome::ALL.len()]) -> io::Result<()> {
    let counts = run.counts;
    let how = match run.how {
        How::Done => "done",
        How::Failed => "some failed",
        How::Interrupted => "interrupted",
        How::Running => "at work, or killed",
    };
    let took = run.ended_ms.map(|ended| Duration::from_millis(ended.saturating_sub(run.begun_ms)));
    // What a run came to is known at its end; until then, what it has recorded.
    let told = match took {
        Some(_) => sets(counts.done, counts.failed, counts.stopped, counts.skipped),
        None => {
            let [done, _, failed, stopped] = *recorded;
            sets(done, failed, stopped, 0)
        }
    };
    writeln!(
        out,
        "newest run: {how}{}, {} threads, ostia {}: {told}",
        took.map(|took| format!(" in {}", time(took))).unwrap_or_default(),
        run.info.threads,
        run.info.version
    )
}

fn sets(done: u64, failed: u64, stopped: u64, skipped: u64) -> String {
    let mut told = format!("{done} sets done, {failed} failed");
    for (count, what) in [(stopped, "stopped"), (skipped, "as they were")] {
        if count > 0 {
            told.push_str(&format!(", {count} {what}"));
        }
    }
    told
}

/// A line a set.
fn table(out: &mut impl Write, reader: &Reader, only: Option<Outcome>) -> Result<(), Ended> {
    writeln!(
        out,
        "{:<8}{:>10}  {:<10}{:<18}{:>9}{:>10}{:>12}  set",
        "outcome", "keys", "kind", "function", "attempts", "time", "bytes"
    )?;
    for recorded in reader.entries(only) {
        let entry = recorded?.entry;
        let row = &entry.row;
        let time = time(Duration::from_micros(took_us(row)));
        let path = one_line(&row.path.display().to_string());
        let outcome = row.outcome.name();
        match &row.table {
            Some(table) => writeln!(
                out,
                "{outcome:<8}{:>10}  {:<10}{:<18}{:>9}{time:>10}{:>12}  {path}",
                table.keys, table.kind, table.function, row.attempts, table.bytes
            )?,
            None => writeln!(
                out,
                "{outcome:<8}{:>10}  {:<10}{:<18}{:>9}{time:>10}{:>12}  {path}",
                "-", "-", "-", row.attempts, "-"
            )?,
        }
        if let (Some(error), Some(_)) = (&row.error, only) {
            writeln!(out, "        {}", one_line(error))?;
        }
    }
    Ok(())
}

/// Time of all phases.
fn took_us(row: &Row) -> u64 {
    [row.read_us, row.solve_us, row.render_us, row.store_us].into_iter().fold(0, u64::saturating_add)
}

/// Text that may have line ends, or move a terminal's cursor, as a name of a file may.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
