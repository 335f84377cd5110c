//! `cargo xtask soak`: the simulation's programs of chance on the completion port, many more of them than the tests run;
//! `cargo xtask soak rt`: those on the whole runtime; `cargo xtask soak stress`: the stress on real connections, for
//! longer than the tests run it; and `cargo xtask soak peers`: a server of the runtime whose peers, other processes, come
//! by thousands, are killed and do not read.

use std::{
    process::ExitCode,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    command::{cargo, run as run_command},
    house::House,
};

/// Programs of chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Programs {
    /// On the completion port.
    Port,
    /// On the runtime.
    Rt,
}

impl Programs {
    /// The package, and the test that runs them.
    fn test(self) -> (&'static str, &'static str) {
        match self {
            Programs::Port => ("ostia-port", "every_operation_ends_once"),
            Programs::Rt => ("ostia-rt", "the_promises_hold"),
        }
    }

    /// How many seeds run between two looks at the clock: about twenty seconds.
    fn round(self) -> u64 {
        match self {
            Programs::Port => 10_000,
            Programs::Rt => 2_000,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    /// So many seeds, from 0 on.
    Seeds(Programs, u64),
    /// So many minutes, with seeds that no earlier soak had.
    Minutes(Programs, u64),
    /// So many seconds of stress on each back end that has it.
    Stress(u64),
    /// So many seconds of peers that go wrong, on all back ends together.
    Peers(u64),
}

/// Runs for as long as was asked for. A seed that breaks a promise ends it, with the line that replays it.
pub(crate) fn run(house: &House, arguments: &[String]) -> Result<ExitCode, String> {
    let done = match parse(arguments)? {
        Length::Seeds(programs, seeds) => round(house, programs, 0, seeds),
        Length::Stress(seconds) => stress(house, seconds),
        Length::Peers(seconds) => peers(house, seconds),
        Length::Minutes(programs, minutes) => {
            let end = Instant::now() + Duration::from_secs(minutes * 60);
            // Seconds since 1970, each worth a million seeds: two soaks have none in common.
            let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            let mut first = since * 1_000_000;
            loop {
                let done = round(house, programs, first, programs.round());
                if done.is_err() || Instant::now() >= end {
                    break done;
                }
                first += programs.round();
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

fn round(house: &House, programs: Programs, first: u64, seeds: u64) -> Result<(), String> {
    let (package, test) = programs.test();
    eprintln!("\n=== {package}: {seeds} seeds from {first} on");
    let mut command = cargo(house);
    command.args(["test", "--quiet", "-p", package, "--test", "simulation", test]);
    command.env("OSTIA_SEED_FIRST", first.to_string()).env("OSTIA_SEEDS", seeds.to_string());
    run_command(command.env_remove("OSTIA_SEED"))
}

fn stress(house: &House, seconds: u64) -> Result<(), String> {
    eprintln!("\n=== {seconds} seconds of stress on each back end");
    let mut command = cargo(house);
    command.args(["test", "--release", "-p", "ostia-port", "--test", "stress", "--", "--nocapture"]);
    run_command(command.env("OSTIA_STRESS_SECONDS", seconds.to_string()))
}

fn peers(house: &House, seconds: u64) -> Result<(), String> {
    eprintln!("\n=== {seconds} seconds of peers that go wrong");
    let mut command = cargo(house);
    command.args(["test", "--release", "-p", "ostia-rt", "--test", "faults", "--"]);
    command.args(["--exact", "soak", "--ignored", "--nocapture"]);
    run_command(command.env("OSTIA_SOAK_SECONDS", seconds.to_string()))
}

fn parse(arguments: &[String]) -> Result<Length, String> {
    let number = |text: &String| text.parse().ok().filter(|number| (1..=1_000_000_000).contains(number));
    if let [what, options @ ..] = arguments
        && (what == "stress" || what == "peers")
    {
        let length = if what == "stress" { Length::Stress } else { Length::Peers };
        return match options {
            [] => Ok(length(60)),
            [option, value] if option == "--seconds" => {
                let seconds = number(value).map(length);
                seconds.ok_or_else(|| format!("--seconds wants a whole number, not `{value}`"))
            }
            _ => Err(format!("soak {what} takes --seconds S")),
        };
    }
    let (programs, options) = match arguments {
        [what, options @ ..] if what == "rt" => (Programs::Rt, options),
        options => (Programs::Port, options),
    };
    match options {
        [] => Ok(Length::Minutes(programs, 1)),
        [option, value] if option == "--seeds" || option == "--minutes" => {
            let number =
                number(value).ok_or_else(|| format!("{option} wants a whole number, not `{value}`"))?;
            let length = if option == "--seeds" { Length::Seeds } else { Length::Minutes };
            Ok(length(programs, number))
        }
        _ => Err("soak takes --seeds N or --minutes M, behind the word rt for the runtime; or stress or peers with or \
                  without --seconds S"
            .to_owned()),
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
        assert_eq!(parsed(""), Ok(Length::Minutes(Programs::Port, 1)));
        assert_eq!(parsed("--seeds 20"), Ok(Length::Seeds(Programs::Port, 20)));
        assert_eq!(parsed("--minutes 3"), Ok(Length::Minutes(Programs::Port, 3)));
        assert_eq!(parsed("rt"), Ok(Length::Minutes(Programs::Rt, 1)));
        assert_eq!(parsed("rt --seeds 10000"), Ok(Length::Seeds(Programs::Rt, 10_000)));
        assert_eq!(parsed("stress"), Ok(Length::Stress(60)));
        assert_eq!(parsed("stress --seconds 5"), Ok(Length::Stress(5)));
        assert_eq!(parsed("peers"), Ok(Length::Peers(60)));
        assert_eq!(parsed("peers --seconds 600"), Ok(Length::Peers(600)));
        for wrong in [
            "stress 5",
            "rt stress",
            "rt 5",
            "stress --seconds x",
            "peers --seeds 5",
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
