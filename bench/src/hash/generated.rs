//! The code that the build script had generated.

use super::lookup::Take;

include!(concat!(env!("OUT_DIR"), "/generated.rs"));
