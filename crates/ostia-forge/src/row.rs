//! What is told of a set: one row, whatever became of it.

use std::path::{Path, PathBuf};

use ostia_hash::{
    best::Predicate,
    create::{Created, Failure, Report},
    table::Foreign,
};
use serde::{Serialize, Serializer};

use crate::{
    set::{SetError, Times, seeds},
    spec::Spec,
};

/// What became of a set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Solved, verified and stored.
    Done,
    /// Its input, its name or an output was refused, or it was not solved.
    Failed,
    /// Somebody ended the run before it was done.
    Stopped,
}

/// One row.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The input.
    #[serde(serialize_with = "shown")]
    pub path: PathBuf,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it failed, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The table, when there is one.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableRow>,
    /// Attempts of the search.
    pub attempts: u64,
    /// Attempts that ended because two ends or two keys fell on one place.
    pub collisions: u64,
    /// Attempts that ended because of a cycle.
    pub cycles: u64,
    /// Microseconds of reading.
    pub read_us: u64,
    /// Microseconds of search and verification.
    pub solve_us: u64,
    /// Microseconds of rendering.
    pub render_us: u64,
    /// Microseconds of storing.
    pub store_us: u64,
    /// The files that were stored.
    #[serde(serialize_with = "all_shown")]
    pub files: Vec<PathBuf>,
}

/// A path as text: one that is not UTF-8 is shown with signs in the place of what cannot be shown. Such a row
/// must come out like any other.
fn shown<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

fn all_shown<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(paths.iter().map(|path| path.display().to_string()))
}

/// What is told of a table.
#[derive(Clone, Debug, Serialize)]
pub struct TableRow {
    /// The identifier its outputs are named after.
    pub name: String,
    /// Number of keys.
    pub keys: usize,
    /// Their type.
    pub key_type: &'static str,
    /// The kind of table.
    pub kind: &'static str,
    /// The hash function.
    pub function: &'static str,
    /// Its seeds, in hexadecimal, as `--seeds` takes them.
    pub seeds: Vec<String>,
    /// The attempt that solved the set.
    pub attempt: u64,
    /// Every index is below this.
    pub range: u32,
    /// True when an index is a position in the set.
    pub ordered: bool,
    /// The policy for foreign keys.
    pub foreign: String,
    /// Bytes of all arrays.
    pub bytes: usize,
    /// Why the table is of this kind.
    pub why: String,
    /// Tables that were the best for a time, the last one best. Empty when the first one was taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bests: Vec<BestRow>,
}

/// A table that was the best for a time.
#[derive(Clone, Debug, Serialize)]
pub struct BestRow {
    /// Its attempt.
    pub attempt: u64,
    /// Its value of the property that was looked at.
    pub value: Option<f64>,
    /// How many as good came after it, before a better one.
    pub equals: u64,
    /// Cache lines with an entry that is not 0.
    pub lines_used: u64,
    /// Pages with such an entry.
    pub pages_used: u64,
    /// The sum over all lines of the square of their entries that are not 0.
    pub score: u64,
    /// The score over the highest there can be.
    pub rank: f64,
}

impl TableRow {
    /// What is told of a table that was made.
    pub fn new(name: &str, created: &Created, best: Option<Predicate>) -> TableRow {
        let table = &created.table;
        let head = table.head();
        TableRow {
            name: name.to_owned(),
            keys: table.len(),
            key_type: head.key_type.name(),
            kind: head.shape.name(),
            function: head.shape.function_name(),
            seeds: seeds(&head.shape).iter().map(|s| format!("0x{s:X}")).collect(),
            attempt: head.provenance.attempt,
            range: table.range(),
            ordered: table.keeps_order(),
            foreign: foreign_name(head.foreign),
            bytes: table.bytes(),
            why: created.report.why.clone(),
            bests: created
                .report
                .bests
                .iter()
                .map(|improvement| BestRow {
                    attempt: improvement.attempt,
                    value: best.and_then(|best| best.property.value(&improvement.coverage)),
                    equals: improvement.equals,
                    lines_used: improvement.coverage.lines.used,
                    pages_used: improvement.coverage.pages.used,
                    score: improvement.coverage.score,
                    rank: improvement.coverage.rank,
                })
                .collect(),
        }
    }
}

/// The policy as the command line takes it.
pub fn foreign_name(foreign: Foreign) -> String {
    match foreign {
        Foreign::Unchecked => "unchecked".into(),
        Foreign::Fingerprint { bits } => format!("fingerprint:{bits}"),
        Foreign::Exact => "exact".into(),
    }
}

impl Row {
    /// The row of a set that came through.
    pub fn done(
        path: &Path,
        name: &str,
        created: &Created,
        spec: &Spec,
        times: Times,
        files: Vec<PathBuf>,
    ) -> Row {
        let best = spec.options.best.as_ref().map(|best| best.rules.predicate);
        Row {
            table: Some(TableRow::new(name, created, best)),
            files,
            ..Row::of(path, Outcome::Done, Some(&created.report), times)
        }
    }

    /// The row of a set that did not.
    pub fn failed(path: &Path, error: &SetError, times: Times) -> Row {
        let report = match error {
            SetError::Failure { why: Failure::Unsolved(report) | Failure::Stopped(report), .. } => {
                Some(report)
            }
            _ => None,
        };
        let outcome = if error.is_stopped() { Outcome::Stopped } else { Outcome::Failed };
        Row { error: Some(error.to_string()), ..Row::of(path, outcome, report, times) }
    }

    fn of(path: &Path, outcome: Outcome, report: Option<&Report>, times: Times) -> Row {
        let tally = report.map(Report::tally).unwrap_or_default();
        let us = |time: std::time::Duration| time.as_micros() as u64;
        Row {
            path: path.to_owned(),
            outcome,
            error: None,
            table: None,
            attempts: tally.attempts(),
            collisions: tally.collisions,
            cycles: tally.cycles,
            read_us: us(times.read),
            solve_us: us(times.solve),
            render_us: us(times.render),
            store_us: us(times.store),
            files: Vec::new(),
        }
    }
}
