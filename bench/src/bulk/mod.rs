//! `ostia-bench bulk`: the release program `ostia` at whole folders of key sets, engine against engine.
//!
//! Every run is a fresh process with a fresh output folder on the disk of the target folder. The gates are about
//! time on the wall, which on shared cores says little by itself: CPU time stands beside it.

mod flat;
mod folders;
mod nodes;
mod program;
mod sets;

use serde_json::{Map, Value, json};

use self::program::{ENGINES, Ostia};
use crate::{
    arguments::{Asked, ROUNDS_LEAST},
    gate::{self, Gates},
    harness::{contest::Contest, outside::Taken},
    machine::{self, Machine},
};

/// What is measured of each run.
const COLUMNS: [&str; 6] = ["wall s", "CPU s", "peak MiB", "voluntary", "involuntary", "switches a set"];
const WALL: usize = 0;
const CPU: usize = 1;
const PEAK: usize = 2;
const SWITCHES: usize = 5;

/// The figures of a run, as the columns have them.
fn figures(taken: Taken, sets: usize) -> Vec<f64> {
    let (voluntary, involuntary) = (taken.voluntary as f64, taken.involuntary as f64);
    let peak = taken.peak as f64 / f64::from(1 << 20);
    let switches = (voluntary + involuntary) / sets as f64;
    vec![taken.wall.as_secs_f64(), taken.cpu.as_secs_f64(), peak, voluntary, involuntary, switches]
}

/// The engine that the gates are about: the first that ran.
fn judged(contest: &Contest, case: usize) -> Option<&'static str> {
    ENGINES.into_iter().find(|engine| contest.rounds(case, engine, WALL).is_some())
}

/// All cells, as one may name them.
pub(crate) fn cells() -> Vec<String> {
    let folders = folders::CELLS.iter().map(|cell| cell.name.to_owned());
    folders.chain(flat::COUNTS.map(flat::cell)).chain(["nodes".to_owned()]).collect()
}

/// Runs the comparison.
pub(crate) fn compare(asked: &Asked) -> Result<(), String> {
    let rounds = if asked.quick { 2 } else { asked.rounds.unwrap_or(ROUNDS_LEAST) };
    let mut ostia = Ostia::named()?;
    let machine = Machine::here();
    machine.print(&asked.command, rounds);
    let file_system = ostia.file_system()?;
    println!("outputs go to {}, {file_system}", ostia.folder.display());
    if file_system == "tmpfs" {
        return Err(
            "the target folder is in memory, which is no disk; set CARGO_TARGET_DIR to one that is not"
                .into(),
        );
    }
    if asked.quick {
        println!("a quick run: too few rounds to judge by");
    }
    let mut gates = Gates::default();
    let mut figures = Map::new();
    figures.insert("folders".into(), folders::compare(asked, rounds, &mut ostia, &mut gates)?);
    figures.insert("flat".into(), flat::compare(asked, rounds, &mut ostia, &mut gates)?);
    figures.insert("nodes".into(), nodes::compare(asked, rounds, &mut ostia, &mut gates)?);
    figures.retain(|_, part| *part != Value::Null);
    gates.print();
    println!("load average at the end: {}", machine::load());
    asked.keep(&json!({
        "command": asked.command,
        "build": gate::BUILD,
        "machine": machine.json(),
        "file_system": file_system,
        "rounds": rounds,
        "quick": asked.quick,
        "parts": figures,
        "gates": gates.json(),
    }))?;
    gates.complete()
}
