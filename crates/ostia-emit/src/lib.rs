//! Perfect hash tables out: the `.ostia` file and source code in several languages. Bytes and strings; what
//! becomes of them is the caller's business.
#![forbid(unsafe_code)]

pub mod file;
pub mod lang;
pub mod umbrella;
