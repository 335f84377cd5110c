//! Every key of a set against a finished table.

use alloc::{vec, vec::Vec};

use super::{Key, KeySet, Mismatch, Table, Value, ValueType, Values};

/// What was seen before the end of the set.
pub(crate) enum Halt {
    /// A key that does not find what it should.
    Wrong(Mismatch),
    /// The result is not wanted any more.
    Abandoned,
}

/// How many keys are looked up between two looks at whether the result is still wanted.
const KEYS: usize = 1 << 13;

pub(crate) fn table(
    table: &Table<'_>,
    set: &KeySet,
    values: Option<&Values>,
    abandoned: &dyn Fn() -> bool,
) -> Result<(), Halt> {
    let wrong = |position, what| Err(Halt::Wrong(Mismatch { position, what }));
    if set.len() != table.len() {
        return wrong(set.len().min(table.len()), "is where the set and the table end differently");
    }
    let keeps_order = table.keeps_order();
    let mut taken = if keeps_order { Vec::new() } else { vec![0u64; (table.range() as usize).div_ceil(64)] };
    let checked = table.checked();
    for position in 0..set.len() {
        if position % KEYS == 0 && abandoned() {
            return Err(Halt::Abandoned);
        }
        let key = match set.as_texts() {
            Some(texts) => Key::Text(texts.get(position)),
            None => Key::Word(set.words()[position]),
        };
        if checked.is_some_and(|c| !c.contains(key)) {
            return wrong(position, "is taken for a foreign key");
        }
        if table.has_index() {
            let index = table.unchecked().index(key) as usize;
            if keeps_order {
                if index != position {
                    return wrong(position, "does not find its own index");
                }
            } else {
                let (word, bit) = (&mut taken[index / 64], 1 << (index % 64));
                if *word & bit != 0 {
                    return wrong(position, "shares its slot with another key");
                }
                *word |= bit;
            }
        }
        if let Some(values) = values {
            let own = match values.value_type() {
                ValueType::Integer { .. } => Value::Integer(values.lane().word(position)),
                ValueType::Record { .. } => Value::Record(values.lane().record(position).to_vec()),
            };
            if table.unchecked().value(key) != Some(own) {
                return wrong(position, "does not find its own value");
            }
        }
    }
    Ok(())
}
