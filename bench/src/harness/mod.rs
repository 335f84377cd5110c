//! What the comparisons share that start processes: programs that run by themselves, in turns, and a client for
//! those of them that serve.

pub(crate) mod child;
pub(crate) mod contest;
pub(crate) mod counting;
pub(crate) mod load;
pub(crate) mod outside;
pub(crate) mod processor;
pub(crate) mod program;
