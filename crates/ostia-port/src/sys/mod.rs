//! The one place that chooses a platform, and what each platform supplies.
//!
//! # The contract of a back end
//!
//! A `System` is the part of a back end that all threads of a port share: it makes handles, changes and closes
//! them. A [`Driver`] is one thread's part: it starts operations, looks for their ends, and sleeps. Above them
//! stand the rules that hold on every system, so that no back end has to keep them:
//!
//! - on one handle there is at most one operation each way (`turn`), unless its request has no direction (files);
//! - timers, posts, waiting in line and what is offloaded never reach a driver;
//! - whoever holds a `Flight` may use the request's pointers, and ends the operation by giving the flight up.
//!
//! What a driver owes:
//!
//! 1. **Every flight ends once**, by [`Sink::complete`], also after a cancel, also when it fails to start. What
//!    ends inside `submit` or `cancel` goes to [`Sink::later`].
//! 2. **Memory is the kernel's until the kernel is done**: no completion before the kernel has told its own.
//! 3. **The outcome is the operation's own**: a count, a handle, or the system's error code; never guessed from
//!    what else is known. A stream's end is what a receive returned, never what a readiness flag said.
//! 4. **A cancel is a request.** It may come for an operation that has just ended (then nothing happens) or that
//!    wins (then its result counts). A cancelled operation ends with [`error::CODE_CANCELLED`].
//! 5. **Sends and writes are whole**: short transfers are continued here. Receives are as short as they come.
//!    Reads from files (`ReadAt`) are continued until the buffer is full or the file ends.
//! 6. **A wait sleeps at most `timeout`, rounded up, and ends early** when the quay's waker is used. It begins by
//!    handing to the kernel whatever was submitted. `EINTR` and its like end it early and well.
//! 7. **Nothing is unbounded**: what the kernel does not take at once waits in a list of flights, whose number is
//!    that of the slots.
//! 8. **Nothing is allocated for an operation** in the steady state.

pub(crate) mod lending;
#[cfg(target_os = "linux")]
pub(crate) mod linux;
pub(crate) mod offload;
#[cfg(feature = "sim")]
pub(crate) mod sim;
#[cfg(windows)]
pub(crate) mod windows;

use std::{
    io,
    net::{Shutdown, SocketAddr},
    time::{Duration, Instant},
};

use socket2::SockAddr;

use crate::{
    address::Address,
    handle::Kind,
    op::{
        Outcome, slab,
        slot::{Flight, Slot},
    },
    port::{Backend, Config, ListenOptions},
    quay::Quay,
    sink::Sink,
};

// The modules stand outside of it: rustfmt does not look into a macro.
cfg_select! {
    windows => {
        use self::windows as os;
    }
    target_os = "linux" => {
        use self::linux as os;
    }
    _ => {
        compile_error!("ostia-port has no back end for this system: Windows and Linux are what it knows");
    }
}

#[cfg(feature = "sim")]
pub(crate) use os::parts;
pub(crate) use os::{
    Aside, Caller, Memo, MessageHeader, Options, OsRequest, Raw, SLICE_MAX, Slice, SysPath, blocking, error,
    known_peer, local_path, raw_of, shown, slice, socket_path,
};

/// One thread's part of a back end. What its methods owe is written above.
pub(crate) trait Driver {
    /// Starts an operation.
    fn submit(&mut self, flight: Flight, sink: &mut Sink);

    /// Asks for the end of an operation whose flight this driver, or one at the same quay, has. The slot is
    /// pinned: it may end meanwhile, and is not used again before this returns.
    fn cancel(&mut self, slot: &'static Slot, sink: &mut Sink);

    /// Hands over what was submitted, tells what has ended, and sleeps until something ends if nothing has.
    fn wait(&mut self, timeout: Option<Duration>, slots: &slab::Owned, sink: &mut Sink) -> io::Result<()>;

    /// The thread is about to sleep, and looks once more at what may have been left for it: who wakes all from here
    /// on wakes this one, too.
    fn lie_down(&mut self) {}

    /// The earliest timer of the quay is now this one. Called from whichever thread set it, and by the one that has
    /// taken those that were due.
    fn deadline_changed(&mut self, _deadline: Instant) {}

    /// Whether the system wakes one of the sleepers when the earliest timer is due. Otherwise each sleeps at most
    /// until then.
    fn keeps_time(&self) -> bool {
        false
    }

    /// Whether a wait of no time would find nothing and do nothing, as far as that is known without asking the kernel.
    /// `under_way`: whether any operation of this berth is. Asked only where a quay is one berth's.
    fn is_quiet(&self, _under_way: bool) -> bool {
        false
    }

    /// How this thread alone is woken, where several wait at one quay.
    fn caller(&self) -> Option<Caller> {
        None
    }

    /// Which back end this is.
    fn backend(&self) -> Backend;
}

/// The part of a back end that all threads of a port share.
#[derive(Debug)]
pub(crate) enum System {
    Os(os::System),
    #[cfg(feature = "sim")]
    Sim(sim::System),
}

/// One thread's part of whichever back end the port has.
#[derive(Debug)]
pub(crate) enum AnyDriver {
    Os(os::Driver),
    #[cfg(feature = "sim")]
    Sim(sim::Driver),
}

/// Wakes the thread, or one of the threads, that sleep at a quay.
#[derive(Debug)]
pub(crate) enum Waker {
    Os(os::Waker),
    #[cfg(feature = "sim")]
    Sim(sim::Waker),
}

/// One call to whichever it is.
macro_rules! each {
    ($kind:ident, $of:expr, $one:ident => $call:expr) => {
        match $of {
            $kind::Os($one) => $call,
            #[cfg(feature = "sim")]
            $kind::Sim($one) => $call,
        }
    };
}

impl Waker {
    pub(crate) fn wake(&self) -> io::Result<()> {
        each!(Waker, self, waker => waker.wake())
    }

    /// Wakes every thread that sleeps at the quay, also one that has only said that it will; not the calling one.
    pub(crate) fn wake_all(&self) -> io::Result<()> {
        match self {
            #[cfg(windows)]
            Waker::Os(waker) => waker.wake_all(),
            // One thread waits at a quay that is not shared.
            #[cfg(not(windows))]
            Waker::Os(waker) => waker.wake(),
            #[cfg(feature = "sim")]
            Waker::Sim(waker) => waker.wake(),
        }
    }
}

impl Driver for AnyDriver {
    #[inline]
    fn submit(&mut self, flight: Flight, sink: &mut Sink) {
        each!(AnyDriver, self, driver => driver.submit(flight, sink))
    }

    fn cancel(&mut self, slot: &'static Slot, sink: &mut Sink) {
        each!(AnyDriver, self, driver => driver.cancel(slot, sink))
    }

    #[inline]
    fn wait(&mut self, timeout: Option<Duration>, slots: &slab::Owned, sink: &mut Sink) -> io::Result<()> {
        each!(AnyDriver, self, driver => driver.wait(timeout, slots, sink))
    }

    fn lie_down(&mut self) {
        each!(AnyDriver, self, driver => driver.lie_down());
    }

    fn deadline_changed(&mut self, deadline: Instant) {
        each!(AnyDriver, self, driver => driver.deadline_changed(deadline))
    }

    fn keeps_time(&self) -> bool {
        each!(AnyDriver, self, driver => driver.keeps_time())
    }

    #[inline]
    fn is_quiet(&self, under_way: bool) -> bool {
        each!(AnyDriver, self, driver => driver.is_quiet(under_way))
    }

    fn caller(&self) -> Option<Caller> {
        each!(AnyDriver, self, driver => driver.caller())
    }

    fn backend(&self) -> Backend {
        each!(AnyDriver, self, driver => driver.backend())
    }
}

#[cfg(feature = "sim")]
impl AnyDriver {
    /// Whether a wait came to this: that its berth sleeps, in the simulation.
    pub(crate) fn is_asleep(&self, waited: &io::Result<()>) -> bool {
        let would_block = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        matches!(self, AnyDriver::Sim(_)) && waited.as_ref().is_err_and(would_block)
    }
}

impl System {
    /// Opens the back end that is asked for, or the best there is.
    pub(crate) fn open(config: &Config) -> io::Result<System> {
        match config.backend {
            #[cfg(feature = "sim")]
            Backend::Sim => sim::System::open(config).map(System::Sim),
            _ => os::System::open(config).map(System::Os),
        }
    }

    /// The system's own back end, for what only it has.
    #[cfg(windows)]
    pub(crate) fn os(&self) -> io::Result<&os::System> {
        match self {
            System::Os(system) => Ok(system),
            #[cfg(feature = "sim")]
            System::Sim(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Which back end this is.
    pub(crate) fn backend(&self) -> Backend {
        each!(System, self, system => system.backend())
    }

    /// The calling thread's part; its waker is left at the quay.
    pub(crate) fn driver(&self, config: &Config, quay: &'static Quay) -> io::Result<AnyDriver> {
        match self {
            System::Os(system) => system.driver(config, quay).map(AnyDriver::Os),
            #[cfg(feature = "sim")]
            System::Sim(system) => system.driver(config, quay).map(AnyDriver::Sim),
        }
    }

    /// Whether a handle of the one may become one of the other.
    pub(crate) fn shares_handles_with(&self, other: &System) -> bool {
        match (self, other) {
            (System::Os(_), System::Os(_)) => self.backend() == other.backend(),
            #[cfg(feature = "sim")]
            (System::Sim(one), System::Sim(other)) => one.shares_kernel_with(other),
            #[cfg(feature = "sim")]
            _ => false,
        }
    }

    /// Whether all berths of a port wait at one quay.
    pub(crate) fn shares_quay(&self) -> bool {
        matches!(self.backend(), Backend::Iocp)
    }

    /// Whether nothing may run beside the berths: what would be offloaded is theirs to do.
    pub(crate) fn has_no_threads(&self) -> bool {
        match self {
            System::Os(_) => false,
            #[cfg(feature = "sim")]
            System::Sim(_) => true,
        }
    }

    /// Whether the simulation says that no thread can be had for a job.
    pub(crate) fn lacks_thread(&self) -> bool {
        match self {
            System::Os(_) => false,
            #[cfg(feature = "sim")]
            System::Sim(system) => system.lacks_thread(),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        match self {
            System::Os(_) => Instant::now(),
            #[cfg(feature = "sim")]
            System::Sim(system) => system.now(),
        }
    }

    /// A listener, bound and listening.
    pub(crate) fn listen(&self, address: &Address, options: &ListenOptions) -> io::Result<(Raw, Kind)> {
        each!(System, self, system => system.listen(address, options))
    }

    /// A stream that can be connected to such an address; bound, if it is to come from a certain one.
    pub(crate) fn stream(&self, address: &Address, from: Option<SocketAddr>) -> io::Result<(Raw, Kind)> {
        each!(System, self, system => system.stream(address, from))
    }

    /// A socket for datagrams, bound.
    pub(crate) fn datagram(&self, address: &Address) -> io::Result<(Raw, Kind)> {
        each!(System, self, system => system.datagram(address))
    }

    pub(crate) fn connect_datagram(&self, raw: Raw, address: &SockAddr) -> io::Result<()> {
        each!(System, self, system => system.connect_datagram(raw, address))
    }

    /// Makes a raw handle ready for operations of this port.
    pub(crate) fn attach(&self, raw: Raw, kind: Kind, memo: &mut Memo) -> io::Result<()> {
        each!(System, self, system => system.attach(raw, kind, memo))
    }

    /// Closes a handle on which no operation is under way.
    pub(crate) fn close(&self, raw: Raw, kind: Kind, memo: &mut Memo) {
        each!(System, self, system => system.close(raw, kind, memo));
    }

    pub(crate) fn shutdown(&self, raw: Raw, kind: Kind, how: Shutdown) -> io::Result<()> {
        each!(System, self, system => system.shutdown(raw, kind, how))
    }

    /// Whether a stream of this kind has directions that can be closed apart.
    pub(crate) fn has_halves(&self, kind: Kind) -> bool {
        each!(System, self, system => system.has_halves(kind))
    }

    pub(crate) fn local_address(&self, raw: Raw, kind: Kind) -> io::Result<SockAddr> {
        each!(System, self, system => system.local_address(raw, kind))
    }

    pub(crate) fn peer_address(&self, raw: Raw, kind: Kind) -> io::Result<SockAddr> {
        each!(System, self, system => system.peer_address(raw, kind))
    }

    /// Asks the system's socket of a handle something that never waits.
    pub(crate) fn with_socket<T>(
        &self,
        raw: Raw,
        ask: impl FnOnce(&socket2::Socket) -> io::Result<T>,
    ) -> io::Result<T> {
        match self {
            System::Os(_) => os::with_socket(raw, ask),
            #[cfg(feature = "sim")]
            System::Sim(_) => {
                let why = "nothing is behind a simulated socket";
                Err(io::Error::new(io::ErrorKind::Unsupported, why))
            }
        }
    }

    pub(crate) fn nodelay(&self, raw: Raw, kind: Kind) -> io::Result<bool> {
        each!(System, self, system => system.nodelay(raw, kind))
    }

    pub(crate) fn set_nodelay(&self, raw: Raw, kind: Kind, nodelay: bool) -> io::Result<()> {
        each!(System, self, system => system.set_nodelay(raw, kind, nodelay))
    }
}

/// How an operation ends that was cancelled before a back end saw it.
pub(crate) fn cancelled() -> Outcome {
    Outcome::error(error::CODE_CANCELLED)
}
