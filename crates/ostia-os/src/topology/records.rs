//! What Windows says of its nodes: the records of `GetLogicalProcessorInformationEx`.
//!
//! Records lie one after another, each with its kind and size in front. Everything is read from bytes, with every
//! size checked against what is there, so records of any origin can be read anywhere. Two layouts exist: until
//! build 20348 a node lies in one processor group and the count of groups is 0; since then a node may span groups,
//! and the count says how many masks follow.

use std::collections::BTreeMap;

use super::{Node, Source, Topology, Unreadable, deal_out};
use crate::{CpuSet, cpus::MAX_CPUS};

/// Kinds of records, by Windows' numbers. Others (caches, packages, dies, modules) are skipped.
const CORE: u32 = 0;
const NODE: u32 = 1;
const GROUP: u32 = 4;

/// Kind and size, in front of each record.
const HEAD_LEN: usize = 8;

/// Where masks begin, from the record's start: the same in all three kinds.
const MASKS_AT: usize = 32;

/// Where the count of masks stands in records of cores and nodes.
const COUNT_AT: usize = 30;

/// `GROUP_AFFINITY` of a 64-bit system: mask, group, reserved.
const MASK_LEN: usize = 16;

/// `PROCESSOR_GROUP_INFO` of a 64-bit system; its mask is at the end.
const GROUP_LEN: usize = 48;

/// The topology that these records describe, of a process that may use the CPUs `allowed`.
///
/// A CPU's number is 64 times its group, plus its number in the group. The records are those of a 64-bit Windows;
/// they may be the answers to several questions, one behind the other. Without records of nodes there is one node,
/// number 0; a CPU that no node claims belongs to the first node; one that is in no core is a core of its own.
///
/// # Errors
///
/// When a record's sizes do not fit what is there, or no allowed CPU is active.
pub fn topology(records: &[u8], allowed: &CpuSet) -> Result<Topology, Unreadable> {
    describe(Source::Synthetic, records, allowed)
}

pub(crate) fn describe(source: Source, records: &[u8], allowed: &CpuSet) -> Result<Topology, Unreadable> {
    let read = Records::read(records)?;
    let usable = read.active().intersection(allowed);
    let claims = read.nodes.iter().map(|(&id, cpus)| (id, cpus.clone())).collect();
    let nodes = deal_out(usable, claims).into_iter().map(|(id, cpus)| Node::new(id, read.cores_in(&cpus)));
    Topology::with_source(source, nodes).map_err(|why| Unreadable::new("processor records", why))
}

/// The CPUs that are active, by these records.
///
/// # Errors
///
/// When a record's sizes do not fit what is there.
pub fn active(records: &[u8]) -> Result<CpuSet, Unreadable> {
    Ok(Records::read(records)?.active())
}

#[derive(Default)]
struct Records {
    cores: Vec<CpuSet>,
    nodes: BTreeMap<u32, CpuSet>,
    groups: CpuSet,
}

impl Records {
    fn read(mut rest: &[u8]) -> Result<Records, Unreadable> {
        let mut records = Records::default();
        let mut at = 0;
        while !rest.is_empty() {
            let wrong =
                |why: &str| Unreadable::new(format!("the processor record at byte {at}"), why.to_owned());
            let size = u32_at(rest, 4).ok_or_else(|| wrong("it ends within its head"))? as usize;
            if size < HEAD_LEN {
                return Err(wrong(&format!("it says that it has {size} bytes, fewer than its head")));
            }
            let Some(record) = rest.get(..size) else {
                return Err(wrong(&format!("it says that it has {size} bytes, and {} follow", rest.len())));
            };
            records.take(record).ok_or_else(|| wrong("it has fewer bytes than what it says to contain"))?;
            rest = &rest[size..];
            at += size;
        }
        Ok(records)
    }

    /// Takes one record in, or nothing when it is too short for its content.
    fn take(&mut self, record: &[u8]) -> Option<()> {
        match u32_at(record, 0)? {
            CORE => self.cores.push(masks(record)?),
            NODE => {
                let cpus = masks(record)?;
                // A node that spans groups has, in the old layout, one record for each of them.
                let node = self.nodes.entry(u32_at(record, HEAD_LEN)?).or_default();
                *node = node.union(&cpus);
            }
            GROUP => {
                let active = u16_at(record, 10)?;
                for group in 0..active {
                    let end = MASKS_AT + (usize::from(group) + 1) * GROUP_LEN;
                    self.groups = self.groups.union(&cpus_of(group, u64_at(record, end - 8)?)?);
                }
            }
            _ => {}
        }
        Some(())
    }

    /// By the records of groups, or by the others when there are none.
    fn active(&self) -> CpuSet {
        if !self.groups.is_empty() {
            return self.groups.clone();
        }
        self.cores.iter().chain(self.nodes.values()).fold(CpuSet::new(), |all, cpus| all.union(cpus))
    }

    fn cores_in(&self, cpus: &CpuSet) -> Vec<CpuSet> {
        let mut left = cpus.clone();
        let mut cores = Vec::new();
        for core in &self.cores {
            let core = core.intersection(&left);
            if !core.is_empty() {
                left = left.difference(&core);
                cores.push(core);
            }
        }
        cores.extend(left.iter().map(|cpu| [cpu].into_iter().collect()));
        cores
    }
}

/// The masks of a core or a node. A count of 0 is the old layout: one mask.
fn masks(record: &[u8]) -> Option<CpuSet> {
    let count = usize::from(u16_at(record, COUNT_AT)?).max(1);
    (0..count).try_fold(CpuSet::new(), |all, nth| {
        let at = MASKS_AT + nth * MASK_LEN;
        Some(all.union(&cpus_of(u16_at(record, at + 8)?, u64_at(record, at)?)?))
    })
}

/// The CPUs of one group. A number that no Windows gives a group is none.
fn cpus_of(group: u16, mask: u64) -> Option<CpuSet> {
    if u32::from(group) >= MAX_CPUS / 64 {
        return None;
    }
    let mut words = vec![0; usize::from(group) + 1];
    words[usize::from(group)] = mask;
    Some(CpuSet::from_words(words))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
