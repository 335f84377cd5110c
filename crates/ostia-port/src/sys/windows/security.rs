//! Who may connect to a pipe.
//!
//! Without a descriptor of its own a pipe could be read by everyone. Each preset is a protected list: nothing is
//! inherited, and who is not named has no rights. Nobody but the owner and the system may make further instances
//! of the name; callers over the network are denied by name, unless remote clients are let in.

use std::{
    fmt, io,
    os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle},
    ptr,
};

use windows_sys::Win32::{
    Foundation::{HANDLE, LocalFree},
    Globalization::lstrlenW,
    Security::{
        Authorization::{
            ConvertSidToStringSidW, ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1,
        },
        GetTokenInformation, PSECURITY_DESCRIPTOR, PSID, TOKEN_GROUPS, TOKEN_INFORMATION_CLASS, TOKEN_QUERY,
        TOKEN_USER, TokenLogonSid, TokenUser,
    },
    System::Threading::{
        GetCurrentProcess, GetCurrentThread, OpenProcess, OpenProcessToken, OpenThreadToken,
        PROCESS_QUERY_LIMITED_INFORMATION,
    },
};

/// Who may connect.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Access {
    /// The user this process runs as, and the system.
    #[default]
    OwnerOnly,
    /// Whoever is in the same log-on session.
    SameSession,
    /// Every user who has logged on.
    AuthenticatedUsers,
    /// Whoever this descriptor names, in the system's written form (SDDL).
    Sddl(String),
}

/// Reading and writing, and what the calls for that ask for beside it; not the making of instances, whose bit is
/// that of appending.
const CLIENT_RIGHTS: &str = "0x12019b";

impl Access {
    fn sddl(&self, reject_remote: bool) -> io::Result<String> {
        if let Access::Sddl(sddl) = self {
            return Ok(sddl.clone());
        }
        let deny = if reject_remote { "(D;;GA;;;NU)" } else { "" };
        let owner = own_sid(TokenUser)?;
        let others = match self {
            Access::SameSession => format!("(A;;{CLIENT_RIGHTS};;;{})", own_sid(TokenLogonSid)?),
            Access::AuthenticatedUsers => format!("(A;;{CLIENT_RIGHTS};;;AU)"),
            Access::OwnerOnly | Access::Sddl(_) => String::new(),
        };
        Ok(format!("D:P{deny}(A;;GA;;;SY)(A;;GA;;;{owner}){others}"))
    }
}

/// A descriptor, as calls that make something want it.
pub(super) struct Descriptor(PSECURITY_DESCRIPTOR);

// SAFETY: the memory is this value's alone, and nobody writes to it.
unsafe impl Send for Descriptor {}
// SAFETY: as above.
unsafe impl Sync for Descriptor {}

impl Descriptor {
    pub(super) fn new(access: &Access, reject_remote: bool) -> io::Result<Descriptor> {
        let sddl: Vec<u16> = access.sddl(reject_remote)?.encode_utf16().chain([0]).collect();
        let mut descriptor: PSECURITY_DESCRIPTOR = ptr::null_mut();
        // SAFETY: the text ends with a zero, and the place for the pointer lives across the call.
        let done = unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                sddl.as_ptr(),
                SDDL_REVISION_1,
                &raw mut descriptor,
                ptr::null_mut(),
            )
        };
        if done == 0 { Err(io::Error::last_os_error()) } else { Ok(Descriptor(descriptor)) }
    }

    pub(super) fn as_ptr(&self) -> PSECURITY_DESCRIPTOR {
        self.0
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: the call that made it says that it is freed so.
        unsafe { LocalFree(self.0) };
    }
}

impl fmt::Debug for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Descriptor")
    }
}

/// The identifier of this process's user or log-on session, written out.
fn own_sid(what: TOKEN_INFORMATION_CLASS) -> io::Result<String> {
    // SAFETY: the call gives a number that means this process.
    let process = unsafe { GetCurrentProcess() };
    sid_of(&token_of(process)?, what)
}

fn token_of(process: HANDLE) -> io::Result<OwnedHandle> {
    let mut token: HANDLE = ptr::null_mut();
    // SAFETY: the place for the handle lives across the call; a process that is none is an error.
    let done = unsafe { OpenProcessToken(process, TOKEN_QUERY, &raw mut token) };
    opened(done, token)
}

fn opened(done: i32, handle: HANDLE) -> io::Result<OwnedHandle> {
    if done == 0 || handle.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call that made it succeeded, so the handle is ours.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// The user that a process runs as.
pub(super) fn user_of_process(process: u32) -> io::Result<String> {
    // SAFETY: a number that is no process is an error.
    let process = unsafe { OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, process) };
    let process = opened(1, process)?;
    sid_of(&token_of(process.as_raw_handle())?, TokenUser)
}

/// The user that the calling thread acts as.
pub(super) fn user_of_thread() -> io::Result<String> {
    let mut token: HANDLE = ptr::null_mut();
    // SAFETY: the call gives a number that means this thread.
    let thread = unsafe { GetCurrentThread() };
    // The token is opened as the process, which may look at a client that it may only identify.
    // SAFETY: the place for the handle lives across the call.
    let done = unsafe { OpenThreadToken(thread, TOKEN_QUERY, 1, &raw mut token) };
    sid_of(&opened(done, token)?, TokenUser)
}

/// The identifier of a token's user or log-on session, written out.
fn sid_of(token: &OwnedHandle, what: TOKEN_INFORMATION_CLASS) -> io::Result<String> {
    // Words, so that the structure is aligned; long enough for the longest identifier.
    let mut room = [0_u64; 64];
    let mut len = 0;
    let room_len = size_of_val(&room) as u32;
    // SAFETY: there is room for so many bytes, and both live across the call.
    let done = unsafe {
        GetTokenInformation(token.as_raw_handle(), what, room.as_mut_ptr().cast(), room_len, &raw mut len)
    };
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    let sid: PSID = if what == TokenUser {
        // SAFETY: a success leaves this structure there.
        unsafe { (*room.as_ptr().cast::<TOKEN_USER>()).User.Sid }
    } else {
        // SAFETY: as above; for a log-on session it is a list of one.
        let groups = unsafe { &*room.as_ptr().cast::<TOKEN_GROUPS>() };
        if groups.GroupCount == 0 {
            return Err(io::ErrorKind::NotFound.into());
        }
        groups.Groups[0].Sid
    };
    let mut text: *mut u16 = ptr::null_mut();
    // SAFETY: the identifier lies in the room above, and the place for the pointer lives across the call.
    if unsafe { ConvertSidToStringSidW(sid, &raw mut text) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call left a text that ends with a zero.
    let len = unsafe { lstrlenW(text) } as usize;
    // SAFETY: as above.
    let written = String::from_utf16_lossy(unsafe { std::slice::from_raw_parts(text, len) });
    // SAFETY: the call says that the text is freed so.
    unsafe { LocalFree(text.cast()) };
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_list_names_the_owner_and_the_system_and_nobody_else() {
        let sddl = Access::OwnerOnly.sddl(true).expect("this process has a user");
        assert!(sddl.starts_with("D:P(D;;GA;;;NU)(A;;GA;;;SY)(A;;GA;;;S-1-5-"), "{sddl}");
        assert_eq!(sddl.matches("(A;").count(), 2, "{sddl}");
    }

    #[test]
    fn others_may_connect_and_make_no_instance() {
        let sddl = Access::AuthenticatedUsers.sddl(true).expect("this process has a user");
        assert!(sddl.ends_with("(A;;0x12019b;;;AU)"), "{sddl}");
        // The right to make an instance has the bit of appending.
        assert_eq!(0x0012_019b & 4, 0);
        Descriptor::new(&Access::AuthenticatedUsers, false).expect("the system understands it");
    }

    #[test]
    fn a_text_that_is_none_is_refused() {
        let refused = Descriptor::new(&Access::Sddl("nobody".to_owned()), true);
        refused.expect_err("no descriptor was written there");
    }
}
