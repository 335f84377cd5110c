//! What is done with a table: inspect, lookup, verify, bench.

use std::fs;

use crate::support::{Room, ostia, ostia_reading, packed, scattered};

#[test]
fn inspect_tells_what_is_in_a_table() {
    let room = Room::new();
    let table = room.table("s.keys", packed(scattered(100)), &["--kind", "displace", "--foreign", "exact"]);
    let told = ostia(["inspect", &table]).done();
    for line in ["keys         100", "key_type     u32", "kind         displace", "foreign      exact"] {
        assert!(told.contains(line), "{line}: {told}");
    }
    let facts = &ostia(["inspect", &table, "--json"]).json()[0];
    assert_eq!((&facts["keys"], &facts["index_below"]), (&100.into(), &128.into()));
    assert_eq!(facts["file_bytes"].as_u64().unwrap(), fs::metadata(&table).unwrap().len());
}

#[test]
fn members_find_their_position_under_every_policy() {
    let room = Room::new();
    for foreign in ["unchecked", "fingerprint:20", "exact"] {
        let table = room.table("s.txt", "-5\n7\n0x20\n", &["--foreign", foreign]);
        assert_eq!(
            ostia(["lookup", &table, "-5", "7", "32", "0x20"]).done(),
            "-5\t0\n7\t1\n32\t2\n0x20\t2\n"
        );
        assert_eq!(ostia_reading(["lookup", &table], b"7\n -5 \r\n").done(), "7\t1\n -5 \t0\n");
        assert_eq!(ostia_reading(["lookup", &table], b"").done(), "");
    }
}

#[test]
fn foreign_keys_are_recognised_where_the_table_can() {
    let room = Room::new();
    let set = packed(scattered(300));
    for foreign in ["fingerprint:32", "exact"] {
        let table = room.table("s.keys", &set, &["--foreign", foreign]);
        let ran = ostia(["lookup", &table, "2654435761", "4"]);
        assert!(ran.out.ends_with("4\t-\n") && ran.out.starts_with("2654435761\t"), "{ran:?}");
        assert_eq!((ran.code, ran.err.as_str()), (Some(1), ""));
        let rows = ostia(["lookup", &table, "4", "--json"]);
        assert_eq!(rows.out, "{\"key\":\"4\",\"member\":false,\"index\":null,\"value\":null}\n");
        assert_eq!(rows.code, Some(1));
    }
    let table = room.table("s.keys", &set, &[]);
    let told = ostia(["lookup", &table, "4"]).done();
    let index: u32 = told.trim_start_matches("4\t").trim().parse().unwrap();
    assert!(index < 512, "{told}");
}

#[test]
fn strings_are_looked_up_as_they_are() {
    let room = Room::new();
    let table = room.table("s.strings", "grün\n two words \nred\n", &["--foreign", "exact"]);
    let told = ostia(["lookup", &table, "grün", " two words ", "red"]).done();
    assert_eq!(told, "grün\t1\n two words \t0\nred\t2\n");
    let ran = ostia_reading(["lookup", &table], "red\r\ntwo words\n".as_bytes());
    assert_eq!((ran.out.as_str(), ran.code), ("red\t2\ntwo words\t-\n", Some(1)));
    let bytes = room.table("b.strings", b"\xff\xfe\nplain\n", &["--key-type", "bytes", "--foreign", "exact"]);
    let ran = ostia_reading(["lookup", &bytes], b"\xff\xfe\nplain\n\xff\n");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let ends: Vec<&str> = ran.out.lines().map(|line| line.rsplit('\t').next().unwrap()).collect();
    assert_eq!(ends, ["1", "0", "-"], "{ran:?}");
}

#[test]
fn what_is_no_key_is_refused_with_the_type() {
    let room = Room::new();
    let table = room.table("s.keys", packed(scattered(10)), &[]);
    ostia(["lookup", &table, "ten"]).fails(1, &["\"ten\" is no integer"]);
    ostia(["lookup", &table, "-1"]).fails(1, &["-1 does not fit keys of type u32"]);
    ostia(["lookup", &table, "0x100000000"]).fails(1, &["does not fit"]);
    ostia(["lookup", &table, "99999999999999999999999999999999999999999999"]).fails(1, &["no integer"]);
    ostia(["lookup", &table, "--1"]).fails(2, &["--1"]);
}

#[test]
fn a_table_that_comes_through_a_pipe_is_asked_like_one_that_is_mapped() {
    let room = Room::new();
    let table = room.table("tens.txt", "10\n20\n30\n", &[]);
    let bytes = fs::read(&table).unwrap();
    assert_eq!(ostia(["lookup", &table, "30"]).done(), "30\t2\n");
    assert_eq!(ostia_reading(["lookup", "-", "30"], &bytes).done(), "30\t2\n");
}

#[test]
fn values_are_told_beside_the_index_or_in_its_place() {
    let room = Room::new();
    let values = room.file("v.txt", "300\n100\n200\n");
    let table = room.table("s.txt", "30\n10\n20\n", &["--values", &values, "--foreign", "exact"]);
    assert_eq!(ostia(["lookup", &table, "10", "20", "30"]).done(), "10\t0\t100\n20\t1\t200\n30\t2\t300\n");
    assert!(ostia(["verify", &table, &room.at("s.txt"), "--values", &values]).done().contains("all 3 keys"));
    let wrong = room.file("w.txt", "300\n100\n201\n");
    ostia(["verify", &table, &room.at("s.txt"), "--values", &wrong]).fails(1, &["key 1", ": 20"]);

    let in_place = ["--values", &values, "--in-place", "--foreign", "fingerprint:32"];
    let table = room.table("s.txt", "30\n10\n20\n", &in_place);
    assert_eq!(ostia(["lookup", &table, "10", "30"]).done(), "10\t-\t100\n30\t-\t300\n");
    ostia(["bench", &table, &room.at("s.txt")]).fails(1, &["values in place and no index"]);

    let csv = "name,code\nab,one\ncd,two\n"; // All are words: it is the name that says there is a header.
    let table = room.table("r.csv", csv, &["--values", "column:code", "--records"]);
    assert_eq!(ostia(["lookup", &table, "cd", "ab"]).done(), "cd\t1\ttwo\nab\t0\tone\n");
}

#[test]
fn verify_knows_its_own_set_from_any_other() {
    let room = Room::new();
    let table = room.table("s.keys", packed(scattered(100)), &[]);
    assert!(ostia(["verify", &table, &room.at("s.keys")]).done().contains("all 100 keys"));
    let fewer = room.file("fewer.keys", packed(scattered(99)));
    ostia(["verify", &table, &fewer]).fails(1, &["100 keys", "has 99"]);
    let other = room.file("other.keys", packed(scattered(100).map(|key| key ^ 1)));
    let ran = ostia(["verify", &table, &other, "--json"]);
    assert_eq!((ran.json()[0]["verified"].as_bool(), ran.code), (Some(false), Some(1)));
    ostia(["verify", &table, &other]).fails(1, &["t.ostia", "does not belong to", "other.keys"]);
    let strings = room.file("x.strings", "a\nb\n");
    ostia(["verify", &table, &strings]).fails(1, &["x.strings"]);
}

#[test]
fn a_changed_table_is_refused_by_every_command() {
    let room = Room::new();
    let table = room.table("s.keys", packed(scattered(100)), &["--foreign", "exact"]);
    let bytes = fs::read(&table).unwrap();
    let all = |why: &str| {
        let set = room.at("s.keys");
        for args in [&["inspect", &table][..], &["lookup", &table, "1"], &["verify", &table, &set]] {
            ostia(args).fails(1, &["t.ostia: ", why]);
        }
        ostia(["bench", &table, "--rounds", "1"]).fails(1, &["t.ostia: ", why]);
    };
    for place in [13, 50, 200, bytes.len() - 1] {
        let mut changed = bytes.clone();
        changed[place] ^= 4;
        fs::write(&table, changed).unwrap();
        all("the checksum is wrong: the file was changed");
    }
    fs::write(&table, &bytes[..bytes.len() - 1]).unwrap();
    all("it was cut or added to");
    fs::write(&table, "[1, 2]").unwrap();
    all("not an .ostia file");
    fs::write(&table, "").unwrap();
    all("not an .ostia file");
}

#[test]
fn bench_measures_from_the_set_or_from_the_table_alone() {
    let room = Room::new();
    let table = room.table("s.keys", packed(scattered(100)), &["--foreign", "exact"]);
    let told = ostia(["bench", &table, "--rounds", "1"]).done();
    for name in ["ostia (library)", "std HashMap", "binary search"] {
        assert!(told.contains(name), "{told}");
    }
    let table = room.table("s.keys", packed(scattered(100)), &[]);
    ostia(["bench", &table, "--rounds", "1"]).fails(2, &["name the key set"]);
    let ran = ostia(["bench", &table, &room.at("s.keys"), "--rounds", "2", "--json"]);
    assert_eq!(ran.json()[0]["results"].as_array().unwrap().len(), 3);
    let words = room.table("w.strings", "a\nb\nc\n", &["--foreign", "exact"]);
    ostia(["bench", &words, &room.at("w.strings"), "--rounds", "1"]).done();
    ostia(["bench", &words, "--rounds", "1"]).fails(2, &["name the key set"]);
}
