//! What holds of every job.
//!
//! `OSTIA_SEED=17` runs that one job; `OSTIA_SEEDS=100000` runs so many; `OSTIA_SEED_FIRST` says where they begin.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{self, AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    sync::{Once, atomic::Ordering},
    time::Duration,
};

use ostia_emit::{lang::Language, umbrella};
use ostia_forge::{
    job::{Counts, JobError, Summary},
    row::{Outcome, Row},
    spec::{JobSpec, Output},
};
use ostia_rt::sim::World;

use crate::{
    plan::{OUT, Plan, Troubles},
    run::{Deed, Ran, foundry, run, run_and_do, world},
};

/// How many jobs run unless told otherwise. Under Wine each takes several times as long.
const SEEDS: u64 = if cfg!(windows) { 100 } else { 1000 };
const SECOND: Duration = Duration::from_secs(1);

type Tree = BTreeMap<PathBuf, Vec<u8>>;

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is {value:?}, and should be a number")))
}

#[test]
fn jobs_end_once_whatever_fails() {
    let one = number("OSTIA_SEED");
    let first = one.or_else(|| number("OSTIA_SEED_FIRST")).unwrap_or(0);
    let count = if one.is_some() { 1 } else { number("OSTIA_SEEDS").unwrap_or(SEEDS) };
    let mut seen = BTreeMap::new();
    for seed in first..first + count {
        match catch_unwind(AssertUnwindSafe(|| through(seed))) {
            Ok(through) => through.seen.into_iter().for_each(|what| *seen.entry(what).or_insert(0) += 1),
            Err(panic) => {
                eprintln!("seed {seed} breaks a promise; this runs it alone:");
                eprintln!("  OSTIA_SEED={seed} cargo test -p ostia-forge --test job jobs_end_once");
                resume_unwind(panic);
            }
        }
    }
    if count >= 1000 {
        covered(&seen);
    }
}

#[test]
fn one_seed_replays_one_job() {
    for seed in 0..if cfg!(windows) { 10 } else { 60 } {
        let (once, again) = (through(seed), through(seed));
        assert_eq!(once.facts, again.facts, "seed {seed}");
        assert_eq!(once.trace, again.trace, "seed {seed}");
    }
    assert_ne!(through(1).trace, through(2).trace);
}

/// A job that never comes to something does not show that it would go well.
fn covered(seen: &BTreeMap<&str, usize>) {
    let wanted = [
        "ended well",
        "done",
        "failed by itself",
        "failed by the disk",
        "panicked",
        "had no thread",
        "took too much memory",
        "stopped",
        "cancelled",
        "ended by its failures",
        "could not be done",
        "its walk or its end panicked",
        "nobody listened",
        "ended with its runtime",
        "ended though its runtime did",
        "left a temporary that could not be removed",
        "replaced what was there",
        "worked in slices",
    ];
    for what in wanted {
        assert!(seen.contains_key(what), "no job came to {what:?}: {seen:#?}");
    }
}

/// What came of a seed.
struct Through {
    seen: BTreeSet<&'static str>,
    facts: String,
    trace: u64,
}

/// Everything that is promised of the job of a seed.
fn through(seed: u64) -> Through {
    keep_quiet_of_panics_on_purpose();
    let plan = Plan::new(seed);
    let (calm, expected) = calm(&plan);
    let mut seen = BTreeSet::new();

    let disk = plan.disk();
    let mut old = Tree::new();
    if plan.has_old {
        let some = expected.iter().filter(|(path, _)| path.starts_with(OUT)).step_by(2);
        old = some.map(|(path, bytes)| (path.clone(), [b"old ", bytes.as_slice()].concat())).collect();
        old.iter().for_each(|(path, bytes)| disk.put(path, bytes));
    }
    let troubles = plan.trouble(&disk, false);
    let mut world = world(plan.shape, plan.options(false));
    let foundry = foundry(&world, &disk);
    let at = |thousandths: u64| calm.time * thousandths as u32 / 1000;
    let deeds = [(plan.cancel_at, Deed::Cancel), (plan.leave_at, Deed::Leave), (plan.shut_at, Deed::Shut)];
    let deeds: Vec<_> = deeds.iter().filter_map(|(when, deed)| Some((at((*when)?), *deed))).collect();
    let ran = run_and_do(&mut world, &foundry, plan.spec.clone(), plan.pause, &deeds, plan.grace, &troubles);
    counts_add_up(&plan, &calm, &ran);
    a_fault_is_of_one_set(&calm, &ran, &troubles);
    nothing_is_half_there(&plan, &ran, &expected, &old, &disk.files(), &troubles);
    note(&ran, &calm, &troubles, &mut seen);
    if !old.is_empty() && ran.count(Outcome::Done) > 0 {
        seen.insert("replaced what was there");
    }
    if disk.files().keys().any(|path| is_temporary(path)) {
        seen.insert("left a temporary that could not be removed");
    }
    if world.handle().metrics().total().slices > 0 {
        seen.insert("worked in slices");
    }
    let (facts, trace) = (ran.facts(), world.trace());

    // All is well again, and the next run does the rest: on what this one has left behind, if that is there.
    disk.heal();
    let again = if ran.was_shut {
        let mut next = self::world(plan.shape, plan.options(true));
        let foundry = self::foundry(&next, &disk);
        drop(world);
        let again = run(&mut next, &foundry, plan.calm());
        ends_empty(next);
        again
    } else {
        world.kernel().heal();
        let again = run(&mut world, &foundry, plan.calm());
        ends_empty(world);
        again
    };
    let (again, calm) = (again.by_path(), calm.by_path());
    assert_eq!(again.len(), calm.len());
    for (again, calm) in again.iter().zip(&calm) {
        assert_eq!(again, calm, "a row of the next run");
    }
    assert_same(&disk.files(), &expected);
    Through { seen, facts, trace }
}

/// A run in which nothing goes wrong, and the disk after it.
fn calm(plan: &Plan) -> (Ran, Tree) {
    let disk = plan.disk();
    plan.trouble(&disk, true);
    let mut world = world(plan.shape, plan.options(true));
    let foundry = foundry(&world, &disk);
    let calm = run(&mut world, &foundry, plan.calm());
    counts_add_up(plan, &calm, &calm);
    let summary = calm.result.as_ref().expect("nothing goes wrong");
    assert!(!summary.is_cancelled && !summary.has_failed);
    ends_empty(world);
    (calm, disk.files())
}

/// Whoever ends the runtime now finds nothing to end.
fn ends_empty(mut world: World) {
    let report = world.end(Duration::ZERO, 5 * SECOND).expect("nothing is left where nobody looks");
    assert!(report.cancelled == 0 && report.pending.is_empty() && report.threads_left == 0, "{report}");
}

/// Each set comes to one thing, and all sums are sums of those.
fn counts_add_up(plan: &Plan, calm: &Ran, ran: &Ran) {
    let by_itself = calm.told();
    let told = ran.told();
    for (path, times) in &told {
        // A folder that cannot be listed is told of as a set would be.
        let most = by_itself.get(path).copied().unwrap_or(1);
        assert!(*times <= most, "{}: {times} rows", path.display());
    }
    let whole = |counts: &Counts| assert_eq!(counts.found, counts.ended(), "{counts:?}");
    if let Some(view) = &ran.view {
        whole(&view.counts);
        assert!(view.solving.is_empty());
        if !ran.was_shut {
            assert!(view.load.iter().all(|node| node.sets == 0), "{:?}", view.load);
        }
        for (outcome, count) in [
            (Outcome::Done, view.counts.done),
            (Outcome::Unchanged, view.counts.unchanged),
            (Outcome::Failed, view.counts.failed),
        ] {
            // Where the runtime was ended, rows were on their way that nobody heard any more.
            assert!(
                ran.count(outcome) == count || !ran.is_whole && ran.count(outcome) < count,
                "{outcome:?}"
            );
        }
        assert!(ran.count(Outcome::Stopped) <= view.counts.stopped);
    }
    let Ok(Summary { totals, umbrellas, is_cancelled, has_failed, .. }) = &ran.result else { return };
    whole(&totals.counts);
    assert!(!(*is_cancelled && *has_failed) && (!is_cancelled || ran.was_cancelled));
    let most = plan.spec.failures_max.map(|most| most.max(1));
    let is_calm = std::ptr::eq(calm, ran);
    if !is_calm {
        let is_too_many = most.is_some_and(|most| totals.counts.failed >= most);
        assert!(*has_failed == is_too_many || ran.was_cancelled, "{totals:?}");
    }
    let is_complete = !is_cancelled && !has_failed;
    if !is_complete {
        assert!(umbrellas.is_empty());
    } else if !ran.was_shut {
        assert_eq!(totals.counts.stopped, 0);
    }
    assert_eq!(totals.failures.len() as u64, totals.counts.failed.min(10));
    if !ran.is_whole {
        return;
    }
    if is_complete {
        assert_eq!(ran.rows.len() as u64, totals.counts.found);
        if told.len() < by_itself.len() {
            // A folder was not listed: its row is in the place of those of its sets.
            assert!(told.keys().any(|path| by_itself.keys().any(|set| set != path && set.starts_with(path))));
        }
    }
    let sum = |of: fn(&Row) -> u64| ran.rows.iter().map(of).sum::<u64>();
    assert_eq!(totals.attempts, sum(|row| row.attempts));
    assert_eq!(totals.files, sum(|row| row.files.len() as u64));
    let phases =
        [sum(|row| row.read_us), sum(|row| row.solve_us), sum(|row| row.render_us), sum(|row| row.store_us)];
    assert_eq!(totals.phases, phases);
    let keys = |row: &Row| row.table.as_ref().map_or(0, |table| table.keys as u64);
    let is_done = |row: &&Row| row.outcome == Outcome::Done;
    assert_eq!(totals.keys, ran.rows.iter().filter(is_done).map(keys).sum::<u64>());
}

/// No set fails for what went wrong with another one, and a job that is cancelled begins with nothing any more.
fn a_fault_is_of_one_set(calm: &Ran, ran: &Ran, troubles: &Troubles) {
    let why = |row: &Row| row.error.clone().unwrap_or_default();
    let panicked = ran.rows.iter().filter(|row| why(row).contains("a panic on purpose")).count() as u64;
    assert!(panicked <= troubles.panics.load(Ordering::Relaxed), "{panicked} sets panicked");
    let by_themselves: BTreeSet<&Path> =
        calm.rows.iter().filter(|row| row.outcome == Outcome::Failed).map(|row| row.path.as_path()).collect();
    // These are of a whole batch, or of no call of the disk.
    let is_other = |why: &str| {
        ["no thread could be had", "all sets together may take", "both become"]
            .iter()
            .any(|what| why.contains(what))
    };
    let failed = ran.rows.iter().filter(|row| row.outcome == Outcome::Failed);
    let by_faults = failed
        .filter(|row| !by_themselves.contains(row.path.as_path()) && !is_other(&why(row)))
        .count() as u64;
    assert!(by_faults <= troubles.all.load(Ordering::Relaxed), "{by_faults} sets failed");
    if let Ok(Summary { is_cancelled: true, .. }) = ran.result {
        assert_eq!(troubles.late.load(Ordering::Relaxed), 0, "files were read or made after the cancel");
    }
}

/// What has a final name is what an undisturbed run stores, or what was there before.
fn nothing_is_half_there(
    plan: &Plan,
    ran: &Ran,
    expected: &Tree,
    old: &Tree,
    tree: &Tree,
    troubles: &Troubles,
) {
    let umbrellas = umbrellas(&plan.spec, ran);
    for (path, bytes) in tree {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if is_temporary(path) {
            assert!(troubles.removes.load(Ordering::Relaxed) > 0, "{} was left", path.display());
        } else if UMBRELLAS.contains(&name) {
            let is_right = umbrellas.get(path).is_none_or(|right| right == bytes);
            assert!(
                is_right || old.get(path) == Some(bytes),
                "{} is not of the tables there",
                path.display()
            );
        } else if !name.starts_with("twin") {
            // Of two sets that want one name the second has it if the first could not be looked at.
            let is_right = expected.get(path) == Some(bytes) || old.get(path) == Some(bytes);
            assert!(is_right, "{} is not whole", path.display());
        }
    }
    // What a row says is stored is there.
    for file in ran.rows.iter().flat_map(|row| &row.files) {
        let is_twin = file.to_string_lossy().contains("twin");
        assert!(
            is_twin && tree.contains_key(file) || tree.get(file) == expected.get(file),
            "{}",
            file.display()
        );
    }
    let Ok(summary) = &ran.result else { return };
    for umbrella in &summary.umbrellas {
        assert!(tree.contains_key(umbrella), "{}", umbrella.display());
    }
}

const UMBRELLAS: [&str; 2] = ["tables.h", "CMakeLists.txt"];

/// The files that name all tables, where all rows were heard.
fn umbrellas(spec: &JobSpec, ran: &Ran) -> Tree {
    if !ran.is_whole || !spec.set.outputs.contains(&Output::Source(Language::C)) {
        return Tree::new();
    }
    let names: BTreeSet<&str> = ran
        .rows
        .iter()
        .filter(|row| row.outcome == Outcome::Done)
        .filter_map(|row| Some(row.table.as_ref()?.name.as_str()))
        .collect();
    let names: Vec<&str> = names.into_iter().collect();
    let files = umbrella::emit(Language::C, &names, spec.set.split);
    files.into_iter().map(|file| (Path::new(OUT).join(file.name), file.bytes)).collect()
}

fn is_temporary(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(".ostia-"))
}

fn assert_same(tree: &Tree, expected: &Tree) {
    let names: Vec<_> = tree.keys().collect();
    assert_eq!(names, expected.keys().collect::<Vec<_>>());
    for (path, bytes) in expected {
        assert!(tree[path] == *bytes, "{} differs from that of an undisturbed run", path.display());
    }
}

/// What this run came to, for the list of what jobs came to.
fn note(ran: &Ran, calm: &Ran, troubles: &Troubles, seen: &mut BTreeSet<&'static str>) {
    let mut note = |is_so: bool, what| is_so.then(|| seen.insert(what));
    let says =
        |what: &str| ran.rows.iter().filter_map(|row| row.error.as_ref()).any(|why| why.contains(what));
    note(ran.count(Outcome::Done) > 0, "done");
    note(calm.count(Outcome::Failed) > 0, "failed by itself");
    let more = ran.count(Outcome::Failed) > calm.count(Outcome::Failed);
    note(more && troubles.all.load(Ordering::Relaxed) > 0, "failed by the disk");
    note(says("a panic on purpose") && troubles.panics.load(Ordering::Relaxed) > 0, "panicked");
    note(says("no thread could be had"), "had no thread");
    note(says("all sets together may take"), "took too much memory");
    note(!ran.is_whole && !ran.was_shut, "nobody listened");
    note(ran.view.as_ref().is_some_and(|view| view.counts.stopped > 0), "stopped");
    match &ran.result {
        Ok(summary) => {
            note(!summary.is_cancelled && !summary.has_failed, "ended well");
            note(summary.is_cancelled, "cancelled");
            note(summary.has_failed, "ended by its failures");
            note(ran.was_shut, "ended though its runtime did");
        }
        Err(JobError::Lost(None)) => {
            assert!(ran.was_shut);
            note(true, "ended with its runtime");
        }
        Err(error) => {
            note(true, "could not be done");
            note(matches!(error, JobError::Lost(Some(_))), "its walk or its end panicked");
        }
    }
}

/// The tests' own panics are told of; those that a disk was told to make are rows.
fn keep_quiet_of_panics_on_purpose() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let is_meant = panic.payload_as_str().is_some_and(|said| said.ends_with("a panic on purpose"));
            if !is_meant {
                others(panic);
            }
        }));
    });
}
