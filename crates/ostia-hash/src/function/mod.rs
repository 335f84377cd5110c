//! Seeded hash functions.

pub mod classic;
pub mod crc;
pub mod family;
