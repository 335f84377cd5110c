//! The program `ostia` as a process: which engines it has, how it is run, and whether it did what it should.

use std::{
    collections::HashMap,
    env, fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::harness::outside::{self, Taken};

/// What runs against what, the one that the gates are about first.
pub(crate) const ENGINES: [&str; 3] = ["runtime-uring", "runtime-epoll", "threads"];

/// A folder and what is to be made of it.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) dir: PathBuf,
    pub(crate) sets: usize,
    pub(crate) options: &'static [&'static str],
}

impl Work {
    fn stores(&self) -> bool {
        !self.options.contains(&"--no-file-io")
    }
}

/// The program, as it was built for this comparison.
#[derive(Debug)]
pub(crate) struct Ostia {
    path: PathBuf,
    /// Where outputs go, and what is generated.
    pub(crate) folder: PathBuf,
    /// What it says of its options.
    help: String,
    /// Each set's outcome together, of each work that was checked; see [`Ostia::check`].
    digests: HashMap<String, u64>,
    /// What was checked.
    checked: Vec<String>,
    /// Output folders. They go at the very end: ext4 passes over inodes that were removed in the last seconds one by
    /// one, and would take ten times as long for the files of the next run.
    outs: Vec<PathBuf>,
}

impl Drop for Ostia {
    fn drop(&mut self) {
        for out in &self.outs {
            // What is left lies in the target folder, and goes with that.
            let _ = fs::remove_dir_all(out);
        }
    }
}

impl Ostia {
    /// The program and the folder that `cargo xtask bench bulk` names.
    pub(crate) fn named() -> Result<Ostia, String> {
        let named = |name: &str| {
            let why = || format!("{name} is not set: this comparison is run by `cargo xtask bench bulk`");
            env::var_os(name).map(PathBuf::from).ok_or_else(why)
        };
        let (path, folder) = (named("OSTIA_BENCH_PROGRAM")?, named("OSTIA_BENCH_FOLDER")?);
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let helped = Command::new(&path).args(["bulk-create", "--help"]).output();
        let helped = helped.map_err(|error| format!("{}: {error}", path.display()))?;
        let help = String::from_utf8_lossy(&helped.stdout).into_owned();
        Ok(Ostia { path, folder, help, digests: HashMap::new(), checked: Vec::new(), outs: Vec::new() })
    }

    /// The file system that outputs go to, as the system names it.
    pub(crate) fn file_system(&self) -> Result<String, String> {
        let mounts =
            fs::read_to_string("/proc/self/mounts").map_err(|error| format!("/proc/self/mounts: {error}"))?;
        let folder =
            fs::canonicalize(&self.folder).map_err(|error| format!("{}: {error}", self.folder.display()))?;
        let mut best = (0, "unknown");
        for line in mounts.lines() {
            let mut words = line.split(' ').skip(1);
            let (Some(at), Some(kind)) = (words.next(), words.next()) else { continue };
            if folder.starts_with(at) && at.len() >= best.0 {
                best = (at.len(), kind);
            }
        }
        Ok(best.1.to_owned())
    }

    /// Whether it has an option.
    fn knows(&self, option: &str) -> bool {
        self.help.split_whitespace().any(|word| word.trim_end_matches(',') == option)
    }

    /// The program with an engine's options and a work's.
    fn command(&self, engine: &str, work: &Work, more: &[&str]) -> Result<Command, String> {
        let mut command = Command::new(&self.path);
        command.arg("bulk-create").arg(&work.dir).args(work.options).args(more);
        for option in work.options.iter().chain(more).filter(|word| word.starts_with("--")) {
            if !self.knows(option) {
                return Err(format!("this ostia has no {option}"));
            }
        }
        let (flag, backend) = match engine {
            "runtime-uring" => ("runtime", Some("uring")),
            "runtime-epoll" => ("runtime", Some("epoll")),
            _ => ("threads", None),
        };
        match (self.knows("--engine"), flag) {
            (true, _) => {
                command.args(["--engine", flag]);
            }
            // The only engine that there was before there was a choice.
            (false, "threads") => {}
            (false, _) => return Err("this ostia has no --engine".into()),
        }
        match backend {
            Some(backend) => command.env("OSTIA_BACKEND", backend),
            None => command.env_remove("OSTIA_BACKEND"),
        };
        Ok(command)
    }

    /// Runs it once. Outputs go to a fresh folder.
    pub(crate) fn run(&mut self, engine: &str, work: &Work, more: &[&str]) -> Result<Taken, String> {
        let mut command = self.command(engine, work, more)?;
        self.check(engine, work, more)?;
        command.arg("--quiet");
        self.stored(work, command, |mut command| outside::run(&mut command))
    }

    /// Gives a command that stores a fresh folder.
    fn stored<T>(
        &mut self,
        work: &Work,
        mut command: Command,
        run: impl FnOnce(Command) -> Result<T, String>,
    ) -> Result<T, String> {
        if !work.stores() {
            return run(command);
        }
        let out = self.folder.join(format!("out-{}-{}", std::process::id(), self.outs.len()));
        command.arg("--out").arg(&out);
        self.outs.push(out);
        run(command)
    }

    /// Before the first measured run: each set is done, and what came out of it is the same whatever the engine.
    fn check(&mut self, engine: &str, work: &Work, more: &[&str]) -> Result<(), String> {
        let asked = format!("{} {:?}", work.dir.display(), work.options);
        let checked = format!("{engine} {asked} {more:?}");
        if self.checked.contains(&checked) {
            return Ok(());
        }
        let mut command = self.command(engine, work, more)?;
        command.arg("--json");
        let (done, digest) = self.stored(work, command, rows)?;
        if done != work.sets {
            return Err(format!("{done} of {} sets done in {}", work.sets, work.dir.display()));
        }
        let first = *self.digests.entry(asked.clone()).or_insert(digest);
        if first != digest {
            return Err(format!("its tables are not those of the program that ran first, of {asked}"));
        }
        self.checked.push(checked);
        Ok(())
    }
}

/// How many sets were done, and a digest of what came of them in any order. Rows are read one by one: what this
/// process keeps would count as the program's memory.
fn rows(mut command: Command) -> Result<(usize, u64), String> {
    let shown = format!("{command:?}");
    let fail = |why: String| format!("{shown}: {why}");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| fail(error.to_string()))?;
    let said = BufReader::new(child.stdout.take().expect("it was asked for"));
    let (mut done, mut digest) = (0, 0u64);
    for line in said.lines() {
        let line = line.map_err(|error| fail(error.to_string()))?;
        let row: Value = serde_json::from_str(&line).map_err(|error| fail(format!("{line}: {error}")))?;
        if row["outcome"] == "done" {
            done += 1;
            digest = digest.wrapping_add(digest_of(&row));
        }
    }
    let mut complaint = String::new();
    // Less than a pipe holds, or the program would still be there.
    let mut errors = child.stderr.take().expect("it was asked for");
    errors.read_to_string(&mut complaint).map_err(|error| fail(error.to_string()))?;
    let status = child.wait().map_err(|error| fail(error.to_string()))?;
    if status.success() { Ok((done, digest)) } else { Err(fail(format!("{status}: {}", complaint.trim()))) }
}

/// A set's name and table, without what changes from run to run.
fn digest_of(row: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    for column in ["name", "keys", "kind", "function", "seeds", "attempt", "range", "bytes"] {
        row[column].to_string().hash(&mut hasher);
    }
    hasher.finish()
}

/// How many sets a folder has.
pub(crate) fn count(dir: &Path) -> Result<usize, String> {
    let fail = |error| format!("{}: {error}", dir.display());
    let mut sets = 0;
    for entry in fs::read_dir(dir).map_err(fail)? {
        sets += usize::from(entry.map_err(fail)?.path().extension().is_some_and(|end| end == "keys"));
    }
    Ok(sets)
}
