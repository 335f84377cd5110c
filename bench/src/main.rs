//! `ostia-bench hash` and `ostia-bench port`: ours and the peers in one interleaved run.

// The programs that talk to the kernel without a net under them, and the counting allocator, allow it for
// themselves and say why.
#![deny(unsafe_code)]

mod arguments;
mod gate;
mod hash;
mod machine;
mod measure;
mod port;

use std::{env, fs, process::ExitCode};

use crate::arguments::Asked;

const USAGE: &str = "\
ostia-bench hash [--quick] [--rounds N] [--only lookup|search] [--json FILE]
ostia-bench port [--quick] [--rounds N] [--only echo|nop|files|wake|timers|alloc] [--json FILE]";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    // What `port` compares runs in processes of their own, and those are this program again.
    if let Some(("program", rest)) = arguments.split_first().map(|(verb, rest)| (verb.as_str(), rest)) {
        return port::program::main(rest);
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
    let (parts, compare): (&[&str], fn(&Asked) -> _) = match name.as_str() {
        "hash" => (&hash::PARTS, hash::compare),
        "port" => (&port::PARTS, port::compare),
        other => return Err(format!("there is no comparison {other}")),
    };
    let asked = Asked::parse(name, parts, options)?;
    Ok(move || {
        let figures = compare(&asked)?;
        match &asked.json {
            Some(path) => fs::write(path, format!("{figures:#}\n"))
                .map_err(|error| format!("{}: {error}", path.display())),
            None => Ok(()),
        }
    })
}
