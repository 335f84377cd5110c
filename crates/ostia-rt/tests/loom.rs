//! Every order in which threads may take their steps on what tasks wait at, tried one after the other:
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" cargo test -p ostia-rt --release --test loom
//! ```
//!
//! The pieces are those of the crate, built into this program. A wake that is lost leaves a thread asleep for ever, and
//! loom says so.
#![cfg(loom)]

#[path = "../src/limiter.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, reason = "the tests use a part of it")]
mod limiter;
#[path = "../src/loom.rs"]
#[allow(dead_code, unused_imports, reason = "the tests use a part of it")]
mod loom;
#[path = "../src/scope.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, reason = "the tests use a part of it")]
mod scope;
#[path = "../src/sync/mod.rs"]
#[allow(dead_code, unused_imports, missing_docs, unreachable_pub, reason = "the tests use a part of it")]
mod sync;
#[allow(dead_code, unused_imports, unreachable_pub, reason = "the tests use a part of it")]
#[path = "../src/task/mod.rs"]
mod task;
#[path = "loom/tasks.rs"]
mod tasks;
#[path = "../src/net/turn.rs"]
mod turn;
#[path = "loom/waits.rs"]
mod waits;

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use ::loom::{
    model::Builder,
    sync::{Condvar, Mutex},
    thread,
};

use self::{
    limiter::Limiter,
    scope::Scope,
    sync::{Notify, Semaphore, mpsc, oneshot},
};

/// What a thread sleeps on until its waker is woken.
struct Bed {
    woken: Mutex<bool>,
    wakes: Condvar,
}

impl Bed {
    fn new() -> Arc<Bed> {
        Arc::new(Bed { woken: Mutex::new(false), wakes: Condvar::new() })
    }
}

impl Wake for Bed {
    fn wake(self: Arc<Self>) {
        *self.woken.lock().expect("no panic") = true;
        self.wakes.notify_one();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let bed = Bed::new();
    let waker = Waker::from(Arc::clone(&bed));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let mut woken = bed.woken.lock().expect("no panic");
        while !*woken {
            woken = bed.wakes.wait(woken).expect("no panic");
        }
        *woken = false;
    }
}

/// Polls once, and drops what has not ended.
fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

fn check(test: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    // Three switches where a thread could have gone on find what there is to be found, in seconds.
    builder.preemption_bound = Some(3);
    builder.check(test);
}

#[test]
fn a_oneshot_delivers_or_gives_back() {
    check(|| {
        let (sender, receiver) = oneshot::channel();
        let other = thread::spawn(move || sender.send(7));
        assert_eq!(block_on(receiver), Ok(7));
        assert_eq!(other.join().expect("no panic"), Ok(()));
    });
}

#[test]
fn a_oneshot_whose_sender_goes_wakes_its_receiver() {
    check(|| {
        let (sender, receiver) = oneshot::channel::<u8>();
        let other = thread::spawn(move || drop(sender));
        assert_eq!(block_on(receiver), Err(oneshot::Closed));
        other.join().expect("no panic");
    });
}

#[test]
fn a_oneshot_that_closes_has_the_value_on_one_side() {
    check(|| {
        let (sender, mut receiver) = oneshot::channel();
        let other = thread::spawn(move || sender.send(7).is_ok());
        receiver.close();
        let received = receiver.try_recv().is_ok();
        assert_eq!(other.join().expect("no panic"), received);
    });
}

#[test]
fn a_oneshot_whose_receiver_goes_wakes_its_sender() {
    check(|| {
        let (mut sender, receiver) = oneshot::channel::<u8>();
        let other = thread::spawn(move || drop(receiver));
        block_on(sender.closed());
        other.join().expect("no panic");
    });
}

#[test]
fn a_notification_is_not_lost() {
    check(|| {
        let notify = Arc::new(Notify::new());
        let other = thread::spawn({
            let notify = Arc::clone(&notify);
            move || notify.notify_one()
        });
        block_on(notify.notified());
        other.join().expect("no panic");
    });
}

#[test]
fn a_notification_given_to_a_dropped_future_is_not_lost() {
    check(|| {
        let notify = Arc::new(Notify::new());
        let other = thread::spawn({
            let notify = Arc::clone(&notify);
            // It takes the notification, or passes it on.
            move || poll_once(notify.notified()).is_some()
        });
        let third = thread::spawn({
            let notify = Arc::clone(&notify);
            move || notify.notify_one()
        });
        third.join().expect("no panic");
        if !other.join().expect("no panic") {
            block_on(notify.notified());
        }
        assert!(poll_once(notify.notified()).is_none(), "there was one");
    });
}

#[test]
fn all_who_were_there_before_are_notified() {
    check(|| {
        let notify = Arc::new(Notify::new());
        let first = notify.notified();
        let other = thread::spawn({
            let notify = Arc::clone(&notify);
            move || notify.notify_all()
        });
        block_on(first);
        other.join().expect("no panic");
    });
}

#[test]
fn permits_go_round_among_threads() {
    check(|| {
        let semaphore = Arc::new(Semaphore::new(1));
        let others: Vec<_> = (0..2)
            .map(|_| {
                let semaphore = Arc::clone(&semaphore);
                thread::spawn(move || drop(block_on(semaphore.acquire()).expect("it is open")))
            })
            .collect();
        others.into_iter().for_each(|other| other.join().expect("no panic"));
        assert_eq!(semaphore.available(), 1);
    });
}

#[test]
fn a_permit_given_to_a_dropped_future_is_not_lost() {
    check(|| {
        let semaphore = Arc::new(Semaphore::new(1));
        let held = semaphore.try_acquire().expect("it is there");
        let others = [false, true].map(|patient| {
            let semaphore = Arc::clone(&semaphore);
            thread::spawn(move || {
                if patient {
                    drop(block_on(semaphore.acquire()));
                } else {
                    drop(poll_once(semaphore.acquire()));
                }
            })
        });
        drop(held);
        others.into_iter().for_each(|other| other.join().expect("no panic"));
        assert_eq!(semaphore.available(), 1);
    });
}

#[test]
fn a_semaphore_that_closes_wakes_those_who_wait() {
    check(|| {
        let semaphore = Arc::new(Semaphore::new(1));
        let held = semaphore.try_acquire().expect("it is there");
        let other = thread::spawn({
            let semaphore = Arc::clone(&semaphore);
            move || block_on(semaphore.acquire()).is_err()
        });
        semaphore.close();
        assert!(other.join().expect("no panic"));
        drop(held);
    });
}

#[test]
fn a_channel_of_one_delivers_all_in_order() {
    check(|| {
        let (sender, mut receiver) = mpsc::channel(1);
        let other = thread::spawn(move || {
            for value in 0..2 {
                block_on(sender.send(value)).expect("the receiver is there");
            }
        });
        assert_eq!(block_on(receiver.recv()), Some(0));
        assert_eq!(block_on(receiver.recv()), Some(1));
        assert_eq!(block_on(receiver.recv()), None);
        other.join().expect("no panic");
    });
}

#[test]
fn two_senders_reach_one_receiver() {
    check(|| {
        let (sender, mut receiver) = mpsc::channel(1);
        let others = [sender.clone(), sender]
            .map(|sender| thread::spawn(move || block_on(sender.send(1)).expect("the receiver is there")));
        assert_eq!(block_on(receiver.recv()), Some(1));
        assert_eq!(block_on(receiver.recv()), Some(1));
        assert_eq!(block_on(receiver.recv()), None);
        others.into_iter().for_each(|other| other.join().expect("no panic"));
    });
}

#[test]
fn a_receiver_that_goes_wakes_the_sender_in_line() {
    check(|| {
        let (sender, receiver) = mpsc::channel(1);
        sender.try_send(1).expect("there is room");
        let other = thread::spawn(move || drop(receiver));
        assert_eq!(block_on(sender.send(2)), Err(mpsc::SendError(2)));
        other.join().expect("no panic");
    });
}

#[test]
fn a_send_that_is_dropped_has_sent_or_not() {
    check(|| {
        let (sender, mut receiver) = mpsc::channel(1);
        sender.try_send(1).expect("there is room");
        let other = thread::spawn(move || poll_once(sender.send(2)).is_some());
        assert_eq!(block_on(receiver.recv()), Some(1));
        let second = block_on(receiver.recv());
        let sent = other.join().expect("no panic");
        assert!(second == Some(2) || (second.is_none() && !sent));
    });
}

#[test]
fn children_of_a_limiter_share_its_permit() {
    check(|| {
        let node = Limiter::new(1);
        let others = [node.child(1), node.child(1)]
            .map(|child| thread::spawn(move || drop(block_on(child.acquire()))));
        others.into_iter().for_each(|other| other.join().expect("no panic"));
        let stats = node.stats();
        assert_eq!((stats.in_use, stats.waiting, stats.in_use_max, stats.given), (0, 0, 1, 2));
    });
}

#[test]
fn a_limiters_permit_given_to_a_dropped_future_is_not_lost() {
    check(|| {
        let node = Limiter::new(1);
        let held = node.try_acquire().expect("it is there");
        let patient = thread::spawn({
            let child = node.child(1);
            move || drop(block_on(child.acquire()))
        });
        let hasty = thread::spawn({
            let child = node.child(1);
            move || drop(poll_once(child.acquire()))
        });
        drop(held);
        patient.join().expect("no panic");
        hasty.join().expect("no panic");
        assert_eq!((node.stats().in_use, node.stats().waiting), (0, 0));
    });
}

#[test]
fn a_scope_ends_once_whoever_is_last() {
    check(|| {
        let scope = Scope::new("scope");
        let others = ["one", "two"].map(|name| {
            let guard = scope.enter(name).expect("it is open");
            thread::spawn(move || drop(guard))
        });
        scope.close_intake();
        block_on(scope.ended());
        assert_eq!(scope.report().ended, 2);
        others.into_iter().for_each(|other| other.join().expect("no panic"));
    });
}

#[test]
fn who_enters_while_the_intake_closes_is_waited_for() {
    check(|| {
        let scope = Scope::new("scope");
        let other = thread::spawn({
            let scope = scope.clone();
            move || {
                scope.enter("late").map(|guard| assert!(!scope.has_ended(), "{guard:?} is there")).is_some()
            }
        });
        scope.close_intake();
        block_on(scope.ended());
        let entered = other.join().expect("no panic");
        let report = scope.report();
        assert_eq!((report.entered, report.ended), (u64::from(entered), u64::from(entered)));
    });
}

#[test]
fn a_cancel_reaches_a_child_that_is_just_born() {
    check(|| {
        let scope = Scope::new("parent");
        let other = thread::spawn({
            let scope = scope.clone();
            move || {
                if let Some(child) = scope.child("child")
                    && let Some(guard) = child.enter("work")
                {
                    block_on(guard.cancelled());
                    assert!(guard.is_cancelled());
                }
            }
        });
        scope.cancel();
        block_on(scope.ended());
        other.join().expect("no panic");
        assert!(scope.report().pending.is_empty());
    });
}
