//! The machine's shape: NUMA nodes, their CPUs and cores, memory and distances.
//!
//! A topology is data. [`Topology::detect`] finds out the machine's; [`Topology::synthetic`] and [`Topology::new`]
//! make one up, so that a machine with one node can test what happens on two; [`sysfs`] and [`records`] read what
//! Linux and Windows say of themselves, here or recorded elsewhere.

pub mod records;
pub mod sysfs;

use std::{collections::BTreeSet, error::Error, fmt, io};

use crate::{CpuSet, cpus::MAX_CPUS, sys};

/// As many as Linux can number at most.
const MAX_NODES: u32 = 1024;

/// Nodes and what belongs to them. Every CPU is in one core of one node.
///
/// Only CPUs that the process may use are in it, and at least one is.
///
/// ```
/// use ostia_os::topology::Topology;
///
/// let two = Topology::synthetic("2x4").expect("two nodes of four cores");
/// assert_eq!(two.nodes().len(), 2);
/// assert_eq!(two.nodes()[1].cpus().to_string(), "4-7");
/// assert_eq!(two.node_of(5).map(|node| node.id()), Some(1));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    source: Source,
    nodes: Vec<Node>,
    memory_only: Vec<Node>,
}

/// Where a topology comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// It is the machine's: threads can be bound to its CPUs, memory to its nodes.
    Detected,
    /// It is made up, or was recorded elsewhere: its numbers mean nothing to this machine.
    Synthetic,
}

/// A node: CPUs that are equally near to a piece of memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    id: u32,
    cpus: CpuSet,
    cores: Vec<CpuSet>,
    memory_bytes: Option<u64>,
    memory_allowed: bool,
    distances: Vec<(u32, u32)>,
}

impl Topology {
    /// The machine's topology, as far as this process may use it.
    ///
    /// Ask before threads are bound: what is allowed is asked of the process, and some systems answer for its main
    /// thread. A machine that tells nothing of its nodes has one, with all CPUs that are allowed.
    ///
    /// # Platforms
    ///
    /// | | Linux | Windows |
    /// |---|---|---|
    /// | CPUs | all that are online and in the affinity mask of the process's main thread | all active ones of all processor groups that process and job allow |
    /// | [`Node::memory_bytes`] | what the node has in all | what the machine has, if there is one node |
    /// | [`Node::distance`] | known | not known |
    /// | [`Topology::memory_only`] | known | not known |
    ///
    /// How much CPU time a container or a job grants is another question: see [`crate::limits::cpus`].
    ///
    /// # Errors
    ///
    /// When the system's answer cannot be had or makes no sense.
    pub fn detect() -> io::Result<Topology> {
        sys::topology::detect()
    }

    /// A made-up topology from nodes.
    ///
    /// # Errors
    ///
    /// When two nodes have one number, a CPU is in two cores, a core is empty, a distance leads to a node that is
    /// not there, or there is no CPU at all.
    pub fn new(nodes: impl IntoIterator<Item = Node>) -> Result<Topology, Contradiction> {
        Topology::with_source(Source::Synthetic, nodes)
    }

    /// A made-up topology with as many nodes, cores in each, and CPUs in each core as `shape` says: `2x4` or, with
    /// hyper-threads, `2x4x2`. CPUs are numbered node by node, core by core. Another node is at distance 20.
    ///
    /// # Errors
    ///
    /// When `shape` is not two or three numbers from 1 on with `x` between, or has more than 1,024 nodes or 16,384
    /// CPUs.
    pub fn synthetic(shape: &str) -> Result<Topology, Contradiction> {
        let wrong = || Contradiction::Shape(shape.chars().take(40).collect());
        let numbers: Option<Vec<u32>> = shape.split('x').map(|n| n.parse().ok().filter(|&n| n > 0)).collect();
        let (nodes, cores, threads) = match numbers.ok_or_else(wrong)?[..] {
            [nodes, cores] => (nodes, cores, 1),
            [nodes, cores, threads] => (nodes, cores, threads),
            _ => return Err(wrong()),
        };
        let cpus = nodes.checked_mul(cores).and_then(|n| n.checked_mul(threads));
        if nodes > MAX_NODES || cpus.is_none_or(|cpus| cpus > MAX_CPUS) {
            return Err(wrong());
        }
        let first_of = |node, core| (node * cores + core) * threads;
        Topology::new((0..nodes).map(|node| {
            let core = |core| (first_of(node, core)..first_of(node, core) + threads).collect();
            let mut new = Node::new(node, (0..cores).map(core));
            // 10 and 20 are what firmware says of the node itself and of one that is next to it.
            new.distances = (0..nodes).map(|to| (to, if to == node { 10 } else { 20 })).collect();
            new
        }))
    }

    pub(crate) fn with_source(
        source: Source,
        all: impl IntoIterator<Item = Node>,
    ) -> Result<Topology, Contradiction> {
        let mut all: Vec<Node> = all.into_iter().collect();
        all.sort_by_key(|node| node.id);
        let ids: BTreeSet<u32> = all.iter().map(|node| node.id).collect();
        let mut seen = CpuSet::new();
        if let Some(pair) = all.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(Contradiction::TwoNodes(pair[0].id));
        }
        for node in &mut all {
            for core in &node.cores {
                if core.is_empty() {
                    return Err(Contradiction::EmptyCore(node.id));
                }
                for cpu in core.iter() {
                    if seen.contains(cpu) {
                        return Err(Contradiction::TwoCores(cpu));
                    }
                    seen.insert(cpu);
                }
            }
            if let Some(&(to, _)) = node.distances.iter().find(|(to, _)| !ids.contains(to)) {
                return Err(Contradiction::NoSuchNode { from: node.id, to });
            }
            node.cores.sort_by_key(|core| core.first());
        }
        if seen.is_empty() {
            return Err(Contradiction::NoCpu);
        }
        let (nodes, memory_only) = all.into_iter().partition(|node| !node.cpus.is_empty());
        Ok(Topology { source, nodes, memory_only })
    }

    /// Whether it is the machine's or made up.
    pub fn source(&self) -> Source {
        self.source
    }

    /// The nodes that have CPUs, in the order of their numbers; at least one.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Nodes that have no CPU which this process may use: memory alone.
    pub fn memory_only(&self) -> &[Node] {
        &self.memory_only
    }

    /// The node with this number, with or without CPUs.
    pub fn node(&self, id: u32) -> Option<&Node> {
        self.nodes.iter().chain(&self.memory_only).find(|node| node.id == id)
    }

    /// The node that a CPU belongs to.
    pub fn node_of(&self, cpu: u32) -> Option<&Node> {
        self.nodes.iter().find(|node| node.cpus.contains(cpu))
    }

    /// All CPUs.
    pub fn cpus(&self) -> CpuSet {
        self.nodes.iter().fold(CpuSet::new(), |all, node| all.union(&node.cpus))
    }

    /// This topology as one that may use only some of its CPUs. A node that loses all of them has memory alone.
    ///
    /// # Errors
    ///
    /// When no CPU is left.
    pub fn restricted(&self, allowed: &CpuSet) -> Result<Topology, Contradiction> {
        let nodes = self.nodes.iter().chain(&self.memory_only).cloned().map(|mut node| {
            node.cpus = node.cpus.intersection(allowed);
            node.cores =
                node.cores.iter().map(|core| core.intersection(allowed)).filter(|c| !c.is_empty()).collect();
            node
        });
        Topology::with_source(self.source, nodes)
    }
}

impl Node {
    /// A node with these cores: each is the set of CPUs (hyper-threads) that share one.
    pub fn new(id: u32, cores: impl IntoIterator<Item = CpuSet>) -> Node {
        let cores: Vec<CpuSet> = cores.into_iter().collect();
        let cpus = cores.iter().flat_map(CpuSet::iter).collect();
        Node { id, cpus, cores, memory_bytes: None, memory_allowed: true, distances: Vec::new() }
    }

    /// The same node with that much memory.
    pub fn with_memory(self, bytes: u64) -> Node {
        Node { memory_bytes: Some(bytes), ..self }
    }

    /// The same node, whose memory this process may or may not use.
    pub fn with_memory_allowed(self, allowed: bool) -> Node {
        Node { memory_allowed: allowed, ..self }
    }

    /// The same node at that distance from another, or from itself.
    pub fn with_distance(mut self, to: u32, distance: u32) -> Node {
        self.distances.retain(|&(known, _)| known != to);
        self.distances.push((to, distance));
        self
    }

    /// The system's number of the node. There may be gaps between the numbers.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The node's CPUs.
    pub fn cpus(&self) -> &CpuSet {
        &self.cpus
    }

    /// The CPUs of each core: more than one where there are hyper-threads.
    pub fn cores(&self) -> &[CpuSet] {
        &self.cores
    }

    /// How much memory the node has, where that is known; 0 for a node of CPUs alone.
    pub fn memory_bytes(&self) -> Option<u64> {
        self.memory_bytes
    }

    /// False when the process is kept from the node's memory (Linux: `cpuset.mems`).
    pub fn memory_allowed(&self) -> bool {
        self.memory_allowed
    }

    /// How far another node's memory is, where that is known: 10 is the node's own, 20 is twice as slow.
    pub fn distance(&self, to: u32) -> Option<u32> {
        self.distances.iter().find(|&&(known, _)| known == to).map(|&(_, distance)| distance)
    }
}

/// A line for each node.
impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = "";
        for node in self.nodes.iter().chain(&self.memory_only) {
            write!(f, "{line}{node}")?;
            line = "\n";
        }
        Ok(())
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}: ", self.id)?;
        match self.cpus.len() {
            0 => write!(f, "no CPU")?,
            cpus => write!(f, "CPUs {} ({cpus} on {} cores)", self.cpus, self.cores.len())?,
        }
        if let Some(bytes) = self.memory_bytes {
            write!(f, ", {} MiB", bytes >> 20)?;
        }
        if !self.memory_allowed {
            write!(f, ", memory not allowed")?;
        }
        let far = self.distances.iter().filter(|&&(to, _)| to != self.id);
        for (at, (to, distance)) in far.enumerate() {
            write!(f, "{}{distance} to {to}", if at == 0 { ", distance " } else { ", " })?;
        }
        Ok(())
    }
}

/// Deals CPUs out to the nodes that claim them: each counts once, whatever the system says, and what no node claims is
/// the first one's. There is at least one.
fn deal_out(mut usable: CpuSet, mut claims: Vec<(u32, CpuSet)>) -> Vec<(u32, CpuSet)> {
    if claims.is_empty() {
        claims.push((0, CpuSet::new()));
    }
    for (_, cpus) in &mut claims {
        *cpus = cpus.intersection(&usable);
        usable = usable.difference(cpus);
    }
    claims[0].1 = claims[0].1.union(&usable);
    claims
}

/// Nodes that make no topology.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Contradiction {
    /// Two nodes have this number.
    TwoNodes(u32),
    /// This CPU is in two cores.
    TwoCores(u32),
    /// This node has a core without a CPU.
    EmptyCore(u32),
    /// A distance is given to a node that is not there.
    NoSuchNode {
        /// The node that has the distance.
        from: u32,
        /// The node that is not there.
        to: u32,
    },
    /// No node has a CPU.
    NoCpu,
    /// This is no shape.
    Shape(String),
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Contradiction::TwoNodes(id) => write!(f, "two nodes have the number {id}"),
            Contradiction::TwoCores(cpu) => write!(f, "CPU {cpu} is in two cores"),
            Contradiction::EmptyCore(id) => write!(f, "a core of node {id} has no CPU"),
            Contradiction::NoSuchNode { from, to } => {
                write!(f, "node {from} has a distance to node {to}, which is not there")
            }
            Contradiction::NoCpu => write!(f, "no node has a CPU that may be used"),
            Contradiction::Shape(shape) => write!(
                f,
                "`{shape}` is no shape: it looks like 2x4 (nodes, cores of each) or 2x4x2 (CPUs of each core), and \
                 has at most {MAX_NODES} nodes and {MAX_CPUS} CPUs"
            ),
        }
    }
}

impl Error for Contradiction {}

/// A system's description of itself that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    what: String,
    why: String,
}

impl Unreadable {
    pub(crate) fn new(what: impl Into<String>, why: impl fmt::Display) -> Unreadable {
        Unreadable { what: what.into(), why: why.to_string() }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the topology cannot be read: {}: {}", self.what, self.why)
    }
}

impl Error for Unreadable {}

impl From<Unreadable> for io::Error {
    fn from(why: Unreadable) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_gives_nodes_cores_and_siblings() {
        let topology = Topology::synthetic("2x4x2").unwrap();
        assert_eq!(topology.source(), Source::Synthetic);
        assert_eq!(
            topology.to_string(),
            "node 0: CPUs 0-7 (8 on 4 cores), distance 20 to 1\nnode 1: CPUs 8-15 (8 on 4 cores), distance 20 to 0"
        );
        assert_eq!(topology.nodes()[1].cores()[3].to_string(), "14-15");
        assert_eq!(topology.nodes()[1].distance(1), Some(10));
        assert_eq!(topology.node_of(16), None);
    }

    #[test]
    fn what_is_no_shape_is_refused_with_an_example() {
        for wrong in
            ["", "2", "0x4", "2x", "x", "2x4x2x1", "-1x2", "2000x2", "2x8193", "65536x65536x65536", "2 x 4"]
        {
            let why = Topology::synthetic(wrong).expect_err(wrong);
            assert!(why.to_string().contains("looks like 2x4"), "{wrong}: {why}");
        }
        assert_eq!(Topology::synthetic("1024x16").unwrap().cpus().len(), 16_384);
    }

    #[test]
    fn nodes_that_contradict_each_other_are_refused() {
        let core = |cpus: &str| cpus.parse::<CpuSet>().unwrap();
        let check = |nodes: Vec<Node>, why| assert_eq!(Topology::new(nodes), Err(why));
        check(vec![], Contradiction::NoCpu);
        check(vec![Node::new(0, [])], Contradiction::NoCpu);
        check(vec![Node::new(3, [core("0")]), Node::new(3, [core("1")])], Contradiction::TwoNodes(3));
        check(vec![Node::new(0, [core("0-1"), core("1-2")])], Contradiction::TwoCores(1));
        check(vec![Node::new(0, [core("5")]), Node::new(1, [core("5")])], Contradiction::TwoCores(5));
        check(vec![Node::new(0, [core("0"), core("")])], Contradiction::EmptyCore(0));
        check(
            vec![Node::new(0, [core("0")]).with_distance(7, 20)],
            Contradiction::NoSuchNode { from: 0, to: 7 },
        );
    }

    #[test]
    fn a_restriction_takes_cpus_and_empty_nodes_away() {
        let topology = Topology::synthetic("3x2x2").unwrap();
        let less = topology.restricted(&"0,8-9".parse().unwrap()).unwrap();
        assert_eq!(less.nodes().iter().map(Node::id).collect::<Vec<_>>(), [0, 2]);
        assert_eq!(less.memory_only().iter().map(Node::id).collect::<Vec<_>>(), [1]);
        assert_eq!(less.nodes()[0].cores(), [CpuSet::from_words([1])]);
        assert_eq!(less.node(1).unwrap().to_string(), "node 1: no CPU, distance 20 to 0, 20 to 2");
        assert_eq!(less.cpus().to_string(), "0,8-9");
        assert_eq!(topology.restricted(&"99".parse().unwrap()), Err(Contradiction::NoCpu));
    }
}
