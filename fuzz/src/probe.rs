// One call of the readers for arbitrary bytes, shared by the fuzz targets and by the tests of ostia-forge.

use ostia_forge::input::{Column, Format, Header, Reading, ValueShape, parse, parse_values};
use ostia_hash::keys::{KeyType, Order};

/// Reads `data` as `format`, its first bytes telling with which options. Checks what must hold for any input.
pub fn input(format: Format, data: &[u8]) {
    let Some(([a, b, c], bytes)) = data.split_first_chunk() else { return };
    let column = |n: u8| match n % 4 {
        0 => None,
        1 => Some(Column::Number(usize::from(n / 4 % 4))),
        2 => Some(Column::Name("a".to_owned())),
        _ => Some(Column::Name("key".to_owned())),
    };
    let shape = match c >> 6 {
        0 | 1 => ValueShape::Integers,
        2 => ValueShape::Records { size: None },
        _ => ValueShape::Records { size: Some(usize::from(*c & 7)) },
    };
    let reading = Reading {
        format,
        key_type: KeyType::ALL.get(usize::from(a % 12)).copied(),
        order: if a & 0x80 == 0 { Order::Sorted } else { Order::Input },
        column: column(*b),
        header: [Header::Auto, Header::Auto, Header::Yes, Header::No][usize::from(b >> 6)],
        values: column(*c).map(|c| (c, shape)),
    };
    match parse(bytes, &reading) {
        Ok(input) => {
            let keys = &input.keys;
            assert!(keys.len() <= bytes.len());
            assert!(reading.key_type.is_none_or(|t| t == keys.key_type()));
            if let Some(values) = &input.values {
                assert_eq!(values.len(), keys.len());
            }
            let mut words = keys.words().to_vec();
            words.sort_unstable();
            assert!(words.windows(2).all(|w| w[0] != w[1]), "a key is twice in a set");
        }
        Err(why) => check(&why.to_string()),
    }
    if let Err(why) = parse_values(bytes, &reading, shape, usize::from(*b)) {
        check(&why.to_string());
    }
}

/// A message is one line that a terminal can show.
fn check(message: &str) {
    assert!(!message.is_empty() && message.len() < 4000, "{message}");
    assert!(!message.contains(char::is_control), "{message:?}");
}
