//! Makes a table of some ports, and stores its code where `src/lib.rs` includes it from.

use ostia_emit::lang::{Language, Request, emit};
use ostia_hash::{
    create::{Options, create},
    keys::KeySet,
    search::Alone,
    table::Foreign,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let set = KeySet::u32s(&[22, 25, 53, 80, 110, 143, 443, 993, 3306, 5432, 8080])?;
    let options = Options { foreign: Foreign::Exact, ..Options::default() };
    let table = create(&set, None, &options, &Alone)?.table;
    for file in emit(Language::Rust, &Request::new("ports", &table, &set))? {
        std::fs::write(std::path::Path::new(&std::env::var("OUT_DIR")?).join(file.name), file.bytes)?;
    }
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}
