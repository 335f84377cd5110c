//! The watchdog: a task that holds its worker is told of by name, once; a program of its own, for the log is one.

use std::{
    fmt,
    sync::{Mutex, mpsc},
    time::Duration,
};

use ostia_rt::Runtime;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

/// Nothing here takes as long unless it hangs.
const LONG: Duration = Duration::from_secs(60);

/// Hands on what warnings say.
struct Log(Mutex<mpsc::Sender<String>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0 += &format!("{field}={value:?};");
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        let _ = self.0.lock().unwrap().send(line.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn a_task_that_holds_its_worker_is_told_of_by_name_and_once_each_time() {
    let (sender, log) = mpsc::channel();
    tracing::subscriber::set_global_default(Log(Mutex::new(sender))).unwrap();
    let runtime = Runtime::builder()
        .workers_per_node(1)
        .nodes("0")
        .unwrap()
        .stall_after(Some(Duration::from_millis(20)))
        .build()
        .unwrap();
    for round in 1..=2 {
        let (release, held) = mpsc::channel::<()>();
        let task = runtime.handle().spawn_named("the one that blocks", async move {
            let _ = held.recv();
        });
        // The watchdog has nothing else to tell of, and tells while the task still holds its worker.
        let line = log.recv_timeout(LONG).expect("the watchdog tells");
        assert!(line.contains("a task holds its worker"), "{line}");
        assert!(line.contains("task=\"the one that blocks\""), "{line}");
        assert!(line.contains("worker=0"), "{line}");
        // Much later than the threshold it has told once still.
        let more = log.recv_timeout(Duration::from_millis(100));
        assert!(more.is_err(), "told twice: {more:?}");
        assert_eq!(runtime.handle().metrics().total().stalls, round);
        release.send(()).unwrap();
        runtime.block_on(task).unwrap();
    }
}
