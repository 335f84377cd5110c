//! Key sets that are not part of the repository.

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
};

/// Where they are, by the variable `OSTIA_KEYS`; without it the test named `test` says that it is skipped.
pub(crate) fn keys_directory(test: &str) -> Option<PathBuf> {
    let directory = env::var_os("OSTIA_KEYS").map(PathBuf::from);
    if directory.is_none() {
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: OSTIA_KEYS is not set");
    }
    directory
}

/// The packed little-endian keys of a file.
pub(crate) fn key_file(path: &Path) -> Vec<u32> {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (keys, ragged) = bytes.as_chunks();
    assert!(ragged.is_empty(), "{} is ragged", path.display());
    keys.iter().map(|&key| u32::from_le_bytes(key)).collect()
}
