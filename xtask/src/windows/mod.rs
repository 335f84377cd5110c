//! Windows from Linux: built with mingw's linker, run under Wine.
//!
//! Wine shows that the code runs and that most calls do what they should. It says nothing about speed, and
//! some of what it accepts Windows refuses; so this leg is evidence, and a run on Windows is the judge.

mod debian;
mod wine;

use std::{
    path::PathBuf,
    process::{Command, ExitCode},
};

use crate::{
    check::Outcome,
    command::{cargo, exists, output, run as run_command, run_tests},
    house::House,
    tally::Tally,
};

/// The target that can be linked and run here.
pub(crate) const TARGET: &str = "x86_64-pc-windows-gnu";

/// Debian's name; the variant with POSIX threads is the one whose run-time library Rust's target wants.
const LINKER: &str = "x86_64-w64-mingw32-gcc-posix";

/// What .ci/run installs on Debian, and what to type when it is missing.
const PACKAGES: &str = "apt-get install wine64 wine gcc-mingw-w64-x86-64-posix";

/// Something that may not be had on this machine.
pub(crate) enum Ready<T> {
    /// Here it is.
    Yes(T),
    /// It cannot be had, and why.
    No(String),
}

/// A compiler with the standard library for Windows.
pub(crate) enum Compiler {
    /// The toolchain in use, with rustup's build of the library.
    Rustup,
    /// Debian's, with a library built here.
    Debian,
}

impl Compiler {
    /// `cargo test`, ready to build for Windows.
    fn test(&self, house: &House) -> Command {
        let mut command = match self {
            Compiler::Rustup => cargo(house),
            Compiler::Debian => debian::cargo(house),
        };
        environment(&mut command, house);
        command.arg("test");
        command
    }

    /// Cargo's clippy, ready to look at code for Windows.
    pub(crate) fn clippy(&self, house: &House) -> Command {
        let mut command = match self {
            Compiler::Rustup => cargo(house),
            Compiler::Debian => debian::clippy(house),
        };
        environment(&mut command, house);
        command.arg("clippy");
        command
    }
}

fn environment(command: &mut Command, house: &House) {
    command.env("CARGO_TARGET_DIR", house.windows_target());
    command.env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER", LINKER);
    // For C in build scripts.
    command.env("CC_x86_64_pc_windows_gnu", LINKER);
}

/// Finds or makes a compiler for Windows.
pub(crate) fn compiler(house: &House) -> Ready<Compiler> {
    if !exists(LINKER) {
        return Ready::No(format!("{LINKER} is not installed: {PACKAGES}"));
    }
    if add_target(house, TARGET) {
        return Ready::Yes(Compiler::Rustup);
    }
    eprintln!("rustup cannot supply {TARGET}; trying Debian's compiler");
    match debian::prepare(house) {
        Ok(()) => Ready::Yes(Compiler::Debian),
        Err(why) => Ready::No(why),
    }
}

/// True when the toolchain in use has that target's library, now or after asking rustup for it.
pub(crate) fn add_target(house: &House, target: &str) -> bool {
    has_target(house, target)
        || exists("rustup")
            && run_command(Command::new("rustup").current_dir(&house.root).args(["target", "add", target]))
                .is_ok()
}

fn has_target(house: &House, target: &str) -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let folder = output(Command::new(rustc).current_dir(&house.root).args([
        "--target",
        target,
        "--print",
        "target-libdir",
    ]));
    // The folder may be there and empty: what counts is a library in it.
    folder.is_some_and(|folder| {
        std::fs::read_dir(PathBuf::from(folder.trim())).is_ok_and(|files| {
            files.flatten().any(|file| file.file_name().to_string_lossy().starts_with("libcore-"))
        })
    })
}

/// The leg: all tests of the workspace.
pub(crate) fn test_leg(house: &House) -> Outcome {
    // All programs, also behind one that fails: to build them takes longer than to run them.
    match test(house, &["--workspace".to_owned(), "--no-fail-fast".to_owned()]) {
        Ready::Yes(Ok(tally)) if tally.passed == 0 => Outcome::Failed("no test ran".to_owned()),
        Ready::Yes(Ok(tally)) => Outcome::Holds(tally.to_string()),
        Ready::Yes(Err(why)) => Outcome::Failed(why),
        Ready::No(why) => Outcome::Skipped(why),
    }
}

/// `cargo xtask windows`: tests of the user's choice.
pub(crate) fn run(house: &House, arguments: &[String]) -> Result<ExitCode, String> {
    match test(house, arguments) {
        Ready::Yes(Ok(tally)) => {
            println!("{tally}");
            Ok(ExitCode::SUCCESS)
        }
        Ready::Yes(Err(why)) => {
            eprintln!("{why}");
            Ok(ExitCode::FAILURE)
        }
        Ready::No(why) => Err(why),
    }
}

fn test(house: &House, arguments: &[String]) -> Ready<Result<Tally, String>> {
    if cfg!(windows) {
        return Ready::No("this is Windows: `cargo test --workspace` is that leg".to_owned());
    }
    if !(exists("wine") && exists("wineserver")) {
        return Ready::No(format!("wine is not installed: {PACKAGES}"));
    }
    let compiler = match compiler(house) {
        Ready::Yes(compiler) => compiler,
        Ready::No(why) => return Ready::No(why),
    };
    let server = match wine::start(house) {
        Ok(server) => server,
        Err(why) => return Ready::Yes(Err(why)),
    };
    let mut command = compiler.test(house);
    command.args(["--target", TARGET]).args(arguments);
    server.run_tests_in(&mut command);
    Ready::Yes(run_tests(&mut command))
}
