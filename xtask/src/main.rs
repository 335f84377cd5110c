//! What CI runs, in Rust: `cargo xtask --help` says what there is.
#![forbid(unsafe_code)]

mod bench;
mod check;
mod command;
#[cfg(test)]
mod conformance;
mod examples;
mod fuzz;
mod house;
#[cfg(test)]
mod pages;
mod soak;
mod tally;
mod tools;
mod windows;

use std::process::ExitCode;

use house::House;

const HELP: &str = "\
cargo xtask: what CI runs, and a few things made by program

  cargo xtask check               every leg below, then a table of what became of them
  cargo xtask check fmt clippy    these legs alone
  cargo xtask check --no-skips    a leg that cannot run here counts as failed
  cargo xtask windows [ARGS]      `cargo test ARGS` for Windows, under Wine: -p ostia-hash keys
  cargo xtask examples            writes the key sets of examples/keys afresh
  cargo xtask bench hash [ARGS]   the comparison with other crates, native build and generic build
  cargo xtask bench port [ARGS]   the completion port beside hand-written programs and other crates (Linux)
  cargo xtask bench rt [ARGS]     the runtime beside other runtimes (Linux); words name cells: echo/1w 200us idle
  cargo xtask bench bulk [ARGS]   the program at whole folders, engine against engine (Linux); words name cells: chm flat
  cargo xtask fuzz [TARGET] [--seconds N]
                                  every fuzz target, or one, for N seconds each (10)
  cargo xtask soak [--seeds N | --minutes M]
                                  programs of chance on the simulated completion port, for a minute
  cargo xtask soak stress [--seconds S]
                                  thousands of connections on each real back end, for a minute each (Linux)
  cargo xtask soak peers [--seconds S]
                                  a server of the runtime whose peers are killed, do not read, come by thousands

Legs of `check` (the tests of this system are `cargo test --workspace`, which .ci/run runs first):
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(code) => code,
        Err(sentence) => {
            eprintln!("xtask: {sentence}");
            ExitCode::from(2)
        }
    }
}

/// Does what was asked for. An error is a sentence for the user, who asked for something that cannot be.
fn run(arguments: &[String]) -> Result<ExitCode, String> {
    let house = House::here();
    let Some((verb, rest)) = arguments.split_first() else {
        help();
        return Ok(ExitCode::from(2));
    };
    match verb.as_str() {
        "check" => check::run(&house, rest),
        "windows" => windows::run(&house, rest),
        "examples" => examples::write(&house).map(|()| ExitCode::SUCCESS),
        "bench" => bench::run(&house, rest),
        "fuzz" => fuzz::run(&house, rest),
        "soak" => soak::run(&house, rest),
        "help" | "--help" | "-h" => {
            help();
            Ok(ExitCode::SUCCESS)
        }
        other => Err(format!("there is no `{other}`; `cargo xtask --help` lists what there is")),
    }
}

fn help() {
    print!("{HELP}");
    for leg in check::LEGS {
        println!("  {:10} {}", leg.name, leg.about);
    }
}
