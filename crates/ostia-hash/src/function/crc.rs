//! One CRC-32C step: a state and a 32-bit word to the next state, without inversions.

/// How the step is computed. The answer is the same; the cost is not.
pub trait Crc {
    /// The state after the four bytes of `word`, low byte first.
    fn step(state: u32, word: u32) -> u32;
}

/// By table: works everywhere.
#[derive(Clone, Copy, Debug)]
pub struct ByTable;

impl Crc for ByTable {
    #[inline]
    fn step(state: u32, word: u32) -> u32 {
        let [a, b, c, d] = (state ^ word).to_le_bytes();
        TABLES[3][usize::from(a)]
            ^ TABLES[2][usize::from(b)]
            ^ TABLES[1][usize::from(c)]
            ^ TABLES[0][usize::from(d)]
    }
}

/// The Castagnoli polynomial, reflected.
const POLYNOMIAL: u32 = 0x82F6_3B78;

/// `TABLES[n][b]`: the state after byte `b` and `n` zero bytes.
static TABLES: [[u32; 256]; 4] = tables();

const fn tables() -> [[u32; 256]; 4] {
    let mut tables = [[0; 256]; 4];
    let mut byte = 0;
    while byte < 256 {
        let mut state = byte as u32;
        let mut table = 0;
        while table < 4 {
            let mut bit = 0;
            while bit < 8 {
                state = (state >> 1) ^ (POLYNOMIAL * (state & 1));
                bit += 1;
            }
            tables[table][byte] = state;
            table += 1;
        }
        byte += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_crc_32c() {
        // "123456789" gives E3069283 with both inversions; here its first eight bytes, then bitwise the ninth.
        let mut state = ByTable::step(u32::MAX, u32::from_le_bytes(*b"1234"));
        state = ByTable::step(state, u32::from_le_bytes(*b"5678"));
        state ^= u32::from(b'9');
        for _ in 0..8 {
            state = (state >> 1) ^ (POLYNOMIAL * (state & 1));
        }
        assert_eq!(!state, 0xE306_9283);
    }
}
