//! The wish of a user or of the system that the program ends, as events.
//!
//! Whoever wants to know opens [`Signals`]: any number may, each with a choice of its own. What comes is kept for
//! each subscription, one bit for each [`Signal`], as the systems themselves do: a signal that comes again before it
//! was looked at is one.
//!
//! | state of a signal in a subscription | leaves it by |
//! |---|---|
//! | not there | the signal comes: *pending*; the descriptor is readable, `wake` is called |
//! | pending | [`Signals::wait`] or [`Signals::try_next`] returns it: *not there* |
//!
//! A signal after which the system ends the process ([`Signal::is_final`]; Windows alone has such) is *held* as well:
//! the system is kept waiting until every subscription that it came to says [`Signals::done`], is dropped, or has
//! used up its patience. Without that the process would be gone before it has cleaned up.
//!
//! While at least one subscription listens to a signal, the signal no longer does what it does by default. When the
//! last one is dropped it does again what it did before the first.

use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::sys;

/// What can come.
///
/// | | Linux | Windows |
/// |---|---|---|
/// | `Interrupt` | SIGINT (ctrl-c) | ctrl-c |
/// | `Terminate` | SIGTERM | never |
/// | `HangUp` | SIGHUP: the terminal is gone | never |
/// | `Break` | never | ctrl-break |
/// | `Close` | never | the console's window is closed |
/// | `LogOff` | never | a user logs off; only services are told |
/// | `Shutdown` | never | the system shuts down; only services are told |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the table above")]
pub enum Signal {
    Interrupt,
    Terminate,
    HangUp,
    Break,
    Close,
    LogOff,
    Shutdown,
}

impl Signal {
    /// All of them. Each asks a program to end.
    pub const ALL: [Signal; Signal::COUNT] = [
        Signal::Interrupt,
        Signal::Terminate,
        Signal::HangUp,
        Signal::Break,
        Signal::Close,
        Signal::LogOff,
        Signal::Shutdown,
    ];

    pub(crate) const COUNT: usize = 7;

    /// True when the system ends the process next, whatever it does: there is time to clean up and no way back.
    pub fn is_final(self) -> bool {
        matches!(self, Signal::Close | Signal::LogOff | Signal::Shutdown)
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Signal::Interrupt => "interrupt",
            Signal::Terminate => "terminate",
            Signal::HangUp => "hang-up",
            Signal::Break => "break",
            Signal::Close => "close",
            Signal::LogOff => "log-off",
            Signal::Shutdown => "shutdown",
        })
    }
}

/// Has a write to a pipe or socket that nobody reads fail with an error instead of ending the process.
///
/// A Rust program starts like that; this is for libraries and programs that another language has started. Programs
/// that the process starts inherit it, unless the standard library starts them.
///
/// # Platforms
///
/// Windows has no such signal, and there is nothing to do.
///
/// # Errors
///
/// The system's.
pub fn ignore_broken_pipes() -> io::Result<()> {
    sys::signals::ignore_broken_pipes()
}

/// A subscription: signals come here from when it is opened until it is dropped.
///
/// ```no_run
/// use ostia_os::signals::{Signal, Signals};
///
/// let signals = Signals::to(Signal::ALL).open()?;
/// let signal = signals.wait(None);
/// println!("ending, because of {signal:?}");
/// // ... clean up; a process that a closed console would end is kept alive until here
/// drop(signals);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Platforms
///
/// On Linux it is `AsFd`: the descriptor can be polled. Signals that the parent had ignored (`nohup`, a shell's
/// background job) stay ignored unless [`Options::even_if_ignored`] is called, and `fork` without `exec` leaves the
/// child without signals.
pub struct Signals {
    pub(crate) inbox: Arc<Inbox>,
}

/// What a subscription should be like; see [`Signals::to`].
#[must_use = "nothing comes until `open` is called"]
pub struct Options {
    wanted: u8,
    even_if_ignored: bool,
    patience: Duration,
    wake: Option<Wake>,
}

type Wake = Box<dyn Fn(Signal) + Send + Sync>;

/// One subscription, as the registry sees it.
pub(crate) struct Inbox {
    /// The signals that are listened to for it.
    heard: u8,
    patience: Duration,
    wake: Option<Wake>,
    pub(crate) doorbell: sys::signals::Doorbell,
    state: Mutex<State>,
    /// Something is pending.
    arrived: Condvar,
    /// The subscriber is done.
    finished: Condvar,
}

#[derive(Default)]
struct State {
    pending: u8,
    /// No final signal needs to be held for this subscriber any more.
    done: bool,
}

impl Signals {
    /// A subscription to these signals, to be opened. Those that a platform does not have never come.
    pub fn to(signals: impl IntoIterator<Item = Signal>) -> Options {
        let wanted = signals.into_iter().fold(0, |all, signal| all | signal.bit());
        Options { wanted, even_if_ignored: false, patience: PATIENCE, wake: None }
    }

    /// The next signal, when one is pending or comes before the time is over. `None` waits for ever. When several
    /// are pending they come in the order of [`Signal::ALL`].
    pub fn wait(&self, timeout: Option<Duration>) -> Option<Signal> {
        let inbox = &*self.inbox;
        let quiet = |state: &mut State| state.pending == 0;
        let state = match timeout {
            None => inbox.arrived.wait_while(inbox.state(), quiet).unwrap_or_else(PoisonError::into_inner),
            Some(timeout) => {
                let waited = inbox.arrived.wait_timeout_while(inbox.state(), timeout, quiet);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        inbox.take(state)
    }

    /// The next signal, if one is pending.
    pub fn try_next(&self) -> Option<Signal> {
        self.inbox.take(self.inbox.state())
    }

    /// True when the signal comes here: it was asked for, and is not ignored for another reason.
    pub fn hears(&self, signal: Signal) -> bool {
        self.inbox.heard & signal.bit() != 0
    }

    /// Says that all is cleaned up: from now on the system need not wait for this subscription with ending the process.
    /// Dropping it says so too.
    pub fn done(&self) {
        self.inbox.finish();
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        registry().remove(&self.inbox);
        // A signal that is being told at this moment must not be held for a subscriber that is gone.
        self.inbox.finish();
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heard: Vec<Signal> = Signal::ALL.into_iter().filter(|&signal| self.hears(signal)).collect();
        f.debug_struct("Signals").field("heard", &heard).finish_non_exhaustive()
    }
}

/// More than any system waits before it ends a process after all (Windows: about 5 seconds for a closed console, 20
/// for a shutdown), so that it is the system's figure that counts.
const PATIENCE: Duration = Duration::from_secs(60);

impl Options {
    /// Has the system wait at most that long for [`Signals::done`]; it has a limit of its own.
    pub fn patience(self, patience: Duration) -> Options {
        Options { patience, ..self }
    }

    /// Has a function called for each signal that comes, after it is pending: to wake an event loop. It is called on
    /// another thread (the same for all subscriptions on Linux, a new one for each signal on Windows), which it
    /// should not keep for long; and it may be called once more while the subscription is being dropped.
    pub fn wake(self, wake: impl Fn(Signal) + Send + Sync + 'static) -> Options {
        Options { wake: Some(Box::new(wake)), ..self }
    }

    /// Listens also to signals that were ignored when the process was started.
    pub fn even_if_ignored(self) -> Options {
        Options { even_if_ignored: true, ..self }
    }

    /// Opens the subscription.
    ///
    /// # Errors
    ///
    /// The system's, when it does not let us listen or has no descriptor or thread left. All is then as it was.
    pub fn open(self) -> io::Result<Signals> {
        let doorbell = sys::signals::Doorbell::new()?;
        let mut registry = registry();
        let heard = registry.listen(self.wanted, self.even_if_ignored)?;
        let inbox = Arc::new(Inbox {
            heard,
            patience: self.patience,
            wake: self.wake,
            doorbell,
            state: Mutex::default(),
            arrived: Condvar::new(),
            finished: Condvar::new(),
        });
        registry.inboxes.push(inbox.clone());
        Ok(Signals { inbox })
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("patience", &self.patience).finish_non_exhaustive()
    }
}

impl Inbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, signal: Signal) {
        {
            let mut state = self.state();
            state.pending |= signal.bit();
            // Under the lock, so that it is never silenced by someone who has not seen this signal.
            self.doorbell.ring();
        }
        self.arrived.notify_all();
        if let Some(wake) = &self.wake {
            // What it breaks is its own; the other subscribers must still be told. The panic has been reported.
            let _ = catch_unwind(AssertUnwindSafe(|| wake(signal)));
        }
    }

    fn take(&self, mut state: MutexGuard<'_, State>) -> Option<Signal> {
        let next = Signal::ALL.into_iter().find(|signal| state.pending & signal.bit() != 0)?;
        state.pending &= !next.bit();
        if state.pending == 0 {
            self.doorbell.silence();
        }
        Some(next)
    }

    fn finish(&self) {
        self.state().done = true;
        self.finished.notify_all();
    }

    /// Waits until the subscriber is done, or the time is over.
    fn hold(&self, since: Instant) {
        let left = self.patience.saturating_sub(since.elapsed());
        let waited = self.finished.wait_timeout_while(self.state(), left, |state| !state.done);
        drop(waited);
    }
}

/// All subscriptions.
struct Registry {
    inboxes: Vec<Arc<Inbox>>,
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry { inboxes: Vec::new() });

fn registry() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Registry {
    fn heard(&self) -> u8 {
        self.inboxes.iter().fold(0, |all, inbox| all | inbox.heard)
    }

    /// Listens to what is wanted and not yet listened to, or to nothing more. Gives what is heard of it.
    fn listen(&self, wanted: u8, even_if_ignored: bool) -> io::Result<u8> {
        let already = self.heard();
        let mut heard = wanted & already;
        for signal in Signal::ALL {
            if wanted & !already & signal.bit() == 0 {
                continue;
            }
            match sys::signals::listen(signal, even_if_ignored) {
                Ok(true) => heard |= signal.bit(),
                Ok(false) => {}
                Err(error) => {
                    unlisten(heard & !already);
                    return Err(error);
                }
            }
        }
        Ok(heard)
    }

    fn remove(&mut self, inbox: &Arc<Inbox>) {
        self.inboxes.retain(|other| !Arc::ptr_eq(other, inbox));
        unlisten(inbox.heard & !self.heard());
    }
}

fn unlisten(signals: u8) {
    for signal in Signal::ALL {
        if signals & signal.bit() != 0 {
            sys::signals::unlisten(signal);
        }
    }
}

/// Tells a signal to everyone who listens to it, and holds a final one. False when nobody does.
///
/// The platform calls it, on a thread where everything is allowed. Windows calls its handlers under a lock of the
/// console's, so whoever holds the registry's must not ask the console for anything that takes that one.
pub(crate) fn deliver(signal: Signal) -> bool {
    let came = Instant::now();
    // Not called under the lock: `wake` may open or drop a subscription.
    let told: Vec<Arc<Inbox>> =
        registry().inboxes.iter().filter(|inbox| inbox.heard & signal.bit() != 0).cloned().collect();
    told.iter().for_each(|inbox| inbox.put(signal));
    if signal.is_final() {
        told.iter().for_each(|inbox| inbox.hold(came));
    }
    !told.is_empty()
}
