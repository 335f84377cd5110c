//! Starting other programs, so that a reader of the log sees what was run.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use crate::{house::House, tally::Tally};

/// How long to go on reading after a program ended. Something it started may hold the pipe open for ever.
const DRAIN: Duration = Duration::from_secs(2);

/// `cargo` in the root of the checkout.
pub(crate) fn cargo(house: &House) -> Command {
    // Cargo names itself to what it runs; without it, whatever the path has.
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(&house.root);
    // What cargo told this program about its own package is not for the packages that are built next.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    keys_for(&mut command);
    command
}

/// Passes the folder of key sets on. Cargo runs each test in its package's folder, where a relative path would
/// lead elsewhere.
pub(crate) fn keys_for(command: &mut Command) {
    if let Some(keys) = std::env::var_os("OSTIA_KEYS") {
        command.env("OSTIA_KEYS", std::path::absolute(&keys).unwrap_or_else(|_| keys.into()));
    }
}

/// `cargo` of another toolchain, by way of rustup.
pub(crate) fn cargo_of(house: &House, toolchain: &str) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", toolchain, "cargo"]).current_dir(&house.root);
    for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(name);
    }
    command
}

/// Runs it in sight of the user. An error says how it ended.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let line = shown(command);
    eprintln!("$ {line}");
    let status = command.status().map_err(|error| format!("cannot start `{line}`: {error}"))?;
    ended(&line, status)
}

/// Runs it in sight of the user and counts the tests it reports.
pub(crate) fn run_tests(command: &mut Command) -> Result<Tally, String> {
    let line = shown(command);
    eprintln!("$ {line}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start `{line}`: {error}"))?;
    let out = child.stdout.take().expect("standard output was asked for as a pipe");
    let err = child.stderr.take().expect("standard error was asked for as a pipe");
    let (sender, lines) = mpsc::channel();
    let for_errors = sender.clone();
    thread::spawn(move || for_each_line(out, |text| println!("{text}"), &sender));
    thread::spawn(move || for_each_line(err, |text| eprintln!("{text}"), &for_errors));
    let status = child.wait().map_err(|error| format!("cannot wait for `{line}`: {error}"))?;
    let mut tally = Tally::default();
    while let Ok(text) = lines.recv_timeout(DRAIN) {
        tally.hear(&text);
    }
    ended(&line, status).map_err(|why| format!("{why} ({tally})"))?;
    Ok(tally)
}

/// Prints each line and passes it on, until the pipe closes.
fn for_each_line(pipe: impl Read, print: impl Fn(&str), sender: &mpsc::Sender<String>) {
    for bytes in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
        let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        print(&text);
        if sender.send(text).is_err() {
            return;
        }
    }
}

/// Runs it out of sight: no terminal, no pipe of ours held by what it leaves behind. True when it succeeded.
pub(crate) fn run_quietly(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// What it prints, if it succeeds.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// True when a program of that name is on the path.
pub(crate) fn exists(program: &str) -> bool {
    let Some(path) = std::env::var_os("PATH") else { return false };
    std::env::split_paths(&path).any(|folder| is_file(&folder, program))
}

fn is_file(folder: &Path, program: &str) -> bool {
    folder.join(program).is_file() || folder.join(format!("{program}.exe")).is_file()
}

fn ended(line: &str, status: ExitStatus) -> Result<(), String> {
    if status.success() { Ok(()) } else { Err(format!("`{line}` ended with {status}")) }
}

/// The command as one would type it, without the folders of the program itself.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_stem().unwrap_or(OsStr::new("?"));
    let mut line = program.to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_one_would_type_it() {
        let mut command = Command::new("/somewhere/bin/cargo");
        command.args(["test", "--workspace"]);
        assert_eq!(shown(&command), "cargo test --workspace");
    }

    #[test]
    fn a_program_that_is_not_there_does_not_exist() {
        assert!(!exists("a-program-of-that-name-is-nowhere"));
    }
}
