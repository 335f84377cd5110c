//! What CONFORMANCE.md says, held against the tests that it names.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::house::House;

/// The lists of rules: what their numbers begin with, and how many there are.
const LISTS: [(&str, usize); 9] = [
    ("E", 27),
    ("P", 12),
    ("S", 33),
    ("C", 13),
    ("F", 9),
    ("A", 2),
    ("IOCP ", 95),
    ("uring ", 55),
    ("local ", 18),
];

/// How it stands with a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Held,
    NotYet,
    NotProvable,
    DoesNotApply,
}

/// One row of a list.
#[derive(Debug, PartialEq, Eq)]
struct Row<'a> {
    rule: &'a str,
    cell: &'a str,
}

impl<'a> Row<'a> {
    fn of(line: &'a str) -> Option<Row<'a>> {
        let inner = line.strip_prefix("| ")?.strip_suffix(" |")?;
        let [rule, _, cell] = inner.splitn(3, " | ").collect::<Vec<_>>()[..] else { return None };
        let is_rule = LISTS.iter().any(|(prefix, _)| {
            rule.strip_prefix(prefix).is_some_and(|number| number.parse::<usize>().is_ok())
        });
        is_rule.then_some(Row { rule, cell })
    }

    fn standing(&self) -> Standing {
        let begins = |word: &str| self.cell.starts_with(word);
        if begins("not yet: ") {
            Standing::NotYet
        } else if begins("not provable here: ") {
            Standing::NotProvable
        } else if begins("does not apply: ") {
            Standing::DoesNotApply
        } else {
            Standing::Held
        }
    }

    /// What is said to be still to come.
    fn awaited(&self) -> &'a str {
        let Some((_, after)) = self.cell.split_once("awaits ") else { return "" };
        after.split(';').next().unwrap_or(after)
    }

    /// Tests that are said to exist.
    fn named(&self) -> Vec<&'a str> {
        let awaited = tests_in(self.awaited());
        tests_in(self.cell).into_iter().filter(|test| !awaited.contains(test)).collect()
    }
}

/// Names of tests: what stands in code and has a path.
fn tests_in(text: &str) -> Vec<&str> {
    let code = text.split('`').skip(1).step_by(2);
    // Paths of types, which begin with a capital, are no tests.
    code.filter(|code| code.contains("::") && !code.contains(|c: char| c.is_uppercase() || c == ' '))
        .collect()
}

/// Whether there is a test of that name where the name says.
fn exists(root: &Path, test: &str) -> bool {
    let (place, name) = test.rsplit_once("::").expect("a test has a path");
    let port = root.join("crates/ostia-port");
    let (first, rest) = place.split_once("::").unwrap_or((place, ""));
    let folders = match first {
        "os" => vec![
            root.join("crates/ostia-os/tests").join(path(rest)),
            root.join("crates/ostia-os/src").join(path(rest)),
        ],
        "src" => vec![port.join("src").join(path(rest))],
        // The runtime's tests; `rt::src::` are its unit tests.
        "rt" => vec![
            root.join("crates/ostia-rt/tests").join(path(rest)),
            root.join("crates/ostia-rt").join(path(rest)),
        ],
        "xtask" => return files(&root.join("xtask/src")).iter().any(|file| has_test(file, name)),
        _ => vec![port.join("tests").join(path(place)), port.join("tests/conformance").join(path(place))],
    };
    folders.iter().any(|module| {
        let file = module.with_extension("rs");
        [file, module.join("mod.rs"), module.join("main.rs")].iter().any(|file| has_test(file, name))
    })
}

fn path(modules: &str) -> PathBuf {
    modules.split("::").collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).expect("it can be listed").flatten().map(|entry| entry.path()).collect()
}

/// Whether the file has a test function, or a case of the conformance suite, of this name.
fn has_test(file: &Path, name: &str) -> bool {
    let Ok(text) = fs::read_to_string(file) else { return false };
    let cases = text
        .split_once("cases![")
        .and_then(|(_, after)| after.split_once(']'))
        .map_or("", |(cases, _)| cases);
    if cases.split(',').any(|case| case.trim() == name) {
        return true;
    }
    let function = format!("fn {name}(");
    let mut is_test = false;
    for line in text.lines().map(str::trim_start) {
        if line.starts_with(&function) {
            return is_test;
        }
        // Attributes stand above the function, in any order, with notes between them.
        is_test = line == "#[test]" || is_test && (line.starts_with("#[") || line.starts_with("//"));
    }
    false
}

fn page() -> (PathBuf, String) {
    let root = House::here().root;
    let page = fs::read_to_string(root.join("CONFORMANCE.md")).expect("CONFORMANCE.md is there");
    (root, page)
}

#[test]
fn every_rule_has_one_row() {
    let (_, page) = page();
    let rows: Vec<Row<'_>> = page.lines().filter_map(Row::of).collect();
    for (prefix, count) in LISTS {
        for number in 1..=count {
            let rule = format!("{prefix}{number}");
            assert_eq!(rows.iter().filter(|row| row.rule == rule).count(), 1, "{rule}");
        }
    }
    assert_eq!(rows.len(), LISTS.iter().map(|(_, count)| count).sum::<usize>(), "rules beyond the lists");
}

#[test]
fn every_test_that_a_rule_names_exists_and_no_awaited_one_does() {
    let (root, page) = page();
    let mut wrong = Vec::new();
    for row in page.lines().filter_map(Row::of) {
        let rule = row.rule;
        if row.standing() == Standing::Held && row.named().is_empty() {
            wrong.push(format!("{rule} is held, and names no test"));
        }
        for test in row.named().into_iter().filter(|test| !exists(&root, test)) {
            wrong.push(format!("{rule} names {test}, which does not exist"));
        }
        for test in tests_in(row.awaited()).into_iter().filter(|test| exists(&root, test)) {
            wrong.push(format!("{rule} awaits {test}, which exists: is it held now?"));
        }
    }
    assert!(wrong.is_empty(), "in CONFORMANCE.md:\n{}", wrong.join("\n"));
}

#[test]
fn the_sums_are_those_of_the_rows() {
    let (_, page) = page();
    let mut sums: Vec<BTreeMap<Standing, usize>> = vec![BTreeMap::new(); LISTS.len() + 1];
    for row in page.lines().filter_map(Row::of) {
        let list = LISTS.iter().position(|(prefix, _)| {
            row.rule.strip_prefix(prefix).is_some_and(|number| number.parse::<usize>().is_ok())
        });
        for place in [list.expect("it is a rule's row"), LISTS.len()] {
            *sums[place].entry(row.standing()).or_default() += 1;
        }
    }
    // The table of sums: a name and five numbers in each row.
    let told = page.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
        cells.get(1..6)?.iter().map(|cell| cell.parse().ok()).collect::<Option<Vec<usize>>>()
    });
    let expected = sums.iter().map(|sum| {
        let of = |standing| sum.get(&standing).copied().unwrap_or(0);
        let all = sum.values().sum();
        vec![
            all,
            of(Standing::Held),
            of(Standing::NotYet),
            of(Standing::NotProvable),
            of(Standing::DoesNotApply),
        ]
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        expected.collect::<Vec<_>>(),
        "rules, held, not yet, not provable, do not apply"
    );
}

#[test]
fn a_row_says_how_it_stands_and_which_tests_there_are() {
    let row =
        Row::of("| IOCP 7 | A rule. | not yet: awaits `a::b`, `c::d`; part of it: `e::f`, `Path::new` |")
            .expect("a row");
    assert_eq!((row.rule, row.standing()), ("IOCP 7", Standing::NotYet));
    assert_eq!((tests_in(row.awaited()), row.named()), (vec!["a::b", "c::d"], vec!["e::f"]));
    let row = Row::of("| E7 | A | rule. | `a::b` (a note) |");
    assert_eq!(row.map(|row| row.standing()), Some(Standing::Held));
    assert_eq!(Row::of("| rule | what must be so | held by |"), None);
    assert_eq!(Row::of("| Event loops | 27 | 1 | 2 | 3 | 4 |"), None);
}

/// The call that ends only what the calling thread began is never the right one.
#[test]
fn no_source_cancels_by_thread() {
    let mut folders = vec![House::here().root.join("crates")];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for path in files(&folder) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file is text");
                let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
                assert!(words.all(|word| word != "CancelIo"), "{}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 100, "the sources were looked for in the wrong place");
}
