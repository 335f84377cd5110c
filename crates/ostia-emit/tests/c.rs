//! Generated C: compiled with every warning, run, and compared with the library key by key.

use std::{fmt::Write as _, fs, io::Write as _, path::Path, thread};

use ostia_emit::lang::Language;

mod family;

use family::{Case, cases, classic_cases, compile, converse, folder, golden, golden_cases, has, store};

const WARNINGS: [&str; 6] = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"];

/// Every fourth table comes as header and source.
fn is_split(number: usize) -> bool {
    number % 4 == 3
}

const DRIVER: &str = r#"
#include <stdio.h>
#include <stdlib.h>

unsigned char text[1 << 16];

static uint64_t ask(void)
{
    unsigned char bytes[8];
    uint64_t word = 0;
    if (fread(bytes, 1, 8, stdin) != 8) {
        exit(3);
    }
    for (int i = 7; i >= 0; --i) {
        word = word << 8 | bytes[i];
    }
    return word;
}

static void say(uint64_t word)
{
    for (int i = 0; i < 8; ++i) {
        putchar((int)(word >> (8 * i) & 0xFF));
    }
}

static int fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    return 2;
}
"#;

/// A program that includes every header, asks every self-test, and answers what it is asked.
fn driver(cases: &[Case]) -> String {
    let mut code = String::new();
    for (number, Case { name, .. }) in cases.iter().enumerate() {
        // A benchmark is only compiled, and not each: what it measures here is worth nothing.
        for part in &["test", "bench"][..1 + usize::from(number % 3 == 0)] {
            write!(code, "#define main {name}_{part}_main\n#include \"{name}_{part}.c\"\n#undef main\n")
                .unwrap();
        }
    }
    code.push_str(DRIVER);
    for case in cases {
        code.push_str(&conversation(case));
    }
    code.push_str("int main(void)\n{\n");
    for Case { name, .. } in cases {
        writeln!(code, "    if ({name}_test_main() != 0 || talk_{name}() != 0) return fail(\"{name}\");")
            .unwrap();
    }
    code.push_str("    return 0;\n}\n");
    code
}

fn conversation(case: &Case) -> String {
    let name = &case.name;
    let checked = case.is_checked();
    let mut code = format!("static int talk_{name}(void)\n{{\n    size_t count = (size_t)ask();\n");
    let batch = case.table.has_index() && !case.is_text();
    let bits = case.set.key_type().bits();
    let sign = if case.set.key_type().is_signed() { "" } else { "u" };
    let key = format!("{sign}int{bits}_t");
    if batch {
        writeln!(code, "    {key} *keys = ({key} *)calloc(count, sizeof *keys);").unwrap();
        code.push_str("    uint32_t *one = (uint32_t *)calloc(count, sizeof *one);\n");
        code.push_str("    uint32_t *all = (uint32_t *)calloc(count, sizeof *all);\n");
        code.push_str("    if (!keys || !one || !all) return 1;\n");
    }
    code.push_str("    for (size_t i = 0; i < count; ++i) {\n");
    let key = if case.is_text() {
        code.push_str("        size_t length = (size_t)ask();\n");
        code.push_str("        if (fread(text, 1, length, stdin) != length) return 1;\n");
        "(const char *)text, length"
    } else {
        writeln!(code, "        {key} key = ({key})ask();").unwrap();
        "key"
    };
    if case.table.has_index() {
        let index = if checked { "index_of_member" } else { "index" };
        writeln!(code, "        uint32_t index_ = {name}_{index}({key});\n        say(index_);").unwrap();
        if checked {
            code.push_str("        uint32_t found = 0;\n");
            writeln!(code, "        say({name}_find({key}, &found) ? found : UINT64_MAX);").unwrap();
        }
        if batch {
            code.push_str("        keys[i] = key;\n        one[i] = index_;\n");
        }
    }
    if checked {
        writeln!(code, "        say({name}_contains({key}));").unwrap();
    }
    let value = if checked { "value_of_member" } else { "value" };
    match (&case.values, case.record()) {
        (None, _) => {}
        (Some(_), Some(size)) => {
            let of = |call: &str| format!("for (size_t b = 0; b < {size}; ++b) say({call});");
            if case.table.has_index() {
                writeln!(code, "        const uint8_t *record = {name}_{value}({key});").unwrap();
            } else {
                writeln!(code, "        uint8_t record[{size}];\n        {name}_{value}({key}, record);")
                    .unwrap();
            }
            writeln!(code, "        {}", of("record[b]")).unwrap();
            if checked {
                let place = if case.table.has_index() { "&record" } else { "record" };
                let call = format!("{name}_find_value({key}, {place})");
                writeln!(code, "        if ({call}) {{ {} }} else say(UINT64_MAX);", of("record[b]"))
                    .unwrap();
            }
        }
        (Some(values), None) => {
            writeln!(code, "        say({name}_{value}({key}));").unwrap();
            if checked {
                let bits = 8 * values.value_type().width();
                writeln!(code, "        uint{bits}_t value = 0;").unwrap();
                writeln!(code, "        say({name}_find_value({key}, &value) ? value : UINT64_MAX);")
                    .unwrap();
            }
        }
    }
    code.push_str("    }\n");
    if batch {
        writeln!(code, "    {name}_index_batch(keys, all, count);").unwrap();
        code.push_str("    for (size_t i = 0; i < count; ++i) if (one[i] != all[i]) return 1;\n");
        code.push_str("    free(keys);\n    free(one);\n    free(all);\n");
    }
    code.push_str("    return 0;\n}\n");
    code
}

/// Writes a program for the cases; returns the sources to be compiled with `driver.c`.
fn write(folder: &Path, cases: &[Case]) -> Vec<String> {
    let mut sources = vec!["driver.c".to_owned(), "second.c".to_owned()];
    // A second unit that includes all headers and calls nothing.
    let mut second = String::new();
    for (number, case) in cases.iter().enumerate() {
        store(folder, &case.emit(Language::C, is_split(number)));
        writeln!(second, "#include \"{}.h\"", case.name).unwrap();
        if is_split(number) {
            sources.push(format!("{}.c", case.name));
        }
    }
    second.push_str("int second(void);\nint second(void)\n{\n    return 0;\n}\n");
    fs::write(folder.join("second.c"), second).unwrap();
    fs::write(folder.join("driver.c"), driver(cases)).unwrap();
    sources
}

/// A compiler, how it is called, and the instruction set the program needs.
type Leg = (&'static str, &'static [&'static str], &'static str);

const PLAIN: &[&str] = &["-std=c99", "-O1"];
const AS_CPP: &[&str] = &["-x", "c++", "-std=c++17", "-O1"];
#[cfg(target_arch = "x86_64")]
const LEGS: &[Leg] = &[
    ("cc", PLAIN, ""),
    ("gcc", &["-std=c99", "-O1", "-mavx2"], "avx2"),
    ("gcc", &["-std=c99", "-O1", "-mavx512f", "-mbmi2", "-msse4.2"], "avx512f"),
    ("clang", PLAIN, ""),
    ("clang", &["-std=c99", "-O1", "-mavx512f", "-mbmi2", "-msse4.2"], "avx512f"),
    ("g++", AS_CPP, ""),
];
#[cfg(not(target_arch = "x86_64"))]
const LEGS: &[Leg] = &[("cc", PLAIN, ""), ("clang", PLAIN, ""), ("g++", AS_CPP, "")];

/// Whether programs for this instruction set run here.
fn runs(feature: &str) -> bool {
    #[cfg(target_arch = "x86_64")]
    let found = match feature {
        "" => true,
        "avx2" => is_x86_feature_detected!("avx2"),
        "avx512f" => {
            is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("sse4.2")
        }
        other => panic!("{other} is not known here"),
    };
    #[cfg(not(target_arch = "x86_64"))]
    let found = feature.is_empty();
    if !found {
        let _ = writeln!(std::io::stderr(), "SKIPPED running {feature}: this processor lacks it");
    }
    found
}

fn check(name: &str, cases: &[Case]) {
    let folder = folder(name);
    let sources = write(&folder, cases);
    for &(compiler, arguments, feature) in LEGS {
        if !has(compiler) {
            continue;
        }
        let program = format!("{compiler}{}", arguments.concat().replace(['=', '.', ' '], "_"));
        let mut line = [arguments, &WARNINGS, &["-o", &program]].concat();
        line.extend(sources.iter().map(String::as_str));
        compile(&folder, compiler, &line);
        if runs(feature) {
            converse(&folder, &program, cases);
        }
    }
}

#[test]
fn every_kind_policy_and_key_type_answers_as_the_library_does() {
    let cases = cases();
    let (some, others) = cases.split_at(cases.len() / 2);
    thread::scope(|scope| {
        scope.spawn(|| check("c-kinds-1", some));
        check("c-kinds-2", others);
    });
}

#[test]
fn every_function_of_the_predecessor_answers_as_the_library_does() {
    check("c-classic", &classic_cases());
}

#[test]
fn the_code_of_small_tables_is_what_it_was() {
    for (number, case) in golden_cases().iter().enumerate() {
        golden(Language::C, &case.emit(Language::C, is_split(number)));
    }
}
