//! What every lookup relies on: checked once, so that no file and no key can make one panic.

use super::{Foreign, Head, Lanes, Malformed, Shape, ValueType, range};
use crate::{keys::MAX_KEYS, lane::Lane, squeeze::Squeeze};

pub(super) fn parts(head: &Head, lanes: &Lanes<'_>) -> Result<(), Malformed> {
    let count = head.count as usize;
    ensure((1..=MAX_KEYS).contains(&count), "the number of keys is out of range")?;
    squeeze(head)?;
    let in_place = matches!(head.shape, Shape::Retrieval { in_place: true, .. });
    let cells = cells(head, lanes)?;
    let range = range(head, lanes) as usize;
    ensure(count <= range, "there are more keys than indexes")?;

    let mark_count = if in_place { cells } else { range };
    match (head.foreign, &lanes.marks) {
        (Foreign::Fingerprint { bits }, Some(marks)) => {
            ensure((1..=32).contains(&bits), "a fingerprint has 1 to 32 bits")?;
            integers(marks, mark_count, "the fingerprints have the wrong length")?;
        }
        (Foreign::Fingerprint { .. }, None) => return Err(Malformed("the fingerprints are missing")),
        (_, Some(_)) => return Err(Malformed("there are fingerprints that nobody asks for")),
        (_, None) => {}
    }

    let text = head.key_type.is_text();
    match (&lanes.keys, &lanes.text_ends, &lanes.text_bytes) {
        (None, None, None) => ensure(head.foreign != Foreign::Exact, "the keys are missing")?,
        (Some(keys), None, None) if !text => integers(keys, range, "the keys have the wrong length")?,
        (None, Some(ends), bytes) if text => {
            // Strings may all be empty together only when there is one: then there are no bytes.
            ensure(bytes.is_some() || count == 1, "the strings are missing")?;
            ensure(ends.width() == 8 && ends.len() == range, "the string ends have the wrong length")?;
        }
        _ => return Err(Malformed("the keys are not of the key type")),
    }
    ensure(!in_place || head.foreign != Foreign::Exact, "values in place cannot be exact")?;

    match (head.values, &lanes.values) {
        (None, None) => ensure(!in_place, "values in place need a value type"),
        (None, Some(_)) => Err(Malformed("there are values of no type")),
        (Some(value_type), Some(values)) => {
            ensure(!in_place, "values are in place and by index")?;
            width(value_type, values)?;
            ensure(values.len() == range, "the values have the wrong length")
        }
        (Some(value_type), None) => {
            ensure(in_place, "the values are missing")?;
            width(value_type, &lanes.cells)
        }
    }
}

fn squeeze(head: &Head) -> Result<(), Malformed> {
    let bitmap = match head.squeeze {
        Squeeze::None => return Ok(()),
        Squeeze::Shift { shift, mask } => {
            ensure(shift < 64, "a shift is too far")?;
            ensure(mask != 0 && mask & mask.wrapping_add(1) == 0, "a mask is not one run")?;
            ensure(u64::from(mask).leading_zeros() >= shift, "a mask reaches past the key")?;
            u64::from(mask) << shift
        }
        Squeeze::Extract { bitmap } => bitmap,
    };
    ensure((1..=32).contains(&bitmap.count_ones()), "a key keeps 1 to 32 bits")?;
    ensure(head.key_type.bits() == 64 && !head.key_type.is_text(), "only 64-bit integers are reduced")
}

/// Checks the cells, and what they are addressed with; returns their number.
fn cells(head: &Head, lanes: &Lanes<'_>) -> Result<usize, Malformed> {
    let word_bits = if head.squeeze == Squeeze::None { head.key_type.bits() } else { 32 };
    ensure(lanes.ranks.is_none() || matches!(head.shape, Shape::Displace { .. }), "there are stray ranks")?;
    let cells = match head.shape {
        Shape::Chm { vertices, index_bits, .. } => {
            ensure(vertices < 32 && index_bits < vertices, "the graph is too large")?;
            ensure(word_bits <= 32, "the function takes 32-bit keys")?;
            1 << vertices
        }
        Shape::Halves { family, first, second, index_bits, .. } => {
            // Vertices are numbered by 32 bits.
            ensure(first < 32 && second < 32 && index_bits < 32, "the graph is too large")?;
            ensure((1u64 << first) + (1u64 << second) <= u64::from(u32::MAX), "the graph is too large")?;
            ensure(family.serves(word_bits, first, second), "the family does not serve this graph")?;
            (1usize << first) + (1 << second)
        }
        Shape::Displace { buckets, slots, .. } => {
            ensure((1..32).contains(&buckets) && (1..32).contains(&slots), "the table is too large")?;
            if let Some(ranks) = &lanes.ranks {
                integers(ranks, 1 << slots, "the ranks have the wrong length")?;
            }
            1 << buckets
        }
        Shape::Retrieval { part, .. } => {
            ensure(part > 0 && part <= u32::MAX / 3, "the table is too large")?;
            3 * part as usize
        }
    };
    ensure(lanes.cells.len() == cells, "the cells have the wrong length")?;
    if !matches!((head.shape, head.values), (Shape::Retrieval { in_place: true, .. }, _)) {
        integers(&lanes.cells, cells, "the cells have the wrong width")?;
    }
    Ok(cells)
}

fn width(value_type: ValueType, lane: &Lane<'_>) -> Result<(), Malformed> {
    ensure(lane.width() == value_type.width(), "the values have another width")?;
    match value_type {
        ValueType::Integer { width } => ensure(matches!(width, 1 | 2 | 4 | 8), "no integer has that width"),
        ValueType::Record { .. } => Ok(()),
    }
}

fn integers(lane: &Lane<'_>, len: usize, what: &'static str) -> Result<(), Malformed> {
    ensure(matches!(lane.width(), 1 | 2 | 4 | 8) && lane.len() == len, what)
}

fn ensure(holds: bool, what: &'static str) -> Result<(), Malformed> {
    if holds { Ok(()) } else { Err(Malformed(what)) }
}
