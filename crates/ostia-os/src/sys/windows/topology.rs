//! The topology from the system's processor records.
//!
//! Three questions, whose answers are put one behind the other: groups, cores, nodes. Since build 20348 the plain
//! question about nodes gives each node's first group only, and another one gives all; older systems refuse that one.

use std::{io, ptr};

use windows_sys::Win32::{
    Foundation::ERROR_INSUFFICIENT_BUFFER,
    System::SystemInformation::{
        GROUP_AFFINITY, GROUP_RELATIONSHIP, GetLogicalProcessorInformationEx, GlobalMemoryStatusEx,
        LOGICAL_PROCESSOR_RELATIONSHIP, MEMORYSTATUSEX, NUMA_NODE_RELATIONSHIP, PROCESSOR_GROUP_INFO,
        PROCESSOR_RELATIONSHIP, RelationGroup, RelationNumaNode, RelationNumaNodeEx, RelationProcessorCore,
        SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX,
    },
};

use super::{affinity, outcome};
use crate::topology::{Source, Topology, records};

// What `records` counts on.
const _: () = assert!(size_of::<GROUP_AFFINITY>() == 16);
const _: () = assert!(size_of::<PROCESSOR_GROUP_INFO>() == 48);
const _: () = assert!(std::mem::offset_of!(PROCESSOR_GROUP_INFO, ActiveProcessorMask) == 40);
const _: () = assert!(std::mem::offset_of!(SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX, Anonymous) == 8);
const _: () = assert!(std::mem::offset_of!(PROCESSOR_RELATIONSHIP, GroupMask) == 24);
const _: () = assert!(std::mem::offset_of!(NUMA_NODE_RELATIONSHIP, GroupCount) == 22);
const _: () = assert!(std::mem::offset_of!(NUMA_NODE_RELATIONSHIP, Anonymous) == 24);
const _: () = assert!(std::mem::offset_of!(GROUP_RELATIONSHIP, GroupInfo) == 24);

pub(crate) fn detect() -> io::Result<Topology> {
    let mut all = ask(RelationGroup)?;
    all.extend(ask(RelationProcessorCore)?);
    all.extend(ask(RelationNumaNodeEx).or_else(|_| ask(RelationNumaNode))?);
    let topology = records::describe(Source::Detected, &all, &affinity::allowed()?)?;
    match (topology.nodes(), topology.memory_only()) {
        // Windows does not tell how much memory a node has; that of the only one is the machine's.
        ([only], []) => {
            let only = memory_bytes().map_or(only.clone(), |bytes| only.clone().with_memory(bytes));
            Topology::with_source(Source::Detected, [only]).map_err(io::Error::other)
        }
        _ => Ok(topology),
    }
}

/// The records of one kind.
pub(super) fn ask(kind: LOGICAL_PROCESSOR_RELATIONSHIP) -> io::Result<Vec<u8>> {
    let mut len = 0u32;
    // Eight bytes an element, as the records hold masks.
    let mut buffer: Vec<u64> = Vec::new();
    // Processors can be added while we ask, so the length may be too short again; not for ever.
    for _ in 0..8 {
        let room = if buffer.is_empty() { ptr::null_mut() } else { buffer.as_mut_ptr().cast() };
        // SAFETY: the system writes at most `len` bytes; `len` is 0, or the length of the buffer.
        let result = unsafe { GetLogicalProcessorInformationEx(kind, room, &raw mut len) };
        match outcome(result) {
            Ok(()) => {
                let bytes = buffer.iter().flat_map(|word| word.to_le_bytes());
                return Ok(bytes.take(len as usize).collect());
            }
            Err(error) if error.raw_os_error() == Some(ERROR_INSUFFICIENT_BUFFER.cast_signed()) => {
                buffer = vec![0; (len as usize).div_ceil(8)];
                len = u32::try_from(buffer.len() * 8).map_err(io::Error::other)?;
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("the processor records grow faster than they can be read"))
}

fn memory_bytes() -> Option<u64> {
    let len = u32::try_from(size_of::<MEMORYSTATUSEX>()).ok()?;
    let mut status = MEMORYSTATUSEX { dwLength: len, ..Default::default() };
    // SAFETY: `status` is one, and says how long it is.
    let result = unsafe { GlobalMemoryStatusEx(&raw mut status) };
    outcome(result).ok().map(|()| status.ullTotalPhys)
}
