//! Long lists of numbers and bytes as text: most of what comes out of this crate is this.

use std::sync::LazyLock;

/// Room for one number, right-aligned: 20 digits, the marks of their groups, a sign, and what stands around.
const ROOM: usize = 32;

/// A number as it stands in a list: a blank, the number itself, and at the very end a comma.
pub(super) struct Item {
    bytes: [u8; ROOM],
    /// Where the number begins. What is left of it is of no account.
    first: usize,
}

impl Item {
    fn new() -> Item {
        Item { bytes: [b','; ROOM], first: ROOM - 1 }
    }

    fn clear(&mut self) {
        self.first = ROOM - 1;
    }

    fn prepend(&mut self, byte: u8) {
        self.first -= 1;
        self.bytes[self.first] = byte;
    }

    fn prepend_pair(&mut self, below_100: u64) {
        let pair = DIGIT_PAIRS[below_100 as usize];
        self.first -= 2;
        self.bytes[self.first..self.first + 2].copy_from_slice(&pair);
    }
}

/// The two digits of each number below 100.
const DIGIT_PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

/// Digits of base ten.
pub(super) fn decimal(mut number: u64, item: &mut Item) {
    while number >= 100 {
        item.prepend_pair(number % 100);
        number /= 100;
    }
    if number >= 10 {
        item.prepend_pair(number);
    } else {
        item.prepend(b'0' + number as u8);
    }
}

/// Digits of base ten with a sign. The numbers are those of 64 bits, signed or not.
pub(super) fn signed(number: i128, item: &mut Item) {
    decimal(number.unsigned_abs() as u64, item);
    if number < 0 {
        item.prepend(b'-');
    }
}

/// The same, with an underscore before every three digits where there are more than five.
pub(super) fn grouped(number: i128, item: &mut Item) {
    let mut left = number.unsigned_abs() as u64;
    if left >= 100_000 {
        while left >= 1000 {
            item.prepend_pair(left % 100);
            item.prepend(b'0' + (left / 100 % 10) as u8);
            item.prepend(b'_');
            left /= 1000;
        }
    }
    decimal(left, item);
    if number < 0 {
        item.prepend(b'-');
    }
}

/// Digits of base sixteen, after `0x`.
pub(super) fn hexadecimal(mut number: u64, item: &mut Item) {
    loop {
        item.prepend(b"0123456789ABCDEF"[(number % 16) as usize]);
        number /= 16;
        if number == 0 {
            break;
        }
    }
    item.prepend(b'x');
    item.prepend(b'0');
}

/// Numbers with commas between, in lines of at most so many columns. No line end follows the last one.
pub(super) fn numbers<N>(
    all: impl Iterator<Item = N>,
    indent: &str,
    columns: usize,
    write: impl Fn(N, &mut Item),
) -> String {
    // Most numbers are short; where they are not, the text grows a time or two.
    let mut text = Vec::with_capacity(all.size_hint().0 * 5 + columns);
    let mut item = Item::new();
    let mut column = 0;
    for number in all {
        item.clear();
        write(number, &mut item);
        let length = ROOM - item.first;
        if column == 0 || column + 1 + length > columns {
            if column > 0 {
                text.push(b'\n');
            }
            text.extend_from_slice(indent.as_bytes());
            column = indent.len();
        } else {
            item.prepend(b' ');
            column += 1;
        }
        text.extend_from_slice(&item.bytes[item.first..]);
        column += length;
    }
    ascii(text)
}

/// How each byte stands in a byte string of Rust, and in how many characters.
static ESCAPES: LazyLock<[([u8; 4], u8); 256]> = LazyLock::new(|| {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    std::array::from_fn(|byte| match byte as u8 {
        // Blanks would be lost at the begin of a line.
        plain @ (b'!' | b'#'..=b'[' | b']'..=b'~') => ([plain, 0, 0, 0], 1),
        _ => ([b'\\', b'x', DIGITS[byte >> 4], DIGITS[byte & 15]], 4),
    })
});

/// Bytes as the inside of a byte string of Rust, each line but the last ended by a backslash once it has so many
/// columns.
pub(super) fn byte_string(bytes: impl Iterator<Item = u8>, columns: usize) -> String {
    let escapes = &*ESCAPES;
    let mut text = Vec::with_capacity(bytes.size_hint().0 * 3 + columns);
    let mut column = 0;
    for byte in bytes {
        if column >= columns {
            text.extend_from_slice(b"\\\n");
            column = 0;
        }
        // All four are stored and the rest taken back, for a store of one size is cheaper than a branch.
        let (escape, length) = escapes[usize::from(byte)];
        let length = usize::from(length);
        text.extend_from_slice(&escape);
        text.truncate(text.len() - 4 + length);
        column += length;
    }
    ascii(text)
}

/// Bytes as Base64, in lines of so many columns, which are a multiple of four. A line end follows each full one.
pub(super) fn base64(bytes: &[u8], columns: usize) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let four = |three: [u8; 3]| {
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        [18, 12, 6, 0].map(|shift| DIGITS[(bits >> shift) as usize & 63])
    };
    let of_line = columns / 4 * 3;
    let mut text = Vec::with_capacity(bytes.len() * 4 / 3 + bytes.len() / 48 + 8);
    for line in bytes.chunks(of_line) {
        let (whole, rest) = line.as_chunks();
        for &three in whole {
            text.extend_from_slice(&four(three));
        }
        if !rest.is_empty() {
            let mut three = [0; 3];
            three[..rest.len()].copy_from_slice(rest);
            let mut last = four(three);
            last[rest.len() + 1..].fill(b'=');
            text.extend_from_slice(&last);
        }
        // The last line too, where it is full, be it by what it is filled up with.
        if line.len() > of_line - 3 {
            text.push(b'\n');
        }
    }
    ascii(text)
}

fn ascii(text: Vec<u8>) -> String {
    String::from_utf8(text).expect("digits and signs are ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare(text: String) -> String {
        text.split_whitespace().collect()
    }

    /// Powers of ten and of two, and their neighbours.
    fn corners() -> Vec<u64> {
        let tens = (0..20).map(|power| 10u64.pow(power));
        let twos = (0..64).map(|power| 1 << power);
        let near = tens.chain(twos).flat_map(|n: u64| [n - 1, n, n.saturating_add(1)]);
        near.chain([u64::MAX - 1, u64::MAX]).collect()
    }

    #[test]
    fn numbers_are_written_as_the_standard_library_writes_them() {
        let words = corners();
        let own = |write: fn(u64, &mut Item)| bare(numbers(words.iter().copied(), "  ", 90, write));
        assert_eq!(own(decimal), words.iter().map(|w| format!("{w},")).collect::<String>());
        assert_eq!(own(hexadecimal), words.iter().map(|w| format!("0x{w:X},")).collect::<String>());
        let both = || words.iter().flat_map(|&w| [i128::from(w), -i128::from(w)]);
        let standard: String = both().map(|number| format!("{number},")).collect();
        assert_eq!(bare(numbers(both(), "", 90, signed)), standard);
        let text = bare(numbers(both(), "", 90, grouped));
        assert_eq!(text.replace('_', ""), standard);
        assert!(text.contains(",99999,") && text.contains(",-100_000,"));
        assert!(text.contains(",18_446_744_073_709_551_615,"));
    }

    #[test]
    fn no_line_is_longer_than_it_may_be_nor_shorter_than_it_must() {
        let text = numbers((0..5000).map(|i| i * i * 31), "    ", 110, decimal);
        assert!(text.lines().all(|line| line.starts_with("    ") && line.len() <= 110));
        assert!(text.lines().rev().skip(1).all(|line| line.len() > 110 - 14));
        assert!(!text.ends_with('\n'));
    }

    #[test]
    fn each_byte_stands_in_a_byte_string_as_rust_reads_it() {
        let text = byte_string(0..=255, 96);
        let lines: Vec<&str> = text.split("\\\n").collect();
        assert!(lines.iter().all(|line| line.len() < 96 + 4 && !line.starts_with(char::is_whitespace)));
        let mut read = Vec::new();
        let mut left = lines.concat().into_bytes().into_iter();
        while let Some(byte) = left.next() {
            read.push(match byte {
                b'\\' => {
                    let digits: String = left.by_ref().take(3).map(char::from).collect();
                    u8::from_str_radix(digits.strip_prefix('x').unwrap(), 16).unwrap()
                }
                plain => plain,
            });
        }
        assert!(read.into_iter().eq(0..=255));
    }

    #[test]
    fn base64_has_the_answers_of_its_standard() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.as_bytes(), 96), text);
        }
        assert_eq!(base64(b"foobarfoob", 8), "Zm9vYmFy\nZm9vYg==\n");
        assert_eq!(base64(b"foobar", 8), "Zm9vYmFy\n");
        assert_eq!(base64(b"fooba", 8), "Zm9vYmE=\n");
        assert_eq!(base64(b"foo", 8), "Zm9v");
    }
}
