//! `cargo xtask fuzz`: a short run of each fuzz target. A long run is `cargo +nightly fuzz run TARGET`.

use std::process::ExitCode;

use crate::{
    command::{cargo_of, exists, output, run as run_command},
    house::House,
};

/// Runs the target that was named, or every target, for some seconds each.
pub(crate) fn run(house: &House, arguments: &[String]) -> Result<ExitCode, String> {
    let (chosen, seconds) = parse(arguments)?;
    if !house.root.join("fuzz/Cargo.toml").is_file() {
        return Err("there is no fuzz/Cargo.toml in this checkout yet".to_owned());
    }
    if !exists("cargo-fuzz") {
        return Err("cargo-fuzz is not installed: cargo install --locked cargo-fuzz".to_owned());
    }
    let list = output(cargo_of(house, "nightly").args(["fuzz", "list"]))
        .ok_or("`cargo +nightly fuzz list` failed; is there a nightly toolchain?")?;
    let targets: Vec<&str> =
        list.lines().filter(|name| chosen.as_ref().is_none_or(|one| one == name)).collect();
    if targets.is_empty() {
        return Err(format!("there is no such fuzz target; there are:\n{list}"));
    }
    let mut failed = Vec::new();
    for target in targets {
        let mut command = cargo_of(house, "nightly");
        command.args(["fuzz", "run", target, "--", &format!("-max_total_time={seconds}")]);
        if let Err(why) = run_command(&mut command) {
            eprintln!("{why}");
            failed.push(target);
        }
    }
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("failed: {}", failed.join(", "));
    Ok(ExitCode::FAILURE)
}

/// The target, if one was named, and the seconds for each.
fn parse(arguments: &[String]) -> Result<(Option<String>, u64), String> {
    let (mut target, mut seconds) = (None, 10);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == "--seconds" {
            let number = arguments.next().and_then(|number| number.parse().ok());
            seconds = number.ok_or("--seconds wants a whole number")?;
        } else if target.is_none() && !argument.starts_with('-') {
            target = Some(argument.clone());
        } else {
            return Err(format!("`{argument}` is not understood; `cargo xtask --help`"));
        }
    }
    Ok((target, seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<(Option<String>, u64), String> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_target_and_its_seconds_come_in_any_order() {
        assert_eq!(parsed(""), Ok((None, 10)));
        assert_eq!(parsed("table --seconds 3"), Ok((Some("table".to_owned()), 3)));
        assert_eq!(parsed("--seconds 3 table"), Ok((Some("table".to_owned()), 3)));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert!(parsed("--seconds").is_err());
        assert!(parsed("a b").is_err_and(|why| why.contains("`b`")));
    }
}
