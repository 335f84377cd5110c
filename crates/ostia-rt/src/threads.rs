//! How many threads a runtime has.

use std::fmt;

use crate::runtime::Shared;

/// The threads of a runtime: what it has, and what it starts at most.
///
/// Beside them the kernel has helpers for io_uring that show among the process's threads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Threads {
    /// All of all nodes.
    pub total: usize,
    /// Of no node: the one that tells of tasks that hold their worker, if there is one.
    pub watchdogs: usize,
    /// Those of each node.
    pub per_node: Vec<NodeThreads>,
}

/// The threads of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeThreads {
    /// The node's number in the topology, as threads' names and the log have it.
    pub node: u32,
    /// The threads of workers; they run as long as the runtime does.
    pub workers: usize,
    /// How many of those run tasks at a time.
    pub concurrency: usize,
    /// The most threads for what has no asynchronous form; they start when needed.
    pub offload_max: usize,
}

impl NodeThreads {
    /// All of them.
    pub fn total(&self) -> usize {
        self.workers + self.offload_max
    }
}

impl Threads {
    pub(crate) fn of(shared: &Shared) -> Threads {
        let per_node: Vec<NodeThreads> = shared
            .nodes
            .iter()
            .map(|node| NodeThreads {
                node: node.id,
                workers: node.seats.len(),
                concurrency: node.concurrency,
                offload_max: node.port.offload_threads_max(),
            })
            .collect();
        let watchdogs = usize::from(shared.nodes.iter().any(|node| node.kennel.get().is_some()));
        Threads {
            total: watchdogs + per_node.iter().map(NodeThreads::total).sum::<usize>(),
            watchdogs,
            per_node,
        }
    }
}

impl fmt::Display for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {} threads", self.total)?;
        let mut mark = ':';
        for node in &self.per_node {
            let NodeThreads { node, workers, concurrency, offload_max } = node;
            write!(f, "{mark} node {node} {workers} workers")?;
            if concurrency < workers {
                write!(f, " of which {concurrency} run at a time")?;
            }
            write!(f, " and up to {offload_max} to offload to")?;
            mark = ';';
        }
        if self.watchdogs > 0 {
            write!(f, "; {} to watch", self.watchdogs)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_can_be_read() {
        let node = |node| NodeThreads { node, workers: 3, concurrency: 2, offload_max: 4 };
        let threads = Threads { total: 15, watchdogs: 1, per_node: vec![node(0), node(1)] };
        assert_eq!(
            threads.to_string(),
            "at most 15 threads: node 0 3 workers of which 2 run at a time and up to 4 to offload to; \
             node 1 3 workers of which 2 run at a time and up to 4 to offload to; 1 to watch"
        );
    }
}
