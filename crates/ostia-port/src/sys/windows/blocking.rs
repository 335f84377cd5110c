//! Operations on files by calls that wait, for offload threads. Files are opened overlapped, so that reads and
//! writes may be started at the port.

use std::{
    fs, io,
    mem::ManuallyDrop,
    os::windows::{
        fs::OpenOptionsExt,
        io::{FromRawHandle, IntoRawHandle},
    },
    ptr,
};

use windows_sys::Win32::Storage::FileSystem::FILE_FLAG_OVERLAPPED;

use crate::{
    op::{Entry, EntryKind, FileCall, Metadata, OpenOptions, Outcome, Request, slot::Flight},
    sys::error,
};

/// Does what is asked for, and waits for it.
pub(crate) fn run(flight: &mut Flight) -> Outcome {
    let raw = flight.handle().map_or(0, |handle| handle.raw);
    match *flight.request() {
        Request::Sync { data_only: true } => done(borrowed(raw).sync_data()),
        Request::Sync { data_only: false } => done(borrowed(raw).sync_all()),
        Request::SetSize { size } => done(borrowed(raw).set_len(size)),
        // SAFETY: the request's pointers are good while the flight lives, and its holder uses them alone.
        Request::File { call } => of_call(unsafe { &mut *call }, raw),
        _ => Outcome::error(error::CODE_UNSUPPORTED),
    }
}

fn done(result: io::Result<()>) -> Outcome {
    Outcome::of(result, |()| 0)
}

/// A look at a file that belongs to a handle.
fn borrowed(raw: usize) -> ManuallyDrop<fs::File> {
    // SAFETY: the operation holds a handle, which keeps the file open; it is not closed here.
    ManuallyDrop::new(unsafe { fs::File::from_raw_handle(ptr::without_provenance_mut(raw)) })
}

fn of_call(call: &mut FileCall, raw: usize) -> Outcome {
    match call {
        FileCall::Open { path, options } => Outcome::of(open(path.as_path(), *options), |raw| raw),
        FileCall::Metadata { path, follow, answer } => {
            let path = path.as_path();
            let metadata = if *follow { fs::metadata(path) } else { fs::symlink_metadata(path) };
            done(metadata.map(|metadata| *answer = Some(metadata_of(&metadata))))
        }
        FileCall::MetadataOfFile { answer } => {
            done(borrowed(raw).metadata().map(|metadata| *answer = Some(metadata_of(&metadata))))
        }
        FileCall::Rename { source, target } => done(fs::rename(source.as_path(), target.as_path())),
        FileCall::Remove { path } => done(fs::remove_file(path.as_path())),
        FileCall::CreateDir { path } => done(fs::create_dir(path.as_path())),
        FileCall::RemoveDir { path } => done(fs::remove_dir(path.as_path())),
        FileCall::ListDir { path, answer } => done(list(path.as_path()).map(|entries| *answer = entries)),
    }
}

fn open(path: &std::path::Path, options: OpenOptions) -> io::Result<usize> {
    let file = fs::OpenOptions::new()
        .read(options.read)
        .write(options.write)
        .create(options.create)
        .create_new(options.create_new)
        .truncate(options.truncate)
        .custom_flags(FILE_FLAG_OVERLAPPED)
        .open(path)?;
    Ok(file.into_raw_handle().addr())
}

fn kind_of(kind: fs::FileType) -> EntryKind {
    if kind.is_symlink() {
        EntryKind::Link
    } else if kind.is_dir() {
        EntryKind::Directory
    } else if kind.is_file() {
        EntryKind::File
    } else {
        EntryKind::Other
    }
}

fn metadata_of(metadata: &fs::Metadata) -> Metadata {
    Metadata {
        kind: kind_of(metadata.file_type()),
        len: metadata.len(),
        modified: metadata.modified().ok(),
        read_only: metadata.permissions().readonly(),
    }
}

fn list(path: &std::path::Path) -> io::Result<Vec<Entry>> {
    fs::read_dir(path)?
        .map(|entry| {
            let entry = entry?;
            Ok(Entry { name: entry.file_name(), kind: entry.file_type().ok().map(kind_of) })
        })
        .collect()
}
