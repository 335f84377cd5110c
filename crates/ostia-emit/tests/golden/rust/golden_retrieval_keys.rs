// golden_retrieval: keys for its self-test and its benchmark, and what the library answers to them.

/// So many keys are in the set; those after them are not.
#[allow(dead_code)]
pub const MEMBERS: usize = 9;

/// How many keys there are here.
#[allow(dead_code)]
pub const ASKED: usize = 97;

/// 1 for each key that the table takes for a member.
#[allow(dead_code)]
pub static PASSES: [u8; 97] = [
    1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0,
];

/// One of them.
#[allow(dead_code, clippy::cast_possible_wrap)]
pub fn passes(at: usize) -> u8 {
    PASSES[at]
}

/// The index of each key.
#[allow(dead_code)]
pub static INDEXES: [u32; 97] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 0, 1, 3, 0, 7, 14, 11, 0, 0, 0, 14, 0, 4, 5, 1, 6, 14, 14, 14,
    0, 15, 0, 0, 0, 13, 11, 0, 14, 14, 0, 14, 8, 2, 14, 11, 1, 0, 0, 11, 5, 0, 8, 11, 15, 4, 0, 11,
    8, 11, 0, 3, 14, 9, 5, 10, 0, 3, 0, 0, 2, 4, 0, 3, 4, 4, 1, 11, 0, 11, 11, 11, 1, 7, 0, 0, 14,
    0, 5, 0, 15, 0, 11, 4, 4, 15, 4, 5,
];

/// One of them.
#[allow(dead_code, clippy::cast_possible_wrap)]
pub fn index(at: usize) -> u32 {
    INDEXES[at]
}


/// The keys.
#[allow(dead_code)]
pub static KEYS: [&str; 97] = [
    "3",
    "7",
    "key/0",
    "key/4",
    "key/8",
    "xx2",
    "xxxxxx6",
    "ключ 1 \"quoted\" \\ back",
    "ключ 5 \"quoted\" \\ back",
    "",
    "3x",
    "7x",
    "foreign 0",
    "foreign 1036",
    "foreign 1073",
    "foreign 111",
    "foreign 1110",
    "foreign 1147",
    "foreign 1184",
    "foreign 1221",
    "foreign 1258",
    "foreign 1295",
    "foreign 1332",
    "foreign 1369",
    "foreign 1406",
    "foreign 1443",
    "foreign 148",
    "foreign 1480",
    "foreign 1517",
    "foreign 1554",
    "foreign 1591",
    "foreign 1628",
    "foreign 1665",
    "foreign 1702",
    "foreign 1739",
    "foreign 1776",
    "foreign 1813",
    "foreign 185",
    "foreign 1850",
    "foreign 1887",
    "foreign 1924",
    "foreign 1961",
    "foreign 1998",
    "foreign 2035",
    "foreign 2072",
    "foreign 2109",
    "foreign 2146",
    "foreign 2183",
    "foreign 222",
    "foreign 2220",
    "foreign 2257",
    "foreign 2294",
    "foreign 2331",
    "foreign 259",
    "foreign 296",
    "foreign 333",
    "foreign 37",
    "foreign 370",
    "foreign 407",
    "foreign 444",
    "foreign 481",
    "foreign 518",
    "foreign 555",
    "foreign 592",
    "foreign 629",
    "foreign 666",
    "foreign 703",
    "foreign 74",
    "foreign 740",
    "foreign 777",
    "foreign 814",
    "foreign 851",
    "foreign 888",
    "foreign 925",
    "foreign 962",
    "foreign 999",
    "key/",
    "key/0x",
    "key/4x",
    "key/8x",
    "x3",
    "x7",
    "xkey/0",
    "xkey/4",
    "xkey/8",
    "xx",
    "xx2x",
    "xxx2",
    "xxxxxx",
    "xxxxxx6x",
    "xxxxxxx6",
    "xключ 1 \"quoted\" \\ back",
    "xключ 5 \"quoted\" \\ back",
    "ключ 1 \"quoted\" \\ bac",
    "ключ 1 \"quoted\" \\ backx",
    "ключ 5 \"quoted\" \\ bac",
    "ключ 5 \"quoted\" \\ backx",
];

/// One of them.
#[allow(dead_code)]
pub fn key(at: usize) -> &'static str {
    KEYS[at]
}
