//! epoll: readiness made into completion.

use std::{io, os::fd::RawFd, time::Duration};

use crate::{
    op::{
        slab::Owned,
        slot::{Flight, Slot},
    },
    quay::Quay,
    sink::Sink,
    sys::error,
};

#[derive(Debug, Default)]
pub(crate) struct Memo;

impl Memo {
    pub(crate) fn forget(&mut self, _raw: RawFd) {}
}

#[derive(Debug)]
pub(crate) struct Waker;

impl Waker {
    pub(crate) fn wake(&self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct Driver;

impl Driver {
    pub(crate) fn open(_quay: &'static Quay) -> io::Result<Driver> {
        Err(io::Error::from_raw_os_error(error::CODE_UNSUPPORTED))
    }

    pub(crate) fn submit(&mut self, _flight: Flight, _sink: &mut Sink) {}

    pub(crate) fn cancel(&mut self, _slot: &'static Slot, _sink: &mut Sink) {}

    pub(crate) fn wait(&mut self, _timeout: Option<Duration>, _slots: &Owned, _sink: &mut Sink) -> io::Result<()> {
        Ok(())
    }
}
