//! Programs from the registry: those of the user, or else our own copies under the target directory.

use std::path::PathBuf;

use crate::{
    command::{cargo, exists, run as run_command},
    house::House,
};

/// A program that cargo can install.
pub(crate) struct Tool {
    /// Its name, and the name of its package.
    pub(crate) name: &'static str,
    /// The version that is installed where there is none.
    version: &'static str,
    /// What is left out or put in.
    features: &'static [&'static str],
}

/// Looks at dependencies. Its default features are for its own updates of advisories, which are not asked for.
pub(crate) const DENY: Tool =
    Tool { name: "cargo-deny", version: "0.20.2", features: &["--no-default-features"] };

/// Builds and runs fuzz targets.
pub(crate) const FUZZ: Tool = Tool { name: "cargo-fuzz", version: "0.13.2", features: &[] };

/// The folder for our own copies.
pub(crate) fn folder(house: &House) -> PathBuf {
    house.target.join("tools/bin")
}

impl Tool {
    /// Where the program is. Installs it if need be, without optimisation: a minute of work, once.
    pub(crate) fn find(&self, house: &House) -> Result<PathBuf, String> {
        if exists(self.name) {
            return Ok(self.name.into());
        }
        let program = folder(house).join(format!("{}{}", self.name, std::env::consts::EXE_SUFFIX));
        if program.is_file() {
            return Ok(program);
        }
        let (root, build) = (house.target.join("tools"), house.target.join("tools/build"));
        let mut install = cargo(house);
        install.args(["install", "--quiet", "--locked", "--version", self.version]).args(self.features);
        install.arg(self.name).arg("--root").arg(root).env("CARGO_TARGET_DIR", &build);
        install.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0").env("CARGO_PROFILE_RELEASE_LTO", "off");
        let installed = run_command(&mut install);
        // Only the program is wanted; what it was built from is ten times its size. If it stays, it stays.
        _ = std::fs::remove_dir_all(build);
        installed.map(|()| program).map_err(|why| format!("{} cannot be installed: {why}", self.name))
    }
}
