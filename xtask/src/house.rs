//! Where things are.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The checkout and the place for what is built from it.
#[derive(Debug)]
pub(crate) struct House {
    /// The folder of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Cargo's target directory.
    pub(crate) target: PathBuf,
}

impl House {
    /// The checkout this program was built from.
    pub(crate) fn here() -> House {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("the xtask package lies one folder below the root")
            .to_path_buf();
        // Cargo takes the variable relative to the folder it is started in; so do we.
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(chosen) => std::path::absolute(&chosen).unwrap_or_else(|_| chosen.into()),
            None => root.join("target"),
        };
        House { root, target }
    }

    /// What the windows target is built into: its own folder, so that the two systems share no lock and no
    /// change of flags on one side rebuilds the other.
    pub(crate) fn windows_target(&self) -> PathBuf {
        self.target.join("windows")
    }
}
