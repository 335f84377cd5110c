//! The kinds of table, each as a problem that numbered attempts solve.

pub mod chm;
pub mod contracted;
pub mod displace;
pub mod halves;
pub mod retrieval;
