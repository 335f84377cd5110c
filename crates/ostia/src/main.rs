//! The program: arguments, progress, exit codes. Nothing else.
#![forbid(unsafe_code)]
fn main() {}
