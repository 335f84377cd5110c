//! One ring: the memory shared with the kernel, and the one call that both hands entries over and waits.
//!
//! Entries are written where the kernel reads them. The `io-uring` crate, which describes every entry, would have
//! them built elsewhere and copied; that costs more than all else that is done for a nop. Each index has one
//! writer: the tail of the entries and the head of the completions are ours, the others are the kernel's. Who
//! moves an index does it with release, and who looks at the other's with acquire.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    ptr::{self, NonNull},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use io_uring::{EnterFlags, cqueue, squeue, types::Timespec};

use super::probe::RingLevel;

const SETUP_CQSIZE: u32 = 1 << 3;
const SETUP_CLAMP: u32 = 1 << 4;
const SETUP_SUBMIT_ALL: u32 = 1 << 7;
const SETUP_COOP_TASKRUN: u32 = 1 << 8;
const SETUP_TASKRUN_FLAG: u32 = 1 << 9;
const SETUP_SINGLE_ISSUER: u32 = 1 << 12;
const SETUP_DEFER_TASKRUN: u32 = 1 << 13;
const SETUP_NO_SQARRAY: u32 = 1 << 16;

const FEATURE_SINGLE_MMAP: u32 = 1;
const FEATURE_NODROP: u32 = 1 << 1;
const FEATURE_SUBMIT_STABLE: u32 = 1 << 2;
const FEATURE_EXT_ARG: u32 = 1 << 8;
const FEATURE_NO_IOWAIT: u32 = 1 << 17;

/// Without these there is no port on a ring, and why.
const NEEDED: [(u32, &str); 4] = [
    (FEATURE_SINGLE_MMAP, "SINGLE_MMAP"),
    // Without it completions are lost when the ring is full.
    (FEATURE_NODROP, "NODROP"),
    // Without it headers and slices would have to outlive their submission.
    (FEATURE_SUBMIT_STABLE, "SUBMIT_STABLE"),
    // Without it a wait has no end.
    (FEATURE_EXT_ARG, "EXT_ARG"),
];

const SQ_CQ_OVERFLOW: u32 = 1 << 1;
const SQ_TASKRUN: u32 = 1 << 2;

const OFFSET_RINGS: libc::off_t = 0;
const OFFSET_ENTRIES: libc::off_t = 0x1000_0000;

const REGISTER_PROBE: libc::c_uint = 8;
const REGISTER_IOWQ_MAX_WORKERS: libc::c_uint = 19;
/// The calling thread's own short name for its ring, and the end of it.
const REGISTER_RING_FDS: libc::c_uint = 20;
const UNREGISTER_RING_FDS: libc::c_uint = 21;
const REGISTER_PBUF_RING: libc::c_uint = 22;
const UNREGISTER_PBUF_RING: libc::c_uint = 23;

/// `struct io_uring_params`
#[repr(C)]
#[derive(Debug, Default)]
struct Params {
    sq_entries: u32,
    cq_entries: u32,
    flags: u32,
    sq_thread_cpu: u32,
    sq_thread_idle: u32,
    features: u32,
    wq_fd: u32,
    reserved: [u32; 3],
    sq: SqOffsets,
    cq: CqOffsets,
}

#[repr(C)]
#[derive(Debug, Default)]
struct SqOffsets {
    head: u32,
    tail: u32,
    ring_mask: u32,
    ring_entries: u32,
    flags: u32,
    dropped: u32,
    array: u32,
    reserved: u32,
    user_address: u64,
}

#[repr(C)]
#[derive(Debug, Default)]
struct CqOffsets {
    head: u32,
    tail: u32,
    ring_mask: u32,
    ring_entries: u32,
    overflow: u32,
    completions: u32,
    flags: u32,
    reserved: u32,
    user_address: u64,
}

/// `struct io_uring_getevents_arg`
#[repr(C)]
struct GeteventsArg {
    sigmask: u64,
    sigmask_size: u32,
    min_wait_us: u32,
    timespec: u64,
}

/// `struct io_uring_rsrc_update`
#[repr(C)]
struct RingName {
    offset: u32,
    reserved: u32,
    descriptor: u64,
}

/// `struct io_uring_buf_reg`
#[repr(C)]
#[derive(Default)]
struct BufferRing {
    address: u64,
    entries: u32,
    group: u16,
    flags: u16,
    reserved: [u64; 3],
}

/// `struct io_uring_sqe`, as far as the commonest operations need it.
#[repr(C)]
#[derive(Default)]
pub(super) struct Sqe {
    pub(super) opcode: u8,
    pub(super) flags: u8,
    pub(super) ioprio: u16,
    pub(super) fd: i32,
    pub(super) offset: u64,
    pub(super) address: u64,
    pub(super) len: u32,
    pub(super) op_flags: u32,
    pub(super) user_data: u64,
    pub(super) rest: [u64; 3],
}

const _: () = assert!(size_of::<Params>() == 120);
const _: () = assert!(size_of::<Sqe>() == 64);
const _: () = assert!(size_of::<squeue::Entry>() == 64);
const _: () = assert!(size_of::<cqueue::Entry>() == 16);
const _: () = assert!(size_of::<GeteventsArg>() == 24);
const _: () = assert!(size_of::<BufferRing>() == 40);

/// Memory shared with the kernel. A child of a fork has none of it.
struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

impl Mapping {
    fn new(ring: &OwnedFd, offset: libc::off_t, len: usize) -> io::Result<Mapping> {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_POPULATE);
        // SAFETY: a new mapping, at a place that the kernel chooses.
        let base = unsafe { libc::mmap(ptr::null_mut(), len, access, kind, ring.as_raw_fd(), offset) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("a mapping at address 0"))?;
        let mapping = Mapping { base, len };
        // SAFETY: the mapping is ours, and so long.
        if unsafe { libc::madvise(base.as_ptr().cast(), len, libc::MADV_DONTFORK) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(mapping)
    }

    fn at<T>(&self, offset: u32) -> *mut T {
        let offset = offset as usize;
        assert!(offset + size_of::<T>() <= self.len, "the kernel told an offset beyond its own memory");
        // SAFETY: within the mapping, by the line above.
        unsafe { self.base.as_ptr().add(offset) }.cast()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nobody uses it any more.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

pub(super) struct Ring {
    // The entries.
    tail: u32,
    /// The kernel's head, as it was when somebody last looked.
    head_seen: u32,
    entries_mask: u32,
    entries: *mut Sqe,
    kernel_head: *const AtomicU32,
    our_tail: *const AtomicU32,
    flags: *const AtomicU32,
    // The completions.
    head: u32,
    completions_mask: u32,
    completions: *const cqueue::Entry,
    our_head: *const AtomicU32,
    kernel_tail: *const AtomicU32,
    /// What the enter call takes for the ring: its short name, or its descriptor.
    name: RawFd,
    /// The flags of every enter call.
    always: EnterFlags,
    registered: bool,
    #[expect(dead_code, reason = "the pointers lead into it")]
    rings: Mapping,
    #[expect(dead_code, reason = "the pointers lead into it")]
    entry_memory: Mapping,
    descriptor: OwnedFd,
}

/// How an enter call went when it did not fail for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entered {
    /// As it was to.
    Well,
    /// The kernel holds back completions for which the ring has no room: take some first.
    Full,
    /// The kernel has no memory for more requests at the moment.
    Starved,
}

/// An atomic in the memory that is shared with the kernel.
#[inline(always)]
fn shared<'a>(index: *const AtomicU32) -> &'a AtomicU32 {
    // SAFETY: the ring made the pointer out of an offset that the kernel told, checked it, and keeps the mapping;
    // the reference does not leave the method that asks for it.
    unsafe { &*index }
}

fn set_up(entries: u32, level: RingLevel) -> io::Result<(OwnedFd, Params)> {
    // Multishot operations and bursts complete more than was submitted at a time.
    let mut params = Params { cq_entries: entries.saturating_mul(4), ..Params::default() };
    params.flags = SETUP_CLAMP | SETUP_CQSIZE;
    if level >= RingLevel::Linux5_19 {
        params.flags |= SETUP_SUBMIT_ALL | SETUP_TASKRUN_FLAG | SETUP_COOP_TASKRUN;
    }
    if level >= RingLevel::Linux6_0 {
        params.flags |= SETUP_SINGLE_ISSUER;
    }
    if level >= RingLevel::Linux6_1 {
        params.flags |= SETUP_DEFER_TASKRUN;
    }
    if level >= RingLevel::Latest {
        params.flags |= SETUP_NO_SQARRAY;
    }
    // SAFETY: the kernel reads and writes one `io_uring_params`, which lives across the call.
    let done = unsafe { libc::syscall(libc::SYS_io_uring_setup, entries, &raw mut params) };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor, close-on-exec, for nobody else.
    Ok((unsafe { OwnedFd::from_raw_fd(done as RawFd) }, params))
}

impl Ring {
    /// A ring with the flags of a level, and what is needed.
    pub(super) fn new(entries: u32, level: RingLevel) -> io::Result<Ring> {
        let (descriptor, params) = set_up(entries, level)?;
        if let Some((_, name)) = NEEDED.iter().find(|(bit, _)| params.features & bit == 0) {
            let why = format!("this kernel's io_uring has no {name}: it is older than 5.11");
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        let (sq, cq) = (&params.sq, &params.cq);
        let array_len = if params.flags & SETUP_NO_SQARRAY == 0 { params.sq_entries as usize * 4 } else { 0 };
        let sq_len = sq.array as usize + array_len;
        let cq_len = cq.completions as usize + params.cq_entries as usize * size_of::<cqueue::Entry>();
        let rings = Mapping::new(&descriptor, OFFSET_RINGS, sq_len.max(cq_len))?;
        let entries_len = params.sq_entries as usize * size_of::<Sqe>();
        let entry_memory = Mapping::new(&descriptor, OFFSET_ENTRIES, entries_len)?;
        if array_len > 0 {
            for entry in 0..params.sq_entries {
                // SAFETY: the array has one number for each entry, within the mapping; the kernel reads it when told to.
                unsafe { rings.at::<u32>(sq.array + 4 * entry).write(entry) };
            }
        }
        let mut always = EnterFlags::empty();
        if params.features & FEATURE_NO_IOWAIT != 0 {
            // A berth that waits for the next request is not waiting for a disk.
            always |= EnterFlags::NO_IOWAIT;
        }
        let mut ring = Ring {
            tail: shared(rings.at(sq.tail)).load(Ordering::Relaxed),
            head_seen: shared(rings.at(sq.head)).load(Ordering::Relaxed),
            entries_mask: params.sq_entries - 1,
            entries: entry_memory.at(0),
            kernel_head: rings.at(sq.head),
            our_tail: rings.at(sq.tail),
            flags: rings.at(sq.flags),
            head: shared(rings.at(cq.head)).load(Ordering::Relaxed),
            completions_mask: params.cq_entries - 1,
            completions: rings.at(cq.completions),
            our_head: rings.at(cq.head),
            kernel_tail: rings.at(cq.tail),
            name: descriptor.as_raw_fd(),
            always,
            registered: false,
            rings,
            entry_memory,
            descriptor,
        };
        if level >= RingLevel::Linux6_0 {
            ring.register_name();
        }
        Ok(ring)
    }

    /// Saves the kernel a look at the table of descriptors in each call. If it will not, nothing is lost.
    fn register_name(&mut self) {
        let mut name = RingName { offset: u32::MAX, reserved: 0, descriptor: self.descriptor() as u64 };
        if self.register(REGISTER_RING_FDS, &raw mut name, 1).is_ok_and(|named| named == 1) {
            (self.name, self.registered) = (name.offset as RawFd, true);
            self.always |= EnterFlags::REGISTERED_RING;
        }
    }

    fn register<T>(&self, what: libc::c_uint, arg: *mut T, count: u32) -> io::Result<i64> {
        // SAFETY: the callers are below and above: `arg` leads to what `what` asks for, and lives across the call.
        let done = unsafe { libc::syscall(libc::SYS_io_uring_register, self.descriptor(), what, arg, count) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(done) }
    }

    /// Which operations the kernel has.
    pub(super) fn probe(&self) -> io::Result<Probe> {
        let mut probe = Box::new(Probe::default());
        self.register(REGISTER_PROBE, &raw mut *probe, probe.ops.len() as u32)?;
        Ok(*probe)
    }

    /// The most threads that the kernel starts for this ring, of each of its two kinds.
    pub(super) fn limit_workers(&self, workers: u32) -> io::Result<()> {
        let mut limits = [workers, workers];
        self.register(REGISTER_IOWQ_MAX_WORKERS, limits.as_mut_ptr(), 2).map(drop)
    }

    /// Lets the kernel take buffers from a ring of them.
    ///
    /// # Safety
    ///
    /// The memory is page-aligned, has room for so many entries, and lives until it has been unregistered.
    pub(super) unsafe fn register_buffers(&self, base: *mut u8, entries: u16, group: u16) -> io::Result<()> {
        let mut ring = BufferRing {
            address: base.addr() as u64,
            entries: entries.into(),
            group,
            ..BufferRing::default()
        };
        self.register(REGISTER_PBUF_RING, &raw mut ring, 1).map(drop)
    }

    pub(super) fn unregister_buffers(&self, group: u16) -> io::Result<()> {
        let mut ring = BufferRing { group, ..BufferRing::default() };
        self.register(UNREGISTER_PBUF_RING, &raw mut ring, 1).map(drop)
    }

    pub(super) fn descriptor(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }

    /// The next completion, which is taken by this.
    #[inline]
    pub(super) fn next(&mut self) -> Option<cqueue::Entry> {
        if self.head == shared(self.kernel_tail).load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: the mask keeps the index within the completions.
        let place = unsafe { self.completions.add((self.head & self.completions_mask) as usize) };
        // SAFETY: the kernel has written it before it moved its tail, and writes it again only after we move our head.
        let completion = unsafe { &*place }.clone();
        self.head = self.head.wrapping_add(1);
        shared(self.our_head).store(self.head, Ordering::Release);
        Some(completion)
    }

    /// Whether completions are there to be read.
    #[inline]
    pub(super) fn has_completions(&self) -> bool {
        self.head != shared(self.kernel_tail).load(Ordering::Acquire)
    }

    /// Whether the kernel keeps completions for which the ring had no room.
    #[inline]
    pub(super) fn has_overflowed(&self) -> bool {
        shared(self.flags).load(Ordering::Acquire) & SQ_CQ_OVERFLOW != 0
    }

    /// Whether the kernel has something to do that it does inside a call only.
    #[inline]
    pub(super) fn has_work(&self) -> bool {
        shared(self.flags).load(Ordering::Acquire) & (SQ_CQ_OVERFLOW | SQ_TASKRUN) != 0
    }

    /// Entries that the kernel has not taken.
    #[inline]
    fn entries(&self) -> u32 {
        self.tail.wrapping_sub(shared(self.kernel_head).load(Ordering::Acquire))
    }

    /// Whether entries wait to be handed over.
    #[inline]
    pub(super) fn has_entries(&self) -> bool {
        self.entries() != 0
    }

    /// Where the next entry is to be written; none if there is no room. It counts when [`Ring::advance`] is called.
    #[inline(always)]
    pub(super) fn room(&mut self) -> Option<*mut Sqe> {
        if self.tail.wrapping_sub(self.head_seen) > self.entries_mask {
            self.head_seen = shared(self.kernel_head).load(Ordering::Acquire);
            if self.tail.wrapping_sub(self.head_seen) > self.entries_mask {
                return None;
            }
        }
        // SAFETY: the mask keeps the index within the entries.
        Some(unsafe { self.entries.add((self.tail & self.entries_mask) as usize) })
    }

    /// The entry that was written into the room counts from here on; the next enter call hands it over.
    ///
    /// # Safety
    ///
    /// It was written as a whole, and what it points to lives until its completion.
    #[inline(always)]
    pub(super) unsafe fn advance(&mut self) {
        self.tail = self.tail.wrapping_add(1);
    }

    /// Puts an entry into the ring, with this user data; false if there is no room.
    ///
    /// # Safety
    ///
    /// What the entry points to lives until its completion.
    #[inline]
    pub(super) unsafe fn push(&mut self, entry: &squeue::Entry, user_data: u64) -> bool {
        let Some(room) = self.room() else { return false };
        // SAFETY: the room is ours until the tail moves, and both are the kernel's `io_uring_sqe`.
        unsafe { room.cast::<squeue::Entry>().write(entry.clone()) };
        // SAFETY: as above.
        unsafe { (*room).user_data = user_data };
        // SAFETY: the entry was written, and the caller answers for what it points to.
        unsafe { self.advance() };
        true
    }

    /// Hands over what is in the ring, and takes no completion.
    pub(super) fn submit(&mut self) -> io::Result<Entered> {
        self.enter(true, 0, EnterFlags::empty(), None)
    }

    /// Hands over what is in the ring and lets the kernel do what it does inside a call only; does not wait.
    pub(super) fn look(&mut self) -> io::Result<Entered> {
        self.enter(true, 0, EnterFlags::GETEVENTS, None)
    }

    /// Hands over what is in the ring and waits for one completion.
    pub(super) fn sleep(&mut self, timeout: Option<Duration>) -> io::Result<Entered> {
        self.enter(true, 1, EnterFlags::GETEVENTS, timeout)
    }

    /// Waits for one completion, and hands nothing over.
    pub(super) fn only_sleep(&mut self, timeout: Option<Duration>) -> io::Result<Entered> {
        self.enter(false, 1, EnterFlags::GETEVENTS, timeout)
    }

    fn enter(
        &mut self,
        hand_over: bool,
        want: u32,
        flags: EnterFlags,
        timeout: Option<Duration>,
    ) -> io::Result<Entered> {
        let flags = flags | self.always;
        shared(self.our_tail).store(self.tail, Ordering::Release);
        let entries = if hand_over { self.entries() } else { 0 };
        let done = match timeout {
            None => call(self.name, entries, want, flags, ptr::null::<libc::sigset_t>()),
            Some(timeout) => {
                let time = Timespec::from(timeout);
                let arg = GeteventsArg {
                    sigmask: 0,
                    sigmask_size: 0,
                    min_wait_us: 0,
                    timespec: (&raw const time).addr() as u64,
                };
                call(self.name, entries, want, flags | EnterFlags::EXT_ARG, &raw const arg)
            }
        };
        if done >= 0 {
            return Ok(Entered::Well);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            // The time is over, or a signal came: a wait ends early and well.
            Some(libc::ETIME | libc::EINTR) => Ok(Entered::Well),
            Some(libc::EBUSY) => Ok(Entered::Full),
            Some(libc::EAGAIN) => Ok(Entered::Starved),
            _ => Err(error),
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if self.registered {
            let mut name = RingName { offset: self.name as u32, reserved: 0, descriptor: 0 };
            // The thread would keep the ring alive for its own sake.
            let _ = self.register(UNREGISTER_RING_FDS, &raw mut name, 1);
        }
    }
}

#[inline]
fn call<T>(ring: RawFd, entries: u32, want: u32, flags: EnterFlags, arg: *const T) -> libc::c_long {
    // SAFETY: `arg` is null, or a getevents argument (as the flags say) that lives across the call, as does the
    // time it points to.
    unsafe { libc::syscall(libc::SYS_io_uring_enter, ring, entries, want, flags.bits(), arg, size_of::<T>()) }
}

/// `struct io_uring_probe`: what the kernel says of each operation.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Probe {
    last: u8,
    len: u8,
    reserved: u16,
    more_reserved: [u32; 3],
    ops: [ProbeOp; 256],
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct ProbeOp {
    op: u8,
    reserved: u8,
    flags: u16,
    more_reserved: u32,
}

impl Default for Probe {
    fn default() -> Probe {
        Probe { last: 0, len: 0, reserved: 0, more_reserved: [0; 3], ops: [ProbeOp::default(); 256] }
    }
}

impl Probe {
    /// Whether the kernel has this operation.
    pub(super) fn has(&self, opcode: u8) -> bool {
        const SUPPORTED: u16 = 1;
        opcode < self.len && self.ops[usize::from(opcode)].flags & SUPPORTED != 0
    }
}
