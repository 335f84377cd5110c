//! Writes lookup code for each set and variant, as `ostia create --emit rust` would, for the program to include.

use std::{env, error::Error, fmt::Write as _, fs, path::Path};

use ostia_emit::lang::{Language, Request, emit};
use ostia_hash::{
    create::{Options, create},
    keys::KeySet,
    plan::Kind,
    search::Alone,
    table::Foreign,
};

#[path = "src/hash/sets.rs"]
#[allow(dead_code, reason = "the program uses the rest")]
mod sets;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed=OSTIA_KEYS");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/hash/sets.rs");
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS")?;
    let build = if flags.contains("target-cpu=native") { "native" } else { "generic" };
    println!("cargo::rustc-env=OSTIA_BENCH_BUILD={build}");

    let out = env::var("OUT_DIR")?;
    let mut modules = String::new();
    let mut arms = String::new();
    for set in sets::for_lookups() {
        let keys = KeySet::u32s(&set.keys)?;
        let mut takes = String::new();
        for (variant, options) in variants() {
            let created = create(&keys, None, &options, &Alone)?;
            let name = identifier(&set.name, variant);
            let request = Request {
                name: &name,
                table: &created.table,
                set: &keys,
                about: &[],
                tests: false,
                split: false,
                allow_unsafe: false,
            };
            let [module] = &emit(Language::Rust, &request)?[..] else {
                return Err("Rust comes as one module when there are no tests".into());
            };
            let path = Path::new(&out).join(&module.name);
            fs::write(&path, &module.bytes)?;
            writeln!(modules, "#[path = {path:?}]\nmod {name};")?;
            let kind = created.table.head().shape.name();
            let function = created.table.head().shape.function_name();
            let about = format!("{kind}, {function}");
            let lookup = match options.foreign {
                Foreign::Unchecked => format!("{name}::index"),
                _ => format!("|key| {name}::index(key).unwrap_or(u32::MAX)"),
            };
            let bytes = created.table.bytes();
            writeln!(takes, "            to.take({variant:?}, {about:?}, {bytes}, {lookup});")?;
        }
        writeln!(arms, "        {:?} => {{\n{takes}        }}", set.name)?;
    }
    let source = format!(
        "{modules}\n/// Hands over the generated lookups of a set.\n\
         pub(crate) fn tables(set: &str, to: &mut impl Take) {{\n    match set {{\n{arms}        _ => {{}}\n    }}\n}}\n"
    );
    fs::write(Path::new(&out).join("generated.rs"), source)?;
    Ok(())
}

/// What is asked for; each kind that keeps order beside the one that `auto` chose.
fn variants() -> [(&'static str, Options); 6] {
    let unordered = Options { ordered: false, ..Options::default() };
    let exact = Options { foreign: Foreign::Exact, ..unordered.clone() };
    let of = |kind| Options { kind, ..Options::default() };
    [
        ("unordered", unordered),
        ("ordered", Options::default()),
        ("exact", exact),
        ("ordered halves", of(Kind::Halves)),
        ("ordered displace", of(Kind::Displace)),
        ("ordered retrieval", of(Kind::Retrieval)),
    ]
}

/// A name that Rust takes.
fn identifier(set: &str, variant: &str) -> String {
    format!("{set}_{variant}").to_lowercase().replace(['-', ' '], "_")
}
