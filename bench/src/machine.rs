//! What the figures were measured on.

use std::{fs, thread};

use ostia_hash::simd::Level;
use serde_json::{Value, json};

use crate::gate::BUILD;

/// The machine, as far as the system tells.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    model: String,
    cores: usize,
    load: String,
    kernel: String,
}

impl Machine {
    pub(crate) fn here() -> Machine {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Machine {
            kernel: kernel.trim().to_owned(),
            model: model.map_or_else(|| "unknown".into(), |(_, model)| model.to_owned()),
            cores: thread::available_parallelism().map_or(1, Into::into),
            load: load(),
        }
    }

    pub(crate) fn print(&self, command: &str, rounds: usize) {
        println!(
            "machine: {}, {} cores; kernel {}; vector code: {}",
            self.model,
            self.cores,
            self.kernel,
            Level::best()
        );
        println!("load average at the start: {}; rounds: {rounds}; build: {BUILD}", self.load);
        println!("command: {command}");
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "model": self.model,
            "cores": self.cores,
            "kernel": self.kernel,
            "load": self.load,
            "vector_code": Level::best().to_string(),
        })
    }
}

/// The load average of one, five and fifteen minutes.
pub(crate) fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
