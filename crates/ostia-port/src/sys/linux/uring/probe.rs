//! What this kernel has: found out once for each port, by trying.

use std::{fs, io};

use io_uring::opcode;

use super::{
    op,
    ring::{Entered, Ring},
};

/// Which Linux a ring is set up as on: the newest of these that the kernel turns out to be, or an older one that
/// the port was told. What is newer is not used then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum RingLevel {
    /// The oldest that has what this crate cannot do without.
    Linux5_11,
    /// No interrupts for completions; multishot accept; buffers lent by the kernel.
    Linux5_19,
    /// One thread submits; multishot receive.
    Linux6_0,
    /// Completions are worked on only when the thread asks for them.
    Linux6_1,
    /// Linux 6.6 and later: whatever is found beyond that.
    #[default]
    Latest,
}

impl RingLevel {
    /// From the newest to the oldest.
    pub(super) const LADDER: [RingLevel; 5] = [
        RingLevel::Latest,
        RingLevel::Linux6_1,
        RingLevel::Linux6_0,
        RingLevel::Linux5_19,
        RingLevel::Linux5_11,
    ];
}

/// How the rings of a port are set up.
#[derive(Debug, Clone, Copy, Default)]
pub struct RingOptions {
    pub(super) level_max: RingLevel,
    pub(super) workers_max: Option<u32>,
}

impl RingOptions {
    /// The best that the kernel has.
    pub fn new() -> RingOptions {
        RingOptions::default()
    }

    /// Nothing newer than this is used; for kernels that have something and have it wrong, and for tests.
    pub fn level_max(mut self, level: RingLevel) -> RingOptions {
        self.level_max = level;
        self
    }

    /// The most threads that the kernel starts for a ring where an operation would block: as many for files, and
    /// as many again for what has no end of its own. As many as the port's offload threads unless told otherwise.
    pub fn workers_max(mut self, workers: u32) -> RingOptions {
        self.workers_max = Some(workers.max(1));
        self
    }
}

/// What was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kernel {
    pub(super) level: RingLevel,
    pub(super) ops: Ops,
    pub(super) multishot_accept: bool,
    /// A thread may put a completion into the ring of another (6.13).
    pub(super) messages: bool,
}

impl Kernel {
    /// Buffers may be lent by the kernel.
    pub(super) fn lends(&self) -> bool {
        self.level >= RingLevel::Linux5_19
    }

    pub(super) fn multishot_receive(&self) -> bool {
        self.level >= RingLevel::Linux6_0
    }

    pub(super) fn poll_first(&self) -> bool {
        self.level >= RingLevel::Linux5_19
    }
}

/// Operations that came after 5.11, or that a filter may refuse.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ops {
    pub(super) open: bool,
    pub(super) metadata: bool,
    pub(super) rename: bool,
    pub(super) remove: bool,
    pub(super) create_dir: bool,
    pub(super) truncate: bool,
}

/// Without these there is no port on a ring.
const NEEDED: [(u8, &str); 13] = [
    (opcode::Nop::CODE, "nop"),
    (opcode::AsyncCancel::CODE, "cancel"),
    (opcode::Read::CODE, "read"),
    (opcode::Write::CODE, "write"),
    (opcode::Readv::CODE, "readv"),
    (opcode::Writev::CODE, "writev"),
    (opcode::Recv::CODE, "recv"),
    (opcode::Send::CODE, "send"),
    (opcode::RecvMsg::CODE, "recvmsg"),
    (opcode::SendMsg::CODE, "sendmsg"),
    (opcode::Accept::CODE, "accept"),
    (opcode::Connect::CODE, "connect"),
    (opcode::PollAdd::CODE, "poll"),
];

fn unsupported(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, why.into())
}

/// Steps down the ladder until a ring can be set up, has what is needed, and makes a round trip.
pub(super) fn find(level_max: RingLevel) -> io::Result<Kernel> {
    let mut first = None;
    for level in RingLevel::LADDER.into_iter().filter(|level| *level <= level_max) {
        match try_level(level) {
            Ok(kernel) => return Ok(kernel),
            // What the newest step says may only be that it is too new; what the oldest says is the reason.
            Err(error) => first = Some(error),
        }
    }
    Err(first.unwrap_or_else(|| unsupported("no ring was tried")))
}

fn try_level(level: RingLevel) -> io::Result<Kernel> {
    let mut ring = Ring::new(2, level)?;
    let ops = ops(&ring)?;
    round_trip(&mut ring)?;
    let messages = level >= RingLevel::Latest && takes_messages(&mut ring);
    let multishot_accept = level >= RingLevel::Linux5_19 && !gives_wrong_descriptors(level);
    Ok(Kernel { level, ops, multishot_accept, messages })
}

fn ops(ring: &Ring) -> io::Result<Ops> {
    let probe = ring.probe()?;
    if let Some((_, name)) = NEEDED.iter().find(|(code, _)| !probe.has(*code)) {
        return Err(unsupported(format!("io_uring without {name}")));
    }
    Ok(Ops {
        open: probe.has(opcode::OpenAt::CODE),
        metadata: probe.has(opcode::Statx::CODE),
        rename: probe.has(opcode::RenameAt::CODE),
        remove: probe.has(opcode::UnlinkAt::CODE),
        create_dir: probe.has(opcode::MkDirAt::CODE),
        truncate: probe.has(opcode::Ftruncate::CODE),
    })
}

/// Setting a ring up may be allowed and using it not.
fn round_trip(ring: &mut Ring) -> io::Result<()> {
    const KEY: u64 = 0x0a11_4e11;
    // SAFETY: a nop uses no memory.
    if !unsafe { ring.push(&opcode::Nop::new().build(), KEY) } {
        return Err(unsupported("an empty ring had no room"));
    }
    if ring.sleep(None)? != Entered::Well {
        return Err(unsupported("an empty ring would not take a nop"));
    }
    match ring.next() {
        Some(end) if end.user_data() == KEY && end.result() == 0 => Ok(()),
        end => Err(unsupported(format!("a ring took a nop and gave back {end:?}"))),
    }
}

/// Whether a message can be put into a ring from outside, tried out.
fn takes_messages(ring: &mut Ring) -> bool {
    const KEY: u64 = 0x0a11_4e12;
    if op::message(ring.descriptor(), KEY).is_err() {
        return false;
    }
    // It is there already, or will be with the next look: the kernel does not wait for anything else.
    let looked = ring.look();
    looked.is_ok() && std::iter::from_fn(|| ring.next()).any(|end| end.user_data() == KEY)
}

/// Linux 6.6 to 6.8 could answer a multishot accept with a descriptor that was none when completions were
/// deferred. Stable releases have been mended, but do not say so.
fn gives_wrong_descriptors(level: RingLevel) -> bool {
    level >= RingLevel::Linux6_1
        && fs::read_to_string("/proc/sys/kernel/osrelease")
            .is_ok_and(|release| ["6.6.", "6.7.", "6.8."].iter().any(|bad| release.starts_with(bad)))
}

/// The most likely reason why a ring was refused, for the log.
pub(super) fn likely_reason(error: &io::Error) -> &'static str {
    // 0: allowed; 1: for one group only; 2: for nobody.
    let disabled = fs::read_to_string("/proc/sys/kernel/io_uring_disabled");
    let disabled = disabled.is_ok_and(|text| text.trim() != "0");
    reason(error.raw_os_error(), disabled)
}

fn reason(code: Option<i32>, disabled: bool) -> &'static str {
    match code {
        Some(libc::EPERM | libc::EACCES) if disabled => "the sysctl kernel.io_uring_disabled forbids it",
        Some(libc::EPERM | libc::EACCES) => "a seccomp filter forbids it, as those of container engines do",
        Some(libc::ENOSYS) => "a seccomp filter hides it, or the kernel is older than 5.1",
        Some(libc::ENOMEM) => "the limit of locked memory (ulimit -l) is too low for it",
        Some(libc::EMFILE | libc::ENFILE) => "there are no descriptors left",
        Some(libc::EINVAL) => "the kernel is too old",
        _ => "the kernel or a sandbox has it only in part",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_that_is_told_fits_the_error() {
        let check = |code, disabled, word: &str| {
            let reason = reason(code, disabled);
            assert!(reason.contains(word), "{code:?}, {disabled}: {reason}");
        };
        check(Some(libc::EPERM), true, "sysctl");
        check(Some(libc::EPERM), false, "seccomp");
        check(Some(libc::EACCES), false, "seccomp");
        check(Some(libc::ENOSYS), true, "seccomp");
        check(Some(libc::ENOMEM), false, "locked memory");
        check(Some(libc::EMFILE), false, "descriptors");
        check(Some(libc::EINVAL), false, "too old");
        check(Some(libc::EOPNOTSUPP), false, "in part");
        check(None, false, "in part");
    }
}
