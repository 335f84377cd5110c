//! The runtime from outside: tasks, places, time, what tasks wait for each other with, how it all ends. One program,
//! since linking one takes longer than running it; what must have a process to itself stands beside this folder.

mod blocking;
#[path = "../common/mod.rs"]
mod common;
mod ends;
mod idle;
mod metrics;
mod offload;
mod placement;
mod slices;
mod sync;
mod tasks;
mod time;
