//! A [`Scope`] owns outstanding work by guards, and knows when the last of it has ended.
//!
//! | a scope is | `enter` | becomes |
//! |---|---|---|
//! | open | gives a guard | closed, when its intake is closed, it is cancelled, or its last handle is dropped |
//! | closed, with guards | gives none | ended, when the last guard is dropped |
//! | ended | gives none | nothing else: it ends once |
//!
//! A guard can be had from a guard in each state but the last, which it prevents: work that is under way may divide.
//! A child holds a guard of its parent until it has ended itself, so a parent ends after its children; a parent that is
//! cancelled cancels them. That intake was closed is no child's concern: it belongs to work that is under way.

use std::{
    borrow::Cow,
    fmt::{self, Debug, Display, Formatter},
    future::poll_fn,
    panic::Location,
    pin::{Pin, pin},
    sync::{Arc, Weak},
    task::{Context, Poll},
    time::Instant,
};

use slab::Slab;

use crate::{
    loom::{AtomicBool, Mutex, Ordering, lock},
    sync::{Line, Wait, Waiting, Wakes},
};

/// What a scope or a piece of work is called in reports.
pub type Name = Cow<'static, str>;

/// Owns outstanding work by guards; a clone is the same scope. When the last handle is dropped, its intake is closed.
///
/// ```
/// use ostia_rt::Scope;
///
/// # use std::{future::{pending, ready}, pin::pin, task::{Context, Poll, Waker}};
/// # let mut cx = Context::from_waker(Waker::noop());
/// # let example = pin!(async {
/// let scope = Scope::new("server");
/// let guard = scope.enter("request").expect("it is open");
///
/// // The deadline is any future; this one has come already.
/// let report = scope.drain(ready(())).await;
/// assert_eq!((report.entered, report.ended), (1, 0));
/// assert_eq!(report.pending[0].name, "request");
/// assert!(scope.enter("another").is_none(), "its intake is closed");
///
/// drop(guard);
/// let report = scope.drain(pending()).await;
/// assert!(report.pending.is_empty());
/// # });
/// # assert_eq!(example.poll(&mut cx), Poll::Ready(()));
/// ```
#[derive(Clone)]
pub struct Scope {
    door: Arc<Door>,
}

impl Scope {
    /// A scope that is open and stands alone.
    pub fn new(name: impl Into<Name>) -> Self {
        Self::with_clock(name, Instant::now)
    }

    /// A scope whose reports, and those of its children, are timed by this clock, and not by the system's: by
    /// `ostia_rt::time::now`, say, where all work is the runtime's.
    pub fn with_clock(name: impl Into<Name>, clock: fn() -> Instant) -> Self {
        let inner = Inner::new(name.into(), clock, None, false);
        Self { door: Arc::new(Door { inner: Arc::new(inner) }) }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.inner().name
    }

    /// A piece of work begins. None if the intake is closed.
    #[track_caller]
    pub fn enter(&self, name: impl Into<Name>) -> Option<Guard> {
        let (name, since) = (name.into(), (self.inner().clock)());
        let mut state = lock(&self.inner().state);
        if state.open { Some(self.inner().admit(&mut state, name, since)) } else { None }
    }

    /// A scope of its own that holds a guard of this one until it has ended, and is cancelled with it. None if the
    /// intake is closed.
    #[track_caller]
    pub fn child(&self, name: impl Into<Name>) -> Option<Scope> {
        let (name, since) = (name.into(), (self.inner().clock)());
        let mut state = lock(&self.inner().state);
        if state.open { Some(self.inner().bear(&mut state, name, since)) } else { None }
    }

    /// Nothing enters any more. What has entered goes on.
    pub fn close_intake(&self) {
        self.inner().close_intake();
    }

    /// Closes the intake, and tells all work here and in the scopes below that it is to end.
    ///
    /// It is told: [`is_cancelled`](Guard::is_cancelled) says so and [`cancelled`](Guard::cancelled) ends. The work ends
    /// when its guards are dropped.
    pub fn cancel(&self) {
        Arc::clone(self.inner()).cancel();
    }

    /// Whether it has been cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.inner().is_cancelled()
    }

    /// Waits until it is cancelled.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and called again.
    pub fn cancelled(&self) -> Cancelled<'_> {
        self.inner().cancelled()
    }

    /// Whether its intake is closed and the last guard gone.
    pub fn has_ended(&self) -> bool {
        lock(&self.inner().state).ended
    }

    /// Waits until its intake is closed and the last guard gone. It closes nothing itself.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and called again.
    pub fn ended(&self) -> Ended<'_> {
        Ended(Waiting::new(&self.inner().state, End))
    }

    /// Closes the intake, waits until all work has ended or the deadline has come, and reports.
    ///
    /// Work that is to end sooner is [cancelled](Self::cancel) before, or after a first deadline.
    ///
    /// # Cancel safety
    ///
    /// The intake stays closed. It may be dropped and called again.
    pub async fn drain(&self, deadline: impl Future<Output = ()>) -> Report {
        self.close_intake();
        let (mut ended, mut deadline) = (self.ended(), pin!(deadline));
        poll_fn(|cx| match Pin::new(&mut ended).poll(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => deadline.as_mut().poll(cx),
        })
        .await;
        self.report()
    }

    /// What has ended, and what is pending, and where.
    pub fn report(&self) -> Report {
        self.inner().report()
    }

    fn inner(&self) -> &Arc<Inner> {
        &self.door.inner
    }
}

impl Debug for Scope {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.inner().fmt(f)
    }
}

/// What all handles of a scope share.
struct Door {
    inner: Arc<Inner>,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.inner.close_intake();
    }
}

/// A piece of outstanding work; it has ended when this is dropped.
#[must_use = "the work ends at once"]
pub struct Guard {
    /// None only while it is dropped.
    held: Option<Held>,
}

struct Held {
    inner: Arc<Inner>,
    key: usize,
}

const HELD: &str = "a guard holds its scope until it is dropped";

impl Guard {
    /// What the work is called.
    pub fn name(&self) -> Name {
        lock(&self.inner().state).work[self.held().key].name.clone()
    }

    /// Whether the scope has been cancelled. It costs a load, so a loop may ask it each time.
    pub fn is_cancelled(&self) -> bool {
        self.inner().is_cancelled()
    }

    /// Waits until the scope is cancelled.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and called again.
    pub fn cancelled(&self) -> Cancelled<'_> {
        self.inner().cancelled()
    }

    /// The work divides: another guard, also if the intake is closed.
    #[track_caller]
    pub fn fork(&self, name: impl Into<Name>) -> Guard {
        let (inner, name) = (self.inner(), name.into());
        let since = (inner.clock)();
        inner.admit(&mut lock(&inner.state), name, since)
    }

    /// A scope for parts of this work, also if the intake is closed. It holds a guard of its own.
    #[track_caller]
    pub fn child(&self, name: impl Into<Name>) -> Scope {
        let (inner, name) = (self.inner(), name.into());
        let since = (inner.clock)();
        inner.bear(&mut lock(&inner.state), name, since)
    }

    fn held(&self) -> &Held {
        self.held.as_ref().expect(HELD)
    }

    fn inner(&self) -> &Arc<Inner> {
        &self.held().inner
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut wakes = Wakes::none();
        let mut guard = self.held.take();
        // A scope that ends lets go of its parent, which may end by that: one after the other, however many.
        while let Some(Held { inner, key }) = guard.take() {
            let mut state = lock(&inner.state);
            let work = state.work.remove(key);
            state.done += 1;
            guard = state.end_if_over(&mut wakes).and_then(|mut parent| parent.held.take());
            drop(state);
            drop(work);
        }
        wakes.wake();
    }
}

impl Debug for Guard {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("name", &self.name()).field("scope", &self.inner().name).finish()
    }
}

struct Inner {
    name: Name,
    clock: fn() -> Instant,
    /// Written under the lock.
    cancelled: AtomicBool,
    state: Mutex<State>,
}

struct State {
    open: bool,
    ended: bool,
    /// As in `Inner`, for those who hold the lock.
    cancelled: bool,
    /// Work that has not ended; a guard for each.
    work: Slab<Work>,
    /// How much has ended.
    done: u64,
    /// Who waits to be cancelled.
    cancels: Line<()>,
    /// Who waits for the end.
    ends: Line<()>,
    /// Held until it has ended.
    parent: Option<Guard>,
}

struct Work {
    name: Name,
    since: Instant,
    location: &'static Location<'static>,
    /// The scope that holds this guard, if it is one.
    child: Weak<Inner>,
}

impl State {
    /// If intake is closed and the last guard gone it ends, and lets go of its parent: to be dropped where no lock is
    /// held.
    fn end_if_over(&mut self, wakes: &mut Wakes) -> Option<Guard> {
        if self.open || self.ended || !self.work.is_empty() {
            return None;
        }
        self.ended = true;
        self.ends.call_all(wakes);
        self.parent.take()
    }
}

impl Inner {
    fn new(name: Name, clock: fn() -> Instant, parent: Option<Guard>, cancelled: bool) -> Self {
        let state = State {
            open: !cancelled,
            ended: false,
            cancelled,
            work: Slab::new(),
            done: 0,
            cancels: Line::new(),
            ends: Line::new(),
            parent,
        };
        Self { name, clock, cancelled: AtomicBool::new(cancelled), state: Mutex::new(state) }
    }

    #[track_caller]
    fn admit(self: &Arc<Self>, state: &mut State, name: Name, since: Instant) -> Guard {
        let key = state.work.insert(Work { name, since, location: Location::caller(), child: Weak::new() });
        Guard { held: Some(Held { inner: Arc::clone(self), key }) }
    }

    /// The child is known to its parent, and has its guard, before anybody can cancel one of them.
    #[track_caller]
    fn bear(self: &Arc<Self>, state: &mut State, name: Name, since: Instant) -> Scope {
        let guard = self.admit(state, name.clone(), since);
        let key = guard.held().key;
        let child = Arc::new(Self::new(name, self.clock, Some(guard), state.cancelled));
        state.work[key].child = Arc::downgrade(&child);
        Scope { door: Arc::new(Door { inner: child }) }
    }

    fn close_intake(&self) {
        let mut wakes = Wakes::none();
        let mut state = lock(&self.state);
        state.open = false;
        let parent = state.end_if_over(&mut wakes);
        drop(state);
        wakes.wake();
        drop(parent);
    }

    fn cancel(self: Arc<Self>) {
        let mut wakes = Wakes::none();
        let mut parents = Vec::new();
        let mut scopes = vec![self];
        while let Some(scope) = scopes.pop() {
            let mut state = lock(&scope.state);
            // If it was cancelled before, so are those below.
            if !state.cancelled {
                state.cancelled = true;
                scope.cancelled.store(true, Ordering::Release);
                state.open = false;
                state.cancels.call_all(&mut wakes);
                scopes.extend(state.work.iter().filter_map(|(_, work)| work.child.upgrade()));
                parents.extend(state.end_if_over(&mut wakes));
            }
        }
        wakes.wake();
        drop(parents);
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    fn cancelled(&self) -> Cancelled<'_> {
        Cancelled(Waiting::new(&self.state, Cancel))
    }

    fn report(&self) -> Report {
        let (mut below, at) = (Vec::new(), (self.clock)());
        let mut report = {
            let state = lock(&self.state);
            let mut pending = Vec::new();
            state.list(&self.name, &mut pending, &mut below);
            Report {
                name: self.name.clone(),
                entered: state.done + state.work.len() as u64,
                ended: state.done,
                cancelled: state.cancelled,
                pending,
                at,
            }
        };
        // One lock at a time, so that nobody waits for two.
        while let Some((own, child)) = below.pop() {
            let state = lock(&child.state);
            if state.work.is_empty() {
                // Nothing is under way in it; it is pending itself, until its intake is closed.
                report.pending.push(own);
            } else {
                let path = format!("{} / {}", own.scope, own.name);
                state.list(&path, &mut report.pending, &mut below);
            }
        }
        report.pending.sort_by_key(|pending| pending.since);
        report
    }
}

impl State {
    /// What is pending here goes to `pending`, and the scopes below, with what to say of each if it is empty, to `below`.
    fn list(&self, path: &str, pending: &mut Vec<Pending>, below: &mut Vec<(Pending, Arc<Inner>)>) {
        for (_, work) in &self.work {
            let (name, scope) = (work.name.clone(), path.to_owned());
            let entry = Pending { name, scope, since: work.since, location: work.location };
            match work.child.upgrade() {
                Some(child) => below.push((entry, child)),
                None => pending.push(entry),
            }
        }
    }
}

impl Debug for Inner {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (open, pending, ended, cancelled) = {
            let state = lock(&self.state);
            (state.open, state.work.len(), state.ended, state.cancelled)
        };
        f.debug_struct("Scope")
            .field("name", &self.name)
            .field("open", &open)
            .field("pending", &pending)
            .field("ended", &ended)
            .field("cancelled", &cancelled)
            .finish()
    }
}

/// What has ended in a [`Scope`], and what is pending, and where.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// What the scope is called.
    pub name: Name,
    /// How many guards were given out: as many as have ended and are pending. A scope below counts as one.
    pub entered: u64,
    /// How many of them have been dropped.
    pub ended: u64,
    /// Whether the scope was cancelled.
    pub cancelled: bool,
    /// What has not ended, here and in the scopes below, oldest first.
    pub pending: Vec<Pending>,
    /// When this was so.
    pub at: Instant,
}

/// A piece of work that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pending {
    /// What it is called.
    pub name: Name,
    /// The scopes it lies in, from the outermost: `server / request 7`.
    pub scope: String,
    /// When it began.
    pub since: Instant,
    /// The line of code where it began.
    pub location: &'static Location<'static>,
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} of {} ended", self.name, self.ended, self.entered)?;
        for Pending { name, scope, since, location } in &self.pending {
            let age = self.at.saturating_duration_since(*since);
            write!(f, "\n  pending for {age:.1?}: {name}, in {scope}, from {location}")?;
        }
        Ok(())
    }
}

/// Ends when a scope is cancelled; made by [`Scope::cancelled`] and [`Guard::cancelled`].
///
/// # Panics
///
/// If it is polled after it has ended.
#[derive(Debug)]
#[must_use = "futures do nothing unless they are polled"]
pub struct Cancelled<'a>(Waiting<'a, Cancel>);

impl Future for Cancelled<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.get_mut().0).poll(cx)
    }
}

struct Cancel;

impl Wait for Cancel {
    type State = State;
    type Item = ();
    type Output = ();

    fn line<'s>(&self, state: &'s mut State) -> &'s mut Line<()> {
        &mut state.cancels
    }

    fn arrive(&mut self, state: &mut State, _wakes: &mut Wakes) -> Option<()> {
        state.cancelled.then_some(())
    }

    fn join(&mut self, _state: &mut State) {}

    fn called(&mut self, (): (), _state: &mut State, _wakes: &mut Wakes) {}
}

/// Ends when a scope has ended; made by [`Scope::ended`].
///
/// # Panics
///
/// If it is polled after it has ended.
#[derive(Debug)]
#[must_use = "futures do nothing unless they are polled"]
pub struct Ended<'a>(Waiting<'a, End>);

impl Future for Ended<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.get_mut().0).poll(cx)
    }
}

struct End;

impl Wait for End {
    type State = State;
    type Item = ();
    type Output = ();

    fn line<'s>(&self, state: &'s mut State) -> &'s mut Line<()> {
        &mut state.ends
    }

    fn arrive(&mut self, state: &mut State, _wakes: &mut Wakes) -> Option<()> {
        state.ended.then_some(())
    }

    fn join(&mut self, _state: &mut State) {}

    fn called(&mut self, (): (), _state: &mut State, _wakes: &mut Wakes) {}
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::{
        future::{pending, ready},
        time::Duration,
    };

    use super::*;
    use crate::sync::hand::{Hand, now, panics};

    fn names(report: &Report) -> Vec<(&str, &str)> {
        report.pending.iter().map(|pending| (pending.scope.as_str(), &*pending.name)).collect()
    }

    #[test]
    fn a_scope_ends_when_it_is_closed_and_the_last_guard_is_gone() {
        let scope = Scope::new("scope");
        let (one, two) = (scope.enter("one").expect("open"), scope.enter("two").expect("open"));
        let mut ended = Hand::new(scope.ended());
        assert!(ended.poll().is_pending());
        drop(one);
        scope.close_intake();
        assert!(scope.enter("three").is_none());
        assert_eq!((ended.wakes(), scope.has_ended()), (0, false));
        drop(two);
        assert_eq!((ended.wakes(), scope.has_ended()), (1, true));
        assert!(ended.poll().is_ready());
        scope.close_intake();
        scope.cancel();
        assert_eq!(ended.wakes(), 1, "it ends once");
        let report = scope.report();
        assert_eq!((report.entered, report.ended, report.pending.len()), (2, 2, 0));
    }

    #[test]
    fn an_open_scope_without_work_has_not_ended() {
        let scope = Scope::new("scope");
        drop(scope.enter("work"));
        assert!(!scope.has_ended());
        scope.close_intake();
        assert!(scope.has_ended());
    }

    #[test]
    fn the_last_handle_closes_the_intake_when_it_is_dropped() {
        let parent = Scope::new("parent");
        let child = parent.child("child").expect("open");
        let other = child.clone();
        let guard = child.enter("work").expect("open");
        parent.close_intake();
        drop(child);
        drop(other);
        assert!(!parent.has_ended());
        drop(guard);
        assert!(parent.has_ended());
    }

    #[test]
    fn cancelling_tells_every_guard_here_and_below() {
        let parent = Scope::new("parent");
        let child = parent.child("child").expect("open");
        let (outer, inner) = (parent.enter("outer").expect("open"), child.enter("inner").expect("open"));
        let (mut one, mut two) = (Hand::new(outer.cancelled()), Hand::new(inner.cancelled()));
        assert!(one.poll().is_pending() && two.poll().is_pending() && !inner.is_cancelled());
        parent.cancel();
        assert_eq!((one.wakes(), two.wakes()), (1, 1));
        assert!(one.poll().is_ready() && two.poll().is_ready());
        assert!(outer.is_cancelled() && inner.is_cancelled() && child.is_cancelled());
        assert!(child.enter("late").is_none() && parent.child("late").is_none());
        assert_eq!(now(inner.cancelled()), Some(()));
    }

    #[test]
    fn a_cancelled_child_leaves_its_parent_alone() {
        let parent = Scope::new("parent");
        let child = parent.child("child").expect("open");
        child.cancel();
        assert!(child.has_ended() && !parent.is_cancelled());
        assert!(parent.enter("work").is_some());
        assert_eq!(parent.report().ended, 2);
    }

    #[test]
    fn work_divides_also_when_the_intake_is_closed() {
        let scope = Scope::new("scope");
        let guard = scope.enter("work").expect("open");
        scope.cancel();
        let (fork, child) = (guard.fork("half"), guard.child("parts"));
        assert!(child.is_cancelled() && child.enter("part").is_none(), "it is born cancelled");
        drop(guard);
        assert!(!scope.has_ended());
        drop(fork);
        assert!(!scope.has_ended());
        drop(child);
        assert!(scope.has_ended());
    }

    #[test]
    fn a_drain_ends_with_the_work() {
        let scope = Scope::new("scope");
        let guard = scope.enter("work").expect("open");
        let mut drain = Hand::new(scope.drain(pending()));
        assert!(drain.poll().is_pending());
        drop(guard);
        assert_eq!(drain.wakes(), 1);
        let Poll::Ready(report) = drain.poll() else { panic!("all has ended") };
        assert_eq!((report.entered, report.ended, report.pending.len()), (1, 1, 0));
    }

    #[test]
    fn a_drain_that_comes_to_its_deadline_says_what_is_pending_and_where() {
        let server = Scope::new("server");
        let request = server.child(format!("request {}", 7)).expect("open");
        let idle = server.child("idle").expect("open");
        let accept = server.enter("accept").expect("open");
        let read = request.enter("read").expect("open");
        let line = line!() - 1;
        drop(server.enter("done"));
        let report = now(server.drain(ready(()))).expect("the deadline has come");
        assert_eq!((report.entered, report.ended, report.cancelled), (4, 1, false));
        assert_eq!(
            names(&report),
            [("server", "idle"), ("server", "accept"), ("server / request 7", "read")]
        );
        let last = &report.pending[2];
        assert_eq!((last.location.file(), last.location.line()), (file!(), line));
        assert!(report.to_string().contains("1 of 4 ended"), "{report}");
        assert!(report.to_string().contains(": read, in server / request 7, from "), "{report}");
        assert_eq!((&*read.name(), &*accept.name()), ("read", "accept"));
        drop((idle, request));
        assert_eq!(names(&server.report()), [("server", "accept"), ("server / request 7", "read")]);
    }

    #[test]
    fn a_report_is_timed_by_the_clock_of_the_scope() {
        let clock = || {
            use std::sync::OnceLock;
            static START: OnceLock<Instant> = OnceLock::new();
            *START.get_or_init(Instant::now) + Duration::from_secs(3600)
        };
        let scope = Scope::with_clock("scope", clock);
        let _guard = scope.child("child").expect("open").enter("work");
        let report = scope.report();
        assert_eq!((report.at, report.pending[0].since), (clock(), clock()));
    }

    #[test]
    fn a_panic_ends_the_work() {
        let scope = Scope::new("scope");
        assert!(panics(|| {
            let _guard = scope.enter("work");
            panic!("in the middle of it");
        }));
        scope.close_intake();
        assert!(scope.has_ended());
    }

    #[test]
    fn a_waker_that_panics_keeps_no_parent_from_its_end() {
        let parent = Scope::new("parent");
        let child = parent.child("child").expect("open");
        let guard = child.enter("work").expect("open");
        let (mut first, mut second) = (Hand::new(child.ended()), Hand::new(parent.ended()));
        assert!(first.poll().is_pending() && second.poll().is_pending());
        parent.close_intake();
        child.close_intake();
        first.when_woken(|| panic!("a waker of ill will"));
        assert!(panics(|| drop(guard)));
        assert!(parent.has_ended());
        assert_eq!((first.wakes(), second.wakes()), (1, 1));
    }

    #[test]
    fn ten_thousand_scopes_one_inside_the_other_end() {
        let outermost = Scope::new("scope");
        let mut scopes = vec![outermost.clone()];
        for _ in 0..10_000 {
            let child = scopes[scopes.len() - 1].child("scope").expect("open");
            scopes.push(child);
        }
        let guard = scopes[10_000].enter("work").expect("open");
        outermost.cancel();
        assert!(guard.is_cancelled());
        drop(scopes);
        assert!(!outermost.has_ended());
        drop(guard);
        assert!(outermost.has_ended());
    }
}
