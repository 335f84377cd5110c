//! Errors that say which file.

use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
};

/// What lies in the [`io::Error`]s of this module: which file it was, what was to be done with it, and what the system
/// said.
///
/// The outer error has the kind of the system's, and its text is the whole sentence. An error that carries another has
/// no code of its own, so `raw_os_error` is asked of the system's:
///
/// ```
/// use ostia_rt::{Runtime, fs::{self, PathError}};
///
/// let runtime = Runtime::builder().workers_per_node(1).build()?;
/// let error = runtime.block_on(fs::read("no/such/file")).unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
/// assert!(error.to_string().starts_with("cannot open no/such/file: "));
/// let inside = PathError::of(&error).expect("it says which file");
/// assert_eq!(inside.path().to_str(), Some("no/such/file"));
/// assert!(inside.os_error().raw_os_error().is_some());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct PathError {
    verb: &'static str,
    path: PathBuf,
    target: Option<PathBuf>,
    error: io::Error,
}

impl PathError {
    /// What lies in this error, if it is one of this module's.
    pub fn of(error: &io::Error) -> Option<&PathError> {
        error.get_ref()?.downcast_ref()
    }

    /// Which file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it was to be renamed to.
    pub fn target(&self) -> Option<&Path> {
        self.target.as_deref()
    }

    /// What the system said, with its code.
    pub fn os_error(&self) -> &io::Error {
        &self.error
    }

    /// What was to be done with a file, and why it was not.
    #[cold]
    pub(super) fn wrap(
        verb: &'static str,
        path: &Path,
        target: Option<&Path>,
        error: io::Error,
    ) -> io::Error {
        let (path, target) = (path.to_owned(), target.map(Path::to_owned));
        io::Error::new(error.kind(), PathError { verb, path, target, error })
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}", self.verb, self.path.display())?;
        if let Some(target) = &self.target {
            write!(f, " to {}", target.display())?;
        }
        write!(f, ": {}", self.error)
    }
}

impl Error for PathError {
    /// The cause of the system's error, which the text has already told.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}
