//! Programs of chance: what they submit, cancel, abandon, post and close follows from a seed, as does what the kernel
//! makes of it.

mod submit;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::Shutdown,
    sync::{Arc, Mutex},
    time::Duration,
};

use ostia_port::{
    Batch, Berth, Class, ListenOptions, Packet, Payload, Port, Report, Ticket,
    op::{self, Op},
    sim::{self, Options, State},
};

use crate::{
    buffer::{Count, Counted, Dice},
    ledger::{Ledger, file_byte},
    support::{any_ip, port_of, state},
};

/// What one run of a program came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) trace: u64,
    pub(crate) state: State,
    pub(crate) report: Report,
    pub(crate) seen: BTreeMap<(&'static str, &'static str), usize>,
}

/// An operation whose ticket the program holds.
trait Claim {
    fn is_done(&self) -> bool;
    fn cancel(&mut self);
    /// Takes results of many.
    fn take_items(&mut self, ledger: &mut Ledger);
    /// Takes the result; it has ended.
    fn collect(self: Box<Self>, ledger: &mut Ledger);
}

type OnEnd<O> = Box<dyn FnOnce(&mut Ledger, io::Result<<O as Op>::Out>, <O as Op>::Back)>;
type OnItem<O> = Box<dyn FnMut(&mut Ledger, io::Result<<O as Op>::Item>)>;

struct Held<O: Op> {
    what: &'static str,
    ticket: Ticket<O>,
    on_end: OnEnd<O>,
    on_item: OnItem<O>,
}

/// How a result is counted.
fn word<T>(result: &io::Result<T>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(error) => match Class::of(error) {
            Class::Cancelled => "cancelled",
            Class::Transient => "transient",
            Class::PeerGone => "peer gone",
            Class::Fatal => "fatal",
        },
    }
}

impl<O: Op> Claim for Held<O> {
    fn is_done(&self) -> bool {
        self.ticket.is_done()
    }

    fn cancel(&mut self) {
        self.ticket.cancel();
    }

    fn take_items(&mut self, ledger: &mut Ledger) {
        while let Some(item) = self.ticket.next() {
            *ledger.seen.entry((self.what, "item")).or_default() += 1;
            (self.on_item)(ledger, item);
        }
    }

    fn collect(mut self: Box<Self>, ledger: &mut Ledger) {
        self.take_items(ledger);
        let (result, back) = self.ticket.poll().expect("an operation that has ended has a result");
        assert!(self.ticket.poll().is_none(), "a result is given once");
        let word = word(&result);
        *ledger.seen.entry((self.what, word)).or_default() += 1;
        ledger.note(word.len() as u64);
        (self.on_end)(ledger, result, back);
    }
}

/// What the program knows of an operation that it has not let go of.
struct Pending {
    id: op::TicketId,
    claim: Box<dyn Claim>,
    /// Which berth, of all there ever were.
    berth: usize,
    told: bool,
    /// The flow whose bytes are lost if this is abandoned.
    receives: Option<usize>,
}

/// The number of a post that was work, and the operation it submitted, if there was room.
type Work = (usize, Option<Ticket<op::Nop>>);

struct Program {
    dice: Dice,
    port: Port,
    /// The berths, each with its number among all there ever were.
    berths: Vec<(usize, Berth)>,
    berths_opened: usize,
    berths_max: usize,
    batch: Batch,
    ledger: Ledger,
    /// By the order of their submits: names differ from run to run.
    pending: BTreeMap<usize, Pending>,
    names: BTreeMap<op::TicketId, usize>,
    /// Abandoned, and perhaps still told of: at most once.
    abandoned: BTreeSet<op::TicketId>,
    submitted: usize,
    report: Report,
    payloads: Count,
    /// Posted work that has run.
    sent_work: Arc<Mutex<Vec<Work>>>,
}

/// Runs the program of this seed from its beginning to its end, and holds it to all promises.
pub(crate) fn run(seed: u64, steps: usize) -> Run {
    let mut program = Program::new(seed);
    for _ in 0..steps {
        program.step();
    }
    program.finish()
}

impl Program {
    fn new(seed: u64) -> Program {
        let mut dice = Dice::new(seed);
        let port = port_of(
            Port::builder()
                .sim(Options::rough(seed))
                .ops_max([5, 40, 65_536][dice.below(3)])
                .posts_max([2, 16_384][dice.below(2)])
                .lent_buffers(1 << dice.below(4), 64 << dice.below(4)),
        );
        let mut program = Program {
            berths_max: 1 + dice.below(4),
            dice,
            berths: Vec::new(),
            berths_opened: 0,
            batch: Batch::new(),
            ledger: Ledger::default(),
            pending: BTreeMap::new(),
            names: BTreeMap::new(),
            abandoned: BTreeSet::new(),
            submitted: 0,
            report: Report::default(),
            payloads: Count::default(),
            sent_work: Arc::default(),
            port,
        };
        for _ in 0..program.berths_max {
            program.open_berth();
        }
        program.listen();
        program.open_datagrams();
        program
    }

    fn open_berth(&mut self) {
        let berth = self.port.berth().expect("a berth");
        self.berths.push((self.berths_opened, berth));
        self.berths_opened += 1;
    }

    fn listen(&mut self) {
        let options = ListenOptions::new().backlog(1 + self.dice.below(4) as i32);
        let listener = self.port.listen(&any_ip(), &options).expect("a listener");
        self.ledger.listeners.push(listener);
    }

    fn open_datagrams(&mut self) {
        let pair = [(); 2].map(|()| self.port.datagram(&any_ip()).expect("a socket"));
        for (from, to) in [(0, 1), (1, 0)] {
            pair[from].connect(&pair[to].local_address().expect("bound")).expect("connected");
        }
        self.ledger.datagrams.extend(pair);
    }

    fn step(&mut self) {
        match self.dice.below(100) {
            0..50 => self.submit_something(),
            50..75 => self.wait(),
            75..80 => self.with_some_pending(|pending| pending.claim.cancel()),
            80..84 => self.abandon_some(),
            84..88 => self.collect_some(),
            88..93 => self.post(),
            93..95 => self.change_handles(),
            95..97 => drop(self.ledger.lent.pop()),
            97 => self.close_a_berth(),
            _ if self.berths.len() < self.berths_max => self.open_berth(),
            _ => self.wait(),
        }
    }

    fn hold(&mut self, pending: Pending) {
        let known = self.names.insert(pending.id, self.submitted);
        assert_eq!(known, None, "two operations have the name {}", pending.id);
        self.pending.insert(self.submitted, pending);
        self.submitted += 1;
    }

    fn let_go(&mut self, number: usize) -> Pending {
        let pending = self.pending.remove(&number).expect("it is held");
        self.names.remove(&pending.id);
        if !pending.told {
            // It may have ended, and the packet that tells of it be on its way.
            self.abandoned.insert(pending.id);
        }
        pending
    }

    fn wait(&mut self) {
        if self.berths.is_empty() {
            return;
        }
        let place = self.dice.below(self.berths.len());
        let timeout = match self.dice.below(10) {
            0..5 => Some(Duration::ZERO),
            5..9 => Some(Duration::from_nanos(self.dice.below(200_000) as u64)),
            _ => None,
        };
        self.batch =
            Batch::with_limit(if self.dice.once_in(2) { 1 + self.dice.below(4) } else { Batch::MAX });
        match self.berths[place].1.wait(&mut self.batch, timeout) {
            Ok(count) => assert_eq!(count, self.batch.len()),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::Deadlock, "{error}"),
        }
        self.attend(self.berths[place].0);
    }

    /// Looks at what a wait of this berth has delivered.
    fn attend(&mut self, waited: usize) {
        // What work submitted may have ended within the same wait.
        let work = std::mem::take(&mut *self.sent_work.lock().expect("no panic"));
        for (number, ticket) in work {
            self.delivered(number);
            let Some(ticket) = ticket else { continue };
            let id = ticket.id();
            let claim = Box::new(Held {
                what: "work",
                ticket,
                on_end: Box::new(|_, _, ()| {}),
                on_item: Box::new(|_, _| {}),
            });
            self.hold(Pending { id, claim, berth: waited, told: false, receives: None });
        }
        let packets: Vec<Packet> = self.batch.drain().collect();
        for packet in packets {
            match packet {
                Packet::Done(id) => self.done(id),
                Packet::More(id) => match self.names.get(&id).and_then(|number| self.pending.get_mut(number))
                {
                    Some(pending) if self.dice.once_in(2) => pending.claim.take_items(&mut self.ledger),
                    Some(_) => {}
                    None => assert!(self.abandoned.contains(&id), "{id} has more, and nobody knows it"),
                },
                Packet::Post(Payload::Word(number)) => self.delivered(number as usize),
                Packet::Post(Payload::Value(value)) => {
                    let (number, _counted) = *value.downcast::<(usize, Counted)>().expect("what was posted");
                    self.delivered(number);
                }
                Packet::Post(other) => panic!("{other:?} is no packet"),
            }
        }
    }

    fn delivered(&mut self, number: usize) {
        self.ledger.posts[number] += 1;
        self.ledger.note(number as u64);
    }

    fn done(&mut self, id: op::TicketId) {
        let Some(&number) = self.names.get(&id) else {
            assert!(self.abandoned.remove(&id), "{id} is done, and nobody knows it");
            return;
        };
        let pending = self.pending.get_mut(&number).expect("what has a name is held");
        assert!(!pending.told, "{id} was told twice");
        assert!(pending.claim.is_done(), "{id} was told, and is not done");
        pending.told = true;
        if !self.dice.once_in(5) {
            self.collect(number);
        }
    }

    fn collect(&mut self, number: usize) {
        self.let_go(number).claim.collect(&mut self.ledger);
    }

    fn some_pending(&mut self) -> Option<usize> {
        let numbers: Vec<usize> = self.pending.keys().copied().collect();
        pick(&mut self.dice, &numbers).copied()
    }

    fn with_some_pending(&mut self, f: impl FnOnce(&mut Pending)) {
        if let Some(number) = self.some_pending() {
            f(self.pending.get_mut(&number).expect("it is held"));
        }
    }

    fn abandon_some(&mut self) {
        let Some(number) = self.some_pending() else { return };
        if let Some(flow) = self.pending[&number].receives {
            // Not often: a stream of which something may be missing cannot be checked.
            if !self.dice.once_in(4) {
                return;
            }
            self.ledger.flows[flow].holes = true;
        }
        *self.ledger.seen.entry(("any", "abandoned")).or_default() += 1;
        drop(self.let_go(number));
    }

    fn collect_some(&mut self) {
        let Some(number) = self.some_pending() else { return };
        if self.pending[&number].claim.is_done() {
            self.collect(number);
        }
    }

    fn post(&mut self) {
        let number = self.ledger.posts.len();
        let payload = match self.dice.below(3) {
            0 => Payload::Word(number as u64),
            1 => Payload::Value(Box::new((number, self.payloads.one()))),
            _ => {
                let (tickets, counted) = (Arc::clone(&self.sent_work), self.payloads.one());
                Payload::Run(Box::new(move |berth| {
                    let _counted = counted;
                    let submitted = berth.submit(op::Nop);
                    if let Err(refused) = &submitted {
                        assert_eq!(refused.error.kind(), io::ErrorKind::WouldBlock);
                    }
                    tickets.lock().expect("no panic").push((number, submitted.ok()));
                }))
            }
        };
        match self.port.post(payload) {
            Ok(()) => self.ledger.posts.push(0),
            Err(error) => {
                assert_eq!(error.kind, io::ErrorKind::WouldBlock);
                *self.ledger.seen.entry(("post", "refused")).or_default() += 1;
            }
        }
    }

    fn change_handles(&mut self) {
        if self.ledger.ends.is_empty() || self.dice.once_in(4) {
            if self.dice.once_in(2) {
                self.ledger.listeners.clear();
            }
            return self.listen();
        }
        let place = self.dice.below(self.ledger.ends.len());
        let end = self.ledger.ends[place].clone();
        let flows = &mut self.ledger.flows;
        match self.dice.below(3) {
            0 => {
                flows[end.output].may_end |= end.stream.shutdown(Shutdown::Write).is_ok();
            }
            1 => {
                flows[end.input].may_end |= end.stream.shutdown(Shutdown::Read).is_ok();
            }
            _ => {
                flows[end.output].may_end = true;
                self.ledger.ends.swap_remove(place);
            }
        }
    }

    fn close_a_berth(&mut self) {
        if self.berths.is_empty() {
            return;
        }
        let place = self.dice.below(self.berths.len());
        let (number, berth) = self.berths.swap_remove(place);
        self.close(number, berth);
    }

    fn close(&mut self, number: usize, berth: Berth) {
        let known = self.pending.values().filter(|pending| pending.berth == number).count();
        let abandoned = self.abandoned.len() + self.sent_work.lock().expect("no panic").len();
        let used = sim::slots_in_use(&berth);
        assert!((known..=known + abandoned).contains(&used), "{used} slots for {known} operations");
        let report = berth.close(Duration::from_secs(3600));
        assert_eq!((report.leaked, report.unknown), (0, 0), "{report:?}");
        assert_eq!(report.submitted, report.ended, "{report:?}");
        self.report.submitted += report.submitted;
        self.report.ended += report.ended;
        self.report.cancelled += report.cancelled;
        for pending in self.pending.values_mut().filter(|pending| pending.berth == number) {
            let id = pending.id;
            assert!(pending.claim.is_done(), "{id} of a closed berth has no result");
            // Nobody will tell any more.
            pending.told = true;
        }
    }

    /// Cancels what is under way, or leaves that to the berths; closes everything; looks at what is left.
    fn finish(mut self) -> Run {
        if !self.berths.is_empty() && self.dice.once_in(2) {
            self.run_dry();
        }
        for (number, berth) in std::mem::take(&mut self.berths) {
            self.close(number, berth);
        }
        for number in self.pending.keys().copied().collect::<Vec<_>>() {
            self.collect(number);
        }
        self.sent_work.lock().expect("no panic").clear();
        self.ledger.check_ends();
        let Ledger { listeners, datagrams, files, ends, .. } = &mut self.ledger;
        listeners.clear();
        datagrams.clear();
        ends.clear();
        files.clear();
        let report = self.port.close(Duration::ZERO).expect("all berths are closed");
        assert_eq!(report, self.report, "the port's report is the sum of its berths'");
        let state = state(&self.port);
        assert_eq!((state.handles, state.operations), (0, 0), "{state:?}");
        self.ledger.check();
        self.ledger.lent.clear();
        self.ledger.returned.clear();
        assert_eq!(self.ledger.buffers.now(), 0, "buffers that never came back");
        assert_eq!(self.payloads.now(), 0, "posts that were lost");
        Run { trace: self.ledger.trace, state, report, seen: self.ledger.seen }
    }

    /// Cancels everything, and waits until all has ended, and every post has come.
    fn run_dry(&mut self) {
        for pending in self.pending.values_mut() {
            pending.claim.cancel();
        }
        // Every turn moves the clock: what is bounded ends long before.
        for _ in 0..20_000 {
            let posts_left = self.ledger.posts.contains(&0);
            if !posts_left && self.pending.values().all(|pending| pending.claim.is_done()) {
                break;
            }
            self.wait();
        }
        for pending in self.pending.values() {
            assert!(pending.claim.is_done(), "{} was cancelled and does not end", pending.id);
        }
        let lost = self.ledger.posts.iter().position(|times| *times == 0);
        assert_eq!(lost, None, "a post was never delivered");
        self.read_back();
        // What was abandoned has not been waited for; everything else gives its slot back with its result.
        for number in self.pending.keys().copied().collect::<Vec<_>>() {
            self.collect(number);
        }
        for _ in 0..20_000 {
            if self.berths.iter().all(|(_, berth)| sim::slots_in_use(berth) == 0) {
                return;
            }
            self.wait();
        }
        panic!("slots are in use, and no operation is under way");
    }

    /// What was written is there.
    fn read_back(&mut self) {
        let Some(file) = self.ledger.files.first().cloned() else { return };
        let read = op::ReadAt::new(&file, Vec::with_capacity(4000), 0);
        let Ok(ticket) = self.berths[0].1.submit(read) else { return };
        let berth = &mut self.berths[0].1;
        let (result, bytes) = crate::support::end(berth, ticket);
        assert_eq!(result.expect("the file is open"), bytes.len());
        for &(offset, len) in &self.ledger.written {
            for place in offset..offset + len {
                assert_eq!(bytes.get(place as usize), Some(&file_byte(place)), "byte {place} of the file");
            }
        }
    }
}

fn pick<'a, T>(dice: &mut Dice, from: &'a [T]) -> Option<&'a T> {
    (!from.is_empty()).then(|| &from[dice.below(from.len())])
}
