//! The file system.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    path::Path,
};

use super::{Digest, Disk, Kind, Listed, Looked, NewFile, bounded, no_file, open::regular};

/// The file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl NewFile for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

impl From<fs::FileType> for Kind {
    fn from(file_type: fs::FileType) -> Kind {
        match () {
            () if file_type.is_symlink() => Kind::Link,
            () if file_type.is_dir() => Kind::Folder,
            () if file_type.is_file() => Kind::File,
            () => Kind::Other,
        }
    }
}

impl Disk for RealDisk {
    fn list(&self, dir: &Path) -> io::Result<Vec<Listed>> {
        let one = |entry: io::Result<fs::DirEntry>| {
            let entry = entry?;
            let kind = entry.file_type().map_or(Kind::Other, Kind::from);
            Ok(Listed { name: entry.file_name(), kind })
        };
        fs::read_dir(dir)?.map(one).collect()
    }

    fn look(&self, path: &Path) -> io::Result<Looked> {
        let metadata = fs::metadata(path)?;
        let kind = Kind::from(metadata.file_type());
        // A folder has a length too, which means nothing.
        Ok(Looked { kind, len: if kind == Kind::File { metadata.len() } else { 0 } })
    }

    fn read(&self, path: &Path, most: u64) -> io::Result<Vec<u8>> {
        let (file, length) = file(path)?;
        bounded(file, length, most)
    }

    fn make_dirs(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        Ok(Box::new(OpenOptions::new().write(true).create_new(true).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        // Windows synchronises only what may be written.
        if cfg!(windows) {
            OpenOptions::new().write(true).open(path)?.sync_all()
        } else {
            file(path)?.0.sync_all()
        }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        // Only Unix opens a folder as a file. On Windows the rename is in NTFS's journal.
        if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
    }

    fn holds(&self, path: &Path, bytes: &[u8]) -> io::Result<bool> {
        let file = match regular(path)? {
            Some((file, len)) if len == bytes.len() as u64 => file,
            Some(_) | None => return Ok(false),
        };
        let mut rest = bytes;
        let same = pieces(file, |piece| match rest.strip_prefix(piece) {
            Some(after) => {
                rest = after;
                true
            }
            None => false,
        });
        Ok(same.unwrap_or(false) && rest.is_empty())
    }

    fn digest(&self, path: &Path) -> io::Result<Digest> {
        let mut hasher = blake3::Hasher::new();
        pieces(file(path)?.0, |piece| {
            hasher.update(piece);
            true
        })?;
        Ok(Digest { len: hasher.count(), blake3: *hasher.finalize().as_bytes() })
    }
}

/// Opens a file to be read, and tells its length.
fn file(path: &Path) -> io::Result<(File, u64)> {
    let is_folder = || fs::metadata(path).is_ok_and(|m| m.is_dir());
    regular(path)?.ok_or_else(|| if is_folder() { io::ErrorKind::IsADirectory.into() } else { no_file() })
}

/// Hands over a file piece by piece: it may be as large as memory. Ends early, with false, when `one` does.
fn pieces(mut file: File, mut one: impl FnMut(&[u8]) -> bool) -> io::Result<bool> {
    let mut piece = [0; PIECE];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(true),
            Ok(n) if one(&piece[..n]) => {}
            Ok(_) => return Ok(false),
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(why) => return Err(why),
        }
    }
}

// 16 KiB: it stands on the stack, is what BLAKE3's vector code works on at a time, and few files are longer.
const PIECE: usize = 16 * 1024;
