//! A few sets through the house: read together, solved one after the other, stored together.
//!
//! What is small travels with others, since a trip to an offload thread costs more than reading a set that small, or
//! storing what comes of it. Each set has its own row all the same, and its own panic.

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use ostia_emit::lang::Artifact;
use ostia_hash::{
    create::{Created, Failure, create_on},
    search::{Ended as Search, Watch},
};
use ostia_rt::{JoinError, blocking, breathe, offload};

use super::{
    Shared,
    account::Due,
    keeper::Ended,
    slices::{SetWatch, Slices},
    window::{SMALL, Waiting},
};
use crate::{
    digest::Digest,
    disk::TooLarge,
    input::{MAX_BYTES, ReadError},
    journal::{Known, OutputFile},
    row::{CoverageRow, Outcome, Row},
    set::{SetError, Times, parse, render, with_subset},
    spec::Output,
};

/// Work of one piece on more bytes than these, some milliseconds, is done outside of the worker's turn, so that what
/// waits at the worker goes to others meanwhile.
const HEAVY: usize = 256 << 10;

/// A set of the batch on its way.
struct Set {
    due: Due,
    name: String,
    times: Times,
    content: Option<Digest>,
    bytes_in: Option<u64>,
    /// The length of its file as the walk saw it.
    found: u64,
    at: At,
}

/// How far it has come.
enum At {
    Begin,
    Read(Vec<u8>),
    /// Its row, and the files that are to be put in place.
    Made(Box<Row>, Vec<Artifact>),
    /// Its row, and the files that are in place.
    Stored(Box<Row>, Vec<OutputFile>),
    /// As an earlier run left it.
    Unchanged(Known),
    Failed(SetError),
}

impl Set {
    fn new(waiting: Waiting) -> Set {
        let Waiting { due, name, bytes } = waiting;
        Set { due, name, times: Times::default(), content: None, bytes_in: None, found: bytes, at: At::Begin }
    }

    fn path(&self) -> &Path {
        self.due.path()
    }

    fn fail(&mut self, error: SetError) {
        self.at = At::Failed(error);
    }

    fn end(self, job: &Shared) -> (Due, Ended) {
        let path = self.due.path();
        let (mut row, outputs, keys) = match self.at {
            At::Stored(row, outputs) => {
                let keys = row.table.as_ref().map_or(0, |table| table.keys as u64);
                (*row, outputs, keys)
            }
            At::Unchanged(known) => {
                let keys = known.keys.unwrap_or_default();
                (Row::unchanged(path), known.outputs, keys)
            }
            At::Failed(error) => (Row::failed(path, &error, self.times), Vec::new(), 0),
            At::Begin | At::Read(_) | At::Made(..) => {
                let error = SetError::Ended { path: path.to_owned() };
                (Row::failed(path, &error, self.times), Vec::new(), 0)
            }
        };
        if let Some(out) = &job.spec.out {
            row.files = outputs.iter().map(|output| out.join(&output.name)).collect();
        }
        row.set_times(self.times);
        row.bytes_in = self.bytes_in;
        let ended = Ended { row, name: Some(self.name), keys, content: self.content, outputs };
        (self.due, ended)
    }
}

/// Takes sets from their files to their rows.
pub(super) async fn run(job: Arc<Shared>, sets: Vec<Waiting>) -> Vec<(Due, Ended)> {
    let mut sets: Vec<Set> = sets.into_iter().map(Set::new).collect();
    read(&job, &mut sets).await;
    for set in &mut sets {
        if let At::Read(bytes) = &mut set.at {
            let bytes = std::mem::take(bytes);
            let forged = Caught(Box::pin(forge(&job, set, bytes))).await;
            let made = forged.unwrap_or_else(|panic| Err(panicked(set.path(), &*panic)));
            match made {
                Ok((row, artifacts)) if job.spec.out.is_some() => set.at = At::Made(row, artifacts),
                Ok((row, _)) => set.at = At::Stored(row, Vec::new()),
                Err(error) => set.fail(error),
            }
        }
    }
    store(&job, &mut sets).await;
    sets.into_iter().map(|set| set.end(&job)).collect()
}

/// What became of reading a set.
struct ReadOne {
    at: At,
    content: Option<Digest>,
    bytes: Option<u64>,
    time: Duration,
}

/// Reads the sets, and finds those that need not be made again.
async fn read(job: &Arc<Shared>, sets: &mut [Set]) {
    let paths: Vec<PathBuf> = sets.iter().map(|set| set.path().to_owned()).collect();
    let lengths: Vec<u64> = sets.iter().map(|set| set.found).collect();
    let here = Arc::clone(job);
    let read = offload(move || {
        let known = here.known_of(&paths);
        let one = |((path, length), known): ((&PathBuf, u64), Option<Known>)| {
            let begun = Instant::now();
            let read = catch_unwind(AssertUnwindSafe(|| read_one(&here, path, length, known)));
            let failed =
                |error| ReadOne { at: At::Failed(error), content: None, bytes: None, time: Duration::ZERO };
            let read = read.unwrap_or_else(|panic| failed(panicked(path, &*panic)));
            ReadOne { time: begun.elapsed(), ..read }
        };
        paths.iter().zip(lengths).zip(known).map(one).collect::<Vec<_>>()
    });
    match read.await {
        Ok(read) => {
            for (set, read) in sets.iter_mut().zip(read) {
                set.at = read.at;
                set.content = read.content;
                set.bytes_in = read.bytes;
                set.times.read = read.time;
            }
        }
        Err(error) => not_done(sets.iter_mut(), error),
    }
}

fn read_one(job: &Shared, path: &Path, length: u64, known: Option<Known>) -> ReadOne {
    let failed = |error| ReadOne { at: At::Failed(error), content: None, bytes: None, time: Duration::ZERO };
    if job.is_cancelled() {
        return failed(SetError::Ended { path: path.to_owned() });
    }
    // Memory was granted for the length that was found.
    let most = MAX_BYTES.min(length.saturating_mul(2).max(SMALL));
    let bytes = match job.disk.read(path, most) {
        Ok(bytes) => bytes,
        Err(why) if most < MAX_BYTES && TooLarge::of(&why).is_some() => {
            return failed(SetError::Grew { path: path.to_owned() });
        }
        Err(why) => {
            return failed(SetError::Read(ReadError { path: path.to_owned(), why: why.into() }));
        }
    };
    let mut read =
        ReadOne { at: At::Begin, content: None, bytes: Some(bytes.len() as u64), time: Duration::ZERO };
    if job.records.is_some() || job.spec.check {
        let content = job.content(&bytes);
        read.content = Some(content);
        let is_known = known.is_some();
        let same = known.filter(|known| {
            known.outcome == Outcome::Done
                && known.content == Some(content)
                && known.options == job.options
                && job.is_in_place(known)
        });
        if let Some(known) = same {
            read.at = At::Unchanged(known);
            return read;
        }
        if job.spec.check {
            read.at = At::Failed(SetError::Stale { path: path.to_owned(), is_known });
            return read;
        }
    }
    read.at = At::Read(bytes);
    read
}

/// Solves a set, verifies its table and renders its outputs, in slices.
async fn forge(job: &Shared, set: &mut Set, bytes: Vec<u8>) -> Result<(Box<Row>, Vec<Artifact>), SetError> {
    let path = set.path().to_owned();
    let spec = &job.spec.set;
    let begun = Instant::now();
    breathe().await;
    let len = bytes.len();
    let loaded = in_turn(len, || parse(&path, &set.name, &bytes, job.values.as_deref(), spec))?;
    drop(bytes);
    set.times.read += begun.elapsed();

    let begun = Instant::now();
    let watch = Arc::new(SetWatch::new(&job.sight.is_cancelled, spec.time_limit));
    let fail = |why| {
        let out_of_time = watch.is_out_of_time() && !job.is_cancelled();
        SetError::Failure { path: path.clone(), why, out_of_time }
    };
    let options = with_subset(&loaded, spec).map_err(|why| fail(Failure::Options(why)))?;
    let at_most = (job.spec.per_set_concurrency > 0).then_some(job.spec.per_set_concurrency);
    let engine = Slices { watch: Arc::clone(&watch), at_most };
    let on_board = job.sight.board.enter(path.clone(), &watch);
    let created = create_on(&loaded.keys, loaded.values.as_ref(), &options, &engine).await;
    drop(on_board);
    let created = created.map_err(fail)?;
    set.times.solve = begun.elapsed();

    let begun = Instant::now();
    let mut artifacts = Vec::new();
    // Where nothing is stored nothing is rendered: nobody would see it.
    let outputs = spec.outputs.iter().filter(|_| job.spec.out.is_some());
    // A search for the best table that was ended by its time has a table to give; all else that is ended has none.
    let was_searched = created.report.tried.last().is_some_and(|last| last.ended != Search::Stopped);
    if !was_searched {
        // With more time there may be a better one: the next run is to look again.
        set.content = None;
    }
    for output in outputs {
        breathe().await;
        if if was_searched { watch.stopped() } else { watch.abandoned() } {
            return Err(fail(Failure::Stopped(created.report)));
        }
        let size = created.table.bytes() * if *output == Output::Table { 1 } else { 4 };
        let rendered = in_turn(size, || render(&loaded, &created, spec, output));
        artifacts.extend(rendered.map_err(SetError::Emit)?);
    }
    let row = row(job, set, &created);
    set.times.render = begun.elapsed();
    Ok((Box::new(row), artifacts))
}

fn row(job: &Shared, set: &Set, created: &Created) -> Row {
    let spec = &job.spec.set;
    let mut row = Row::done(set.path(), &set.name, created, spec, set.times, Vec::new());
    if job.records.is_some()
        && let Some(table) = &mut row.table
        && table.coverage.is_none()
    {
        table.coverage = CoverageRow::of(&created.table, spec.options.graph);
    }
    row
}

/// Does a piece of work that cannot be cut: where it is long, so that the worker's other work goes to others.
fn in_turn<T>(size: usize, work: impl FnOnce() -> T) -> T {
    if size > HEAVY { blocking(work) } else { work() }
}

/// Puts the files of all tables in place.
async fn store(job: &Arc<Shared>, sets: &mut [Set]) {
    let mut made: Vec<(usize, PathBuf, Box<Row>, Vec<Artifact>)> = Vec::new();
    for (place, set) in sets.iter_mut().enumerate() {
        match std::mem::replace(&mut set.at, At::Begin) {
            At::Made(row, artifacts) => made.push((place, set.path().to_owned(), row, artifacts)),
            other => set.at = other,
        }
    }
    let Some(out) = job.spec.out.clone().filter(|_| !made.is_empty()) else { return };
    let places: Vec<usize> = made.iter().map(|(place, ..)| *place).collect();
    let here = Arc::clone(job);
    let stored = offload(move || {
        let mut stored = Vec::with_capacity(made.len());
        for (place, path, row, artifacts) in made {
            let begun = Instant::now();
            let one = catch_unwind(AssertUnwindSafe(|| store_one(&here, &out, &path, &artifacts)));
            let one = one.unwrap_or_else(|panic| Err(panicked(&path, &*panic)));
            stored.push((place, row, one, begun.elapsed()));
        }
        stored
    });
    match stored.await {
        Ok(stored) => {
            for (place, row, one, time) in stored {
                let set = &mut sets[place];
                set.times.store = time;
                set.at = match one {
                    Ok(outputs) => At::Stored(row, outputs),
                    Err(error) => At::Failed(error),
                };
            }
        }
        Err(error) => {
            let sets = sets.iter_mut().enumerate().filter(|(place, _)| places.contains(place));
            not_done(sets.map(|(_, set)| set), error);
        }
    }
}

fn store_one(
    job: &Shared,
    out: &Path,
    path: &Path,
    artifacts: &[Artifact],
) -> Result<Vec<OutputFile>, SetError> {
    let mut outputs = Vec::with_capacity(artifacts.len());
    if job.is_cancelled() {
        return Err(SetError::Ended { path: path.to_owned() });
    }
    // From here on all of them, or those of an earlier run would stand beside those of this one.
    for artifact in artifacts {
        job.store.put(&out.join(&artifact.name), &artifact.bytes).map_err(SetError::Store)?;
        let (name, len) = (artifact.name.clone(), artifact.bytes.len() as u64);
        outputs.push(OutputFile { name, len, digest: Digest::of(&artifact.bytes) });
    }
    Ok(outputs)
}

/// What was to be done on an offload thread was not: the runtime has ended, or had no thread.
fn not_done<'s>(sets: impl Iterator<Item = &'s mut Set>, error: JoinError) {
    let what = error.into_panic().map(|panic| said(&*panic));
    for set in sets {
        let path = set.path().to_owned();
        set.fail(match &what {
            Some(what) => SetError::Panicked { path, what: what.clone() },
            None => SetError::Ended { path },
        });
    }
}

fn panicked(path: &Path, panic: &(dyn Any + Send)) -> SetError {
    SetError::Panicked { path: path.to_owned(), what: said(panic) }
}

/// What a panic said.
pub(crate) fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}

/// A future whose panic is its result.
struct Caught<F>(Pin<Box<F>>);

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, Box<dyn Any + Send>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, task::Waker};

    use super::*;

    #[test]
    fn a_panic_in_the_work_on_a_set_is_its_result() {
        let forge = async {
            let mut polled = false;
            // The work gives way once before it panics.
            std::future::poll_fn(|_| {
                if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            panic!("on purpose");
        };
        let mut cx = Context::from_waker(Waker::noop());
        let mut caught = pin!(Caught::<_>(Box::pin(forge)));
        assert!(caught.as_mut().poll(&mut cx).is_pending());
        let Poll::Ready(result) = caught.as_mut().poll(&mut cx) else { panic!("the work goes on") };
        let result: Result<(), _> = result;
        let error = panicked(Path::new("in/a.keys"), &*result.unwrap_err());
        assert!(!error.is_stopped());
        let said = error.to_string();
        assert!(
            said.starts_with("in/a.keys: the work on this set panicked") && said.ends_with("on purpose"),
            "{said}"
        );
    }
}
