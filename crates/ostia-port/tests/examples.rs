//! The examples run, and say what they are meant to say.

use std::{
    env,
    path::PathBuf,
    process::{Command, Output},
};

/// Cargo builds examples beside the tests.
fn example(name: &str) -> PathBuf {
    let here = env::current_exe().expect("a test has a path");
    let profile = here.parent().and_then(|deps| deps.parent()).expect("target/<profile>/deps/<test>");
    profile.join("examples").join(format!("{name}{}", env::consts::EXE_SUFFIX))
}

fn run(name: &str, arguments: &[&str]) -> Output {
    let path = example(name);
    let output = Command::new(&path).args(arguments).output();
    output.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn check(output: &Output, expected: &str) {
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains(expected), "{output:?}");
}

#[test]
fn echo_answers_its_own_client_and_ends() {
    check(&run("echo", &["--once"]), "echoed, and done");
}

#[test]
fn local_asks_and_answers() {
    let output = run("local", &[]);
    check(&output, "the client asks:    what is a port for?");
    check(&output, "the server answers: for what arrives");
}
