//! `ostia create`.

use std::{
    io::Write,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use indicatif::ProgressBar;
use ostia_forge::{
    row::Row,
    set::{self, Loaded, SetError, Times},
    spec::Spec,
    store::{Store, sweep},
};
use ostia_hash::{
    create::{Created, Failure, preview},
    plan::{Plan, What},
    search::Watch,
};
use serde_json::json;

use super::json_row;
use crate::{
    args::Create,
    exit::Ended,
    interrupt::Interrupt,
    progress,
    units::{bytes, time},
};

/// Runs the command.
pub(crate) fn run(args: &Create) -> Result<(), Ended> {
    let interrupt = Interrupt::listen()?;
    if args.keys == Path::new("-") && args.name.is_none() {
        return Err(Ended::Usage("the standard input has no name: give one with --name".into()));
    }
    if args.keys == Path::new("-") && args.shared.input.format.is_none() {
        return Err(Ended::Usage(
            "the standard input does not tell its format: give it with --format".into(),
        ));
    }
    let mut spec = args.shared.spec(!args.no_tests)?;
    spec.options.threads = args.shared.threads();
    let begun = Instant::now();
    let read = set::load(&args.keys, args.name.as_deref(), &spec);
    let mut times = Times { read: begun.elapsed(), ..Times::default() };
    let loaded = read.map_err(|error| failed(args, &error, times))?;
    let options = set::with_subset(&loaded, &spec).map_err(Ended::Usage)?;
    let plan = preview(&loaded.keys, loaded.values.as_ref(), &options);
    let plan = plan.map_err(|why| refused(&args.keys, why))?;
    if args.dry_run {
        return tell_plan(args, &loaded, &plan);
    }

    // Before the search: it may be long, and a folder that cannot be made would waste it.
    let out = args.out.as_ref().filter(|_| !args.shared.no_file_io);
    if let Some(out) = out {
        std::fs::create_dir_all(out).map_err(|why| {
            Ended::failed(format_args!("{}: the folder cannot be made: {why}", out.display()))
        })?;
        sweep(out).map_err(|error| failed(args, &SetError::Store(error), times))?;
    }
    interrupt.work_begins();
    let forged = watched(args, &plan, &interrupt, || {
        set::forge(&args.keys, &loaded, &spec, out.is_some(), &interrupt)
    });
    let forged = forged.map_err(|error| failed(args, &error, times))?;
    times = Times { read: times.read, ..forged.times };
    let begun = Instant::now();
    let store = Store::new(args.shared.durability());
    let mut files = Vec::new();
    if let Some(out) = out {
        if interrupt.stopped() {
            return Err(Ended::Interrupted);
        }
        files = set::store(&store, out, &forged.artifacts).map_err(|error| failed(args, &error, times))?;
    }
    times.store = begun.elapsed();
    let row = Row::done(&args.keys, &loaded.name, &forged.created, &spec, times, files);
    tell(args, &spec, &row, &forged.created)
}

/// Does the search, and shows how it goes.
fn watched<T>(args: &Create, plan: &Plan, interrupt: &Interrupt, search: impl FnOnce() -> T) -> T {
    let bar = progress::search(args.shared.quiet || args.shared.json);
    if bar.is_hidden() {
        return search();
    }
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let drawer = scope.spawn(|| draw(&bar, plan, interrupt, &over));
        let found = search();
        over.store(true, Ordering::Relaxed);
        drawer.thread().unpark();
        found
    })
}

/// Draws the line until the search is over.
fn draw(bar: &ProgressBar, plan: &Plan, interrupt: &Interrupt, over: &AtomicBool) {
    let begun = Instant::now();
    let chance = plan.steps.first().map_or(1.0, |step| step.chance);
    loop {
        std::thread::park_timeout(Duration::from_millis(100));
        if over.load(Ordering::Relaxed) {
            break;
        }
        let (tried, seconds) = (interrupt.tried(), begun.elapsed().as_secs_f64());
        let rate = tried as f64 / seconds;
        // The search has no memory: what remains is always as much as was predicted at first.
        let left = if chance > 0.0 && rate > 0.0 {
            format!(
                ", about {} left if the function is as good as random",
                time(Duration::from_secs_f64((1.0 / chance / rate).min(1e9)))
            )
        } else {
            String::new()
        };
        bar.set_message(format!("{tried} attempts, {rate:.0}/s{left}"));
        bar.tick();
    }
    bar.finish_and_clear();
}

fn failed(args: &Create, error: &SetError, times: Times) -> Ended {
    if let SetError::Failure { why: Failure::Options(why), .. } = error {
        return Ended::Usage(why.clone());
    }
    if args.shared.json {
        let row = Row::failed(&args.keys, error, times);
        // The exit code tells a reader that went away.
        let _ = writeln!(std::io::stdout(), "{}", json_row(&row));
    }
    if error.is_stopped() { Ended::Interrupted } else { Ended::failed(error) }
}

fn refused(path: &Path, why: Failure) -> Ended {
    match why {
        Failure::Options(why) => Ended::Usage(why),
        why => Ended::failed(format_args!("{}: {why}", path.display())),
    }
}

fn tell(args: &Create, spec: &Spec, row: &Row, created: &Created) -> Result<(), Ended> {
    let mut out = std::io::stdout().lock();
    if args.shared.json {
        writeln!(out, "{}", json_row(row))?;
        return Ok(());
    }
    if args.shared.quiet {
        return Ok(());
    }
    let table = row.table.as_ref().expect("a row of a set that is done has a table");
    writeln!(
        out,
        "{}: {} keys of type {}, {} with {}, {}, in {}",
        table.name,
        table.keys,
        table.key_type,
        table.kind,
        table.function,
        bytes(table.bytes),
        time(Duration::from_micros(row.solve_us)),
    )?;
    writeln!(out, "  chosen    {}", table.why)?;
    let tally = created.report.tally();
    writeln!(
        out,
        "  attempts  {} ({} collisions, {} cycles), seeds {}",
        tally.attempts(),
        tally.collisions,
        tally.cycles,
        table.seeds.join(",")
    )?;
    for tried in &created.report.tried[..created.report.tried.len() - 1] {
        writeln!(
            out,
            "  escalated {} gave nothing in {} attempts",
            what(&tried.step.what),
            tried.tally.attempts()
        )?;
    }
    if let (Some(best), Some(asked)) = (created.report.bests.last(), &spec.options.best) {
        let predicate = asked.rules.predicate;
        let value = predicate.property.value(&best.coverage).unwrap_or_default();
        let bests = created.report.bests.len();
        writeln!(
            out,
            "  best      {predicate} {value}, at attempt {}, of {} solutions, after {bests} betterings",
            best.attempt, tally.solved
        )?;
    }
    let order = if table.ordered { "position" } else { "slot" };
    writeln!(out, "  index     {order} of the key, below {}; foreign keys {}", table.range, table.foreign)?;
    writeln!(out, "  verified  every key{}", if spec.values.is_some() { " and its value" } else { "" })?;
    for file in &row.files {
        writeln!(out, "  wrote     {}", file.display())?;
    }
    Ok(())
}

fn tell_plan(args: &Create, loaded: &Loaded, plan: &Plan) -> Result<(), Ended> {
    let mut out = std::io::stdout().lock();
    let key_type = loaded.keys.key_type().name();
    if args.shared.json {
        let steps: Vec<_> = plan
            .steps
            .iter()
            .map(|s| json!({"what": what(&s.what), "limit": s.limit, "chance": s.chance}))
            .collect();
        let plan = json!({"name": loaded.name, "keys": loaded.keys.len(), "key_type": key_type, "why": plan.why, "steps": steps});
        writeln!(out, "{plan}")?;
        return Ok(());
    }
    writeln!(out, "{}: {} keys of type {key_type}; {}", loaded.name, loaded.keys.len(), plan.why)?;
    for step in &plan.steps {
        let predicted = if step.chance > 0.0 { format!("{:.1}", 1.0 / step.chance) } else { "many".into() };
        writeln!(out, "  {}: {predicted} attempts predicted, at most {}", what(&step.what), step.limit)?;
    }
    Ok(())
}

/// A step for people.
fn what(what: &What) -> String {
    match *what {
        What::Chm { function, vertices, .. } => format!("chm with {}, 2^{vertices} entries", function.name()),
        What::Halves { family, first, second, .. } => {
            format!("halves with {}, 2^{first} + 2^{second} entries", family.name())
        }
        What::Displace { mixed, buckets, slots } => format!(
            "displace with {}, 2^{buckets} buckets and 2^{slots} slots",
            if mixed { "mix" } else { "multiply" }
        ),
        What::Retrieval { part } => format!("retrieval with mix, 3 times {part} cells"),
    }
}
