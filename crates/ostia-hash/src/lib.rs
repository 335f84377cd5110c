//! Perfect hash tables: keys in memory, hash functions, graphs, search, tables, lookup.
//!
//! Pure: no file, no thread of its own (but for the scoped ones of a search under feature `std`), no clock.
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(unsafe_code)]

extern crate alloc;

pub mod best;
pub mod bytes;
pub mod coverage;
pub mod create;
pub mod function;
pub mod graph;
pub mod keys;
pub mod kind;
pub mod lane;
mod math;
pub mod philox;
pub mod plan;
pub mod search;
pub mod simd;
pub mod squeeze;
pub mod table;
