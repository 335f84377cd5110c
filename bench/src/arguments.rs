//! The options that all comparisons share.

use std::{fs, path::PathBuf};

use serde_json::Value;

/// At least so many rounds make a median that counts.
pub(crate) const ROUNDS_LEAST: usize = 9;

/// What a comparison may be asked to run alone.
#[derive(Debug)]
pub(crate) enum Names {
    /// Parts, one of them after `--only`.
    Parts(&'static [&'static str]),
    /// Cells, as many as one likes, each by a part of its name.
    Cells(Vec<String>),
}

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// How many rounds; without a word of it, the comparison knows best.
    pub(crate) rounds: Option<usize>,
    /// A short run, to see that everything works: nothing to judge by.
    pub(crate) quick: bool,
    /// One part instead of all.
    pub(crate) only: Option<String>,
    /// Some cells instead of all, by parts of their names.
    cells: Vec<String>,
    /// Where the figures go as JSON, beside the tables.
    pub(crate) json: Option<PathBuf>,
    /// What was typed.
    pub(crate) command: String,
}

impl Asked {
    /// Reads the options of the comparison `name`.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong.
    pub(crate) fn parse(name: &str, names: &Names, options: &[String]) -> Result<Asked, String> {
        let command = ["ostia-bench", name].into_iter().chain(options.iter().map(String::as_str));
        let command = command.collect::<Vec<_>>().join(" ");
        let mut asked =
            Asked { rounds: None, quick: false, only: None, cells: Vec::new(), json: None, command };
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
                    let Names::Parts(parts) = names else {
                        return Err(format!("{name} takes the names of cells instead of --only"));
                    };
                    let part = value()?;
                    if !parts.contains(&part.as_str()) {
                        return Err(format!("--only: one of {}, not {part}", parts.join(", ")));
                    }
                    asked.only = Some(part.to_owned());
                }
                "--json" => asked.json = Some(PathBuf::from(value()?)),
                other => match names {
                    Names::Cells(cells) if !other.starts_with('-') => {
                        if !cells.iter().any(|cell| cell.contains(other)) {
                            return Err(format!("there is no cell {other}; there are {}", cells.join(", ")));
                        }
                        asked.cells.push(other.to_owned());
                    }
                    _ => return Err(format!("there is no option {other}")),
                },
            }
        }
        Ok(asked)
    }

    /// Writes the figures to where they were asked for, if they were.
    pub(crate) fn keep(&self, figures: &Value) -> Result<(), String> {
        let Some(path) = &self.json else { return Ok(()) };
        fs::write(path, format!("{figures:#}\n")).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Whether a cell is to be run.
    pub(crate) fn wants_cell(&self, cell: &str) -> bool {
        self.cells.is_empty() || self.cells.iter().any(|asked| cell.contains(asked))
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
        Asked::parse("port", &Names::Parts(&["echo", "nop"]), &options)
    }

    #[test]
    fn cells_are_named_by_parts_of_their_names() {
        let names = Names::Cells(vec!["echo/1w-1x64B".to_owned(), "wake/one-CPU".to_owned()]);
        let parse = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            Asked::parse("rt", &names, &words)
        };
        let asked = parse(&["echo", "--quick"]).unwrap();
        assert!(asked.quick && asked.wants_cell("echo/1w-1x64B") && !asked.wants_cell("wake/one-CPU"));
        assert!(parse(&[]).unwrap().wants_cell("wake/one-CPU"));
        let refused = parse(&["disk"]).unwrap_err();
        assert_eq!(refused, "there is no cell disk; there are echo/1w-1x64B, wake/one-CPU");
        assert_eq!(parse(&["--only", "echo"]).unwrap_err(), "rt takes the names of cells instead of --only");
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
