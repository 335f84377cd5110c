//! A stream's handle, for calls of the system that this crate has no word for.

use std::{
    os::windows::io::{AsHandle, BorrowedHandle},
    ptr,
};

use crate::handle::Stream;

impl AsHandle for Stream {
    fn as_handle(&self) -> BorrowedHandle<'_> {
        let raw = ptr::without_provenance_mut(self.raw());
        // SAFETY: the handle is closed with the last clone of ours, and one is borrowed.
        unsafe { BorrowedHandle::borrow_raw(raw) }
    }
}
