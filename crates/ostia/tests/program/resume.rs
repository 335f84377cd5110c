//! A run that goes on where another one was ended: by its end, by an interrupt, by a kill, by a full disk.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::Stdio,
    time::{Duration, Instant, SystemTime},
};

use crate::support::{HOPELESS, Room, ostia, packed, program, scattered, tree};

/// Some sets, and one that is none.
fn sets(room: &Room, count: u32) -> String {
    for i in 0..count {
        room.file(&format!("in/s{i:03}.keys"), packed(scattered(20 + 37 * i)));
    }
    room.file("in/bad.txt", "x\n");
    room.at("in")
}

fn counts(json: &[serde_json::Value]) -> [u64; 4] {
    let summary = &json.last().expect("a summary ends the output")["summary"];
    ["done", "unchanged", "failed", "stopped"].map(|what| summary[what].as_u64().unwrap())
}

fn run(args: &[&str]) -> (Option<i32>, [u64; 4]) {
    let ran = ostia([&["bulk-create", "--json"], args].concat());
    (ran.code, counts(&ran.json()))
}

#[test]
fn what_is_as_it_should_be_is_not_made_again() {
    let room = Room::new();
    let dir = sets(&room, 12);
    let out = room.at("out");
    let args = [dir.as_str(), "--out", &out];
    assert_eq!(run(&args), (Some(1), [12, 0, 1, 0]));
    assert_eq!(run(&args), (Some(1), [0, 12, 1, 0]));
    assert_eq!(run(&[&args[..], &["--check"]].concat()), (Some(1), [0, 12, 1, 0]));
    fs::remove_file(room.path().join("in/bad.txt")).unwrap();
    assert_eq!(run(&[&args[..], &["--check"]].concat()), (Some(0), [0, 12, 0, 0]));

    // An input that changed, an output that did, one that is gone: each makes its own set again.
    let whole = tree(out.as_ref());
    room.file("in/s003.keys", packed(scattered(7)));
    room.file("out/s004.h", "not what it was");
    fs::remove_file(room.path().join("out/s005.rs")).unwrap();
    let before = whole_tree(&out);
    let check = [&args[..], &["--check"]].concat();
    assert_eq!(run(&check), (Some(1), [0, 9, 3, 0]));
    assert_eq!(run(&[&check[..], &["--emit", "python"]].concat()), (Some(1), [0, 0, 12, 0]));
    assert!(whole_tree(&out) == before, "a check writes nothing, not to the journal either");
    ostia([&["bulk-create"], &check[..]].concat())
        .fails(1, &["s003.keys", "has changed; run without --check"]);
    assert_eq!(run(&args), (Some(0), [3, 9, 0, 0]));
    let after = tree(out.as_ref());
    assert!(whole.iter().all(|(name, bytes)| name.starts_with("s003") == (after[name] != *bytes)));

    // Other options make all of them again, and so does --force.
    assert_eq!(run(&[&args[..], &["--foreign", "exact"]].concat()), (Some(0), [12, 0, 0, 0]));
    assert_eq!(run(&args), (Some(0), [12, 0, 0, 0]));
    assert_eq!(run(&[&args[..], &["--force"]].concat()), (Some(0), [12, 0, 0, 0]));
    assert_eq!(
        run(&[&args[..], &["--threads", "1", "--time-limit", "1m"]].concat()),
        (Some(0), [0, 12, 0, 0])
    );
    assert!(tree(out.as_ref()) == after);
}

/// Everything in a folder, the journal too.
fn whole_tree(out: &str) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| (path.display().to_string(), fs::read(path).unwrap())).collect()
}

#[test]
fn a_check_makes_no_folder_and_looks_at_all_there_is() {
    let room = Room::new();
    let dir = sets(&room, 2);
    fs::remove_file(room.path().join("in/bad.txt")).unwrap();
    let out = room.at("out");
    assert_eq!(run(&[&dir, "--out", &out, "--check"]), (Some(1), [0, 0, 2, 0]));
    assert!(!Path::new(&out).exists());
    assert_eq!(run(&[&dir, "--out", &out]).1, [2, 0, 0, 0]);
    assert_eq!(run(&[&dir, "--out", &out, "--check"]), (Some(0), [0, 2, 0, 0]));
    fs::remove_file(room.path().join("out/tables.h")).unwrap();
    ostia(["bulk-create", &dir, "--out", &out, "--check"]).fails(1, &["tables.h: does not name all tables"]);
    assert_eq!(run(&[&dir, "--out", &out]), (Some(0), [0, 2, 0, 0]));
    assert_eq!(run(&[&dir, "--out", &out, "--check"]).0, Some(0));
}

#[test]
fn the_files_for_all_tables_name_those_of_other_runs_too() {
    let room = Room::new();
    let dir = sets(&room, 3);
    let other = room.file("other/more.keys", packed(scattered(5)));
    let out = room.at("out");
    run(&[&dir, "--out", &out]);
    let named = || {
        let all = fs::read_to_string(room.path().join("out/tables.h")).unwrap();
        all.lines().filter_map(|line| line.strip_prefix("#include ")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(named(), "\"s000.h\" \"s001.h\" \"s002.h\"");
    // One set, by itself and by another way to it, is the same set.
    let one = room.at("in/../in/s001.keys");
    assert_eq!(run(&[&one, "--out", &out]), (Some(0), [0, 1, 0, 0]));
    assert_eq!(run(&[&other, "--out", &out, "--emit", "c"]).1, [1, 0, 0, 0]);
    assert_eq!(named(), "\"more.h\" \"s000.h\" \"s001.h\" \"s002.h\"");
    fs::remove_file(room.path().join("in/s001.keys")).unwrap();
    assert_eq!(run(&[&dir, "--out", &out]).1, [0, 2, 1, 0]);
    assert_eq!(named(), "\"more.h\" \"s000.h\" \"s002.h\"");
    // Somebody's own file of that name is not ours to replace.
    room.file("out/mod.rs", "// mine\n");
    ostia(["bulk-create", &dir, "--out", &out]).fails(1, &["mod.rs", "other content than ours"]);
    assert_eq!(fs::read_to_string(room.path().join("out/mod.rs")).unwrap(), "// mine\n");
}

#[test]
fn nobody_need_read_what_is_said() {
    let room = Room::new();
    let dir = sets(&room, 4);
    for (args, name) in [(vec![], "plain"), (vec!["--json"], "json")] {
        let out = room.at(name);
        let mut command = program();
        command.args(["bulk-create", &dir, "--out", &out]).args(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        drop(child.stdout.take());
        // The bad set is told by the exit code all the same.
        assert_eq!(child.wait().unwrap().code(), Some(1), "{name}");
        assert!(Path::new(&out).join("s003.ostia").exists(), "{name}");
    }
}

#[test]
fn values_in_a_file_of_their_own_belong_to_the_content() {
    let room = Room::new();
    room.file("in/a.keys", packed(scattered(3)));
    let values = room.file("values.txt", "1\n2\n3\n");
    let (dir, out) = (room.at("in"), room.at("out"));
    let args = [dir.as_str(), "--out", &out, "--values", &values];
    assert_eq!(run(&args), (Some(0), [1, 0, 0, 0]));
    assert_eq!(run(&args), (Some(0), [0, 1, 0, 0]));
    room.file("values.txt", "1\n2\n4\n");
    assert_eq!(run(&args), (Some(0), [1, 0, 0, 0]));
}

#[test]
fn without_a_folder_for_them_outputs_go_beside_the_sets() {
    let room = Room::new();
    let dir = sets(&room, 2);
    assert_eq!(run(&[&dir]).1, [2, 0, 1, 0]);
    assert!(room.path().join("in-tables/s001.ostia").exists());
    let one = room.file("in/one.txt", "5\n6\n");
    assert_eq!(run(&[&one]), (Some(0), [1, 0, 0, 0]));
    assert!(room.path().join("in/one-tables/one.ostia").exists());
}

#[test]
fn killed_at_any_moment_the_next_run_completes_the_rest() {
    let room = Room::new();
    let dir = sets(&room, 40);
    let whole = room.at("whole");
    let begun = Instant::now();
    assert_eq!(run(&[&dir, "--out", &whole]).1, [40, 0, 1, 0]);
    let took = begun.elapsed();
    let whole = tree(whole.as_ref());
    assert_eq!(whole.len(), 40 * 3 + 3);
    // The same moments each time; they lie from before the first file to after the last.
    let mut moment = 0x9E37_79B9_u64;
    let (mut resumed, mut found_some) = (0, 0);
    // Wine takes a hundred times as long to begin a process.
    for round in 0..if cfg!(windows) { 6 } else { 50 } {
        let out = room.at(&format!("out{round}"));
        let mut child = program()
            .args(["bulk-create", &dir, "--out", &out, "--quiet"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        moment = moment.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let part = (moment >> 40) as f64 / (1u64 << 24) as f64;
        // A moment is what this test is about: there is no event to wait for.
        std::thread::sleep(took.mul_f64(part * 1.2));
        child.kill().unwrap();
        child.wait().unwrap();
        if Path::new(&out).exists() {
            for (name, bytes) in tree(out.as_ref()) {
                if !name.ends_with(".tmp") {
                    assert!(whole[&name] == bytes, "round {round}: {name} is not complete");
                }
            }
        }
        let (code, [done, unchanged, failed, stopped]) = run(&[&dir, "--out", &out]);
        assert_eq!((code, done + unchanged, failed, stopped), (Some(1), 40, 1, 0), "round {round}");
        resumed += u32::from(unchanged > 0 && done > 0);
        found_some += u32::from(unchanged > 0);
        let left = tree(out.as_ref());
        assert!(left == whole, "round {round}: {:?}", left.keys());
        // And then there is nothing left to do.
        assert_eq!(run(&[&dir, "--out", &out]).1, [0, 40, 1, 0], "round {round}");
        fs::remove_dir_all(&out).unwrap();
    }
    // Or the moments were all too early or too late to prove anything.
    assert!(
        cfg!(windows) || found_some > 0,
        "no run was killed after it had recorded something ({resumed} in its middle)"
    );
}

#[test]
fn the_second_of_two_runs_into_one_folder_is_refused() {
    let room = Room::new();
    room.file("in/large.keys", packed(scattered(20_000)));
    room.file("in/bad.txt", "x\n");
    let (dir, out) = (room.at("in"), room.at("out"));
    let mut first = program()
        .args(["bulk-create", &dir, "--out", &out, "--json"])
        .args(HOPELESS)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Its first row is written when it has the folder.
    let mut lines = BufReader::new(first.stdout.take().unwrap()).lines();
    let row = lines.next().unwrap().unwrap();
    assert!(row.contains("bad.txt"), "{row}");
    for engine in ["runtime", "threads"] {
        let second = ostia(["bulk-create", &dir, "--out", &out, "--engine", engine]);
        second.fails(1, &["another run", "out", "--out"]);
    }
    first.kill().unwrap();
    first.wait().unwrap();
    // Its lock has died with it.
    assert_eq!(run(&[&dir, "--out", &out]), (Some(1), [1, 0, 1, 0]));
}

#[test]
fn a_journal_that_is_none_is_told_and_not_overwritten() {
    let room = Room::new();
    let dir = sets(&room, 1);
    let out = room.at("out");
    let journal = room.file(
        "out/.ostia-journal.sqlite",
        "this is no database, and longer than a header of one is. ".repeat(20),
    );
    ostia(["bulk-create", &dir, "--out", &out]).fails(1, &[".ostia-journal.sqlite", "delete"]);
    assert!(fs::read_to_string(journal).unwrap().starts_with("this is no database"));
}

#[test]
fn so_many_failures_end_the_run() {
    let room = Room::new();
    for i in 0..30 {
        room.file(&format!("in/bad{i}.txt"), "x\n");
        room.file(&format!("in/good{i}.txt"), "1\n2\n");
    }
    let (dir, out) = (room.at("in"), room.at("out"));
    let all = run(&[&dir, "--out", &out]);
    assert_eq!(all, (Some(1), [30, 0, 30, 0]));
    let out = room.at("other");
    let ran = ostia(["bulk-create", &dir, "--out", &out, "--fail-fast"]);
    ran.fails(1, &["bad", "ended because so many sets have failed"]);
    let (code, [_, _, failed, _]) = run(&[&dir, "--out", &out, "--max-failures", "3"]);
    assert_eq!(code, Some(1));
    assert!((3..30).contains(&failed), "{failed}");
    assert!(!Path::new(&room.at("other/tables.h")).exists(), "not all tables are there");
    assert_eq!(run(&[&dir, "--out", &out]).1[2], 30);
    assert!(Path::new(&room.at("other/tables.h")).exists());
}

#[test]
fn a_set_that_takes_more_than_the_memory_is_refused_and_the_others_are_made() {
    let room = Room::new();
    let dir = sets(&room, 5);
    room.file("in/large.keys", packed(0..2_000_000));
    let out = room.at("out");
    let ran = ostia(["bulk-create", &dir, "--out", &out, "--memory", "64M", "--json"]);
    assert_eq!((ran.code, counts(&ran.json())), (Some(1), [5, 0, 2, 0]));
    ostia(["bulk-create", &dir, "--out", &out, "--memory", "64M"])
        .fails(1, &["large.keys: takes about", "all sets together may take 65536", "--memory"]);
}

#[test]
fn globs_and_lists_choose_the_sets() {
    let room = Room::new();
    for name in ["in/a.keys", "in/b.keys", "in/old/c.keys", "in/new/d.keys"] {
        room.file(name, packed(scattered(9)));
    }
    let (dir, out) = (room.at("in"), room.at("out"));
    let names = |args: &[&str]| {
        let ran = ostia([&["bulk-create", &dir, "--out", &out, "--json"], args].concat());
        let mut names: Vec<String> = ran
            .json()
            .iter()
            .filter_map(|row| Path::new(row["path"].as_str()?).file_name()?.to_str().map(str::to_owned))
            .collect();
        names.sort();
        names.join(" ")
    };
    assert_eq!(names(&["-r"]), "a.keys b.keys c.keys d.keys");
    assert_eq!(names(&["-r", "--exclude", "old"]), "a.keys b.keys d.keys");
    assert_eq!(names(&["-r", "--include", "new/**", "--include", "a*"]), "a.keys d.keys");
    ostia(["bulk-create", &dir, "--out", &out, "--include", "[a"]).fails(1, &["[a"]);
    let list =
        format!("{}\n\n{}\n{}\n", room.at("in/b.keys"), room.at("in/old/c.keys"), room.at("in/gone.keys"));
    let ran = crate::support::ostia_reading(["bulk-create", "-", "--out", &out, "--json"], list.as_bytes());
    assert_eq!((ran.code, counts(&ran.json())), (Some(1), [0, 2, 1, 0]));
}

/// What only some machines let a test do.
#[cfg(target_os = "linux")]
mod linux {
    use std::{io::Write, os::unix::process::CommandExt, process::Command};

    use super::*;

    fn skipped(test: &str, why: &str) {
        writeln!(std::io::stderr(), "SKIPPED {test}: {why}").expect("stderr is there");
    }

    fn is_root() -> bool {
        rustix::process::geteuid().is_root()
    }

    /// A file system of its own of so many KiB, unmounted by the drop.
    struct Small(String);

    impl Small {
        fn mount(at: String, kib: u32) -> Option<Small> {
            fs::create_dir_all(&at).unwrap();
            let size = format!("size={kib}k");
            let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs", &at]).output();
            mount.is_ok_and(|mount| mount.status.success()).then_some(Small(at))
        }
    }

    impl Drop for Small {
        fn drop(&mut self) {
            // It may have been made larger meanwhile; that it goes is all that matters.
            let _ = Command::new("umount").arg(&self.0).status();
        }
    }

    #[test]
    fn a_full_disk_is_told_and_the_next_run_goes_on() {
        let room = Room::new();
        let dir = sets(&room, 60);
        let whole = room.at("whole");
        run(&[&dir, "--out", &whole]);
        let whole = tree(whole.as_ref());
        // Room for the journal and a part of the outputs; then room for hardly more than the folder.
        for kib in [700, 64] {
            let Some(small) = Small::mount(room.at("small"), kib) else {
                return skipped(
                    "a_full_disk_is_told_and_the_next_run_goes_on",
                    "no file system can be mounted here",
                );
            };
            let out = room.at("small/out");
            let ran = ostia(["bulk-create", &dir, "--out", &out]);
            assert!(ran.err.contains("o space left") || ran.err.contains("the disk is full"), "{ran:?}");
            ran.fails(1, &["small/out/"]);
            for (name, bytes) in tree(out.as_ref()) {
                assert!(
                    whole.get(&name).is_none_or(|whole| *whole == bytes),
                    "{kib}: {name} is not complete"
                );
                assert!(!name.ends_with(".tmp"), "{kib}: {name} was left behind");
            }
            let grow = ["-o", "remount,size=64m", &small.0];
            assert!(Command::new("mount").args(grow).status().unwrap().success());
            assert_eq!(run(&[&dir, "--out", &out]).0, Some(1), "only bad.txt fails now");
            assert!(tree(out.as_ref()) == whole);
            drop(small);
        }
    }

    #[test]
    fn a_folder_that_may_not_be_written_to_is_named() {
        let room = Room::new();
        let test = "a_folder_that_may_not_be_written_to_is_named";
        let dir = sets(&room, 2);
        let out = room.at("out");
        fs::create_dir(&out).unwrap();
        let mut command = program();
        if is_root() {
            // Who may write everywhere asks somebody who may not: with a copy of the program that he can reach.
            use std::os::unix::fs::PermissionsExt;
            let theirs = room.path().join("ostia");
            fs::copy(env!("CARGO_BIN_EXE_ostia"), &theirs).unwrap();
            fs::set_permissions(room.path(), fs::Permissions::from_mode(0o755)).unwrap();
            command = Command::new(theirs);
            command.stdin(Stdio::null()).uid(65_534).gid(65_534);
        } else {
            fs::set_permissions(&out, std::os::unix::fs::PermissionsExt::from_mode(0o555)).unwrap();
        }
        let Ok(output) = command.args(["bulk-create", &dir, "--out", &out]).output() else {
            return skipped(test, "the program cannot be run as somebody else");
        };
        crate::support::Ran::of(output).fails(1, &["out", "ermission denied"]);
        assert!(tree(out.as_ref()).is_empty());
    }

    #[test]
    fn few_descriptors_are_enough_or_told() {
        let room = Room::new();
        let dir = sets(&room, 30);
        for limit in [8, 12, 16, 24, 40] {
            let out = room.at(&format!("out{limit}"));
            let line = format!(
                "ulimit -n {limit}; exec {} bulk-create {dir} --out {out} --json",
                env!("CARGO_BIN_EXE_ostia")
            );
            let output = Command::new("sh").args(["-c", &line]).stdin(Stdio::null()).output().unwrap();
            let ran = crate::support::Ran::of(output);
            assert_eq!(ran.code, Some(1), "{limit}: {ran:?}");
            let told = ran.err.contains("oo many open files") || ran.out.contains("oo many open files");
            let is_done = ran.json().last().is_some_and(|row| row["summary"]["done"] == 30);
            assert!(told || is_done, "{limit}: {ran:?}");
            assert!(!ran.err.contains("panicked"), "{limit}: {ran:?}");
            // Whatever came of it, the next run has enough and completes it.
            assert_eq!(run(&[&dir, "--out", &out]).1[2], 1, "{limit}");
        }
    }
}

#[test]
fn an_old_temporary_of_a_run_that_was_killed_is_swept_and_others_stay() {
    let room = Room::new();
    let dir = sets(&room, 1);
    let out = room.at("out");
    let stray = room.file("out/.ostia-bulk-1-7.tmp", "half");
    let other = room.file("out/.ostia-x-y.tmp", "somebody else's");
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::options().write(true).open(&other).unwrap().set_modified(long_ago).unwrap();
    run(&[&dir, "--out", &out]);
    assert!(!Path::new(&stray).exists() && Path::new(&other).exists());
}
