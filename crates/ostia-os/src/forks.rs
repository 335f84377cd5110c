//! Whether this process was forked off another one: what threads share with the system is its parent's then.

use std::io;

use crate::sys;

/// Sees to it that [`count`] counts from here on. May be called often, from any thread.
///
/// ```
/// ostia_os::forks::watch()?;
/// let before = ostia_os::forks::count();
/// assert_eq!(ostia_os::forks::count(), before, "this is the same process");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// The system's, for want of memory.
pub fn watch() -> io::Result<()> {
    sys::forks::watch()
}

/// How many forks lie between the process that began to [`watch`] and this one: another number than before means that
/// this process is a child. It costs as much as reading a variable.
///
/// # Platforms
///
/// On Linux those are counted that go through the C library's `fork`; not `vfork`, whose child may do nothing but `exec`,
/// and not a bare system call. On Windows nothing is forked: it is always 0.
#[inline]
pub fn count() -> u32 {
    sys::forks::count()
}
