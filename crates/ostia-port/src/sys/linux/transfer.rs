//! Going on with the rest of a transfer that the kernel took or gave in part.

use crate::op::{Request, slot::Flight};

/// The longest transfer the kernel takes at once.
const LEN_MAX: usize = 0x7fff_f000;

pub(super) fn clip(len: usize) -> usize {
    len.min(LEN_MAX)
}

/// So many bytes more have been transferred: counts them, and lets the request ask for the rest alone. True if nothing
/// is left of it.
pub(super) fn advance(flight: &mut Flight, len: usize) -> bool {
    flight.set_progress(flight.progress() + len);
    match flight.request_mut() {
        Request::Send { buffer, len: left } => {
            *buffer = buffer.wrapping_add(len);
            *left -= len;
            *left == 0
        }
        Request::ReadAt { buffer, len: left, offset } => {
            *buffer = buffer.wrapping_add(len);
            *left -= len;
            *offset += len as u64;
            *left == 0
        }
        Request::WriteAt { buffer, len: left, offset } => {
            *buffer = buffer.wrapping_add(len);
            *left -= len;
            *offset += len as u64;
            *left == 0
        }
        Request::SendVectored { slices, count } => advance_slices(slices, count, len),
        Request::WriteVectoredAt { slices, count, offset } => {
            *offset += len as u64;
            advance_slices(slices, count, len)
        }
        _ => true,
    }
}

/// Drops the slices that are done with, and shortens the one that is done in part. True if none is left.
fn advance_slices(slices: &mut *mut libc::iovec, count: &mut usize, mut len: usize) -> bool {
    while *count > 0 {
        // SAFETY: the request's slices lie in its operation, and are `count`; the flight's holder uses them alone.
        let first = unsafe { &mut **slices };
        if len < first.iov_len {
            first.iov_base = first.iov_base.wrapping_byte_add(len);
            first.iov_len -= len;
            return false;
        }
        len -= first.iov_len;
        *slices = slices.wrapping_add(1);
        *count -= 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_left_behind_one_after_the_other() {
        let mut bytes = [0u8; 10];
        let base = bytes.as_mut_ptr();
        let slice = |from: usize, len| libc::iovec { iov_base: base.wrapping_add(from).cast(), iov_len: len };
        let mut slices = [slice(0, 4), slice(4, 0), slice(4, 6)];
        let (mut first, mut count) = (slices.as_mut_ptr(), slices.len());
        let seen = |first: *mut libc::iovec, count: usize| -> Vec<(usize, usize)> {
            // SAFETY: the pointer and the count are of the array above.
            let left = unsafe { std::slice::from_raw_parts(first, count) };
            left.iter().map(|slice| (slice.iov_base.addr() - base.addr(), slice.iov_len)).collect()
        };
        assert!(!advance_slices(&mut first, &mut count, 3));
        assert_eq!(seen(first, count), [(3, 1), (4, 0), (4, 6)]);
        assert!(!advance_slices(&mut first, &mut count, 1));
        assert_eq!(seen(first, count), [(4, 6)]);
        assert!(!advance_slices(&mut first, &mut count, 5));
        assert_eq!(seen(first, count), [(9, 1)]);
        assert!(advance_slices(&mut first, &mut count, 1));
        assert_eq!(count, 0);
    }
}
