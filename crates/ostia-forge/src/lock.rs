//! One run at a time in a folder.
//!
//! The lock is the operating system's, on a file that stays: it ends with the process that has it, however that
//! ends, and nothing needs to be cleaned up. What stands in the file is only for whoever is refused.

use std::{
    fmt,
    fs::{File, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    process,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::disk::open;

/// The file's name in the folder.
pub const NAME: &str = ".ostia-lock";

/// The right to be the one run that is at work in a folder; given up when it is dropped.
#[derive(Debug)]
pub struct FolderLock {
    /// Locked for as long as it is open.
    _file: File,
    path: PathBuf,
}

/// Why a folder could not be taken.
#[derive(Debug)]
#[non_exhaustive]
pub enum LockError {
    /// Another run has it.
    Held {
        /// The folder.
        out: PathBuf,
        /// The other run's process, when it could be told.
        holder: Option<u32>,
    },
    /// The file cannot be made or opened for writing.
    Open {
        /// The folder.
        out: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// What has the file's name is a link, a folder or a device, and nothing of ours.
    NotAFile {
        /// What is there.
        path: PathBuf,
    },
    /// The system refused the lock itself.
    Lock {
        /// The folder.
        out: PathBuf,
        /// Why.
        why: io::Error,
    },
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::Held { out, holder } => {
                write!(f, "{}: another run ", out.display())?;
                if let Some(process) = holder {
                    write!(f, "(process {process}) ")?;
                }
                write!(f, "is at work in this folder; wait for it, or choose another --out")
            }
            LockError::Open { out, why } => write!(
                f,
                "{}: no file can be written in this folder: {why}; make it writable, or choose another --out",
                out.display()
            ),
            LockError::NotAFile { path } => write!(
                f,
                "{}: a run would write into this, and it is a link, or no file; remove it, or choose another --out",
                path.display()
            ),
            LockError::Lock { out, why } => write!(
                f,
                "{}: the folder cannot be locked for one run at a time: {why}; choose an --out on another file \
                 system",
                out.display()
            ),
        }
    }
}

impl std::error::Error for LockError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LockError::Held { .. } | LockError::NotAFile { .. } => None,
            LockError::Open { why, .. } | LockError::Lock { why, .. } => why.source(),
        }
    }
}

impl FolderLock {
    /// Takes a folder, which must be there. Never waits for another run.
    ///
    /// # Errors
    /// When another run has it, or the file for it cannot be written or locked, or is none.
    pub fn take(out: &Path) -> Result<FolderLock, LockError> {
        let path = out.join(NAME);
        let opened = open::own(&path).map_err(|why| LockError::Open { out: out.to_owned(), why })?;
        let mut file = opened.ok_or_else(|| LockError::NotAFile { path: path.clone() })?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held { out: out.to_owned(), holder: holder(&mut file) });
            }
            Err(TryLockError::Error(why)) => return Err(LockError::Lock { out: out.to_owned(), why }),
        }
        // The lock is what counts. A disk so full that it cannot hold this line refuses the outputs too, and says
        // so of each.
        let _ = sign(&mut file);
        Ok(FolderLock { _file: file, path })
    }

    /// The file that is locked.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Windows lets nobody read the bytes that another has locked, and locks reach over the whole file there: then
/// the holder stays unknown. Wine does let them be read.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    // 64: the process, and the second since 1970 in which it took the folder.
    file.take(64).read_to_string(&mut text).ok()?;
    text.split_ascii_whitespace().next()?.parse().ok()
}

fn sign(file: &mut File) -> io::Result<()> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{} {since}", process::id())
}

#[cfg(test)]
mod tests {
    use std::{
        env, fs,
        io::{BufRead, BufReader},
        process::{Command, Stdio},
    };

    use super::*;

    /// Names the folder that a second process of this test is to take.
    const FOLDER: &str = "OSTIA_TEST_LOCK";

    #[test]
    fn a_folder_is_taken_once_and_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let lock = FolderLock::take(dir.path()).unwrap();
        // Another open file is another holder, also in one process.
        assert!(matches!(FolderLock::take(dir.path()), Err(LockError::Held { .. })));
        drop(lock);
        let again = FolderLock::take(dir.path()).unwrap();
        assert!(again.path().exists());
    }

    /// The part of the second process, and nothing at all in the first.
    #[test]
    fn second_process() {
        let Some(dir) = env::var_os(FOLDER) else { return };
        let _lock = FolderLock::take(Path::new(&dir)).unwrap();
        println!("\ntaken");
        // Holds it until it is killed, or until whoever started it is gone.
        let _ = io::stdin().read_to_end(&mut Vec::new());
    }

    #[test]
    fn a_folder_is_another_processs_until_that_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let mut second = Command::new(env::current_exe().unwrap())
            .args(["--exact", "lock::tests::second_process", "--nocapture"])
            .env(FOLDER, dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(second.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "taken"), "the second process did not take the folder");
        let why = FolderLock::take(dir.path()).unwrap_err();
        let said = |holder: &str| {
            format!(
                "{}: another run {holder}is at work in this folder; wait for it, or choose another --out",
                dir.path().display()
            )
        };
        let why = why.to_string();
        let named = why == said(&format!("(process {}) ", second.id()));
        assert!(named || cfg!(windows) && why == said(""), "{why}");
        second.kill().unwrap();
        second.wait().unwrap();
        let lock = FolderLock::take(dir.path()).unwrap();
        // A longer text of the one before is gone.
        drop(lock);
        let mut file = File::open(dir.path().join(NAME)).unwrap();
        assert_eq!(holder(&mut file), Some(process::id()));
    }

    #[test]
    fn a_shorter_text_replaces_a_longer_one() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(NAME), "4000000000 99999999999999999999 and more\n").unwrap();
        drop(FolderLock::take(dir.path()).unwrap());
        let text = fs::read_to_string(dir.path().join(NAME)).unwrap();
        assert!(text.starts_with(&format!("{} ", process::id())) && !text.contains("more"), "{text}");
    }

    #[test]
    fn a_folder_that_takes_no_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let none = dir.path().join("none");
        let why = FolderLock::take(&none).unwrap_err().to_string();
        assert!(
            why.starts_with(&format!("{}: no file can be written in this folder: ", none.display())),
            "{why}"
        );
        assert!(why.ends_with("; make it writable, or choose another --out"), "{why}");
    }

    #[test]
    fn a_folder_with_the_locks_name_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        fs::create_dir(&path).unwrap();
        let why = FolderLock::take(dir.path()).unwrap_err().to_string();
        let expected =
            "a run would write into this, and it is a link, or no file; remove it, or choose another --out";
        assert_eq!(why, format!("{}: {expected}", path.display()));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_with_the_locks_name_is_refused_and_its_target_left_alone() {
        use std::os::unix::fs::symlink;

        let dir = tempfile::tempdir().unwrap();
        let [there, none] = ["there", "none"].map(|name| dir.path().join(name));
        fs::write(&there, "another's").unwrap();
        for target in [&there, &none] {
            symlink(target, dir.path().join(NAME)).unwrap();
            let why = FolderLock::take(dir.path()).unwrap_err();
            assert!(matches!(why, LockError::NotAFile { .. }), "{why}");
            fs::remove_file(dir.path().join(NAME)).unwrap();
        }
        assert_eq!(fs::read(&there).unwrap(), b"another's");
        assert!(!none.exists());
        // A link to the folder is as good as the folder.
        symlink(dir.path(), dir.path().join("out")).unwrap();
        FolderLock::take(&dir.path().join("out")).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_read_only_folder_is_named() {
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o555)).unwrap();
        if fs::write(dir.path().join("probe"), "").is_ok() {
            eprintln!("SKIPPED: this user may write into any folder");
            return;
        }
        let why = FolderLock::take(dir.path()).unwrap_err();
        assert!(matches!(&why, LockError::Open { why, .. } if why.kind() == io::ErrorKind::PermissionDenied));
    }
}
