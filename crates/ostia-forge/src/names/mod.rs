//! The name of a set: from its file's name to an identifier in every language that is written.
//!
//! The generated files and what stands in them carry this name, so it must be an identifier in C, C++, Rust
//! and Python, a file name on every system, and different from the other names of a run even where a file
//! system takes upper and lower case for the same.

use std::{
    fmt,
    path::{Path, PathBuf},
};

mod claims;

pub use self::claims::Claims;
use crate::input::Format;

/// Why a name is no identifier.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NameError {
    /// The name as it was given.
    pub name: String,
    /// What is wrong with it.
    pub fault: NameFault,
}

/// What is wrong with a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum NameFault {
    /// Nothing is left once the extension is gone, or nothing but signs that become `_`.
    Empty,
    /// It begins with a digit.
    Digit(char),
    /// A character that has no place in an identifier of every language, and its byte offset in the name.
    Character(char, usize),
    /// It means something in this language.
    Keyword(&'static str),
    /// Windows takes it for a device, with any extension.
    Device,
    /// It is longer than [`LENGTH_MAX`].
    Long(usize),
    /// The file's name is not UTF-8.
    NotUtf8,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.escape_debug();
        write!(f, "the name \"{name}\" makes no identifier: ")?;
        match self.fault {
            NameFault::Empty => write!(f, "no letter or digit is in it")?,
            NameFault::Digit(digit) => write!(f, "it begins with the digit {digit}")?,
            NameFault::Character(c, offset) => {
                write!(f, "the character \"{}\" at offset {offset} is not ASCII text", c.escape_debug())?;
            }
            NameFault::Keyword(language) => write!(f, "it is a word of {language}")?,
            NameFault::Device => write!(f, "no file on Windows can have it")?,
            NameFault::Long(length) => {
                write!(f, "it has {length} characters, and at most {LENGTH_MAX} fit a file's name")?;
            }
            NameFault::NotUtf8 => write!(f, "it is not UTF-8")?,
        }
        write!(f, "; give one with --name, or rename the file")
    }
}

impl std::error::Error for NameError {}

/// Two files whose names become the same identifier, or differ only in upper and lower case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Clash {
    /// The file that has the name.
    pub first: PathBuf,
    /// The file that cannot have it too.
    pub second: PathBuf,
    /// The identifier of the first.
    pub first_name: String,
    /// The identifier of the second.
    pub second_name: String,
}

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = (self.first.display(), self.second.display());
        if self.first_name == self.second_name {
            write!(f, "{second} and {first} both become {}", self.first_name)?;
        } else {
            let (a, b) = (&self.second_name, &self.first_name);
            write!(f, "{second} and {first} become {a} and {b}, which some file systems take for one")?;
        }
        write!(f, "; rename one of the files")
    }
}

impl std::error::Error for Clash {}

/// The identifier that a file's name becomes, without its known extension.
///
/// # Errors
/// As [`identifier`], or when the name is not UTF-8.
pub fn of_path(path: &Path) -> Result<String, NameError> {
    let file_name = path.file_name().unwrap_or_default();
    match file_name.to_str() {
        Some(file_name) => identifier(Format::split(file_name).0),
        None => Err(NameError { name: file_name.to_string_lossy().into_owned(), fault: NameFault::NotUtf8 }),
    }
}

/// The identifier that a name becomes: ASCII signs and spaces become `_`, letters and digits stay.
///
/// Nothing is put before a digit and nothing is left out, so that the name in the code is always the one that
/// a reader expects from the file.
///
/// # Errors
/// When what comes out could not be used in each of C, C++, Rust and Python, and as the name of a file.
pub fn identifier(name: &str) -> Result<String, NameError> {
    let fail = |fault| Err(NameError { name: name.to_owned(), fault });
    let mut identifier = String::with_capacity(name.len());
    for (offset, c) in name.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' => identifier.push(c),
            ' '..='~' => identifier.push('_'),
            _ => return fail(NameFault::Character(c, offset)),
        }
    }
    if !identifier.contains(|c: char| c != '_') {
        return fail(NameFault::Empty);
    }
    if identifier.len() > LENGTH_MAX {
        return fail(NameFault::Long(identifier.len()));
    }
    if let Some(digit) = identifier.chars().next().filter(char::is_ascii_digit) {
        return fail(NameFault::Digit(digit));
    }
    for (language, words) in KEYWORDS {
        if words.split_ascii_whitespace().any(|w| w == identifier) {
            return fail(NameFault::Keyword(language));
        }
    }
    if is_device(&identifier) {
        return fail(NameFault::Device);
    }
    Ok(identifier)
}

/// True for the names that Windows keeps for devices, in upper or lower case.
fn is_device(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    match lower.strip_prefix("com").or_else(|| lower.strip_prefix("lpt")) {
        Some(number) => matches!(number.as_bytes(), [b'1'..=b'9']),
        None => matches!(lower.as_str(), "con" | "prn" | "aux" | "nul"),
    }
}

/// The longest identifier. 200: with prefix and extension it stays below the 255 of common file systems.
pub const LENGTH_MAX: usize = 200;

/// Words that a set cannot be named by. One that is in two languages stands with the first.
const KEYWORDS: [(&str, &str); 4] = [
    (
        "C",
        "alignas alignof auto bool break case char const constexpr continue default do double else enum \
         extern false float for goto if inline int long main nullptr register restrict return short signed \
         sizeof static static_assert struct switch thread_local true typedef typeof typeof_unqual union \
         unsigned void volatile while NULL",
    ),
    (
        "C++",
        "and and_eq asm bitand bitor catch char8_t char16_t char32_t class co_await co_return co_yield \
         compl concept const_cast consteval constinit decltype delete dynamic_cast explicit export friend \
         mutable namespace new noexcept not not_eq operator or or_eq private protected public \
         reinterpret_cast requires static_cast std template this throw try typeid typename using virtual \
         wchar_t xor xor_eq",
    ),
    (
        "Rust",
        "Self abstract as async await become box crate dyn final fn gen impl in let loop macro match mod \
         move override priv pub ref self super trait type unsafe unsized use where yield",
    ),
    (
        "Python",
        "False None True assert def del elif except from global import is lambda nonlocal pass raise with",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn becomes(name: &str, expected: &str) {
        assert_eq!(identifier(name).as_deref(), Ok(expected));
    }

    #[track_caller]
    fn refused(name: &str, because: &str) {
        let why = identifier(name).expect_err("must be refused").to_string();
        let name = name.escape_debug();
        assert_eq!(
            why,
            format!(
                "the name \"{name}\" makes no identifier: {because}; give one with --name, or rename the file"
            )
        );
    }

    #[test]
    fn signs_become_underscores() {
        becomes("HologramWorld-29251", "HologramWorld_29251");
        becomes("Windows.UI Core+x", "Windows_UI_Core_x");
        becomes("_a", "_a");
        becomes("com10", "com10");
        becomes("iffy", "iffy");
        assert_eq!(of_path(Path::new("some.keys/a.b-12.keys")).as_deref(), Ok("a_b_12"));
        assert_eq!(of_path(Path::new("a.b.md")).as_deref(), Ok("a_b_md"));
    }

    #[test]
    fn what_no_language_takes_is_refused() {
        refused("", "no letter or digit is in it");
        refused("-.-", "no letter or digit is in it");
        refused("7zip-12", "it begins with the digit 7");
        refused("naïve", "the character \"ï\" at offset 2 is not ASCII text");
        refused("a\tb", "the character \"\\t\" at offset 1 is not ASCII text");
        refused("while", "it is a word of C");
        refused("static-cast", "it is a word of C++");
        refused("impl", "it is a word of Rust");
        refused("lambda", "it is a word of Python");
        refused("AUX", "no file on Windows can have it");
        refused("lpt9", "no file on Windows can have it");
        refused(&"x".repeat(201), "it has 201 characters, and at most 200 fit a file's name");
        assert_eq!(of_path(Path::new("x/.keys")).unwrap_err().fault, NameFault::Empty);
    }
}
