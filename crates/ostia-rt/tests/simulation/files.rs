//! A file of a task's own: written, also where nobody waits for the end any more, cut, and read back at any place.

use std::{ops::Range, time::Duration};

use ostia_rt::{
    fs::{self, File, OpenOptions},
    time::timeout,
};

use crate::{
    dice::Dice,
    ledger::{Ledger, byte},
    program::Program,
};

const MS: Duration = Duration::from_millis(1);
const PLACES: usize = 3000;

/// What a file must have.
#[derive(Default)]
struct Model {
    /// None where it may be this or that. Beyond the shortest length there may be nothing.
    bytes: Vec<Option<u8>>,
    len_min: usize,
    /// Writes that were given up: they end before any later one begins.
    given_up: Vec<GivenUp>,
}

struct GivenUp {
    offset: usize,
    bytes: Vec<u8>,
    /// It had begun for sure, so that it is completed.
    has_begun: bool,
}

impl Model {
    /// Something that changes the file, or waits for all that does, has ended: all that was given up before has, too.
    fn settle(&mut self) {
        for GivenUp { offset, bytes, has_begun } in std::mem::take(&mut self.given_up) {
            if has_begun { self.put(offset, &bytes) } else { self.doubt(offset..offset + bytes.len()) }
        }
    }

    fn put(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, Some(0));
        }
        for (place, byte) in self.bytes[offset..end].iter_mut().zip(bytes) {
            *place = Some(*byte);
        }
        self.len_min = self.len_min.max(end);
    }

    /// Something may have been written there.
    fn doubt(&mut self, places: Range<usize>) {
        let before = self.bytes.len();
        if before < places.end {
            self.bytes.resize(places.end, None);
        }
        self.bytes[places].fill(None);
    }

    fn cut(&mut self, len: usize) {
        self.bytes.resize(len, Some(0));
        self.len_min = len;
    }

    /// Why this cannot have been read there.
    fn contradicts(&self, offset: usize, room: usize, read: &[u8]) -> Option<String> {
        let given_up = || self.given_up.iter().map(|one| one.offset..one.offset + one.bytes.len());
        let len_max = given_up().map(|places| places.end).fold(self.bytes.len(), usize::max);
        let within = |len: usize| len.saturating_sub(offset).min(room);
        if !(within(self.len_min)..=within(len_max)).contains(&read.len()) {
            return Some(format!("{} bytes came, of {} to {len_max}", read.len(), self.len_min));
        }
        for (place, got) in (offset..).zip(read) {
            // Behind the end there are zeros, if a write beyond them was made.
            let known = self.bytes.get(place).copied().unwrap_or(Some(0));
            if known.is_some_and(|known| known != *got) && !given_up().any(|places| places.contains(&place)) {
                return Some(format!("byte {place} is {got} and not {known:?}"));
            }
        }
        None
    }
}

/// Does with a file what comes, and holds it to what it must have.
pub(crate) async fn writes_and_reads(program: &Program, dice: &mut Dice) {
    let ledger = &program.ledger;
    let number = ledger.file();
    let path = std::env::temp_dir().join(format!("{number}"));
    let options = OpenOptions::new().read(true).write(true).create(true);
    let opens = File::open_with(&path, options);
    let opened = if dice.once_in(4) { timeout(dice.time(MS), opens).await } else { Ok(opens.await) };
    let Ok(Ok(file)) = opened else { return ledger.note("file not opened", number) };
    let mut model = Model::default();
    for round in 0..1 + dice.below(12) {
        match dice.below(8) {
            0..=2 => write(program, dice, &file, &mut model, number * 13 + round).await,
            3 if dice.once_in(2) => {
                let len = dice.below(PLACES);
                match file.set_size(len as u64).await {
                    Ok(()) => {
                        model.settle();
                        model.cut(len);
                        ledger.note("file cut", len);
                    }
                    Err(_) => return ledger.note("file broken", number),
                }
            }
            4 => match file.sync().await {
                Ok(()) => model.settle(),
                Err(_) => return ledger.note("file broken", number),
            },
            _ => read(ledger, dice, &file, &model).await,
        }
    }
    if dice.once_in(2) {
        // It is gone by its name, and what was given up goes on.
        drop(file);
    }
    let removed = fs::remove_file(&path).await;
    ledger.note(if removed.is_ok() { "file removed" } else { "file not removed" }, number);
}

async fn write(program: &Program, dice: &mut Dice, file: &File, model: &mut Model, flow: usize) {
    let ledger = &program.ledger;
    let offset = dice.below(PLACES);
    let bytes: Vec<u8> = (0..1 + dice.below(1000)).map(|place| byte(flow, place)).collect();
    let writes = file.write_all_at(bytes.clone(), offset as u64);
    let written = if dice.once_in(3) { timeout(dice.time(MS / 10), writes).await } else { Ok(writes.await) };
    match written {
        Ok((Ok(()), _)) => {
            model.settle();
            model.put(offset, &bytes);
            ledger.note("file written", bytes.len());
        }
        Ok((Err(_), _)) => {
            model.settle();
            model.doubt(offset..offset + bytes.len());
            ledger.note("file write failed", flow);
        }
        Err(_) => {
            // It was handed over when it was first polled, unless it had to wait for another one.
            let has_begun = program.sends_are_sure && model.given_up.is_empty();
            model.given_up.push(GivenUp { offset, bytes, has_begun });
            ledger.note("file write given up", flow);
        }
    }
}

async fn read(ledger: &Ledger, dice: &mut Dice, file: &File, model: &Model) {
    let (offset, room) = (dice.below(PLACES), 1 + dice.below(PLACES));
    let buffer = Vec::with_capacity(room);
    let room = buffer.capacity();
    let reads = file.read_at(buffer, offset as u64);
    let told = if dice.once_in(3) { timeout(dice.time(MS / 10), reads).await } else { Ok(reads.await) };
    match told {
        Ok((Ok(len), bytes)) => {
            let why = model.contradicts(offset, room, &bytes);
            ledger.hold(len == bytes.len() && why.is_none(), &why.unwrap_or_default());
            ledger.note("file read", len);
        }
        Ok((Err(_), _)) => ledger.note("file read failed", offset),
        Err(_) => ledger.note("file read given up", offset),
    }
}
