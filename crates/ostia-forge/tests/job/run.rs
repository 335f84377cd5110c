//! One job in a world: what is heard of it, and what it came to.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use ostia_forge::{
    disk::memory::MemoryDisk,
    job::{Counts, Event, Foundry, Job, JobError, Summary, View},
    row::{Outcome, Row},
    spec::JobSpec,
};
use ostia_os::topology::Topology;
use ostia_rt::{
    Runtime,
    sim::{Options, World},
    time,
};

use crate::plan::Troubles;

const SECOND: Duration = Duration::from_secs(1);

/// What somebody does to a job at a moment after its start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Deed {
    Cancel,
    /// Stops listening, and waits for its end.
    Leave,
    /// Ends the runtime.
    Shut,
}

/// What was heard and seen of a job.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) result: Result<Summary, JobError>,
    /// In the order in which they came.
    pub(crate) rows: Vec<Row>,
    /// None if nobody listened to the end, and the runtime was not ended either.
    pub(crate) view: Option<View>,
    /// The rows are all there are.
    pub(crate) is_whole: bool,
    pub(crate) was_cancelled: bool,
    pub(crate) was_shut: bool,
    /// By the simulation's clock.
    pub(crate) time: Duration,
}

pub(crate) fn world(shape: &str, options: Options) -> World {
    let topology = Topology::synthetic(shape).expect("a shape");
    Runtime::builder().topology(topology).sim(options).world().expect("a simulation opens")
}

pub(crate) fn foundry(world: &World, disk: &MemoryDisk) -> Foundry {
    Foundry::with_disk(world.handle(), Arc::new(disk.clone()))
}

/// Runs a job to its end, and nothing is done to it.
pub(crate) fn run(world: &mut World, foundry: &Foundry, spec: JobSpec) -> Ran {
    run_and_do(world, foundry, spec, Duration::ZERO, &[], Duration::ZERO, &Troubles::default())
}

/// Runs a job to its end, whatever is done to it.
pub(crate) fn run_and_do(
    world: &mut World,
    foundry: &Foundry,
    spec: JobSpec,
    pause: Duration,
    deeds: &[(Duration, Deed)],
    grace: Duration,
    troubles: &Troubles,
) -> Ran {
    let begun = world.kernel().now();
    let mut listener = Listener { rows: Vec::new(), found: 0, has_all: false, was_cancelled: false };
    let job = foundry.start(spec).expect("its node is there");
    let left = world
        .run_until(listener.listen(job, pause, deeds, troubles))
        .unwrap_or_else(|stuck| panic!("{stuck}"));
    let (mut is_whole, mut was_shut, mut view) = (false, false, None);
    let job = match left {
        Left::Ended(job) => {
            (is_whole, view) = (true, Some(job.view()));
            job
        }
        Left::Leaves(job) => job,
        Left::Shuts(job) => {
            let report = world.end(grace, grace + 5 * SECOND).unwrap_or_else(|stuck| panic!("{stuck}"));
            assert!(report.pending.is_empty() && report.threads_left == 0, "{report}");
            (was_shut, view) = (true, Some(job.view()));
            job
        }
    };
    let result = world.run_until(job.end()).unwrap_or_else(|stuck| panic!("{stuck}"));
    // What went wrong beside the sets is an error here, whether there are sums or not.
    let result = result.and_then(|mut summary| match summary.trouble.take() {
        Some(trouble) => Err(trouble),
        None => Ok(summary),
    });
    let time = world.kernel().now() - begun;
    if !was_shut {
        // What the job began has nothing left to do but to end.
        world.run_for(SECOND).unwrap_or_else(|stuck| panic!("{stuck}"));
    }
    assert_eq!(world.handle().tasks().len(), 0, "{:?}", world.handle().tasks());
    for node in 0..world.handle().threads().per_node.len() {
        let stats = world.handle().limiter(node).stats();
        assert_eq!((stats.in_use, stats.waiting), (0, 0), "permits of node {node}");
    }
    let Listener { rows, was_cancelled, .. } = listener;
    Ran { result, rows, view, is_whole, was_cancelled, was_shut, time }
}

enum Left {
    /// Nothing more will be heard.
    Ended(Job),
    Leaves(Job),
    Shuts(Job),
}

struct Listener {
    rows: Vec<Row>,
    found: u64,
    has_all: bool,
    was_cancelled: bool,
}

impl Listener {
    async fn listen(
        &mut self,
        mut job: Job,
        pause: Duration,
        deeds: &[(Duration, Deed)],
        troubles: &Troubles,
    ) -> Left {
        let begun = time::now();
        let mut deeds = deeds.to_vec();
        deeds.sort_unstable();
        let mut deeds = deeds.into_iter().peekable();
        loop {
            let event = match deeds.peek() {
                Some((after, _)) => time::timeout_at(begun + *after, job.next()).await,
                None => Ok(job.next().await),
            };
            match event {
                Ok(Some(event)) => {
                    self.hear(event, job.view().counts);
                    if !pause.is_zero() {
                        time::sleep(pause).await;
                    }
                }
                Ok(None) => {
                    assert_eq!(job.next().await, None, "a job ends once");
                    return Left::Ended(job);
                }
                Err(_) => match deeds.next().expect("it was looked at").1 {
                    Deed::Cancel => {
                        self.was_cancelled = true;
                        troubles.is_cancelled.store(true, Ordering::Relaxed);
                        job.cancel();
                    }
                    Deed::Leave => return Left::Leaves(job),
                    Deed::Shut => return Left::Shuts(job),
                },
            }
        }
    }

    fn hear(&mut self, event: Event, counts: Counts) {
        match event {
            Event::Found { sets, is_all } => {
                assert!(!self.has_all && sets >= self.found && sets <= counts.found);
                (self.found, self.has_all) = (sets, is_all);
            }
            Event::Ended(rows) => self.rows.extend(rows),
            _ => panic!("an event that this test does not know"),
        }
        assert!(self.rows.len() as u64 <= counts.ended() && counts.ended() <= counts.found, "{counts:?}");
    }
}

impl Ran {
    /// How many rows say that.
    pub(crate) fn count(&self, outcome: Outcome) -> u64 {
        self.rows.iter().filter(|row| row.outcome == outcome).count() as u64
    }

    /// How often each set is told of.
    pub(crate) fn told(&self) -> BTreeMap<&Path, usize> {
        let mut told = BTreeMap::new();
        self.rows.iter().for_each(|row| *told.entry(row.path.as_path()).or_insert(0) += 1);
        told
    }

    /// What of it is the same in each run of a seed: all but the times.
    pub(crate) fn facts(&self) -> String {
        let rows: Vec<Row> = self.rows.iter().map(timeless).collect();
        let result = match &self.result {
            Ok(Summary { totals, umbrellas, is_cancelled, has_failed, .. }) => {
                let failures: Vec<_> = totals.failures.iter().map(|text| without_temporaries(text)).collect();
                format!("{:?} {failures:?} {umbrellas:?} {is_cancelled} {has_failed}", totals.counts)
            }
            Err(error) => without_temporaries(&error.to_string()),
        };
        format!("{rows:#?}\n{:?}\n{result}", self.time)
    }

    /// The rows in the order of their sets, without what may differ from run to run.
    pub(crate) fn by_path(&self) -> Vec<Row> {
        let row = |row| Row { node: None, ..timeless(row) };
        let mut rows: Vec<Row> = self.rows.iter().map(row).collect();
        rows.sort_by_key(|row| (row.path.clone(), row.error.clone()));
        rows
    }
}

fn timeless(row: &Row) -> Row {
    let error = row.error.as_deref().map(without_temporaries);
    Row { error, read_us: 0, solve_us: 0, render_us: 0, store_us: 0, ..row.clone() }
}

/// A text without the numbers of temporaries, which count on from run to run.
fn without_temporaries(text: &str) -> String {
    let mut parts = text.split(".ostia-bulk-");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once(".tmp").map_or(part, |(_, rest)| rest))
}
