//! Random graphs: an edge for each key.

mod assign;
pub mod contract;
