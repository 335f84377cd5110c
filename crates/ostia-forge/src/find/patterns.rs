//! Patterns of names and paths, as shells have them.

use std::{fmt, path::Path};

use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};

/// A pattern that says nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PatternError {
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the pattern \"{}\" cannot be read: {}; * stands for any part of a name, ? for one character, [ab] for \
             one of these, ** for any folders",
            self.pattern.escape_debug(),
            self.why
        )
    }
}

impl std::error::Error for PatternError {}

/// Which files are taken, and which files and folders are not.
#[derive(Clone, Debug)]
pub(super) struct Patterns {
    /// `None` takes every file.
    include: Option<Set>,
    exclude: Option<Set>,
}

impl Patterns {
    pub(super) fn new(include: &[String], exclude: &[String]) -> Result<Patterns, PatternError> {
        Ok(Patterns { include: Set::new(include)?, exclude: Set::new(exclude)? })
    }

    /// False when nothing is asked, so that nobody needs to make up paths to ask about.
    pub(super) fn ask(&self) -> bool {
        self.include.is_some() || self.exclude.is_some()
    }

    /// Whether a file is taken, by its path from the folder that is searched.
    pub(super) fn take(&self, path: &Path) -> bool {
        self.include.as_ref().is_none_or(|set| set.matches(path)) && self.enter(path)
    }

    /// Whether a folder is entered.
    pub(super) fn enter(&self, path: &Path) -> bool {
        self.exclude.as_ref().is_none_or(|set| !set.matches(path))
    }
}

/// Patterns of which one must match.
#[derive(Clone, Debug)]
struct Set {
    names: GlobSet,
    paths: GlobSet,
}

impl Set {
    /// `None` when there is no pattern.
    fn new(patterns: &[String]) -> Result<Option<Set>, PatternError> {
        let mut names = GlobSetBuilder::new();
        let mut paths = GlobSetBuilder::new();
        for pattern in patterns {
            let fail = |why: String| PatternError { pattern: pattern.clone(), why };
            // As it may be typed: `./a/*`, `/a/*`, and a folder with a separator at its end.
            let plain = pattern.strip_prefix('.').filter(|p| p.starts_with('/')).unwrap_or(pattern);
            let plain = plain.strip_prefix('/').unwrap_or(plain);
            let plain = plain.strip_suffix('/').unwrap_or(plain);
            if plain.is_empty() {
                return Err(fail("it is empty".into()));
            }
            // A pattern means the same on every system: `\` takes the next character as it is, also on Windows.
            let glob = GlobBuilder::new(plain)
                .literal_separator(true)
                .backslash_escape(true)
                .build()
                .map_err(|why| fail(why.kind().to_string()))?;
            let by_path = pattern.trim_end_matches('/').contains('/');
            if by_path { &mut paths } else { &mut names }.add(glob);
        }
        let build = |set: GlobSetBuilder| {
            set.build().map_err(|why| PatternError { pattern: patterns.join(" "), why: why.to_string() })
        };
        let set = Set { names: build(names)?, paths: build(paths)? };
        Ok((!patterns.is_empty()).then_some(set))
    }

    fn matches(&self, path: &Path) -> bool {
        let name = || Candidate::new(Path::new(path.file_name().unwrap_or_default()));
        (!self.names.is_empty() && self.names.is_match_candidate(&name()))
            || (!self.paths.is_empty() && self.paths.is_match(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn taken(include: &[&str], exclude: &[&str], path: &str) -> bool {
        let texts = |all: &[&str]| all.iter().map(|&p| p.to_owned()).collect::<Vec<_>>();
        Patterns::new(&texts(include), &texts(exclude)).unwrap().take(Path::new(path))
    }

    #[test]
    fn a_pattern_without_a_separator_is_about_the_name() {
        assert!(taken(&["a*.keys"], &[], "deep/down/ab.keys"));
        assert!(!taken(&["a*.keys"], &[], "a/b.keys"));
        assert!(!taken(&["A*.keys"], &[], "ab.keys"));
        assert!(taken(&["*.{keys,csv}"], &[], "ab.csv"));
        assert!(taken(&["[ab]?.keys"], &[], "b7.keys"));
        assert!(taken(&[r"\*.keys"], &[], "*.keys"));
        assert!(!taken(&[r"\*.keys"], &[], "a.keys"));
    }

    #[test]
    fn a_pattern_with_a_separator_is_about_the_way_from_the_folder() {
        assert!(taken(&["a/*.keys"], &[], "a/b.keys"));
        assert!(!taken(&["a/*.keys"], &[], "a/deep/b.keys"));
        assert!(!taken(&["a/*.keys"], &[], "x/a/b.keys"));
        assert!(taken(&["a/**/*.keys"], &[], "a/deep/down/b.keys"));
        assert!(taken(&["**/down/*"], &[], "a/deep/down/b.keys"));
        assert!(taken(&["./b.keys"], &[], "b.keys"));
        assert!(taken(&["/b.keys"], &[], "b.keys"));
        assert!(!taken(&["./b.keys"], &[], "a/b.keys"));
        assert!(!taken(&["/b.keys"], &[], "a/b.keys"));
    }

    #[test]
    fn what_is_excluded_is_out_whatever_is_included() {
        assert!(taken(&[], &["b*"], "a.keys"));
        assert!(!taken(&["*.keys"], &["b*"], "b.keys"));
        let patterns = Patterns::new(&["*.keys".into()], &["old/".into(), "a/b".into()]).unwrap();
        assert!(!patterns.enter(Path::new("old")) && !patterns.enter(Path::new("deep/old")));
        assert!(!patterns.enter(Path::new("a/b")) && patterns.enter(Path::new("x/a/b")));
        // What is included is about files; any folder may hold one.
        assert!(patterns.enter(Path::new("a")));
    }

    #[test]
    fn a_bad_pattern_is_named() {
        for (pattern, because) in
            [("a[", "unclosed character class"), ("{a", "unclosed alternate"), ("", "it is empty")]
        {
            for (include, exclude) in [(vec![pattern.to_owned()], vec![]), (vec![], vec![pattern.to_owned()])]
            {
                let why = Patterns::new(&include, &exclude).unwrap_err().to_string();
                assert!(
                    why.starts_with(&format!("the pattern \"{pattern}\" cannot be read: {because}")),
                    "{why}"
                );
            }
        }
    }
}
