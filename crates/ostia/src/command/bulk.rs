//! `ostia bulk-create`.

use std::{
    future::{Future, poll_fn},
    io::{self, Write},
    path::{Path, PathBuf},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use ostia_forge::{
    find::{Sources, read_list},
    job::{Event, Foundry, Job, JobError, Summary},
    row::Row,
    spec::JobSpec,
    threads,
};
use ostia_os::topology::Topology;
use ostia_rt::{
    Runtime,
    io::AsyncWrite,
    metrics::Snapshot,
    signals::{Ending, ShutdownSignal, shutdown_signal},
    stdio::stdout,
    time::{Sleep, sleep},
};
use serde_json::json;

use super::json_row;
use crate::{
    args::{BulkCreate, Engine},
    exit::{self, Ended},
    interrupt::Interrupt,
    progress::Panel,
    units::time,
};

/// Events that are taken before the panel and the signals are looked at again.
const EVENTS: usize = 16;
/// How long a reader of the rows has for what is left when the end was asked for.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long what is under way may take when a job has ended.
const DEADLINE: Duration = Duration::from_secs(5);

/// Runs the command.
pub(crate) fn run(args: &BulkCreate) -> Result<(), Ended> {
    if args.engine == Engine::Threads && args.check {
        return Err(Ended::Usage(
            "--check looks into the journal, and plain threads keep none: leave out --engine threads".into(),
        ));
    }
    let spec = job(args)?;
    let out = spec.out.clone();
    let told = match args.engine {
        Engine::Runtime => on_runtime(args, spec)?,
        Engine::Threads => on_threads(args, &spec)?,
    };
    // What the run came to is told by its exit code also where nobody reads what is said.
    let said = tell(args, out.as_deref(), &told);
    let Summary { totals, stale, trouble, is_cancelled, .. } = told.summary;
    if let Some(trouble) = trouble {
        return Err(Ended::failed(trouble));
    }
    if is_cancelled {
        return Err(Ended::Interrupted);
    }
    match totals.counts.failed + totals.counts.stopped + stale.len() as u64 {
        0 => said,
        _ => Err(Ended::Failed(None)),
    }
}

/// What came of a run.
struct Told {
    summary: Summary,
    /// What the runtime counted, where there was one.
    metrics: Option<Snapshot>,
}

/// The job that the arguments ask for.
fn job(args: &BulkCreate) -> Result<JobSpec, Ended> {
    let shared = &args.shared;
    let is_list = args.dir == Path::new("-");
    let sources = if is_list {
        Sources::List(read_list(io::stdin().lock()).map_err(Ended::failed)?)
    } else if args.dir.is_file() {
        Sources::File(args.dir.clone())
    } else {
        Sources::Folder {
            dir: args.dir.clone(),
            recursive: args.recursive,
            include: args.include.clone(),
            exclude: args.exclude.clone(),
        }
    };
    let out = match &args.out {
        _ if shared.no_file_io => None,
        Some(out) => Some(out.clone()),
        None if is_list => {
            return Err(Ended::Usage(
                "a list has no folder beside which the outputs could go: say where with --out".into(),
            ));
        }
        None => Some(beside(&args.dir)?),
    };
    Ok(JobSpec {
        sources,
        out,
        set: shared.spec(args.tests)?,
        durability: shared.durability(),
        node_policy: args.node_policy,
        concurrency: args.concurrency,
        per_set_concurrency: args.per_set_concurrency,
        memory: args.memory,
        force: args.force,
        check: args.check,
        failures_max: if args.fail_fast { Some(1) } else { args.max_failures },
    })
}

/// `keys-tables` for `keys`.
fn beside(dir: &Path) -> Result<PathBuf, Ended> {
    let whole = match dir.file_name() {
        Some(_) => dir.to_owned(),
        // `.` and `..` have a name that only the system knows.
        None => dir.canonicalize().map_err(|why| Ended::failed(format_args!("{}: {why}", dir.display())))?,
    };
    let name = if whole.is_file() { whole.file_stem() } else { whole.file_name() };
    let Some(name) = name else {
        return Err(Ended::Usage(format!("there is nothing beside {}: say where with --out", dir.display())));
    };
    let mut name = name.to_owned();
    name.push("-tables");
    Ok(whole.with_file_name(name))
}

fn runtime(args: &BulkCreate) -> Result<Runtime, Ended> {
    let refused = |why: io::Error| match why.kind() {
        io::ErrorKind::InvalidInput => Ended::Usage(why.to_string()),
        _ => Ended::failed(format_args!("the runtime cannot be started: {why}")),
    };
    let mut builder = Runtime::builder();
    let topology = match &args.topology {
        Some(shape) => {
            Topology::synthetic(shape).map_err(|why| Ended::Usage(format!("--topology {shape}: {why}")))?
        }
        None => Topology::detect().map_err(refused)?,
    };
    if let Some(nodes) = &args.nodes {
        builder = builder.nodes(nodes).map_err(refused)?;
    }
    if args.shared.threads > 0 {
        builder = builder.workers_total(args.shared.threads);
    }
    builder.topology(topology).build().map_err(refused)
}

fn on_runtime(args: &BulkCreate, spec: JobSpec) -> Result<Told, Ended> {
    let runtime = runtime(args)?;
    if !args.shared.quiet && !args.shared.json {
        // Who does not read it may still want the tables.
        let _ = writeln!(io::stdout(), "{}: {}", runtime.backend(), runtime.threads());
    }
    let signal =
        shutdown_signal().map_err(|why| Ended::failed(format_args!("cannot listen for Ctrl-C: {why}")))?;
    let foundry = Foundry::new(runtime.handle());
    let job = foundry.start(spec).map_err(refused)?;
    let (summary, ending) = runtime.block_on(follow(args, job, signal));
    let metrics = Some(runtime.handle().metrics());
    runtime.shutdown(Duration::ZERO, DEADLINE);
    // Until here a second Ctrl-C ends the process at once.
    drop(ending);
    Ok(Told { summary: summary?, metrics })
}

/// What comes next.
enum Next {
    Event(Option<Event>),
    Asked(Ending),
    /// Rows were written, or nobody reads them any more.
    Written,
    Tick,
}

/// Rows on their way to the standard output.
type Writing = Pin<Box<dyn Future<Output = ()>>>;

/// Shows a job's progress until it has ended.
///
/// Whoever reads the rows may be slow: then the job waits, and this goes on to hear of signals. Once the end was asked
/// for, a reader has [`PATIENCE`] for what is left.
async fn follow(
    args: &BulkCreate,
    mut job: Job,
    signal: ShutdownSignal,
) -> (Result<Summary, Ended>, Option<Ending>) {
    let panel = Panel::new(args.shared.quiet || args.shared.json);
    let mut signal = pin!(signal);
    let mut ending = None;
    let mut writing: Option<Writing> = None;
    let mut tick: Option<Pin<Box<Sleep>>> = panel.pace().map(|pace| Box::pin(sleep(pace)));
    loop {
        let next = {
            let mut event = pin!(job.next());
            poll_fn(|cx| {
                if ending.is_none()
                    && let Poll::Ready(asked) = signal.as_mut().poll(cx)
                {
                    return Poll::Ready(Next::Asked(asked));
                }
                if let Some(rows) = &mut writing {
                    if rows.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(Next::Written);
                    }
                } else if let Poll::Ready(event) = event.as_mut().poll(cx) {
                    return Poll::Ready(Next::Event(event));
                }
                match &mut tick {
                    Some(tick) => tick.as_mut().poll(cx).map(|()| Next::Tick),
                    None => Poll::Pending,
                }
            })
            .await
        };
        match next {
            Next::Asked(asked) => {
                job.cancel();
                panel.say(format_args!("{}: ending; once more ends at once", asked.signal()));
                ending = Some(asked);
                tick = Some(Box::pin(sleep(PATIENCE)));
            }
            Next::Tick if ending.is_some() => break,
            Next::Tick => {
                panel.draw(&job.view());
                tick = panel.pace().map(|pace| Box::pin(sleep(pace)));
            }
            Next::Written => writing = None,
            Next::Event(None) => break,
            Next::Event(Some(event)) => {
                let mut lines = String::new();
                hear(args, event, &mut lines);
                for _ in 0..EVENTS {
                    let Some(event) = job.try_next() else { break };
                    hear(args, event, &mut lines);
                }
                if !lines.is_empty() {
                    writing = Some(Box::pin(async move {
                        // A reader that went away is noticed when the summary is written.
                        let _ = stdout().write_all(lines.into_bytes()).await;
                    }));
                }
            }
        }
    }
    panel.clear();
    (job.end().await.map_err(refused), ending)
}

/// The lines that an event is told by.
fn hear(args: &BulkCreate, event: Event, lines: &mut String) {
    if let Event::Ended(rows) = event
        && args.shared.json
    {
        for row in rows {
            lines.push_str(&json_row(&row));
            lines.push('\n');
        }
    }
}

fn refused(error: JobError) -> Ended {
    match error {
        JobError::NoNode { .. } => Ended::Usage(error.to_string()),
        error => Ended::failed(error),
    }
}

fn on_threads(args: &BulkCreate, spec: &JobSpec) -> Result<Told, Ended> {
    let interrupt = Interrupt::listen()?;
    let hear = |row: &Row| {
        if args.shared.json {
            // A reader that went away is noticed when the summary is written.
            let _ = writeln!(io::stdout(), "{}", json_row(row));
        }
    };
    interrupt.work_begins();
    let summary = threads::run(spec, args.shared.threads(), &interrupt, &hear).map_err(refused)?;
    Ok(Told { summary, metrics: None })
}

fn tell(args: &BulkCreate, out_dir: Option<&Path>, told: &Told) -> Result<(), Ended> {
    let Summary { totals, umbrellas, stale, has_failed, elapsed, .. } = &told.summary;
    let counts = totals.counts;
    let files = totals.files + umbrellas.len() as u64;
    if args.shared.json {
        let seconds = elapsed.as_secs_f64();
        let mut summary = json!({
            "sets": counts.found, "done": counts.done, "unchanged": counts.unchanged, "failed": counts.failed,
            "stopped": counts.stopped, "keys": totals.keys, "attempts": totals.attempts, "files": files,
            "seconds": seconds,
        });
        if let Some(metrics) = &told.metrics {
            summary["stalls"] = json!(metrics.total().stalls);
        }
        writeln!(io::stdout(), "{}", json!({ "summary": summary }))?;
        return Ok(());
    }
    for why in &totals.failures {
        exit::tell(why);
    }
    let more = counts.failed - totals.failures.len() as u64;
    if more > 0 {
        exit::tell(format_args!("and {more} more failures; --json tells all"));
    }
    for path in stale {
        exit::tell(format_args!("{}: does not name all tables; run without --check", path.display()));
    }
    if *has_failed && told.summary.trouble.is_none() {
        exit::tell("the run was ended because so many sets have failed; the next one goes on from here");
    }
    if args.shared.quiet {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    let also = [
        (counts.unchanged, "unchanged"),
        (counts.stopped, if *has_failed { "not begun" } else { "interrupted" }),
    ];
    let also: String = also
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!(", {count} {what}"))
        .collect();
    writeln!(
        out,
        "{} of {} sets done, {} failed{also}: {} keys, {} attempts{}, in {}",
        counts.done,
        counts.found,
        counts.failed,
        totals.keys,
        totals.attempts,
        if counts.done > 0 { ", every key verified" } else { "" },
        time(*elapsed)
    )?;
    let [read, solve, render, store] = totals.times().map(time);
    writeln!(
        out,
        "  of all threads' time: read {read}, solve and verify {solve}, render {render}, store {store}"
    )?;
    if let Some(dir) = out_dir {
        writeln!(out, "  {files} files in {}", dir.display())?;
        if !umbrellas.is_empty() {
            let shown: Vec<String> = umbrellas.iter().map(|path| path.display().to_string()).collect();
            writeln!(out, "  all tables at once: {}", shown.join(" "))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_go_beside_the_sets() {
        assert_eq!(beside(Path::new("a/keys")).unwrap(), Path::new("a/keys-tables"));
        assert_eq!(beside(Path::new("keys/")).unwrap(), Path::new("keys-tables"));
        let here = std::env::current_dir().unwrap();
        let mut name = here.file_name().unwrap().to_owned();
        name.push("-tables");
        assert_eq!(beside(Path::new(".")).unwrap(), here.canonicalize().unwrap().with_file_name(name));
        assert!(matches!(beside(Path::new("/")), Err(Ended::Usage(_))));
    }
}
