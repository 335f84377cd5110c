//! The foundry: finds, reads, solves, verifies, renders and stores key sets.
#![forbid(unsafe_code)]

pub mod digest;
pub mod disk;
pub mod find;
pub mod input;
pub mod job;
pub mod journal;
pub mod lock;
pub mod names;
pub mod row;
pub mod set;
pub mod spec;
pub mod store;
pub mod threads;
