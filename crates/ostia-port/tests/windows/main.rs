//! What only Windows has, and what the common suite cannot see there.
#![cfg(windows)]

mod kit;
mod sockets;
