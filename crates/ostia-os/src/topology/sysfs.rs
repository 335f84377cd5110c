//! What Linux says of its nodes, in the files of `/sys` and `/proc`.
//!
//! The files come in by a function, so a topology can be read that was recorded on another machine.

use super::{Node, Source, Topology, Unreadable, deal_out};
use crate::CpuSet;

/// CPUs that are switched on.
const CPUS: &str = "/sys/devices/system/cpu/online";

/// Nodes that have CPUs or memory. A kernel without NUMA has no such file.
const NODES: &str = "/sys/devices/system/node/online";

/// Among much else, `Mems_allowed_list`.
const STATUS: &str = "/proc/self/status";

/// The topology that these files describe, of a process that may use the CPUs `allowed`.
///
/// `read` gives a file's text by its absolute path, or nothing where there is no such file. Files are missing on old
/// kernels and in strict containers. Without files about nodes there is one node, number 0; without those about
/// cores each CPU is one; a CPU that no node claims belongs to the first node, so that none is lost.
///
/// # Errors
///
/// When a file that lists CPUs or nodes is there and cannot be understood, or no allowed CPU is switched on.
pub fn topology(read: &dyn Fn(&str) -> Option<String>, allowed: &CpuSet) -> Result<Topology, Unreadable> {
    describe(Source::Synthetic, read, allowed)
}

pub(crate) fn describe(
    source: Source,
    read: &dyn Fn(&str) -> Option<String>,
    allowed: &CpuSet,
) -> Result<Topology, Unreadable> {
    let usable = match list(read, CPUS)? {
        Some(online) => online.intersection(allowed),
        None => allowed.clone(),
    };
    let ids: Vec<u32> = list(read, NODES)?.map_or_else(Vec::new, |ids| ids.iter().collect());
    let memories = memories_allowed(read);

    let mut claims = Vec::new();
    for &id in &ids {
        let cpus = list(read, &format!("/sys/devices/system/node/node{id}/cpulist"))?.unwrap_or_default();
        claims.push((id, cpus));
    }
    let nodes = deal_out(usable, claims).into_iter().map(|(id, cpus)| {
        let mut node = Node::new(id, cores(read, &cpus));
        node.memory_bytes = memory_bytes(read, id);
        node.memory_allowed = memories.as_ref().is_none_or(|allowed| allowed.contains(id));
        node.distances = distances(read, id, &ids);
        node
    });
    Topology::with_source(source, nodes).map_err(|why| Unreadable::new(CPUS, why))
}

/// A file that holds a list of CPUs or nodes.
fn list(read: &dyn Fn(&str) -> Option<String>, path: &str) -> Result<Option<CpuSet>, Unreadable> {
    let Some(text) = read(path) else { return Ok(None) };
    text.parse().map(Some).map_err(|why| Unreadable::new(path, why))
}

/// The CPUs of one node, by core. What is not known or makes no sense here costs locality and nothing else, so it is
/// no error: the CPU is then a core of its own.
fn cores(read: &dyn Fn(&str) -> Option<String>, cpus: &CpuSet) -> Vec<CpuSet> {
    let mut left = cpus.clone();
    let mut cores = Vec::new();
    while let Some(cpu) = left.first() {
        let folder = format!("/sys/devices/system/cpu/cpu{cpu}/topology");
        // The first name since Linux 5.3, the second before.
        let siblings = read(&format!("{folder}/core_cpus_list"))
            .or_else(|| read(&format!("{folder}/thread_siblings_list")))
            .and_then(|text| text.parse::<CpuSet>().ok())
            .unwrap_or_default();
        let core = siblings.intersection(&left).union(&[cpu].into_iter().collect());
        left = left.difference(&core);
        cores.push(core);
    }
    cores
}

/// `Node 0 MemTotal:   24684088 kB`
fn memory_bytes(read: &dyn Fn(&str) -> Option<String>, id: u32) -> Option<u64> {
    let text = read(&format!("/sys/devices/system/node/node{id}/meminfo"))?;
    let line = text.lines().find_map(|line| line.split_once("MemTotal:"))?;
    line.1.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// One number for each node that is online, in the order of their numbers.
fn distances(read: &dyn Fn(&str) -> Option<String>, id: u32, ids: &[u32]) -> Vec<(u32, u32)> {
    let text = read(&format!("/sys/devices/system/node/node{id}/distance")).unwrap_or_default();
    let row: Option<Vec<u32>> = text.split_whitespace().map(|number| number.parse().ok()).collect();
    match row {
        Some(row) if row.len() == ids.len() => ids.iter().copied().zip(row).collect(),
        // A row that does not fit says nothing that can be trusted.
        _ => Vec::new(),
    }
}

/// The nodes whose memory the process may use, or nothing when the file does not tell.
fn memories_allowed(read: &dyn Fn(&str) -> Option<String>) -> Option<CpuSet> {
    let status = read(STATUS)?;
    status.lines().find_map(|line| line.strip_prefix("Mems_allowed_list:"))?.parse().ok()
}
