//! Many senders, one receiver, and room for so many values.
//!
//! ```
//! use ostia_rt::sync::mpsc;
//!
//! # use std::{pin::pin, task::{Context, Poll, Waker}};
//! # let mut cx = Context::from_waker(Waker::noop());
//! # let example = pin!(async {
//! let (sender, mut receiver) = mpsc::channel(2);
//! sender.send("first").await?;
//! sender.try_send("second").expect("there is room for two");
//! assert!(sender.try_send("third").is_err());
//!
//! drop(sender);
//! assert_eq!(receiver.recv().await, Some("first"));
//! assert_eq!(receiver.recv().await, Some("second"));
//! assert_eq!(receiver.recv().await, None);
//! # Ok::<(), mpsc::SendError<&str>>(())
//! # });
//! # assert_eq!(example.poll(&mut cx), Poll::Ready(Ok(())));
//! ```
//!
//! A sender that waits has laid its value in line, and when there is room the receiver takes it from there into the
//! queue: so values arrive in the order in which they were sent, and it costs one wake, not two. Every value that was
//! accepted (its `send` ended with `Ok`) is received, unless the receiver is dropped before.

use std::{
    collections::VecDeque,
    error::Error,
    fmt::{self, Debug, Display, Formatter},
    future::poll_fn,
    marker::PhantomData,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use super::{
    line::{Line, Wakes},
    wait::{Wait, Waiting, poll_alone},
};
use crate::loom::{Mutex, lock};

/// A channel that holds at most `capacity` values.
///
/// # Panics
///
/// If the capacity is 0.
#[track_caller]
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(capacity > 0, "a channel needs room for one value at least");
    let state = State {
        queue: VecDeque::new(),
        capacity,
        reserved: 0,
        senders: 1,
        open: true,
        gone: false,
        line: Line::new(),
        receiver: None,
        closed: Line::new(),
    };
    let shared = Arc::new(Mutex::new(state));
    (Sender { shared: Arc::clone(&shared) }, Receiver { shared })
}

struct State<T> {
    queue: VecDeque<T>,
    capacity: usize,
    /// Room that permits hold.
    reserved: usize,
    senders: usize,
    /// False when the receiver takes nothing more than what was accepted or reserved.
    open: bool,
    /// The receiver was dropped: nobody will take what is sent.
    gone: bool,
    /// Senders that wait for room.
    line: Line<Want<T>>,
    receiver: Option<Waker>,
    /// Who waits for the receiver to close.
    closed: Line<()>,
}

/// What a sender in line waits for.
enum Want<T> {
    /// Room for this value.
    Send(T),
    /// Room for a value to come.
    Reserve,
    /// It has got it.
    Served,
}

impl<T> State<T> {
    fn has_room(&self) -> bool {
        self.queue.len() + self.reserved < self.capacity
    }

    fn push(&mut self, value: T, wakes: &mut Wakes) {
        self.queue.push_back(value);
        wakes.extend(self.receiver.take());
    }

    /// Room has become free: it goes to those in line.
    fn serve(&mut self, wakes: &mut Wakes) {
        while self.has_room()
            && let Some(want) = self.line.call(wakes)
        {
            match mem::replace(want, Want::Served) {
                Want::Send(value) => self.push(value, wakes),
                Want::Reserve => self.reserved += 1,
                Want::Served => unreachable!("who was served has been called, and is in line no more"),
            }
        }
    }

    /// A permit was dropped without a value.
    fn unreserve(&mut self, wakes: &mut Wakes) {
        self.reserved -= 1;
        self.serve(wakes);
        if self.is_over() {
            wakes.extend(self.receiver.take());
        }
    }

    /// Nothing is there, and nothing will come.
    fn is_over(&self) -> bool {
        self.queue.is_empty() && self.reserved == 0 && (self.senders == 0 || !self.open)
    }

    fn close(&mut self, wakes: &mut Wakes) {
        self.open = false;
        self.line.call_all(wakes);
        self.closed.call_all(wakes);
    }

    /// `Some(None)` if there will be none.
    fn take(&mut self, wakes: &mut Wakes) -> Option<Option<T>> {
        match self.queue.pop_front() {
            Some(value) => {
                self.serve(wakes);
                Some(Some(value))
            }
            None => self.is_over().then_some(None),
        }
    }
}

/// Sends values; may be cloned. The receiver ends when all senders are gone.
pub struct Sender<T> {
    shared: Arc<Mutex<State<T>>>,
}

impl<T> Sender<T> {
    /// Sends a value; waits for room, behind those who came before.
    ///
    /// # Errors
    ///
    /// Gives the value back if the receiver is or becomes closed.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped in line takes its value with it: it is not sent. Who needs the value again in that case
    /// [reserves](Self::reserve) room first.
    pub fn send(&self, value: T) -> Sending<'_, T> {
        Sending(Waiting::new(&self.shared, Sent { value: Some(value) }))
    }

    /// Sends a value if there is room and nobody waits for it.
    ///
    /// # Errors
    ///
    /// Gives the value back, and says why.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let mut wakes = Wakes::none();
        let mut state = lock(&self.shared);
        if !state.open {
            return Err(TrySendError::Closed(value));
        }
        if !state.has_room() {
            return Err(TrySendError::Full(value));
        }
        state.push(value, &mut wakes);
        drop(state);
        wakes.wake();
        Ok(())
    }

    /// Waits for room for one value, behind those who came before; the room is kept until the permit is used or
    /// dropped.
    ///
    /// # Errors
    ///
    /// If the receiver is or becomes closed.
    ///
    /// # Cancel safety
    ///
    /// Room that was given to a future which is then dropped goes to the next in line. Its place in line is lost.
    pub fn reserve(&self) -> Reserving<'_, T> {
        Reserving(Waiting::new(&self.shared, Reserved { sender: self }))
    }

    /// Waits until the receiver is closed or gone.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and called again.
    pub async fn closed(&self) {
        Waiting::new(&self.shared, Closing(PhantomData)).await;
    }

    /// Whether the receiver is closed or gone.
    pub fn is_closed(&self) -> bool {
        !lock(&self.shared).open
    }

    /// How many values the channel holds at most.
    pub fn capacity(&self) -> usize {
        lock(&self.shared).capacity
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        lock(&self.shared).senders += 1;
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut wakes = Wakes::none();
        let mut state = lock(&self.shared);
        state.senders -= 1;
        if state.senders == 0 {
            wakes.extend(state.receiver.take());
        }
        drop(state);
        wakes.wake();
    }
}

impl<T> Debug for Sender<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        debug(&self.shared, "Sender", f)
    }
}

fn debug<T>(shared: &Mutex<State<T>>, name: &str, f: &mut Formatter<'_>) -> fmt::Result {
    let (held, reserved, capacity, waiting, open) = {
        let state = lock(shared);
        (state.queue.len(), state.reserved, state.capacity, state.line.len(), state.open)
    };
    f.debug_struct(name)
        .field("held", &held)
        .field("reserved", &reserved)
        .field("capacity", &capacity)
        .field("waiting", &waiting)
        .field("open", &open)
        .finish()
}

/// Room for one value in a channel; made by [`Sender::reserve`].
#[must_use = "the room is given back at once"]
pub struct Permit<'a, T> {
    sender: &'a Sender<T>,
    used: bool,
}

impl<T> Permit<'_, T> {
    /// Sends a value at once. That holds also if the receiver was closed meanwhile: it waits for permits that are out.
    ///
    /// # Errors
    ///
    /// Gives the value back if the receiver was dropped.
    pub fn send(mut self, value: T) -> Result<(), SendError<T>> {
        let mut wakes = Wakes::none();
        let mut state = lock(&self.sender.shared);
        if state.gone {
            // The permit is dropped behind the lock.
            drop(state);
            return Err(SendError(value));
        }
        self.used = true;
        state.reserved -= 1;
        state.push(value, &mut wakes);
        drop(state);
        wakes.wake();
        Ok(())
    }
}

impl<T> Drop for Permit<'_, T> {
    fn drop(&mut self) {
        if !self.used {
            let mut wakes = Wakes::none();
            lock(&self.sender.shared).unreserve(&mut wakes);
            wakes.wake();
        }
    }
}

impl<T> Debug for Permit<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

/// Receives values.
pub struct Receiver<T> {
    shared: Arc<Mutex<State<T>>>,
}

impl<T> Receiver<T> {
    /// Waits for the next value; none if nothing is there and nothing will come: all senders are gone, or it was closed.
    ///
    /// # Cancel safety
    ///
    /// A value leaves the channel only when this ends with it: dropped before, it has taken nothing.
    pub async fn recv(&mut self) -> Option<T> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// As [`recv`](Self::recv): the waker of the last call is woken.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        poll_alone(&self.shared, cx, State::take, |state| &mut state.receiver)
    }

    /// Takes the next value if one is there.
    ///
    /// # Errors
    ///
    /// If none is there yet, or none will come.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let mut wakes = Wakes::none();
        let taken = lock(&self.shared).take(&mut wakes);
        wakes.wake();
        match taken {
            Some(Some(value)) => Ok(value),
            Some(None) => Err(TryRecvError::Closed),
            None => Err(TryRecvError::Empty),
        }
    }

    /// Accepts no more values, and tells all senders so. What was accepted, and what permits send that are out, can
    /// still be received.
    pub fn close(&mut self) {
        let mut wakes = Wakes::none();
        let mut state = lock(&self.shared);
        state.close(&mut wakes);
        if state.is_over() {
            wakes.extend(state.receiver.take());
        }
        drop(state);
        wakes.wake();
    }

    /// How many values are there to be received.
    pub fn len(&self) -> usize {
        lock(&self.shared).queue.len()
    }

    /// Whether no value is there at this moment.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut wakes = Wakes::none();
        let mut state = lock(&self.shared);
        state.gone = true;
        let own = state.receiver.take();
        // Before those in line are called: room that nobody will use is given to none of them.
        state.close(&mut wakes);
        let left = mem::take(&mut state.queue);
        drop(state);
        wakes.wake();
        drop((left, own));
    }
}

impl<T> Debug for Receiver<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        debug(&self.shared, "Receiver", f)
    }
}

/// The receiver is closed; the value comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

impl<T> Debug for SendError<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendError").finish_non_exhaustive()
    }
}

impl<T> Display for SendError<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "the receiver is closed")
    }
}

impl<T> Error for SendError<T> {}

/// Why a value was not sent at once; it comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TrySendError<T> {
    /// There is no room at this moment.
    Full(T),
    /// The receiver is closed.
    Closed(T),
}

impl<T> TrySendError<T> {
    /// The value.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(value) | Self::Closed(value) => value,
        }
    }
}

impl<T> Debug for TrySendError<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> Display for TrySendError<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => write!(f, "the channel has no room"),
            Self::Closed(_) => write!(f, "the receiver is closed"),
        }
    }
}

impl<T> Error for TrySendError<T> {}

/// No room will come: the receiver is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl Display for Closed {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "the receiver is closed")
    }
}

impl Error for Closed {}

/// Why no value was received at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// None is there at this moment.
    Empty,
    /// None is there, and none will come.
    Closed,
}

impl Display for TryRecvError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "no value is there"),
            Self::Closed => write!(f, "no value is there, and none will come"),
        }
    }
}

impl Error for TryRecvError {}

/// Ends when the value has been sent; made by [`Sender::send`].
///
/// # Panics
///
/// If it is polled after it has ended.
#[must_use = "futures do nothing unless they are polled"]
pub struct Sending<'a, T: 'a>(Waiting<'a, Sent<T>>);

impl<T> Future for Sending<'_, T> {
    type Output = Result<(), SendError<T>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.get_mut().0).poll(cx)
    }
}

impl<T> Debug for Sending<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sending").field(&self.0).finish()
    }
}

struct Sent<T> {
    /// None when it lies in line, or was sent.
    value: Option<T>,
}

impl<T> Wait for Sent<T> {
    type State = State<T>;
    type Item = Want<T>;
    type Output = Result<(), SendError<T>>;

    fn line<'s>(&self, state: &'s mut State<T>) -> &'s mut Line<Want<T>> {
        &mut state.line
    }

    fn arrive(&mut self, state: &mut State<T>, wakes: &mut Wakes) -> Option<Self::Output> {
        if !state.open {
            Some(Err(SendError(self.value.take()?)))
        } else if state.has_room() {
            // Then nobody waits for it: room goes to the line as soon as it is there.
            state.push(self.value.take()?, wakes);
            Some(Ok(()))
        } else {
            None
        }
    }

    fn join(&mut self, _state: &mut State<T>) -> Want<T> {
        Want::Send(self.value.take().expect("it has not been sent"))
    }

    fn called(&mut self, want: Want<T>, _state: &mut State<T>, _wakes: &mut Wakes) -> Self::Output {
        match want {
            Want::Send(value) => Err(SendError(value)),
            Want::Served => Ok(()),
            Want::Reserve => unreachable!("this one brought a value"),
        }
    }
}

/// Ends with room for one value; made by [`Sender::reserve`].
///
/// # Panics
///
/// If it is polled after it has ended.
#[must_use = "futures do nothing unless they are polled"]
pub struct Reserving<'a, T>(Waiting<'a, Reserved<'a, T>>);

impl<'a, T> Future for Reserving<'a, T> {
    type Output = Result<Permit<'a, T>, Closed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.get_mut().0).poll(cx)
    }
}

impl<T> Debug for Reserving<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reserving").field(&self.0).finish()
    }
}

struct Reserved<'a, T> {
    sender: &'a Sender<T>,
}

impl<'a, T> Wait for Reserved<'a, T> {
    type State = State<T>;
    type Item = Want<T>;
    type Output = Result<Permit<'a, T>, Closed>;

    fn line<'s>(&self, state: &'s mut State<T>) -> &'s mut Line<Want<T>> {
        &mut state.line
    }

    fn arrive(&mut self, state: &mut State<T>, _wakes: &mut Wakes) -> Option<Self::Output> {
        if !state.open {
            Some(Err(Closed))
        } else if state.has_room() {
            state.reserved += 1;
            Some(Ok(Permit { sender: self.sender, used: false }))
        } else {
            None
        }
    }

    fn join(&mut self, _state: &mut State<T>) -> Want<T> {
        Want::Reserve
    }

    fn called(&mut self, want: Want<T>, _state: &mut State<T>, _wakes: &mut Wakes) -> Self::Output {
        match want {
            Want::Served => Ok(Permit { sender: self.sender, used: false }),
            Want::Reserve | Want::Send(_) => Err(Closed),
        }
    }

    fn withdraw(&mut self, want: &mut Want<T>, _called: bool, state: &mut State<T>, wakes: &mut Wakes) {
        if matches!(want, Want::Served) {
            state.unreserve(wakes);
        }
    }
}

/// Waits for the receiver to close.
struct Closing<T>(PhantomData<fn(T)>);

impl<T> Wait for Closing<T> {
    type State = State<T>;
    type Item = ();
    type Output = ();

    fn line<'s>(&self, state: &'s mut State<T>) -> &'s mut Line<()> {
        &mut state.closed
    }

    fn arrive(&mut self, state: &mut State<T>, _wakes: &mut Wakes) -> Option<()> {
        (!state.open).then_some(())
    }

    fn join(&mut self, _state: &mut State<T>) {}

    fn called(&mut self, (): (), _state: &mut State<T>, _wakes: &mut Wakes) {}
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sync::hand::{Hand, now};

    #[test]
    fn a_value_wakes_the_receiver_and_room_wakes_the_sender() {
        let (sender, mut receiver) = channel(1);
        let mut second = {
            let mut waiting = Hand::new(receiver.recv());
            assert!(waiting.poll().is_pending());
            assert_eq!(now(sender.send(1)), Some(Ok(())));
            assert_eq!(waiting.wakes(), 1);
            let mut second = Hand::new(sender.send(2));
            assert!(second.poll().is_pending(), "there is room for one");
            assert!(matches!(sender.try_send(3), Err(TrySendError::Full(3))));
            assert_eq!(waiting.poll(), Poll::Ready(Some(1)));
            second
        };
        assert_eq!(second.wakes(), 1);
        assert_eq!(receiver.try_recv(), Ok(2), "it was taken from the line");
        assert_eq!(second.poll(), Poll::Ready(Ok(())));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    }

    #[test]
    fn a_dropped_receive_has_taken_nothing() {
        let (sender, mut receiver) = channel(1);
        let mut waiting = Hand::new(receiver.recv());
        assert!(waiting.poll().is_pending());
        sender.try_send(1).expect("there is room");
        drop(waiting);
        assert_eq!(now(receiver.recv()), Some(Some(1)));
    }

    #[test]
    fn a_dropped_send_has_sent_nothing() {
        let (sender, mut receiver) = channel(1);
        sender.try_send(1).expect("there is room");
        let mut waiting = Hand::new(sender.send(2));
        assert!(waiting.poll().is_pending());
        drop(waiting);
        assert_eq!(receiver.try_recv(), Ok(1));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    }

    #[test]
    fn room_given_to_a_dropped_reservation_goes_to_the_next() {
        let (sender, mut receiver) = channel(1);
        sender.try_send(1).expect("there is room");
        let mut reservation = Hand::new(sender.reserve());
        let mut next = Hand::new(sender.send(2));
        assert!(reservation.poll().is_pending() && next.poll().is_pending());
        assert_eq!(receiver.try_recv(), Ok(1));
        assert_eq!((reservation.wakes(), next.wakes()), (1, 0));
        drop(reservation);
        assert_eq!(next.wakes(), 1);
        assert_eq!(receiver.try_recv(), Ok(2));
    }

    #[test]
    fn a_permit_keeps_its_room_until_it_is_used_or_dropped() {
        let (sender, mut receiver) = channel(1);
        let permit = now(sender.reserve()).expect("there is room").expect("it is open");
        assert!(matches!(sender.try_send(1), Err(TrySendError::Full(1))));
        permit.send(2).expect("the receiver is there");
        assert_eq!(receiver.try_recv(), Ok(2));
        drop(now(sender.reserve()));
        sender.try_send(3).expect("the room came back");
    }

    #[test]
    fn the_receiver_ends_when_all_senders_are_gone_and_all_was_received() {
        let (sender, mut receiver) = channel(2);
        let other = sender.clone();
        other.try_send(1).expect("there is room");
        drop(other);
        assert_eq!(now(receiver.recv()), Some(Some(1)));
        let mut waiting = Hand::new(receiver.recv());
        assert!(waiting.poll().is_pending());
        drop(sender);
        assert_eq!(waiting.wakes(), 1);
        assert_eq!(waiting.poll(), Poll::Ready(None));
    }

    #[test]
    fn a_dropped_receiver_wakes_senders_and_gives_their_values_back() {
        let (sender, receiver) = channel(1);
        let witness = Arc::new(());
        sender.try_send(Arc::clone(&witness)).expect("there is room");
        let mut waiting = Hand::new(sender.send(Arc::clone(&witness)));
        let mut closed = Hand::new(sender.closed());
        assert!(waiting.poll().is_pending() && closed.poll().is_pending());
        drop(receiver);
        assert_eq!((waiting.wakes(), closed.wakes()), (1, 1));
        assert_eq!(Arc::strong_count(&witness), 2, "what was in the channel is dropped");
        assert!(closed.poll().is_ready());
        let Poll::Ready(Err(SendError(_value))) = waiting.poll() else { panic!("it was not sent") };
        assert!(sender.is_closed());
    }

    #[test]
    fn a_closed_receiver_gets_what_was_accepted_or_reserved() {
        let (sender, mut receiver) = channel(2);
        sender.try_send(1).expect("there is room");
        let permit = now(sender.reserve()).expect("there is room").expect("it is open");
        let mut waiting = Hand::new(sender.send(3));
        assert!(waiting.poll().is_pending());
        receiver.close();
        assert_eq!(waiting.poll(), Poll::Ready(Err(SendError(3))));
        assert!(matches!(sender.try_send(4), Err(TrySendError::Closed(4))));
        assert_eq!(now(sender.reserve()).map(|room| room.is_err()), Some(true));
        assert_eq!(receiver.try_recv(), Ok(1));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty), "a permit is out");
        permit.send(2).expect("the receiver is there");
        assert_eq!(now(receiver.recv()), Some(Some(2)));
        assert_eq!(now(receiver.recv()), Some(None));
    }

    #[test]
    fn a_closed_receiver_is_told_that_the_last_permit_was_dropped() {
        let (sender, mut receiver) = channel::<u8>(1);
        let permit = now(sender.reserve()).expect("there is room").expect("it is open");
        receiver.close();
        let mut waiting = Hand::new(receiver.recv());
        assert!(waiting.poll().is_pending());
        drop(permit);
        assert_eq!(waiting.wakes(), 1);
        assert_eq!(waiting.poll(), Poll::Ready(None));
    }

    #[test]
    fn a_permit_outlives_the_receiver_and_keeps_the_value() {
        let (sender, receiver) = channel(1);
        let permit = now(sender.reserve()).expect("there is room").expect("it is open");
        drop(receiver);
        assert_eq!(permit.send(1), Err(SendError(1)));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Send,
        Try,
        Reserve,
        Use(usize),
        DropPermit(usize),
        Poll(usize),
        Cancel(usize),
        Recv,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Send),
            2 => Just(Step::Try),
            2 => Just(Step::Reserve),
            2 => any::<usize>().prop_map(Step::Use),
            1 => any::<usize>().prop_map(Step::DropPermit),
            2 => any::<usize>().prop_map(Step::Poll),
            1 => any::<usize>().prop_map(Step::Cancel),
            5 => Just(Step::Recv),
        ]
    }

    proptest! {
        /// What was accepted arrives, once and in order; what was not accepted does not.
        #[test]
        fn every_accepted_value_arrives_once(capacity in 1..4_usize, steps in prop::collection::vec(step(), 1..80)) {
            let (sender, mut receiver) = channel(capacity);
            let mut number = 0_u32;
            let mut sends: Vec<(u32, Hand<Sending<'_, u32>>)> = Vec::new();
            let mut reservations: Vec<Hand<Reserving<'_, u32>>> = Vec::new();
            let mut permits: Vec<Permit<'_, u32>> = Vec::new();
            let (mut accepted, mut refused, mut received) = (Vec::new(), Vec::new(), Vec::new());
            for step in steps {
                number += 1;
                match step {
                    Step::Send => {
                        let mut hand = Hand::new(sender.send(number));
                        match hand.poll() {
                            Poll::Ready(sent) => {
                                sent.expect("it is open");
                                accepted.push(number);
                            }
                            Poll::Pending => sends.push((number, hand)),
                        }
                    }
                    Step::Try => match sender.try_send(number) {
                        Ok(()) => accepted.push(number),
                        Err(_) => refused.push(number),
                    },
                    Step::Reserve => {
                        let mut hand = Hand::new(sender.reserve());
                        match hand.poll() {
                            Poll::Ready(permit) => permits.push(permit.expect("it is open")),
                            Poll::Pending => reservations.push(hand),
                        }
                    }
                    Step::Use(which) if !permits.is_empty() => {
                        let permit = permits.swap_remove(which % permits.len());
                        permit.send(number).expect("the receiver is there");
                        accepted.push(number);
                    }
                    Step::DropPermit(which) if !permits.is_empty() => {
                        drop(permits.swap_remove(which % permits.len()));
                    }
                    Step::Poll(which) if !reservations.is_empty() => {
                        let which = which % reservations.len();
                        if let Poll::Ready(permit) = reservations[which].poll() {
                            permits.push(permit.expect("it is open"));
                            reservations.swap_remove(which);
                        }
                    }
                    Step::Cancel(which) if !sends.is_empty() => {
                        let (number, hand) = sends.swap_remove(which % sends.len());
                        // Who was woken has been sent.
                        if hand.wakes() == 0 { refused.push(number) } else { accepted.push(number) }
                    }
                    Step::Recv => received.extend(receiver.try_recv().ok()),
                    Step::Use(_) | Step::DropPermit(_) | Step::Poll(_) | Step::Cancel(_) => {}
                }
                prop_assert!(receiver.len() + permits.len() <= capacity);
            }
            drop(permits);
            drop(reservations);
            while let Ok(value) = receiver.try_recv() {
                received.push(value);
            }
            for (number, mut hand) in sends {
                prop_assert_eq!(hand.poll(), Poll::Ready(Ok(())), "there was room for all in the end");
                accepted.push(number);
            }
            prop_assert!(received.iter().all(|value| !refused.contains(value)));
            accepted.sort_unstable();
            received.sort_unstable();
            prop_assert_eq!(accepted, received);
        }
    }

    #[test]
    fn values_arrive_in_the_order_in_which_they_were_sent() {
        let (sender, mut receiver) = channel(2);
        let mut sends: Vec<_> = (0..10).map(|number| Hand::new(sender.send(number))).collect();
        for hand in &mut sends {
            let _ = hand.poll();
        }
        let received: Vec<_> = std::iter::from_fn(|| receiver.try_recv().ok()).collect();
        assert_eq!(received, (0..10).collect::<Vec<_>>());
    }
}
