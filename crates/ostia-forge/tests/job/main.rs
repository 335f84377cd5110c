//! Whole jobs in the simulation of the runtime, on a disk in memory whose calls fail: a job ends once, and its counts add
//! up, whatever goes wrong.

mod dice;
mod plan;
mod property;
mod run;
mod two;
