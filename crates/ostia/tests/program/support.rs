//! Runs the program, and makes sets for it.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Ran {
        let text = |bytes| String::from_utf8(bytes).expect("the program prints UTF-8");
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// What was printed, of a run that must have succeeded without a word on the standard error.
    #[track_caller]
    pub(crate) fn done(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""), "{}", self.out);
        self.out
    }

    /// Asserts a failure with this exit code, whose message has all of these parts.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for part in parts {
            assert!(self.err.contains(part), "no {part:?} in: {}", self.err);
        }
        assert!(!self.err.contains("panicked"), "{}", self.err);
    }

    /// The JSON objects that were printed, one a line.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<serde_json::Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        self.out.lines().map(parse).collect()
    }
}

/// The program, without arguments yet.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ostia"));
    command.stdin(Stdio::null());
    command
}

/// Runs the program.
pub(crate) fn ostia<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Ran {
    let mut command = program();
    command.args(args);
    Ran::of(started(|| command.output()))
}

/// What starts a program. Wine says "internal error" now and then where many processes begin and are killed at a time:
/// there it is tried again.
fn started<T>(mut start: impl FnMut() -> io::Result<T>) -> T {
    const INTERNAL_ERROR: i32 = 1359;
    let mut tries = 0;
    loop {
        match start() {
            Err(error) if cfg!(windows) && error.raw_os_error() == Some(INTERNAL_ERROR) && tries < 20 => {
                tries += 1;
                // Nothing tells when it has room again.
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            started => return started.expect("the program starts"),
        }
    }
}

/// Runs the program with something to read.
pub(crate) fn ostia_reading<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>, input: &[u8]) -> Ran {
    let mut command = program();
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = started(|| command.spawn());
    let mut pipe = child.stdin.take().expect("the input is a pipe");
    // A program that has refused its arguments does not read.
    let _ = pipe.write_all(input);
    drop(pipe);
    Ran::of(child.wait_with_output().expect("the program ends"))
}

/// A folder of a test's own.
pub(crate) struct Room(TempDir);

impl Room {
    pub(crate) fn new() -> Room {
        Room(tempfile::tempdir().expect("a temporary folder can be made"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// A path in the folder, as an argument.
    pub(crate) fn at(&self, name: &str) -> String {
        self.path().join(name).to_str().expect("temporary folders have UTF-8 names").to_owned()
    }

    /// Writes a file and gives its path.
    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("folders can be made");
        fs::write(&path, bytes).expect("the temporary folder can be written to");
        self.at(name)
    }

    /// A table of a set in a file of that name, made with more options.
    pub(crate) fn table(&self, name: &str, keys: impl AsRef<[u8]>, options: &[&str]) -> String {
        let set = self.file(name, keys);
        let out = self.at("tables");
        let args = [&["create", &set, "--out", &out, "--emit", "table", "--quiet", "--name", "t"], options];
        assert_eq!(ostia(args.concat()).done(), "");
        self.at("tables/t.ostia")
    }
}

/// Everything under a folder: path with `/`, and bytes. The journal is not part of it, nor what belongs to it: there is
/// the time in it.
pub(crate) fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders: Vec<PathBuf> = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder can be listed") {
            let path = entry.expect("the folder can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).expect("it is below").to_str().expect("names are UTF-8");
                if name.contains(".ostia-journal") || name.contains(".ostia-lock") {
                    continue;
                }
                files.insert(name.replace('\\', "/"), fs::read(&path).expect("the file can be read"));
            }
        }
    }
    files
}

/// Options with which no set is ever solved, however long it is tried: with two equal seeds both ends of every
/// edge are one vertex. The function's third seed, a shift, is drawn, so that no two attempts need be the same.
pub(crate) const HOPELESS: [&str; 6] =
    ["--hash", "MultiplyShiftRX", "--seeds", "7,7", "--attempts-per-size", "1000000000000"];

/// Packed u32 keys.
pub(crate) fn packed(keys: impl IntoIterator<Item = u32>) -> Vec<u8> {
    keys.into_iter().flat_map(u32::to_le_bytes).collect()
}

/// As many different u32 keys, far apart, none of them 0.
pub(crate) fn scattered(count: u32) -> impl Iterator<Item = u32> {
    // An odd factor permutes the 32-bit words.
    (1..=count).map(|i| i.wrapping_mul(0x9E37_79B1))
}

/// The example sets of the repository.
pub(crate) fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/keys")
}
