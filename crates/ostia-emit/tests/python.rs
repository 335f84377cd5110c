//! Generated Python is run, and asked for what the library answers.

mod cases;

use std::{fs, io::Write as _, path::Path, process::Command};

use cases::Case;
use ostia_emit::{lang::Language, umbrella};

/// Whether there is a Python to run; says so loudly when there is none.
fn python_is_there(test: &str) -> bool {
    let there = Command::new("python3").arg("--version").output().is_ok_and(|o| o.status.success());
    if !there {
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: there is no python3");
    }
    there
}

/// Runs every self-test in one process; a warning is an error.
fn run(name: &str, cases: &[Case]) {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if directory.exists() {
        fs::remove_dir_all(&directory).expect("a directory of this test can be removed");
    }
    fs::create_dir_all(&directory).expect("the target directory can be written");
    for case in cases {
        for artifact in case.emit(Language::Python, false) {
            fs::write(directory.join(&artifact.name), &artifact.bytes).expect("the file can be written");
        }
    }
    let python = |arguments: &[&str]| {
        let output = Command::new("python3")
            .args(["-W", "error", "-B"])
            .args(arguments)
            .current_dir(&directory)
            .output()
            .expect("python3 has just answered");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}\n{said}");
        said
    };
    let said = python(&["-m", "unittest"]);
    let tests: usize =
        said.split("Ran ").nth(1).and_then(|s| s.split(' ').next()).and_then(|n| n.parse().ok()).unwrap_or(0);
    assert!(tests >= cases.len(), "{tests} tests ran for {} tables\n{said}", cases.len());
    // Each can be run by itself, and so can the benchmarks.
    let first = &cases[0].name;
    python(&[&format!("test_{first}.py")]);
    python(&[&format!("bench_{first}.py")]);
    // And so can all together, as a package.
    let names: Vec<&str> = cases.iter().map(|c| c.name.as_str()).collect();
    for artifact in umbrella::emit(Language::Python, &names, false) {
        fs::write(directory.join(&artifact.name), &artifact.bytes).expect("the file can be written");
    }
    let ask = format!(
        "import sys; sys.path.insert(0, '..'); import importlib; t = importlib.import_module('{name}')\n\
         assert t.{first}.COUNT == {}\n\
         assert len(t.__all__) == {}",
        cases[0].set.len(),
        cases.len()
    );
    python(&["-c", &ask]);
}

#[test]
fn every_kind_of_table_answers_as_the_library_does() {
    if python_is_there("every_kind_of_table_answers_as_the_library_does") {
        run("python-all", &cases::all());
    }
}

#[test]
fn every_function_of_the_predecessor_answers_as_the_library_does() {
    if python_is_there("every_function_of_the_predecessor_answers_as_the_library_does") {
        run("python-classic", &cases::classic());
    }
}

#[test]
fn small_tables_look_as_they_did() {
    cases::check_golden(Language::Python);
}
