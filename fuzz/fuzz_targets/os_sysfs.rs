//! Linux' files about nodes, CPUs and control groups: every allowed CPU is in one core, or there is a reason.
//!
//! The data are the files' contents, one after another in the order they are asked for, with a 0 between; the last
//! one is what all further files hold.
#![no_main]

use std::cell::Cell;

use libfuzzer_sys::fuzz_target;
use ostia_os::{
    CpuSet,
    limits::cgroup,
    topology::{Node, sysfs},
};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let files: Vec<&str> = text.split('\0').collect();
    let asked = Cell::new(0);
    let read = |_: &str| {
        let nth = asked.replace(asked.get() + 1).min(files.len() - 1);
        // A file that is empty is not there.
        Some(files[nth].to_owned()).filter(|text| !text.is_empty())
    };
    let allowed = CpuSet::from_words([u64::MAX; 2]);
    if let Ok(topology) = sysfs::topology(&read, &allowed) {
        assert!(topology.cpus().is_subset(&allowed));
        let in_cores: usize = topology.nodes().iter().flat_map(Node::cores).map(CpuSet::len).sum();
        assert_eq!(in_cores, topology.cpus().len());
    }
    asked.set(0);
    assert!(cgroup::quota(&read).is_none_or(|quota| quota > 0.0));
});
