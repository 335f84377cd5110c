//! The codes of the errors that the simulation makes: those of the system it runs on, so that they are classed and
//! told as that system's are.

cfg_select! {
    windows => {
        use windows_sys::Win32::{Foundation as f, Networking::WinSock as w};

        pub(super) const AGAIN_LATER: i32 = w::WSAENOBUFS;
        pub(super) const DESCRIPTORS: i32 = w::WSAEMFILE;
        pub(super) const ADDRESS_IN_USE: i32 = w::WSAEADDRINUSE;
        pub(super) const REFUSED: i32 = w::WSAECONNREFUSED;
        pub(super) const RESET: i32 = w::WSAECONNRESET;
        pub(super) const PIPE: i32 = f::ERROR_BROKEN_PIPE as i32;
        pub(super) const CONNECTED: i32 = w::WSAEISCONN;
        pub(super) const NOT_CONNECTED: i32 = w::WSAENOTCONN;
        pub(super) const MESSAGE_SIZE: i32 = w::WSAEMSGSIZE;
        pub(super) const INVALID: i32 = f::ERROR_INVALID_PARAMETER as i32;
        pub(super) const NO_FILE: i32 = f::ERROR_FILE_NOT_FOUND as i32;
        pub(super) const EXISTS: i32 = f::ERROR_FILE_EXISTS as i32;
        pub(super) const NO_DIRECTORY: i32 = f::ERROR_DIRECTORY as i32;
        pub(super) const IS_DIRECTORY: i32 = f::ERROR_ACCESS_DENIED as i32;
        pub(super) const NOT_EMPTY: i32 = f::ERROR_DIR_NOT_EMPTY as i32;
        pub(super) const NOT_ALLOWED: i32 = f::ERROR_ACCESS_DENIED as i32;
        pub(super) const TOO_LARGE: i32 = f::ERROR_DISK_FULL as i32;
    }
    _ => {
        pub(super) const AGAIN_LATER: i32 = libc::ENOBUFS;
        pub(super) const DESCRIPTORS: i32 = libc::EMFILE;
        pub(super) const ADDRESS_IN_USE: i32 = libc::EADDRINUSE;
        pub(super) const REFUSED: i32 = libc::ECONNREFUSED;
        pub(super) const RESET: i32 = libc::ECONNRESET;
        pub(super) const PIPE: i32 = libc::EPIPE;
        pub(super) const CONNECTED: i32 = libc::EISCONN;
        pub(super) const NOT_CONNECTED: i32 = libc::ENOTCONN;
        pub(super) const MESSAGE_SIZE: i32 = libc::EMSGSIZE;
        pub(super) const INVALID: i32 = libc::EINVAL;
        pub(super) const NO_FILE: i32 = libc::ENOENT;
        pub(super) const EXISTS: i32 = libc::EEXIST;
        pub(super) const NO_DIRECTORY: i32 = libc::ENOTDIR;
        pub(super) const IS_DIRECTORY: i32 = libc::EISDIR;
        pub(super) const NOT_EMPTY: i32 = libc::ENOTEMPTY;
        pub(super) const NOT_ALLOWED: i32 = libc::EBADF;
        pub(super) const TOO_LARGE: i32 = libc::EFBIG;
    }
}

/// The error of a call that is not an operation.
pub(super) fn error(code: i32) -> std::io::Error {
    std::io::Error::from_raw_os_error(code)
}
