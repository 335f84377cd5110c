//! Counting tests from what the test harness prints.

use std::fmt;

/// Tests counted by what became of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Tally {
    /// Tests that passed.
    pub(crate) passed: u64,
    /// Tests that failed.
    pub(crate) failed: u64,
    /// Tests marked as ignored.
    pub(crate) ignored: u64,
    /// Tests that said `SKIPPED`; the harness counts them among the passed.
    pub(crate) skipped: u64,
    /// Tests that said `WINE-DIFFERS`: they expect what Wine does wrong.
    pub(crate) wine_differs: u64,
}

impl Tally {
    /// Hears one line of a test run.
    pub(crate) fn hear(&mut self, line: &str) {
        if line.starts_with("SKIPPED ") {
            self.skipped += 1;
        } else if line.starts_with("WINE-DIFFERS ") {
            self.wine_differs += 1;
        } else if let Some((_, counts)) =
            line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        {
            // "ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s"
            for part in counts.split("; ") {
                let Some((number, word)) = part.split_once(' ') else { continue };
                let Ok(number) = number.parse::<u64>() else { continue };
                match word {
                    "passed" => self.passed += number,
                    "failed" => self.failed += number,
                    "ignored" => self.ignored += number,
                    _ => {}
                }
            }
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        let rest = [
            (self.ignored, "ignored"),
            (self.skipped, "skipped"),
            (self.wine_differs, "known to differ in Wine"),
        ];
        for (number, word) in rest {
            if number > 0 {
                write!(f, ", {number} {word}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_several_programs_are_added_up() {
        let mut tally = Tally::default();
        tally.hear("running 13 tests");
        tally.hear(
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s",
        );
        tally.hear(
            "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s",
        );
        tally.hear("SKIPPED known_rows: OSTIA_KEYS is not set");
        tally.hear("test a_test ... ok");
        assert_eq!(tally, Tally { passed: 16, failed: 2, ignored: 1, skipped: 1, wine_differs: 0 });
        assert_eq!(tally.to_string(), "16 passed, 2 failed, 1 ignored, 1 skipped");
    }
}
