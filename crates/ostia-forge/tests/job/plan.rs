//! What a seed says: which sets there are, what is asked for, and what goes wrong.

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use ostia_emit::lang::Language;
use ostia_forge::{
    disk::memory::{Call, Fault, MemoryDisk},
    find::Sources,
    spec::{JobSpec, NodePolicy, Output, Spec},
    store::Durability,
};
use ostia_hash::{create::Options, plan::Kind};
use ostia_rt::sim;

use crate::dice::Dice;

/// Where the sets are, and where what comes of them goes.
pub(crate) const IN: &str = "in";
pub(crate) const OUT: &str = "out";

/// Everything that a seed says.
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// Nodes and the workers of each.
    pub(crate) shape: &'static str,
    files: Vec<(PathBuf, Vec<u8>)>,
    /// Folders that are named like sets.
    folders: Vec<PathBuf>,
    /// What is asked for while things go wrong.
    pub(crate) spec: JobSpec,
    /// So often, in a thousand, there is no thread for what waits.
    no_thread: u16,
    /// How long a look at the clock takes.
    look: Duration,
    rates: Rates,
    /// Part of the files under final names are there before, with other content.
    pub(crate) has_old: bool,
    /// When, in thousandths of the time of a run without trouble, somebody cancels the job, stops listening to it, or
    /// ends the runtime.
    pub(crate) cancel_at: Option<u64>,
    pub(crate) leave_at: Option<u64>,
    pub(crate) shut_at: Option<u64>,
    /// The grace of a runtime that is ended.
    pub(crate) grace: Duration,
    /// What the listener does between two events.
    pub(crate) pause: Duration,
}

/// How often calls of the disk fail.
#[derive(Clone, Debug)]
struct Rates {
    /// In a thousand, by kind of call.
    fails: Vec<(Call, u64)>,
    /// In a thousand of those that fail.
    panics: u64,
    /// What a call takes at most.
    time_max: Duration,
}

const CALLS: [Call; 12] = [
    Call::List,
    Call::Look,
    Call::Read,
    Call::MakeDirs,
    Call::Create,
    Call::Write,
    Call::Sync,
    Call::Rename,
    Call::Remove,
    Call::SyncDir,
    Call::Holds,
    Call::Digest,
];

impl Plan {
    pub(crate) fn new(seed: u64) -> Plan {
        let mut dice = Dice::new(seed);
        let shape = dice.one_of(&["1x1", "1x2", "1x4", "2x1", "2x2", "3x2"]);
        let mut files = vec![(Path::new(IN).join("always.keys"), packed(&words(&mut dice, 20)))];
        let mut folders = Vec::new();
        let count = if dice.once_in(12) { 150 + dice.below(200) } else { 1 + dice.below(24) };
        for number in 0..count {
            if dice.once_in(40) {
                folders.push(Path::new(IN).join(format!("folder{number}.keys")));
            } else {
                set(&mut dice, number, &mut files);
            }
        }
        if dice.once_in(10) {
            // Above 64 KiB it travels alone; above 256 KiB its worker gives its other work away.
            let keys = if dice.once_in(8) { 70_000 } else { 17_000 };
            files.push((Path::new(IN).join("large.keys"), packed(&words(&mut dice, keys))));
        }
        let spec = spec(&mut dice, shape, &files);
        let some = |dice: &mut Dice, times| dice.once_in(times).then(|| dice.below(1200));
        Plan {
            seed,
            shape,
            files,
            folders,
            spec,
            no_thread: if dice.once_in(5) { 1 + dice.below(200) as u16 } else { 0 },
            look: Duration::from_micros(if dice.once_in(2) { dice.below(200) } else { 0 }),
            rates: Rates::new(&mut dice),
            has_old: dice.once_in(4),
            cancel_at: some(&mut dice, 5),
            leave_at: some(&mut dice, 8),
            shut_at: some(&mut dice, 8),
            grace: dice.one_of(&[Duration::ZERO, Duration::from_micros(200), Duration::from_secs(60)]),
            pause: if dice.once_in(4) { dice.time(Duration::from_millis(5)) } else { Duration::ZERO },
        }
    }

    /// The specification of a run in which nothing goes wrong.
    pub(crate) fn calm(&self) -> JobSpec {
        JobSpec { memory: JobSpec::default().memory, failures_max: None, ..self.spec.clone() }
    }

    /// The simulated machine.
    pub(crate) fn options(&self, is_calm: bool) -> sim::Options {
        let mut options = sim::Options::new(self.seed);
        options.no_thread = if is_calm { 0 } else { self.no_thread };
        options.look = self.look;
        options
    }

    /// A disk with the sets, and nothing else.
    pub(crate) fn disk(&self) -> MemoryDisk {
        let disk = MemoryDisk::new();
        self.files.iter().for_each(|(path, bytes)| disk.put(path, bytes));
        self.folders.iter().for_each(|path| disk.folder(path));
        disk
    }

    /// From now on each call of the disk takes a while, and fails now and then.
    pub(crate) fn trouble(&self, disk: &MemoryDisk, is_calm: bool) -> Arc<Troubles> {
        let troubles = Arc::<Troubles>::default();
        let (rates, dice) = (self.rates.clone(), Mutex::new(Dice::new(!self.seed)));
        let told = Arc::clone(&troubles);
        disk.fail(move |call, _| {
            if matches!(call, Call::Read | Call::Create) && told.is_cancelled.load(Ordering::Relaxed) {
                told.late.fetch_add(1, Ordering::Relaxed);
            }
            let mut dice = dice.lock().expect("no panic comes from here");
            sim::burn(dice.time(rates.time_max));
            let rate = rates.fails.iter().find(|(kind, _)| *kind == call).map_or(0, |(_, rate)| *rate);
            if is_calm || dice.below(1000) >= rate {
                return None;
            }
            told.all.fetch_add(1, Ordering::Relaxed);
            told.removes.fetch_add(u64::from(call == Call::Remove), Ordering::Relaxed);
            // A second panic would be the end of the process, as a second fault of a real disk is not.
            let panics = dice.below(1000) < rates.panics && !std::thread::panicking();
            if panics {
                told.panics.fetch_add(1, Ordering::Relaxed);
                return Some(Fault::Panic);
            }
            let kinds = [ErrorKind::StorageFull, ErrorKind::PermissionDenied, ErrorKind::NotFound];
            Some(dice.one_of(&kinds).into())
        });
        troubles
    }
}

/// What went wrong on a disk.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    pub(crate) all: AtomicU64,
    pub(crate) panics: AtomicU64,
    pub(crate) removes: AtomicU64,
    /// Whether somebody has cancelled the job.
    pub(crate) is_cancelled: AtomicBool,
    /// Files that were read or made after that.
    pub(crate) late: AtomicU64,
}

impl Rates {
    fn new(dice: &mut Dice) -> Rates {
        let rate = |dice: &mut Dice| {
            let most = dice.one_of(&[1000, 60, 60, 60]);
            1 + dice.below(most)
        };
        let fails = match dice.below(6) {
            0 => Vec::new(),
            1 => vec![(dice.one_of(&CALLS), rate(dice))],
            2 => CALLS.iter().map(|call| (*call, rate(dice))).collect(),
            // What a job does many times: its walk and its folder are there.
            _ => [Call::Read, Call::Create, Call::Write, Call::Rename, Call::Remove, Call::Holds]
                .into_iter()
                .map(|call| (call, rate(dice)))
                .collect(),
        };
        let panics = if dice.once_in(2) { dice.below(500) } else { 0 };
        let time_max = Duration::from_micros(if dice.once_in(2) { dice.below(300) } else { 0 });
        Rates { fails, panics, time_max }
    }
}

/// A set, or two that want one name.
fn set(dice: &mut Dice, number: u64, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    let folder = if dice.once_in(4) { Path::new(IN).join("sub") } else { IN.into() };
    let mut put = |name: &str, bytes: Vec<u8>| files.push((folder.join(name), bytes));
    let count = 1 + dice.below(40) as usize;
    let words = words(dice, count);
    let text = |words: &[u32]| words.iter().map(|word| format!("{word}\n")).collect::<String>().into_bytes();
    match dice.below(24) {
        0 => {
            put(&format!("twin{number}.keys"), packed(&words));
            put(&format!("twin{number}.txt"), text(&words));
        }
        1 => put(&format!("ragged{number}.keys"), packed(&words)[1..].to_vec()),
        2 => put(&format!("double{number}.keys"), packed(&[words.as_slice(), &words].concat())),
        3 => put(&format!("empty{number}.keys"), Vec::new()),
        4 => put(&format!("word{number}.txt"), b"12\nno number\n".to_vec()),
        5 => put(&format!("broken{number}.json"), b"[1, 2".to_vec()),
        6 => put(&format!("{number}th.keys"), packed(&words)),
        7..=9 => put(&format!("text{number}.txt"), text(&words)),
        10 => put(&format!("lines{number}.lines"), text(&words)),
        _ => put(&format!("packed{number}.keys"), packed(&words)),
    }
}

fn words(dice: &mut Dice, count: usize) -> Vec<u32> {
    let mut words = BTreeSet::new();
    while words.len() < count {
        words.insert(dice.next() as u32);
    }
    words.into_iter().collect()
}

fn packed(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn spec(dice: &mut Dice, shape: &str, files: &[(PathBuf, Vec<u8>)]) -> JobSpec {
    let sources = if dice.once_in(5) {
        let mut list: Vec<PathBuf> = files.iter().map(|(path, _)| path.clone()).collect();
        list.extend(dice.once_in(2).then(|| list[0].clone()));
        list.extend(dice.once_in(2).then(|| PathBuf::from("in/nowhere.keys")));
        Sources::List(list)
    } else {
        Sources::Folder { dir: IN.into(), recursive: true, include: Vec::new(), exclude: Vec::new() }
    };
    let outputs = match dice.below(3) {
        0 => [Output::Table].into(),
        _ => [Output::Table, Output::Source(Language::C)].into(),
    };
    let kind = dice.one_of(&[Kind::Auto, Kind::Auto, Kind::Chm, Kind::Halves]);
    let last_node = u64::from(shape.as_bytes()[0] - b'0');
    JobSpec {
        sources,
        out: (!dice.once_in(6)).then(|| OUT.into()),
        set: Spec { options: Options { kind, ..Options::default() }, outputs, ..Spec::default() },
        durability: dice.one_of(&[Durability::Process, Durability::Power]),
        node_policy: match dice.below(3) {
            0 => NodePolicy::RoundRobin,
            1 => NodePolicy::LeastLoaded,
            _ => NodePolicy::Node(dice.below(last_node) as u32),
        },
        concurrency: dice.one_of(&[0, 0, 1, 3, 40]),
        per_set_concurrency: dice.below(3) as usize,
        // The least that a set takes is 64 KiB.
        memory: dice.one_of(&[64 << 10, 70 << 10, 300 << 10, 1 << 20, 256 << 20, 256 << 20]),
        failures_max: dice.once_in(4).then(|| dice.below(6)),
        ..JobSpec::default()
    }
}
