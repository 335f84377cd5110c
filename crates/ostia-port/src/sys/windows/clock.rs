//! Time: what wakes the port when a timer is due.
//!
//! A wait for packets counts in ticks of the system, 15.6 ms as a rule. A high-resolution timer is better by far;
//! when it fires, a packet comes to the port, and one thread takes it. Where the system can tie a timer to a port
//! it does so itself (Windows 8 and later, by calls that have no import library); elsewhere a named thread waits
//! for the timer and posts the packet.
//!
//! Besides the timers of the quay, which only have a deadline here, operations of this back end wait here for a
//! next try: [`Clock::delay`].

use std::{
    ffi::CStr,
    io,
    os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle},
    ptr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use windows_sys::Win32::{
    Foundation::{HANDLE, NTSTATUS, WAIT_OBJECT_0},
    System::{
        LibraryLoader::{GetModuleHandleW, GetProcAddress},
        Threading::{
            CREATE_WAITABLE_TIMER_HIGH_RESOLUTION, CreateEventW, CreateWaitableTimerExW, INFINITE, SetEvent,
            SetWaitableTimer, TIMER_ALL_ACCESS, WaitForMultipleObjects,
        },
    },
};

use super::{KEY_CLOCK, PortHandle};
use crate::op::slot::{Flight, Slot};

#[derive(Debug)]
pub(super) struct Clock {
    port: Arc<PortHandle>,
    name: String,
    state: Mutex<State>,
    /// There is no device: waits are as short as the next timer is near.
    broken: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// Operations that wait for a next try; few, and at most as many as there are slots.
    delayed: Vec<(Instant, Flight)>,
    /// The earliest timer of the quay.
    timer: Option<Instant>,
    /// What the device is set to.
    armed: Option<Instant>,
    device: Option<Device>,
}

#[derive(Debug)]
enum Device {
    Tied(Tied),
    Thread(Ticker),
}

impl Clock {
    pub(super) fn new(port: &Arc<PortHandle>, name: &str) -> Clock {
        let name = format!("{name}-clock");
        Clock { port: Arc::clone(port), name, state: Mutex::default(), broken: AtomicBool::new(false) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a packet comes for each timer.
    pub(super) fn works(&self) -> bool {
        !self.broken.load(Ordering::Relaxed)
    }

    /// The earliest timer of the quay is this one.
    pub(super) fn set_timer(&self, deadline: Instant) {
        let mut state = self.lock();
        state.timer = Some(deadline);
        self.arm(&mut state);
    }

    /// Leaves an operation here for a while. It comes back if its end has been asked for already.
    pub(super) fn delay(&self, flight: Flight, delay: Duration) -> Result<(), Flight> {
        let mut state = self.lock();
        // Who asks for the end marks the slot first, and looks here then, under the lock.
        if flight.is_cancelled() {
            return Err(flight);
        }
        state.delayed.push((Instant::now() + delay, flight));
        self.arm(&mut state);
        Ok(())
    }

    /// Takes an operation back before its time.
    pub(super) fn remove(&self, slot: &'static Slot) -> Option<Flight> {
        let mut state = self.lock();
        let place = state.delayed.iter().position(|(_, flight)| ptr::eq(flight.slot(), slot))?;
        Some(state.delayed.swap_remove(place).1)
    }

    /// The packet of the clock has come, or may be late: takes what is due.
    pub(super) fn fired(&self, now: Instant, mut each: impl FnMut(Flight)) {
        let mut due = Vec::new();
        {
            let mut state = self.lock();
            state.armed = None;
            // The quay's own due timers are taken by the berth that got the packet; then it tells the next.
            if state.timer.is_some_and(|timer| timer <= now) {
                state.timer = None;
            }
            let mut place = 0;
            while place < state.delayed.len() {
                if state.delayed[place].0 <= now {
                    due.push(state.delayed.swap_remove(place).1);
                } else {
                    place += 1;
                }
            }
            self.arm(&mut state);
        }
        due.into_iter().for_each(&mut each);
    }

    /// Whether an operation waits for a next try, and no device will say when.
    pub(super) fn next_delayed(&self) -> Option<Instant> {
        if self.works() {
            return None;
        }
        let state = self.lock();
        state.delayed.iter().map(|(due, _)| *due).min()
    }

    fn arm(&self, state: &mut State) {
        let delayed = state.delayed.iter().map(|(due, _)| *due).min();
        let Some(next) = [delayed, state.timer].into_iter().flatten().min() else { return };
        if !self.works() || state.armed.is_some_and(|armed| armed <= next) {
            return;
        }
        if state.device.is_none() {
            match Device::new(&self.port, &self.name) {
                Ok(device) => state.device = Some(device),
                Err(error) => {
                    tracing::warn!(%error, "no timer to be had: waits are cut short instead");
                    self.broken.store(true, Ordering::Relaxed);
                    return;
                }
            }
        }
        let wait = next.saturating_duration_since(Instant::now());
        let set = match state.device.as_mut().expect("made above") {
            Device::Tied(tied) => tied.set(&self.port, wait),
            Device::Thread(ticker) => ticker.timer.set(wait),
        };
        match set {
            Ok(()) => state.armed = Some(next),
            Err(error) => {
                tracing::warn!(%error, "a timer could not be set: waits are cut short instead");
                self.broken.store(true, Ordering::Relaxed);
            }
        }
    }
}

impl Device {
    fn new(port: &Arc<PortHandle>, name: &str) -> io::Result<Device> {
        let timer = Timer::new()?;
        match Calls::find() {
            Some(calls) => Tied::new(calls, timer).map(Device::Tied),
            None => Ticker::new(port, timer, name).map(Device::Thread),
        }
    }
}

/// A timer of the system that is signalled once, and falls back when somebody has seen it.
#[derive(Debug)]
struct Timer(OwnedHandle);

impl Timer {
    fn new() -> io::Result<Timer> {
        // The finer kind is of Windows 10 1803; the other one ticks with the system.
        for flags in [CREATE_WAITABLE_TIMER_HIGH_RESOLUTION, 0] {
            // SAFETY: no attributes and no name are fine.
            let timer = unsafe { CreateWaitableTimerExW(ptr::null(), ptr::null(), flags, TIMER_ALL_ACCESS) };
            if !timer.is_null() {
                // SAFETY: the call succeeded, so the handle is ours.
                return Ok(Timer(unsafe { OwnedHandle::from_raw_handle(timer) }));
            }
        }
        Err(io::Error::last_os_error())
    }

    /// Fires once, in this time from now; at once if it is none.
    fn set(&self, wait: Duration) -> io::Result<()> {
        // In steps of 100 ns, rounded up; negative means "from now".
        let steps = i64::try_from(wait.as_nanos().div_ceil(100)).unwrap_or(i64::MAX).max(1);
        let due = -steps;
        // SAFETY: the timer is open, and the time lives across the call.
        let set =
            unsafe { SetWaitableTimer(self.0.as_raw_handle(), &raw const due, 0, None, ptr::null(), 0) };
        if set == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

type CreatePacket = unsafe extern "system" fn(*mut HANDLE, u32, *const core::ffi::c_void) -> NTSTATUS;
type AssociatePacket = unsafe extern "system" fn(
    HANDLE,
    HANDLE,
    HANDLE,
    *const core::ffi::c_void,
    *const core::ffi::c_void,
    NTSTATUS,
    usize,
    *mut u8,
) -> NTSTATUS;
type CancelPacket = unsafe extern "system" fn(HANDLE, u8) -> NTSTATUS;

/// The calls that tie an object to a port: in ntdll since Windows 8, and in no import library.
#[derive(Debug, Clone, Copy)]
struct Calls {
    create: CreatePacket,
    associate: AssociatePacket,
    cancel: CancelPacket,
}

impl Calls {
    fn find() -> Option<Calls> {
        let name: Vec<u16> = "ntdll.dll\0".encode_utf16().collect();
        // SAFETY: the name ends with a zero.
        let ntdll = unsafe { GetModuleHandleW(name.as_ptr()) };
        if ntdll.is_null() {
            return None;
        }
        let find = |name: &CStr| {
            // SAFETY: ntdll is never unloaded, and the name ends with a zero.
            unsafe { GetProcAddress(ntdll, name.as_ptr().cast()) }
        };
        let create = find(c"NtCreateWaitCompletionPacket")?;
        let associate = find(c"NtAssociateWaitCompletionPacket")?;
        let cancel = find(c"NtCancelWaitCompletionPacket")?;
        Some(Calls {
            // SAFETY: the function of that name has this signature.
            create: unsafe {
                std::mem::transmute::<unsafe extern "system" fn() -> isize, CreatePacket>(create)
            },
            // SAFETY: as above.
            associate: unsafe {
                std::mem::transmute::<unsafe extern "system" fn() -> isize, AssociatePacket>(associate)
            },
            // SAFETY: as above.
            cancel: unsafe {
                std::mem::transmute::<unsafe extern "system" fn() -> isize, CancelPacket>(cancel)
            },
        })
    }
}

/// A timer tied to the port.
#[derive(Debug)]
struct Tied {
    calls: Calls,
    timer: Timer,
    packet: OwnedHandle,
}

impl Tied {
    fn new(calls: Calls, timer: Timer) -> io::Result<Tied> {
        const ALL_ACCESS: u32 = 0x001f_0001;
        let mut packet: HANDLE = ptr::null_mut();
        // SAFETY: the place for the handle lives across the call; no attributes are fine.
        let status = unsafe { (calls.create)(&raw mut packet, ALL_ACCESS, ptr::null()) };
        check(status)?;
        // SAFETY: the call succeeded, so the handle is ours.
        let packet = unsafe { OwnedHandle::from_raw_handle(packet) };
        Ok(Tied { calls, timer, packet })
    }

    fn set(&mut self, port: &PortHandle, wait: Duration) -> io::Result<()> {
        let packet = self.packet.as_raw_handle();
        // Takes a packet back that has not been taken yet; it may also be that there is none.
        // SAFETY: the packet is open.
        unsafe { (self.calls.cancel)(packet, 1) };
        self.timer.set(wait)?;
        let key = ptr::without_provenance(KEY_CLOCK);
        let mut signalled = 0;
        // SAFETY: the three handles are open; the key is a number.
        let status = unsafe {
            (self.calls.associate)(
                packet,
                port.raw(),
                self.timer.0.as_raw_handle(),
                key,
                ptr::null(),
                0,
                0,
                &raw mut signalled,
            )
        };
        check(status)
    }
}

fn check(status: NTSTATUS) -> io::Result<()> {
    match super::error::of_status(status.cast_unsigned()) {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code as i32)),
    }
}

/// A thread that waits for a timer and posts a packet for it.
#[derive(Debug)]
struct Ticker {
    timer: Timer,
    stop: OwnedHandle,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn new(port: &Arc<PortHandle>, timer: Timer, name: &str) -> io::Result<Ticker> {
        // SAFETY: no attributes and no name are fine.
        let stop = unsafe { CreateEventW(ptr::null(), 1, 0, ptr::null()) };
        if stop.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call succeeded, so the handle is ours.
        let stop = unsafe { OwnedHandle::from_raw_handle(stop) };
        let (of_thread, stop_of_thread) = (Timer(timer.0.try_clone()?), stop.try_clone()?);
        let port = Arc::clone(port);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            while wait_for(&of_thread, &stop_of_thread) {
                if port.post(KEY_CLOCK, ptr::null_mut()).is_err() {
                    // The system lacks memory for the packet: the same again, a little later.
                    let _ = of_thread.set(Duration::from_millis(1));
                }
            }
        })?;
        Ok(Ticker { timer, stop, thread: Some(thread) })
    }
}

/// True when the timer has fired, false when the thread is to stop.
fn wait_for(timer: &Timer, stop: &OwnedHandle) -> bool {
    let handles = [stop.as_raw_handle(), timer.0.as_raw_handle()];
    // SAFETY: both handles are open, and the array lives across the call.
    let woken = unsafe { WaitForMultipleObjects(handles.len() as u32, handles.as_ptr(), 0, INFINITE) };
    woken == WAIT_OBJECT_0 + 1
}

impl Drop for Ticker {
    fn drop(&mut self) {
        // SAFETY: the event is open.
        unsafe { SetEvent(self.stop.as_raw_handle()) };
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
