//! What a table carries for each key: integers, or records of one size.

use serde::{Deserialize, Serialize};

use super::{
    Column, Format, InputError, Place, Reading,
    error::quoted,
    gather::{Parser, integer},
    packed, table, without_mark,
};

/// One value for each key, in the order of the input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Values {
    /// Unsigned integers.
    Integers(Vec<u64>),
    /// Records, one after another.
    Records {
        /// Bytes of each.
        size: usize,
        /// All of them.
        bytes: Vec<u8>,
    },
}

impl Values {
    /// How many values there are.
    pub fn len(&self) -> usize {
        match self {
            Values::Integers(integers) => integers.len(),
            Values::Records { size, bytes } => bytes.len() / (*size).max(1),
        }
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What the values are to be read as.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ValueShape {
    /// Unsigned integers.
    #[default]
    Integers,
    /// Strings or packed bytes of one size; of text, the first tells the size when none is given.
    Records {
        /// Bytes of each.
        size: Option<usize>,
    },
}

/// Reads one value for each of `keys` keys, from an input of their own.
///
/// Of text, blank lines are passed over, and records are lines. Packed input is words of the width of its
/// type, or records of the size given.
///
/// # Errors
/// When the input cannot be read so, or has not one value for each key.
pub fn parse_values(
    bytes: &[u8],
    reading: &Reading,
    shape: ValueShape,
    keys: usize,
) -> Result<Values, InputError> {
    let values = match (reading.format, shape) {
        (Format::Keys | Format::Keys64, ValueShape::Integers) => {
            let key_type = reading.packed_type()?;
            let words = packed::words(bytes, key_type)?;
            if key_type.is_signed()
                && let Some(at) = words.iter().position(|&w| key_type.value(w) < 0)
            {
                let place = Place::Offset(at as u64 * u64::from(key_type.bits() / 8));
                return Err(not_unsigned(place, key_type.value(words[at])));
            }
            Values::Integers(words)
        }
        (Format::Keys | Format::Keys64, ValueShape::Records { size }) => {
            let size = size.filter(|&s| s > 0).ok_or(InputError::NoRecordSize)?;
            if !bytes.len().is_multiple_of(size) {
                return Err(InputError::Ragged { length: bytes.len() as u64, width: size, what: "record" });
            }
            Values::Records { size, bytes: bytes.to_vec() }
        }
        (Format::Csv, _) => {
            let bytes = without_mark(bytes)?;
            let table = table::Table::open(bytes, reading.column.as_ref(), reading.header)?;
            return gather(&|sink| table.keys(sink), Format::Csv, shape, keys);
        }
        (format, shape) => {
            let bytes = without_mark(bytes)?;
            let lines = matches!(shape, ValueShape::Records { .. }) && format != Format::Json;
            let reading = Reading { format: if lines { Format::Lines } else { format }, ..reading.clone() };
            return gather(&|sink| reading.tokens(bytes, false, sink), format, shape, keys);
        }
    };
    check_count(values, keys)
}

/// Reads the values that stand beside the keys, in another column or field.
pub(super) fn beside(
    bytes: &[u8],
    reading: &Reading,
    column: &Column,
    shape: ValueShape,
    keys: usize,
) -> Result<Values, InputError> {
    match reading.format {
        Format::Csv => {
            // The keys' column decides whether there is a header, or the two could disagree by a row.
            let table = table::Table::open(bytes, reading.column.as_ref(), reading.header)?;
            let column = table.find(column)?;
            gather(&|sink| table.cells(column, sink), Format::Csv, shape, keys)
        }
        format => {
            let reading = Reading { column: Some(column.clone()), ..reading.clone() };
            gather(&|sink| reading.tokens(bytes, false, sink), format, shape, keys)
        }
    }
}

fn gather(parse: &Parser<'_>, format: Format, shape: ValueShape, keys: usize) -> Result<Values, InputError> {
    let values = match shape {
        ValueShape::Integers => {
            let mut integers = Vec::new();
            parse(&mut |place, token| {
                let value = integer(place, token.bytes(), format)?;
                integers.push(u64::try_from(value).map_err(|_| not_unsigned(place, value))?);
                Ok(())
            })?;
            Values::Integers(integers)
        }
        ValueShape::Records { size } => {
            let mut size = size;
            let mut bytes = Vec::new();
            parse(&mut |place, token| {
                let record = token.bytes();
                let expected = *size.get_or_insert(record.len());
                if expected == 0 {
                    return Err(InputError::NoRecordSize);
                }
                if record.len() != expected {
                    return Err(InputError::RecordSize { place, size: record.len(), expected });
                }
                bytes.extend_from_slice(record);
                Ok(())
            })?;
            let size = size.filter(|&s| s > 0).ok_or(InputError::NoRecordSize)?;
            Values::Records { size, bytes }
        }
    };
    check_count(values, keys)
}

fn check_count(values: Values, keys: usize) -> Result<Values, InputError> {
    if values.len() == keys { Ok(values) } else { Err(InputError::ValueCount { keys, values: values.len() }) }
}

fn not_unsigned(place: Place, value: i128) -> InputError {
    let text = quoted(value.to_string().as_bytes());
    InputError::NotAnInteger { place, text, hint: "values are unsigned; this one is negative" }
}
