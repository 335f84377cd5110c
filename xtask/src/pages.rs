//! What the pages of docs/ say of the code, held against the code.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::house::House;

/// Names in `code` in the last cell of a table's row, where docs/defects.md keeps the tests.
fn tests_named(page: &str) -> Vec<&str> {
    let rows = page.lines().filter(|line| line.starts_with("| "));
    rows.filter_map(|row| row.trim_end_matches([' ', '|']).rsplit_once(" | "))
        .filter(|(_, cell)| !cell.starts_with("pending") && !cell.starts_with("step "))
        .flat_map(|(_, cell)| cell.split('`').skip(1).step_by(2))
        .collect()
}

/// The name of every function in the folder's Rust files, those below it included.
fn functions(folder: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders: Vec<PathBuf> = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the checkout can be listed").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file is text");
                let named = text.lines().filter_map(|line| line.trim_start().strip_prefix("fn "));
                names.extend(named.filter_map(|rest| Some(rest.split_once(['(', '<'])?.0.to_owned())));
            }
        }
    }
    names
}

#[test]
fn every_test_that_the_list_of_defects_names_exists() {
    let root = House::here().root;
    let page = fs::read_to_string(root.join("docs/defects.md")).expect("docs/defects.md is there");
    let mut there = functions(&root.join("crates"));
    there.extend(functions(&root.join("xtask")));
    let missing: Vec<&str> = tests_named(&page).into_iter().filter(|name| !there.contains(*name)).collect();
    assert!(missing.is_empty(), "docs/defects.md names tests that do not exist: {missing:?}");
}

#[test]
fn the_list_has_all_fifty_defects_of_the_server_once() {
    let page =
        fs::read_to_string(House::here().root.join("docs/defects.md")).expect("docs/defects.md is there");
    let listed: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()).collect();
    for expected in (1..=18).map(|n| format!("L{n}")).chain((1..=32).map(|n| format!("R{n}"))) {
        assert_eq!(listed.iter().filter(|id| **id == expected).count(), 1, "{expected}");
    }
}

#[test]
fn only_names_of_tests_that_are_said_to_exist_are_taken_from_a_page() {
    let page = "| what | rule | held by |\n\
                | a | `not_this` | `this_one`, `and_this` |\n\
                | b | c | pending: `later` is one |\n\
                | d | e | step 4 |\n";
    assert_eq!(tests_named(page), ["this_one", "and_this"]);
}
