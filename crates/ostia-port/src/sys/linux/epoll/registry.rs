//! What is registered: one entry for each handle that had to wait at a berth, until the handle is closed.
//!
//! A handle may be used at several berths and closed by any thread; a closed descriptor's number comes back with the
//! next open. So an entry is named by a key, its place and a generation, and:
//!
//! - the handle's [`Memo`] knows at which instances it has an entry, and closing takes it out of each of them before
//!   the number is free again ([`Memo::forget`]);
//! - the entry is used again only after its berth has heard of that ([`Registry::sweep`], before each look at the
//!   kernel), with another generation: an event that was already taken from the kernel finds nobody;
//! - whoever changes a registration has either an operation, which keeps the handle open, or the lock of the list of
//!   closed ones ([`Registry::relax`]).

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use crate::{handle, op::slot::Flight, turn::Direction};

/// The key of the berth's own waker.
pub(super) const KEY_WAKE: u64 = u64::MAX;

const IN: u32 = libc::EPOLLIN as u32;
const OUT: u32 = libc::EPOLLOUT as u32;
/// Told whether asked for or not.
const BROKEN: u32 = (libc::EPOLLERR | libc::EPOLLHUP) as u32;

/// One epoll instance, as other threads know it.
#[derive(Debug)]
pub(super) struct Instance {
    epoll: OwnedFd,
    /// Its number among all of this process, never used again; 0 is nobody's.
    number: u64,
    /// Keys of handles that were closed and have an entry here.
    closed: Mutex<Vec<u64>>,
    has_closed: AtomicBool,
}

impl Instance {
    fn new() -> io::Result<Instance> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        // SAFETY: it takes a flag and no memory.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if epoll < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Instance {
            // SAFETY: the descriptor has just been made, and nobody else knows it.
            epoll: unsafe { OwnedFd::from_raw_fd(epoll) },
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            closed: Mutex::new(Vec::new()),
            has_closed: AtomicBool::new(false),
        })
    }

    fn control(&self, what: libc::c_int, raw: RawFd, events: u32, key: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events, u64: key };
        // SAFETY: the event lives across the call.
        let done = unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), what, raw, &raw mut event) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn closed(&self) -> MutexGuard<'_, Vec<u64>> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a handle knows of its entries.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    /// The instance that has most to do with the handle, by number, and the handle's key there. Only its own thread
    /// finds its number here, and that thread wrote both: so no order is asked for.
    home: AtomicU64,
    key: AtomicU64,
    places: Mutex<Vec<Place>>,
    /// The file system has no answer to a read that may not wait.
    pub(super) reads_wait: AtomicBool,
}

#[derive(Debug)]
struct Place {
    instance: Weak<Instance>,
    key: u64,
}

impl Memo {
    #[inline]
    fn key_at(&self, instance: &Arc<Instance>) -> Option<u64> {
        match self.home.load(Ordering::Relaxed) {
            0 => None,
            home if home == instance.number => Some(self.key.load(Ordering::Relaxed)),
            _ => {
                let places = self.places();
                let here = places.iter().find(|place| place.instance.as_ptr() == Arc::as_ptr(instance));
                here.map(|place| place.key)
            }
        }
    }

    fn remember(&self, instance: &Arc<Instance>, key: u64) {
        let mut places = self.places();
        let home = self.home.load(Ordering::Relaxed);
        let mut has_home = false;
        places.retain(|place| {
            place.instance.upgrade().is_some_and(|instance| {
                has_home |= instance.number == home;
                true
            })
        });
        places.push(Place { instance: Arc::downgrade(instance), key });
        if !has_home {
            self.key.store(key, Ordering::Relaxed);
            self.home.store(instance.number, Ordering::Relaxed);
        }
    }

    fn places(&self) -> MutexGuard<'_, Vec<Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The handle is being closed: no instance is to hear of its descriptor, which may have duplicates.
    pub(crate) fn forget(&mut self, raw: RawFd) {
        for place in self.places.get_mut().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let Some(instance) = place.instance.upgrade() else { continue };
            let mut closed = instance.closed();
            // It may not be registered at the moment; then there is nothing to take out.
            let _ = instance.control(libc::EPOLL_CTL_DEL, raw, 0, 0);
            closed.push(place.key);
            instance.has_closed.store(true, Ordering::Release);
        }
        *self.home.get_mut() = 0;
    }
}

/// What waits in one direction of a handle; turns see to it that it is one operation at most.
#[derive(Debug, Default)]
pub(super) struct Half {
    pub(super) flight: Option<Flight>,
    /// Readiness does not help: it is tried again at this time.
    pub(super) not_before: Option<Instant>,
    /// How often that happened to it, one time after the other.
    pub(super) tries: u8,
    /// It waits for a lent buffer, and not for the descriptor.
    pub(super) starves: bool,
}

impl Half {
    /// Whether an event is what it waits for.
    pub(super) fn listens(&self) -> bool {
        self.flight.is_some() && self.not_before.is_none() && !self.starves
    }
}

#[derive(Debug)]
struct Entry {
    raw: RawFd,
    generation: u32,
    /// What the kernel was asked to tell; none if it does not know the descriptor.
    armed: Option<u32>,
    halves: [Half; 2],
}

impl Entry {
    fn wanted(&self) -> u32 {
        let [input, output] = &self.halves;
        (if input.listens() { IN } else { 0 }) | (if output.listens() { OUT } else { 0 })
    }
}

/// The entries of a berth.
#[derive(Debug)]
pub(super) struct Registry {
    instance: Arc<Instance>,
    entries: Vec<Entry>,
    free: Vec<u32>,
}

impl Registry {
    pub(super) fn new(waker: RawFd) -> io::Result<Registry> {
        let instance = Instance::new()?;
        instance.control(libc::EPOLL_CTL_ADD, waker, IN | libc::EPOLLET as u32, KEY_WAKE)?;
        Ok(Registry { instance: Arc::new(instance), entries: Vec::new(), free: Vec::new() })
    }

    /// The handle's place here, if it has one.
    #[inline]
    pub(super) fn find(&self, handle: &handle::Inner) -> Option<u32> {
        handle.sys.epoll.key_at(&self.instance).map(|key| key as u32)
    }

    /// The handle's place here, made if it has none.
    pub(super) fn enter(&mut self, handle: &handle::Inner) -> u32 {
        if let Some(place) = self.find(handle) {
            return place;
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry { raw: -1, generation: 0, armed: None, halves: Default::default() });
            u32::try_from(self.entries.len() - 1).expect("fewer entries than descriptors")
        });
        let entry = &mut self.entries[place as usize];
        entry.raw = handle.raw;
        handle.sys.epoll.remember(&self.instance, u64::from(entry.generation) << 32 | u64::from(place));
        place
    }

    /// The place that an event speaks of, unless its handle has been closed.
    #[inline]
    pub(super) fn place_of(&self, key: u64) -> Option<u32> {
        let place = key as u32;
        let entry = self.entries.get(place as usize)?;
        (u64::from(entry.generation) == key >> 32).then_some(place)
    }

    pub(super) fn key(&self, place: u32) -> u64 {
        u64::from(self.entries[place as usize].generation) << 32 | u64::from(place)
    }

    #[inline]
    pub(super) fn half(&mut self, place: u32, direction: Direction) -> &mut Half {
        &mut self.entries[place as usize].halves[direction as usize]
    }

    /// The half in which an operation waits, by a hint that may be wrong.
    pub(super) fn half_with(&mut self, place: u32, slot: &crate::op::slot::Slot) -> Option<&mut Half> {
        let halves = &mut self.entries.get_mut(place as usize)?.halves;
        halves.iter_mut().find(|half| half.flight.as_ref().is_some_and(|one| std::ptr::eq(one.slot(), slot)))
    }

    /// Whether the kernel tells when there is something to read: then there is no need to try.
    #[inline]
    pub(super) fn hears_input(&self, place: u32) -> bool {
        self.entries[place as usize].armed.is_some_and(|armed| armed & IN != 0)
    }

    /// Sees to it that the kernel tells what the operations here wait for. An operation is under way on the handle.
    #[inline]
    pub(super) fn arm(&mut self, place: u32) -> io::Result<()> {
        let Registry { instance, entries, .. } = self;
        let entry = &mut entries[place as usize];
        let wanted = entry.wanted();
        let key = u64::from(entry.generation) << 32 | u64::from(place);
        match entry.armed {
            Some(armed) if wanted & !armed == 0 => return Ok(()),
            Some(armed) => {
                // Who has read once will mostly read again; room to write there is nearly always.
                let events = wanted | armed & IN;
                instance.control(libc::EPOLL_CTL_MOD, entry.raw, events, key)?;
                entry.armed = Some(events);
            }
            None => {
                instance.control(libc::EPOLL_CTL_ADD, entry.raw, wanted, key)?;
                entry.armed = Some(wanted);
            }
        }
        Ok(())
    }

    /// The kernel told what nobody here waits for, and would tell it again and again: it is not to.
    pub(super) fn relax(&mut self, place: u32, events: u32) {
        let Registry { instance, entries, .. } = self;
        let entry = &mut entries[place as usize];
        let wanted = entry.wanted();
        if entry.armed.is_none_or(|armed| armed == wanted && wanted != 0) {
            return;
        }
        let key = u64::from(entry.generation) << 32 | u64::from(place);
        // As long as the key is not in the list, and the list is ours, the descriptor is the handle's.
        let closed = instance.closed();
        if closed.contains(&key) {
            return;
        }
        let (what, armed) = if wanted == 0 && events & BROKEN != 0 {
            (libc::EPOLL_CTL_DEL, None)
        } else {
            (libc::EPOLL_CTL_MOD, Some(wanted))
        };
        match instance.control(what, entry.raw, wanted, key) {
            Ok(()) => entry.armed = armed,
            Err(error) => tracing::warn!(%error, "epoll does not take back what it was asked to tell"),
        }
    }

    /// Lets go of the entries of handles that were closed.
    #[inline]
    pub(super) fn sweep(&mut self) {
        if !self.instance.has_closed.load(Ordering::Acquire) {
            return;
        }
        let mut closed = self.instance.closed();
        self.instance.has_closed.store(false, Ordering::Relaxed);
        for key in closed.drain(..) {
            let place = key as u32;
            let entry = &mut self.entries[place as usize];
            debug_assert_eq!(u64::from(entry.generation), key >> 32, "an entry has one handle");
            debug_assert!(
                entry.halves.iter().all(|half| half.flight.is_none()),
                "operations keep the handle"
            );
            entry.generation = entry.generation.wrapping_add(1);
            entry.armed = None;
            entry.halves = Default::default();
            self.free.push(place);
        }
    }

    /// The instance's descriptor, open as long as the registry is.
    pub(super) fn raw(&self) -> RawFd {
        self.instance.epoll.as_raw_fd()
    }
}

/// Whether something came for an operation in this direction: what it waits for, or that it need not wait.
#[inline]
pub(super) fn is_for(direction: Direction, events: u32) -> bool {
    let one = match direction {
        Direction::In => IN,
        Direction::Out => OUT,
    };
    events & (one | BROKEN) != 0
}

#[cfg(test)]
mod tests {
    use super::{super::Waker, *};
    use crate::{Address, Backend, Port};

    /// What the kernel knows of a descriptor at this instance: the events it is to tell.
    fn told(registry: &Registry, raw: RawFd) -> Option<u32> {
        let known = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", registry.raw())).unwrap();
        known.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            let found = words.next() == Some("tfd:") && words.next() == Some(&raw.to_string());
            found.then(|| u32::from_str_radix(words.nth(1).expect("there are events"), 16).unwrap())
        })
    }

    #[test]
    fn an_event_of_a_closed_handle_finds_nobody_though_place_and_number_are_used_again() {
        let port = Port::builder().backend(Backend::Epoll).open().unwrap();
        let stream = || port.stream(&Address::Local("/nowhere".into())).unwrap();
        let waker = Waker::new().unwrap();
        let mut registry = Registry::new(waker.raw()).unwrap();
        // The descriptor's file outlives the handle, and its registration would, too.
        let old = stream();
        let raw = old.raw();
        // SAFETY: the handle is open.
        let duplicate = unsafe { std::os::fd::BorrowedFd::borrow_raw(raw) }.try_clone_to_owned().unwrap();
        let place = registry.enter(old.0.inner());
        let key = registry.key(place);
        registry.arm(place).unwrap();
        assert!(told(&registry, raw).is_some());

        std::thread::spawn(move || drop(old)).join().unwrap();
        assert_eq!(told(&registry, raw), None, "closing takes the registration out");
        // Its number may be another's by now, whose registration is not this place's to change.
        assert_eq!(registry.place_of(key), Some(place));
        registry.entries[place as usize].raw = waker.raw();
        let before = told(&registry, waker.raw());
        registry.relax(place, IN);
        assert_eq!(told(&registry, waker.raw()), before);

        registry.sweep();
        assert_eq!(registry.place_of(key), None);
        let new = stream();
        let again = registry.enter(new.0.inner());
        assert_eq!(again, place, "the place is used again");
        assert_ne!(registry.key(again), key);
        assert_eq!(registry.place_of(key), None);
        assert_eq!(registry.find(new.0.inner()), Some(again));
        drop(duplicate);
    }

    #[test]
    fn a_handle_has_a_place_at_each_instance_and_its_own_keys_there() {
        let port = Port::builder().backend(Backend::Epoll).open().unwrap();
        let stream = port.stream(&Address::Local("/nowhere".into())).unwrap();
        let other = port.stream(&Address::Local("/nowhere".into())).unwrap();
        let waker = Waker::new().unwrap();
        let mut first = Registry::new(waker.raw()).unwrap();
        let mut second = Registry::new(waker.raw()).unwrap();
        let handle = stream.0.inner();
        assert_eq!(first.find(handle), None);
        assert_eq!(second.enter(other.0.inner()), 0);
        assert_eq!((first.enter(handle), second.enter(handle)), (0, 1));
        assert_eq!((first.enter(handle), second.enter(handle)), (0, 1));
        assert_eq!((first.find(handle), second.find(handle)), (Some(0), Some(1)));
        // The first berth is closed: the handle is at home at the next one that asks.
        drop(first);
        let mut third = Registry::new(waker.raw()).unwrap();
        assert_eq!(third.enter(handle), 0);
        assert_eq!(handle.sys.epoll.home.load(Ordering::Relaxed), third.instance.number);
        assert_eq!((second.find(handle), third.find(handle)), (Some(1), Some(0)));
        drop(stream);
        assert_eq!((second.closed_count(), third.closed_count()), (1, 1));
    }

    impl Registry {
        fn closed_count(&self) -> usize {
            self.instance.closed().len()
        }
    }
}
