//! Paths in the journal: what can be any bytes there, and must come back as it was.

use std::{
    ffi::OsStr,
    path::{Component, Path, PathBuf},
};

use rusqlite::types::Value;

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
