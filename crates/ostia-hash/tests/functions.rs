//! Known answers of the predecessor's functions.
//!
//! The answers were computed by a program of its own, written from the description of the functions alone, bit
//! by bit where the library takes tables or instructions.

use ostia_hash::function::classic::{Classic, RngSpec};

const KEYS: [u32; 4] = [1, 0x0040_0000, 0xDEAD_BEEF, 0xFFFF_FFFF];

type Answer = (&'static str, usize, u32, [(u32, u32); 4]);

/// Name, seeds of attempt 1 for 2^15 vertices: how many, and the third; then the pairs of the keys.
#[rustfmt::skip]
const ANSWERS: [Answer; 39] = [
    ("Crc32Rotate15", 2, 0x00000000, [(0x196BBA03, 0x833241C2), (0x3B39D6BF, 0xDF30220A), (0xCDB70DAF, 0x27C15C46), (0x73B6A483, 0xBF8D82B9)]),
    ("Jenkins", 2, 0x00000000, [(0x5A016E3D, 0x575D1060), (0x9E0ABDDC, 0x14510678), (0x21557692, 0x7A0069C3), (0x12824A19, 0x3F64C826)]),
    ("JenkinsMod", 2, 0x00000000, [(0x5A016E3D, 0x575D1060), (0x9E0ABDDC, 0x14510678), (0x21557692, 0x7A0069C3), (0x12824A19, 0x3F64C826)]),
    ("RotateXor", 4, 0x97404146, [(0xCD20B02B, 0xF0D9E04D), (0xCD00380B, 0x10D9F1C9), (0x70122525, 0x9C1084B4), (0x329FCFD4, 0x0F260EB2)]),
    ("AddSubXor", 4, 0x97404146, [(0x4FB8349B, 0x9B1F1724), (0x4FF8349A, 0x9B5F1723), (0x2E65F389, 0x79CCD612), (0x4FB83499, 0x9B1F1722)]),
    ("Xor", 2, 0x00000000, [(0x00007B23, 0x00000C3D), (0x00007B62, 0x00008C1D), (0x00001B60, 0x0000BC1C), (0x00007B22, 0x00008C3D)]),
    ("Dummy", 3, 0x97404146, [(0x196BBA03, 0xA3B36966), (0x3B39D6BF, 0x184BF1EE), (0xCDB70DAF, 0x42CB8328), (0x73B6A483, 0xBF8D82B9)]),
    ("Crc32RotateXor", 3, 0x97404146, [(0x196BBA03, 0xBB1FE66D), (0x3B39D6BF, 0x6123E1BC), (0xCDB70DAF, 0x20817878), (0x73B6A483, 0x577BBB6C)]),
    ("Crc32", 2, 0x00000000, [(0x196BBA03, 0xD5509C39), (0x3B39D6BF, 0xF702F085), (0xCDB70DAF, 0x018C2B95), (0x73B6A483, 0xBF8D82B9)]),
    ("Djb", 2, 0x00000000, [(0x23957DFB, 0x4AB49BBE), (0x2394F9DA, 0x4AB4179D), (0x241B3F92, 0x4B3A5D55), (0x242524D6, 0x4B444299)]),
    ("DjbXor", 2, 0x00000000, [(0x23957DFB, 0x4AB382FC), (0x2394E95A, 0x4AB4179D), (0x2338A7F8, 0x4ABDCBBF), (0x232F63DA, 0x4AB47F9D)]),
    ("Fnv", 2, 0x00000000, [(0xCC0AED04, 0x459B61E3), (0xCAF13B8F, 0x46B51358), (0x44EB32C1, 0xA7C1D3DA), (0xE3CB44C3, 0x469D670C)]),
    ("Crc32Not", 2, 0x00000000, [(0x196BBA03, 0x62C82801), (0x3B39D6BF, 0x409A44BD), (0xCDB70DAF, 0xB6149FAD), (0x73B6A483, 0x08153681)]),
    ("Crc32RotateX", 3, 0x00000006, [(0x196BBA03, 0xA3B36966), (0x3B39D6BF, 0x184BF1EE), (0xCDB70DAF, 0x42CB8328), (0x73B6A483, 0xBF8D82B9)]),
    ("Crc32RotateXY", 3, 0x00000106, [(0x03B487A4, 0xB7721500), (0xD78C88CC, 0xF3D6CC78), (0xB571A7FC, 0xC662A610), (0x73B6A483, 0xBF8D82B9)]),
    ("Crc32RotateWXYZ", 3, 0x17000106, [(0x07690F48, 0xA13873AA), (0xAF191199, 0x05E10BEE), (0x6AE34FF9, 0x18572A03), (0xE76D4906, 0x1B05737F)]),
    ("RotateMultiplyXorRotate", 3, 0x17000106, [(0x5C000000, 0xA5315214), (0x2ED70000, 0xB740006E), (0x1D578981, 0x52FECA6F), (0xE8642ED5, 0xA5315015)]),
    ("ShiftMultiplyXorShift", 3, 0x17000106, [(0x00000000, 0x64E0E814), (0x2ED70000, 0x3740006E), (0x81578981, 0x1E266C6F), (0x14642ED5, 0x9B1F1615)]),
    ("ShiftMultiplyXorShift2", 6, 0x00000106, [(0x00000000, 0x00000000), (0x00000000, 0x78703F24), (0x00000000, 0x39FAA9A8), (0x00000000, 0x01A69AE2)]),
    ("RotateMultiplyXorRotate2", 6, 0x00000106, [(0x00000000, 0x31E5E1E8), (0x00000000, 0xF2703F24), (0x00000000, 0xF95DB140), (0x00000000, 0xAC7B4FBA)]),
    ("MultiplyRotateR", 3, 0x00000106, [(0x693EE0D2, 0xB270746E), (0x009A0000, 0x1BA00000), (0x18F0559F, 0x8F133629), (0x9AC11F2D, 0xCD8F8B91)]),
    ("MultiplyRotateLR", 3, 0x00000106, [(0xEE0D2693, 0xB270746E), (0xA0000009, 0x1BA00000), (0x0559F18F, 0x8F133629), (0x11F2D9AC, 0xCD8F8B91)]),
    ("MultiplyShiftR", 3, 0x00000106, [(0x013EE0D2, 0x3270746E), (0x009A0000, 0x1BA00000), (0x00F0559F, 0x0F133629), (0x02C11F2D, 0x4D8F8B91)]),
    ("MultiplyShiftLR", 3, 0x00000106, [(0xEE0D2680, 0x3270746E), (0xA0000000, 0x1BA00000), (0x0559F180, 0x0F133629), (0x11F2D980, 0x4D8F8B91)]),
    ("Multiply", 2, 0x00000000, [(0x4FB8349A, 0x64E0E8DD), (0x26800000, 0x37400000), (0x3C1567C6, 0x1E266C53), (0xB047CB66, 0x9B1F1723)]),
    ("MultiplyXor", 4, 0x97404146, [(0x2B58DC47, 0x60B84B9F), (0x4260E8DD, 0xA6780AD9), (0x58F58F1B, 0x4244EE83), (0xD4A723BB, 0x9F47B463)]),
    ("MultiplyRotateRMultiply", 5, 0x00000106, [(0x96C6654A, 0x12848EB8), (0x14F20000, 0x3B400000), (0x5C320243, 0x44D0790E), (0x7858B1D9, 0xCF4B74DE)]),
    ("MultiplyRotateR2", 5, 0x17000106, [(0x4B6332A5, 0x7233B486), (0x0A790000, 0x000000ED), (0xAE190121, 0xA1DD0D4F), (0xBC2C58EC, 0x8DCC4D79)]),
    ("MultiplyShiftRMultiply", 5, 0x00000106, [(0xCEC6654A, 0x12848EB8), (0x14F20000, 0x3B400000), (0xA4320243, 0x44D0790E), (0x4058B1D9, 0xCF4B74DE)]),
    ("MultiplyShiftR2", 5, 0x17000106, [(0x676332A5, 0x00000086), (0x0A790000, 0x000000ED), (0x52190121, 0x0000014F), (0x202C58EC, 0x00000179)]),
    ("RotateRMultiply", 3, 0x00000106, [(0x68000000, 0x80000000), (0x349A0000, 0x1BA00000), (0x16650EFE, 0x5CA2C1BB), (0xB047CB66, 0x9B1F1723)]),
    ("RotateRMultiplyRotateR", 3, 0x17000106, [(0x34000000, 0xC1D1BAC9), (0x1A4D0000, 0x8000006E), (0x0B32877F, 0x4CD8A63C), (0x5823E5B3, 0x3E2E4736)]),
    ("Multiply643ShiftR", 5, 0x00000106, [(0x753EE0D2, 0x7BFC056C), (0x349A0000, 0x5B200000), (0x84F0559F, 0x8DA2174B), (0xF2C11F2D, 0x0403FA93)]),
    ("Multiply644ShiftR", 5, 0x00000106, [(0x753EE0D2, 0x7BFC056C), (0x349A0000, 0x5B200000), (0x84F0559F, 0x8DA2174B), (0xF2C11F2D, 0x0403FA93)]),
    ("MultiplyShiftRX", 3, 0x00000111, [(0x000027DC, 0x00003270), (0x00001340, 0x00001BA0), (0x00001E0A, 0x00000F13), (0x00005823, 0x00004D8F)]),
    ("Mulshrolate1RX", 3, 0x17000111, [(0x000013EE, 0x00003270), (0x000009A0, 0x00001BA0), (0x00000F05, 0x00000F13), (0x00002C11, 0x00004D8F)]),
    ("Mulshrolate2RX", 3, 0x17000111, [(0x000013EE, 0x00003270), (0x000009A0, 0x00001BA0), (0x00000F05, 0x00000F13), (0x00002C11, 0x00004D8F)]),
    ("Mulshrolate3RX", 4, 0x17000111, [(0x00001418, 0x00003270), (0x000068A0, 0x00001BA0), (0x00001580, 0x00000F13), (0x00002BE7, 0x00004D8F)]),
    ("Mulshrolate4RX", 5, 0x17000111, [(0x00001418, 0x00006876), (0x000068A0, 0x00007040), (0x00001580, 0x000075E3), (0x00002BE7, 0x00001789)]),
];

#[test]
fn every_function_gives_its_known_answers() {
    assert_eq!(Classic::ALL.len(), ANSWERS.len());
    for (&function, (name, count, third, pairs)) in Classic::ALL.iter().zip(ANSWERS) {
        assert_eq!((function.name(), function.seed_count()), (name, count));
        let seeds = function.seeds_for(1, &RngSpec::default(), 32 - 15, None);
        assert_eq!(seeds[2], third, "{name}");
        assert!(seeds[..2].iter().all(|&s| s != 0) && seeds[count..].iter().all(|&s| s == 0), "{name}");
        assert_eq!(KEYS.map(|key| function.pair(&seeds, key)), pairs, "{name}");
    }
}

#[test]
fn names_and_ids_lead_back() {
    for (id, &function) in (1..).zip(Classic::ALL) {
        assert_eq!(function.id(), id);
        assert_eq!(Classic::from_id(id), Some(function));
        assert_eq!(Classic::from_name(function.name()), Some(function));
    }
    assert_eq!(Classic::from_id(0), None);
    assert_eq!(Classic::from_id(40), None);
    assert_eq!(Classic::from_name("Scratch"), None);
}

#[test]
fn an_unsolvable_key_has_one_vertex_under_all_seeds_and_other_functions_have_none() {
    for &function in Classic::ALL {
        let always = (1..200).all(|attempt| {
            let seeds = function.seeds_for(attempt, &RngSpec::default(), 8, None);
            let (first, second) = function.pair(&seeds, 0);
            first == second
        });
        assert_eq!(function.unsolvable_key(), always.then_some(0), "{}", function.name());
    }
}

#[test]
fn forced_seeds_replace_what_they_may() {
    let rng = RngSpec::default();
    let function = Classic::Mulshrolate2RX;
    let drawn = function.seeds_for(5, &rng, 16, None);
    // A whole seed, no seed, and of the masked one only the bytes that are not 0; then the mask.
    let forced = function.seeds_for(5, &rng, 16, Some(&[7, 0, 0x0000_FF00]));
    assert_eq!(forced, [7, drawn[1], drawn[2] & !0xFF00 | 0x1F00, 0, 0, 0, 0, 0]);
    // Bytes that the mask leaves nothing of stay as drawn, and so vanish.
    let function = Classic::MultiplyShiftR;
    let forced = function.seeds_for(5, &rng, 16, Some(&[0, 0, 0x0A00_0003]));
    assert_eq!(forced[2], function.seeds_for(5, &rng, 16, None)[2] & !0xFF | 3);
}
