//! The same set gives the same bytes on every machine and system.
//!
//! The digests here are part of the format: they may change only with a reason that stands in the changelog.

use std::fs;

use ostia_hash::bytes::hash_bytes;

use crate::support::{Room, packed, scattered};

#[test]
fn tables_of_every_kind_have_the_digests_they_always_had() {
    let room = Room::new();
    let scattered = packed(scattered(1000));
    let dense: String = (1000..1700).map(|i| format!("{i}\n")).collect();
    let words: String = (0..300).map(|i| format!("word {i:x}\n")).collect();
    let wide: Vec<u8> =
        (1..500u64).flat_map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes()).collect();
    let values: String = (0..1000).map(|i| format!("{}\n", i * 7)).collect();
    let values = room.file("v.txt", values);
    let made = |name: &str, keys: &[u8], options: &[&str]| {
        let bytes = fs::read(room.table(name, keys, options)).unwrap();
        format!("{:016X} {} {}", hash_bytes(0, &bytes), bytes.len(), options.join(" ").replace(&values, "V"))
    };
    let made = [
        made("s.keys", &scattered, &[]),
        made("s.keys", &scattered, &["--kind", "chm"]),
        made("s.keys", &scattered, &["--kind", "chm", "--hash", "MultiplyShiftRX", "--graph", "traversed"]),
        made("s.keys", &scattered, &["--kind", "halves", "--foreign", "fingerprint"]),
        made("s.keys", &scattered, &["--kind", "displace", "--foreign", "exact"]),
        made("s.keys", &scattered, &["--kind", "displace", "--any-order"]),
        made("s.keys", &scattered, &["--kind", "retrieval", "--values", &values]),
        made("s.keys", &scattered, &["--values", &values, "--in-place"]),
        made("d.txt", dense.as_bytes(), &[]),
        made("w.strings", words.as_bytes(), &["--foreign", "exact"]),
        made("w.keys64", &wide, &["--keep-order"]),
    ];
    assert_eq!(made, DIGESTS, "{}", made.join("\n"));
}

const DIGESTS: [&str; 11] = [
    "ACDE2E5E003EC266 4352 ",
    "633165024183ED24 4352 --kind chm",
    "6495A9A54B1C335C 4352 --kind chm --hash MultiplyShiftRX --graph traversed",
    "EFD7300B867E6484 6400 --kind halves --foreign fingerprint",
    "392F3D70205A4F0A 7488 --kind displace --foreign exact",
    "BF5C50D95B96139D 1280 --kind displace --any-order",
    "25E10BF93BB345C5 4864 --kind retrieval --values V",
    "77407AAD0F4650AA 2770 --values V --in-place",
    "08ED787BF9493857 3328 ",
    "4E89626424FD2034 9352 --foreign exact",
    "C575690EA90A0ECD 2304 --keep-order",
];
