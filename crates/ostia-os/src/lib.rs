//! What the operating system offers beside input and output, as safe functions.
//!
//! | module | subject |
//! |---|---|
//! | [`topology`] | nodes, their CPUs, cores, memory and distances; found out or made up |
//! | [`affinity`] | the CPUs that a thread may run on |
//! | [`memory`] | memory that lies on a chosen node |
//! | [`map`] | files as memory, read only |
//! | [`signals`] | the wish of a user or of the system that the program ends |
//! | [`peer`] | who is at the other end of a local connection |
//! | [`limits`] | descriptors, locked memory, CPU time |
//! | [`forks`] | whether this process was forked off another one |
//! | [`timing`] | how exactly a thread's waits end |
//!
//! ```
//! let topology = ostia_os::topology::Topology::detect()?;
//! for node in topology.nodes() {
//!     println!("node {}: CPUs {}", node.id(), node.cpus());
//! }
//! # Ok::<(), std::io::Error>(())
//! ```
#![deny(unsafe_code)]

pub mod affinity;
mod cpus;
pub mod forks;
pub mod limits;
pub mod map;
pub mod memory;
pub mod peer;
pub mod signals;
#[expect(unsafe_code, reason = "system calls; each block states what it rests on")]
mod sys;
pub mod timing;
pub mod topology;

pub use cpus::{CpuSet, UnreadableCpus};

/// Runs what README shows.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
