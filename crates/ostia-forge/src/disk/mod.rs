//! What the foundry asks of a disk, so that a run can also be simulated without one.
//!
//! Every call waits until it is done: callers that must not wait make it on a thread that may.
//!
//! | a disk | is |
//! |---|---|
//! | [`RealDisk`] | the file system |
//! | `memory::MemoryDisk` | a tree in memory whose calls fail when a test says so |

use std::{
    ffi::OsString,
    fmt,
    io::{self, Read, Write},
    path::Path,
};

#[cfg(test)]
mod conformance;
#[cfg(any(test, feature = "sim"))]
pub mod memory;
pub(crate) mod open;
mod real;

pub use self::real::RealDisk;

/// What stands under a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A link, wherever it leads. Only listings tell of links; everything else follows them.
    Link,
    /// A pipe, a socket, a device, or what could not be told.
    Other,
}

/// One entry of a folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Its name in the folder.
    pub name: OsString,
    /// What it is.
    pub kind: Kind,
}

/// What a path leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Looked {
    /// What it is; never a link.
    pub kind: Kind,
    /// Bytes, of a file.
    pub len: u64,
}

/// The length and the BLAKE3 digest of a file's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Digest {
    /// Bytes.
    pub len: u64,
    /// Their digest.
    pub blake3: [u8; 32],
}

impl Digest {
    /// Of bytes in memory.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest { len: bytes.len() as u64, blake3: *blake3::hash(bytes).as_bytes() }
    }
}

/// A file that was made and is being written.
pub trait NewFile: Write + fmt::Debug + Send {
    /// Waits until all that was written is on the disk.
    ///
    /// # Errors
    /// The disk's.
    fn sync(&mut self) -> io::Result<()>;
}

/// A disk.
pub trait Disk: fmt::Debug + Send + Sync + 'static {
    /// Everything in a folder, in no order.
    ///
    /// # Errors
    /// When it cannot be listed, to the last entry.
    fn list(&self, dir: &Path) -> io::Result<Vec<Listed>>;

    /// What a path leads to, links followed.
    ///
    /// # Errors
    /// When there is nothing, or it cannot be looked at.
    fn look(&self, path: &Path) -> io::Result<Looked>;

    /// All bytes of a file.
    ///
    /// # Errors
    /// When it cannot be read; [`io::ErrorKind::IsADirectory`] for a folder, and [`io::ErrorKind::InvalidInput`] for
    /// what is no file either, neither of which is waited for; [`TooLarge`] when it has more than `most` bytes.
    fn read(&self, path: &Path, most: u64) -> io::Result<Vec<u8>>;

    /// Makes a folder and those above it; one that is there is as good.
    ///
    /// # Errors
    /// When one of them cannot be made.
    fn make_dirs(&self, dir: &Path) -> io::Result<()>;

    /// Makes a new, empty file.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when there is something of that name; when it cannot be made.
    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>>;

    /// Gives a file another name; a file that had that name is gone, and at no moment is there none.
    ///
    /// # Errors
    /// When it cannot be done; both names are as they were.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file, or a link.
    ///
    /// # Errors
    /// When it is not there, is a folder, or cannot be removed.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Waits until all that is in a file is on the disk.
    ///
    /// # Errors
    /// As [`Disk::digest`], and the disk's.
    fn sync(&self, path: &Path) -> io::Result<()>;

    /// Waits until the names in a folder are on the disk. Nothing where the system keeps a journal of them and
    /// has no such call.
    ///
    /// # Errors
    /// The disk's.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Whether what has this name is a file with exactly these bytes: what is no file is none, and is not read.
    ///
    /// # Errors
    /// When nothing has the name, or it cannot be opened.
    fn holds(&self, path: &Path, bytes: &[u8]) -> io::Result<bool>;

    /// The digest of a file, of which only a small piece is in memory at a time.
    ///
    /// # Errors
    /// As [`Disk::read`], but for the size.
    fn digest(&self, path: &Path) -> io::Result<Digest>;
}

/// A file has more bytes than were asked for. It is inside of the [`io::Error`], whose kind is
/// [`io::ErrorKind::FileTooLarge`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLarge {
    /// Its length, where it is known.
    pub length: Option<u64>,
    /// How many were asked for.
    pub most: u64,
}

impl TooLarge {
    /// What is inside of an error of [`Disk::read`], if it is this.
    pub fn of(error: &io::Error) -> Option<TooLarge> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl From<TooLarge> for io::Error {
    fn from(why: TooLarge) -> io::Error {
        io::Error::new(io::ErrorKind::FileTooLarge, why)
    }
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.length {
            Some(length) => write!(f, "it has {length} bytes, and at most {} are read", self.most),
            None => write!(f, "it has more than {} bytes, the most that is read", self.most),
        }
    }
}

impl std::error::Error for TooLarge {}

/// What is said of a path that leads to a pipe, a socket or a device, where a file was to be read.
fn no_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")
}

/// Reads to the end, but not past `most` bytes. The length that is told is only a hint.
pub(crate) fn bounded(source: impl Read, length: u64, most: u64) -> io::Result<Vec<u8>> {
    if length > most {
        return Err(TooLarge { length: Some(length), most }.into());
    }
    let mut bytes = Vec::new();
    // A sparse or hostile file may tell any length: an allocation that fails is an error, not an abort.
    bytes
        .try_reserve_exact(length as usize)
        .map_err(|why| io::Error::new(io::ErrorKind::OutOfMemory, why))?;
    source.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(TooLarge { length: None, most }.into());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_refused_before_and_while_it_is_read() {
        let told = bounded(io::empty(), 11, 10).unwrap_err();
        assert_eq!(TooLarge::of(&told), Some(TooLarge { length: Some(11), most: 10 }));
        let untold = bounded(io::repeat(0), 0, 10).unwrap_err();
        assert_eq!(TooLarge::of(&untold), Some(TooLarge { length: None, most: 10 }));
        assert_eq!(untold.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(bounded(&[7u8; 10][..], 0, 10).unwrap(), [7; 10]);
    }
}
