//! Whether a set costs the same among a hundred and among a hundred thousand.

use serde_json::{Value, json};

use super::{
    CPU, WALL, figures,
    program::{ENGINES, Ostia, Work, count},
    sets,
};
use crate::{
    arguments::Asked,
    gate::{Gates, Limit},
    harness::{contest::Contest, outside::Taken},
    measure::Rounds,
};

/// How many sets. What one alone takes is the start of a process, and is not counted for the others.
pub(super) const COUNTS: [usize; 5] = [1, 100, 1_000, 10_000, 100_000];

/// A figure is the mean of runs with so many sets together, or of as many runs as this says.
const SETS: usize = 2_000;
const RUNS_MOST: usize = 20;

pub(super) fn cell(count: usize) -> String {
    format!("flat/{count}")
}

/// Cost by count, engine against engine.
pub(super) fn compare(
    asked: &Asked,
    rounds: usize,
    ostia: &mut Ostia,
    gates: &mut Gates,
) -> Result<Value, String> {
    let wanted = COUNTS.into_iter().filter(|&count| asked.wants_cell(&cell(count)));
    // Nobody judges by a quick run, and the largest folder takes longer to write than all else to run.
    let wanted: Vec<usize> = wanted.filter(|&count| !asked.quick || count <= 10_000).collect();
    if wanted.is_empty() {
        return Ok(Value::Null);
    }
    let mut works = Vec::new();
    for &sets in &wanted {
        let dir = sets::small(&ostia.folder, sets)?;
        works.push(Work { sets: count(&dir)?, dir, options: &["--no-file-io"] });
    }
    let names: Vec<String> = wanted.iter().map(|&count| cell(count)).collect();
    let contest = Contest::hold(rounds, &super::COLUMNS, &names, ENGINES.to_vec(), |case, engine| {
        let work = &works[case];
        let runs = SETS.div_ceil(work.sets).min(RUNS_MOST);
        let taken = (0..runs).map(|_| ostia.run(engine, work, &[])).collect::<Result<Vec<Taken>, _>>()?;
        Ok(mean(&taken, work.sets))
    });
    contest.print("Small sets, nothing stored", &["threads"]);
    gates.failed(contest.failures());
    let mut costs = Vec::new();
    for engine in ENGINES {
        for (what, column) in [("wall", WALL), ("CPU", CPU)] {
            let Some(all) = net(&contest, &wanted, engine, column) else { continue };
            println!("\n{what} us a set without the start of the process, {engine}");
            for (count, rounds) in &all {
                let (least, median) = (rounds.least(), rounds.median());
                println!(
                    "{count:>8} sets: median {median:.1}, least {least:.1}, p25 - p75 {:.1} - {:.1}",
                    rounds.quantile(0.25),
                    rounds.quantile(0.75)
                );
                costs.push(json!({ "engine": engine, "what": what, "sets": count, "us": rounds.json() }));
            }
            let rounds: Vec<&Rounds> = all.iter().map(|(_, rounds)| rounds).collect();
            if rounds.len() > 1 {
                let last = wanted.last().unwrap_or(&0);
                gates.all(
                    format!("the farthest from the mean {what} cost of a set, 100 to {last} sets, {engine}"),
                    &Rounds::combined(&rounds, farthest),
                    Limit::AtMost(0.20),
                    None,
                );
            }
        }
    }
    let contest = contest.json(&["threads"]);
    Ok(json!({ "contest": contest, "net": costs }))
}

/// The mean of some runs; of memory the most.
fn mean(taken: &[Taken], sets: usize) -> Vec<f64> {
    let all: Vec<Vec<f64>> = taken.iter().map(|&taken| figures(taken, sets)).collect();
    let column = |column: usize| {
        let of = all.iter().map(|figures| figures[column]);
        match column {
            super::PEAK => of.fold(0.0, f64::max),
            _ => of.sum::<f64>() / all.len() as f64,
        }
    };
    (0..super::COLUMNS.len()).map(column).collect()
}

/// Microseconds a set of each count but 1, without what one set alone takes.
fn net(contest: &Contest, counts: &[usize], engine: &str, column: usize) -> Option<Vec<(usize, Rounds)>> {
    let start = contest.rounds(counts.iter().position(|&count| count == 1)?, engine, column)?;
    let cost = |(case, &count): (usize, &usize)| {
        let rounds = contest.rounds(case, engine, column)?;
        let net = |figures: &[f64]| (figures[0] - figures[1]) * 1e6 / (count - 1) as f64;
        (count > 1).then(|| (count, Rounds::combined(&[rounds, start], net)))
    };
    Some(counts.iter().enumerate().filter_map(cost).collect())
}

/// How far the farthest of some figures is from their mean, as a part of it.
fn farthest(figures: &[f64]) -> f64 {
    let mean = figures.iter().sum::<f64>() / figures.len() as f64;
    figures.iter().map(|figure| (figure / mean - 1.0).abs()).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_farthest_may_be_below_or_above() {
        assert!((farthest(&[10.0, 10.0, 7.0]) - 2.0 / 9.0).abs() < 1e-9);
        assert!((farthest(&[10.0, 10.0, 16.0]) - 1.0 / 3.0).abs() < 1e-9);
    }
}
