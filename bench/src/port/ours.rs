//! Our side of each part.

use crate::port::{echo, files, nop, program::Program, timers, wake};

pub(crate) const ECHO: &[Program<echo::Serve>] = &[];
pub(crate) const NOP: &[Program<nop::Run>] = &[];
pub(crate) const FILES: &[Program<files::Run>] = &[];
pub(crate) const WAKE: &[Program<wake::Run>] = &[];
pub(crate) const TIMERS: &[Program<timers::Run>] = &[];
