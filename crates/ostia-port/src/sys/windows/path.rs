//! Paths as the file calls want them.

use std::{
    io,
    os::windows::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// A path without a zero character. The standard library's calls do the rest, on offload threads.
#[derive(Debug)]
pub struct SysPath(PathBuf);

impl SysPath {
    pub(crate) fn new(path: &Path) -> io::Result<SysPath> {
        if path.as_os_str().encode_wide().any(|unit| unit == 0) {
            let why = format!("a path with a zero character: {}", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        Ok(SysPath(path.to_path_buf()))
    }

    /// As it was given.
    #[cfg(feature = "sim")]
    pub(crate) fn to_path_buf(&self) -> PathBuf {
        self.0.clone()
    }

    pub(super) fn as_path(&self) -> &Path {
        &self.0
    }
}
