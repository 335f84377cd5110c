//! What Win32 and Winsock codes mean, and how an NTSTATUS becomes one of them.

use windows_sys::Win32::{
    Foundation::{
        ERROR_BROKEN_PIPE, ERROR_BUSY, ERROR_CALL_NOT_IMPLEMENTED, ERROR_COMMITMENT_LIMIT,
        ERROR_CONNECTION_ABORTED, ERROR_CONNECTION_REFUSED, ERROR_GEN_FAILURE, ERROR_GRACEFUL_DISCONNECT,
        ERROR_HOST_DOWN, ERROR_HOST_UNREACHABLE, ERROR_LOCK_VIOLATION, ERROR_MORE_DATA,
        ERROR_NETNAME_DELETED, ERROR_NETWORK_UNREACHABLE, ERROR_NO_DATA, ERROR_NO_SYSTEM_RESOURCES,
        ERROR_NOT_ENOUGH_MEMORY, ERROR_NOT_ENOUGH_QUOTA, ERROR_OPERATION_ABORTED, ERROR_OUTOFMEMORY,
        ERROR_PIPE_BUSY, ERROR_PIPE_NOT_CONNECTED, ERROR_PORT_UNREACHABLE, ERROR_SEM_TIMEOUT,
        ERROR_SHARING_VIOLATION, ERROR_TOO_MANY_OPEN_FILES, ERROR_WORKING_SET_QUOTA, RtlNtStatusToDosError,
    },
    Networking::WinSock::{
        WSAECONNABORTED, WSAECONNREFUSED, WSAECONNRESET, WSAEDISCON, WSAEHOSTDOWN, WSAEHOSTUNREACH, WSAEINTR,
        WSAEMFILE, WSAEMSGSIZE, WSAENETDOWN, WSAENETRESET, WSAENETUNREACH, WSAENOBUFS, WSAENOTCONN,
        WSAESHUTDOWN, WSAETIMEDOUT, WSAEWOULDBLOCK,
    },
};

use crate::error::Class;

pub(crate) const CODE_CANCELLED: i32 = ERROR_OPERATION_ABORTED as i32;
/// For an error that has no code of the system.
pub(crate) const CODE_OTHER: i32 = ERROR_GEN_FAILURE as i32;
/// The one of its kind that the standard library calls unsupported.
pub(crate) const CODE_UNSUPPORTED: i32 = ERROR_CALL_NOT_IMPLEMENTED as i32;

/// Codes whose class is not `Fatal`.
const CLASSES: &[(i32, Class)] = &[
    (ERROR_TOO_MANY_OPEN_FILES as i32, Class::Transient),
    (ERROR_NOT_ENOUGH_MEMORY as i32, Class::Transient),
    (ERROR_OUTOFMEMORY as i32, Class::Transient),
    (ERROR_SHARING_VIOLATION as i32, Class::Transient),
    (ERROR_LOCK_VIOLATION as i32, Class::Transient),
    (ERROR_BUSY as i32, Class::Transient),
    (ERROR_PIPE_BUSY as i32, Class::Transient),
    (ERROR_NO_SYSTEM_RESOURCES as i32, Class::Transient),
    (ERROR_WORKING_SET_QUOTA as i32, Class::Transient),
    (ERROR_COMMITMENT_LIMIT as i32, Class::Transient),
    (ERROR_NOT_ENOUGH_QUOTA as i32, Class::Transient),
    (WSAEINTR, Class::Transient),
    (WSAEMFILE, Class::Transient),
    (WSAEWOULDBLOCK, Class::Transient),
    (WSAENOBUFS, Class::Transient),
    (ERROR_NETNAME_DELETED as i32, Class::PeerGone),
    (ERROR_BROKEN_PIPE as i32, Class::PeerGone),
    (ERROR_SEM_TIMEOUT as i32, Class::PeerGone),
    (ERROR_NO_DATA as i32, Class::PeerGone),
    (ERROR_PIPE_NOT_CONNECTED as i32, Class::PeerGone),
    (ERROR_CONNECTION_REFUSED as i32, Class::PeerGone),
    (ERROR_GRACEFUL_DISCONNECT as i32, Class::PeerGone),
    (ERROR_NETWORK_UNREACHABLE as i32, Class::PeerGone),
    (ERROR_HOST_UNREACHABLE as i32, Class::PeerGone),
    (ERROR_PORT_UNREACHABLE as i32, Class::PeerGone),
    (ERROR_CONNECTION_ABORTED as i32, Class::PeerGone),
    (ERROR_HOST_DOWN as i32, Class::PeerGone),
    (WSAENETDOWN, Class::PeerGone),
    (WSAENETUNREACH, Class::PeerGone),
    (WSAENETRESET, Class::PeerGone),
    (WSAECONNABORTED, Class::PeerGone),
    (WSAECONNRESET, Class::PeerGone),
    (WSAENOTCONN, Class::PeerGone),
    (WSAESHUTDOWN, Class::PeerGone),
    (WSAETIMEDOUT, Class::PeerGone),
    (WSAECONNREFUSED, Class::PeerGone),
    (WSAEHOSTDOWN, Class::PeerGone),
    (WSAEHOSTUNREACH, Class::PeerGone),
    (WSAEDISCON, Class::PeerGone),
    (ERROR_OPERATION_ABORTED as i32, Class::Cancelled),
];

pub(crate) fn class(code: i32) -> Class {
    CLASSES.iter().find(|(known, _)| *known == code).map_or(Class::Fatal, |(_, class)| *class)
}

/// What the kernel's general codes are called by Winsock, whose callers know them.
const SOCKET_CODES: &[(u32, i32)] = &[
    (ERROR_NETNAME_DELETED, WSAECONNRESET),
    (ERROR_PORT_UNREACHABLE, WSAECONNRESET),
    (ERROR_CONNECTION_REFUSED, WSAECONNREFUSED),
    (ERROR_CONNECTION_ABORTED, WSAECONNABORTED),
    (ERROR_GRACEFUL_DISCONNECT, WSAEDISCON),
    (ERROR_NETWORK_UNREACHABLE, WSAENETUNREACH),
    (ERROR_HOST_UNREACHABLE, WSAEHOSTUNREACH),
    (ERROR_HOST_DOWN, WSAEHOSTDOWN),
    (ERROR_SEM_TIMEOUT, WSAETIMEDOUT),
    (ERROR_PIPE_NOT_CONNECTED, WSAENOTCONN),
    (ERROR_MORE_DATA, WSAEMSGSIZE),
];

/// The code of an operation on a socket, from the general one.
pub(super) fn of_socket(code: u32) -> i32 {
    SOCKET_CODES.iter().find(|(general, _)| *general == code).map_or(code as i32, |(_, socket)| *socket)
}

/// The Win32 code of an operation's own status; 0 if it succeeded.
pub(super) fn of_status(status: u32) -> u32 {
    if status.cast_signed() >= 0 {
        return 0;
    }
    // SAFETY: the call takes any number.
    unsafe { RtlNtStatusToDosError(status.cast_signed()) }
}

#[cfg(test)]
mod tests {
    use std::io::{self, ErrorKind};

    use super::*;

    /// Every line of the table, by number: what the documentation calls it, and what the table is to say.
    #[test]
    fn each_code_has_the_class_that_its_name_promises() {
        let transient = [4, 8, 14, 32, 33, 170, 231, 1450, 1453, 1455, 1816, 10004, 10024, 10035, 10055];
        let peer_gone = [
            64, 109, 121, 232, 233, 1225, 1226, 1231, 1232, 1234, 1236, 1256, 10050, 10051, 10052, 10053,
            10054, 10057, 10058, 10060, 10061, 10064, 10065, 10101,
        ];
        let check = |code, class| assert_eq!(Class::of(&io::Error::from_raw_os_error(code)), class, "{code}");
        for code in transient {
            check(code, Class::Transient);
        }
        for code in peer_gone {
            check(code, Class::PeerGone);
        }
        check(995, Class::Cancelled);
        // Bad handle, no access, no such file, address in use, invalid argument, disk full.
        for code in [2, 5, 6, 87, 112, 10013, 10022, 10048] {
            check(code, Class::Fatal);
        }
        assert_eq!(transient.len() + peer_gone.len() + 1, CLASSES.len(), "no line of the table is left out");
        assert_eq!(Class::of(&io::Error::other("no code")), Class::Fatal);
    }

    #[test]
    fn a_status_becomes_the_code_that_callers_know() {
        let check = |status, win32, socket| {
            assert_eq!(of_status(status), win32, "{status:#x}");
            assert_eq!(of_socket(win32), socket, "{status:#x}");
        };
        check(0x0000_0000, 0, 0);
        check(0x0000_0103, 0, 0);
        check(0x8000_0005, 234, 10040);
        check(0xc000_0120, 995, 995);
        check(0xc000_0011, 38, 38);
        check(0xc000_014b, 109, 109);
        check(0xc000_00b0, 233, 10057);
        check(0xc000_020d, 64, 10054);
        check(0xc000_0236, 1225, 10061);
        check(0xc000_0241, 1236, 10053);
        check(0xc000_00b5, 121, 10060);
        check(0xc000_023c, 1231, 10051);
        check(0xc000_023d, 1232, 10065);
        check(0xc000_023f, 1234, 10054);
    }

    #[test]
    fn the_standard_library_knows_the_codes_of_sockets() {
        let check = |code: u32, kind| assert_eq!(io::Error::from_raw_os_error(of_socket(code)).kind(), kind);
        check(ERROR_NETNAME_DELETED, ErrorKind::ConnectionReset);
        check(ERROR_CONNECTION_REFUSED, ErrorKind::ConnectionRefused);
        check(ERROR_CONNECTION_ABORTED, ErrorKind::ConnectionAborted);
        check(ERROR_SEM_TIMEOUT, ErrorKind::TimedOut);
        check(ERROR_NETWORK_UNREACHABLE, ErrorKind::NetworkUnreachable);
        check(ERROR_HOST_UNREACHABLE, ErrorKind::HostUnreachable);
        check(CODE_UNSUPPORTED.cast_unsigned(), ErrorKind::Unsupported);
    }
}
