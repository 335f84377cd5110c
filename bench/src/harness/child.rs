//! Programs in processes of their own, seen from the comparison.

use std::{
    env,
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    os::unix::fs::FileExt as _,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::harness::{
    processor,
    program::{Sample, Settings},
};

/// A program that runs. It is ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    said: BufReader<ChildStdout>,
    first: Value,
}

impl Running {
    /// Starts a program and waits for what it says first.
    ///
    /// # Errors
    ///
    /// Why it ended instead.
    pub(crate) fn start(settings: Settings, words: &[&str]) -> Result<Running, String> {
        let this = env::current_exe().map_err(|error| format!("this program: {error}"))?;
        let mut command = Command::new(this);
        command.arg("program").args(settings.words()).args(words);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", words.join(" ")))?;
        let mut said = BufReader::new(child.stdout.take().expect("it was asked for"));
        let mut line = String::new();
        said.read_line(&mut line).map_err(|error| error.to_string())?;
        let mut running = Running { child, said, first: Value::Null };
        match serde_json::from_str(&line) {
            Ok(first) => running.first = first,
            Err(_) => return Err(running.complaint()),
        }
        Ok(running)
    }

    /// What it said first.
    pub(crate) fn first(&self) -> &Value {
        &self.first
    }

    /// The CPU time of the process, which has nothing to do at the moment.
    pub(crate) fn idle_cpu(&self) -> Result<Duration, String> {
        processor::idle_cpu(self.child.id())
    }

    /// Which process it is.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The number at an address of the process.
    pub(crate) fn number_at(&self, address: u64) -> Result<u64, String> {
        let path = format!("/proc/{}/mem", self.child.id());
        let mut number = [0; 8];
        let read = File::open(&path).and_then(|memory| memory.read_exact_at(&mut number, address));
        read.map_err(|error| format!("{path}: {error}"))?;
        Ok(u64::from_ne_bytes(number))
    }

    /// Waits until it has ended by itself.
    pub(crate) fn end(mut self) -> Result<(), String> {
        // The end of its output comes with the end of the process, or of whatever it would still say.
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).map_err(|error| error.to_string())?;
        let status = self.child.wait().map_err(|error| error.to_string())?;
        if status.success() { Ok(()) } else { Err(self.complaint()) }
    }

    /// Ends it, and gives what it had to say of it.
    pub(crate) fn stop(mut self) -> String {
        // It may have ended already, and then there is nothing to do.
        let _ = self.child.kill();
        self.complaint()
    }

    /// What it wrote to standard error, or how it ended.
    fn complaint(&mut self) -> String {
        let mut why = String::new();
        if let Some(mut errors) = self.child.stderr.take() {
            // Without a word of its own, how it ended has to do.
            let _ = errors.read_to_string(&mut why);
        }
        match (why.trim(), self.child.wait()) {
            ("", Ok(status)) => format!("ended without a word: {status}"),
            ("", Err(error)) => error.to_string(),
            (why, _) => why.replace('\n', "; "),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already, and then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program that measures operations of its own.
pub(crate) fn sample(settings: Settings, words: &[&str]) -> Result<Sample, String> {
    let said = run(settings, words)?;
    Sample::parse(&said).ok_or_else(|| format!("it said {said}"))
}

/// Runs a program that measures itself, and gives back what it said.
pub(crate) fn run(settings: Settings, words: &[&str]) -> Result<Value, String> {
    let running = Running::start(settings, words)?;
    let said = running.first().clone();
    running.end()?;
    Ok(said)
}
