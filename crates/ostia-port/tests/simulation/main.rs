//! The simulated back end: that it is what it says, and that the port keeps its promises on it whatever the seed.

mod buffer;
mod kernel;
mod ledger;
mod program;
mod property;
mod support;
