//! Runs the cases, one at a time, on each back end, and counts.

use std::{
    any::Any,
    fmt::Write as _,
    io::{self, Write as _},
    panic::{self, AssertUnwindSafe},
    process,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use ostia_port::{Backend, Port};

use crate::{
    case::{Aside, Case, Stage},
    kit,
    totals::{Owed, Totals},
};

/// A case that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same under Wine, where a call takes a hundred times as long.
const PATIENCE_WINE: Duration = Duration::from_secs(120);

/// After so many cases that hang, the rest of a back end is not tried.
const HANGS_MAX: usize = 3;

fn patience() -> Duration {
    if kit::is_wine() { PATIENCE_WINE } else { PATIENCE }
}

/// What was asked for, as libtest's arguments say it.
#[derive(Debug, Default)]
struct Asked {
    filters: Vec<String>,
    skips: Vec<String>,
    exact: bool,
    list: bool,
    quiet: bool,
    /// `--ignored`: nothing of ours is.
    ignored: bool,
}

impl Asked {
    fn from(arguments: impl Iterator<Item = String>) -> Asked {
        let mut asked = Asked::default();
        let mut arguments = arguments.peekable();
        while let Some(argument) = arguments.next() {
            let (flag, mut value) = match argument.split_once('=') {
                Some((flag, value)) if flag.starts_with('-') => (flag.to_owned(), Some(value.to_owned())),
                _ => (argument, None),
            };
            if !flag.starts_with('-') {
                asked.filters.push(flag);
                continue;
            }
            let takes_value =
                ["--skip", "--test-threads", "--format", "--color", "--logfile", "--shuffle-seed", "-Z"];
            if takes_value.contains(&flag.as_str()) && value.is_none() {
                value = arguments.next();
            }
            match flag.as_str() {
                "--skip" => asked.skips.extend(value),
                "--exact" => asked.exact = true,
                "--list" => asked.list = true,
                "--quiet" | "-q" => asked.quiet = true,
                "--ignored" => asked.ignored = true,
                // One case at a time, and what it prints is seen: there is nothing to choose.
                _ => {}
            }
        }
        asked
    }

    fn wants(&self, case: &Case) -> bool {
        let name = full_name(case);
        let fits = |filter: &String| {
            if self.exact { name == *filter || case.name == filter } else { name.contains(filter.as_str()) }
        };
        let chosen = self.filters.is_empty() || self.filters.iter().any(fits);
        chosen && !self.skips.iter().any(fits) && !self.ignored
    }

    fn wants_all(&self) -> bool {
        self.filters.is_empty() && self.skips.is_empty() && !self.ignored
    }
}

fn full_name(case: &Case) -> String {
    let subject = case.subject.split_once("::").map_or(case.subject, |(_, subject)| subject);
    format!("{subject}::{}", case.name)
}

/// The back ends this system has, or the one that `OSTIA_BACKEND` names.
fn backends() -> Vec<Backend> {
    let here: &[Backend] = if cfg!(windows) {
        &[Backend::Iocp, Backend::Sim]
    } else {
        &[Backend::Uring, Backend::Epoll, Backend::Sim]
    };
    let named = std::env::var("OSTIA_BACKEND").unwrap_or_default();
    if named.is_empty() || named == "auto" {
        return here.to_vec();
    }
    let chosen: Vec<Backend> = here.iter().copied().filter(|backend| backend.to_string() == named).collect();
    if chosen.is_empty() {
        say(&format!("OSTIA_BACKEND is {named:?}, and this system has {here:?}"));
        process::exit(2);
    }
    chosen
}

/// How a case ended.
enum End {
    Held,
    Aside(Aside),
    Failed(String),
    Hung,
}

/// Plays one case on a thread of its own. One that hangs is left behind.
fn play(case: &Case, stage: Stage) -> End {
    let (sender, receiver) = mpsc::channel();
    let name = format!("{} on {}", case.name, stage.backend);
    let run = case.run;
    let played = thread::Builder::new().name(name).spawn(move || {
        let ended = panic::catch_unwind(AssertUnwindSafe(|| run(&stage)));
        let _ = sender.send(match ended {
            Ok(()) => End::Held,
            Err(payload) => ended_by(payload),
        });
    });
    let played = played.expect("a thread can be started");
    match receiver.recv_timeout(patience()) {
        Ok(end) => {
            played.join().expect("the case's thread has told how it ended");
            end
        }
        Err(_) => End::Hung,
    }
}

fn ended_by(payload: Box<dyn Any + Send>) -> End {
    match payload.downcast::<Aside>() {
        Ok(aside) => End::Aside(*aside),
        Err(payload) => End::Failed(
            payload
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| payload.downcast_ref::<&str>().map(|why| (*why).to_owned()))
                .unwrap_or_else(|| "a panic without words".to_owned()),
        ),
    }
}

fn say(line: &str) {
    // The reader of the output may be gone; the exit code still tells.
    let _ = writeln!(io::stdout(), "{line}");
}

/// Everything that was asked for, to the end of the process.
pub(crate) fn run(subjects: &[&[Case]]) -> ! {
    let asked = Asked::from(std::env::args().skip(1));
    let cases: Vec<&Case> = subjects.iter().flat_map(|cases| *cases).collect();
    let wanted: Vec<&Case> = cases.iter().copied().filter(|case| asked.wants(case)).collect();
    if asked.list {
        for case in &wanted {
            say(&format!("{}: test", full_name(case)));
        }
        say(&format!("\n{} tests, 0 benchmarks", wanted.len()));
        process::exit(0);
    }
    let start = Instant::now();
    let mut held = 0;
    let mut wrong = Vec::new();
    let mut summary = String::new();
    for backend in backends() {
        if let Err(why) = Port::builder().backend(backend).open().and_then(|port| port.berth().map(drop)) {
            if backend == Backend::Uring {
                // A machine may refuse io_uring; nothing else may be missing.
                say(&format!("SKIPPED all cases on {backend}: {why}"));
            } else {
                wrong.push(format!("{backend} does not open: {why}"));
            }
            continue;
        }
        say(&format!("\nrunning {} cases on {backend}", wanted.len()));
        let mut totals = Totals::default();
        let hung = run_on(backend, &wanted, &asked, &mut totals, &mut wrong);
        let _ = writeln!(summary, "conformance on {backend}: {totals}");
        if asked.wants_all() && !hung {
            let name = match backend {
                _ if kit::is_wine() => format!("{backend}(wine)"),
                Backend::Sim if cfg!(windows) => format!("{backend}(windows)"),
                _ => backend.to_string(),
            };
            match Owed::of(&name) {
                Some(owed) => wrong.extend(owed.broken_by(&totals).map(|why| format!("{name}: {why}"))),
                None => wrong.push(format!("totals.txt does not say what {name} owes")),
            }
        }
        held += totals.run;
    }
    say("");
    for why in &wrong {
        say(&format!("FAILED {why}"));
    }
    say(summary.trim_end());
    let word = if wrong.is_empty() { "ok" } else { "FAILED" };
    // The line by which whoever counts tests counts these.
    say(&format!(
        "test result: {word}. {} passed; {} failed; 0 ignored; 0 measured; {} filtered out; finished in {:.2}s",
        held,
        wrong.len(),
        cases.len() - wanted.len(),
        start.elapsed().as_secs_f64(),
    ));
    let _ = io::stdout().flush();
    process::exit(if wrong.is_empty() { 0 } else { 101 })
}

/// True if it was given up: what hangs may stand in the way of what follows.
fn run_on(
    backend: Backend,
    cases: &[&Case],
    asked: &Asked,
    totals: &mut Totals,
    wrong: &mut Vec<String>,
) -> bool {
    let mut hung = 0;
    for case in cases {
        let name = full_name(case);
        let start = Instant::now();
        let end = play(case, Stage { backend });
        let took = start.elapsed();
        let told = |word: &str| {
            if !asked.quiet {
                say(&format!("test {name} on {backend} ... {word} ({:.3} s)", took.as_secs_f64()));
            }
        };
        let why = match end {
            End::Held => {
                told("ok");
                totals.run += 1;
                continue;
            }
            End::Aside(Aside::Skipped(why)) => {
                say(&format!("SKIPPED {name} on {backend}: {why}"));
                totals.skipped += 1;
                continue;
            }
            End::Aside(Aside::WineDiffers) => {
                say(&format!("WINE-DIFFERS {name} on {backend}"));
                totals.wine_differs += 1;
                continue;
            }
            End::Failed(why) => why,
            End::Hung => {
                hung += 1;
                format!("it hangs: no end after {} s", took.as_secs())
            }
        };
        told("FAILED");
        totals.failed += 1;
        wrong.push(format!("{name} on {backend}: {why}"));
        if hung == HANGS_MAX {
            return true;
        }
    }
    hung > 0
}
