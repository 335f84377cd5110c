//! Every order in which threads may take their steps on what berths share, tried one after the other:
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" cargo test -p ostia-port --test loom
//! ```
//!
//! The pieces are those of the crate, built into this program; the slots and berths around them are small ones that
//! follow the same steps.
#![cfg(loom)]

#[path = "../src/loom.rs"]
mod loom;
#[allow(dead_code, unused_imports, reason = "the tests use a part of it")]
#[path = "../src/shared/mod.rs"]
mod shared;

use std::{io, ptr, sync::atomic::Ordering::Relaxed};

use ::loom::{
    cell::UnsafeCell,
    model::Builder,
    sync::{Arc, Condvar, Mutex, atomic::AtomicU32},
    thread,
};

use self::shared::{Abandoned, BACK, Bell, CANCEL, Link, Mark, Stack, State};

/// A slot with the states and lists of a real one.
struct Slot {
    state: State,
    nudge_next: loom::AtomicPtr<Slot>,
    free_next: loom::AtomicPtr<Slot>,
    /// What the operation owns: loom notices two who touch it at a time, or one who was not told that it may.
    body: UnsafeCell<u32>,
}

struct Nudges;
struct Free;

impl Link for Nudges {
    type Node = Slot;

    fn next(slot: &Slot) -> &loom::AtomicPtr<Slot> {
        &slot.nudge_next
    }
}

impl Link for Free {
    type Node = Slot;

    fn next(slot: &Slot) -> &loom::AtomicPtr<Slot> {
        &slot.free_next
    }
}

// SAFETY: the body is touched by whom the state names; that this is so is what the tests are about, and loom sees it.
unsafe impl Sync for Slot {}

impl Slot {
    /// A slot that lives as long as the process, as a slab's does.
    fn leaked() -> &'static Slot {
        Box::leak(Box::new(Slot {
            state: State::new(),
            nudge_next: loom::AtomicPtr::new(ptr::null_mut()),
            free_next: loom::AtomicPtr::new(ptr::null_mut()),
            body: UnsafeCell::new(0),
        }))
    }

    fn write(&self, value: u32) {
        // SAFETY: loom watches that nobody else touches the body.
        self.body.with_mut(|body| unsafe { *body = value });
    }

    fn read(&self) -> u32 {
        // SAFETY: as above.
        self.body.with(|body| unsafe { *body })
    }
}

/// What berth and tickets share: the list of nudges with its bell, the stack of free slots.
struct Shore {
    nudges: Stack<Nudges>,
    bell: Bell,
    /// What the bell's waker does: a packet, that the sleeper finds.
    wakes: Mutex<u32>,
    woken: Condvar,
    returned: Stack<Free>,
}

impl Shore {
    fn new() -> Arc<Shore> {
        Arc::new(Shore {
            nudges: Stack::new(),
            bell: Bell::new(),
            wakes: Mutex::new(0),
            woken: Condvar::new(),
            returned: Stack::new(),
        })
    }

    fn ring(&self) {
        let rung = self.bell.ring(false, || {
            *self.wakes.lock().expect("no panic") += 1;
            self.woken.notify_one();
            Ok(())
        });
        rung.expect("this waker cannot fail");
    }

    fn link(&self, slot: &'static Slot) {
        self.nudges.push(slot);
        self.ring();
    }

    /// Sleeps unless there is something to do, until somebody rings.
    fn sleep_unless(&self, something: impl Fn() -> bool) {
        self.bell.lie_down();
        if !something() {
            let mut wakes = self.wakes.lock().expect("no panic");
            while *wakes == 0 {
                wakes = self.woken.wait(wakes).expect("no panic");
            }
            *wakes -= 1;
        }
        self.bell.get_up();
    }

    fn give_back(&self, slot: &'static Slot) {
        self.returned.push(slot);
    }

    /// Lets go of an operation that is both done and abandoned.
    fn discard(&self, slot: &'static Slot) {
        slot.write(slot.read() + 100);
        if slot.state.free() {
            self.give_back(slot);
        }
    }

    /// The berth ends the operation.
    fn end(&self, slot: &'static Slot) {
        slot.write(slot.read() + 1);
        if slot.state.end() {
            self.discard(slot);
        }
    }

    fn abandon(&self, slot: &'static Slot) {
        match slot.state.abandon() {
            Abandoned::Ended => self.discard(slot),
            Abandoned::Link => self.link(slot),
            Abandoned::Linked => {}
        }
    }

    fn detach(&self, slot: &'static Slot) {
        if slot.state.detach() {
            self.discard(slot);
        }
    }

    fn take_nudges(&self) -> Vec<(&'static Slot, u32)> {
        self.nudges.take().oldest_first().map(|slot| (slot, slot.state.take_nudge())).collect()
    }

    fn count_returned(&self) -> usize {
        self.returned.take().count()
    }
}

fn begun() -> &'static Slot {
    let slot = Slot::leaked();
    slot.write(10);
    slot.state.begin();
    slot
}

fn check(test: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    // Three switches where a thread could have gone on find what there is to be found, in seconds.
    builder.preemption_bound = Some(3);
    builder.check(test);
}

#[test]
fn what_is_left_is_seen_by_the_sleeper_or_rings() {
    check(|| {
        let shore = Shore::new();
        let posts = Arc::new(AtomicU32::new(0));
        let posters: Vec<_> = (0..2)
            .map(|_| {
                let (shore, posts) = (Arc::clone(&shore), Arc::clone(&posts));
                thread::spawn(move || {
                    posts.fetch_add(1, Relaxed);
                    shore.ring();
                })
            })
            .collect();
        let mut taken = 0;
        // A wake that is lost leaves this thread asleep for ever, and loom says so.
        while taken < 2 {
            shore.sleep_unless(|| posts.load(Relaxed) > taken);
            taken = posts.load(Relaxed);
        }
        posters.into_iter().for_each(|poster| poster.join().expect("no panic"));
    });
}

#[test]
fn a_mark_wakes_its_thread_which_then_sees_what_all_who_set_it_left() {
    check(|| {
        let shore = Shore::new();
        let mark = Arc::new(Mark::new());
        let left = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
        let ringers: Vec<_> = (0..2)
            .map(|place| {
                let (shore, mark, left) = (Arc::clone(&shore), Arc::clone(&mark), Arc::clone(&left));
                thread::spawn(move || {
                    left[place].store(1, Relaxed);
                    if mark.set() {
                        shore.ring();
                    }
                })
            })
            .collect();
        // A ring that is lost leaves this thread asleep for ever, and loom says so.
        let mut seen = 0;
        while seen < 2 {
            shore.sleep_unless(|| mark.is_set());
            mark.take_down();
            seen = left.iter().map(|left| left.load(Relaxed)).sum();
        }
        ringers.into_iter().for_each(|ringer| ringer.join().expect("no panic"));
    });
}

#[test]
fn a_mark_whose_wake_failed_is_set_and_the_next_wakes_again() {
    check(|| {
        let mark = Arc::new(Mark::new());
        let ringer = thread::spawn({
            let mark = Arc::clone(&mark);
            move || {
                let wakes = mark.set();
                if wakes {
                    mark.not_heard();
                }
                wakes
            }
        });
        let mut wakes = u32::from(mark.set());
        let failed = ringer.join().expect("no panic");
        wakes += u32::from(mark.set());
        assert!(!failed || wakes > 0, "a wake that failed is tried again");
        assert!(mark.take_down() && !mark.is_set() && !mark.take_down());
    });
}

#[test]
fn a_wake_that_could_not_be_sent_is_sent_by_the_next_ring() {
    check(|| {
        let bell = Arc::new(Bell::new());
        bell.lie_down();
        let ringer = thread::spawn({
            let bell = Arc::clone(&bell);
            move || bell.ring(false, || Err(io::ErrorKind::OutOfMemory.into())).is_err()
        });
        let mut rang = false;
        bell.ring(false, || {
            rang = true;
            Ok(())
        })
        .expect("this waker does not fail");
        let failed = ringer.join().expect("no panic");
        if failed && !rang {
            bell.ring(false, || {
                rang = true;
                Ok(())
            })
            .expect("this waker does not fail");
        }
        assert!(rang, "somebody sleeps, and the last ring has been heard");
    });
}

#[test]
fn a_latch_is_rung_once_until_it_is_taken_down() {
    check(|| {
        let bell = Arc::new(Bell::new());
        let rung = Arc::new(AtomicU32::new(0));
        let ring = |bell: &Bell, rung: &AtomicU32| {
            bell.ring(true, || {
                rung.fetch_add(1, Relaxed);
                Ok(())
            })
            .expect("this waker does not fail");
        };
        let other = thread::spawn({
            let (bell, rung) = (Arc::clone(&bell), Arc::clone(&rung));
            move || ring(&bell, &rung)
        });
        ring(&bell, &rung);
        other.join().expect("no panic");
        assert_eq!(rung.load(Relaxed), 1);
        bell.get_up();
        ring(&bell, &rung);
        assert_eq!(rung.load(Relaxed), 2);
    });
}

#[test]
fn what_is_linked_by_two_threads_is_taken_once_and_each_in_its_order() {
    check(|| {
        let shore = Shore::new();
        let slots: [&'static Slot; 3] = [(); 3].map(|()| begun());
        let other = thread::spawn({
            let shore = Arc::clone(&shore);
            move || [slots[0], slots[1]].into_iter().for_each(|slot| shore.link(slot))
        });
        shore.link(slots[2]);
        let mut taken: Vec<&'static Slot> = shore.nudges.take().oldest_first().collect();
        other.join().expect("no panic");
        taken.extend(shore.nudges.take().oldest_first());
        let place =
            |slot: &'static Slot| taken.iter().position(|one| ptr::eq(*one, slot)).expect("it was taken");
        assert_eq!(taken.len(), 3);
        assert!(place(slots[0]) < place(slots[1]), "linked by one thread, taken in its order");
        place(slots[2]);
    });
}

#[test]
fn what_ends_while_it_is_abandoned_is_let_go_of_once() {
    check(|| {
        let shore = Shore::new();
        let slot = begun();
        let ticket = thread::spawn({
            let shore = Arc::clone(&shore);
            move || shore.abandon(slot)
        });
        shore.end(slot);
        ticket.join().expect("no panic");
        assert_eq!(slot.read(), 111, "ended once, let go of once");
        assert_eq!(shore.count_returned(), 1);
        // A nudge that came too late hangs there still; then the slot is not forgotten until it is taken out.
        let hanging = !shore.nudges.is_empty();
        assert_eq!(slot.state.is_forgotten(), !hanging);
        shore.take_nudges();
        assert!(slot.state.is_forgotten());
    });
}

#[test]
fn what_ends_while_it_is_detached_is_let_go_of_once_and_hangs_in_no_list() {
    check(|| {
        let shore = Shore::new();
        let slot = begun();
        let ticket = thread::spawn({
            let shore = Arc::clone(&shore);
            move || shore.detach(slot)
        });
        shore.end(slot);
        ticket.join().expect("no panic");
        assert_eq!(slot.read(), 111, "ended once, let go of once");
        assert_eq!(shore.count_returned(), 1);
        assert!(shore.nudges.is_empty() && slot.state.is_forgotten(), "nobody was asked to do anything");
    });
}

#[test]
fn what_is_detached_while_it_comes_back_from_elsewhere_is_let_go_of_once() {
    check(|| {
        let shore = Shore::new();
        let slot = begun();
        let offload = thread::spawn({
            let shore = Arc::clone(&shore);
            move || {
                slot.write(20);
                if slot.state.nudge(BACK) {
                    shore.link(slot);
                }
            }
        });
        let ticket = thread::spawn({
            let shore = Arc::clone(&shore);
            move || shore.detach(slot)
        });
        let mut back = 0;
        while back == 0 {
            shore.sleep_unless(|| !shore.nudges.is_empty());
            for (slot, why) in shore.take_nudges() {
                assert_eq!(why & CANCEL, 0, "nobody asked for its end");
                if why & BACK != 0 {
                    back += 1;
                    shore.end(slot);
                }
            }
        }
        offload.join().expect("no panic");
        ticket.join().expect("no panic");
        assert_eq!((back, slot.read(), shore.count_returned()), (1, 121, 1));
    });
}

#[test]
fn a_result_is_whole_when_its_ticket_sees_the_end() {
    check(|| {
        let slot = begun();
        let ticket = thread::spawn(move || {
            if slot.state.is_done() {
                assert_eq!(slot.read(), 11);
                assert!(slot.state.free(), "nobody has it pinned");
            }
        });
        slot.write(11);
        assert!(!slot.state.end(), "it has a ticket");
        ticket.join().expect("no panic");
    });
}

#[test]
fn a_cancel_reaches_a_sleeping_berth() {
    check(|| {
        let shore = Shore::new();
        let slot = begun();
        let ticket = thread::spawn({
            let shore = Arc::clone(&shore);
            move || {
                if slot.state.cancel() {
                    shore.link(slot);
                }
            }
        });
        // The operation ends by its cancel alone: a lost one leaves the berth asleep for ever, and loom says so.
        let mut cancelled = false;
        while !cancelled {
            shore.sleep_unless(|| !shore.nudges.is_empty());
            cancelled = shore.take_nudges().iter().any(|(_, why)| why & CANCEL != 0);
        }
        assert!(slot.state.is_cancelled() && slot.state.pin());
        shore.end(slot);
        assert!(!slot.state.unpin(), "its ticket has not taken it yet");
        ticket.join().expect("no panic");
        assert!(slot.state.free());
        assert!(slot.state.is_forgotten());
    });
}

#[test]
fn a_cancel_that_comes_too_late_is_none_of_the_next_operation() {
    check(|| {
        let shore = Shore::new();
        let slot = begun();
        let berth = thread::spawn({
            let shore = Arc::clone(&shore);
            move || {
                shore.end(slot);
                shore.take_nudges();
            }
        });
        // The ticket's holder: it cancels, takes the result, and the slot is used again.
        if slot.state.cancel() {
            shore.link(slot);
        }
        while !slot.state.is_done() {
            thread::yield_now();
        }
        assert!(slot.state.free());
        slot.state.begin();
        assert!(!slot.state.is_cancelled(), "that was meant for the one before");
        // A cancel of the new one is linked, or hangs in the list from before: it is found in either case.
        if slot.state.cancel() {
            shore.link(slot);
        }
        berth.join().expect("no panic");
        shore.take_nudges();
        assert!(slot.state.is_cancelled() && shore.nudges.is_empty());
    });
}

#[test]
fn a_slot_that_is_looked_at_is_given_back_once_and_only_afterwards() {
    check(|| {
        let shore = Shore::new();
        let slot = begun();
        let looker = thread::spawn({
            let shore = Arc::clone(&shore);
            move || {
                if !slot.state.pin() {
                    return;
                }
                // A berth that closes marks what it has under way.
                slot.state.mark_cancelled();
                assert_eq!(shore.count_returned(), 0, "it is not given back while it is looked at");
                if slot.state.unpin() {
                    shore.give_back(slot);
                }
            }
        });
        shore.end(slot);
        if slot.state.free() {
            shore.give_back(slot);
        }
        looker.join().expect("no panic");
        assert_eq!(shore.count_returned(), 1);
        assert!(slot.state.is_forgotten(), "no mark is left for the next operation");
    });
}

#[test]
fn an_end_from_elsewhere_comes_back_once_though_a_cancel_comes_with_it() {
    check(|| {
        let shore = Shore::new();
        let slot = begun();
        let offload = thread::spawn({
            let shore = Arc::clone(&shore);
            move || {
                slot.write(20);
                if slot.state.nudge(BACK) {
                    shore.link(slot);
                }
            }
        });
        let ticket = thread::spawn({
            let shore = Arc::clone(&shore);
            move || shore.abandon(slot)
        });
        let mut back = 0;
        while back == 0 {
            shore.sleep_unless(|| !shore.nudges.is_empty());
            for (slot, why) in shore.take_nudges() {
                if why & BACK != 0 {
                    back += 1;
                    assert_eq!(slot.read(), 20, "what was done elsewhere is seen");
                    shore.end(slot);
                }
            }
        }
        offload.join().expect("no panic");
        ticket.join().expect("no panic");
        assert!(shore.take_nudges().iter().all(|(_, why)| why & BACK == 0));
        assert_eq!((back, slot.read(), shore.count_returned()), (1, 121, 1));
    });
}

#[test]
fn slots_that_two_threads_give_back_are_all_there() {
    check(|| {
        let shore = Shore::new();
        let slots: [&'static Slot; 3] = [(); 3].map(|()| begun());
        let other = thread::spawn({
            let shore = Arc::clone(&shore);
            move || [slots[0], slots[1]].into_iter().for_each(|slot| shore.give_back(slot))
        });
        shore.give_back(slots[2]);
        let mut count = shore.count_returned();
        other.join().expect("no panic");
        count += shore.count_returned();
        assert_eq!(count, 3);
    });
}
