//! `ostia bulk-create`: one bad set never stops the others, and the folder tells the truth at every moment.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::Stdio,
    time::{Duration, SystemTime},
};

use crate::support::{Room, examples, ostia, packed, program, scattered, tree};

/// Good sets, and one of each kind of bad set; gives how many of each there are.
fn mixed(room: &Room) -> (usize, usize) {
    room.file("in/good1.keys", packed(scattered(500)));
    room.file("in/good2.txt", "1\n2\n3\n");
    room.file("in/Zgood3.strings", "one\ntwo\n");
    room.file("in/count-7.keys", packed(scattered(40)));
    room.file("in/duplicate.txt", "5\n6\n\n5\n");
    room.file("in/ragged.keys", [1, 0, 0, 0, 2, 0]);
    room.file("in/empty.keys", "");
    room.file("in/comments.txt", "# nothing\n");
    room.file("in/words.txt", "1\ntwo\n");
    room.file("in/json.json", "{}");
    room.file("in/9digit.keys", packed(scattered(4)));
    room.file("in/while.keys", packed(scattered(4)));
    room.file("in/tables.keys", packed(scattered(4)));
    room.file("in/twice.one.keys", packed(scattered(3)));
    room.file("in/twice-one.keys", packed(scattered(3)));
    fs::create_dir(room.path().join("in/x.keys")).unwrap();
    room.file("in/README.md", "no set");
    (5, 11)
}

fn names(dir: &Path, ending: &str) -> Vec<String> {
    tree(dir).into_keys().filter(|name| name.ends_with(ending)).collect()
}

#[test]
fn one_bad_set_of_each_kind_stops_no_other() {
    let room = Room::new();
    let (good, bad) = mixed(&room);
    let (dir, out) = (room.at("in"), room.at("out"));
    let ran = ostia(["bulk-create", &dir, "--out", &out]);
    assert!(ran.out.contains(&format!("{good} of {} sets done, {bad} failed", good + bad)), "{ran:?}");
    assert!(ran.err.contains("and 1 more failures; --json tells all"), "{ran:?}");
    assert_eq!(ran.code, Some(1));
    let tables = names(out.as_ref(), ".ostia");
    assert_eq!(tables, ["Zgood3.ostia", "count_7.ostia", "good1.ostia", "good2.ostia", "twice_one.ostia"]);
    // The umbrella names what there is, and nothing else.
    let umbrella = fs::read_to_string(room.at("out/mod.rs")).unwrap();
    assert_eq!(umbrella.matches("pub mod ").count(), good, "{umbrella}");
    assert!(tree(out.as_ref()).keys().all(|name| !name.contains(".tmp")));
}

#[test]
fn json_lines_parse_and_add_up_and_name_each_failure() {
    let room = Room::new();
    let (good, bad) = mixed(&room);
    let ran = ostia(["bulk-create", &room.at("in"), "--out", &room.at("out"), "--json"]);
    assert_eq!(ran.code, Some(1));
    let mut lines = ran.json();
    let summary = lines.pop().unwrap()["summary"].clone();
    assert_eq!(lines.len(), good + bad);
    let of = |outcome: &str| lines.iter().filter(|l| l["outcome"] == outcome).collect::<Vec<_>>();
    let (done, failed) = (of("done"), of("failed"));
    assert_eq!((done.len(), failed.len()), (good, bad));
    assert_eq!((summary["done"].as_u64(), summary["failed"].as_u64()), (Some(good as u64), Some(bad as u64)));
    assert_eq!(summary["sets"].as_u64(), Some((good + bad) as u64));
    let sum = |what: &str| done.iter().map(|l| l[what].as_u64().unwrap()).sum::<u64>();
    assert_eq!(summary["keys"].as_u64(), Some(sum("keys")));
    assert_eq!(summary["attempts"].as_u64(), Some(sum("attempts")));
    let expected = [
        ("9digit.keys", "begins with the digit 9"),
        ("comments.txt", "there is no key"),
        ("duplicate.txt", "5 is at line 1 and again at line 4"),
        ("empty.keys", "the input is empty"),
        ("json.json", "not in an array"),
        ("ragged.keys", "2 bytes left over from offset 4"),
        ("tables.keys", "tables.h"),
        ("twice.one.keys", "both become twice_one"),
        ("while.keys", "it is a word of C"),
        ("words.txt", "line 2: `two` is not an integer"),
        ("x.keys", "is a directory"),
    ];
    for (name, why) in expected {
        let row = failed.iter().find(|l| l["path"].as_str().unwrap().ends_with(name)).expect(name);
        let error = row["error"].as_str().unwrap();
        assert!(error.contains(why) && error.contains(name), "{name}: {error}");
    }
}

#[test]
fn a_second_run_rewrites_nothing_and_a_changed_set_only_its_own() {
    let room = Room::new();
    let dir = room.at("in");
    room.file("in/a.keys", packed(scattered(100)));
    room.file("in/b.keys", packed(scattered(200)));
    let out = room.at("out");
    ostia(["bulk-create", &dir, "--out", &out, "--quiet"]).done();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let files = tree(out.as_ref());
    for name in files.keys() {
        let file = fs::File::options().write(true).open(room.path().join("out").join(name)).unwrap();
        file.set_modified(long_ago).unwrap();
    }
    let touched = || -> Vec<String> {
        let modified =
            |n: &String| fs::metadata(room.path().join("out").join(n)).unwrap().modified().unwrap();
        tree(out.as_ref()).into_keys().filter(|n| modified(n) != long_ago).collect()
    };
    ostia(["bulk-create", &dir, "--out", &out, "--quiet"]).done();
    assert_eq!(touched(), [""; 0]);
    assert!(tree(out.as_ref()) == files);
    room.file("in/b.keys", packed(scattered(201)));
    ostia(["bulk-create", &dir, "--out", &out, "--quiet"]).done();
    assert_eq!(touched(), ["b.h", "b.ostia", "b.rs"]);
}

#[test]
fn without_file_io_everything_is_solved_and_nothing_written() {
    let room = Room::new();
    room.file("in/a.keys", packed(scattered(100)));
    let before = tree(room.path());
    let told = ostia(["bulk-create", &room.at("in"), "--no-file-io"]).done();
    assert!(told.contains("1 of 1 sets done, 0 failed: 100 keys") && !told.contains("files in"), "{told}");
    assert!(tree(room.path()) == before);
}

#[test]
fn the_examples_are_done_into_every_language() {
    let room = Room::new();
    let (dir, out) = (examples(), room.at("out"));
    let dir = dir.to_str().unwrap();
    let ran = ostia(["bulk-create", dir, "--out", &out, "--emit", "table,c,cpp,rust,python", "--quiet"]);
    assert_eq!(ran.done(), "");
    let files = tree(out.as_ref());
    for name in ["ports.ostia", "ports.h", "ports.hpp", "ports.rs", "ports.py"] {
        assert!(files.contains_key(name), "{name}");
    }
    for umbrella in ["tables.h", "tables.hpp", "mod.rs", "__init__.py", "CMakeLists.txt"] {
        assert!(files.contains_key(umbrella), "{umbrella}");
    }
}

#[test]
fn outputs_beside_the_sets_are_no_sets_of_the_next_run() {
    let room = Room::new();
    room.file("a.keys", packed(scattered(100)));
    let dir = room.at("");
    for _ in 0..2 {
        let told = ostia(["bulk-create", &dir, "--out", &dir, "--recursive", "--tests", "--force"]).done();
        assert!(told.contains("1 of 1 sets done"), "{told}");
    }
}

#[test]
fn a_set_named_like_the_self_test_of_another_is_refused() {
    let room = Room::new();
    room.file("in/a.keys", packed(scattered(10)));
    room.file("in/a_test.keys", packed(scattered(11)));
    room.file("in/b_test.keys", packed(scattered(12)));
    let (dir, out) = (room.at("in"), room.at("out"));
    ostia(["bulk-create", &dir, "--out", &out, "--tests"]).fails(1, &["a_test.keys", "a.keys", "rename"]);
    assert_eq!(names(out.as_ref(), ".ostia"), ["a.ostia", "b_test.ostia"]);
    ostia(["bulk-create", &dir, "--out", &out, "--quiet"]).done();
}

#[test]
fn a_job_that_cannot_begin_says_why() {
    let room = Room::new();
    fs::create_dir(room.path().join("none")).unwrap();
    let file = room.file("f.keys", packed(scattered(3)));
    let out = room.at("out");
    ostia(["bulk-create", &room.at("none"), "--out", &out]).fails(1, &["there are no key sets", "*.keys"]);
    ostia(["bulk-create", &room.at("gone"), "--out", &out]).fails(1, &["gone: the folder cannot be listed"]);
    ostia(["bulk-create", &file, "--out", &out, "--nodes", "7"]).fails(2, &["there is no node 7"]);
    ostia(["bulk-create", &file, "--out", &out, "--nodes", "all"]).fails(2, &["0,2-3"]);
    ostia(["bulk-create", &file, "--out", &out, "--node-policy", "node=3"]).fails(2, &["there is no node 3"]);
    ostia(["bulk-create", &file, "--out", &out, "--topology", "many"]).fails(2, &["--topology many"]);
    ostia(["bulk-create", &room.at(""), "--out", &file]).fails(1, &["f.keys", "cannot be made"]);
    let check = ostia(["bulk-create", &file, "--out", &out, "--engine", "threads", "--check"]);
    check.fails(2, &["--check", "leave out --engine threads"]);
    assert!(!Path::new(&out).exists());
}

#[test]
fn a_killed_run_leaves_no_half_file_and_the_next_sweeps() {
    let room = Room::new();
    for i in 0..60 {
        room.file(&format!("in/s{i:02}.keys"), packed(scattered(2000 + i)));
    }
    let (dir, out, whole) = (room.at("in"), room.at("out"), room.at("whole"));
    ostia(["bulk-create", &dir, "--out", &whole, "--quiet"]).done();
    let whole = tree(whole.as_ref());
    // What a killed run may leave behind, of a process that is certainly gone.
    let mut gone = program().arg("--version").stdout(Stdio::null()).spawn().unwrap();
    gone.wait().unwrap();
    let stray = room.file(&format!("out/.ostia-bulk-{}-0.tmp", gone.id()), "half");
    assert!(Path::new(&stray).exists());
    for ended in [1, 20, 40] {
        let mut child = program()
            .args(["bulk-create", &dir, "--out", &out, "--json", "--threads", "2"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.take(ended).filter(|l| l.is_ok()).count(), ended);
        child.kill().unwrap();
        child.wait().unwrap();
        for (name, bytes) in tree(out.as_ref()).iter().filter(|(name, _)| !name.ends_with(".tmp")) {
            assert!(whole[name] == *bytes, "{name} is not complete");
        }
    }
    ostia(["bulk-create", &dir, "--out", &out, "--quiet"]).done();
    let left = tree(out.as_ref());
    assert!(left == whole, "{:?}", left.keys());
}

#[cfg(target_os = "linux")] // Elsewhere a name that is not UTF-8 cannot be made so easily.
#[test]
fn a_name_that_is_not_utf_8_is_a_failed_row_like_any_other() {
    use std::os::unix::ffi::OsStrExt;

    let room = Room::new();
    room.file("in/a.keys", packed(scattered(100)));
    let odd = room.path().join("in").join(std::ffi::OsStr::from_bytes(b"\xff.keys"));
    fs::write(odd, packed(scattered(4))).unwrap();
    let ran = ostia(["bulk-create", &room.at("in"), "--out", &room.at("out"), "--json"]);
    assert_eq!((ran.code, ran.json().len()), (Some(1), 3), "{ran:?}");
    ran.fails(1, &[]);
    ostia(["bulk-create", &room.at("in"), "--out", &room.at("out")]).fails(1, &["it is not UTF-8"]);
}
