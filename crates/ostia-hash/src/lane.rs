//! Arrays of a table: little-endian bytes, owned or borrowed from a mapped file.
//!
//! Kept as bytes so that a file is used where it lies, whatever its alignment and the machine's byte order; a
//! read of a whole element compiles to one load.

use alloc::{borrow::Cow, vec::Vec};

/// Elements of one size, one after another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lane<'a> {
    bytes: Cow<'a, [u8]>,
    width: u32,
}

impl<'a> Lane<'a> {
    /// Elements of `width` bytes. `None` when the bytes are not a whole number of them, or none.
    pub fn new(bytes: impl Into<Cow<'a, [u8]>>, width: u32) -> Option<Lane<'a>> {
        let bytes = bytes.into();
        (width > 0 && !bytes.is_empty() && bytes.len() % width as usize == 0).then_some(Lane { bytes, width })
    }

    /// Integers in `width` bytes each: 1, 2, 4 or 8.
    ///
    /// # Panics
    /// When there are none, or the width is another one.
    #[track_caller]
    pub fn from_words(words: impl IntoIterator<Item = u64>, width: u32) -> Lane<'static> {
        let words = words.into_iter();
        let mut lane = Words::new(words.size_hint().0, width);
        lane.extend(words);
        lane.finish()
    }

    /// The fewest bytes that hold every number below `limit`.
    pub fn width_below(limit: u64) -> u32 {
        match limit {
            ..=0x100 => 1,
            0x101..=0x1_0000 => 2,
            0x1_0001..=0x1_0000_0000 => 4,
            _ => 8,
        }
    }

    /// Bytes an element.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// How many elements there are.
    #[expect(clippy::len_without_is_empty, reason = "a lane is never empty")]
    pub fn len(&self) -> usize {
        self.bytes.len() / self.width as usize
    }

    /// All elements' bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The integer at a position.
    ///
    /// # Panics
    /// When there is none, or elements are not 1, 2, 4 or 8 bytes.
    #[inline]
    pub fn word(&self, position: usize) -> u64 {
        match self.width {
            1 => u64::from(self.bytes[position]),
            2 => u64::from(u16::from_le_bytes(self.bytes.as_chunks().0[position])),
            4 => u64::from(u32::from_le_bytes(self.bytes.as_chunks().0[position])),
            8 => u64::from_le_bytes(self.bytes.as_chunks().0[position]),
            _ => panic!("a record is no integer"),
        }
    }

    /// The bytes of the element at a position.
    ///
    /// # Panics
    /// When there is none.
    #[inline]
    pub fn record(&self, position: usize) -> &[u8] {
        let width = self.width as usize;
        &self.bytes[position * width..][..width]
    }

    /// All integers.
    pub fn words(&self) -> impl ExactSizeIterator<Item = u64> + '_ {
        (0..self.len()).map(|i| self.word(i))
    }

    /// The same, with bytes of its own.
    pub fn into_owned(self) -> Lane<'static> {
        Lane { bytes: Cow::Owned(self.bytes.into_owned()), width: self.width }
    }
}

/// A lane of integers in the making.
#[derive(Clone, Debug)]
pub struct Words {
    bytes: Vec<u8>,
    width: u32,
}

impl Words {
    /// None yet, and room for `count` of `width` bytes each: 1, 2, 4 or 8.
    ///
    /// # Panics
    /// When the width is another one.
    #[track_caller]
    pub fn new(count: usize, width: u32) -> Words {
        assert!(matches!(width, 1 | 2 | 4 | 8), "an integer has 1, 2, 4 or 8 bytes");
        Words { bytes: Vec::with_capacity(count * width as usize), width }
    }

    /// Appends some.
    pub fn extend(&mut self, words: impl Iterator<Item = u64>) {
        let bytes = &mut self.bytes;
        // The width is asked once, not for each word.
        match self.width {
            1 => bytes.extend(words.map(|word| word as u8)),
            2 => words.for_each(|word| bytes.extend_from_slice(&(word as u16).to_le_bytes())),
            4 => words.for_each(|word| bytes.extend_from_slice(&(word as u32).to_le_bytes())),
            _ => words.for_each(|word| bytes.extend_from_slice(&word.to_le_bytes())),
        }
    }

    /// The lane.
    ///
    /// # Panics
    /// When there are none.
    #[track_caller]
    pub fn finish(self) -> Lane<'static> {
        Lane::new(self.bytes, self.width).expect("at least one word, each of `width` bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_in_every_width() {
        for (width, limit) in [(1, 0xFF), (2, 0xFFFF), (4, 0xFFFF_FFFF), (8, u64::MAX)] {
            let lane = Lane::from_words([0, 1, limit], width);
            assert!(lane.words().eq([0, 1, limit]));
            assert_eq!(lane.record(1)[0], 1);
            assert_eq!(Lane::width_below(limit), width);
        }
        assert_eq!(Lane::width_below(256), 1);
        assert_eq!(Lane::width_below(257), 2);
    }

    #[test]
    fn ragged_and_empty_bytes_are_no_lane() {
        assert!(Lane::new([0; 3].as_slice(), 2).is_none());
        assert!(Lane::new([].as_slice(), 2).is_none());
        assert!(Lane::new([0; 4].as_slice(), 0).is_none());
    }
}
