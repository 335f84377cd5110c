//! The foundry: finds, reads, solves, verifies, renders and stores key sets.
//!
//! | to | begin at |
//! |---|---|
//! | do a job of many sets on a runtime | [`job::Foundry::start`] with a [`spec::JobSpec`] |
//! | do it on plain threads | [`threads::run`] |
//! | make one table | [`set::load`], [`set::forge`], [`set::store`] |
//! | see what became of a folder's sets | [`journal::Reader`] |
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
