//! `cargo xtask bench`: the comparisons of bench/, which is a workspace of its own.

use std::process::ExitCode;

use crate::{
    command::{cargo, run as run_command},
    house::House,
};

/// A build: what it is called, and the compiler's flags.
type Build = (&'static str, &'static str);

const NATIVE: Build = ("native", "-Ctarget-cpu=native");
const GENERIC: Build = ("generic", "");

/// Runs a comparison. Lookups are measured twice: built for the CPU at hand, and for any CPU of its architecture.
/// The two are never mixed in one table, and each has its own target directory, so that neither rebuilds the
/// other. What waits for the kernel gains nothing from the CPU's own instructions, and is built for any.
pub(crate) fn run(house: &House, arguments: &[String]) -> Result<ExitCode, String> {
    let builds: &[Build] = match arguments.first().map(String::as_str) {
        Some("hash") => &[NATIVE, GENERIC],
        Some("port" | "rt" | "bulk") => &[GENERIC],
        _ => return Err("which comparison? `cargo xtask bench hash`, `port`, `rt` or `bulk`".to_owned()),
    };
    if !house.root.join("bench/Cargo.toml").is_file() {
        return Err("there is no bench/Cargo.toml in this checkout yet".to_owned());
    }
    // What bulk compares is the program itself, built as it is shipped.
    if arguments.first().is_some_and(|first| first == "bulk") {
        run_command(cargo(house).args(["build", "--release", "--package", "ostia"]))?;
    }
    for (name, flags) in builds {
        eprintln!("\n=== {name} build (RUSTFLAGS=\"{flags}\")");
        let mut command = cargo(house);
        command.args(["run", "--release", "--manifest-path", "bench/Cargo.toml", "--"]).args(arguments);
        command.env("RUSTFLAGS", flags).env("CARGO_TARGET_DIR", house.target.join("bench").join(name));
        command.env("OSTIA_BENCH_PROGRAM", house.target.join("release/ostia"));
        command.env("OSTIA_BENCH_FOLDER", house.target.join("bench/bulk"));
        if let Err(why) = run_command(&mut command) {
            eprintln!("{why}");
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}
