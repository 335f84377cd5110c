//! 64-bit keys that differ in at most 32 bits become 32-bit keys.

/// How a 64-bit key is reduced before it is hashed. Never loses a difference between keys of the set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Squeeze {
    /// Hashed as it is.
    None,
    /// `(key >> shift) & mask`: the bits that count are one run.
    Shift {
        /// Where the run begins.
        shift: u32,
        /// As many ones as the run is long.
        mask: u32,
    },
    /// The key's bits at the ones of `bitmap`, gathered to the low end (`pext`).
    Extract {
        /// The bits that count; at most 32 of them.
        bitmap: u64,
    },
}

impl Squeeze {
    /// The reduction for a set of 64-bit keys.
    ///
    /// Bits that are 0 in every key go first, as in the predecessor, so that its tables for such sets are
    /// found again; only where more than 32 are left, bits that are 1 in every key go as well.
    pub fn for_words(words: &[u64]) -> Squeeze {
        let any = words.iter().fold(0, |a, w| a | w);
        let all = words.iter().fold(u64::MAX, |a, w| a & w);
        let small = [any, any & !all].into_iter().find(|b| (1..=32).contains(&b.count_ones()));
        small.map_or(Squeeze::None, Squeeze::from_bitmap)
    }

    /// The reduction that keeps the bits of `bitmap`, which must be 1 to 32 of them.
    ///
    /// # Panics
    /// When `bitmap` has no bits or more than 32.
    #[track_caller]
    pub fn from_bitmap(bitmap: u64) -> Squeeze {
        assert!((1..=32).contains(&bitmap.count_ones()), "a bitmap keeps 1 to 32 bits");
        let shift = bitmap.trailing_zeros();
        let mask = bitmap >> shift;
        if mask & (mask + 1) == 0 {
            Squeeze::Shift { shift, mask: mask as u32 }
        } else {
            Squeeze::Extract { bitmap }
        }
    }

    /// The bits that are kept; all of them for [`Squeeze::None`].
    pub fn bitmap(self) -> u64 {
        match self {
            Squeeze::None => u64::MAX,
            Squeeze::Shift { shift, mask } => u64::from(mask) << shift,
            Squeeze::Extract { bitmap } => bitmap,
        }
    }

    /// The word that is hashed.
    #[inline]
    pub fn apply(self, word: u64) -> u64 {
        match self {
            Squeeze::None => word,
            Squeeze::Shift { shift, mask } => (word >> shift) & u64::from(mask),
            Squeeze::Extract { bitmap } => extract(word, bitmap),
        }
    }
}

/// Gathers the bits of `word` at the ones of `bitmap` to the low end, order kept.
fn extract(word: u64, bitmap: u64) -> u64 {
    let mut left = bitmap;
    let mut gathered = 0;
    let mut place = 0;
    while left != 0 {
        gathered |= ((word >> left.trailing_zeros()) & 1) << place;
        place += 1;
        left &= left - 1;
    }
    gathered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_run_is_a_shift_and_a_mask() {
        let squeeze = Squeeze::for_words(&[0x1000_0000_0000, 0x2340_0000_0000]);
        assert_eq!(squeeze, Squeeze::Extract { bitmap: 0x3340_0000_0000 });
        let run = Squeeze::for_words(&[0x1000_0000, 0x2000_0000]);
        assert_eq!(run, Squeeze::Shift { shift: 28, mask: 3 });
        assert_eq!(run.apply(0x2000_0000), 2);
    }

    #[test]
    fn scattered_bits_are_gathered_in_order() {
        let squeeze = Squeeze::from_bitmap(0x8000_0001_0010_0000);
        assert_eq!(squeeze.apply(0x8000_0000_0000_0000), 0b100);
        assert_eq!(squeeze.apply(0x0000_0001_0010_0000), 0b011);
    }

    #[test]
    fn bits_that_never_vary_go_only_when_they_must() {
        let high = 0xFFFF_FFFF_0000_0000;
        assert_eq!(Squeeze::for_words(&[high, high | 0xFF]), Squeeze::Shift { shift: 0, mask: 0xFF });
        assert_eq!(Squeeze::for_words(&[u64::MAX, 0]), Squeeze::None);
        assert_eq!(Squeeze::for_words(&[0]), Squeeze::None);
    }
}
