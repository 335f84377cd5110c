//! Paths as the kernel wants them.

use std::{ffi::CString, io, os::unix::ffi::OsStrExt, path::Path};

/// A path that ends with a zero byte, and stays where it is.
#[derive(Debug)]
pub struct SysPath(CString);

impl SysPath {
    pub(crate) fn new(path: &Path) -> io::Result<SysPath> {
        CString::new(path.as_os_str().as_bytes()).map(SysPath).map_err(|_| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("a path with a zero byte: {}", path.display()),
            )
        })
    }

    /// As it was given.
    #[cfg(feature = "sim")]
    pub(crate) fn to_path_buf(&self) -> std::path::PathBuf {
        std::ffi::OsStr::from_bytes(self.0.to_bytes()).into()
    }

    pub(crate) fn as_c_str(&self) -> &std::ffi::CStr {
        &self.0
    }
}
