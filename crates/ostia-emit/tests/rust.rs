//! Generated Rust is compiled, run, and asked for what the library answers.

mod cases;

use std::{
    ffi::OsString,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use cases::Case;
use ostia_emit::{lang::Language, umbrella};

/// An empty directory of this test's own.
fn directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if directory.exists() {
        fs::remove_dir_all(&directory).expect("a directory of this test can be removed");
    }
    fs::create_dir_all(&directory).expect("the target directory can be written");
    directory
}

fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Writes the files of all cases, and a program that runs every self-test.
fn write(directory: &Path, cases: &[Case], allow_unsafe: bool) -> PathBuf {
    let (mut modules, mut calls) = (String::new(), String::new());
    for case in cases {
        for artifact in case.emit(Language::Rust, allow_unsafe) {
            fs::write(directory.join(&artifact.name), &artifact.bytes).expect("the file can be written");
        }
        modules += &format!("#[path = \"{0}_test.rs\"]\nmod {0}_test;\n", case.name);
        calls += &format!("    {}_test::main();\n", case.name);
    }
    let main = directory.join("all.rs");
    let source = format!("#![deny(warnings)]\n{modules}\nfn main() {{\n{calls}}}\n");
    fs::write(&main, source).expect("the file can be written");
    main
}

/// A compiler, or nothing and a loud word: under Wine there is none.
fn compiler(test: &str) -> Option<OsString> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let there = Command::new(&rustc).arg("--version").output().is_ok_and(|o| o.status.success());
    if !there {
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: there is no rustc");
    }
    there.then_some(rustc)
}

/// Compiles and runs; every self-test says that it was there.
fn run(name: &str, cases: &[Case], allow_unsafe: bool, edition: &str, features: &str) {
    let Some(rustc) = compiler(name) else { return };
    let directory = directory(name);
    let main = write(&directory, cases, allow_unsafe);
    let program = directory.join(format!("all{}", std::env::consts::EXE_SUFFIX));
    succeed(
        Command::new(rustc)
            .args(["--edition", edition, "-C", "opt-level=1", "-C", "debug-assertions"])
            .args(["-C", &format!("target-feature={features}"), "-o"])
            .arg(&program)
            .arg(&main),
    );
    let output = succeed(&mut Command::new(&program));
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said.lines().filter(|l| l.ends_with(": ok")).count(), cases.len(), "{said}");
}

#[test]
fn every_kind_of_table_answers_as_the_library_does() {
    run("rust-all", &cases::all(), false, "2021", "");
}

#[test]
fn tables_without_bounds_checks_answer_as_the_library_does() {
    run("rust-unsafe", &cases::all(), true, "2024", "");
}

#[test]
#[cfg(target_arch = "x86_64")]
fn batches_by_gathers_answer_as_the_library_does() {
    let large = cases::large();
    for (name, features, there) in [
        ("rust-avx2", "+avx2", is_x86_feature_detected!("avx2")),
        ("rust-avx512", "+avx512f", is_x86_feature_detected!("avx512f")),
    ] {
        if there {
            run(name, &large, true, "2021", features);
        } else {
            let _ = writeln!(std::io::stderr(), "SKIPPED {name}: this processor lacks {features}");
        }
    }
    run("rust-blocks", &large, true, "2021", "");
}

#[test]
fn every_function_of_the_predecessor_answers_as_the_library_does() {
    run("rust-classic", &cases::classic(), false, "2021", "");
}

#[test]
fn clippy_has_nothing_to_say() {
    let name = "clippy_has_nothing_to_say";
    if !Command::new("clippy-driver").arg("--version").output().is_ok_and(|o| o.status.success()) {
        let _ = writeln!(std::io::stderr(), "SKIPPED {name}: there is no clippy-driver");
        return;
    }
    // Each kind, policy and type of value is among them, and so is each of the predecessor's functions.
    let cases: Vec<Case> = cases::all().into_iter().chain(cases::classic()).collect();
    for allow_unsafe in [false, true] {
        let directory = directory(&format!("rust-clippy-{allow_unsafe}"));
        let main = write(&directory, &cases, allow_unsafe);
        let mut clippy = Command::new("clippy-driver");
        clippy.args(["--edition", "2021", "--emit", "metadata", "-W", "clippy::all", "-o"]);
        succeed(clippy.arg(directory.join("all.rmeta")).arg(&main));
    }
}

#[test]
fn small_tables_look_as_they_did() {
    cases::check_golden(Language::Rust);
}

#[test]
fn benchmarks_compile_without_a_warning_and_run() {
    let name = "benchmarks_compile_without_a_warning_and_run";
    let Some(rustc) = compiler(name) else { return };
    let directory = directory("rust-bench");
    let cases = cases::all();
    write(&directory, &cases, false);
    let compile = |case: &Case, emit: &str, out: &Path| {
        let mut compiler = Command::new(&rustc);
        compiler.args(["--edition", "2021", "-D", "warnings", "--emit", emit, "-o"]).arg(out);
        succeed(compiler.arg(directory.join(format!("{}_bench.rs", case.name))));
    };
    // One of each policy, with indexes and without, and each sort of key and value.
    for way in ["fold_unchecked", "in_place_unchecked", "in_place_marks", "all_unchecked", "all_exact"] {
        for case in cases.iter().filter(|c| c.name.starts_with(way)) {
            compile(case, "metadata", &directory.join("bench.rmeta"));
        }
    }
    let program = directory.join(format!("bench{}", std::env::consts::EXE_SUFFIX));
    compile(&cases[0], "link", &program);
    let said = succeed(&mut Command::new(&program)).stdout;
    assert_eq!(String::from_utf8_lossy(&said).matches(" ns\n").count(), 7, "three of each, and the batch");
}

#[test]
fn an_umbrella_holds_the_tables_of_a_run() {
    let name = "an_umbrella_holds_the_tables_of_a_run";
    let Some(rustc) = compiler(name) else { return };
    let directory = directory("rust-umbrella");
    let mut cases = cases::all();
    cases.retain(|c| c.name.starts_with("all_unchecked"));
    write(&directory, &cases, false);
    let names: Vec<&str> = cases.iter().map(|c| c.name.as_str()).collect();
    for artifact in umbrella::emit(Language::Rust, &names, false) {
        fs::write(directory.join(&artifact.name), &artifact.bytes).expect("the file can be written");
    }
    let sum = names.iter().map(|name| format!("tables::{name}::COUNT")).collect::<Vec<_>>().join(" + ");
    let main = directory.join("main.rs");
    let source = format!(
        "#![deny(warnings)]\n#[path = \"mod.rs\"]\nmod tables;\nfn main() {{\n    print!(\"{{}}\", {sum});\n}}\n"
    );
    fs::write(&main, source).expect("the file can be written");
    let program = directory.join(format!("main{}", std::env::consts::EXE_SUFFIX));
    succeed(Command::new(rustc).args(["--edition", "2021", "-o"]).arg(&program).arg(&main));
    let said = succeed(&mut Command::new(&program)).stdout;
    let keys: usize = cases.iter().map(|c| c.set.len()).sum();
    assert_eq!(String::from_utf8_lossy(&said), keys.to_string());
}
