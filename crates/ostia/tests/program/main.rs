//! The program from outside: what it prints, what it writes, and how it ends.
//!
//! One binary for all subjects, as each would link the same; a subject is a file.

mod bulk;
mod create;
mod errors;
mod file_format;
mod help;
mod interrupt;
mod many;
mod results;
mod resume;
mod same_bytes;
mod support;
mod table_commands;
