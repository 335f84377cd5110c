//! Rows as comma-separated values: the predecessor's columns under its names, and then ours.

use std::io::Write;

use ostia_forge::{
    journal::{Entries, Recorded},
    row::{CoverageRow, TableRow},
};

use crate::exit::Ended;

/// Lines of the predecessor's histogram: so many entries in a line and no more are counted apart.
const BUCKETS: usize = 17;

/// Seeds there is a column for.
const SEEDS: usize = 8;

/// The columns but those that are numbered.
const HEAD: [&str; 16] = [
    "KeysName",
    "NumberOfKeys",
    "NumberOfEdges",
    "NumberOfVertices",
    "KeysToEdgesRatio",
    "KeysToVerticesRatio",
    "Algorithm",
    "HashFunction",
    "SolutionFound",
    "Attempts",
    "FailedAttempts",
    "SuccessfulAttempts",
    "VertexCollisionFailures",
    "CyclicGraphFailures",
    "SolveMicroseconds",
    "NumberOfSeeds",
];
const COVERAGE: [&str; 14] = [
    "TotalNumberOfPages",
    "TotalNumberOfLargePages",
    "TotalNumberOfCacheLines",
    "NumberOfUsedPages",
    "NumberOfUsedLargePages",
    "NumberOfUsedCacheLines",
    "NumberOfEmptyPages",
    "NumberOfEmptyLargePages",
    "NumberOfEmptyCacheLines",
    "TotalNumberOfAssigned",
    "MaxAssignedPerCacheLineCount",
    "Slope",
    "Intercept",
    "CorrelationCoefficient",
];
const COVERAGE_END: [&str; 3] = ["PredictedNumberOfFilledCacheLines", "Score", "Rank"];
const OURS: [&str; 21] = [
    "path",
    "kind",
    "outcome",
    "error",
    "name",
    "key_type",
    "attempt",
    "range",
    "ordered",
    "foreign",
    "bytes",
    "cells",
    "why",
    "read_us",
    "render_us",
    "store_us",
    "bytes_in",
    "node",
    "content",
    "options",
    "files",
];

/// The header, and a line for each set.
pub(super) fn write(out: &mut impl Write, entries: Entries<'_>) -> Result<(), Ended> {
    let mut csv = ::csv::Writer::from_writer(out);
    csv.write_record(header()).map_err(refused)?;
    for recorded in entries {
        csv.write_record(cells(&recorded?)).map_err(refused)?;
    }
    Ok(csv.flush()?)
}

fn refused(error: ::csv::Error) -> Ended {
    match error.into_kind() {
        ::csv::ErrorKind::Io(why) => why.into(),
        other => Ended::failed(format_args!("the output could not be written: {other:?}")),
    }
}

fn header() -> Vec<String> {
    let named = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let mut header = named(&HEAD);
    header.extend((1..=SEEDS).map(|seed| format!("Seed{seed}")));
    header.extend(named(&COVERAGE));
    header.extend(named(&COVERAGE_END));
    header.extend((0..BUCKETS).map(|count| format!("CountOfCacheLinesWithNumberOfAssigned_{count}")));
    header.extend(named(&OURS));
    header
}

fn cells(recorded: &Recorded) -> Vec<String> {
    let entry = &recorded.entry;
    let row = &entry.row;
    let table = row.table.as_ref();
    let solved = u64::from(table.is_some());
    let stem = row.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let of = |value: fn(&TableRow) -> String| table.map(value).unwrap_or_default();
    // Edges and vertices are those of a graph between two places of a key; other kinds have none.
    let [edges, vertices] = table.map_or([None; 2], |table| match &*table.kind {
        "chm" => [Some(u64::from(table.range)), Some(table.cells as u64)],
        "halves" => [None, Some(table.cells as u64)],
        _ => [None; 2],
    });
    let ratio = |of: Option<u64>| match (table, of) {
        (Some(table), Some(of)) if of > 0 => (table.keys as f64 / of as f64).to_string(),
        _ => String::new(),
    };
    let mut cells = vec![
        stem,
        of(|t| t.keys.to_string()),
        optional(edges),
        optional(vertices),
        ratio(edges),
        ratio(vertices),
        // Its name for the tables that we have in common.
        of(|t| if t.kind == "chm" { "Chm01".to_owned() } else { t.kind.to_string() }),
        of(|t| t.function.to_string()),
        if solved == 1 { "Y" } else { "N" }.to_owned(),
        row.attempts.to_string(),
        row.attempts.saturating_sub(solved).to_string(),
        solved.to_string(),
        row.collisions.to_string(),
        row.cycles.to_string(),
        row.solve_us.to_string(),
        of(|t| t.seeds.len().to_string()),
    ];
    cells.extend((0..SEEDS).map(|i| table.and_then(|t| t.seeds.get(i).cloned()).unwrap_or_default()));
    coverage(&mut cells, table.and_then(|t| t.coverage.as_ref()));
    let files: Vec<&str> = entry.outputs.iter().map(|output| output.name.as_str()).collect();
    cells.extend([
        row.path.display().to_string(),
        of(|t| t.kind.to_string()),
        row.outcome.name().to_owned(),
        row.error.clone().unwrap_or_default(),
        of(|t| t.name.clone()),
        of(|t| t.key_type.to_string()),
        of(|t| t.attempt.to_string()),
        of(|t| t.range.to_string()),
        of(|t| t.ordered.to_string()),
        of(|t| t.foreign.clone()),
        of(|t| t.bytes.to_string()),
        of(|t| t.cells.to_string()),
        of(|t| t.why.clone()),
        row.read_us.to_string(),
        row.render_us.to_string(),
        row.store_us.to_string(),
        optional(row.bytes_in),
        optional(row.node),
        optional(entry.content),
        entry.options.to_string(),
        files.join(" "),
    ]);
    cells
}

fn coverage(cells: &mut Vec<String>, coverage: Option<&CoverageRow>) {
    let Some(c) = coverage else {
        let empty = COVERAGE.len() + COVERAGE_END.len() + BUCKETS;
        return cells.extend(std::iter::repeat_n(String::new(), empty));
    };
    let counts = [
        c.pages,
        c.large_pages,
        c.lines,
        c.pages_used,
        c.large_pages_used,
        c.lines_used,
        c.pages.saturating_sub(c.pages_used),
        c.large_pages.saturating_sub(c.large_pages_used),
        c.lines.saturating_sub(c.lines_used),
        c.assigned,
        c.line_max,
    ];
    cells.extend(counts.map(|count| count.to_string()));
    cells.extend([c.slope, c.intercept, c.correlation, c.predicted].map(|number| number.to_string()));
    cells.extend([c.score.to_string(), c.rank.to_string()]);
    cells.extend((0..BUCKETS).map(|i| c.histogram.get(i).copied().unwrap_or(0).to_string()));
}

fn optional(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_has_a_name_of_its_own() {
        let header = header();
        let names: std::collections::BTreeSet<_> = header.iter().map(|name| name.to_lowercase()).collect();
        assert_eq!(names.len(), header.len());
    }
}
