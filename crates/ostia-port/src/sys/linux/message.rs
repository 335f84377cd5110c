//! Datagrams as `recvmsg` and `sendmsg` want them. The header and the address lie in the operation's `Message`,
//! which stays where it is until the operation has ended.

use std::ptr;

use socket2::{SockAddr, SockAddrStorage};

use crate::op::{Flags, Message, Outcome};

/// Fills in the header for a receive: where the bytes go, and room for the sender's address.
///
/// # Safety
///
/// The message is that of a flight the caller holds.
pub(crate) unsafe fn for_receiving(message: *mut Message) -> *mut libc::msghdr {
    // SAFETY: the caller holds the flight, so nobody else uses its message.
    let message = unsafe { &mut *message };
    let room = SockAddrStorage::zeroed();
    let len = room.size_of();
    // SAFETY: zeros are an address of no family; its length is that of the room.
    let address = message.address.insert(unsafe { SockAddr::new(room, len) });
    let storage = storage(address);
    fill(message, storage, len)
}

/// Fills in the header for a send: the bytes, and the address if there is one.
///
/// # Safety
///
/// As for [`for_receiving`].
pub(crate) unsafe fn for_sending(message: *mut Message) -> *mut libc::msghdr {
    // SAFETY: as above.
    let message = unsafe { &mut *message };
    let (storage, len) = match &mut message.address {
        Some(address) => (storage(address), address.len()),
        None => (ptr::null_mut(), 0),
    };
    fill(message, storage, len)
}

/// The outcome of a receive of `len` bytes: whether the datagram was cut off, and who sent it.
///
/// # Safety
///
/// As for [`for_receiving`], which filled in the header that the kernel has now written to.
pub(crate) unsafe fn received(message: *mut Message, len: usize) -> Outcome {
    // SAFETY: as above.
    let message = unsafe { &mut *message };
    let header = &message.sys.0;
    let family = libc::socklen_t::try_from(size_of::<libc::sa_family_t>()).expect("two bytes");
    match &mut message.address {
        // A sender without a name, or a socket whose peer is known anyway.
        Some(_) if header.msg_namelen < family => message.address = None,
        Some(address) => {
            let room = SockAddrStorage::zeroed().size_of();
            // SAFETY: the kernel wrote an address of this length; where it was longer than the room, the room.
            unsafe { address.set_length(header.msg_namelen.min(room)) };
        }
        None => {}
    }
    let outcome = Outcome::ok(len);
    if message.sys.0.msg_flags & libc::MSG_TRUNC != 0 { outcome.with(Flags::MORE_DATA) } else { outcome }
}

/// Where the kernel may write the address.
fn storage(address: &mut SockAddr) -> *mut libc::c_void {
    let offset = address.as_ptr().addr() - ptr::from_ref(address).addr();
    // SAFETY: the storage lies inside the value, so many bytes from its beginning.
    unsafe { ptr::from_mut(address).byte_add(offset) }.cast()
}

fn fill(message: &mut Message, name: *mut libc::c_void, len: libc::socklen_t) -> *mut libc::msghdr {
    let header = &mut message.sys.0;
    header.msg_name = name;
    header.msg_namelen = len;
    header.msg_iov = message.slices;
    header.msg_iovlen = message.count;
    header.msg_control = ptr::null_mut();
    header.msg_controllen = 0;
    header.msg_flags = 0;
    header
}
