//! An async runtime on completion I/O: IOCP on Windows, io_uring or epoll on Linux.
//!
//! A [`Runtime`] has a node for each NUMA node, and each node has workers, bound to its CPUs, which share its work: a
//! task may be stolen inside its node and never leaves it. An operation stays with the worker that began it; what it
//! owns comes back with its result.
//!
//! ```
//! use ostia_rt::Runtime;
//!
//! let runtime = Runtime::new()?;
//! let answer = runtime.block_on(async {
//!     let task = ostia_rt::spawn(async {
//!         ostia_rt::yield_now().await;
//!         6 * 7
//!     });
//!     task.await.expect("it does not panic")
//! });
//! assert_eq!(answer, 42);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Whoever listens by `tracing` at the level `TRACE` sees a span `poll` around each turn of a task, with its name, its node
//! and its worker; at `INFO` how many threads were started; at `WARN` what was given up, and why.
//!
//! This crate knows no protocol, and no operating system: what differs by system is asked of `ostia-port` and
//! `ostia-os`.

// What loom tries is built into `tests/loom.rs`, piece by piece; threads and clocks are none of it.
#![cfg(not(loom))]
#![deny(unsafe_code)]

mod blocking;
mod cells;
#[cfg(any(feature = "futures-io", feature = "hyper", feature = "tokio-io"))]
pub mod compat;
mod context;
mod driver;
pub mod fs;
pub mod io;
pub mod limiter;
mod loom;
mod lost;
pub mod metrics;
pub mod net;
mod node;
mod offload;
mod permits;
mod placement;
pub mod pool;
mod runtime;
pub mod scope;
pub mod signals;
#[cfg(feature = "sim")]
pub mod sim;
mod slice;
mod stall;
pub mod stdio;
pub mod sync;
#[expect(unsafe_code, reason = "a future in memory that several threads know")]
mod task;
mod threads;
pub mod time;
mod wake;
mod worker;
mod yields;

use std::future::Future;

pub use ostia_port::{Backend, Class};

pub use crate::{
    blocking::blocking,
    limiter::Limiter,
    lost::LostWorker,
    offload::{offload, spawn_blocking},
    placement::Placement,
    runtime::{Builder, Handle, PendingTask, Runtime, ShutdownReport},
    scope::Scope,
    slice::{Breathe, Compute, ComputePieces, Pieces, Slice, breathe, compute, compute_pieces},
    task::{AbortHandle, AbortOnDrop, JoinError, JoinHandle},
    threads::{NodeThreads, Threads},
    yields::{YieldNow, yield_now},
};

/// Spawns a task on the runtime of the task that asks: see [`Handle::spawn`].
///
/// # Panics
///
/// On a thread of no runtime.
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    node::spawn_here(future).unwrap_or_else(|future| Handle::current().spawn(future))
}

/// Spawns a task that stays with the worker of the task that asks: neither it nor its result need be `Send`.
///
/// # Panics
///
/// On a thread that is not a worker's.
#[track_caller]
pub fn spawn_local<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    context::with(|here| node::spawn_local(here.expect("a local task is spawned by a task"), None, future))
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
