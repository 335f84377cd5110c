//! Looks at this process, on Windows.

use windows_sys::Win32::{
    Foundation::{GetHandleInformation, HANDLE, HANDLE_FLAG_INHERIT},
    System::{
        LibraryLoader::{GetModuleHandleW, GetProcAddress},
        Threading::{GetCurrentProcess, GetProcessHandleCount},
    },
};

/// Whether this is Wine and no Windows.
pub(crate) fn is_wine() -> bool {
    let name: Vec<u16> = "ntdll.dll\0".encode_utf16().collect();
    // SAFETY: the name ends with a zero and outlives the call.
    let ntdll = unsafe { GetModuleHandleW(name.as_ptr()) };
    // SAFETY: the module is loaded in every process, and the name ends with a zero.
    unsafe { GetProcAddress(ntdll, c"wine_get_version".as_ptr().cast()) }.is_some()
}

/// How many handles this process has open.
pub(crate) fn open_handles() -> usize {
    // SAFETY: it takes nothing and fails never.
    let process = unsafe { GetCurrentProcess() };
    let mut count = 0;
    // SAFETY: the handle is this process's, and the count outlives the call.
    let done = unsafe { GetProcessHandleCount(process, &raw mut count) };
    assert_ne!(done, 0, "this process may look at itself");
    count as usize
}

/// Whether a child would have the handle, too.
pub(crate) fn is_inheritable(raw: usize) -> bool {
    let mut flags = 0;
    // SAFETY: the caller's handle is open, and the flags outlive the call.
    let done = unsafe { GetHandleInformation(raw as HANDLE, &raw mut flags) };
    assert_ne!(done, 0, "the handle is open");
    flags & HANDLE_FLAG_INHERIT != 0
}
