//! Reads of 4 KiB at random places of a file that is in the page cache, 32 at a time.
#![expect(unsafe_code, reason = "the kernel is handed addresses of buffers that live on here")]

use std::{
    env, fs,
    fs::File,
    io::Write as _,
    os::{fd::AsRawFd as _, unix::fs::FileExt as _},
    path::{Path, PathBuf},
    process,
};

use io_uring::{opcode, types::Fixed};
use serde_json::Value;

use crate::{
    gate::{Gates, Limit},
    harness::{
        child,
        contest::Contest,
        program::{Program, Sample, Settings, named, names, steady},
    },
    port::{
        compio, ours,
        raw_uring::{self, Queues},
    },
};

/// Bytes of a read; a read starts at a multiple of it.
pub(crate) const BLOCK: usize = 4 << 10;

/// Reads underway.
pub(crate) const DEPTH: usize = 32;

/// Reads between two looks at the clock, about.
pub(crate) const STEP: usize = 8192;

/// Blocks of the file, which has 256 MiB. Each begins with its number.
const BLOCKS: u64 = 1 << 16;

pub(crate) type Run = fn(path: &Path, settings: Settings) -> Result<Sample, String>;

const RAW: &[Program<Run>] = &[("raw-uring", raw)];

const PEERS: &[Program<Run>] = &[
    ("pread, one at a time", pread),
    ("compio", compio::files_plain),
    ("compio-tuned", compio::files_tuned),
    ("compio-driver", compio::files_driver),
];

fn programs() -> Vec<Program<Run>> {
    [RAW, PEERS, ours::FILES].concat()
}

/// The program's side.
pub(crate) fn serve(name: &str, path: &str, settings: Settings) -> Result<Sample, String> {
    named(&programs(), name)?(Path::new(path), settings)
}

/// All programs in turns.
pub(crate) fn compare(rounds: usize, settings: Settings, gates: &mut Gates) -> Result<Value, String> {
    let cached = Cached::new()?;
    let cases = ["4 KiB at random places of 256 MiB, 32 underway".to_owned()];
    let columns = &["CPU ns a read", "reads/s"];
    let contest = Contest::hold(rounds, columns, &cases, names(&programs()), |_, name| {
        let sample = sample(settings, name, &cached)?;
        Ok(vec![sample.nanoseconds(), sample.speed()])
    });
    gates.failed(contest.failures());
    contest.print("Cached reads", &names(RAW));
    for name in names(ours::FILES) {
        if let Some(ratio) = contest.ratio(0, name, "raw-uring") {
            let what = format!("cached 4 KiB reads at depth 32, {name} / raw-uring");
            gates.all(what, &ratio, Limit::AtMost(1.15), None);
        }
    }
    Ok(contest.json(&names(RAW)))
}

/// One run of a program in a process of its own.
pub(crate) fn sample(settings: Settings, name: &str, cached: &Cached) -> Result<Sample, String> {
    child::sample(settings, &["port", "files", name, cached.path()?])
}

/// A file in a temporary folder whose pages were just written, so that they are in the cache.
#[derive(Debug)]
pub(crate) struct Cached(PathBuf);

impl Cached {
    pub(crate) fn new() -> Result<Cached, String> {
        let path = env::temp_dir().join(format!("ostia-bench-{}.blocks", process::id()));
        let told = |error| format!("{}: {error}", path.display());
        let mut file = File::create(&path).map_err(told)?;
        let cached = Cached(path.clone());
        let mut piece = vec![0; BLOCK * 256];
        for first in (0..BLOCKS).step_by(256) {
            for (block, number) in piece.chunks_exact_mut(BLOCK).zip(first..) {
                block[..8].copy_from_slice(&number.to_le_bytes());
            }
            file.write_all(&piece).map_err(told)?;
        }
        // Pages that still have to be written make reads wait now and then.
        file.sync_all().map_err(told)?;
        Ok(cached)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> Result<&str, String> {
        self.0.to_str().ok_or_else(|| "the name of the temporary folder is not text".into())
    }
}

impl Drop for Cached {
    fn drop(&mut self) {
        // It is a temporary file: if it stays, nothing else is wrong.
        let _ = fs::remove_file(&self.0);
    }
}

/// Where to read next: the same places for every program.
#[derive(Debug)]
pub(crate) struct Places(u64);

impl Places {
    pub(crate) fn new() -> Places {
        Places(0x9e37_79b9_7f4a_7c15)
    }

    /// Other places, for a task of its own.
    pub(crate) fn branch(&mut self) -> Places {
        self.next();
        Places(self.0.rotate_left(32))
    }

    /// The number of a block; it is `BLOCK` times as many bytes from the start of the file.
    pub(crate) fn next(&mut self) -> u64 {
        // Marsaglia's xorshift: cheap, and good enough to defeat read-ahead.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % BLOCKS
    }
}

/// Whether a read gave the whole block that was meant.
pub(crate) fn check(read: usize, block: &[u8], meant: u64) -> Result<(), String> {
    match read == BLOCK && block[..8] == meant.to_le_bytes() {
        true => Ok(()),
        false => Err(format!("block {meant}: {read} bytes that begin with {:?}", &block[..8])),
    }
}

/// The ring keeps 32 reads underway; buffers are plain memory, since registered ones do not help cached reads.
pub(crate) fn raw(path: &Path, settings: Settings) -> Result<Sample, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut buffers = vec![[0_u8; BLOCK]; DEPTH];
    // After the buffers, so that it is gone before them.
    let mut ring = raw_uring::ring(DEPTH as u32)?;
    let mut queues = Queues::of(&mut ring)?;
    queues.submitter().register_files(&[file.as_raw_fd()]).map_err(|error| format!("register: {error}"))?;
    let mut meant = [0; DEPTH];
    let mut places = Places::new();
    let mut idle: Vec<usize> = (0..DEPTH).collect();
    let mut read = || {
        for index in idle.drain(..) {
            meant[index] = places.next();
            let read = opcode::Read::new(Fixed(0), buffers[index].as_mut_ptr(), BLOCK as u32);
            let read = read.offset(meant[index] * BLOCK as u64).build().user_data(index as u64);
            // SAFETY: the buffer outlives the ring, and is looked at only when the read is done.
            unsafe { queues.push(&[read]) }?;
        }
        queues.enter(1)?;
        for entry in &mut queues.completions {
            let index = entry.user_data() as usize;
            check(entry.result().max(0) as usize, &buffers[index], meant[index])?;
            idle.push(index);
        }
        Ok::<_, String>(idle.len() as u64)
    };
    steady(settings, || {
        let mut done = 0;
        while done < STEP as u64 {
            done += read()?;
        }
        Ok(done)
    })
}

/// What a thread without any ring does: one system call a read.
fn pread(path: &Path, settings: Settings) -> Result<Sample, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut buffer = [0; BLOCK];
    let mut places = Places::new();
    steady(settings, || {
        for _ in 0..STEP {
            let meant = places.next();
            let read = file.read_at(&mut buffer, meant * BLOCK as u64).map_err(|error| error.to_string())?;
            check(read, &buffer, meant)?;
        }
        Ok(STEP as u64)
    })
}
