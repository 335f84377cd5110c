//! Whole folders: real sets, and as many of our own as the predecessor's corpus has.

use serde_json::Value;

use super::{
    PEAK, SWITCHES, WALL, figures, judged,
    program::{ENGINES, Ostia, Work, count},
    sets,
};
use crate::{
    arguments::Asked,
    gate::{Gates, Limit},
    harness::contest::Contest,
    hash::sets::folder,
};

/// What the memory of sets under way may be where that is asked for, in MiB.
const BUDGET: f64 = 64.0;

/// A folder, what is made of it, and what is asked of that.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) name: &'static str,
    /// A folder of `OSTIA_KEYS`; none for the sets of our own.
    real: Option<&'static str>,
    options: &'static [&'static str],
    /// Seconds on the wall: the gate and the goal.
    wall: Option<(f64, Option<f64>)>,
    /// Whether context switches are judged.
    switches: bool,
    /// The most memory in MiB.
    peak: Option<f64>,
    /// What the predecessor took, as the reference has it, on another machine of two cores.
    predecessor: Option<&'static str>,
}

const PLAIN: Cell =
    Cell { name: "", real: None, options: &[], wall: None, switches: false, peak: None, predecessor: None };

const CHM: &[&str] = &["--no-file-io", "--kind", "chm", "--hash", "Mulshrolate4RX"];

pub(super) const CELLS: [Cell; 7] = [
    Cell {
        name: "sys32-1000/nothing-stored",
        real: Some("sys32-1000"),
        options: &["--no-file-io"],
        wall: Some((0.20, Some(0.12))),
        switches: true,
        predecessor: Some("0.50 to 0.72 s, 8 to 9 switches a set"),
        ..PLAIN
    },
    Cell {
        name: "corpus-13637/nothing-stored",
        options: &["--no-file-io"],
        wall: Some((2.0, Some(1.5))),
        switches: true,
        predecessor: Some("10.5 s on its own 13,637 sets; its server 38.1 s on 32 threads"),
        ..PLAIN
    },
    Cell {
        name: "sys32-1000/c-rust-table",
        real: Some("sys32-1000"),
        options: &["--emit", "c,rust,table"],
        wall: Some((1.5, Some(0.8))),
        predecessor: Some("20 to 33 s for its 43 files a set, 270 switches a set"),
        ..PLAIN
    },
    Cell {
        name: "sys32-1000/all-languages",
        real: Some("sys32-1000"),
        options: &["--emit", "c,cpp,rust,python,table"],
        wall: Some((3.0, None)),
        predecessor: Some("20 to 33 s for its 43 files a set"),
        ..PLAIN
    },
    Cell {
        name: "sys32-1000/chm",
        real: Some("sys32-1000"),
        options: CHM,
        predecessor: Some("0.50 to 0.72 s: this very kind and function"),
        ..PLAIN
    },
    Cell { name: "hard/chm", real: Some("hard"), options: CHM, ..PLAIN },
    Cell {
        name: "sys32-1000/memory",
        real: Some("sys32-1000"),
        options: &["--emit", "c,rust,table", "--memory", "64M"],
        peak: Some(48.0 + BUDGET),
        ..PLAIN
    },
];

/// Every folder that was asked for, engine against engine.
pub(super) fn compare(
    asked: &Asked,
    rounds: usize,
    ostia: &mut Ostia,
    gates: &mut Gates,
) -> Result<Value, String> {
    let mut cells = Vec::new();
    let mut works = Vec::new();
    for cell in CELLS.iter().filter(|cell| asked.wants_cell(cell.name)) {
        let dir = match (cell.real, folder()) {
            (Some(_), None) => {
                println!(
                    "SKIPPED {}: OSTIA_KEYS is not set, and it names the folder with real sets",
                    cell.name
                );
                continue;
            }
            (Some(name), Some(keys)) => keys.join(name),
            (None, _) => sets::corpus(&ostia.folder)?,
        };
        works.push(Work { sets: count(&dir)?, dir, options: cell.options });
        cells.push(cell);
    }
    if cells.is_empty() {
        return Ok(Value::Null);
    }
    let names: Vec<String> = cells.iter().map(|cell| cell.name.to_owned()).collect();
    let contest = Contest::hold(rounds, &super::COLUMNS, &names, ENGINES.to_vec(), |case, engine| {
        let work = &works[case];
        Ok(figures(ostia.run(engine, work, &[])?, work.sets))
    });
    contest.print("Bulk", &["threads"]);
    gates.failed(contest.failures());
    println!("\nThe predecessor, by the reference, on another machine of two cores");
    for cell in &cells {
        if let Some(took) = cell.predecessor {
            println!("{:30} {took}", cell.name);
        }
    }
    for (case, cell) in cells.iter().enumerate() {
        let Some(engine) = judged(&contest, case) else { continue };
        let mut judge = |what: &str, column: usize, limit: f64, goal: Option<f64>| {
            if let Some(rounds) = contest.rounds(case, engine, column) {
                gates.all(format!("{what}, {}, {engine}", cell.name), rounds, Limit::AtMost(limit), goal);
            }
        };
        if let Some((gate, goal)) = cell.wall {
            judge("wall s", WALL, gate, goal);
        }
        if cell.switches {
            judge("context switches a set", SWITCHES, 1.0, None);
        }
        if let Some(most) = cell.peak {
            judge("peak MiB", PEAK, most, None);
        }
    }
    Ok(contest.json(&["threads"]))
}
