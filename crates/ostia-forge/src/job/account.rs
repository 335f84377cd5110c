//! What a job owes: a count for each set, which goes down in one place.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;

use super::keeper::Ended;
use crate::row::Outcome;

/// How many failures are kept to be told at the end.
const FAILURES: usize = 10;

/// How many sets of a job came to what.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Counts {
    /// Those that were found so far.
    pub found: u64,
    /// Those that were made.
    pub done: u64,
    /// Those whose input, options and outputs are as an earlier run left them.
    pub unchanged: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that somebody ended before they were done.
    pub stopped: u64,
}

impl Counts {
    /// All that have ended.
    pub fn ended(&self) -> u64 {
        self.done + self.unchanged + self.failed + self.stopped
    }

    fn of(&mut self, outcome: Outcome) -> &mut u64 {
        match outcome {
            Outcome::Done => &mut self.done,
            Outcome::Unchanged => &mut self.unchanged,
            Outcome::Failed => &mut self.failed,
            Outcome::Stopped => &mut self.stopped,
        }
    }
}

/// What the rows of a job come to together.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Totals {
    /// How many sets came to what.
    pub counts: Counts,
    /// Keys in tables that were made or are in place.
    pub keys: u64,
    /// Attempts.
    pub attempts: u64,
    /// Files that were stored or are in place.
    pub files: u64,
    /// Microseconds of all threads: reading, solving and verifying, rendering, storing.
    pub phases: [u64; 4],
    /// The first failures in the order of the sets, each a sentence.
    pub failures: Vec<String>,
}

impl Totals {
    /// The time that all threads together spent in each phase.
    pub fn times(&self) -> [Duration; 4] {
        self.phases.map(Duration::from_micros)
    }
}

/// The sums of a job, to which every set comes once: by a row, or by the end of its [`Due`].
#[derive(Default)]
pub(crate) struct Account {
    sums: Mutex<Sums>,
}

#[derive(Default)]
struct Sums {
    totals: Totals,
    failures: BTreeMap<u64, String>,
    /// The identifiers of all tables there are, for the umbrellas.
    names: Vec<String>,
}

impl Account {
    /// An account without a set.
    pub(crate) fn new() -> Arc<Account> {
        Arc::default()
    }

    /// A set was found: the number of those before it, and the right to end it.
    pub(crate) fn enter(self: &Arc<Account>, path: &Path) -> Due {
        let mut sums = self.sums();
        let number = sums.totals.counts.found;
        sums.totals.counts.found += 1;
        drop(sums);
        Due { account: Some(Arc::clone(self)), number, path: path.to_owned() }
    }

    /// The sums so far.
    pub(crate) fn totals(&self) -> Totals {
        let sums = self.sums();
        Totals { failures: sums.failures.values().cloned().collect(), ..sums.totals.clone() }
    }

    /// How many sets came to what so far.
    pub(crate) fn counts(&self) -> Counts {
        self.sums().totals.counts
    }

    /// The identifiers of all tables there are, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = self.sums().names.clone();
        names.sort_unstable();
        names
    }

    fn sums(&self) -> MutexGuard<'_, Sums> {
        // They are whole between any two calls, so a panic elsewhere has not harmed them.
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, number: u64, ended: &Ended) {
        let row = &ended.row;
        let mut sums = self.sums();
        *sums.totals.counts.of(row.outcome) += 1;
        sums.totals.attempts += row.attempts;
        sums.totals.files += row.files.len() as u64;
        for (sum, us) in
            sums.totals.phases.iter_mut().zip([row.read_us, row.solve_us, row.render_us, row.store_us])
        {
            *sum += us;
        }
        if let Outcome::Done | Outcome::Unchanged = row.outcome {
            sums.totals.keys += ended.keys;
            sums.names.extend(ended.name.clone());
        }
        if row.outcome == Outcome::Failed {
            let why = row.error.as_deref().unwrap_or("failed for no known reason");
            sums.failures.insert(number, why.to_owned());
            if sums.failures.len() > FAILURES {
                sums.failures.pop_last();
            }
        }
    }

    fn lose(&self) {
        self.sums().totals.counts.stopped += 1;
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Account").field(&self.counts()).finish()
    }
}

/// A set that has not ended. It ends with a row, or, when the work on it is dropped, as stopped: in either case once.
#[must_use = "the set counts as stopped when this is dropped"]
pub(crate) struct Due {
    /// None once it has ended.
    account: Option<Arc<Account>>,
    number: u64,
    path: PathBuf,
}

impl Due {
    /// How many sets were found before it.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The set.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// It has ended, and this is what became of it.
    pub(crate) fn end(mut self, ended: &Ended) {
        let account = self.account.take().expect("a set ends once, and takes this with it");
        account.end(self.number, ended);
    }
}

impl Drop for Due {
    fn drop(&mut self) {
        if let Some(account) = self.account.take() {
            account.lose();
        }
    }
}

impl fmt::Debug for Due {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Due").field("number", &self.number).field("path", &self.path).finish_non_exhaustive()
    }
}
