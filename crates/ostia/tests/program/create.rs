//! `ostia create`: every input, every kind, and the options around them.

use crate::support::{Room, examples, ostia, ostia_reading, packed, scattered, tree};

#[test]
fn every_example_becomes_a_table_that_its_set_verifies() {
    let room = Room::new();
    let mut sets = 0;
    for entry in std::fs::read_dir(examples()).expect("the examples are there") {
        let set = entry.expect("the examples can be listed").path();
        let set = set.to_str().expect("examples have UTF-8 names");
        let out = room.at(&format!("{sets}"));
        let told = ostia(["create", set, "--out", &out, "--emit", "table"]).done();
        assert!(told.contains("verified  every key") && told.contains("wrote "), "{told}");
        let files = tree(out.as_ref());
        let [name] = files.keys().collect::<Vec<_>>()[..] else { panic!("{:?}", files.keys()) };
        let table = format!("{out}/{name}");
        assert!(ostia(["verify", &table, set]).done().contains("find their own"));
        sets += 1;
    }
    assert!(sets >= 12, "only {sets} examples");
}

#[test]
fn every_format_is_read_from_a_file_and_from_the_standard_input() {
    let room = Room::new();
    let keys64: Vec<u8> = (1..=9u64).flat_map(|k| (k << 40).to_le_bytes()).collect();
    let sets: [(&str, &str, &[u8], &str); 7] = [
        ("keys", "a.keys", &packed(scattered(9)), "9 keys of type u32"),
        ("keys64", "a.keys64", &keys64, "9 keys of type u64"),
        ("text", "a.txt", b"1\n0x2 # two\n// none\n-3\n", "3 keys of type i32"),
        ("hex", "a.hex", b"ff\n0x10\n", "2 keys of type u32"),
        ("csv", "a.csv", b"id,n\n5,x\n6,y\n", "2 keys of type u32"),
        ("json", "a.json", b"[\"x\", \"y\", \"z\"]", "3 keys of type str"),
        ("lines", "a.strings", b"one\r\ntwo\r\n", "2 keys of type str"),
    ];
    for (format, name, bytes, told) in sets {
        let file = room.file(name, bytes);
        let (one, two) = (room.at(&format!("{format}1")), room.at(&format!("{format}2")));
        let by_name = ostia(["create", &file, "--out", &one, "--emit", "table"]).done();
        assert!(by_name.starts_with(&format!("a: {told}")), "{format}: {by_name}");
        let args = ["create", "-", "--format", format, "--name", "a", "--out", &two, "--emit", "table"];
        let piped = ostia_reading(args, bytes).done();
        assert!(piped.starts_with(&format!("a: {told}")), "{format}: {piped}");
        assert_eq!(tree(one.as_ref()), tree(two.as_ref()), "{format}");
    }
}

#[test]
fn every_kind_and_policy_makes_a_table_that_verifies() {
    let room = Room::new();
    let set = room.file("s.keys", packed(scattered(700)));
    let kinds: [&[&str]; 8] = [
        &["--kind", "chm"],
        &["--kind", "chm", "--hash", "MultiplyShiftR", "--graph", "traversed"],
        &["--kind", "halves"],
        &["--kind", "displace"],
        &["--kind", "displace", "--any-order"],
        &["--kind", "retrieval"],
        &["--keep-order"],
        &[],
    ];
    for kind in kinds {
        for foreign in ["unchecked", "fingerprint:9", "exact"] {
            let out = room.at("t");
            let common = ["create", &set, "--out", &out, "--emit", "table", "--foreign", foreign, "--quiet"];
            assert_eq!(ostia([&common, kind].concat()).done(), "", "{kind:?}");
            ostia(["verify", &room.at("t/s.ostia"), &set]).done();
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let room = Room::new();
    let set = room.file("s.keys", packed(scattered(3000)));
    // One that is solved at once, and one that takes many attempts of a poor function.
    for options in [&["--kind", "auto"][..], &["--kind", "chm", "--hash", "MultiplyShiftRX"]] {
        let bytes = ["1", "2", "8"].map(|threads| {
            let out = room.at(threads);
            let common = ["create", &set, "--out", &out, "--threads", threads, "--quiet", "--no-tests"];
            ostia([&common, options].concat()).done();
            tree(out.as_ref())
        });
        assert!(bytes[0].len() >= 3, "a table, C and Rust: {:?}", bytes[0].keys());
        assert!(bytes[0] == bytes[1] && bytes[0] == bytes[2], "{options:?}");
    }
}

#[test]
fn an_absurd_number_of_threads_is_no_reason_to_fail() {
    let room = Room::new();
    let set = room.file("s.keys", packed(scattered(300)));
    ostia(["create", &set, "--no-file-io", "--quiet", "--threads", "1000000"]).done();
    ostia(["bulk-create", &room.at(""), "--no-file-io", "--quiet", "--threads", "1000000"]).done();
}

#[test]
fn json_is_one_object_with_all_that_happened() {
    let room = Room::new();
    let set = room.file("s.keys", packed(scattered(50)));
    let ran = ostia(["create", &set, "--out", &room.at("t"), "--emit", "table", "--json", "--threads", "1"]);
    let rows = ran.json();
    ran.done();
    let [row] = &rows[..] else { panic!("one object, not {}", rows.len()) };
    assert_eq!(row["outcome"], "done");
    assert_eq!((&row["name"], &row["keys"], &row["key_type"]), (&"s".into(), &50.into(), &"u32".into()));
    assert_eq!(row["path"], set);
    assert_eq!(
        row["files"],
        serde_json::json!([format!("{}", room.path().join("t").join("s.ostia").display())])
    );
    // What is told is enough to make the same table without a search.
    let seeds: Vec<&str> = row["seeds"].as_array().unwrap().iter().map(|s| s.as_str().unwrap()).collect();
    let again = ["--kind", row["kind"].as_str().unwrap(), "--hash", row["function"].as_str().unwrap()];
    let common = ["create", &set, "--out", &room.at("u"), "--emit", "table", "--json"];
    let seeds = seeds.join(",");
    let again = ostia([&common[..], &again, &["--seeds", &seeds]].concat());
    assert_eq!(again.json()[0]["attempts"], 1, "{again:?}");
    assert_eq!(again.json()[0]["seeds"], row["seeds"]);

    let failed = ostia(["create", &room.at("none.keys"), "--out", &room.at("t"), "--json"]);
    assert_eq!(failed.json()[0]["outcome"], "failed");
    assert!(failed.json()[0]["error"].as_str().unwrap().contains("none.keys"));
    failed.fails(1, &["none.keys: cannot be read"]);
}

#[test]
fn quiet_means_not_a_word_but_errors() {
    let room = Room::new();
    let set = room.file("s.keys", packed(scattered(50)));
    assert_eq!(ostia(["create", &set, "--out", &room.at("t"), "--quiet"]).done(), "");
    ostia(["create", &room.at("no.keys"), "--out", &room.at("t"), "--quiet"]).fails(1, &["cannot be read"]);
}

#[test]
fn what_only_looks_writes_nothing() {
    let room = Room::new();
    let set = room.file("s.keys", packed(scattered(50)));
    let plan = ostia(["create", &set, "--dry-run"]).done();
    assert!(plan.contains("50 keys of type u32") && plan.contains("attempts predicted"), "{plan}");
    let plan = ostia(["create", &set, "--dry-run", "--out", &room.at("t"), "--json"]);
    assert!(!plan.json()[0]["steps"].as_array().unwrap().is_empty());
    ostia(["create", &set, "--no-file-io"]).done();
    assert_eq!(tree(room.path()).into_keys().collect::<Vec<_>>(), ["s.keys"]);
    assert!(!room.path().join("t").exists());
    ostia(["create", &set, "--no-file-io", "--out", &room.at("t")]).fails(2, &["--no-file-io", "--out"]);
}

#[test]
fn a_name_is_given_to_every_file() {
    let room = Room::new();
    let set = room.file("4-weird name.keys", packed(scattered(5)));
    let all = "c,cpp,rust,python,table";
    ostia(["create", &set, "--out", &room.at("t"), "--emit", all, "--name", "fine", "--quiet"]).done();
    let files = tree(room.at("t").as_ref());
    for name in ["fine.h", "fine.hpp", "fine.rs", "fine.py", "fine.ostia", "fine_test.c", "fine_bench.c"] {
        assert!(files.contains_key(name), "{name} is not among {:?}", files.keys());
    }
    assert!(files.keys().all(|name| name.contains("fine")), "{:?}", files.keys());
    assert!(files.values().all(|bytes| !bytes.is_empty()));
    ostia([
        "create",
        &set,
        "--out",
        &room.at("u"),
        "--emit",
        "c",
        "--split",
        "--no-tests",
        "--name",
        "a",
        "-q",
    ])
    .done();
    assert_eq!(tree(room.at("u").as_ref()).into_keys().collect::<Vec<_>>(), ["a.c", "a.h"]);
}

#[test]
fn outputs_hold_no_path_and_no_carriage_return() {
    let room = Room::new();
    let set = room.file("s.keys", packed(scattered(40)));
    ostia(["create", &set, "--out", &room.at("t"), "--emit", "c,cpp,rust,python", "--quiet"]).done();
    let own = room.path().file_name().unwrap().to_str().unwrap().to_owned();
    for (name, bytes) in tree(room.at("t").as_ref()) {
        let text = String::from_utf8(bytes).expect("sources are text");
        assert!(!text.contains(&own), "{name} names the folder");
        assert!(!text.contains('\r'), "{name}");
        assert!(text.ends_with('\n'), "{name}");
    }
}

#[test]
fn a_second_run_leaves_what_is_the_same_alone() {
    let room = Room::new();
    let set = room.file("s.keys", packed(scattered(40)));
    let out = room.at("t");
    let create = || ostia(["create", &set, "--out", &out, "--quiet"]).done();
    create();
    let times = || -> Vec<_> {
        let names = tree(out.as_ref()).into_keys();
        names.map(|n| std::fs::metadata(room.path().join("t").join(n)).unwrap().modified().unwrap()).collect()
    };
    let before = times();
    create();
    assert_eq!(times(), before);
}

#[test]
fn a_time_limit_that_no_clock_can_say_is_none() {
    let room = Room::new();
    let set = room.file("s.txt", "1\n2\n");
    ostia(["create", &set, "--no-file-io", "--time-limit", "10000000000000000000s"]).done();
}
