//! The foundry: finds, reads, solves, verifies, renders and stores key sets.
#![forbid(unsafe_code)]

pub mod find;
pub mod input;
pub mod names;
pub mod store;
