//! Who is at the other end of a local connection.

use std::{fmt, io};

use crate::sys;

/// A process and the user it runs for.
///
/// # Platforms
///
/// | | how one is found |
/// |---|---|
/// | Linux | `Peer::of_socket`, of a connected Unix socket |
/// | Windows | `Peer::of_pipe_client` and `Peer::of_pipe_server`, of a named pipe |
/// | both | [`Peer::of`], of either, and [`Peer::current`], this process |
#[derive(Debug)]
pub struct Peer {
    pid: Option<u32>,
    user: User,
    process: Option<sys::peer::Process>,
}

impl Peer {
    pub(crate) fn new(pid: Option<u32>, user: User, process: Option<sys::peer::Process>) -> Peer {
        Peer { pid, user, process }
    }

    /// This process.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn current() -> io::Result<Peer> {
        sys::peer::current()
    }

    /// Who is at the other end of a local connection: a Unix socket, or a named pipe whose other end is the side that is
    /// said. See `Peer::of_socket`, `Peer::of_pipe_client` and `Peer::of_pipe_server`.
    ///
    /// # Errors
    ///
    /// The system's: not connected, above all.
    pub fn of(end: &impl LocalEnd, other: Side) -> io::Result<Peer> {
        sys::peer::of(end, other)
    }

    /// The number of the process, where it can be seen. It says who connected, and says little once that process has
    /// ended, as numbers are given again: see [`is_held`](Peer::is_held).
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// The user that the process ran for when it connected (Linux) or was asked about (Windows).
    pub fn user(&self) -> &User {
        &self.user
    }

    /// True when the process is held: its number belongs to it, and to no other, as long as this value lives.
    pub fn is_held(&self) -> bool {
        self.process.is_some()
    }

    /// Whether the process still runs. Nothing when it is not held, as a number alone does not tell.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn is_running(&self) -> io::Result<Option<bool>> {
        self.process.as_ref().map(sys::peer::Process::is_running).transpose()
    }

    /// True when both run for the same user.
    pub fn same_user(&self, other: &Peer) -> bool {
        self.user.is_same(&other.user)
    }
}

pub use crate::sys::peer::LocalEnd;

/// The sides of a local connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Whoever connected.
    Client,
    /// Whoever listened.
    Server,
}

/// A user of the system.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum User {
    /// By number, with the group that was in effect.
    Unix {
        /// The effective user.
        uid: u32,
        /// The effective group.
        gid: u32,
    },
    /// By security identifier.
    Windows(Sid),
}

impl User {
    /// True when it is the same user; the group does not matter.
    pub fn is_same(&self, other: &User) -> bool {
        match (self, other) {
            (User::Unix { uid, .. }, User::Unix { uid: other, .. }) => uid == other,
            (User::Windows(sid), User::Windows(other)) => sid == other,
            (User::Unix { .. }, User::Windows(_)) | (User::Windows(_), User::Unix { .. }) => false,
        }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            User::Unix { uid, .. } => write!(f, "user {uid}"),
            User::Windows(sid) => write!(f, "user {sid}"),
        }
    }
}

/// A security identifier of Windows, written like `S-1-5-18`.
///
/// ```
/// let system = ostia_os::peer::Sid::from_bytes(&[1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0]).unwrap();
/// assert_eq!(system.to_string(), "S-1-5-18");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sid {
    bytes: Vec<u8>,
}

impl Sid {
    /// The identifier with these bytes, as they lie in memory and on disk; nothing when they are none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Sid> {
        // Revision 1, the count of numbers, six bytes of authority, and then the numbers, at most 15.
        let [1, count @ 0..=15, _, _, _, _, _, _, numbers @ ..] = bytes else { return None };
        (numbers.len() == 4 * usize::from(*count)).then(|| Sid { bytes: bytes.to_vec() })
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.bytes[2..8].iter().fold(0u64, |all, &byte| all << 8 | u64::from(byte));
        match u32::try_from(authority) {
            Ok(authority) => write!(f, "S-1-{authority}")?,
            // The way it is written when it is long.
            Err(_) => write!(f, "S-1-0x{authority:012X}")?,
        }
        let (numbers, _) = self.bytes[8..].as_chunks();
        numbers.iter().try_for_each(|&number| write!(f, "-{}", u32::from_le_bytes(number)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn identifiers_are_written_as_windows_writes_them() {
        let check = |bytes: &[u8], expected: &str| {
            let sid = Sid::from_bytes(bytes).expect(expected);
            assert_eq!(sid.to_string(), expected);
            assert_eq!(sid.as_bytes(), bytes);
        };
        check(&[1, 0, 0, 0, 0, 0, 0, 1], "S-1-1");
        check(&[1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0], "S-1-5-32-544");
        check(&[1, 1, 0, 1, 0, 0, 0, 0, 255, 255, 255, 255], "S-1-0x000100000000-4294967295");
    }

    #[test]
    fn users_are_compared_by_who_they_are() {
        let ann = User::Unix { uid: 7, gid: 1 };
        assert!(ann.is_same(&User::Unix { uid: 7, gid: 2 }));
        assert!(!ann.is_same(&User::Unix { uid: 8, gid: 1 }));
        let sid = |last| User::Windows(Sid::from_bytes(&[1, 1, 0, 0, 0, 0, 0, 5, last, 0, 0, 0]).unwrap());
        assert!(sid(18).is_same(&sid(18)));
        assert!(!sid(18).is_same(&sid(19)));
        assert!(!sid(18).is_same(&ann));
        assert_eq!((ann.to_string(), sid(18).to_string()), ("user 7".into(), "user S-1-5-18".into()));
    }

    proptest! {
        #[test]
        fn bytes_are_an_identifier_or_none_and_never_a_panic(mut bytes: Vec<u8>, shape in 0usize..20) {
            if let [first, count, ..] = &mut bytes[..] {
                (*first, *count) = (1, shape as u8);
                bytes.resize(8 + 4 * shape, 7);
            }
            if let Some(sid) = Sid::from_bytes(&bytes) {
                prop_assert_eq!(sid.to_string().split('-').count(), 3 + shape);
            } else {
                prop_assert!(bytes.len() < 2 || shape > 15);
            }
        }
    }
}
