//! What Win32 and Winsock codes mean.

use windows_sys::Win32::Foundation::{ERROR_GEN_FAILURE, ERROR_NOT_SUPPORTED, ERROR_OPERATION_ABORTED};

use crate::error::Class;

pub(crate) const CODE_CANCELLED: i32 = ERROR_OPERATION_ABORTED as i32;
/// For an error that has no code of the system.
pub(crate) const CODE_OTHER: i32 = ERROR_GEN_FAILURE as i32;
pub(crate) const CODE_UNSUPPORTED: i32 = ERROR_NOT_SUPPORTED as i32;

pub(crate) fn class(code: i32) -> Class {
    if code == CODE_CANCELLED { Class::Cancelled } else { Class::Fatal }
}
