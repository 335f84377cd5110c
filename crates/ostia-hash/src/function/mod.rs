//! Seeded hash functions.

pub mod family;
