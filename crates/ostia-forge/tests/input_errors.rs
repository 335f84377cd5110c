//! Every error of the readers, word for word: the place, what stands there, the way out.

use std::{fs, path::Path};

use ostia_forge::input::{Column, Format, Header, Reading, ValueShape, Values, parse, parse_values, read};
use ostia_hash::keys::{KeyType, Order};

fn reading(format: Format) -> Reading {
    Reading::new(format)
}

fn typed(format: Format, key_type: KeyType) -> Reading {
    Reading { key_type: Some(key_type), ..reading(format) }
}

fn column(format: Format, column: Column) -> Reading {
    Reading { column: Some(column), ..reading(format) }
}

fn name(name: &str) -> Column {
    Column::Name(name.to_owned())
}

#[track_caller]
fn refused(bytes: impl AsRef<[u8]>, reading: &Reading, expected: &str) {
    let why = parse(bytes.as_ref(), reading).expect_err("must be refused");
    assert_eq!(why.to_string(), expected);
}

#[test]
fn packed_input_is_refused_with_its_offset() {
    refused([], &reading(Format::Keys), "the input is empty; a set needs at least one key");
    refused(
        [1, 0, 0, 0, 2, 0, 0],
        &reading(Format::Keys),
        "the length, 7, is no multiple of 4, the size of a u32: 3 bytes left over from offset 4; \
         repair the file, or name the width of its keys with --key-type",
    );
    refused(
        [9],
        &reading(Format::Keys64),
        "the length, 1, is no multiple of 8, the size of a u64: 1 byte left over from offset 0; \
         repair the file, or name the width of its keys with --key-type",
    );
    refused(
        [7, 0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0],
        &reading(Format::Keys),
        "7 (0x00000007) is at offset 0 and again at offset 8; remove one of them",
    );
    refused(
        [1, 0xfe, 2, 0xfe],
        &typed(Format::Keys, KeyType::I8),
        "-2 (0xfe) is at offset 1 and again at offset 3; remove one of them",
    );
    refused(
        [0; 4],
        &typed(Format::Keys, KeyType::Str),
        "--format keys has no keys of type str; packed keys are integers; \
         lines of strings are read with --format lines",
    );
}

#[test]
fn text_is_refused_with_its_line() {
    let text = reading(Format::Text);
    refused("", &text, "the input is empty; a set needs at least one key");
    refused("# nothing\n\n", &text, "there is no key in these 11 bytes; a set needs at least one");
    refused("16\n\n5 # five\r\n0x10,\n", &text, "16 is at line 1 and again at line 4; remove one of them");
    refused(
        "1\nfoo bar\n",
        &text,
        "line 2: `foo bar` is not an integer; one a line is read, decimal such as 1234 or hexadecimal such \
         as 0x4d2; strings are read with --format lines",
    );
    refused(
        "10\nxyz",
        &reading(Format::Hex),
        "line 2: `xyz` is not an integer; one a line is read, hexadecimal such as 4d2 or 0x4d2; decimal is \
         read with --format text",
    );
    refused(
        "1\n\n70000\n",
        &typed(Format::Text, KeyType::U16),
        "line 3: 70000 does not fit u16; --key-type u32 holds it",
    );
    refused(
        "-1\n",
        &typed(Format::Text, KeyType::U32),
        "line 1: -1 does not fit u32; --key-type i32 holds it",
    );
    refused(
        "5\n-3000000000\n",
        &typed(Format::Text, KeyType::I32),
        "line 2: -3000000000 does not fit i32; --key-type i64 holds it",
    );
    refused(
        "18446744073709551616",
        &text,
        "line 1: `18446744073709551616` does not fit 64 bits; the smallest key is -9223372036854775808, \
         the largest 18446744073709551615",
    );
    refused(
        "1\n-5\n0xffff_ffff_ffff_ffff\n",
        &text,
        "no integer type holds both -5 at line 2 and 18446744073709551615 at line 3; use strings \
         (--key-type str), or two sets",
    );
    refused(
        "1\n",
        &typed(Format::Text, KeyType::Str),
        "--format text has no keys of type str; it reads integers; lines of strings are read with --format \
         lines",
    );
    refused(b"\xff\xfe1\0", &text, "offset 0: the text is UTF-16; save it as UTF-8");
}

#[test]
fn lines_of_strings_are_refused_with_their_line() {
    let lines = reading(Format::Lines);
    refused(
        b"one\nt\xffwo\n",
        &lines,
        "line 2, column 2: the byte 0xff is not UTF-8; --key-type bytes takes any bytes",
    );
    refused("a\nb\n\na\n", &lines, "`a` is at line 1 and again at line 4; remove one of them");
    refused(
        "12\nx\n",
        &typed(Format::Lines, KeyType::U8),
        "line 2: `x` is not an integer; --key-type str takes the lines as strings",
    );
    refused("\n\n", &lines, "there is no key in these 2 bytes; a set needs at least one");
}

#[test]
fn tables_are_refused_with_row_and_column() {
    let csv = reading(Format::Csv);
    refused("", &csv, "the input is empty; a set needs at least one key");
    refused(
        "id,name\n1,a\n",
        &Reading { header: Header::No, ..column(Format::Csv, name("id")) },
        "a table without a header has no names of columns; choose one by its number",
    );
    refused(
        "id,name\n1,a\n",
        &column(Format::Csv, name("key")),
        "there is no column `key`; --column takes a number from 1 to 2, or a name: `id`, `name`",
    );
    refused(
        "id,name\n1,a\n",
        &column(Format::Csv, Column::Number(3)),
        "there is no column 3; --column takes a number from 1 to 2, or a name: `id`, `name`",
    );
    refused(
        "id,name,id\n1,a,2\n",
        &column(Format::Csv, name("id")),
        "columns 1 and 3 are both named `id`; choose one by its number",
    );
    refused(
        "name,id\na,1\n\nb\n",
        &column(Format::Csv, name("id")),
        "line 4: the row has 1 cell and no column 2; repair the row",
    );
    refused(
        "id\n1\n\n\n2\ntwo\n",
        &csv,
        "line 6: `two` is not an integer; decimal such as 1234 or hexadecimal such as 0x4d2 is read; \
         --key-type str takes the cells as strings, --header says that the first row is none",
    );
    refused("id\n7\n8\n\n0x7\n", &csv, "7 is at line 2 and again at line 5; remove one of them");
    refused(
        "id,note\n1,\"a\n2,b\n3,c\n",
        &column(Format::Csv, name("id")),
        "line 2: a quote is opened in this row and never closed; close it",
    );
    refused(
        b"\xe9\n",
        &csv,
        "line 1, column 1: the byte 0xe9 is not UTF-8; --key-type bytes takes any bytes",
    );
}

#[test]
fn json_is_refused_with_line_and_column() {
    let json = reading(Format::Json);
    let not_array = "the keys are not in an array; write [1, 2, 3], or [\"a\", \"b\"]";
    refused("", &json, "line 1, column 0: not JSON: EOF while parsing a value");
    refused("[]", &json, "there is no key in these 2 bytes; a set needs at least one");
    refused("{\"keys\": [1]}", &json, &format!("line 1, column 0: {not_array}"));
    refused("[1,\n 2,,]", &json, "line 2, column 4: not JSON: expected value");
    refused("[1] 2", &json, "line 1, column 5: not JSON: trailing characters");
    refused(
        "[1,\n  1.5]",
        &json,
        "line 2, column 3: `1.5` is not an integer; integers up to 64 bits are read, or strings such as \
         \"0x4d2\" with a --key-type",
    );
    refused(
        "[1, 1e3]",
        &json,
        "line 1, column 5: `1e3` is not an integer; integers up to 64 bits are read, or strings such as \
         \"0x4d2\" with a --key-type",
    );
    refused(
        "[18446744073709551616]",
        &json,
        "line 1, column 2: `18446744073709551616` does not fit 64 bits; the smallest key is \
         -9223372036854775808, the largest 18446744073709551615",
    );
    refused(
        "[\"a\", 1]",
        &json,
        "line 1, column 7: `1` is not a string; the other keys are, or --key-type says so",
    );
    refused(
        "[1, \"a\"]",
        &json,
        "line 1, column 5: `a` is not an integer; integers up to 64 bits are read, or strings such as \
         \"0x4d2\" with a --key-type",
    );
    refused("[true]", &json, "line 1, column 2: `true` is neither an integer nor a string");
    refused("[[1]]", &json, "line 1, column 2: `[1]` is neither an integer nor a string");
    refused(
        "[{\"id\": 1}]",
        &json,
        "line 1, column 2: the elements are objects; choose the field of the keys with --column",
    );
    let by_id = column(Format::Json, name("id"));
    refused("[5]", &by_id, "line 1, column 2: `5` is not an object, so it has no field `id`");
    refused(
        "[{\"id\": 1},\n {\"no\": 2}]",
        &by_id,
        "line 2, column 2: the object has no field `id`; repair it, or choose another with --column",
    );
    refused(
        "[{\"id\": 1, \"id\": 2}]",
        &by_id,
        "line 1, column 2: the object has the field `id` twice; remove one",
    );
    refused(
        "[{\"id\": 1},\n {\"id\": 1}]",
        &by_id,
        "1 is at line 1, column 9 and again at line 2, column 9; remove one of them",
    );
    refused(
        "[\"a\\u0062\", \"ab\"]",
        &json,
        "`ab` is at line 1, column 2 and again at line 1, column 13; remove one of them",
    );
    refused(
        b"[\"\xe9\"]",
        &json,
        "line 1, column 3: the byte 0xe9 is not UTF-8; JSON is UTF-8; write the byte as an escape such as \
         \\u00ff",
    );
}

#[track_caller]
fn values_refused(bytes: &[u8], format: Format, shape: ValueShape, keys: usize, expected: &str) {
    let why = parse_values(bytes, &reading(format), shape, keys).expect_err("must be refused");
    assert_eq!(why.to_string(), expected);
}

#[test]
fn values_are_refused_with_their_place() {
    let records = |size| ValueShape::Records { size };
    values_refused(
        b"1\n2\n",
        Format::Text,
        ValueShape::Integers,
        3,
        "there are 2 values for 3 keys; give one for each key, in input order",
    );
    values_refused(
        b"1\n-2\n",
        Format::Text,
        ValueShape::Integers,
        2,
        "line 2: `-2` is not an integer; values are unsigned; this one is negative",
    );
    values_refused(
        b"ab\nabc\n",
        Format::Text,
        records(None),
        2,
        "line 2: the record has 3 bytes where the others have 2; records are of one size",
    );
    values_refused(
        b"abcde",
        Format::Keys,
        records(Some(2)),
        2,
        "the length, 5, is no multiple of 2, the size of a record: 1 byte left over from offset 4; repair \
         the file, or give another record size",
    );
    values_refused(
        b"abcd",
        Format::Keys,
        records(None),
        2,
        "the size of a record is not known, or is 0; give it in bytes",
    );
}

#[test]
fn files_are_refused_by_their_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let says = |path: &Path, rest: &str| {
        let why = read(path, None, &reading(Format::Keys)).expect_err("must be refused");
        assert_eq!(why.to_string(), format!("{}: {rest}", path.display()));
    };
    fs::create_dir(path("x.keys")).unwrap();
    says(&path("x.keys"), "is a directory, not a key set; bulk-create reads the sets in a directory");
    fs::write(path("a.bin"), [1, 0, 0, 0]).unwrap();
    says(
        &path("a.bin"),
        "the name does not tell the format; give one with --format: keys, keys64, text, hex, csv, json, lines",
    );
    assert_eq!(read(&path("a.bin"), Some(Format::Keys), &reading(Format::Json)).unwrap().keys.len(), 1);
    fs::write(path("99.keys"), [1, 0, 0]).unwrap();
    says(
        &path("99.keys"),
        "the length, 3, is no multiple of 4, the size of a u32: 3 bytes left over from offset 0; repair the \
         file, or name the width of its keys with --key-type",
    );
    let missing = read(&path("none.keys"), None, &reading(Format::Keys)).unwrap_err().to_string();
    assert!(missing.starts_with(&format!("{}: cannot be read: ", path("none.keys").display())), "{missing}");
}

#[test]
fn the_count_in_a_name_is_not_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("set-3000000000.keys");
    fs::write(&path, [1, 0, 0, 0, 2, 0, 0, 0]).unwrap();
    assert_eq!(read(&path, None, &reading(Format::Keys)).unwrap().keys.words(), [1, 2]);
}

#[test]
fn types_are_inferred_as_small_as_they_may_be() {
    let check = |text: &str, expected| {
        let keys = parse(text.as_bytes(), &reading(Format::Text)).unwrap().keys;
        assert_eq!(keys.key_type(), expected, "{text}");
    };
    check("0\n4294967295", KeyType::U32);
    check("0\n4294967296", KeyType::U64);
    check("-1\n2147483647", KeyType::I32);
    check("-1\n2147483648", KeyType::I64);
    check("-2147483649", KeyType::I64);
    check("18446744073709551615", KeyType::U64);
}

#[test]
fn text_is_read_with_all_that_people_put_into_it() {
    let text = "\u{feff}// sets\r\n# more\r\n  1_000,\r\n\r\n0x1F // why\r\n+7 # seven\r\n-0x2,";
    let keys =
        parse(text.as_bytes(), &Reading { order: Order::Input, ..reading(Format::Text) }).unwrap().keys;
    assert_eq!(keys.key_type(), KeyType::I32);
    assert_eq!(keys.words(), [1000, 0x1f, 7, 0xffff_fffe]);
    let hex = parse(b"10\n0x11\nff_00", &reading(Format::Hex)).unwrap().keys;
    assert_eq!(hex.words(), [0x10, 0x11, 0xff00]);
}

#[test]
fn byte_lines_are_exact_and_string_lines_are_not() {
    let shown = |reading: &Reading| -> Vec<String> {
        let keys = parse(b"\xef\xbb\xbfa\r\n# b\n", reading).unwrap().keys;
        (0..keys.len()).map(|i| keys.display(i).to_string()).collect()
    };
    assert_eq!(shown(&reading(Format::Lines)), ["\"# b\"", "\"a\""]);
    let bytes = typed(Format::Lines, KeyType::Bytes);
    assert_eq!(shown(&bytes), ["\"# b\"", "\"\\xef\\xbb\\xbfa\\r\""]);
}

#[test]
fn a_header_is_told_from_a_key() {
    let check = |text: &str, header, expected: &[u64]| {
        let keys = parse(text.as_bytes(), &Reading { header, ..reading(Format::Csv) }).unwrap().keys;
        assert_eq!(keys.words(), expected, "{text}");
    };
    check("id\n5\n6\n", Header::Auto, &[5, 6]);
    check("4\n5\n6\n", Header::Auto, &[4, 5, 6]);
    check("port,service\n7,echo\n20,ftp\n", Header::Auto, &[7, 20]);
    check("4\n5\n6\n", Header::Yes, &[5, 6]);
    let words = parse(b"if\nelse\n", &reading(Format::Csv)).unwrap().keys;
    assert_eq!((words.key_type(), words.len()), (KeyType::Str, 2));
    let words = Reading { header: Header::Yes, ..reading(Format::Csv) };
    assert_eq!(parse(b"word\nif\nelse\n", &words).unwrap().keys.len(), 2);
}

#[test]
fn values_stand_beside_keys_or_apart() {
    let beside = |format, shape| Reading { values: Some((name("v"), shape)), ..column(format, name("k")) };
    let csv = "k,v\n30,1\n10,2\n20,0x3\n";
    let input = parse(csv.as_bytes(), &beside(Format::Csv, ValueShape::Integers)).unwrap();
    assert_eq!(input.keys.origin().unwrap(), [1, 2, 0]);
    assert_eq!(input.values, Some(Values::Integers(vec![1, 2, 3])));
    let json = r#"[{"k": "x", "v": "ab"}, {"v": "cd", "k": "y"}]"#;
    let input = parse(json.as_bytes(), &beside(Format::Json, ValueShape::Records { size: None })).unwrap();
    assert_eq!(input.values, Some(Values::Records { size: 2, bytes: b"abcd".to_vec() }));

    let apart = |bytes: &[u8], format, shape| parse_values(bytes, &reading(format), shape, 2).unwrap();
    let records = ValueShape::Records { size: Some(3) };
    let expected = Values::Records { size: 3, bytes: b"abcdef".to_vec() };
    assert_eq!(apart(b"abc\ndef\n", Format::Text, records), expected);
    assert_eq!(apart(b"abcdef", Format::Keys, records), expected);
    assert_eq!(
        apart(b"\x01\0\0\0\x02\0\0\0", Format::Keys, ValueShape::Integers),
        Values::Integers(vec![1, 2])
    );
    assert_eq!(apart(b"9 # nine\n\n8\n", Format::Text, ValueShape::Integers), Values::Integers(vec![9, 8]));
}

#[test]
fn every_example_set_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/keys");
    let count = |name: &str| read(&folder.join(name), None, &reading(Format::Keys)).map(|i| i.keys.len());
    let mut sets = 0;
    for entry in fs::read_dir(&folder).expect("the examples are part of the repository") {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if Format::split(&name).1.is_some() {
            assert!(count(&name).unwrap_or_else(|why| panic!("{why}")) > 0);
            sets += 1;
        }
    }
    assert!(sets >= 12, "only {sets} example sets");
    assert_eq!(count("one.txt").unwrap(), 1);
    assert_eq!(count("frames.keys64").unwrap(), 2000);
}
