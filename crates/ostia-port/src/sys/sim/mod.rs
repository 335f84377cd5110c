//! The simulated back end: a kernel of our own, in memory, whose every choice follows from a seed.
//!
//! **Strategy.** One [`World`] for each port, or for all ports of a [`Kernel`], holds sockets, files and the operations under way. Nothing of the operating
//! system is inside: no descriptor, no thread, no clock. A berth's wait hands over what was submitted, lets the kernel
//! work on what is due, and tells what has ended. Where a real wait would sleep, this one sets the clock to the next
//! moment at which something happens: an hour passes at once.
//!
//! **What it leans on.** Whoever holds a flight may use its memory; the kernel keeps the flight exactly as long as a
//! real one keeps the memory, and gives flight and outcome back together.
//!
//! **One seed, one run.** If everything is driven from one thread ([`Options::alone`]) nothing depends on anything but
//! the seed: no map of random order, no real time. Where berths stand for threads of their own ([`Options::stepped`]),
//! a wait that would sleep says so and leaves its berth asleep, and whoever drives them says when time passes
//! ([`Kernel::advance`]). With several threads the order of their calls is the machine's; then
//! a wait that has nothing to do until its timeout lets other threads go first for a moment ([`LINGER`]), and one that
//! has nothing to do at all sleeps until somebody rings.
//!
//! **Several ports** may have one [`Kernel`], as several real ones have:
//! one clock, one set of addresses, one seed.
//!
//! **What is weak.** It is not fast: each turn looks at all operations. Readiness of foreign descriptors, raw calls and
//! message pipes do not exist here: `Unsupported`.

mod code;
mod dice;
mod file;
mod memory;
mod socket;
mod world;

use std::{
    collections::VecDeque,
    fmt, io,
    net::{Shutdown, SocketAddr},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use socket2::SockAddr;

pub use self::dice::Options;
use self::world::{Last, Told, World};
use crate::{
    address::Address,
    berth::Berth,
    handle::Kind,
    op::{
        AcceptMany, Outcome, ReceiveManagedMany, Request, slab,
        slot::{Flight, Slot},
    },
    port::{Backend, Config, ListenOptions, Port},
    quay::Quay,
    sink::Sink,
    sys::{self, Memo, Raw, lending::Lending},
};

/// How long, by a real clock, a wait whose time is over lets other threads go first.
const LINGER: Duration = Duration::from_millis(20);
/// How long, by a real clock, the one berth of a port sleeps before it says that nobody will ever ring.
const PATIENCE: Duration = Duration::from_secs(10);

/// The number of a handle, from what the port knows it by.
fn number(raw: Raw) -> u32 {
    raw as u32
}

fn raw((number, kind): (u32, Kind)) -> (Raw, Kind) {
    (sys::raw_of(number as usize), kind)
}

fn only_tcp(kind: Kind) -> io::Result<()> {
    if kind == Kind::Tcp { Ok(()) } else { Err(code::error(sys::error::CODE_UNSUPPORTED)) }
}

/// What all threads of a port share.
#[derive(Debug)]
struct Shared {
    world: Mutex<World>,
    /// Something happened that a sleeper may have waited for.
    changed: Condvar,
    /// The moment at which the clock stood at zero.
    start: Instant,
}

/// A simulated machine. The ports that are opened on it ([`Builder::kernel`](crate::Builder::kernel)) have one clock,
/// one network and one file system.
#[derive(Debug, Clone)]
pub struct Kernel {
    shared: Arc<Shared>,
}

impl Kernel {
    /// A machine that has just been started.
    pub fn new(options: Options) -> Kernel {
        let world = Mutex::new(World::new(options));
        Kernel { shared: Arc::new(Shared { world, changed: Condvar::new(), start: Instant::now() }) }
    }

    /// What its clock says.
    pub fn now(&self) -> Instant {
        self.shared.now()
    }

    /// What a test may know of it.
    pub fn state(&self) -> State {
        State::of_world(&self.shared.world())
    }

    /// From now on nothing fails for lack of anything, nothing is reset and nothing gets stuck, whatever the options said.
    pub fn heal(&self) {
        self.shared.change(|world| {
            let options = &mut world.options;
            *options = Options { lack: 0, reset: 0, stuck: 0, no_thread: 0, ..*options };
        });
    }

    /// Lets time pass, as work does that takes long.
    pub fn pass(&self, time: Duration) {
        self.shared.change(|world| world.now += u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2));
    }

    /// Sets the clock to the next moment at which something happens, in the kernel or to a berth that sleeps, and to
    /// `limit` if that is earlier. False if nothing ever will unless somebody who is awake sees to it.
    pub fn advance(&self, limit: Option<Instant>) -> bool {
        let limit = limit.map(|limit| limit.saturating_duration_since(self.shared.start).as_nanos());
        let limit = limit.map(|limit| u64::try_from(limit).unwrap_or(u64::MAX));
        self.shared.change(|world| world.advance(limit))
    }

    /// That of a port; none if it is on a real one.
    pub fn of(port: &Port) -> Option<Kernel> {
        let sys::System::Sim(system) = &port.shared().system else { return None };
        Some(Kernel { shared: Arc::clone(&system.shared) })
    }
}

/// How a berth is broken: see [`break_berth`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// Its waits fail. What has ended is told all the same, as where the system's call fails and what has ended lies in
    /// memory that both know.
    Waits,
    /// Its waits fail, and nothing that the kernel has of it ever comes back.
    All,
}

/// From here on each wait of this berth fails; one that sleeps gets up and fails. While the berth closes, time passes
/// in its waits nonetheless. On another back end nothing happens.
pub fn break_berth(berth: &Berth, how: Break) {
    if let sys::AnyDriver::Sim(driver) = berth.driver() {
        driver.shared.change(|world| world.break_berth(driver.berth, how));
    }
}

/// Whether this berth sleeps and nothing has come that would wake it: its last wait failed with `WouldBlock`
/// ([`Options::stepped`]), and would again.
pub fn is_asleep(berth: &Berth) -> bool {
    let sys::AnyDriver::Sim(driver) = berth.driver() else { return false };
    driver.shared.change(|world| world.is_asleep(driver.berth))
}

impl Shared {
    fn now(&self) -> Instant {
        let mut world = self.world();
        world.look();
        self.start + Duration::from_nanos(world.now)
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the world, and tells sleepers.
    fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let result = change(&mut self.world());
        self.changed.notify_all();
        result
    }
}

#[derive(Debug)]
pub(crate) struct System {
    shared: Arc<Shared>,
}

impl System {
    pub(crate) fn open(config: &Config) -> io::Result<System> {
        let kernel = config.kernel.clone().unwrap_or_else(|| Kernel::new(config.sim));
        Ok(System { shared: kernel.shared })
    }

    pub(crate) fn shares_kernel_with(&self, other: &System) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    pub(crate) fn backend(&self) -> Backend {
        Backend::Sim
    }

    pub(crate) fn driver(&self, _config: &Config, quay: &'static Quay) -> io::Result<Driver> {
        let shared = Arc::clone(&self.shared);
        let berth = shared.world().add_berth();
        quay.set_waker(sys::Waker::Sim(Waker { shared: Arc::clone(&shared), berth }));
        Ok(Driver { shared, berth, quay, waiting: VecDeque::new(), told: Vec::new(), lending: None })
    }

    pub(crate) fn listen(&self, address: &Address, options: &ListenOptions) -> io::Result<(Raw, Kind)> {
        self.shared.change(|world| world.objects.listen(address, options)).map(raw)
    }

    pub(crate) fn stream(&self, address: &Address, from: Option<SocketAddr>) -> io::Result<(Raw, Kind)> {
        self.shared.change(|world| world.objects.open_stream(address, from)).map(raw)
    }

    pub(crate) fn datagram(&self, address: &Address) -> io::Result<(Raw, Kind)> {
        self.shared.change(|world| world.objects.open_datagram(address)).map(raw)
    }

    pub(crate) fn connect_datagram(&self, raw: Raw, address: &SockAddr) -> io::Result<()> {
        self.shared.change(|world| world.objects.connect_datagram(number(raw), address))
    }

    pub(crate) fn attach(&self, _raw: Raw, _kind: Kind, _memo: &mut Memo) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn close(&self, raw: Raw, _kind: Kind, _memo: &mut Memo) {
        self.shared.change(|world| {
            world.assert_unused(number(raw));
            if let Some(file) = world.objects.close(number(raw)) {
                world.files.close(&file);
            }
        });
    }

    pub(crate) fn shutdown(&self, raw: Raw, _kind: Kind, how: Shutdown) -> io::Result<()> {
        self.shared.change(|world| world.objects.shutdown(number(raw), how))
    }

    pub(crate) fn has_halves(&self, _kind: Kind) -> bool {
        true
    }

    pub(crate) fn local_address(&self, raw: Raw, _kind: Kind) -> io::Result<SockAddr> {
        self.shared.world().objects.local_address(number(raw))
    }

    pub(crate) fn peer_address(&self, raw: Raw, _kind: Kind) -> io::Result<SockAddr> {
        self.shared.world().objects.peer_address(number(raw))
    }

    pub(crate) fn nodelay(&self, raw: Raw, kind: Kind) -> io::Result<bool> {
        only_tcp(kind)?;
        self.shared.world().objects.nodelay(number(raw))
    }

    pub(crate) fn set_nodelay(&self, raw: Raw, kind: Kind, nodelay: bool) -> io::Result<()> {
        only_tcp(kind)?;
        self.shared.world().objects.set_nodelay(number(raw), nodelay)
    }

    pub(crate) fn now(&self) -> Instant {
        self.shared.now()
    }

    /// Whether there is no thread for a job of the moment.
    pub(crate) fn lacks_thread(&self) -> bool {
        self.shared.world().lacks_thread()
    }
}

/// What a test may know of a simulated kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct State {
    /// Handles that are open: sockets that wait to be accepted included.
    pub handles: usize,
    /// Files that have a name or are open.
    pub files: usize,
    /// Operations that the kernel has, or whose end it has not told yet.
    pub operations: usize,
    /// How far the clock has gone.
    pub elapsed: Duration,
    /// A number made of everything that has ended, how and when: equal in equal runs, and hardly ever in others.
    pub digest: u64,
}

impl State {
    /// Of a port's kernel; none if it is a real one.
    pub fn of(port: &Port) -> Option<State> {
        let sys::System::Sim(system) = &port.shared().system else { return None };
        Some(State::of_world(&system.shared.world()))
    }

    fn of_world(world: &World) -> State {
        State {
            handles: world.objects.len(),
            files: world.files.len(),
            operations: world.operations(),
            elapsed: Duration::from_nanos(world.now),
            digest: world.digest(),
        }
    }
}

/// How many operations of this berth hold a slot: those under way, and those whose result nobody has taken.
pub fn slots_in_use(berth: &Berth) -> usize {
    berth.slots_in_use()
}

/// One thread's part of the simulation.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    berth: u32,
    quay: &'static Quay,
    /// Submitted, and not taken by the kernel yet, in their order.
    waiting: VecDeque<Flight>,
    told: Vec<Told>,
    /// The buffers that this berth lends, made when the first is needed.
    lending: Option<Arc<Lending>>,
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("berth", &self.berth).finish_non_exhaustive()
    }
}

impl sys::Driver for Driver {
    fn submit(&mut self, flight: Flight, _sink: &mut Sink) {
        if matches!(flight.request(), Request::ReceiveManaged { .. }) && self.lending.is_none() {
            let port = &flight.handle().expect("a receive is on a handle").port;
            self.lending = Some(port.new_lending(self.quay));
        }
        self.waiting.push_back(flight);
    }

    fn cancel(&mut self, slot: &'static Slot, sink: &mut Sink) {
        if let Some(place) = self.waiting.iter().position(|flight| std::ptr::eq(flight.slot(), slot)) {
            let flight = self.waiting.remove(place).expect("it was found there");
            sink.later(flight, sys::cancelled());
            return;
        }
        self.shared.change(|world| world.cancel(slot));
    }

    fn wait(&mut self, timeout: Option<Duration>, _slots: &slab::Owned, sink: &mut Sink) -> io::Result<()> {
        let mut told = std::mem::take(&mut self.told);
        let waited = self.run(timeout, !sink.later.is_empty(), &mut told);
        self.shared.changed.notify_all();
        // The world is not locked from here on: what ends may close handles and give buffers back.
        for told in told.drain(..) {
            self.tell(told, sink);
        }
        self.told = told;
        waited
    }

    fn backend(&self) -> Backend {
        Backend::Sim
    }
}

impl Driver {
    /// Lets the kernel work until there is something to tell or the time is over.
    fn run(&mut self, timeout: Option<Duration>, ready: bool, told: &mut Vec<Told>) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let berth = self.berth;
        let mut world = shared.world();
        world.tick();
        world.get_up(berth);
        let timeout = timeout.map(|timeout| u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX));
        let end = timeout.map(|timeout| world.now.saturating_add(timeout));
        let broken = world.broken(berth);
        let fails = || Err(io::Error::other("the simulated berth is broken"));
        if broken == Some(Break::All) {
            if self.quay.is_closing() {
                world.now = world.now.max(end.unwrap_or_default());
            }
            return fails();
        }
        loop {
            self.hand_over(&mut world);
            world.run();
            let rung = world.was_rung(berth);
            if ready || rung || timeout == Some(0) || world.has_told(berth) {
                break;
            }
            if broken.is_some() && !self.quay.is_closing() {
                break;
            }
            let refused = (!self.waiting.is_empty()).then(|| world.refuses_until(berth));
            if world.options.stepped && !self.quay.is_closing() {
                if end.is_some_and(|end| end <= world.now) {
                    break;
                }
                let until = end.unwrap_or(u64::MAX).min(refused.unwrap_or(u64::MAX));
                world.lie_down(berth, until);
                return Err(io::Error::new(io::ErrorKind::WouldBlock, "the berth sleeps"));
            }
            let next = world.next_event(berth).into_iter().chain(refused).min();
            match (next, end) {
                (Some(next), end) if end.is_none_or(|end| next <= end) => world.now = world.now.max(next),
                (_, Some(end)) => {
                    let now = world.now;
                    if now < end && !world.options.alone {
                        let left = LINGER.min(Duration::from_nanos(end - now));
                        let (woken, slept) =
                            shared.changed.wait_timeout(world, left).unwrap_or_else(PoisonError::into_inner);
                        world = woken;
                        if !slept.timed_out() {
                            continue;
                        }
                    }
                    world.now = world.now.max(end);
                    break;
                }
                (_, None) => world = self.sleep(&shared, world)?,
            }
        }
        world.take_told(berth, told);
        if broken.is_some() { fails() } else { Ok(()) }
    }

    /// Nothing will ever happen unless somebody else sees to it.
    fn sleep<'a>(
        &self,
        shared: &'a Shared,
        world: MutexGuard<'a, World>,
    ) -> io::Result<MutexGuard<'a, World>> {
        let nobody_else = world.berths() == 1;
        let mut slept_through = world.options.alone;
        let mut world = world;
        if !slept_through {
            let (woken, slept) =
                shared.changed.wait_timeout(world, PATIENCE).unwrap_or_else(PoisonError::into_inner);
            world = woken;
            slept_through = slept.timed_out() && nobody_else;
        }
        if slept_through {
            let why = format!(
                "nothing can end this wait: {} operations are in the simulated kernel, and each waits for another",
                world.operations()
            );
            return Err(io::Error::new(io::ErrorKind::Deadlock, why));
        }
        Ok(world)
    }

    /// Gives the kernel what was submitted, as long as it takes any.
    fn hand_over(&mut self, world: &mut World) {
        while !self.waiting.is_empty() && !world.refuses(self.berth) {
            let Some(flight) = self.waiting.pop_front() else { return };
            let managed = matches!(flight.request(), Request::ReceiveManaged { .. });
            let lending = self.lending.clone().filter(|_| managed);
            world.hand_over(flight, self.berth, lending);
        }
    }

    fn tell(&mut self, told: Told, sink: &mut Sink) {
        let Told { flight, outcome, item, .. } = told;
        let Some(Last(last)) = item else {
            sink.complete(flight, outcome);
            return;
        };
        let waiting_max = match flight.request() {
            Request::Accept { .. } => AcceptMany::WAITING_MAX,
            _ => ReceiveManagedMany::WAITING_MAX,
        };
        let wanted = sink.item(&flight, outcome);
        if wanted && (last || flight.items_waiting() >= waiting_max) {
            sink.complete(flight, Outcome::ok(0));
        } else if !wanted || flight.is_cancelled() {
            sink.complete(flight, sys::cancelled());
        } else {
            self.waiting.push_back(flight);
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.shared.change(|world| world.remove_berth(self.berth));
    }
}

/// Wakes the thread that sleeps at a berth.
#[derive(Debug)]
pub(crate) struct Waker {
    shared: Arc<Shared>,
    berth: u32,
}

impl Waker {
    pub(crate) fn wake(&self) -> io::Result<()> {
        self.shared.change(|world| world.ring(self.berth));
        Ok(())
    }
}
