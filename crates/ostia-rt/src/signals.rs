//! The wish of a user or of the system that the program ends.
//!
//! [`Signals`] gives each wish as it comes; [`ctrl_c`] waits for one; [`shutdown_signal`] and
//! [`Runtime::run_until_signal`] are what a program's `main` uses: the first wish asks for the end, and ctrl-c or SIGTERM
//! once more ends at once, whatever the workers are busy with.
//!
//! They work for any executor. From the first to the last subscription the process has a thread that tells of signals
//! on Linux; on Windows the system makes one for each.

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    process,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use atomic_waker::AtomicWaker;
pub use ostia_os::signals::Signal;
use ostia_os::signals::Signals as Subscription;

use crate::runtime::{Runtime, ShutdownReport};

/// What a program exits with that ctrl-c ends at once: what a shell says of one that the signal has ended.
pub const EXIT_CODE: i32 = 130;

/// What a program exits with that a second SIGTERM ends at once: what a shell says of one that the signal has ended.
pub const EXIT_CODE_TERMINATED: i32 = 143;

// `timeout` sends each signal twice, to the process and to its group, and that is one wish. A second is far more than
// lies between the two, and less than any supervisor waits before it asks again.
const SAME_WISH: Duration = Duration::from_secs(1);

/// Signals as they come, from when this is made until it is dropped: meanwhile they no longer do what they do by
/// default. One that comes again before it was taken is one.
///
/// A signal [after which the system ends the process](Signal::is_final) is held until [`Signals::done`] or the drop.
///
/// ```no_run
/// use ostia_rt::signals::{Signal, Signals};
///
/// # async fn example() -> std::io::Result<()> {
/// let mut signals = Signals::to([Signal::HangUp, Signal::Terminate])?;
/// while signals.next().await == Signal::HangUp {
///     // Look at the settings again.
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Signals {
    subscription: Subscription,
    waker: Arc<AtomicWaker>,
}

impl Signals {
    /// Listens to these signals. Those that a platform does not have never come, nor do those that were ignored when
    /// the process was started.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn to(signals: impl IntoIterator<Item = Signal>) -> io::Result<Signals> {
        Signals::with(signals, |_| {})
    }

    /// As [`Signals::to`]; `at_once` is told of each on the thread that hears it.
    fn with(
        signals: impl IntoIterator<Item = Signal>,
        at_once: impl Fn(Signal) + Send + Sync + 'static,
    ) -> io::Result<Signals> {
        let waker = Arc::new(AtomicWaker::new());
        let wakes = Arc::clone(&waker);
        let subscription = Subscription::to(signals).wake(move |signal| {
            wakes.wake();
            at_once(signal);
        });
        Ok(Signals { subscription: subscription.open()?, waker })
    }

    /// The next signal. When several are pending they come in the order of [`Signal::ALL`].
    ///
    /// # Cancel safety
    ///
    /// A dropped wait takes no signal.
    pub async fn next(&mut self) -> Signal {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`Signals::next`].
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Signal> {
        if let Some(signal) = self.subscription.try_next() {
            return Poll::Ready(signal);
        }
        self.waker.register(cx.waker());
        // It may have come before the waker lay there.
        self.subscription.try_next().map_or(Poll::Pending, Poll::Ready)
    }

    /// Whether the signal comes here: it was asked for, and is not ignored.
    pub fn hears(&self, signal: Signal) -> bool {
        self.subscription.hears(signal)
    }

    /// Says that all is cleaned up: a signal after which the system ends the process is held no longer.
    pub fn done(&self) {
        self.subscription.done();
    }
}

/// Waits for ctrl-c.
///
/// It listens from when it is first polled until it ends or is dropped; before and afterwards ctrl-c does what it does
/// by default, and ends the process.
///
/// # Errors
///
/// Those of the system.
pub async fn ctrl_c() -> io::Result<()> {
    Signals::to([Signal::Interrupt])?.next().await;
    Ok(())
}

/// Listens for whatever asks the program to end: any signal there is.
///
/// After the first one some end the process at once, also if no task is ever polled again: so nobody need wait for a
/// program that does not come to its end.
///
/// | after the first | ends at once | with |
/// |---|---|---|
/// | ctrl-c, ctrl-break | always | [`EXIT_CODE`] |
/// | SIGTERM | a second later or more: `timeout` sends one wish twice | [`EXIT_CODE_TERMINATED`] |
/// | all others | never | |
///
/// # Errors
///
/// Those of the system.
pub fn shutdown_signal() -> io::Result<ShutdownSignal> {
    let first = OnceLock::new();
    let signals = Signals::with(Signal::ALL, move |signal| {
        let now = Instant::now();
        // Two may be heard at a time, on Windows: one of them is the first.
        let mut is_first = false;
        let began = *first.get_or_init(|| {
            is_first = true;
            now
        });
        if !is_first && let Some(code) = ends_at_once(signal, now.saturating_duration_since(began)) {
            process::exit(code);
        }
    })?;
    Ok(ShutdownSignal { signals: Some(signals) })
}

/// What the process exits with at once, if it does, for a signal that is not the first, so long after that.
fn ends_at_once(signal: Signal, after_first: Duration) -> Option<i32> {
    match signal {
        Signal::Interrupt | Signal::Break => Some(EXIT_CODE),
        Signal::Terminate if after_first >= SAME_WISH => Some(EXIT_CODE_TERMINATED),
        _ => None,
    }
}

/// See [`shutdown_signal`]: waits until the program is asked to end.
///
/// # Cancel safety
///
/// As long as it is not dropped for good it may be polled again.
#[derive(Debug)]
#[must_use = "a future does nothing until it is polled"]
pub struct ShutdownSignal {
    signals: Option<Signals>,
}

impl Future for ShutdownSignal {
    type Output = Ending;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ending> {
        let signals = self.signals.as_mut().expect("it is not polled after its end");
        let Poll::Ready(signal) = signals.poll_next(cx) else { return Poll::Pending };
        let signals = self.signals.take().expect("just seen");
        Poll::Ready(Ending { signal, _signals: signals })
    }
}

/// The program was asked to end. As long as this is there, ctrl-c or SIGTERM ends it at once (see [`shutdown_signal`]),
/// and a system that ends it anyway is kept waiting, as long as that one lets itself be kept: drop it when all is cleaned
/// up.
#[derive(Debug)]
pub struct Ending {
    signal: Signal,
    _signals: Signals,
}

impl Ending {
    /// What asked for it.
    pub fn signal(&self) -> Signal {
        self.signal
    }
}

/// How a program came to its end: see [`Runtime::run_until_signal`].
#[derive(Debug)]
pub struct Run<T> {
    /// What the future came to, or what asked for the end before it had.
    pub end: Result<T, Signal>,
    /// What became of the runtime.
    pub report: ShutdownReport,
}

impl Runtime {
    /// Runs a program: the future on the calling thread until it has ended or the program is asked to end (then it is
    /// dropped), and then [`Runtime::shutdown`]. While that lasts, ctrl-c or SIGTERM once more ends the process at once:
    /// see [`shutdown_signal`].
    ///
    /// # Errors
    ///
    /// Those of the system, when it does not let us hear of signals; nothing was run then.
    ///
    /// # Panics
    ///
    /// As [`Runtime::block_on`].
    #[track_caller]
    pub fn run_until_signal<F: Future>(
        self,
        future: F,
        grace: Duration,
        deadline: Duration,
    ) -> io::Result<Run<F::Output>> {
        let mut signal = shutdown_signal()?;
        let mut ending = None;
        let end = self.block_on(async {
            let mut future = pin!(future);
            poll_fn(|cx| {
                if let Poll::Ready(output) = future.as_mut().poll(cx) {
                    return Poll::Ready(Ok(output));
                }
                let Poll::Ready(asked) = Pin::new(&mut signal).poll(cx) else { return Poll::Pending };
                let signal = asked.signal();
                ending = Some(asked);
                Poll::Ready(Err(signal))
            })
            .await
        });
        if let Err(signal) = &end {
            tracing::info!(%signal, "the program was asked to end");
        }
        let report = self.shutdown(grace, deadline);
        drop(ending);
        Ok(Run { end, report })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_is_sent_twice_for_one_wish_does_not_end_the_process_at_once() {
        let soon = SAME_WISH - Duration::from_nanos(1);
        for signal in Signal::ALL {
            let (at_once, later) = match signal {
                Signal::Interrupt | Signal::Break => (Some(EXIT_CODE), Some(EXIT_CODE)),
                Signal::Terminate => (None, Some(EXIT_CODE_TERMINATED)),
                _ => (None, None),
            };
            assert_eq!(ends_at_once(signal, Duration::ZERO), at_once, "{signal}");
            assert_eq!(ends_at_once(signal, soon), at_once, "{signal}");
            assert_eq!(ends_at_once(signal, SAME_WISH), later, "{signal}");
        }
    }
}
