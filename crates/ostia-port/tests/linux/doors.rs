//! The doors for what this crate has no word for: adopted descriptors, and raw entries.

use std::{
    io::Write,
    os::fd::{AsRawFd, OwnedFd},
};

use ostia_port::{
    Class,
    op::{self, Readiness},
    os::linux::{
        RawSqe,
        io_uring::{opcode, types},
    },
};

use crate::{finish, on_each_level, pair, run};

#[test]
fn an_adopted_descriptor_says_when_it_is_ready() {
    on_each_level("readiness", |builder| {
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        let (reader, mut writer) = std::io::pipe().unwrap();
        let foreign = port.adopt(OwnedFd::from(reader)).unwrap();
        let mut ready = berth.submit(op::Ready::new(&foreign, Readiness::Read)).unwrap();
        run(&mut berth, op::Nop).0.unwrap();
        assert!(ready.poll().is_none(), "nothing was written yet");
        writer.write_all(b"x").unwrap();
        finish(&mut berth, ready).0.unwrap();
        let output = port.adopt(OwnedFd::from(writer)).unwrap();
        run(&mut berth, op::Ready::new(&output, Readiness::Write)).0.unwrap();
        // Cancelled, it says so; and the end of the writers is ready, too.
        let (empty, other) = std::io::pipe().unwrap();
        let empty = port.adopt(OwnedFd::from(empty)).unwrap();
        let mut never = berth.submit(op::Ready::new(&empty, Readiness::Read)).unwrap();
        run(&mut berth, op::Nop).0.unwrap();
        never.cancel();
        assert_eq!(Class::of(&finish(&mut berth, never).0.unwrap_err()), Class::Cancelled);
        drop(other);
        run(&mut berth, op::Ready::new(&empty, Readiness::Read)).0.unwrap();
    });
}

#[test]
fn a_raw_entry_is_run_and_gives_back_what_it_kept() {
    on_each_level("raw entries", |builder| {
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"hello").unwrap();
        let mut buffer = vec![0_u8; 16];
        let entry = opcode::Read::new(types::Fd(reader.as_raw_fd()), buffer.as_mut_ptr(), 16).build();
        // SAFETY: the buffer and the descriptor are kept; a vector that is moved leaves its bytes where they are.
        let raw = unsafe { RawSqe::new(entry, (buffer, reader)) };
        let (done, (buffer, _reader)) = run(&mut berth, raw);
        assert_eq!((done.unwrap().result, &buffer[..5]), (5, &b"hello"[..]));
        let entry = opcode::Read::new(types::Fd(-1), std::ptr::null_mut(), 0).build();
        // SAFETY: nothing is pointed to.
        let raw = unsafe { RawSqe::new(entry, "kept") };
        let (done, kept) = run(&mut berth, raw);
        assert_eq!((done.unwrap_err().raw_os_error(), kept), (Some(9), "kept"));
    });
}

#[test]
fn a_send_without_copying_ends_when_its_buffer_is_free() {
    on_each_level("send without copying", |builder| {
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        let (server, client) = pair(&mut berth);
        let bytes = vec![5_u8; 100_000];
        let entry = opcode::SendZc::new(types::Fd(client.raw()), bytes.as_ptr(), bytes.len() as u32).build();
        // SAFETY: the bytes and the stream are kept; the last of the two completions is a notification.
        let raw = unsafe { RawSqe::new(entry, (bytes, client)) };
        let sent = berth.submit(raw).unwrap();
        let mut left = 100_000;
        while left > 0 {
            let (received, _) = run(&mut berth, op::Receive::new(&server, Vec::with_capacity(65_536)));
            let received = received.unwrap().len;
            assert_ne!(received, 0);
            left -= received;
        }
        // Both completions were one end, and what it tells is what was sent.
        let (done, _) = finish(&mut berth, sent);
        assert_eq!(done.unwrap().result, 100_000);
        run(&mut berth, op::Nop).0.unwrap();
        assert_eq!(berth.close(crate::LONG).unknown, 0);
    });
}
