//! How files are opened whose names somebody may have given to something else.
//!
//! What a path leads to is only sure once it is open. So it is opened in a way that does no harm whatever it is, and
//! looked at then.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::Path,
};

/// Opens a file to be read, and tells its length. `None` when what is there is no regular file; that is not waited
/// for, as a pipe's other end may never come, and a device never end.
///
/// # Errors
/// When there is nothing, or it may not be opened.
pub(super) fn regular(path: &Path) -> io::Result<Option<(File, u64)>> {
    let opened = match to_read().open(path) {
        // Not ready: another program has a lease on the file, which it gives up for one who waits.
        Err(why) if why.kind() == io::ErrorKind::WouldBlock && is_file(path) => File::open(path),
        // A folder on Windows, a socket elsewhere.
        Err(_) if fs::metadata(path).is_ok_and(|m| !m.is_file()) => return Ok(None),
        opened => opened,
    };
    let file = opened?;
    let metadata = file.metadata()?;
    Ok(metadata.is_file().then_some((file, metadata.len())))
}

/// Opens a file of ours to be read and written, or makes it. `None` when what is there is no regular file, or a link,
/// whose target is not ours.
///
/// # Errors
/// When it may not be opened, or cannot be made.
pub(crate) fn own(path: &Path) -> io::Result<Option<File>> {
    // Not truncated: what is in it may be another's.
    let opened = to_own().read(true).write(true).create(true).truncate(false).open(path);
    match opened {
        Ok(file) => Ok(file.metadata()?.is_file().then_some(file)),
        // Systems differ in how they refuse it.
        Err(_) if fs::symlink_metadata(path).is_ok_and(|m| !m.is_file()) => Ok(None),
        Err(why) => Err(why),
    }
}

fn is_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|m| m.is_file())
}

cfg_select! {
    unix => {
        use std::os::unix::fs::OpenOptionsExt;

        use rustix::fs::OFlags;

        /// No end of a pipe is waited for, and no terminal becomes the process's own.
        const HARMLESS: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY);

        fn to_read() -> OpenOptions {
            let mut options = OpenOptions::new();
            options.read(true).custom_flags(HARMLESS.bits().cast_signed());
            options
        }

        fn to_own() -> OpenOptions {
            let mut options = OpenOptions::new();
            options.custom_flags(HARMLESS.union(OFlags::NOFOLLOW).bits().cast_signed());
            options
        }
    }
    windows => {
        use std::os::windows::fs::OpenOptionsExt;

        // A link itself is opened, not what it leads to, and tells that it is one.
        const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;

        fn to_read() -> OpenOptions {
            let mut options = OpenOptions::new();
            options.read(true);
            options
        }

        fn to_own() -> OpenOptions {
            let mut options = OpenOptions::new();
            options.custom_flags(FILE_FLAG_OPEN_REPARSE_POINT);
            options
        }
    }
}
