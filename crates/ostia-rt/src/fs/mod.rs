//! Files and directories.
//!
//! | what | how |
//! |---|---|
//! | [`File`]: read and write at a place, with buffers that belong to the operation | completion I/O; on epoll the node's offload threads |
//! | [`Cursor`]: the same with a position, for [`io`](crate::io) | one after the other |
//! | whole files: [`read`], [`write()`](write()) | the same, in one piece |
//! | names: [`create_dir`], [`remove_file`], [`rename`], [`read_dir`], [`metadata`] ... | what the back end has: io_uring does most of them itself, offload threads the rest |
//!
//! Every error says which file it was, in its text and as [`PathError`].
//!
//! **Dropped futures.** A dropped read is discarded. A write that has begun is not cancelled: it is completed, and what
//! writes to the same [`File`] later waits for it. What was to be done with a name may have happened or not.
//!
//! What is here is asked for in a task, or inside `block_on`; elsewhere it panics.

mod cursor;
mod error;
mod file;
mod left;

use std::{
    future::Future,
    io,
    path::{Path, PathBuf},
};

pub use ostia_port::op::{Entry, EntryKind, Metadata, OpenOptions};
use ostia_port::{
    Port,
    buf::IoBuf,
    op::{self, Op},
};

pub use self::{cursor::Cursor, error::PathError, file::File};
use crate::{driver::Operation, offload, runtime::Handle};

/// Does something with a path, at the node of the task that asks.
async fn with_path<O: Op<Back = ()>>(
    verb: &'static str,
    path: &Path,
    target: Option<&Path>,
    op: impl FnOnce(&Port) -> io::Result<O>,
) -> io::Result<O::Out> {
    let node = Handle::current().some_node();
    let done = match op(&node.port) {
        Ok(op) => Operation::at(&node.port, op).await.0,
        Err(error) => Err(error),
    };
    done.map_err(|error| PathError::wrap(verb, path, target, error))
}

/// All bytes of a file.
///
/// # Errors
///
/// Those of the system; `OutOfMemory` if the file is larger than there is memory.
pub async fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    File::open(path).await?.read_to_end().await
}

/// Makes a file of these bytes; one that is there is emptied first.
///
/// The bytes are with the system when this returns, and not necessarily on the disk: [`File::sync`] sees to that.
///
/// # Errors
///
/// Those of the system. The file may then have a part of the bytes.
pub async fn write(path: impl AsRef<Path>, bytes: impl IoBuf) -> io::Result<()> {
    let file = File::create(path).await?;
    file.write_all_at(bytes, 0).await.0
}

/// What is at a path; of a link, what it leads to.
///
/// # Errors
///
/// Those of the system.
pub async fn metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    let path = path.as_ref();
    with_path("look at", path, None, |_| op::MetadataOf::new(path, true)).await
}

/// What is at a path; of a link, the link itself.
///
/// # Errors
///
/// Those of the system.
pub async fn symlink_metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    let path = path.as_ref();
    with_path("look at", path, None, |_| op::MetadataOf::new(path, false)).await
}

/// Removes a file, or a link to something.
///
/// # Errors
///
/// Those of the system.
pub async fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref();
    with_path("remove", path, None, |_| op::Remove::new(path)).await
}

/// Gives a file another name, and replaces what had that name.
///
/// # Errors
///
/// Those of the system; the two names have to be on the same file system.
pub async fn rename(source: impl AsRef<Path>, target: impl AsRef<Path>) -> io::Result<()> {
    let (source, target) = (source.as_ref(), target.as_ref());
    with_path("rename", source, Some(target), |_| op::Rename::new(source, target)).await
}

/// What a directory has, in no order; without the entries for itself and its parent.
///
/// # Errors
///
/// Those of the system.
pub async fn read_dir(path: impl AsRef<Path>) -> io::Result<Vec<Entry>> {
    let path = path.as_ref();
    with_path("list", path, None, |_| op::ListDir::new(path)).await
}

/// Makes a directory.
///
/// # Errors
///
/// Those of the system: its parent is not there, or something of that name is.
pub async fn create_dir(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref();
    with_path("make the directory", path, None, |_| op::CreateDir::new(path)).await
}

/// Makes a directory, and those above it that are missing. One that is there already is good.
///
/// # Errors
///
/// Those of the system; `NotADirectory` if something else stands above it, and `AlreadyExists` if that has its own name.
pub async fn create_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref();
    let mut missing = Vec::new();
    // Up to one that is there, or can be made.
    for path in path.ancestors().filter(|path| !path.as_os_str().is_empty()) {
        match make_or_find(path).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(path),
            // Windows says of what would be in a file that it is not found, and only here that there is one.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !missing.is_empty() => {
                let error = io::ErrorKind::NotADirectory.into();
                return Err(PathError::wrap("make the directory", missing[0], None, error));
            }
            made => {
                made?;
                break;
            }
        }
    }
    // And down again.
    for path in missing.into_iter().rev() {
        make_or_find(path).await?;
    }
    Ok(())
}

/// Makes a directory; if there is one, that is as good.
async fn make_or_find(path: &Path) -> io::Result<()> {
    let Err(error) = create_dir(path).await else { return Ok(()) };
    if error.kind() == io::ErrorKind::NotFound {
        return Err(error);
    }
    // A root or a drive that is there may be refused for another reason than that.
    match metadata(path).await {
        Ok(found) if found.kind == EntryKind::Directory => Ok(()),
        _ => Err(error),
    }
}

/// Removes an empty directory.
///
/// # Errors
///
/// Those of the system: it is not empty, or not there.
pub async fn remove_dir(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref();
    with_path("remove the directory", path, None, |_| op::RemoveDir::new(path)).await
}

/// Removes a directory with all that is in it. Links are removed, and not followed, also if somebody puts them there
/// meanwhile: the standard library does it, on an offload thread, since it alone holds on to each directory it is in.
///
/// # Errors
///
/// Those of the system; a part may then have been removed.
///
/// # Cancel safety
///
/// If it has begun it goes on.
pub async fn remove_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path: PathBuf = path.as_ref().to_owned();
    let (result, path) = offload::flat(move || (std::fs::remove_dir_all(&path), path)).await?;
    result.map_err(|error| PathError::wrap("remove the directory", &path, None, error))
}

const _: fn() = || {
    fn is_send<F: Future + Send>(_: F) {}
    is_send(read("a"));
    is_send(write("a", Vec::new()));
    is_send(rename("a", "b"));
    is_send(create_dir_all("a"));
    is_send(remove_dir_all("a"));
};
