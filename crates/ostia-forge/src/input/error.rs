//! Why an input was refused: where, what stands there, and the way out.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use ostia_hash::keys::{KeyType, KeysError, MAX_KEYS};

use super::{Format, MAX_BYTES};
use crate::disk::TooLarge;

/// Where in an input something stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Bytes from the beginning, counted from 0.
    Offset(u64),
    /// A line, counted from 1.
    Line(u64),
    /// A line and a byte in it, both counted from 1.
    Column(u64, u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Offset(offset) => write!(f, "offset {offset}"),
            Place::Line(line) => write!(f, "line {line}"),
            Place::Column(line, column) => write!(f, "line {line}, column {column}"),
        }
    }
}

/// Why the bytes of an input are no key set, or no values for one.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum InputError {
    /// There is no key at all.
    Empty {
        /// The bytes that were looked through.
        length: u64,
    },
    /// The length of packed input is no multiple of the width.
    Ragged {
        /// All bytes.
        length: u64,
        /// Bytes of one key or record.
        width: usize,
        /// What `width` is the size of: a key type's name, or "record".
        what: &'static str,
    },
    /// The same key stands in two places.
    Duplicate {
        /// The key.
        value: String,
        /// Where it stands first.
        first: Place,
        /// Where it stands again.
        second: Place,
    },
    /// A key does not fit its type.
    TooWide {
        /// Where.
        place: Place,
        /// What stands there.
        value: String,
        /// The type, or `None` when no type is wide enough.
        key_type: Option<KeyType>,
        /// A type that holds it.
        wider: Option<KeyType>,
    },
    /// A negative key and one above the largest i64 are in one set.
    NoCommonType {
        /// The first negative key and its place.
        negative: (Place, String),
        /// The first key that needs 64 unsigned bits, and its place.
        large: (Place, String),
    },
    /// An integer was expected.
    NotAnInteger {
        /// Where.
        place: Place,
        /// What stands there.
        text: String,
        /// The way out.
        hint: &'static str,
    },
    /// A string was expected.
    NotAString {
        /// Where.
        place: Place,
        /// What stands there.
        text: String,
    },
    /// A byte that is not UTF-8.
    NotUtf8 {
        /// Where.
        place: Place,
        /// The byte.
        byte: u8,
        /// The way out.
        hint: &'static str,
    },
    /// The text is UTF-16.
    Utf16,
    /// The format cannot hold keys of the type asked for.
    WrongType {
        /// The format.
        format: Format,
        /// The type asked for.
        key_type: KeyType,
        /// The way out.
        hint: &'static str,
    },
    /// A column is chosen by its name in a table that is said to have no header.
    NamesWithoutHeader,
    /// Values are said to stand beside the keys in a format that has only keys.
    NoColumns {
        /// The format.
        format: Format,
    },
    /// The column is not in the table.
    NoColumn {
        /// The name or number asked for.
        wanted: String,
        /// The columns there are.
        columns: Vec<String>,
    },
    /// Two columns have the name asked for.
    ColumnTwice {
        /// The name.
        name: String,
        /// Their numbers, counted from 1.
        numbers: (usize, usize),
    },
    /// A row is too short to have the column.
    NoCell {
        /// Where the row begins.
        place: Place,
        /// The column's number, counted from 1.
        column: usize,
        /// How many cells the row has.
        cells: usize,
    },
    /// A quote is opened and never closed.
    OpenQuote {
        /// Where the row begins.
        place: Place,
    },
    /// The reader of comma-separated values refused the bytes.
    Csv {
        /// What it says.
        message: String,
    },
    /// Bytes that are not JSON.
    Json {
        /// Where.
        place: Place,
        /// What the parser says.
        message: String,
    },
    /// JSON, but not an array of keys.
    JsonShape {
        /// Where.
        place: Place,
        /// What is wrong, and the way out.
        message: String,
    },
    /// The input has more keys than a set may hold.
    TooMany,
    /// The input has more bytes than are read.
    TooLarge {
        /// How many there are, when it is known.
        length: Option<u64>,
    },
    /// There is not one value for each key.
    ValueCount {
        /// How many keys there are.
        keys: usize,
        /// How many values there are.
        values: usize,
    },
    /// A record's size is not that of the others.
    RecordSize {
        /// Where.
        place: Place,
        /// Its size.
        size: usize,
        /// The size of the others.
        expected: usize,
    },
    /// The size of records cannot be told from this format, or is 0.
    NoRecordSize,
    /// The set was refused for another reason.
    Keys(KeysError),
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InputError::Empty { length: 0 } => {
                write!(f, "the input is empty; a set needs at least one key")
            }
            InputError::Empty { length } => {
                write!(f, "there is no key in these {length} bytes; a set needs at least one")
            }
            InputError::Ragged { length, width, what } => {
                let trailing = length % *width as u64;
                let bytes = if trailing == 1 { "byte" } else { "bytes" };
                write!(
                    f,
                    "the length, {length}, is no multiple of {width}, the size of a {what}: {trailing} {bytes} \
                     left over from offset {}; ",
                    length - trailing
                )?;
                match *what {
                    "record" => write!(f, "repair the file, or give another record size"),
                    _ => write!(f, "repair the file, or name the width of its keys with --key-type"),
                }
            }
            InputError::Duplicate { value, first, second } => {
                write!(f, "{value} is at {first} and again at {second}; remove one of them")
            }
            InputError::TooWide { place, value, key_type: None, .. } => write!(
                f,
                "{place}: {value} does not fit 64 bits; the smallest key is {}, the largest {}",
                i64::MIN,
                u64::MAX
            ),
            InputError::TooWide { place, value, key_type: Some(key_type), wider } => {
                write!(f, "{place}: {value} does not fit {}", key_type.name())?;
                match wider {
                    Some(wider) => write!(f, "; --key-type {} holds it", wider.name()),
                    None => Ok(()),
                }
            }
            InputError::NoCommonType { negative, large } => write!(
                f,
                "no integer type holds both {} at {} and {} at {}; use strings (--key-type str), or two sets",
                negative.1, negative.0, large.1, large.0
            ),
            InputError::NotAnInteger { place, text, hint } => {
                write!(f, "{place}: {text} is not an integer; {hint}")
            }
            InputError::NotAString { place, text } => {
                write!(f, "{place}: {text} is not a string; the other keys are, or --key-type says so")
            }
            InputError::NotUtf8 { place, byte, hint } => {
                write!(f, "{place}: the byte 0x{byte:02x} is not UTF-8; {hint}")
            }
            InputError::Utf16 => write!(f, "offset 0: the text is UTF-16; save it as UTF-8"),
            InputError::WrongType { format, key_type, hint } => {
                write!(f, "--format {} has no keys of type {}; {hint}", format.name(), key_type.name())
            }
            InputError::NamesWithoutHeader => {
                write!(f, "a table without a header has no names of columns; choose one by its number")
            }
            InputError::NoColumn { wanted, columns } => {
                let count = columns.len();
                write!(
                    f,
                    "there is no column {wanted}; --column takes a number from 1 to {count}, or a name:"
                )?;
                for (i, column) in columns.iter().take(COLUMNS_SHOWN).enumerate() {
                    write!(f, "{} {column}", if i == 0 { "" } else { "," })?;
                }
                if columns.len() > COLUMNS_SHOWN { write!(f, ", ...") } else { Ok(()) }
            }
            InputError::ColumnTwice { name, numbers } => write!(
                f,
                "columns {} and {} are both named {name}; choose one by its number",
                numbers.0, numbers.1
            ),
            InputError::NoCell { place, column, cells } => write!(
                f,
                "{place}: the row has {cells} cell{} and no column {column}; repair the row",
                if *cells == 1 { "" } else { "s" }
            ),
            InputError::NoColumns { format } => write!(
                f,
                "--format {} has no columns, so no values stand beside the keys; --values takes a file of its own",
                format.name()
            ),
            InputError::OpenQuote { place } => {
                write!(f, "{place}: a quote is opened in this row and never closed; close it")
            }
            InputError::Csv { message } => write!(f, "not comma-separated values: {message}"),
            InputError::Json { place, message } => write!(f, "{place}: not JSON: {message}"),
            InputError::JsonShape { place, message } => write!(f, "{place}: {message}"),
            InputError::TooMany => {
                write!(f, "there are more than {MAX_KEYS} keys, the most that a set may hold; divide it")
            }
            InputError::TooLarge { length: Some(length) } => {
                write!(f, "the input has {length} bytes, and at most {MAX_BYTES} are read; divide it")
            }
            InputError::TooLarge { length: None } => {
                write!(f, "the input has more than {MAX_BYTES} bytes, the most that is read; divide it")
            }
            InputError::ValueCount { keys, values } => {
                write!(f, "there are {values} values for {keys} keys; give one for each key, in input order")
            }
            InputError::RecordSize { place, size, expected } => write!(
                f,
                "{place}: the record has {size} bytes where the others have {expected}; records are of one size"
            ),
            InputError::NoRecordSize => {
                write!(f, "the size of a record is not known, or is 0; give it in bytes")
            }
            InputError::Keys(why) => write!(f, "{why}"),
        }
    }
}

impl std::error::Error for InputError {}

/// Why a file, or the standard input, gave no key set.
#[derive(Debug)]
pub struct ReadError {
    /// The file; `-` for the standard input.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: ReadFailure,
}

/// What is wrong with a file.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadFailure {
    /// It could not be opened or read.
    Io(io::Error),
    /// It is a directory.
    Directory,
    /// Its name does not tell how to read it, and no format was given.
    UnknownFormat,
    /// What is in it was refused.
    Input(Box<InputError>),
}

impl From<io::Error> for ReadFailure {
    fn from(why: io::Error) -> ReadFailure {
        match TooLarge::of(&why) {
            Some(TooLarge { length, .. }) => ReadFailure::Input(Box::new(InputError::TooLarge { length })),
            None if why.kind() == io::ErrorKind::IsADirectory => ReadFailure::Directory,
            None => ReadFailure::Io(why),
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = match self.path.to_str() {
            Some("-") => Path::new("the standard input").display(),
            _ => self.path.display(),
        };
        match &self.why {
            ReadFailure::Io(why) => write!(f, "{path}: cannot be read: {why}"),
            ReadFailure::Directory => {
                write!(f, "{path}: is a directory, not a key set; bulk-create reads the sets in a directory")
            }
            ReadFailure::UnknownFormat => {
                write!(f, "{path}: the name does not tell the format; give one with --format: ")?;
                for (i, format) in Format::ALL.into_iter().enumerate() {
                    write!(f, "{}{}", if i == 0 { "" } else { ", " }, format.name())?;
                }
                Ok(())
            }
            ReadFailure::Input(why) => write!(f, "{path}: {why}"),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.why {
            // Both are in the text already; their own causes follow.
            ReadFailure::Io(why) => why.source(),
            ReadFailure::Input(why) => why.source(),
            ReadFailure::Directory | ReadFailure::UnknownFormat => None,
        }
    }
}

/// What stands at a place, in quotes: control characters escaped, long text cut.
pub(super) fn quoted(bytes: &[u8]) -> String {
    let cut = bytes.len() > TEXT_SHOWN;
    // A cut inside a character would show half of it as an odd sign; step back to its beginning.
    let mut end = bytes.len().min(TEXT_SHOWN);
    // At most 3 steps: a character has no more bytes after its first.
    for _ in 0..3 {
        if cut && bytes[end] & 0xc0 == 0x80 {
            end -= 1;
        }
    }
    let shown: String = String::from_utf8_lossy(&bytes[..end])
        .chars()
        .flat_map(|c| {
            let escape = c.is_control().then(|| c.escape_default());
            let plain = (!c.is_control()).then_some(c);
            escape.into_iter().flatten().chain(plain)
        })
        .collect();
    format!("`{shown}{}`", if cut { "..." } else { "" })
}

// 48: a line of a terminal holds it together with the path.
const TEXT_SHOWN: usize = 48;
// 12: enough to choose from; a table may have thousands.
const COLUMNS_SHOWN: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_is_short_and_printable() {
        assert_eq!(quoted(b"a\tb"), "`a\\tb`");
        assert_eq!(quoted("é".repeat(40).as_bytes()), format!("`{}...`", "é".repeat(24)));
        assert_eq!(quoted(format!("x{}", "é".repeat(40)).as_bytes()), format!("`x{}...`", "é".repeat(23)));
        assert_eq!(quoted(&[0x80; 100]), format!("`{}...`", "\u{fffd}".repeat(45)));
    }
}
