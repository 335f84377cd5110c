//! Errors: their kinds and classes, as every system tells them.

use std::io::{Error, ErrorKind};

use ostia_port::{
    Class, ListenOptions,
    op::{Nop, Receive, Send},
};

use crate::{
    case::Stage,
    kit::{assert_cancelled, room, v4},
};

cases![
    an_address_in_use_is_told_as_such,
    an_address_that_is_not_ours_is_told_as_such,
    an_error_without_a_code_is_fatal,
    a_cancelled_operation_has_the_class_cancelled_wherever_it_was,
    a_failed_operation_gives_its_buffer_back,
    an_error_of_one_operation_is_none_of_the_next,
    a_back_end_of_another_system_is_refused,
];

fn an_address_in_use_is_told_as_such(stage: &Stage) {
    let desk = stage.desk();
    let (listener, at) = desk.listen(&v4());
    let error = desk.port.listen(&at, &ListenOptions::new()).expect_err("it is taken");
    assert_eq!((error.kind(), Class::of(&error)), (ErrorKind::AddrInUse, Class::Fatal));
    drop(listener);
}

fn an_address_that_is_not_ours_is_told_as_such(stage: &Stage) {
    if stage.is_sim() {
        stage.skip("the simulated machine has every address");
    }
    let desk = stage.desk();
    // Set aside for documentation: no machine has it.
    let foreign = "192.0.2.1:0".parse::<std::net::SocketAddr>().expect("it is an address");
    let error = desk.port.listen(&foreign.into(), &ListenOptions::new()).expect_err("it is not ours");
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
}

fn an_error_without_a_code_is_fatal(_stage: &Stage) {
    assert_eq!(Class::of(&Error::other("no code")), Class::Fatal);
    assert_eq!(Class::of(&Error::from(ErrorKind::ConnectionReset)), Class::Fatal);
}

fn a_cancelled_operation_has_the_class_cancelled_wherever_it_was(stage: &Stage) {
    let mut desk = stage.desk();
    let (ours, _theirs) = desk.pair();
    // In the back end, in line, among the timers, and before anybody saw it.
    let mut first = desk.submit(Receive::new(&ours, room(8)));
    let mut second = desk.submit(Receive::new(&ours, room(8)));
    desk.turn(Some(std::time::Duration::ZERO));
    let far = ostia_port::op::Timer::after(&desk.port, std::time::Duration::from_secs(3600));
    let mut timer = desk.submit(far);
    let mut third = desk.submit(Receive::new(&ours, room(8)));
    first.cancel();
    second.cancel();
    third.cancel();
    timer.cancel();
    assert_cancelled(desk.end(&mut first).0);
    assert_cancelled(desk.end(&mut second).0);
    assert_cancelled(desk.end(&mut third).0);
    assert_cancelled(desk.end(&mut timer).0);
}

fn a_failed_operation_gives_its_buffer_back(stage: &Stage) {
    let mut desk = stage.desk();
    let stream = desk.port.stream(&v4()).expect("a stream");
    let (result, buffer) = desk.run(Send::new(&stream, b"comes back".to_vec()));
    assert!(result.is_err(), "it is not connected");
    assert_eq!(buffer, b"comes back");
    let (result, buffer) = desk.run(Receive::new(&stream, Vec::with_capacity(99)));
    assert!(result.is_err(), "it is not connected");
    assert!(buffer.is_empty() && buffer.capacity() >= 99);
}

fn an_error_of_one_operation_is_none_of_the_next(stage: &Stage) {
    let mut desk = stage.desk();
    let broken = desk.port.stream(&v4()).expect("a stream");
    let (ours, theirs) = desk.pair();
    for _ in 0..50 {
        let mut failing = desk.submit(Receive::new(&broken, room(8)));
        let mut nop = desk.submit(Nop);
        let mut send = desk.submit(Send::new(&ours, vec![1]));
        assert!(desk.end(&mut failing).0.is_err());
        desk.end(&mut nop).0.expect("a nop ends well");
        desk.end(&mut send).0.expect("it was sent");
        assert_eq!(desk.receive(&theirs, 1), [1]);
    }
}

fn a_back_end_of_another_system_is_refused(_stage: &Stage) {
    use ostia_port::{Backend, Port};
    let foreign = if cfg!(windows) { [Backend::Uring, Backend::Epoll] } else { [Backend::Iocp; 2] };
    for backend in foreign {
        let error = Port::builder().backend(backend).open().expect_err("this system has none");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}
