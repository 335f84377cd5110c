//! `cargo xtask bench`: the comparisons of bench/, which is a workspace of its own.

use std::process::ExitCode;

use crate::{
    command::{cargo, run as run_command},
    house::House,
};

/// Runs a comparison twice: built for the CPU at hand, and for any CPU of its architecture. The two are never
/// mixed in one table, and each has its own target directory, so that neither rebuilds the other.
pub(crate) fn run(house: &House, arguments: &[String]) -> Result<ExitCode, String> {
    if arguments.is_empty() {
        return Err("which comparison? `cargo xtask bench hash`".to_owned());
    }
    if !house.root.join("bench/Cargo.toml").is_file() {
        return Err("there is no bench/Cargo.toml in this checkout yet".to_owned());
    }
    for (name, flags) in [("native", "-Ctarget-cpu=native"), ("generic", "")] {
        eprintln!("\n=== {name} build (RUSTFLAGS=\"{flags}\")");
        let mut command = cargo(house);
        command.args(["run", "--release", "--manifest-path", "bench/Cargo.toml", "--"]).args(arguments);
        command.env("RUSTFLAGS", flags).env("CARGO_TARGET_DIR", house.target.join("bench").join(name));
        if let Err(why) = run_command(&mut command) {
            eprintln!("{why}");
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}
