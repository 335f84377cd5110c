//! The raw door: adopted handles, and overlapped calls that this crate has no word for.

use std::{convert::Infallible, fmt, io, os::windows::io::RawHandle, ptr};

use windows_sys::{
    Wdk::Storage::FileSystem::{FileIoCompletionNotificationInformation, NtQueryInformationFile},
    Win32::{
        Foundation::HANDLE,
        System::{
            IO::{IO_STATUS_BLOCK, OVERLAPPED},
            WindowsProgramming::FILE_SKIP_COMPLETION_PORT_ON_SUCCESS,
        },
    },
};

use super::overlapped::Said;
use crate::{
    handle::{Foreign, Handle},
    op::{Op, Outcome, Request, sealed::Sealed},
    turn::Direction,
};

/// What an overlapped call said when it returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// It succeeded at once.
    Done,
    /// It goes on: `ERROR_IO_PENDING`. So do warnings, such as `ERROR_MORE_DATA`.
    Pending,
    /// It failed with this code, and no packet will come.
    Failed(u32),
}

/// One overlapped call on an adopted handle.
///
/// What the call reads and writes lies in `data`, which the operation owns until the call has ended; then it comes
/// back, with the number of bytes that the system tells.
pub struct RawCall<T, F> {
    handle: Handle,
    data: T,
    call: Option<F>,
}

impl<T, F> fmt::Debug for RawCall<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawCall").field("handle", &self.handle).finish_non_exhaustive()
    }
}

impl<T, F> RawCall<T, F>
where
    T: Send + 'static,
    F: FnOnce(RawHandle, *mut OVERLAPPED, &mut T) -> Started + Send + 'static,
{
    /// Makes `call` on `foreign` when it is submitted. The call is given the handle, an OVERLAPPED that is zeroed
    /// (set the offset if the call has one) and the data, which lies still.
    ///
    /// # Safety
    ///
    /// `call` gives the OVERLAPPED to exactly one call of the system on this handle, tells truly what that said, and
    /// gives that call no memory that might not outlive it: memory of `data`, and constant memory, does.
    pub unsafe fn new(foreign: &Foreign, data: T, call: F) -> RawCall<T, F> {
        RawCall { handle: foreign.0.clone(), data, call: Some(call) }
    }
}

/// What a back end needs to make a raw call.
#[derive(Debug)]
pub struct RawRequest {
    operation: *mut (),
    start: unsafe fn(*mut (), HANDLE, *mut OVERLAPPED) -> Started,
}

impl RawRequest {
    /// # Safety
    ///
    /// The operation is good, and this is the first time.
    pub(super) unsafe fn start(
        operation: *mut (),
        request: StartFn,
        handle: HANDLE,
        to: *mut OVERLAPPED,
    ) -> Said {
        // SAFETY: the caller's promise; the function was made for this operation's type.
        match unsafe { request(operation, handle, to) } {
            Started::Done => Said::Done,
            Started::Pending => Said::Pending,
            Started::Failed(code) => Said::Failed(code),
        }
    }

    pub(super) fn parts(&self) -> (*mut (), StartFn) {
        (self.operation, self.start)
    }
}

pub(super) type StartFn = unsafe fn(*mut (), HANDLE, *mut OVERLAPPED) -> Started;

/// # Safety
///
/// The operation is a `RawCall<T, F>` that nobody else uses.
unsafe fn start<T, F>(operation: *mut (), handle: HANDLE, overlapped: *mut OVERLAPPED) -> Started
where
    F: FnOnce(RawHandle, *mut OVERLAPPED, &mut T) -> Started,
{
    // SAFETY: the caller's promise.
    let operation = unsafe { &mut *operation.cast::<RawCall<T, F>>() };
    let call = operation.call.take().expect("a raw call is made once");
    call(handle, overlapped, &mut operation.data)
}

impl<T, F> Sealed for RawCall<T, F> {}

impl<T, F> Op for RawCall<T, F>
where
    T: Send + 'static,
    F: FnOnce(RawHandle, *mut OVERLAPPED, &mut T) -> Started + Send + 'static,
{
    type Out = usize;
    type Back = T;
    type Item = Infallible;

    fn target(&self) -> Option<(&Handle, Option<Direction>)> {
        Some((&self.handle, None))
    }

    fn prepare(&mut self) -> Request {
        let operation = ptr::from_mut(self).cast();
        Request::Os(super::OsRequest::Raw(RawRequest { operation, start: start::<T, F> }))
    }

    fn finish(self, outcome: Outcome) -> (io::Result<usize>, T) {
        (outcome.result(), self.data)
    }
}

/// Whether somebody has told this handle already to send no packet for what succeeds at once. That cannot be taken
/// back, so it has to be known.
pub(super) fn skips_already(handle: HANDLE) -> bool {
    let mut status = IO_STATUS_BLOCK::default();
    let mut flags = 0_u32;
    // SAFETY: the handle is open; both places live across the call, which waits for nothing.
    let done = unsafe {
        NtQueryInformationFile(
            handle,
            &raw mut status,
            (&raw mut flags).cast(),
            size_of::<u32>() as u32,
            FileIoCompletionNotificationInformation,
        )
    };
    done >= 0 && flags & FILE_SKIP_COMPLETION_PORT_ON_SUCCESS != 0
}
