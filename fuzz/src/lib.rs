//! What the fuzz targets call.

mod probe;

pub use probe::input;
