//! What is told of a set: one row, whatever became of it.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
};

use ostia_hash::{
    best::Predicate,
    coverage::Coverage,
    create::{Created, Failure, Report},
    kind::chm::{Graph, Sizes},
    table::{Foreign, Shape, Table},
};
use serde::{Deserialize, Serialize, Serializer};

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
    /// Its input, what is asked for and its outputs are as an earlier run left them.
    Unchanged,
    /// Its input, its name or an output was refused, or it was not solved.
    Failed,
    /// Somebody ended the run before it was done.
    Stopped,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Outcome; 4] = [Outcome::Done, Outcome::Unchanged, Outcome::Failed, Outcome::Stopped];

    /// The name in rows and in the journal.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Unchanged => "unchanged",
            Outcome::Failed => "failed",
            Outcome::Stopped => "stopped",
        }
    }

    /// The outcome of that name.
    pub fn from_name(name: &str) -> Option<Outcome> {
        Outcome::ALL.into_iter().find(|outcome| outcome.name() == name)
    }
}

/// One row.
#[derive(Clone, PartialEq, Debug, Serialize)]
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
    /// Bytes of the input, where they were counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_in: Option<u64>,
    /// The node that the work was done on, where nodes were told apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<u32>,
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
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct TableRow {
    /// The identifier its outputs are named after.
    pub name: String,
    /// Number of keys.
    pub keys: usize,
    /// Their type.
    pub key_type: Cow<'static, str>,
    /// The kind of table.
    pub kind: Cow<'static, str>,
    /// The hash function.
    pub function: Cow<'static, str>,
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
    /// Entries of the array that every lookup goes to.
    pub cells: usize,
    /// Why the table is of this kind.
    pub why: String,
    /// Tables that were the best for a time, the last one best. Empty when the first one was taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bests: Vec<BestRow>,
    /// How its entries lie in memory, where that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<CoverageRow>,
}

/// How the entries that are not 0 lie in memory: see [`Coverage`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CoverageRow {
    /// Pages.
    pub pages: u64,
    /// Pages with such an entry.
    pub pages_used: u64,
    /// Large pages.
    pub large_pages: u64,
    /// Large pages with such an entry.
    pub large_pages_used: u64,
    /// Cache lines.
    pub lines: u64,
    /// Cache lines with such an entry.
    pub lines_used: u64,
    /// Entries that are not 0.
    pub assigned: u64,
    /// The most of them in one line.
    pub line_max: u64,
    /// How many lines have 0, 1, 2, ... of them.
    pub histogram: Vec<u64>,
    /// The straight line through the histogram: rise per bucket.
    pub slope: f64,
    /// Its value at bucket 0.
    pub intercept: f64,
    /// The correlation coefficient.
    pub correlation: f64,
    /// Its value at bucket 16.
    pub predicted: f64,
    /// The sum over all lines of the square of their entries that are not 0.
    pub score: u64,
    /// The score over the highest there can be.
    pub rank: f64,
}

impl CoverageRow {
    /// Measures a table: one pass over its cells.
    ///
    /// Tables of the predecessor's kind are measured as it does, with entries as wide as while it solves; others
    /// as they lie in memory. `None` where cells have more than 32 bits, as values in place may.
    pub fn of(table: &Table<'_>, graph: Graph) -> Option<CoverageRow> {
        let cells = &table.lanes().cells;
        let bytes = match table.head().shape {
            Shape::Chm { vertices, index_bits, .. } => {
                let sizes = Sizes { vertices: 1 << vertices, edges: 1 << index_bits };
                sizes.solving_bytes(table.len(), graph)
            }
            _ => cells.width() as usize,
        };
        if cells.width() > 4 {
            return None;
        }
        let entries: Vec<u32> = cells.words().map(|word| word as u32).collect();
        Some(CoverageRow::from(&Coverage::measure(&entries, bytes)))
    }
}

impl From<&Coverage> for CoverageRow {
    fn from(coverage: &Coverage) -> CoverageRow {
        CoverageRow {
            pages: coverage.pages.total,
            pages_used: coverage.pages.used,
            large_pages: coverage.large_pages.total,
            large_pages_used: coverage.large_pages.used,
            lines: coverage.lines.total,
            lines_used: coverage.lines.used,
            assigned: coverage.assigned,
            line_max: coverage.line_max,
            histogram: coverage.histogram.clone(),
            slope: coverage.regression.slope,
            intercept: coverage.regression.intercept,
            correlation: coverage.regression.correlation,
            predicted: coverage.regression.predicted,
            score: coverage.score,
            rank: coverage.rank,
        }
    }
}

/// A table that was the best for a time.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
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
            key_type: head.key_type.name().into(),
            kind: head.shape.name().into(),
            function: head.shape.function_name().into(),
            seeds: seeds(&head.shape).iter().map(|s| format!("0x{s:X}")).collect(),
            attempt: head.provenance.attempt,
            range: table.range(),
            ordered: table.keeps_order(),
            foreign: foreign_name(head.foreign),
            bytes: table.bytes(),
            cells: table.lanes().cells.len(),
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
            // The search for the best table has measured it already; else it is done by who wants it.
            coverage: created.report.bests.last().map(|best| CoverageRow::from(&best.coverage)),
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

    /// The row of a set that is as an earlier run left it.
    pub fn unchanged(path: &Path) -> Row {
        Row::of(path, Outcome::Unchanged, None, Times::default())
    }

    /// Puts down what each phase took.
    pub fn set_times(&mut self, times: Times) {
        let us = |time: std::time::Duration| time.as_micros() as u64;
        self.read_us = us(times.read);
        self.solve_us = us(times.solve);
        self.render_us = us(times.render);
        self.store_us = us(times.store);
    }

    fn of(path: &Path, outcome: Outcome, report: Option<&Report>, times: Times) -> Row {
        let tally = report.map(Report::tally).unwrap_or_default();
        let mut row = Row {
            path: path.to_owned(),
            outcome,
            error: None,
            table: None,
            attempts: tally.attempts(),
            collisions: tally.collisions,
            cycles: tally.cycles,
            read_us: 0,
            solve_us: 0,
            render_us: 0,
            store_us: 0,
            bytes_in: None,
            node: None,
            files: Vec::new(),
        };
        row.set_times(times);
        row
    }
}
