//! Operations on files by calls that wait, for offload threads: all of them for epoll, and for io_uring those that its
//! kernel has no operation for.
//!
//! A call that a signal interrupts is made again. A read is asked whether it is still wanted from one piece to the
//! next; a write that has begun is finished.

use std::{
    os::fd::{BorrowedFd, RawFd},
    time::{Duration, SystemTime},
};

use rustix::{
    fs::{self, AtFlags, CWD, FileType, Mode, OFlags, Stat},
    io::{Errno, Result, retry_on_intr},
};

use super::transfer::{advance, clip};
use crate::{
    op::{Entry, EntryKind, FileCall, Metadata, OpenOptions, Outcome, Request, slot::Flight},
    sys::error,
};

/// A read is asked after so many bytes whether it is still wanted.
const PIECE: usize = 4 << 20;

/// After so many entries of a directory its listing is asked the same.
const ENTRIES: usize = 1024;

/// Does what is asked for, and waits for it. Of a transfer that was begun elsewhere, the rest.
pub(crate) fn run(flight: &mut Flight) -> Outcome {
    let raw = flight.handle().map_or(-1, |handle| handle.raw);
    match *flight.request() {
        Request::ReadAt { .. } => read(flight, raw),
        Request::WriteAt { .. } | Request::WriteVectoredAt { .. } => write(flight, raw),
        Request::ReadVectoredAt { slices, count, offset } => {
            let count = count as libc::c_int;
            // SAFETY: the slices and what they lead to are good while the flight lives.
            outcome(call(|| unsafe { libc::preadv64(raw, slices, count, offset as libc::off64_t) }))
        }
        Request::Sync { data_only: false } => done(retry_on_intr(|| fs::fsync(borrow(raw)))),
        Request::Sync { data_only: true } => done(retry_on_intr(|| fs::fdatasync(borrow(raw)))),
        Request::SetSize { size } => done(retry_on_intr(|| fs::ftruncate(borrow(raw), size))),
        Request::File { call } => {
            // SAFETY: the call lies in the operation, which stays where it is, and nobody else uses it.
            let call = unsafe { &mut *call };
            file_call(call, raw, || flight.is_cancelled())
        }
        _ => Outcome::error(error::CODE_UNSUPPORTED),
    }
}

/// How the system is asked to open a file.
pub(super) fn open_flags(options: OpenOptions) -> OFlags {
    let mut flags = OFlags::CLOEXEC;
    flags |= match (options.read, options.write) {
        (_, false) => OFlags::RDONLY,
        (false, true) => OFlags::WRONLY,
        (true, true) => OFlags::RDWR,
    };
    flags.set(OFlags::CREATE, options.create || options.create_new);
    flags.set(OFlags::EXCL, options.create_new);
    flags.set(OFlags::TRUNC, options.truncate && !options.create_new);
    flags
}

/// What a new file allows, before the process's mask: everybody may read and write it.
pub(super) const MODE_OF_FILES: Mode = Mode::from_raw_mode(0o666);
/// The same of a new directory.
pub(super) const MODE_OF_DIRECTORIES: Mode = Mode::from_raw_mode(0o777);

fn borrow<'a>(raw: RawFd) -> BorrowedFd<'a> {
    // SAFETY: the operation keeps its handle, and the handle the descriptor.
    unsafe { BorrowedFd::borrow_raw(raw) }
}

/// Makes a call of the system, again if a signal interrupts it.
pub(super) fn call(mut make: impl FnMut() -> isize) -> std::result::Result<usize, i32> {
    loop {
        if let Ok(done) = usize::try_from(make()) {
            return Ok(done);
        }
        match std::io::Error::last_os_error().raw_os_error() {
            Some(libc::EINTR) => {}
            code => return Err(code.unwrap_or(error::CODE_OTHER)),
        }
    }
}

pub(super) fn outcome(result: std::result::Result<usize, i32>) -> Outcome {
    match result {
        Ok(value) => Outcome::ok(value),
        Err(code) => Outcome::error(code),
    }
}

fn done(result: Result<()>) -> Outcome {
    outcome(result.map(|()| 0).map_err(Errno::raw_os_error))
}

/// Until the buffer is full or the file ends. What was read before an error counts as little as the rest.
fn read(flight: &mut Flight, raw: RawFd) -> Outcome {
    loop {
        let Request::ReadAt { buffer, len, offset } = *flight.request() else { unreachable!("it reads") };
        if flight.is_cancelled() {
            return Outcome::error(error::CODE_CANCELLED);
        }
        let len = len.min(PIECE);
        // SAFETY: the buffer has room for so many bytes, and is the flight's.
        match call(|| unsafe { libc::pread64(raw, buffer.cast(), len, offset as libc::off64_t) }) {
            Ok(0) => return Outcome::ok(flight.progress()),
            Ok(read) => {
                if advance(flight, read) {
                    return Outcome::ok(flight.progress());
                }
            }
            Err(code) => return Outcome::error(code),
        }
    }
}

/// Until everything is written.
fn write(flight: &mut Flight, raw: RawFd) -> Outcome {
    loop {
        let written = match *flight.request() {
            Request::WriteAt { buffer, len, offset } => {
                // SAFETY: so many bytes of the buffer are initialised, and the flight keeps it.
                call(|| unsafe { libc::pwrite64(raw, buffer.cast(), clip(len), offset as libc::off64_t) })
            }
            Request::WriteVectoredAt { slices, count, offset } => {
                let count = count as libc::c_int;
                // SAFETY: the slices and what they lead to are good while the flight lives.
                call(|| unsafe { libc::pwritev64(raw, slices, count, offset as libc::off64_t) })
            }
            _ => unreachable!("it writes"),
        };
        match written {
            Ok(written) => {
                if advance(flight, written) {
                    return Outcome::ok(flight.progress());
                }
                if written == 0 {
                    // A device that takes nothing and says nothing: trying for ever helps nobody.
                    return Outcome::error(error::CODE_OTHER);
                }
            }
            Err(code) => return Outcome::error(code),
        }
    }
}

fn file_call(call: &mut FileCall, raw: RawFd, is_cancelled: impl Fn() -> bool) -> Outcome {
    match call {
        FileCall::Open { path, options } => {
            let flags = open_flags(*options);
            let opened = retry_on_intr(|| fs::open(path.as_c_str(), flags, MODE_OF_FILES));
            outcome(opened.map_err(Errno::raw_os_error).map(|file| {
                let raw = std::os::fd::IntoRawFd::into_raw_fd(file);
                usize::try_from(raw).expect("a descriptor is no negative number")
            }))
        }
        FileCall::Metadata { path, follow, answer } => {
            let flags = if *follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
            let found = retry_on_intr(|| fs::statat(CWD, path.as_c_str(), flags));
            done(found.map(|stat| *answer = Some(metadata(&stat))))
        }
        FileCall::MetadataOfFile { answer } => {
            done(retry_on_intr(|| fs::fstat(borrow(raw))).map(|stat| *answer = Some(metadata(&stat))))
        }
        FileCall::Rename { source, target } => {
            done(retry_on_intr(|| fs::rename(source.as_c_str(), target.as_c_str())))
        }
        FileCall::Remove { path } => done(retry_on_intr(|| fs::unlink(path.as_c_str()))),
        FileCall::CreateDir { path } => {
            done(retry_on_intr(|| fs::mkdir(path.as_c_str(), MODE_OF_DIRECTORIES)))
        }
        FileCall::RemoveDir { path } => done(retry_on_intr(|| fs::rmdir(path.as_c_str()))),
        FileCall::ListDir { path, answer } => match list(path.as_c_str(), answer, is_cancelled) {
            Ok(true) => Outcome::ok(0),
            Ok(false) => Outcome::error(error::CODE_CANCELLED),
            Err(error) => Outcome::error(error.raw_os_error()),
        },
    }
}

/// False if nobody wants the list any more.
fn list(path: &std::ffi::CStr, into: &mut Vec<Entry>, is_cancelled: impl Fn() -> bool) -> Result<bool> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = retry_on_intr(|| fs::open(path, flags, Mode::empty()))?;
    for entry in fs::Dir::new(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        let name = std::os::unix::ffi::OsStrExt::from_bytes(name);
        into.push(Entry { name: std::ffi::OsStr::to_os_string(name), kind: kind(entry.file_type()) });
        if into.len().is_multiple_of(ENTRIES) && is_cancelled() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// None if the file system does not say.
fn kind(file_type: FileType) -> Option<EntryKind> {
    match file_type {
        FileType::RegularFile => Some(EntryKind::File),
        FileType::Directory => Some(EntryKind::Directory),
        FileType::Symlink => Some(EntryKind::Link),
        FileType::Unknown => None,
        _ => Some(EntryKind::Other),
    }
}

#[expect(clippy::unnecessary_cast, reason = "the fields have other types on other processors")]
fn metadata(stat: &Stat) -> Metadata {
    Metadata {
        kind: kind(FileType::from_raw_mode(stat.st_mode)).unwrap_or(EntryKind::Other),
        len: stat.st_size as u64,
        modified: time(stat.st_mtime as i64, stat.st_mtime_nsec as u32),
        read_only: Mode::from_raw_mode(stat.st_mode).intersection(Mode::from_raw_mode(0o222)).is_empty(),
    }
}

/// A time of the system, which may be before 1970.
pub(super) fn time(seconds: i64, nanoseconds: u32) -> Option<SystemTime> {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let at = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(whole)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(whole)
    };
    at?.checked_add(Duration::from_nanos(nanoseconds.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_becomes_flags() {
        let check = |options: OpenOptions, expected: OFlags| {
            assert_eq!(open_flags(options), expected | OFlags::CLOEXEC, "{options:?}");
        };
        let new = OpenOptions::new();
        check(new.read(true), OFlags::RDONLY);
        check(new.write(true), OFlags::WRONLY);
        check(new.read(true).write(true), OFlags::RDWR);
        check(new.write(true).create(true), OFlags::WRONLY | OFlags::CREATE);
        check(new.write(true).create_new(true), OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL);
        check(new.write(true).truncate(true), OFlags::WRONLY | OFlags::TRUNC);
        let all = new.read(true).write(true).create_new(true).truncate(true);
        check(all, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL);
    }

    #[test]
    fn times_before_1970_are_times() {
        let second = Duration::from_secs(1);
        assert_eq!(time(1, 500_000_000), Some(SystemTime::UNIX_EPOCH + second.mul_f64(1.5)));
        assert_eq!(time(-1, 500_000_000), Some(SystemTime::UNIX_EPOCH - second / 2));
        assert_eq!(time(i64::MAX, 0).and_then(|time| time.checked_add(second)), None);
    }
}
