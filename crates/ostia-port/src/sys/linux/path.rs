//! Paths as the kernel wants them.

use std::{ffi::CString, io, os::unix::ffi::OsStrExt, path::Path};

/// A path that ends with a zero byte, and stays where it is.
#[derive(Debug)]
pub struct SysPath(CString);

impl SysPath {
    pub(crate) fn new(path: &Path) -> io::Result<SysPath> {
        CString::new(path.as_os_str().as_bytes()).map(SysPath).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("a path with a zero byte: {}", path.display()))
        })
    }

    pub(crate) fn as_c_str(&self) -> &std::ffi::CStr {
        &self.0
    }
}
