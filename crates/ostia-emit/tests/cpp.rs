//! Generated C++: compiled with every warning, run, and compared with the library key by key.

use std::{fmt::Write as _, fs, path::Path, thread};

use ostia_emit::lang::Language;

mod family;

use family::{Case, cases, classic_cases, compile, converse, folder, golden, golden_cases, has, store};

const ARGUMENTS: [&str; 10] = [
    "-std=c++17",
    "-O1",
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wshadow",
    "-Wconversion",
    "-Wold-style-cast",
    "-Werror",
    "-o",
];

const DRIVER: &str = r#"
#include <cstdio>
#include <cstdlib>
#include <string>

static std::uint64_t ask()
{
    unsigned char bytes[8];
    if (std::fread(bytes, 1, 8, stdin) != 8) {
        std::exit(3);
    }
    std::uint64_t word = 0;
    for (int i = 7; i >= 0; --i) {
        word = word << 8 | bytes[i];
    }
    return word;
}

inline std::string ask_text()
{
    std::string text(static_cast<std::size_t>(ask()), ' ');
    if (std::fread(&text[0], 1, text.size(), stdin) != text.size()) {
        std::exit(3);
    }
    return text;
}

inline void say(std::uint64_t word)
{
    for (int i = 0; i < 8; ++i) {
        std::putchar(static_cast<int>(word >> (8 * i) & 0xFF));
    }
}

template <typename Record>
auto say(const Record &record) -> decltype(record.size(), void())
{
    for (auto byte : record) {
        say(std::uint64_t{byte});
    }
}

template <typename Found>
auto say(const Found &found) -> decltype(found.has_value(), void())
{
    if (found) {
        say(*found);
    } else {
        say(UINT64_MAX);
    }
}

static int fail(const char *what)
{
    std::fprintf(stderr, "%s\n", what);
    return 2;
}
"#;

fn driver(cases: &[Case]) -> String {
    let mut code = String::new();
    for (number, Case { name, .. }) in cases.iter().enumerate() {
        // A benchmark is only compiled, and not each: what it measures here is worth nothing.
        for part in &["test", "bench"][..1 + usize::from(number % 3 == 0)] {
            write!(code, "#define main {name}_{part}_main\n#include \"{name}_{part}.cpp\"\n#undef main\n")
                .unwrap();
        }
    }
    code.push_str(DRIVER);
    for case in cases {
        code.push_str(&conversation(case));
    }
    code.push_str("int main()\n{\n");
    for Case { name, .. } in cases {
        writeln!(code, "    if ({name}_test_main() != 0) return fail(\"{name}\");\n    talk_{name}();")
            .unwrap();
    }
    code.push_str("    return 0;\n}\n");
    code
}

fn conversation(case: &Case) -> String {
    let name = &case.name;
    let member = if case.is_checked() { "_of_member" } else { "" };
    let mut code = format!("static void talk_{name}()\n{{\n    const auto count = ask();\n");
    code.push_str("    for (std::uint64_t i = 0; i < count; ++i) {\n");
    if case.is_text() {
        code.push_str("        const std::string key = ask_text();\n");
    } else {
        writeln!(code, "        const auto key = static_cast<{name}::key_type>(ask());").unwrap();
    }
    let mut say = |what: &str| writeln!(code, "        say({what});").unwrap();
    if case.table.has_index() {
        say(&format!("std::uint64_t{{{name}::index{member}(key)}}"));
        if case.is_checked() {
            say(&format!("{name}::find(key)"));
        }
    }
    if case.is_checked() {
        say(&format!("std::uint64_t{{{name}::contains(key)}}"));
    }
    if case.values.is_some() {
        let value = format!("{name}::value{member}(key)");
        say(&if case.record().is_some() { value } else { format!("std::uint64_t{{{value}}}") });
        if case.is_checked() {
            say(&format!("{name}::find_value(key)"));
        }
    }
    code.push_str("    }\n}\n");
    code
}

fn write(folder: &Path, cases: &[Case]) {
    // A second unit that includes all headers and calls nothing.
    let mut second = String::new();
    for case in cases {
        store(folder, &case.emit(Language::Cpp, false));
        writeln!(second, "#include \"{}.hpp\"", case.name).unwrap();
    }
    fs::write(folder.join("second.cpp"), second).unwrap();
    fs::write(folder.join("driver.cpp"), driver(cases)).unwrap();
}

fn check(name: &str, cases: &[Case]) {
    let folder = folder(name);
    write(&folder, cases);
    for compiler in ["g++", "clang++"] {
        if has(compiler) {
            let line = [&ARGUMENTS[..], &[compiler, "driver.cpp", "second.cpp"]].concat();
            compile(&folder, compiler, &line);
            converse(&folder, compiler, cases);
        }
    }
}

#[test]
fn every_kind_policy_and_key_type_answers_as_the_library_does() {
    let cases = cases();
    let (some, others) = cases.split_at(cases.len() / 2);
    thread::scope(|scope| {
        scope.spawn(|| check("cpp-kinds-1", some));
        check("cpp-kinds-2", others);
    });
}

#[test]
fn every_function_of_the_predecessor_answers_as_the_library_does() {
    check("cpp-classic", &classic_cases());
}

#[test]
fn the_code_of_small_tables_is_what_it_was() {
    for case in golden_cases() {
        golden(Language::Cpp, &case.emit(Language::Cpp, false));
    }
}
