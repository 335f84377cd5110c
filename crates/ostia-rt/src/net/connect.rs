//! Connecting to the first of several addresses that answers.

use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
    vec,
};

use ostia_port::{Stream, op::Connect};

use super::{resolve::in_turns, tcp::port};
use crate::{
    driver::Operation,
    time::{Sleep, now, sleep},
};

/// So long an attempt is alone before the next one joins it: the usual figure, longer than most ways round the world.
const STAGGER: Duration = Duration::from_millis(250);

/// Attempts at several addresses, each begun a while after the one before, or at once when that has failed. Those that
/// are under way when this is dropped, also because one has won, close their sockets.
struct Attempts {
    rest: vec::IntoIter<SocketAddr>,
    under_way: Vec<Operation<Connect>>,
    error: Option<io::Error>,
}

/// The first connection of all.
pub(super) async fn first_of(addresses: &[SocketAddr]) -> io::Result<Stream> {
    let mut attempts = Attempts { rest: in_turns(addresses).into_iter(), under_way: Vec::new(), error: None };
    attempts.begin();
    let mut next = pin!(sleep(STAGGER));
    poll_fn(|cx| attempts.poll(next.as_mut(), cx)).await
}

pub(super) fn operation(address: SocketAddr) -> io::Result<Operation<Connect>> {
    let address = address.into();
    let stream = port().stream(&address)?;
    Ok(Operation::new(Connect::new(stream, &address)?))
}

impl Attempts {
    /// Begins the next that can be begun; false if there is none.
    fn begin(&mut self) -> bool {
        while let Some(address) = self.rest.next() {
            match operation(address) {
                Ok(attempt) => {
                    self.under_way.push(attempt);
                    return true;
                }
                Err(error) => self.fail(error),
            }
        }
        false
    }

    /// The first error is told if all fail: it is that of the address which the caller meant most.
    fn fail(&mut self, error: io::Error) {
        self.error.get_or_insert(error);
    }

    fn poll(&mut self, mut next: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        loop {
            let mut has_failed = false;
            let mut at = 0;
            while let Some(attempt) = self.under_way.get_mut(at) {
                match Pin::new(attempt).poll(cx) {
                    Poll::Ready((Ok(()), stream)) => return Poll::Ready(Ok(stream)),
                    Poll::Ready((Err(error), _)) => {
                        drop(self.under_way.remove(at));
                        self.fail(error);
                        has_failed = true;
                    }
                    Poll::Pending => at += 1,
                }
            }
            let is_time = self.rest.len() > 0 && (has_failed || next.as_mut().poll(cx).is_ready());
            if is_time && self.begin() {
                next.as_mut().reset(now() + STAGGER);
                // What has just been begun has to be polled, and so has the timer.
                continue;
            }
            if self.under_way.is_empty() {
                let nobody =
                    || io::Error::new(io::ErrorKind::InvalidInput, "there is no address to connect to");
                return Poll::Ready(Err(self.error.take().unwrap_or_else(nobody)));
            }
            return Poll::Pending;
        }
    }
}
