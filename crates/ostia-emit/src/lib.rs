//! Perfect hash tables out: the `.ostia` file and source code in several languages. Bytes and strings; what
//! becomes of them is the caller's business.
//!
//! # In a build script
//!
//! This is all of a `build.rs`; the crate then has
//! `mod ports { include!(concat!(env!("OUT_DIR"), "/ports.rs")); }` and asks `ports::index(443)`.
//!
//! ```no_run
#![doc = include_str!("../examples/build-script/build.rs")]
//! ```
#![forbid(unsafe_code)]

pub mod file;
pub mod lang;
pub mod umbrella;
