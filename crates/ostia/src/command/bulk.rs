//! `ostia bulk-create`.

use std::{io::Write, sync::Mutex, time::Duration};

use ostia_forge::{
    bulk::{Bulk, Event, Summary, run as forge},
    row::Outcome,
    store::Store,
};
use serde_json::json;

use super::{json_row, some_paths};
use crate::{
    args::BulkCreate,
    exit::{self, Ended},
    interrupt::Interrupt,
    progress::{self, time},
};

/// How many failures are told one by one at the end.
const TOLD: usize = 10;

/// Runs the command.
pub(crate) fn run(args: &BulkCreate) -> Result<(), Ended> {
    let interrupt = Interrupt::listen()?;
    let shared = &args.shared;
    let bulk = Bulk {
        dir: args.dir.clone(),
        recursive: args.recursive,
        out: args.out.clone().filter(|_| !shared.no_file_io),
        spec: shared.spec(args.tests)?,
        threads: shared.threads(),
    };
    let store = Store::new(shared.durability());
    let bar = progress::sets(shared.quiet || shared.json);
    let failures = Mutex::new(0u32);
    let hear = |event: Event<'_>| match event {
        Event::Found(count) => bar.set_length(count as u64),
        Event::Ended(row) => {
            if shared.json {
                // A reader that went away is noticed when the summary is written.
                let _ = writeln!(std::io::stdout(), "{}", json_row(row));
            }
            if row.outcome == Outcome::Failed {
                let mut failures = failures.lock().expect("nobody panics while it counts");
                *failures += 1;
                bar.set_message(format!(", {failures} failed"));
            }
            bar.inc(1);
        }
    };
    interrupt.work_begins();
    let summary = forge(&bulk, &store, &interrupt, &hear).map_err(Ended::failed)?;
    bar.finish_and_clear();
    tell(args, &summary)?;
    if ostia_hash::search::Watch::stopped(&interrupt) {
        return Err(Ended::Interrupted);
    }
    match summary.count(Outcome::Failed) {
        0 => Ok(()),
        _ => Err(Ended::Failed(None)),
    }
}

fn tell(args: &BulkCreate, summary: &Summary) -> Result<(), Ended> {
    let (done, failed) = (summary.count(Outcome::Done), summary.count(Outcome::Failed));
    let stopped = summary.found - done - failed;
    let keys: usize = summary.rows.iter().filter_map(|r| Some(r.table.as_ref()?.keys)).sum();
    let attempts: u64 = summary.rows.iter().map(|r| r.attempts).sum();
    let files: usize = summary.rows.iter().map(|r| r.files.len()).sum::<usize>() + summary.umbrellas.len();
    let failures = summary.rows.iter().filter(|r| r.outcome == Outcome::Failed);
    if args.shared.json {
        let seconds = summary.elapsed.as_secs_f64();
        let told = json!({
            "summary": {
                "sets": summary.found, "done": done, "failed": failed, "stopped": stopped, "keys": keys, "attempts": attempts, "files": files, "seconds": seconds,
            }
        });
        writeln!(std::io::stdout(), "{told}")?;
        return Ok(());
    }
    for row in failures.clone().take(TOLD) {
        exit::tell(row.error.as_deref().unwrap_or("failed for no known reason"));
    }
    if failed > TOLD {
        exit::tell(format_args!("and {} more failures; --json tells all", failed - TOLD));
    }
    if args.shared.quiet {
        return Ok(());
    }
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{done} of {} sets done, {failed} failed{}: {keys} keys, {attempts} attempts, every key verified, in {}",
        summary.found,
        if stopped > 0 { format!(", {stopped} interrupted") } else { String::new() },
        time(summary.elapsed)
    )?;
    let mut phases = [Duration::ZERO; 4];
    for row in &summary.rows {
        for (sum, us) in phases.iter_mut().zip([row.read_us, row.solve_us, row.render_us, row.store_us]) {
            *sum += Duration::from_micros(us);
        }
    }
    let [read, solve, render, store] = phases.map(time);
    writeln!(
        out,
        "  of all threads' time: read {read}, solve and verify {solve}, render {render}, store {store}"
    )?;
    if let Some(dir) = args.out.as_ref().filter(|_| !args.shared.no_file_io) {
        writeln!(out, "  {files} files in {}", dir.display())?;
        if !summary.umbrellas.is_empty() {
            writeln!(out, "  all tables at once: {}", some_paths(&summary.umbrellas))?;
        }
    }
    Ok(())
}
