//! Any set written in any format reads back equal, and no bytes whatever make a reader panic.

#[path = "../../../fuzz/src/probe.rs"]
#[expect(unreachable_pub, reason = "the fuzz targets use it from outside of their library")]
mod probe;

use std::collections::BTreeSet;

use ostia_forge::input::{Column, Format, Header, Reading, parse};
use ostia_hash::keys::{KeyType, Order};
use proptest::{collection, prelude::*};

/// Reads back in input order.
fn reading(format: Format, key_type: KeyType) -> Reading {
    Reading { key_type: Some(key_type), order: Order::Input, ..Reading::new(format) }
}

fn words(bytes: &[u8], reading: &Reading) -> Vec<u64> {
    parse(bytes, reading).expect("was just written").keys.words().to_vec()
}

fn texts(bytes: &[u8], reading: &Reading) -> Vec<Vec<u8>> {
    let keys = parse(bytes, reading).expect("was just written").keys;
    let texts = keys.as_texts().expect("keys are strings");
    (0..texts.len()).map(|i| texts.get(i).to_vec()).collect()
}

/// Different words of an integer type, in any order.
fn integers() -> impl Strategy<Value = (KeyType, Vec<u64>)> {
    let types = KeyType::ALL.into_iter().filter(|t| !t.is_text()).collect::<Vec<_>>();
    (proptest::sample::select(types), collection::vec(any::<u64>(), 1..100)).prop_map(|(key_type, words)| {
        let mut seen = BTreeSet::new();
        let words = words.into_iter().map(|w| w & key_type.mask()).filter(|&w| seen.insert(w)).collect();
        (key_type, words)
    })
}

fn quoted(cell: &str) -> String {
    format!("\"{}\"", cell.replace('"', "\"\""))
}

proptest! {
    #[test]
    fn integers_read_back_from_any_format((key_type, expected) in integers(), style in any::<u64>()) {
        let width = key_type.bits() as usize / 8;
        let packed: Vec<u8> = expected.iter().flat_map(|w| w.to_le_bytes()[..width].to_vec()).collect();
        prop_assert_eq!(&words(&packed, &reading(Format::Keys, key_type)), &expected);
        prop_assert_eq!(&words(&packed, &reading(Format::Keys64, key_type)), &expected);

        let values: Vec<i128> = expected.iter().map(|&w| key_type.value(w)).collect();
        let hex = |v: i128| format!("{}0x{:x}", if v < 0 { "-" } else { "" }, v.unsigned_abs());
        let written = |i: usize| if style >> (i % 64) & 1 == 0 { values[i].to_string() } else { hex(values[i]) };
        let each = |f: &dyn Fn(usize) -> String, between: &str| {
            (0..values.len()).map(f).collect::<Vec<_>>().join(between)
        };
        let text = each(&|i| format!("{}{}", written(i), ["", ",", " # a", "\r", " // 7"][i % 5]), "\n");
        prop_assert_eq!(&words(text.as_bytes(), &reading(Format::Text, key_type)), &expected);
        let text = each(&|i| hex(values[i]).replace("0x", ""), "\n");
        prop_assert_eq!(&words(text.as_bytes(), &reading(Format::Hex, key_type)), &expected);
        let lines = each(&written, "\n");
        prop_assert_eq!(&words(lines.as_bytes(), &reading(Format::Lines, key_type)), &expected);

        let csv = format!("note,key\r\n{}", each(&|i| format!("\"a,\n{i}\",{}", written(i)), "\r\n"));
        let by_name = Reading { column: Some(Column::Name("key".into())), ..reading(Format::Csv, key_type) };
        prop_assert_eq!(&words(csv.as_bytes(), &by_name), &expected);
        let by_number = Reading { column: Some(Column::Number(2)), ..by_name };
        prop_assert_eq!(&words(csv.as_bytes(), &by_number), &expected);

        let json = format!("[{}]", each(&|i| values[i].to_string(), ", "));
        prop_assert_eq!(&words(json.as_bytes(), &reading(Format::Json, key_type)), &expected);
        let json = format!("[{}]", each(&|i| quoted(&written(i)), ",\n"));
        prop_assert_eq!(&words(json.as_bytes(), &reading(Format::Json, key_type)), &expected);
        let json = format!("[{}]", each(&|i| format!("{{\"x\": [{i}], \"key\": {}}}", values[i]), ","));
        let by_name = Reading { column: Some(Column::Name("key".into())), ..reading(Format::Json, key_type) };
        prop_assert_eq!(&words(json.as_bytes(), &by_name), &expected);
    }

    #[test]
    fn an_inferred_type_holds_the_same_values((key_type, expected) in integers()) {
        let values: Vec<i128> = expected.iter().map(|&w| key_type.value(w)).collect();
        let text = values.iter().map(i128::to_string).collect::<Vec<_>>().join("\n");
        let reading = Reading { order: Order::Input, ..Reading::new(Format::Text) };
        let keys = parse(text.as_bytes(), &reading).unwrap().keys;
        let back: Vec<i128> = keys.words().iter().map(|&w| keys.key_type().value(w)).collect();
        prop_assert_eq!(back, values);
    }

    #[test]
    fn strings_read_back_from_any_format(strings in collection::btree_set(".{0,12}", 1..40)) {
        let all: Vec<String> = strings.into_iter().collect();
        let bytes = |of: &[String]| of.iter().map(|s| s.clone().into_bytes()).collect::<Vec<_>>();
        let json = format!("[{}]", all.iter().map(|s| serde_json::to_string(s).unwrap()).collect::<Vec<_>>().join(","));
        prop_assert_eq!(texts(json.as_bytes(), &reading(Format::Json, KeyType::Str)), bytes(&all));
        let csv = all.iter().map(|s| quoted(s)).collect::<Vec<_>>().join("\n");
        let plain = Reading { header: Header::No, ..reading(Format::Csv, KeyType::Str) };
        prop_assert_eq!(texts(csv.as_bytes(), &plain), bytes(&all));

        let lines: Vec<String> =
            all.into_iter().filter(|s| !s.is_empty() && !s.contains(['\r', '\n', '\u{feff}'])).collect();
        prop_assume!(!lines.is_empty());
        prop_assert_eq!(texts(lines.join("\r\n").as_bytes(), &reading(Format::Lines, KeyType::Str)), bytes(&lines));
    }

    #[test]
    fn byte_strings_read_back(strings in collection::btree_set(collection::vec(any::<u8>(), 1..12), 1..40)) {
        let lines: Vec<Vec<u8>> = strings.into_iter().filter(|s| !s.contains(&b'\n')).collect();
        prop_assume!(!lines.is_empty());
        let text = lines.join(&b'\n');
        prop_assert_eq!(texts(&text, &reading(Format::Lines, KeyType::Bytes)), lines);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(data in collection::vec(any::<u8>(), 0..300)) {
        for format in Format::ALL {
            probe::input(format, &data);
        }
    }

    #[test]
    fn no_mutation_of_good_input_makes_a_reader_panic(
        options in any::<[u8; 3]>(),
        which in 0..GOOD.len(),
        edits in collection::vec((any::<u16>(), 0..4u8, any::<u8>()), 0..6),
    ) {
        let (format, good) = GOOD[which];
        let mut data = options.to_vec();
        data.extend_from_slice(good);
        for (at, what, byte) in edits {
            let at = usize::from(at) % data.len();
            // Signs that mean something are worth more than random ones.
            let sign = b"\",[]{}\n\r-_x0#/\\:\xff\xef"[usize::from(byte) % 18];
            match what {
                0 => data[at] = byte,
                1 => data[at] = sign,
                2 => data.insert(at, sign),
                _ => data.truncate(at.max(3)),
            }
        }
        probe::input(format, &data);
    }
}

const GOOD: [(Format, &[u8]); 8] = [
    (Format::Keys, b"\x01\0\0\0\x02\0\0\0\x03\0\0\0"),
    (Format::Keys64, b"\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0"),
    (Format::Text, b"\xef\xbb\xbf1\r\n0x2, # two\n// three\n-3\n1_000\n"),
    (Format::Hex, b"ff\n0xfe\n# no\n"),
    (Format::Csv, b"key,a\n1,\"x, \"\"y\"\"\"\n2,\"a\nb\"\n\n0x3,c\n"),
    (Format::Json, b"[1, -2, 18446744073709551615, 0]"),
    (Format::Json, br#"[{"key": "a", "a": 1}, {"a": [2, {}], "key": "\u00e9\n"}]"#),
    (Format::Lines, b"if\nelse\r\nwhile\n"),
];
