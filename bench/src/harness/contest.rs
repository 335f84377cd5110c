//! Programs against each other: the same cases, in turns, round by round.

use std::io::{IsTerminal as _, stderr};

use serde_json::{Value, json};

use crate::measure::Rounds;

/// What programs took, by case, program and column. The first column is the one that is compared.
#[derive(Debug)]
pub(crate) struct Contest {
    columns: &'static [&'static str],
    cases: Vec<String>,
    programs: Vec<&'static str>,
    /// As many as there are cases times programs: of each its columns, or why there are no figures.
    cells: Vec<Result<Vec<Rounds>, String>>,
    /// What ran at first and then no more.
    failed: Vec<String>,
}

impl Contest {
    /// Runs every program once for every case in each round. Who is first changes from round to round and from
    /// case to case, so that nobody is always the one who runs after the slowest.
    ///
    /// What a program cannot do the first time is left out and told of. What it could do before has one more try,
    /// and is then left out too, but as a failure: [`Contest::failures`].
    pub(crate) fn hold(
        rounds: usize,
        columns: &'static [&'static str],
        cases: &[String],
        programs: Vec<&'static str>,
        mut measure: impl FnMut(usize, &'static str) -> Result<Vec<f64>, String>,
    ) -> Contest {
        let cells = vec![Ok(vec![Rounds::default(); columns.len()]); cases.len() * programs.len()];
        let mut contest = Contest { columns, cases: cases.to_vec(), programs, cells, failed: Vec::new() };
        let many = contest.programs.len();
        for round in 0..rounds {
            for (case, called) in cases.iter().enumerate() {
                for turn in 0..many {
                    let program = (turn + round + case) % many;
                    let name = contest.programs[program];
                    if contest.cells[case * many + program].is_err() {
                        continue;
                    }
                    let measured = match measure(case, name) {
                        Err(why) if round > 0 => {
                            eprintln!("{name}, {called}, round {round}, once more: {why}");
                            measure(case, name)
                        }
                        measured => measured,
                    };
                    contest.note(case, program, round, measured);
                }
            }
            // A comparison of many minutes shows that it lives.
            if stderr().is_terminal() {
                eprint!("\rround {} of {rounds} ", round + 1);
            }
        }
        contest
    }

    fn note(&mut self, case: usize, program: usize, round: usize, measured: Result<Vec<f64>, String>) {
        let (name, called) = (self.programs[program], &self.cases[case]);
        let cell = &mut self.cells[case * self.programs.len() + program];
        match (measured, &mut *cell) {
            (Ok(figures), Ok(columns)) => {
                for (rounds, figure) in columns.iter_mut().zip(figures) {
                    rounds.push(figure);
                }
            }
            (Err(why), _) if round == 0 => {
                println!("SKIPPED {name}, {called}: {why}");
                *cell = Err(why);
            }
            (Err(why), _) => {
                println!("FAILED {name}, {called}, round {round}: {why}");
                self.failed.push(format!("{name}, {called}, round {round}: {why}"));
                *cell = Err(why);
            }
            (Ok(_), Err(_)) => unreachable!("what is left out does not run"),
        }
    }

    /// What ran at first and then no more.
    pub(crate) fn failures(&self) -> &[String] {
        &self.failed
    }

    /// What a case is called.
    pub(crate) fn case(&self, case: usize) -> &str {
        &self.cases[case]
    }

    /// The figures of a column; none if the program did not run.
    pub(crate) fn rounds(&self, case: usize, name: &str, column: usize) -> Option<&Rounds> {
        self.cell(case, name)?.as_ref().ok()?.get(column)
    }

    fn cell(&self, case: usize, name: &str) -> Option<&Result<Vec<Rounds>, String>> {
        let program = self.programs.iter().position(|program| *program == name)?;
        Some(&self.cells[case * self.programs.len() + program])
    }

    /// The geometric mean of a program's first column over all cases, of each round.
    pub(crate) fn mean(&self, name: &str) -> Option<Rounds> {
        let all = (0..self.cases.len()).map(|case| self.rounds(case, name, 0).cloned());
        Some(Rounds::geometric_mean(&all.collect::<Option<Vec<Rounds>>>()?))
    }

    /// The cheapest of some programs in a case, by the median of all rounds. To take the cheapest of each round would
    /// compare with a program that does not exist: one that is lucky every time.
    pub(crate) fn best(&self, case: usize, among: &[&'static str]) -> Option<&'static str> {
        let median = |name: &&str| self.rounds(case, name, 0).map(Rounds::median);
        let ran = among.iter().copied().filter(|name| median(name).is_some());
        ran.min_by(|one, other| median(one).unwrap_or(f64::MAX).total_cmp(&median(other).unwrap_or(f64::MAX)))
    }

    /// The figures of a program over those of another, of each round.
    pub(crate) fn ratio(&self, case: usize, name: &str, to: &str) -> Option<Rounds> {
        Some(self.rounds(case, name, 0)?.over(self.rounds(case, to, 0)?))
    }

    /// The geometric mean over all cases of the ratios to the cheapest of some programs, of each round.
    pub(crate) fn mean_ratio(&self, name: &str, among: &[&'static str]) -> Option<Rounds> {
        let ratios = (0..self.cases.len()).map(|case| self.ratio(case, name, self.best(case, among)?));
        Some(Rounds::geometric_mean(&ratios.collect::<Option<Vec<Rounds>>>()?))
    }

    /// The case where a program is the dearest in comparison with the cheapest of some others.
    pub(crate) fn worst_ratio(&self, name: &str, among: &[&'static str]) -> Option<(usize, Rounds)> {
        let ratios =
            (0..self.cases.len()).map(|case| Some((case, self.ratio(case, name, self.best(case, among)?)?)));
        let ratios = ratios.collect::<Option<Vec<_>>>()?;
        ratios.into_iter().max_by(|(_, one), (_, other)| one.median().total_cmp(&other.median()))
    }

    /// Tables for people: median, least and spread of the first column with the ratio to the cheapest of some
    /// programs, and the medians of the other columns.
    pub(crate) fn print(&self, title: &str, against: &[&'static str]) {
        for case in 0..self.cases.len() {
            println!("\n{title}, {}", self.cases[case]);
            print!(
                "{:24} {:>10} {:>10} {:>23} {:>7}",
                self.columns[0], "median", "least", "p25 - p75", "ratio"
            );
            for column in &self.columns[1..] {
                print!(" {column:>16}");
            }
            println!();
            let best = self.best(case, against);
            for name in &self.programs {
                let Some(first) = self.rounds(case, name, 0) else { continue };
                let ratio = best.and_then(|best| self.ratio(case, name, best));
                let ratio = ratio.map_or(String::new(), |ratio| format!("{:.2}", ratio.median()));
                let spread = format!("{} - {}", figure(first.quantile(0.25)), figure(first.quantile(0.75)));
                let (median, least) = (figure(first.median()), figure(first.least()));
                print!("{name:24} {median:>10} {least:>10} {spread:>23} {ratio:>7}");
                for column in 1..self.columns.len() {
                    let median = self.rounds(case, name, column).map_or(0.0, Rounds::median);
                    print!(" {:>16}", figure(median));
                }
                println!();
            }
        }
    }

    /// Everything for machines.
    pub(crate) fn json(&self, against: &[&'static str]) -> Value {
        let program = |case: usize, name: &&'static str| {
            let columns = |column: usize| {
                Some((self.columns[column].to_owned(), self.rounds(case, name, column)?.json()))
            };
            let figures: serde_json::Map<_, _> = (0..self.columns.len()).filter_map(columns).collect();
            let ratio = self.best(case, against).and_then(|best| self.ratio(case, name, best));
            json!({ "name": name, "figures": figures, "ratio": ratio.map(|ratio| ratio.json()) })
        };
        let cases: Vec<Value> = (0..self.cases.len())
            .map(|case| {
                let programs: Vec<Value> = self.programs.iter().map(|name| program(case, name)).collect();
                json!({ "case": self.cases[case], "against": self.best(case, against), "programs": programs })
            })
            .collect();
        let skipped = |case: usize, name: &&'static str| match self.cell(case, name)? {
            Ok(_) => None,
            Err(why) => Some(json!({ "name": name, "case": self.cases[case], "why": why })),
        };
        let skipped: Vec<Value> = (0..self.cases.len())
            .flat_map(|case| self.programs.iter().filter_map(move |name| skipped(case, name)))
            .collect();
        json!({ "cases": cases, "skipped": skipped, "failed": self.failed })
    }
}

/// Four digits or so, whatever the size.
fn figure(figure: f64) -> String {
    match figure.abs() {
        0.0 => "0".into(),
        small if small < 1.0 => format!("{figure:.4}"),
        small if small < 10.0 => format!("{figure:.3}"),
        small if small < 100.0 => format!("{figure:.2}"),
        small if small < 1000.0 => format!("{figure:.1}"),
        _ => format!("{figure:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two cases, three programs of fixed cost, and one that cannot run.
    fn contest() -> Contest {
        let cases = ["small".to_owned(), "large".to_owned()];
        let cost = |case, name| match (case, name) {
            (0, "raw") => Ok(vec![10.0]),
            (1, "raw") => Ok(vec![40.0]),
            (0, "other") => Ok(vec![11.0]),
            (1, "other") => Ok(vec![20.0]),
            (0, "ours") => Ok(vec![20.0]),
            (1, "ours") => Ok(vec![40.0]),
            _ => Err("no such kernel".to_owned()),
        };
        Contest::hold(3, &["ns"], &cases, vec!["raw", "other", "ours", "foreign"], cost)
    }

    #[test]
    fn the_cheapest_is_chosen_case_by_case() {
        let contest = contest();
        assert_eq!(contest.best(0, &["raw", "other"]), Some("raw"));
        assert_eq!(contest.best(1, &["raw", "other"]), Some("other"));
        let mean = |among: &[&'static str]| contest.mean_ratio("ours", among).unwrap().median();
        assert!((mean(&["raw", "other"]) - 2.0).abs() < 1e-9);
        assert!((mean(&["raw"]) - 2.0_f64.sqrt()).abs() < 1e-9);
    }

    #[test]
    fn the_worst_case_is_the_one_that_is_dearest_in_comparison() {
        let (case, ratio) = contest().worst_ratio("ours", &["raw"]).unwrap();
        assert_eq!((case, ratio.median()), (0, 2.0));
    }

    #[test]
    fn a_program_that_cannot_run_has_a_reason_and_no_figures() {
        let contest = contest();
        assert!(contest.rounds(0, "foreign", 0).is_none());
        assert!(contest.mean_ratio("foreign", &["raw"]).is_none());
        assert_eq!(contest.json(&["raw"])["skipped"][0]["why"], "no such kernel");
    }

    #[test]
    fn a_program_that_fails_later_twice_is_left_out_as_a_failure() {
        let mut runs = 0;
        let measure = |_, _| {
            runs += 1;
            if [2, 4, 5].contains(&runs) { Err("it hung up".to_owned()) } else { Ok(vec![1.0]) }
        };
        let contest = Contest::hold(4, &["ns"], &["small".to_owned()], vec!["ours"], measure);
        assert_eq!(contest.failures(), ["ours, small, round 2: it hung up"]);
        assert!(contest.rounds(0, "ours", 0).is_none());
        assert_eq!(runs, 5);
    }

    #[test]
    fn the_mean_of_a_program_is_over_all_cases() {
        let contest = contest();
        assert!((contest.mean("raw").unwrap().median() - 20.0).abs() < 1e-9);
        assert!(contest.mean("foreign").is_none());
    }
}
