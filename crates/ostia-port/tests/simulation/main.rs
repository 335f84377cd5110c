//! The simulated back end: that it is what it says, and that the port keeps its promises on it whatever the seed.

mod kernel;
mod support;
