//! `ostia-bench port`: the completion port beside hand-written epoll and io_uring programs, and other crates.
//!
//! Every program runs in a fresh process for every figure, and the programs take turns. What counts is CPU time an
//! operation: on shared cores time on the wall says little.

mod alloc;
pub(crate) mod compio;
mod echo;
pub(crate) mod files;
mod nop;
mod ours;
mod polling;
mod raw_epoll;
mod raw_uring;
mod timers;
mod wake;

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::{
    arguments::Asked,
    gate::{self, Gates},
    harness::{
        processor,
        program::{Settings, not_for_people, number},
    },
    machine::Machine,
};

/// What `--only` may name.
pub(crate) const PARTS: [&str; 6] = ["echo", "nop", "files", "wake", "timers", "alloc"];

type Part = fn(rounds: usize, settings: Settings, gates: &mut Gates) -> Result<Value, String>;

/// Two programs of one process differ less from each other than two processes of one program: where its memory
/// lies makes up to a third. So many short runs tell more than few long ones.
const ROUNDS: usize = 21;

/// Runs the comparison.
pub(crate) fn compare(asked: &Asked) -> Result<(), String> {
    let (rounds, warm, measured) = match asked.quick {
        true => (2, 50, 100),
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
    let parts: [Part; 6] =
        [echo::compare, nop::compare, files::compare, wake::compare, timers::compare, alloc::compare];
    let mut gates = Gates::default();
    let mut figures = Map::new();
    for (name, compare) in PARTS.into_iter().zip(parts) {
        if asked.wants(name) {
            // What is counted does not vary as what is timed does.
            let rounds = if name == "alloc" { rounds.min(3) } else { rounds };
            figures.insert(name.to_owned(), compare(rounds, settings, &mut gates)?);
        }
    }
    gates.print();
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
    if words.first() != Some(&"wake") {
        // The first CPU is the programs', the second the client's; the two threads of `wake` have places of their own.
        processor::pin(0)?;
    }
    Ok(Some(match *words {
        ["echo", name, connections] => return echo::serve(name, number(connections)?).map(|()| None),
        ["nop", name, batch] => nop::serve(name, number(batch)?, settings)?.json(),
        ["files", name, path] => files::serve(name, path, settings)?.json(),
        ["wake", name, place] => wake::serve(name, place, settings)?.json(),
        ["timers", name] => timers::serve(name, settings)?,
        _ => return Err(not_for_people()),
    }))
}
