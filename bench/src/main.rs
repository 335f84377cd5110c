//! `ostia-bench hash`, `ostia-bench port`, `ostia-bench rt` and `ostia-bench bulk`: ours and the peers in one interleaved run.

// The programs that talk to the kernel without a net under them, and the counting allocator, allow it for
// themselves and say why.
#![deny(unsafe_code)]

mod arguments;
mod bulk;
mod gate;
mod harness;
mod hash;
mod machine;
mod measure;
mod port;
mod rt;

use std::{env, process::ExitCode};

use crate::arguments::{Asked, Names};

const USAGE: &str = "\
ostia-bench hash [--quick] [--rounds N] [--only lookup|search] [--json FILE]
ostia-bench port [--quick] [--rounds N] [--only echo|nop|files|wake|timers|alloc] [--json FILE]
ostia-bench rt   [--quick] [--rounds N] [--json FILE] [CELL...], each a part of a cell's name
ostia-bench bulk [--quick] [--rounds N] [--json FILE] [CELL...]; `cargo xtask bench bulk` says which program";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    // What some of them compare runs in processes of its own, and those are this program again.
    if let Some(("program", rest)) = arguments.split_first().map(|(verb, rest)| (verb.as_str(), rest)) {
        return harness::program::main(rest, &[("port", port::serve), ("rt", rt::serve)]);
    }
    let run = match parse(&arguments) {
        Ok(run) => run,
        Err(why) => {
            eprintln!("{why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// The comparison that was asked for, ready to run.
fn parse(arguments: &[String]) -> Result<impl FnOnce() -> Result<(), String>, String> {
    let (name, options) = arguments.split_first().ok_or("which comparison?")?;
    let (names, compare): (_, fn(&Asked) -> _) = match name.as_str() {
        "hash" => (Names::Parts(&hash::PARTS), hash::compare),
        "port" => (Names::Parts(&port::PARTS), port::compare),
        "bulk" => (Names::Cells(bulk::cells()), bulk::compare),
        "rt" => (Names::Cells(rt::cells()), rt::compare),
        other => return Err(format!("there is no comparison {other}")),
    };
    let asked = Asked::parse(name, &names, options)?;
    Ok(move || compare(&asked))
}
