//! Topologies read from what Linux writes: machines we do not have, put together by hand.

use std::collections::BTreeMap;

use ostia_os::{
    CpuSet,
    topology::{Node, Topology, Unreadable, sysfs},
};
use proptest::prelude::*;

/// The files of a machine.
#[derive(Default)]
struct Machine(BTreeMap<String, String>);

impl Machine {
    fn with(mut self, path: &str, text: impl Into<String>) -> Machine {
        self.0.insert(path.to_owned(), text.into());
        self
    }

    fn online(self, cpus: &str, nodes: &str) -> Machine {
        self.with("/sys/devices/system/cpu/online", format!("{cpus}\n"))
            .with("/sys/devices/system/node/online", format!("{nodes}\n"))
    }

    fn node(self, id: u32, cpus: &str, mib: u64, distance: &str) -> Machine {
        let folder = format!("/sys/devices/system/node/node{id}");
        let meminfo = format!(
            "Node {id} MemTotal:       {} kB\nNode {id} MemFree:        {} kB\n",
            mib * 1024,
            mib * 512
        );
        self.with(&format!("{folder}/cpulist"), format!("{cpus}\n"))
            .with(&format!("{folder}/meminfo"), meminfo)
            .with(&format!("{folder}/distance"), format!("{distance}\n"))
    }

    fn siblings(mut self, name: &str, cores: &[&str]) -> Machine {
        for core in cores {
            for cpu in set(core).iter() {
                let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/{name}");
                self = self.with(&path, format!("{core}\n"));
            }
        }
        self
    }

    fn read(&self, allowed: &str) -> Result<Topology, Unreadable> {
        sysfs::topology(&|path| self.0.get(path).cloned(), &set(allowed))
    }
}

fn set(list: &str) -> CpuSet {
    list.parse().unwrap()
}

#[test]
fn a_machine_of_one_node_is_read() {
    let machine = Machine::default().online("0-1", "0").node(0, "0-1", 24_105, "10");
    let topology = machine.read("0-1").unwrap();
    assert_eq!(topology.to_string(), "node 0: CPUs 0-1 (2 on 2 cores), 24105 MiB");
}

#[test]
fn hyper_threads_share_a_core_by_either_name() {
    for name in ["core_cpus_list", "thread_siblings_list"] {
        let machine = Machine::default()
            .online("0-7", "0-1")
            .node(0, "0-1,4-5", 1024, "10 21")
            .node(1, "2-3,6-7", 2048, "21 10")
            .siblings(name, &["0,4", "1,5", "2,6", "3,7"]);
        let topology = machine.read("0-7").unwrap();
        assert_eq!(topology.nodes()[0].cores(), [set("0,4"), set("1,5")]);
        assert_eq!(topology.nodes()[1].cores(), [set("2,6"), set("3,7")]);
        assert_eq!(topology.nodes()[1].distance(0), Some(21));
        assert_eq!(topology.nodes()[1].memory_bytes(), Some(2048 << 20));
    }
}

#[test]
fn two_nodes_of_64_cpus_are_read() {
    let machine = Machine::default().online("0-127", "0-1").node(0, "0-31,64-95", 128 << 10, "10 32").node(
        1,
        "32-63,96-127",
        128 << 10,
        "32 10",
    );
    let topology = machine.read("0-127").unwrap();
    assert_eq!(topology.nodes().iter().map(|node| node.cpus().len()).collect::<Vec<_>>(), [64, 64]);
    assert_eq!(topology.node_of(127).map(Node::id), Some(1));
    assert_eq!(topology.cpus(), set("0-127"));
}

#[test]
fn more_than_1024_cpus_are_read() {
    let machine = Machine::default().online("0-2047", "0-1").node(0, "0-1023", 1, "10 20").node(
        1,
        "1024-2047",
        1,
        "20 10",
    );
    assert_eq!(machine.read("1000-1100").unwrap().nodes()[1].cpus(), &set("1024-1100"));
}

#[test]
fn there_may_be_holes_between_the_numbers_of_nodes() {
    // Columns of distances belong to the nodes that are there, not to numbers.
    let machine =
        Machine::default().online("0-3", "0,8").node(0, "0-1", 512, "10 40").node(8, "2-3", 512, "40 10");
    let topology = machine.read("0-3").unwrap();
    assert_eq!(topology.nodes().iter().map(Node::id).collect::<Vec<_>>(), [0, 8]);
    assert_eq!(topology.node(0).unwrap().distance(8), Some(40));
    assert_eq!(topology.node(0).unwrap().distance(1), None);
}

#[test]
fn cpus_that_are_off_or_not_allowed_are_left_out() {
    let machine = Machine::default()
        .online("0-2,4", "0-1")
        .node(0, "0-1", 512, "10 20")
        .node(1, "2,4", 512, "20 10")
        .siblings("core_cpus_list", &["0-1", "2", "4"]);
    // CPU 3 is off; the container has 1, 3 and 4, and a thread of a core whose sibling it does not have.
    let topology = machine.read("1,3-4").unwrap();
    assert_eq!(topology.cpus(), set("1,4"));
    assert_eq!(topology.nodes()[0].cores(), [set("1")]);
}

#[test]
fn nodes_without_cpus_or_without_memory_are_told_apart() {
    let machine = Machine::default()
        .online("0-3", "0-2")
        .node(0, "0-1", 4096, "10 20 17")
        .node(1, "2-3", 0, "20 10 28")
        .node(2, "", 65_536, "17 28 10");
    let topology = machine.read("0-3").unwrap();
    assert_eq!(topology.nodes().iter().map(Node::id).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(topology.nodes()[1].memory_bytes(), Some(0));
    assert_eq!(topology.memory_only()[0].to_string(), "node 2: no CPU, 65536 MiB, distance 17 to 0, 28 to 1");
    assert_eq!(topology.nodes()[0].distance(2), Some(17));
}

#[test]
fn nodes_whose_memory_is_not_allowed_say_so() {
    let machine = Machine::default()
        .online("0-3", "0-1")
        .node(0, "0-1", 512, "10 20")
        .node(1, "2-3", 512, "20 10")
        .with("/proc/self/status", "Name:\tostia\nMems_allowed:\t00000000,00000002\nMems_allowed_list:\t1\n");
    let topology = machine.read("0-3").unwrap();
    assert_eq!(topology.nodes().iter().map(Node::memory_allowed).collect::<Vec<_>>(), [false, true]);
    assert!(topology.to_string().starts_with("node 0: CPUs 0-1 (2 on 2 cores), 512 MiB, memory not allowed"));
}

#[test]
fn without_any_file_there_is_one_node_with_what_is_allowed() {
    let topology = Machine::default().read("2-3").unwrap();
    assert_eq!(topology.to_string(), "node 0: CPUs 2-3 (2 on 2 cores)");
}

#[test]
fn a_cpu_that_no_node_claims_is_not_lost() {
    let machine =
        Machine::default().online("0-3", "1-2").node(1, "0", 512, "10 20").node(2, "1-2", 512, "20 10");
    let topology = machine.read("0-3").unwrap();
    assert_eq!(topology.node_of(3).map(Node::id), Some(1));
}

#[test]
fn a_list_that_makes_no_sense_is_named() {
    let machine = Machine::default().online("0-1", "0").node(0, "0-x", 512, "10");
    let why = machine.read("0-1").unwrap_err().to_string();
    assert!(why.contains("/sys/devices/system/node/node0/cpulist: `0-x` is no CPU"), "{why}");
    let none_left = Machine::default().online("0-1", "0").node(0, "0-1", 512, "10").read("7").unwrap_err();
    assert!(none_left.to_string().contains("no node has a CPU"), "{none_left}");
}

#[test]
fn what_only_helps_is_left_out_when_it_makes_no_sense() {
    let machine = Machine::default()
        .online("0-1", "0-1")
        .node(0, "0", 512, "10")
        .node(1, "1", 512, "twenty 10")
        .with("/sys/devices/system/node/node0/meminfo", "Node 0 MemTotal: many kB\n")
        .with("/sys/devices/system/cpu/cpu0/topology/core_cpus_list", "zero\n");
    let topology = machine.read("0-1").unwrap();
    assert_eq!(topology.to_string(), "node 0: CPUs 0 (1 on 1 cores)\nnode 1: CPUs 1 (1 on 1 cores), 512 MiB");
}

proptest! {
    #[test]
    fn whatever_the_files_say_each_allowed_cpu_is_in_one_core_of_one_node(
        lists in proptest::collection::vec("[0-9]{1,2}(-[0-9]{1,2})?(,[0-9]{1,2})?|", 12),
        other in "[ -~\n]{0,30}",
    ) {
        let mut machine = Machine::default()
            .with("/sys/devices/system/node/online", "0-3\n")
            .with("/sys/devices/system/node/node2/meminfo", other.clone())
            .with("/sys/devices/system/node/node2/distance", other.clone())
            .with("/proc/self/status", other);
        for (at, list) in lists.iter().enumerate() {
            machine = match at {
                0..4 => machine.with(&format!("/sys/devices/system/node/node{at}/cpulist"), list),
                _ => machine.with(&format!("/sys/devices/system/cpu/cpu{at}/topology/core_cpus_list"), list),
            };
        }
        if let Ok(topology) = machine.read("0-15") {
            prop_assert_eq!(topology.cpus(), set("0-15"));
            let in_cores: usize =
                topology.nodes().iter().flat_map(Node::cores).map(CpuSet::len).sum();
            prop_assert_eq!(in_cores, 16);
        } else {
            // Only a range that runs backwards makes no list here.
            let backwards = |list: &String| list.parse::<CpuSet>().is_err();
            prop_assert!(lists.iter().any(backwards));
        }
    }
}
