//! The port: what its berths share.

use std::{
    collections::VecDeque,
    fmt, io,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc, Condvar, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering, fence},
    },
    task::Waker,
    time::{Duration, Instant},
};

use crossbeam_queue::ArrayQueue;

use crate::{
    address::Address,
    berth::{Berth, Refused, Report},
    handle::{Datagram, Handle, Listener, Stream},
    op::Outcome,
    packet::Payload,
    quay::Quay,
    sys::{self, System, lending::Lending, offload::Offload},
};

/// What moves the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Backend {
    /// The best there is: IOCP on Windows; io_uring on Linux, epoll where it is refused.
    #[default]
    Auto,
    /// io_uring, or an error.
    Uring,
    /// epoll.
    Epoll,
    /// IOCP.
    Iocp,
    /// The simulation, for tests: see [`Builder::sim`].
    #[cfg(feature = "sim")]
    Sim,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Backend::Auto => "auto",
            Backend::Uring => "uring",
            Backend::Epoll => "epoll",
            Backend::Iocp => "iocp",
            #[cfg(feature = "sim")]
            Backend::Sim => "sim",
        })
    }
}

/// What a port is opened with.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) backend: Backend,
    pub(crate) name: String,
    pub(crate) ops_max: usize,
    pub(crate) posts_max: usize,
    pub(crate) ring_entries: u32,
    pub(crate) concurrency: u32,
    pub(crate) offload_threads_max: usize,
    pub(crate) offload_jobs_max: usize,
    pub(crate) lent_count: u16,
    pub(crate) lent_len: usize,
    /// What only one system has to be told.
    #[cfg_attr(windows, allow(dead_code, reason = "Windows has no such options"))]
    pub(crate) sys: sys::Options,
    #[cfg(feature = "sim")]
    pub(crate) sim: crate::sys::sim::Options,
    /// The machine it is on, if there are others.
    #[cfg(feature = "sim")]
    pub(crate) kernel: Option<crate::sys::sim::Kernel>,
}

/// Opens a port.
#[derive(Debug, Clone)]
pub struct Builder {
    config: Config,
}

impl Builder {
    pub(crate) fn new() -> Builder {
        Builder {
            config: Config {
                backend: Backend::Auto,
                name: "ostia".to_owned(),
                ops_max: 65_536,
                posts_max: 16_384,
                ring_entries: 256,
                concurrency: 0,
                offload_threads_max: 8,
                offload_jobs_max: 16_384,
                lent_count: 256,
                lent_len: 16 * 1024,
                sys: sys::Options::default(),
                #[cfg(feature = "sim")]
                sim: crate::sys::sim::Options::default(),
                #[cfg(feature = "sim")]
                kernel: None,
            },
        }
    }

    #[cfg_attr(
        not(target_os = "linux"),
        allow(dead_code, reason = "only `os::linux` has options of its own")
    )]
    pub(crate) fn config_mut(&mut self) -> &mut Config {
        &mut self.config
    }

    /// Which back end. [`Backend::Auto`] unless told otherwise; then the environment variable `OSTIA_BACKEND`
    /// (`uring`, `epoll`, `iocp`) may narrow it.
    pub fn backend(mut self, backend: Backend) -> Builder {
        self.config.backend = backend;
        self
    }

    /// What threads of this port are called in a debugger.
    pub fn name(mut self, name: &str) -> Builder {
        self.config.name = name.to_owned();
        self
    }

    /// The most operations under way at one berth, at most 1,048,576; 65,536 unless told otherwise. One more is
    /// refused.
    pub fn ops_max(mut self, ops_max: usize) -> Builder {
        self.config.ops_max = ops_max;
        self
    }

    /// The most posts that nobody has taken yet; 16,384 unless told otherwise. One more is refused.
    pub fn posts_max(mut self, posts_max: usize) -> Builder {
        self.config.posts_max = posts_max.max(1);
        self
    }

    /// The entries of each berth's ring, rounded up to a power of two; 256 unless told otherwise. More operations
    /// than that may be under way: they wait for room.
    ///
    /// # Platforms
    ///
    /// io_uring alone has a ring.
    pub fn ring_entries(mut self, entries: u32) -> Builder {
        self.config.ring_entries = entries.clamp(2, 32_768).next_power_of_two();
        self
    }

    /// How many threads the system lets run at a time; 0, the usual, is one for each CPU.
    ///
    /// # Platforms
    ///
    /// IOCP alone counts its threads.
    pub fn concurrency(mut self, concurrency: u32) -> Builder {
        self.config.concurrency = concurrency;
        self
    }

    /// The most threads for what has no asynchronous form; 8 unless told otherwise. They start when needed.
    pub fn offload_threads_max(mut self, threads: usize) -> Builder {
        self.config.offload_threads_max = threads;
        self
    }

    /// The most jobs ([`Port::offload`]) that wait for such a thread; 16,384 unless told otherwise. One more is refused.
    pub fn offload_jobs_max(mut self, jobs: usize) -> Builder {
        self.config.offload_jobs_max = jobs;
        self
    }

    /// The buffers that each berth lends to managed receives: how many (rounded up to a power of two, at most
    /// 32,768) and how long (64 bytes to 16 MiB); 256 of 16 KiB unless told otherwise. They are made when the first
    /// is needed.
    pub fn lent_buffers(mut self, count: u16, len: usize) -> Builder {
        self.config.lent_count = count.clamp(1, 32_768).next_power_of_two();
        self.config.lent_len = len.clamp(64, 1 << 24);
        self
    }

    /// The simulated back end, with its seed and whatever else it is told.
    #[cfg(feature = "sim")]
    pub fn sim(mut self, options: crate::sys::sim::Options) -> Builder {
        self.config.backend = Backend::Sim;
        self.config.sim = options;
        self.config.kernel = None;
        self
    }

    /// A port on a simulated machine that other ports are on, too.
    #[cfg(feature = "sim")]
    pub fn kernel(mut self, kernel: &crate::sys::sim::Kernel) -> Builder {
        self.config.backend = Backend::Sim;
        self.config.kernel = Some(kernel.clone());
        self
    }

    /// The simulated back end, with the very kernel of another simulated port: what the one listens to the other may
    /// connect to, and there is one clock. With any other port this is as if it had not been said.
    #[cfg(feature = "sim")]
    pub fn sim_beside(self, port: &Port) -> Builder {
        match crate::sys::sim::Kernel::of(port) {
            Some(kernel) => self.kernel(&kernel),
            None => self,
        }
    }

    /// Opens the port.
    ///
    /// # Errors
    ///
    /// If the back end that was asked for is not to be had here (`Unsupported`), or the system's own.
    pub fn open(mut self) -> io::Result<Port> {
        if self.config.backend == Backend::Auto
            && let Some(named) = std::env::var_os("OSTIA_BACKEND")
        {
            self.config.backend = match named.to_str() {
                Some("uring") => Backend::Uring,
                Some("epoll") => Backend::Epoll,
                Some("iocp") => Backend::Iocp,
                #[cfg(feature = "sim")]
                Some("sim") => Backend::Sim,
                Some("" | "auto") => Backend::Auto,
                _ => {
                    let why = format!("OSTIA_BACKEND is {named:?}: it may be auto, uring, epoll or iocp");
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
                }
            };
        }
        if self.config.name.contains('\0') {
            let why = "threads are called by the port's name, and no thread's name has a zero byte";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let system = System::open(&self.config)?;
        let offload = Arc::new(Offload::new(&self.config, system.has_no_threads()));
        let shared_quay = system.shares_quay().then(|| Quay::claim(true));
        Ok(Port {
            shared: Arc::new(Shared {
                posts: ArrayQueue::new(self.config.posts_max),
                posters: Posters::default(),
                quays: RwLock::new(shared_quay.into_iter().collect()),
                shared_quay,
                config: self.config,
                system,
                offload,
                closing: AtomicBool::new(false),
                berths: Mutex::new(Vec::new()),
                berth_count: AtomicUsize::new(0),
                closed: Condvar::new(),
                lendings: RwLock::new(Vec::new()),
                has_leaked: AtomicBool::new(false),
                report: Mutex::new(Report::default()),
            }),
        })
    }
}

/// What the berths and handles of a port share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) system: System,
    pub(crate) offload: Arc<Offload>,
    pub(crate) posts: ArrayQueue<Payload>,
    posters: Posters,
    /// Where the berths wait.
    quays: RwLock<Vec<&'static Quay>>,
    /// The one quay of all, where the system shares it.
    shared_quay: Option<&'static Quay>,
    closing: AtomicBool,
    /// The threads that have a berth.
    berths: Mutex<Vec<std::thread::ThreadId>>,
    berth_count: AtomicUsize,
    closed: Condvar,
    /// Pools of lent buffers, by number.
    lendings: RwLock<Vec<Arc<Lending>>>,
    /// A berth left operations with the kernel.
    has_leaked: AtomicBool,
    report: Mutex<Report>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port").field("backend", &self.system.backend()).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    pub(crate) fn berth_count(&self) -> usize {
        self.berth_count.load(Ordering::Relaxed)
    }

    /// Where a new berth waits.
    pub(crate) fn claim_quay(&self) -> &'static Quay {
        self.shared_quay.unwrap_or_else(|| {
            let quay = Quay::claim(false);
            self.quays.write().unwrap_or_else(PoisonError::into_inner).push(quay);
            quay
        })
    }

    pub(crate) fn release_quay(&self, quay: &'static Quay) {
        if self.shared_quay.is_none() {
            let mut quays = self.quays.write().unwrap_or_else(PoisonError::into_inner);
            quays.retain(|one| !std::ptr::eq(*one, quay));
            drop(quays);
            quay.release();
        }
    }

    pub(crate) fn enter(&self) {
        self.berths.lock().unwrap_or_else(PoisonError::into_inner).push(std::thread::current().id());
        self.berth_count.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn leave(&self, report: &Report) {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).add(report);
        if report.leaked > 0 {
            self.has_leaked.store(true, Ordering::Relaxed);
        }
        let mut berths = self.berths.lock().unwrap_or_else(PoisonError::into_inner);
        let here = std::thread::current().id();
        if let Some(place) = berths.iter().position(|thread| *thread == here) {
            berths.swap_remove(place);
        }
        self.berth_count.fetch_sub(1, Ordering::Relaxed);
        drop(berths);
        self.closed.notify_all();
    }

    /// A new pool of lent buffers, for the berth at this quay.
    pub(crate) fn new_lending(&self, quay: &'static Quay) -> Arc<Lending> {
        let mut lendings = self.lendings.write().unwrap_or_else(PoisonError::into_inner);
        // A pool whose berth is closed goes when its last piece is back, and another gets its number; unless the
        // kernel still has an operation, and may have a piece with it.
        let goes = |lending: &Arc<Lending>| Arc::strong_count(lending) == 1 && lending.is_whole();
        let place =
            if self.has_leaked.load(Ordering::Relaxed) { None } else { lendings.iter().position(goes) };
        let number = u16::try_from(place.unwrap_or(lendings.len())).expect("fewer than 65,536 pools");
        let lending = Lending::new(number, self.config.lent_count, self.config.lent_len, quay);
        match place {
            Some(place) => lendings[place] = Arc::clone(&lending),
            None => lendings.push(Arc::clone(&lending)),
        }
        lending
    }

    /// The pool of the buffer that came with an outcome, if one came.
    pub(crate) fn lending_of(&self, outcome: Outcome) -> Option<Arc<Lending>> {
        if !outcome.flags().has(crate::op::Flags::BUFFER) {
            return None;
        }
        let lendings = self.lendings.read().unwrap_or_else(PoisonError::into_inner);
        lendings.get((outcome.buffer() >> 16) as usize).cloned()
    }

    /// Wakes one sleeping berth, if there is one.
    fn ring_one(&self) -> io::Result<()> {
        let quays = self.quays.read().unwrap_or_else(PoisonError::into_inner);
        match quays.iter().find(|quay| quay.sleeps()) {
            Some(quay) => quay.ring(),
            None => match self.shared_quay {
                Some(quay) => quay.ring(),
                None => Ok(()),
            },
        }
    }

    /// A post was taken: one of those who wait for room may come, and all if nothing is left in their way.
    #[inline]
    pub(crate) fn tell_posters(&self) {
        // Either who waits finds the room when it tries again, or we see that it waits.
        fence(Ordering::SeqCst);
        if self.posters.wait.load(Ordering::Relaxed) {
            self.posters.wake(if self.posts.is_empty() { usize::MAX } else { 1 });
        }
    }

    /// There is more to be done than one berth took: another may help.
    pub(crate) fn pass_on(&self) {
        if !self.posts.is_empty() {
            let _ = self.ring_one();
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(quay) = self.shared_quay {
            quay.release();
        }
    }
}

/// Those who wait for room among the posts.
#[derive(Debug, Default)]
struct Posters {
    line: Mutex<VecDeque<Waker>>,
    /// Whether there are any.
    wait: AtomicBool,
}

impl Posters {
    fn enter(&self, waker: &Waker) {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        // Who posts much at a time is woken once for all of it, and a few who ask again and again do not fill the line.
        if !line.iter().rev().take(16).any(|other| other.will_wake(waker)) {
            line.push_back(waker.clone());
        }
        self.wait.store(true, Ordering::Relaxed);
        drop(line);
        // See `tell_posters`.
        fence(Ordering::SeqCst);
    }

    /// Wakes the first so many.
    #[cold]
    fn wake(&self, count: usize) {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let count = count.min(line.len());
        let woken: Vec<Waker> = line.drain(..count).collect();
        self.wait.store(!line.is_empty(), Ordering::Relaxed);
        drop(line);
        for waker in woken {
            // In the midst of a wait: a caller's waker that panics is not to take others along.
            if panic::catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err() {
                tracing::error!("the waker of somebody who waits for room panicked");
            }
        }
    }
}

/// How a listener is opened.
#[derive(Debug, Clone, Copy)]
pub struct ListenOptions {
    pub(crate) backlog: i32,
    pub(crate) only_v6: Option<bool>,
    pub(crate) reuse_port: bool,
}

impl ListenOptions {
    /// The usual: as long a line as the system allows up to 1024, both families on an IPv6 wildcard as the system
    /// is set, the port ours alone.
    pub fn new() -> ListenOptions {
        ListenOptions { backlog: 1024, only_v6: None, reuse_port: false }
    }

    /// How many connections may wait to be accepted.
    pub fn backlog(mut self, backlog: i32) -> ListenOptions {
        self.backlog = backlog;
        self
    }

    /// Whether an IPv6 wildcard listens for IPv6 alone.
    pub fn only_v6(mut self, only: bool) -> ListenOptions {
        self.only_v6 = Some(only);
        self
    }

    /// Whether several listeners may share the port, each with its part of the connections.
    ///
    /// # Platforms
    ///
    /// Linux alone can do this; elsewhere listening fails with `Unsupported`.
    pub fn reuse_port(mut self, reuse: bool) -> ListenOptions {
        self.reuse_port = reuse;
        self
    }
}

impl Default for ListenOptions {
    fn default() -> ListenOptions {
        ListenOptions::new()
    }
}

/// A post that was refused; the payload comes back.
#[derive(Debug)]
pub struct PostError {
    /// What was to be posted.
    pub payload: Payload,
    /// Why not: as many as may wait do (`WouldBlock`), or the port is closing (`NotConnected`).
    pub kind: io::ErrorKind,
}

impl fmt::Display for PostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            io::ErrorKind::WouldBlock => "as many posts wait as the port may hold",
            _ => "the port is closing",
        })
    }
}

impl std::error::Error for PostError {}

/// Work of a caller's own that may wait: see [`Port::offload`].
pub type Job = Box<dyn FnOnce() + Send>;

/// A completion port. Cheap to clone; may be used from any thread.
#[derive(Debug, Clone)]
pub struct Port {
    shared: Arc<Shared>,
}

impl Port {
    /// How a port is opened otherwise than usual.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Opens a port with the best back end there is.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn open() -> io::Result<Port> {
        Port::builder().open()
    }

    /// The port of a handle.
    pub(crate) fn of(handle: &Handle) -> Port {
        Port { shared: Arc::clone(handle.port()) }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Which back end it has.
    pub fn backend(&self) -> Backend {
        self.shared.system.backend()
    }

    /// The port's clock: the system's, or that of the simulation.
    pub fn now(&self) -> Instant {
        self.shared.system.now()
    }

    /// A place for the calling thread.
    ///
    /// # Errors
    ///
    /// Those of the system, and `NotConnected` if the port is closing.
    pub fn berth(&self) -> io::Result<Berth> {
        Berth::open(self)
    }

    /// Sends something to whichever berth comes first. May be called from any thread, never blocks, and wakes a
    /// sleeper if all sleep.
    ///
    /// # Errors
    ///
    /// If as many posts wait as may, or the port is closing; the payload comes back.
    pub fn post(&self, payload: Payload) -> Result<(), PostError> {
        if self.shared.is_closing() {
            return Err(PostError { payload, kind: io::ErrorKind::NotConnected });
        }
        let pushed = self.shared.posts.push(payload);
        pushed.map_err(|payload| PostError { payload, kind: io::ErrorKind::WouldBlock })?;
        if self.shared.is_closing() && self.shared.berth_count() == 0 {
            // The port closed meanwhile, and nobody is left to take it: what it holds is not to stay.
            while self.shared.posts.pop().is_some() {}
        }
        if let Err(error) = self.shared.ring_one() {
            // It is in the queue: the next wait of any berth takes it.
            tracing::warn!(%error, "a berth could not be woken");
        }
        Ok(())
    }

    /// As [`Port::post`]; if it is refused because as many posts wait as may, the waker is woken when there is room again,
    /// or when the port closes. It may be woken for nothing, and somebody else may be quicker.
    ///
    /// # Errors
    ///
    /// As [`Port::post`].
    pub fn post_or_wake(&self, payload: Payload, waker: &Waker) -> Result<(), PostError> {
        match self.post(payload) {
            Err(PostError { payload, kind: io::ErrorKind::WouldBlock }) => {
                self.shared.posters.enter(waker);
                // There may be room since.
                let posted = self.post(payload);
                if self.shared.is_closing() {
                    // The close may have woken those in line before this one stood there.
                    self.shared.posters.wake(usize::MAX);
                }
                posted
            }
            posted => posted,
        }
    }

    /// A listener.
    ///
    /// # Errors
    ///
    /// Those of the system: the address is in use, not allowed, or not of this machine.
    pub fn listen(&self, address: &Address, options: &ListenOptions) -> io::Result<Listener> {
        let (raw, kind) = self.shared.system.listen(address, options)?;
        Handle::attach(&self.shared, raw, kind).map(Listener)
    }

    /// A stream to be connected to such an address, by [`op::Connect`](crate::op::Connect).
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn stream(&self, address: &Address) -> io::Result<Stream> {
        let (raw, kind) = self.shared.system.stream(address, None)?;
        Handle::attach(&self.shared, raw, kind).map(Stream)
    }

    /// The same, from a local address of the caller's choice; port 0 leaves the port to the system.
    ///
    /// # Errors
    ///
    /// Those of the system: the local address is taken, or not of this machine. `InvalidInput` if the two are not of
    /// one family; `Unsupported` if they are none of IP.
    pub fn stream_from(&self, address: &Address, local: &Address) -> io::Result<Stream> {
        let (Address::Ip(to), Address::Ip(from)) = (address, local) else {
            let why = "only a stream over IP has a local address to choose";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        };
        if to.is_ipv4() != from.is_ipv4() {
            let why = format!("a stream to {to} cannot come from {from}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let (raw, kind) = self.shared.system.stream(address, Some(*from))?;
        Handle::attach(&self.shared, raw, kind).map(Stream)
    }

    /// A socket for datagrams, bound to this address.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn datagram(&self, address: &Address) -> io::Result<Datagram> {
        let (raw, kind) = self.shared.system.datagram(address)?;
        Handle::attach(&self.shared, raw, kind).map(Datagram)
    }

    /// Runs a job that may wait, such as the lookup of a name, on a thread that the port keeps for what has no
    /// asynchronous form. May be called from any thread, and never blocks. No packet tells of the job's end.
    ///
    /// A job that panics ends; its thread does not. Jobs that no thread has begun when the port closes are dropped, and
    /// nobody waits for those that run.
    ///
    /// In the simulation there are no such threads: the next wait of any berth runs the job.
    ///
    /// # Errors
    ///
    /// [`Refused`], with the job, if as many wait as may (`WouldBlock`), if the port is closing (`NotConnected`), or if
    /// no thread could be started.
    pub fn offload(&self, job: Job) -> Result<(), Refused<Job>> {
        if self.shared.system.lacks_thread() {
            let error = io::Error::new(io::ErrorKind::WouldBlock, "there is no thread for it");
            return Err(Refused { op: job, error });
        }
        self.shared.offload.run(job)?;
        if self.shared.offload.is_here()
            && let Err(error) = self.shared.ring_one()
        {
            // It is in the queue: the next wait of any berth runs it.
            tracing::warn!(%error, "a berth could not be woken");
        }
        Ok(())
    }

    /// How many threads the port has started for what has no asynchronous form.
    pub fn offload_threads(&self) -> usize {
        self.shared.offload.threads()
    }

    /// The most threads that the port starts for what has no asynchronous form.
    pub fn offload_threads_max(&self) -> usize {
        self.shared.offload.threads_max()
    }

    /// Shuts the port: no post, no job, no berth, no submit any more; every berth's wait returns at once, and
    /// [`Berth::is_closing`] says why. Waits until all berths have been closed by their threads, or until the
    /// deadline, and tells what became of all operations of all berths, those closed earlier included.
    ///
    /// # Errors
    ///
    /// `Deadlock` if the calling thread has a berth of this port: close that first. `TimedOut` if a berth was not
    /// closed by the deadline; the port stays shut.
    pub fn close(&self, deadline: Duration) -> io::Result<Report> {
        let shared = &self.shared;
        shared.closing.store(true, Ordering::Release);
        // Who enters their line from here on finds it closing.
        shared.posters.wake(usize::MAX);
        shared.offload.shut();
        for quay in &*shared.quays.read().unwrap_or_else(PoisonError::into_inner) {
            quay.ring_all();
        }
        let berths = shared.berths.lock().unwrap_or_else(PoisonError::into_inner);
        if berths.contains(&std::thread::current().id()) {
            let why = "a thread that has a berth would wait for itself: close the berth first";
            return Err(io::Error::new(io::ErrorKind::Deadlock, why));
        }
        let waited = shared.closed.wait_timeout_while(berths, deadline, |berths| !berths.is_empty());
        let (berths, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if !berths.is_empty() {
            let why = format!("{} berths of the port are still open", berths.len());
            return Err(io::Error::new(io::ErrorKind::TimedOut, why));
        }
        drop(berths);
        // Work that nobody will run any more may hold this very port.
        while shared.posts.pop().is_some() {}
        Ok(*shared.report.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{op::Flags, sys::lending::Loan};

    #[test]
    fn the_buffers_of_closed_berths_serve_others_once_they_are_all_back() {
        let port = Port::builder().lent_buffers(1, 64).open().unwrap();
        let quay = Quay::claim(false);
        let lend = |lending: &Arc<Lending>| -> Loan {
            let piece = lending.take().expect("nobody has it");
            let outcome = Outcome::ok(1).with_buffer(lending.name(piece));
            assert!(outcome.flags().has(Flags::BUFFER));
            port.shared.lending_of(outcome).expect("it has a pool").loan(outcome.buffer())
        };

        let first = port.shared.new_lending(quay);
        let loan = lend(&first);
        drop(first);
        let second = port.shared.new_lending(quay);
        assert_eq!(second.name(0) >> 16, 1, "the first pool still has a piece out");
        drop(loan);
        let third = port.shared.new_lending(quay);
        assert_eq!(third.name(0) >> 16, 0, "the first pool is whole again, and its berth is gone");
        quay.release();
    }
}
