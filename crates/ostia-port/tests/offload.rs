//! The threads for what has no asynchronous form. On epoll that is every file; opening a pipe that has a name, and
//! nobody at its other end, keeps such a thread for as long as a test likes.

#![cfg(target_os = "linux")]

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ostia_port::{Backend, Batch, Berth, Class, Port, Ticket, op};
use rustix::fs::{CWD, FileType, Mode, mknodat};

const PATIENCE: Duration = Duration::from_secs(20);

fn port(name: &str, threads_max: usize) -> Port {
    Port::builder().backend(Backend::Epoll).name(name).offload_threads_max(threads_max).open().unwrap()
}

fn pipe(folder: &Path) -> PathBuf {
    let path = folder.join("pipe");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    path
}

/// Begins an open that ends when somebody opens the other end.
fn stuck(port: &Port, berth: &mut Berth, pipe: &Path) -> Ticket<op::Open> {
    berth.submit(op::Open::new(port, pipe, op::OpenOptions::new().read(true)).unwrap()).unwrap()
}

#[track_caller]
fn end<O: op::Op>(berth: &mut Berth, ticket: &mut Ticket<O>) -> io::Result<O::Out> {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some((result, _)) = ticket.poll() {
            return result;
        }
        let left = until.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "an operation does not end");
        berth.wait(&mut Batch::new(), Some(left)).unwrap();
    }
}

/// How many threads of this process have a name that begins so.
fn threads(name: &str) -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok());
    names.filter(|found| found.starts_with(name)).count()
}

#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < PATIENCE, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn there_are_no_more_threads_than_was_said_and_what_waits_for_one_can_be_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = pipe(folder.path());
    let port = port("few", 2);
    assert_eq!(port.offload_threads_max(), 2);
    let mut berth = port.berth().unwrap();
    assert_eq!(threads("few-offload"), 0, "they start when there is work");
    let mut opens: Vec<_> = (0..20).map(|_| stuck(&port, &mut berth, &pipe)).collect();
    let mut behind = berth.submit(op::MetadataOf::new(folder.path(), true).unwrap()).unwrap();
    until("two threads come", || threads("few-offload") == 2);
    // Both are inside their calls: what they wait in is the opening of a pipe.
    assert_eq!(berth.wait(&mut Batch::new(), Some(Duration::from_millis(50))).unwrap(), 0);
    assert_eq!(threads("few-offload"), 2);
    for open in &mut opens {
        open.cancel();
    }
    behind.cancel();
    let error = end(&mut berth, &mut behind).unwrap_err();
    assert_eq!(Class::of(&error), Class::Cancelled);
    let mut left = Vec::new();
    for mut open in opens {
        match open.poll() {
            Some((result, ())) => assert_eq!(Class::of(&result.unwrap_err()), Class::Cancelled),
            None => left.push(open),
        }
    }
    assert_eq!(left.len(), 2, "those inside their calls stay");
    let writer = fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    for mut open in left {
        end(&mut berth, &mut open).expect("it won");
    }
    // And the threads are of use again.
    let mut metadata = berth.submit(op::MetadataOf::new(folder.path(), true).unwrap()).unwrap();
    assert_eq!(end(&mut berth, &mut metadata).unwrap().kind, op::EntryKind::Directory);
    drop(writer);
    drop(berth);
    drop(port);
    until("the threads end with their port", || threads("few-offload") == 0);
}

#[test]
fn a_berth_does_not_wait_for_a_call_that_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = pipe(folder.path());
    let port = port("late", 1);
    let mut berth = port.berth().unwrap();
    let open = stuck(&port, &mut berth, &pipe);
    until("the thread comes", || threads("late-offload") == 1);
    assert_eq!(berth.wait(&mut Batch::new(), Some(Duration::from_millis(50))).unwrap(), 0);
    let began = Instant::now();
    let report = berth.close(Duration::from_millis(100));
    assert!(began.elapsed() < PATIENCE / 2);
    assert_eq!((report.submitted, report.cancelled, report.leaked, report.ended), (1, 1, 1, 0));
    // The next berth has nothing to do with what was left behind, though that comes back now.
    let mut berth = port.berth().unwrap();
    let writer = fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let mut metadata = berth.submit(op::MetadataOf::new(folder.path(), true).unwrap()).unwrap();
    end(&mut berth, &mut metadata).unwrap();
    let report = berth.close(PATIENCE);
    assert_eq!((report.submitted, report.ended, report.unknown), (1, 1, 0));
    drop((open, writer));
}

#[test]
fn many_calls_at_once_all_end() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..40 {
        fs::write(folder.path().join(format!("{number}")), vec![number; 100 + usize::from(number)]).unwrap();
    }
    let port = port("many", 3);
    let mut berth = port.berth().unwrap();
    for _ in 0..10 {
        let mut asked: Vec<_> = (0..200u64)
            .map(|number| {
                let path = folder.path().join(format!("{}", number % 40));
                (number % 40, berth.submit(op::MetadataOf::new(&path, true).unwrap()).unwrap())
            })
            .collect();
        for (number, ticket) in &mut asked {
            assert_eq!(end(&mut berth, ticket).unwrap().len, 100 + *number);
        }
    }
    let count = threads("many-offload");
    assert!((1..=3).contains(&count), "{count} threads");
}
