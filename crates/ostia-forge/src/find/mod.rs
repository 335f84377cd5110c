//! Finds the sets of a job: those in a folder, or in a list.
//!
//! What has a known extension is a set, or an error row that says why it is not: nothing that is named like
//! a set is passed over in silence. The order is that of the names, byte by byte, on every system.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

mod list;
mod patterns;
mod sources;
mod walk;

pub use self::{
    list::{ListError, read_list},
    patterns::PatternError,
    sources::Sources,
    walk::{Walk, WalkError},
};
use crate::input::Format;

/// Something that is named like a set.
#[derive(Debug)]
pub struct Found {
    /// Where it is: the folder that was searched, and the way from there.
    pub path: PathBuf,
    /// How it is read, or why it is no set.
    pub format: Result<Format, FindError>,
    /// How long it is; 0 for what is no set.
    pub bytes: u64,
}

/// Why something is no set.
#[derive(Debug)]
#[non_exhaustive]
pub enum FindError {
    /// It is a directory.
    Directory,
    /// It is neither a file nor a directory: a pipe, a socket, a device.
    NotAFile,
    /// It cannot be looked at. A folder that cannot be listed is reported so as well.
    Io(io::Error),
    /// It is a directory, in a list of files.
    ListedDirectory,
    /// It is neither a file nor a directory, in a list of files.
    ListedNotAFile,
    /// It stood in the list before.
    Twice,
    /// It is a file of a list, and its name does not tell how to read it.
    UnknownFormat,
}

impl fmt::Display for FindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FindError::Directory => write!(f, "is a directory, and is named like a set; rename it"),
            FindError::NotAFile => write!(f, "is not a regular file, and is named like a set; rename it"),
            FindError::Io(why) => write!(f, "cannot be read: {why}"),
            FindError::ListedDirectory => write!(f, "is a directory, not a key set; list the files in it"),
            FindError::ListedNotAFile => write!(f, "is not a regular file"),
            FindError::Twice => write!(f, "is in the list twice"),
            FindError::UnknownFormat => {
                write!(f, "has a name that does not tell its format; give one with --format")
            }
        }
    }
}

impl std::error::Error for FindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            FindError::Io(why) => why.source(),
            _ => None,
        }
    }
}

/// The format that a name's ending tells, also of a name that is not UTF-8: such a file gets its row too.
fn known(path: &Path) -> Option<Format> {
    let extension = path.extension()?.to_str()?;
    Format::split(&format!("x.{extension}")).1
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use super::*;
    use crate::disk::RealDisk;

    fn shown(root: &Path, recursive: bool) -> Vec<String> {
        let name = |path: &Path| path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
        let sources =
            Sources::Folder { dir: root.to_owned(), recursive, include: Vec::new(), exclude: Vec::new() };
        let mut walk = Walk::new(&sources, Arc::new(RealDisk)).unwrap();
        walk.next_some(usize::MAX)
            .iter()
            .map(|f| match &f.format {
                Ok(format) => format!("{} {}", name(&f.path), format.name()),
                Err(why) => format!("{}: {why}", name(&f.path)),
            })
            .collect()
    }

    #[test]
    fn sets_come_in_the_order_of_their_bytes() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.keys", "C.KEYS", "a-1.txt", "a.csv", "a.md", ".hidden.keys", "z"] {
            fs::write(dir.path().join(name), "1").unwrap();
        }
        assert_eq!(shown(dir.path(), false), ["C.KEYS keys", "a-1.txt text", "a.csv csv", "b.keys keys"]);
    }

    #[test]
    fn a_directory_named_like_a_set_is_an_error_row() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("x.keys")).unwrap();
        fs::write(dir.path().join("x.keys/inner.keys"), "1234").unwrap();
        fs::write(dir.path().join("y.keys"), "1234").unwrap();
        let row = "x.keys: is a directory, and is named like a set; rename it";
        assert_eq!(shown(dir.path(), false), [row, "y.keys keys"]);
        assert_eq!(shown(dir.path(), true), [row, "y.keys keys"]);
    }

    #[test]
    fn folders_are_searched_only_when_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/deep")).unwrap();
        fs::create_dir(dir.path().join(".git")).unwrap();
        for name in ["a/deep/1.keys", "a/2.keys", "a-3.keys", ".git/4.keys"] {
            fs::write(dir.path().join(name), "1234").unwrap();
        }
        assert_eq!(shown(dir.path(), false), ["a-3.keys keys"]);
        assert_eq!(shown(dir.path(), true), ["a/2.keys keys", "a/deep/1.keys keys", "a-3.keys keys"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_to_files_and_never_round_in_circles() {
        use std::os::unix::{fs::symlink, net::UnixListener};

        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("sub")).unwrap();
        fs::write(at("sub/real.keys"), "1234").unwrap();
        symlink(dir.path(), at("sub/up")).unwrap();
        symlink(at("sub/real.keys"), at("link.keys")).unwrap();
        symlink(at("self.keys"), at("self.keys")).unwrap();
        let _listener = UnixListener::bind(at("socket.keys")).unwrap();
        let rows = shown(dir.path(), true);
        assert_eq!(rows.len(), 4, "{rows:?}");
        assert_eq!(rows[0], "link.keys keys");
        assert!(rows[1].starts_with("self.keys: cannot be read: "), "{rows:?}");
        assert_eq!(rows[2], "socket.keys: is not a regular file, and is named like a set; rename it");
        assert_eq!(rows[3], "sub/real.keys keys");
    }
}
