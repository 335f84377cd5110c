//! Operations that move nothing.

use std::{
    convert::Infallible,
    io,
    time::{Duration, Instant},
};

use super::{Op, Outcome, Request, sealed::Sealed};
use crate::{port::Port, timeout};

/// Ends well, after one round through the kernel where the back end has one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nop;

impl Sealed for Nop {}

impl Op for Nop {
    type Out = ();
    type Back = ();
    type Item = Infallible;

    #[inline]
    fn prepare(&mut self) -> Request {
        Request::Nop
    }

    #[inline]
    fn finish(self, outcome: Outcome) -> (io::Result<()>, ()) {
        (outcome.result().map(drop), ())
    }
}

/// Ends well at a certain time, never before it.
#[derive(Debug, Clone, Copy)]
pub struct Timer {
    deadline: Instant,
}

impl Timer {
    /// Ends at `deadline`, by the port's clock.
    pub fn at(deadline: Instant) -> Timer {
        Timer { deadline }
    }

    /// Ends after `delay`, counted from now by the port's clock.
    pub fn after(port: &Port, delay: Duration) -> Timer {
        Timer { deadline: timeout::deadline(port.now(), delay) }
    }
}

impl Sealed for Timer {}

impl Op for Timer {
    type Out = ();
    type Back = ();
    type Item = Infallible;

    fn prepare(&mut self) -> Request {
        Request::Timer(self.deadline)
    }

    fn finish(self, outcome: Outcome) -> (io::Result<()>, ()) {
        (outcome.result().map(drop), ())
    }
}
