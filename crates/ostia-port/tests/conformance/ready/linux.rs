//! Descriptors of others, adopted.

use std::{
    io::{Read, Write},
    net::Shutdown,
    os::{fd::OwnedFd, unix::net::UnixStream},
    time::Duration,
};

use ostia_port::{
    Foreign, Ticket,
    op::{Readiness, Ready},
};

use crate::{
    case::Stage,
    kit::{Desk, assert_cancelled, handles_of},
};

cases![
    nothing_is_ready_before_it_is_written,
    what_is_there_already_is_told,
    a_descriptor_is_ready_again_after_it_was_drained,
    a_descriptor_that_takes_more_is_ready_for_writing,
    the_end_of_the_other_is_readiness,
    a_wait_for_readiness_is_cancelled_and_leaves_nothing,
    reading_and_writing_are_waited_for_at_once,
    adopting_and_letting_go_leaks_no_descriptor,
    a_file_is_always_ready_or_refused,
];

/// A descriptor that belongs to somebody else, his own clone of it, and its other end.
fn adopted(stage: &Stage, desk: &Desk) -> (Foreign, UnixStream, UnixStream) {
    if stage.is_sim() {
        stage.skip("a simulated kernel knows no descriptor of a real one");
    }
    let (ours, theirs) = UnixStream::pair().expect("two ends");
    ours.set_nonblocking(true).expect("it is a socket");
    theirs.set_nonblocking(true).expect("it is a socket");
    let clone = ours.try_clone().expect("a descriptor more");
    (desk.port.adopt(OwnedFd::from(ours)).expect("it is a descriptor"), clone, theirs)
}

fn reading(desk: &mut Desk, foreign: &Foreign) -> Ticket<Ready> {
    desk.submit(Ready::new(foreign, Readiness::Read))
}

fn nothing_is_ready_before_it_is_written(stage: &Stage) {
    let mut desk = stage.desk();
    let (foreign, _clone, mut theirs) = adopted(stage, &desk);
    let mut ready = reading(&mut desk, &foreign);
    desk.idle();
    assert!(!ready.is_done(), "nothing has been written");
    theirs.write_all(b"now").expect("there is room");
    desk.end(&mut ready).0.expect("it is ready");
}

fn what_is_there_already_is_told(stage: &Stage) {
    let mut desk = stage.desk();
    let (foreign, _clone, mut theirs) = adopted(stage, &desk);
    theirs.write_all(b"before").expect("there is room");
    for _ in 0..3 {
        // And again, while nobody has read it.
        desk.ok(Ready::new(&foreign, Readiness::Read));
    }
}

fn a_descriptor_is_ready_again_after_it_was_drained(stage: &Stage) {
    let mut desk = stage.desk();
    let (foreign, mut clone, mut theirs) = adopted(stage, &desk);
    for _ in 0..20 {
        let mut ready = reading(&mut desk, &foreign);
        desk.idle_once();
        assert!(!ready.is_done(), "it is drained");
        theirs.write_all(b"tide").expect("there is room");
        desk.end(&mut ready).0.expect("it is ready");
        let mut bytes = [0; 16];
        assert_eq!(clone.read(&mut bytes).expect("there is data"), 4);
    }
}

fn a_descriptor_that_takes_more_is_ready_for_writing(stage: &Stage) {
    let mut desk = stage.desk();
    let (foreign, mut clone, mut theirs) = adopted(stage, &desk);
    desk.ok(Ready::new(&foreign, Readiness::Write));
    while clone.write(&[0; 65536]).is_ok() {}
    let mut ready = desk.submit(Ready::new(&foreign, Readiness::Write));
    desk.idle();
    assert!(!ready.is_done(), "it is full");
    let mut bytes = vec![0; 65536];
    while theirs.read(&mut bytes).is_ok() {}
    desk.end(&mut ready).0.expect("it is ready");
}

fn the_end_of_the_other_is_readiness(stage: &Stage) {
    let mut desk = stage.desk();
    let (foreign, mut clone, theirs) = adopted(stage, &desk);
    let mut ready = reading(&mut desk, &foreign);
    desk.idle_once();
    theirs.shutdown(Shutdown::Write).expect("it is connected");
    desk.end(&mut ready).0.expect("reading would not wait");
    assert_eq!(clone.read(&mut [0; 8]).expect("an end is no error"), 0);
    drop(theirs);
    // Closed already when it is asked for.
    desk.ok(Ready::new(&foreign, Readiness::Read));
}

fn a_wait_for_readiness_is_cancelled_and_leaves_nothing(stage: &Stage) {
    let mut desk = stage.desk();
    let (foreign, _clone, mut theirs) = adopted(stage, &desk);
    for round in 0..200 {
        let mut ready = reading(&mut desk, &foreign);
        if round % 2 == 0 {
            desk.turn(Some(Duration::ZERO));
        }
        ready.cancel();
        assert_cancelled(desk.end(&mut ready).0);
    }
    theirs.write_all(b"later").expect("there is room");
    assert!(desk.turn(Some(Duration::from_millis(5))).is_empty(), "nobody waits for it any more");
    desk.ok(Ready::new(&foreign, Readiness::Read));
}

fn reading_and_writing_are_waited_for_at_once(stage: &Stage) {
    let mut desk = stage.desk();
    let (foreign, mut clone, mut theirs) = adopted(stage, &desk);
    while clone.write(&[0; 65536]).is_ok() {}
    let mut read = reading(&mut desk, &foreign);
    let mut write = desk.submit(Ready::new(&foreign, Readiness::Write));
    desk.idle();
    assert!(!read.is_done() && !write.is_done());
    theirs.write_all(b"in").expect("there is room");
    desk.end(&mut read).0.expect("it is ready");
    assert!(!write.is_done(), "it is still full");
    let mut bytes = vec![0; 65536];
    while theirs.read(&mut bytes).is_ok() {}
    desk.end(&mut write).0.expect("it is ready");
}

fn adopting_and_letting_go_leaks_no_descriptor(stage: &Stage) {
    let mut desk = stage.desk();
    drop(adopted(stage, &desk));
    let before = handles_of(&desk.port);
    for _ in 0..100 {
        let (foreign, clone, theirs) = adopted(stage, &desk);
        let ready = reading(&mut desk, &foreign);
        desk.turn(Some(Duration::ZERO));
        drop((foreign, clone, theirs, ready));
        desk.idle_once();
    }
    desk.idle();
    let after = handles_of(&desk.port);
    assert!(after <= before + 4, "{before} descriptors before, {after} after");
}

fn a_file_is_always_ready_or_refused(stage: &Stage) {
    // Some kernels' readiness knows no files; a wait for one must not hang.
    let mut desk = stage.desk();
    let (foreign, ..) = adopted(stage, &desk);
    drop(foreign);
    let file = std::fs::File::open("/proc/self/exe").expect("this program is a file");
    let told =
        desk.port.adopt(OwnedFd::from(file)).map(|foreign| desk.run(Ready::new(&foreign, Readiness::Read)).0);
    match told {
        Ok(Ok(())) => {}
        Ok(Err(error)) | Err(error) => assert!(error.raw_os_error().is_some(), "{error}"),
    }
}
