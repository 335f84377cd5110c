//! The berth of a worker, and the future of one operation: the only file that names a berth.

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use ostia_os::forks;
use ostia_port::{Batch, Bell, Berth, Class, Packet, Payload, Port, Refused, Report, Ticket, op::Op};

use crate::{
    cells::{self, cell},
    context,
    loom::lock,
    wake::wake,
};

/// A worker's berth.
#[derive(Debug)]
pub(crate) struct Driver {
    berth: RefCell<Berth>,
    /// There, but during a wait.
    batch: RefCell<Option<Batch>>,
    /// Those whose operation was refused because as many as may be are under way.
    full: RefCell<Vec<Waker>>,
    /// Whether the thread is inside the berth's wait; what is woken there, by work that was posted or by a buffer that
    /// is let go of, has to end the wait.
    pub(crate) is_waiting: Cell<bool>,
    /// In the process whose berth it is.
    forks: u32,
}

impl Driver {
    pub(crate) fn open(port: &Port) -> io::Result<Driver> {
        Ok(Driver {
            berth: RefCell::new(port.berth()?),
            batch: RefCell::new(Some(Batch::new())),
            full: RefCell::new(Vec::new()),
            is_waiting: Cell::new(false),
            forks: forks::count(),
        })
    }

    /// Whether this is a forked process: then the berth is the parent's, and this thread is nobody's worker.
    #[inline]
    pub(crate) fn is_forked(&self) -> bool {
        forks::count() != self.forks
    }

    /// # Panics
    ///
    /// In a forked process.
    #[inline]
    #[track_caller]
    pub(crate) fn check_process(&self) {
        if self.is_forked() {
            forked();
        }
    }

    /// What rings this berth, from any thread.
    pub(crate) fn bell(&self) -> Bell {
        self.berth.borrow().bell()
    }

    /// How many operations were submitted here, and how many ended here.
    pub(crate) fn operations(&self) -> (u64, u64) {
        self.berth.borrow().operations()
    }

    /// What serves it.
    #[cfg(feature = "sim")]
    pub(crate) fn backend(&self) -> ostia_port::Backend {
        self.berth.borrow().backend()
    }

    /// Whether a wait came to this: that the berth sleeps.
    #[cfg(feature = "sim")]
    pub(crate) fn is_asleep(&self, waited: &io::Result<usize>) -> bool {
        let would_block = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        self.backend() == ostia_port::Backend::Sim && waited.as_ref().is_err_and(would_block)
    }

    /// Whether the berth sleeps, and nothing has come that would wake it.
    #[cfg(feature = "sim")]
    pub(crate) fn sleeps_on(&self) -> bool {
        ostia_port::sim::is_asleep(&self.berth.borrow())
    }

    #[cfg(feature = "sim")]
    pub(crate) fn break_berth(&self, how: ostia_port::sim::Break) {
        ostia_port::sim::break_berth(&self.berth.borrow(), how);
    }

    #[cfg(feature = "sim")]
    pub(crate) fn slots_in_use(&self) -> usize {
        ostia_port::sim::slots_in_use(&self.berth.borrow())
    }

    /// Hands over what was submitted, waits until something happens (see [`Berth::wait`]), and wakes whom it
    /// concerns. How many packets there were.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> io::Result<usize> {
        let mut batch = self.batch.take().unwrap_or_default();
        self.is_waiting.set(true);
        let waited = self.berth.borrow_mut().wait(&mut batch, timeout);
        self.is_waiting.set(false);
        // Only now: a waker may be anybody's, and do anything.
        let count = batch.len();
        for packet in batch.drain() {
            match packet {
                Packet::Done(id) | Packet::More(id) => cell(id).take().into_iter().for_each(wake),
                // Nobody posts anything but work to a port of ours, and that is run inside the wait.
                Packet::Post(payload) => drop(payload),
            }
        }
        self.batch.replace(Some(batch));
        if !self.full.borrow().is_empty() && !self.berth.borrow().is_full() {
            self.full.take().into_iter().for_each(wake);
        }
        waited.map(|_| count)
    }

    fn submit<O: Op>(&self, op: O, waker: &Waker) -> Submitted<O> {
        self.check_process();
        let Ok(mut berth) = self.berth.try_borrow_mut() else {
            // In the midst of a wait: a buffer that is just being let go of does this. A moment later it may.
            waker.wake_by_ref();
            return Submitted::Later(op);
        };
        match berth.submit(op) {
            Ok(ticket) => Submitted::Ticket(ticket),
            Err(refused) if is_full(&refused) => {
                self.full.borrow_mut().push(waker.clone());
                Submitted::Later(refused.op)
            }
            Err(refused) => Submitted::Refused(refused),
        }
    }

    /// Closes the berth: what is under way is cancelled and waited for, and whoever awaits it is woken.
    pub(crate) fn close(self, deadline: Duration) -> Report {
        let Driver { berth, full, .. } = self;
        let berth = berth.into_inner();
        let number = berth.number();
        let report = berth.close(deadline);
        cells::wake_all(number);
        full.into_inner().into_iter().for_each(wake);
        report
    }
}

#[cold]
#[track_caller]
fn forked() -> ! {
    panic!("a runtime does not live on in a forked process")
}

enum Submitted<O: Op> {
    Ticket(Ticket<O>),
    /// There is no room; the waker is kept until there is.
    Later(O),
    Refused(Refused<O>),
}

/// One operation as a future: it begins when it is first polled, and gives what its ticket gives.
///
/// On a worker of the port's node it is submitted there. From elsewhere, another node or a thread without a worker, it
/// is posted to the port, and a worker of the node submits it.
///
/// # Cancel safety
///
/// Dropping it drops its ticket, which abandons the operation. What a stream or a file promises beyond that is up to
/// them: [`Operation::take_ticket`].
///
/// # Panics
///
/// If the worker that began it was lost, and the system has not given it back in its time: nobody may touch its buffer,
/// so there is no result that could be given.
#[must_use = "an operation begins when it is polled"]
pub(crate) struct Operation<O: Op> {
    state: State<O>,
    /// Where it is posted from elsewhere than a worker, if it is on no handle that says so.
    at: Option<Port>,
}

enum State<O: Op> {
    Idle(O),
    Flying(Ticket<O>),
    /// Posted: whoever submits it leaves the ticket there.
    Posted(Arc<Mutex<Post<O>>>),
    Ended,
}

enum Post<O: Op> {
    /// Nobody has taken it yet.
    Waiting(Waker),
    Submitted(Ticket<O>),
    Refused(Refused<O>),
    /// Nobody waits any more, and it is not to begin.
    Dropped,
}

impl<O: Op> Unpin for Operation<O> {}

impl<O: Op> Operation<O> {
    pub(crate) fn new(op: O) -> Operation<O> {
        Operation { state: State::Idle(op), at: None }
    }

    /// An operation on no handle, for this port.
    pub(crate) fn at(port: &Port, op: O) -> Operation<O> {
        Operation { state: State::Idle(op), at: Some(port.clone()) }
    }

    /// Lets go of it without asking for its end, if it is under way; if it has not begun, it never will.
    pub(crate) fn detach(mut self) {
        if let Some(ticket) = self.take_ticket() {
            ticket.detach();
        }
    }

    /// Whether its worker is lost, and the system has not given it back: it may never end.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(&self.state, State::Flying(ticket) if ticket.is_lost())
    }

    /// Whether it was handed over, or is on its way to whoever hands it over, and has not told its end.
    pub(crate) fn has_begun(&self) -> bool {
        matches!(self.state, State::Flying(_) | State::Posted(_))
    }

    /// Whether it was handed over: then it goes to its end, whatever becomes of the future.
    #[cfg(any(feature = "futures-io", feature = "hyper", feature = "tokio-io"))]
    pub(crate) fn is_under_way(&self) -> bool {
        matches!(self.state, State::Flying(_))
    }

    /// Whoever polled it is not to be woken by its end; whoever polls it next is. False if it has not begun: then it
    /// still wants to be polled.
    #[cfg(feature = "hyper")]
    pub(crate) fn goes_on_unwatched(&self) -> bool {
        let State::Flying(ticket) = &self.state else { return false };
        drop(cell(ticket.id()).take());
        true
    }

    /// The ticket, if the operation is under way or has ended without having been told.
    pub(crate) fn take_ticket(&mut self) -> Option<Ticket<O>> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Flying(ticket) => {
                forget_waker(&ticket);
                Some(ticket)
            }
            State::Posted(post) => {
                let left = std::mem::replace(&mut *lock(&post), Post::Dropped);
                if let Post::Submitted(ticket) = left { Some(ticket) } else { None }
            }
            State::Idle(_) | State::Ended => None,
        }
    }

    /// Asks for its end, if it is under way; [`Operation::poll_withdrawn`] tells of it.
    pub(crate) fn cancel(&mut self) {
        match &mut self.state {
            State::Flying(ticket) => ticket.cancel(),
            State::Posted(post) => {
                if let Post::Submitted(ticket) = &mut *lock(post) {
                    ticket.cancel();
                }
            }
            State::Idle(_) | State::Ended => {}
        }
    }

    /// What has become of an operation whose end was asked for. It does not begin any more; none if it was cancelled
    /// before it came to anything.
    pub(crate) fn poll_withdrawn(&mut self, cx: &mut Context<'_>) -> Poll<Withdrawn<O>> {
        let mut polled = Poll::Pending;
        if let State::Posted(_) = &self.state {
            self.cancel();
            polled = self.collect(cx);
        }
        if let State::Idle(_) = &self.state {
            let State::Idle(op) = std::mem::replace(&mut self.state, State::Ended) else {
                unreachable!("just seen")
            };
            let error = io::ErrorKind::Interrupted.into();
            return Poll::Ready((None, refuse(Refused { op, error }).1));
        }
        if let (Poll::Pending, State::Flying(_)) = (&polled, &self.state) {
            // It may have been posted when its end was asked for.
            self.cancel();
            polled = self.look(cx);
        }
        polled.map(|(result, back)| match result {
            Err(error) if Class::of(&error) == Class::Cancelled => (None, back),
            result => (Some(result), back),
        })
    }

    /// The next of many results, as `take` takes it from the ticket, or the end of the operation, after which there is
    /// nothing to be polled.
    pub(crate) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(&mut Ticket<O>) -> Option<io::Result<O::Item>>,
    ) -> Poll<Next<O>> {
        if !matches!(self.state, State::Flying(_))
            && let Poll::Ready((result, _)) = Pin::new(&mut *self).poll(cx)
        {
            return Poll::Ready(Next::Ended(result));
        }
        let State::Flying(ticket) = &mut self.state else { return Poll::Pending };
        for is_registered in [false, true] {
            if let Some(item) = take(ticket) {
                return Poll::Ready(Next::Item(item));
            }
            if let Some((result, _)) = ticket.poll() {
                self.state = State::Ended;
                return Poll::Ready(Next::Ended(result));
            }
            if !is_registered {
                cell(ticket.id()).register(cx.waker());
            }
        }
        if ticket.is_lost() {
            self.state = State::Ended;
            return Poll::Ready(Next::Ended(Err(lost())));
        }
        Poll::Pending
    }

    /// What has become of an operation of many whose end was asked for: its results are let go of until then.
    pub(crate) fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<O::Out>>> {
        loop {
            if self.is_lost() {
                return Poll::Ready(Some(Err(lost())));
            }
            if let Poll::Ready((ended, _)) = self.poll_withdrawn(cx) {
                return Poll::Ready(ended);
            }
            // The end is told behind the last result.
            let State::Flying(ticket) = &mut self.state else { return Poll::Pending };
            let Some(item) = ticket.next() else { return Poll::Pending };
            drop(item);
        }
    }

    fn begin(&mut self, op: O, cx: &mut Context<'_>) -> Poll<(io::Result<O::Out>, O::Back)> {
        let submitted = context::with(|here| match here.filter(|here| op.fits(&here.node.port)) {
            Some(here) => Ok(here.driver.submit(op, cx.waker())),
            None => Err(op),
        });
        match submitted {
            Ok(Submitted::Ticket(ticket)) => {
                self.state = State::Flying(ticket);
                self.look(cx)
            }
            Ok(Submitted::Later(op)) => {
                self.state = State::Idle(op);
                Poll::Pending
            }
            Ok(Submitted::Refused(refused)) => Poll::Ready(refuse(refused)),
            Err(op) => match op.port().or_else(|| self.at.clone()) {
                Some(port) => self.post(&port, op, cx),
                None => {
                    let why = "an operation on no handle begins on a thread of the runtime";
                    Poll::Ready(refuse(Refused {
                        op,
                        error: io::Error::new(io::ErrorKind::NotConnected, why),
                    }))
                }
            },
        }
    }

    #[cold]
    fn post(&mut self, port: &Port, op: O, cx: &mut Context<'_>) -> Poll<(io::Result<O::Out>, O::Back)> {
        let post = Arc::new(Mutex::new(Post::Waiting(cx.waker().clone())));
        let mut parcel = Parcel { op: Some(op), post: Arc::clone(&post) };
        let work = move |berth: &mut Berth| parcel.submit(berth);
        let Err(refused) = port.post_or_wake(Payload::Run(Box::new(work)), cx.waker()) else {
            self.state = State::Posted(post);
            return Poll::Pending;
        };
        let kind = refused.kind;
        // The parcel is let go of, leaves its operation, and has nobody to wake for that.
        *lock(&post) = Post::Waiting(Waker::noop().clone());
        drop(refused);
        let Post::Refused(refused) = std::mem::replace(&mut *lock(&post), Post::Dropped) else {
            unreachable!("a parcel that was let go of has left its operation")
        };
        if kind == io::ErrorKind::WouldBlock {
            // As many wait as may: it is posted anew when there is room.
            self.state = State::Idle(refused.op);
            return Poll::Pending;
        }
        Poll::Ready(refuse(Refused { error: kind.into(), ..refused }))
    }

    /// What has become of a post? Where there was no room it is idle again: whoever asks begins it anew, or lets it go.
    #[cold]
    fn collect(&mut self, cx: &mut Context<'_>) -> Poll<(io::Result<O::Out>, O::Back)> {
        let State::Posted(post) = &self.state else { unreachable!("it was posted") };
        let mut place = lock(post);
        if let Post::Waiting(waker) = &mut *place {
            let former = std::mem::replace(waker, cx.waker().clone());
            drop(place);
            drop(former);
            return Poll::Pending;
        }
        let post = std::mem::replace(&mut *place, Post::Dropped);
        drop(place);
        match post {
            Post::Submitted(ticket) => {
                self.state = State::Flying(ticket);
                self.look(cx)
            }
            Post::Refused(refused) if is_full(&refused) => {
                self.state = State::Idle(refused.op);
                Poll::Pending
            }
            Post::Refused(refused) => {
                self.state = State::Ended;
                Poll::Ready(refuse(refused))
            }
            Post::Waiting(_) | Post::Dropped => unreachable!("it is ours, and waits for us"),
        }
    }

    /// Has it ended?
    #[inline]
    fn look(&mut self, cx: &mut Context<'_>) -> Poll<(io::Result<O::Out>, O::Back)> {
        let State::Flying(ticket) = &mut self.state else { unreachable!("it is under way") };
        let mut result = ticket.poll();
        if result.is_none() {
            cell(ticket.id()).register(cx.waker());
            // It may have ended before the waker lay there.
            result = ticket.poll();
        }
        let Some(result) = result else {
            assert!(!ticket.is_lost(), "{LOST}");
            return Poll::Pending;
        };
        self.state = State::Ended;
        Poll::Ready(result)
    }
}

/// What became of an operation of a lost worker that did not come back.
const LOST: &str = "the worker that began this operation is lost, and the system has not given it back";

/// The same, for whoever is owed no buffer.
pub(crate) fn lost() -> io::Error {
    io::Error::other(LOST)
}

/// Nobody waits for it any more. The cell outlives everything, and its waker keeps whom it would wake.
fn forget_waker<O: Op>(ticket: &Ticket<O>) {
    drop(cell(ticket.id()).take());
}

/// The result, unless it was cancelled, and what comes back in any case.
pub(crate) type Withdrawn<O> = (Option<io::Result<<O as Op>::Out>>, <O as Op>::Back);

/// What comes next of an operation that yields many results.
pub(crate) enum Next<O: Op> {
    Item(io::Result<O::Item>),
    Ended(io::Result<O::Out>),
}

/// What gives an operation that was not begun back to its caller.
fn refuse<O: Op>(refused: Refused<O>) -> (io::Result<O::Out>, O::Back) {
    let (error, back) = refused.give_back();
    (Err(error), back)
}

impl<O: Op> Future for Operation<O> {
    type Output = (io::Result<O::Out>, O::Back);

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &self.state {
            State::Flying(_) => self.look(cx),
            State::Idle(_) => {
                let State::Idle(op) = std::mem::replace(&mut self.state, State::Ended) else {
                    unreachable!("just seen")
                };
                self.begin(op, cx)
            }
            State::Posted(_) => {
                let polled = self.collect(cx);
                match std::mem::replace(&mut self.state, State::Ended) {
                    State::Idle(op) => self.begin(op, cx),
                    state => {
                        self.state = state;
                        polled
                    }
                }
            }
            State::Ended => panic!("an operation is polled after its end"),
        }
    }
}

impl<O: Op> fmt::Debug for Operation<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Idle(_) => "idle",
            State::Flying(_) => "under way",
            State::Posted(_) => "posted",
            State::Ended => "ended",
        };
        f.debug_tuple("Operation").field(&state).finish()
    }
}

/// An operation on its way to a berth. If it is let go of on the way, it tells so.
struct Parcel<O: Op> {
    op: Option<O>,
    post: Arc<Mutex<Post<O>>>,
}

impl<O: Op> Parcel<O> {
    fn submit(&mut self, berth: &mut Berth) {
        let Some(op) = self.op.take() else { return };
        let mut place = lock(&self.post);
        if matches!(*place, Post::Dropped) {
            drop(place);
            return;
        }
        // Under the lock: whoever lets go of it finds it either not begun, and then it never is, or its ticket, and then
        // nothing that it has received is lost.
        let submitted = match berth.submit(op) {
            Ok(ticket) => Post::Submitted(ticket),
            Err(refused) => Post::Refused(refused),
        };
        let is_full = matches!(&submitted, Post::Refused(refused) if is_full(refused));
        let former = std::mem::replace(&mut *place, submitted);
        drop(place);
        if let (Post::Waiting(waker), true) = (&former, is_full) {
            let is_kept =
                context::with(|here| here.map(|here| here.driver.full.borrow_mut().push(waker.clone())));
            if is_kept.is_some() {
                return;
            }
        }
        former.wake();
    }
}

/// Whether it was refused because as many operations are under way as may be.
fn is_full<O: Op>(refused: &Refused<O>) -> bool {
    refused.error.kind() == io::ErrorKind::WouldBlock
}

impl<O: Op> Post<O> {
    fn wake(self) {
        if let Post::Waiting(waker) = self {
            wake(waker);
        }
    }
}

impl<O: Op> Drop for Parcel<O> {
    fn drop(&mut self) {
        if let Some(op) = self.op.take() {
            let mut place = lock(&self.post);
            if matches!(*place, Post::Dropped) {
                drop(place);
                return;
            }
            let error = io::Error::new(io::ErrorKind::NotConnected, "the runtime has ended");
            let former = std::mem::replace(&mut *place, Post::Refused(Refused { op, error }));
            drop(place);
            former.wake();
        }
    }
}

impl<O: Op> Drop for Operation<O> {
    fn drop(&mut self) {
        match &self.state {
            State::Flying(ticket) => forget_waker(ticket),
            State::Posted(post) => {
                let left = std::mem::replace(&mut *lock(post), Post::Dropped);
                drop(left);
            }
            State::Idle(_) | State::Ended => {}
        }
    }
}
