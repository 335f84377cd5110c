//! Affinity masks of any length: the C library's fixed type ends at 1,024 CPUs, the kernel's does not.

use std::{io, mem::size_of_val, process};

use crate::CpuSet;

// A mask is an array of `unsigned long`. One of 64-bit words has the same bytes where that is 64 bits long, and on
// any little-endian machine.
const _: () = assert!(cfg!(target_endian = "little") || size_of::<libc::c_ulong>() == 8);

/// Above what any kernel is built for (8,192 CPUs), so that the search for a length ends.
const MAX_WORDS: usize = 1024;

pub(crate) type Previous = CpuSet;

/// What the process may use: the mask of its main thread, since each thread has its own.
pub(crate) fn allowed() -> io::Result<CpuSet> {
    mask_of(process::id().cast_signed())
}

pub(crate) fn current() -> io::Result<CpuSet> {
    mask_of(0)
}

pub(crate) fn bind(cpus: &CpuSet) -> io::Result<Previous> {
    let previous = current()?;
    restore(cpus)?;
    Ok(previous)
}

pub(crate) fn restore(cpus: &CpuSet) -> io::Result<()> {
    let words = cpus.words();
    // SAFETY: the kernel reads that many bytes from the slice, and takes masks of any length.
    let result = unsafe { libc::sched_setaffinity(0, size_of_val(words), words.as_ptr().cast()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A thread can be bound to any set.
pub(crate) fn parts(cpus: &CpuSet) -> Vec<CpuSet> {
    if cpus.is_empty() { Vec::new() } else { vec![cpus.clone()] }
}

fn mask_of(thread: libc::pid_t) -> io::Result<CpuSet> {
    // 16 words are 1,024 CPUs, which is enough but for kernels built for more; those say EINVAL.
    let mut words = vec![0u64; 16];
    loop {
        let bytes = size_of_val(words.as_slice());
        // SAFETY: the kernel writes at most that many bytes, and the vector has them.
        let result = unsafe { libc::sched_getaffinity(thread, bytes, words.as_mut_ptr().cast()) };
        if result >= 0 {
            return Ok(CpuSet::from_words(words));
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINVAL) || words.len() >= MAX_WORDS {
            return Err(error);
        }
        words.resize(words.len() * 2, 0);
    }
}
