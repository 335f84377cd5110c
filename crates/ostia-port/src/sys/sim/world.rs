//! The simulated kernel: what it has under way, and its clock.
//!
//! An operation that was handed over is tried when it is due. A try ends it, or moves it on, or leaves it waiting for
//! something to happen to an object; when that happens it is due again. What has ended waits a little before its berth
//! is told. All these moments are drawn from the seed, and whatever is due is worked on in the order of its time, so the
//! order of completions follows from the seed as well.

use std::{collections::BTreeMap, ptr, sync::Arc};

use super::{
    Break, code,
    dice::{Dice, Options},
    file::Files,
    memory,
    socket::Objects,
};
use crate::{
    op::{
        Outcome, Request,
        slot::{Flight, Slot},
    },
    sys::{self, error, lending::Lending},
};

/// An operation in the kernel.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) flight: Flight,
    /// How many of its bytes have been moved.
    pub(super) moved: usize,
    /// Where a managed receive gets its buffer.
    pub(super) lending: Option<Arc<Lending>>,
    /// None when the berth is closed: then nobody will ever be told.
    berth: Option<u32>,
    number: u64,
    due: u64,
    waits_for: Option<WaitFor>,
    /// When a cancel will be heard.
    cancel_at: Option<u64>,
    /// No cancel will.
    stuck: bool,
    /// Of the bytes to be sent.
    sum: Option<u64>,
    poisoned: bool,
}

/// What has to happen before an operation can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WaitFor {
    /// Something, to the object of this number.
    Object(u32),
    /// A buffer to be lent.
    Piece,
}

/// What a try came to.
#[derive(Debug)]
pub(super) enum Step {
    Done(Outcome),
    /// One result of many.
    Item {
        outcome: Outcome,
        last: bool,
    },
    Wait(WaitFor),
    /// A little later.
    Again,
}

impl Step {
    pub(super) fn error(code: i32) -> Step {
        Step::Done(Outcome::error(code))
    }
}

/// What a berth is to be told.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) flight: Flight,
    pub(super) outcome: Outcome,
    pub(super) item: Option<Last>,
    at: u64,
    number: u64,
}

/// Whether an item is the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Last(pub(super) bool);

/// What the kernel knows of a berth.
#[derive(Debug, Default)]
struct Side {
    rung: bool,
    told: Vec<Told>,
    refuses_until: u64,
    /// It sleeps, and at this moment it would wake by itself.
    asleep: Option<u64>,
    broken: Option<Break>,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) options: Options,
    pub(super) dice: Dice,
    /// Nanoseconds since the port was opened.
    pub(super) now: u64,
    pub(super) objects: Objects,
    pub(super) files: Files,
    berths: BTreeMap<u32, Side>,
    next_berth: u32,
    operations: Vec<Operation>,
    next_operation: u64,
    digest: u64,
}

/// A stuck operation comes back after an hour.
const STUCK: u64 = 3600 * 1_000_000_000;

impl Operation {
    /// The number of the handle it is on.
    pub(super) fn handle(&self) -> u32 {
        super::number(self.flight.handle().expect("an operation of this kind is on a handle").raw)
    }

    /// When there is something to do about it, if nothing happens before.
    fn at(&self) -> u64 {
        let due = if self.waits_for.is_some() { u64::MAX } else { self.due };
        due.min(self.cancel_at.unwrap_or(u64::MAX))
    }

    /// # Panics
    ///
    /// If somebody touched its buffers while the kernel had them.
    fn check(&self) {
        let number = self.number;
        if let Some(sum) = self.sum {
            assert!(
                memory::sum(&self.flight) == sum,
                "bytes of operation {number} changed while they were sent"
            );
        }
        if self.poisoned {
            let untouched = memory::is_poisoned(&self.flight, number, self.moved);
            assert!(untouched, "the room of operation {number} was written to while the kernel had it");
        }
    }
}

fn is_file(request: &Request) -> bool {
    matches!(
        request,
        Request::ReadAt { .. }
            | Request::WriteAt { .. }
            | Request::ReadVectoredAt { .. }
            | Request::WriteVectoredAt { .. }
            | Request::Sync { .. }
            | Request::SetSize { .. }
            | Request::File { .. }
    )
}

impl World {
    pub(super) fn new(mut options: Options) -> World {
        options.alone |= options.stepped;
        World {
            options,
            dice: Dice::new(options.seed),
            now: 0,
            objects: Objects::default(),
            files: Files::default(),
            berths: BTreeMap::new(),
            next_berth: 0,
            operations: Vec::new(),
            next_operation: 0,
            digest: 0,
        }
    }

    pub(super) fn add_berth(&mut self) -> u32 {
        let number = self.next_berth;
        self.next_berth += 1;
        self.berths.insert(number, Side::default());
        number
    }

    /// The berth is closed. What it had to leave goes on, and nobody is told of its end.
    pub(super) fn remove_berth(&mut self, berth: u32) {
        self.berths.remove(&berth);
        for operation in self.operations.iter_mut().filter(|operation| operation.berth == Some(berth)) {
            operation.berth = None;
        }
    }

    pub(super) fn berths(&self) -> usize {
        self.berths.len()
    }

    fn side(&mut self, berth: u32) -> &mut Side {
        self.berths.get_mut(&berth).expect("a berth is known until it is closed")
    }

    pub(super) fn ring(&mut self, berth: u32) {
        if let Some(side) = self.berths.get_mut(&berth) {
            side.rung = true;
        }
    }

    pub(super) fn was_rung(&mut self, berth: u32) -> bool {
        std::mem::take(&mut self.side(berth).rung)
    }

    /// The berth sleeps, at the longest until then.
    pub(super) fn lie_down(&mut self, berth: u32, until: u64) {
        self.side(berth).asleep = Some(until);
    }

    pub(super) fn get_up(&mut self, berth: u32) {
        self.side(berth).asleep = None;
    }

    /// Its waits fail from here on.
    pub(super) fn break_berth(&mut self, berth: u32, how: Break) {
        self.get_up(berth);
        self.side(berth).broken = Some(how);
    }

    pub(super) fn broken(&mut self, berth: u32) -> Option<Break> {
        self.side(berth).broken
    }

    /// Whether it sleeps on.
    pub(super) fn is_asleep(&mut self, berth: u32) -> bool {
        self.run();
        let now = self.now;
        let side = self.side(berth);
        let is_told = side.told.iter().any(|told| told.at <= now);
        side.asleep.is_some_and(|until| until > now) && !side.rung && !is_told
    }

    /// Goes to the next moment at which something happens to anybody, or to the limit; false if there is none.
    pub(super) fn advance(&mut self, limit: Option<u64>) -> bool {
        self.run();
        let operations = self.operations.iter().map(Operation::at);
        let told = self.berths.values().flat_map(|side| &side.told).map(|told| told.at);
        let asleep = self.berths.values().filter_map(|side| side.asleep);
        let next = operations.chain(told).chain(asleep).chain(limit).filter(|at| *at < u64::MAX).min();
        if let Some(next) = next {
            self.now = self.now.max(next);
            self.run();
        }
        next.is_some()
    }

    /// How many operations the kernel has, those included whose berth has not been told of their end.
    pub(super) fn operations(&self) -> usize {
        self.operations.len() + self.berths.values().map(|side| side.told.len()).sum::<usize>()
    }

    /// A number that differs, almost surely, between two runs in which anything differed.
    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    fn trace(&mut self, what: u64) {
        self.digest = (self.digest ^ what).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
    }

    /// Every call costs a little time: who keeps looking sees something happen in the end.
    pub(super) fn tick(&mut self) {
        self.now += 1 + self.dice.below(1000);
    }

    /// Somebody looks at the clock.
    pub(super) fn look(&mut self) {
        self.now += u64::try_from(self.options.look.as_nanos()).unwrap_or(u64::MAX / 2);
    }

    pub(super) fn lacks_thread(&mut self) -> bool {
        // No number is drawn where it cannot be: not every run that offloads is one of this fault's.
        self.options.no_thread > 0 && self.dice.chance(self.options.no_thread)
    }

    /// How long the kernel takes for the next piece of work.
    fn latency(&mut self) -> u64 {
        let max = self.options.latency_max.as_nanos() as u64 + 1;
        let slow = self.dice.chance(30);
        self.dice.below(if slow { max * 50 } else { max })
    }

    /// Of what could be moved, what is.
    pub(super) fn shortened(&mut self, len: usize) -> usize {
        if self.dice.chance(self.options.short) { 1 + self.dice.below(len as u64) as usize } else { len }
    }

    /// Whether the list of this berth takes nothing for the moment.
    pub(super) fn refuses(&mut self, berth: u32) -> bool {
        let now = self.now;
        if now < self.side(berth).refuses_until {
            return true;
        }
        if self.dice.chance(self.options.refuse) {
            self.side(berth).refuses_until = now + 1 + self.latency();
            return true;
        }
        false
    }

    pub(super) fn refuses_until(&mut self, berth: u32) -> u64 {
        self.side(berth).refuses_until
    }

    /// From here on the kernel has the operation, and its memory.
    pub(super) fn hand_over(&mut self, mut flight: Flight, berth: u32, lending: Option<Arc<Lending>>) {
        let number = self.next_operation;
        self.next_operation += 1;
        let sends = matches!(
            flight.request(),
            Request::Send { .. }
                | Request::SendVectored { .. }
                | Request::SendTo { .. }
                | Request::WriteAt { .. }
                | Request::WriteVectoredAt { .. }
        );
        let sum = sends.then(|| memory::sum(&flight));
        let poisoned = self.options.poison && memory::is_room(&flight);
        if poisoned {
            memory::poison(&mut flight, number);
        }
        let stuck = is_file(flight.request()) && self.dice.chance(self.options.stuck);
        let due = self.now + if stuck { STUCK } else { self.latency() };
        let berth = Some(berth);
        let (moved, waits_for, cancel_at) = (0, None, None);
        let operation = Operation {
            flight,
            moved,
            lending,
            berth,
            number,
            due,
            waits_for,
            cancel_at,
            stuck,
            sum,
            poisoned,
        };
        self.operations.push(operation);
    }

    /// Somebody asks for the end of an operation. It may come too late, or be heard late.
    pub(super) fn cancel(&mut self, slot: &'static Slot) {
        let place = self.operations.iter().position(|operation| ptr::eq(operation.flight.slot(), slot));
        let Some(place) = place else { return };
        let late = self.dice.chance(self.options.late_cancel);
        let after = self.latency() * if late { 20 } else { 1 };
        let begun = self.dice.chance(500);
        let now = self.now;
        let operation = &mut self.operations[place];
        // What works on a file ends in its own time, unless nobody has begun it.
        let deaf = operation.stuck || begun && is_file(operation.flight.request());
        if !deaf && operation.cancel_at.is_none() {
            operation.cancel_at = Some(now + after);
        }
    }

    /// When something will happen in the kernel, or be told to this berth, if nobody asks for anything more.
    pub(super) fn next_event(&mut self, berth: u32) -> Option<u64> {
        let told = self.side(berth).told.iter().map(|told| told.at).min();
        let due = self.operations.iter().map(Operation::at).filter(|at| *at < u64::MAX).min();
        told.into_iter().chain(due).min()
    }

    /// Works on everything that is due by now.
    pub(super) fn run(&mut self) {
        loop {
            self.release_waiting();
            let due = self.operations.iter().enumerate().filter(|(_, operation)| operation.at() <= self.now);
            let Some((place, _)) = due.min_by_key(|(_, operation)| (operation.at(), operation.number)) else {
                return;
            };
            let operation = self.operations.swap_remove(place);
            self.work_on(operation);
        }
    }

    /// What waited for something that has happened is due again.
    fn release_waiting(&mut self) {
        let changed = self.objects.take_changed();
        for place in 0..self.operations.len() {
            let operation = &self.operations[place];
            let happened = match operation.waits_for {
                None => false,
                Some(WaitFor::Object(object)) => changed.contains(&object),
                Some(WaitFor::Piece) => operation.lending.as_ref().is_some_and(|lending| lending.has_free()),
            };
            if happened {
                let due = self.now + self.latency();
                let operation = &mut self.operations[place];
                operation.waits_for = None;
                operation.due = due;
            }
        }
    }

    fn work_on(&mut self, mut operation: Operation) {
        if operation.cancel_at.is_some_and(|at| at <= self.now) {
            self.end(operation, sys::cancelled(), None);
            return;
        }
        let step =
            if self.dice.chance(self.options.again) { Step::Again } else { self.attempt(&mut operation) };
        match step {
            Step::Done(outcome) => self.end(operation, outcome, None),
            Step::Item { outcome, last } => self.end(operation, outcome, Some(Last(last))),
            Step::Wait(what) => {
                operation.waits_for = Some(what);
                self.operations.push(operation);
            }
            Step::Again => {
                operation.due = self.now + 1 + self.latency();
                self.operations.push(operation);
            }
        }
    }

    fn attempt(&mut self, operation: &mut Operation) -> Step {
        match *operation.flight.request() {
            Request::Nop => Step::Done(Outcome::ok(0)),
            Request::Accept { many } => self.accept(operation, many),
            Request::Connect { .. } => self.connect(operation),
            Request::Receive { .. } | Request::ReceiveVectored { .. } => self.receive(operation),
            Request::ReceiveManaged { many } => self.receive_managed(operation, many),
            Request::Send { .. } | Request::SendVectored { .. } => self.send(operation),
            Request::ReceiveFrom { .. } => self.receive_from(operation),
            Request::SendTo { .. } => self.send_to(operation),
            Request::ReadAt { .. } | Request::ReadVectoredAt { .. } => self.read_at(operation),
            Request::WriteAt { .. } | Request::WriteVectoredAt { .. } => self.write_at(operation),
            Request::Sync { .. } => self.sync(operation),
            Request::SetSize { size } => self.set_size(operation, size),
            Request::File { .. } => self.file_call(operation),
            // Nothing foreign is here that could be ready, and timers are the berth's own.
            Request::Ready { .. } | Request::Os(_) | Request::Timer(_) => {
                Step::error(error::CODE_UNSUPPORTED)
            }
        }
    }

    /// The kernel is done with the operation, or with one result of it.
    fn end(&mut self, operation: Operation, outcome: Outcome, item: Option<Last>) {
        operation.check();
        self.trace(self.now);
        self.trace(operation.number);
        self.trace(
            outcome.result().map_or_else(|_| outcome.code().unwrap_or(code::INVALID) as u64, |ok| ok as u64),
        );
        let at = self.now + self.latency();
        let Operation { flight, number, berth, .. } = operation;
        // Without its berth it is lost on purpose: its slot is never used again.
        let Some(side) = berth.and_then(|berth| self.berths.get_mut(&berth)) else { return };
        side.told.push(Told { flight, outcome, item, at, number });
    }

    /// Whether this berth has something to be told by now.
    pub(super) fn has_told(&mut self, berth: u32) -> bool {
        let now = self.now;
        self.side(berth).told.iter().any(|told| told.at <= now)
    }

    /// Takes what this berth is to be told by now, in the order of its time.
    pub(super) fn take_told(&mut self, berth: u32, into: &mut Vec<Told>) {
        let now = self.now;
        into.extend(self.side(berth).told.extract_if(.., |told| told.at <= now));
        into.sort_by_key(|told| (told.at, told.number));
    }

    /// # Panics
    ///
    /// If an operation on the handle is under way: a handle is closed after all of them.
    pub(super) fn assert_unused(&self, handle: u32) {
        let used = self
            .operations
            .iter()
            .any(|operation| operation.flight.handle().is_some_and(|used| super::number(used.raw) == handle));
        assert!(!used, "handle {handle} is closed while an operation on it is under way");
    }
}
