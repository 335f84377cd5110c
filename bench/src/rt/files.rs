//! Reads of 4 KiB at random places of a file that is in the page cache, 32 tasks with one underway each.

use std::{io, path::Path};

use serde_json::Value;

use crate::{
    gate::{Gates, Limit},
    harness::{
        child,
        contest::Contest,
        processor,
        program::{Program, Sample, Settings, named, names},
    },
    port::{
        compio,
        files::{self, Cached, DEPTH, Places, Run, STEP},
    },
    rt::{glommio, monoio, ours, smol, tokio},
};

pub(crate) use crate::port::files::{BLOCK, check};

/// Reads of each task between two looks at the clock.
pub(crate) const EACH: usize = STEP / DEPTH;

const RAW: &[Program<Run>] = &[("raw-uring", files::raw)];

const PEERS: &[Program<Run>] = &[
    ("tokio", tokio::read),
    ("compio", compio::files_plain),
    ("compio-tuned", compio::files_tuned),
    ("monoio", monoio::read),
    ("smol", smol::read),
    ("glommio", glommio::read),
];

fn programs() -> Vec<Program<Run>> {
    [RAW, ours::FILES, PEERS].concat()
}

/// What they may be named by.
pub(crate) fn cells() -> Vec<String> {
    vec!["4KiB-random-depth-32".to_owned()]
}

/// The program's side.
pub(crate) fn serve(name: &str, path: &str, settings: Settings) -> Result<Sample, String> {
    processor::pin(0)?;
    named(&programs(), name)?(Path::new(path), settings)
}

/// All programs in turns.
pub(crate) fn compare(
    _: &[usize],
    rounds: usize,
    settings: Settings,
    gates: &mut Gates,
) -> Result<Value, String> {
    let cached = Cached::new()?;
    let path = cached.path()?;
    let columns = &["CPU ns a read", "reads/s"];
    let contest = Contest::hold(rounds, columns, &cells(), names(&programs()), |_, name| {
        let sample = child::sample(settings, &["rt", "files", name, path])?;
        Ok(vec![sample.nanoseconds(), sample.speed()])
    });
    gates.failed(contest.failures());
    contest.print("Cached reads", &names(RAW));
    for name in names(ours::FILES) {
        if let Some(ratio) = contest.ratio(0, name, "raw-uring") {
            let what = format!("cached 4 KiB reads at depth 32, {name} / raw-uring");
            gates.all(what, &ratio, Limit::AtMost(1.3), None);
        }
    }
    Ok(contest.json(&names(RAW)))
}

/// As many tasks as reads shall be underway, each with its buffer and its places.
#[derive(Debug)]
pub(crate) struct Readers {
    places: Places,
    buffers: Vec<Vec<u8>>,
}

impl Readers {
    /// `filled`: whether the buffers have their length already, for those who read into a slice.
    pub(crate) fn new(filled: bool) -> Readers {
        let buffer = || if filled { vec![0; BLOCK] } else { Vec::with_capacity(BLOCK) };
        Readers { places: Places::new(), buffers: (0..DEPTH).map(|_| buffer()).collect() }
    }

    /// Begins all tasks and waits for all of them.
    pub(crate) async fn step<J: Future<Output = Result<Vec<u8>, String>>>(
        &mut self,
        spawn: impl Fn(Places, Vec<u8>) -> J,
    ) -> Result<u64, String> {
        let buffers = self.buffers.drain(..);
        let tasks: Vec<J> = buffers.map(|buffer| spawn(self.places.branch(), buffer)).collect();
        for task in tasks {
            self.buffers.push(task.await?);
        }
        Ok((EACH * DEPTH) as u64)
    }
}

/// What one task does: read after read into its buffer.
pub(crate) async fn reads<R: Future<Output = (io::Result<usize>, Vec<u8>)>>(
    mut places: Places,
    mut buffer: Vec<u8>,
    read: impl Fn(Vec<u8>, u64) -> R,
) -> Result<Vec<u8>, String> {
    for _ in 0..EACH {
        let meant = places.next();
        let (got, filled) = read(buffer, meant * BLOCK as u64).await;
        check(got.map_err(|error| format!("read: {error}"))?, &filled, meant)?;
        buffer = filled;
    }
    Ok(buffer)
}
