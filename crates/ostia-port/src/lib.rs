//! The completion port: submit operations, wait for their ends, cancel, post.
//!
//! A [`Port`] is what several threads share; a [`Berth`] is one thread's place at it. A submitted operation owns
//! its buffer until it has ended, and its [`Ticket`] gives both back: the result and the buffer. On Windows the
//! port is an I/O completion port that all berths share; on Linux each berth has an io_uring of its own, or epoll
//! where io_uring is refused. What holds on both is what this crate promises:
//!
//! - an operation ends exactly once, also if it is cancelled, abandoned, or its berth is closed;
//! - its memory belongs to the kernel until the kernel has given it back, whatever becomes of the ticket;
//! - nothing ends inside [`Berth::submit`], and nothing is bounded by memory alone: each queue has a limit, and
//!   says when it is reached.
//!
//! ```
//! use ostia_port::{Batch, Packet, Port, op};
//!
//! let port = Port::open()?;
//! let mut berth = port.berth()?;
//! let mut nop = berth.submit(op::Nop)?;
//!
//! let mut batch = Batch::new();
//! berth.wait(&mut batch, None)?;
//! for packet in batch.drain() {
//!     if let Packet::Done(id) = packet {
//!         assert_eq!(id, nop.id());
//!         nop.poll().expect("it has ended").0?;
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This crate knows no future and no policy. `ostia-rt` makes a runtime of it.

#![deny(unsafe_code)]

mod address;
mod bell;
mod berth;
#[expect(unsafe_code, reason = "buffers promise where their bytes lie")]
pub mod buf;
mod error;
mod handle;
mod loom;
#[expect(unsafe_code, reason = "operations lie in slots that the kernel writes to")]
pub mod op;
mod option;
pub mod os;
mod packet;
mod port;
mod quay;
mod shared;
mod sink;
#[expect(unsafe_code, reason = "the systems' calls")]
mod sys;
mod ticket;
mod timeout;
mod timers;
mod turn;

pub use crate::{
    address::Address,
    bell::Bell,
    berth::{Berth, Refused, Report},
    error::Class,
    handle::{Datagram, File, Foreign, Listener, Stream},
    option::KeepAlive,
    packet::{Batch, Packet, Payload},
    port::{Backend, Builder, Job, ListenOptions, Port, PostError},
    ticket::Ticket,
};

/// The simulated back end, for tests.
#[cfg(feature = "sim")]
pub mod sim {
    pub use crate::sys::sim::{Break, Kernel, Options, State, break_berth, is_asleep, slots_in_use};
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
