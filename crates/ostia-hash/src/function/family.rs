//! Our own families: an integer key to two places, one in each half of a table.
//!
//! They were chosen on keys with structure (addresses, strides), where most obvious mixes fail; the figures,
//! those of the rejected ones included, are in `docs/decisions/hash-families.md`.

/// How a key becomes two places.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Family {
    /// `p = k * S1; x = low32(p ^ (p >> 32))`: high field and low field. One multiply, halves of up to 2^16.
    Fold,
    /// The fold once for each side, with a multiplier each: the top field of both. The sides are independent of each other, so one
    /// can be held while the other is searched.
    FoldPair,
    /// `x = (k * S1) ^ (k * S2)`, both modulo 2^64: the two top fields. For 32-bit words.
    Xor,
    /// `x = k * S1; x ^= x >> 32; x *= S2`: the two top fields. For all 64 bits.
    Mix,
}

/// Two odd multipliers. [`Family::Fold`] uses the first alone.
pub type Multipliers = [u64; 2];

impl Family {
    /// Every family, in the order of its tag in the `.ostia` file.
    pub const ALL: [Family; 4] = [Family::Fold, Family::FoldPair, Family::Xor, Family::Mix];

    /// The name used on the command line and in generated headers.
    pub fn name(self) -> &'static str {
        match self {
            Family::Fold => "fold",
            Family::FoldPair => "fold-pair",
            Family::Xor => "xor",
            Family::Mix => "mix",
        }
    }

    /// The family of that name.
    pub fn from_name(name: &str) -> Option<Family> {
        Family::ALL.into_iter().find(|f| f.name() == name)
    }

    /// True when the family serves halves of `2^first` and `2^second` places for words of `bits` bits.
    pub fn serves(self, bits: u32, first: u32, second: u32) -> bool {
        match self {
            Family::Fold => bits <= 32 && first + second <= 32 && first >= 1 && second >= 1,
            Family::FoldPair => bits <= 32 && first <= 32 && second <= 32,
            Family::Xor => bits <= 32 && first + second <= 64 && first >= 1 && second >= 1,
            Family::Mix => first + second <= 64 && first >= 1 && second >= 1,
        }
    }

    /// The places of a word in halves of `2^first` and `2^second`; see [`Family::serves`].
    #[inline]
    pub fn places(self, [s1, s2]: Multipliers, first: u32, second: u32, word: u64) -> (u32, u32) {
        match self {
            Family::Fold => {
                let folded = fold(word, s1);
                (folded >> (32 - first), folded & low(second))
            }
            Family::FoldPair => (top_field(fold(word, s1), first), top_field(fold(word, s2), second)),
            Family::Xor => top(word.wrapping_mul(s1) ^ word.wrapping_mul(s2), first, second),
            Family::Mix => top(mix(word, s1, s2), first, second),
        }
    }
}

/// The product's high half folded onto its low half.
#[inline]
pub fn fold(word: u64, multiplier: u64) -> u32 {
    let product = word.wrapping_mul(multiplier);
    (product ^ (product >> 32)) as u32
}

/// The top `bits` of a fold; 0 for none. The low ones are poor where all keys share their own low bits.
#[inline]
pub fn top_field(folded: u32, bits: u32) -> u32 {
    (u64::from(folded) >> (32 - bits)) as u32
}

/// Two multiplies with a fold between: every bit of the word reaches the top.
#[inline]
pub fn mix(word: u64, first: u64, second: u64) -> u64 {
    let product = word.wrapping_mul(first);
    (product ^ (product >> 32)).wrapping_mul(second)
}

/// The two top fields of a word.
#[inline]
fn top(word: u64, first: u32, second: u32) -> (u32, u32) {
    ((word >> (64 - first)) as u32, (word >> (64 - first - second)) as u32 & low(second))
}

/// As many ones as `bits`, at the low end.
#[inline]
fn low(bits: u32) -> u32 {
    ((1u64 << bits) - 1) as u32
}
