//! Integers as people write them.

/// The digits that a number has when nothing before them says otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Radix {
    /// Decimal; hexadecimal after `0x`.
    Ten,
    /// Hexadecimal, with `0x` or without.
    Sixteen,
}

/// Why a text is not a number that is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BadNumber {
    /// It is not an integer.
    NotAnInteger,
    /// It is one, outside `i64::MIN..=u64::MAX`.
    TooLarge,
}

/// Reads an optional sign, then digits, which `_` may separate.
pub(super) fn parse(text: &[u8], radix: Radix) -> Result<i128, BadNumber> {
    let (negative, rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let (base, digits) = match rest {
        [b'0', b'x' | b'X', digits @ ..] => (16, digits),
        _ => (if radix == Radix::Sixteen { 16 } else { 10 }, rest),
    };
    if digits.first().is_none_or(|&d| d == b'_') || digits.last() == Some(&b'_') {
        return Err(BadNumber::NotAnInteger);
    }
    let mut value = 0i128;
    for &digit in digits.iter().filter(|&&d| d != b'_') {
        let digit = char::from(digit).to_digit(base).ok_or(BadNumber::NotAnInteger)?;
        // Stays far from the end of i128, and the digits that follow are still looked at.
        value = (value * i128::from(base) + i128::from(digit)).min(1 << 100);
    }
    if negative {
        value = -value;
    }
    if (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&value) {
        Ok(value)
    } else {
        Err(BadNumber::TooLarge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_written() {
        let check = |text: &str, expected| assert_eq!(parse(text.as_bytes(), Radix::Ten), expected, "{text}");
        check("0", Ok(0));
        check("-0", Ok(0));
        check("+12", Ok(12));
        check("0010", Ok(10));
        check("1_000", Ok(1000));
        check("0xdead_BEEF", Ok(0xdead_beef));
        check("-0x80", Ok(-128));
        check("18446744073709551615", Ok(i128::from(u64::MAX)));
        check("18446744073709551616", Err(BadNumber::TooLarge));
        check("-9223372036854775808", Ok(i128::from(i64::MIN)));
        check("-9223372036854775809", Err(BadNumber::TooLarge));
        check(&"9".repeat(1000), Err(BadNumber::TooLarge));
        check(&format!("{}g", "9".repeat(1000)), Err(BadNumber::NotAnInteger));
        for text in ["", "-", "+", "0x", "_1", "1_", "0x_1", "--1", "1.5", "1e5", "ff", "1 2", "\u{661}"] {
            check(text, Err(BadNumber::NotAnInteger));
        }
    }

    #[test]
    fn hexadecimal_needs_no_sign_where_all_is_hexadecimal() {
        assert_eq!(parse(b"10", Radix::Sixteen), Ok(16));
        assert_eq!(parse(b"-0xff", Radix::Sixteen), Ok(-255));
        assert_eq!(parse(b"0x", Radix::Sixteen), Err(BadNumber::NotAnInteger));
    }
}
