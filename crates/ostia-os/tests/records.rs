//! Topologies read from Windows' processor records: machines we do not have, put together by hand.

use ostia_os::{
    CpuSet,
    topology::{Node, records},
};
use proptest::prelude::*;

/// A mask of a processor group.
type Mask = (u16, u64);

/// `SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX`: kind, size, content.
fn record(kind: u32, content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(content.len() + 8).unwrap();
    [&kind.to_le_bytes()[..], &size.to_le_bytes(), content].concat()
}

/// `GROUP_AFFINITY`
fn affinities(masks: &[Mask]) -> Vec<u8> {
    let one = |&(group, mask): &Mask| [&mask.to_le_bytes()[..], &group.to_le_bytes(), &[0; 6]].concat();
    masks.iter().flat_map(one).collect()
}

/// Kinds 0 (core) and 3 (package): `PROCESSOR_RELATIONSHIP`
fn core(masks: &[Mask]) -> Vec<u8> {
    let count = u16::try_from(masks.len()).unwrap();
    record(0, &[&[1, 0][..], &[0; 20], &count.to_le_bytes(), &affinities(masks)].concat())
}

/// Kind 1: `NUMA_NODE_RELATIONSHIP`. `count` is 0 in the layout before build 20348.
fn node(number: u32, count: u16, masks: &[Mask]) -> Vec<u8> {
    record(1, &[&number.to_le_bytes()[..], &[0; 18], &count.to_le_bytes(), &affinities(masks)].concat())
}

/// Kind 4: `GROUP_RELATIONSHIP`
fn groups(active: &[u64]) -> Vec<u8> {
    let count = u16::try_from(active.len()).unwrap().to_le_bytes();
    let info = |mask: &u64| [&[64, mask.count_ones() as u8][..], &[0; 38], &mask.to_le_bytes()].concat();
    record(4, &[&count[..], &count, &[0; 20], &active.iter().flat_map(info).collect::<Vec<_>>()].concat())
}

fn set(list: &str) -> CpuSet {
    list.parse().unwrap()
}

fn all() -> CpuSet {
    set("0-4095")
}

fn shape(records: &[Vec<u8>], allowed: &CpuSet) -> String {
    match records::topology(&records.concat(), allowed) {
        Ok(topology) => topology.to_string(),
        Err(why) => why.to_string(),
    }
}

#[test]
fn a_machine_of_one_node_is_read() {
    let records = [groups(&[0b1111]), core(&[(0, 0b0011)]), core(&[(0, 0b1100)]), node(0, 0, &[(0, 0b1111)])];
    assert_eq!(shape(&records, &all()), "node 0: CPUs 0-3 (4 on 2 cores)");
    assert_eq!(records::active(&records.concat()), Ok(set("0-3")));
}

#[test]
fn a_node_that_spans_groups_is_read_whole() {
    // 128 CPUs in one node: since build 20348 one record with two masks.
    let new = [groups(&[u64::MAX; 2]), node(0, 2, &[(0, u64::MAX), (1, u64::MAX)])];
    assert_eq!(shape(&new, &all()), "node 0: CPUs 0-127 (128 on 128 cores)");
    // Before it, one record for each group, with the number of the node or one made up by the system.
    let old = [groups(&[u64::MAX; 2]), node(0, 0, &[(0, u64::MAX)]), node(0, 0, &[(1, u64::MAX)])];
    assert_eq!(shape(&old, &all()), "node 0: CPUs 0-127 (128 on 128 cores)");
    let split = [groups(&[u64::MAX; 2]), node(0, 0, &[(0, u64::MAX)]), node(1, 0, &[(1, u64::MAX)])];
    assert_eq!(
        shape(&split, &all()),
        "node 0: CPUs 0-63 (64 on 64 cores)\nnode 1: CPUs 64-127 (64 on 64 cores)"
    );
    // The first group alone, as the plain question tells it since: what is left belongs to the first node.
    let first = [groups(&[u64::MAX; 2]), node(0, 1, &[(0, u64::MAX)])];
    assert_eq!(shape(&first, &all()), "node 0: CPUs 0-127 (128 on 128 cores)");
}

#[test]
fn two_nodes_of_96_cpus_in_three_groups_are_read() {
    let half = u64::MAX >> 32;
    let records = [
        groups(&[u64::MAX; 3]),
        node(0, 2, &[(0, u64::MAX), (1, half)]),
        node(1, 2, &[(1, !half), (2, u64::MAX)]),
        core(&[(1, 0b11 << 31)]),
    ];
    let topology = records::topology(&records.concat(), &all()).unwrap();
    assert_eq!(topology.nodes()[0].cpus(), &set("0-95"));
    assert_eq!(topology.nodes()[1].cpus(), &set("96-191"));
    // A core that is said to be in two nodes is one in each: no CPU is in two cores.
    assert_eq!(topology.nodes()[0].cores().len(), 96);
}

#[test]
fn groups_with_holes_keep_their_numbers() {
    let records = [groups(&[0b101, 0b10]), node(0, 0, &[(0, 0b101)]), node(3, 0, &[(1, 0b10)])];
    let topology = records::topology(&records.concat(), &all()).unwrap();
    assert_eq!(topology.cpus(), set("0,2,65"));
    assert_eq!(topology.node_of(65).map(Node::id), Some(3));
}

#[test]
fn only_allowed_cpus_are_taken() {
    let records = [groups(&[0b1111]), node(0, 1, &[(0, 0b0011)]), node(1, 1, &[(0, 0b1100)])];
    assert_eq!(shape(&records, &set("1")), "node 0: CPUs 1 (1 on 1 cores)\nnode 1: no CPU");
    assert_eq!(
        shape(&records, &set("9")),
        "the topology cannot be read: processor records: no node has a CPU that may be used"
    );
}

#[test]
fn records_that_are_missing_or_of_other_kinds_do_no_harm() {
    let cache = record(2, &[7; 44]);
    let unknown = record(99, &[]);
    let package = record(3, &[0xff; 3]);
    assert_eq!(
        shape(&[cache, core(&[(0, 0b11)]), unknown, package], &all()),
        "node 0: CPUs 0-1 (2 on 1 cores)"
    );
    assert!(shape(&[], &all()).contains("no node has a CPU"));
}

#[test]
fn sizes_that_lie_are_refused_with_their_place() {
    let good = core(&[(0, 1)]);
    let check = |bad: Vec<u8>, expected: &str| {
        let why = records::topology(&[good.clone(), bad].concat(), &all()).unwrap_err().to_string();
        assert!(why.contains("the processor record at byte 48: "), "{why}");
        assert!(why.contains(expected), "{why}");
    };
    check(vec![1, 0, 0], "ends within its head");
    check([[0; 4], [0; 4]].concat(), "has 0 bytes, fewer than its head");
    check([[0, 0, 0, 0], [7, 0, 0, 0]].concat(), "has 7 bytes, fewer than its head");
    check([[0, 0, 0, 0], [255, 255, 255, 255]].concat(), "has 4294967295 bytes, and 8 follow");
    check(record(0, &[0; 10]), "fewer bytes than what it says to contain");
    check(node(0, 2, &[(0, 1)]), "fewer bytes than what it says to contain");
    check(node(0, u16::MAX, &[(0, 1)]), "fewer bytes than what it says to contain");
    check(groups(&[1])[..40].to_vec(), "has 80 bytes, and 40 follow");
    // A group that no Windows numbers would cost memory.
    check(node(0, 1, &[(u16::MAX, 1)]), "fewer bytes than what it says to contain");
    let mut many = groups(&[1]);
    many[10..12].copy_from_slice(&9u16.to_le_bytes());
    check(many, "fewer bytes than what it says to contain");
}

fn any_record() -> impl Strategy<Value = Vec<u8>> {
    let mask = || (0u16..3, any::<u64>());
    prop_oneof![
        proptest::collection::vec(mask(), 0..3).prop_map(|masks| core(&masks)),
        (0u32..4, 0u16..3, proptest::collection::vec(mask(), 0..3))
            .prop_map(|(id, n, masks)| node(id, n, &masks)),
        proptest::collection::vec(any::<u64>(), 0..3).prop_map(|active| groups(&active)),
        (0u32..9, proptest::collection::vec(any::<u8>(), 0..60))
            .prop_map(|(kind, bytes)| record(kind, &bytes)),
    ]
}

proptest! {
    #[test]
    fn any_records_give_a_topology_of_active_cpus_or_a_reason(
        list in proptest::collection::vec(any_record(), 0..8),
        change in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
        cut in any::<prop::sample::Index>(),
        shorten: bool,
    ) {
        let mut bytes = list.concat();
        if let Some((at, byte)) = change && !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if shorten && !bytes.is_empty() {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(topology) = records::topology(&bytes, &all()) {
            prop_assert_eq!(topology.cpus(), records::active(&bytes).unwrap().intersection(&all()));
            let in_cores: usize = topology.nodes().iter().flat_map(Node::cores).map(CpuSet::len).sum();
            prop_assert_eq!(in_cores, topology.cpus().len());
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
        let _ = records::topology(&bytes, &all());
    }
}
