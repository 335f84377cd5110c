//! The key sets of examples/keys, made by program, so that anyone can make them again and see how they came
//! about. Every format and every shape that asks something of a table has one.

mod lists;

use std::{fmt::Write, fs, path::PathBuf};

use crate::house::House;

/// One file of examples/keys.
struct Set {
    file: &'static str,
    content: Vec<u8>,
}

/// Writes all of them.
pub(crate) fn write(house: &House) -> Result<(), String> {
    let folder = folder(house);
    fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    for set in sets() {
        let path = folder.join(set.file);
        fs::write(&path, &set.content)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        println!("{:20} {:>7} bytes", set.file, set.content.len());
    }
    Ok(())
}

fn folder(house: &House) -> PathBuf {
    house.root.join("examples/keys")
}

fn sets() -> Vec<Set> {
    vec![
        Set { file: "addresses.keys", content: packed_u32(&addresses()) },
        Set { file: "c_keywords.strings", content: lines(lists::C_KEYWORDS) },
        Set { file: "edges.keys", content: packed_u32(&edges()) },
        Set { file: "emoji.txt", content: emoji() },
        Set { file: "frames.keys64", content: packed_u64(&frames()) },
        Set { file: "http_status.txt", content: http_status() },
        Set { file: "ids.keys64", content: packed_u64(&ids()) },
        Set { file: "one.txt", content: b"# One key is a set as well.\n42\n".to_vec() },
        Set { file: "ports.csv", content: ports() },
        Set { file: "powers.txt", content: powers() },
        Set { file: "temperatures.txt", content: temperatures() },
        Set { file: "words.strings", content: lines(lists::WORDS) },
        Set { file: "years.json", content: years() },
    ]
}

/// 5,000 addresses as a program's functions have them: clusters, each address a multiple of 16.
fn addresses() -> Vec<u32> {
    let mut random = Random(0x0571A);
    let mut keys = Vec::new();
    let mut address = 0x0040_0000_u32;
    for _ in 0..50 {
        for _ in 0..100 {
            keys.push(address);
            address += 16 * (1 + random.below(9));
        }
        // The next module lies a few hundred pages further on.
        address = (address + 0x1000 * (100 + random.below(400))) & !0xFFF;
    }
    keys
}

/// The ends of the range and what lies beside them and beside its middle.
fn edges() -> Vec<u32> {
    vec![0, 1, 2, 0x7FFF_FFFE, 0x7FFF_FFFF, 0x8000_0000, 0x8000_0001, u32::MAX - 2, u32::MAX - 1, u32::MAX]
}

/// 64-bit time stamps in which no more than 32 bits vary: the same day, at steps of 2^20.
fn frames() -> Vec<u64> {
    const DAY: u64 = 0x17C6_0000_0000_0000;
    let mut random = Random(0xF7A3E5);
    let mut step = 0_u64;
    let frame = |step: u64| DAY | (step << 20);
    (0..2_000)
        .map(|_| {
            step += u64::from(1 + random.below(2_000));
            frame(step)
        })
        .collect()
}

/// 2,000 identifiers in which every one of the 64 bits varies.
fn ids() -> Vec<u64> {
    let mut random = Random(0x1D5);
    (0..2_000).map(|_| random.next()).collect()
}

fn http_status() -> Vec<u8> {
    let mut text = "# HTTP status codes, one per line; what follows a # is comment.\n".to_owned();
    for (code, meaning) in lists::HTTP_STATUS {
        writeln!(text, "{code} # {meaning}").expect("writing to a string cannot fail");
    }
    text.into_bytes()
}

fn emoji() -> Vec<u8> {
    let mut text = "# Code points of emoji, in hexadecimal.\n".to_owned();
    for (name, first, last) in lists::EMOJI {
        writeln!(text, "# {name}").expect("writing to a string cannot fail");
        for code in *first..=*last {
            writeln!(text, "0x{code:X}").expect("writing to a string cannot fail");
        }
    }
    text.into_bytes()
}

fn ports() -> Vec<u8> {
    let mut text = "port,service\n".to_owned();
    for (port, service) in lists::PORTS {
        writeln!(text, "{port},{service}").expect("writing to a string cannot fail");
    }
    text.into_bytes()
}

/// Powers of two and their neighbours, up to the largest number of 64 bits.
fn powers() -> Vec<u8> {
    let mut text =
        "# 2^k - 1, 2^k and 2^k + 1 for k = 2 to 63, 0 to 2, and the largest of 64 bits.\n".to_owned();
    text.push_str("0\n1\n2\n");
    for k in 2..64 {
        let power = 1_u64 << k;
        writeln!(text, "{}\n{power}\n{}", power - 1, power + 1).expect("writing to a string cannot fail");
    }
    writeln!(text, "{}", u64::MAX).expect("writing to a string cannot fail");
    text.into_bytes()
}

/// Negative numbers and positive ones: half degrees from -40 to 50, in tenths.
fn temperatures() -> Vec<u8> {
    let mut text = "# Half degrees from -40 to 50 Celsius, in tenths of a degree.\n".to_owned();
    for tenths in (-400..=500).step_by(5) {
        writeln!(text, "{tenths}").expect("writing to a string cannot fail");
    }
    text.into_bytes()
}

/// A dense range: every year from 1900 to 2155, 256 of them.
fn years() -> Vec<u8> {
    let mut text = "[".to_owned();
    for year in 1900..=2155 {
        let before = match year {
            1900 => "\n  ",
            _ if (year - 1900) % 16 == 0 => ",\n  ",
            _ => ", ",
        };
        write!(text, "{before}{year}").expect("writing to a string cannot fail");
    }
    text.push_str("\n]\n");
    text.into_bytes()
}

fn lines(words: &[&str]) -> Vec<u8> {
    words.iter().flat_map(|word| word.bytes().chain(*b"\n")).collect()
}

fn packed_u32(keys: &[u32]) -> Vec<u8> {
    keys.iter().flat_map(|key| key.to_le_bytes()).collect()
}

fn packed_u64(keys: &[u64]) -> Vec<u8> {
    keys.iter().flat_map(|key| key.to_le_bytes()).collect()
}

/// Numbers without a pattern, the same ones every time: a Weyl sequence through two multiplications.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        word = (word ^ (word >> 29)).wrapping_mul(0xA076_1D64_78BD_642F);
        word ^ (word >> 32)
    }

    fn below(&mut self, bound: u32) -> u32 {
        (((self.next() >> 32) * u64::from(bound)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn the_committed_files_are_what_the_generator_writes() {
        let folder = folder(&House::here());
        let mut committed = BTreeMap::new();
        for file in fs::read_dir(&folder).expect("examples/keys is there") {
            let file = file.expect("examples/keys can be listed");
            let name = file.file_name().into_string().expect("file names are text");
            committed.insert(name, fs::read(file.path()).expect("an example can be read"));
        }
        let made: BTreeMap<_, _> = sets().into_iter().map(|set| (set.file.to_owned(), set.content)).collect();
        assert_eq!(committed.keys().collect::<Vec<_>>(), made.keys().collect::<Vec<_>>());
        for (name, content) in &made {
            assert!(&committed[name] == content, "{name} differs; `cargo xtask examples` writes it afresh");
        }
    }

    #[test]
    fn the_folder_stays_small() {
        let bytes: usize = sets().iter().map(|set| set.content.len()).sum();
        assert!(bytes < 300_000, "{bytes} bytes");
    }

    #[test]
    fn no_set_has_a_key_twice() {
        fn distinct<T: Ord>(keys: impl IntoIterator<Item = T>) -> bool {
            let mut seen = BTreeSet::new();
            keys.into_iter().all(|key| seen.insert(key))
        }
        assert!(distinct(addresses()));
        assert!(distinct(edges()));
        assert!(distinct(frames()));
        assert!(distinct(ids()));
        assert!(distinct(lists::C_KEYWORDS));
        assert!(distinct(lists::WORDS));
        assert!(distinct(lists::PORTS.iter().map(|(port, _)| port)));
        assert!(distinct(lists::HTTP_STATUS.iter().map(|(code, _)| code)));
        assert!(distinct(lists::EMOJI.iter().flat_map(|&(_, first, last)| first..=last)));
        let powers = String::from_utf8(powers()).expect("numbers are text");
        assert!(distinct(powers.lines()));
    }

    #[test]
    fn the_sets_have_the_shapes_they_are_there_for() {
        assert!(addresses().iter().all(|address| address % 16 == 0));
        assert_eq!(addresses().len(), 5_000);
        let varying = |keys: &[u64]| keys.iter().fold(0, |bits, key| bits | (key ^ keys[0])).count_ones();
        assert!(varying(&frames()) <= 32);
        assert_eq!(varying(&ids()), 64);
    }
}
