//! From what a parser sees, one token after another, to a key set.
//!
//! A parser hands over [`Token`]s with their places. Places are not kept: when the set turns out to hold a
//! key twice, the input is parsed again up to the two keys. So a key costs eight bytes, not forty.

use ostia_hash::keys::{KeySet, KeyType, KeysError, MAX_KEYS, Order, Texts};

use super::{
    Format, InputError, Place,
    error::quoted,
    number::{self, BadNumber, Radix},
};

/// What stands at a place of an input.
#[derive(Clone, Copy, Debug)]
pub(super) enum Token<'a> {
    /// The text of an integer: a line, a number in JSON.
    Number(&'a [u8]),
    /// A cell of a table, a number or a string.
    Cell(&'a [u8]),
    /// A string: a line of strings, a string in JSON.
    Text(&'a [u8]),
}

impl<'a> Token<'a> {
    pub(super) fn bytes(self) -> &'a [u8] {
        match self {
            Token::Number(bytes) | Token::Cell(bytes) | Token::Text(bytes) => bytes,
        }
    }
}

/// Receives tokens; its error ends the parse.
pub(super) type Sink<'s> = dyn FnMut(Place, Token<'_>) -> Result<(), InputError> + 's;

/// Hands every token of an input, in order, to a sink.
pub(super) type Parser<'p> = dyn Fn(&mut Sink<'_>) -> Result<(), InputError> + 'p;

/// Parses, infers the type where none is given, and makes the set.
pub(super) fn key_set(
    parse: &Parser<'_>,
    length: usize,
    format: Format,
    key_type: Option<KeyType>,
    order: Order,
) -> Result<KeySet, InputError> {
    let radix = radix_of(format);
    let mut text_type = key_type.filter(|t| t.is_text());
    let mut integers: Option<Integers> = match key_type {
        Some(t) if !t.is_text() => Some(Integers::new(Some(t))),
        _ => None,
    };
    let mut texts = Texts::default();
    parse(&mut |place, token| {
        if text_type.is_none() && integers.is_none() {
            // The first key decides.
            match token {
                Token::Cell(bytes)
                    if number::parse(bytes.trim_ascii(), radix) == Err(BadNumber::NotAnInteger) =>
                {
                    text_type = Some(KeyType::Str);
                }
                Token::Text(_) => text_type = Some(KeyType::Str),
                Token::Number(_) | Token::Cell(_) => integers = Some(Integers::new(None)),
            }
        }
        if let Some(integers) = &mut integers {
            if let (None, Token::Text(bytes)) = (key_type, token) {
                let (text, hint) = (quoted(bytes), format.integer_hint());
                return Err(InputError::NotAnInteger { place, text, hint });
            }
            return integers.push(place, token.bytes(), format);
        }
        push_text(&mut texts, place, token, text_type == Some(KeyType::Str))
    })?;

    let made = match (integers, text_type) {
        (Some(integers), _) => {
            let (key_type, words) = integers.finish()?;
            KeySet::integers(key_type, words, order)
        }
        (None, Some(text_type)) => KeySet::texts(text_type, texts, order),
        (None, None) => Err(KeysError::Empty),
    };
    made.map_err(|why| located(why, parse, length, radix))
}

/// How the numbers of a format are written.
pub(super) fn radix_of(format: Format) -> Radix {
    if format == Format::Hex { Radix::Sixteen } else { Radix::Ten }
}

/// The integer that a token stands for.
pub(super) fn integer(place: Place, text: &[u8], format: Format) -> Result<i128, InputError> {
    number::parse(text.trim_ascii(), radix_of(format)).map_err(|why| match why {
        BadNumber::NotAnInteger => {
            InputError::NotAnInteger { place, text: quoted(text), hint: format.integer_hint() }
        }
        BadNumber::TooLarge => {
            InputError::TooWide { place, value: quoted(text), key_type: None, wider: None }
        }
    })
}

/// The smallest type among those that are inferred that holds a value.
pub(super) fn wider(value: i128) -> Option<KeyType> {
    [KeyType::U32, KeyType::I32, KeyType::U64, KeyType::I64].into_iter().find(|t| t.word(value).is_some())
}

/// A set's error, with the places of its keys.
fn located(why: KeysError, parse: &Parser<'_>, length: usize, radix: Radix) -> InputError {
    let (first, second) = match why {
        KeysError::Duplicate { first, second } => (first, second),
        KeysError::Empty => return InputError::Empty { length: length as u64 },
        KeysError::TooMany => return InputError::TooMany,
        // Words were checked against the type one by one; strings have none.
        why => return InputError::Keys(why),
    };
    let mut position = 0;
    let mut places = [None; 2];
    let mut value = String::new();
    let seen = parse(&mut |place, token| {
        if position == first {
            places[0] = Some(place);
        }
        if position == second {
            places[1] = Some(place);
            value = match number::parse(token.bytes().trim_ascii(), radix) {
                Ok(number) if !matches!(token, Token::Text(_)) => number.to_string(),
                _ => quoted(token.bytes()),
            };
        }
        position += 1;
        Ok(())
    });
    match (seen, places) {
        (Ok(()), [Some(first), Some(second)]) => InputError::Duplicate { value, first, second },
        // Parsing the same bytes twice gives the same tokens.
        _ => InputError::Keys(why),
    }
}

/// Integers as they come in: the bits of each, and what is needed to infer a type.
struct Integers {
    key_type: Option<KeyType>,
    words: Vec<u64>,
    largest: i128,
    negative: Option<(Place, String)>,
    smallest: i128,
    large: Option<(Place, String)>,
}

impl Integers {
    fn new(key_type: Option<KeyType>) -> Integers {
        Integers { key_type, words: Vec::new(), largest: 0, negative: None, smallest: 0, large: None }
    }

    fn push(&mut self, place: Place, text: &[u8], format: Format) -> Result<(), InputError> {
        let value = integer(place, text, format)?;
        if self.words.len() == MAX_KEYS {
            return Err(InputError::TooMany);
        }
        if let Some(key_type) = self.key_type {
            let word = key_type.word(value).ok_or_else(|| InputError::TooWide {
                place,
                value: value.to_string(),
                key_type: Some(key_type),
                wider: wider(value),
            })?;
            self.words.push(word);
            return Ok(());
        }
        if value < 0 && self.negative.is_none() {
            self.negative = Some((place, value.to_string()));
        }
        if value > i128::from(i64::MAX) && self.large.is_none() {
            self.large = Some((place, value.to_string()));
        }
        self.largest = self.largest.max(value);
        self.smallest = self.smallest.min(value);
        // The low 64 bits: a number has been checked to fit them, signed or unsigned.
        self.words.push(value as u64);
        Ok(())
    }

    fn finish(mut self) -> Result<(KeyType, Vec<u64>), InputError> {
        if let Some(key_type) = self.key_type {
            return Ok((key_type, self.words));
        }
        let key_type = match (self.negative, self.large) {
            (Some(negative), Some(large)) => return Err(InputError::NoCommonType { negative, large }),
            (None, _) if self.largest <= i128::from(u32::MAX) => KeyType::U32,
            (None, _) => KeyType::U64,
            (Some(_), _) => {
                let fits = KeyType::I32.word(self.largest).and(KeyType::I32.word(self.smallest)).is_some();
                if fits { KeyType::I32 } else { KeyType::I64 }
            }
        };
        for word in &mut self.words {
            *word &= key_type.mask();
        }
        Ok((key_type, self.words))
    }
}

/// Checks a string and adds it to the others.
fn push_text(
    texts: &mut Texts,
    place: Place,
    token: Token<'_>,
    must_be_utf8: bool,
) -> Result<(), InputError> {
    let bytes = match token {
        Token::Number(bytes) => return Err(InputError::NotAString { place, text: quoted(bytes) }),
        Token::Cell(bytes) | Token::Text(bytes) => bytes,
    };
    if must_be_utf8 {
        check_utf8(place, bytes)?;
    }
    if texts.len() == MAX_KEYS {
        return Err(InputError::TooMany);
    }
    texts.push(bytes);
    Ok(())
}

fn check_utf8(place: Place, bytes: &[u8]) -> Result<(), InputError> {
    let Err(why) = std::str::from_utf8(bytes) else { return Ok(()) };
    let at = why.valid_up_to();
    let place = match place {
        Place::Line(line) => Place::Column(line, at as u64 + 1),
        other => other,
    };
    Err(InputError::NotUtf8 { place, byte: bytes[at], hint: "--key-type bytes takes any bytes" })
}
