//! `ostia lookup`.

use std::io::{BufRead, Write};

use ostia_forge::set::typed_key;
use ostia_hash::{
    keys::KeyType,
    table::{Key, Table, Value},
};
use serde_json::json;

use super::{table, table_bytes};
use crate::{args::Lookup, exit::Ended};

/// Runs the command.
pub(crate) fn run(args: &Lookup) -> Result<(), Ended> {
    let bytes = table_bytes(&args.table)?;
    let table = table(&args.table, &bytes)?;
    let mut missing = false;
    if args.keys.is_empty() {
        for line in std::io::stdin().lock().split(b'\n') {
            let mut line =
                line.map_err(|why| Ended::failed(format_args!("the standard input cannot be read: {why}")))?;
            // Lines of exact bytes are taken as they are, as they were when the set was read.
            if table.head().key_type != KeyType::Bytes && line.ends_with(b"\r") {
                line.pop();
            }
            missing |= !look_up(&table, &line, args.json)?;
        }
    } else {
        for key in &args.keys {
            missing |= !look_up(&table, key.as_bytes(), args.json)?;
        }
    }
    if missing { Err(Ended::Failed(None)) } else { Ok(()) }
}

/// Looks one key up and tells what is found. False when the key is foreign.
fn look_up(table: &Table<'_>, typed: &[u8], as_json: bool) -> Result<bool, Ended> {
    let key_type = table.head().key_type;
    let text = String::from_utf8_lossy(typed);
    let key = if key_type.is_text() {
        Key::Text(typed)
    } else {
        Key::Word(typed_key(text.trim(), key_type).map_err(Ended::failed)?)
    };
    let member = table.checked().is_none_or(|checked| checked.contains(key));
    let lookup = table.unchecked();
    let index = (member && table.has_index()).then(|| lookup.index(key));
    let value = member.then(|| lookup.value(key)).flatten();
    let mut out = std::io::stdout().lock();
    if as_json {
        let value = value.map(|value| match value {
            Value::Integer(integer) => json!(integer),
            Value::Record(bytes) => json!(bytes.escape_ascii().to_string()),
        });
        writeln!(out, "{}", json!({"key": text, "member": member, "index": index, "value": value}))?;
        return Ok(member);
    }
    write!(out, "{text}\t")?;
    match index {
        Some(index) => write!(out, "{index}")?,
        None => write!(out, "-")?,
    }
    match value {
        Some(Value::Integer(integer)) => writeln!(out, "\t{integer}")?,
        Some(Value::Record(bytes)) => writeln!(out, "\t{}", bytes.escape_ascii())?,
        None => writeln!(out)?,
    }
    Ok(member)
}
