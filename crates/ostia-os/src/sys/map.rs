//! Mapping, which one library does for both systems.

use std::{fs::File, io};

use memmap2::Mmap;

/// Maps a whole file for reading.
pub(crate) fn read_only(file: &File) -> io::Result<Mmap> {
    // SAFETY: the mapping is private to us, read only, and unmapped when the value is dropped, as Mmap's owner sees
    // to. What remains is that another process shortens or rewrites the file: no system offers a way to rule that
    // out, and `crate::map` hands the duty to whoever opens the file, in the words of its documentation.
    unsafe { Mmap::map(file) }
}
