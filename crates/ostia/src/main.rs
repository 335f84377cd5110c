//! The program: arguments, progress, exit codes. Nothing else.
#![forbid(unsafe_code)]

mod args;
mod command;
mod exit;
mod interrupt;
mod progress;
mod units;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = args::Args::parse();
    exit::code(command::run(&args))
}
