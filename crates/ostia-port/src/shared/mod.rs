//! What the threads of a port share without a lock, in pieces small enough for loom to try every order of their steps
//! (`tests/loom.rs`): the state of a slot, a list that runs through its members, and the bell of a quay.

mod bell;
#[expect(unsafe_code, reason = "a list that runs through the slots themselves")]
mod stack;
mod state;

pub(crate) use self::{
    bell::{Bell, Mark},
    stack::{Link, Stack},
    state::{Abandoned, BACK, CANCEL, GO, State},
};
