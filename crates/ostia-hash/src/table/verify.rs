//! Every key of a set against a finished table.

use alloc::{vec, vec::Vec};
use core::ops::Range;

use super::{Key, KeySet, Mismatch, Table, Value, ValueType, Values};

/// Looks up the keys of a set, some at a time.
pub(crate) struct Verify<'t> {
    table: &'t Table<'t>,
    set: &'t KeySet,
    values: Option<&'t Values>,
    /// Which slots are a key's; none where each key must have the one of its position.
    taken: Vec<u64>,
}

impl<'t> Verify<'t> {
    pub(crate) fn new(
        table: &'t Table<'t>,
        set: &'t KeySet,
        values: Option<&'t Values>,
    ) -> Result<Verify<'t>, Mismatch> {
        if set.len() != table.len() {
            let position = set.len().min(table.len());
            return Err(Mismatch { position, what: "is where the set and the table end differently" });
        }
        let slots = if table.keeps_order() { 0 } else { table.range() as usize };
        Ok(Verify { table, set, values, taken: vec![0; slots.div_ceil(64)] })
    }

    /// Looks up the keys at these positions, each of which is looked up once in all.
    pub(crate) fn check(&mut self, positions: Range<usize>) -> Result<(), Mismatch> {
        let Verify { table, set, values, taken } = self;
        let checked = table.checked();
        let (has_index, keeps_order) = (table.has_index(), table.keeps_order());
        for position in positions {
            let wrong = |what| Err(Mismatch { position, what });
            let key = match set.as_texts() {
                Some(texts) => Key::Text(texts.get(position)),
                None => Key::Word(set.words()[position]),
            };
            if checked.is_some_and(|c| !c.contains(key)) {
                return wrong("is taken for a foreign key");
            }
            if has_index {
                let index = table.unchecked().index(key) as usize;
                if keeps_order {
                    if index != position {
                        return wrong("does not find its own index");
                    }
                } else {
                    let (word, bit) = (&mut taken[index / 64], 1 << (index % 64));
                    if *word & bit != 0 {
                        return wrong("shares its slot with another key");
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
                    return wrong("does not find its own value");
                }
            }
        }
        Ok(())
    }
}
