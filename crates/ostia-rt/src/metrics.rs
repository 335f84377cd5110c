//! Counters that are always on, and pictures of them.
//!
//! Each worker counts what it does in words of its own, on cache lines of its own. A counter has one writer, so that
//! counting is a load, an addition and a store: no locked instruction, and no line that goes back and forth between
//! CPUs. Anybody may read them at any time: [`Snapshot`] is plain data, which can be printed as a table, written as
//! JSON, and subtracted from a later one.
//!
//! Each figure of a snapshot is right by itself. They are read one after the other while the workers go on, so sums of
//! several may be off by what happened meanwhile.

use std::{
    fmt::{self, Write as _},
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{limiter, pool};

/// A counter with one writer.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// To be called by its writer alone: of two at once, one would be lost.
    #[inline]
    pub(crate) fn add(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// For what is a state and no count.
    #[inline]
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// The one table of what a worker counts.
macro_rules! worker_counters {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// What one worker counts. The worker is the one writer of each; of `stalls` it is the watchdog.
        // 128: processors fetch lines in pairs.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub(crate) struct WorkerCounters {
            $(pub(crate) $name: Counter,)+
        }

        impl WorkerCounters {
            /// What was counted so far, by the worker of this number.
            pub(crate) fn read(&self, worker: usize) -> Worker {
                Worker { worker, $($name: self.$name.get(),)+ }
            }
        }

        /// What one worker did.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Worker {
            /// Its number within its node.
            pub worker: usize,
            $($(#[$doc])+ pub $name: u64,)+
        }

        impl Worker {
            /// The names of the counters, in the order of `counts`.
            const NAMES: &[&str] = &[$(stringify!($name),)+];

            fn counts(&self) -> [u64; Worker::NAMES.len()] {
                [$(self.$name,)+]
            }

            fn counts_mut(&mut self) -> [&mut u64; Worker::NAMES.len()] {
                [$(&mut self.$name,)+]
            }
        }
    };
}

worker_counters! {
    /// Turns: of tasks, then I/O.
    turns,
    /// Polls of tasks.
    polls,
    /// Tasks that were taken from a sibling.
    steals,
    /// Waits in the kernel with nothing to do.
    parks,
    /// Times that it was woken to look for work that others have.
    wakes,
    /// Times that the run of tasks, or a piece of compute work, ended because its slice was over.
    slices,
    /// Times that one poll held the worker for longer than the threshold.
    stalls,
    /// Operations submitted.
    submitted,
    /// Operations that ended: on Windows they may have been submitted by a sibling.
    completed,
    /// Packets that waits delivered.
    packets,
    /// Timers that expired.
    expired,
}

/// A node at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Node {
    /// Its place among the nodes of the runtime, from 0, as [`Handle::spawn_on`](crate::Handle::spawn_on) counts them;
    /// the topology may call it otherwise: [`NodeThreads::node`](crate::NodeThreads::node).
    pub node: usize,
    /// Tasks that are not at their end.
    pub tasks: u64,
    /// Tasks that could run but do not yet: in the queues of the workers and in the node's own.
    pub queued: u64,
    /// Operations that are under way.
    pub in_flight: u64,
    /// Timers that wait.
    pub timers: u64,
    /// The pool of buffers.
    pub buffers: pool::Usage,
    /// The permits of the node's limiter.
    pub permits: limiter::Stats,
    /// Its workers.
    pub workers: Vec<Worker>,
}

/// The whole runtime at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Its nodes.
    pub nodes: Vec<Node>,
}

impl Snapshot {
    /// Of these nodes.
    pub(crate) fn new(nodes: Vec<Node>) -> Snapshot {
        Snapshot { nodes }
    }

    /// What was counted since an earlier snapshot of the same runtime. What is a state and no count, such as tasks
    /// alive or bytes kept, and what is the highest ever, stays as it is now.
    pub fn since(&self, earlier: &Snapshot) -> Snapshot {
        let mut difference = self.clone();
        for (node, before) in difference.nodes.iter_mut().zip(&earlier.nodes) {
            node.permits.given = node.permits.given.saturating_sub(before.permits.given);
            node.permits.waited = node.permits.waited.saturating_sub(before.permits.waited);
            for (worker, before) in node.workers.iter_mut().zip(&before.workers) {
                for (count, before) in worker.counts_mut().into_iter().zip(before.counts()) {
                    *count = count.saturating_sub(before);
                }
            }
            for (count, before) in
                buffer_counts_mut(&mut node.buffers).into_iter().zip(buffer_counts(&before.buffers))
            {
                *count = count.saturating_sub(before);
            }
        }
        difference
    }

    /// All workers as one.
    pub fn total(&self) -> Worker {
        let mut total = Worker::default();
        for worker in self.nodes.iter().flat_map(|node| &node.workers) {
            for (sum, count) in total.counts_mut().into_iter().zip(worker.counts()) {
                *sum += count;
            }
        }
        total
    }

    /// The same as one JSON object, on one line: `{"nodes":[{"node":0,...,"workers":[{"worker":0,...}]}]}`.
    pub fn to_json(&self) -> String {
        let mut json = String::new();
        self.write_json(&mut json).expect("a string takes all that is written to it");
        json
    }

    fn write_json(&self, out: &mut String) -> fmt::Result {
        out.push_str("{\"nodes\":");
        list(out, &self.nodes, |out, node| {
            let Node { tasks, queued, in_flight, timers, buffers, permits, .. } = node;
            write!(out, "{{\"node\":{},\"tasks\":{tasks},\"queued\":{queued},", node.node)?;
            write!(out, "\"in_flight\":{in_flight},\"timers\":{timers},\"buffers\":{{")?;
            let states = BUFFER_STATES.iter().zip(buffer_states(buffers));
            let counts = BUFFER_COUNTS.iter().zip(buffer_counts(buffers));
            pairs(out, states.chain(counts))?;
            let limiter::Stats { limit, in_use, in_use_max, waiting, waiting_max, given, waited } = permits;
            write!(out, "}},\"permits\":{{\"limit\":{limit},\"in_use\":{in_use},")?;
            write!(out, "\"in_use_max\":{in_use_max},\"waiting\":{waiting},\"waiting_max\":{waiting_max},")?;
            write!(out, "\"given\":{given},\"waited\":{waited}}},\"workers\":")?;
            list(out, &node.workers, |out, worker| {
                write!(out, "{{\"worker\":{},", worker.worker)?;
                pairs(out, Worker::NAMES.iter().zip(worker.counts()))?;
                out.write_char('}')
            })?;
            out.write_char('}')
        })?;
        out.write_char('}')
    }
}

/// A table: a paragraph for each node and a row for each worker.
impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Node { node, tasks, queued, in_flight, timers, buffers, permits, .. } in &self.nodes {
            writeln!(
                f,
                "node {node}: tasks {tasks}, queued {queued}, operations in flight {in_flight}, timers {timers}"
            )?;
            write!(
                f,
                "  buffers: {} out, {} kept, {} at most so far, of {} bytes; ",
                buffers.out_bytes, buffers.kept_bytes, buffers.high_water_bytes, buffers.budget_bytes
            )?;
            writeln!(
                f,
                "{} hits, {} misses, {} waits, {} refusals, {} trims, {} waiting",
                buffers.hits, buffers.misses, buffers.waits, buffers.refusals, buffers.trims, buffers.waiting
            )?;
            writeln!(
                f,
                "  permits: {} out, {} at most so far, of {}; {} waiting",
                permits.in_use, permits.in_use_max, permits.limit, permits.waiting
            )?;
        }
        let mut rows: Vec<(String, [u64; Worker::NAMES.len()])> = Vec::new();
        for node in &self.nodes {
            rows.extend(node.workers.iter().map(|w| (format!("{}.{}", node.node, w.worker), w.counts())));
        }
        rows.push(("all".to_owned(), self.total().counts()));
        let width = |column: usize, name: &str| {
            let widest =
                rows.iter().map(|(_, counts)| counts[column].checked_ilog10().unwrap_or(0) as usize + 1);
            widest.max().unwrap_or(0).max(name.len())
        };
        let widths: Vec<usize> = Worker::NAMES.iter().enumerate().map(|(i, name)| width(i, name)).collect();
        let first = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0).max("worker".len());
        write!(f, "{:first$}", "worker")?;
        for (name, width) in Worker::NAMES.iter().zip(&widths) {
            write!(f, "  {name:>width$}")?;
        }
        for (name, counts) in &rows {
            write!(f, "\n{name:first$}")?;
            for (count, width) in counts.iter().zip(&widths) {
                write!(f, "  {count:>width$}")?;
            }
        }
        Ok(())
    }
}

const BUFFER_STATES: [&str; 7] =
    ["budget_bytes", "out_bytes", "out", "kept_bytes", "kept", "high_water_bytes", "waiting"];

fn buffer_states(usage: &pool::Usage) -> [u64; 7] {
    let pool::Usage { budget_bytes, out_bytes, out, kept_bytes, kept, high_water_bytes, waiting, .. } =
        *usage;
    [budget_bytes, out_bytes, out, kept_bytes, kept, high_water_bytes, waiting].map(|count| count as u64)
}

const BUFFER_COUNTS: [&str; 5] = ["hits", "misses", "waits", "refusals", "trims"];

fn buffer_counts(usage: &pool::Usage) -> [u64; 5] {
    [usage.hits, usage.misses, usage.waits, usage.refusals, usage.trims]
}

fn buffer_counts_mut(usage: &mut pool::Usage) -> [&mut u64; 5] {
    [&mut usage.hits, &mut usage.misses, &mut usage.waits, &mut usage.refusals, &mut usage.trims]
}

/// `"name":1,"other":2`. The names are ours and need no escapes.
fn pairs<'a>(out: &mut String, pairs: impl Iterator<Item = (&'a &'a str, u64)>) -> fmt::Result {
    for (i, (name, value)) in pairs.enumerate() {
        let comma = if i == 0 { "" } else { "," };
        write!(out, "{comma}\"{name}\":{value}")?;
    }
    Ok(())
}

/// `[...]`.
fn list<T>(
    out: &mut String,
    items: &[T],
    mut each: impl FnMut(&mut String, &T) -> fmt::Result,
) -> fmt::Result {
    out.write_char('[')?;
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.write_char(',')?;
        }
        each(out, item)?;
    }
    out.write_char(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(polls: [u64; 2], hits: u64) -> Snapshot {
        let worker = |worker: usize| {
            let counters = WorkerCounters::default();
            counters.turns.add(1);
            counters.polls.add(polls[worker]);
            counters.read(worker)
        };
        let buffers = pool::Usage { hits, out_bytes: 4096, high_water_bytes: 8192, ..Default::default() };
        let permits =
            limiter::Stats { limit: 64, in_use: 3, in_use_max: 5, given: hits, ..Default::default() };
        Snapshot::new(vec![Node {
            tasks: 7,
            buffers,
            permits,
            workers: vec![worker(0), worker(1)],
            ..Node::default()
        }])
    }

    #[test]
    fn what_is_counted_is_read() {
        let counters = WorkerCounters::default();
        counters.polls.add(2);
        counters.polls.add(3);
        counters.stalls.add(1);
        let worker = counters.read(4);
        assert_eq!((worker.worker, worker.polls, worker.stalls, worker.turns), (4, 5, 1, 0));
    }

    #[test]
    fn workers_share_no_cache_line() {
        let pair = [WorkerCounters::default(), WorkerCounters::default()];
        let [first, second] = pair.each_ref().map(|counters| std::ptr::from_ref(counters).addr());
        assert_eq!(first % 128, 0);
        assert!(second - first >= 128);
    }

    #[test]
    fn a_reader_sees_counts_grow_while_the_writer_counts() {
        let counters = WorkerCounters::default();
        let rounds = if cfg!(miri) { 200 } else { 100_000 };
        std::thread::scope(|scope| {
            scope.spawn(|| (0..rounds).for_each(|_| counters.polls.add(1)));
            let mut last = 0;
            while last < rounds {
                let now = counters.read(0).polls;
                assert!(now >= last && now <= rounds);
                last = now;
                std::hint::spin_loop();
            }
        });
    }

    #[test]
    fn the_difference_of_two_snapshots_has_counts_since_and_states_now() {
        let difference = snapshot([15, 9], 12).since(&snapshot([10, 9], 2));
        let node = &difference.nodes[0];
        assert_eq!((node.workers[0].polls, node.workers[1].polls, node.workers[1].worker), (5, 0, 1));
        assert_eq!(
            (node.buffers.hits, node.buffers.out_bytes, node.buffers.high_water_bytes),
            (10, 4096, 8192)
        );
        assert_eq!((node.tasks, node.permits.in_use, node.permits.given), (7, 3, 10));
        assert_eq!(difference.total().polls, 5);
    }

    #[test]
    fn the_table_has_a_row_for_each_worker_and_one_for_all() {
        let table = snapshot([1_234_567, 9], 2).to_string();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 7, "{table}");
        assert_eq!(lines[0], "node 0: tasks 7, queued 0, operations in flight 0, timers 0");
        assert!(lines[3].starts_with("worker  turns    polls  steals"), "{table}");
        assert!(lines[4].starts_with("0.0         1  1234567"), "{table}");
        assert!(lines[5].starts_with("0.1         1        9"), "{table}");
        assert!(lines[6].starts_with("all         2  1234576"), "{table}");
        assert!(lines[3..].iter().all(|line| line.len() == lines[3].len()), "{table}");
    }

    #[test]
    fn json_has_every_figure_once() {
        let json = snapshot([15, 9], 12).to_json();
        let expected = concat!(
            r#"{"nodes":[{"node":0,"tasks":7,"queued":0,"in_flight":0,"timers":0,"#,
            r#""buffers":{"budget_bytes":0,"out_bytes":4096,"out":0,"kept_bytes":0,"kept":0,"#,
            r#""high_water_bytes":8192,"waiting":0,"hits":12,"misses":0,"waits":0,"refusals":0,"trims":0},"#,
            r#""permits":{"limit":64,"in_use":3,"in_use_max":5,"waiting":0,"waiting_max":0,"given":12,"waited":0},"#,
            r#""workers":[{"worker":0,"turns":1,"polls":15,"steals":0,"parks":0,"#,
            r#""wakes":0,"slices":0,"stalls":0,"submitted":0,"completed":0,"packets":0,"expired":0},"#,
            r#"{"worker":1,"turns":1,"polls":9,"steals":0,"parks":0,"#,
            r#""wakes":0,"slices":0,"stalls":0,"submitted":0,"completed":0,"packets":0,"expired":0}]}]}"#,
        );
        assert_eq!(json, expected);
    }

    #[test]
    fn nothing_is_json_and_a_table_too() {
        assert_eq!(Snapshot::default().to_json(), r#"{"nodes":[]}"#);
        assert!(Snapshot::default().to_string().ends_with(" 0"));
    }
}
