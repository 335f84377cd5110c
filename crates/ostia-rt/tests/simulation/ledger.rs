//! What a program must come to: bytes of connections, ends of tasks.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

/// The byte that stands at this place of a flow.
pub(crate) fn byte(flow: usize, place: usize) -> u8 {
    ((flow as u64 + 1).wrapping_mul(0x9e37_79b9).wrapping_add(place as u64 * 0x85eb_ca6b) >> 11) as u8
}

/// The bytes that go one way through a connection.
#[derive(Debug, Default)]
struct Flow {
    /// So many were handed over to be sent.
    sent: usize,
    received: usize,
    /// All that was handed over was sent, so it was said, and then the end was.
    is_whole: bool,
    /// A send failed, or nobody waited for it: what it had sent of its bytes nobody knows, and no other may follow.
    has_failed: bool,
    /// The receiver was told of the end.
    end_seen: bool,
    /// So many sends were handed over whose end nobody was told of.
    untold: usize,
}

/// What became of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Spawned,
    Runs,
    Ended,
}

#[derive(Debug, Default)]
struct Inner {
    flows: Vec<Flow>,
    tasks: Vec<Fate>,
    files: usize,
    /// Everything that was seen, in its order, in one number.
    trace: u64,
    /// What was seen, and how often.
    seen: BTreeMap<&'static str, usize>,
    is_ending: bool,
    /// The first promise that was seen broken inside a task, where a panic would be contained.
    broken: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Inner>>);

/// One end of a connection, as the ledger knows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    pub(crate) output: usize,
    pub(crate) input: usize,
}

impl End {
    pub(crate) fn other(self) -> End {
        End { output: self.input, input: self.output }
    }
}

impl Ledger {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no promise was broken before")
    }

    pub(crate) fn note(&self, what: &'static str, number: usize) {
        let mut inner = self.inner();
        *inner.seen.entry(what).or_default() += 1;
        let sum = what.bytes().fold(number as u64, |sum, byte| sum.wrapping_mul(31) + u64::from(byte));
        inner.trace = (inner.trace ^ sum).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }

    pub(crate) fn trace(&self) -> u64 {
        self.inner().trace
    }

    pub(crate) fn seen(&self) -> BTreeMap<&'static str, usize> {
        self.inner().seen.clone()
    }

    /// As `assert`, where a panic would be the task's own.
    pub(crate) fn hold(&self, is_so: bool, or_else: &str) {
        if !is_so {
            self.inner().broken.get_or_insert_with(|| or_else.to_owned());
        }
    }

    /// From here on tasks may end because the runtime does.
    pub(crate) fn ends(&self) {
        self.inner().is_ending = true;
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.inner().is_ending
    }

    /// A new connection, by its client's end.
    pub(crate) fn connection(&self) -> End {
        let mut inner = self.inner();
        let flow = inner.flows.len();
        inner.flows.extend([Flow::default(), Flow::default()]);
        End { output: flow, input: flow + 1 }
    }

    /// The next bytes to be sent; none if no other may follow.
    pub(crate) fn to_send(&self, flow: usize, len: usize) -> Option<Vec<u8>> {
        let mut inner = self.inner();
        let one = &mut inner.flows[flow];
        if one.has_failed {
            return None;
        }
        let bytes = (one.sent..one.sent + len).map(|place| byte(flow, place)).collect();
        one.sent += len;
        Some(bytes)
    }

    /// A send begins.
    pub(crate) fn begins(&self, flow: usize) {
        self.inner().flows[flow].untold += 1;
    }

    /// Somebody was told of a send's end.
    pub(crate) fn is_told(&self, flow: usize) {
        self.inner().flows[flow].untold -= 1;
    }

    /// How many sends may go on for ever: two ends that were dropped while each still sends what was given up wait for
    /// each other to read.
    pub(crate) fn endless(&self) -> usize {
        let inner = self.inner();
        let both = |pair: &&[Flow]| pair.iter().all(|flow| flow.untold > 0);
        inner.flows.chunks(2).filter(both).flatten().map(|flow| flow.untold).sum()
    }

    pub(crate) fn send_failed(&self, flow: usize) {
        self.inner().flows[flow].has_failed = true;
    }

    /// The end was said.
    pub(crate) fn said_the_end(&self, flow: usize) {
        let mut inner = self.inner();
        let flow = &mut inner.flows[flow];
        flow.is_whole = !flow.has_failed;
    }

    pub(crate) fn received(&self, flow: usize, bytes: &[u8]) {
        let mut inner = self.inner();
        let one = &mut inner.flows[flow];
        assert!(!one.end_seen || bytes.is_empty(), "bytes came after the end of flow {flow}");
        one.end_seen |= bytes.is_empty();
        for (place, got) in (one.received..).zip(bytes) {
            assert_eq!(*got, byte(flow, place), "byte {place} of flow {flow}");
        }
        one.received += bytes.len();
        assert!(one.received <= one.sent, "flow {flow} has more bytes than were sent");
        if one.end_seen && one.is_whole {
            assert_eq!(one.received, one.sent, "flow {flow} ended, and not all has arrived");
        }
    }

    /// The number of a new file.
    pub(crate) fn file(&self) -> usize {
        let mut inner = self.inner();
        inner.files += 1;
        inner.files
    }

    /// A task that is about to be spawned.
    pub(crate) fn task(&self) -> Life {
        let mut inner = self.inner();
        inner.tasks.push(Fate::Spawned);
        Life { ledger: self.clone(), number: inner.tasks.len() - 1, may_panic: AtomicBool::new(false) }
    }

    /// Everything that holds when all is over.
    pub(crate) fn check(&self) {
        let inner = self.inner();
        assert_eq!(inner.broken, None);
        let left = inner.tasks.iter().position(|fate| *fate != Fate::Ended);
        assert_eq!(left, None, "a task was neither ended nor dropped");
    }
}

/// Lives in a task's future.
pub(crate) struct Life {
    ledger: Ledger,
    pub(crate) number: usize,
    may_panic: AtomicBool,
}

impl Life {
    /// Its first poll.
    pub(crate) fn runs(&self) {
        let mut inner = self.ledger.inner();
        let fate = &mut inner.tasks[self.number];
        assert_eq!(*fate, Fate::Spawned, "task {} begins twice", self.number);
        *fate = Fate::Runs;
    }
}

impl Life {
    /// Its program says that it panics now.
    pub(crate) fn may_panic(&self) {
        self.may_panic.store(true, Ordering::Relaxed);
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        if self.ledger.0.is_poisoned() {
            return;
        }
        let is_meant = !std::thread::panicking() || self.may_panic.load(Ordering::Relaxed);
        self.ledger.hold(is_meant, "a task panicked that was not to");
        let mut inner = self.ledger.inner();
        let fate = &mut inner.tasks[self.number];
        assert_ne!(*fate, Fate::Ended, "task {} ends twice", self.number);
        *fate = Fate::Ended;
    }
}
