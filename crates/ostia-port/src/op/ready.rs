//! Waiting for a descriptor that belongs to somebody else.

use std::{convert::Infallible, io};

use super::{Op, Outcome, Request, sealed::Sealed};
use crate::{
    handle::{Foreign, Handle},
    turn::Direction,
};

/// What is waited for, and what came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Readiness {
    /// Reading would not wait: there is data, or the end, or an error to be told.
    Read,
    /// Writing would not wait, or would fail.
    Write,
}

/// Ends when a foreign descriptor is ready. A hint, as readiness always is: somebody else may have been faster.
#[derive(Debug)]
pub struct Ready {
    handle: Handle,
    readiness: Readiness,
}

impl Ready {
    /// Waits until `foreign` is ready.
    pub fn new(foreign: &Foreign, readiness: Readiness) -> Ready {
        Ready { handle: foreign.0.clone(), readiness }
    }
}

impl Sealed for Ready {}

impl Op for Ready {
    type Out = ();
    type Back = ();
    type Item = Infallible;

    fn target(&self) -> Option<(&Handle, Option<Direction>)> {
        let direction = match self.readiness {
            Readiness::Read => Direction::In,
            Readiness::Write => Direction::Out,
        };
        Some((&self.handle, Some(direction)))
    }

    fn prepare(&mut self) -> Request {
        Request::Ready { readiness: self.readiness }
    }

    fn finish(self, outcome: Outcome) -> (io::Result<()>, ()) {
        (outcome.result().map(drop), ())
    }
}
