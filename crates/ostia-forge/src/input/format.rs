//! The formats that keys are read from, and how a file's name tells which.

use std::path::Path;

use ostia_hash::keys::KeyType;

/// How the bytes of an input are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Format {
    /// Packed little-endian integers: u32, or the type that is asked for.
    Keys,
    /// Packed little-endian integers: u64, or the type that is asked for.
    Keys64,
    /// One integer a line, decimal or hexadecimal after `0x`; `#` and `//` begin a comment.
    Text,
    /// As [`Format::Text`], but every number is hexadecimal, with `0x` or without.
    Hex,
    /// A column of comma-separated values.
    Csv,
    /// An array of integers, of strings, or of objects with such a field.
    Json,
    /// One string a line.
    Lines,
}

/// Every name's ending that is known, without its dot and in lower case.
const EXTENSIONS: [(&str, Format); 9] = [
    ("keys", Format::Keys),
    ("keys64", Format::Keys64),
    ("u64", Format::Keys64),
    ("txt", Format::Text),
    ("hex", Format::Hex),
    ("csv", Format::Csv),
    ("json", Format::Json),
    ("strings", Format::Lines),
    ("lines", Format::Lines),
];

impl Format {
    /// Every format.
    pub const ALL: [Format; 7] =
        [Format::Keys, Format::Keys64, Format::Text, Format::Hex, Format::Csv, Format::Json, Format::Lines];

    /// The name that `--format` takes.
    pub fn name(self) -> &'static str {
        match self {
            Format::Keys => "keys",
            Format::Keys64 => "keys64",
            Format::Text => "text",
            Format::Hex => "hex",
            Format::Csv => "csv",
            Format::Json => "json",
            Format::Lines => "lines",
        }
    }

    /// The format of that name.
    pub fn from_name(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|f| f.name() == name)
    }

    /// The format that a file's name tells; upper case counts as lower case.
    pub fn of_path(path: &Path) -> Option<Format> {
        Self::split(path.file_name()?.to_str()?).1
    }

    /// A file name without its known extension, and the format that the extension stands for.
    pub fn split(file_name: &str) -> (&str, Option<Format>) {
        let Some((stem, extension)) = file_name.rsplit_once('.') else { return (file_name, None) };
        let known = EXTENSIONS.iter().find(|(e, _)| e.eq_ignore_ascii_case(extension));
        match known {
            Some(&(_, format)) => (stem, Some(format)),
            None => (file_name, None),
        }
    }

    /// True when the input is fixed-width words and not text.
    pub fn is_packed(self) -> bool {
        matches!(self, Format::Keys | Format::Keys64)
    }

    /// The type of packed keys when none is asked for.
    pub(super) fn packed_type(self) -> KeyType {
        if self == Format::Keys64 { KeyType::U64 } else { KeyType::U32 }
    }

    /// What to do about a key that is no integer.
    pub(super) fn integer_hint(self) -> &'static str {
        match self {
            Format::Keys | Format::Keys64 => "packed keys are integers",
            Format::Text => {
                "one a line is read, decimal such as 1234 or hexadecimal such as 0x4d2; \
                 strings are read with --format lines"
            }
            Format::Hex => {
                "one a line is read, hexadecimal such as 4d2 or 0x4d2; decimal is read with --format text"
            }
            Format::Csv => {
                "decimal such as 1234 or hexadecimal such as 0x4d2 is read; \
                 --key-type str takes the cells as strings, --header says that the first row is none"
            }
            Format::Json => "integers up to 64 bits are read, or strings such as \"0x4d2\" with a --key-type",
            Format::Lines => "--key-type str takes the lines as strings",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for format in Format::ALL {
            assert_eq!(Format::from_name(format.name()), Some(format));
        }
        assert_eq!(Format::from_name("Keys"), None);
    }

    #[test]
    fn only_a_known_extension_is_split_off() {
        assert_eq!(Format::split("a.b-12.keys"), ("a.b-12", Some(Format::Keys)));
        assert_eq!(Format::split("A.KEYS64"), ("A", Some(Format::Keys64)));
        assert_eq!(Format::split("notes.md"), ("notes.md", None));
        assert_eq!(Format::split("keys"), ("keys", None));
        assert_eq!(Format::split(".keys"), ("", Some(Format::Keys)));
        assert_eq!(Format::of_path(Path::new("some.keys/list.hex")), Some(Format::Hex));
        assert_eq!(Format::of_path(Path::new("..")), None);
    }
}
