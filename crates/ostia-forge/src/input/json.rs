//! An array of integers, of strings, or of objects with such a field.
//!
//! Elements are taken as they are written and only then read, so that an integer never passes through a
//! float, the place of each is known, and no tree is built.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{
    InputError, Place,
    error::quoted,
    gather::{Sink, Token},
};

/// Hands over each element, or that field of each.
pub(super) fn elements(bytes: &[u8], field: Option<&str>, sink: &mut Sink<'_>) -> Result<(), InputError> {
    let text = std::str::from_utf8(bytes).map_err(|why| {
        let at = why.valid_up_to();
        let hint = "JSON is UTF-8; write the byte as an escape such as \\u00ff";
        InputError::NotUtf8 { place: Cursor::new(bytes).place(at), byte: bytes[at], hint }
    })?;
    let mut walk = Walk { text, field, sink, cursor: Cursor::new(bytes), failure: None };
    let mut json = serde_json::Deserializer::from_str(text);
    let done = json.deserialize_seq(Elements { walk: &mut walk }).and_then(|()| json.end());
    if let Some(failure) = walk.failure {
        return Err(failure);
    }
    done.map_err(|why| {
        let place = Place::Column(why.line() as u64, why.column() as u64);
        if why.is_data() {
            let message = "the keys are not in an array; write [1, 2, 3], or [\"a\", \"b\"]".to_owned();
            return InputError::JsonShape { place, message };
        }
        let message = why.to_string();
        // Its own text ends with the place, which stands before it here.
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(m, _)| m).to_owned();
        InputError::Json { place, message }
    })
}

/// What is under way.
struct Walk<'w, 's> {
    text: &'w str,
    field: Option<&'w str>,
    sink: &'w mut Sink<'s>,
    cursor: Cursor<'w>,
    failure: Option<InputError>,
}

impl Walk<'_, '_> {
    fn element(&mut self, raw: &str) -> Result<(), InputError> {
        let place = self.place_of(raw);
        let Some(field) = self.field else { return self.scalar(raw, place) };
        if !raw.starts_with('{') {
            let message = format!(
                "{} is not an object, so it has no field {}",
                quoted(raw.as_bytes()),
                quoted(field.as_bytes())
            );
            return Err(InputError::JsonShape { place, message });
        }
        let mut object = serde_json::Deserializer::from_str(raw);
        match object.deserialize_map(Field { name: field }) {
            Ok(Found::Once(value)) => {
                let place = self.place_of(value.get());
                self.scalar(value.get(), place)
            }
            Ok(Found::Never) => {
                let message = format!(
                    "the object has no field {}; repair it, or choose another with --column",
                    quoted(field.as_bytes())
                );
                Err(InputError::JsonShape { place, message })
            }
            Ok(Found::Twice) => {
                let message =
                    format!("the object has the field {} twice; remove one", quoted(field.as_bytes()));
                Err(InputError::JsonShape { place, message })
            }
            Err(why) => Err(InputError::Json { place, message: why.to_string() }),
        }
    }

    fn scalar(&mut self, raw: &str, place: Place) -> Result<(), InputError> {
        match raw.as_bytes().first() {
            Some(b'"') => {
                let text: Text<'_> = serde_json::from_str(raw)
                    .map_err(|why| InputError::Json { place, message: why.to_string() })?;
                (self.sink)(place, Token::Text(text.0.as_bytes()))
            }
            Some(b'-' | b'0'..=b'9') => (self.sink)(place, Token::Number(raw.as_bytes())),
            Some(b'{') if self.field.is_none() => {
                let message =
                    "the elements are objects; choose the field of the keys with --column".to_owned();
                Err(InputError::JsonShape { place, message })
            }
            _ => {
                let message = format!("{} is neither an integer nor a string", quoted(raw.as_bytes()));
                Err(InputError::JsonShape { place, message })
            }
        }
    }

    /// The place of a part of the text.
    fn place_of(&mut self, part: &str) -> Place {
        // What is borrowed from the text lies in it: the difference of the addresses is the offset.
        let offset = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        self.cursor.place(offset.min(self.text.len()))
    }
}

/// The elements of the array.
struct Elements<'e, 'w, 's> {
    walk: &'e mut Walk<'w, 's>,
}

impl<'de> Visitor<'de> for Elements<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        while let Some(raw) = array.next_element::<&'de RawValue>()? {
            if let Err(failure) = self.walk.element(raw.get()) {
                self.walk.failure = Some(failure);
                return Err(serde::de::Error::custom("ended by its reader"));
            }
        }
        Ok(())
    }
}

/// How often an object has a field.
enum Found<'de> {
    Never,
    Once(&'de RawValue),
    Twice,
}

/// Looks for one field of an object.
struct Field<'n> {
    name: &'n str,
}

impl<'de> Visitor<'de> for Field<'_> {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Found<'de>, A::Error> {
        let mut found = Found::Never;
        while let Some(name) = object.next_key_seed(TextSeed)? {
            if name.0 == self.name {
                let value = object.next_value::<&'de RawValue>()?;
                found = if matches!(found, Found::Never) { Found::Once(value) } else { Found::Twice };
            } else {
                object.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// A string, borrowed when it has no escapes.
struct Text<'de>(Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Text<'de>, D::Error> {
        TextSeed.deserialize(json)
    }
}

struct TextSeed;

impl<'de> DeserializeSeed<'de> for TextSeed {
    type Value = Text<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Text<'de>, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for TextSeed {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

/// Turns ascending offsets into lines and columns, looking at each byte once.
struct Cursor<'a> {
    bytes: &'a [u8],
    offset: usize,
    line: u64,
    line_start: usize,
}

impl<'a> Cursor<'a> {
    fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { bytes, offset: 0, line: 1, line_start: 0 }
    }

    fn place(&mut self, offset: usize) -> Place {
        for at in self.offset..offset {
            if self.bytes[at] == b'\n' {
                self.line += 1;
                self.line_start = at + 1;
            }
        }
        self.offset = self.offset.max(offset);
        Place::Column(self.line, (offset.saturating_sub(self.line_start) + 1) as u64)
    }
}
