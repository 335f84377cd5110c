//! `cargo xtask check`: the legs, one after the other or one alone.

use std::{
    fmt,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use crate::{
    command::{cargo, cargo_of, output, run as run_command, run_tests},
    house::House,
    tools,
    windows::{self, Ready},
};

/// One thing that is checked.
pub(crate) struct Leg {
    /// What one types.
    pub(crate) name: &'static str,
    /// What it does, in half a line.
    pub(crate) about: &'static str,
    run: fn(&House) -> Outcome,
}

/// What became of a leg.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// It holds; with a word on what was counted, if anything was.
    Holds(String),
    /// It does not hold, and why.
    Failed(String),
    /// It cannot run here, and why.
    Skipped(String),
}

impl Outcome {
    /// Holds when the command succeeded.
    fn of(result: Result<(), String>) -> Outcome {
        match result {
            Ok(()) => Outcome::Holds(String::new()),
            Err(why) => Outcome::Failed(why),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Holds(note) if note.is_empty() => write!(f, "ok"),
            Outcome::Holds(note) => write!(f, "ok       {note}"),
            Outcome::Failed(why) => write!(f, "FAILED   {why}"),
            Outcome::Skipped(why) => write!(f, "SKIPPED  {why}"),
        }
    }
}

/// Every leg: cheap ones first, so that a slip is heard of early.
pub(crate) const LEGS: &[Leg] = &[
    Leg { name: "fmt", about: "cargo fmt --check here, in bench/ and in fuzz/", run: fmt_leg },
    Leg { name: "deny", about: "cargo deny: bans, licences, sources (deny.toml)", run: deny_leg },
    Leg { name: "no_std", about: "ostia-hash without the standard library", run: no_std_leg },
    Leg {
        name: "clippy",
        about: "clippy with warnings denied, for this system and for Windows",
        run: clippy_leg,
    },
    Leg { name: "aside", about: "clippy in bench/ and in fuzz/, which nothing else builds", run: aside_leg },
    Leg { name: "docs", about: "cargo doc with warnings denied", run: docs_leg },
    Leg { name: "windows", about: "all tests, built for Windows and run under Wine", run: windows::test_leg },
    Leg {
        name: "loom",
        about: "every order of steps on what threads share in ostia-port and ostia-rt",
        run: loom_leg,
    },
    Leg {
        name: "miri",
        about: "chosen tests of ostia-hash, ostia-emit, ostia-port and ostia-rt under Miri (nightly)",
        run: miri_leg,
    },
];

/// Tests that Miri runs: the ones that are about memory and small enough. The package, the program of it, and a
/// name that must match a test; the empty one matches all.
const MIRI_TESTS: &[(&str, &str, &str)] = &[
    ("ostia-hash", "--lib", "philox::"),
    ("ostia-hash", "--lib", "squeeze::"),
    ("ostia-hash", "--lib", "bytes::"),
    ("ostia-hash", "--lib", "keys::"),
    ("ostia-hash", "--lib", "a_panic_in_an_attempt"),
    ("ostia-emit", "--test=load", ""),
    ("ostia-port", "--test=simulation", "kernel::a"),
    ("ostia-port", "--test=simulation", "every_operation_ends_once"),
    ("ostia-rt", "--lib", "task::"),
];

/// Runs the legs that were named, or all.
pub(crate) fn run(house: &House, arguments: &[String]) -> Result<ExitCode, String> {
    let mut legs: Vec<&Leg> = Vec::new();
    let mut skips_allowed = true;
    for argument in arguments {
        if argument == "--no-skips" {
            skips_allowed = false;
        } else if let Some(leg) = LEGS.iter().find(|leg| leg.name == argument) {
            legs.push(leg);
        } else {
            let names: Vec<&str> = LEGS.iter().map(|leg| leg.name).collect();
            return Err(format!("there is no leg `{argument}`; there are {}", names.join(", ")));
        }
    }
    if legs.is_empty() {
        legs.extend(LEGS);
    }
    let mut results = Vec::new();
    for leg in legs {
        eprintln!("\n=== {}: {}", leg.name, leg.about);
        let start = Instant::now();
        let outcome = (leg.run)(house);
        let took = start.elapsed();
        eprintln!("=== {}: {outcome} ({:.1} s)", leg.name, took.as_secs_f64());
        results.push((leg.name, took, outcome));
    }
    println!("\n{}", table(&results));
    Ok(if passed(&results, skips_allowed) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn passed(results: &[(&str, Duration, Outcome)], skips_allowed: bool) -> bool {
    results.iter().all(|(_, _, outcome)| match outcome {
        Outcome::Holds(_) => true,
        Outcome::Skipped(_) => skips_allowed,
        Outcome::Failed(_) => false,
    })
}

fn table(results: &[(&str, Duration, Outcome)]) -> String {
    let mut table = format!("{:10} {:>8}  result", "leg", "seconds");
    for (name, took, outcome) in results {
        table.push_str(&format!("\n{name:10} {:>8.1}  {outcome}", took.as_secs_f64()));
    }
    table
}

/// Workspaces of their own that exist in this checkout.
fn side_workspaces(house: &House) -> impl Iterator<Item = &'static str> + '_ {
    ["bench", "fuzz"].into_iter().filter(|name| house.root.join(name).join("Cargo.toml").is_file())
}

/// The workspaces that stand aside break unseen when a name they use changes.
fn aside_leg(house: &House) -> Outcome {
    let mut result = Ok(());
    for name in side_workspaces(house) {
        let mut command = cargo(house);
        command.current_dir(house.root.join(name)).args(["clippy", "--all-targets", "--", "-D", "warnings"]);
        command.env("CARGO_TARGET_DIR", house.target.join("aside"));
        result = result.and(run_command(&mut command));
    }
    Outcome::of(result)
}

fn fmt_leg(house: &House) -> Outcome {
    let mut result = run_command(cargo(house).args(["fmt", "--all", "--check"]));
    for name in side_workspaces(house) {
        let folder = house.root.join(name);
        result = result.and(run_command(cargo(house).current_dir(folder).args(["fmt", "--all", "--check"])));
    }
    Outcome::of(result)
}

fn deny_leg(house: &House) -> Outcome {
    let program = match tools::DENY.find(house) {
        Ok(program) => program,
        Err(why) => return Outcome::Skipped(why),
    };
    // Advisories are left out: they need a data base from the network, and what is green must not depend on it.
    let mut command = Command::new(program);
    command.current_dir(&house.root).args(["--all-features", "check", "bans", "licenses", "sources"]);
    Outcome::of(run_command(&mut command))
}

fn no_std_leg(house: &House) -> Outcome {
    const BARE: &str = "x86_64-unknown-none";
    let check = ["check", "-p", "ostia-hash", "--no-default-features"];
    if let Err(why) = run_command(cargo(house).args(check)) {
        return Outcome::Failed(why);
    }
    // On a system with std, a stray `std::` in a dependency compiles all the same. A target without one tells.
    if !windows::add_target(house, BARE) {
        return Outcome::Holds(format!("not on a target without std: {BARE} is not installed"));
    }
    match run_command(cargo(house).args(check).args(["--target", BARE])) {
        Ok(()) => Outcome::Holds(format!("on {BARE} as well")),
        Err(why) => Outcome::Failed(why),
    }
}

fn clippy_leg(house: &House) -> Outcome {
    let flags = ["--workspace", "--all-targets"];
    let deny = ["--", "-D", "warnings"];
    if let Err(why) = run_command(cargo(house).arg("clippy").args(flags).args(deny)) {
        return Outcome::Failed(why);
    }
    // Its tests ask for every feature; without any it is what most will build.
    if let Err(why) = run_command(cargo(house).args(["clippy", "-p", "ostia-rt", "--lib"]).args(deny)) {
        return Outcome::Failed(why);
    }
    if cfg!(windows) {
        return Outcome::Holds("this system is Windows".to_owned());
    }
    match windows::compiler(house) {
        Ready::Yes(windows) => Outcome::of(run_command(
            windows.clippy(house).args(flags).args(["--target", windows::TARGET]).args(deny),
        )),
        Ready::No(why) => Outcome::Skipped(format!("ok for this system, not looked at for Windows: {why}")),
    }
}

fn docs_leg(house: &House) -> Outcome {
    let mut command = cargo(house);
    command.args(["doc", "--no-deps", "--workspace"]).env("RUSTDOCFLAGS", "-D warnings");
    Outcome::of(run_command(&mut command))
}

fn loom_leg(house: &House) -> Outcome {
    let mut command = cargo(house);
    command.args(["test", "-p", "ostia-port", "-p", "ostia-rt", "--test", "loom"]);
    command.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", house.target.join("loom"));
    match run_tests(&mut command) {
        Ok(tally) if tally.passed == 0 => {
            Outcome::Failed("no test was built: loom was not switched on".to_owned())
        }
        Ok(tally) => Outcome::Holds(format!("{} passed", tally.passed)),
        Err(why) => Outcome::Failed(why),
    }
}

fn miri_leg(house: &House) -> Outcome {
    let installed = |component: &str| {
        output(Command::new("rustup").args(["component", "list", "--installed", "--toolchain", "nightly"]))
            .is_some_and(|list| list.lines().any(|line| line.starts_with(component)))
    };
    if !(installed("miri") && installed("rust-src")) {
        let mut add = Command::new("rustup");
        add.args(["component", "add", "--toolchain", "nightly", "miri", "rust-src"]);
        if run_command(&mut add).is_err() {
            let how = "rustup toolchain install nightly --component miri rust-src";
            return Outcome::Skipped(format!("no nightly toolchain with miri: {how}"));
        }
    }
    let target = house.target.join("miri");
    let mut passed = 0;
    for (package, program, name) in MIRI_TESTS {
        let mut command = cargo_of(house, "nightly");
        command.args(["miri", "test", "-p", package, program, "--", name]).env("CARGO_TARGET_DIR", &target);
        // Miri is slow; the property tests among these need few cases and no record of failures.
        command.env("PROPTEST_CASES", "4").env("MIRIFLAGS", "-Zmiri-disable-isolation");
        match run_tests(&mut command) {
            Ok(tally) if tally.passed == 0 => {
                return Outcome::Failed(format!("no test of {package} matches `{name}`"));
            }
            Ok(tally) => passed += tally.passed,
            Err(why) => return Outcome::Failed(why),
        }
    }
    Outcome::Holds(format!("{passed} passed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(outcomes: &[Outcome]) -> Vec<(&'static str, Duration, Outcome)> {
        outcomes.iter().map(|outcome| ("fmt", Duration::from_millis(1500), outcome.clone())).collect()
    }

    #[test]
    fn one_failed_leg_fails_the_check() {
        let holds = Outcome::Holds(String::new());
        assert!(passed(&results(&[holds.clone(), holds.clone()]), true));
        assert!(!passed(&results(&[holds, Outcome::Failed("why".to_owned())]), true));
    }

    #[test]
    fn a_skip_fails_only_where_skips_are_not_allowed() {
        let skipped = results(&[Outcome::Skipped("no tool".to_owned())]);
        assert!(passed(&skipped, true));
        assert!(!passed(&skipped, false));
    }

    #[test]
    fn the_table_says_why_a_leg_did_not_run() {
        let table = table(&results(&[Outcome::Skipped("no tool".to_owned())]));
        assert_eq!(table, "leg         seconds  result\nfmt             1.5  SKIPPED  no tool");
    }
}
