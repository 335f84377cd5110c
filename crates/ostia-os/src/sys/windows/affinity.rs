//! Affinity by processor group: a thread is in one group at a time, and a mask is one group's.

use std::{io, mem, ptr};

use windows_sys::Win32::System::{
    JobObjects::{JobObjectGroupInformationEx, QueryInformationJobObject},
    SystemInformation::{GROUP_AFFINITY, RelationGroup},
    Threading::{
        GetCurrentProcess, GetCurrentThread, GetProcessAffinityMask, GetProcessGroupAffinity,
        GetThreadGroupAffinity, SetThreadGroupAffinity,
    },
};

use super::{outcome, topology};
use crate::{CpuSet, topology::records};

/// Windows numbers groups below that (32 at the time of writing).
const MAX_GROUPS: usize = 64;

/// A group and a mask in it.
pub(crate) type Previous = CpuSet;

/// All active CPUs, unless the process's mask or its job says otherwise.
///
/// A process that was confined to some CPUs has a mask that differs from its group's. One that was not may put its
/// threads into any group, even if it was started in one.
pub(crate) fn allowed() -> io::Result<CpuSet> {
    let mut allowed = records::active(&topology::ask(RelationGroup)?)?;
    if let (Some(group), Some((mask, system))) = (process_group(), process_mask())
        && mask != 0
        && mask != system
    {
        allowed = allowed.intersection(&set(group, mask));
    }
    let job = job_groups().into_iter().fold(CpuSet::new(), |all, one| {
        // A mask of 0 is the whole group.
        let mask = if one.Mask == 0 { usize::MAX } else { one.Mask };
        all.union(&set(one.Group, mask))
    });
    if !job.is_empty() {
        allowed = allowed.intersection(&job);
    }
    Ok(allowed)
}

pub(crate) fn current() -> io::Result<CpuSet> {
    let mut affinity = GROUP_AFFINITY::default();
    // SAFETY: it takes nothing and gives a constant that stands for this thread.
    let thread = unsafe { GetCurrentThread() };
    // SAFETY: the handle stands for this thread, and `affinity` is a valid place for the answer.
    outcome(unsafe { GetThreadGroupAffinity(thread, &raw mut affinity) })?;
    Ok(set(affinity.Group, affinity.Mask))
}

pub(crate) fn bind(cpus: &CpuSet) -> io::Result<Previous> {
    let previous = current()?;
    let refused = |why: String| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    let usable = cpus.intersection(&allowed()?);
    match parts(&usable)[..] {
        [] => return refused(format!("none of the CPUs {cpus} may be used by this process")),
        [_] => restore(&usable)?,
        _ => {
            return refused(format!(
                "the CPUs {cpus} are in several processor groups, and a thread is in one"
            ));
        }
    }
    Ok(previous)
}

/// Binds to CPUs of one group.
pub(crate) fn restore(cpus: &CpuSet) -> io::Result<()> {
    let group = cpus.words().len().saturating_sub(1);
    let mask = cpus.words().last().copied().unwrap_or(0);
    let affinity = GROUP_AFFINITY {
        Mask: usize::try_from(mask).map_err(io::Error::other)?,
        Group: u16::try_from(group).map_err(io::Error::other)?,
        Reserved: [0; 3],
    };
    // SAFETY: it takes nothing and gives a constant that stands for this thread.
    let thread = unsafe { GetCurrentThread() };
    // SAFETY: the handle stands for this thread, and `affinity` lives across the call.
    outcome(unsafe { SetThreadGroupAffinity(thread, &raw const affinity, ptr::null_mut()) })
}

/// One part for each group.
pub(crate) fn parts(cpus: &CpuSet) -> Vec<CpuSet> {
    (0u16..)
        .zip(cpus.words())
        .filter(|&(_, &mask)| mask != 0)
        .map(|(group, &mask)| {
            let mut words = vec![0; usize::from(group) + 1];
            words[usize::from(group)] = mask;
            CpuSet::from_words(words)
        })
        .collect()
}

fn set(group: u16, mask: usize) -> CpuSet {
    let mut words = vec![0; usize::from(group) + 1];
    words[usize::from(group)] = mask as u64;
    CpuSet::from_words(words)
}

/// The group that all the process's threads are in; nothing when they are in several.
fn process_group() -> Option<u16> {
    let mut groups = [0u16; MAX_GROUPS];
    let mut count = u16::try_from(groups.len()).ok()?;
    // SAFETY: it takes nothing and gives a constant that stands for this process.
    let process = unsafe { GetCurrentProcess() };
    // SAFETY: the array has room for `count` numbers, and both live across the call.
    let result = unsafe { GetProcessGroupAffinity(process, &raw mut count, groups.as_mut_ptr()) };
    match (outcome(result), groups.get(..usize::from(count))?) {
        (Ok(()), [group]) => Some(*group),
        (Ok(()), _) => None,
        // Wine does not tell. The only group there can be is this thread's.
        (Err(_), _) => u16::try_from(current().ok()?.words().len()).ok()?.checked_sub(1),
    }
}

/// The process's mask and the system's, in the process's group. Both are 0 when it has threads in several.
fn process_mask() -> Option<(usize, usize)> {
    let (mut mask, mut system) = (0, 0);
    // SAFETY: it takes nothing and gives a constant that stands for this process.
    let process = unsafe { GetCurrentProcess() };
    // SAFETY: both are valid places for the answer.
    let result = unsafe { GetProcessAffinityMask(process, &raw mut mask, &raw mut system) };
    outcome(result).ok()?;
    Some((mask, system))
}

/// What the process's job confines it to; nothing when there is no job, or it does not say.
fn job_groups() -> Vec<GROUP_AFFINITY> {
    let mut groups = vec![GROUP_AFFINITY::default(); MAX_GROUPS];
    let Ok(room) = u32::try_from(mem::size_of_val(groups.as_slice())) else { return Vec::new() };
    let mut len = 0;
    // SAFETY: no handle stands for the process's own job; the array has `room` bytes and lives across the call.
    let result = unsafe {
        QueryInformationJobObject(
            ptr::null_mut(),
            JobObjectGroupInformationEx,
            groups.as_mut_ptr().cast(),
            room,
            &raw mut len,
        )
    };
    groups.truncate(if result == 0 { 0 } else { len as usize / size_of::<GROUP_AFFINITY>() });
    groups
}

#[cfg(test)]
mod tests {
    use std::{
        env,
        io::Write,
        process::{Command, Stdio},
    };

    use windows_sys::Win32::System::Threading::SetProcessAffinityMask;

    use super::*;
    use crate::topology::Topology;

    #[test]
    fn groups_and_masks_are_cpus() {
        assert_eq!(set(0, 0b1010).to_string(), "1,3");
        assert_eq!(set(2, 1).to_string(), "128");
        let across: CpuSet = "1,3,64-66,200".parse().unwrap();
        let parts: Vec<String> = parts(&across).iter().map(CpuSet::to_string).collect();
        assert_eq!(parts, ["1,3", "64-66", "200"]);
    }

    #[test]
    #[ignore = "the other process of the test below, which starts it"]
    fn a_confined_process() {
        let first: CpuSet = allowed().unwrap().first().into_iter().collect();
        let rest = allowed().unwrap().difference(&first);
        // SAFETY: it takes nothing and gives a constant that stands for this process.
        let process = unsafe { GetCurrentProcess() };
        // SAFETY: the handle stands for this process, and the mask is a number.
        outcome(unsafe { SetProcessAffinityMask(process, first.words()[0] as usize) }).unwrap();
        assert_eq!(allowed().unwrap(), first);
        assert_eq!(Topology::detect().unwrap().cpus(), first);
        assert_eq!(bind(&rest).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        bind(&rest.union(&first)).unwrap();
        assert_eq!(current().unwrap(), first);
    }

    #[test]
    fn a_process_that_is_confined_sees_what_is_left() {
        if allowed().unwrap().words()[0].count_ones() < 2 {
            let name = "a_process_that_is_confined_sees_what_is_left";
            let _ = writeln!(io::stderr(), "SKIPPED {name}: there is one CPU");
            return;
        }
        let child = Command::new(env::current_exe().unwrap())
            .args(["--ignored", "--exact", "sys::windows::affinity::tests::a_confined_process"])
            .stdout(Stdio::null())
            .status();
        assert!(child.unwrap().success());
    }
}
