//! What the kernel's error codes mean.

use crate::error::Class;

pub(crate) const CODE_CANCELLED: i32 = libc::ECANCELED;
/// For an error that has no code of the system.
pub(crate) const CODE_OTHER: i32 = libc::EIO;
pub(crate) const CODE_UNSUPPORTED: i32 = libc::EOPNOTSUPP;

/// Codes whose class is not `Fatal`.
const CLASSES: &[(i32, Class)] = &[
    (libc::EAGAIN, Class::Transient),
    (libc::EINTR, Class::Transient),
    (libc::EBUSY, Class::Transient),
    (libc::EMFILE, Class::Transient),
    (libc::ENFILE, Class::Transient),
    (libc::ENOBUFS, Class::Transient),
    (libc::ENOMEM, Class::Transient),
    (libc::ETIMEDOUT, Class::PeerGone),
    (libc::ECONNABORTED, Class::PeerGone),
    (libc::ECONNREFUSED, Class::PeerGone),
    (libc::ECONNRESET, Class::PeerGone),
    (libc::EPIPE, Class::PeerGone),
    (libc::ENOTCONN, Class::PeerGone),
    (libc::EHOSTUNREACH, Class::PeerGone),
    (libc::EHOSTDOWN, Class::PeerGone),
    (libc::ENETUNREACH, Class::PeerGone),
    (libc::ENETDOWN, Class::PeerGone),
    (libc::ENETRESET, Class::PeerGone),
    (libc::ECANCELED, Class::Cancelled),
];

pub(crate) fn class(code: i32) -> Class {
    CLASSES.iter().find(|(known, _)| *known == code).map_or(Class::Fatal, |(_, class)| *class)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn each_code_has_the_class_that_its_name_promises() {
        let check = |code, class| {
            assert_eq!(Class::of(&io::Error::from_raw_os_error(code)), class, "{code}");
        };
        for code in
            [libc::EAGAIN, libc::EINTR, libc::EBUSY, libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM]
        {
            check(code, Class::Transient);
        }
        for code in [libc::ETIMEDOUT, libc::ECONNABORTED, libc::ECONNREFUSED, libc::ECONNRESET, libc::EPIPE] {
            check(code, Class::PeerGone);
        }
        for code in [libc::ENOTCONN, libc::EHOSTUNREACH, libc::EHOSTDOWN, libc::ENETUNREACH, libc::ENETDOWN] {
            check(code, Class::PeerGone);
        }
        check(libc::ENETRESET, Class::PeerGone);
        check(libc::ECANCELED, Class::Cancelled);
        for code in [libc::EBADF, libc::EINVAL, libc::EACCES, libc::ENOENT, libc::EADDRINUSE, libc::ENOSPC] {
            check(code, Class::Fatal);
        }
        assert_eq!(Class::of(&io::Error::other("no code")), Class::Fatal);
    }
}
