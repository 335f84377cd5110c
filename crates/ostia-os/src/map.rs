//! Files as memory, read only.

use std::{
    error::Error as _,
    fmt,
    fs::{self, File},
    io,
    ops::Deref,
    path::{Path, PathBuf},
};

use crate::sys;

/// A file's bytes, which the system reads when they are looked at.
///
/// # What can go wrong while it is mapped
///
/// **A file that is made shorter while it is mapped takes the process down** on Linux: looking at a page that is gone
/// raises SIGBUS. So does a page that the disk cannot read. A file that is *written to* while it is mapped may change
/// under the reader's eyes, and Rust assumes that bytes behind a `&[u8]` do not change. So map only files that nobody
/// changes in place: files that are complete once they have their name, and are replaced by renaming another one to
/// it, as everything that Ostia stores. A mapped file that is replaced or removed stays readable. Where strangers may
/// write to the file, read it instead.
///
/// # Platforms
///
/// On Windows the system refuses to shorten a mapped file (error 1224).
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("table.ostia");
/// # std::fs::write(&path, "bytes")?;
/// let map = ostia_os::map::Map::open(&path)?;
/// assert_eq!(&*map, b"bytes");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Map {
    bytes: memmap2::Mmap,
}

impl Map {
    /// Maps a file. An empty one is no bytes.
    ///
    /// # Errors
    ///
    /// When it is not there, may not be read, or is no regular file: a folder, a pipe or a device is not mapped.
    pub fn open(path: impl AsRef<Path>) -> Result<Map, Error> {
        let path = path.as_ref();
        let named = |source| Error { path: path.to_owned(), source };
        // Asked before it is opened, as opening a pipe would wait for a writer.
        regular(&fs::metadata(path).map_err(named)?).map_err(named)?;
        Map::of(&File::open(path).map_err(named)?).map_err(named)
    }

    /// Maps an open file, which may be closed then.
    ///
    /// # Errors
    ///
    /// When it may not be read, or is no regular file.
    pub fn of(file: &File) -> io::Result<Map> {
        regular(&file.metadata()?)?;
        Ok(Map { bytes: sys::map::read_only(file)? })
    }
}

fn regular(metadata: &fs::Metadata) -> io::Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file, and only such are mapped"))
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AsRef<[u8]> for Map {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map").field("len", &self.len()).finish()
    }
}

/// A file that cannot be mapped.
#[derive(Debug)]
pub struct Error {
    path: PathBuf,
    source: io::Error,
}

impl Error {
    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What kind of error it is.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be mapped", self.path.display())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        let why = error.source().map(ToString::to_string).unwrap_or_default();
        io::Error::new(error.kind(), format!("{error}: {why}"))
    }
}
