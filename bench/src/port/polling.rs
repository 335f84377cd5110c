//! The `polling` crate: epoll behind a portable face.
#![expect(unsafe_code, reason = "its sources are added with a promise that they are taken out again")]

use std::{
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use polling::{Event, Events, PollMode, Poller};
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::port::{
    echo::{self, BUFFER},
    timers::{Due, Found, repeat},
};

/// Echo on level-triggered events, which spare it the re-arming of its usual mode.
pub(crate) fn echo(connections: usize) -> Result<(), String> {
    let streams = echo::accepted(connections)?;
    let poller = Poller::new().map_err(told("create"))?;
    let mut buffers: Vec<_> = streams.iter().map(|_| vec![0; BUFFER]).collect();
    for (index, stream) in streams.iter().enumerate() {
        stream.set_nonblocking(true).map_err(told("O_NONBLOCK"))?;
        // SAFETY: the streams outlive the poller's use of them: they are dropped after it, at the end of this.
        unsafe { poller.add_with_mode(stream, Event::readable(index), PollMode::Level) }
            .map_err(told("add"))?;
    }
    let mut events = Events::with_capacity(NonZeroUsize::new(512).expect("it is not 0"));
    let mut open = streams.len();
    while open > 0 {
        events.clear();
        poller.wait(&mut events, None).map_err(told("wait"))?;
        for event in events.iter() {
            let (stream, buffer) = (&streams[event.key], &mut buffers[event.key]);
            let (read, _) = recv(stream, &mut buffer[..], RecvFlags::empty()).map_err(told("recv"))?;
            if read == 0 {
                poller.delete(stream).map_err(told("delete"))?;
                open -= 1;
                continue;
            }
            let sent = send(stream, &buffer[..read], SendFlags::NOSIGNAL).map_err(told("send"))?;
            if sent < read {
                return Err(format!("polling: the socket took {sent} bytes of {read}"));
            }
        }
    }
    Ok(())
}

/// Timers as its users build them: a heap, and a wait for the first of it.
pub(crate) fn timers(spans: &[Duration]) -> Result<Found, String> {
    let poller = Poller::new().map_err(told("create"))?;
    let mut events = Events::new();
    repeat(spans, |late| {
        let mut due = Due::new(spans);
        while let Some(first) = due.first() {
            let left = first.saturating_duration_since(Instant::now());
            events.clear();
            poller.wait(&mut events, Some(left)).map_err(told("wait"))?;
            due.take(late);
        }
        Ok(())
    })
}

fn told<E: std::fmt::Display>(what: &str) -> impl Fn(E) -> String {
    move |error| format!("polling, {what}: {error}")
}
