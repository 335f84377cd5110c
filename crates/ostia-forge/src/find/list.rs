//! A list of files, as another program writes it.

use std::{
    fmt,
    io::{self, Read},
    path::PathBuf,
};

/// The most bytes of a list. 256 MiB: some millions of paths.
const MAX_BYTES: u64 = 256 << 20;

/// Why a list was refused.
#[derive(Debug)]
#[non_exhaustive]
pub enum ListError {
    /// It could not be read.
    Io(io::Error),
    /// It is longer than is read.
    TooLarge,
    /// A path in it, counted from 1, is not UTF-8, and this system's paths are text.
    NotUtf8(usize),
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListError::Io(why) => write!(f, "the list of files cannot be read: {why}"),
            ListError::TooLarge => {
                write!(
                    f,
                    "the list of files has more than {MAX_BYTES} bytes, the most that is read; divide it"
                )
            }
            ListError::NotUtf8(number) => {
                write!(f, "path {number} of the list of files is not UTF-8; write the list in UTF-8")
            }
        }
    }
}

impl std::error::Error for ListError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ListError::Io(why) => why.source(),
            ListError::TooLarge | ListError::NotUtf8(_) => None,
        }
    }
}

/// The paths of a list, in its order: one a line, or each with a NUL after it when there is a NUL in the list.
/// Blank lines are skipped. Paths stay as they were written.
///
/// # Errors
/// When it cannot be read, or has something in it that is no path here.
pub fn read_list(reader: impl Read) -> Result<Vec<PathBuf>, ListError> {
    let mut bytes = Vec::new();
    reader.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(ListError::Io)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ListError::TooLarge);
    }
    if bytes.contains(&0) {
        return bytes.split(|&b| b == 0).filter(|p| !p.is_empty()).enumerate().map(path).collect();
    }
    // Some shells of Windows put a mark before what they write.
    let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
    let lines = text.split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.filter(|line| !line.trim_ascii().is_empty()).enumerate().map(path).collect()
}

#[cfg(unix)]
fn path((_, bytes): (usize, &[u8])) -> Result<PathBuf, ListError> {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    Ok(OsStr::from_bytes(bytes).into())
}

#[cfg(not(unix))]
fn path((position, bytes): (usize, &[u8])) -> Result<PathBuf, ListError> {
    let text = std::str::from_utf8(bytes).map_err(|_| ListError::NotUtf8(position + 1))?;
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn gives(list: &[u8], expected: &[&str]) {
        let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
        assert_eq!(read_list(list).unwrap(), expected);
    }

    #[test]
    fn a_line_is_a_path() {
        gives(b"", &[]);
        gives(b"a.keys\nb/c.keys\n", &["a.keys", "b/c.keys"]);
        gives(b"b\r\n\r\n  \n a b \na", &["b", " a b ", "a"]);
        gives(b"\xef\xbb\xbf./a\n../b\n./a\n", &["./a", "../b", "./a"]);
    }

    #[test]
    fn with_a_nul_in_it_only_a_nul_divides() {
        gives(b"a\nb\0c\r\0", &["a\nb", "c\r"]);
        gives(b"a\0\0b", &["a", "b"]);
    }

    #[test]
    fn a_list_that_never_ends_is_refused() {
        let why = read_list(io::repeat(b'a')).unwrap_err();
        assert!(matches!(why, ListError::TooLarge), "{why}");
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_is_not_text_is_a_path() {
        use std::os::unix::ffi::OsStrExt;

        assert_eq!(read_list(&b"a\xff.keys\n"[..]).unwrap()[0].as_os_str().as_bytes(), b"a\xff.keys");
    }
}
