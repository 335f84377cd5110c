//! The page on the file format is enough to write a reader: one in Python finds what we find.

use std::{io::Write as _, path::Path, process::Command};

use crate::support::{Ran, Room, ostia, packed, scattered};

/// Asserts that the reader finds what `ostia lookup` finds; false when there is no Python.
#[track_caller]
fn agrees(table: &str, keys: &[String]) -> bool {
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program/file_format.py");
    let Ok(output) = Command::new("python3").arg(reader).arg(table).args(keys).output() else {
        let _ = writeln!(std::io::stderr(), "SKIPPED file_format: there is no python3");
        return false;
    };
    let theirs = Ran::of(output).done();
    let ours = ostia([&["lookup".to_owned(), table.to_owned()], keys].concat());
    let ours = ours.out.lines().map(|line| {
        let (_, found) = line.split_once('\t').expect("a line has tabs");
        found.replace('\t', " ")
    });
    assert_eq!(theirs.lines().collect::<Vec<_>>(), ours.collect::<Vec<_>>());
    assert_eq!(theirs.lines().count(), keys.len());
    true
}

fn typed(keys: impl IntoIterator<Item = impl ToString>) -> Vec<String> {
    keys.into_iter().map(|key| key.to_string()).collect()
}

#[test]
fn a_reader_written_from_the_page_finds_every_key() {
    let room = Room::new();
    let displace = ["--kind", "displace", "--foreign"];
    let values = room.file("v.txt", (0..500).map(|i| format!("{}\n", i * 1000)).collect::<String>());

    let table = room.table("s.keys", packed(scattered(500)), &[&displace[..], &["exact"]].concat());
    if !agrees(&table, &typed(scattered(520))) {
        return;
    }
    let with_values = [&displace[..], &["fingerprint:11", "--values", &values]].concat();
    agrees(&room.table("s.keys", packed(scattered(500)), &with_values), &typed(scattered(520)));
    let any_order = [&displace[..], &["unchecked", "--any-order"]].concat();
    agrees(&room.table("s.keys", packed(scattered(500)), &any_order), &typed(scattered(500)));

    // 64 bits that are reduced, 64 that are not, signs, and strings.
    let keys64 = |keys: &[u64]| keys.iter().flat_map(|k| k.to_le_bytes()).collect::<Vec<u8>>();
    let high: Vec<u64> = (1..90).map(|i| i << 37).collect();
    let table = room.table("h.keys64", keys64(&high), &[&displace[..], &["exact"]].concat());
    agrees(&table, &typed(high));
    let wide: Vec<u64> = (1..90).map(|i: u64| i.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
    let table = room.table("w.keys64", keys64(&wide), &[&displace[..], &["exact", "--keep-order"]].concat());
    agrees(&table, &typed(wide));
    let words: Vec<String> = (0..90).map(|i| format!("wörd {i}")).collect();
    let table = room.table("w.strings", words.join("\n"), &[&displace[..], &["exact"]].concat());
    agrees(&table, &[&words[..], &["nobody".to_owned()]].concat());
    let below: String = (1..60).map(|i| format!("-{i}\n")).collect();
    let table = room.table("n.txt", below, &[&displace[..], &["fingerprint"]].concat());
    agrees(&table, &typed(-60..5));
}
