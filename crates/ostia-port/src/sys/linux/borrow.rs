//! A stream's descriptor, for calls of the system that this crate has no word for.

use std::os::fd::{AsFd, BorrowedFd};

use crate::handle::Stream;

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is closed with the last clone of the handle, and one is borrowed.
        unsafe { BorrowedFd::borrow_raw(self.raw()) }
    }
}
