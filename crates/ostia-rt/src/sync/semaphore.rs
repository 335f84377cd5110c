//! [`Semaphore`]: a fixed number of permits, given out in the order in which they were asked for.

use std::{
    error::Error,
    fmt::{self, Debug, Display, Formatter},
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    line::{Line, Wakes},
    wait::{Wait, Waiting},
};
use crate::loom::{Mutex, lock};

/// A fixed number of permits, given out in the order in which they were asked for.
///
/// Who asks for many is not passed by who asks for few, so none waits for ever while permits come back. A permit is a
/// guard: it gives back what it holds when it is dropped, and nothing else does.
///
/// ```
/// use ostia_rt::sync::Semaphore;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let semaphore = Semaphore::new(3);
/// let two = semaphore.try_acquire_many(2)?;
/// let one = semaphore.try_acquire()?;
/// assert!(semaphore.try_acquire().is_err());
/// drop(two);
/// assert_eq!(semaphore.available(), 2);
/// # drop(one);
/// # Ok(())
/// # }
/// ```
pub struct Semaphore {
    state: Mutex<State>,
    total: usize,
}

struct State {
    available: usize,
    closed: bool,
    line: Line<Ask>,
}

/// What one in line asks for.
struct Ask {
    count: usize,
    given: bool,
}

impl State {
    /// Serves from the front as far as the permits go.
    fn serve(&mut self, wakes: &mut Wakes) {
        while let Some(first) = self.line.first()
            && first.count <= self.available
        {
            self.available -= first.count;
            if let Some(ask) = self.line.call(wakes) {
                ask.given = true;
            }
        }
    }

    fn give_back(&mut self, count: usize, wakes: &mut Wakes) {
        self.available += count;
        self.serve(wakes);
    }
}

impl Semaphore {
    /// A semaphore of so many permits; it never has more or fewer.
    pub fn new(total: usize) -> Self {
        Self { state: Mutex::new(State { available: total, closed: false, line: Line::new() }), total }
    }

    /// How many permits there are, given out or not.
    pub fn total(&self) -> usize {
        self.total
    }

    /// How many permits nobody holds at this moment.
    pub fn available(&self) -> usize {
        lock(&self.state).available
    }

    /// Waits for a permit.
    ///
    /// # Errors
    ///
    /// As [`acquire_many`](Self::acquire_many).
    ///
    /// # Cancel safety
    ///
    /// As [`acquire_many`](Self::acquire_many).
    pub fn acquire(&self) -> Acquire<'_> {
        self.acquire_many(1)
    }

    /// Waits for several permits, and gets them together.
    ///
    /// # Errors
    ///
    /// If the semaphore is or becomes closed, or if there are not so many permits in all.
    ///
    /// # Cancel safety
    ///
    /// Permits that were given to a future which is then dropped go to the next in line. Its place in line is lost.
    pub fn acquire_many(&self, count: usize) -> Acquire<'_> {
        Acquire(Waiting::new(&self.state, Wanted { semaphore: self, count }))
    }

    /// As [`acquire_many`](Self::acquire_many), and the permit keeps the semaphore alive by itself.
    ///
    /// # Errors
    ///
    /// As [`acquire_many`](Self::acquire_many).
    ///
    /// # Cancel safety
    ///
    /// As [`acquire_many`](Self::acquire_many).
    pub async fn acquire_many_owned(self: Arc<Self>, count: usize) -> Result<OwnedPermit, AcquireError> {
        let count = self.acquire_many(count).await?.disarm();
        Ok(OwnedPermit { semaphore: self, count })
    }

    /// A permit, if there is one and nobody waits.
    ///
    /// # Errors
    ///
    /// If it would have to wait, or the semaphore is closed.
    pub fn try_acquire(&self) -> Result<Permit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Several permits, if they are there and nobody waits.
    ///
    /// # Errors
    ///
    /// If it would have to wait, or the semaphore is closed, or there are not so many permits in all.
    pub fn try_acquire_many(&self, count: usize) -> Result<Permit<'_>, TryAcquireError> {
        self.try_take(count)?;
        Ok(Permit { semaphore: self, count })
    }

    /// As [`try_acquire_many`](Self::try_acquire_many), and the permit keeps the semaphore alive by itself.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_many`](Self::try_acquire_many).
    pub fn try_acquire_many_owned(self: Arc<Self>, count: usize) -> Result<OwnedPermit, TryAcquireError> {
        self.try_take(count)?;
        Ok(OwnedPermit { semaphore: self, count })
    }

    /// Gives out no more permits: whoever waits is told so. Those that are given out stay good.
    pub fn close(&self) {
        let mut wakes = Wakes::none();
        let mut state = lock(&self.state);
        state.closed = true;
        state.line.call_all(&mut wakes);
        drop(state);
        wakes.wake();
    }

    /// Whether it has been closed.
    pub fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    fn try_take(&self, count: usize) -> Result<(), TryAcquireError> {
        match self.take(&mut lock(&self.state), count) {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(TryAcquireError::Never(error)),
            None => Err(TryAcquireError::Busy),
        }
    }

    /// None if it has to wait.
    fn take(&self, state: &mut State, count: usize) -> Option<Result<(), AcquireError>> {
        if state.closed {
            Some(Err(AcquireError::Closed))
        } else if count > self.total {
            Some(Err(AcquireError::TooMany { asked: count, total: self.total }))
        } else if state.line.is_empty() && count <= state.available {
            state.available -= count;
            Some(Ok(()))
        } else {
            None
        }
    }

    fn give_back(&self, count: usize) {
        let mut wakes = Wakes::none();
        lock(&self.state).give_back(count, &mut wakes);
        wakes.wake();
    }
}

impl Debug for Semaphore {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (available, waiting, closed) = {
            let state = lock(&self.state);
            (state.available, state.line.len(), state.closed)
        };
        f.debug_struct("Semaphore")
            .field("total", &self.total)
            .field("available", &available)
            .field("waiting", &waiting)
            .field("closed", &closed)
            .finish()
    }
}

/// Permits of a [`Semaphore`]; they go back when it is dropped.
#[must_use = "the permits go back at once"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    count: usize,
}

impl Permit<'_> {
    /// How many it holds.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The right to give them back goes to who called.
    fn disarm(mut self) -> usize {
        mem::take(&mut self.count)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.count > 0 {
            self.semaphore.give_back(self.count);
        }
    }
}

impl Debug for Permit<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("count", &self.count).finish_non_exhaustive()
    }
}

/// Permits of a [`Semaphore`] that they keep alive; they go back when it is dropped.
#[must_use = "the permits go back at once"]
pub struct OwnedPermit {
    semaphore: Arc<Semaphore>,
    count: usize,
}

impl OwnedPermit {
    /// How many it holds.
    pub fn count(&self) -> usize {
        self.count
    }
}

impl Drop for OwnedPermit {
    fn drop(&mut self) {
        if self.count > 0 {
            self.semaphore.give_back(self.count);
        }
    }
}

impl Debug for OwnedPermit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedPermit").field("count", &self.count).finish_non_exhaustive()
    }
}

/// Why permits will never be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcquireError {
    /// The semaphore is closed.
    Closed,
    /// There are not so many permits, so it would wait for ever.
    TooMany {
        /// How many were asked for.
        asked: usize,
        /// How many there are in all.
        total: usize,
    },
}

impl Display for AcquireError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => write!(f, "the semaphore is closed"),
            Self::TooMany { asked, total } => {
                write!(f, "{asked} permits were asked for, and the semaphore has {total} in all")
            }
        }
    }
}

impl Error for AcquireError {}

/// Why permits are not given at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryAcquireError {
    /// They are given out, or somebody waits for them already.
    Busy,
    /// They will never be given.
    Never(AcquireError),
}

impl Display for TryAcquireError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => write!(f, "the permits are given out, or others wait for them"),
            Self::Never(_) => write!(f, "the permits will never be given"),
        }
    }
}

impl Error for TryAcquireError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Busy => None,
            Self::Never(error) => Some(error),
        }
    }
}

/// Ends with permits; made by [`Semaphore::acquire`] and [`Semaphore::acquire_many`].
///
/// # Panics
///
/// If it is polled after it has ended.
#[derive(Debug)]
#[must_use = "futures do nothing unless they are polled"]
pub struct Acquire<'a>(Waiting<'a, Wanted<'a>>);

impl<'a> Future for Acquire<'a> {
    type Output = Result<Permit<'a>, AcquireError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.get_mut().0).poll(cx)
    }
}

struct Wanted<'a> {
    semaphore: &'a Semaphore,
    count: usize,
}

impl<'a> Wanted<'a> {
    fn permit(&self) -> Permit<'a> {
        Permit { semaphore: self.semaphore, count: self.count }
    }
}

impl<'a> Wait for Wanted<'a> {
    type State = State;
    type Item = Ask;
    type Output = Result<Permit<'a>, AcquireError>;

    fn line<'s>(&self, state: &'s mut State) -> &'s mut Line<Ask> {
        &mut state.line
    }

    fn arrive(&mut self, state: &mut State, _wakes: &mut Wakes) -> Option<Self::Output> {
        Some(self.semaphore.take(state, self.count)?.map(|()| self.permit()))
    }

    fn join(&mut self, _state: &mut State) -> Ask {
        Ask { count: self.count, given: false }
    }

    fn called(&mut self, ask: Ask, _state: &mut State, _wakes: &mut Wakes) -> Self::Output {
        if ask.given { Ok(self.permit()) } else { Err(AcquireError::Closed) }
    }

    fn withdraw(&mut self, ask: &mut Ask, _called: bool, state: &mut State, wakes: &mut Wakes) {
        if ask.given {
            state.give_back(ask.count, wakes);
        } else {
            // The next may ask for less.
            state.serve(wakes);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;
    use crate::sync::hand::{Hand, now};

    #[test]
    fn who_asks_for_many_is_not_passed_by_who_asks_for_few() {
        let semaphore = Semaphore::new(2);
        let one = semaphore.try_acquire().expect("two are there");
        let mut many = Hand::new(semaphore.acquire_many(2));
        assert!(many.poll().is_pending());
        assert_eq!(semaphore.try_acquire().expect_err("somebody waits"), TryAcquireError::Busy);
        let mut few = Hand::new(semaphore.acquire());
        assert!(few.poll().is_pending());
        drop(one);
        assert_eq!((many.wakes(), few.wakes()), (1, 0));
        let Poll::Ready(Ok(two)) = many.poll() else { panic!("it was called") };
        assert_eq!(two.count(), 2);
        drop(two);
        assert!(few.poll().is_ready());
    }

    #[test]
    fn who_is_dropped_in_line_lets_the_next_have_what_is_there() {
        let semaphore = Semaphore::new(2);
        let _one = semaphore.try_acquire().expect("two are there");
        let mut many = Hand::new(semaphore.acquire_many(2));
        let mut few = Hand::new(semaphore.acquire());
        assert!(many.poll().is_pending() && few.poll().is_pending());
        drop(many);
        assert_eq!(few.wakes(), 1);
        assert!(few.poll().is_ready());
    }

    #[test]
    fn permits_given_to_a_dropped_future_come_back() {
        let semaphore = Semaphore::new(1);
        let one = semaphore.try_acquire().expect("it is there");
        let mut next = Hand::new(semaphore.acquire());
        assert!(next.poll().is_pending());
        drop(one);
        assert_eq!(semaphore.available(), 0, "it was given to who waited");
        drop(next);
        assert_eq!(semaphore.available(), 1);
    }

    #[test]
    fn closing_tells_those_who_wait_and_leaves_permits_good() {
        let semaphore = Arc::new(Semaphore::new(1));
        let held = Arc::clone(&semaphore).try_acquire_many_owned(1).expect("it is there");
        let mut next = Hand::new(semaphore.acquire());
        assert!(next.poll().is_pending());
        semaphore.close();
        assert_eq!(next.wakes(), 1);
        assert!(matches!(next.poll(), Poll::Ready(Err(AcquireError::Closed))));
        assert!(matches!(now(semaphore.acquire()), Some(Err(AcquireError::Closed))));
        assert_eq!(held.count(), 1);
        drop(held);
        assert_eq!(semaphore.available(), 1);
    }

    #[test]
    fn more_than_there_are_is_refused_and_not_waited_for() {
        let semaphore = Semaphore::new(2);
        let asked = now(semaphore.acquire_many(3)).expect("it need not wait");
        assert_eq!(asked.expect_err("there are two"), AcquireError::TooMany { asked: 3, total: 2 });
    }

    #[test]
    fn an_owned_permit_outlives_the_variable() {
        let semaphore = Arc::new(Semaphore::new(1));
        let permit =
            now(Arc::clone(&semaphore).acquire_many_owned(1)).expect("it need not wait").expect("it is open");
        assert_eq!(semaphore.available(), 0);
        drop(permit);
        assert_eq!(semaphore.available(), 1);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Ask(usize),
        Try(usize),
        /// Polls the one with this number among those that wait.
        Poll(usize),
        /// Drops it.
        Cancel(usize),
        /// Gives back the permit with this number.
        GiveBack(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0..5_usize).prop_map(Step::Ask),
            1 => (0..5_usize).prop_map(Step::Try),
            3 => any::<usize>().prop_map(Step::Poll),
            1 => any::<usize>().prop_map(Step::Cancel),
            3 => any::<usize>().prop_map(Step::GiveBack),
        ]
    }

    proptest! {
        /// A queue and a number say the same as the semaphore after each step.
        #[test]
        fn permits_are_counted_and_given_in_order(total in 1..5_usize, steps in prop::collection::vec(step(), 1..80)) {
            let semaphore = Semaphore::new(total);
            let mut permits = Vec::new();
            // The model: how many nobody has, and who waits in which order; those given to but not polled yet are out.
            let mut free = total;
            let mut line: VecDeque<(u32, usize)> = VecDeque::new();
            let mut waiting: Vec<(u32, usize, Hand<Acquire<'_>>)> = Vec::new();
            let mut number = 0;
            for step in steps {
                match step {
                    Step::Ask(count) if count <= total => {
                        number += 1;
                        let mut hand = Hand::new(semaphore.acquire_many(count));
                        let at_once = line.is_empty() && count <= free;
                        match hand.poll() {
                            Poll::Ready(permit) => {
                                prop_assert!(at_once);
                                free -= count;
                                permits.push(permit.expect("it is open"));
                            }
                            Poll::Pending => {
                                prop_assert!(!at_once);
                                line.push_back((number, count));
                                waiting.push((number, count, hand));
                            }
                        }
                    }
                    Step::Try(count) if count <= total => match semaphore.try_acquire_many(count) {
                        Ok(permit) => {
                            prop_assert!(line.is_empty() && count <= free);
                            free -= count;
                            permits.push(permit);
                        }
                        Err(_) => prop_assert!(!line.is_empty() || count > free),
                    },
                    Step::Ask(count) | Step::Try(count) => {
                        prop_assert!(semaphore.try_acquire_many(count).is_err());
                    }
                    Step::Poll(which) if !waiting.is_empty() => {
                        let which = which % waiting.len();
                        let given = !line.iter().any(|(other, _)| *other == waiting[which].0);
                        prop_assert_eq!(waiting[which].2.wakes() == 1, given, "woken once it is given, and once");
                        match waiting[which].2.poll() {
                            Poll::Ready(permit) => {
                                prop_assert!(given);
                                permits.push(permit.expect("it is open"));
                                waiting.swap_remove(which);
                            }
                            Poll::Pending => prop_assert!(!given),
                        }
                    }
                    Step::Cancel(which) if !waiting.is_empty() => {
                        let (number, count, hand) = waiting.swap_remove(which % waiting.len());
                        drop(hand);
                        match line.iter().position(|(other, _)| *other == number) {
                            Some(place) => drop(line.remove(place)),
                            None => free += count,
                        }
                    }
                    Step::GiveBack(which) if !permits.is_empty() => {
                        let permit = permits.swap_remove(which % permits.len());
                        free += permit.count();
                        drop(permit);
                    }
                    Step::Poll(_) | Step::Cancel(_) | Step::GiveBack(_) => {}
                }
                while let Some((_, count)) = line.front() && *count <= free {
                    free -= count;
                    line.pop_front();
                }
                prop_assert_eq!(semaphore.available(), free);
            }
            drop((permits, waiting));
            prop_assert_eq!(semaphore.available(), total, "all have come back");
        }
    }
}
