//! Columns of tables.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostia_forge::input::Format;

fuzz_target!(|data: &[u8]| {
    ostia_fuzz::input(Format::Csv, data);
});
