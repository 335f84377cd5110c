//! Paths in the journal: what can be any bytes there, and must come back as it was. And its own.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Component, Path, PathBuf},
};

use rusqlite::types::Value;

use super::{JournalError, Trouble};

/// The journal's path as SQLite is given it, with `SQLITE_OPEN_NOFOLLOW`: a link in the journal's place may lead to
/// anything, and is not followed. One on the way to its folder is, and so must be gone from the path before.
pub(super) fn resolved(path: &Path) -> Result<PathBuf, JournalError> {
    let fail = |why: io::Error| JournalError::new(path, Trouble::Io(why.to_string()));
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(JournalError::new(path, Trouble::NotAFile)),
        // The writer makes it.
        Err(why) if why.kind() == io::ErrorKind::NotFound => {}
        Err(why) => return Err(fail(why)),
    }
    match (path.parent(), path.file_name()) {
        // SQLite asks for links only on Unix.
        (Some(folder), Some(name)) if cfg!(unix) => {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            Ok(fs::canonicalize(folder).map_err(fail)?.join(name))
        }
        _ => Ok(path.to_owned()),
    }
}

/// What a path is found and ordered by: its parts with a zero byte between, which no path has. What is no name, such
/// as `..`, begins with another and comes first. So keys compare byte by byte as paths do part by part, and two
/// spellings of one path have one key.
pub(super) fn key(path: &Path) -> Vec<u8> {
    let mut key = Vec::with_capacity(path.as_os_str().len());
    for (i, part) in path.components().enumerate() {
        if i > 0 {
            key.push(0);
        }
        match part {
            Component::Prefix(_) => key.extend([0, 0]),
            Component::RootDir => key.extend([0, 1]),
            Component::CurDir => key.extend([0, 2]),
            Component::ParentDir => key.extend([0, 3]),
            Component::Normal(_) => {}
        }
        key.extend_from_slice(part.as_os_str().as_encoded_bytes());
    }
    key
}

/// A path as text, or as bytes where it is no Unicode.
pub(super) fn stored(path: &Path) -> Value {
    match path.to_str() {
        Some(text) => Value::Text(text.to_owned()),
        None => Value::Blob(raw(path.as_os_str())),
    }
}

/// The path that was stored.
pub(super) fn restored(stored: Value) -> Option<PathBuf> {
    match stored {
        Value::Text(text) => Some(text.into()),
        Value::Blob(bytes) => Some(of_raw(bytes)),
        _ => None,
    }
}

cfg_select! {
    unix => {
        use std::os::unix::ffi::{OsStrExt, OsStringExt};

        /// The bytes themselves.
        fn raw(text: &OsStr) -> Vec<u8> {
            text.as_bytes().to_vec()
        }

        fn of_raw(bytes: Vec<u8>) -> PathBuf {
            std::ffi::OsString::from_vec(bytes).into()
        }
    }
    windows => {
        use std::os::windows::ffi::{OsStrExt, OsStringExt};

        /// UTF-16 that is none: two bytes a unit, the lower one first.
        fn raw(text: &OsStr) -> Vec<u8> {
            text.encode_wide().flat_map(u16::to_le_bytes).collect()
        }

        fn of_raw(bytes: Vec<u8>) -> PathBuf {
            let units: Vec<u16> =
                bytes.chunks(2).map(|unit| unit.iter().rev().fold(0, |word, &byte| word << 8 | u16::from(byte))).collect();
            std::ffi::OsString::from_wide(&units).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_compare_as_paths_do() {
        let mut paths = [
            "a-3", "a/2", "a/deep/1", "a", "a b", "b", "a\u{1}", "\u{1}", "ä", "../a", "..", "a/..", "./a",
            "/a", "/a/b",
        ]
        .map(PathBuf::from);
        paths.sort();
        assert!(paths.map(|path| key(&path)).is_sorted());
        assert_eq!(key(Path::new("a//b/.")), key(Path::new("a/b")));
    }

    #[test]
    fn a_path_that_is_no_unicode_comes_back() {
        cfg_select! {
            unix => {
                use std::os::unix::ffi::OsStringExt;
                let odd = PathBuf::from(std::ffi::OsString::from_vec(b"a\xFF/\n'\"\xC3".to_vec()));
            }
            windows => {
                use std::os::windows::ffi::OsStringExt;
                let odd = PathBuf::from(std::ffi::OsString::from_wide(&[0x61, 0xD801, 0x5C, 0xDC02]));
            }
        }
        assert!(matches!(stored(&odd), Value::Blob(_)));
        assert_eq!(restored(stored(&odd)), Some(odd));
        let plain = PathBuf::from("x/y ä.keys");
        assert_eq!(restored(stored(&plain)), Some(plain));
        assert_eq!(restored(Value::Integer(1)), None);
    }
}
