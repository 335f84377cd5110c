//! Debian's compiler, for machines where rustup cannot fetch the standard library for Windows.
//!
//! The library is built once from Debian's sources and copied into that compiler's own folder. After that the
//! target is as if installed: no nightly flag, and tests, documentation tests and clippy work as usual.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use super::TARGET;
use crate::{
    command::{keys_for, run as run_command},
    house::House,
};

const CARGO: &str = "/usr/bin/cargo";
const RUSTC: &str = "/usr/bin/rustc";
const RUSTDOC: &str = "/usr/bin/rustdoc";
/// Where that compiler looks for the libraries of all targets; the sources lie there too.
const RUSTLIB: &str = "/usr/lib/rustlib";
const PACKAGES: &str = "apt-get install rustc-web cargo-web rust-web-src rust-web-clippy";

/// A program of Debian's toolchain, in the root of the checkout.
pub(super) fn command(house: &House, program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(&house.root);
    keys_for(&mut command);
    command.env("RUSTC", RUSTC).env("RUSTDOC", RUSTDOC).env("CARGO", CARGO);
    // Of the toolchain that runs this program nothing must shine through: not its libraries either.
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("LD_LIBRARY_PATH");
    command
}

/// Cargo itself.
pub(super) fn cargo(house: &House) -> Command {
    command(house, CARGO)
}

/// Clippy, called by its own name: `cargo clippy` would take the driver of another toolchain from the user's
/// folder.
pub(super) fn clippy(house: &House) -> Command {
    command(house, "/usr/bin/cargo-clippy")
}

/// Sees to it that Debian's compiler can build for Windows. An error says what is missing.
pub(super) fn prepare(house: &House) -> Result<(), String> {
    let installed =
        [CARGO, RUSTC, "/usr/bin/cargo-clippy"].iter().all(|program| Path::new(program).is_file());
    if !(installed && Path::new(RUSTLIB).join("src/rust/library").is_dir()) {
        return Err(format!(
            "rustup cannot supply {TARGET}, and Debian's compiler is not installed: {PACKAGES}"
        ));
    }
    let libraries = Path::new(RUSTLIB).join(TARGET).join("lib");
    let done = libraries.join(".complete");
    if done.exists() {
        return Ok(());
    }
    let built = build(house)?;
    copy(&built, &libraries)
        .and_then(|()| fs::write(&done, ""))
        .map_err(|error| format!("cannot copy the standard library to {}: {error}", libraries.display()))
}

/// Builds the standard library, as a by-product of an empty crate. Returns the folder that has the parts.
fn build(house: &House) -> Result<PathBuf, String> {
    let folder = house.windows_target().join("std");
    let target = folder.join("target");
    let manifest = "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[workspace]\n";
    fs::create_dir_all(folder.join("src"))
        .and_then(|()| fs::write(folder.join("src/lib.rs"), ""))
        .and_then(|()| fs::write(folder.join("Cargo.toml"), manifest))
        .map_err(|error| format!("cannot write to {}: {error}", folder.display()))?;
    let mut cargo = cargo(house);
    cargo.current_dir(&folder).args(["build", "--quiet", "--release", "--target", TARGET]);
    // Both ways to panic, so that either works for what is built with it.
    cargo.arg("-Zbuild-std=std,panic_abort,panic_unwind,test,proc_macro");
    cargo.env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_DIR", &target);
    run_command(&mut cargo)?;
    Ok(target.join(TARGET).join("release/deps"))
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for file in fs::read_dir(from)? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        if name.starts_with("lib") && name.ends_with(".rlib") && !name.starts_with("libempty-") {
            fs::copy(file.path(), to.join(name))?;
        }
    }
    Ok(())
}
