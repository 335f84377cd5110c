//! What is seen of tasks from outside, by `tracing`. A program of its own: there is one listener for a process.

use std::{
    fmt::Debug,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use ostia_rt::{Runtime, yield_now};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Listener(AtomicU64);

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("ostia_rt")
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        let mut text = Text(span.metadata().name().to_owned());
        span.record(&mut text);
        SEEN.lock().unwrap().push(text.0);
        span::Id::from_u64(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0 += &format!(" {}={value:?}", field.name());
    }
}

#[test]
fn each_turn_of_a_task_is_a_span_with_its_name_and_place() {
    tracing::subscriber::set_global_default(Listener(AtomicU64::new(0))).unwrap();
    let runtime = Runtime::builder().workers_per_node(1).nodes("0").unwrap().build().unwrap();
    let task = runtime.handle().spawn_named("the one we look for", async {
        yield_now().await;
        yield_now().await;
    });
    runtime.block_on(task).unwrap();
    drop(runtime);
    let seen = SEEN.lock().unwrap();
    let turns =
        seen.iter().filter(|span| *span == r#"poll task="the one we look for" node=0 worker=0"#).count();
    assert_eq!(turns, 3, "{seen:?}");
}
