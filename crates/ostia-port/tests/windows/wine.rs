//! Where Wine is known to do otherwise than Windows.

use std::io::Write;

use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};

/// Whether this is Wine.
pub(crate) fn is_wine() -> bool {
    let name: Vec<u16> = "ntdll.dll\0".encode_utf16().collect();
    // SAFETY: the name ends with a zero.
    let ntdll = unsafe { GetModuleHandleW(name.as_ptr()) };
    // SAFETY: the library is always loaded, and the name ends with a zero.
    !ntdll.is_null() && unsafe { GetProcAddress(ntdll, c"wine_get_version".as_ptr().cast()) }.is_some()
}

/// Checks that something is right on Windows, and on Wine known to be wrong: if Wine mends it, this fails and says so.
#[track_caller]
pub(crate) fn wine_differs(name: &str, right: bool) {
    if is_wine() {
        assert!(!right, "{name}: Wine does as Windows does here now; the test may demand it");
        let _ = writeln!(std::io::stderr(), "WINE-DIFFERS {name}");
    } else {
        assert!(right, "{name}");
    }
}
