//! A Wine of this checkout's own: its folder, its server, and what its processes get to see.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::LINKER;
use crate::{
    command::{run as run_command, run_quietly},
    house::House,
};

/// A test program that takes longer is stuck, and ended.
const TIMEOUT_SECONDS: &str = "300";

/// A running Wine server; dropping it ends it and all its processes, and no other Wine's.
pub(super) struct Server {
    prefix: PathBuf,
}

/// Makes the prefix if there is none, and starts its server.
pub(super) fn start(house: &House) -> Result<Server, String> {
    let server = Server { prefix: house.windows_target().join("wine") };
    server.make_prefix()?;
    server.make_shim(house)?;
    // The first process of a prefix starts the server and the services; they live on and keep whatever
    // descriptors they inherit. Started like this they hold none of ours, and a pipe on the tests' output
    // closes when the tests are done. `-p` keeps the server from leaving between two test programs. Its exit
    // code is not asked for: it is not zero when a server of this prefix runs already.
    run_quietly(server.command("wineserver").arg("-p"));
    if !run_quietly(server.command("timeout").args(["60", "wine", "cmd", "/c", "exit"])) {
        return Err(format!("Wine does not start; remove {} and try again", server.prefix.display()));
    }
    Ok(server)
}

impl Server {
    /// Makes cargo run what it built for Windows in this Wine.
    pub(super) fn run_tests_in(&self, cargo: &mut Command) {
        self.environment(cargo);
        // `-k`: about one process in fifty hangs at exit when a thread is still finishing, deaf to a polite end.
        cargo
            .env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER", format!("timeout -k 5 {TIMEOUT_SECONDS} wine"));
    }

    fn make_prefix(&self) -> Result<(), String> {
        if self.prefix.join("system.reg").exists() {
            return Ok(());
        }
        eprintln!("making a Wine prefix (about 10 s, 700 MB) in {}", self.prefix.display());
        fs::create_dir_all(&self.prefix)
            .map_err(|error| format!("cannot make {}: {error}", self.prefix.display()))?;
        if run_quietly(self.command("timeout").args(["120", "wineboot", "-i"])) {
            // The registry is written when the server leaves, and without it the prefix would be made again.
            run_quietly(self.command("wineserver").arg("-w"));
            return Ok(());
        }
        Err("wineboot could not make a prefix".to_owned())
    }

    /// Puts `bcryptprimitives.dll` where Wine finds it for every program; older Wine has none.
    fn make_shim(&self, house: &House) -> Result<(), String> {
        let library = self.prefix.join("drive_c/windows/system32/bcryptprimitives.dll");
        if library.exists() {
            return Ok(());
        }
        let source: &Path = &house.root.join("xtask/src/windows/shim.c");
        let mut compile = Command::new(LINKER);
        compile.args(["-O2", "-shared", "-nostdlib", "-Wl,--entry=0", "-o"]);
        compile.arg(&library).arg(source).arg("-ladvapi32");
        run_command(&mut compile)
    }

    /// A program of Wine's, with this prefix.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        self.environment(&mut command);
        command
    }

    fn environment(&self, command: &mut Command) {
        command
            .env("WINEPREFIX", &self.prefix)
            .env("WINEDEBUG", "-all")
            // Without winedbg a crash ends at once; with it, never. The other two are offers to install things.
            .env("WINEDLLOVERRIDES", "winedbg.exe=;mscoree=;mshtml=")
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        run_quietly(self.command("wineserver").arg("-k"));
    }
}
