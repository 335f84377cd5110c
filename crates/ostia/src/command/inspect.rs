//! `ostia inspect`.

use std::io::Write;

use ostia_forge::{row::foreign_name, set::seeds};
use ostia_hash::{
    keys::Order,
    squeeze::Squeeze,
    table::{Shape, Table, ValueType},
};
use serde_json::{Map, Value, json};

use super::{table, table_bytes};
use crate::{args::Inspect, exit::Ended};

/// Runs the command.
pub(crate) fn run(args: &Inspect) -> Result<(), Ended> {
    let bytes = table_bytes(&args.table)?;
    let table = table(&args.table, &bytes)?;
    let facts = facts(&table, bytes.len());
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", Value::Object(facts))?;
        return Ok(());
    }
    for (name, value) in facts {
        let shown = match value {
            Value::String(text) => text,
            Value::Array(items) => {
                items.iter().map(|i| i.as_str().unwrap_or_default()).collect::<Vec<_>>().join(",")
            }
            other => other.to_string(),
        };
        writeln!(out, "{name:<12} {shown}")?;
    }
    Ok(())
}

/// What is told of a table, in this order.
fn facts(table: &Table<'_>, file_bytes: usize) -> Map<String, Value> {
    let head = table.head();
    let lanes = table.lanes();
    let mut facts = Map::new();
    let mut tell = |name: &str, value: Value| {
        facts.insert(name.to_owned(), value);
    };
    tell("keys", json!(table.len()));
    tell("key_type", json!(head.key_type.name()));
    tell("kind", json!(head.shape.name()));
    tell("function", json!(head.shape.function_name()));
    tell("seeds", json!(seeds(&head.shape).iter().map(|s| format!("0x{s:X}")).collect::<Vec<_>>()));
    match head.shape {
        Shape::Chm { vertices, index_bits, .. } => {
            tell("vertices", json!(1u64 << vertices));
            tell("edges", json!(1u64 << index_bits));
        }
        Shape::Halves { first, second, .. } => {
            tell("first_half", json!(1u64 << first));
            tell("second_half", json!(1u64 << second));
        }
        Shape::Displace { buckets, slots, .. } => {
            tell("buckets", json!(1u64 << buckets));
            tell("slots", json!(1u64 << slots));
        }
        Shape::Retrieval { part, .. } => tell("cells", json!(3 * u64::from(part))),
    }
    tell("cell_bytes", json!(lanes.cells.width()));
    match head.squeeze {
        Squeeze::None => {}
        Squeeze::Shift { .. } | Squeeze::Extract { .. } => {
            tell("key_bits_used", json!(format!("0x{:016X}", head.squeeze.bitmap())));
        }
    }
    let index = match (table.has_index(), table.keeps_order(), head.order) {
        (false, ..) => "none: values are in place",
        (_, false, _) => "a slot of its own",
        (_, true, Order::Sorted) => "position in the sorted set",
        (_, true, Order::Input) => "position in the input",
    };
    tell("index", json!(index));
    tell("index_below", json!(table.range()));
    tell("foreign", json!(foreign_name(head.foreign)));
    let values = match head.values {
        None => "none".to_owned(),
        Some(ValueType::Integer { width }) => format!("u{}", 8 * width),
        Some(ValueType::Record { size }) => format!("records of {size} bytes"),
    };
    tell("values", json!(values));
    tell("attempt", json!(head.provenance.attempt));
    tell("rng_seed", json!(format!("0x{:X}", head.provenance.rng.seed)));
    tell("array_bytes", json!(table.bytes()));
    tell("file_bytes", json!(file_bytes));
    facts
}
