//! Turns at a handle, a value that is watched, and a value that goes from hand to hand.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
};

use ::loom::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use crate::{
    block_on, check, poll_once,
    sync::{Mutex, watch},
    turn::Turn,
};

#[test]
fn one_at_a_time_has_the_turn_and_sees_what_the_one_before_left() {
    check(|| {
        let shared = Arc::new((Turn::new(), AtomicUsize::new(0)));
        let add = |shared: &(Turn, AtomicUsize)| {
            let taken = block_on(shared.0.enter());
            // Relaxed, and in two steps: the turn alone is what keeps others away, and what orders them.
            let before = shared.1.load(Ordering::Relaxed);
            shared.1.store(before + 1, Ordering::Relaxed);
            drop(taken);
        };
        let others = [(); 2].map(|()| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || add(&shared))
        });
        add(&shared);
        others.into_iter().for_each(|other| other.join().expect("no panic"));
        assert_eq!(shared.1.load(Ordering::Relaxed), 3);
        assert!(poll_once(shared.0.enter()).is_some(), "nobody has it");
    });
}

#[test]
fn a_turn_given_to_one_who_has_gone_goes_on_to_the_next() {
    check(|| {
        let turn = Arc::new(Turn::new());
        let held = poll_once(turn.enter()).expect("it is free");
        let patient = thread::spawn({
            let turn = Arc::clone(&turn);
            move || drop(block_on(turn.enter()))
        });
        let hasty = thread::spawn({
            let turn = Arc::clone(&turn);
            move || drop(poll_once(turn.enter()))
        });
        drop(held);
        patient.join().expect("no panic");
        hasty.join().expect("no panic");
        assert!(poll_once(turn.enter()).is_some(), "nobody has it");
    });
}

#[test]
fn who_comes_back_with_another_waker_while_the_turn_is_handed_over_is_woken_by_that() {
    check(|| {
        let turn = Arc::new(Turn::new());
        let held = poll_once(turn.enter()).expect("it is free");
        let waits = thread::spawn({
            let turn = Arc::clone(&turn);
            move || {
                let mut enter = pin!(turn.enter());
                if enter.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                    drop(block_on(enter));
                }
            }
        });
        drop(held);
        waits.join().expect("no panic");
        assert!(poll_once(turn.enter()).is_some(), "nobody has it");
    });
}

#[test]
fn who_watches_sees_the_last_value_and_then_the_end() {
    check(|| {
        let (sender, mut receiver) = watch::channel(0);
        let other = thread::spawn(move || {
            sender.send(1);
            sender.send(2);
        });
        let mut seen = vec![0];
        while block_on(receiver.changed()).is_ok() {
            seen.push(*receiver.borrow());
        }
        assert_eq!(seen.last(), Some(&2), "{seen:?}");
        assert!(seen.is_sorted() && seen.len() <= 3, "{seen:?}");
        other.join().expect("no panic");
    });
}

#[test]
fn a_wait_for_a_change_that_is_dropped_has_missed_nothing() {
    check(|| {
        let (sender, mut receiver) = watch::channel(0);
        let mut other = receiver.clone();
        let changes = thread::spawn(move || {
            drop(sender.send(1));
            sender
        });
        let waits = thread::spawn(move || block_on(other.changed()).map(|()| *other.borrow()));
        if poll_once(receiver.changed()).is_none() {
            block_on(receiver.changed()).expect("the sender is there, or its change was not seen");
        }
        assert_eq!((*receiver.borrow(), receiver.has_changed()), (1, false));
        assert_eq!(waits.join().expect("no panic"), Ok(1));
        drop(changes.join().expect("no panic"));
    });
}

#[test]
fn the_last_who_watched_wakes_who_waits_for_nobody_to_watch() {
    check(|| {
        let (sender, receiver) = watch::channel(0);
        let others = [receiver.clone(), receiver].map(|receiver| thread::spawn(move || drop(receiver)));
        block_on(sender.deserted());
        assert_eq!(sender.receivers(), 0);
        others.into_iter().for_each(|other| other.join().expect("no panic"));
    });
}

#[test]
fn one_at_a_time_has_the_value_of_a_mutex() {
    check(|| {
        let total = Arc::new(Mutex::new(0));
        let others = [(); 2].map(|()| {
            let total = Arc::clone(&total);
            thread::spawn(move || *block_on(total.lock()) += 1)
        });
        *block_on(total.lock()) += 1;
        others.into_iter().for_each(|other| other.join().expect("no panic"));
        assert_eq!(total.try_lock().map(|total| *total), Some(3));
    });
}

#[test]
fn a_value_handed_to_one_who_has_gone_goes_on_to_the_next() {
    check(|| {
        let value = Arc::new(Mutex::new(7));
        let held = Arc::clone(&value).try_lock_owned().expect("nobody has it");
        let patient = thread::spawn({
            let value = Arc::clone(&value);
            move || *block_on(value.lock())
        });
        let hasty = thread::spawn({
            let value = Arc::clone(&value);
            move || drop(poll_once(value.lock()))
        });
        drop(held);
        assert_eq!(patient.join().expect("no panic"), 7);
        hasty.join().expect("no panic");
        assert!(value.try_lock().is_some(), "nobody has it");
    });
}
