//! The foundry: finds, reads, solves, verifies, renders and stores key sets.
#![forbid(unsafe_code)]

pub mod input;
