//! `cargo xtask fuzz`: a short run of each fuzz target. A long run is `cargo +nightly fuzz run TARGET`.

use std::process::{Command, ExitCode};

use crate::{
    command::{cargo_of, output, run as run_command},
    house::House,
    tools,
};

/// Runs the target that was named, or every target, for some seconds each.
pub(crate) fn run(house: &House, arguments: &[String]) -> Result<ExitCode, String> {
    let (chosen, seconds) = parse(arguments)?;
    if !house.root.join("fuzz/Cargo.toml").is_file() {
        return Err("there is no fuzz/Cargo.toml in this checkout yet".to_owned());
    }
    tools::FUZZ.find(house)?;
    let list = output(cargo_fuzz(house).arg("list"))
        .ok_or("`cargo +nightly fuzz list` failed; is there a nightly toolchain?")?;
    let targets: Vec<&str> =
        list.lines().filter(|name| chosen.as_ref().is_none_or(|one| one == name)).collect();
    if targets.is_empty() {
        return Err(format!("there is no such fuzz target; there are:\n{list}"));
    }
    let mut failed = Vec::new();
    for target in targets {
        let mut command = cargo_fuzz(house);
        command.args(["run", target, "--", &format!("-max_total_time={seconds}")]);
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

/// `cargo fuzz` of the nightly toolchain, which alone has the sanitizers.
fn cargo_fuzz(house: &House) -> Command {
    let mut command = cargo_of(house, "nightly");
    let own = tools::folder(house);
    let path = std::env::var_os("PATH").unwrap_or_default();
    // The path may hold what cannot be joined again; then the user's own tools must do.
    if let Ok(path) = std::env::join_paths(std::env::split_paths(&path).chain([own])) {
        command.env("PATH", path);
    }
    command.env("CARGO_TARGET_DIR", house.target.join("fuzz")).arg("fuzz");
    command
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
