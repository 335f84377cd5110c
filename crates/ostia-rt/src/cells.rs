//! Where operations under way keep the wakers of their tasks: a cell for each, found by the name of its ticket.
//!
//! The port's slots are numbered, berth by berth, for the whole process and are never given back; the cells beside
//! them are made when a slot is first waited for, by the thread that waits, and stay, too. So a packet finds its waker
//! by two loads, whichever thread receives it.

use std::sync::OnceLock;

use atomic_waker::AtomicWaker;
use ostia_port::op::TicketId;

use crate::wake::wake;

/// As many berths as a ticket's name can tell apart.
const BERTHS: usize = 1 << 16;
/// Cells in the first chunk of a row; each further chunk has twice as many as the one before.
const FIRST: usize = 256;
/// Enough chunks for more operations than a berth may have (2^20).
const CHUNKS: usize = 13;

#[derive(Debug)]
struct Row {
    chunks: [OnceLock<Box<[AtomicWaker]>>; CHUNKS],
}

static ROWS: [OnceLock<Box<Row>>; BERTHS] = [const { OnceLock::new() }; BERTHS];

/// Which chunk has the cell, and where in it.
fn locate(index: usize) -> (usize, usize) {
    let chunk = (index / FIRST + 1).ilog2() as usize;
    (chunk, index - FIRST * ((1 << chunk) - 1))
}

/// The cell of an operation.
#[inline]
pub(crate) fn cell(id: TicketId) -> &'static AtomicWaker {
    let row = ROWS[id.berth()].get_or_init(|| Box::new(Row { chunks: [const { OnceLock::new() }; CHUNKS] }));
    let (chunk, at) = locate(id.index());
    &row.chunks[chunk].get_or_init(|| (0..FIRST << chunk).map(|_| AtomicWaker::new()).collect())[at]
}

/// Wakes whoever waits for an operation of this berth: it is closed, and no packet tells of what became of them. If
/// another berth has its number by now, some are woken for nothing.
pub(crate) fn wake_all(berth: usize) {
    let Some(row) = ROWS[berth].get() else { return };
    for cell in row.chunks.iter().filter_map(OnceLock::get).flatten() {
        cell.take().into_iter().for_each(wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_index_has_a_cell_of_its_own() {
        assert_eq!(locate(0), (0, 0));
        assert_eq!(locate(FIRST - 1), (0, FIRST - 1));
        assert_eq!(locate(FIRST), (1, 0));
        assert_eq!(locate(3 * FIRST - 1), (1, 2 * FIRST - 1));
        assert_eq!(locate(3 * FIRST), (2, 0));
        let (chunk, at) = locate((1 << 20) - 1);
        assert!(chunk < CHUNKS && at < FIRST << chunk);
    }
}
