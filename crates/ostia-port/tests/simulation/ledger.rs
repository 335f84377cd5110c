//! What a program's operations must come to: bytes of streams, datagrams, files, posts.

use std::collections::{BTreeMap, BTreeSet};

use ostia_port::{Datagram, File, Listener, Stream, op::Lent};

use crate::buffer::{Buffer, Count};

/// The bytes that go one way through a connection.
#[derive(Default)]
pub(crate) struct Flow {
    /// In the order of their submits: what each was to send, and whether it said that it had.
    pub(crate) sends: Vec<(Vec<u8>, bool)>,
    /// In the order of the submits of what received them.
    pub(crate) received: BTreeMap<(usize, usize), Vec<u8>>,
    /// A receive was abandoned: it may have had bytes.
    pub(crate) holes: bool,
    /// Somebody was told that this is the end of it.
    pub(crate) end_seen: bool,
    /// The sender is known to this ledger.
    pub(crate) sender_known: bool,
    /// The sender's half was shut or its handle dropped, or the receiver shut its own half.
    pub(crate) may_end: bool,
}

impl Flow {
    /// Sends are whole and in order, except that one which failed may have sent its beginning.
    fn check(&self) {
        if self.holes {
            return;
        }
        let after_end = self.received.values().skip_while(|bytes| !bytes.is_empty());
        assert!(after_end.into_iter().all(Vec::is_empty), "bytes came after the end of the stream");
        let received: Vec<u8> = self.received.values().flatten().copied().collect();
        // Where in what was received the next send may begin.
        let mut places = BTreeSet::from([0]);
        for (number, (bytes, whole)) in self.sends.iter().enumerate() {
            let mut next = BTreeSet::new();
            for &place in &places {
                let rest = &received[place..];
                let same = bytes.iter().zip(rest).take_while(|(sent, received)| sent == received).count();
                if same == rest.len() {
                    // Everything that was received is accounted for.
                    return;
                }
                if *whole {
                    next.extend((same == bytes.len()).then_some(place + same));
                } else {
                    next.extend(place..=place + same);
                }
            }
            assert!(!next.is_empty(), "the bytes of send {number} are not where they should be");
            places = next;
        }
        assert!(places.contains(&received.len()), "more was received than was sent");
    }
}

/// One end of a connection.
#[derive(Clone)]
pub(crate) struct End {
    pub(crate) stream: Stream,
    pub(crate) output: usize,
    pub(crate) input: usize,
}

/// What two sockets for datagrams exchange, one way.
#[derive(Default)]
pub(crate) struct Letters {
    /// By number: the bytes, and whether the send failed for certain.
    pub(crate) sent: Vec<(Vec<u8>, bool)>,
    /// By the number of the receive: what it got, and whether it was cut off.
    pub(crate) received: BTreeMap<usize, (Vec<u8>, bool)>,
}

impl Letters {
    fn check(&self) {
        let mut last = None;
        for (bytes, truncated) in self.received.values() {
            let number = u32::from_le_bytes(bytes[..4].try_into().expect("four bytes")) as usize;
            let (sent, failed) = &self.sent[number];
            assert!(!failed, "datagram {number} arrived, and its sender was told that it failed");
            assert_eq!(*truncated, bytes.len() < sent.len(), "whether datagram {number} was cut off");
            assert_eq!(bytes[..], sent[..bytes.len()], "the bytes of datagram {number}");
            assert!(last < Some(number), "datagram {number} came after {last:?}");
            last = Some(number);
        }
    }
}

/// The byte that stands at this place of the file, once it was written.
pub(crate) fn file_byte(place: u64) -> u8 {
    (place.wrapping_mul(0x9e37_79b9) >> 7) as u8 | 1
}

#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) flows: Vec<Flow>,
    pub(crate) ends: Vec<End>,
    /// Connections by the client's address: the flow from the client, then the one to it.
    pub(crate) pairs: BTreeMap<String, (usize, usize)>,
    pub(crate) letters: [Letters; 2],
    pub(crate) listeners: Vec<Listener>,
    pub(crate) datagrams: Vec<Datagram>,
    pub(crate) files: Vec<File>,
    pub(crate) lent: Vec<(Lent, Vec<u8>)>,
    /// Buffers that came back, and what was in them then.
    pub(crate) returned: Vec<(Buffer, Vec<u8>)>,
    pub(crate) buffers: Count,
    /// How often each post was delivered.
    pub(crate) posts: Vec<u32>,
    /// Where a write said it had written.
    pub(crate) written: Vec<(u64, u64)>,
    /// Everything that was told, in its order, in one number.
    pub(crate) trace: u64,
    /// What was seen, and how often: `receive ok`.
    pub(crate) seen: BTreeMap<(&'static str, &'static str), usize>,
}

impl Ledger {
    pub(crate) fn note(&mut self, what: u64) {
        self.trace = (self.trace ^ what).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }

    /// A buffer came back. From here on nobody else may touch it.
    pub(crate) fn keep(&mut self, buffer: Buffer) {
        let copy = buffer.bytes.clone();
        self.returned.push((buffer, copy));
    }

    /// One end of a connection, which the client's address names.
    pub(crate) fn connected(&mut self, stream: Stream, client: String, is_client: bool) {
        let flows = &mut self.flows;
        let (there, back) = *self.pairs.entry(client).or_insert_with(|| {
            flows.extend([Flow::default(), Flow::default()]);
            (flows.len() - 2, flows.len() - 1)
        });
        let (output, input) = if is_client { (there, back) } else { (back, there) };
        self.flows[output].sender_known = true;
        self.ends.push(End { stream, output, input });
    }

    pub(crate) fn received(&mut self, flow: usize, operation: (usize, usize), bytes: &[u8]) {
        self.note(bytes.iter().fold(bytes.len() as u64, |sum, byte| sum.wrapping_mul(31) + u64::from(*byte)));
        let flow = &mut self.flows[flow];
        flow.end_seen |= bytes.is_empty();
        flow.received.insert(operation, bytes.to_vec());
    }

    pub(crate) fn read_from_file(&mut self, offset: u64, bytes: &[u8]) {
        for (place, byte) in (offset..).zip(bytes) {
            assert!(*byte == 0 || *byte == file_byte(place), "byte {place} of the file is {byte}");
        }
        self.note(bytes.len() as u64);
    }

    /// No stream ended of which both ends were open. Asked before ends are dropped for good.
    pub(crate) fn check_ends(&self) {
        for (number, flow) in self.flows.iter().enumerate() {
            let reason = !flow.sender_known || flow.may_end;
            assert!(!flow.end_seen || reason, "flow {number} ended, and nobody had ended it");
        }
    }

    /// Everything that holds at the end of a program.
    pub(crate) fn check(&self) {
        self.flows.iter().for_each(Flow::check);
        self.letters.iter().for_each(Letters::check);
        for (buffer, copy) in &self.returned {
            assert!(buffer.bytes == *copy, "a buffer was written to after it had come back");
        }
        for (lent, copy) in &self.lent {
            assert!(lent[..] == copy[..], "a lent buffer was written to while it was lent");
        }
        assert!(self.posts.iter().all(|times| *times <= 1), "a post came twice");
    }
}
