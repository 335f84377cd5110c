//! What a program submits: every kind of operation, on whatever there is.

use std::{io, time::Duration};

use ostia_port::{
    Address,
    op::{self, Op},
};

use super::{Held, Pending, Program, pick};
use crate::{
    buffer::Buffer,
    ledger::{Ledger, file_byte},
};

const FILES: [&str; 3] = ["one", "two", "three"];

impl Program {
    fn submit<O: Op>(
        &mut self,
        what: &'static str,
        op: O,
        receives: Option<usize>,
        on_end: impl FnOnce(&mut Ledger, io::Result<O::Out>, O::Back) + 'static,
        on_item: impl FnMut(&mut Ledger, io::Result<O::Item>) + 'static,
    ) -> bool {
        if self.berths.is_empty() {
            return false;
        }
        let place = self.dice.below(self.berths.len());
        let (berth_number, berth) = &mut self.berths[place];
        match berth.submit(op) {
            Ok(ticket) => {
                assert!(!ticket.is_done(), "nothing ends inside submit");
                let id = ticket.id();
                let claim =
                    Box::new(Held { what, ticket, on_end: Box::new(on_end), on_item: Box::new(on_item) });
                let pending = Pending { id, claim, berth: *berth_number, told: false, receives };
                self.hold(pending);
                true
            }
            Err(refused) => {
                assert_eq!(refused.error.kind(), io::ErrorKind::WouldBlock, "{refused}");
                *self.ledger.seen.entry((what, "refused")).or_default() += 1;
                false
            }
        }
    }

    /// An operation that tells nothing but whether it went well.
    fn submit_plain<O: Op>(&mut self, what: &'static str, op: O) {
        self.submit(what, op, None, |_, _, _| {}, |_, _| {});
    }

    pub(super) fn submit_something(&mut self) {
        match self.dice.below(22) {
            0 => self.submit_plain("nop", op::Nop),
            1 => self.submit_timer(),
            2 | 3 => self.submit_connect(),
            4 => self.submit_accept(),
            5 => self.submit_accept_many(),
            6..9 => self.submit_send(),
            9..11 => self.submit_receive(),
            11 => self.submit_receive_vectored(),
            12 => self.submit_receive_managed(),
            13 => self.submit_receive_managed_many(),
            14 => self.submit_send_to(),
            15 => self.submit_receive_from(),
            16 => self.submit_open(),
            17 | 18 => self.submit_transfer(),
            _ => self.submit_about_files(),
        }
    }

    fn submit_timer(&mut self) {
        let port = self.port.clone();
        let deadline = port.now() + Duration::from_nanos(self.dice.below(100_000) as u64);
        let on_end = move |_: &mut Ledger, result: io::Result<()>, ()| {
            assert!(result.is_err() || port.now() >= deadline, "a timer came too early");
        };
        self.submit("timer", op::Timer::at(deadline), None, on_end, |_, _| {});
    }

    fn submit_connect(&mut self) {
        let Some(listener) = pick(&mut self.dice, &self.ledger.listeners) else { return };
        let address = listener.local_address().expect("bound");
        let connect = op::Connect::new(self.port.stream(&address).expect("a stream"), &address);
        let on_end = |ledger: &mut Ledger, result: io::Result<()>, stream: ostia_port::Stream| {
            if result.is_ok() {
                let client = stream.local_address().expect("connected").to_string();
                ledger.connected(stream, client, true);
            }
        };
        self.submit("connect", connect.expect("an address"), None, on_end, |_, _| {});
    }

    fn submit_accept(&mut self) {
        let Some(listener) = pick(&mut self.dice, &self.ledger.listeners) else { return };
        let accept = op::Accept::new(listener);
        self.submit("accept", accept, None, |ledger, result, ()| accepted(ledger, result), |_, _| {});
    }

    fn submit_accept_many(&mut self) {
        let Some(listener) = pick(&mut self.dice, &self.ledger.listeners) else { return };
        let accept = op::AcceptMany::new(listener);
        self.submit("accept many", accept, None, |_, _, ()| {}, accepted);
    }

    fn submit_send(&mut self) {
        let Some(end) = pick(&mut self.dice, &self.ledger.ends).cloned() else { return };
        let sent = self.ledger.flows[end.output].sends.len();
        let flow = end.output;
        let bytes: Vec<u8> = (0..self.dice.below(300)).map(|place| sent_byte(flow, sent, place)).collect();
        let copy = bytes.clone();
        let told = move |ledger: &mut Ledger, result: io::Result<usize>, len| {
            if let Ok(sent_len) = result {
                assert_eq!(sent_len, len, "a send is whole");
                ledger.flows[flow].sends[sent].1 = true;
            }
        };
        let count = self.ledger.buffers.clone();
        let submitted = if self.dice.once_in(3) {
            let pieces: Vec<Buffer> =
                bytes.chunks(40).map(|piece| Buffer::new(piece.to_vec(), &count)).collect();
            let send = op::SendVectored::new(&end.stream, pieces);
            let on_end = move |ledger: &mut Ledger, result, pieces: Vec<Buffer>| {
                let len = pieces.iter().map(|piece| piece.bytes.len()).sum();
                pieces.into_iter().for_each(|piece| ledger.keep(piece));
                told(ledger, result, len);
            };
            self.submit("send vectored", send, None, on_end, |_, _| {})
        } else {
            let send = op::Send::new(&end.stream, Buffer::new(bytes, &count));
            let on_end = move |ledger: &mut Ledger, result, buffer: Buffer| {
                let len = buffer.bytes.len();
                ledger.keep(buffer);
                told(ledger, result, len);
            };
            self.submit("send", send, None, on_end, |_, _| {})
        };
        if submitted {
            self.ledger.flows[flow].sends.push((copy, false));
        }
    }

    fn submit_receive(&mut self) {
        let Some(end) = pick(&mut self.dice, &self.ledger.ends).cloned() else { return };
        let (flow, number) = (end.input, self.submitted);
        let room = Buffer::room(1 + self.dice.below(200), &self.ledger.buffers);
        let on_end = move |ledger: &mut Ledger, result: io::Result<op::Received>, buffer: Buffer| {
            if let Ok(received) = result {
                assert_eq!(received.len, buffer.bytes.len(), "the buffer knows what was received");
                ledger.received(flow, (number, 0), &buffer.bytes);
            }
            ledger.keep(buffer);
        };
        self.submit("receive", op::Receive::new(&end.stream, room), Some(flow), on_end, |_, _| {});
    }

    fn submit_receive_vectored(&mut self) {
        let Some(end) = pick(&mut self.dice, &self.ledger.ends).cloned() else { return };
        let (flow, number) = (end.input, self.submitted);
        let count = self.ledger.buffers.clone();
        let rooms =
            (0..1 + self.dice.below(4)).map(|_| Buffer::room(1 + self.dice.below(60), &count)).collect();
        let on_end = move |ledger: &mut Ledger, result: io::Result<op::Received>, buffers: Vec<Buffer>| {
            if let Ok(received) = result {
                let bytes: Vec<u8> = buffers.iter().flat_map(|buffer| &buffer.bytes).copied().collect();
                assert_eq!(received.len, bytes.len(), "the buffers know what was received");
                ledger.received(flow, (number, 0), &bytes);
            }
            buffers.into_iter().for_each(|buffer| ledger.keep(buffer));
        };
        let receive = op::ReceiveVectored::new(&end.stream, rooms);
        self.submit("receive vectored", receive, Some(flow), on_end, |_, _| {});
    }

    fn submit_receive_managed(&mut self) {
        let Some(end) = pick(&mut self.dice, &self.ledger.ends).cloned() else { return };
        let (flow, number) = (end.input, self.submitted);
        let on_end = move |ledger: &mut Ledger, result: io::Result<op::Lent>, ()| {
            if let Ok(lent) = result {
                ledger.received(flow, (number, 0), &lent);
                let copy = lent.to_vec();
                ledger.lent.push((lent, copy));
            }
        };
        let receive = op::ReceiveManaged::new(&end.stream);
        self.submit("receive managed", receive, Some(flow), on_end, |_, _| {});
    }

    fn submit_receive_managed_many(&mut self) {
        let Some(end) = pick(&mut self.dice, &self.ledger.ends).cloned() else { return };
        let (flow, number) = (end.input, self.submitted);
        let mut items = 0;
        let on_item = move |ledger: &mut Ledger, item: io::Result<op::Lent>| {
            let lent = item.expect("what is wrong with a stream ends the operation");
            ledger.received(flow, (number, items), &lent);
            items += 1;
            let copy = lent.to_vec();
            ledger.lent.push((lent, copy));
        };
        let receive = op::ReceiveManagedMany::new(&end.stream);
        self.submit("receive managed many", receive, Some(flow), |_, _, ()| {}, on_item);
    }

    fn submit_send_to(&mut self) {
        let from = self.dice.below(2);
        let number = self.ledger.letters[from].sent.len();
        let mut bytes = (number as u32).to_le_bytes().to_vec();
        bytes.extend((0..self.dice.below(40)).map(|place| sent_byte(from, number, place)));
        let copy = bytes.clone();
        let (left, right) = bytes.split_at(self.dice.below(bytes.len()));
        let count = &self.ledger.buffers;
        let socket = &self.ledger.datagrams[from];
        let submitted = if self.dice.once_in(2) {
            let pieces = vec![Buffer::new(left.to_vec(), count), Buffer::new(right.to_vec(), count)];
            let send = op::SendToVectored::new(socket, pieces, None).expect("an address");
            let on_end = move |ledger: &mut Ledger, result: io::Result<usize>, pieces: Vec<Buffer>| {
                ledger.letters[from].sent[number].1 = result.is_err();
                pieces.into_iter().for_each(|piece| ledger.keep(piece));
            };
            self.submit("send to vectored", send, None, on_end, |_, _| {})
        } else {
            let to = self.ledger.datagrams[1 - from].local_address().expect("bound");
            let send = op::SendTo::new(socket, Buffer::new(bytes, count), Some(&to)).expect("an address");
            let on_end = move |ledger: &mut Ledger, result: io::Result<usize>, buffer: Buffer| {
                ledger.letters[from].sent[number].1 = result.is_err();
                ledger.keep(buffer);
            };
            self.submit("send to", send, None, on_end, |_, _| {})
        };
        if submitted {
            self.ledger.letters[from].sent.push((copy, false));
        }
    }

    fn submit_receive_from(&mut self) {
        let from = self.dice.below(2);
        let socket = &self.ledger.datagrams[1 - from];
        let number = self.submitted;
        let sender = self.ledger.datagrams[from].local_address().expect("bound");
        let told = move |ledger: &mut Ledger, result: io::Result<op::ReceivedFrom>, bytes: Vec<u8>| {
            let Ok(received) = result else { return };
            assert_eq!(received.len, bytes.len(), "the buffer knows what was received");
            assert_eq!(received.from, Some(sender), "who sent it");
            ledger.note(bytes.len() as u64);
            ledger.letters[from].received.insert(number, (bytes, received.truncated));
        };
        let count = &self.ledger.buffers;
        if self.dice.once_in(2) {
            let rooms = vec![Buffer::room(8, count), Buffer::room(1 + self.dice.below(40), count)];
            let receive = op::ReceiveFromVectored::new(socket, rooms);
            let on_end = move |ledger: &mut Ledger, result, buffers: Vec<Buffer>| {
                let bytes = buffers.iter().flat_map(|buffer| &buffer.bytes).copied().collect();
                buffers.into_iter().for_each(|buffer| ledger.keep(buffer));
                told(ledger, result, bytes);
            };
            self.submit("receive from vectored", receive, None, on_end, |_, _| {});
        } else {
            let receive = op::ReceiveFrom::new(socket, Buffer::room(8 + self.dice.below(40), count));
            let on_end = move |ledger: &mut Ledger, result, buffer: Buffer| {
                let bytes = buffer.bytes.clone();
                ledger.keep(buffer);
                told(ledger, result, bytes);
            };
            self.submit("receive from", receive, None, on_end, |_, _| {});
        }
    }

    fn path(&mut self) -> std::path::PathBuf {
        let folder = std::env::temp_dir();
        let folder = if self.dice.once_in(2) { folder.join("folder") } else { folder };
        folder.join(FILES[self.dice.below(FILES.len())])
    }

    fn submit_open(&mut self) {
        let options = op::OpenOptions::new().read(true).write(true).create(true);
        // The file that is written to is found by one name, which nothing else touches.
        let path = std::env::temp_dir().join("file");
        let open = op::Open::new(&self.port, &path, options).expect("a path");
        let on_end = |ledger: &mut Ledger, result, ()| ledger.files.extend(result);
        self.submit("open", open, None, on_end, |_, _| {});
    }

    fn submit_transfer(&mut self) {
        let Some(file) = pick(&mut self.dice, &self.ledger.files).cloned() else { return };
        let offset = self.dice.below(2000) as u64;
        let len = 1 + self.dice.below(300);
        let count = self.ledger.buffers.clone();
        let bytes: Vec<u8> = (offset..).take(len).map(file_byte).collect();
        let wrote = move |ledger: &mut Ledger, result: io::Result<usize>, buffers: Vec<Buffer>| {
            if let Ok(written) = result {
                assert_eq!(written, len, "a write is whole");
                ledger.written.push((offset, len as u64));
            }
            buffers.into_iter().for_each(|buffer| ledger.keep(buffer));
        };
        let read = move |ledger: &mut Ledger, result: io::Result<usize>, buffers: Vec<Buffer>| {
            if let Ok(len) = result {
                let bytes: Vec<u8> = buffers.iter().flat_map(|buffer| &buffer.bytes).copied().collect();
                assert_eq!(len, bytes.len(), "the buffers know what was read");
                ledger.read_from_file(offset, &bytes);
            }
            buffers.into_iter().for_each(|buffer| ledger.keep(buffer));
        };
        match self.dice.below(4) {
            0 => {
                let write = op::WriteAt::new(&file, Buffer::new(bytes, &count), offset);
                self.submit(
                    "write",
                    write,
                    None,
                    move |ledger, result, one| wrote(ledger, result, vec![one]),
                    |_, _| {},
                )
            }
            1 => {
                let pieces = bytes.chunks(70).map(|piece| Buffer::new(piece.to_vec(), &count)).collect();
                self.submit(
                    "write vectored",
                    op::WriteVectoredAt::new(&file, pieces, offset),
                    None,
                    wrote,
                    |_, _| {},
                )
            }
            2 => {
                let op = op::ReadAt::new(&file, Buffer::room(len, &count), offset);
                self.submit(
                    "read",
                    op,
                    None,
                    move |ledger, result, one| read(ledger, result, vec![one]),
                    |_, _| {},
                )
            }
            _ => {
                let rooms = (0..3).map(|_| Buffer::room(1 + len / 3, &count)).collect();
                self.submit(
                    "read vectored",
                    op::ReadVectoredAt::new(&file, rooms, offset),
                    None,
                    read,
                    |_, _| {},
                )
            }
        };
    }

    fn submit_about_files(&mut self) {
        let (path, other) = (self.path(), self.path());
        let folder = std::env::temp_dir().join("folder");
        if let Some(file) = pick(&mut self.dice, &self.ledger.files).cloned()
            && self.dice.once_in(2)
        {
            return match self.dice.below(3) {
                0 => self.submit_plain("metadata of file", op::MetadataOfFile::new(&file)),
                1 => self.submit_plain("flush", op::Flush::data_only(&file)),
                // Never shorter than what is written: that stays where it is.
                _ => {
                    let size = 2300 + self.dice.below(100) as u64;
                    self.submit_plain("set size", op::SetSize::new(&file, size));
                }
            };
        }
        match self.dice.below(7) {
            0 => self.submit_plain("create dir", op::CreateDir::new(&folder).expect("a path")),
            1 => self.submit_plain("remove dir", op::RemoveDir::new(&folder).expect("a path")),
            2 => self.submit_plain("list dir", op::ListDir::new(&folder).expect("a path")),
            3 => self.submit_plain("rename", op::Rename::new(&path, &other).expect("a path")),
            4 => self.submit_plain("remove", op::Remove::new(&path).expect("a path")),
            5 => self.submit_plain("metadata", op::MetadataOf::new(&path, true).expect("a path")),
            _ => {
                let options = op::OpenOptions::new().write(true).create_new(true);
                self.submit_plain("create", op::Open::new(&self.port, &path, options).expect("a path"));
            }
        }
    }
}

/// The first byte of each send is one that no other has, so that what was received shows where a send begins.
fn sent_byte(flow: usize, send: usize, place: usize) -> u8 {
    match place {
        0 => 0xf0 | (send % 16) as u8,
        _ => ((flow * 31 + send * 17 + place * 7) % 0xf0) as u8,
    }
}

fn accepted(ledger: &mut Ledger, result: io::Result<ostia_port::Stream>) {
    if let Ok(stream) = result {
        let client = stream.peer_address().map(|address: Address| address.to_string());
        ledger.connected(stream, client.expect("connected"), false);
    }
}
