//! How many cases became what, and how many must.

use std::fmt;

/// Cases of one back end, counted by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) run: usize,
    pub(crate) skipped: usize,
    pub(crate) wine_differs: usize,
    pub(crate) failed: usize,
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals { run, skipped, wine_differs, failed } = self;
        write!(f, "{run} run, {skipped} skipped, {wine_differs} differ in Wine, {failed} failed")
    }
}

/// What `totals.txt` asks of a back end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Owed {
    pub(crate) run_min: usize,
    pub(crate) skipped_max: usize,
    pub(crate) wine_differs_max: usize,
}

impl Owed {
    /// Of the back end of this name; none if the file does not speak of it.
    pub(crate) fn of(name: &str) -> Option<Owed> {
        let lines = include_str!("totals.txt").lines().filter(|line| !line.starts_with('#'));
        let mut words = lines
            .map(str::split_whitespace)
            .find_map(|mut words| (words.next() == Some(name)).then_some(words))?;
        let mut number =
            || words.next().and_then(|word| word.parse().ok()).expect("totals.txt: three numbers");
        Some(Owed { run_min: number(), skipped_max: number(), wine_differs_max: number() })
    }

    /// What is wrong with these totals, if anything is.
    pub(crate) fn broken_by(&self, totals: &Totals) -> Option<String> {
        let check = |what: &str, found: usize, bound: &str, owed: usize, holds: bool| {
            (!holds).then(|| format!("{found} {what}, and totals.txt asks for at {bound} {owed}"))
        };
        check("run", totals.run, "least", self.run_min, totals.run >= self.run_min)
            .or_else(|| {
                let holds = totals.skipped <= self.skipped_max;
                check("skipped", totals.skipped, "most", self.skipped_max, holds)
            })
            .or_else(|| {
                let holds = totals.wine_differs <= self.wine_differs_max;
                check("differ in Wine", totals.wine_differs, "most", self.wine_differs_max, holds)
            })
    }
}
