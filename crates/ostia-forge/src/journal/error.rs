//! Why a journal cannot be used, and the way out.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use rusqlite::ErrorCode;

use super::{FILE, schema::VERSION};

/// Why a journal cannot be used.
#[derive(Debug)]
pub struct JournalError {
    /// The journal's file.
    pub path: PathBuf,
    /// What is wrong.
    pub trouble: Trouble,
}

/// What is wrong with a journal.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Trouble {
    /// There is none.
    Missing,
    /// Another program keeps it from being written or read for longer than we wait.
    Busy,
    /// What has its name is a link, a folder or a device, and nothing of ours.
    NotAFile,
    /// A newer ostia has made it.
    Newer(i64),
    /// Another application has.
    Foreign,
    /// It contradicts itself, or is no database at all.
    Damaged(String),
    /// The disk is full.
    Full,
    /// It, or its folder, may not be written.
    ReadOnly(String),
    /// A killed run's last rows are in the file beside it, and the folder is read-only, so that nobody can put them
    /// where they belong.
    Unfinished,
    /// The system refuses something else.
    Io(String),
}

impl JournalError {
    pub(super) fn new(path: &Path, trouble: Trouble) -> JournalError {
        JournalError { path: path.to_owned(), trouble }
    }

    /// What SQLite says.
    pub(super) fn of_sqlite(path: &Path, why: &rusqlite::Error) -> JournalError {
        let said = why.to_string();
        let trouble = match why.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Trouble::Busy,
            Some(ErrorCode::DiskFull) => Trouble::Full,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Trouble::ReadOnly(said),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Trouble::Damaged(said),
            // A table or a column that should be there is not, or what is there breaks a rule of ours.
            Some(ErrorCode::Unknown | ErrorCode::ConstraintViolation) => Trouble::Damaged(said),
            Some(_) => Trouble::Io(said),
            None => match why {
                rusqlite::Error::InvalidPath(_) => Trouble::Io("its path is no Unicode".into()),
                // A value that we never wrote.
                _ => Trouble::Damaged(said),
            },
        };
        JournalError::new(path, trouble)
    }
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        let anew =
            format_args!("delete it (and {FILE}-wal beside it) and run again: everything is made anew");
        match &self.trouble {
            Trouble::Missing => {
                let folder = self.path.parent().unwrap_or(&self.path).display();
                write!(
                    f,
                    "{folder}: there is no journal ({FILE}) in this folder; \
                     `ostia bulk-create KEYS --out {folder}` keeps one beside the tables that it makes"
                )
            }
            Trouble::Busy => {
                write!(f, "{path}: another program has the journal locked; close it and run again")
            }
            Trouble::NotAFile => write!(
                f,
                "{path}: a journal is a file, and this is a link, or none; remove it and run again, or use another \
                 folder"
            ),
            Trouble::Newer(version) => write!(
                f,
                "{path}: this journal is of version {version}, and this ostia knows version {VERSION}; \
                 use a newer ostia, or {anew}"
            ),
            Trouble::Foreign => write!(
                f,
                "{path}: this file is a database of another application; move it away, or use another folder"
            ),
            Trouble::Damaged(what) => write!(f, "{path}: the journal is damaged ({what}); {anew}"),
            Trouble::Full => write!(
                f,
                "{path}: the disk is full; make room and run again: sets that are in the journal are not made again"
            ),
            Trouble::ReadOnly(what) => write!(
                f,
                "{path}: the journal cannot be written ({what}); \
                 make the folder writable, or use another one for the outputs"
            ),
            Trouble::Unfinished => write!(
                f,
                "{path}: a run was killed, its last rows are in {FILE}-wal, and this folder is read-only; \
                 copy both files to a folder that can be written to, and read them there"
            ),
            Trouble::Io(what) => write!(
                f,
                "{path}: the journal cannot be used ({what}); see to the disk, or use another folder for the outputs"
            ),
        }
    }
}

impl std::error::Error for JournalError {}
