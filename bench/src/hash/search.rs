//! Search: graphs a CPU second, attempts of the predecessor's functions, first tables, whole folders.

use std::{collections::BTreeSet, env, fs, hint::black_box, path::Path, process};

use ostia_emit::lang::Language;
use ostia_forge::{
    find::Sources,
    spec::{JobSpec, Output, Spec},
    threads as plain,
};
use ostia_hash::{
    create::{Options, create},
    function::classic::{Classic, RngSpec},
    keys::KeySet,
    kind::{
        chm::{ChmProblem, Sizes},
        contracted::ContractedProblem,
    },
    search::{Alone, Attempt, Problem},
};
use serde_json::{Value, json};

use super::sets::{self, Named};
use crate::{
    gate::{Gates, Limit},
    measure::{Rounds, process_cpu, seconds},
};

/// Attempts with one side 1, once searches are long: a round pays for choosing it once.
const EPOCH: u64 = 1 << 14;

/// The first attempt of the first epoch that is as long as that.
const LONG_EPOCHS: u64 = 21_841;

/// A predecessor's function on a set: milliseconds of CPU an attempt in the predecessor, from and to.
const PREDECESSOR: [(&str, f64, f64); 2] = [(sets::HOLOGRAM, 0.40, 0.60), (sets::MSHTML, 1.07, 1.51)];

/// Everything about searching; gates go to `gates`.
pub(crate) fn measure(rounds: usize, gates: &mut Gates) -> Result<Value, String> {
    let Some(folder) = sets::folder() else {
        eprintln!("SKIPPED search: OSTIA_KEYS is not set");
        return Ok(Value::Null);
    };
    let mut figures = Vec::new();
    let mut told = |what: String, rounds: Rounds| {
        println!(
            "{what}: least {:.3}, median {:.3}, p10 - p90 {:.3} - {:.3}",
            rounds.least(),
            rounds.median(),
            rounds.quantile(0.1),
            rounds.quantile(0.9)
        );
        figures.push(json!({ "what": what, "figures": rounds.json() }));
    };
    println!("\nSearch, one thread, CPU time");
    graphs(rounds, gates, &mut told)?;
    attempts(rounds, gates, &mut told)?;
    first_tables(&folder, rounds, gates, &mut told)?;
    folders(&folder, rounds, gates, &mut told)?;
    Ok(Value::Array(figures))
}

type Told<'a> = dyn FnMut(String, Rounds) + 'a;

fn hard(name: &str) -> Result<Named, String> {
    sets::hard(name).ok_or_else(|| format!("OSTIA_KEYS has no hard/{name}.keys"))
}

fn graphs(rounds: usize, gates: &mut Gates, told: &mut Told<'_>) -> Result<(), String> {
    let keys = hard(sets::HOLOGRAM)?.keys;
    let problem = ContractedProblem {
        words: keys.into(),
        first: 15,
        second: 15,
        rng: RngSpec::default(),
        with_entries: false,
    };
    let mut scratch = problem.scratch();
    let (mut all, mut acyclic) = (Rounds::default(), Rounds::default());
    for round in 0..rounds as u64 {
        let begin = LONG_EPOCHS + round * EPOCH;
        let mut attempt =
            |number| matches!(problem.attempt(number, &mut scratch, &Alone), Attempt::Solved(_));
        let (taken, solved) = seconds(|| (begin..begin + EPOCH).filter(|&number| attempt(number)).count());
        all.push(EPOCH as f64 / taken);
        acyclic.push(solved as f64 / taken);
    }
    let what = format!("acyclic graphs a CPU second, {}", sets::HOLOGRAM);
    gates.native(what.clone(), &acyclic, Limit::AtLeast(10_000.0), Some(14_000.0));
    told(format!("graphs a CPU second, {}", sets::HOLOGRAM), all);
    told(what, acyclic);
    Ok(())
}

fn attempts(rounds: usize, gates: &mut Gates, told: &mut Told<'_>) -> Result<(), String> {
    const ATTEMPTS: u64 = 200;
    for (name, from, to) in PREDECESSOR {
        let keys = hard(name)?.keys;
        let sizes = Sizes::for_keys(keys.len()).ok_or("too many keys")?;
        let functions = [Classic::MultiplyShiftRX, Classic::Mulshrolate4RX];
        let mut both = Vec::new();
        for function in functions {
            let problem =
                ChmProblem::new(keys.as_slice(), function, sizes).map_err(|refused| refused.to_string())?;
            let scratch = problem.scratch();
            both.push((function, problem, scratch, Rounds::default()));
        }
        for _ in 0..rounds {
            for (_, problem, scratch, times) in &mut both {
                let (taken, ()) = seconds(|| {
                    for number in 1..=ATTEMPTS {
                        black_box(problem.attempt(number, scratch, &Alone));
                    }
                });
                times.push(taken * 1e3 / ATTEMPTS as f64);
            }
        }
        let middle = (from + to) / 2.0;
        for (function, _, _, times) in both {
            let what = format!("ms an attempt, {}, {name}", function.name());
            // The predecessor's figures are those of the reference, measured on the same kind of machine.
            let (gate, goal) = (middle / 5.0, middle / 15.0);
            gates.all(
                format!("{what} (predecessor {from} to {to} in the reference)"),
                &times,
                Limit::AtMost(gate),
                Some(goal),
            );
            told(what, times);
        }
    }
    Ok(())
}

/// `auto` on every hard set: keys checked, table found, every key verified.
fn first_tables(folder: &Path, rounds: usize, gates: &mut Gates, told: &mut Told<'_>) -> Result<(), String> {
    let one = |keys: &[u32]| -> Result<f64, String> {
        let (taken, made) = seconds(|| {
            let set = KeySet::u32s(keys).map_err(|error| error.to_string())?;
            create(&set, None, &Options::default(), &Alone).map_err(|failure| failure.to_string())
        });
        made.map(|_| taken * 1e3)
    };
    let read = |part: &str| -> Result<Vec<Named>, String> {
        let dir = folder.join(part);
        let fail = |error: std::io::Error| format!("{}: {error}", dir.display());
        let mut paths: Vec<_> = fs::read_dir(&dir)
            .map_err(fail)?
            .map(|entry| entry.map(|e| e.path()))
            .collect::<Result<_, _>>()
            .map_err(fail)?;
        paths.sort();
        paths
            .into_iter()
            .map(|path| {
                let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
                let keys = sets::packed(&fs::read(&path).map_err(fail)?);
                Ok(Named { name, keys })
            })
            .collect()
    };
    let hard = read("hard")?;
    let mut times: Vec<Rounds> = hard.iter().map(|_| Rounds::default()).collect();
    for _ in 0..rounds {
        for (set, times) in hard.iter().zip(&mut times) {
            times.push(one(&set.keys)?);
        }
    }
    let (set, worst) = hard
        .iter()
        .zip(times)
        .max_by(|(_, a), (_, b)| a.median().total_cmp(&b.median()))
        .ok_or("there is no hard set")?;
    let what =
        format!("ms to the first verified table, the worst of {} hard sets ({})", hard.len(), set.name);
    gates.all(what.clone(), &worst, Limit::AtMost(10.0), None);
    told(what, worst);
    for set in read("hardest")? {
        let mut times = Rounds::default();
        for _ in 0..rounds {
            times.push(one(&set.keys)?);
        }
        let what = format!("ms to the first verified table, {}", set.name);
        gates.all(what.clone(), &times, Limit::AtMost(300.0), Some(150.0));
        told(what, times);
    }
    Ok(())
}

/// Read, solved and verified on one thread; then everything, stored, on every core.
fn folders(folder: &Path, rounds: usize, gates: &mut Gates, told: &mut Told<'_>) -> Result<(), String> {
    let dir = folder.join("sys32-1000");
    let cores = std::thread::available_parallelism().map_or(1, Into::into);
    let bulk = |threads: usize, outputs: &[Output], out: Option<&Path>| -> Result<f64, String> {
        let spec = Spec { outputs: BTreeSet::from_iter(outputs.iter().copied()), ..Spec::default() };
        let sources =
            Sources::Folder { dir: dir.clone(), recursive: false, include: vec![], exclude: vec![] };
        let job = JobSpec { sources, out: out.map(Path::to_owned), set: spec, ..JobSpec::default() };
        let summary = plain::run(&job, threads, &Alone, &|_| ()).map_err(|error| error.to_string())?;
        let failed = summary.totals.counts.found - summary.totals.counts.done;
        if failed > 0 {
            return Err(format!("{failed} sets of {} failed", dir.display()));
        }
        Ok(summary.elapsed.as_secs_f64())
    };
    let mut alone = Rounds::default();
    for _ in 0..rounds {
        let (taken, done) = seconds(|| bulk(1, &[], None));
        done?;
        alone.push(taken);
    }
    let what = "CPU s to read, solve and verify sys32-1000".to_owned();
    gates.all(what.clone(), &alone, Limit::AtMost(0.3), None);
    told(what, alone);

    let outputs = [Output::Table, Output::Source(Language::C), Output::Source(Language::Rust)];
    let (mut wall, mut cpu) = (Rounds::default(), Rounds::default());
    for round in 0..rounds {
        let out = env::temp_dir().join(format!("ostia-bench-{}-{round}", process::id()));
        let begun = process_cpu();
        let done = bulk(cores, &outputs, Some(&out));
        cpu.push((process_cpu() - begun).as_secs_f64());
        fs::remove_dir_all(&out).map_err(|error| format!("{}: {error}", out.display()))?;
        wall.push(done?);
    }
    let what = format!("wall s of bulk-create of sys32-1000, C, Rust and table files, {cores} threads");
    gates.all(what.clone(), &wall, Limit::AtMost(3.0), None);
    told(what, wall);
    told("CPU s of the same, all threads".to_owned(), cpu);
    Ok(())
}
