//! A berth: one thread's place at a port.

use std::{error::Error, fmt, io, time::Duration};

use crate::{
    bell::Bell,
    op::{
        Op, Outcome, Request,
        slab::Owned,
        slot::{At, BACK, CANCEL, Flight, GO, Slot},
    },
    packet::{Batch, Packet, Payload},
    port::{Backend, Port},
    quay::Quay,
    sink::Sink,
    sys::{self, AnyDriver, Driver},
    ticket::Ticket,
    timeout,
};

/// How long a berth that is merely dropped waits for its operations.
const DROP_DEADLINE: Duration = Duration::from_secs(1);
/// A closing berth whose wait fails looks so often whether what it has ends elsewhere: nothing would wake it.
const FAILED_PAUSE: Duration = Duration::from_millis(1);

/// An operation, or a job, that was not begun; it comes back.
pub struct Refused<O> {
    /// The operation, or the job.
    pub op: O,
    /// Why not: `WouldBlock` if as many are under way or wait as may, `NotConnected` if the port is closing,
    /// `InvalidInput` if no system could do it.
    pub error: io::Error,
}

impl<O: Op> Refused<O> {
    /// Why it was not begun, and what the operation gives back in any case: its buffers.
    pub fn give_back(self) -> (io::Error, O::Back) {
        let (_, back) = self.op.finish(Outcome::error(sys::error::CODE_OTHER));
        (self.error, back)
    }
}

impl<O> fmt::Debug for Refused<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused").field("error", &self.error).finish_non_exhaustive()
    }
}

impl<O> fmt::Display for Refused<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it was not begun: {}", self.error)
    }
}

impl<O> Error for Refused<O> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

/// What became of the operations of a berth, or of all berths of a port.
///
/// Where berths share a completion port (IOCP), an operation counts as ended at the berth that was told of it: there
/// the sums are those of the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Submitted, all in all.
    pub submitted: u64,
    /// Ended, however.
    pub ended: u64,
    /// Under way when closing began, and asked to end.
    pub cancelled: u64,
    /// Not given back by the kernel until the deadline; their memory is never freed.
    pub leaked: u64,
    /// Completions of which nobody knew. Other than 0 is a fault, of this crate or of a raw call.
    pub unknown: u64,
}

impl Report {
    pub(crate) fn add(&mut self, other: &Report) {
        self.submitted += other.submitted;
        self.ended += other.ended;
        self.cancelled += other.cancelled;
        self.leaked += other.leaked;
        self.unknown += other.unknown;
    }
}

/// One thread's place at a port: here it submits, and here it waits.
///
/// A berth stays on its thread. Operations die with their berth.
///
/// ```compile_fail,E0277
/// let berth = ostia_port::Port::open().unwrap().berth().unwrap();
/// std::thread::spawn(move || drop(berth));
/// ```
#[derive(Debug)]
pub struct Berth {
    port: Port,
    quay: &'static Quay,
    bell: Bell,
    driver: AnyDriver,
    sink: Sink,
    slots: Owned,
    submitted: u64,
    /// An operation was refused because there was no room, and no wait has returned since because there is.
    wants_room: bool,
    /// There are no offload threads: this one does their work when it waits.
    works: bool,
    open: bool,
}

impl Berth {
    pub(crate) fn open(port: &Port) -> io::Result<Berth> {
        let shared = port.shared();
        if shared.is_closing() {
            return Err(io::Error::new(io::ErrorKind::NotConnected, "the port is closing"));
        }
        let quay = shared.claim_quay();
        let driver = shared.system.driver(&shared.config, quay).inspect_err(|_| shared.release_quay(quay))?;
        shared.enter();
        Ok(Berth {
            port: port.clone(),
            quay,
            bell: Bell::new(quay, driver.caller()),
            driver,
            sink: Sink::new(quay, std::sync::Arc::clone(&shared.offload)),
            slots: Owned::claim(quay, shared.config.ops_max),
            submitted: 0,
            wants_room: false,
            works: shared.offload.is_here(),
            open: true,
        })
    }

    /// How many slots are in use.
    #[cfg(feature = "sim")]
    pub(crate) fn slots_in_use(&self) -> usize {
        self.slots.used()
    }

    #[cfg(feature = "sim")]
    pub(crate) fn driver(&self) -> &AnyDriver {
        &self.driver
    }

    /// How many operations were submitted here so far, and the ends of how many were found here. Where berths share
    /// their completions, an operation may end at another berth than its own: the sums over all of them tell how many
    /// are under way.
    pub fn operations(&self) -> (u64, u64) {
        (self.submitted, self.sink.ended)
    }

    /// Its number, by which the names of its operations tell it: [`TicketId::berth`](crate::op::TicketId::berth). No
    /// two berths have the same one at a time.
    pub fn number(&self) -> usize {
        self.slots.slab().number().into()
    }

    /// The port it is at.
    pub fn port(&self) -> &Port {
        &self.port
    }

    /// Which back end serves it.
    pub fn backend(&self) -> Backend {
        self.driver.backend()
    }

    /// What ends this berth's wait from another thread.
    pub fn bell(&self) -> Bell {
        self.bell.clone()
    }

    /// Whether the port is closing: then this berth should be closed, too.
    pub fn is_closing(&self) -> bool {
        self.port.shared().is_closing()
    }

    /// Whether an operation was refused because as many are under way as may be, and none of those has ended, and been
    /// taken or let go of, since.
    pub fn is_full(&self) -> bool {
        self.slots.is_full()
    }

    /// Begins an operation. It ends during some later wait, never in here.
    ///
    /// # Errors
    ///
    /// [`Refused`], with the operation, if it could not be begun at all. What the system says against it comes
    /// as its result.
    #[inline]
    pub fn submit<O: Op>(&mut self, op: O) -> Result<Ticket<O>, Refused<O>> {
        if let Err(error) = self.admit(&op) {
            return Err(Refused { op, error });
        }
        let Some(slot) = self.slots.take() else {
            self.wants_room = true;
            let error =
                io::Error::new(io::ErrorKind::WouldBlock, "as many operations are under way as may be");
            return Err(Refused { op, error });
        };
        self.submitted += 1;
        let flight = slot.begin(op);
        let ticket = Ticket::new(slot);
        if let (Some(handle), Some(direction)) = (flight.handle(), flight.direction()) {
            let turn = handle.turns.of(direction);
            if let Some(flight) = turn.enter(flight) {
                self.driver.submit(flight, &mut self.sink);
            }
        } else {
            // Nobody can have asked for its end: the ticket is still here.
            self.begin(flight);
        }
        Ok(ticket)
    }

    #[inline]
    fn admit<O: Op>(&self, op: &O) -> io::Result<()> {
        if self.is_closing() {
            return Err(io::Error::new(io::ErrorKind::NotConnected, "the port is closing"));
        }
        if !op.fits(&self.port) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the handle is of another port"));
        }
        op.check()
    }

    /// Starts what has its turn, or needs none.
    fn launch(&mut self, flight: Flight) {
        if flight.is_cancelled() {
            self.sink.later(flight, sys::cancelled());
            return;
        }
        self.begin(flight);
    }

    #[inline]
    fn begin(&mut self, flight: Flight) {
        if let Request::Timer(deadline) = *flight.request() {
            if let Some(earliest) = self.quay.add_timer(flight, deadline) {
                self.driver.deadline_changed(earliest);
            }
            return;
        }
        self.driver.submit(flight, &mut self.sink);
    }

    /// Waits until something happens, at most `timeout` (`None`: for ever; zero: not at all), and delivers what
    /// has: at most as many packets as the batch takes, and fewer where other threads wait for them, too.
    ///
    /// It returns 0 when the time is over, and earlier only if the port is closing, the berth's [`Bell`]
    /// was rung, or there is room again after an operation was refused for want of it.
    ///
    /// # Errors
    ///
    /// Those of the system; none of them is of an operation.
    pub fn wait(&mut self, batch: &mut Batch, timeout: Option<Duration>) -> io::Result<usize> {
        batch.packets.clear();
        if timeout == Some(Duration::ZERO) && self.is_quiet() {
            self.bell.take_down();
            return Ok(0);
        }
        let end = match timeout {
            Some(Duration::ZERO) | None => None,
            Some(timeout) => Some(timeout::deadline(self.port.now(), timeout)),
        };
        let mut timeout = timeout;
        loop {
            self.turn(batch, timeout)?;
            let rung = self.bell.take_down();
            let has_room = self.wants_room && !self.is_full();
            if has_room {
                self.wants_room = false;
            }
            if rung
                || has_room
                || !batch.packets.is_empty()
                || timeout == Some(Duration::ZERO)
                || self.is_closing()
            {
                return Ok(batch.packets.len());
            }
            if let Some(end) = end {
                // Woken for something that made no packet, or a little early: what is left of the time?
                timeout = Some(end.saturating_duration_since(self.port.now()));
            }
        }
    }

    /// Whether nothing has happened since the last wait. Of a look without a sleep this is all there is to do, mostly:
    /// so it asks neither the kernel nor the clock, and takes no lock.
    #[inline]
    fn is_quiet(&self) -> bool {
        let (quay, shared) = (self.quay, self.port.shared());
        self.sink.is_empty()
            && !quay.is_shared()
            && !quay.has_nudges()
            && !quay.has_strays()
            && !quay.has_timers()
            && shared.posts.is_empty()
            && !shared.is_closing()
            && self.driver.is_quiet(self.submitted != self.sink.ended)
    }

    /// One look at everything, with one sleep at most.
    fn turn(&mut self, batch: &mut Batch, timeout: Option<Duration>) -> io::Result<()> {
        let share = self.share(batch.limit);
        if self.works {
            self.sink.offload.work_here();
        }
        self.settle();
        // Half of what there is room for: posts without end are not to keep completions away.
        self.take_posts(batch, share.div_ceil(2));
        let mut timeout = if batch.packets.is_empty() && self.sink.is_empty() && !self.is_closing() {
            self.next_timeout(timeout)
        } else {
            Some(Duration::ZERO)
        };
        self.sink.room = share.saturating_sub(self.sink.packets.len());
        let sleeps = timeout != Some(Duration::ZERO);
        if sleeps {
            self.driver.lie_down();
            self.bell.lie_down();
            self.quay.lie_down();
            let shared = self.port.shared();
            let left = self.quay.has_nudges() || self.quay.has_strays() || !shared.posts.is_empty();
            let left = left || (self.works && shared.offload.has_work());
            let left = left || (self.wants_room && !self.is_full());
            if left || self.bell.is_rung() || shared.is_closing() {
                timeout = Some(Duration::ZERO);
            }
        }
        let ended = self.sink.ended;
        let waited = self.driver.wait(timeout, &self.slots, &mut self.sink);
        #[cfg(feature = "sim")]
        if self.driver.is_asleep(&waited) {
            // As a thread that sleeps in the system's call: whoever leaves something rings.
            return waited;
        }
        // In the simulation it may have slept since its last wait.
        if sleeps || cfg!(feature = "sim") {
            self.quay.get_up();
            self.bell.get_up();
        }
        if self.sink.ended != ended {
            self.quay.tell_closers();
        }
        waited?;
        self.settle();
        self.deliver(batch);
        self.take_posts(batch, share);
        Ok(())
    }

    /// Moves packets into the batch, as many as it takes.
    fn deliver(&mut self, batch: &mut Batch) {
        let told = &mut self.sink.packets;
        if told.is_empty() {
            return;
        }
        let fits = batch.packets.is_empty() && told.len() <= batch.limit;
        if fits && batch.packets.capacity() >= told.capacity() {
            // All of them: the lists change places, and no packet is copied. Neither is larger afterwards.
            let empty = std::mem::take(&mut batch.packets);
            batch.packets = std::mem::replace(told, empty.into()).into();
            return;
        }
        let ready = told.len().min(batch.limit - batch.packets.len());
        batch.packets.extend(told.drain(..ready));
    }

    /// How many packets this berth may take of what others could take, too.
    fn share(&self, limit: usize) -> usize {
        match self.port.shared().berth_count() {
            0 | 1 => limit,
            berths => limit.min((64 / berths).max(8)),
        }
    }

    fn next_timeout(&self, timeout: Option<Duration>) -> Option<Duration> {
        if self.driver.keeps_time() {
            return timeout;
        }
        match self.quay.next_deadline() {
            None => timeout,
            deadline => timeout::until(self.port.now(), deadline, timeout),
        }
    }

    /// Does what needs no sleep: nudges, ends that are known, timers whose time has come, turns that have come.
    fn settle(&mut self) {
        let Berth { quay, driver, sink, .. } = self;
        let ended = sink.ended;
        quay.take_nudges(|slot, why| attend(slot, why, quay, driver, sink));
        if self.open {
            quay.take_strays(&mut sink.packets);
        }
        if quay.has_timers() {
            let now = self.port.now();
            let next = quay.take_due(now, |flight| sink.complete(flight, crate::op::Outcome::ok(0)));
            if let Some(next) = next {
                driver.deadline_changed(next);
            }
        }
        while !self.sink.later.is_empty() || !self.sink.next.is_empty() {
            while let Some((flight, outcome)) = self.sink.later.pop_front() {
                self.sink.complete(flight, outcome);
            }
            if let Some(next) = self.sink.next.pop_front() {
                self.launch(next);
            }
        }
        if self.sink.ended != ended {
            self.quay.tell_closers();
        }
    }

    /// Moves posts into the batch, at most up to `share` packets; runs those that are work.
    fn take_posts(&mut self, batch: &mut Batch, share: usize) {
        let mut work_left = share;
        while batch.packets.len() < share && work_left > 0 {
            let shared = self.port.shared();
            // To look is much cheaper than to try.
            if shared.posts.is_empty() {
                return;
            }
            let Some(payload) = shared.posts.pop() else { return };
            shared.tell_posters();
            match payload {
                Payload::Run(work) => {
                    work_left -= 1;
                    work(self);
                }
                payload => batch.packets.push(Packet::Post(payload)),
            }
        }
        self.port.shared().pass_on();
    }

    /// Closes the berth: cancels what is under way and waits for it, at most until the deadline. Tickets keep
    /// their results; those of what did not come back are [lost](Ticket::is_lost). No packet tells of either.
    pub fn close(mut self, deadline: Duration) -> Report {
        self.shut(deadline)
    }

    fn shut(&mut self, deadline: Duration) -> Report {
        self.open = false;
        self.bell.silence();
        let mut report = Report { submitted: self.submitted, ..Report::default() };
        let end = timeout::deadline(self.port.now(), deadline);
        let mut wave: Vec<&'static Slot> = self.slots.under_way().collect();
        report.cancelled = wave.len() as u64;
        for slot in &wave {
            slot.mark_cancelled();
            attend(slot, CANCEL, self.quay, &mut self.driver, &mut self.sink);
        }
        self.quay.begin_close();
        // However short the deadline is, the back end is asked once: most of them end as soon as they are asked to.
        let mut asked = false;
        let mut has_failed = false;
        loop {
            self.driver.lie_down();
            self.quay.lie_down();
            self.settle();
            self.pass_packets_on();
            if std::mem::take(&mut self.sink.rung)
                && (self.quay.has_strays() || !self.port.shared().posts.is_empty())
            {
                // This berth has received the wake, and can do nothing with what it was for.
                self.quay.ring_all();
            }
            wave.retain(|slot| slot.is_under_way() && slot.is_cancelled());
            let left = end.saturating_duration_since(self.port.now());
            if wave.is_empty() || (left.is_zero() && asked) {
                break;
            }
            asked = true;
            self.sink.room = Batch::MAX;
            let timeout = if self.quay.has_nudges() { Duration::ZERO } else { left };
            let waited = self.driver.wait(Some(timeout), &self.slots, &mut self.sink);
            self.quay.get_up();
            if let Err(error) = waited {
                if !std::mem::replace(&mut has_failed, true) {
                    tracing::debug!(%error, "a berth that closes cannot wait for its operations");
                }
                // Some may end all the same: on offload threads, at other berths, in memory that the system shares.
                std::thread::sleep(left.min(FAILED_PAUSE));
            }
        }
        self.quay.get_up();
        self.quay.end_close();
        report.leaked = wave.len() as u64;
        report.ended = self.sink.ended;
        report.unknown = self.sink.unknown;
        if report.leaked > 0 {
            tracing::warn!(leaked = report.leaked, "operations that the system did not give back");
            wave.iter().for_each(|slot| slot.lose());
            self.quay.haunt();
        }
        self.port.shared().release_quay(self.quay);
        self.port.shared().leave(&report);
        // A wake that this berth took may have been meant for the others.
        self.port.shared().pass_on();
        if self.quay.is_shared() {
            self.quay.ring_all();
        }
        report
    }

    /// Packets of a closing berth are of no use to it; those of other berths go to them.
    fn pass_packets_on(&mut self) {
        let here = self.slots.slab().number();
        for packet in self.sink.packets.drain(..) {
            if let Packet::Done(id) | Packet::More(id) = packet
                && id.berth != here
            {
                self.quay.leave_stray(packet);
            }
        }
    }
}

/// Does what a slot was nudged for.
fn attend(slot: &'static Slot, why: u32, quay: &'static Quay, driver: &mut AnyDriver, sink: &mut Sink) {
    if why & (GO | BACK) != 0 {
        let flight = crate::op::slot::taken_from_nudge(slot, why);
        if why & BACK != 0 {
            let outcome = flight.outcome();
            sink.complete(flight, outcome);
        } else {
            sink.next.push_back(flight);
        }
        return;
    }
    if why & CANCEL == 0 {
        return;
    }
    let Some(_pin) = slot.pin() else { return };
    if !slot.is_cancelled() {
        // The one that was to end has ended, and another berth has the next one in its slot.
        return;
    }
    match slot.at() {
        At::Turn => {
            if let Some(flight) = slot.withdraw_from_line() {
                sink.complete_without_turn(flight, sys::cancelled());
            } else {
                // Its turn has just come, and whoever starts it may not have seen that it is to end.
                driver.cancel(slot, sink);
            }
        }
        At::Timers => {
            if let Some((flight, next)) = quay.remove_timer(slot) {
                sink.complete(flight, sys::cancelled());
                if let Some(next) = next {
                    driver.deadline_changed(next);
                }
            }
        }
        At::Offload => {
            if let Some(flight) = sink.offload.withdraw(slot) {
                sink.complete(flight, sys::cancelled());
            }
        }
        At::BackEnd => driver.cancel(slot, sink),
    }
}

impl Drop for Berth {
    fn drop(&mut self) {
        if self.open {
            self.shut(DROP_DEADLINE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nudge_that_comes_after_the_end_does_not_cancel_the_next_operation_in_the_slot() {
        let port = Port::open().unwrap();
        let mut berth = port.berth().unwrap();
        let ticket = berth.submit(crate::op::Timer::after(&port, Duration::from_secs(3600))).unwrap();
        let slot = berth.slots.under_way().next().expect("it has just begun");
        // What another berth took from the list before the slot was used again.
        attend(slot, CANCEL, berth.quay, &mut berth.driver, &mut berth.sink);
        assert!(!ticket.is_done());
        slot.mark_cancelled();
        attend(slot, CANCEL, berth.quay, &mut berth.driver, &mut berth.sink);
        assert!(ticket.is_done());
    }
}
