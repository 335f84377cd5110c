//! Readiness of adopted descriptors.

use std::{
    io::{Read, Write},
    os::fd::OwnedFd,
    time::Duration,
};

use ostia_port::{
    Batch, Berth, Class, Packet,
    op::{self, Readiness},
};

use crate::{LONG, finish, on_each_backend, run};

/// Waits a little for what does not happen: what has come to be is told by a wait that begins afterwards.
fn look(berth: &mut Berth) -> usize {
    let mut batch = Batch::new();
    (0..3).map(|_| berth.wait(&mut batch, Some(Duration::from_millis(1))).unwrap()).sum()
}

#[test]
fn each_wait_for_readiness_is_told_once_and_never_of_what_is_not_there() {
    on_each_backend("readiness of a pipe", |builder| {
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        let input = port.adopt(OwnedFd::from(reader.try_clone().unwrap())).unwrap();
        let output = port.adopt(OwnedFd::from(writer.try_clone().unwrap())).unwrap();
        for round in 0..20_u8 {
            let ready = berth.submit(op::Ready::new(&input, Readiness::Read)).unwrap();
            assert_eq!(look(&mut berth), 0, "it is empty in round {round}");
            writer.write_all(&[round; 10]).unwrap();
            let mut batch = Batch::new();
            assert_eq!(berth.wait(&mut batch, Some(LONG)).unwrap(), 1);
            assert!(matches!(batch.drain().next(), Some(Packet::Done(id)) if id == ready.id()));
            assert_eq!(look(&mut berth), 0, "it is told once");
            finish(&mut berth, ready).0.unwrap();
            // What was there before counts as well, and as long as anything is there.
            run(&mut berth, op::Ready::new(&input, Readiness::Read)).0.unwrap();
            let mut bytes = [0; 10];
            reader.read_exact(&mut bytes[..9]).unwrap();
            run(&mut berth, op::Ready::new(&input, Readiness::Read)).0.unwrap();
            reader.read_exact(&mut bytes[9..]).unwrap();
            assert_eq!(bytes, [round; 10]);
        }
        // There is room, until the pipe is full; and again when it has been emptied.
        run(&mut berth, op::Ready::new(&output, Readiness::Write)).0.unwrap();
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        let mut written = 0;
        while let Ok(len) = writer.write(&[1; 4096]) {
            written += len;
        }
        let room = berth.submit(op::Ready::new(&output, Readiness::Write)).unwrap();
        assert_eq!(look(&mut berth), 0, "it is full");
        reader.read_exact(&mut vec![0; written]).unwrap();
        finish(&mut berth, room).0.unwrap();
        assert_eq!(look(&mut berth), 0, "it is told once");
    });
}

#[test]
fn a_wait_for_readiness_is_taken_back_and_leaves_nothing() {
    on_each_backend("readiness taken back", |builder| {
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        let input = port.adopt(OwnedFd::from(reader.try_clone().unwrap())).unwrap();
        for round in 0..200 {
            let mut ready = berth.submit(op::Ready::new(&input, Readiness::Read)).unwrap();
            if round % 2 == 0 {
                look(&mut berth);
            }
            if round % 3 == 0 {
                drop(ready);
            } else {
                ready.cancel();
                assert_eq!(Class::of(&finish(&mut berth, ready).0.unwrap_err()), Class::Cancelled);
            }
        }
        writer.write_all(b"x").unwrap();
        assert_eq!(look(&mut berth), 0, "nobody waits for it any more");
        run(&mut berth, op::Ready::new(&input, Readiness::Read)).0.unwrap();
        reader.read_exact(&mut [0]).unwrap();
        let report = berth.close(LONG);
        assert_eq!((report.submitted, report.leaked, report.unknown), (report.ended, 0, 0));
    });
}

#[test]
fn what_has_no_readiness_is_ready() {
    on_each_backend("readiness of a file", |builder| {
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        let file = port.adopt(OwnedFd::from(tempfile::tempfile().unwrap())).unwrap();
        for readiness in [Readiness::Read, Readiness::Write] {
            run(&mut berth, op::Ready::new(&file, readiness)).0.unwrap();
        }
    });
}
