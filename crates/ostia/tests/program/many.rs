//! Twenty thousand sets of every shape, and every kind of bad one among them: each outcome is the right one.

use std::{collections::HashMap, fmt::Write as _, fs, path::Path, process::Command};

use crate::support::{Room, ostia, packed, program, scattered, tree};

/// Fewer where each file takes a hundred times as long.
const SETS: u32 = if cfg!(windows) { 500 } else { 20_000 };

/// What a set must come to.
enum Must {
    /// A table of so many keys.
    Be(usize),
    /// An error that says so.
    Fail(&'static str),
}

/// Set number `i`: its file, its bytes, and what it must come to.
fn set(i: u32) -> (String, Vec<u8>, Must) {
    // Sizes as real sets have them: most are small.
    let n = match i % 100 {
        0 => 5_000 + i / 10,
        1..=9 => 1_000 + i % 700,
        10..=49 => 40 + i % 300,
        _ => 1 + i % 40,
    };
    let text =
        |line: &dyn Fn(u32) -> String| -> Vec<u8> { (0..n).flat_map(|k| line(k).into_bytes()).collect() };
    let good = Must::Be(n as usize);
    let key = |k: u32| (k + 1).wrapping_mul(0x9E37_79B1) ^ i.rotate_left(16);
    let (ending, bytes, must) = match i % 24 {
        0..=5 => ("keys", packed(scattered(n).map(|key| key ^ i)), good),
        6 => ("keys", packed((0..n).map(|k| 0x40_0000 + 16 * k)), good),
        7 => (
            "keys64",
            (0..u64::from(n)).flat_map(|k| (k << 33 | k ^ u64::from(i)).to_le_bytes()).collect(),
            good,
        ),
        8 => ("u64", scattered(n).flat_map(|k| u64::from(k).to_le_bytes()).collect(), good),
        9 => ("txt", text(&|k| format!("{}\n", key(k))), good),
        10 => ("txt", text(&|k| format!("  {}\r\n", i64::from(k) - 20)), good),
        11 => ("hex", text(&|k| format!("{:x}\n", key(k))), good),
        12 => ("csv", [b"name,id\n".to_vec(), text(&|k| format!("{},n{k}\n", key(k)))].concat(), good),
        13 => (
            "json",
            format!("[{}]", (0..n).map(|k| key(k).to_string()).collect::<Vec<_>>().join(", ")).into(),
            good,
        ),
        14 => ("strings", text(&|k| format!("key {k} of {i}\n")), good),
        15 => ("lines", text(&|k| format!("{k:x}-é\n")), good),
        16 => ("keys", packed([7, 8, 7]), Must::Fail("is at offset 0 and again at offset 8")),
        17 => ("txt", b"5\n6\n\n5\n".to_vec(), Must::Fail("5 is at line 1 and again at line 4")),
        18 => ("keys", vec![1, 0, 0, 0, 9], Must::Fail("left over from offset 4")),
        19 => ("keys64", Vec::new(), Must::Fail("the input is empty")),
        20 => ("txt", b"# nothing\n".to_vec(), Must::Fail("there is no key")),
        21 => ("txt", b"1\ntwo\n".to_vec(), Must::Fail("line 2: `two` is not an integer")),
        22 => ("json", b"{\"a\": 1}".to_vec(), Must::Fail("not in an array")),
        _ => ("txt", b"1\n99999999999999999999999\n".to_vec(), Must::Fail("99999999999999999999999")),
    };
    let name = match i % 240 {
        // A name that is no identifier is as bad as bad bytes.
        0 => return (format!("{i}digit.{ending}"), bytes, Must::Fail("begins with the digit")),
        1 => return (format!("naïve{i}.{ending}"), bytes, Must::Fail("is not ASCII text")),
        _ => format!("set-{i:05}"),
    };
    (format!("{name}.{ending}"), bytes, must)
}

#[test]
fn each_of_twenty_thousand_sets_comes_to_what_it_must() {
    let room = Room::new();
    let dir = room.path().join("in");
    let mut expected = HashMap::new();
    let (mut good, mut bad, mut keys) = (0, 0, 0);
    for i in 0..SETS {
        let (name, bytes, must) = set(i);
        // Some hundred folders, as nobody has that many files in one.
        let folder = dir.join(format!("d{:03}", i % 101));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(&name), bytes).unwrap();
        match must {
            Must::Be(n) => (good, keys) = (good + 1, keys + n),
            Must::Fail(_) => bad += 1,
        }
        expected.insert(name, must);
    }
    let (dir, out) = (room.at("in"), room.at("out"));
    let args = ["bulk-create", &dir, "--out", &out, "-r", "--emit", "table,c", "--json"];
    let ran = ostia(args);
    assert_eq!((ran.code, ran.err.as_str()), (Some(1), ""));
    let mut rows = ran.json();
    let summary = rows.pop().unwrap()["summary"].clone();
    assert_eq!(rows.len(), SETS as usize);
    let mut seen = HashMap::new();
    for row in &rows {
        let path = Path::new(row["path"].as_str().unwrap());
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(seen.insert(name.to_owned(), ()).is_none(), "{name} has two rows");
        match &expected[name] {
            Must::Be(n) => assert!(row["outcome"] == "done" && row["keys"] == *n, "{row}"),
            Must::Fail(why) => {
                let error = row["error"].as_str().unwrap_or_else(|| panic!("{row}"));
                assert!(row["outcome"] == "failed" && error.contains(why) && error.contains(name), "{row}");
            }
        }
    }
    let sums = ["sets", "done", "unchanged", "failed", "stopped", "keys"]
        .map(|what| summary[what].as_u64().unwrap());
    assert_eq!(sums, [u64::from(SETS), good, 0, bad, 0, keys as u64]);
    assert_eq!(summary["stalls"], 0, "no task held its worker for 100 ms");
    let files = tree(out.as_ref());
    assert_eq!(files.len() as u64, 2 * good + 2, "a table and a header for each, and two for all");

    // A second run finds all of it as it should be.
    let again = ostia(args);
    let summary = again.json().pop().unwrap()["summary"].clone();
    let sums = ["done", "unchanged", "failed"].map(|what| summary[what].as_u64().unwrap());
    assert_eq!((again.code, sums), (Some(1), [0, good, bad]));

    sample(&room, &dir, &out);
}

/// Loads the tables of some sets, and compiles and runs the code of some: every key of theirs is found.
fn sample(room: &Room, dir: &str, out: &str) {
    let step = SETS / 40;
    let mut sources = String::from("#include <stdio.h>\n");
    let mut body = String::new();
    let mut sampled = 0;
    for (turn, i) in (0..SETS).step_by(step as usize).enumerate() {
        // One good shape after the other.
        let i = i - i % 24 + turn as u32 % 14 + 2;
        let (name, bytes, must) = set(i);
        let (Must::Be(n), true) = (must, i < SETS) else { continue };
        let path = Path::new(dir).join(format!("d{:03}", i % 101)).join(&name);
        let table = Path::new(out).join(format!("set_{i:05}.ostia"));
        let told = program().arg("verify").args([&table, &path]).output().unwrap();
        assert!(told.status.success(), "{name}: {told:?}");
        if name.ends_with(".keys") {
            let _ = writeln!(sources, "#include \"set_{i:05}.h\"");
            for (index, key) in sorted(&bytes).into_iter().enumerate().step_by(1 + n / 50) {
                let _ = writeln!(body, "    if (set_{i:05}_index({key}u) != {index}) return 1;");
            }
        }
        sampled += 1;
    }
    assert!(sampled >= 35, "{sampled}");
    let source = room.file(
        "all.c",
        format!("{sources}int main(void) {{\n{body}    puts(\"found\");\n    return 0;\n}}\n"),
    );
    if cfg!(windows) {
        // Nobody has a C compiler there; the tables were loaded, and the sources are those of Linux byte for byte.
        return;
    }
    let program = room.at("all");
    let compiled =
        Command::new("gcc").args(["-O1", "-Wall", "-Werror", "-I", out, "-o", &program, &source]).output();
    let compiled = compiled.expect("there is a C compiler");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let ran = Command::new(program).output().unwrap();
    assert!(ran.status.success() && ran.stdout == b"found\n", "{ran:?}");
}

fn sorted(bytes: &[u8]) -> Vec<u32> {
    let mut keys: Vec<u32> =
        bytes.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn the_same_bytes_come_of_every_engine_thread_count_node_and_back_end() {
    let room = Room::new();
    for i in 0..if cfg!(windows) { 60 } else { 480 } {
        let (name, bytes, _) = set(i);
        room.file(&format!("in/{name}"), bytes);
    }
    let dir = room.at("in");
    let mut ways: Vec<(&str, Vec<&str>)> = vec![
        ("", vec!["--engine", "threads", "-t", "1"]),
        ("", vec!["--engine", "threads", "-t", "2"]),
        ("", vec!["-t", "1"]),
        ("", vec!["-t", "2", "--concurrency", "1"]),
        ("", vec!["-t", "8", "--concurrency", "64", "--memory", "16M"]),
        ("", vec!["--topology", "2x1", "--node-policy", "least-loaded"]),
        ("", vec!["--topology", "2x2", "--per-set-concurrency", "1"]),
        ("", vec!["--topology", "3x1", "--nodes", "0,2", "--node-policy", "node=2"]),
    ];
    if cfg!(target_os = "linux") {
        ways.push(("epoll", vec!["-t", "2"]));
        // Where it is refused there is nothing to compare.
        ways.push(("uring", vec!["-t", "2"]));
    }
    let mut first = None;
    for (backend, options) in ways {
        let out = room.at("out");
        let mut command = program();
        if !backend.is_empty() {
            command.env("OSTIA_BACKEND", backend);
        }
        let emit = "table,c,cpp,rust,python";
        command
            .args(["bulk-create", &dir, "--out", &out, "--tests", "--quiet", "--emit", emit])
            .args(&options);
        let ran = command.output().unwrap();
        let err = String::from_utf8_lossy(&ran.stderr);
        if backend == "uring" && err.contains("the runtime cannot be started") {
            use std::io::Write as _;
            writeln!(std::io::stderr(), "SKIPPED io_uring: {err}").expect("stderr is there");
            continue;
        }
        assert_eq!(ran.status.code(), Some(1), "{options:?}: {err}");
        let made = tree(out.as_ref());
        assert!(made.len() > 100, "{options:?}: {err}");
        let first = first.get_or_insert_with(|| made.clone());
        let differ: Vec<_> = made.iter().filter(|(name, bytes)| first.get(*name) != Some(bytes)).collect();
        assert!(
            differ.is_empty() && made.len() == first.len(),
            "{options:?}: {:?}",
            differ.first().map(|d| d.0)
        );
        fs::remove_dir_all(&out).unwrap();
    }
}

/// Threads are made once, and are as many as is said at the start.
#[cfg(target_os = "linux")]
#[test]
fn no_thread_is_made_for_a_set() {
    use std::{io::BufRead, process::Stdio};

    let room = Room::new();
    for i in 0..600 {
        let (name, bytes, _) = set(i);
        room.file(&format!("in/{name}"), bytes);
    }
    let dir = room.at("in");
    let said = ostia(["bulk-create", &dir, "--no-file-io", "-t", "2"]).out;
    let said = said.split("at most ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    // Beside those of the runtime, the one that shows progress and the one that hears signals.
    let most = said.parse::<usize>().unwrap() + 2;
    let mut command = program();
    command.args(["bulk-create", &dir, "--out", &room.at("out"), "-t", "2", "--json"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let tasks = format!("/proc/{}/task", child.id());
    let mut seen = 0;
    for line in std::io::BufReader::new(child.stdout.take().unwrap()).lines() {
        assert!(line.unwrap().starts_with('{'));
        // It may have ended by the time the last lines are read.
        seen = seen.max(fs::read_dir(&tasks).map_or(0, Iterator::count));
    }
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!((3..=most).contains(&seen), "{seen} threads, and {most} were said");
}
