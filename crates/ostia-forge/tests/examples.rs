//! The sets of examples/keys are read as what they are.

use std::{fs, path::Path};

use ostia_forge::input::{Format, Reading, read};

#[test]
fn every_example_is_read_without_being_told_how() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/keys");
    let mut found = Vec::new();
    for file in fs::read_dir(folder).expect("examples/keys is there") {
        let path = file.expect("examples/keys can be listed").path();
        let name = path.file_name().expect("a listed file has a name").to_string_lossy().into_owned();
        let format = Format::of_path(&path).unwrap_or_else(|| panic!("{name} has no known ending"));
        let input = read(&path, None, &Reading::new(format)).unwrap_or_else(|error| panic!("{error}"));
        found.push(format!("{name}: {} {}", input.keys.len(), input.keys.key_type().name()));
    }
    found.sort();
    let expected = [
        "addresses.keys: 5000 u32",
        "c_keywords.strings: 44 str",
        "edges.keys: 10 u32",
        "emoji.txt: 370 u32",
        "frames.keys64: 2000 u64",
        "http_status.txt: 60 u32",
        "ids.keys64: 2000 u64",
        "one.txt: 1 u32",
        "ports.csv: 72 u32",
        "powers.txt: 190 u64",
        "temperatures.txt: 181 i32",
        "words.strings: 58 str",
        "years.json: 256 u32",
    ];
    assert_eq!(found, expected);
}
