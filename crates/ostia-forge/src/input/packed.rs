//! Packed little-endian integers, one after another and nothing else.

use ostia_hash::keys::{KeySet, KeyType, KeysError, Order};

use super::{InputError, Place};

/// Reads words of the width of `key_type`.
pub(super) fn key_set(bytes: &[u8], key_type: KeyType, order: Order) -> Result<KeySet, InputError> {
    let words = words(bytes, key_type)?;
    let width = width(key_type) as u64;
    KeySet::integers(key_type, words, order).map_err(|why| match why {
        KeysError::Duplicate { first, second } => {
            let [first, second] = [first, second].map(|p| p as u64 * width);
            let at = first as usize;
            let word = word(&bytes[at..at + width as usize]);
            InputError::Duplicate {
                value: shown(key_type, word),
                first: Place::Offset(first),
                second: Place::Offset(second),
            }
        }
        KeysError::Empty => InputError::Empty { length: 0 },
        KeysError::TooMany => InputError::TooMany,
        why => InputError::Keys(why),
    })
}

/// The words of packed input, as bits.
pub(super) fn words(bytes: &[u8], key_type: KeyType) -> Result<Vec<u64>, InputError> {
    let width = width(key_type);
    if !bytes.len().is_multiple_of(width) {
        return Err(InputError::Ragged { length: bytes.len() as u64, width, what: key_type.name() });
    }
    Ok(bytes.chunks_exact(width).map(word).collect())
}

fn width(key_type: KeyType) -> usize {
    (key_type.bits() / 8) as usize
}

/// A little-endian word of at most eight bytes.
fn word(bytes: &[u8]) -> u64 {
    let mut padded = [0; 8];
    padded[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(padded)
}

/// Packed keys have no digits to look up in an editor, so the hexadecimal form stands beside the value.
fn shown(key_type: KeyType, word: u64) -> String {
    let digits = width(key_type) * 2;
    format!("{} (0x{word:0digits$x})", key_type.value(word))
}
