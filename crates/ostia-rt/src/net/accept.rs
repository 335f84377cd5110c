//! Accepting: one operation that goes on as long as its listener, and whoever takes from it.

use std::{
    future::poll_fn,
    io,
    sync::{Mutex, PoisonError},
    task::Poll,
};

use ostia_port::{Class, Listener, Stream, Ticket, op::AcceptMany};

use super::turn::Turn;
use crate::{
    driver::{Next, Operation},
    loom::lock,
    placement::Placement,
    runtime::Handle,
};

/// A listener, and the operation that accepts for it from the first accept on. Streams that nobody has taken yet wait
/// in its ticket, so a dropped accept loses none; they are of no node until they are taken.
#[derive(Debug)]
pub(crate) struct Accepting {
    pub(crate) listener: Listener,
    /// Whoever has it awaits the operation; the others wait in line.
    turn: Turn,
    operation: Mutex<Option<Operation<AcceptMany>>>,
}

impl Accepting {
    pub(crate) fn new(listener: Listener) -> Accepting {
        Accepting { listener, turn: Turn::new(), operation: Mutex::new(None) }
    }

    /// A stream of the listener's node.
    pub(crate) async fn accept(&self) -> io::Result<Stream> {
        self.take(Ticket::next).await
    }

    /// A stream of the node that the policy names, and where there: chosen when there is a stream.
    pub(crate) async fn accept_at(&self, placement: Placement) -> io::Result<(Stream, Placement)> {
        let runtime = Handle::current();
        runtime.shared.may_place_accepted(&self.listener, placement)?;
        let mut chosen = placement;
        let stream = self.take(|ticket| {
            ticket.next_onto(|| {
                let place = runtime.shared.place_accepted(&self.listener, placement);
                chosen = Placement::Fixed { node: place.node, worker: place.worker };
                runtime.shared.node(place.node).port.clone()
            })
        });
        Ok((stream.await?, chosen))
    }

    /// Ends it: what nobody has taken is closed, and when this returns the system has let go of the listener.
    pub(crate) async fn close(self) -> io::Result<()> {
        let Accepting { listener, operation, .. } = self;
        let operation = operation.into_inner().unwrap_or_else(PoisonError::into_inner);
        let ended = match operation {
            Some(mut operation) => poll_fn(|cx| operation.poll_ended(cx)).await,
            None => None,
        };
        drop(listener);
        ended.unwrap_or(Ok(()))
    }

    async fn take(
        &self,
        mut take: impl FnMut(&mut Ticket<AcceptMany>) -> Option<io::Result<Stream>>,
    ) -> io::Result<Stream> {
        let _turn = self.turn.enter().await;
        loop {
            let next = poll_fn(|cx| {
                let mut place = lock(&self.operation);
                let operation = place.get_or_insert_with(|| Operation::new(AcceptMany::new(&self.listener)));
                let next = operation.poll_next(cx, &mut take);
                if let Poll::Ready(Next::Ended(_)) = next {
                    *place = None;
                }
                next
            });
            match next.await {
                Next::Item(accepted) => return accepted,
                // As many wait as may, or its worker has ended; nobody else asks for its end.
                Next::Ended(Ok(())) => {}
                Next::Ended(Err(error)) if Class::of(&error) == Class::Cancelled => {}
                Next::Ended(Err(error)) => return Err(error),
            }
        }
    }
}
