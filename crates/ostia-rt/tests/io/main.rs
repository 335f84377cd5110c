//! Streams, datagrams, files and adapters on each back end. One program, since linking one takes longer than running
//! it; what must have a process to itself stands beside this folder.

#[path = "../common/mod.rs"]
mod common;
mod compat;
mod fs;
mod net;
mod places;
mod robust;
