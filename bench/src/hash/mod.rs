//! `ostia-bench hash`: lookups and searches of ours, of other crates and of the predecessor.

mod generated;
mod lookup;
mod peers;
mod search;
pub(crate) mod sets;

use serde_json::json;

use crate::{
    arguments::{Asked, ROUNDS_LEAST},
    gate::{self, Gates},
    machine::Machine,
};

/// What `--only` may name.
pub(crate) const PARTS: [&str; 2] = ["lookup", "search"];

/// Runs the comparison.
pub(crate) fn compare(asked: &Asked) -> Result<(), String> {
    // Lookups take microseconds, searches up to seconds.
    let rounds = asked.rounds.unwrap_or(31);
    let (lookups, searches) = match asked.quick {
        true => (3, 2),
        false => (rounds, (rounds / 3).max(ROUNDS_LEAST)),
    };
    let machine = Machine::here();
    machine.print(&asked.command, lookups);
    if asked.quick {
        println!("a quick run: too few rounds to judge by");
    }
    let mut gates = Gates::default();
    let lookup = if asked.wants("lookup") { lookup::compare(lookups, &mut gates)? } else { json!(null) };
    let search = if asked.wants("search") { search::measure(searches, &mut gates)? } else { json!(null) };
    gates.print();
    asked.keep(&json!({
        "command": asked.command,
        "build": gate::BUILD,
        "machine": machine.json(),
        "rounds": { "lookup": lookups, "search": searches },
        "quick": asked.quick,
        "lookup": lookup,
        "search": search,
        "gates": gates.json(),
    }))
}
