//! What only Windows has, and what the common suite cannot see there.
#![cfg(windows)]

mod berths;
mod files;
mod kit;
mod pipes;
mod raw;
mod sockets;
mod wine;
