//! `ostia-bench hash`: ours and the peers in one interleaved run.
#![forbid(unsafe_code)]

mod gate;
mod generated;
mod lookup;
mod machine;
mod measure;
mod peers;
mod search;
mod sets;

use std::{env, fs, path::PathBuf, process::ExitCode};

use serde_json::json;

use crate::{gate::Gates, machine::Machine};

const USAGE: &str = "ostia-bench hash [--quick] [--rounds N] [--only lookup|search] [--json FILE]";

/// At least so many rounds make a median that counts.
const ROUNDS_LEAST: usize = 9;

#[derive(Debug)]
struct Asked {
    rounds: usize,
    quick: bool,
    only: Option<String>,
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let asked = match parse(&arguments) {
        Ok(asked) => asked,
        Err(why) => {
            eprintln!("{why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match hash(&asked, &arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Result<Asked, String> {
    let mut asked = Asked { rounds: 31, quick: false, only: None, json: None };
    let mut left = arguments.iter();
    match left.next().map(String::as_str) {
        Some("hash") => {}
        Some(other) => return Err(format!("there is no comparison {other}")),
        None => return Err("which comparison?".into()),
    }
    while let Some(option) = left.next() {
        let mut value = || left.next().ok_or_else(|| format!("{option} needs a value"));
        match option.as_str() {
            "--quick" => asked.quick = true,
            "--rounds" => {
                asked.rounds = value()?.parse().map_err(|error| format!("--rounds: {error}"))?;
                if asked.rounds < ROUNDS_LEAST {
                    return Err(format!("--rounds: at least {ROUNDS_LEAST}"));
                }
            }
            "--only" => match value()?.as_str() {
                part @ ("lookup" | "search") => asked.only = Some(part.to_owned()),
                other => return Err(format!("--only: lookup or search, not {other}")),
            },
            "--json" => asked.json = Some(PathBuf::from(value()?)),
            other => return Err(format!("there is no option {other}")),
        }
    }
    Ok(asked)
}

fn hash(asked: &Asked, arguments: &[String]) -> Result<(), String> {
    // Lookups take microseconds, searches up to seconds.
    let (lookups, searches) = match asked.quick {
        true => (3, 2),
        false => (asked.rounds, (asked.rounds / 3).max(ROUNDS_LEAST)),
    };
    let command = format!("ostia-bench {}", arguments.join(" "));
    let machine = Machine::here();
    machine.print(&command, lookups);
    if asked.quick {
        println!("a quick run: too few rounds to judge by");
    }
    let mut gates = Gates::default();
    let wanted = |part: &str| asked.only.as_ref().is_none_or(|only| only == part);
    let lookup = if wanted("lookup") { lookup::compare(lookups, &mut gates)? } else { json!(null) };
    let search = if wanted("search") { search::measure(searches, &mut gates)? } else { json!(null) };
    gates.print();
    if let Some(path) = &asked.json {
        let all = json!({
            "command": command,
            "build": gate::BUILD,
            "machine": machine.json(),
            "rounds": { "lookup": lookups, "search": searches },
            "quick": asked.quick,
            "lookup": lookup,
            "search": search,
            "gates": gates.json(),
        });
        fs::write(path, format!("{all:#}\n")).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}
