//! A future that has its time, and no more.

use std::{
    error::Error,
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use pin_project_lite::pin_project;

use super::sleep::{Sleep, sleep, sleep_until};

/// Gives what `future` gives, if it ends within `limit`, counted from this call.
///
/// The future is polled first: one that is ready wins, however late it is asked. Out of time, it is dropped with the
/// [`Timeout`]; what that means is up to the future.
///
/// # Panics
///
/// As [`sleep`](crate::time::sleep).
#[track_caller]
pub fn timeout<F: IntoFuture>(limit: Duration, future: F) -> Timeout<F::IntoFuture> {
    Timeout { future: future.into_future(), sleep: sleep(limit) }
}

/// Gives what `future` gives, if it ends before `deadline`.
///
/// # Panics
///
/// As [`sleep`](crate::time::sleep).
#[track_caller]
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Timeout<F::IntoFuture> {
    Timeout { future: future.into_future(), sleep: sleep_until(deadline) }
}

pin_project! {
    /// What [`timeout`] gives.
    ///
    /// ```
    /// use std::{future::pending, time::Duration};
    /// use ostia_rt::time::{Elapsed, timeout};
    ///
    /// # let runtime = ostia_rt::Runtime::builder().workers_per_node(1).build()?;
    /// let result = runtime.block_on(async { timeout(Duration::from_millis(1), pending::<()>()).await });
    /// assert_eq!(result, Err(Elapsed));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use = "futures do nothing unless they are awaited"]
    #[derive(Debug)]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        sleep: Sleep,
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        Pin::new(this.sleep).poll(cx).map(|()| Err(Elapsed))
    }
}

/// The time was over first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it took longer than it may")
    }
}

impl Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}
