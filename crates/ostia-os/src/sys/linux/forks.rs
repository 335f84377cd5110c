//! What the C library runs in each process that is forked off.

use std::{
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

static COUNT: AtomicU32 = AtomicU32::new(0);

extern "C" fn forked() {
    COUNT.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn watch() -> io::Result<()> {
    static IS_WATCHED: Mutex<bool> = Mutex::new(false);
    let mut is_watched = IS_WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
    if *is_watched {
        return Ok(());
    }
    // SAFETY: the function is there as long as the program is, and adds to an atomic number, which is allowed in a child.
    let code = unsafe { libc::pthread_atfork(None, None, Some(forked)) };
    if code != 0 {
        return Err(io::Error::from_raw_os_error(code));
    }
    *is_watched = true;
    Ok(())
}

#[inline]
pub(crate) fn count() -> u32 {
    COUNT.load(Ordering::Relaxed)
}
