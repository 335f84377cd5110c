//! Philox 4x32-10, the counter-based generator of Salmon et al. (2011): attempt numbers to seeds.

/// A stream of 32-bit words that can be entered anywhere at no cost.
#[derive(Clone, Debug)]
pub struct Philox {
    key: [u32; 2],
    subsequence: u64,
    block: u64,
    words: [u32; 4],
    next: usize,
}

impl Philox {
    /// The stream of a seed and subsequence, from its word number `offset` on.
    pub fn new(seed: u64, subsequence: u64, offset: u64) -> Philox {
        let mut stream = Philox {
            key: [seed as u32, (seed >> 32) as u32],
            subsequence,
            block: offset / 4,
            words: [0; 4],
            next: (offset % 4) as usize,
        };
        stream.words = stream.rounds();
        stream
    }

    /// The next word.
    pub fn word(&mut self) -> u32 {
        if self.next == 4 {
            self.block = self.block.wrapping_add(1);
            self.words = self.rounds();
            self.next = 0;
        }
        self.next += 1;
        self.words[self.next - 1]
    }

    /// The next word that is not 0: a seed is never 0.
    pub fn seed(&mut self) -> u32 {
        loop {
            let word = self.word();
            if word != 0 {
                return word;
            }
        }
    }

    /// The next two seeds as one odd 64-bit multiplier, low half first.
    pub fn multiplier(&mut self) -> u64 {
        let low = self.seed();
        u64::from(low) | u64::from(self.seed()) << 32 | 1
    }

    fn rounds(&self) -> [u32; 4] {
        let mut counter = [
            self.block as u32,
            (self.block >> 32) as u32,
            self.subsequence as u32,
            (self.subsequence >> 32) as u32,
        ];
        let mut key = self.key;
        for round in 0..10 {
            if round > 0 {
                key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
            }
            let [x, y, z, w] = counter;
            let first = u64::from(x) * 0xD251_1F53;
            let second = u64::from(z) * 0xCD9E_8D57;
            counter = [
                (second >> 32) as u32 ^ y ^ key[0],
                second as u32,
                (first >> 32) as u32 ^ w ^ key[1],
                first as u32,
            ];
        }
        counter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paper_s_known_answers() {
        // From the Random123 test vectors: counter and key all zeros, all ones.
        let mut zeros = Philox::new(0, 0, 0);
        assert_eq!([0; 4].map(|_: u32| zeros.word()), [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8]);
        let mut ones = Philox { key: [u32::MAX; 2], subsequence: u64::MAX, block: u64::MAX, ..zeros };
        ones.words = ones.rounds();
        assert_eq!(ones.words, [0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD]);
    }

    #[test]
    fn the_predecessor_s_first_attempt() {
        let mut stream = Philox::new(0x2019_0903_1981_1025, 1, 0);
        assert_eq!([stream.seed(), stream.seed()], [0x4FB8_349A, 0x64E0_E8DD]);
    }

    #[test]
    fn an_offset_enters_the_stream_in_the_middle() {
        let mut whole = Philox::new(7, 9, 0);
        let words = [0; 12].map(|_: u32| whole.word());
        for offset in 0..11 {
            assert_eq!(Philox::new(7, 9, offset).word(), words[offset as usize]);
        }
    }
}
