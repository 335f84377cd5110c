//! Operations on files by calls that wait, for offload threads.

use crate::{
    op::{Outcome, slot::Flight},
    sys::error,
};

/// Does what is asked for, and waits for it.
pub(crate) fn run(_flight: &mut Flight) -> Outcome {
    Outcome::error(error::CODE_UNSUPPORTED)
}
