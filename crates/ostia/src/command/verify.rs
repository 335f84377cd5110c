//! `ostia verify`.

use std::io::Write;

use ostia_forge::set;
use serde_json::json;

use super::{table, table_bytes};
use crate::{args::Verify, exit::Ended};

/// Runs the command.
pub(crate) fn run(args: &Verify) -> Result<(), Ended> {
    let bytes = table_bytes(&args.table)?;
    let table = table(&args.table, &bytes)?;
    let mut spec = args.input.spec();
    spec.order = table.head().order;
    spec.values = args.values.clone();
    // What the table says is what the keys are: text without a sign would be read as narrower ones.
    spec.key_type = spec.key_type.or(Some(table.head().key_type));
    if let Some(ostia_hash::table::ValueType::Record { size }) = table.head().values {
        spec.value_shape = ostia_forge::input::ValueShape::Records { size: Some(size as usize) };
    }
    if !table.has_index() && spec.values.is_none() {
        let why = "this table has values in place and no index: name the values to check, with --values";
        return Err(Ended::Usage(why.into()));
    }
    // The set's name plays no part here.
    let set = set::load(&args.keys, Some("set"), &spec).map_err(Ended::failed)?;
    let verified = table.verify(&set.keys, set.values.as_ref());
    let told = match &verified {
        Ok(()) => format!(
            "{}: all {} keys of {} find their own",
            args.table.display(),
            table.len(),
            args.keys.display()
        ),
        Err(mismatch) if mismatch.position < set.keys.len() => format!(
            "{}: the table does not belong to {}: {mismatch}: {}",
            args.table.display(),
            args.keys.display(),
            set.keys.display(mismatch.position)
        ),
        Err(mismatch) => format!(
            "{}: the table has {} keys and {} has {}: {mismatch}",
            args.table.display(),
            table.len(),
            args.keys.display(),
            set.keys.len()
        ),
    };
    if args.json {
        writeln!(std::io::stdout(), "{}", json!({"verified": verified.is_ok(), "told": told}))?;
        return if verified.is_ok() { Ok(()) } else { Err(Ended::Failed(None)) };
    }
    match verified {
        Ok(()) => Ok(writeln!(std::io::stdout(), "{told}")?),
        Err(_) => Err(Ended::failed(told)),
    }
}
