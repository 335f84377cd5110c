//! Key sets and values from bytes and files.
//!
//! [`parse`] is pure: bytes in, a [`KeySet`] out, or an error that names the place, what stands there and
//! the way out. [`read`] does it for a file or the standard input. The count that a file's name may carry is
//! never looked at.
//!
//! No input panics. Memory stays within a small multiple of the input's size: parsers hand over one key at a
//! time, and places are found again only when an error needs them.

use std::{fs::File, io, path::Path};

use ostia_hash::keys::{KeySet, KeyType, MAX_KEYS, Order};
use serde::{Deserialize, Serialize};

mod error;
mod format;
mod gather;
mod json;
mod number;
mod packed;
mod table;
mod text;
mod values;

pub use self::{
    error::{InputError, Place, ReadError, ReadFailure},
    format::Format,
    values::{ValueShape, Values, parse_values},
};
use crate::disk::bounded;

/// The most bytes of an input that are read: as many as the largest set takes when it is packed.
pub const MAX_BYTES: u64 = MAX_KEYS as u64 * 8;

/// A column of a table, or a field of objects.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Column {
    /// By its name, in a table's first row or in each object.
    Name(String),
    /// By its number, counted from 1. Tables only.
    Number(usize),
}

impl Column {
    /// What an argument means: digits are a number, anything else is a name.
    pub fn from_argument(argument: &str) -> Column {
        match argument.parse() {
            Ok(number) => Column::Number(number),
            Err(_) => Column::Name(argument.to_owned()),
        }
    }
}

/// Whether the first row of a table names its columns.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Header {
    /// It does when the column is chosen by name, or has a word in its first row above a number.
    #[default]
    Auto,
    /// It does.
    Yes,
    /// It does not.
    No,
}

/// How an input is to be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reading {
    /// The format.
    pub format: Format,
    /// The keys' type. Packed input has a type by its format; other integers get u32 when it holds all of
    /// them, or else u64, or i32 or i64 when one is negative; strings are UTF-8.
    pub key_type: Option<KeyType>,
    /// Which position a key's index is.
    pub order: Order,
    /// Where the keys are in a table or in objects. A table's are in its first column when this is not said.
    pub column: Option<Column>,
    /// Whether a table has a header.
    pub header: Header,
    /// Where the values are in the same table or objects, and what they are.
    pub values: Option<(Column, ValueShape)>,
}

impl Reading {
    /// Everything by itself, but for the format.
    pub fn new(format: Format) -> Reading {
        Reading {
            format,
            key_type: None,
            order: Order::Sorted,
            column: None,
            header: Header::Auto,
            values: None,
        }
    }

    /// Hands over the tokens of any format that is neither packed nor a table.
    fn tokens(&self, bytes: &[u8], exact: bool, sink: &mut gather::Sink<'_>) -> Result<(), InputError> {
        match (self.format, &self.column) {
            (Format::Json, Some(Column::Name(name))) => json::elements(bytes, Some(name), sink),
            (Format::Json, Some(Column::Number(number))) => {
                json::elements(bytes, Some(&number.to_string()), sink)
            }
            (Format::Json, None) => json::elements(bytes, None, sink),
            (Format::Lines, _) => text::strings(bytes, exact, sink),
            _ => text::integers(bytes, sink),
        }
    }

    fn packed_type(&self) -> Result<KeyType, InputError> {
        match self.key_type {
            Some(key_type) if key_type.is_text() => Err(InputError::WrongType {
                format: self.format,
                key_type,
                hint: "packed keys are integers; lines of strings are read with --format lines",
            }),
            Some(key_type) => Ok(key_type),
            None => Ok(self.format.packed_type()),
        }
    }
}

/// What an input holds.
#[derive(Clone, Debug)]
pub struct Input {
    /// The keys.
    pub keys: KeySet,
    /// The values that stand beside them, in the order of the input. [`KeySet::origin`] tells which belongs
    /// to which index.
    pub values: Option<Values>,
}

/// Reads a key set from bytes.
///
/// # Errors
/// When the bytes are not what `reading` says, or are no set.
pub fn parse(bytes: &[u8], reading: &Reading) -> Result<Input, InputError> {
    let (format, order) = (reading.format, reading.order);
    let by_name = matches!(&reading.values, Some((Column::Name(_), _)));
    if reading.values.is_some() && !matches!(format, Format::Csv | Format::Json) {
        return Err(InputError::NoColumns { format });
    }
    // Keys and values must agree on it, or the row of names would be a key.
    let named = Reading { header: Header::Yes, ..reading.clone() };
    let reading = if by_name && reading.header == Header::Auto { &named } else { reading };
    let only_keys = |keys| Input { keys, values: None };
    if format.is_packed() {
        return packed::key_set(bytes, reading.packed_type()?, order).map(only_keys);
    }
    if let (Format::Text | Format::Hex, Some(key_type)) = (format, reading.key_type)
        && key_type.is_text()
    {
        let hint = "it reads integers; lines of strings are read with --format lines";
        return Err(InputError::WrongType { format, key_type, hint });
    }
    let exact = reading.key_type == Some(KeyType::Bytes);
    let length = bytes.len();
    let bytes = if exact && format == Format::Lines { bytes } else { without_mark(bytes)? };
    let keys = if format == Format::Csv {
        let table = table::Table::open(bytes, reading.column.as_ref(), reading.header)?;
        gather::key_set(&|sink| table.keys(sink), length, format, reading.key_type, order)?
    } else {
        gather::key_set(&|sink| reading.tokens(bytes, exact, sink), length, format, reading.key_type, order)?
    };
    let values = match &reading.values {
        Some((column, shape)) => Some(values::beside(bytes, reading, column, *shape, keys.len())?),
        None => None,
    };
    Ok(Input { keys, values })
}

/// Reads a key set from a file, or from the standard input when the path is `-`.
///
/// The format is `format`, or what the file's name tells; `reading` gives all else.
///
/// # Errors
/// When the file cannot be read, its format is not known, or what is in it is refused.
pub fn read(path: &Path, format: Option<Format>, reading: &Reading) -> Result<Input, ReadError> {
    let fail = |why| ReadError { path: path.to_owned(), why };
    // A directory may be named like a set, or not; either way that is what to say first.
    if path != Path::new("-") && path.is_dir() {
        return Err(fail(ReadFailure::Directory));
    }
    let format = format.or_else(|| Format::of_path(path)).ok_or_else(|| fail(ReadFailure::UnknownFormat))?;
    let bytes = read_bytes(path)?;
    parse(&bytes, &Reading { format, ..reading.clone() })
        .map_err(|why| fail(ReadFailure::Input(Box::new(why))))
}

/// All bytes of a file, or of the standard input when the path is `-`.
///
/// # Errors
/// When it cannot be read, or has more than [`MAX_BYTES`].
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, ReadError> {
    let fail = |why| ReadError { path: path.to_owned(), why };
    if path == Path::new("-") {
        return bounded(io::stdin().lock(), 0, MAX_BYTES).map_err(|why| fail(why.into()));
    }
    // Not as a disk reads: a user who names a pipe, such as a shell makes of `<(...)`, means to wait for it.
    let read = || match File::open(path) {
        // Systems differ in what they say of a folder, and when.
        _ if path.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(file) => {
            let length = file.metadata().map_or(0, |m| m.len());
            bounded(file, length, MAX_BYTES)
        }
        Err(why) => Err(why),
    };
    read().map_err(|why| fail(why.into()))
}

/// The text after a byte order mark, if there is one.
fn without_mark(bytes: &[u8]) -> Result<&[u8], InputError> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(InputError::Utf16);
    }
    Ok(bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_of_digits_is_a_number() {
        assert_eq!(Column::from_argument("3"), Column::Number(3));
        assert_eq!(Column::from_argument("id"), Column::Name("id".to_owned()));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_pipe_that_a_user_names_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| std::fs::write(&pipe, "1\n2\n").unwrap());
            assert_eq!(read_bytes(&pipe).unwrap(), b"1\n2\n");
        });
        assert!(matches!(read_bytes(dir.path()).unwrap_err().why, ReadFailure::Directory));
    }
}
