//! The waker of a task: a reference to it.

use std::{
    mem::ManuallyDrop,
    ptr::{self, NonNull},
    sync::atomic::Ordering,
    task::{RawWaker, RawWakerVTable, Waker},
};

use super::raw::Header;

static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop);

/// A waker without a reference of its own: it is not dropped.
///
/// # Safety
///
/// The task lives as long as the waker is used.
pub(super) unsafe fn borrowed(header: NonNull<Header>) -> ManuallyDrop<Waker> {
    let raw = RawWaker::new(header.as_ptr().cast_const().cast(), &TABLE);
    // SAFETY: the functions of the table keep the contract of a waker, each with the reference it stands for.
    ManuallyDrop::new(unsafe { Waker::from_raw(raw) })
}

/// Has the task that is being polled go behind the others when its poll returns, if the waker is that task's. What a wake
/// would do, without its locked instruction: nobody but the runner looks at this.
///
/// `running` is the address of the task that the calling thread polls at the moment.
pub(crate) fn put_off(running: *const (), waker: &Waker) -> bool {
    if waker.data() != running || !ptr::eq(waker.vtable(), &TABLE) {
        return false;
    }
    // SAFETY: a waker of this table, by what was just seen.
    let header = unsafe { header(waker.data()) };
    // SAFETY: the waker's reference, or that of its lender, keeps it alive.
    unsafe { header.as_ref() }.is_put_off.store(true, Ordering::Relaxed);
    true
}

/// # Safety
///
/// The pointer is that of a waker of this table.
unsafe fn header(data: *const ()) -> NonNull<Header> {
    // SAFETY: `borrowed` made it from one that is not null.
    unsafe { NonNull::new_unchecked(data.cast_mut().cast()) }
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: the waker's.
    let header = unsafe { header(data) };
    // SAFETY: the waker's reference, or that of its lender, keeps it alive.
    unsafe { header.as_ref() }.state.add_reference();
    RawWaker::new(data, &TABLE)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: the waker's.
    let header = unsafe { header(data) };
    // SAFETY: the waker's reference keeps it alive.
    if unsafe { header.as_ref() }.state.wake_by_value() {
        // SAFETY: the waker's reference goes into the queue.
        unsafe { Header::schedule(header) };
    } else {
        // SAFETY: the waker's reference is given up.
        unsafe { Header::release(header) };
    }
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: the waker's.
    let header = unsafe { header(data) };
    // SAFETY: the waker's reference, or that of its lender, keeps it alive.
    if unsafe { header.as_ref() }.state.wake_by_ref() {
        // SAFETY: `wake_by_ref` has added the reference that goes into the queue.
        unsafe { Header::schedule(header) };
    }
}

unsafe fn drop(data: *const ()) {
    // SAFETY: the waker's.
    let header = unsafe { header(data) };
    // SAFETY: the waker's reference is given up.
    unsafe { Header::release(header) };
}
