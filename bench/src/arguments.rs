//! The options that all comparisons share.

use std::path::PathBuf;

/// At least so many rounds make a median that counts.
pub(crate) const ROUNDS_LEAST: usize = 9;

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// How many rounds; without a word of it, the comparison knows best.
    pub(crate) rounds: Option<usize>,
    /// A short run, to see that everything works: nothing to judge by.
    pub(crate) quick: bool,
    /// One part instead of all.
    pub(crate) only: Option<String>,
    /// Where the figures go as JSON, beside the tables.
    pub(crate) json: Option<PathBuf>,
    /// What was typed.
    pub(crate) command: String,
}

impl Asked {
    /// Reads the options of the comparison `name`, whose parts are `parts`.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong.
    pub(crate) fn parse(name: &str, parts: &[&str], options: &[String]) -> Result<Asked, String> {
        let command = ["ostia-bench", name].into_iter().chain(options.iter().map(String::as_str));
        let command = command.collect::<Vec<_>>().join(" ");
        let mut asked = Asked { rounds: None, quick: false, only: None, json: None, command };
        let mut left = options.iter();
        while let Some(option) = left.next() {
            let mut value = || left.next().ok_or_else(|| format!("{option} needs a value"));
            match option.as_str() {
                "--quick" => asked.quick = true,
                "--rounds" => {
                    let rounds = value()?.parse().map_err(|error| format!("--rounds: {error}"))?;
                    if rounds < ROUNDS_LEAST {
                        return Err(format!("--rounds: at least {ROUNDS_LEAST}"));
                    }
                    asked.rounds = Some(rounds);
                }
                "--only" => {
                    let part = value()?;
                    if !parts.contains(&part.as_str()) {
                        return Err(format!("--only: one of {}, not {part}", parts.join(", ")));
                    }
                    asked.only = Some(part.to_owned());
                }
                "--json" => asked.json = Some(PathBuf::from(value()?)),
                other => return Err(format!("there is no option {other}")),
            }
        }
        Ok(asked)
    }

    /// Whether a part of the comparison is to be run.
    pub(crate) fn wants(&self, part: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Asked, String> {
        let options: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Asked::parse("port", &["echo", "nop"], &options)
    }

    #[test]
    fn a_part_that_was_named_is_wanted_alone() {
        let asked = parse("--only nop --rounds 11").unwrap();
        assert!(asked.wants("nop") && !asked.wants("echo"));
        assert_eq!(asked.rounds, Some(11));
        assert_eq!(asked.command, "ostia-bench port --only nop --rounds 11");
    }

    #[test]
    fn what_cannot_be_done_is_refused_in_a_sentence() {
        assert_eq!(parse("--rounds 3").unwrap_err(), "--rounds: at least 9");
        assert_eq!(parse("--only files").unwrap_err(), "--only: one of echo, nop, not files");
        assert_eq!(parse("--json").unwrap_err(), "--json needs a value");
        assert_eq!(parse("--slow").unwrap_err(), "there is no option --slow");
    }
}
