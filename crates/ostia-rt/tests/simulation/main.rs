//! The whole runtime in the simulation: that a run is what its seed says, and that the promises hold whatever the seed.

mod dice;
mod files;
mod ledger;
mod lost;
mod program;
mod property;
mod world;
