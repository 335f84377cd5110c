//! Chance, from one number, and what it is allowed to do.

use std::time::Duration;

/// How the simulation behaves. Every choice it makes follows from the seed: the order in which operations end, how
/// much a transfer moves at a time, when a cancel is heard. Chances are in a thousand.
///
/// [`Options::new`] is a kernel in a good mood: it does what no program may be surprised by. [`Options::rough`] also
/// fails where a kernel may fail.
///
/// Its file system is its own: at first it has a root, the folder for temporary files and nothing in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// The number from which all its choices follow.
    pub seed: u64,
    /// Every berth is driven from one thread, and nobody else posts or cancels. Then a run depends on the seed alone,
    /// no wait ever sleeps, and one that nothing could end fails with `Deadlock`. Otherwise a wait sleeps on until
    /// another thread rings.
    pub alone: bool,
    /// Every berth is driven from one thread, and stands for a thread of its own: a wait that would sleep fails with
    /// `WouldBlock` at once, and its berth sleeps from then on, until it is asked to wait again. Time passes by
    /// [`Kernel::advance`](super::Kernel::advance) alone, a moment for each wait excepted. A berth that closes does not
    /// sleep: time passes while it does.
    pub stepped: bool,
    /// How long the kernel takes for a piece of work; now and then fifty times as long.
    pub latency_max: Duration,
    /// How many bytes wait in one direction of a stream before the sender has to.
    pub stream_room: usize,
    /// A transfer moves less than it could.
    pub short: u16,
    /// An operation that could go on is told to try again.
    pub again: u16,
    /// The list of what is submitted takes nothing more for a while.
    pub refuse: u16,
    /// A cancel is heard late: the operation may win.
    pub late_cancel: u16,
    /// There seems to be no buffer to lend.
    pub no_piece: u16,
    /// An operation fails for lack of memory or descriptors.
    pub lack: u16,
    /// A connection is reset.
    pub reset: u16,
    /// A file operation does not come back for an hour, whatever is asked of it.
    pub stuck: u16,
    /// There is no thread for a job ([`Port::offload`](crate::Port::offload)): it is refused.
    pub no_thread: u16,
    /// How long it takes to look at the clock. Work that looks from time to time takes time by this, where all other
    /// code takes none.
    pub look: Duration,
    /// Room that is given to the kernel is filled with a pattern at once, and looked at when it is given back: whoever
    /// else wrote there is caught by a panic. Bytes to be sent are held to their sum in any case.
    pub poison: bool,
}

impl Options {
    /// A kernel in a good mood.
    pub fn new(seed: u64) -> Options {
        Options {
            seed,
            alone: false,
            stepped: false,
            latency_max: Duration::from_micros(20),
            stream_room: 64 * 1024,
            short: 250,
            again: 50,
            refuse: 20,
            late_cancel: 300,
            no_piece: 50,
            lack: 0,
            reset: 0,
            stuck: 0,
            no_thread: 0,
            look: Duration::ZERO,
            poison: false,
        }
    }

    /// A kernel in a bad mood, driven from one thread. How bad follows from the seed, too.
    pub fn rough(seed: u64) -> Options {
        let mut dice = Dice::new(!seed);
        Options {
            alone: true,
            latency_max: Duration::from_micros(1 + dice.below(50)),
            stream_room: 1 << dice.below(15),
            short: dice.below(900) as u16,
            again: dice.below(400) as u16,
            refuse: dice.below(400) as u16,
            late_cancel: dice.below(1000) as u16,
            no_piece: dice.below(400) as u16,
            lack: dice.below(40) as u16,
            reset: dice.below(20) as u16,
            stuck: 0,
            poison: true,
            ..Options::new(seed)
        }
    }
}

impl Default for Options {
    fn default() -> Options {
        Options::new(0)
    }
}

/// A row of numbers that looks like chance and is the same each time: splitmix64.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        // The high half of a product: no division, and a bias that nobody will ever see.
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// True so many times in a thousand.
    pub(super) fn chance(&mut self, in_thousand: u16) -> bool {
        // A number is drawn in either case: switching one fault off leaves the other choices as they were.
        self.below(1000) < u64::from(in_thousand)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_row_and_every_number_comes() {
        let row = |seed| {
            let mut dice = Dice::new(seed);
            (0..64).map(|_| dice.below(8)).collect::<Vec<_>>()
        };
        assert_eq!(row(1), row(1));
        assert_ne!(row(1), row(2));
        assert!((0..8).all(|number| row(1).contains(&number)));
    }

    #[test]
    fn a_chance_of_none_never_comes_and_a_certain_one_always() {
        let mut dice = Dice::new(7);
        assert!((0..1000).all(|_| !dice.chance(0) && dice.chance(1000)));
    }
}
