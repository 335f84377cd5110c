//! `cargo xtask soak`: the simulation's programs of chance, many more of them than the tests run; and
//! `cargo xtask soak stress`: the stress on real connections, for longer than the tests run it.

use std::{
    process::ExitCode,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    command::{cargo, run as run_command},
    house::House,
};

/// How many seeds run between two looks at the clock: about twenty seconds.
const ROUND: u64 = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    /// So many seeds, from 0 on.
    Seeds(u64),
    /// So many minutes, with seeds that no earlier soak had.
    Minutes(u64),
    /// So many seconds of stress on each back end that has it.
    Stress(u64),
}

/// Runs for as long as was asked for. A seed that breaks a promise ends it, with the line that replays it.
pub(crate) fn run(house: &House, arguments: &[String]) -> Result<ExitCode, String> {
    let done = match parse(arguments)? {
        Length::Seeds(seeds) => round(house, 0, seeds),
        Length::Stress(seconds) => stress(house, seconds),
        Length::Minutes(minutes) => {
            let end = Instant::now() + Duration::from_secs(minutes * 60);
            // Seconds since 1970, each worth a million seeds: two soaks have none in common.
            let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            let mut first = since * 1_000_000;
            loop {
                let done = round(house, first, ROUND);
                if done.is_err() || Instant::now() >= end {
                    break done;
                }
                first += ROUND;
            }
        }
    };
    match done {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(why) => {
            eprintln!("{why}");
            Ok(ExitCode::FAILURE)
        }
    }
}

fn round(house: &House, first: u64, seeds: u64) -> Result<(), String> {
    eprintln!("\n=== {seeds} seeds from {first} on");
    let mut command = cargo(house);
    command.args([
        "test",
        "--quiet",
        "-p",
        "ostia-port",
        "--test",
        "simulation",
        "every_operation_ends_once",
    ]);
    command.env("OSTIA_SEED_FIRST", first.to_string()).env("OSTIA_SEEDS", seeds.to_string());
    run_command(command.env_remove("OSTIA_SEED"))
}

fn stress(house: &House, seconds: u64) -> Result<(), String> {
    eprintln!("\n=== {seconds} seconds of stress on each back end");
    let mut command = cargo(house);
    command.args(["test", "--release", "-p", "ostia-port", "--test", "stress", "--", "--nocapture"]);
    run_command(command.env("OSTIA_STRESS_SECONDS", seconds.to_string()))
}

fn parse(arguments: &[String]) -> Result<Length, String> {
    let number = |text: &String| text.parse().ok().filter(|number| (1..=1_000_000_000).contains(number));
    match arguments {
        [] => Ok(Length::Minutes(1)),
        [what] if what == "stress" => Ok(Length::Stress(60)),
        [what, option, value] if what == "stress" && option == "--seconds" => {
            let seconds = number(value);
            seconds
                .map(Length::Stress)
                .ok_or_else(|| format!("--seconds wants a whole number, not `{value}`"))
        }
        [option, value] if option == "--seeds" || option == "--minutes" => {
            let number =
                number(value).ok_or_else(|| format!("{option} wants a whole number, not `{value}`"))?;
            Ok(if option == "--seeds" { Length::Seeds(number) } else { Length::Minutes(number) })
        }
        _ => Err("soak takes --seeds N or --minutes M, or stress with or without --seconds S".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Length, String> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_soak_is_so_many_seeds_or_minutes_and_a_minute_unless_told() {
        assert_eq!(parsed(""), Ok(Length::Minutes(1)));
        assert_eq!(parsed("--seeds 20"), Ok(Length::Seeds(20)));
        assert_eq!(parsed("--minutes 3"), Ok(Length::Minutes(3)));
        assert_eq!(parsed("stress"), Ok(Length::Stress(60)));
        assert_eq!(parsed("stress --seconds 5"), Ok(Length::Stress(5)));
        for wrong in [
            "stress 5",
            "stress --seconds x",
            "--seeds",
            "--seeds 0",
            "--seeds x",
            "7",
            "--seeds 1 --minutes 1",
        ] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
