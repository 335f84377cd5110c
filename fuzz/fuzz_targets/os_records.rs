//! Windows' processor records: a topology of active CPUs comes out, or a reason.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostia_os::{
    CpuSet,
    topology::{Node, records},
};

fuzz_target!(|data: &[u8]| {
    let all = CpuSet::from_words([u64::MAX; 256]);
    let Ok(topology) = records::topology(data, &all) else { return };
    assert_eq!(Ok(topology.cpus()), records::active(data));
    let in_cores: usize = topology.nodes().iter().flat_map(Node::cores).map(CpuSet::len).sum();
    assert_eq!(in_cores, topology.cpus().len());
});
