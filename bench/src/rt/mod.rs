//! `ostia-bench rt`: the runtime beside other runtimes.
//!
//! Every program runs in a fresh process for every figure, and the programs take turns. What counts is CPU time an
//! operation: on shared cores time on the wall says little.

mod compio;
mod echo;
mod fair;
mod files;
mod glommio;
mod http;
mod idle;
mod monoio;
mod ours;
mod runtime;
mod smol;
mod tasks;
mod tokio;
mod wake;

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::{
    arguments::Asked,
    gate::{self, Gates},
    harness::program::{Settings, not_for_people, number},
    machine::{self, Machine},
};

/// A part of the comparison: its name, its cells, and what runs those of them that were asked for.
struct Part {
    name: &'static str,
    cells: fn() -> Vec<String>,
    compare: Compare,
}

type Compare =
    fn(cells: &[usize], rounds: usize, settings: Settings, gates: &mut Gates) -> Result<Value, String>;

const PARTS: [Part; 7] = [
    Part { name: "echo", cells: echo::cells, compare: echo::compare },
    Part { name: "fair", cells: fair::cells, compare: fair::compare },
    Part { name: "tasks", cells: tasks::cells, compare: tasks::compare },
    Part { name: "wake", cells: wake::cells, compare: wake::compare },
    Part { name: "files", cells: files::cells, compare: files::compare },
    Part { name: "http", cells: http::cells, compare: http::compare },
    Part { name: "idle", cells: idle::cells, compare: idle::compare },
];

/// Rounds, where nothing is said of them.
const ROUNDS: usize = 15;

/// For what asks no client: such a program settles at once, and varies less.
fn brief(settings: Settings) -> Settings {
    let Settings { warm, measured, .. } = settings;
    let (warm, measured) = (warm.min(Duration::from_millis(50)), measured.min(Duration::from_millis(150)));
    Settings { warm, measured, ..settings }
}

/// All cells, as one may name them: the part and what is special about the cell.
pub(crate) fn cells() -> Vec<String> {
    PARTS
        .iter()
        .flat_map(|part| (part.cells)().into_iter().map(|cell| format!("{}/{cell}", part.name)))
        .collect()
}

/// Runs the comparison.
pub(crate) fn compare(asked: &Asked) -> Result<(), String> {
    let (rounds, warm, measured) = match asked.quick {
        true => (3, 50, 100),
        false => (asked.rounds.unwrap_or(ROUNDS), 150, 350),
    };
    let (warm, measured) = (Duration::from_millis(warm), Duration::from_millis(measured));
    let settings = Settings { warm, measured, counting: false };
    let machine = Machine::here();
    machine.print(&asked.command, rounds);
    println!("each run: {warm:?} to warm up, {measured:?} measured");
    if asked.quick {
        println!("a quick run: too few rounds to judge by");
    }
    let mut gates = Gates::default();
    let mut figures = Map::new();
    for part in PARTS {
        let cells = (part.cells)().into_iter().enumerate();
        let wanted = cells.filter(|(_, cell)| asked.wants_cell(&format!("{}/{cell}", part.name)));
        let wanted: Vec<usize> = wanted.map(|(index, _)| index).collect();
        if !wanted.is_empty() {
            figures.insert(part.name.to_owned(), (part.compare)(&wanted, rounds, settings, &mut gates)?);
        }
    }
    gates.print();
    println!("load average at the end: {}", machine::load());
    asked.keep(&json!({
        "command": asked.command,
        "build": gate::BUILD,
        "machine": machine.json(),
        "rounds": rounds,
        "warm_ms": warm.as_millis() as u64,
        "measured_ms": measured.as_millis() as u64,
        "quick": asked.quick,
        "parts": figures,
        "gates": gates.json(),
    }))?;
    gates.complete()
}

/// Runs a program of this comparison, in its own process.
pub(crate) fn serve(words: &[&str], settings: Settings) -> Result<Option<Value>, String> {
    Ok(Some(match *words {
        ["echo", name, workers, work] => {
            return echo::serve(name, number(workers)?, number(work)?).map(|()| None);
        }
        ["http", name] => return http::serve(name).map(|()| None),
        ["tasks", name, operation] => tasks::serve(name, operation, settings)?.json(),
        ["wake", name, place] => wake::serve(name, place, settings)?.json(),
        ["files", name, path] => files::serve(name, path, settings)?.json(),
        _ => return Err(not_for_people()),
    }))
}
