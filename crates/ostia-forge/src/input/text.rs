//! Lines: integers with comments, and strings as they are.

use super::{
    InputError, Place,
    gather::{Sink, Token},
};

/// Hands over the integer of each line that has one.
pub(super) fn integers(bytes: &[u8], sink: &mut Sink<'_>) -> Result<(), InputError> {
    for (number, line) in lines(bytes) {
        let mut text = without_comment(line).trim_ascii();
        if let [rest @ .., b','] = text {
            text = rest.trim_ascii_end();
        }
        if !text.is_empty() {
            sink(Place::Line(number), Token::Number(text))?;
        }
    }
    Ok(())
}

/// Hands over each line that is not empty. Only with `exact` does a carriage return before the line's end
/// belong to it.
pub(super) fn strings(bytes: &[u8], exact: bool, sink: &mut Sink<'_>) -> Result<(), InputError> {
    for (number, line) in lines(bytes) {
        let text = if exact { line } else { line.strip_suffix(b"\r").unwrap_or(line) };
        if !text.is_empty() {
            sink(Place::Line(number), Token::Text(text))?;
        }
    }
    Ok(())
}

/// Lines without their line feed, numbered from 1.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    (1..).zip(bytes.split(|&b| b == b'\n'))
}

fn without_comment(line: &[u8]) -> &[u8] {
    let hash = line.iter().position(|&b| b == b'#');
    let slashes = line.windows(2).position(|w| w == b"//");
    let end = [hash, slashes].into_iter().flatten().min().unwrap_or(line.len());
    &line[..end]
}
